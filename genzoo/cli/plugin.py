"""genzoo plugin list, check and new: plugins, their contracts, a new package."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import App, app, as_json, as_table
from genzoo.cli.options import Json, argument, flag, option, out_option
from genzoo.errors import refuse_unread
from genzoo.text import printable

commands = App(help="List, check or write plugins.")
app.add_typer(commands, name="plugin")


@commands.command("list", examples=["genzoo plugin list", "genzoo plugin list --verbose"])
def list_plugins(
    verbose: Annotated[bool, flag("--verbose", "Print tracebacks, too.")] = False,
    json: Json = False,
) -> None:
    """Load every plugin and print its state.

    A state is ok, broken, disabled or conflict, with the reason.
    """
    from genzoo.testing import status

    if json:
        refuse_unread("--json has the tracebacks", verbose=verbose)
    plugins = status.list_plugins()
    if json:
        as_json([*map(vars, plugins)])
    else:
        as_table(plugins.rows, plugins.heads)
        for plugin in plugins if verbose else []:
            if plugin.detail:
                print(f"\n{plugin.name}\n{plugin.detail}")
    if any(plugin.state in ("broken", "conflict") for plugin in plugins):
        raise typer.Exit(1)


@commands.command(examples=["genzoo plugin check vae", "genzoo plugin check dcgan --json"])
def check(
    name: Annotated[str, argument("A name of genzoo plugin list.", "NAME")],
    json: Json = False,
) -> None:
    """Check the contract of a family, metric or data set."""
    from genzoo import testing

    outcomes = testing.outcomes(name)
    if json:
        as_json([vars(outcome) for outcome in outcomes])
    else:
        print("\n".join(printable(line) for o in outcomes for line in str(o).split("\n")))
    if any(outcome.broken for outcome in outcomes):
        raise typer.Exit(1)


@commands.command(
    examples=["genzoo plugin new my-gan", "genzoo plugin new my-score --kind metric -o score"]
)
def new(
    name: Annotated[str, argument("The new plugin's name: my-gan.", "NAME")],
    kind: Annotated[str, option("family, metric or dataset.", "KIND")] = "family",
    out: Annotated[Path | None, out_option("The new folder.", "genzoo-NAME", "FOLDER")] = None,
) -> None:
    """Write a small package of a plugin that works."""
    from genzoo.testing import scaffold

    print(printable(str(scaffold.new_plugin(name, kind, out))))
