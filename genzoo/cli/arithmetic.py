"""arithmetic: sums of codes."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, Json, app, as_json
from genzoo.cli.interpolate import Metadata, Scale
from genzoo.text import printable


@app.command()
def arithmetic(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    terms: Annotated[
        list[str], typer.Argument(help="A sum of samples' mean codes: 0:3,5,9 - 0:1,2,4 + 0:7,8")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .png. [NAME-sum.png]")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The class, of all.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise around the sum.")] = 0,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Add and subtract codes: genzoo arithmetic dcgan-celeba 0:3,5,9 - 0:1,2,4 + 0:7,8,11."""
    from genzoo import load
    from genzoo.editing import arithmetic as editing_arithmetic
    from genzoo.editing import walks
    from genzoo.models import writing

    model = walks.latent(load(name, device=device))
    path = output or Path(f"{printable(Path(name).name.partition('@')[0])}-sum.png")
    writing.check_target(path, 9, model, scale, force, kinds=(".png",))
    found = editing_arithmetic.arithmetic(model, " ".join(terms), label=label, seed=seed)
    found.save(path, scale, metadata=metadata)
    if json:
        as_json({"path": str(path), "code": found.code[0].tolist(), **found.around.record()})
    else:
        print(printable(str(path)))
