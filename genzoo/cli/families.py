"""families and plugins: what can be trained, and where it comes from."""

from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, as_table


@app.command("families")
def list_families(
    flat: Annotated[bool, typer.Option("--flat", help="One family a line.")] = False,
    json: Json = False,
) -> None:
    """Draw the taxonomy of installed families: branch, year, one phrase."""
    from genzoo import families

    found = [p for p in families.plugins() if p.name in families.names()]
    if json:
        keys = ("name", "branch", "year", "summary", "package", "version")
        as_json([{k: getattr(p, k) for k in keys} for p in found])
    elif flat:
        as_table([(p.name, p.branch, p.year, p.summary) for p in found])
    else:
        print("\n".join(families.tree(found)))


@app.command()
def plugins(
    verbose: Annotated[bool, typer.Option("--verbose", help="With tracebacks.")] = False,
    json: Json = False,
) -> None:
    """Load every plugin and say which are ok, broken, disabled or in conflict, whose and why."""
    from genzoo import families

    found = families.inspect()
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
