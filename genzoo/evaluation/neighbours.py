"""Samples beside the most similar training images, for local viewing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from genzoo.data.dataset import DataSet
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, command
from genzoo.evaluation.evaluate import check_one_set, find_model, real_for
from genzoo.evaluation.training_data import reference_data
from genzoo.files import check_ending, expanded, npy, write_whole
from genzoo.metrics.real_data import RealData, check_finite
from genzoo.metrics.statistics.nearest import closest
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import checked_seed
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Model, image_shape
from genzoo.models.picture_files import COMPOSITE, Pictured, encode
from genzoo.models.pictures import check_sheet, enlargement
from genzoo.models.sampler import Progress
from genzoo.models.samples import Images
from genzoo.text import printable

CHUNK = 1 << 24  # numbers of training images at a time: 64 MB
SHOWN = 16  # distances of a repr
CAPTION, FONT, GAP = 20, 15, 6


@final
@dataclass(frozen=True, eq=False)
class Near:
    """The training images nearest to each sample in one ``space``, pixels or features: ``rows``
    ``(n, k)`` of the training split, and Euclidean ``distances`` ``(n, k)``, ascending.
    """

    space: str
    rows: np.ndarray
    distances: np.ndarray

    def __repr__(self) -> str:
        n, k = self.rows.shape
        return f"<Near: the {k} nearest of {n} samples in {self.space}>"


@final
@dataclass(frozen=True, eq=False)
class Neighbours(Pictured):
    """Samples and the training images nearest to them, in pixels and in features."""

    name: str
    samples: Images
    dataset: DataSet
    near: tuple[Near, ...]

    @property
    def note(self) -> str:
        """A note on the picture's content and use."""
        terms = f"; terms of the data: {self.dataset.terms}" if self.dataset.terms else ""
        content = f"contains real images of {self.dataset.name}"
        return f"{content}: for local viewing only; do not publish{terms}"

    def __repr__(self) -> str:
        lines = [f"{self.samples!r} beside the nearest of {self.dataset.name}", self.note]
        for near in self.near:
            distances = ", ".join(f"{d:.2f}" for d in near.distances[:SHOWN, 0])
            more = ", ..." if len(near.distances) > SHOWN else ""
            lines.append(f"nearest in {near.space}: {distances}{more}")
        return "\n".join(map(printable, lines))

    def record(self) -> dict[str, Any]:
        """For JSON: the training images and their distances."""
        near = [
            {"space": n.space, "rows": n.rows.tolist(), "distances": n.distances.round(4).tolist()}
            for n in self.near
        ]
        data = {"data": self.dataset.name, "data_sha256": self.dataset.sha256}
        return {"model": self.name, **data, "note": self.note, "near": near}

    def picture(self, scale: int | None = None) -> Image.Image:
        """A row for each sample: itself, then its nearest images, with distances below.

        ``scale``: by how much each pixel is enlarged; without it the picture becomes about 800
        pixels wide. Raises BadInput.
        """
        _, side, wide = self.dataset.shape
        cells = 1 + sum(near.rows.shape[1] for near in self.near)
        scale = scale or enlargement(cells * wide, wide)
        rows = [self._cells(i, scale) for i in range(len(self.samples))]
        across = sum(cell.width + gap for cell, _, gap in rows[0]) + GAP
        high, head = side * scale + CAPTION + GAP, 2 * CAPTION + GAP
        size = max(across, 420), head + len(rows) * high + CAPTION
        check_sheet(1, (1, size[1], size[0]), 1, gap=0)
        sheet = Image.new(rows[0][0][0].mode, size)
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
        title = f"{self.name}: samples, and the images of {self.dataset.name} nearest to them"
        draw.text((GAP, 3), title, "white", font)
        left = GAP + rows[0][0][0].width + rows[0][0][2]
        for near in self.near:
            draw.text((left, CAPTION + 3), f"in {near.space}", "white", font)
            left += near.rows.shape[1] * (wide * scale + GAP) + 2 * GAP
        for i, row in enumerate(rows):
            left, top = GAP, head + i * high
            for cell, text, gap in row:
                sheet.paste(cell, (left, top))
                draw.text((left, top + cell.height + 1), text, "white", font)
                left += cell.width + gap
        note = self.note.partition(";")[0]
        draw.text((GAP, sheet.height - CAPTION), note, "white", font)
        return sheet

    def _cells(self, i: int, scale: int) -> list[tuple[Image.Image, str, int]]:
        """(picture, caption, gap behind it) of each cell in a row."""
        cells = [(self.samples[i].grid(scale=scale, gap=0), f"sample {i}", 3 * GAP)]
        for near in self.near:
            real = Images(self.dataset.batch(near.rows[i]))
            cells += [
                (one.grid(scale=scale, gap=0), f"{distance:.2f}", GAP)
                for one, distance in zip(real, near.distances[i], strict=True)
            ]
            cells[-1] = (*cells[-1][:2], 3 * GAP)
        return cells

    def save(self, path: str | Path, scale: int | None = None) -> Path:
        """Write the picture as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``, with the note in its
        metadata, or the rows of the training images as ``.npy``, ``(spaces, n, k)``. BadInput.
        """
        path = check_ending(expanded(path), [*PICTURES, ".npy"])
        if (ending := path.suffix.lower()) == ".npy":
            write_whole(path, npy(np.stack([near.rows for near in self.near])))
        else:
            picture = self.picture(scale)
            write_whole(path, encode(picture, ending, xmp=COMPOSITE, comment=self.note))
        return path


