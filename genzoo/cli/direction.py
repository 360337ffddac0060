"""direction: what moves codes towards a smile; steer: samples moved along it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genzoo.cli.app import Device, Force, Json, Root, Ticker, app, as_json
from genzoo.cli.interpolate import Metadata, Scale
from genzoo.errors import BadInput
from genzoo.files import check_new
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.editing.directions import Direction
    from genzoo.models.model import Model


@app.command()
def direction(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    of: Annotated[
        str | None, typer.Option(help="A class or an attribute of the data: Smiling, 3.")
    ] = None,
    encode: Annotated[
        bool, typer.Option("--encode", help="Of real data, encoded, not of judged samples.")
    ] = False,
    toward: Annotated[
        str | None, typer.Option(help="Or: samples that have it, like 0:3,5,9.")
    ] = None,
    away: Annotated[str | None, typer.Option(help="And samples that do not.")] = None,
    data: Annotated[str | None, typer.Option(help="Whose class or attribute. [its own]")] = None,
    n: Annotated[
        int | None, typer.Option("-n", "--n", help="Samples, or images. [4000; all]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples.")] = 0,
    label: Annotated[str | None, typer.Option(help="The class, of all.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .safetensors. [NAME-OF.safetensors]")
    ] = None,
    root: Root = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Find what moves codes: genzoo direction dcgan-celeba --of Smiling."""
    from genzoo import load
    from genzoo.editing import directions, walks

    if (of is None) == (toward is None) or (toward is None) != (away is None):
        raise BadInput("a direction is --of Smiling, or --toward 0:3,5 --away 0:1,2")
    path = output or Path(f"{printable(Path(name).name.partition('@')[0])}-{of or 'direction'}")
    path = path if output else path.with_name(f"{path.name}.safetensors")
    check_new(path, [".safetensors"], force)
    model = walks.latent(load(name, device=device))
    if of is None:
        found = directions.of_picks(model, toward or "", away or "", label=label)
    else:
        found = _learnt(model, of, encode, data, n, seed, label, root)
    found.save(path)
    if json:
        as_json({"path": str(path), **found.made.model_dump(mode="json")})
    else:
        print(printable(str(path)))
        print(printable(_summary(found)))


def _learnt(
    model: "Model",
    of: str,
    encode: bool,
    data: str | None,
    n: int | None,
    seed: int,
    label: str | None,
    root: str | None,
) -> "Direction":
    from genzoo.editing import directions

    ticker, count = Ticker(), 4000 if n is None else n
    if encode:
        found = directions.of_data(
            model, of, data=data, n=n, root=root, label=label, progress=ticker.count
        )
    else:
        found = directions.of_samples(
            model, of, data=data, n=count, seed=seed, label=label, progress=ticker.count
        )
    ticker.done()
    return found


def _summary(found: "Direction") -> str:
    made = found.made
    toward, away = made.counts
    said = f"from {away:,} {'without' if made.of else 'samples'} to {toward:,}"
    said = f"{made.of or 'direction'}: {said}, length {found.vector.norm():.2f}"
    if made.raised is None:
        return said
    said += f"; one step raises it in {made.raised:.0%} of 100 other samples"
    return said if made.turned is None else f"{said}, and turns {made.turned:.0%} without it"


@app.command()
def steer(
    name: Annotated[str, typer.Argument(help="The model that the direction is of.")],
    direction: Annotated[Path, typer.Argument(help="A file that genzoo direction wrote.")],
    seeds: Annotated[
        str, typer.Option(help="What is moved: seeds 3,17, or 0:3,17 of a numbered sheet.")
    ],
    alphas: Annotated[str, typer.Option(help="Steps along it: -2,0,2, or -2:2.")] = "-2:2",
    steps: Annotated[
        int | None, typer.Option(min=1, help="From the first to the last. [30; of a strip 7]")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The class, of all.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .png (a row each), .gif, .npy. [NAME-steered.png]"),
    ] = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Move samples along a direction: genzoo steer dcgan-celeba smile.safetensors --seeds 3,17."""
    from genzoo import load
    from genzoo.editing import directions, walks
    from genzoo.models import writing

    model = walks.latent(load(name, device=device))
    ending = "png" if model.is_images else "npy"
    path = output or Path(f"{printable(Path(name).name.partition('@')[0])}-steered.{ending}")
    along = directions.spread(alphas, steps or (30 if path.suffix == ".gif" else 7))
    n = len(along) * len(walks.picks(seeds))
    kinds = (".png", ".gif", ".npy")
    writing.check_target(path, n, model, scale, force, kinds=kinds, columns=len(along))
    way = directions.read(direction)
    found = directions.along(model, way, seeds, alphas=along, label=label)
    columns = len(along)
    record = writing.write(iter([found]), n, path, scale, metadata, columns=columns)
    if json:
        as_json({"path": str(path), "n": n, "alphas": along, **record})
    else:
        print(printable(str(path)))
