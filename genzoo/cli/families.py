"""genzoo families: the installed families, as a tree."""

from collections.abc import Iterator
from typing import Any

from genzoo.cli.app import app, as_json, refuse_broken
from genzoo.cli.options import Json
from genzoo.families.family import BRANCHES
from genzoo.families.registry import Plugin

Tree = dict[str, "Tree"]


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
    root: Tree = {}
    for branch in [*BRANCHES, *sorted({p.branch for p in plugins} - {*BRANCHES})]:
        stem, *twigs = (branch or "elsewhere").split("/", 2)
        node = root.setdefault("no density" if stem == "none" else f"{stem} density", {})
        for twig in twigs or ["unsorted"]:
            node = node.setdefault(twig or "unsorted", {})
        node |= {f"{p.name}  {p.year}  {p.summary}": {} for p in plugins if p.branch == branch}
    return ["generative models", *_lines(root)]


def _lines(tree: Tree) -> Iterator[str]:
    """The lines of what stands below a node."""
    for i, (name, below) in enumerate(tree.items()):
        last = i == len(tree) - 1
        yield ("└── " if last else "├── ") + name
        yield from (("    " if last else "│   ") + line for line in _lines(below))
