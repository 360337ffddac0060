"""push: a model to the Hub."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, license_option


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="A model folder, as genzoo train writes it.")],
    repo: Annotated[str, typer.Argument(help="The repository: owner/name.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    tag: Annotated[str | None, typer.Option(help="A name for this version: v1.")] = None,
    license: Annotated[str | None, license_option("the model's")] = None,
    json: Json = False,
) -> None:
    """Upload a model to the Hugging Face Hub, after checking the files."""
    from genzoo.zoo import publish

    pushed = publish.push(folder, repo, private=private, tag=tag, license=license)
    if json:
        as_json(vars(pushed))
    else:
        print(pushed.url)
