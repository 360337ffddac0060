"""features: the features of a model's discriminator or encoder, as an array or a picture."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import app, default_path
from genzoo.cli.options import OUTPUT, Device, ModelName, argument, option, out_option
from genzoo.cli.output import Picture
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
    photos: Annotated[list[Path], argument("Image files or folders.", "PHOTO")],
    *,
    out: Annotated[
        Path | None, out_option("A .safetensors or .npy.", "MODEL-features.safetensors")
    ] = None,
    picture: Annotated[
        Path | None,
        option(
            "Instead: a .png, .jpg, .webp or .pdf of what each layer sees of a photo.",
            "FILE",
            panel=OUTPUT,
        ),
    ] = None,
    file: Picture,
    device: Device = "auto",
) -> None:
    """Write the features of a discriminator or an encoder.

    MODEL can be a classifier that genzoo ships, too: mnist, fashion-mnist, cifar10 or celeba.
    """
    if picture is not None:
        refuse_unread("--picture writes no array", out=out)
        check_new(picture, PICTURES, file.force, "picture")
        _draw(name, photos, picture, file, device)
        return
    refuse_unread("--scale enlarges a picture: add --picture FILE.png", scale=file.scale)
    path = out or default_path(name, "-features.safetensors")
    check_new(path, [".safetensors", ".npy"], file.force)
    from genzoo.evaluation import representations

    features = representations.extract_features(name, photos, device=device)
    features.save(path)
    if file.json:
        files = [str(photo) for photo in features.files]
        file.print(path, {"n": len(features), "width": features.shape[1], "files": files})
    else:
        print(printable(f"{path}: {len(features)} images, {features.shape[1]} features each"))


def _draw(name: str, photos: list[Path], picture: Path, file: Picture, device: str) -> None:
    from genzoo.evaluation import inside

    result = inside.look_inside(name, photos, device=device)
    result.save(picture, scale=file.scale)
    file.print(picture, result.record())
