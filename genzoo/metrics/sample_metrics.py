"""Metrics of samples: distances and shares in the features of a network, and sharpness.

They need no data set if the reference of real images ships with the package.
"""

import logging
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.metrics.metric import SampleMetric
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import distances, ranks
from genzoo.metrics.statistics.sharpness import sharpness
from genzoo.schemas import Kind

GROUPS, BLOCKS = 10, 40
NARROW = 512  # features up to this width are cheap to estimate ten times
NEIGHBOURS = 3
COVERING = 5  # neighbours of density and coverage, as their authors take
COMPARED = 5000  # real features at most, where all pairs are compared
CONFIDENT = 0.8  # the small classifiers' targets are smoothed to 0.91
# The usual names of these metrics in the features of the original FID.
INCEPTION = {"fd": "fid", "kd": "kid", "class_score": "is"}
log = logging.getLogger("genzoo")


class FeatureMetric(SampleMetric):
    """A metric in the features that its real data use: they decide on the kind of samples."""

    kinds: ClassVar[tuple[Kind, ...]] = ("images", "signals", "points")

    @property
    @final
    def name(self) -> str:
        network = self.real.features_name
        if network == "inception" and self.id in INCEPTION:
            return INCEPTION[self.id]
        return f"{self.id}-{network}"

    @property
    @final
    def extract(self) -> Callable[[Tensor], np.ndarray]:
        return self.real.features

    @final
    def conditions(self) -> dict[str, Any]:
        return self.real.conditions()


class GroupedMetric(FeatureMetric):
    """A metric of features that is estimated on disjoint groups of samples."""

    reads: ClassVar[tuple[str, ...]] = (*FeatureMetric.reads, "groups")

    @property
    @final
    def groups(self) -> int:
        """The number of disjoint groups of samples, each of which gives one estimate."""
        wide = self.real.reference.train.shape[1] > NARROW
        return self.real.groups or (1 if wide else GROUPS)

    @final
    def grouped(self, features: np.ndarray) -> np.ndarray:  # (n, d) -> (groups, n // groups, d)
        size = len(features) // self.groups
        return features[: size * self.groups].reshape(self.groups, size, -1)


