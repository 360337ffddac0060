"""Models by name: folders, weights, cards and the Hub."""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "card": ("read_metrics",),
        "manifest": ("Manifest", "Recipe", "read_manifest"),
        "names": ("find",),
    },
)
