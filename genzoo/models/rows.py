"""The rows that an index of samples means: what NumPy takes for the first axis, and no more."""

import operator
from typing import Any

import numpy as np
from torch import Tensor

from genzoo.text import printable

Rows = slice | list[int]
_TAKEN = "a whole number, a slice, or a list, an array or a mask of one axis"


def rows_of(key: Any, n: int, ndim: int) -> Rows:
    """The rows of ``n`` samples, whose tensor has ``ndim`` axes, that ``key`` means.

    One sample keeps its axis. Raises IndexError for rows that are not there, TypeError for a key
    that means no rows, or that NumPy reads as an index of pixels.
    """
    key = _first_axis(key, ndim)
    if isinstance(key, slice):
        try:
            start, stop, step = key.indices(n)
        except TypeError:
            raise _wrong(key) from None
        return key if step > 0 else [*range(start, stop, step)]
    if isinstance(key, bool | np.bool_) or key is None:
        raise _wrong(key)
    if getattr(key, "ndim", 0):  # torch takes a tensor of one number for the number
        return _of_array(key, n)
    try:
        i = operator.index(key)
    except (TypeError, ValueError):
        return _of_array(key, n)
    if not -n <= i < n:
        raise _outside(i, n)
    return slice(i, i + 1 or None)


def _first_axis(key: Any, ndim: int) -> Any:
    """The part of ``key`` for the first axis, if it leaves all others whole."""
    if not isinstance(key, tuple):
        return slice(None) if key is Ellipsis else key
    first, *others = key or (Ellipsis,)
    ellipses = sum(part is Ellipsis for part in key)
    axes = len(key) - ellipses
    whole = all(part is Ellipsis or _is_whole(part) for part in others)
    if not whole or ellipses > 1 or axes > ndim or (first is None):
        raise TypeError(
            f"samples are indexed along their first axis, got {printable(repr(key)):.60}: "
            "samples.tensor[...] takes indices of pixels"
        )
    return slice(None) if first is Ellipsis else first


def _is_whole(part: Any) -> bool:
    return isinstance(part, slice) and part == slice(None)


def _of_array(key: Any, n: int) -> list[int]:
    """The rows of a list or an array of whole numbers, or of a mask."""
    if isinstance(key, str | bytes | dict | set | frozenset):
        raise _wrong(key)
    try:
        array = np.asarray(key.detach().cpu() if isinstance(key, Tensor) else key)
    except (TypeError, ValueError, RuntimeError):
        raise _wrong(key) from None
    if array.shape == (0,) and not isinstance(key, np.ndarray | Tensor):
        array = array.astype(int)  # as NumPy: an empty list says nothing of its type
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise _wrong(key)
    if array.dtype.kind == "b":
        if len(array) != n:
            raise IndexError(
                f"expected a mask of {n} values, one for each sample, got {len(array)}"
            )
        return [*np.flatnonzero(array).tolist()]
    indices: list[int] = array.tolist()
    if beyond := [i for i in indices if not -n <= i < n]:
        raise _outside(beyond[0], n)
    return [i % n for i in indices]


def _outside(i: int, n: int) -> IndexError:
    return IndexError(
        f"sample {i} of {n}: indices are {-n} to {n - 1}" if n else f"sample {i} of 0"
    )


def _wrong(key: Any) -> TypeError:
    return TypeError(f"samples take {_TAKEN} as index, got {printable(repr(key)):.60}")
