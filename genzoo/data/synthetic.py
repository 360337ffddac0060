"""Data sets without files: scikit-learn's digits, their negatives, and points."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import cos, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo.data.dataset import Rows, Source, cache_key
from genzoo.errors import OperationFailed

if TYPE_CHECKING:
    from genzoo.data.dataset import Block


SEED = 20090615


def _read_digits(negative: bool, root: Path | None, split: str) -> Rows:
    def blocks() -> Iterator[Block]:
        import numpy as np
        from PIL import Image

        try:
            from sklearn.datasets import load_digits
        except ImportError:
            todo = 'pip install "genzoo[digits]"'
            raise OperationFailed(
                f"digits come with scikit-learn, which is not installed: {todo}"
            ) from None
        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        part = slice(1500) if split == "train" else slice(1500, None)
        images = [Image.fromarray(image) for image in pixels[part]]
        whole = [np.asarray(i.resize((28, 28), Image.Resampling.BICUBIC)) for i in images]
        rows = np.stack(whole)[:, None]
        yield 255 - rows if negative else rows, digits.target[part].astype(np.int64)

    return Rows(cache_key(["negatives" if negative else "digits", 1, split]), blocks)


def _points(name: str, what: str, deviation: float, *centres: list[float]) -> Source:
    """Equally likely Gaussians, 50,000 / 10,000 points; labels say which Gaussian."""
    labelled = len(centres) > 1

    def blocks(split: str) -> Iterator[Block]:
        import numpy as np

        random = np.random.RandomState([SEED, split == "test"])
        count = 10_000 if split == "test" else 50_000
        modes = random.randint(len(centres), size=count).astype(np.int64)
        noise = random.standard_normal((count, len(centres[0])))
        points = np.array(centres)[modes] + deviation * noise
        yield points.astype(np.float32), modes if labelled else None

    def read(root: Path | None, split: str) -> Rows:
        return Rows(
            cache_key(["points", 1, SEED, centres, deviation, split]), partial(blocks, split)
        )

    summary = f"points {what}, deviation {deviation}"
    classes = tuple(str(k) for k in range(len(centres))) if labelled else ()
    return Source(name, "points", summary, "made by genzoo: free of rights", 0, classes, read)


RING = [[2 * cos(pi * k / 4), 2 * sin(pi * k / 4)] for k in range(8)]
GRID = [[2.0 * x, 2.0 * y] for x in range(-2, 3) for y in range(-2, 3)]


def _digits(name: str, summary: str, negative: bool) -> Source:
    terms, classes = "UCI optdigits (E. Alpaydin, C. Kaynak), CC BY 4.0", tuple("0123456789")
    read = partial(_read_digits, negative)
    return Source(name, "images", summary, terms, 256, classes, read)


DIGITS = (
    _digits(
        "digits",
        "scikit-learn's 1,797 handwritten digits, enlarged from 8 to 28 pixels; offline",
        negative=False,
    ),
    _digits(
        "digits-inverted", "the negatives of digits: dark strokes on white; offline", negative=True
    ),
)
POINTS = (
    _points("gaussian1d", "on a line: one Gaussian, mean 4", 0.5, [4.0]),
    _points("mixture3", "on a line: three Gaussians at -3, 0 and 3", 0.5, [-3.0], [0.0], [3.0]),
    _points("ring8", "in the plane: eight Gaussians on a circle of radius 2", 0.02, *RING),
    _points("grid25", "in the plane: 5 by 5 Gaussians at distance 2", 0.05, *GRID),
)
