"""Distances of two sets of features: Frechet, kernel, energy; shares of neighbours; in float64.

No n x n matrix is stored: pairs are computed in strips, so that two sets of 50,000 x 2,048 need
less memory than the features themselves.
"""

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from genzoo.errors import BadInput
from genzoo.metrics.statistics.nearest import (
    balls_around,
    chunks,
    closest,
    cloud,
    covered,
    distinct,
    products,
    radii,
    same_width,
)

__all__ = [
    "Moments",
    "class_score",
    "density_coverage",
    "factored",
    "frechet",
    "kernel",
    "kernels",
    "mean_kernel",
    "moments",
    "nearest",
    "precision_recall",
]

_CACHED = 2**16  # numbers that fit into a core's cache


@final
@dataclass(frozen=True, eq=False)
class Moments:
    """The Gaussian of ``n`` features: ``mean`` ``(d,)`` and ``factor`` ``(r, d)``.

    ``factor.T @ factor`` is the unbiased covariance; r is n where n is at most d.
    """

    n: int
    mean: np.ndarray
    factor: np.ndarray

    @property
    def trace(self) -> float:
        """The trace of the covariance."""
        return float(np.square(self.factor).sum())


def moments(features: np.ndarray) -> Moments:
    """The moments of ``(n, d)`` features, n at least 2. Raises BadInput."""
    features = np.asarray(features)
    if features.ndim != 2 or len(features) < 2:
        raise BadInput(f"expected features (n, d), n at least 2, got {features.shape}")
    n, width = features.shape
    mean = features.mean(0, dtype=np.float64)
    if n <= width:
        return Moments(n, mean, (features - mean) / np.sqrt(n - 1))
    centred = ((features[part] - mean) / np.sqrt(n - 1) for part in chunks(n, width))
    return Moments(n, mean, factored(sum(part.T @ part for part in centred)))


def factored(covariance: np.ndarray) -> np.ndarray:
    """F with F^T F = ``covariance``: Cholesky's, or from eigenvectors if that is singular."""
    try:
        return np.linalg.cholesky(covariance).T
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return np.sqrt(values.clip(0))[:, None] * vectors.T


def frechet(one: Moments, other: Moments) -> float:
    """The squared Frechet distance of two Gaussians (Heusel et al. 2017, equation 6).

    tr (C1 C2)^1/2 is the nuclear norm of A B^T, where C1 = A^T A and C2 = B^T B. So no square root
    of a matrix is needed, and n features below the width need n x n matrices only.
    """
    if one.mean.shape != other.mean.shape:
        raise BadInput(f"features of different width: {len(one.mean)} and {len(other.mean)}")
    product = one.factor @ other.factor.T
    if product.shape[0] > product.shape[1]:
        product = product.T
    overlap = np.sqrt(np.linalg.eigvalsh(product @ product.T).clip(0)).sum()
    shift = np.square(one.mean - other.mean).sum()
    return max(0.0, float(shift + one.trace + other.trace - 2 * overlap))


def kernel(one: np.ndarray, other: np.ndarray) -> float:
    """The kernel distance of ``(n, d)`` and ``(m, d)`` features (Binkowski et al. 2018, section 4):
    the unbiased estimate, which can be negative, of the squared MMD for the kernel (x.y / d + 1)^3.
    """
    return float(kernels(np.asarray(one)[None], other)[0])


def kernels(blocks: np.ndarray, other: np.ndarray, constant: float | None = None) -> np.ndarray:
    """``(k,)``: the kernel distance of each block of ``(k, n, d)`` from ``(m, d)`` features.

    ``constant``: `mean_kernel` of ``other``, if it is known.
    """
    blocks, other = np.asarray(blocks), np.asarray(other)
    least = min(blocks.shape[1], len(other))
    if least < 2:
        raise BadInput(f"a kernel distance needs at least 2 features on each side, got {least}")
    constant = mean_kernel(other) if constant is None else constant
    return np.array([mean_kernel(b) + constant - 2 * _between(b, other) for b in blocks])


def _between(one: np.ndarray, other: np.ndarray) -> float:
    """The mean of the kernel over all pairs."""
    sums = [_cubic(dots, one.shape[1]).sum() for _, dots in products(one, other)]
    return math.fsum(sums) / (len(one) * len(other))


def mean_kernel(x: np.ndarray) -> float:
    """The mean of the kernel over all pairs of different rows of ``(n, d)`` features."""
    sums = []
    for part, dots in products(x, x):
        k = _cubic(dots, x.shape[1])
        sums.append(k.sum() - np.trace(k, part.start))
    return math.fsum(sums) / (len(x) * (len(x) - 1))


