"""attend: where a model looks while it draws."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, app
from genzoo.errors import BadInput, article
from genzoo.text import printable


@app.command()
def attend(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    at: Annotated[list[str], typer.Option(help="ROW,COLUMN of a pixel; may be given again.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .png. [NAME-attention.png]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="As in genzoo sample.")] = 0,
    start: Annotated[int, typer.Option(min=0, help="Index of the sample.")] = 0,
    labels: Annotated[str | None, typer.Option(help="The class.")] = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Show where places of a picture look while it is drawn: genzoo attend NAME --at 16,16."""
    from genzoo import load
    from genzoo.models import film, writing
    from genzoo.models.abilities import Attentive
    from genzoo.models.samples import Images

    places = [_place(text) for text in at]
    model = load(name, device=device)
    if not isinstance(model, Attentive):
        raise BadInput(f"{name} has no attention: it is {article(model)}")
    path = output or Path(f"{Path(name).name.partition('@')[0]}-attention.png")
    writing.check_target(path, 2 * len(places), model, None, force)
    samples, maps = model.attention(1, labels=labels, seed=seed, start=start)
    assert isinstance(samples, Images)
    film.overlay(samples, maps, places).save(path, scale=4)
    print(printable(str(path)))


def _place(text: str) -> tuple[int, int]:
    row, _, column = text.partition(",")
    if not (row.isdecimal() and column.isdecimal()):
        raise BadInput(f"a place is ROW,COLUMN in pixels, like 16,16, got {text!r}")
    return int(row), int(column)
