"""Distances between two clouds of features, in float64."""

from dataclasses import dataclass
from typing import final

import numpy as np

from genzoo.errors import BadInput


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
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise BadInput(f"expected features (n, d), n at least 2, got {features.shape}")
    mean = features.mean(0)
    centred = (features - mean) / np.sqrt(len(features) - 1)
    n, width = features.shape
    return Moments(n, mean, centred if n <= width else factored(centred.T @ centred))


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
    blocks, other = np.asarray(blocks, dtype=np.float64), np.asarray(other, dtype=np.float64)
    least = min(blocks.shape[1], len(other))
    if least < 2:
        raise BadInput(f"a kernel distance takes at least 2 features a side, got {least}")
    there = _within(other)
    return np.array([_within(b) + there - 2 * _cubic(b, other).mean() for b in blocks])


def _within(x: np.ndarray) -> float:
    """The mean over pairs of two different features."""
    k, n = _cubic(x, x), len(x)
    return float((k.sum() - np.trace(k)) / (n * (n - 1)))


def _cubic(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one @ other.T / one.shape[1] + 1) ** 3
