"""families: what can be trained."""

from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, as_table
from genzoo.families.family import BRANCHES
from genzoo.families.registry import Plugin


@app.command("families")
def list_families(
    flat: Annotated[bool, typer.Option("--flat", help="One family a line.")] = False,
    json: Json = False,
) -> None:
    """Draw the taxonomy of installed families: branch, year, one phrase."""
    from genzoo import families
    from genzoo.testing import status

    status.refuse_broken("family")
    off = families.disabled()
    found = [p for p in families.plugins() if not {p.name, p.package} & off]
    if json:
        keys = ("name", "branch", "year", "summary", "package", "version")
        as_json([{k: getattr(p, k) for k in keys} for p in found])
    elif flat:
        as_table([(p.name, p.branch, p.year, p.summary) for p in found])
    else:
        print("\n".join(tree(found)))


def tree(found: "list[Plugin]") -> list[str]:
    """The taxonomy (Goodfellow 2016, arXiv:1701.00160, figure 9) as lines of text."""
    branches: dict[str, dict[str, list[str]]] = {}
    for branch in [*BRANCHES, *sorted({p.branch for p in found} - {*BRANCHES})]:
        stem, _, twig = (branch or "elsewhere").partition("/")
        leaves = [f"{p.name}  {p.year}  {p.summary}" for p in found if p.branch == branch]
        branches.setdefault(f"{stem} density", {})[twig or "unsorted"] = leaves
    lines = ["generative models"]
    for stem, twigs in branches.items():
        lines += _hung(stem, twigs, stem == [*branches][-1])
    return lines


def _hung(name: str, below: "dict[str, list[str]] | list[str]", last: bool) -> list[str]:
    """``name`` with what is below it, behind the lines of a tree."""
    lines = [("└── " if last else "├── ") + name]
    names_ = list(below)
    for i, child in enumerate(names_):
        deeper = below[child] if isinstance(below, dict) else []
        lines += [
            ("    " if last else "│   ") + x for x in _hung(child, deeper, i == len(names_) - 1)
        ]
    return lines
