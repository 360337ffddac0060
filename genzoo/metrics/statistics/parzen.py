"""Parzen windows: an estimate of likelihood from samples alone (Breuleux et al. 2011).

A historical protocol (Goodfellow et al. 2014, section 5), which ranks models wrongly in many
dimensions (Theis et al. 2016). Compare it with Parzen estimates from as many samples only.
"""

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np

from genzoo.errors import BadInput

CHUNK = 500
# In the unit of pixels in [0, 1].
BANDWIDTHS = tuple(np.logspace(-1, 0, 10).tolist())


@final
class Bandwidth(NamedTuple):
    """The best ``sigma``; ``end``: it is an end of the grid, so a better one may lie outside."""

    sigma: float
    end: bool


def parzen(samples: np.ndarray, points: np.ndarray, sigma: float) -> np.ndarray:
    """The log density in nats, float64 (m,), of ``points`` (m, d) under a mixture of Gaussians with
    deviation ``sigma`` around each of the samples (n, d). Raises BadInput.
    """
    return _log_densities(*_checked(samples, points), np.array([sigma], np.float64))[0]


def bandwidth(
    samples: np.ndarray, points: np.ndarray, grid: Sequence[float] | np.ndarray = BANDWIDTHS
) -> Bandwidth:
    """The sigma in ``grid`` that gives ``points`` (m, d) the highest mean log density under
    ``samples`` (n, d); the first of equal ones. Raises BadInput.
    """
    sigmas = np.asarray(grid, np.float64)
    if sigmas.ndim != 1 or not sigmas.size or not len(points):
        raise BadInput(f"expected sigmas and points, got {sigmas.size} and {len(points)}")
    means = _log_densities(*_checked(samples, points), sigmas).mean(1)
    best = float(sigmas[means.argmax()])
    return Bandwidth(best, best in (sigmas.min(), sigmas.max()))


def _checked(samples: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64, shifted so that the samples' mean is 0."""
    one, other = np.asarray(samples, np.float64), np.asarray(points, np.float64)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1] or not one.size:
        raise BadInput(f"expected samples (n, d), points (m, d), got {one.shape}, {other.shape}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise BadInput("samples and points must be finite")
    # Squared distances come from products, which would cancel far from 0.
    mean = one.mean(0)
    return one - mean, other - mean


def _log_densities(samples: np.ndarray, points: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """float64 (k, m) for k sigmas."""
    if not (np.isfinite(sigmas).all() and (sigmas > 0).all()):
        raise BadInput(f"sigma must be above 0, got {sigmas.tolist()}")
    n, width = samples.shape
    norms, logs = np.square(samples).sum(1), np.empty((len(sigmas), len(points)))
    for start in range(0, len(points), CHUNK):
        part = points[start : start + CHUNK]
        squares = norms - 2 * (part @ samples.T) + np.square(part).sum(1)[:, None]
        # The nearest sample's term becomes 1, so that the sum neither overflows nor underflows.
        nearest = squares.min(1)
        squares -= nearest[:, None]
        for i, sigma in enumerate(sigmas):
            sums = np.exp(squares * (-0.5 / sigma**2)).sum(1)
            logs[i, start : start + CHUNK] = np.log(sums) - nearest / (2 * sigma**2)
    return logs - np.log(n) - width / 2 * np.log(2 * np.pi * np.square(sigmas))[:, None]
