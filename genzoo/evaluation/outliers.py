"""Outlier detection: does a density model give other images a lower likelihood than its own kind?
Not always: models of FashionMNIST give MNIST a higher likelihood, and models of CIFAR-10 do so with
SVHN (Nalisnick et al. 2019, arXiv:1810.09136).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genzoo.data import catalogue, register
from genzoo.data.arrays import source_of
from genzoo.data.dataset import DataSet, Source
from genzoo.devices import usual_torch
from genzoo.errors import BadInput
from genzoo.evaluation import outlier_sheet
from genzoo.evaluation.evaluate import find_model
from genzoo.evaluation.training_data import reference_data, warn_of_form
from genzoo.files import check_ending, expanded, write_json, write_whole
from genzoo.metrics.likelihood_metrics import law_of, on_levels
from genzoo.metrics.real_data import opened_images, random_rows
from genzoo.metrics.statistics.ranks import auroc
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Density
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import checked_seed
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Model
from genzoo.models.picture_files import REAL, Pictured, encode
from genzoo.models.sampler import Progress, Sampler
from genzoo.text import columns, html_table, printable
from genzoo.zoo import names as model_names

BATCH = 250
ENDINGS = (*PICTURES, ".json")


@final
@dataclass(frozen=True, eq=False)
class Outliers(Pictured):
    """How well log-likelihoods separate ``data`` from ``against``.

    ``auroc``: the probability, with its 95 % ``interval``, that an image of ``data`` is more likely
    than one of ``against``: 1 if always, 0.5 at chance, less if ``against`` is more likely.
    ``inside``, ``outside``: log-likelihoods in nats of the images of the two, ``(n,)``, which are
    ``rows`` of ``sets``.
    """

    name: str
    data: str
    against: str
    auroc: float
    interval: tuple[float, float]
    inside: np.ndarray
    outside: np.ndarray
    protocol: dict[str, Any]
    sets: tuple[DataSet, ...] = ()
    rows: tuple[np.ndarray, ...] = ()

    def __repr__(self) -> str:
        return "\n".join([*columns(self._rows()), *self._notes()])

    def _repr_html_(self) -> str:
        return html_table(self._rows(), notes=self._notes())

    def _rows(self) -> list[tuple[str, str, str]]:
        low, high = self.interval
        interval = f"[{low:.4f}, {high:.4f}]" if low < high else "no interval: perfect separation"
        return [
            ("AUROC", f"{self.auroc:.4f}", interval),
            ("mean log p", f"{self.inside.mean():.1f} nats", self.data),
            ("", f"{self.outside.mean():.1f} nats", self.against),
        ]

    def _notes(self) -> list[str]:
        if self.interval[1] >= 0.5:
            return []
        other = f"assigns {self.against} a higher likelihood: not detected as outliers"
        return [printable(f"{self.name} {other}")]

    @property
    def note(self) -> str:
        """A note on the picture's content and use."""
        terms = "; ".join(dict.fromkeys(one.terms for one in self.sets if one.terms))
        content = f"contains real images of {self.data} and {self.against}"
        use = "for local viewing only; do not publish"
        return f"{content}: {use}{f'; terms of the data: {terms}' if terms else ''}"

    def picture(self, scale: int | None = None) -> Image.Image:
        """A histogram of the log-likelihoods, and images of ``against``, from the most to the least
        likely, each before the nearest of ``data`` in pixels. Raises BadInput.
        """
        if not self.sets or self.sets[0].kind != "images":
            raise BadInput("these are no images: write a .json")
        pairs = zip((self.data, self.against), self.sets, self.rows, strict=True)
        inside, outside = (
            outlier_sheet.Half(name, images, rows, nats)
            for (name, images, rows), nats in zip(pairs, (self.inside, self.outside), strict=True)
        )
        note = self.note.partition(";")[0]
        return outlier_sheet.draw(self.name, inside, outside, f"The sheet {note}.", scale)

    def save(self, path: str | Path, scale: int | None = None) -> Path:
        """Write the picture as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``, with the note in its
        metadata, or the record as a ``.json``. ``scale``: by how much each pixel of an image is
        enlarged. Raises BadInput, OperationFailed.
        """
        path = check_ending(expanded(path), ENDINGS)
        if (ending := path.suffix.lower()) == ".json":
            if scale is not None:
                raise BadInput(f"scale enlarges pictures, and {path} holds numbers: leave it out")
            return write_json(path, self.record())
        write_whole(path, encode(self.picture(scale), ending, xmp=REAL, comment=self.note))
        return path

    def record(self) -> dict[str, Any]:
        """For JSON."""
        nats = {"inside": float(self.inside.mean()), "outside": float(self.outside.mean())}
        return {
            "model": self.name,
            "data": self.data,
            "against": self.against,
            "auroc": self.auroc,
            "interval": list(self.interval),
            "mean nats": nats,
            "protocol": self.protocol,
        }


