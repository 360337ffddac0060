"""cite: BibTeX for a model."""

from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, complete_model


@app.command()
def cite(
    name: Annotated[
        str, typer.Argument(help="A model, a folder or a family.", autocompletion=complete_model)
    ],
    json: Json = False,
) -> None:
    """Print BibTeX for a model and for its family's paper."""
    from genzoo.zoo import citation

    entries = citation.cite(name)
    if json:
        as_json({"name": name, "bibtex": entries})
    else:
        print(entries)
