"""neighbours: samples beside the training images that they are most like."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, Json, Root, Ticker, app, as_json
from genzoo.files import check_new
from genzoo.text import printable


@app.command()
def neighbours(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    data: Annotated[str | None, typer.Option(help="Its training data. [its own]")] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Samples.")] = 8,
    k: Annotated[int, typer.Option("-k", min=1, help="Training images beside each.")] = 4,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .png. [NAME-neighbours.png]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples.")] = 0,
    size: Annotated[int | None, typer.Option(min=1, help="Bring folders' images to it.")] = None,
    channels: Annotated[int | None, typer.Option(help="1 or 3, of folders' images.")] = None,
    root: Root = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Show the training images nearest to samples: genzoo neighbours dcgan-mnist -n 8."""
    from genzoo.evaluation import neighbours as evaluation_neighbours

    path = output or Path(f"{Path(name).name.partition('@')[0]}-neighbours.png")
    check_new(path, [".png"], force)
    ticker = Ticker()
    found = evaluation_neighbours.find_neighbours(
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
    found.save(path)
    if json:
        as_json({"path": str(path), **found.record()})
        return
    print(printable(f"{path}: {found.note}"))
    for near in found.near:
        apart = ", ".join(f"{d:.2f}" for d in near.distances[:, 0])
        print(printable(f"nearest in {near.by}: {apart}"))
