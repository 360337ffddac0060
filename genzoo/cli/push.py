"""push: a model to the Hub."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, license_option


@app.command(
    examples=[
        "genzoo push ./my-vae somebody/my-vae --private",
        "genzoo push ./my-vae somebody/my-vae --tag v1 --license mit",
    ]
)
def push(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A model folder, as genzoo train writes it.")
    ],
    repo: Annotated[str, typer.Argument(metavar="REPOSITORY", help="owner/name.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    tag: Annotated[
        str | None, typer.Option(metavar="TAG", help="A name for this version: v1.")
    ] = None,
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
