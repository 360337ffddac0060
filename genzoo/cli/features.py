"""features: the features of a model's discriminator or encoder, as an array."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, Json, ModelName, app, as_json, default_path, out_option
from genzoo.text import printable


@app.command(
    "features",
    examples=[
        "genzoo features dcgan-mnist photos/",
        "genzoo features vae-mnist digit.png -o features.npy",
    ],
)
def write_features(
    name: ModelName,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Image files or folders.")],
    out: Annotated[
        Path | None, out_option("A .safetensors or .npy.", "MODEL-features.safetensors")
    ] = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Write the features of a discriminator or an encoder."""
    from genzoo.evaluation import representations

    path = out or default_path(name, "-features.safetensors")
    representations.check_target(path, force)
    features = representations.extract_features(name, photos, device=device)
    features.save(path)
    facts = {"path": str(path), "n": len(features), "width": features.shape[1]}
    if json:
        as_json({**facts, "files": [str(file) for file in features.files]})
    else:
        print(printable(f"{path}: {len(features)} images, {features.shape[1]} features each"))
