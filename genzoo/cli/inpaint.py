"""genzoo inpaint: fill in the unknown part of photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.app import (
    OUTPUT,
    BatchSize,
    Device,
    Force,
    Json,
    Label,
    ModelName,
    Restarts,
    Scale,
    Seed,
    Settings,
    Ticker,
    app,
    as_json,
    out_option,
    parse_labels,
    parse_settings,
)
from genzoo.files import check_new
from genzoo.models.kinds import PICTURES, check_path
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.editing.inpainting import Completion


@app.command(
    examples=[
        "genzoo inpaint dcgan-celeba photo.png --mask centre -o whole.png",
        "genzoo inpaint pixelcnn-mnist digit.png --mask box:0,14,28,14",
    ]
)
def inpaint(
    name: ModelName,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Image files or folders.")],
    mask: Annotated[
        str,
        typer.Option(
            metavar="MASK", help="centre, box:x,y,w,h, random:SHARE, or a file (white = unknown)."
        ),
    ] = "centre",
    out: Annotated[
        Path | None, out_option("A .png, .jpg, .webp, .pdf, .npy, or a folder.", "PHOTO-filled.png")
    ] = None,
    strip: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A .png, .jpg, .webp or .pdf of the steps, a row per photo.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    gif: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .gif of the steps.", rich_help_panel=OUTPUT),
    ] = None,
    label: Label = None,
    restarts: Restarts = None,
    steps: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Optimisation steps.", show_default="100")
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="WEIGHT",
            help="Weight of the discriminator loss (0 = off).",
            show_default="0.003",
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Known pixels count by the unknown share of a window of this side; 0: all alike.",
            show_default="7 in colour, else 0",
        ),
    ] = None,
    blend: Annotated[
        bool | None,
        typer.Option(
            "--blend/--no-blend", help="Hide the seam.", show_default="in colour, after a search"
        ),
    ] = None,
    seed: Seed = 0,
    settings: Settings = None,
    batch_size: BatchSize = 256,
    scale: Scale = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Fill in missing pixels of photos."""
    path = out or Path(f"{photos[0].stem}-filled.png")
    check_path(path, force)
    for file, endings, option in ((strip, PICTURES, "strip"), (gif, (".gif",), "gif")):
        if file is not None:
            check_new(file, endings, force, option)
    import torch

    from genzoo import data, load
    from genzoo.editing import inpainting, strips
    from genzoo.models import writing
    from genzoo.models.model import image_shape

    model = load(name, device=device)
    shape = image_shape(model, "call genzoo.inpaint with an array")
    pixels, _ = data.photos(photos, shape)
    writing.check_target(path, len(pixels), model, _sheet_scale(path, scale, strip, gif), force)
    strips.check_targets(strip, gif, len(pixels), model, force)
    search: Any = {"restarts": restarts, "steps": steps, "weight": weight, "window": window}
    ticker = Ticker()
    completion = inpainting.inpaint(
        name,
        pixels,
        mask,
        labels=parse_labels(label, model.class_names),
        seed=seed,
        blend=blend,
        batch_size=batch_size,
        device=device,
        sampling=parse_settings(settings),
        progress=ticker.count,
        **{key: value for key, value in search.items() if value is not None},
    )
    ticker.done()
    record = writing.write(iter([completion.samples]), len(pixels), path, scale)
    strips.write_stages(completion, torch.from_numpy(pixels) / 255, strip, gif, scale)
    _print_result(completion, path, record, json)


def _sheet_scale(path: Path, scale: int | None, strip: Path | None, gif: Path | None) -> int | None:
    """The part of --scale in the file -o: a strip and a film read it, too."""
    return None if (strip or gif) and path.suffix not in PICTURES else scale


def _print_result(completion: "Completion", path: Path, record: dict[str, Any], json: bool) -> None:
    unknown = round(1 - completion.known.float().mean().item(), 4)
    if json:
        losses = completion.projection and completion.projection.losses.amin(1).tolist()
        result = {"by": completion.method, "unknown": unknown, "losses": losses}
        as_json({"path": str(path), **result, **record})
    else:
        print(printable(f"{path}: {unknown:.0%} filled in by {completion.method}"))
