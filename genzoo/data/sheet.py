"""A sheet of a data set, to look at: some of its samples with their classes, and their mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np
import torch

from genzoo.errors import BadInput, unknown
from genzoo.files import check_ending, expanded, npy, write_whole
from genzoo.models import panels
from genzoo.models.captions import Captions, captioned
from genzoo.models.checks import check_count, checked_seed
from genzoo.models.kinds import PICTURES, SHOWN
from genzoo.models.picture_files import REAL, Pictured, encode
from genzoo.models.pictures import enlargement, usual_columns
from genzoo.models.samples import Images

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from PIL import Image

    from genzoo.schemas import Kind

FREE = "free of rights"  # ends the terms of data that programs make
CHUNK = 1 << 26  # bytes of samples at a time
MOST_CLASSES = 100  # of a sheet of means


class Opened(Protocol):
    """The part of a `DataSet` that a sheet shows."""

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def array(self) -> np.ndarray: ...
    @property
    def labels(self) -> np.ndarray | None: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def terms(self) -> str: ...
    @property
    def rate(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def batch(self, indices: ArrayLike) -> torch.Tensor: ...


@final
@dataclass(frozen=True, eq=False)
class DataSheet(Pictured):
    """Samples of ``dataset``: the ``rows`` ``(n,)``, and pictures that are computed from all.

    ``means``: float32 ``(k, *shape)`` with a name each in ``names``; of images alone.
    """

    dataset: Opened
    rows: np.ndarray
    names: tuple[str, ...] = ()
    means: np.ndarray | None = None

    def __repr__(self) -> str:
        means = f" and {', '.join(self.names[:2])}" if self.names else ""
        more = ", ..." if len(self.names) > 2 else ""
        return f"<DataSheet: {len(self.rows):,} samples{means}{more} of {self.dataset!r}>"

    @property
    def note(self) -> str:
        """What the sheet holds, and what it is for."""
        terms = f"; terms of the data: {self.dataset.terms}" if self.dataset.terms else ""
        name = Path(self.dataset.name).name
        if self.dataset.terms.endswith(FREE):
            return f"contains data of {name}{terms}"
        return f"contains real data of {name}: for local viewing only; do not publish{terms}"

    def record(self) -> dict[str, Any]:
        """For JSON: which samples and means it shows, and the note."""
        data = {"data": Path(self.dataset.name).name, "split": self.dataset.split}
        return {**data, "rows": self.rows.tolist(), "means": [*self.names], "note": self.note}

    def picture(self, scale: int | None = None) -> Image.Image:
        """Images with their classes below them and the means after them; spectrograms of signals;
        a scatter of points.

        ``scale``: by how much each pixel of an image is enlarged; without it the sheet becomes
        about 800 pixels wide. Raises BadInput.
        """
        if self.dataset.kind == "images":
            return self._images(scale)
        if scale is not None:
            raise BadInput(f"scale enlarges images; {self.dataset.name} holds {self.dataset.kind}")
        labels = self.dataset.labels
        own = None if labels is None else labels.take(self.rows)
        x = self.dataset.batch(self.rows)
        if self.dataset.kind == "points":
            return panels.scatter(x.numpy(), own, self.dataset.classes)
        return panels.spectrograms(x, self.dataset.rate, self._captions())

    def _images(self, scale: int | None) -> Image.Image:
        _, height, width = self.dataset.shape
        x = self.dataset.batch(self.rows) if len(self.rows) else torch.zeros(0, *self.dataset.shape)
        if self.means is not None:
            x = torch.cat([x, torch.from_numpy(self.means)])
        columns = usual_columns(len(x))
        scale = scale or enlargement(columns * width, -(-len(x) // columns) * height)
        cells = [one.grid(1, scale, 0) for one in Images(x)]
        captions = [*self._captions(), *self.names]
        name = Path(self.dataset.name).name
        title = f"{name}: {len(self.dataset):,} images ({self.dataset.split})"
        foot = self.note.partition(";")[0]
        return captioned(cells, Captions(title, cells=captions, foot=foot), columns)

    def _captions(self) -> list[str]:
        """The class of each, or its row where there are no classes."""
        labels, classes = self.dataset.labels, self.dataset.classes
        if labels is None:
            return [f"row {row:,}" for row in self.rows.tolist()]
        own = labels.take(self.rows).tolist()
        return [classes[label] if label < len(classes) else str(label) for label in own]

    def save(self, path: str | Path, scale: int | None = None) -> Path:
        """Write the sheet as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``, marked as somebody's data,
        or the samples, or the means if it has no samples, as ``.npy``. Raises BadInput.
        """
        path = check_ending(expanded(path), [*PICTURES, ".npy"])
        if (ending := path.suffix.lower()) == ".npy":
            only_means = not len(self.rows) and self.means is not None
            array = self.means if only_means else self.dataset.batch(self.rows).numpy()
            assert array is not None
            write_whole(path, npy(array))
        else:
            write_whole(path, encode(self.picture(scale), ending, xmp=REAL, comment=self.note))
        return path


def sheet(
    dataset: Opened, n: int | None = None, *, seed: int = 0, start: int | None = None
) -> DataSheet:
    """``n`` random samples by ``seed``, or those from ``start`` on, and of images the mean of all.

    ``n``: by default 15 images, 9 signals, 1,000 points, or all if there are fewer. Raises
    BadInput.
    """
    usual = SHOWN[dataset.kind] - (dataset.kind == "images")  # and the mean
    n = min(usual, len(dataset)) if n is None else n
    check_count("n", n, 1)
    if n > len(dataset):
        raise BadInput(f"{dataset.name} has {len(dataset):,} {dataset.kind}, got n {n:,}")
    if start is None:
        rows = np.random.default_rng(checked_seed(seed)).permutation(len(dataset))[:n]
    else:
        check_count("start", start, 0)
        rows = np.arange(start, start + n)
        if start + n > len(dataset):
            count = f"{dataset.name} has {len(dataset):,} {dataset.kind}"
            raise BadInput(f"{count}: from {start:,} on there are no {n:,}")
    if dataset.kind != "images":
        return DataSheet(dataset, rows)
    return DataSheet(dataset, rows, ("mean of all",), mean_image(dataset)[None])


def mean_sheet(dataset: Opened) -> DataSheet:
    """The mean picture of all images, and that of each class. Raises BadInput for other kinds."""
    names, means = ["mean of all"], [mean_image(dataset)]
    if dataset.labels is not None and len(dataset.classes) <= MOST_CLASSES:
        present = np.unique(dataset.labels).tolist()
        names += [dataset.classes[k] if k < len(dataset.classes) else str(k) for k in present]
        means += [mean_image(dataset, k) for k in present]
    return DataSheet(dataset, np.arange(0), tuple(names), np.stack(means))


def mean_image(dataset: Opened, label: int | str | None = None) -> np.ndarray:
    """The mean of all images, or of those of one class: float32 ``(C, H, W)`` in [0, 1].

    ``label``: the name or the number of the class. Raises BadInput, UnknownName.
    """
    if dataset.kind != "images":
        raise BadInput(f"the mean of {dataset.kind} is no picture: {dataset.name} has no images")
    rows = None if label is None else _rows_of(dataset, label)
    total, count = np.zeros(dataset.shape, np.uint64), 0
    each = max(1, CHUNK // max(1, math.prod(dataset.shape)))
    for first in range(0, len(dataset), each):
        part = dataset.array[first : first + each]
        part = part if rows is None else part[rows[first : first + each]]
        total += part.sum(0, dtype=np.uint64)
        count += len(part)
    if not count:
        raise BadInput(f"{dataset.name} has no image of class {label}")
    return (total / (255 * count)).astype(np.float32)


def _rows_of(dataset: Opened, label: int | str) -> np.ndarray:
    """Which samples are of a class: bool ``(n,)``."""
    if dataset.labels is None:
        raise BadInput(f"{dataset.name} has no classes")
    if str(label) in dataset.classes:
        return dataset.labels == dataset.classes.index(str(label))
    if isinstance(label, str) and not label.isdecimal():
        raise unknown("class", label, dataset.classes, "")
    return dataset.labels == int(label)
