"""genzoo attend: where points of a sample look, in a model that has attention."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import app, default_path
from genzoo.cli.groups import Sampling
from genzoo.cli.options import Device, ModelName, Sample, option, out_option
from genzoo.cli.output import FILES, SamplesFile
from genzoo.errors import BadInput
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo attend sagan-cifar10 --sample 0:11",
        "genzoo attend sagan-cifar10 --sample 0:9 --at 16,16 --at 8,24 -o look.png",
    ]
)
def attend(
    name: ModelName,
    *,
    at: Annotated[
        list[str] | None,
        option("A pixel; can be repeated.", "ROW,COLUMN", default="five whose maps differ most"),
    ] = None,
    sample: Sample = None,
    sampling: Sampling,
    out: Annotated[Path | None, out_option(FILES, "MODEL-attention.png")] = None,
    file: SamplesFile,
    device: Device = "auto",
) -> None:
    """Show what pixels of a sample attend to."""
    pixels = [_parse_pixel(text) for text in at] if at else None
    path = file.picture_path(out, default_path(name, "-attention.png"))
    from genzoo.editing import attention as looking

    result = looking.attention(
        name, pixels, sample=sample or 0, device=device, **sampling.arguments()
    )
    result.save(path, file.scale, metadata=file.metadata)
    file.print(path, {**result.samples.record(), "weight": result.weight})
    if result.note and not file.json:
        print(printable(result.note))


def _parse_pixel(text: str) -> tuple[int, int]:
    row, _, column = text.partition(",")
    if not (row.isdecimal() and column.isdecimal()):
        raise BadInput(f"expected a pixel as ROW,COLUMN, like 16,16, got {text!r}")
    return int(row), int(column)
