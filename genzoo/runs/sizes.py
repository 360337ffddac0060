"""Which sizes of samples a family takes, by trying: for the message about one that it refuses."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice

from genzoo.data.dataset import DataSet
from genzoo.errors import argument

TRIES = 64  # in each direction: an attempt takes up to a training step


def nearest_sizes(dataset: DataSet, attempt: Callable[[DataSet], object]) -> str:
    """What to type: the next smaller and the next larger size of which ``attempt`` raises nothing,
    as ``; sizes that work: 16 or 20 (--set size=16 rescales the images)``; "" if there is none.

    ``attempt`` gets the data set with black images (silent signals) of another size.
    """
    if dataset.kind == "points":
        return ""
    field = "size" if dataset.kind == "images" else "length"
    tries = [islice(sizes, TRIES) for sizes in _near(dataset)]
    works = [next((n for n in sizes if _works(dataset, n, attempt)), 0) for sizes in tries]
    if not (found := [n for n in works if n]):
        return ""
    change = "rescales the images" if field == "size" else "cuts or pads the signals"
    known = " or ".join(map(str, found))
    return f"; {field}s that work: {known} ({argument('settings', {field: found[0]})} {change})"


def _near(dataset: DataSet) -> tuple[Iterator[int], Iterator[int]]:
    """Smaller sizes and larger ones, the nearest first: sides of squares, or even lengths."""
    if dataset.kind == "images":
        low, high = min(dataset.shape[1:]), max(dataset.shape[1:])
        same = [] if low == high else [low]  # the square in it
        return iter([*same, *range(low - 1, 0, -1)]), count(high + 1)
    length, steps = dataset.shape[-1], [2**k for k in range(20)]
    smaller = sorted({length // s * s for s in steps} - {0, length}, reverse=True)
    return iter(smaller), iter(sorted({-(-length // s) * s for s in steps} - {length}))


def _works(dataset: DataSet, size: int, attempt: Callable[[DataSet], object]) -> bool:
    try:
        attempt(_resized(dataset, size))
    except Exception:  # whatever a network raises when its maps become too small
        return False
    return True


def _resized(dataset: DataSet, size: int) -> DataSet:
    import numpy as np  # not at the top: `info` imports this file

    sides = (size, size) if dataset.kind == "images" else (size,)
    other = dataset.second_domain
    array = np.broadcast_to(
        np.zeros((), dataset.array.dtype), (len(dataset), dataset.shape[0], *sides)
    )
    second = None if other is None else _resized(other, size)
    return replace(dataset, array=array, second_domain=second)
