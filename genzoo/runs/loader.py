"""Batches of a data set, in an order that seed and epoch decide."""

from functools import lru_cache

import numpy as np

from genzoo.models.randomness import stream


@lru_cache(maxsize=4)
def _shuffled(seed: int, purpose: str, epoch: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """An epoch's order, and which of its images are mirrored."""
    source = stream(seed, purpose, epoch)
    return source.permutation(n), source.random(n) < 0.5
