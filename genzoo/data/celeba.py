"""CelebA: its faces, its official split and the table of its 40 attributes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo.data.dataset import FileSelection, FileTree, ImageFiles
from genzoo.data.downloads import locate
from genzoo.data.folders import folder, zips
from genzoo.errors import BadInput

if TYPE_CHECKING:
    import numpy as np


# In the order of CelebA's table (Liu et al. 2015).
ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs",
    "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows",
    "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup",
    "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard",
    "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns",
    "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat",
    "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip


def read_faces(root: Path | None, split: str) -> ImageFiles:
    def find(root: Path) -> tuple[FileTree, int | None, int | None] | None:
        for small in (root / "celeba64" / "celeba64_aligned.zip", root / "celeba64_aligned.zip"):
            if small.is_file():
                return zips([small]), None, None
        if (place := root / "celeba" / "img_align_celeba").is_dir():
            return folder(place), 148, 64
        packed = place.with_suffix(".zip")
        return (zips([packed]), 148, 64) if packed.is_file() else None

    tree, crop, size = locate("celeba", root, find)
    return ImageFiles(tree, f"celeba {split}", partial(select_faces, split), crop, size)


def select_faces(split: str, names: list[str]) -> FileSelection:
    """The official split, by image number, of the whole set; of a part, the last tenth is test."""
    train = test = len(names) - len(names) // 10
    if len(names) == 202_599:
        train, test = 162_770, 182_637
    return FileSelection(tuple(names[:train] if split == "train" else names[test:]))


def read_attributes(root: Path | None, split: str) -> np.ndarray:
    """Which `ATTRIBUTES` each face of the split has: bool (n, 40)."""
    import numpy as np

    faces = read_faces(root, split)
    place = Path(faces.tree.origin).parent
    tables = (place / "celeba64_aligned_attr.csv", place / "list_attr_celeba.txt")
    if not (path := next(filter(Path.is_file, tables), None)):
        raise BadInput(f"no attributes in {place}: expected the file list_attr_celeba.txt")
    text = path.read_text(encoding="utf-8", errors="replace").replace(",", " ")
    table = [line.split() for line in text.splitlines()]
    rows = {row[0]: row[1:] for row in table if row}
    names = faces.choose(faces.tree.names()).names
    try:
        # The .csv begins with the names and "file"; the .txt with the count, then the names.
        header = table[0][1:] if path.suffix == ".csv" else table[1]
        columns = [header.index(name) for name in ATTRIBUTES]
        values = np.array([rows[name.split("/")[-1]] for name in names], dtype=np.int8)
        return values.reshape(len(names), len(header))[:, columns] == 1
    except (LookupError, ValueError, OverflowError) as error:
        raise BadInput(f"{path} does not fit the images: {error}") from None
