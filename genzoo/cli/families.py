"""genzoo families: the installed families, as a tree or a table."""

from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, as_table, refuse_unread
from genzoo.families.family import BRANCHES
from genzoo.families.registry import Plugin


@app.command("families")
def list_families(
    flat: Annotated[
        bool, typer.Option("--flat", help="Print a table, one family per line.")
    ] = False,
    json: Json = False,
) -> None:
    """List the installed families as a taxonomy, with year and summary."""
    from genzoo import families
    from genzoo.testing import status

    if json:
        refuse_unread("--json is flat", flat=flat)
    status.refuse_broken("family")
    off = families.disabled()
    enabled = [p for p in families.plugins() if not {p.name, p.package} & off]
    if json:
        keys = ("name", "branch", "year", "summary", "package", "version")
        as_json([{k: getattr(p, k) for k in keys} for p in enabled])
    elif flat:
        as_table([(p.name, p.branch, p.year, p.summary) for p in enabled])
    else:
        print("\n".join(tree(enabled)))


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