@checked_arguments
@usual_torch()
def outliers(
    model: str | Path | Model,
    *,
    against: Any,
    data: Any = None,
    n: int = 1000,
    seed: int = 0,
    size: int | str | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
    device: "str | torch.device" = "auto",
    progress: Progress | None = None,
    fit: str | None = None,
    levels: str | None = None,
) -> Outliers:
    """Separate ``n`` test images of ``data`` (by default the training data) from ``n`` of
    ``against`` by their log-likelihood.

    Pixels between two of the model's levels are drawn up or down. For a class-conditional model p
    is the mean over all classes; a bound replaces p if the model has no exact one. Raises BadInput,
    and as ``load``.
    """
    subject = find_model(model, device)
    if not isinstance(subject.model, Density):
        others = ", ".join(model_names.able(Density)) or "none"
        raise BadInput(f"{subject.name} has no likelihood; models with one: {others}")
    against = _known(source_of(against))
    reference = reference_data(subject, data, root)
    where: dict[str, Any] = {"size": size, "channels": channels, "fit": fit, "levels": levels}
    warn_of_form(subject, reference, where)
    given = {key: value for key, value in where.items() if value is not None}
    own_form = {**{k: v for k, v in reference.form.items() if k in where}, **given}
    sets = [
        opened_images(reference.given, "test", {**own_form, "root": root}),
        opened_images(against, "test", {**where, "root": root}),
    ]
    own, against = reference.name, register.label(against)
    if sets[0].sha256 == sets[1].sha256:
        raise BadInput(f"{own} and {against} are the same images")
    (inside, one, own_rows), (outside, other, other_rows) = (
        _log_probs(subject, test, n, checked_seed(seed), progress) for test in sets
    )
    area, interval = auroc(inside, outside)
    law = law_of(subject.model.levels, one or other)
    protocol = {**_protocol(subject.model, sets, n, seed), **law}
    found = (subject.name, own, against, area, interval, inside, outside, protocol)
    return Outliers(*found, tuple(sets), (own_rows, other_rows))


def _known(data: str | Path | Source) -> str | Path | Source:
    """``data``, if its name exists: another one is reported before any data are downloaded."""
    if not str(data).startswith(register.IMAGES):
        catalogue.kind_of(data)
    return data


def _protocol(model: Density, sets: list[DataSet], n: int, seed: int) -> dict[str, Any]:
    hashes = {f"{name}_sha256": s.sha256 for name, s in zip(("data", "against"), sets, strict=True)}
    return {
        "images": f"{n:,} of each test split",
        "likelihood": model.likelihood_kind,
        "levels": model.levels or "the continuum",
        "classes": getattr(model, "num_classes", 0),
        "seed": seed,
        **hashes,
    }


def _log_probs(
    subject: ModelSubject, test: DataSet, n: int, seed: int, progress: Progress | None
) -> tuple[np.ndarray, bool, np.ndarray]:
    """``(n,)`` nats, whether pixels were drawn, and the rows of the images."""
    model, drawn = subject.model, False
    assert isinstance(model, Density)
    if tuple(model.shape) != test.shape:
        own, other = ("x".join(map(str, shape)) for shape in (model.shape, test.shape))
        raise BadInput(f"{subject.name} takes {own} {subject.kind}, but {test.name} is {other}")
    rows, nats = random_rows(test, n, seed), []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        x, is_drawn = on_levels(test.batch(part), model.levels, seed, part)
        drawn |= is_drawn
        # One seed for each batch, because log_prob numbers its codes from the batch's first image.
        nats.append(_log_prob(model, x, seed + start).cpu().double().numpy())
        if progress:
            progress(f"{subject.name}: {test.name}", start + len(x), len(rows))
    return np.concatenate(nats), drawn, rows


def _log_prob(model: Density, x: Tensor, seed: int) -> Tensor:
    """``(n,)`` nats; for a class-conditional model the log of the mean of p over the classes."""
    if not (isinstance(model, Sampler) and model.num_classes):
        return model.log_prob(x, seed=seed)
    # In tensors, because a number alone would mean a class that is called so.
    classes = (torch.full((len(x),), k) for k in range(model.num_classes))
    each = [model.log_prob(x, labels, seed=seed) for labels in classes]
    return torch.stack(each).logsumexp(0) - np.log(model.num_classes)
