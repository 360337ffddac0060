"""genzoo plugins, plugin check, plugin new: plugins, their contracts, a new package."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import App, Json, app, as_json, as_table, refuse_unread
from genzoo.text import printable


@app.command()
def plugins(
    verbose: Annotated[bool, typer.Option("--verbose", help="Print tracebacks, too.")] = False,
    json: Json = False,
) -> None:
    """Load every plugin and print its state: ok, broken, disabled or conflict, and why."""
    from genzoo.testing import status

    if json:
        refuse_unread("--json has the tracebacks", verbose=verbose)
    every = status.inspect()
    if json:
        as_json([vars(p) for p in every])
    else:
        rows = [(p.name, p.kind, p.state, f"{p.package} {p.version}", p.error) for p in every]
        as_table(rows, ("name", "kind", "state", "package", ""))
        for plugin in every if verbose else []:
            if plugin.detail:
                print(f"\n{plugin.name}\n{plugin.detail}")
    if any(p.state in ("broken", "conflict") for p in every):
        raise typer.Exit(1)


commands = App(help="Check a plugin, or start a new one.", no_args_is_help=True)
app.add_typer(commands, name="plugin")


@commands.command()
def check(
    name: Annotated[str, typer.Argument(help="A name from genzoo plugins.")],
    json: Json = False,
) -> None:
    """Check the contract of a family, metric or data set: genzoo plugin check my-gan."""
    from genzoo import testing

    outcomes = testing.outcomes(name)
    if json:
        as_json([vars(outcome) for outcome in outcomes])
    else:
        print("\n".join(printable(line) for o in outcomes for line in str(o).split("\n")))
    if any(outcome.broken for outcome in outcomes):
        raise typer.Exit(1)


@commands.command()
def new(
    name: Annotated[str, typer.Argument(help="The new plugin's name: my-gan.")],
    kind: Annotated[str, typer.Option(help="family, metric or dataset.")] = "family",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The new folder. [genzoo-NAME]")
    ] = None,
) -> None:
    """Write a small, working example package of a family, a metric or a data set."""
    from genzoo.testing import scaffold

    print(printable(str(scaffold.create(name, kind, out))))
