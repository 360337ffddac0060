"""`Source`: how to read a data set, as `Rows` or files; `DataSet`: the opened one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, final

from genzoo.errors import BadInput, OperationFailed
from genzoo.schemas import Kind
from genzoo.text import printable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import ArrayLike

    from genzoo.data.sheet import DataSheet

    Block = tuple[np.ndarray, np.ndarray | None]
    Blocks = Generator[Block, None, None]
    Device = str | torch.device


# The content of meta.json in the cache. For `Summary`: `skipped` (files of the split that gave no
# sample), `left_out`, `split_from`, `labels_from`, `values`, `sizes`, `fitted` and `notes`; an
# older entry has fewer.
Meta = dict[str, Any]
BROKEN = "broken files"
SHOWN = 3  # how many files of a kind, or classes, a summary names


def leave_out(meta: Meta, reason: str, names: Iterable[str]) -> None:
    """Note in `meta` the files that are left out; `reason`: their kind, such as ".txt files"."""
    if names := [*names]:
        meta.setdefault("left_out", {}).setdefault(reason, []).extend(names)


def cache_key(value: object) -> str:
    """A key that changes when `value`, a JSON value, changes."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


@final
@dataclass(frozen=True)
class Rows:
    """One split as arrays. `key` changes when the rows change; `blocks` yields them in order:
    uint8 (k, C, H, W), float32 (k, channels, length) in [-1, 1], or float32 (k, d); each with
    int64 labels (k,) or None. `notes`: what a `Summary` says of the rows: `values`, `split_from`.
    """

    key: str
    blocks: Callable[[], Iterable[Block]]
    notes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        array: np.ndarray,
        labels: np.ndarray | None = None,
        notes: Mapping[str, str] = MappingProxyType({}),
    ) -> Rows:
        """A split that is in memory; its key is the hash of its bytes."""
        parts = [array] if labels is None else [array, labels]
        hashes = [[a.dtype.name, a.shape, hashlib.sha256(a.tobytes()).hexdigest()] for a in parts]
        return cls(cache_key(hashes), lambda: [(array, labels)], notes)


class FileTree(NamedTuple):
    """Image files below a folder or inside zips. `key` changes when a file changes; `names`
    lists them, sorted, with `/`; `opened` is a context that yields a function name -> bytes.

    `others`: the files with another ending, of which some are `unreadable`: images or sounds
    without a decoder. `left_out`: further files that are not taken, by kind.
    """

    origin: str
    key: str
    names: Callable[[], list[str]]
    opened: Callable[[], AbstractContextManager[Callable[[str], bytes]]]
    others: Callable[[], list[str]] = list
    unreadable: Callable[[], list[str]] = list
    left_out: Callable[[], dict[str, list[str]]] = dict


