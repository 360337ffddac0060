"""Metrics of likelihood: exact values, bounds and estimates, each under its own name.

No kind is ever ranked with another. The protocol names the levels that a density is over,
and the law by which pixels of test images were drawn, if any were.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput, article
from genzoo.metrics.metric import ModelMetric
from genzoo.metrics.real_data import random_rows, rows_of
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import parzen
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Density
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Sampler
from genzoo.models.shared_samples import in_order, own
from genzoo.schemas import Kind

IMPORTANCE_SAMPLES = 200  # z for each image in the importance-weighted bound
# Goodfellow et al. 2014, section 5: the samples, and at most so many images choose a sigma.
PARZEN_SAMPLES, PARZEN_VALIDATION = 10_000, 1000
BATCH = 250
# The metrics of each kind of likelihood.
METRICS = {"exact": "nll", "bound": "elbo or iwae", "estimate": "nll_estimate"}
UNITS = {"images": "nats an image", "signals": "nats a signal", "points": "nats a point"}


class Estimator(NamedTuple):
    """A kind of likelihood, and how `Density.log_prob` combines how many importance samples."""

    kind: str
    bound: Literal["elbo", "importance"]
    samples: int


def _unsupported_reason(subject: ModelSubject, kind: str) -> str:
    if not isinstance(subject.model, Density):
        hint = "; parzen estimates one" if subject.kind == "images" else ""
        return f"{article(subject.model)} has no likelihood{hint}"
    if (own := subject.model.likelihood_kind) != kind:
        return f"its likelihood is of kind {own}, use {METRICS[own]}"
    return ""


def _estimate(metric: "Likelihood", subject: ModelSubject, n: int | None, seed: int) -> Estimates:
    """One part for each image."""
    model, test = subject.model, metric.real.open("test")
    assert isinstance(model, Density)
    if tuple(model.shape) != test.shape:
        taken, found = ("x".join(map(str, shape)) for shape in (model.shape, test.shape))
        raise BadInput(
            f"{subject.name} takes {taken} {model.kind}, but {metric.real.data} is {found}"
        )
    rows = random_rows(test, n, seed)
    classes = model.num_classes if isinstance(model, Sampler) else 0
    nats, drawn, done = list[np.ndarray](), False, 0
    for values, is_drawn in in_order(_nats(model, metric.estimator, test, rows, seed)):
        nats.append(values)
        drawn |= is_drawn
        done += len(values)
        metric.real.report(f"{subject.name}: likelihood", done, len(rows))
    values, bits = np.concatenate(nats), model.levels == 256
    protocol = {
        "likelihood": model.likelihood_kind
        if model.levels
        else f"{model.likelihood_kind} (a density, or as if one)",
        "levels": model.levels or "the continuum",
        **law_of(model.levels, drawn),
        "unit": "bits a value" if bits else UNITS[model.kind],
        model.kind: f"{len(rows):,} of the test split",
        "data_sha256": test.sha256,
        "class-conditional": bool(classes),
        "seed": seed,
    }
    return Estimates(values / (np.prod(test.shape) * np.log(2)) if bits else values, protocol)


def _nats(
    model: Density, estimator: Estimator, test: DataSet, rows: np.ndarray, seed: int
) -> Iterator[tuple[np.ndarray, bool]]:
    """Those of each batch of ``rows``, and whether pixels of it were drawn."""
    classes = model.num_classes if isinstance(model, Sampler) else 0
    for start in own(range(0, len(rows), BATCH)):
        part = rows[start : start + BATCH]
        labels = test.labels_of(part) if classes else None
        x, is_drawn = on_levels(test.batch(part), _levels(model), seed, part)
        # One seed for each batch, because log_prob numbers its codes from the batch's first image.
        log_prob = model.log_prob(
            x, labels, seed=seed + start, samples=estimator.samples, bound=estimator.bound
        )
        yield -log_prob.cpu().double().numpy(), is_drawn


def _levels(model: Density) -> int | None:
    return model.levels if model.is_images else None


def on_levels(x: Tensor, levels: int | None, seed: int, rows: Iterable[int]) -> tuple[Tensor, bool]:
    """Images ``(n, *shape)`` in [0, 1] on a model's ``levels``, and whether any pixel was drawn.

    A pixel between two levels is drawn up or down, so that its mean stays: with two levels the
    stochastic binarisation of Salakhutdinov & Murray 2008. Rounding would give easier images than a
    model learns. The draw of an image depends on ``seed`` and its row alone.
    """
    if not levels:
        return x, False
    steps = x * (levels - 1)
    nearest = steps.round()
    between = (steps - nearest).abs() > 1e-3  # the rest is float32's rounding
    if drawn := bool(between.any()):
        uniform = Noise(seed, map(int, rows), "levels").uniform(*x.shape[1:])
        nearest = torch.where(between, (steps + uniform).floor(), nearest)
    return nearest / (levels - 1), drawn


def law_of(levels: int | None, drawn: bool) -> dict[str, str]:
    """What a protocol says of drawn pixels; nothing where the images have the model's levels."""
    law = "stochastic binarisation" if levels == 2 else "stochastic rounding to the levels"
    return {"pixels": f"{law}, drawn by the seed"} if drawn else {}


