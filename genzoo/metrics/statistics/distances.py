"""Distances between two clouds of features, in float64.

Nothing here holds a matrix of n x n: the pairs of n features pass by in strips, so that two clouds
of 50,000 x 2,048 take less memory than they themselves.
"""

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from genzoo.errors import BadInput
from genzoo.metrics.statistics.nearest import (
    chunks,
    closest,
    cloud,
    covered,
    distinct,
    products,
    radii,
    same_width,
)


@final
@dataclass(frozen=True, eq=False)
class Moments:
    """The Gaussian of ``n`` features: ``mean`` ``(d,)`` and a ``factor`` ``(r, d)``.

    The covariance (unbiased) is ``factor.T @ factor``; of fewer features than d, r is their number.
    """

    n: int
    mean: np.ndarray
    factor: np.ndarray

    @property
    def trace(self) -> float:
        """Of the covariance."""
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
    """F with F^T F the covariance: Cholesky's, or where that is singular, from eigenvectors."""
    try:
        return np.linalg.cholesky(covariance).T
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return np.sqrt(values.clip(0))[:, None] * vectors.T


def frechet(one: Moments, other: Moments) -> float:
    """The Frechet distance of two Gaussians (Heusel et al. 2017, equation 6), squared as usual.

    tr (C1 C2)^1/2 is the nuclear norm of A B^T, where C1 = A^T A and C2 = B^T B: no square root of
    a matrix, and with n features below the width, matrices of n.
    """
    if one.mean.shape != other.mean.shape:
        raise BadInput(f"features of unlike width: {len(one.mean)} and {len(other.mean)}")
    product = one.factor @ other.factor.T
    if product.shape[0] > product.shape[1]:
        product = product.T
    overlap = np.sqrt(np.linalg.eigvalsh(product @ product.T).clip(0)).sum()
    apart = np.square(one.mean - other.mean).sum()
    return max(0.0, float(apart + one.trace + other.trace - 2 * overlap))


def kernel(one: np.ndarray, other: np.ndarray) -> float:
    """The kernel distance of ``(n, d)`` and ``(m, d)`` features: the squared mean discrepancy under
    (x.y / d + 1)^3, its unbiased estimate (Binkowski et al. 2018, section 4), which can be below 0.
    """
    return float(kernels(np.asarray(one)[None], other)[0])


def kernels(blocks: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``(k,)``: the kernel distance of each block of ``(k, n, d)`` from ``(m, d)`` features."""
    blocks, other = np.asarray(blocks), np.asarray(other)
    least = min(blocks.shape[1], len(other))
    if least < 2:
        raise BadInput(f"a kernel distance takes at least 2 features a side, got {least}")
    there = _within(other)
    return np.array([_within(b) + there - 2 * _between(b, other) for b in blocks])


def _between(one: np.ndarray, other: np.ndarray) -> float:
    """The mean of the kernel over all pairs."""
    sums = [_cubic(dots, one.shape[1]).sum() for _, dots in products(one, other)]
    return math.fsum(sums) / (len(one) * len(other))


def _within(x: np.ndarray) -> float:
    """The mean of the kernel over pairs of two different features."""
    sums = []
    for part, dots in products(x, x):
        k = _cubic(dots, x.shape[1])
        sums.append(k.sum() - np.trace(k, part.start))
    return math.fsum(sums) / (len(x) * (len(x) - 1))


def _cubic(dots: np.ndarray, width: int) -> np.ndarray:
    base = dots / width + 1
    return base * base * base


def class_score(logits: np.ndarray) -> float:
    """The Inception score of ``(n, K)`` logits: exp(H(y) - H(y|x)), from 1 to K.

    Salimans et al. 2016, section 4: exp(E KL(p(y|x) || p(y))), which is the same. In logarithms, so
    that no probability underflows. Raises BadInput.
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
    """Improved precision and recall of ``(n, d)`` and ``(m, d)`` features, both above k in number.

    Kynkaanniemi et al. 2019, section 2, equations 1 and 2: which share of the fakes lies in a ball
    about some real feature, its radius the distance to its k-th nearest other, ties included; and
    the same the other way round. Raises BadInput.
    """
    if k < 1:
        raise BadInput(f"a ball reaches to the k-th neighbour, k at least 1, got {k}")
    real, fake = cloud(real, "real features", k + 1), cloud(fake, "fake features", k + 1)
    same_width(real, fake)
    (real, there), (fake, here) = distinct(real), distinct(fake)
    around_real, around_fake = radii(real, there, k), radii(fake, here, k)
    precise, recalled = covered(fake, around_fake, real, around_real)
    return float(here @ precise / here.sum()), float(there @ recalled / there.sum())


def nearest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``(n,)``: the Euclidean distance of each row of ``(n, d)`` to its nearest of ``(m, d)``.

    Raises BadInput.
    """
    x, y = cloud(x, "features", 1), cloud(y, "features", 1)
    same_width(x, y)
    squares, _ = closest(x, y, 1)
    return np.sqrt(squares[:, 0])
