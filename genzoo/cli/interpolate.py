"""interpolate: a walk from sample to sample."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, Json, Ticker, app, as_json
from genzoo.text import printable

Scale = Annotated[int | None, typer.Option(min=1, max=64, help="Pixels a pixel.")]
Metadata = Annotated[
    bool, typer.Option("--metadata/--no-metadata", help="Write model and seeds into the pictures.")
]


@app.command()
def interpolate(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    seeds: Annotated[
        str, typer.Option(help="Where it leads: seeds 3,17,42, or 0:3,17 of a numbered sheet.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="A .gif, .png (a strip), .npy, or a folder. [NAME-walk.gif]"
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="From each to the next. [30; of a strip 8]")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Go on to where it began.")] = False,
    how: Annotated[
        str, typer.Option(help="slerp, which keeps to the codes' shell, or lerp, straight.")
    ] = "slerp",
    label: Annotated[str | None, typer.Option(help="The class, all the way.")] = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Walk from sample to sample: genzoo interpolate dcgan-celeba --seeds 3,17,42 --loop."""
    from genzoo import load
    from genzoo.editing import walks
    from genzoo.models import writing

    model = walks.latent(load(name, device=device))
    ending = "gif" if model.is_images else "npy"
    path = output or Path(f"{printable(Path(name).name.partition('@')[0])}-walk.{ending}")
    steps = steps if steps is not None else 8 if path.suffix == ".png" else 30
    n = walks.length(walks.picks(seeds), steps, loop)
    writing.check_target(path, n, model, scale, force, kinds=writing.FILMS, columns=n)
    ticker = Ticker()
    found = walks.interpolate(
        model,
        seeds,
        steps=steps,
        loop=loop,
        how=how,  # type: ignore[arg-type]
        label=label,
        progress=ticker.count,
    )
    record = writing.write(iter([found]), len(found), path, scale, metadata, columns=len(found))
    ticker.done()
    if json:
        as_json({"path": str(path), "n": len(found), **record})
    else:
        print(printable(str(path)))
