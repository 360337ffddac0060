"""verify: measure the numbers on a card again and compare."""

import sys
from typing import Annotated, Any

import typer

from genzoo.cli.app import Ticker, app, as_json, as_table
from genzoo.cli.completing import complete_model
from genzoo.cli.options import Device, Json, Root, argument, data_option, flag
from genzoo.errors import BadInput, refuse_unread
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo verify vae-mnist",
        "genzoo verify --all",
    ]
)
def verify(
    names: Annotated[
        list[str] | None, argument("Models or folders.", "MODEL", complete=complete_model)
    ] = None,
    *,
    every: Annotated[bool, flag("--all", "All models of genzoo list.")] = False,
    data: Annotated[str | None, data_option("the data that the card names")] = None,
    root: Root = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Measure the numbers on a model's card again."""
    from genzoo.evaluation import verify as verification
    from genzoo.zoo import names as model_names

    if every == bool(names):
        raise BadInput("give the names of models, or --all")
    ticker = Ticker()
    rows: list[tuple[str, ...]] = []
    checks: list[dict[str, Any]] = []
    chosen = model_names.model_names() if every else names or []
    takers = {name for name in chosen if data is not None and verification.takes_data(name)}
    if not takers:
        refuse_unread("no score on these cards was measured on a folder", data=data)
    for name in chosen:
        own = data if name in takers else None
        own_checks = verification.verify(
            name, data=own, root=root, device=device, progress=ticker.count
        )
        checks += [{"model": name, **vars(check)} for check in own_checks]
        rows += [(name, *row) for row in own_checks.rows]
    ticker.done()
    if json:
        as_json(checks)
    else:
        as_table(rows, ("model", "", "", "card", "now", ""))
    verified = {check["model"] for check in checks if check["state"] == "ok"}
    for name in {check["model"]: None for check in checks}:
        if name not in verified:
            print(printable(f"{name}: no number could be verified"), file=sys.stderr)
    if any(check["state"] == "differs" or check["model"] not in verified for check in checks):
        raise typer.Exit(1)