def _cubic(dots: np.ndarray, width: int) -> np.ndarray:
    """The kernel in place of inner products, a few rows at a time, which stay in the cache."""
    for part in chunks(len(dots), dots.shape[1], _CACHED):
        base = dots[part]
        base /= width
        base += 1
        base *= base * base
    return dots


def energies(blocks: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``(k,)``: the energy distance of each block of ``(k, n, d)`` from ``(m, d)`` features:
    2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely & Rizzo 2013, equation 5), with means over pairs of
    different rows. It is unbiased, so an estimate may be below 0; the distance itself is 0 only for
    equal distributions. Raises BadInput.
    """
    blocks, other = np.asarray(blocks, np.float64), np.asarray(other, np.float64)
    least = min(blocks.shape[1], len(other))
    if least < 2:
        raise BadInput(f"an energy distance needs at least 2 features on each side, got {least}")
    middle = other.mean(0)  # lengths near 0 lose fewer digits
    blocks, other = blocks - middle, other - middle
    constant = _mean_length(other, other)
    parts = [2 * _mean_length(b, other) - _mean_length(b, b) - constant for b in blocks]
    return np.array(parts)


def _mean_length(one: np.ndarray, other: np.ndarray) -> float:
    """The mean distance over all pairs, without those of a row with itself."""
    squares = [np.square(x).sum(1) for x in (one, other)]
    sums = []
    for part, dots in products(one, other):
        lengths = np.sqrt((squares[0][part, None] + squares[1] - 2 * dots).clip(0))
        sums.append(lengths.sum() - (np.trace(lengths, part.start) if one is other else 0.0))
    return math.fsum(sums) / (len(one) * (len(other) - (one is other)))


def class_score(logits: np.ndarray) -> float:
    """The Inception score of ``(n, K)`` logits: exp(H(y) - H(y|x)), from 1 to K.

    It equals exp(E KL(p(y|x) || p(y))) (Salimans et al. 2016, section 4). Computed in logarithms,
    so that no probability underflows. Raises BadInput.
    """
    logits = cloud(logits, "logits", 1).astype(np.float64)
    logs = logits - _log_sum_exp(logits, 1)[:, None]  # log p(y|x)
    marginal = _log_sum_exp(logs, 0) - math.log(len(logs))  # log p(y)
    conditional = -(np.exp(logs) * logs).sum(1).mean()
    return float(np.exp(-(np.exp(marginal) * marginal).sum() - conditional))


def _log_sum_exp(x: np.ndarray, axis: int) -> np.ndarray:
    most = x.max(axis, keepdims=True)
    return np.log(np.exp(x - most).sum(axis)) + most.squeeze(axis)


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall of ``(n, d)`` and ``(m, d)`` features, n and m above k.

    Kynkaanniemi et al. 2019, section 2, equations 1 and 2. Precision: the share of fakes within the
    ball around some real feature, whose radius is the distance to its k-th nearest neighbour, ties
    included. Recall: the same with the roles exchanged. Raises BadInput.
    """
    real, fake = _both(real, fake, k)
    (real, real_copies), (fake, fake_copies) = distinct(real), distinct(fake)
    real_radii, fake_radii = radii(real, real_copies, k), radii(fake, fake_copies, k)
    precise, recalled = covered(fake, fake_radii, real, real_radii)
    precision = fake_copies @ precise / fake_copies.sum()
    return float(precision), float(real_copies @ recalled / real_copies.sum())


def density_coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> tuple[float, float]:
    """Density and coverage of ``(n, d)`` and ``(m, d)`` features, n and m above k.

    Naeem et al. 2020, equations 3 and 4, with the balls of `precision_recall` around real features.
    Density: how many balls hold a fake, over k, on average; it may exceed 1. Coverage: the share of
    balls with a fake. Raises BadInput.
    """
    real, fake = _both(real, fake, k)
    (real, real_copies), (fake, fake_copies) = distinct(real), distinct(fake)
    counts, holds = balls_around(fake, real, radii(real, real_copies, k), real_copies)
    density = fake_copies @ counts / (k * fake_copies.sum())
    return float(density), float(real_copies @ holds / real_copies.sum())


def _both(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Both if they have k neighbours and one width. Raises BadInput."""
    if k < 1:
        raise BadInput(f"k must be at least 1, got {k}")
    real, fake = cloud(real, "real features", k + 1), cloud(fake, "fake features", k + 1)
    same_width(real, fake)
    return real, fake


def nearest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``(n,)``: the Euclidean distance of each row of ``(n, d)`` to its nearest of ``(m, d)``.

    Raises BadInput.
    """
    x, y = cloud(x, "features", 1), cloud(y, "features", 1)
    same_width(x, y)
    squares, _ = closest(x, y, 1)
    return np.sqrt(squares[:, 0])
