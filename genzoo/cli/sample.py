"""genzoo sample: draws samples from a model and writes them to a file or a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genzoo.cli.app import (
    OUTPUT,
    BatchSize,
    Device,
    Force,
    Json,
    Label,
    Metadata,
    ModelName,
    Scale,
    Seed,
    Settings,
    Ticker,
    app,
    count_option,
    default_path,
    out_option,
    parse_labels,
    parse_settings,
    print_file,
)
from genzoo.cli.output import samples_path
from genzoo.errors import BadInput, article
from genzoo.files import check_new

if TYPE_CHECKING:
    from genzoo.models.sampler import Sampler


@app.command(
    examples=[
        "genzoo sample dcgan-celeba",
        "genzoo sample cgan-fashion-mnist -n 8 --label sneaker -o sneakers.png",
    ]
)
def sample(
    name: ModelName,
    n: Annotated[
        int | None, count_option("Number of samples.", "16 images, 9 signals, 1000 points")
    ] = None,
    out: Annotated[
        Path | None,
        out_option(
            "A .png, .jpg, .webp, .pdf, .wav (of signals), .npy, or a folder (a file each).",
            "MODEL.png",
        ),
    ] = None,
    seed: Seed = 0,
    start: Annotated[int, typer.Option(metavar="N", help="Index of the first sample.")] = 0,
    label: Label = None,
    settings: Settings = None,
    scale: Scale = None,
    watch: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a .gif of the images as they appear pixel by pixel.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    numbers: Annotated[
        bool,
        typer.Option(
            "--numbers",
            help="Write SEED:INDEX below each image of the grid.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    metadata: Metadata = True,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw samples from a model and write them to a file."""
    path = samples_path(out, name, "", force)
    if watch is not None:
        check_new(watch, [".gif"], force, "watch")
    from genzoo.models import film, writing
    from genzoo.models.kinds import PICTURES, SHOWN

    model = _sampler(name, device)
    path = path or default_path(name, writing.default_ending(model))
    n = SHOWN[model.kind] if n is None else n
    ticker = Ticker()
    parts = model.stream(
        n,
        labels=parse_labels(label, model.class_names),
        seed=seed,
        start=start,
        batch_size=batch_size,
        progress=ticker.count,
        **parse_settings(settings),
    )
    if numbers and not (model.is_images and path.suffix in PICTURES):
        raise BadInput(f"--numbers needs a grid of images: expected -o NAME.png, got {path}")
    own_scale = None if watch and path.suffix in ("", ".npy") else scale
    writing.check_target(path, n, model, own_scale, force, metadata=metadata)
    if watch is not None:
        images = film.watchable(model, parts, n, watch, force)
        parts = iter([images])
    record = writing.write(parts, n, path, own_scale, metadata, numbers=numbers)
    if watch is not None:
        film.watch(images, watch, metadata=metadata, scale=scale)
    ticker.done()
    print_file(path, {"n": n, **record}, json)


def _sampler(name: str, device: str) -> "Sampler":
    from genzoo import load
    from genzoo.models.sampler import Sampler

    model = load(name, device=device)
    if not isinstance(model, Sampler):
        raise BadInput(f"{name} cannot sample: it is {article(model)}")
    return model