class FileSelection(NamedTuple):
    """The files of a split, in order. `split`: only those whose content falls into that split.
    `split_from`: how the split was found. `left_out`: kind of files -> names of those left out.
    `labels_from`: the file that holds the labels.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()
    split: str | None = None
    split_from: str = ""
    left_out: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    labels_from: str = ""

    def note(self, meta: Meta) -> None:
        """Write into `meta` what a `Summary` says of the selection."""
        meta["classes"] = self.classes
        meta["split_from"], meta["labels_from"] = self.split_from, self.labels_from
        for reason, names in self.left_out.items():
            leave_out(meta, reason, names)


@final
@dataclass(frozen=True)
class ImageFiles:
    """One split as image files: `choose` selects them from the tree's names; the text `rule`
    identifies `choose` in the key. `crop`: the side of the centre square that is used, in pixels;
    `size`: the default size.
    """

    tree: FileTree
    rule: str
    choose: Callable[[list[str]], FileSelection]
    crop: int | None = None
    size: int | None = None

    @property
    def key(self) -> str:
        return cache_key([self.tree.key, self.rule, self.crop, self.size])


@final
@dataclass(frozen=True)
class SoundFiles:
    """One split as .wav files: `choose` selects them from the tree's names; the text `rule`
    identifies `choose` in the key.
    """

    tree: FileTree
    rule: str
    choose: Callable[[list[str]], FileSelection]

    @property
    def key(self) -> str:
        return cache_key([self.tree.key, self.rule])


@final
@dataclass(frozen=True)
class Source:
    """A data set that can be opened; a plugin's data set is one, too.

    `read(root, split)` finds the files (in `root` alone if given) and returns the split's rows.
    `levels`: how many values a pixel can have, 256, or 2 (stored as 0 and 255); 0 for signals and
    points. `rate`: samples a second, of signals as `Rows`; else 0.
    `classes`: the names of labels 0, 1, ...; () without labels.
    `attributes`: names of properties; a sample may have any number of them.
    `read_attributes(root, split)`: which of them each sample has, bool (n, len(attributes)): a row
    for each sample in the order of `read`, and for each broken image file.
    `api`: the plugin API that a plugin's data set was written for.
    """

    name: str
    kind: Kind
    summary: str
    terms: str
    levels: int
    classes: tuple[str, ...]
    read: Callable[[Path | None, str], Rows | ImageFiles | SoundFiles]
    splits: tuple[str, ...] = ("train", "test")
    attributes: tuple[str, ...] = ()
    read_attributes: Callable[[Path | None, str], np.ndarray] | None = None
    api: int | None = None
    rate: int = 0


@final
@dataclass(frozen=True)
class Summary:
    """What was read of a data set, and what was done to it; `lines` is the text.

    `kept`: samples. `left_out`: the kind of files (".heic files", "broken files") -> their names.
    `split_from`: how the split was found, such as "folders train and val", "10 % by content" or
    "official". `values`: the values in the files, and how they were scaled: "0 to 4095, scaled to
    0 to 255". `sizes`: of the smallest and of the largest image, (width, height), before `fitted`
    was done to them: "resized, 3 of them cropped at the centre". `labels_from`: the file that holds
    the labels, if folders do not. `notes`: what else was done, "3 grey made colour". What is
    unknown is empty.
    """

    name: str = ""
    split: str = ""
    kind: Kind = "images"
    kept: int = 0
    shape: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    split_from: str = ""
    values: str = ""
    sizes: tuple[tuple[int, ...], ...] = ()
    fitted: str = ""
    labels_from: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, kind: Kind, meta: Meta) -> Summary:
        """That of an entry of the cache."""
        left_out = {reason: tuple(names) for reason, names in meta.get("left_out", {}).items()}
        known = {name for names in left_out.values() for name in names}
        if broken := tuple(name for name in meta["skipped"] if name not in known):
            left_out[BROKEN] = broken
        kept, *shape = meta["shape"]
        return cls(
            name,
            meta["split"],
            kind,
            kept,
            tuple(shape),
            tuple(meta.get("classes", ())),
            left_out,
            meta.get("split_from", ""),
            meta.get("values", ""),
            tuple(tuple(size) for size in meta.get("sizes", ())),
            meta.get("fitted", ""),
            meta.get("labels_from", ""),
            tuple(meta.get("notes", ())),
        )

    @property
    def channels(self) -> int:
        """Of one image or signal; 0 for points."""
        return 0 if self.kind == "points" else next(iter(self.shape), 0)

    def lines(self) -> list[str]:
        """A line for the samples, one for their values and sizes if those are known, one for
        what was done to some of them, and one for each kind of files that is left out.
        """
        origin = f", split: {self.split_from}" if self.split_from else ""
        form = _form_text(self.kind, self.shape)
        count = len(self.classes)
        named = [f'"{name}"' if "," in name else name for name in self.classes]
        classes = f"{count:,} class" if count else "no class"
        classes += "es" * (count != 1) + (f" ({_first(named)})" if count else "")
        classes += f" by {self.labels_from}" if self.labels_from else ""
        kind = self.kind[: -1 if self.kept == 1 else None]
        lines = [f"{self.kept:,} {kind} ({self.split}{origin}), {form}, {classes}"]
        values = [f"values {self.values}"] if self.values else []
        sizes = " to ".join(dict.fromkeys("x".join(map(str, size)) for size in self.sizes))
        sizes += f" ({self.fitted})" if self.fitted else ""
        if values or sizes:
            lines += ["; ".join([*values, *([f"sizes {sizes}"] if sizes else [])])]
        if self.notes:
            lines += [f"of the {self.kind}, {'; '.join(self.notes)}"]
        for reason, names in self.left_out.items():
            if len(names) == 1:
                reason = re.sub(
                    r"\b(file|row|pair|column|folder|class)(es|s)\b", r"\1", reason, count=1
                )
            lines += [f"left out {len(names):,} {reason}: {_first(names)}"]
        return [printable(f"{self.name}: {line}")[:1000] for line in lines]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _form_text(kind: Kind, shape: tuple[int, ...]) -> str:
    """A sample's shape in words: 64x48, colour (3 channels)."""
    if kind == "points":
        return f"{shape[0]} coordinates" if shape else ""
    if kind == "signals":
        return f"{shape[1]:,} values, {shape[0]} {'channel' if shape[0] == 1 else 'channels'}"
    colour = "grey (1 channel)" if shape[0] == 1 else "colour (3 channels)"
    return f"{shape[2]}x{shape[1]}, {colour}"


