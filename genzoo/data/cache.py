"""The cache: each data set as two files of arrays, written once, then memory-mapped."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo.data import entries
from genzoo.data.dataset import Meta, cache_key
from genzoo.errors import BadInput, OperationFailed, either
from genzoo.files import expanded, home, locked, synced, whole_folder

if TYPE_CHECKING:
    import numpy as np

    from genzoo.data.dataset import Block, Blocks

    Entry = tuple[np.ndarray, np.ndarray | None, Meta]


log = logging.getLogger("genzoo")


def open_entry(key: str, meta: Meta, blocks: Callable[[Meta], Blocks]) -> Entry:
    """(array, labels, meta) of the entry `key`; if it is missing or damaged, write it first, from
    `blocks(meta)`. `meta` has at least `name`, `split` and the list `skipped`.
    """
    folder = home() / "data"
    if entry := _read_entry(folder / key):
        return entry
    try:
        most = entries.limit()
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with locked(folder / f"{key}.lock"):
            if entry := _read_entry(folder / key):  # another process has written it meanwhile
                return entry
            _write_entry(folder / key, meta, blocks)
        entries.supersede(folder / key, meta.get("slot", ""))
        if most is not None:
            entries.shrink(most, spare=folder / key)
    except OSError as error:
        raise _unwritable(folder, error) from error
    except OperationFailed as error:
        if isinstance(error.__cause__, OSError):
            raise _unwritable(folder, error.__cause__) from error
        raise
    if entry := _read_entry(folder / key):
        return entry
    raise OperationFailed(f"cannot read the cache {folder / key}: remove it or set GENZOO_HOME")


def slot(origin: str | Path, parts: list[object]) -> str:
    """What stays when files of the folder or zip ``origin`` change: a new entry of the same slot
    replaces the old one. ``parts``: the rest that decides what an entry holds.
    """
    return cache_key([str(expanded(origin).resolve()), *parts])


def _unwritable(folder: Path, error: OSError) -> OperationFailed:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "free some space or" if full else "make it writable or"
    why = error.strerror or error
    return OperationFailed(f"cannot write the cache {folder}: {why}; {hint} set GENZOO_HOME")


def _read_entry(folder: Path, *, rehash: bool = False) -> Entry | None:
    """An entry of the cache, or None if it is missing, damaged or being removed."""
    import numpy as np

    try:
        meta = json.loads((folder / "meta.json").read_bytes())
        shape = tuple(meta["shape"])
        array = np.memmap(folder / "array", dtype=meta["dtype"], mode="r", shape=shape)
        label_bytes = (folder / "labels").read_bytes()
        labels = np.frombuffer(label_bytes, dtype=np.int64) if meta["labelled"] else None
        whole = (folder / "array").stat().st_size == array.nbytes
        whole = whole and (labels is None or len(labels) == len(array))
        # Hash again only if a file has been written or copied since.
        if whole and (rehash or meta.get("written") != _times(folder)):
            sha256 = hashlib.sha256(array.data)
            sha256.update(label_bytes)
            whole = sha256.hexdigest() == meta["sha256"]
        whole = whole and entries.hold(folder, array._mmap)  # type: ignore[attr-defined]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (array, labels, meta) if whole else None


def _times(folder: Path) -> list[int]:
    """When each file of an entry was last written to."""
    return [(folder / name).stat().st_mtime_ns for name in ("array", "labels")]


def _sweep(folder: Path) -> None:
    """Remove the unfinished entries of killed processes: their locks are free."""
    for stale in [*folder.glob(".*"), *folder.glob("*.tmp-*")]:  # .tmp-: of version 0.1
        key = stale.name.lstrip(".").partition(".")[0]
        with locked(folder / f"{key}.lock", wait=False) as is_locked:
            if is_locked:
                shutil.rmtree(stale, ignore_errors=True)


def _write_entry(entry: Path, meta: Meta, blocks: Callable[[Meta], Blocks]) -> None:
    name, split, skipped = meta["name"], meta["split"], meta["skipped"]
    log.info("decoding %s (%s) into %s", name, split, entry)
    with whole_folder(entry) as aside:
        with closing(blocks(meta)) as rows:
            written = _write_arrays(aside, rows)
        if skipped and not written["shape"][0]:
            what = f"all {len(skipped)} files of {name} ({split})"
            raise BadInput(f"{what} are broken: {skipped[0]}, ...")
        if not written["shape"][0]:
            what = f"no sample of {name} falls into its {split} split (10 % by content are test)"
            hint = "add some, or choose the splits: folders train and test"
            hint = either(hint, f"{hint}, or a dict of arrays for both")
            raise BadInput(f"{what}: {hint}")
        _share(entry, aside, written)
        with synced(aside / "meta.json") as file:
            written["written"] = _times(aside)
            file.write(json.dumps(meta | written, indent=1).encode())


def _share(entry: Path, aside: Path, written: Meta) -> None:
    """Let the new entry use the array of another one with the same content, as one file: the
    pictures of a folder that was moved or whose files were only touched take no space again.
    """
    for twin in entries.twins(entry, written):
        if twin != entry and _read_entry(twin, rehash=True):
            with contextlib.suppress(OSError):  # a file system without hard links
                os.link(twin / "array", aside / "shared")
                (aside / "shared").replace(aside / "array")
            return


def _write_arrays(folder: Path, blocks: Iterable[Block]) -> Meta:
    """Write the blocks and their labels; return the content of meta.json.

    Plain writes, not a memory map: on a full disk a write fails, a map kills the process.
    """
    count, shape, dtype, sha256 = 0, None, "", hashlib.sha256()
    label_parts = []
    with synced(folder / "array") as file:
        for block, block_labels in blocks:
            shape, dtype = shape or block.shape[1:], block.dtype.name
            if block.shape[1:] != shape:
                raise OperationFailed(f"samples differ in shape: {shape} and {block.shape[1:]}")
            file.write(block.data)
            sha256.update(block.data)
            count += len(block)
            label_parts += [] if block_labels is None else [block_labels.tobytes()]
    labels = b"".join(label_parts)
    if label_parts and len(labels) != 8 * count:
        raise OperationFailed(f"{count} samples with {len(labels) // 8} labels")
    with synced(folder / "labels") as file:
        file.write(labels)
    sha256.update(labels)
    meta = {"shape": [count, *(shape or ())], "dtype": dtype, "labelled": bool(label_parts)}
    return meta | {"sha256": sha256.hexdigest()}
