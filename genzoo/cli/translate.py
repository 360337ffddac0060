"""translate: a picture of one domain as another has it."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, Json, app, as_json
from genzoo.errors import BadInput, article
from genzoo.files import check_new
from genzoo.text import printable


@app.command()
def translate(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    picture: Annotated[Path, typer.Argument(help="An image file, of any size.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .png. [the picture's name, the domain]")
    ] = None,
    to: Annotated[str | None, typer.Option(help="The domain. [the model's second]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is random, if anything is.")] = 0,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Turn a photo into another domain: genzoo translate ./horses photo.jpg -o zebra.png."""
    from genzoo import data, load
    from genzoo.models.abilities import Translator

    model = load(name, device=device)
    if not isinstance(model, Translator):
        raise BadInput(f"{name} does not translate: it is {article(model)}")
    wanted = to or model.domains[1]
    path = output or Path(f"{picture.stem}-{wanted}.png")
    check_new(path, [".png"], force)
    found = model.translate(data.picture(picture, model.shape[0])[None], wanted, seed=seed)
    found.save(path)
    if json:
        as_json({"path": str(path), "to": wanted, **found.record()})
    else:
        print(printable(str(path)))
