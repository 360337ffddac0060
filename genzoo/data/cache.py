"""The cache: every set as the bytes of two arrays, written once, then memory-mapped."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from genzoo.data.dataset import Meta
from genzoo.errors import BadInput, OperationFailed
from genzoo.files import home, locked

if TYPE_CHECKING:
    import numpy as np

    from genzoo.data.dataset import Block, Blocks

    Entry = tuple[np.ndarray, np.ndarray | None, Meta]


log = logging.getLogger("genzoo")


def opened(key: str, meta: Meta, blocks: Callable[[Meta], Blocks]) -> Entry:
    """(array, labels, meta) of the entry `key`; made first, from `blocks(meta)`, if it is not
    there or damaged. `meta` has at least the `name` and `split`, and the list `skipped`.
    """
    folder = home() / "data"
    if found := _entry(folder / key):
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with locked(folder / f"{key}.lock"):
            if found := _entry(folder / key):  # made by another process meanwhile
                return found
            _make(folder / key, meta, blocks)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = "free some space or" if full else "make it writable or"
        why = error.strerror or error
        raise OperationFailed(
            f"cannot write the cache {folder}: {why}; {todo} set GENZOO_HOME"
        ) from error
    if found := _entry(folder / key):
        return found
    raise OperationFailed(f"cannot read the cache {folder / key}: remove it or set GENZOO_HOME")


def _entry(folder: Path) -> Entry | None:
    """An entry of the cache, or None if it is missing or damaged."""
    import numpy as np

    try:
        meta = json.loads((folder / "meta.json").read_bytes())
        shape = tuple(meta["shape"])
        array = np.memmap(folder / "array", dtype=meta["dtype"], mode="r", shape=shape)
        told = (folder / "labels").read_bytes()
        labels = np.frombuffer(told, dtype=np.int64) if meta["labelled"] else None
        whole = (folder / "array").stat().st_size == array.nbytes
        whole = whole and (labels is None or len(labels) == len(array))
        # Hashed again only where something has written to it since, or it was copied.
        if whole and meta.get("written") != _written(folder):
            found = hashlib.sha256(array.data)
            found.update(told)
            whole = found.hexdigest() == meta["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (array, labels, meta) if whole else None


def _written(folder: Path) -> list[int]:
    """When its files were last written to."""
    return [(folder / name).stat().st_mtime_ns for name in ("array", "labels")]


def _sweep(folder: Path) -> None:
    """Remove what killed processes left: the temporary folders whose lock nobody holds."""
    for stale in folder.glob("*.tmp-*"):
        with locked(folder / f"{stale.name.partition('.')[0]}.lock", wait=False) as held:
            if held:
                shutil.rmtree(stale, ignore_errors=True)


def _make(entry: Path, meta: Meta, blocks: Callable[[Meta], Blocks]) -> None:
    """Write the entry aside, sync it, move it into place."""
    aside = entry.with_name(f"{entry.name}.tmp-{os.getpid()}-{os.urandom(4).hex()}")
    damaged = aside.with_name(f"{aside.name}-old")
    aside.mkdir()
    name, split, skipped = meta["name"], meta["split"], meta["skipped"]
    log.info("decoding %s (%s) into %s", name, split, entry)
    try:
        with closing(blocks(meta)) as rows:
            written = _write(aside, rows)
        if skipped and not written["shape"][0]:
            what = f"all {len(skipped)} images of {name} ({split})"
            raise BadInput(f"{what} are broken: {skipped[0]}, ...")
        if not written["shape"][0]:
            what = f"no image of {name} falls into its {split} split (10 % by content are test)"
            raise BadInput(f"{what}: add images, or sort them into folders train and test")
        with _synced(aside / "meta.json") as file:
            written["written"] = _written(aside)
            file.write(json.dumps(meta | written, indent=1).encode())
        if entry.exists():
            entry.rename(damaged)
        aside.rename(entry)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(damaged, ignore_errors=True)


def _write(folder: Path, blocks: Iterable[Block]) -> Meta:
    """Write the blocks and their labels; what meta.json says of them.

    Plain writes, not a memory map: on a full disk these fail, a map kills the process.
    """
    count, shape, dtype, sha256, labels = 0, None, "", hashlib.sha256(), b""
    told = []
    with _synced(folder / "array") as file:
        for block, block_labels in blocks:
            shape, dtype = shape or block.shape[1:], block.dtype.name
            if block.shape[1:] != shape:
                raise OperationFailed(f"samples of unlike shapes, {shape} and {block.shape[1:]}")
            file.write(block.data)
            sha256.update(block.data)
            count += len(block)
            told += [] if block_labels is None else [block_labels.tobytes()]
    labels = b"".join(told)
    if told and len(labels) != 8 * count:
        raise OperationFailed(f"{count} samples with {len(labels) // 8} labels")
    with _synced(folder / "labels") as file:
        file.write(labels)
    sha256.update(labels)
    meta = {"shape": [count, *(shape or ())], "dtype": dtype, "labelled": bool(told)}
    return meta | {"sha256": sha256.hexdigest()}


@contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
