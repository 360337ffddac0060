"""Data sets by name or folder: found, split, decoded once, then memory-mapped.

A `Source` says what a named set is and how to read it; reading gives `Rows` (arrays, block by
block) or `Pictures` (image files). Either is written once into the cache, and a `DataSet` is a
view of what lies there.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import importlib
import io
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, final

from genzoo.errors import BadInput, Failed, GenzooError, Unreachable, unknown

if TYPE_CHECKING:
    import zipfile

    import numpy as np
    import torch
    from numpy.typing import ArrayLike
    from PIL.Image import Image

    Device = str | torch.device
    Block = tuple[np.ndarray, np.ndarray | None]
    Blocks = Generator[Block, None, None]

FORMAT = 1  # raise it whenever the same source would give other bytes
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
# Not every format that Pillow knows: EPS, for one, would start Ghostscript.
DECODERS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
LARGEST_FILE = 1 << 28
LARGEST_SIDE = 4096
SEED = 20090615
log = logging.getLogger("genzoo")


# ------------------------------------------------------------------------------ what a set is


@final
@dataclass(frozen=True)
class Rows:
    """One split as arrays. `key` changes whenever the rows would; `blocks` yields them in order:
    uint8 (k, C, H, W) or float32 (k, d), each with int64 labels (k,) or None.
    """

    key: str
    blocks: Callable[[], Iterable[Block]]


@final
@dataclass(frozen=True)
class Tree:
    """Image files below a folder or inside zips. `key` changes whenever a file does; `names`
    lists them, sorted, with `/`; `opened` gives, while it is entered, a function name -> bytes.
    """

    origin: str
    key: str
    names: Callable[[], list[str]]
    opened: Callable[[], AbstractContextManager[Callable[[str], bytes]]]


@final
@dataclass(frozen=True)
class Choice:
    """The files of one split, in order. `part`: of them, only those whose content falls into that
    part; "" takes all.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()
    part: str = ""


@final
@dataclass(frozen=True)
class Pictures:
    """One split as image files of a tree: `choose` picks them from the tree's names, by a rule
    that the text `rule` names. `crop`: the centre square used, in pixels; `size`: the default side.
    """

    tree: Tree
    rule: str
    choose: Callable[[list[str]], Choice]
    crop: int | None = None
    size: int | None = None

    @property
    def key(self) -> str:
        return _digest([self.tree.key, self.rule, self.crop, self.size])


@final
@dataclass(frozen=True)
class Source:
    """A data set that can be opened; what a plugin hands over too.

    `read(root, split)` finds the files (in `root` alone if given) and gives the split's rows.
    `levels`: the values a pixel takes, 256, or 2 (stored as 0 and 255); 0 for points.
    """

    name: str
    kind: Literal["images", "points"]
    summary: str
    terms: str
    levels: int
    classes: tuple[str, ...]
    read: Callable[[Path | None, str], Rows | Pictures]
    splits: tuple[str, ...] = ("train", "test")


