"""neighbours: samples beside the most similar training images."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    Channels,
    Device,
    Fit,
    Force,
    Json,
    Levels,
    ModelName,
    Root,
    Scale,
    Seed,
    Size,
    Ticker,
    app,
    as_json,
    count_option,
    data_option,
    default_path,
    out_option,
)
from genzoo.cli.output import FILES, picture_path
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo neighbours dcgan-mnist",
        "genzoo neighbours vae-celeba -n 4 -k 6 -o near.png",
    ]
)
def neighbours(
    name: ModelName,
    data: Annotated[str | None, data_option("the model's training data")] = None,
    n: Annotated[int, count_option("Number of samples.", least=1)] = 8,
    k: Annotated[
        int,
        typer.Option("-k", "--k", min=1, metavar="N", help="Number of training images per sample."),
    ] = 4,
    out: Annotated[Path | None, out_option(FILES, "MODEL-neighbours.png")] = None,
    scale: Scale = None,
    seed: Seed = 0,
    size: Size = None,
    channels: Channels = None,
    fit: Fit = None,
    levels: Levels = None,
    root: Root = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Show the training images nearest to samples."""
    path = picture_path(out, default_path(name, "-neighbours.png"), force, scale)
    from genzoo.evaluation import neighbours as searching

    ticker = Ticker()
    result = searching.neighbours(
        name,
        data=data,
        n=n,
        k=k,
        seed=seed,
        size=size,
        channels=channels,
        fit=fit,
        levels=levels,
        root=root,
        device=device,
        progress=ticker.count,
    )
    ticker.done()
    result.save(path, scale=scale)
    if json:
        as_json({"path": str(path), **result.record()})
        return
    print(printable(str(path)))
    print(result)
