"""Checks of counts and seeds that public methods share."""

from numbers import Integral
from typing import Any

import numpy as np

from genzoo.errors import BadInput


def check_count(name: str, value: Any, least: int) -> None:
    """Whether ``value`` is a whole number of at least ``least``. Raises BadInput."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise BadInput(f"{name} must be a whole number of at least {least}, got {value!r}")


def checked_seed(seed: Any) -> int:
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= int(seed) < 2**63:
        raise BadInput(f"a seed is a whole number from 0 to 2**63 - 1, got {seed!r}")
    return int(seed)


def fresh_seed() -> int:
    """A seed that nobody chose; it is short, to be typed again."""
    return int(np.random.default_rng().integers(2**32))
