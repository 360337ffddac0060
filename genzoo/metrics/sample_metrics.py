"""Metrics of images by what features see in them: they need no data set where a reference ships."""

import logging
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genzoo.metrics.metric import SampleMetric
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import distances, ranks
from genzoo.metrics.statistics.sharpness import sharpness

GROUPS, BLOCKS = 10, 40
NARROW = 512  # features of at most so many numbers are cheap to estimate ten times
NEIGHBOURS = 3
CONFIDENT = 0.8  # the small classifiers' targets are smoothed to 0.91
# What the field calls our kinds in the features of the original FID.
INCEPTION = {"fd": "fid", "kd": "kid", "class_score": "is"}
log = logging.getLogger("genzoo")


class Featured(SampleMetric):
    """A metric of features: what it keeps of an image is what its real data's features see."""

    @property
    @final
    def name(self) -> str:
        seen_by = self.real.features_name
        if seen_by == "inception" and self.id in INCEPTION:
            return INCEPTION[self.id]
        return f"{self.id}-{seen_by}"

    @property
    @final
    def measure(self) -> Callable[[Tensor], np.ndarray]:
        return self.real.features

    @final
    def conditions(self) -> dict[str, Any]:
        return self.real.conditions()

    @property
    @final
    def groups(self) -> int:
        """Disjoint groups that an estimate is made on."""
        wide = self.real.reference.train.shape[1] > NARROW
        return self.real.groups or (1 if wide else GROUPS)

    @final
    def grouped(self, features: np.ndarray) -> np.ndarray:  # (n, d) -> (groups, n // groups, d)
        size = len(features) // self.groups
        return features[: size * self.groups].reshape(self.groups, size, -1)


