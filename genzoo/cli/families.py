"""families: what can be trained."""

from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, as_table


@app.command("families")
def list_families(
    flat: Annotated[bool, typer.Option("--flat", help="One family a line.")] = False,
    json: Json = False,
) -> None:
    """Draw the taxonomy of installed families: branch, year, one phrase."""
    from genzoo import families, plugins

    plugins.refuse_broken("family")
    off = families.disabled()
    found = [p for p in families.plugins() if not {p.name, p.package} & off]
    if json:
        keys = ("name", "branch", "year", "summary", "package", "version")
        as_json([{k: getattr(p, k) for k in keys} for p in found])
    elif flat:
        as_table([(p.name, p.branch, p.year, p.summary) for p in found])
    else:
        print("\n".join(families.tree(found)))
