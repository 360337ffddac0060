"""Data sets by name or folder: found, split, decoded once, then memory-mapped.

A `Source` says what a set is and how to read it; reading gives `Rows` (arrays, block by block) or
`ImageFiles` (image files). Either is written once into the cache, and a `DataSet` is a view of it.

Each file imports only from those before it: sets, trees, pictures, cache, named, made, plugged.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genzoo import families
from genzoo.data import cache, celeba, decoding, plugin, standard, synthetic
from genzoo.data.dataset import DataSet, ImageFiles, Meta, Source, digest, part_of
from genzoo.data.folders import pictures_below
from genzoo.errors import BadInput, unknown
from genzoo.files import expanded, is_folder

if TYPE_CHECKING:
    import numpy as np


FORMAT = 1  # raise it whenever the same source would give other bytes
LARGEST_SIDE = 4096
SOURCES = {
    source.name: source for source in (*synthetic.DIGITS, *standard.SOURCES, *synthetic.POINTS)
}
log = logging.getLogger("genzoo")


class Listing(NamedTuple):
    """A data set as a listing shows it. `terms` are None where only its plugin could say them."""

    name: str
    summary: str
    terms: str | None
    package: str


def names() -> list[str]:
    """The data sets that have a name: the built-in ones, and those of plugins."""
    return [*SOURCES, *(name for name in families.names("dataset") if name not in SOURCES)]


def listed() -> list[Listing]:
    """What `names` are, those of plugins from their packages' metadata: none is imported."""
    ours = [Listing(s.name, s.summary, s.terms, "genzoo") for s in SOURCES.values()]
    found = {p.name: p for p in families.plugins("dataset")}
    theirs = [found[name] for name in names() if name not in SOURCES]
    return [*ours, *(Listing(p.name, p.summary, None, p.package) for p in theirs)]


def describe(name: str) -> Source:
    """What the data set `name` is; a plugin cannot take the name of a built-in one.

    UnknownName, with near names, if there is none; OperationFailed where its plugin is broken.
    """
    if name in SOURCES:
        return SOURCES[name]
    if name not in {p.name for p in families.plugins("dataset")}:
        raise unknown("data set", name, names(), f"A folder is written ./{name}.")
    return plugin.source(name)


def check(name: str | Path) -> None:
    """Whether there are such data, without opening them. Raises BadInput, UnknownName."""
    if is_folder(name) and not expanded(name).exists():
        raise BadInput(f"there is no folder or .zip {name}")
    if not is_folder(name):
        describe(str(name))


def open(
    name: str | Path | Source,
    split: str = "train",
    *,
    size: int | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
) -> DataSet:
    """Open a data set: a name, or a folder or .zip of images (a Path, or text that begins with
    `./`, `../`, `/` or `~`). `mnist:3` is one class of it, `celeba:Blond_Hair` one attribute.

    In a folder, subfolders are classes (none or one: unlabelled), and `train/` and `test/` at
    the top are the splits; without them 10 % of the files, by content hash, are the test split.
    The split "all" of a folder is every image in it, without labels.
    Transparent parts become white; broken files are left out and named in `skipped`.

    size: images are cropped to the centre square and resized to it (Lanczos); left out, they keep
    their own size. channels: 1 or 3; left out, what the first image has. root: where the files of
    named sets are; left out, $GENZOO_DATA, then the download.
    BadInput, UnknownName, OperationFailed (the cache cannot be written), NetworkError (the
    download).
    """
    if isinstance(name, str) and ":" in name and not is_folder(name) and "," not in name:
        whole, _, kind = name.partition(":")
        return _part(open(whole, split, size=size, channels=channels, root=root), kind, root)
    source = _source(name)
    if split not in source.splits:
        raise BadInput(f"{source.name} has no split {split!r}, only {' and '.join(source.splits)}")
    _check_transform(source, size, channels)
    raw = source.read(_root(root), split)
    what = [source.kind, source.levels, source.classes, raw.key, split, size, channels]
    meta: Meta = {"name": source.name, "split": split, "classes": source.classes, "skipped": []}
    blocks = functools.partial(decoding.blocks, source, raw, size, channels)
    array, labels, meta = cache.opened(digest([FORMAT, *what]), meta, blocks)
    if skipped := tuple(meta["skipped"]):
        first = ", ".join(skipped[:3]) + (", ..." if len(skipped) > 3 else "")
        log.warning("%s: left out %d broken files: %s", source.name, len(skipped), first)
    classes, sha256, terms = tuple(meta["classes"]), meta["sha256"], source.terms
    kind, levels = source.kind, source.levels
    return DataSet(source.name, split, kind, array, labels, classes, levels, sha256, skipped, terms)


