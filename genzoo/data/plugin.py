"""The data sets of plugins, checked; an error in a plugin's code names the plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from genzoo import families
from genzoo.data.dataset import ImageFiles, Rows, SoundFiles, Source, cache_key
from genzoo.errors import GenzooError, OperationFailed
from genzoo.families.registry import others_code, reason_of

if TYPE_CHECKING:
    import numpy as np

    from genzoo.data.dataset import Block


def source(name: str) -> Source:
    """The data set of the plugin `name`. Raises UnknownName; OperationFailed if it is broken.

    Any error of the plugin while its files are read becomes an OperationFailed that names it.
    """

    def fits(value: Any) -> bool:
        return isinstance(value, Source) and value.name == name

    original: Source = families.load("dataset", name, f"a genzoo.data.Source called {name!r}", fits)
    owner = families.owner("dataset", name)
    if {"train", "test"} - {*original.splits}:
        splits = f"{name} has the splits {original.splits}, not train and test"
        raise OperationFailed(f"{owner} is broken: {splits}")

    def read(root: Path | None, split: str) -> Rows | ImageFiles | SoundFiles:
        rows = _guarded(lambda: original.read(root, split), owner)
        expected = Rows | (SoundFiles if original.kind == "signals" else ImageFiles)
        if not isinstance(rows, expected):
            names = " or ".join(kind.__name__ for kind in get_args(expected))
            got = f"{rows!r:.80}"
            raise OperationFailed(f"{owner} is broken: read must return {names}, got {got}")
        if not isinstance(rows, Rows):
            return rows
        # Two plugins may choose the same key.
        return Rows(cache_key([owner, name, rows.key]), lambda: _blocks(rows, owner))

    table = original.read_attributes

    def read_attributes(root: Path | None, split: str) -> np.ndarray:
        import numpy as np

        values = _guarded(lambda: table(root, split) if table else None, owner)
        if not isinstance(values, np.ndarray):
            got = f"{values!r:.80}"
            raise OperationFailed(
                f"{owner} is broken: read_attributes must return an array, got {got}"
            )
        return values

    return replace(original, read=read, read_attributes=read_attributes if table else None)


def _blocks(rows: Rows, owner: str) -> Iterator[Block]:
    import numpy as np

    blocks = _guarded(lambda: iter(rows.blocks()), owner)
    while (block := _guarded(lambda: next(blocks, None), owner)) is not None:
        pair = isinstance(block, tuple) and len(block) == 2
        if not pair or not all(b is None or isinstance(b, np.ndarray) for b in block):
            expected = "blocks must yield (array, labels or None)"
            raise OperationFailed(f"{owner} is broken: {expected}, got {block!r:.80}")
        yield block


def _guarded(call: Callable[[], Any], owner: str) -> Any:
    try:
        with others_code():
            return call()
    except (GenzooError, OSError):  # an error meant for the user; files that cannot be read
        raise
    except Exception as error:
        text = reason_of(error)[:300]
        raise OperationFailed(f"{owner} is broken: {text}. GENZOO_DEBUG=1 shows where") from error
