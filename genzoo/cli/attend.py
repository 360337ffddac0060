"""genzoo attend: attention maps of a model that has attention."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, ModelName, SamplingSet, app, default_path, parse_settings
from genzoo.errors import BadInput
from genzoo.text import printable


@app.command()
def attend(
    name: ModelName,
    at: Annotated[list[str], typer.Option(help="ROW,COLUMN of a pixel; can be repeated.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .png. [NAME-attention.png]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed, as in genzoo sample.")] = 0,
    start: Annotated[int, typer.Option(min=0, help="Index of the sample.")] = 0,
    labels: Annotated[str | None, typer.Option(help="Class of the sample.")] = None,
    settings: SamplingSet = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Show the attention map for chosen pixels: genzoo attend NAME --at 16,16."""
    from genzoo import load
    from genzoo.models import film, writing
    from genzoo.models.abilities import Attentive
    from genzoo.models.samples import Images
    from genzoo.zoo.names import lacking

    pixels = [_parse_pixel(text) for text in at]
    model = load(name, device=device)
    if not isinstance(model, Attentive):
        raise lacking(model, Attentive, "has no attention")
    path = output or default_path(name, "-attention.png")
    writing.check_target(path, 2 * len(pixels), model, None, force)
    samples, maps = model.attention(
        1, labels=labels, seed=seed, start=start, **parse_settings(settings)
    )
    assert isinstance(samples, Images)
    film.overlay(samples, maps, pixels).save(path, scale=4)
    print(printable(str(path)))


def _parse_pixel(text: str) -> tuple[int, int]:
    row, _, column = text.partition(",")
    if not (row.isdecimal() and column.isdecimal()):
        raise BadInput(f"expected a pixel as ROW,COLUMN, like 16,16, got {text!r}")
    return int(row), int(column)
