"""genzoo sample: draws samples from a model and writes them to a file or a folder."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from genzoo.cli.app import Ticker, agreed, app, default_path
from genzoo.cli.groups import Sampling
from genzoo.cli.options import (
    OUTPUT,
    BatchSize,
    Device,
    ModelName,
    Seed,
    count_option,
    flag,
    option,
    out_option,
)
from genzoo.cli.output import SamplesFile
from genzoo.devices import process_count
from genzoo.errors import BadInput, article
from genzoo.files import check_new, ending_of

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
    *,
    n: Annotated[
        int | None, count_option("Number of samples.", "16 images, 9 signals, 1000 points")
    ] = None,
    seed: Seed = 0,
    start: Annotated[int, option("Index of the first sample.", "N")] = 0,
    sampling: Sampling,
    out: Annotated[
        Path | None,
        out_option(
            "A .png, .jpg, .webp, .pdf, .wav (of signals), .npy, or a folder (a file each).",
            "MODEL.png",
        ),
    ] = None,
    watch: Annotated[
        Path | None,
        option("Write a .gif of the images as they appear pixel by pixel.", "FILE", panel=OUTPUT),
    ] = None,
    numbers: Annotated[
        bool, flag("--numbers", "Write SEED:INDEX below each image of the grid.", OUTPUT)
    ] = False,
    file: SamplesFile,
    batch_size: BatchSize = 64,
    device: Device = "auto",
) -> None:
    """Draw samples from a model and write them to a file."""
    path = file.path(out, name)
    if watch is not None:
        if process_count() > 1:
            raise BadInput("--watch needs one process: leave it out, or torchrun")
        check_new(watch, [".gif"], file.force, "watch")
    from genzoo.models import film, writing
    from genzoo.models.kinds import PICTURES, SHOWN

    model = _sampler(name, device)
    path = path or default_path(name, writing.default_ending(model))
    n = SHOWN[model.kind] if n is None else n
    ticker = Ticker()
    parts = model.stream(
        n,
        labels=sampling.labels(model.class_names),
        seed=agreed(seed),
        start=start,
        batch_size=batch_size,
        progress=ticker.count,
        **sampling.values,
    )
    if numbers and not (model.is_images and ending_of(path) in PICTURES):
        raise BadInput(f"--numbers needs a grid of images: expected -o NAME.png, got {path}")
    own = replace(file, scale=None) if watch and ending_of(path) in ("", ".npy") else file
    own.check(path, n, model)
    if watch is not None:
        images = film.watchable(model, parts, n, watch, file.force)
        parts = iter([images])
    record = writing.write(parts, n, path, own.scale, file.metadata, numbers=numbers)
    if watch is not None:
        film.watch(images, watch, metadata=file.metadata, scale=file.scale)
    ticker.done()
    file.print(path, {"n": n, **record})


def _sampler(name: str, device: str) -> "Sampler":
    from genzoo import load
    from genzoo.models.sampler import Sampler

    model = load(name, device=device)
    if not isinstance(model, Sampler):
        raise BadInput(f"{name} cannot sample: it is {article(model)}")
    return model
