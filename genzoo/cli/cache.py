"""cache: show what the cache holds, and remove parts of it."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from genzoo.cli.app import Json, app, as_json, as_table, size
from genzoo.errors import BadInput, unknown

if TYPE_CHECKING:
    from genzoo.data.entries import Stored


@app.command(
    "cache",
    examples=[
        "genzoo cache",
        "genzoo cache mnist --clean",
    ],
)
def show_cache(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Only these: mnist, faces.")
    ] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove what is listed, but for what is in use.")
    ] = False,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="Only what was not used for so many days."),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Remove what was unused longest, until the cache takes this: 10GB."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show what the cache holds, or remove parts of it.

    It holds decoded data sets, downloads, statistics of real data and models of the Hub: all of
    them can be made or fetched again. With GENZOO_CACHE_LIMIT=10GB it stays below that by itself.
    """
    from genzoo.data import entries

    if limit is not None:
        if names or clean or older_than is not None:
            raise BadInput("--limit is for the whole cache: give it alone")
        _print(entries.shrink(entries.parse_size(limit)), "removed", json)
        return
    chosen = _named(entries.listing(), names or [])
    if older_than is not None:
        chosen = entries.older_than(older_than, chosen)
    if clean:
        removed = [stored for stored in chosen if entries.remove(stored)]
        _print(removed, "removed", json, [s for s in chosen if s not in removed])
    else:
        _print(chosen, "in the cache", json)


def _named(listing: "list[Stored]", names: list[str]) -> "list[Stored]":
    """Those with one of ``names``: whole, or the last part of a folder's path. UnknownName."""
    from genzoo.data.register import label

    if not names:
        return listing
    both = {stored: {stored.name, label(stored.name)} for stored in listing}
    for name in names:
        if not any(name in known for known in both.values()):
            known = {stored.name for stored in listing}
            raise unknown("entry of the cache", name, known, "Type genzoo cache to see all.")
    return [stored for stored, known in both.items() if known & {*names}]


def _print(
    chosen: "list[Stored]", what: str, json: bool, in_use: "list[Stored] | None" = None
) -> None:
    """The entries and their sum; ``in_use``: those that could not be removed."""
    from genzoo.files import home
    from genzoo.text import printable

    total = sum(stored.bytes for stored in chosen)
    if json:
        records = [{**stored._asdict(), "path": str(stored.path)} for stored in chosen]
        kept = [stored.name for stored in in_use or []]
        as_json({"home": str(home()), "bytes": total, "entries": records, "in use": kept})
        return
    rows = [
        (s.kind, s.name, s.split, size(s.bytes), time.strftime("%Y-%m-%d", time.localtime(s.used)))
        for s in chosen
    ]
    if rows:
        as_table(rows, ("", "name", "split", "size", "last used"))
    for stored in in_use or []:
        print(printable(f"in use, not removed: {stored.name} {stored.split}".rstrip()))
    print(printable(f"{size(total)} {what} ({home()})"))
