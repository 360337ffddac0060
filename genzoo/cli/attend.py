"""genzoo attend: where points of a sample look, in a model that has attention."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    Device,
    Force,
    Json,
    Label,
    Metadata,
    ModelName,
    Sample,
    Scale,
    Settings,
    app,
    default_path,
    out_option,
    parse_settings,
    print_file,
)
from genzoo.cli.output import FILES, picture_path
from genzoo.errors import BadInput
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo attend sagan-cifar10",
        "genzoo attend sagan-cifar10 --sample 3 --at 16,16 --at 8,24 -o look.png",
    ]
)
def attend(
    name: ModelName,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROW,COLUMN",
            help="A pixel; can be repeated.",
            show_default="five whose maps differ most",
        ),
    ] = None,
    out: Annotated[Path | None, out_option(FILES, "MODEL-attention.png")] = None,
    sample: Sample = None,
    label: Label = None,
    settings: Settings = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Show what pixels of a sample attend to."""
    pixels = [_parse_pixel(text) for text in at] if at else None
    path = picture_path(out, default_path(name, "-attention.png"), force, scale, metadata=metadata)
    from genzoo.editing import attention as looking

    result = looking.attention(
        name,
        pixels,
        sample=sample or 0,
        label=label,
        sampling=parse_settings(settings),
        device=device,
    )
    result.save(path, scale, metadata=metadata)
    print_file(path, {**result.samples.record(), "weight": result.weight}, json)
    if result.note and not json:
        print(printable(result.note))


def _parse_pixel(text: str) -> tuple[int, int]:
    row, _, column = text.partition(",")
    if not (row.isdecimal() and column.isdecimal()):
        raise BadInput(f"expected a pixel as ROW,COLUMN, like 16,16, got {text!r}")
    return int(row), int(column)
