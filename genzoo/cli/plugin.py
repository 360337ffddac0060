"""plugins, plugin check, plugin new: what others added, and adding to it."""

from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, as_table


@app.command()
def plugins(
    verbose: Annotated[bool, typer.Option("--verbose", help="With tracebacks.")] = False,
    json: Json = False,
) -> None:
    """Load every plugin and say which are ok, broken, disabled or in conflict, whose and why."""
    from genzoo import plugins

    found = plugins.inspect()
    if json:
        as_json([vars(p) for p in found])
    else:
        rows = [(p.name, p.kind, p.state, f"{p.package} {p.version}", p.error) for p in found]
        as_table(rows, ("name", "kind", "state", "package", ""))
        for plugin in found if verbose else []:
            if plugin.detail:
                print(f"\n{plugin.name}\n{plugin.detail}")
    if any(p.state in ("broken", "conflict") for p in found):
        raise typer.Exit(1)
