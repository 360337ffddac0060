"""Nearest: samples beside the training images that they are most like. To be looked at here."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image, ImageDraw, PngImagePlugin
from torch import Tensor

from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput
from genzoo.evaluation.evaluate import subject_of
from genzoo.files import expanded, write_whole
from genzoo.metrics.real_data import RealData, Tell, check_finite
from genzoo.metrics.statistics.nearest import closest
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.checks import checked_seed
from genzoo.models.model import Model
from genzoo.models.pictures import COMPOSITE, check_sheet
from genzoo.models.samples import Images

CHUNK = 1 << 24  # numbers of training images at a time: 64 MB, and what closest takes for them
CAPTION, GAP = 14, 6


@final
@dataclass(frozen=True, eq=False)
class Near:
    """The training images nearest to each sample, by one measure: ``rows`` ``(n, k)`` in the
    training split, and their Euclidean ``distances`` ``(n, k)``, ascending.
    """

    by: str
    rows: np.ndarray
    distances: np.ndarray


@final
@dataclass(frozen=True, eq=False)
class Neighbours:
    """Samples, and the training images nearest to them, in pixels and in features."""

    name: str
    samples: Images
    dataset: DataSet
    near: tuple[Near, ...]

    @property
    def note(self) -> str:
        """What the picture holds, and so what it is not for."""
        terms = f"; terms of the data: {self.dataset.terms}" if self.dataset.terms else ""
        held = f"holds real images of {self.dataset.name}"
        return f"{held}: to be looked at here, not to be published{terms}"

    def record(self) -> dict[str, Any]:
        """For JSON: which training images, and how far away."""
        near = [
            {"by": n.by, "rows": n.rows.tolist(), "distances": n.distances.round(4).tolist()}
            for n in self.near
        ]
        data = {"data": self.dataset.name, "data_sha256": self.dataset.sha256}
        return {"model": self.name, **data, "note": self.note, "near": near}

    def picture(self) -> Image.Image:
        """A row for each sample: it, then its nearest by each measure, distances below them."""
        scale, _, _ = check_sheet(1, self.dataset.shape)
        rows = [self._cells(i, scale) for i in range(len(self.samples))]
        across = sum(cell.width + gap for cell, _, gap in rows[0]) + GAP
        high = rows[0][0][0].height + CAPTION + GAP
        check_sheet(1, (1, len(rows) * high, across), 1)
        sheet = Image.new(rows[0][0][0].mode, (max(across, 420), 2 * CAPTION + len(rows) * high))
        draw = ImageDraw.Draw(sheet)
        heads = "; ".join(n.by for n in self.near)
        draw.text((GAP, 1), f"{self.name}; nearest of {self.dataset.name} in {heads}", fill="white")
        for i, row in enumerate(rows):
            left, top = GAP, CAPTION + i * high + 2
            for cell, text, gap in row:
                sheet.paste(cell, (left, top))
                draw.text((left, top + cell.height), text, fill="white")
                left += cell.width + gap
        draw.text((GAP, sheet.height - CAPTION), self.note.partition(";")[0], fill="white")
        return sheet

    def _cells(self, i: int, scale: int) -> list[tuple[Image.Image, str, int]]:
        """(picture, what stands below it, the gap behind it) of a row."""
        found = [(self.samples[i].grid(scale=scale, gap=0), f"sample {i}", 3 * GAP)]
        for near in self.near:
            real = Images(self.dataset.batch(near.rows[i]))
            found += [
                (one.grid(scale=scale, gap=0), f"{apart:.2f}", GAP)
                for one, apart in zip(real, near.distances[i], strict=True)
            ]
            found[-1] = (*found[-1][:2], 3 * GAP)
        return found

    def save(self, path: str | Path) -> Path:
        """Write the picture as a PNG that says what it holds."""
        path = expanded(path)
        if path.suffix.lower() != ".png":
            raise BadInput(f"cannot write {path.name}: expected a name ending in .png")
        about, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
        about.add_text("Comment", self.note)
        about.add_itxt("XML:com.adobe.xmp", COMPOSITE)
        self.picture().save(buffer, "PNG", pnginfo=about, optimize=True)
        write_whole(path, buffer.getvalue())
        return path


def find_neighbours(
    model: str | Path | Model,
    *,
    data: str | None = None,
    n: int = 8,
    k: int = 4,
    seed: int = 0,
    size: int | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
    device: "str | torch.device" = "auto",
    progress: Tell | None = None,
) -> Neighbours:
    """``n`` samples, and the ``k`` training images most like each, in pixels and, where ``data``
    have a classifier, in its features. ``data``: left out, what the model was trained on.

    Training images pass by in portions of 64 MB. Raises BadInput, and as ``load``.
    """
    who = subject_of(model, device, {"size": size, "channels": channels})
    if not isinstance(who, ModelSubject):
        raise BadInput(f"{who.name} is images, and a model is needed to draw samples")
    against = data or who.model.provenance.get("data")
    if not against:
        raise BadInput(f"what was {who.name} trained on? --data names a data set or a folder")
    real = RealData(str(against), root=root, size=size, channels=channels, progress=progress)
    train = real.open("train")
    if train.shape != tuple(who.sampler.shape):
        own, other = ("x".join(map(str, s)) for s in (who.sampler.shape, train.shape))
        raise BadInput(f"{who.name} draws {own}, and {train.name} is {other}")
    for what, value, most in (("n", n, 1000), ("k", k, min(len(train), 100))):
        if type(value) is not int or not 1 <= value <= most:
            raise BadInput(f"{what} must be a whole number from 1 to {most:,}, got {value!r}")
    samples = who.sampler.sample(n, seed=checked_seed(seed))
    assert isinstance(samples, Images)
    measures: dict[str, Callable[[Tensor], np.ndarray]] = {"pixels": _pixels}
    if real.has_features and real.takes in (None, train.shape):
        measures[f"features of {real.features_name}"] = real.features
    near = [_near(by, measure, samples, real, k) for by, measure in measures.items()]
    return Neighbours(who.name, samples, train, tuple(near))


def _pixels(x: Tensor) -> np.ndarray:
    return x.flatten(1).cpu().numpy()


def _near(
    by: str, measure: Callable[[Tensor], np.ndarray], samples: Images, real: RealData, k: int
) -> Near:
    train, mine = real.open("train"), measure(samples.tensor.cpu())
    check_finite(mine, f"{by} of the samples")
    each = max(1, CHUNK // int(np.prod(train.shape)))
    squares, rows = np.empty((len(mine), 0)), np.empty((len(mine), 0), dtype=np.intp)
    for start in range(0, len(train), each):
        part = range(start, min(start + each, len(train)))
        found, which = closest(mine, measure(train.batch(part)), min(k, len(part)))
        squares, rows = np.hstack([squares, found]), np.hstack([rows, which + start])
        order = np.lexsort((rows, squares), axis=1)[:, :k]
        squares = np.take_along_axis(squares, order, 1)
        rows = np.take_along_axis(rows, order, 1)
        real.tell(f"{by} of {train.name}", part.stop, len(train))
    return Near(by, rows, np.sqrt(squares))
