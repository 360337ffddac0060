"""The whole batch, of which each of several processes holds some rows; one process holds all.

Whatever looks at more than one sample of a batch, or draws a number for each from torch's own
generator, asks here, so that several processes compute what one would. Alone, a process gets its
own tensors back. The functions are differentiable, twice and more.
"""

import math
from collections.abc import Callable
from typing import Any, final

import torch
import torch.distributed as dist
from einops import rearrange
from torch import Tensor
from torch.autograd import Function

# How many rows of the whole batch that follow each other are of one process; empty: all of its own.
_share: list[int] = []


def rank() -> int:
    """The number of this process; 0 for the only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes share the work."""
    return dist.get_world_size() if dist.is_initialized() else 1


def divide(rows: int) -> None:
    """Let ``rows`` in a row of each batch be of the first process, the next ones of the second, and
    so on, and after the last process of the first again.
    """
    _share[:] = [rows]


def first_row(index: int) -> int:
    """Where the rows of all processes begin, if this one's begin at ``index`` of the batch."""
    return index - rank() * sum(_share)


def gather(x: Tensor) -> Tensor:
    """The rows of all processes, in the order of the whole batch: ``(n, ...)`` to ``(N, ...)``.

    Its gradient is the sum of those of all processes.
    """
    return x if size() == 1 else _Gather.apply(x)


def own_rows(draw: Callable[[int], Tensor], rows: int) -> Tensor:
    """This process's rows of ``draw(N)``, random numbers for a whole batch: ``(rows, ...)``."""
    return draw(rows) if size() == 1 else _own(draw(rows * size()))


def mean(x: Tensor) -> Tensor:
    """The mean of ``x`` over all processes: a tensor of the same shape."""
    return x if size() == 1 else _Sum.apply(x) / size()


def _run(rows: int) -> int:
    """How many of the ``rows`` of a process follow each other in the whole batch."""
    return math.gcd(rows, *_share)


def _own(whole: Tensor) -> Tensor:  # (N, ...) -> (n, ...)
    run = _run(len(whole) // size())
    return rearrange(whole, "(k r u) ... -> r (k u) ...", r=size(), u=run)[rank()]


@final
class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = x.new_empty(size() * len(x), *x.shape[1:])
        dist.all_gather_into_tensor(parts, x.contiguous())
        return rearrange(parts, "(r k u) ... -> (k r u) ...", r=size(), u=_run(len(x)))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _own(_Sum.apply(gradient))


@final
class _Sum(Function):
    """The sum over all processes, whose gradient is such a sum again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Sum.apply(gradient)
