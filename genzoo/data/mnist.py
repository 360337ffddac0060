"""MNIST, Fashion-MNIST, and the sets made from MNIST: two binarized ones and a stacked one."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo.data.dataset import Rows, cache_key
from genzoo.data.downloads import TORCHVISION, locate
from genzoo.data.folders import content, limited, stamps
from genzoo.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    from genzoo.data.dataset import Block

SEED, STACK_SEED = 20090615, 20161107
DIGITS = tuple("0123456789")
NUMBERS = tuple(f"{number:03}" for number in range(1000))
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
log = logging.getLogger("genzoo")


def read_mnist(name: str, binary: bool, root: Path | None, split: str) -> Rows:
    part = "train" if split == "train" else "t10k"
    files = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]

    def find(root: Path) -> list[Path | None] | None:
        for place in (root / name / TORCHVISION[name] / "raw", root / TORCHVISION[name] / "raw"):
            # The .gz first: its check sum shows damage.
            pairs = [(place / f"{file}.gz", place / file) for file in files]
            if all(paths := [next(filter(Path.is_file, pair), None) for pair in pairs]):
                return paths
        return None

    images, labels = locate(name, root, find)

    def blocks() -> Iterator[Block]:
        pixels, classes = _idx(images, 3)[:, None], _idx(labels, 1).astype("int64")
        if len(pixels) != len(classes):
            raise BadInput(f"{images} has {len(pixels)} images, {labels} {len(classes)} labels")
        return _binarize(pixels, classes, split) if binary else iter([(pixels, classes)])

    return Rows(cache_key(["idx", binary and SEED, stamps(images, labels)]), blocks)


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """A file of LeCun's IDX format, unsigned bytes: uint8, of so many dimensions."""
    import gzip

    import numpy as np

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            whole = limited(file, str(path))
    except (OSError, EOFError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}") from None
    start = 4 + 4 * dimensions
    magic, *shape = (int.from_bytes(whole[i : i + 4], "big") for i in range(0, start, 4))
    if len(whole) < start or magic != 0x800 + dimensions:
        raise BadInput(f"{path} is not an IDX file of {dimensions} dimensions")
    if (size := len(whole) - start) != (count := math.prod(shape)):
        raise BadInput(f"{path} is damaged: {size} bytes after its header, expected {count}")
    return np.frombuffer(whole, dtype=np.uint8, offset=start).reshape(shape)


def _binarize(pixels: np.ndarray, labels: np.ndarray, split: str) -> Iterator[Block]:
    """Sample each pixel once: white with probability pixel / 255, from the seed 20090615."""
    import numpy as np

    # RandomState's streams never change (NEP 19); those of Generator may.
    random = np.random.RandomState([SEED, split == "test"])
    for start in range(0, len(pixels), 1000):
        block = pixels[start : start + 1000]
        white = random.random_sample(block.shape) * 255 < block
        yield white.astype(np.uint8) * np.uint8(255), labels[start : start + 1000]


def read_stacked(root: Path | None, split: str) -> Rows:
    """As many images as MNIST's split has, each of three random digits of it (Metz et al. 2017,
    section 3.3.1); the first one, red, is the hundreds."""
    digits = read_mnist("mnist", False, root, split)
    return Rows(cache_key(["stacked", STACK_SEED, digits.key]), partial(_stack, digits, split))


def _stack(digits: Rows, split: str) -> Iterator[Block]:
    import numpy as np

    ((pixels, labels),) = digits.blocks()
    assert labels is not None
    random = np.random.RandomState([STACK_SEED, split == "test"])
    triples = random.randint(len(pixels), size=(len(pixels), 3), dtype=np.int64)
    for start in range(0, len(triples), 1000):
        rows = triples[start : start + 1000]
        yield pixels[rows, 0], labels[rows] @ np.array([100, 10, 1])


def read_binarized(root: Path | None, split: str) -> Rows:
    def find(root: Path) -> Path | None:
        files = ("binarized_mnist.npz", f"binarized_mnist_{split}.amat")
        return next(filter(Path.is_file, (root / "mnist_binarized" / f for f in files)), None)

    path = locate("mnist-binarized", root, find)

    def blocks() -> Iterator[Block]:
        bits = _packed_bits(path, split) if path.suffix == ".npz" else _text_bits(path)
        yield (bits * 255).astype("uint8").reshape(-1, 1, 28, 28), None

    return Rows(cache_key(["binarized", split, stamps(path)]), blocks)


def _packed_bits(path: Path, split: str) -> np.ndarray:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            packed = arrays[split]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"cannot read {split} of {path}: {error}") from None
    if packed.dtype != np.uint8 or packed.shape[1:] != (98,):
        raise BadInput(f"{path}: expected uint8 (n, 98), got {packed.dtype} {packed.shape}")
    return np.unpackbits(packed, axis=1)


def _text_bits(path: Path) -> np.ndarray:
    """Larochelle's text files: 784 of 0 and 1 on a line."""
    import numpy as np

    bits = np.frombuffer(content(path).translate(None, b" \r\n"), dtype=np.uint8) - ord("0")
    if not bits.size or bits.size % 784 or bits.max() > 1:
        raise BadInput(f"{path}: expected lines of 784 zeros and ones")
    return bits
