"""The precision that a run computes in: what this machine does faster, measured at its start."""

import logging
import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from genzoo.errors import argument
from genzoo.training import parallel

log = logging.getLogger("genzoo")
BUDGET = 0.5  # seconds of measuring
# Ratios of times: bf16 loses digits, so it must be worth it; a warning must not be chance.
WORTH, SLOW = 0.9, 1.2


def chosen(asked: str, device: torch.device) -> str:
    """``fp32`` or ``bf16``: what was ``asked``, or what is faster on ``device`` for ``auto``.

    Warns where bf16 was asked for and is slower. Of several processes, the slowest decides.
    """
    if asked == "fp32":
        return asked
    ratio = parallel.highest(math.ceil(100 * relative_time(device)), device) / 100
    if asked == "auto":
        precision = "bf16" if ratio < WORTH else "fp32"
        log.info("precision %s: bf16 takes %.2g times as long as fp32 here", precision, ratio)
        return precision
    if ratio > SLOW:
        log.warning(
            "bf16 is slow on this machine: convolutions take %.2g times as long as in fp32; %s is "
            "faster, and %s measures which is",
            ratio,
            argument("precision", "fp32"),
            argument("precision", "auto"),
        )
    return asked


def relative_time(device: torch.device) -> float:
    """How many times as long a convolution takes in bf16 as in float32, with its gradients.

    Not matrix products: where a processor lacks bf16, convolutions lose more, up to 30 times.
    """
    x, weight = torch.ones(8, 64, 16, 16, device=device), torch.ones(64, 64, 3, 3, device=device)
    x, weight = (t.to(memory_format=torch.channels_last).requires_grad_() for t in (x, weight))

    def run(is_bf16: bool) -> None:
        with torch.autocast(device.type, torch.bfloat16, is_bf16):
            loss = F.conv2d(x, weight, padding=1).float().sum()
        torch.autograd.grad(loss, (x, weight))[0].sum().item()  # which waits for a GPU

    return _fastest(lambda: run(True)) / _fastest(lambda: run(False))


def _fastest(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """The shortest time of up to 8 calls, of which none begins after half of the budget."""
    times: list[float] = []
    while not times or (sum(times) < BUDGET / 2 and len(times) < 8):
        began = clock()
        call()
        times.append(clock() - began)
    return min(times)
