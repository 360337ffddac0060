"""Standard data sets: MNIST and its relatives, CIFAR-10 and CelebA."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.data import celeba
from genzoo.data.dataset import FileSelection, ImageFiles, Rows, Source, cache_key
from genzoo.data.downloads import TORCHVISION, locate
from genzoo.data.folders import content, folder, limited, stamps, zips
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
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MNIST_TERMS = "usually given as CC BY-SA 3.0, copyright Y. LeCun and C. Cortes"
DRAWN = "MNIST drawn to black and white by genzoo's own seed; no match for the literature's"
STACKED = "three MNIST digits as red, green and blue, 28x28: 1,000 modes, by genzoo's own seed"
FIXED = "MNIST in the literature's fixed black-and-white draw (Salakhutdinov & Murray 2008)"
THINGS_TERMS = "no explicit license; research use, cite Krizhevsky 2009"
FACES_TERMS = "non-commercial research only; no further copying or distribution"
ABOUT = {  # summary, terms
    "mnist": ("70,000 handwritten digits, 28x28 grey", MNIST_TERMS),
    "fashion-mnist": ("70,000 pictures of clothes, 28x28 grey", "MIT, copyright 2017 Zalando SE"),
    "mnist-binary": (DRAWN, MNIST_TERMS),
    "mnist-binarized": (FIXED, MNIST_TERMS),
    "stacked-mnist": (STACKED, MNIST_TERMS),
    "cifar10": ("60,000 small photographs of ten kinds of things, 32x32 RGB", THINGS_TERMS),
    "celeba": ("faces, 64x64 RGB: the aligned CelebA, its centre 148 pixels", FACES_TERMS),
}
log = logging.getLogger("genzoo")


def _read_mnist(name: str, binary: bool, root: Path | None, split: str) -> Rows:
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

    # RandomState's streams are frozen for good (NEP 19), those of Generator are not.
    random = np.random.RandomState([SEED, split == "test"])
    for start in range(0, len(pixels), 1000):
        block = pixels[start : start + 1000]
        white = random.random_sample(block.shape) * 255 < block
        yield white.astype(np.uint8) * np.uint8(255), labels[start : start + 1000]


def _read_stacked(root: Path | None, split: str) -> Rows:
    """As many pictures as MNIST's split has, their three digits drawn from it (Metz et al. 2017,
    section 3.3.1); the first one, red, is the hundreds."""
    digits = _read_mnist("mnist", False, root, split)
    return Rows(cache_key(["stacked", STACK_SEED, digits.key]), partial(_stack, digits, split))


def _stack(digits: Rows, split: str) -> Iterator[Block]:
    import numpy as np

    ((pixels, labels),) = digits.blocks()
    assert labels is not None
    random = np.random.RandomState([STACK_SEED, split == "test"])
    chosen = random.randint(len(pixels), size=(len(pixels), 3), dtype=np.int64)
    for start in range(0, len(chosen), 1000):
        rows = chosen[start : start + 1000]
        yield pixels[rows, 0], labels[rows] @ np.array([100, 10, 1])


def _read_binarized(root: Path | None, split: str) -> Rows:
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
        raise BadInput(f"{path} is not lines of 784 zeros and ones")
    return bits


def _read_cifar(root: Path | None, split: str) -> Rows | ImageFiles:
    parts = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]

    def find(root: Path) -> Rows | ImageFiles | None:
        files = [root / "cifar-10-batches-bin" / f"{part}.bin" for part in parts]
        if all(file.is_file() for file in files):
            return Rows(cache_key(["cifar", stamps(*files)]), partial(map, _cifar_batch, files))
        if packed := sorted((root / "cifar10_lossless").glob(f"cifar10_{split}*.zip")):
            tree = zips(packed)
        elif (place := root / "cifar10" / split).is_dir():
            tree = folder(place)
        else:
            return None
        return ImageFiles(tree, "cifar10", partial(_cifar_choice, tree.origin))

    split_files: Rows | ImageFiles = locate("cifar10", root, find)
    return split_files


def _cifar_choice(origin: str, names: list[str]) -> FileSelection:
    folders = [name.split("/")[-2] if "/" in name else "" for name in names]
    if not {*folders} <= {*THINGS}:
        raise BadInput(f"{origin}: expected the folders {', '.join(THINGS)}")
    return FileSelection(tuple(names), tuple(map(THINGS.index, folders)), THINGS)


def _cifar_batch(path: Path) -> Block:
    """A file of the binary version: rows of one label and 3,072 pixels."""
    import numpy as np

    data = np.frombuffer(content(path), dtype=np.uint8)
    if not data.size or data.size % 3073:
        raise BadInput(f"{path} is damaged: {data.size} bytes are no multiple of 3073")
    rows = data.reshape(-1, 3073)
    if rows[:, 0].max() > 9:
        raise BadInput(f"{path} is damaged: a label of {rows[:, 0].max()}")
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def _images(
    name: str,
    read: Callable[[Path | None, str], Rows | ImageFiles],
    classes: tuple[str, ...] = (),
    levels: int = 256,
    splits: tuple[str, ...] = ("train", "test"),
    **attributes: Any,
) -> Source:
    return Source(name, "images", *ABOUT[name], levels, classes, read, splits, **attributes)


SOURCES = (
    _images("mnist", partial(_read_mnist, "mnist", False), DIGITS),
    _images("fashion-mnist", partial(_read_mnist, "fashion-mnist", False), CLOTHES),
    _images("mnist-binary", partial(_read_mnist, "mnist", True), DIGITS, 2),
    _images("stacked-mnist", _read_stacked, NUMBERS),
    _images("mnist-binarized", _read_binarized, (), 2, ("train", "valid", "test")),
    _images("cifar10", _read_cifar, THINGS),
    _images(
        "celeba",
        celeba.read_faces,
        attributes=celeba.ATTRIBUTES,
        read_attributes=celeba.read_attributes,
    ),
)
