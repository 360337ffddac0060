"""Training in several processes, as torchrun starts them: rank, size, barrier, averages."""

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def start(device: torch.device) -> None:
    """Join the other processes if torchrun started several; raises torch.distributed's errors."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device.type == "cuda" and device.index is None:
            # From here on "cuda" is this process's own device, so that all share one plan.
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def stop() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes; before `start`, too."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return (int(os.environ.get("RANK", "0")) if several else rank()) == 0


def highest(number: int, device: torch.device) -> int:
    """The highest ``number`` of all processes."""
    if size() == 1:
        return number
    numbers = torch.tensor(number, device=device)
    dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return int(numbers)


def wait() -> None:
    """Wait until all processes have called this."""
    if dist.is_initialized():
        dist.barrier()


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over all processes."""
    if size() == 1:
        return
    targets = list(tensors)
    flat = torch.cat([t.reshape(-1) for t in targets])  # one message in place of hundreds
    dist.all_reduce(flat)
    means = flat.div_(size()).split([t.numel() for t in targets])
    for tensor, mean in zip(targets, means, strict=True):
        tensor.copy_(mean.view_as(tensor))
