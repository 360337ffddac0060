"""sample: pictures from a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genzoo.cli.app import Device, Force, Json, Scale, Ticker, app, as_json
from genzoo.errors import BadInput, article
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.models.sampler import Sampler


@app.command()
def sample(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    n: Annotated[int, typer.Option("-n", help="How many.")] = 16,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .png (grid), a .npy, or a folder (a file each)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same; -1 a fresh one.")] = 0,
    start: Annotated[int, typer.Option(help="Index of the first sample.")] = 0,
    labels: Annotated[str | None, typer.Option(help="One, or n separated by commas.")] = None,
    truncation: Annotated[float | None, typer.Option(help="Redraw codes beyond this.")] = None,
    scale: Scale = None,
    watch: Annotated[
        Path | None, typer.Option(help="A .gif of the pictures as they were drawn, pixel by pixel.")
    ] = None,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="A grid with each one's SEED:INDEX, to choose from.")
    ] = False,
    metadata: Annotated[
        bool,
        typer.Option("--metadata/--no-metadata", help="Write model and seeds into the pictures."),
    ] = True,
    batch_size: Annotated[int, typer.Option(help="Samples at a time.")] = 64,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw samples and write them down: genzoo sample dcgan-mnist."""
    from genzoo.models import film, writing

    model = _sampler(name, device)
    ending = ".png" if model.is_images else ".npy"
    path = output or Path(f"{printable(Path(name).name.partition('@')[0])}{ending}")
    ticker = Ticker()
    parts = model.stream(
        n,
        labels=_labels(labels),
        seed=None if seed == -1 else seed,
        start=start,
        batch_size=batch_size,
        truncation=truncation,
        progress=ticker.count,
    )
    if numbers and path.suffix != ".png":
        raise BadInput(f"--numbers are for a grid: expected -o NAME.png, got {path}")
    writing.check_target(path, n, model, scale, force)
    if watch is not None:
        drawn = film.watchable(model, parts, n, watch, force)
        parts = iter([drawn])
    record = writing.write(parts, n, path, scale, metadata, numbers=numbers)
    if watch is not None:
        film.watch(drawn, watch, metadata=metadata)
    ticker.done()
    if json:
        as_json({"path": str(path), "n": n, **record})
    else:
        print(printable(str(path)))


def _sampler(name: str, device: str) -> "Sampler":
    from genzoo import load
    from genzoo.models.sampler import Sampler

    model = load(name, device=device)
    if not isinstance(model, Sampler):
        raise BadInput(f"{name} does not sample: it is {article(model)}")
    return model


def _labels(text: str | None) -> list[str] | str | None:
    if text is None or "," not in text:
        return text
    return [part.strip() for part in text.split(",")]
