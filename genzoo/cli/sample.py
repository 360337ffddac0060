"""genzoo sample: draws samples from a model and writes them to a file or a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genzoo.cli.app import (
    Device,
    Force,
    Json,
    Metadata,
    ModelName,
    SamplingSet,
    Scale,
    Ticker,
    app,
    default_path,
    parse_labels,
    parse_settings,
    print_file,
)
from genzoo.errors import BadInput, article

if TYPE_CHECKING:
    from genzoo.models.sampler import Sampler


@app.command()
def sample(
    name: ModelName,
    n: Annotated[
        int | None,
        typer.Option("-n", help="Number of samples. [16 images, 9 signals, 1000 points]"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="NAME.png, NAME.wav (of signals), NAME.npy, or a folder (one file per sample).",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same samples; -1: a random seed.")
    ] = 0,
    start: Annotated[int, typer.Option(help="Index of the first sample.")] = 0,
    labels: Annotated[
        str | None, typer.Option(help="One class for all, or n classes, separated by commas.")
    ] = None,
    settings: SamplingSet = None,
    scale: Scale = None,
    watch: Annotated[
        Path | None, typer.Option(help="Write a .gif of the images as they appear pixel by pixel.")
    ] = None,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Write SEED:INDEX below each image of the grid.")
    ] = False,
    metadata: Metadata = True,
    batch_size: Annotated[int, typer.Option(help="Samples per batch.")] = 64,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw samples and write them to a file: genzoo sample dcgan-mnist."""
    from genzoo.models import film, writing
    from genzoo.models.kinds import SHOWN

    model = _sampler(name, device)
    path = output or default_path(name, writing.default_ending(model))
    n = SHOWN[model.kind] if n is None else n
    ticker = Ticker()
    parts = model.stream(
        n,
        labels=parse_labels(labels, model.class_names),
        seed=None if seed == -1 else seed,
        start=start,
        batch_size=batch_size,
        progress=ticker.count,
        **parse_settings(settings),
    )
    if numbers and not (model.is_images and path.suffix == ".png"):
        raise BadInput(f"--numbers needs a grid of images: expected -o NAME.png, got {path}")
    writing.check_target(path, n, model, scale, force, metadata=metadata)
    if watch is not None:
        images = film.watchable(model, parts, n, watch, force)
        parts = iter([images])
    record = writing.write(parts, n, path, scale, metadata, numbers=numbers)
    if watch is not None:
        film.watch(images, watch, metadata=metadata)
    ticker.done()
    print_file(path, {"n": n, **record}, json)


def _sampler(name: str, device: str) -> "Sampler":
    from genzoo import load
    from genzoo.models.sampler import Sampler

    model = load(name, device=device)
    if not isinstance(model, Sampler):
        raise BadInput(f"{name} cannot sample: it is {article(model)}")
    return model
