"""genzoo translate: translate an image from one domain to another."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    SEED,
    Device,
    Force,
    Json,
    ModelName,
    Settings,
    app,
    out_option,
    parse_settings,
    print_file,
)
from genzoo.files import check_new, file_name


@app.command(
    examples=[
        "genzoo translate cyclegan-hair photo.jpg",
        "genzoo translate cyclegan-hair photo.jpg --to Black_Hair -o dark.png",
    ]
)
def translate(
    name: ModelName,
    picture: Annotated[Path, typer.Argument(metavar="PHOTO", help="An image file, of any size.")],
    out: Annotated[Path | None, out_option("A .png.", "PHOTO-DOMAIN.png")] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="DOMAIN", help="Target domain.", show_default="the model's second"),
    ] = None,
    settings: Settings = None,
    seed: Annotated[int | None, SEED] = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Translate a photo to another domain."""
    from genzoo.editing import translation

    model = translation.as_translator(name, device)
    domain = to or model.targets[-1]
    path = out or Path(file_name(picture.stem, f"-{domain}.png"))
    check_new(path, [".png"], force)
    samples = translation.translate(
        model, picture, domain, seed=seed, sampling=parse_settings(settings)
    )
    samples.save(path)
    print_file(path, {"to": domain, **samples.record()}, json)
