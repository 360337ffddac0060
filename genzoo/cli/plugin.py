"""plugins, plugin check, plugin new: what others added, and adding to it."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, as_table
from genzoo.text import printable


@app.command()
def plugins(
    verbose: Annotated[bool, typer.Option("--verbose", help="With tracebacks.")] = False,
    json: Json = False,
) -> None:
    """Load every plugin and say which are ok, broken, disabled or in conflict, whose and why."""
    from genzoo.testing import status

    found = status.inspect()
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


one = typer.Typer(help="Check a plugin, or begin a new one.", no_args_is_help=True)
app.add_typer(one, name="plugin")


@one.command()
def check(
    name: Annotated[str, typer.Argument(help="A plugin's, as genzoo plugins lists it.")],
    json: Json = False,
) -> None:
    """Hold a family, metric or data set to its contract: genzoo plugin check my-gan."""
    from genzoo import testing

    found = testing.outcomes(name)
    if json:
        as_json([vars(outcome) for outcome in found])
    else:
        print("\n".join(printable(line) for o in found for line in str(o).split("\n")))
    if any(outcome.broken for outcome in found):
        raise typer.Exit(1)


@one.command()
def new(
    name: Annotated[str, typer.Argument(help="What it will be called: my-gan.")],
    kind: Annotated[str, typer.Option(help="family, metric or dataset.")] = "family",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The new folder. [genzoo-NAME]")
    ] = None,
) -> None:
    """Write a small package that adds a family, a metric or a data set, and works as it stands."""
    from genzoo.testing import scaffold

    print(printable(str(scaffold.create(name, kind, out))))