@checked_arguments
@usual_torch()
def neighbours(
    model: str | Path | Model,
    *,
    data: Any = None,
    n: int = 8,
    k: int = 4,
    seed: int = 0,
    size: int | str | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
    device: "str | torch.device" = "auto",
    progress: Progress | None = None,
    fit: str | None = None,
    levels: str | None = None,
) -> Neighbours:
    """``n`` samples, and the ``k`` nearest training images of each, in pixels and, where ``data``
    have a classifier, in its features. ``data``: by default what the model was trained on.

    Training images are read 64 MB at a time. Raises BadInput, and as ``load``.
    """
    subject = find_model(model, device)
    image_shape(subject.model, f"{command('evaluate')} compares its samples with real data")
    reference = reference_data(subject, data, root)
    form: dict[str, Any] = {"size": size, "channels": channels, "fit": fit, "levels": levels}
    real = real_for(subject, reference, None, root=root, progress=progress, **form)
    check_one_set(subject, real)
    train = replace(real.open("train"), name=real.data)  # pictures show no path
    if train.shape != tuple(subject.sampler.shape):
        own, other = ("x".join(map(str, s)) for s in (subject.sampler.shape, train.shape))
        raise BadInput(f"samples of {subject.name} are {own}, but {train.name} is {other}")
    for what, value, most in (("n", n, 1000), ("k", k, min(len(train), 100))):
        if type(value) is not int or not 1 <= value <= most:
            raise BadInput(f"{what} must be a whole number from 1 to {most:,}, got {value!r}")
    samples = subject.sampler.sample(n, seed=checked_seed(seed))
    assert isinstance(samples, Images)
    spaces: dict[str, Callable[[Tensor], np.ndarray]] = {"pixels": _pixels}
    if real.has_features and real.input_shape in (None, train.shape):
        spaces[f"features of {real.features_name}"] = real.features
    near = [_near(space, extract, samples, real, k) for space, extract in spaces.items()]
    return Neighbours(subject.name, samples, train, tuple(near))


def _pixels(x: Tensor) -> np.ndarray:
    return x.flatten(1).cpu().numpy()


def _near(
    space: str, extract: Callable[[Tensor], np.ndarray], samples: Images, real: RealData, k: int
) -> Near:
    train, own = real.open("train"), extract(samples.tensor.cpu())
    check_finite(own, f"{space} of the samples")
    each = max(1, CHUNK // int(np.prod(train.shape)))
    squares, rows = np.empty((len(own), 0)), np.empty((len(own), 0), dtype=np.intp)
    for start in range(0, len(train), each):
        part = range(start, min(start + each, len(train)))
        new, which = closest(own, extract(train.batch(part)), min(k, len(part)))
        squares, rows = np.hstack([squares, new]), np.hstack([rows, which + start])
        order = np.lexsort((rows, squares), axis=1)[:, :k]
        squares = np.take_along_axis(squares, order, 1)
        rows = np.take_along_axis(rows, order, 1)
        real.report(f"{space} of {train.name}", part.stop, len(train))
    return Near(space, rows, np.sqrt(squares))
