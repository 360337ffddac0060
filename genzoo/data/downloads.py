"""Find the files of standard data sets on the disk, or download them."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genzoo.errors import BadInput, DataMissing, NetworkError, OperationFailed, argument
from genzoo.files import expanded, home, locked, replace_folder, whole_folder

log = logging.getLogger("genzoo")
LAYOUTS = {
    "mnist": "mnist/MNIST/raw or MNIST/raw, four *-ubyte(.gz)",
    "fashion-mnist": "fashion-mnist/FashionMNIST/raw or FashionMNIST/raw, four *-ubyte(.gz)",
    "cifar10": "cifar-10-batches-bin (the binary version; cifar-10-batches-py is a pickle and is "
    "not read), cifar10/train/CLASS/*.png or cifar10_lossless/cifar10_*.zip",
    "celeba": "celeba/img_align_celeba(.zip) or celeba64/celeba64_aligned.zip",
    "mnist-binarized": "mnist_binarized/binarized_mnist.npz or .../binarized_mnist_SPLIT.amat",
}
# Classes of torchvision.datasets. Not its CIFAR10: that would download, and open, a pickle.
TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "celeba": "CelebA"}
CIFAR = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"


def locate(name: str, root: Path | None, find: Callable[[Path], Any]) -> Any:
    """The result of `find(root)`; without a root, of $GENZOO_DATA, then of the downloads."""
    downloads, folder = home() / "downloads", os.environ.get("GENZOO_DATA")
    if folder and not root and not expanded(folder).is_dir():
        raise BadInput(f"GENZOO_DATA is {folder}, which is not a folder")
    for place in [root] if root else [*([expanded(folder)] if folder else []), downloads]:
        if (files := find(place)) is not None:
            return files
    if root or name not in (*TORCHVISION, "cifar10"):
        where = root or folder or "GENZOO_DATA (not set)"
        raise DataMissing(f"no files of {name} in {where}: expected {LAYOUTS[name]}")
    _download(name, downloads, find)
    if (files := find(downloads)) is not None:
        return files
    raise OperationFailed(f"the download of {name} gave no usable files in {downloads}")


def _download(name: str, place: Path, find: Callable[[Path], Any]) -> None:
    """Download and unpack ``name`` into ``place``: what is cut off is never taken for all of it."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with locked(place / f"{name}.lock"), contextlib.redirect_stdout(sys.stderr):
            if find(place) is not None:  # another process has, meanwhile
                return
            log.info("downloading %s into %s", name, place)
            with whole_folder(place / name, _move) as aside:
                _fetch(name, str(aside))
    except Exception as error:  # downloading and unpacking raise errors of many classes
        cause = error.__cause__ if isinstance(error, OperationFailed) else error  # of its folder
        if getattr(cause, "errno", None) in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            raise OperationFailed(f"cannot write {place}: {cause}; set GENZOO_HOME") from error
        why = str(cause).strip().splitlines()[:1] or [type(error).__name__]
        hint = f"name their folder with {argument('root')} or GENZOO_DATA: {LAYOUTS[name]}"
        raise NetworkError(f"could not download {name} ({why[0]}); {hint}") from error


def _move(aside: Path, target: Path) -> None:
    """Move what is in ``aside`` beside ``target``, whose own name only serves to find ``aside``."""
    for path in aside.iterdir():
        if path.is_dir():
            replace_folder(path, target.with_name(path.name))
        else:
            path.replace(target.with_name(path.name))


def _fetch(name: str, place: str) -> None:
    from torchvision import datasets

    if name == "cifar10":
        md5 = "c32a1d4ab5d03f1284b67883e8d87530"
        datasets.utils.download_and_extract_archive(CIFAR, place, md5=md5)
    else:
        getattr(datasets, TORCHVISION[name])(place, download=True)
