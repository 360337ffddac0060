"""search: models on the Hub."""

import sys
from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, as_table


@app.command(
    examples=[
        "genzoo search",
        "genzoo search dcgan --limit 10",
    ]
)
def search(
    family: Annotated[
        str | None, typer.Argument(metavar="FAMILY", help="Only models of this family.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Number of models to list.")
    ] = 100,
    json: Json = False,
) -> None:
    """List the models on the Hugging Face Hub."""
    from genzoo.zoo import hub

    hits = hub.search(family, limit)
    if json:
        as_json([vars(hit) for hit in hits])
        return
    rows = [(h.name, h.license, h.downloads, h.changed, " ".join(h.tags)) for h in hits]
    if not rows:
        of = f" of the family {family}" if family else ""
        print(f"no models{of} on the Hub", file=sys.stderr)
    as_table(rows, ("name", "license", "downloads", "changed", "tags"))
