"""CIFAR-10: its binary files, or its images in lossless files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo.data.dataset import FileSelection, ImageFiles, Rows, cache_key
from genzoo.data.downloads import locate
from genzoo.data.folders import content, folder, stamps, zips
from genzoo.errors import BadInput

if TYPE_CHECKING:
    from genzoo.data.dataset import Block

THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_cifar(root: Path | None, split: str) -> Rows | ImageFiles:
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
