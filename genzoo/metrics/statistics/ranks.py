"""Statistics of class counts (KL divergence) and of ranks (Mann-Whitney test, AUROC)."""

import math

import numpy as np

from genzoo.errors import BadInput


def class_counts(classes: np.ndarray, k: int) -> np.ndarray:
    """The count of each class, int64 (k,), in ``classes`` (n,), whole numbers from 0 to k - 1.

    Raises BadInput.
    """
    classes = np.asarray(classes)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise BadInput(f"expected classes (n,), integers, got {classes.dtype} {classes.shape}")
    if classes.size and not 0 <= classes.min() <= classes.max() < k:
        raise BadInput(f"classes must be 0 to {k - 1}, got {classes.min()} to {classes.max()}")
    return np.bincount(classes, minlength=k)


def classes_hit(counts: np.ndarray) -> int:
    """The number of classes with a sample: the modes covered (Metz et al. 2017, 3.3.1)."""
    return int(np.count_nonzero(counts))


def divergence(counts: np.ndarray, reference_shares: np.ndarray) -> float:
    """KL(samples || reference) in nats of the class shares (Metz et al. 2017, section 3.3.1).

    A class without samples adds 0; a sample of a class that the reference lacks makes it infinite.
    Its upward bias is about (k - 1) / 2n for n samples. Raises BadInput.
    """
    counts, shares = np.asarray(counts, np.float64), np.asarray(reference_shares, np.float64)
    if counts.ndim != 1 or counts.shape != shares.shape or not counts.sum() > 0:
        raise BadInput(f"expected counts and shares (k,), got {counts.shape}, {shares.shape}")
    if not (shares.min() >= 0 and abs(shares.sum() - 1) < 1e-6):
        raise BadInput(f"reference shares must sum to 1, got {shares.sum():.6g}")
    hit = counts > 0
    own, shares = counts[hit] / counts.sum(), shares[hit]
    if not shares.all():
        return math.inf
    return max(0.0, float((own * np.log(own / shares)).sum()))


def rank_test(near: np.ndarray, far: np.ndarray) -> float:
    """The one-sided p-value of Mann and Whitney's test (1947): small where the values ``near`` (n,)
    tend to be smaller than ``far`` (m,).

    A normal approximation with corrections for ties and continuity: it needs 8 or more values of
    each. Raises BadInput.
    """
    one, other, ranks, counts = _ranked(near, far)
    n, m = len(one), len(other)
    # The number of pairs in which the far one is larger, ties count half; n m / 2 under the null.
    above = n * m + n * (n + 1) / 2 - ranks[:n].sum()
    ties = (counts.astype(np.float64) ** 3 - counts).sum() / ((n + m) * (n + m - 1))
    spread = math.sqrt(n * m / 12 * (n + m + 1 - ties))
    if spread == 0:
        return 1.0
    return math.erfc((above - n * m / 2 - 0.5) / spread / math.sqrt(2)) / 2


def auroc(high: np.ndarray, low: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The area under the ROC curve (Hanley & McNeil 1982), and its 95 % interval: the probability
    that a value of ``high`` (n,) is above one of ``low`` (m,), ties count half.

    The interval is DeLong's (1988, equation 6), cut off at 0 and 1. It needs two values of each,
    and has no width if the order is perfect. Raises BadInput.
    """
    one, other, ranks, _ = _ranked(high, low)
    n, m = len(one), len(other)
    if min(n, m) < 2:
        raise BadInput(f"an interval needs at least two values of each, got {n} and {m}")
    # For each value, how often it is above (or below) one of the other sample.
    above = (ranks[:n] - _midranks(one)[0]) / m
    below = 1 - (ranks[n:] - _midranks(other)[0]) / n
    area = float(above.mean())
    reach = 1.96 * math.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m)
    return area, (max(0.0, area - reach), min(1.0, area + reach))


def _ranked(
    one: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both in float64, the ranks of all values, and the count of each value. Raises BadInput."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.ndim != 1 or other.ndim != 1 or not one.size or not other.size:
        raise BadInput(f"expected two samples (n,), (m,), got {one.shape}, {other.shape}")
    values = np.concatenate([one, other])
    if np.isnan(values).any():
        raise BadInput("NaN has no rank")
    return one, other, *_midranks(values)


def _midranks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each value from 1 on, averaged over ties; and the count of each value."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[places], counts
