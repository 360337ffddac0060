"""Data sets without files: scikit-learn's digits, their negatives, points, tones and strings."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from math import cos, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.data.dataset import Rows, Source, cache_key
from genzoo.errors import OperationFailed, install_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy import ndarray
    from numpy.random import RandomState

    from genzoo.data.dataset import Block


SEED = 20090615
RATE, LENGTH = 8000, 2048
NOTES = ("C3", "C#3", "D3", "D#3", "E3", "F3", "F#3", "G3", "G#3", "A3", "A#3", "B3")


def _read_digits(negative: bool, root: Path | None, split: str) -> Rows:
    def blocks() -> Iterator[Block]:
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            todo = install_command("digits")
            raise OperationFailed(
                f"digits come with scikit-learn, which is not installed: {todo}"
            ) from None
        rows, labels = _enlarged(load_digits)
        part = slice(1500) if split == "train" else slice(1500, None)
        yield 255 - rows[part] if negative else rows[part].copy(), labels[part].copy()

    return Rows(cache_key(["negatives" if negative else "digits", 1, split]), blocks)


@cache  # both splits, and both signs, take it: 1.4 MB
def _enlarged(load_digits: Callable[[], Any]) -> tuple[ndarray, ndarray]:
    """scikit-learn's digits from 8 to 28 pixels: (1797, 1, 28, 28) in 8 bits, and their labels."""
    import numpy as np
    from PIL import Image

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    images = [Image.fromarray(image) for image in pixels]
    whole = [np.asarray(i.resize((28, 28), Image.Resampling.BICUBIC)) for i in images]
    return np.stack(whole)[:, None], digits.target.astype(np.int64)


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


def _signals(name: str, summary: str, make: Callable[[RandomState, ndarray], ndarray]) -> Source:
    """4,000 / 1,000 sounds of 2,048 samples, 8,000 a second; labels say which note."""

    def blocks(split: str) -> Iterator[Block]:
        import numpy as np

        random = np.random.RandomState([SEED, split == "test"])
        notes = random.randint(len(NOTES), size=1000 if split == "test" else 4000).astype(np.int64)
        for part in np.split(notes, range(500, len(notes), 500)):
            sounds = make(random, part)[:, None]
            # In 16 bits, as files have them: machines differ in the last bit of a sine.
            yield (np.rint(sounds * 32767) / 32768).astype(np.float32), part

    def read(root: Path | None, split: str) -> Rows:
        return Rows(cache_key(["signals", name, 1, SEED, split]), partial(blocks, split))

    terms = "made by genzoo: free of rights"
    return Source(name, "signals", summary, terms, 0, NOTES, read, rate=RATE)


def _tones(random: RandomState, notes: ndarray) -> ndarray:
    """Four partials of random phases and strengths, up to 20 cents out of tune: (n, LENGTH)."""
    import numpy as np

    n, orders = len(notes), np.arange(1, 5)
    pitch = 220 * 2 ** ((notes - 9 + random.uniform(-0.2, 0.2, n)) / 12)  # A3 is 220 Hz
    strength = random.uniform(0, 1, (n, 4)) / orders
    strength[:, 0] = 1
    phase = random.uniform(0, 1, (n, 4))
    cycles = pitch[:, None] * np.arange(LENGTH) / RATE
    x = sum(
        strength[:, [i]] * np.sin(2 * pi * (order * cycles + phase[:, [i]]))
        for i, order in enumerate(orders)
    )
    return random.uniform(0.3, 0.9, (n, 1)) * x / np.abs(x).max(1, keepdims=True)


def _plucked(random: RandomState, notes: ndarray) -> ndarray:
    """Karplus & Strong 1983, section 2: noise in a loop that averages neighbours: (n, LENGTH)."""
    import numpy as np

    x = np.zeros((len(notes), LENGTH))
    for note in range(len(NOTES)):
        own = np.flatnonzero(notes == note)
        # Averaging two neighbours adds half a sample to the period.
        period = round(RATE / (220 * 2 ** ((note - 9) / 12)) - 0.5)
        decay = random.uniform(0.97, 1, (len(own), 1))
        y = np.zeros((len(own), LENGTH + 1))  # a zero before the first
        noise = random.uniform(-1, 1, (len(own), period))
        y[:, 1 : period + 1] = noise - noise.mean(1, keepdims=True)
        for start in range(period + 1, LENGTH + 1, period):
            first, last = start - period, min(start, LENGTH + 1 - period)
            both = y[:, first:last] + y[:, first - 1 : last - 1]
            y[:, start : start + period] = decay * both / 2
        x[own] = y[:, 1:]
    return random.uniform(0.3, 0.9, (len(notes), 1)) * x / np.abs(x).max(1, keepdims=True)


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
SIGNALS = (
    _signals("tones", "sounds of four partials, one of 12 notes, 2,048 samples at 8 kHz", _tones),
    _signals("plucked", "plucked strings, one of 12 notes, 2,048 samples at 8 kHz", _plucked),
)
