"""search: models on the Hub."""

import sys
from typing import Annotated

from genzoo.cli.app import app, as_json, as_table
from genzoo.cli.options import Json, argument, option


@app.command(
    examples=[
        "genzoo search",
        "genzoo search dcgan --limit 10",
    ]
)
def search(
    family: Annotated[str | None, argument("Only models of this family.", "FAMILY")] = None,
    limit: Annotated[int, option("Number of models to list.", "N", min=1, max=10_000)] = 100,
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
