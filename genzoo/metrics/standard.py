"""The metrics of every image model whose data set has a reference: fd, kd and sharpness."""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
from torch import Tensor

from genzoo.errors import BadInput, unknown
from genzoo.metrics import distances, sharpness
from genzoo.metrics.features import WIDTH, Reference
from genzoo.metrics.scores import Metric

GROUPS, BLOCKS = 10, 40


@final
class Frechet(Metric):
    """Ten groups of samples against all training images (Heusel et al. 2017, equation 6).

    Groups, and not resampled samples: few samples bias the distance upwards, and a bootstrap of
    them more so. A group of fewer than there are features would be mostly bias.
    """

    kind, goal, least = "fd", "lower", GROUPS * WIDTH
    about = "Frechet distance of features: fidelity and variety together"

    @property
    def measure(self) -> Callable[[Tensor], np.ndarray]:
        return self.real.features

    def parts(self, measured: np.ndarray) -> np.ndarray:
        return self._of(measured, len(measured) // GROUPS, GROUPS)

    def floor(self, n: int) -> float | None:
        count = len(self.real.test) // (n // GROUPS)
        return float(self._of(self.real.test, n // GROUPS, count).mean()) if count else None

    def _of(self, features: np.ndarray, size: int, count: int) -> np.ndarray:
        groups = features[: size * count].reshape(count, size, -1)
        real = self.real.moments
        return np.array([distances.frechet(distances.moments(g), real) for g in groups])


@final
class Kernel(Metric):
    """Forty blocks of samples against training images (Binkowski et al. 2018, section 4)."""

    kind, goal, least = "kd", "lower", BLOCKS * 25
    about = "kernel distance of features: unbiased at any number of samples"

    @property
    def measure(self) -> Callable[[Tensor], np.ndarray]:
        return self.real.features

    def parts(self, measured: np.ndarray) -> np.ndarray:
        size = len(measured) // BLOCKS
        blocks = measured[: size * BLOCKS].reshape(BLOCKS, size, -1)
        return distances.kernels(blocks, self.real.train)

    def floor(self, n: int) -> float | None:
        return float(self.parts(self.real.test).mean())


@final
class Sharpness(Metric):
    """The variance of the Laplacian, as a share of that of the training images."""

    kind, goal, least = "sharpness", "one", BLOCKS
    about = "variance of the Laplacian, real images = 1: below it blurred, above it noisy"

    @property
    def measure(self) -> Callable[[Tensor], np.ndarray]:
        return _sharpness

    def parts(self, measured: np.ndarray) -> np.ndarray:
        blocks = [block.mean() for block in np.array_split(measured.astype(np.float64), BLOCKS)]
        return np.array(blocks) / self.real.sharpness["train"]

    def floor(self, n: int) -> float | None:
        return self.real.sharpness["test"] / self.real.sharpness["train"]


def metrics(real: Reference, wanted: Sequence[str] | None = None) -> list[Metric]:
    """Those of the names ``wanted`` (``fd-mnist``), or all. Raises BadInput, UnknownName."""
    every: dict[str, Metric] = {m.name: m for m in (Frechet(real), Kernel(real), Sharpness(real))}
    if wanted is not None and not any(wanted):
        raise BadInput("no metric is named: leave them out for all")
    for name in wanted or ():
        if name not in every:
            raise unknown("metric", name, every, "Leave them out for all.")
    return [every[name] for name in wanted or every]


def _sharpness(x: Tensor) -> np.ndarray:
    return sharpness.sharpness(x).cpu().numpy()