@final
@dataclass(frozen=True, eq=False)
class DataSet:
    """One split, memory-mapped and read-only.

    `array`: uint8 (n, C, H, W) or, for points, float32 (n, d). `labels`: int64 (n,) or None.
    `levels`: 256, or 2 (the array holds 0 and 255 then); 0 for points. `sha256`: of the array's
    bytes and then the labels'. `skipped`: broken files, by name. `terms`: "" where unknown.
    """

    name: str
    split: str
    kind: Literal["images", "points"]
    array: np.ndarray = field(repr=False)
    labels: np.ndarray | None = field(repr=False)
    classes: tuple[str, ...]
    levels: int
    sha256: str
    skipped: tuple[str, ...]
    terms: str

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (C, H, W) or (d,)."""
        return tuple(self.array.shape[1:])

    def batch(
        self, indices: ArrayLike, device: Device = "cpu", flip: ArrayLike | None = None
    ) -> torch.Tensor:
        """The samples at `indices` (n,): float32 (n, C, H, W) in [0, 1]; points as they are.

        Images are mirrored left-right where `flip`, bool (n,), is true. IndexError beyond the end.
        """
        import torch

        rows = self.array.take(_indices(indices), axis=0)
        if self.kind == "points":
            return torch.from_numpy(rows).to(device)
        if flip is not None:
            flip = _flips(flip, len(rows))
            rows[flip] = rows[flip][..., ::-1]
        # Bytes travel to the device, floats are made there.
        return torch.from_numpy(rows).to(device).to(torch.float32).div_(255)

    def labels_of(self, indices: ArrayLike, device: Device = "cpu") -> torch.Tensor | None:
        """The labels at `indices`: int64 (n,); None where the set has none."""
        import torch

        if self.labels is None:
            return None
        return torch.from_numpy(self.labels.take(_indices(indices))).to(device)


def _indices(indices: ArrayLike) -> np.ndarray:
    import numpy as np

    indices = np.asarray(indices)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        got = f"{indices.dtype} {indices.shape}"
        raise BadInput(f"indices must be integers of shape (n,), got {got}")
    return indices.astype(np.int64, copy=False)


def _flips(flip: ArrayLike, count: int) -> np.ndarray:
    import numpy as np

    flip = np.asarray(flip)
    if flip.shape != (count,) or flip.dtype != bool:
        raise BadInput(f"flip must be bool of shape ({count},), got {flip.dtype} {flip.shape}")
    return flip


# ------------------------------------------------------------------------------------ opening


def names() -> list[str]:
    """The built-in data sets."""
    return list(SOURCES)


def describe(name: str) -> Source:
    """What the built-in data set `name` is. UnknownName, with near names, if there is none."""
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES, f"A folder is written ./{name}.")
    return SOURCES[name]


def open(
    name: str | Path | Source,
    split: str = "train",
    *,
    size: int | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
) -> DataSet:
    """Open a data set: a name, or a folder or .zip of images (a Path, or text that begins with
    `./`, `../`, `/` or `~`).

    In a folder, subfolders are classes (none or one: unlabelled), and `train/` and `test/` at
    the top are the splits; without them 10 % of the files, by content hash, are the test split.
    Transparent parts become white; broken files are left out and named in `skipped`.

    size: images are cropped to the centre square and resized to it (Lanczos); left out, they keep
    their own size. channels: 1 or 3; left out, what the first image has. root: where the files of
    named sets are; left out, $GENZOO_DATA, then the download.
    BadInput, UnknownName, Failed (the cache cannot be written), Unreachable (the download).
    """
    source = _source(name)
    if split not in source.splits:
        raise BadInput(f"{source.name} has no split {split!r}, only {' and '.join(source.splits)}")
    _check_transform(source, size, channels)
    raw = source.read(_root(root), split)
    array, labels, meta = _cached(source, raw, split, size, channels)
    skipped = tuple(meta["skipped"])
    if skipped:
        first = ", ".join(skipped[:3]) + (", ..." if len(skipped) > 3 else "")
        log.warning("%s: left out %d broken files: %s", source.name, len(skipped), first)
    rest = (tuple(meta["classes"]), source.levels, meta["sha256"], skipped, source.terms)
    return DataSet(source.name, split, source.kind, array, labels, *rest)


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
    if isinstance(text, str) and "," in text:
        parts: list[Any] = [part.strip() for part in text.split(",")]
    elif _is_path(text):
        parts = [_folder_source(text, domain) for domain in "AB"]
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
    import numpy as np

    raw = SOURCES["celeba"].read(_root(root), split)
    assert isinstance(raw, Pictures)
    skipped = open("celeba", split, root=root).skipped
    names = [name for name in raw.choose(raw.tree.names()).names if name not in skipped]
    folder = Path(raw.tree.origin).parent
    for table in (folder / "celeba64_aligned_attr.csv", folder / "list_attr_celeba.txt"):
        if table.is_file():
            header, rows = _attribute_table(table)
            try:
                kept = [rows[Path(name).name] for name in names]
                return header, np.array(kept, dtype=np.int8).reshape(len(kept), len(header))
            except (KeyError, ValueError, OverflowError) as error:
                raise BadInput(f"{table} does not fit the images: {error}") from None
    raise BadInput(f"no attributes in {folder}: expected list_attr_celeba.txt there")


def _attribute_table(path: Path) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    import csv

    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if path.suffix == ".csv":
        table = list(csv.reader(lines))
        header = table[0][1:] if table else []
    else:  # a line with the count, a line with the names, then rows apart by spaces
        table = [line.split() for line in lines[1:]]
        header = table[0] if table else []
    return tuple(header), {row[0]: row[1:] for row in table[1:] if row}


def _source(name: str | Path | Source) -> Source:
    if isinstance(name, Source):
        return name
    if _is_path(name) and not (isinstance(name, str) and "," in name):
        return _folder_source(name)
    if not isinstance(name, str):
        raise BadInput(f"a data set is a name or a Path, got {type(name).__name__}")
    if "," in name:
        hint = "open them with open_pair (one folder with a comma in its name: as a Path)"
        raise BadInput(f"{name!r} is two domains: {hint}")
    return describe(name)


def _is_path(name: object) -> bool:
    # The text alone decides, never what happens to lie on the disk.
    pattern = r"\.{1,2}$|\.{0,2}[/\\]|~|[A-Za-z]:[/\\]"
    return isinstance(name, Path) or (isinstance(name, str) and bool(re.match(pattern, name)))


def _root(root: str | Path | None) -> Path | None:
    if root is None:
        return None
    if not (path := _expanded(root)).is_dir():
        raise BadInput(f"root {str(root)!r} is no folder")
    return path


def _expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{str(path)!r}: {error}") from None


def _check_transform(source: Source, size: int | None, channels: int | None) -> None:
    whole = isinstance(size, int) and not isinstance(size, bool)
    if size is not None and not (whole and 1 <= size <= LARGEST_SIDE):
        raise BadInput(f"size must be a whole number from 1 to {LARGEST_SIDE}, got {size!r}")
    if channels is not None and channels not in (1, 3):
        raise BadInput(f"channels must be 1 or 3, got {channels!r}")
    if source.kind == "points" and (size or channels):
        raise BadInput(f"{source.name} holds points: it takes no size and no channels")


# ---------------------------------------------------------------------------- folders and zips


def _folder_source(path: str | Path, domain: str = "") -> Source:
    def read(root: Path | None, split: str) -> Pictures:
        tree = _tree(path)
        choose = functools.partial(_chosen, tree.origin, split, domain)
        return Pictures(tree, f"folder {split} {domain}", choose)

    name = f"{path}/train{domain}" if domain else str(path)
    return Source(name, "images", "images of a folder", "", 256, (), read)


def _tree(path: str | Path) -> Tree:
    expanded = _expanded(path)
    if expanded.is_dir():
        tree = _folder(expanded)
    elif expanded.is_file() and expanded.suffix.lower() == ".zip":
        tree = _zips([expanded])
    elif expanded.exists():
        raise BadInput(f"{path} is neither a folder nor a .zip of images")
    else:
        raise BadInput(f"there is no folder or .zip {path}")
    return tree


def _folder(path: Path) -> Tree:
    @contextlib.contextmanager
    def opened() -> Iterator[Callable[[str], bytes]]:
        yield lambda name: _content(path / name)

    try:
        stamps = dict(_walk(path))
    except OSError as error:
        raise BadInput(f"cannot list {error.filename or path}: {error.strerror}") from None
    # Two unpacked archives may agree in names, sizes and times, but not in their place.
    key = _digest([str(path.resolve()), stamps])
    return Tree(str(path), key, lambda: _some(path, stamps), opened)


def _some(path: Path, names: Iterable[str]) -> list[str]:
    if not (names := sorted(names)):
        raise BadInput(f"no images in {path}: looked for {' '.join(SUFFIXES)}")
    return names


def _walk(
    folder: Path, prefix: str = "", above: tuple[Path, ...] = ()
) -> Iterator[tuple[str, list]]:
    real = folder.resolve()
    if real in above:  # a link back to a folder that holds it
        return
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", (*above, real))
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            yield prefix + entry.name, _file_stamp(entry)


def _file_stamp(entry: os.DirEntry | Path) -> list[int]:
    try:
        stat = entry.stat()
    except OSError:  # a dangling link: reading it will fail and name it
        return [-1, -1]
    return [stat.st_size, stat.st_mtime_ns]


def _content(path: Path) -> bytes:
    if not path.is_file():  # a pipe would wait for ever
        raise OSError(f"{path} is no regular file")
    if path.stat().st_size > LARGEST_FILE:
        raise OSError(f"{path} is larger than {LARGEST_FILE} bytes")
    return path.read_bytes()


def _zips(paths: list[Path]) -> Tree:
    def names() -> list[str]:
        found: list[str] = []
        for path in paths:
            with _zip(path) as archive:
                found += [info.filename for info in archive.infolist() if _wanted(info)]
        return _some(paths[0], set(found))

    @contextlib.contextmanager
    def opened() -> Iterator[Callable[[str], bytes]]:
        with contextlib.ExitStack() as stack:
            archives = [stack.enter_context(_zip(path)) for path in paths]
            holders = {name: archive for archive in archives for name in archive.namelist()}
            yield lambda name: _member(holders[name], name)

    # Not the list of check sums: reading 50,000 takes half a second.
    return Tree(str(paths[0]), _digest(_stamped(*paths)), names, opened)


def _zip(path: Path) -> zipfile.ZipFile:
    import zipfile

    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadInput(f"cannot read the zip {path}: {error}") from None


def _wanted(info: zipfile.ZipInfo) -> bool:
    parts = info.filename.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and Path(parts[-1]).suffix.lower() in SUFFIXES


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(LARGEST_FILE + 1)  # its header may lie about the size
    if len(data) > LARGEST_FILE:
        raise OSError(f"{name} is larger than {LARGEST_FILE} bytes")
    return data


def _chosen(origin: str, split: str, domain: str, names: list[str]) -> Choice:
    """The split's files: by the folders `train` and `test` if both are there, else by content."""
    within = _unwrapped(names)
    train, test = f"train{domain}/", f"test{domain}/"
    has_train, has_test = (any(name.startswith(top) for name in within) for top in (train, test))
    if domain and not has_train:
        raise BadInput(f"no trainA and trainB in {origin}; two folders are written A,B")
    if not (has_train and (has_test or domain)):
        return _labelled(origin, within, within, split)
    below = {
        top: {n[len(top) :]: within[n] for n in within if n.startswith(top)}
        for top in (train, test)
    }
    chosen = below[test if split == "test" and has_test else train]
    return _labelled(origin, chosen, {**below[train], **below[test]}, "" if has_test else split)


