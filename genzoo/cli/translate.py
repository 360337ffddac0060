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
    Scale,
    Settings,
    app,
    out_option,
    parse_settings,
    print_file,
)
from genzoo.cli.output import FILES, picture_path
from genzoo.files import file_name


@app.command(
    examples=[
        "genzoo translate cyclegan-hair photo.jpg",
        "genzoo translate cyclegan-hair photo.jpg --to Black_Hair -o dark.png",
    ]
)
def translate(
    name: ModelName,
    picture: Annotated[Path, typer.Argument(metavar="PHOTO", help="An image file, of any size.")],
    out: Annotated[Path | None, out_option(FILES, "PHOTO-DOMAIN.png")] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="DOMAIN", help="Target domain.", show_default="the model's second"),
    ] = None,
    settings: Settings = None,
    scale: Scale = None,
    seed: Annotated[int | None, SEED] = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Translate a photo to another domain."""
    path = out or (_name(picture, to) if to else None)
    if path:
        picture_path(path, path, force, scale)
    from genzoo.editing import translation
    from genzoo.models.samples import Images

    model = translation.as_translator(name, device)
    domain = to or model.targets[-1]
    path = picture_path(out, _name(picture, domain), force, scale)
    samples = translation.translate(
        model, picture, domain, seed=seed, sampling=parse_settings(settings)
    )
    assert isinstance(samples, Images)
    samples.save(path, scale)
    print_file(path, {"to": domain, **samples.record()}, json)


def _name(picture: Path, domain: str) -> Path:
    """The default name of a picture in another domain."""
    return Path(file_name(picture.stem, f"-{domain}.png"))
