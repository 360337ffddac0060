"""genzoo families: the installed families, as a tree."""

from typing import Any

from genzoo.cli.app import app, as_json, refuse_broken
from genzoo.cli.options import Json
from genzoo.families.family import BRANCHES
from genzoo.families.registry import Plugin


@app.command(
    "families",
    examples=[
        "genzoo families",
        "genzoo families --json",
    ],
)
def list_families(json: Json = False) -> None:
    """Show the families of models as a taxonomy."""
    from genzoo.families import registry

    refuse_broken("family")
    families = registry.list_families()
    if json:
        as_json([*map(family_record, families)])
    else:
        print("\n".join(tree(families)))


def family_record(plugin: Plugin) -> dict[str, Any]:
    """What a listing says of a family, without loading it."""
    keys = ("name", "branch", "year", "summary", "package", "version")
    return {key: getattr(plugin, key) for key in keys}


def tree(plugins: "list[Plugin]") -> list[str]:
    """The taxonomy (Goodfellow 2016, arXiv:1701.00160, figure 9) as lines of text; and, outside of
    it, what models no density.
    """
    branches: dict[str, dict[str, list[str]]] = {}
    for branch in [*BRANCHES, *sorted({p.branch for p in plugins} - {*BRANCHES})]:
        stem, _, twig = (branch or "elsewhere").partition("/")
        leaves = [f"{p.name}  {p.year}  {p.summary}" for p in plugins if p.branch == branch]
        name = "no density" if stem == "none" else f"{stem} density"
        branches.setdefault(name, {})[twig or "unsorted"] = leaves
    lines = ["generative models"]
    for stem, twigs in branches.items():
        lines += _subtree(stem, twigs, stem == [*branches][-1])
    return lines


def _subtree(name: str, below: "dict[str, list[str]] | list[str]", last: bool) -> list[str]:
    """The lines of a tree: ``name`` and, below it, its branches."""
    lines = [("└── " if last else "├── ") + name]
    children = list(below)
    for i, child in enumerate(children):
        deeper = below[child] if isinstance(below, dict) else []
        indent = "    " if last else "│   "
        lines += [indent + line for line in _subtree(child, deeper, i == len(children) - 1)]
    return lines