def _labelled(origin: str, chosen: dict[str, str], every: Iterable[str], part: str) -> Choice:
    """The files `chosen` (name within the split -> whole name); the classes are all in `every`."""
    classes = _classes(origin, list(every))
    if not classes:
        return Choice(tuple(chosen.values()), part=part)
    number = {name: index for index, name in enumerate(classes)}
    labels = tuple(number[name.split("/")[0]] for name in chosen)
    return Choice(tuple(chosen.values()), labels, classes, part)


def _unwrapped(names: list[str]) -> dict[str, str]:
    """Names without the folders that they all share -> whole names."""
    first, last = (name.split("/")[:-1] for name in (min(names), max(names)))
    same = [one == two for one, two in zip(first, last, strict=False)]
    depth = [*same, False].index(False)
    return {name.split("/", depth)[-1]: name for name in names}


def _classes(origin: str, within: list[str]) -> tuple[str, ...]:
    """The subfolders' names, sorted; () for none or one."""
    classes = sorted({name.split("/")[0] for name in within if "/" in name})
    loose = [name for name in within if "/" not in name]
    if len(classes) < 2:
        return ()
    if loose:
        what = (
            f"{len(loose)} images ({loose[0]}, ...) beside the class folders {', '.join(classes)}"
        )
        raise BadInput(f"{origin} holds {what}: move them into a class")
    return tuple(classes)


# ---------------------------------------------------------------------------- decoding images


@final
@dataclass(frozen=True)
class Frame:
    """What every image is brought to: `channels`, and the side `size`, from the centre square of
    at most `crop` pixels; without a size, images must already be `own` (width, height).
    """

    channels: int
    size: int | None
    crop: int | None
    own: tuple[int, int] | None


