"""Plugins: what a family is, the hooks of all kinds of plugins, and how plugins are found."""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "family": ("API", "BRANCHES", "Family", "Upgraded"),
        "hooks": ("Hooks", "hookimpl", "hookspec"),
        "registry": (
            "GROUPS",
            "KIND_NAMES",
            "LIST_COMMANDS",
            "Conflict",
            "Plugin",
            "disabled",
            "facts_of",
            "get",
            "known",
            "known_facts",
            "load",
            "metadata",
            "names",
            "owner",
            "plugins",
            "required_packages",
        ),
    },
)
