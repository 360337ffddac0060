"""Who is near whom in clouds of features: all pairs in strips, never a matrix of n x n.

Squared distances come from inner products, and wherever their rounding could matter (ties, copies,
the rim of a ball) from the differences themselves, so that comparisons are right to the last bit.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from genzoo.errors import BadInput

# Numbers in a strip of pairs (256 MB), and in a chunk of features made float64 (32 MB).
_STRIP, _CHUNK = 2**25, 2**22


def cloud(x: np.ndarray, what: str, least: int) -> np.ndarray:
    """``x`` if it is ``(n, d)`` of finite numbers, n at least ``least``. Raises BadInput."""
    x = np.asarray(x)
    if x.ndim != 2 or len(x) < least or not x.shape[1]:
        raise BadInput(f"expected {what} (n, d), n at least {least}, got {x.shape}")
    if not np.isfinite(x.sum(dtype=np.float64)):
        raise BadInput(f"{what} that are not all finite")
    return x


def same_width(one: np.ndarray, other: np.ndarray) -> None:
    """Whether features ``(n, d)`` and ``(m, d)`` are as wide. Raises BadInput."""
    if one.shape[-1] != other.shape[-1]:
        raise BadInput(f"features of unlike width: {one.shape[-1]} and {other.shape[-1]}")


def chunks(n: int, width: int, size: int | None = None) -> Iterator[slice]:
    """Slices that cover n rows of ``width`` numbers, ``size`` numbers at a time."""
    rows = max(1, (size or _CHUNK) // width)
    return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def products(
    one: np.ndarray, other: np.ndarray, centre: np.ndarray | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """(which rows of ``one``, their float64 inner products with all of ``other``), in strips.

    Of the features as seen from ``centre``. The products are the caller's to write on.
    """
    for part in chunks(len(one), len(other), _STRIP):
        rows, dots = _seen(one[part], centre), np.empty((part.stop - part.start, len(other)))
        for across in chunks(*other.shape):
            np.matmul(rows, _seen(other[across], centre).T, out=dots[:, across])
        yield part, dots


def _seen(x: np.ndarray, centre: np.ndarray | None) -> np.ndarray:
    return np.asarray(x, dtype=np.float64) if centre is None else x - centre


def _squares(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """(rows of ``x``, squared distances to all of ``y``, ``(rows, 1)`` what these may be off)."""
    centre = y.mean(0, dtype=np.float64)
    here, there = (_lengths(v, centre) for v in (x, y))
    for part, dots in products(x, y, centre):
        dots *= -2
        dots += here[part, None]
        dots += there
        # The bound of an inner product's rounding (Higham 2002, section 3.1), with some to spare.
        off = (x.shape[1] + 8) * np.finfo(np.float64).eps * (here[part] + there.max())
        yield part, dots, off[:, None]


def _lengths(x: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """``(n,)``: squared."""
    parts = chunks(*x.shape)
    return np.concatenate([np.square(_seen(x[part], centre)).sum(1) for part in parts])


def between(x: np.ndarray, y: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """``(pairs,)``: the squared distances of rows i of ``x`` and j of ``y``, from differences.

    Each is the same bits in either order and in whatever company.
    """
    found = np.empty(len(i))
    for part in chunks(len(i), x.shape[1]):
        apart = np.asarray(x[i[part]], dtype=np.float64) - y[j[part]]
        found[part] = np.square(apart, out=apart).sum(1)
    return found


def closest(
    x: np.ndarray, y: np.ndarray, k: int, themselves: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances ``(n, k)`` to the k nearest of ``y``, ascending, and which they are.

    ``themselves``: x is y, and nobody is a neighbour of itself.
    """
    squares, which = np.empty((len(x), k)), np.empty((len(x), k), dtype=np.intp)
    for part, rough, off in _squares(x, y):
        rows = np.arange(len(rough))
        if themselves:
            rough[rows, rows + part.start] = np.inf
        i, j = np.nonzero(rough <= _enough(rough, k) + 2 * off)
        exact = between(x[part], y, i, j)
        order = np.lexsort((exact, i))
        pick = order[np.searchsorted(i, rows)[:, None] + np.arange(k)]
        squares[part], which[part] = exact[pick], j[pick]
    return squares, which


def _enough(x: np.ndarray, k: int) -> np.ndarray:
    """``(n, 1)``: below it each row of ``(n, m)`` has at least k numbers, and seldom many more.

    The k-th of the smallest of each of many groups. A group's members lie far apart in the row, as
    features of one class may lie side by side.
    """
    groups = min(x.shape[1], 64 * k)
    each = x.shape[1] // groups
    least = x[:, : each * groups].reshape(len(x), each, groups).min(1)
    return np.partition(least, k - 1, axis=1)[:, k - 1 : k]


def distinct(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of ``(n, d)``, and how often each is there.

    A generator that has collapsed makes the same image again and again: that many ties take long.
    """
    prints = [hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in x]
    _, first, copies = np.unique(prints, return_index=True, return_counts=True)
    return (x, np.ones(len(x), dtype=int)) if len(first) == len(x) else (x[first], copies)


def radii(x: np.ndarray, copies: np.ndarray, k: int) -> np.ndarray:
    """``(n,)``: the squared distance of each of n distinct rows to its k-th nearest other.

    Where a row is there several times, its copies are others too. There are more than k in all.
    """
    if len(x) == 1:
        return np.zeros(1)
    squares, which = closest(x, x, min(k, len(x) - 1), themselves=True)
    counted = copies[:, None] - 1 + copies[which].cumsum(1)
    reached = (counted >= k).argmax(1)
    return np.where(copies > k, 0, squares[np.arange(len(x)), reached])


def covered(
    x: np.ndarray, around_x: np.ndarray, y: np.ndarray, around_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of ``x`` lie in a ball about one of ``y``, and which of ``y`` in one about an x.

    ``around_x``, ``around_y``: the balls' squared radii; a ball holds its rim.
    """
    mine, theirs = np.zeros(len(x), dtype=bool), np.zeros(len(y), dtype=bool)
    for part, rough, off in _squares(x, y):
        inside = rough < around_y - off
        mine[part] = inside.any(1)
        i, j = np.nonzero((rough <= around_y + off) & ~inside & ~mine[part, None])
        mine[part][i[between(x[part], y, i, j) <= around_y[j]]] = True
        reach = around_x[part, None]
        inside = rough < reach - off
        theirs |= inside.any(0)
        i, j = np.nonzero((rough <= reach + off) & ~inside & ~theirs)
        theirs[j[between(x[part], y, i, j) <= around_x[part][i]]] = True
    return mine, theirs