@final
@dataclass(frozen=True, eq=False)
class DataSet:
    """One split, memory-mapped and read-only.

    `array`: uint8 (n, C, H, W), float32 (n, channels, length) for signals, or float32 (n, d) for
    points. `labels`: int64 (n,) or None.
    `levels`: as in `Source`. `sha256`: of the array's bytes and then the labels'. `skipped`:
    files that were left out, by name. `terms`: "" if unknown. `second_domain`: the second of two
    domains; if `aligned`, its row i is the partner of row i. `attributes`, `read_attributes`: as in
    `Source`, of these samples. `rate`: samples a second, of signals; else 0.
    `summary`: what was read, and what was done to it; `summary.lines()` is its text.
    """

    name: str
    split: str
    kind: Kind
    array: np.ndarray = field(repr=False)
    labels: np.ndarray | None = field(repr=False)
    classes: tuple[str, ...]
    levels: int
    sha256: str
    skipped: tuple[str, ...]
    terms: str
    second_domain: DataSet | None = field(default=None, repr=False)
    aligned: bool = False
    attributes: tuple[str, ...] = ()
    read_attributes: Callable[[], np.ndarray] | None = field(default=None, repr=False)
    rate: int = 0
    summary: Summary = field(default_factory=Summary, repr=False)

    def __repr__(self) -> str:
        form = _form_text(self.kind, self.shape)
        classes = f", {len(self.classes)} classes" if self.classes else ""
        what = f"{len(self):,} {self.kind} ({form})" if form else f"{len(self):,} {self.kind}"
        return printable(f"<DataSet {self.name} {self.split}: {what}{classes}>")

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (C, H, W), (channels, length) or (d,)."""
        return tuple(self.array.shape[1:])

    @property
    def domains(self) -> tuple[str, str]:
        """The names of the two domains: the last part of each name, or A and B if those agree."""
        both = (self, self.second_domain or self)
        a, b = (re.split(r"[/\\:@]|train(?=[AB]$)", s.name.rstrip("/"))[-1] for s in both)
        return (a, b) if a != b and a and b else ("A", "B")

    def batch(
        self, indices: ArrayLike, device: Device = "cpu", flip: ArrayLike | None = None
    ) -> torch.Tensor:
        """The samples at `indices` (n,), float32: images (n, C, H, W) in [0, 1], signals
        (n, channels, length) in [-1, 1], points (n, d).

        Images are mirrored left-right where `flip`, bool (n,), is true. IndexError beyond the end.
        """
        import numpy as np
        import torch

        check_whole(self)
        rows = _rows(self.array, _indices(indices))
        if self.kind != "images":
            return torch.from_numpy(rows).to(device)
        if flip is not None:
            flip = np.asarray(flip)
            if flip.shape != (len(rows),) or flip.dtype != bool:
                got = f"{flip.dtype} {flip.shape}"
                raise BadInput(f"flip must be bool of shape ({len(rows)},), got {got}")
            rows[flip] = rows[flip][..., ::-1]
        # Bytes are copied to the device and become floats there.
        return torch.from_numpy(rows).to(device).to(torch.float32).div_(255)

    def sheet(self, n: int | None = None, *, seed: int = 0, start: int | None = None) -> DataSheet:
        """Some samples, and of images their mean, to look at: it displays in a notebook and has
        ``save``. ``n`` random ones by ``seed``, or those from ``start`` on. Raises BadInput.
        """
        from genzoo.data import sheet

        check_whole(self)
        return sheet.sheet(self, n, seed=seed, start=start)

    def mean_image(self, label: int | str | None = None) -> np.ndarray:
        """The mean of all images, or of those of the class ``label``: float32 (C, H, W) in [0, 1].

        Raises BadInput, UnknownName.
        """
        from genzoo.data import sheet

        check_whole(self)
        return sheet.mean_image(self, label)

    def labels_of(self, indices: ArrayLike, device: Device = "cpu") -> torch.Tensor | None:
        """The labels at `indices`: int64 (n,); None if the set has none."""
        import torch

        if self.labels is None:
            return None
        return torch.from_numpy(self.labels.take(_indices(indices))).to(device)


def subset(whole: DataSet, name: str, rows: np.ndarray) -> DataSet:
    """The samples of `whole` where `rows`, bool (n,), is true, without labels and attributes."""
    check_whole(whole)
    array = whole.array[rows]
    array.setflags(write=False)
    sha256 = hashlib.sha256(array.tobytes()).hexdigest()
    summary = replace(whole.summary, name=name, kept=len(array), classes=())
    return replace(_unlabelled(whole), name=name, array=array, sha256=sha256, summary=summary)


def paired(one: DataSet, two: DataSet, *, aligned: bool = False) -> DataSet:
    """Two domains as one set: the first, with the second as `second_domain`. It has labels only if
    the rows are `aligned`: each then belongs to both samples of a pair. Raises BadInput.
    """
    if aligned and len(one) != len(two):
        counts = f"{one.name} has {len(one):,}, {two.name} {len(two):,}"
        raise BadInput(f"pairs need as many samples of both domains: {counts}")
    sha256 = hashlib.sha256((one.sha256 + two.sha256).encode()).hexdigest()
    terms = "; ".join(dict.fromkeys(t for t in (one.terms, two.terms) if t))
    first = one if aligned else _unlabelled(one)
    return replace(first, second_domain=two, aligned=aligned, sha256=sha256, terms=terms)


def _unlabelled(whole: DataSet) -> DataSet:
    return replace(whole, labels=None, classes=(), attributes=(), read_attributes=None)


def check_whole(dataset: DataSet) -> None:
    """Raise OperationFailed if the file of the data set was cut since it was opened: to read beyond
    its end would end the process. Costs a microsecond.
    """
    import mmap

    base: Any = dataset.array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and base.size() < len(base):
        sizes = f"expected {len(base):,} bytes, got {base.size():,}"
        hint = "type the same command again: it is decoded anew"
        raise OperationFailed(f"the file of {dataset.name} in the cache was cut ({sizes}): {hint}")


def _rows(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """A copy of the rows: `take` is faster, but copies all of an array that has gaps first."""
    return array.take(indices, axis=0) if array.flags.c_contiguous else array[indices]


def _indices(indices: ArrayLike) -> np.ndarray:
    import numpy as np

    indices = np.asarray(indices)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        got = f"{indices.dtype} {indices.shape}"
        raise BadInput(f"indices must be integers of shape (n,), got {got}")
    return indices.astype(np.int64, copy=False)
