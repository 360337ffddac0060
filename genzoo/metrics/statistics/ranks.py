"""How samples spread: over classes or modes, and from one cloud to another."""

import math

import numpy as np

from genzoo.errors import BadInput


def class_counts(classes: np.ndarray, k: int) -> np.ndarray:
    """How many of ``classes`` (n,), whole numbers from 0 to k - 1, are each: int64 (k,).

    Raises BadInput.
    """
    classes = np.asarray(classes)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise BadInput(f"expected classes (n,), integers, got {classes.dtype} {classes.shape}")
    if classes.size and not 0 <= classes.min() <= classes.max() < k:
        raise BadInput(f"classes must be 0 to {k - 1}, got {classes.min()} to {classes.max()}")
    return np.bincount(classes, minlength=k)


def hit(counts: np.ndarray) -> int:
    """Of how many classes there is a sample: the modes covered (Metz et al. 2017, 3.3.1)."""
    return int(np.count_nonzero(counts))


def divergence(counts: np.ndarray, reference_shares: np.ndarray) -> float:
    """KL(samples || reference) in nats, of the samples' shares as counted (Metz et al. 2017,
    section 3.3.1): a class without samples adds nothing, one that the reference has not makes it
    infinite. Few samples bias it upwards, by about (k - 1) / 2n. Raises BadInput.
    """
    counts, shares = np.asarray(counts, np.float64), np.asarray(reference_shares, np.float64)
    if counts.ndim != 1 or counts.shape != shares.shape or not counts.sum() > 0:
        raise BadInput(f"expected counts and shares (k,), got {counts.shape}, {shares.shape}")
    if not (shares.min() >= 0 and abs(shares.sum() - 1) < 1e-6):
        raise BadInput(f"reference shares must sum to 1, got {shares.sum():.6g}")
    there = counts > 0
    own, shares = counts[there] / counts.sum(), shares[there]
    if not shares.all():
        return math.inf
    return max(0.0, float((own * np.log(own / shares)).sum()))


def rank_test(near: np.ndarray, far: np.ndarray) -> float:
    """The p-value of ``near`` (n,) being no smaller than ``far`` (m,): small where it is smaller.

    Mann and Whitney's test (1947), one-sided, by its normal approximation with the corrections for
    ties and continuity: take 8 or more of each. Raises BadInput.
    """
    one, other, ranks, counts = _ranked(near, far)
    n, m = len(one), len(other)
    # In how many pairs the far one is above, ties half: of n m about half if nothing differs.
    above = n * m + n * (n + 1) / 2 - ranks[:n].sum()
    ties = (counts.astype(np.float64) ** 3 - counts).sum() / ((n + m) * (n + m - 1))
    spread = math.sqrt(n * m / 12 * (n + m + 1 - ties))
    if spread == 0:
        return 1.0
    return math.erfc((above - n * m / 2 - 0.5) / spread / math.sqrt(2)) / 2


def auroc(high: np.ndarray, low: np.ndarray) -> tuple[float, tuple[float, float]]:
    """How often a value of ``high`` (n,) is above one of ``low`` (m,), ties half: the area under
    the ROC curve (Hanley & McNeil 1982), and where it lies at 95 %.

    The interval is DeLong's (1988, equation 6), cut off at 0 and 1: from two of each on; of a
    perfect order it has no width. Raises BadInput.
    """
    one, other, ranks, _ = _ranked(high, low)
    n, m = len(one), len(other)
    if min(n, m) < 2:
        raise BadInput(f"an interval takes at least two values of each, got {n} and {m}")
    # Of each value, how often it is above (or below) one of the other kind.
    above = (ranks[:n] - _midranks(one)[0]) / m
    below = 1 - (ranks[n:] - _midranks(other)[0]) / n
    area = float(above.mean())
    reach = 1.96 * math.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m)
    return area, (max(0.0, area - reach), min(1.0, area + reach))


def _ranked(
    one: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both in float64, the ranks of all, and how many share each value. Raises BadInput."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.ndim != 1 or other.ndim != 1 or not one.size or not other.size:
        raise BadInput(f"expected two samples (n,), (m,), got {one.shape}, {other.shape}")
    values = np.concatenate([one, other])
    if np.isnan(values).any():
        raise BadInput("what is not a number has no rank")
    return one, other, *_midranks(values)


def _midranks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each from 1 on, the mean of them where values tie; and how many tie."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[places], counts
