"""traverse: what two numbers of the code do."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, Json, app, as_json
from genzoo.cli.interpolate import Metadata, Scale
from genzoo.errors import BadInput
from genzoo.text import printable


@app.command()
def traverse(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    dims: Annotated[str, typer.Option(help="Two numbers of the code: down, across.")] = "0,1",
    grid: Annotated[str, typer.Option(help="ROWSxCOLUMNS.")] = "9x9",
    seed: Annotated[str, typer.Option(help="SEED or SEED:INDEX of what is changed.")] = "0",
    label: Annotated[str | None, typer.Option(help="The class.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .png or .npy. [NAME-traversal.png]")
    ] = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Change two numbers of a sample's code: genzoo traverse vae-celeba --dims 3,7."""
    from genzoo import load
    from genzoo.editing import walks
    from genzoo.models import writing

    wanted, size = _two(dims, ",", "--dims", "3,7"), _two(grid, "x", "--grid", "9x9")
    model = walks.latent(load(name, device=device))
    ending = "png" if model.is_images else "npy"
    path = output or Path(f"{printable(Path(name).name.partition('@')[0])}-traversal.{ending}")
    walks.check_grid(model, wanted, size)
    n = size[0] * size[1]
    kinds = (".png", ".npy")
    writing.check_target(path, n, model, scale, force, kinds=kinds, columns=size[1])
    found = walks.traverse(model, wanted, grid=size, of=seed, label=label)
    record = writing.write(iter([found]), n, path, scale, metadata, columns=size[1])
    if json:
        as_json({"path": str(path), "n": n, **record})
    else:
        print(printable(str(path)))


def _two(text: str, between: str, option: str, like: str) -> tuple[int, int]:
    one, _, two = (part.strip() for part in text.partition(between))
    if not (one.isdecimal() and two.isdecimal() and len(text) < 40):
        raise BadInput(f"{option} is two whole numbers like {like}, got {text[:40]!r}")
    return int(one), int(two)
