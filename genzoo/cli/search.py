"""search: models on the Hub."""

import sys
from typing import Annotated

import typer

from genzoo.cli.app import Json, app, as_json, as_table


@app.command()
def search(
    family: Annotated[str | None, typer.Argument(help="Of this family alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    json: Json = False,
) -> None:
    """List the models on the Hugging Face Hub that genzoo loads."""
    from genzoo.zoo import hub

    found = hub.search(family, limit)
    if json:
        as_json([vars(f) for f in found])
        return
    rows = [(f.name, f.license, f.downloads, f.changed, " ".join(f.tags)) for f in found]
    if not rows:
        print(f"none of the family {family}" if family else "none", file=sys.stderr)
    as_table(rows, ("name", "license", "downloads", "changed", "tags"))
