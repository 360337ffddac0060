"""cite: BibTeX for a model."""

from genzoo.cli.app import app, as_json
from genzoo.cli.options import Json, ModelOrFamily


@app.command(
    examples=[
        "genzoo cite vae",
        "genzoo cite dcgan-celeba",
    ]
)
def cite(
    name: ModelOrFamily,
    json: Json = False,
) -> None:
    """Print BibTeX for a model and its family's paper."""
    from genzoo.zoo import citation

    entries = citation.cite(name)
    if json:
        as_json({"name": name, "bibtex": entries})
    else:
        print(entries)
