"""Checks of counts and seeds that public methods share, and the slices of batches."""

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from genzoo import devices
from genzoo.errors import BadInput

if TYPE_CHECKING:
    import torch


def check_count(name: str, value: Any, least: int) -> None:
    """Check that ``value`` is a whole number of at least ``least``. Raises BadInput."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise BadInput(f"{name} must be a whole number of at least {least}, got {value!r}")


def checked_seed(seed: Any) -> int:
    """``seed`` as an int, from 0 to 2**63 - 1. Raises BadInput."""
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= int(seed) < 2**63:
        raise BadInput(f"seed must be a whole number from 0 to 2**63 - 1, got {seed!r}")
    return int(seed)


def check_place(own: "torch.device", device: "str | torch.device") -> None:
    """Check that a model in memory, on ``own``, is where ``device`` says; "auto" leaves it there.

    Raises BadInput.
    """
    if device == "auto":
        return
    place = devices.device(device)
    if place.type != own.type or place.index not in (None, own.index):
        raise BadInput(f"device would have no effect: the model is on {own}; move it with .to(...)")


def fresh_seed() -> int:
    """A random seed; it is short, so that people can type it again."""
    return int(np.random.default_rng().integers(2**32))


def batch_slices(n: int, batch_size: int) -> Iterator[slice]:
    """The rows of each batch of ``n`` samples; one empty slice for none. Raises BadInput."""
    check_count("batch_size", batch_size, 1)
    for start in range(0, max(n, 1), batch_size):
        yield slice(start, min(start + batch_size, n))


def shape_text(shape: Sequence[int], before: str = "") -> str:
    """A shape for a message: ``(n, 1, 28, 28)`` with ``before="n"``."""
    return f"({', '.join([*[before] * bool(before), *map(str, shape)])})"