def _decoded(
    raw: Pictures, choice: Choice, size: int | None, channels: int | None, skipped: list[str]
) -> Blocks:
    """The files as blocks of one image; names of those that cannot be read go to `skipped`."""
    import numpy as np

    with raw.tree.opened() as read:
        frame = _frame(raw, read, size or raw.size, channels)
        for index, name in enumerate(choice.names):
            try:
                data = read(name)
                if choice.part and _part(data) != choice.part:
                    continue
                pixels = _pixels(data, frame, f"{raw.tree.origin}: {name}")
            except GenzooError:
                raise
            except Exception as error:  # a decoder given hostile bytes raises nearly anything
                log.debug("%s: %s: %s", raw.tree.origin, name, error)
                skipped.append(name)
                continue
            mine = choice.labels and choice.labels[index : index + 1]
            yield pixels[None], None if mine is None else np.array(mine, dtype=np.int64)


def _part(data: bytes) -> str:
    """The split of a file, by its content: adding files moves no other, copies stay together."""
    digest = hashlib.sha256(data).digest()
    return "test" if int.from_bytes(digest[:8], "big") < 2**64 // 10 else "train"


def _frame(
    raw: Pictures, read: Callable[[str], bytes], size: int | None, channels: int | None
) -> Frame:
    """From the first image of the whole tree that decodes, so that all splits agree."""
    if size and channels:
        return Frame(channels, size, raw.crop, None)
    first, names = "", raw.tree.names()
    for name in names:
        try:
            with _opened_image(read(name)) as image:
                own, found = image.size, _own_channels(image)
        except Exception as error:  # as in _decoded; counted when its turn comes
            first = first or f"{name}: {error}"
            continue
        if size is None and own[0] != own[1]:
            what = f"the images of {raw.tree.origin} are not square ({name}: {own[0]}x{own[1]})"
            raise BadInput(f"{what}: give size=, they are cropped to the centre and resized")
        return Frame(channels or found, size, raw.crop, own)
    raise BadInput(f"none of the {len(names)} images of {raw.tree.origin} can be read ({first})")


@contextlib.contextmanager
def _opened_image(data: bytes) -> Iterator[Image]:
    """The image, upright and decoded; whatever Pillow raises where it is broken."""
    import warnings

    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=DECODERS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            image.load()
            yield image


def _own_channels(image: Image) -> int:
    return 1 if image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I") else 3


def _pixels(data: bytes, frame: Frame, name: str) -> np.ndarray:
    """The image as uint8 (C, H, W). BadInput if it has another size than the first."""
    with _opened_image(data) as image:
        if frame.size is None and frame.own and image.size != frame.own:
            own, other = (f"{width}x{height}" for width, height in (frame.own, image.size))
            what = f"images of unlike sizes, {own} and {other} ({name})"
            raise BadInput(f"{what}: give size=, they are cropped to the centre and resized")
        return _channels_first(_framed(_converted(image, frame.channels), frame))


def _converted(image: Image, channels: int) -> Image:
    import numpy as np
    from PIL import Image

    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255
        deep = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def _framed(image: Image, frame: Frame) -> Image:
    from PIL import Image

    if frame.size is None:
        return image
    side = min(*image.size, frame.crop or max(image.size))
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    # Not resize(box=box): that lets pixels beyond the box shine in.
    return image.crop(box).resize((frame.size, frame.size), Image.Resampling.LANCZOS)


def _channels_first(image: Image) -> np.ndarray:
    import numpy as np

    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _reframed(source: Source, raw: Rows, size: int | None, channels: int | None) -> Blocks:
    """The blocks of `raw`, checked, each image brought to `size` and `channels`."""
    import numpy as np

    try:
        for block, labels in raw.blocks():
            _check_block(source, block, labels)
            if source.kind == "images":
                block = _resized(source, block, size, channels)
            yield np.ascontiguousarray(block), labels
    except OSError as error:  # else it would pass for a full disk
        raise BadInput(f"cannot read {source.name}: {error}") from error


def _resized(
    source: Source, block: np.ndarray, size: int | None, channels: int | None
) -> np.ndarray:
    import numpy as np

    shape = (channels or block.shape[1], *([size] * 2 if size else block.shape[2:]))
    if shape == block.shape[1:]:
        return block
    if source.levels == 2 and shape[1:] != block.shape[2:]:
        own = block.shape[2]
        raise BadInput(f"{source.name} is black and white: it cannot be resized from {own} pixels")
    frame = Frame(shape[0], size, None, None)
    return np.stack([_redrawn(image, frame) for image in block])


def _redrawn(pixels: np.ndarray, frame: Frame) -> np.ndarray:
    from PIL import Image

    whole = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    image = Image.fromarray(whole.copy(order="C"))
    return _channels_first(_framed(_converted(image, frame.channels), frame))


def _check_block(source: Source, block: np.ndarray, labels: np.ndarray | None) -> None:
    if source.kind == "images":
        good = block.dtype == "uint8" and block.ndim == 4 and block.shape[1] in (1, 3)
        good = good and (source.levels != 2 or bool(((block == 0) | (block == 255)).all()))
    else:
        good = block.dtype == "float32" and block.ndim == 2
    if labels is not None:
        good = good and labels.dtype == "int64" and labels.shape == block.shape[:1]
        top = len(source.classes)
        good = good and not (len(labels) and not 0 <= labels.min() <= labels.max() < top)
    if not good:
        got = f"{block.dtype} {block.shape}"
        got += "" if labels is None else f", {labels.dtype} labels"
        want = "uint8 (n, C, H, W)" if source.kind == "images" else "float32 (n, d)"
        raise Failed(f"the data set {source.name} gave {got} or values out of range, not {want}")


