"""The standard data sets: name, summary, terms, and the function that reads each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.data import celeba
from genzoo.data.cifar10 import THINGS, read_cifar
from genzoo.data.dataset import ImageFiles, Rows, Source
from genzoo.data.mnist import (
    CLOTHES,
    DIGITS,
    NUMBERS,
    read_binarized,
    read_mnist,
    read_stacked,
)

if TYPE_CHECKING:
    pass


MNIST_TERMS = "usually given as CC BY-SA 3.0, copyright Y. LeCun and C. Cortes"
DRAWN = "MNIST sampled to black and white with genzoo's seed; not the literature's binarisation"
STACKED = "three MNIST digits as red, green and blue, 28x28: 1,000 modes; by genzoo's seed"
FIXED = "MNIST in the literature's fixed binarisation (Salakhutdinov & Murray 2008)"
THINGS_TERMS = "no explicit license; research use, cite Krizhevsky 2009"
FACES_TERMS = "non-commercial research only; no further copying or distribution"
ABOUT = {  # summary, terms
    "mnist": ("70,000 handwritten digits, 28x28 grey", MNIST_TERMS),
    "fashion-mnist": ("70,000 images of clothes, 28x28 grey", "MIT, copyright 2017 Zalando SE"),
    "mnist-binary": (DRAWN, MNIST_TERMS),
    "mnist-binarized": (FIXED, MNIST_TERMS),
    "stacked-mnist": (STACKED, MNIST_TERMS),
    "cifar10": ("60,000 photographs of ten classes, 32x32 RGB", THINGS_TERMS),
    "celeba": ("faces, 64x64 RGB: aligned CelebA, cropped to the central 148 pixels", FACES_TERMS),
}

# How the split is found. Of CelebA the official one, or of a part the last tenth of its numbers.
SPLIT_FROM = {**dict.fromkeys(ABOUT, "official"), "celeba": "by image number"}


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
    _images("mnist", partial(read_mnist, "mnist", False), DIGITS),
    _images("fashion-mnist", partial(read_mnist, "fashion-mnist", False), CLOTHES),
    _images("mnist-binary", partial(read_mnist, "mnist", True), DIGITS, 2),
    _images("stacked-mnist", read_stacked, NUMBERS),
    _images("mnist-binarized", read_binarized, (), 2, ("train", "valid", "test")),
    _images("cifar10", read_cifar, THINGS),
    _images(
        "celeba",
        celeba.read_faces,
        attributes=celeba.ATTRIBUTES,
        read_attributes=celeba.read_attributes,
    ),
)
