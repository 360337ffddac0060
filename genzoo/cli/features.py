"""features: what a model sees in images, as an array."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Device, Force, Json, app, as_json
from genzoo.text import printable


@app.command("features")
def write_features(
    name: Annotated[str, typer.Argument(help="A model of genzoo list, or a folder like ./mine.")],
    photos: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .safetensors or .npy. [NAME-features.safetensors]"),
    ] = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Write what its discriminator, or encoder, sees: genzoo features dcgan-mnist photos/."""
    from genzoo import data
    from genzoo.evaluation import representations

    path = output or Path(f"{Path(name).name.partition('@')[0]}-features.safetensors")
    representations.check_target(path, force)
    pixels, files = data.photos(photos, representations.seen_by(name, device))
    found = representations.extract_features(name, pixels, device=device)
    representations.write(path, found, files, force=force)
    told = {"path": str(path), "n": len(found), "width": found.shape[1]}
    if json:
        as_json({**told, "files": [str(file) for file in files]})
    else:
        print(printable(f"{path}: {len(found)} images, {found.shape[1]} features each"))