# ---------------------------------------------------------------------------------- the cache


def _home() -> Path:
    """The cache: $GENZOO_HOME, else $XDG_CACHE_HOME/genzoo, else ~/.cache/genzoo."""
    if home := os.environ.get("GENZOO_HOME"):
        return _expanded(home)
    return _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "genzoo"


def _digest(thing: object) -> str:
    return hashlib.sha256(json.dumps(thing, sort_keys=True).encode()).hexdigest()[:32]


def _cached(
    source: Source, raw: Rows | Pictures, split: str, size: int | None, channels: int | None
) -> tuple:
    """(array, labels, meta) of the cache's entry, which is made first if it is not there."""
    what = [source.kind, source.levels, source.classes, raw.key, split, size, channels]
    key = _digest([FORMAT, *what])
    folder = _home() / "data"
    if found := _entry(folder / key, source.kind):
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{key}.lock") as held:
            if found := _entry(folder / key, source.kind):  # made by another process meanwhile
                return found
            if held:
                _sweep(folder, key)
            _make(folder / key, source, raw, split, size, channels)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = "free some space or" if full else "make it writable or"
        why = error.strerror or error
        raise Failed(f"cannot write the cache {folder}: {why}; {todo} set GENZOO_HOME") from error
    if found := _entry(folder / key, source.kind):
        return found
    raise Failed(f"cannot read the cache {folder / key}: remove it or set GENZOO_HOME")


def _entry(folder: Path, kind: str) -> tuple | None:
    """A cache entry, or None if it is missing or damaged."""
    import numpy as np

    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        array = np.load(folder / f"{kind}.npy", mmap_mode="r", allow_pickle=False)
        labels = None
        if meta["labelled"]:
            labels = np.load(folder / "labels.npy", allow_pickle=False)
            labels.flags.writeable = False
        whole = (folder / f"{kind}.npy").stat().st_size == array.offset + array.nbytes
        same = [list(array.shape), array.dtype.name] == [meta["shape"], meta["dtype"]]
        fits = labels is None or (labels.dtype.name, labels.shape) == ("int64", array.shape[:1])
        named = isinstance(meta["sha256"], str)
        named = named and isinstance(meta["skipped"], list) and isinstance(meta["classes"], list)
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError):
        return None
    return (array, labels, meta) if whole and same and fits and named else None


