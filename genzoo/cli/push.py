"""push: a model to the Hub."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import app, as_json
from genzoo.cli.options import Json, argument, flag, license_option, option


@app.command(
    examples=[
        "genzoo push ./my-vae somebody/my-vae --private",
        "genzoo push ./my-vae somebody/my-vae --tag v1 --license mit",
    ]
)
def push(
    folder: Annotated[Path, argument("A model folder, as genzoo train writes it.", "FOLDER")],
    repo: Annotated[str, argument("owner/name.", "REPOSITORY")],
    private: Annotated[bool, flag("--private", "Make the repository private.")] = False,
    tag: Annotated[str | None, option("A name for this version: v1.", "TAG")] = None,
    license: Annotated[str | None, license_option("the model's")] = None,
    json: Json = False,
) -> None:
    """Upload a model to the Hugging Face Hub."""
    from genzoo.zoo import publish

    pushed = publish.push(folder, repo, private=private, tag=tag, license=license)
    if json:
        as_json(vars(pushed))
    else:
        print(pushed.url)
