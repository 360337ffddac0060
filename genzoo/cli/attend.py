"""genzoo attend: attention maps of a model that has attention."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    Device,
    Force,
    Label,
    ModelName,
    Sample,
    Settings,
    app,
    default_path,
    out_option,
    parse_settings,
)
from genzoo.errors import BadInput
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo attend sagan-cifar10 --at 16,16",
        "genzoo attend sagan-cifar10 --sample 3 --at 16,16 --at 8,24 -o look.png",
    ]
)
def attend(
    name: ModelName,
    at: Annotated[list[str], typer.Option(metavar="ROW,COLUMN", help="A pixel; can be repeated.")],
    out: Annotated[Path | None, out_option("A .png.", "MODEL-attention.png")] = None,
    sample: Sample = None,
    label: Label = None,
    settings: Settings = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Show what chosen pixels attend to."""
    from genzoo import load
    from genzoo.editing.selection import parse_addresses
    from genzoo.models import film, writing
    from genzoo.models.abilities import Attentive
    from genzoo.models.samples import Images
    from genzoo.zoo.names import lacking

    pixels = [_parse_pixel(text) for text in at]
    model = load(name, device=device)
    if not isinstance(model, Attentive):
        raise lacking(model, Attentive, "has no attention")
    path = out or default_path(name, "-attention.png")
    writing.check_target(path, 2 * len(pixels), model, None, force)
    addresses = parse_addresses(sample or ["0"])
    if len(addresses) != 1:
        raise BadInput(f"--sample: expected one sample, got {len(addresses)}")
    ((seed, start),) = addresses
    samples, maps = model.attention(
        1, labels=label, seed=seed, start=start, **parse_settings(settings)
    )
    assert isinstance(samples, Images)
    film.overlay(samples, maps, pixels).save(path, scale=4)
    print(printable(str(path)))


def _parse_pixel(text: str) -> tuple[int, int]:
    row, _, column = text.partition(",")
    if not (row.isdecimal() and column.isdecimal()):
        raise BadInput(f"expected a pixel as ROW,COLUMN, like 16,16, got {text!r}")
    return int(row), int(column)