@contextlib.contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file, which the system lets go when a process dies; yields whether it is held.

    Where the file system knows no locks, nothing is held: work is then done twice, never wrongly.
    """
    with path.open("a+b") as file:
        try:
            import fcntl
        except ImportError:
            held = _lock_windows(file, wait)
        else:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                held = True
            except OSError:
                held = False
        yield held


def _lock_windows(file: Any, wait: bool) -> bool:
    msvcrt: Any = importlib.import_module("msvcrt")  # which type checkers elsewhere don't know

    while True:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            return True
        except OSError:  # LK_LOCK gives up after ten seconds
            if not wait:
                return False


def _sweep(folder: Path, mine: str) -> None:
    """Remove what killed processes left: the temporary folders whose lock nobody holds."""
    import shutil

    for stale in folder.glob("*.tmp-*"):
        key = stale.name.partition(".")[0]
        if key == mine:
            shutil.rmtree(stale, ignore_errors=True)
            continue
        with _locked(folder / f"{key}.lock", wait=False) as held:
            if held:
                shutil.rmtree(stale, ignore_errors=True)


def _make(
    entry: Path,
    source: Source,
    raw: Rows | Pictures,
    split: str,
    size: int | None,
    channels: int | None,
) -> None:
    """Write the entry aside, sync it, move it into place."""
    import shutil

    aside = entry.with_name(f"{entry.name}.tmp-{os.getpid()}-{os.urandom(4).hex()}")
    damaged = aside.with_name(f"{aside.name}-old")
    aside.mkdir()
    skipped: list[str] = []
    log.info("decoding %s (%s) into %s", source.name, split, entry)
    try:
        classes, blocks = _blocks(source, raw, size, channels, skipped)
        with contextlib.closing(blocks):
            written = _write(aside, source.kind, blocks)
        if written["shape"][0] == 0:
            raise BadInput(_empty(source, split, skipped))
        meta = {"name": source.name, "split": split, "classes": classes, "skipped": skipped}
        _write_synced(aside / "meta.json", json.dumps(meta | written, indent=1).encode())
        if entry.exists():
            entry.rename(damaged)
        aside.rename(entry)
        _sync_folder(entry.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(damaged, ignore_errors=True)


def _blocks(
    source: Source, raw: Rows | Pictures, size: int | None, channels: int | None, skipped: list[str]
) -> tuple[tuple[str, ...], Blocks]:
    if isinstance(raw, Rows):
        return source.classes, _reframed(source, raw, size, channels)
    choice = raw.choose(raw.tree.names())
    return choice.classes, _decoded(raw, choice, size, channels, skipped)


def _empty(source: Source, split: str, skipped: list[str]) -> str:
    if skipped:
        return f"all {len(skipped)} images of {source.name} ({split}) are broken: {skipped[0]}, ..."
    what = f"no image of {source.name} falls into its {split} split (10 % by content are test)"
    return f"{what}: add images, or sort them into folders train and test"


def _write(folder: Path, kind: str, blocks: Iterable[Block]) -> dict:
    """Stream the blocks into an .npy file, and the labels beside it; what meta.json says of them.

    Plain writes, not a memory map: on a full disk these fail, a map kills the process.
    """
    import numpy as np

    count, shape, dtype, digest, labels = 0, (0,), np.dtype(np.uint8), hashlib.sha256(), []
    with (folder / f"{kind}.npy").open("wb") as file:
        for block, block_labels in blocks:
            if not count:
                shape, dtype = block.shape[1:], block.dtype
                start = _write_header(file, dtype, (0, *shape))
            if block.shape[1:] != shape:
                raise Failed(f"samples of unlike shapes, {shape} and {block.shape[1:]}")
            file.write(block.data)
            digest.update(block.data)
            count += len(block)
            labels += [] if block_labels is None else [block_labels]
        file.seek(0)
        if count and _write_header(file, dtype, (count, *shape)) != start:
            raise Failed("numpy wrote .npy headers of unlike lengths")
        _sync(file)
    if labels:
        _write_labels(folder, np.concatenate(labels), count, digest)
    told = {"shape": [count, *shape], "dtype": dtype.name, "labelled": bool(labels)}
    return told | {"sha256": digest.hexdigest()}


def _write_labels(folder: Path, labels: np.ndarray, count: int, digest: hashlib._Hash) -> None:
    import numpy as np

    if len(labels) != count:
        raise Failed(f"{count} samples with {len(labels)} labels")
    digest.update(labels.data)
    stream = io.BytesIO()
    np.save(stream, labels, allow_pickle=False)
    _write_synced(folder / "labels.npy", stream.getvalue())


def _write_header(file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> int:
    """Write an .npy header and say where it ends; numpy pads it so that the count may grow."""
    from numpy.lib import format as npy

    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, header)
    return file.tell()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        _sync(file)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --------------------------------------------------------------- finding files of named sets

LAYOUTS = {
    "mnist": "mnist/MNIST/raw or MNIST/raw, four *-ubyte(.gz)",
    "fashion-mnist": "fashion-mnist/FashionMNIST/raw or FashionMNIST/raw, four *-ubyte(.gz)",
    "cifar10": "cifar-10-batches-bin (the binary version; cifar-10-batches-py is a pickle and is "
    "not read), cifar10/train/CLASS/*.png or cifar10_lossless/cifar10_*.zip",
    "celeba": "celeba/img_align_celeba(.zip) or celeba64/celeba64_aligned.zip",
    "mnist-binarized": "mnist_binarized/binarized_mnist.npz or .../binarized_mnist_SPLIT.amat",
}


def _located(name: str, root: Path | None, find: Callable[[Path], Any]) -> Any:
    """What `find` sees below `root`; without one, below $GENZOO_DATA, then among the downloads."""
    downloads = _home() / "downloads"
    given = os.environ.get("GENZOO_DATA")
    roots = [root] if root else [*([_expanded(given)] if given else []), downloads]
    for place in roots:
        if (found := find(place)) is not None:
            return found
    if root or name not in DOWNLOADS:
        where = root or given or "GENZOO_DATA, which is not set"
        raise BadInput(f"no files of {name} in {where}: expected {LAYOUTS[name]}")
    _download(name, downloads)
    if (found := find(downloads)) is not None:
        return found
    raise Failed(f"the download of {name} left nothing usable in {downloads}")


def _download(name: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{name}.lock"), contextlib.redirect_stdout(sys.stderr):
            log.info("downloading %s into %s", name, folder)
            DOWNLOADS[name](folder)
    except Exception as error:  # a download fails in as many ways as the parts it goes through
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            raise Failed(f"cannot write {folder}: {error}; set GENZOO_HOME") from error
        why = str(error).strip().splitlines()[:1] or [type(error).__name__]
        todo = f"give its files by root= or GENZOO_DATA: {LAYOUTS[name]}"
        raise Unreachable(f"could not download {name} ({why[0]}); {todo}") from error


def _through_torchvision(kind: str) -> Callable[[Path], object]:
    def download(folder: Path) -> object:
        import torchvision

        return getattr(torchvision.datasets, kind)(str(folder), download=True)

    return download


def _cifar_binaries(folder: Path) -> None:
    # The binary version: torchvision's class would download, and open, a pickle.
    from torchvision.datasets.utils import download_and_extract_archive

    url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    download_and_extract_archive(url, str(folder), md5="c32a1d4ab5d03f1284b67883e8d87530")


DOWNLOADS: dict[str, Callable[[Path], object]] = {
    "mnist": _through_torchvision("MNIST"),
    "fashion-mnist": _through_torchvision("FashionMNIST"),
    "cifar10": _cifar_binaries,
    "celeba": _through_torchvision("CelebA"),
}


def _stamped(*paths: Path) -> list:
    return [[str(path.resolve()), *_file_stamp(path)] for path in paths]


# ------------------------------------------------------------------------ MNIST and its kind


def _read_mnist(name: str, folder: str, binary: bool, root: Path | None, split: str) -> Rows:
    part = "train" if split == "train" else "t10k"
    files = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
    images, labels = _located(name, root, lambda place: _idx_files(place, name, folder, files))

    def blocks() -> Iterator[Block]:
        pixels, classes = _idx(images, 3)[:, None], _idx(labels, 1).astype("int64")
        if len(pixels) != len(classes):
            raise BadInput(f"{images} has {len(pixels)} images, {labels} {len(classes)} labels")
        return _binary_draw(pixels, classes, split) if binary else iter([(pixels, classes)])

    return Rows(_digest(["idx", binary and SEED, _stamped(images, labels)]), blocks)


def _idx_files(root: Path, name: str, folder: str, files: list[str]) -> list[Path] | None:
    for place in (root / name / folder / "raw", root / folder / "raw"):
        # The .gz first: it has a check sum, and an unpacking that was killed leaves no trace in it.
        found = [[p for p in (place / f"{file}.gz", place / file) if p.is_file()] for file in files]
        if all(found):
            return [paths[0] for paths in found]
    return None


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """A file of LeCun's IDX format, unsigned bytes: uint8, of so many dimensions."""
    import gzip

    import numpy as np

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = np.frombuffer(file.read(4 + 4 * dimensions), dtype=">u4")
            if len(head) != 1 + dimensions or head[0] != 0x800 + dimensions:
                raise BadInput(f"{path} is no IDX file of {dimensions} dimensions")
            shape = tuple(int(length) for length in head[1:])
            count = functools.reduce(int.__mul__, shape)
            data = file.read(min(count, LARGEST_FILE) + 1)
    except (OSError, EOFError, ValueError) as error:
        raise (
            error if isinstance(error, BadInput) else BadInput(f"cannot read {path}: {error}")
        ) from None
    if len(data) != count:
        raise BadInput(f"{path} is damaged: {len(data)} bytes after its header, expected {count}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _binary_draw(pixels: np.ndarray, labels: np.ndarray, split: str) -> Iterator[Block]:
    """Each pixel drawn once: white with probability pixel / 255, from the seed 20090615."""
    import numpy as np

    # RandomState's streams are frozen for good (NEP 19), those of Generator are not.
    random = np.random.RandomState([SEED, split == "test"])
    for start in range(0, len(pixels), 1000):
        block = pixels[start : start + 1000]
        white = random.random_sample(block.shape) * 255 < block
        yield white.astype(np.uint8) * np.uint8(255), labels[start : start + 1000]


def _read_binarized(root: Path | None, split: str) -> Rows:
    def find(place: Path) -> Path | None:
        folder = place / "mnist_binarized"
        paths = (folder / "binarized_mnist.npz", folder / f"binarized_mnist_{split}.amat")
        return next((path for path in paths if path.is_file()), None)

    path = _located("mnist-binarized", root, find)

    def blocks() -> Iterator[Block]:
        bits = _packed_bits(path, split) if path.suffix == ".npz" else _text_bits(path)
        yield (bits * 255).astype("uint8").reshape(-1, 1, 28, 28), None

    return Rows(_digest(["binarized", split, _stamped(path)]), blocks)


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

    text = np.frombuffer(_content(path), dtype=np.uint8)
    bits = text[~np.isin(text, np.frombuffer(b" \r\n", dtype=np.uint8))] - ord("0")
    if not bits.size or bits.size % 784 or bits.max() > 1:
        raise BadInput(f"{path} is not lines of 784 zeros and ones")
    return bits


# ----------------------------------------------------------------------- CIFAR-10 and CelebA


def _read_cifar(root: Path | None, split: str) -> Rows | Pictures:
    return _located("cifar10", root, lambda place: _find_cifar(place, split))


def _find_cifar(root: Path, split: str) -> Rows | Pictures | None:
    parts = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    files = [root / "cifar-10-batches-bin" / f"{part}.bin" for part in parts]
    if all(file.is_file() for file in files):
        blocks = functools.partial(map, _cifar_batch, files)
        return Rows(_digest(["cifar", _stamped(*files)]), blocks)
    zips = sorted((root / "cifar10_lossless").glob(f"cifar10_{split}*.zip"))
    if zips:
        tree = _zips(zips)
    elif (folder := root / "cifar10" / split).is_dir():
        tree = _folder(folder)
    else:
        return None
    return Pictures(tree, "cifar10", functools.partial(_cifar_choice, tree.origin))


def _cifar_choice(origin: str, names: list[str]) -> Choice:
    number = {name: index for index, name in enumerate(CIFAR_CLASSES)}
    labels = tuple(number.get(Path(name).parent.name, -1) for name in names)
    if min(labels) < 0:
        raise BadInput(f"{origin}: expected the folders {', '.join(CIFAR_CLASSES)}")
    return Choice(tuple(names), labels, CIFAR_CLASSES)


def _cifar_batch(path: Path) -> Block:
    """A file of the binary version: rows of one label and 3,072 pixels."""
    import numpy as np

    data = np.frombuffer(_content(path), dtype=np.uint8)
    if not data.size or data.size % 3073:
        raise BadInput(f"{path} is damaged: {data.size} bytes are no multiple of 3073")
    rows = data.reshape(-1, 3073)
    if rows[:, 0].max() > 9:
        raise BadInput(f"{path} is damaged: a label of {rows[:, 0].max()}")
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def _read_celeba(root: Path | None, split: str) -> Pictures:
    return _located("celeba", root, lambda place: _find_celeba(place, split))


def _find_celeba(root: Path, split: str) -> Pictures | None:
    for small in (root / "celeba64" / "celeba64_aligned.zip", root / "celeba64_aligned.zip"):
        if small.is_file():
            return _faces(_zips([small]), split, None)
    folder = root / "celeba" / "img_align_celeba"
    if folder.is_dir():
        return _faces(_folder(folder), split, 148)
    packed = folder.with_suffix(".zip")
    return _faces(_zips([packed]), split, 148) if packed.is_file() else None


def _faces(tree: Tree, split: str, crop: int | None) -> Pictures:
    choose = functools.partial(_face_choice, split)
    return Pictures(tree, f"celeba {split}", choose, crop, 64 if crop else None)


def _face_choice(split: str, names: list[str]) -> Choice:
    """The official partition (by number) of the whole set; of a part, its last tenth is test."""
    train = len(names) - len(names) // 10
    first, last = (0, train) if split == "train" else (train, len(names))
    if len(names) == 202_599:
        first, last = (0, 162_770) if split == "train" else (182_637, 202_599)
    return Choice(tuple(names[first:last]))


# ------------------------------------------------------------------ digits and made points


def _read_digits(root: Path | None, split: str) -> Rows:
    def blocks() -> Iterator[Block]:
        import numpy as np

        try:
            from sklearn.datasets import load_digits
        except ImportError:
            todo = 'pip install "genzoo[digits]"'
            raise Failed(f"digits come with scikit-learn, which is not installed: {todo}") from None
        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        chosen = slice(1500) if split == "train" else slice(1500, None)
        whole = np.stack([_enlarged(image) for image in pixels[chosen]])
        yield whole[:, None], digits.target[chosen].astype(np.int64)

    return Rows(_digest(["digits", 1, split]), blocks)


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((28, 28), Image.Resampling.BICUBIC))