@final
class Frechet(Featured):
    """Groups of samples against all training images (Heusel et al. 2017, equation 6).

    Groups, and not resampled samples: few samples bias the distance upwards, and a bootstrap of
    them more so. A group of fewer than there are features would be mostly bias; with 2,048 and
    more of them there is one group, as others' numbers have it, and no interval.
    """

    id, goal = "fd", "lower"
    about = "Frechet distance of features: fidelity and variety together"

    @property
    def least(self) -> int:
        width = self.real.reference.train.shape[1]
        return self.groups * width if width <= NARROW else 2

    def judged(self, measured: np.ndarray) -> Estimates:
        if len(measured) // self.groups < measured.shape[1]:
            what = f"{self.name} of {len(measured):,} samples in {self.groups} group(s)"
            fewer = f"below {measured.shape[1]:,}, the width of its features"
            better = "kid" if self.name == "fid" else f"kd-{self.real.features_name}"
            log.warning("%s is mostly bias %s: take more, or %s", what, fewer, better)
        return Estimates(self._of(self.grouped(measured)))

    def floor(self, n: int) -> float | None:
        found = _alike(self.real.reference.test, n // self.groups)[: self.groups]
        return float(self._of(found).mean()) if found else None

    def _of(self, groups: "Sequence[np.ndarray] | np.ndarray") -> np.ndarray:
        real = self.real.reference.moments
        return np.array([distances.frechet(distances.moments(g), real) for g in groups])


@final
class Kernel(Featured):
    """Forty blocks of samples against training images (Binkowski et al. 2018, section 4)."""

    id, goal = "kd", "lower"
    about = "kernel distance of features: unbiased at any number of samples"
    least = BLOCKS * 25

    def judged(self, measured: np.ndarray) -> Estimates:
        size = len(measured) // BLOCKS
        blocks = measured[: size * BLOCKS].reshape(BLOCKS, size, -1)
        real = self.real.reference.train
        told = {"real features": len(real)}
        return Estimates(distances.kernels(blocks, real), told)

    def floor(self, n: int) -> float | None:
        test = self.real.reference.test
        return float(self.judged(test).parts.mean()) if len(test) >= 2 * BLOCKS else None


@final
class ClassScore(Featured):
    """exp(H(y) - H(y|x)) of ten splits (Salimans et al. 2016, section 4): with Inception's classes
    the Inception Score. It sees how sure and how varied, never how like the data.
    """

    id, goal = "class_score", "higher"
    about = "classes that a classifier finds, sure of each sample and evenly among all"
    least = GROUPS * 50

    def judged(self, measured: np.ndarray) -> Estimates:
        splits = np.array_split(self.real.features.logits(measured), GROUPS)
        return Estimates(np.array([distances.class_score(logits) for logits in splits]))

    def floor(self, n: int) -> float | None:
        logits = self.real.features.logits(self.real.reference.test)
        found = [distances.class_score(part) for part in _alike(logits, n // GROUPS)]
        return float(np.mean(found)) if found else None


@final
class Precision(Featured):
    """The share of samples that look like a training image (Kynkaanniemi et al. 2019, equation 1):
    of groups of samples, each against as many training images.
    """

    id, goal, least, span = "precision", "higher", GROUPS * 50, (0.0, 1.0)
    about = "share of samples within the real images' neighbourhoods: fidelity"

    def judged(self, measured: np.ndarray) -> Estimates:
        return _neighbourly(self, measured, 0)

    def floor(self, n: int) -> float | None:
        return _neighbourly_floor(self, n, 0)


@final
class Recall(Featured):
    """The share of training images that look like a sample (Kynkaanniemi et al. 2019, equation 2):
    it rises with the number of samples, so only like numbers compare.
    """

    id, goal, least, span = "recall", "higher", GROUPS * 50, (0.0, 1.0)
    about = "share of real images within the samples' neighbourhoods: variety"

    def judged(self, measured: np.ndarray) -> Estimates:
        return _neighbourly(self, measured, 1)

    def floor(self, n: int) -> float | None:
        return _neighbourly_floor(self, n, 1)


def _neighbourly(metric: Featured, measured: np.ndarray, which: int) -> Estimates:
    """Precision (0) or recall (1) of each group."""
    real = metric.real.reference.train
    count = min(len(measured) // metric.groups, len(real))
    found = [distances.precision_recall(real[:count], g) for g in metric.grouped(measured)]
    told = {"real features": count, "neighbours": NEIGHBOURS}
    return Estimates(np.array([pair[which] for pair in found]), told)


def _neighbourly_floor(metric: Featured, n: int, which: int) -> float | None:
    real, test = metric.real.reference.train, metric.real.reference.test
    size = n // metric.groups
    known = real[: min(size, len(real))]
    found = [distances.precision_recall(known, g)[which] for g in _alike(test, size)]
    return float(np.mean(found)) if found else None


def _alike(test: np.ndarray, size: int) -> list[np.ndarray]:
    """Groups of held-out images as large as those of the samples: an estimate's bias depends on
    it."""
    return [test[i : i + size] for i in range(0, len(test) - size + 1, size)]


@final
class ModeKL(Featured):
    """How the classes of samples are spread, against those of training images: KL of the shares,
    and how many classes there are at all (Metz et al. 2017, section 3.3.1).
    """

    id, goal, unit, span = "mode_kl", "lower", " nats", (0.0, math.inf)
    about = "KL of the classes' shares from the real ones': 0 if no class is missed"

    @property
    def least(self) -> int:
        return 50 * self.real.features.outputs

    @property
    def _count(self) -> int:
        return self.real.features.outputs

    def judged(self, measured: np.ndarray) -> Estimates:
        classes = self._classes(measured)
        groups = np.array_split(classes, self._parts(len(classes)))
        counts = ranks.class_counts(classes, self._count)
        details = {"classes": self._count, "classes hit": ranks.hit(counts)}
        return Estimates(np.array([self._divergence(g) for g in groups]), {}, details)

    def _parts(self, n: int) -> int:
        return min(GROUPS, max(1, n // (50 * self._count)))

    def _divergence(self, classes: np.ndarray) -> float:
        return ranks.divergence(ranks.class_counts(classes, self._count), self._real)

    def floor(self, n: int) -> float | None:
        test = self.real.reference.test
        found = [self._divergence(g) for g in _alike(self._classes(test), n // self._parts(n))]
        return float(np.mean(found)) if found else None

    @cached_property
    def _real(self) -> np.ndarray:
        counts = ranks.class_counts(self._classes(self.real.reference.train), self._count)
        # Half an image more in each: of a thousand classes one may be missing among those kept.
        return (counts + 0.5) / (counts + 0.5).sum()

    def _classes(self, features: np.ndarray) -> np.ndarray:
        return self.real.features.logits(features).argmax(1)


@final
class Confident(Featured):
    """How often the classifier is sure of what a sample is."""

    id, goal, unit, span = "confident", "higher", " %", (0.0, 100.0)
    about = f"share of samples that the classifier is at least {CONFIDENT:.0%} sure of"
    least = BLOCKS

    def judged(self, measured: np.ndarray) -> Estimates:
        logits = torch.from_numpy(self.real.features.logits(measured))
        sure = (logits.softmax(1).amax(1) >= CONFIDENT).double().numpy()
        return Estimates(np.array([100 * part.mean() for part in np.array_split(sure, BLOCKS)]))

    def floor(self, n: int) -> float | None:
        test = self.real.reference.test
        return float(self.judged(test).parts.mean()) if len(test) >= BLOCKS else None


@final
class Sharpness(SampleMetric):
    """The variance of the Laplacian, as a share of that of the training images."""

    id, goal, least = "sharpness", "near_one", BLOCKS
    about = "variance of the Laplacian, real images = 1: below it blurred, above it noisy"

    @property
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @property
    def measure(self) -> Callable[[Tensor], np.ndarray]:
        return _sharpness

    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data, "real": self.real.looked_at}

    def judged(self, measured: np.ndarray) -> Estimates:
        blocks = [block.mean() for block in np.array_split(measured.astype(np.float64), BLOCKS)]
        return Estimates(np.array(blocks) / self.real.sharpness["train"])

    def floor(self, n: int) -> float | None:
        sharp = self.real.sharpness
        return sharp["test"] / sharp["train"] if "test" in sharp else None


def _sharpness(x: Tensor) -> np.ndarray:
    return sharpness(x).cpu().numpy()
