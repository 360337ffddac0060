"""Novelty: whether a model of a density finds images of another kind less likely than its own.

It need not: models of FashionMNIST find MNIST more likely, and models of CIFAR-10 SVHN (Nalisnick
et al. 2019, arXiv:1810.09136).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput
from genzoo.evaluation.evaluate import subject_of
from genzoo.metrics.real_data import Tell, opened_images, some_of
from genzoo.metrics.statistics.ranks import auroc
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Density
from genzoo.models.checks import checked_seed
from genzoo.models.model import Model
from genzoo.models.sampler import Sampler
from genzoo.zoo import names as model_names

BATCH = 250


@final
@dataclass(frozen=True, eq=False)
class Outliers:
    """How well log-probabilities tell ``data`` from ``against``.

    ``auroc``: how often an image of ``data`` is the more likely one of a pair, ties half, with the
    interval that holds 95 %: 1 if always, 0.5 if they say nothing, below if ``against`` is.
    ``inside``, ``outside``: nats of each image of the two, ``(n,)``.
    """

    name: str
    data: str
    against: str
    auroc: float
    interval: tuple[float, float]
    inside: np.ndarray
    outside: np.ndarray
    protocol: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        nats = {"inside": float(self.inside.mean()), "outside": float(self.outside.mean())}
        found = {"auroc": self.auroc, "interval": list(self.interval), "mean nats": nats}
        told = {"model": self.name, "data": self.data, "against": self.against}
        return {**told, **found, "protocol": self.protocol}


def find_outliers(
    model: str | Path | Model,
    *,
    against: str,
    data: str | None = None,
    n: int = 1000,
    seed: int = 0,
    size: int | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
    device: "str | torch.device" = "auto",
    progress: Tell | None = None,
) -> Outliers:
    """Score ``n`` test images of ``data`` (left out, what the model was trained on) and ``n`` of
    ``against`` by log p, and say how well that tells them apart.

    Images are rounded to the model's levels. A model that is told the class is asked for all, and
    p is the mean over them; a bound stands for p where the model has no more. Raises BadInput, and
    as ``load``.
    """
    who = subject_of(model, device, {"size": size, "channels": channels})
    if not (isinstance(who, ModelSubject) and isinstance(who.model, Density)):
        having = ", ".join(model_names.able(Density)) or "none here"
        raise BadInput(f"{who.name} gives no likelihood: these can: {having}")
    own = data or who.model.provenance.get("data")
    if not own:
        raise BadInput(f"what was {who.name} trained on? --data names a data set or a folder")
    where = {"size": size, "channels": channels, "root": root}
    sets = [opened_images(str(name), "test", where) for name in (own, against)]
    if sets[0].sha256 == sets[1].sha256:
        raise BadInput(f"{own} and {against} are the same images")
    inside, outside = (_scored(who, test, n, checked_seed(seed), progress) for test in sets)
    area, between = auroc(inside, outside)
    told = _protocol(who.model, sets, n, seed)
    return Outliers(who.name, str(own), against, area, between, inside, outside, told)


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


def _scored(
    who: ModelSubject, test: DataSet, n: int, seed: int, progress: Tell | None
) -> np.ndarray:
    model = who.model
    assert isinstance(model, Density)
    if tuple(model.shape) != test.shape:
        own, other = ("x".join(map(str, shape)) for shape in (model.shape, test.shape))
        raise BadInput(f"{who.name} scores {own}, and {test.name} is {other}")
    rows, found = some_of(test, n, seed), []
    for start in range(0, len(rows), BATCH):
        x = test.batch(rows[start : start + BATCH])
        if levels := model.levels:
            x = (x * (levels - 1)).round() / (levels - 1)
        # A seed for each batch: the codes of log_prob go by an image's place in its batch.
        found.append(_log_prob(model, x, seed + start).cpu().double().numpy())
        if progress:
            progress(f"{who.name}: {test.name}", start + len(x), len(rows))
    return np.concatenate(found)


def _log_prob(model: Density, x: Tensor, seed: int) -> Tensor:
    """``(n,)`` nats; of a model of classes log of the mean of p over them."""
    if not (isinstance(model, Sampler) and model.num_classes):
        return model.log_prob(x, seed=seed)
    each = [model.log_prob(x, k, seed=seed) for k in range(model.num_classes)]
    return torch.stack(each).logsumexp(0) - np.log(model.num_classes)