def open_pair(
    text: str | Path,
    split: str = "train",
    *,
    size: int | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
) -> tuple[DataSet, DataSet]:
    """Open two unpaired domains of one shape: `A,B`, each as in `open`, or one folder or .zip that
    holds trainA, trainB and, if it has them, testA, testB (CycleGAN's layout).

    Errors as in `open`; BadInput if the shapes differ.
    """
    parts: list[Any]
    if isinstance(text, str) and "," in text:
        parts = [part.strip() for part in text.split(",")]
    elif is_folder(text):
        parts = [pictures_below(text, domain) for domain in "AB"]
    else:
        raise BadInput(f"two domains are written A,B (./summer,./winter), got {str(text)!r}")
    if len(parts) != 2 or not all(parts):
        raise BadInput(f"two domains are written A,B, got {len(parts)} parts in {text!r}")
    one, two = (open(part, split, size=size, channels=channels, root=root) for part in parts)
    if one.shape != two.shape:
        what = f"{one.name} {one.shape}, {two.name} {two.shape}"
        raise BadInput(f"the two domains differ in shape: {what}; give size= and channels=")
    return one, two


def attributes(
    split: str = "train", *, root: str | Path | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """CelebA's 40 attributes: their names, and int8 (n, 40), 1 or -1, row by row as in
    `open("celeba", split)`. BadInput if the table is not beside the images.
    """
    faces = SOURCES["celeba"].read(_root(root), split)
    assert isinstance(faces, ImageFiles)
    return celeba.face_attributes(faces, open("celeba", split, root=root).skipped)


def having(whole: DataSet, kind: str, *, root: str | Path | None = None) -> np.ndarray:
    """Which samples are of the class, or have the attribute, `kind`: bool (n,). UnknownName."""
    known = whole.classes
    if whole.labels is not None and kind in known:
        return whole.labels == known.index(kind)
    if whole.name == "celeba":
        known, values = attributes(whole.split, root=root)
        if kind in known:
            return values[:, known.index(kind)] == 1
    raise unknown(f"class of {whole.name}", kind, known, f"All of it is {whole.name}.")


def _part(whole: DataSet, kind: str, root: str | Path | None) -> DataSet:
    """The samples of one class, or with one of CelebA's attributes."""
    return part_of(whole, f"{whole.name}:{kind}", having(whole, kind, root=root))


def _source(name: str | Path | Source) -> Source:
    if isinstance(name, Source):
        return name
    if isinstance(name, str) and "," in name:
        hint = "for a family that translates (a folder with a comma in its name: as a Path)"
        raise BadInput(f"{name!r} is two domains: {hint}")
    if not isinstance(name, str | Path):
        raise BadInput(f"a data set is a name or a Path, got {type(name).__name__}")
    # The text alone decides, never what happens to lie on the disk.
    return pictures_below(name) if is_folder(name) else describe(str(name))


def _root(root: str | Path | None) -> Path | None:
    if root is None:
        return None
    if not (path := expanded(root)).is_dir():
        raise BadInput(f"root {str(root)!r} is no folder")
    return path


def _check_transform(source: Source, size: int | None, channels: int | None) -> None:
    whole = isinstance(size, int) and not isinstance(size, bool)
    if size is not None and not (whole and 1 <= size <= LARGEST_SIDE):
        raise BadInput(f"size must be a whole number from 1 to {LARGEST_SIDE}, got {size!r}")
    if channels is not None and channels not in (1, 3):
        raise BadInput(f"channels must be 1 or 3, got {channels!r}")
    if source.kind == "points" and (size or channels):
        raise BadInput(f"{source.name} holds points: it takes no size and no channels")
