"""Parzen windows: the likelihood of a model that has samples alone (Breuleux et al. 2011).

A historical protocol (Goodfellow et al. 2014, section 5). In many dimensions it ranks models
wrongly (Theis et al. 2016): it compares with nothing but Parzen estimates from as many samples.
"""

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np

from genzoo.errors import BadInput

CHUNK = 500
# In units of a pixel of [0, 1].
BANDWIDTHS = tuple(np.logspace(-1, 0, 10).tolist())


@final
class Bandwidth(NamedTuple):
    """``sigma``, and whether it is an ``end`` of the grid: a better one may lie beyond."""

    sigma: float
    end: bool


def parzen(samples: np.ndarray, points: np.ndarray, sigma: float) -> np.ndarray:
    """Of each point the log density, float64 (m,) nats, under the samples: the mean of a Gaussian
    of deviation ``sigma`` around each. samples: (n, d); points: (m, d). Raises BadInput.
    """
    return _log_densities(*_checked(samples, points), np.array([sigma], np.float64))[0]


def bandwidth(
    samples: np.ndarray, held: np.ndarray, grid: Sequence[float] | np.ndarray = BANDWIDTHS
) -> Bandwidth:
    """The sigma of ``grid`` for which the points ``held`` (m, d) out are likeliest under
    ``samples`` (n, d); of equal ones the first. Raises BadInput.
    """
    sigmas = np.asarray(grid, np.float64)
    if sigmas.ndim != 1 or not sigmas.size or not len(held):
        raise BadInput(f"expected sigmas and points, got {sigmas.size} and {len(held)}")
    means = _log_densities(*_checked(samples, held), sigmas).mean(1)
    best = float(sigmas[means.argmax()])
    return Bandwidth(best, best in (sigmas.min(), sigmas.max()))


def _checked(samples: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64, moved so that the samples' mean is 0."""
    one, other = np.asarray(samples, np.float64), np.asarray(points, np.float64)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1] or not one.size:
        raise BadInput(f"expected samples (n, d), points (m, d), got {one.shape}, {other.shape}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise BadInput("samples and points must be finite")
    # Squares of distances are differences of products: far from 0 those would cancel.
    mean = one.mean(0)
    return one - mean, other - mean


def _log_densities(samples: np.ndarray, points: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """float64 (k, m), of k sigmas."""
    if not (np.isfinite(sigmas).all() and (sigmas > 0).all()):
        raise BadInput(f"a sigma is a number above 0, got {sigmas.tolist()}")
    n, width = samples.shape
    lengths, found = np.square(samples).sum(1), np.empty((len(sigmas), len(points)))
    for start in range(0, len(points), CHUNK):
        part = points[start : start + CHUNK]
        squares = lengths - 2 * (part @ samples.T) + np.square(part).sum(1)[:, None]
        # The nearest sample's term is 1: the sum neither overflows nor vanishes.
        nearest = squares.min(1)
        squares -= nearest[:, None]
        for i, sigma in enumerate(sigmas):
            sums = np.exp(squares * (-0.5 / sigma**2)).sum(1)
            found[i, start : start + CHUNK] = np.log(sums) - nearest / (2 * sigma**2)
    return found - np.log(n) - width / 2 * np.log(2 * np.pi * np.square(sigmas))[:, None]
