"""What the cache holds: decoded data sets, downloads, references, models of the Hub, and notes.

Each can be made or fetched again. An entry that a process has opened is in use: it is not removed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from genzoo.errors import BadInput, GenzooError, argument
from genzoo.families.facts import FOLDER
from genzoo.files import home, locked
from genzoo.schemas import Schema, checked, read_json

LIMIT = "GENZOO_CACHE_LIMIT"
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
META = "meta.json"
TERMS = "terms"  # the folder of notes on terms that were said
_COMMIT = re.compile("[0-9a-f]{40}")
log = logging.getLogger("genzoo")


class Header(Schema, use_attribute_docstrings=False, defer_build=True, extra="ignore"):
    """The fields of an entry's meta.json that say what it is."""

    name: Annotated[str, Field(max_length=10_000)]
    split: Annotated[str, Field(max_length=100)]
    shape: tuple[int, ...]
    dtype: Annotated[str, Field(max_length=20)]
    labelled: bool
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    slot: Annotated[str, Field(max_length=64)] = ""


class Stored(NamedTuple):
    """Something in the cache. ``bytes``: that it takes alone, of arrays its share; ``used``: when
    it was last used, in seconds since 1970.
    """

    kind: Literal["data", "download", "reference", "model", "notes"]
    name: str
    split: str
    bytes: int
    used: float
    path: Path


def listing() -> list[Stored]:
    """All that the cache holds; what was used last comes first."""
    parts = [*_data(), *_files("download", "downloads"), *_files("reference", "references")]
    parts += [*_models(), *_notes()]
    return sorted(parts, key=lambda stored: stored.used, reverse=True)


def header(folder: Path) -> Header | None:
    """What the entry in ``folder`` is; None if it is damaged."""
    try:
        values = read_json((folder / META).read_bytes(), META)
        return checked(Header, values, META)
    except (OSError, GenzooError):
        return None


def _data() -> Iterator[Stored]:
    for folder in _folders(home() / "data"):
        about = header(folder)
        name, split = (about.name, about.split) if about else ("damaged", "")
        used = _time(folder / META) or _time(folder)
        yield Stored("data", name, split, _bytes(folder, shared=True), used, folder)


def _files(kind: Literal["download", "reference"], part: str) -> Iterator[Stored]:
    with contextlib.suppress(OSError):
        for path in sorted((home() / part).iterdir()):
            if not path.name.startswith(".") and path.suffix != ".lock":
                name = path.stem[:12] if kind == "reference" else path.name
                yield Stored(kind, name, "", _bytes(path), _time(path), path)


def _models() -> Iterator[Stored]:
    for repository in _folders(home() / "hub"):
        for folder in _folders(repository):
            if _COMMIT.fullmatch(folder.name):
                name = f"{repository.name.replace('--', '/', 1)}@{folder.name[:7]}"
                used = max([_time(p) for p in folder.rglob("*")], default=_time(folder))
                yield Stored("model", name, "", _bytes(folder), used, folder)


def _notes() -> Iterator[Stored]:
    """What is known of families without an import of theirs, and which terms were said."""
    for name, pattern in ((FOLDER, "*.json"), (TERMS, "*")):
        if any((folder := home() / name).glob(pattern)):
            used = max(map(_time, folder.iterdir()))
            yield Stored("notes", name, "", _bytes(folder), used, folder)


def _folders(folder: Path) -> list[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in inside if path.is_dir() and not path.name.startswith(".")]


def _bytes(path: Path, shared: bool = False) -> int:
    """Of a file, or of all in a folder; ``shared``: a file of two entries counts half for each."""
    total = 0
    for part in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            status = part.stat()
            links = max(1, status.st_nlink) if shared else 1
            total += 0 if part.is_dir() else status.st_size // links
    return total


def _time(path: Path) -> float:
    """When a file was last written or read; systems note the reading once a day."""
    try:
        status = path.stat()
    except OSError:
        return 0.0
    return status.st_mtime if path.name == META else max(status.st_mtime, status.st_atime)


# ------------------------------------------------------------------------------------------- in use


def hold(folder: Path, owner: Any) -> bool:
    """Mark an entry of data as in use as long as ``owner`` exists, and as used now.

    False if it is being removed. Where the system has no ``fcntl`` (Windows), an open file cannot
    be removed anyway.
    """
    file = (folder / META).open("rb")
    if not _lock(file, exclusive=False):
        file.close()
        return False
    weakref.finalize(owner, file.close)
    with contextlib.suppress(OSError):  # a cache that cannot be written to
        os.utime(folder / META)
    return True


def _lock(file: Any, *, exclusive: bool) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def remove(stored: Stored) -> bool:
    """Remove it; False if it is in use, or cannot be removed."""
    if stored.kind != "data":
        return _remove(stored.path)
    with locked(stored.path.with_name(f"{stored.path.name}.lock"), wait=False) as is_locked:
        if not is_locked:
            return False
        try:
            with (stored.path / META).open("rb") as file:
                return _lock(file, exclusive=True) and _remove(stored.path)
        except FileNotFoundError:
            return _remove(stored.path)
        except OSError:
            return False


def _remove(path: Path) -> bool:
    """Out of sight first, so that nobody finds a half of it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}-removed")
    try:
        path.rename(aside)
    except OSError:
        return False
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)
    return not aside.exists()


# ------------------------------------------------------------------------------------------ bounded


def parse_size(text: str, where: str = "") -> int:
    """``10GB``, ``500 MB`` or a number of bytes. Raises BadInput."""
    where = where or argument("limit")
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([a-z]*)", text.strip(), re.IGNORECASE)
    if not match or match[2].upper() not in UNITS:
        raise BadInput(f"{where}: expected a size like 10GB or 500MB, got {text[:40]!r}")
    return int(float(match[1]) * UNITS[match[2].upper()])


def limit() -> int | None:
    """The most bytes that the cache may take: GENZOO_CACHE_LIMIT. Raises BadInput."""
    text = os.environ.get(LIMIT)
    return parse_size(text, LIMIT) if text else None


def shrink(most: int, spare: Path | None = None) -> list[Stored]:
    """Remove what was used the longest time ago until the cache takes ``most`` bytes; what was
    removed. ``spare`` and what is in use stay.
    """
    entries, removed = listing(), []
    total = sum(stored.bytes for stored in entries)
    for stored in reversed(entries):
        if total <= most:
            break
        if stored.path != spare and remove(stored):
            total -= stored.bytes
            removed.append(stored)
    if total > most:
        log.warning(
            "the cache takes %d MB, more than its limit of %d MB: what is in use stays",
            total // 10**6,
            most // 10**6,
        )
    return removed


def older_than(days: float, entries: list[Stored]) -> list[Stored]:
    """Those that were last used more than ``days`` ago."""
    before = time.time() - days * 86_400
    return [stored for stored in entries if stored.used < before]


def supersede(folder: Path, slot: str) -> None:
    """Remove the other entries of ``slot``: earlier states of the same folder, in the same form."""
    for other in _folders(folder.parent) if slot else ():
        about = header(other) if other != folder else None
        if about and about.slot == slot:
            remove(Stored("data", about.name, about.split, 0, 0, other))


def twins(folder: Path, written: dict[str, Any]) -> Iterator[Path]:
    """The entries beside ``folder`` that hold the same arrays as are ``written``."""
    keys = ("sha256", "shape", "dtype", "labelled")
    for other in _folders(folder.parent):
        about = header(other)
        if about and all(written[key] == _plain(getattr(about, key)) for key in keys):
            yield other


def _plain(value: Any) -> Any:
    return [*value] if isinstance(value, tuple) else value
