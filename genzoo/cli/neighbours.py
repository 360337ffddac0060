"""neighbours: samples beside the most similar training images."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, Json, Root, Ticker, app, as_json
from genzoo.files import check_new
from genzoo.text import printable


@app.command()
def neighbours(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    data: Annotated[str | None, typer.Option(help="Training data. [the model's]")] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Number of samples.")] = 8,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of training images per sample.")] = 4,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .png. [NAME-neighbours.png]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the samples.")] = 0,
    size: Annotated[
        int | None, typer.Option(min=1, help="Side of resized images from folders.")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="Channels of images from folders: 1 or 3.")
    ] = None,
    root: Root = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Show the training images nearest to samples: genzoo neighbours dcgan-mnist -n 8."""
    from genzoo.evaluation.neighbours import find_neighbours

    path = output or Path(f"{Path(name).name.partition('@')[0]}-neighbours.png")
    check_new(path, [".png"], force)
    ticker = Ticker()
    result = find_neighbours(
        name,
        data=data,
        n=n,
        k=k,
        seed=seed,
        size=size,
        channels=channels,
        root=root,
        device=device,
        progress=ticker.count,
    )
    ticker.done()
    result.save(path)
    if json:
        as_json({"path": str(path), **result.record()})
        return
    print(printable(f"{path}: {result.note}"))
    for near in result.near:
        distances = ", ".join(f"{d:.2f}" for d in near.distances[:, 0])
        print(printable(f"nearest in {near.space}: {distances}"))
