"""cache: the contents of the cache (GENZOO_HOME), as a table; removing parts of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from genzoo.data import entries
from genzoo.data.entries import Stored
from genzoo.data.register import label
from genzoo.errors import BadInput, argument, see_all, unknown
from genzoo.files import home
from genzoo.models.arguments import checked_arguments
from genzoo.text import Records, file_size, printable

TABLE: dict[str, Callable[[Stored], Any]] = {
    "kind": lambda stored: stored.kind,
    "name": lambda stored: stored.name,
    "split": lambda stored: stored.split,
    "size": lambda stored: file_size(stored.bytes),
    "last used": lambda stored: time.strftime("%Y-%m-%d", time.localtime(stored.used)),
}


@final
@dataclass(frozen=True, repr=False)
class CacheContents:
    """What the cache holds, or what was ``removed`` from it. ``in_use``: what could not be."""

    entries: Records[Stored]
    removed: bool = False
    in_use: tuple[Stored, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(stored.bytes for stored in self.entries)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        records = [{**stored._asdict(), "path": str(stored.path)} for stored in self.entries]
        kept = [stored.name for stored in self.in_use]
        return {"home": str(home()), "bytes": self.bytes, "entries": records, "in use": kept}

    def __repr__(self) -> str:
        return "\n".join([*[repr(self.entries)] * bool(self.entries), *self.notes])

    def _repr_html_(self) -> str:
        return f"{self.entries._repr_html_()}<p>{'<br>'.join(self.notes)}</p>"

    @property
    def notes(self) -> list[str]:
        """What could not be removed, and the size of all."""
        kept = [f"in use, not removed: {s.name} {s.split}".rstrip() for s in self.in_use]
        what = "removed" if self.removed else "in the cache"
        return [*map(printable, [*kept, f"{file_size(self.bytes)} {what} ({home()})"])]


@checked_arguments
def cache(
    names: str | Sequence[str] = (),
    *,
    clean: bool = False,
    older_than: float | None = None,
    limit: str | int | None = None,
) -> CacheContents:
    """What the cache holds, all or what is called one of ``names``; with ``clean`` it is removed.

    ``older_than``: only what was not used for so many days. ``limit``, like ``10GB``, alone:
    remove what was unused longest until the cache takes this. What a process uses stays. Raises
    BadInput, UnknownName.
    """
    names = [names] if isinstance(names, str) else [*names]
    if older_than is not None and older_than < 0:
        raise BadInput(f"{argument('older_than')} is a number of days, got {older_than:g}")
    if limit is not None:
        if names or clean or older_than is not None:
            raise BadInput(f"{argument('limit')} is for the whole cache: give it alone")
        return CacheContents(Records(entries.shrink(entries.parse_size(str(limit))), TABLE), True)
    chosen = _named(entries.listing(), names)
    if older_than is not None:
        chosen = entries.older_than(older_than, chosen)
    if not clean:
        return CacheContents(Records(chosen, TABLE))
    removed = [stored for stored in chosen if entries.remove(stored)]
    in_use = tuple(stored for stored in chosen if stored not in removed)
    return CacheContents(Records(removed, TABLE), True, in_use)


def _named(listing: list[Stored], names: Sequence[str]) -> list[Stored]:
    """Those with one of ``names``: whole, or the last part of a folder's path. UnknownName."""
    if not names:
        return listing
    both = {stored: {stored.name, label(stored.name)} for stored in listing}
    for name in names:
        if not any(name in known for known in both.values()):
            known = {stored.name for stored in listing}
            raise unknown("entry of the cache", name, known, see_all("cache"))
    return [stored for stored, known in both.items() if known & {*names}]
