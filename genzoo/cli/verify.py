"""verify: whether a card's numbers still hold."""

import sys
from typing import Annotated, Any

import typer

from genzoo.cli.app import Device, Json, Root, Ticker, app, as_json, as_table
from genzoo.errors import BadInput
from genzoo.text import printable


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models, or folders.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every model of genzoo list.")] = False,
    root: Root = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Measure again what a card says, each number under its protocol: genzoo verify vae-mnist."""
    from genzoo.evaluation import verify as verification
    from genzoo.zoo import names as model_names

    if every == bool(names):
        raise BadInput("verify takes the names of models, or --all")
    ticker, rows, found = Ticker(), [], []
    for name in model_names.model_names() if every else names or []:
        told = verification.verify(
            name,
            root=root,
            device=device,
            progress=ticker.count,
        )
        for check in told:
            found.append({"model": name, **vars(check)})
            numbers = _number(check.kept), _number(check.found)
            rows.append((name, check.what, check.state, *numbers, check.why))
    ticker.done()
    if json:
        as_json(found)
    else:
        as_table(rows, ("model", "", "", "card", "now", ""))
    held = {check["model"] for check in found if check["state"] == "ok"}
    for name in {check["model"]: None for check in found}:
        if name not in held:
            print(printable(f"{name}: nothing of it could be verified"), file=sys.stderr)
    if any(check["state"] == "differs" or check["model"] not in held for check in found):
        raise typer.Exit(1)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.5g}"
