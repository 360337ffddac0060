"""Samples that several processes draw together: each draws some batches, and all get all."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import torch.distributed as dist

from genzoo.models.whole_batch import rank, size

T = TypeVar("T")
ROUND = 8  # batches of each process between two exchanges, each of which costs a millisecond
_is_shared = False


def own(batches: Iterable[T]) -> Iterator[T]:
    """Those of ``batches`` that this process draws: all, except while `in_order` asks for them."""
    shared = _is_shared and size() > 1
    return islice(batches, rank(), None, size()) if shared else iter(batches)


def in_order(results: Iterator[T], each: int = ROUND) -> Iterator[T]:
    """The results of all processes, of which ``results`` are those of the `own` batches, in the
    order of the batches. They are exchanged whenever each process has ``each`` more.
    """
    global _is_shared
    if size() == 1:
        yield from results
        return
    is_last = False
    while not is_last:
        try:
            _is_shared = True
            mine = list(islice(results, each))
        finally:
            _is_shared = False
        parts: list[list[T]] = [[]] * size()
        dist.all_gather_object(parts, mine)
        is_last = len(parts[0]) < each  # nobody has more than the first
        for i in range(len(parts[0])):
            yield from (part[i] for part in parts if i < len(part))
