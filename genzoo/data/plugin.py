"""The sets that plugins bring: held to their word, and named when they break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo import families
from genzoo.data.dataset import ImageFiles, Rows, Source, digest
from genzoo.errors import GenzooError, OperationFailed

if TYPE_CHECKING:
    from genzoo.data.dataset import Block


def source(name: str) -> Source:
    """The data set of the plugin ``name``. Raises UnknownName; OperationFailed where the plugin is
    broken.

    What goes wrong in the plugin while its files are read is an OperationFailed that names it.
    """

    def fits(found: Any) -> bool:
        return isinstance(found, Source) and found.name == name

    found: Source = families.load("dataset", name, f"a genzoo.data.Source called {name!r}", fits)
    owner = families.owner("dataset", name)
    if {"train", "test"} - {*found.splits}:
        raise OperationFailed(
            f"{owner} is broken: {name} has the splits {found.splits}, not train and test"
        )

    def read(root: Path | None, split: str) -> Rows | ImageFiles:
        rows = _guarded(lambda: found.read(root, split), owner)
        if isinstance(rows, ImageFiles):
            return rows
        if not isinstance(rows, Rows):
            raise OperationFailed(
                f"{owner} is broken: read must return Rows or Pictures, got {rows!r:.80}"
            )
        # Two plugins may well choose the same key.
        return Rows(digest([owner, name, rows.key]), lambda: _blocks(rows, owner))

    return replace(found, read=read)


def _blocks(rows: Rows, owner: str) -> Iterator[Block]:
    import numpy as np

    blocks = _guarded(lambda: iter(rows.blocks()), owner)
    while (block := _guarded(lambda: next(blocks, None), owner)) is not None:
        pair = isinstance(block, tuple) and len(block) == 2
        if not pair or not all(b is None or isinstance(b, np.ndarray) for b in block):
            got = f"{block!r:.80}"
            raise OperationFailed(
                f"{owner} is broken: blocks must yield (array, labels or None), got {got}"
            )
        yield block


def _guarded(call: Callable[[], Any], owner: str) -> Any:
    try:
        return call()
    except (GenzooError, OSError):  # a no of its own; files that cannot be read
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise OperationFailed(f"{owner} is broken: {said}. GENZOO_DEBUG=1 shows where") from error
