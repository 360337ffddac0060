"""pull: a model from the Hub as a folder."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import app, as_json
from genzoo.cli.options import Force, Json, argument, flag, out_option


@app.command(
    examples=[
        "genzoo pull somebody/dcgan-cats",
        "genzoo pull somebody/dcgan-cats@v1 -o cats",
    ]
)
def pull(
    name: Annotated[str, argument("owner/name, or owner/name@revision.", "MODEL")],
    out: Annotated[Path | None, out_option("The folder.", "the model's name", "FOLDER")] = None,
    discriminator: Annotated[
        bool, flag("--discriminator", "Also fetch the discriminator.")
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
