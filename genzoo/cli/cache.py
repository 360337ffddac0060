"""cache: show what the cache holds, and remove parts of it."""

from typing import Annotated

from genzoo.cli.app import app, as_json, as_table
from genzoo.cli.options import Json, argument, flag, option


@app.command(
    "cache",
    examples=[
        "genzoo cache",
        "genzoo cache mnist --clean",
    ],
)
def show_cache(
    names: Annotated[list[str] | None, argument("Only these: mnist, faces.", "NAME")] = None,
    clean: Annotated[
        bool, flag("--clean", "Remove what is listed, but for what is in use.")
    ] = False,
    older_than: Annotated[
        float | None,
        option("Only what was not used for so many days.", "DAYS", min=0),
    ] = None,
    limit: Annotated[
        str | None,
        option("Remove what was unused longest, until the cache takes this: 10GB.", "SIZE"),
    ] = None,
    json: Json = False,
) -> None:
    """Show what the cache holds, or remove parts of it.

    It holds decoded data sets, downloads, statistics of real data and models of the Hub: all of
    them can be made or fetched again. With GENZOO_CACHE_LIMIT=10GB it stays below that by itself.
    """
    from genzoo.data import contents

    result = contents.cache(names or [], clean=clean, older_than=older_than, limit=limit)
    if json:
        as_json(result.record())
        return
    if result.entries:
        as_table(result.entries.rows, result.entries.heads)
    print("\n".join(result.notes))
