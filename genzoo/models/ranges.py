"""Ranges of values: the public one of each kind of samples, and the change from one to another."""

from torch import Tensor

from genzoo.schemas import Kind

Range = tuple[float, float] | None  # None: unbounded

PUBLIC: dict[Kind, Range] = {"images": (0.0, 1.0), "signals": (-1.0, 1.0), "points": None}


def rescale(x: Tensor, source: Range, target: Range) -> Tensor:
    """``x`` from the range ``source`` to ``target``; unchanged if one of them is unbounded."""
    if source is None or target is None or source == target:
        return x
    if source != (0.0, 1.0):
        x = (x - source[0]) / (source[1] - source[0])
    return x if target == (0.0, 1.0) else x * (target[1] - target[0]) + target[0]