class Likelihood(ModelMetric):
    """The negative log-likelihood of the test samples, or a bound on it."""

    kinds: ClassVar[tuple[Kind, ...]] = ("images", "signals", "points")
    goal, reads = "lower", ()

    @property
    @abstractmethod
    def estimator(self) -> Estimator:
        """The kind of model that it is for, and how it estimates."""

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @final
    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data, "importance samples": self.estimator.samples}

    @final
    def unsupported_reason(self, subject: ModelSubject) -> str:
        return _unsupported_reason(subject, self.estimator.kind)

    @final
    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        return _estimate(self, subject, n, seed)

    @final
    def floor(self) -> None:
        return None


@final
class NegativeLogLikelihood(Likelihood):
    """The exact value: nats a sample, or bits a value where pixels have 256 levels."""

    id, estimator = "nll", Estimator("exact", "elbo", 1)
    about = "exact negative log-likelihood of the test samples"


@final
class EvidenceLowerBound(Likelihood):
    """The bound with one code a sample (Kingma & Welling 2014, equation 2)."""

    id, estimator = "elbo", Estimator("bound", "elbo", 1)
    about = "bound on the negative log-likelihood of the test samples, one code per sample"


@final
class ImportanceBound(Likelihood):
    """The importance-weighted bound (Burda et al. 2016, equation 8).

    It is tighter with more codes: compare it at equal numbers only.
    """

    id, estimator = "iwae", Estimator("bound", "importance", IMPORTANCE_SAMPLES)
    about = f"importance-weighted bound on the negative log-likelihood, {IMPORTANCE_SAMPLES} codes"


@final
class EstimatedLogLikelihood(Likelihood):
    """An estimate, as by a sampled normalising constant: it may be too low as well as too high."""

    id, estimator = "nll_estimate", Estimator("estimate", "elbo", 1)
    about = "estimate of the negative log-likelihood of the test samples; no bound"


@final
class Parzen(ModelMetric):
    """Log-likelihood of the test images under a Gaussian around each of 10,000 samples (Goodfellow
    et al. 2014, section 5). More samples raise it: compare it at equal numbers only.

    Its width is chosen on images that no model was trained on, as the authors' was: by 1,000 of one
    half of the test images for the other half, and the other way round. So all test images count,
    and none chooses its own width.

    It means little in many dimensions (Theis et al. 2016, section 3.1): real images get 244 nats
    on MNIST, the centres of k-means more. It is here to compare with the tables of old papers.
    """

    id, goal, unit, reads = "parzen", "higher", " nats", ()
    about = "Parzen-window estimate of the log-likelihood of the test images, as in old papers"
    _count = PARZEN_SAMPLES

    @property
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data, "likelihood": "estimate"}

    def unsupported_reason(self, subject: ModelSubject) -> str:
        model = subject.model
        if isinstance(model, Sampler) and model.is_images:
            return ""
        return f"{article(model)} does not generate images"

    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        self._count = count = n or PARZEN_SAMPLES
        samples = torch.cat([*in_order(subject.stream(count, seed))]).flatten(1).double().numpy()
        return self._fit(samples, {**subject.protocol(seed), "samples": count})

    def floor(self) -> float:
        """The value of as many training images in place of the last estimate's samples."""
        train = self.real.open("train")
        rows = np.random.RandomState(1).permutation(len(train))[: self._count]
        return float(self._fit(_flat(train, rows), {}).parts.mean())

    def _fit(self, samples: np.ndarray, protocol: dict[str, Any]) -> Estimates:
        test = self.real.open("test")
        if len(test) < 2:
            raise BadInput(f"{self.name} needs 2 test images or more, got {len(test)}")
        images = _flat(test, np.arange(len(test)))
        if images.shape[1] != samples.shape[1]:
            got = f"samples have {samples.shape[1]}"
            raise BadInput(f"images of {self.real.data} have {images.shape[1]} values, {got}")
        nats, widths = np.empty(len(images)), list[parzen.Bandwidth]()
        halves = np.array_split(np.random.RandomState(1).permutation(len(images)), 2)
        for half, other in (halves, halves[::-1]):
            widths += [parzen.bandwidth(samples, images[other[:PARZEN_VALIDATION]])]
            nats[half] = parzen.parzen(samples, images[half], widths[-1].sigma)
        error = float(nats.std(ddof=1) / len(nats) ** 0.5)
        who = {"images": f"{len(test):,} of the test split", "data_sha256": test.sha256}
        grid = f"of 10 from 0.1 to 1, on {min(PARZEN_VALIDATION, len(halves[1])):,} test images"
        grid = f"{grid} of the other half"
        sigmas = sorted({round(width.sigma, 4) for width in widths})
        one: Any = sigmas[0] if len(sigmas) == 1 else " and ".join(map(str, sigmas))
        details = {"sigma": one, "standard error": round(error, 3)}
        details |= {"sigma is at the grid's end": True} if any(w.end for w in widths) else {}
        return Estimates(nats, {**protocol, **who, "sigma": grid}, details)


def _flat(dataset: DataSet, rows: np.ndarray) -> np.ndarray:  # -> (n, d) float64
    return torch.cat(list(rows_of(dataset, rows))).flatten(1).double().numpy()


KINDS = (
    NegativeLogLikelihood,
    EvidenceLowerBound,
    ImportanceBound,
    EstimatedLogLikelihood,
    Parzen,
)