@final
class Frechet(GroupedMetric):
    """The distance of groups of samples from all training images (Heusel et al. 2017, equation 6).

    Disjoint groups, not a bootstrap, because resampling adds to the upward bias of few samples. A
    group smaller than the width of the features would be mostly bias; for wide features (2,048)
    there is one group, as in published numbers, and so no interval.
    """

    id, goal = "fd", "lower"
    about = "Frechet distance of features: fidelity and diversity together"

    @property
    def min_samples(self) -> int:
        width = self.real.reference.train.shape[1]
        return self.groups * width if width <= NARROW else 2

    def estimate(self, features: np.ndarray) -> Estimates:
        n, width = features.shape
        if n // self.groups < width:
            log.warning(
                "%s from %s samples in %d group(s) is mostly bias: a group needs at least %s "
                "samples, the width of the features; take more samples or use %s",
                self.name,
                f"{n:,}",
                self.groups,
                f"{width:,}",
                "kid" if self.name == "fid" else f"kd-{self.real.features_name}",
            )
        return Estimates(self._distances(self.grouped(features)))

    def floor(self, n: int) -> float | None:
        groups = _groups_of(self.real.reference.test, n // self.groups)[: self.groups]
        return float(self._distances(groups).mean()) if groups else None

    def _distances(self, groups: "Sequence[np.ndarray] | np.ndarray") -> np.ndarray:
        real = self.real.reference.moments
        return np.array([distances.frechet(distances.moments(g), real) for g in groups])


@final
class Kernel(FeatureMetric):
    """The distance of 40 blocks of samples from real ones (Binkowski et al. 2018, section 4)."""

    id, goal = "kd", "lower"
    about = "kernel distance of features: unbiased at any number of samples"
    min_samples = BLOCKS * 25

    def estimate(self, features: np.ndarray) -> Estimates:
        size = len(features) // BLOCKS
        blocks = features[: size * BLOCKS].reshape(BLOCKS, size, -1)
        reference = self.real.reference
        parts = distances.kernels(blocks, reference.train, reference.mean_kernel)
        return Estimates(parts, {"real features": len(reference.train)})

    def floor(self, n: int) -> float | None:
        test = self.real.reference.test
        return float(self.estimate(test).parts.mean()) if len(test) >= 2 * BLOCKS else None


@final
class Energy(GroupedMetric):
    """The energy distance of ten groups of samples from real ones (Szekely & Rizzo 2013)."""

    id, goal, min_samples = "energy", "lower", GROUPS * 50
    about = "energy distance of features: 0 only if the distributions are equal"

    def estimate(self, features: np.ndarray) -> Estimates:
        real = self.real.reference.train[:COMPARED]
        parts = distances.energies(self.grouped(features), real)
        return Estimates(parts, {"real features": len(real)})

    def floor(self, n: int) -> float | None:
        groups = _groups_of(self.real.reference.test, n // self.groups)[: self.groups]
        if not groups:
            return None
        real = self.real.reference.train[:COMPARED]
        return float(distances.energies(np.stack(groups), real).mean())


@final
class ClassScore(FeatureMetric):
    """exp(H(y) - H(y|x)) of ten splits (Salimans et al. 2016, section 4): the Inception Score where
    the network is Inception. It measures confidence and diversity, not likeness to the data.
    """

    kinds = ("images",)
    id, goal = "class_score", "higher"
    about = (
        "Inception Score of a classifier: high if it is sure of each sample and classes are even"
    )
    min_samples = GROUPS * 50

    def estimate(self, features: np.ndarray) -> Estimates:
        splits = np.array_split(self.real.features.logits(features), GROUPS)
        return Estimates(np.array([distances.class_score(logits) for logits in splits]))

    def floor(self, n: int) -> float | None:
        logits = self.real.features.logits(self.real.reference.test)
        scores = [distances.class_score(part) for part in _groups_of(logits, n // GROUPS)]
        return float(np.mean(scores)) if scores else None


class NeighbourMetric(GroupedMetric):
    """A metric of the neighbourhoods of samples, for each group and as many training images."""

    goal, min_samples = "higher", GROUPS * 50
    neighbours: ClassVar[int]

    @abstractmethod
    def measure(self, real: np.ndarray, fake: np.ndarray) -> float:
        """The value of one group, from features ``(n, d)`` of real and of other samples."""

    @final
    def estimate(self, features: np.ndarray) -> Estimates:
        real = self.real.reference.train
        count = min(len(features) // self.groups, len(real))
        parts = [self.measure(real[:count], group) for group in self.grouped(features)]
        return Estimates(np.array(parts), {"real features": count, "neighbours": self.neighbours})

    @final
    def floor(self, n: int) -> float | None:
        real, size = self.real.reference.train, n // self.groups
        train = real[: min(size, len(real))]
        groups = _groups_of(self.real.reference.test, size)
        parts = [self.measure(train, group) for group in groups]
        return float(np.mean(parts)) if parts else None


@final
class Precision(NeighbourMetric):
    """The share of samples that look like a training image (Kynkaanniemi et al. 2019, equation 1),
    for each group of samples and as many training images.
    """

    id, neighbours, span = "precision", NEIGHBOURS, (0.0, 1.0)
    about = "share of samples within the neighbourhoods of real ones: fidelity"

    def measure(self, real: np.ndarray, fake: np.ndarray) -> float:
        return distances.precision_recall(real, fake, self.neighbours)[0]


@final
class Recall(NeighbourMetric):
    """The share of training images that look like a sample (Kynkaanniemi et al. 2019, equation 2).

    It rises with the number of samples: compare it at equal n only.
    """

    id, neighbours, span = "recall", NEIGHBOURS, (0.0, 1.0)
    about = "share of real samples within the neighbourhoods of generated ones: diversity"

    def measure(self, real: np.ndarray, fake: np.ndarray) -> float:
        return distances.precision_recall(real, fake, self.neighbours)[1]


@final
class Density(NeighbourMetric):
    """How many neighbourhoods of training images hold a sample, over k (Naeem et al. 2020, equation
    3): a few outliers among them count less than in the precision. Real samples get about 1.
    """

    id, neighbours, span = "density", COVERING, (0.0, math.inf)
    about = "neighbourhoods of real samples that hold a sample, real samples = about 1: fidelity"

    def measure(self, real: np.ndarray, fake: np.ndarray) -> float:
        return distances.density_coverage(real, fake, self.neighbours)[0]


@final
class Coverage(NeighbourMetric):
    """The share of training images whose neighbourhood holds a sample (Naeem et al. 2020, equation
    4): unlike in the recall, a sample far from all others adds nothing.
    """

    id, neighbours, span = "coverage", COVERING, (0.0, 1.0)
    about = "share of real samples whose neighbourhood holds a sample: diversity"

    def measure(self, real: np.ndarray, fake: np.ndarray) -> float:
        return distances.density_coverage(real, fake, self.neighbours)[1]


def _groups_of(test: np.ndarray, size: int) -> list[np.ndarray]:
    """Held-out images in groups of the samples' ``size``, because an estimate's bias depends on
    it."""
    return [test[i : i + size] for i in range(0, len(test) - size + 1, size)]


@final
class ModeKL(FeatureMetric):
    """KL divergence of the samples' class shares from those of training images, and the number of
    classes with a sample (Metz et al. 2017, section 3.3.1).
    """

    kinds = ("images",)
    id, goal, unit, span = "mode_kl", "lower", " nats", (0.0, math.inf)
    about = "KL divergence of the samples' class shares from the real ones: 0 if equal"

    @property
    def min_samples(self) -> int:
        return 50 * self.real.features.outputs

    @property
    def _count(self) -> int:
        return self.real.features.outputs

    def estimate(self, features: np.ndarray) -> Estimates:
        classes = self._classes(features)
        groups = np.array_split(classes, self._num_parts(len(classes)))
        counts = ranks.class_counts(classes, self._count)
        details = {"classes": self._count, "classes hit": ranks.classes_hit(counts)}
        return Estimates(np.array([self._divergence(g) for g in groups]), {}, details)

    def _num_parts(self, n: int) -> int:
        return min(GROUPS, max(1, n // (50 * self._count)))

    def _divergence(self, classes: np.ndarray) -> float:
        return ranks.divergence(ranks.class_counts(classes, self._count), self._real_shares)

    def floor(self, n: int) -> float | None:
        test = self.real.reference.test
        groups = _groups_of(self._classes(test), n // self._num_parts(n))
        return float(np.mean([self._divergence(g) for g in groups])) if groups else None

    @cached_property
    def _real_shares(self) -> np.ndarray:
        counts = ranks.class_counts(self._classes(self.real.reference.train), self._count)
        # Half an image is added to each class: the stored images may miss one of a thousand
        # classes.
        return (counts + 0.5) / (counts + 0.5).sum()

    def _classes(self, features: np.ndarray) -> np.ndarray:
        return self.real.features.logits(features).argmax(1)


@final
class Confident(FeatureMetric):
    """The share of samples that the classifier gives one class a high probability."""

    kinds = ("images",)
    id, goal, unit, span = "confident", "higher", " %", (0.0, 100.0)
    about = f"share of samples with a class probability of at least {CONFIDENT:.0%}"
    min_samples = BLOCKS

    def estimate(self, features: np.ndarray) -> Estimates:
        logits = torch.from_numpy(self.real.features.logits(features))
        confident = (logits.softmax(1).amax(1) >= CONFIDENT).double().numpy()
        blocks = np.array_split(confident, BLOCKS)
        return Estimates(np.array([100 * block.mean() for block in blocks]))

    def floor(self, n: int) -> float | None:
        test = self.real.reference.test
        return float(self.estimate(test).parts.mean()) if len(test) >= BLOCKS else None


@final
class Sharpness(SampleMetric):
    """The variance of the Laplacian, divided by that of the training images."""

    id, goal, min_samples = "sharpness", "near_one", BLOCKS
    reads = ("limit",)
    about = "variance of the Laplacian, real images = 1: below 1 blurred, above 1 noisy"

    @property
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @property
    def extract(self) -> Callable[[Tensor], np.ndarray]:
        return _sharpness

    def conditions(self) -> dict[str, Any]:
        return {**self.real.identity, "real": self.real.protocol_images}

    def estimate(self, features: np.ndarray) -> Estimates:
        blocks = [block.mean() for block in np.array_split(features.astype(np.float64), BLOCKS)]
        return Estimates(np.array(blocks) / self._of_train())

    def floor(self, n: int) -> float | None:
        splits = self.real.sharpness
        return splits["test"] / self._of_train() if "test" in splits else None

    def _of_train(self) -> float:
        if found := self.real.sharpness["train"]:
            return found
        what = f"each training image of {self.real.data} has one colour, or less than 3x3 pixels"
        raise BadInput(f"{self.name} compares with nothing: {what}: check the data")


def _sharpness(x: Tensor) -> np.ndarray:
    return sharpness(x).cpu().numpy()
