"""Nearest neighbours in sets of features, without an n x n matrix: pairs come in strips.

Squared distances come from inner products. Where rounding could matter (ties, copies, the rim of a
ball) they come from the differences, so that comparisons are exact.
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
        raise BadInput(f"{what} must be finite")
    return x


def same_width(one: np.ndarray, other: np.ndarray) -> None:
    """Check that features ``(n, d)`` and ``(m, d)`` have one width. Raises BadInput."""
    if one.shape[-1] != other.shape[-1]:
        raise BadInput(f"features of different width: {one.shape[-1]} and {other.shape[-1]}")


def chunks(n: int, width: int, size: int | None = None) -> Iterator[slice]:
    """Slices of n rows of ``width`` numbers, about ``size`` numbers each."""
    rows = max(1, (size or _CHUNK) // width)
    return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def products(
    one: np.ndarray, other: np.ndarray, centre: np.ndarray | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows of ``one``, their float64 inner products with all of ``other``), in strips.

    ``centre`` is subtracted from both first. The caller may overwrite the products; so does the
    next strip, as fresh memory costs as much time as the products.
    """
    strips = [*chunks(len(one), len(other), _STRIP)]
    memory = np.empty((max((part.stop - part.start for part in strips), default=0), len(other)))
    for part in strips:
        rows, dots = _centred(one[part], centre), memory[: part.stop - part.start]
        for across in chunks(*other.shape):
            np.matmul(rows, _centred(other[across], centre).T, out=dots[:, across])
        yield part, dots


def _centred(x: np.ndarray, centre: np.ndarray | None) -> np.ndarray:
    return np.asarray(x, dtype=np.float64) if centre is None else x - centre


def _squares(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield (rows of ``x``, squared distances to all of ``y``, their largest errors (rows, 1))."""
    centre = y.mean(0, dtype=np.float64)
    x_norms, y_norms = (_squared_norms(v, centre) for v in (x, y))
    for part, dots in products(x, y, centre):
        dots *= -2
        dots += x_norms[part, None]
        dots += y_norms
        # The rounding bound of an inner product (Higham 2002, section 3.1), with a margin.
        error = (x.shape[1] + 8) * np.finfo(np.float64).eps * (x_norms[part] + y_norms.max())
        yield part, dots, error[:, None]


def _squared_norms(x: np.ndarray, centre: np.ndarray) -> np.ndarray:  # (n, d) -> (n,)
    parts = chunks(*x.shape)
    return np.concatenate([np.square(_centred(x[part], centre)).sum(1) for part in parts])


def between(x: np.ndarray, y: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """``(pairs,)``: the squared distances of rows i of ``x`` and j of ``y``, from differences.

    Each is bit-equal in either order, and whatever the other pairs are.
    """
    squares = np.empty(len(i))
    for part in chunks(len(i), x.shape[1]):
        differences = np.asarray(x[i[part]], dtype=np.float64) - y[j[part]]
        squares[part] = np.square(differences, out=differences).sum(1)
    return squares


def closest(
    x: np.ndarray, y: np.ndarray, k: int, exclude_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances ``(n, k)`` to the k nearest rows of ``y``, ascending, and their indices.

    ``exclude_self``: x is y, and no row is its own neighbour.
    """
    squares, which = np.empty((len(x), k)), np.empty((len(x), k), dtype=np.intp)
    for part, rough, error in _squares(x, y):
        rows = np.arange(len(rough))
        if exclude_self:
            rough[rows, rows + part.start] = np.inf
        i, j = np.nonzero(rough <= _threshold(rough, k) + 2 * error)
        exact = between(x[part], y, i, j)
        order = np.lexsort((exact, i))
        pick = order[np.searchsorted(i, rows)[:, None] + np.arange(k)]
        squares[part], which[part] = exact[pick], j[pick]
    return squares, which


def _threshold(x: np.ndarray, k: int) -> np.ndarray:
    """``(n, 1)``: a bound with at least k, and seldom many more, values of each row at or below it.

    It is the k-th smallest of the minima of many groups. The members of a group are far apart in
    the row, because features of one class may be adjacent.
    """
    groups = min(x.shape[1], 64 * k)
    each = x.shape[1] // groups
    least = x[:, : each * groups].reshape(len(x), each, groups).min(1)
    return np.partition(least, k - 1, axis=1)[:, k - 1 : k]


def distinct(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of ``(n, d)``, and the number of copies of each.

    A collapsed generator repeats images, and many ties would be slow.
    """
    prints = [hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in x]
    _, first, copies = np.unique(prints, return_index=True, return_counts=True)
    return (x, np.ones(len(x), dtype=int)) if len(first) == len(x) else (x[first], copies)


def radii(x: np.ndarray, copies: np.ndarray, k: int) -> np.ndarray:
    """``(n,)``: the squared distance of each of n distinct rows to its k-th nearest neighbour.

    The copies of a row count as neighbours. There are more than k rows in all.
    """
    if len(x) == 1:
        return np.zeros(1)
    squares, which = closest(x, x, min(k, len(x) - 1), exclude_self=True)
    counted = copies[:, None] - 1 + copies[which].cumsum(1)
    reached = (counted >= k).argmax(1)
    return np.where(copies > k, 0, squares[np.arange(len(x)), reached])


def covered(
    x: np.ndarray, x_radii: np.ndarray, y: np.ndarray, y_radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row of ``x`` is in a ball around a row of ``y``, and the same for ``y``: bool.

    ``x_radii``, ``y_radii``: the squared radii of the balls, which include their rim.
    """
    x_covered, y_covered = np.zeros(len(x), dtype=bool), np.zeros(len(y), dtype=bool)
    for part, rough, error in _squares(x, y):
        inside = rough < y_radii - error
        x_covered[part] = inside.any(1)
        i, j = np.nonzero((rough <= y_radii + error) & ~inside & ~x_covered[part, None])
        x_covered[part][i[between(x[part], y, i, j) <= y_radii[j]]] = True
        reach = x_radii[part, None]
        inside = rough < reach - error
        y_covered |= inside.any(0)
        i, j = np.nonzero((rough <= reach + error) & ~inside & ~y_covered)
        y_covered[j[between(x[part], y, i, j) <= x_radii[part][i]]] = True
    return x_covered, y_covered


def balls_around(
    x: np.ndarray, y: np.ndarray, y_radii: np.ndarray, y_copies: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``(n,)``: how many balls around rows of ``y`` hold each row of ``x``, a ball for each copy;
    and ``(m,)``, bool: whether each ball holds a row.

    ``y_radii``: the squared radii of the balls, which include their rim.
    """
    counts, holds = np.zeros(len(x), dtype=int), np.zeros(len(y), dtype=bool)
    for part, rough, error in _squares(x, y):
        inside = rough < y_radii - error
        i, j = np.nonzero((rough <= y_radii + error) & ~inside)
        inside[i, j] = between(x[part], y, i, j) <= y_radii[j]
        counts[part] = inside @ y_copies
        holds |= inside.any(0)
    return counts, holds
