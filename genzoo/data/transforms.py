"""Transformations of images: `mnist@edges` is MNIST's edges, and beside `mnist` pairs with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from genzoo.data import cache
from genzoo.data.dataset import DataSet, cache_key, check_whole
from genzoo.errors import BadInput
from genzoo.files import is_folder

if TYPE_CHECKING:
    import numpy as np

    from genzoo.data.dataset import Blocks, Meta


FORMAT = 2  # increase it when a transformation gives other bytes
ROWS = 500


def _grey(images: np.ndarray) -> np.ndarray:  # uint8 (n, C, H, W) -> int64 (n, 1, H, W)
    """The brightness, as Pillow computes it (ITU-R 601)."""
    wide = images.astype("int64")
    if wide.shape[1] == 1:
        return wide
    red, green, blue = wide[:, :1], wide[:, 1:2], wide[:, 2:]
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


def _edges(images: np.ndarray) -> np.ndarray:  # uint8 (n, C, H, W) -> int64 (n, 1, H, W)
    """White edges on black: Sobel's slopes across and down, added, with whole numbers alone."""
    import numpy as np

    grey = np.pad(_grey(images), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    top, middle, bottom = grey[:, :, :-2], grey[:, :, 1:-1], grey[:, :, 2:]
    down = top + 2 * middle + bottom
    across = bottom - top
    slopes = abs(down[..., 2:] - down[..., :-2])
    slopes += abs(across[..., 2:] + 2 * across[..., 1:-1] + across[..., :-2])
    return np.minimum(slopes // 4, 255)


def _low(factor: int, images: np.ndarray) -> np.ndarray:  # uint8 (n, C, H, W) -> int64, the same
    """The mean of each square of `factor` pixels, in all its pixels; squares at the end are cut."""
    import numpy as np

    def sums(x: np.ndarray) -> np.ndarray:
        down = np.add.reduceat(x, range(0, height, factor), axis=-2)
        return np.add.reduceat(down, range(0, width, factor), axis=-1)

    height, width = images.shape[-2:]
    counts = sums(np.ones((height, width), "int64"))
    means = (sums(images.astype("int64")) + counts // 2) // counts
    return means.repeat(factor, 2).repeat(factor, 3)[:, :, :height, :width]


def _binary(images: np.ndarray) -> np.ndarray:  # uint8 (n, C, H, W) -> uint8, the same
    """0 below a half, 255 from there on."""
    import numpy as np

    return np.where(images < 128, np.uint8(0), np.uint8(255))


class Transform(NamedTuple):
    """What it does in words, how (uint8 (n, C, H, W) to the same), and the values of the result."""

    about: str
    change: Callable[[np.ndarray], np.ndarray]
    levels: int = 256


TRANSFORMS: dict[str, Transform] = {
    "binary": Transform("black and white: a pixel is white from a half on", _binary, levels=2),
    "edges": Transform("white edges on black", _edges),
    "grey": Transform("without colour", _grey),
    "low2": Transform("half the resolution", partial(_low, 2)),
    "low4": Transform("a quarter of the resolution", partial(_low, 4)),
    "low8": Transform("an eighth of the resolution", partial(_low, 8)),
}


def split_name(name: object) -> tuple[str, str]:
    """`mnist@edges` as ("mnist", "edges"); "" where no transformation follows an `@`, and in a
    Path: there it belongs to the name of a file.
    """
    text, sign, kind = name.rpartition("@") if isinstance(name, str) else ("", "", "")
    return (text, kind) if sign and text and kind in TRANSFORMS else (str(name), "")


def transformed(whole: DataSet, kind: str) -> DataSet:
    """The images of `whole`, all transformed, in its order and with its labels; in the cache.

    They keep their shape: a grey result is the same in all channels. Raises BadInput.
    """
    if whole.kind != "images":
        raise BadInput(f"{whole.name} holds {whole.kind}: only images can be transformed (@{kind})")
    name = f"{whole.name}@{kind}"
    if kind == "grey" and whole.shape[0] == 1:
        raise BadInput(f"{name}: the images of {whole.name} are grey already")
    key = cache_key([FORMAT, "transformed", kind, whole.sha256, whole.shape])
    meta: Meta = {"name": name, "split": whole.split, "skipped": []}
    if is_folder(whole.name):
        meta["slot"] = cache.slot(whole.name, [kind, whole.split, whole.shape])
    array, labels, meta = cache.open_entry(key, meta, lambda _: _blocks(whole, kind))
    summary = replace(whole.summary, name=name)
    levels = TRANSFORMS[kind].levels
    changed = {"labels": labels, "levels": levels, "sha256": meta["sha256"], "summary": summary}
    return replace(whole, name=name, array=array, **changed)


def _blocks(whole: DataSet, kind: str) -> Blocks:
    import numpy as np

    for start in range(0, len(whole), ROWS):
        rows = slice(start, start + ROWS)
        check_whole(whole)
        images = whole.array[rows]
        changed = TRANSFORMS[kind].change(images).astype(np.uint8)
        labels = None if whole.labels is None else whole.labels[rows]
        yield np.ascontiguousarray(np.broadcast_to(changed, images.shape)), labels
