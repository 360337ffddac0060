"""Metrics of likelihood: exact, a bound, or an estimate, each under a name of its own.

So one kind is never ranked with another; the protocol says over which levels a density is one.
"""

from abc import abstractmethod
from typing import Any, Literal, final

import numpy as np
import torch
from torch import Tensor

from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput, article
from genzoo.metrics.metric import ModelMetric
from genzoo.metrics.real_data import rows_of, some_of
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import parzen
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Density
from genzoo.models.sampler import Sampler

WEIGHTS = 200  # z of each image that the importance-weighted bound takes
# Goodfellow et al. 2014, section 5: that many samples, and as many images for the choice of sigma.
PARZEN, HELD = 10_000, 1000
BATCH = 250


def _density(subject: ModelSubject, kind: str) -> str:
    """Why ``subject`` is no density of this kind, "" if it is."""
    if not isinstance(subject.model, Density):
        return f"{article(subject.model)} gives no likelihood; parzen estimates one"
    if subject.model.likelihood_kind != kind:
        other = "elbo or iwae" if subject.model.likelihood_kind == "bound" else "nll"
        return f"its likelihood is of the kind {subject.model.likelihood_kind}, which {other} takes"
    return ""


def _scored(metric: "Likelihood", subject: ModelSubject, n: int | None, seed: int) -> Estimates:
    """Each image an own part."""
    model, test = subject.model, metric.real.open("test")
    _, bound, samples = metric.way
    assert isinstance(model, Density)
    if tuple(model.shape) != test.shape:
        shapes = ("x".join(map(str, shape)) for shape in (model.shape, test.shape))
        raise BadInput("{} scores {}, and {} is {}".format(subject.name, *shapes, metric.real.data))
    rows = some_of(test, n, seed)
    classes = model.num_classes if isinstance(model, Sampler) else 0
    found = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        labels = test.labels_of(part) if classes else None
        x = _on_levels(test.batch(part), model.levels)
        # A seed for each batch: the codes of log_prob go by an image's place in its batch.
        nats = model.log_prob(x, labels, seed=seed + start, samples=samples, bound=bound)
        found.append(-nats.cpu().double().numpy())
        metric.real.tell(f"{subject.name}: likelihood", start + len(part), len(rows))
    all_nats = np.concatenate(found)
    bits = model.levels == 256
    told = {
        "likelihood": model.likelihood_kind
        if model.levels
        else f"{model.likelihood_kind} (a density, or as if one)",
        "levels": model.levels or "the continuum",
        "unit": "bits a value" if bits else "nats an image",
        "images": f"{len(rows):,} of the test split",
        "data_sha256": test.sha256,
        "class-conditional": bool(classes),
        "seed": seed,
    }
    return Estimates(all_nats / (np.prod(test.shape) * np.log(2)) if bits else all_nats, told)


def _on_levels(x: Tensor, levels: int | None) -> Tensor:
    return (x * (levels - 1)).round() / (levels - 1) if levels else x


class Likelihood(ModelMetric):
    """Minus the log-likelihood of the test images, or a bound on it."""

    goal = "lower"

    @property
    @abstractmethod
    def way(self) -> tuple[str, Literal["elbo", "importance"], int]:
        """The kind of density that it is for, how its weights are joined, how many there are."""

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @final
    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data, "importance samples": self.way[2]}

    @final
    def lacks(self, subject: ModelSubject) -> str:
        return _density(subject, self.way[0])

    @final
    def found(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        return _scored(self, subject, n, seed)

    @final
    def floor(self) -> None:
        return None


@final
class NegativeLogLikelihood(Likelihood):
    """Exactly: nats an image, or bits a value where pixels have 256 levels."""

    id, way = "nll", ("exact", "elbo", 1)
    about = "exact negative log-likelihood of the test images"


@final
class EvidenceLowerBound(Likelihood):
    """The bound with one code an image (Kingma & Welling 2014, equation 2)."""

    id, way = "elbo", ("bound", "elbo", 1)
    about = "bound on the negative log-likelihood of the test images, one code an image"


@final
class ImportanceBound(Likelihood):
    """The importance-weighted bound (Burda et al. 2016, equation 8): nearer with more codes, so
    only numbers of as many compare.
    """

    id, way = "iwae", ("bound", "importance", WEIGHTS)
    about = f"importance-weighted bound on the negative log-likelihood, {WEIGHTS} codes an image"


@final
class Parzen(ModelMetric):
    """Log-likelihood of the test images under a Gaussian around each of 10,000 samples, its width
    chosen on held-out training images (Goodfellow et al. 2014, section 5). In so many dimensions
    it says little (Theis et al. 2016, section 3.1): real images get 243 nats on MNIST, centres of
    k-means more. It is here because the papers' tables are.
    """

    id, goal, unit = "parzen", "higher", " nats"
    about = (
        "Parzen-window estimate of the log-likelihood of the test images: for the papers' tables"
    )

    @property
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data, "likelihood": "estimate"}

    def lacks(self, subject: ModelSubject) -> str:
        model = subject.model
        if isinstance(model, Sampler) and model.is_images:
            return ""
        return f"{article(model)} draws no images"

    def found(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        count = n or PARZEN
        samples = torch.cat(list(subject.stream(count, seed))).flatten(1).double().numpy()
        return self._of(samples, {**subject.told(seed), "samples": count})

    def floor(self) -> float | None:
        """What as many training images get in the samples' place."""
        train = self.real.open("train")
        rows = np.random.RandomState(1).permutation(len(train))[HELD : HELD + PARZEN]
        if not len(rows):  # all of them chose the width
            return None
        return float(self._of(_flat(train, rows), {}).parts.mean())

    def _of(self, samples: np.ndarray, told: dict[str, Any]) -> Estimates:
        train, test = self.real.open("train"), self.real.open("test")
        held = _flat(train, np.random.RandomState(1).permutation(len(train))[:HELD])
        if held.shape[1] != samples.shape[1]:
            got = f"samples have {samples.shape[1]}"
            raise BadInput(f"images of {self.real.data} have {held.shape[1]} values, {got}")
        sigma, at_end = parzen.bandwidth(samples, held)
        nats = parzen.parzen(samples, _flat(test, np.arange(len(test))), sigma)
        error = float(nats.std(ddof=1) / len(nats) ** 0.5)
        told = {**told, "images": f"{len(test):,} of the test split", "data_sha256": test.sha256}
        chosen = f"of 10 from 0.1 to 1, on {HELD:,} training images"
        details = {"sigma": round(sigma, 4), "standard error": round(error, 3)}
        details |= {"sigma is at the grid's end": True} if at_end else {}
        return Estimates(nats, {**told, "sigma": chosen}, details)


def _flat(dataset: DataSet, rows: np.ndarray) -> np.ndarray:  # -> (n, d) float64
    return torch.cat(list(rows_of(dataset, rows))).flatten(1).double().numpy()


KINDS = (NegativeLogLikelihood, EvidenceLowerBound, ImportanceBound, Parzen)
