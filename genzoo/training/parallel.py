"""Several processes, as torchrun starts them: how they begin and end, wait, and average."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genzoo import files
from genzoo.devices import is_first_process, process_count
from genzoo.errors import BadInput, OperationFailed
from genzoo.models.whole_batch import rank as rank
from genzoo.models.whole_batch import size as size

T = TypeVar("T")
# Bytes of gradients in a message: the first ones travel while backward computes the others.
BUCKET = 1 << 21


def timeout() -> float:
    """Seconds that a process waits for the others. Raises BadInput."""
    given = os.environ.get("GENZOO_PROCESS_TIMEOUT", "300")
    try:
        if 0 < (seconds := float(given)) < math.inf:
            return seconds
    except ValueError:
        pass
    raise BadInput(f"GENZOO_PROCESS_TIMEOUT is a number of seconds above 0, got {given!r:.40}")


def start(device: torch.device) -> None:
    """Join the other processes, if torchrun started several. Raises OperationFailed."""
    if process_count() == 1 or dist.is_initialized():
        return
    if device.type == "cuda" and device.index is None:
        # From here on "cuda" is this process's own device, so that all share one plan.
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout()))
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        who = f"process {os.environ.get('RANK', '?')} of {process_count()}"
        raise OperationFailed(f"{who} cannot join the others: {reason}") from error


def stop() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def connected(hint: str = "") -> Iterator[None]:
    """In the block an error of the connection to the others becomes one line, OperationFailed, with
    a ``hint``; at its end this process leaves them.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if size() == 1 or not (isinstance(error, dist.DistError) or "gloo" in text.lower()):
            raise
        late = "timed out" in text.lower() or "timeout" in text.lower()
        what = "has ended, and says why if it can"
        what = f"does not answer for {timeout():g} seconds" if late else what
        raise OperationFailed(
            f"process {rank()} of {size()} stops: another one {what}{hint}"
        ) from error
    finally:
        stop()


def is_first() -> bool:
    """Whether this is the process that writes; before `start`, too."""
    return is_first_process() if process_count() > 1 else rank() == 0


def highest(number: int, device: torch.device) -> int:
    """The highest ``number`` of all processes."""
    if size() == 1:
        return number
    numbers = torch.tensor(number, device=device)
    dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return int(numbers)


def agree(what: str, value: str) -> None:
    """Check that all processes have the same ``value``; wait for them. Raises OperationFailed."""
    if size() == 1:
        return
    values: list[Any] = [None] * size()
    dist.all_gather_object(values, value)
    if len({*values}) > 1:
        each = ", ".join(f"process {i}: {one:.80}" for i, one in enumerate(values))
        raise OperationFailed(f"the processes differ in their {what} ({each})")


def from_first(value: T) -> T:
    """The ``value`` of the first process."""
    if size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def appears(path: Path) -> bool:
    """Whether there is a file ``path``. Of several processes all but the first one wait for it, as
    a file system of several machines may be late.
    """
    return files.appears(path, 0 if is_first() else files.LATE)


def wait() -> None:
    """Wait until all processes have called this."""
    if dist.is_initialized():
        dist.barrier()


def average(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The means over all processes of numbers, ``()`` each."""
    if size() == 1 or not values:
        return dict(values)
    numbers = torch.stack([value.float() for value in values.values()])
    dist.all_reduce(numbers)
    return dict(zip(values, numbers.div_(size()).unbind(), strict=True))


@contextmanager
def summed(network: nn.Module) -> Iterator[None]:
    """In the block, the last backward pass of an update: gradients become sums over all processes.

    They travel in buckets, from the last layer to the first, while backward computes the others.
    """
    if size() == 1:
        yield
        return
    buckets = _Buckets([p for p in reversed([*network.parameters()]) if p.requires_grad])
    handles = [p.register_post_accumulate_grad_hook(buckets.ready) for p in buckets.places]
    try:
        yield
        buckets.finish()
    finally:
        for handle in handles:
            handle.remove()


@final
class _Buckets:
    """Gradients on their way. All processes send the same buckets in the same order, each as soon
    as it and those before it are complete.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]):
        self.places = dict[nn.Parameter, int]()
        self.buckets = list[list[nn.Parameter]]()
        space = 0
        for parameter in parameters:
            if space <= 0:
                self.buckets.append([])
                space = BUCKET
            self.buckets[-1].append(parameter)
            self.places[parameter] = len(self.buckets) - 1
            space -= parameter.nbytes
        self.missing = [len(bucket) for bucket in self.buckets]
        self.sent = list[tuple[Any, Tensor, list[Tensor]]]()

    def ready(self, parameter: nn.Parameter) -> None:
        self.missing[self.places[parameter]] -= 1
        while len(self.sent) < len(self.buckets) and not self.missing[len(self.sent)]:
            self._send()

    def finish(self) -> None:
        """Send the rest, too, without the gradients that no process has, and wait for all."""
        while len(self.sent) < len(self.buckets):
            self._send()
        for work, flat, gradients in self.sent:
            if work:
                work.wait()
            sums = flat.split([g.numel() for g in gradients])
            for gradient, total in zip(gradients, sums, strict=True):
                gradient.copy_(total.view_as(gradient))

    def _send(self) -> None:
        bucket = self.buckets[len(self.sent)]
        gradients = [p.grad for p in bucket if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients]) if gradients else torch.empty(0)
        work = dist.all_reduce(flat, async_op=True) if gradients else None
        self.sent.append((work, flat, gradients))
