"""features: the features of a model's discriminator or encoder, as an array or a picture."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    OUTPUT,
    Device,
    Force,
    Json,
    ModelName,
    Scale,
    app,
    as_json,
    default_path,
    out_option,
)
from genzoo.errors import refuse_unread
from genzoo.files import check_new
from genzoo.models.kinds import PICTURES
from genzoo.text import printable


@app.command(
    "features",
    examples=[
        "genzoo features dcgan-mnist photos/",
        "genzoo features mnist digit.png --picture layers.png",
    ],
)
def write_features(
    name: ModelName,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Image files or folders.")],
    out: Annotated[
        Path | None, out_option("A .safetensors or .npy.", "MODEL-features.safetensors")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead: a .png, .jpg, .webp or .pdf of what each layer sees of a photo.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    scale: Scale = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Write the features of a discriminator or an encoder.

    MODEL can be a classifier that genzoo ships, too: mnist, fashion-mnist, cifar10 or celeba.
    """
    if picture is not None:
        refuse_unread("--picture writes no array", out=out)
        check_new(picture, PICTURES, force, "picture")
        _draw(name, photos, picture, scale, device, json)
        return
    refuse_unread("--scale enlarges a picture: add --picture FILE.png", scale=scale)
    path = out or default_path(name, "-features.safetensors")
    check_new(path, [".safetensors", ".npy"], force)
    from genzoo.evaluation import representations

    features = representations.extract_features(name, photos, device=device)
    features.save(path)
    facts = {"path": str(path), "n": len(features), "width": features.shape[1]}
    if json:
        as_json({**facts, "files": [str(file) for file in features.files]})
    else:
        print(printable(f"{path}: {len(features)} images, {features.shape[1]} features each"))


def _draw(
    name: str, photos: list[Path], picture: Path, scale: int | None, device: str, json: bool
) -> None:
    from genzoo.evaluation import inside

    result = inside.look_inside(name, photos, device=device)
    result.save(picture, scale=scale)
    if json:
        as_json({"path": str(picture), **result.record()})
    else:
        print(printable(str(picture)))
