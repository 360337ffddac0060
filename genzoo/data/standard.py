"""Standard data sets by name: what each is, its terms, and who reads it."""

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
