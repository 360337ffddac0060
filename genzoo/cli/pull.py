"""pull: a model from the Hub as a folder."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Force, Json, app, as_json, out_option


@app.command(
    examples=[
        "genzoo pull somebody/dcgan-cats",
        "genzoo pull somebody/dcgan-cats@v1 -o cats",
    ]
)
def pull(
    name: Annotated[
        str, typer.Argument(metavar="MODEL", help="owner/name, or owner/name@revision.")
    ],
    out: Annotated[Path | None, out_option("The folder.", "the model's name", "FOLDER")] = None,
    discriminator: Annotated[
        bool, typer.Option("--discriminator", help="Also fetch the discriminator.")
    ] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Download a model from the Hugging Face Hub."""
    from genzoo.zoo import publish

    folder = publish.pull(name, out, discriminator=discriminator, force=force)
    if json:
        as_json({"path": str(folder), "files": sorted(path.name for path in folder.iterdir())})
    else:
        print(folder)