def _ring8() -> list[list[float]]:
    from math import cos, pi, sin

    return [[2 * cos(pi * k / 4), 2 * sin(pi * k / 4)] for k in range(8)]


def _grid25() -> list[list[float]]:
    return [[2.0 * x, 2.0 * y] for x in range(-2, 3) for y in range(-2, 3)]


def _points(name: str, summary: str, centres: list[list[float]], deviation: float) -> Source:
    """A made set: equally likely Gaussians, 50,000 / 10,000 points; labels say which Gaussian."""

    def blocks(split: str) -> Iterator[Block]:
        import numpy as np

        random = np.random.RandomState([SEED, split == "test"])
        count = 10_000 if split == "test" else 50_000
        modes = random.randint(len(centres), size=count).astype(np.int64)
        noise = random.standard_normal((count, len(centres[0])))
        points = np.array(centres)[modes] + deviation * noise
        yield points.astype(np.float32), modes if len(centres) > 1 else None

    def read(root: Path | None, split: str) -> Rows:
        key = _digest(["points", 1, SEED, centres, deviation, split])
        return Rows(key, functools.partial(blocks, split))

    classes = tuple(str(k) for k in range(len(centres))) if len(centres) > 1 else ()
    return Source(name, "points", summary, "made by genzoo: free of rights", 0, classes, read)


# -------------------------------------------------------------------------- the built-in sets

TEN = tuple("0123456789")
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
MNIST_TERMS = "usually given as CC BY-SA 3.0, copyright Y. LeCun and C. Cortes"


def _mnist(
    name: str, summary: str, terms: str, classes: tuple[str, ...] = TEN, binary: bool = False
) -> Source:
    stored = "fashion-mnist" if name == "fashion-mnist" else "mnist"
    folder = "FashionMNIST" if name == "fashion-mnist" else "MNIST"
    read = functools.partial(_read_mnist, stored, folder, binary)
    return Source(name, "images", summary, terms, 2 if binary else 256, classes, read)


SOURCES = {
    source.name: source
    for source in (
        Source(
            "digits",
            "images",
            "scikit-learn's 1,797 handwritten digits, enlarged from 8 to 28 pixels; offline",
            "UCI optdigits (E. Alpaydin, C. Kaynak), CC BY 4.0",
            256,
            TEN,
            _read_digits,
        ),
        _mnist("mnist", "70,000 handwritten digits, 28x28 grey", MNIST_TERMS),
        _mnist(
            "fashion-mnist",
            "70,000 pictures of clothes, 28x28 grey",
            "MIT, copyright 2017 Zalando SE",
            FASHION_CLASSES,
        ),
        _mnist(
            "mnist-binary",
            "MNIST drawn to black and white by genzoo's own seed; no match for the literature's",
            MNIST_TERMS,
            binary=True,
        ),
        Source(
            "mnist-binarized",
            "images",
            "MNIST in the literature's fixed black-and-white draw (Salakhutdinov & Murray 2008)",
            MNIST_TERMS,
            2,
            (),
            _read_binarized,
            ("train", "valid", "test"),
        ),
        Source(
            "cifar10",
            "images",
            "60,000 small photographs of ten kinds of things, 32x32 RGB",
            "no explicit licence; research use, cite Krizhevsky 2009",
            256,
            CIFAR_CLASSES,
            _read_cifar,
        ),
        Source(
            "celeba",
            "images",
            "faces, 64x64 RGB: the aligned CelebA, its centre 148 pixels",
            "non-commercial research only; no further copying or distribution",
            256,
            (),
            _read_celeba,
        ),
        _points(
            "gaussian1d", "points on a line: one Gaussian, mean 4, deviation 0.5", [[4.0]], 0.5
        ),
        _points(
            "mixture3",
            "points on a line: three Gaussians at -3, 0 and 3, deviation 0.5",
            [[-3.0], [0.0], [3.0]],
            0.5,
        ),
        _points(
            "ring8",
            "points in the plane: eight Gaussians on a circle of radius 2, deviation 0.02",
            _ring8(),
            0.02,
        ),
        _points(
            "grid25",
            "points in the plane: 5 by 5 Gaussians two apart, deviation 0.05",
            _grid25(),
            0.05,
        ),
    )
}
