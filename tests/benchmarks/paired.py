"""Timings that hold on a noisy machine: CPU time, one thread, two things in turn, ratios."""

import os
import statistics
import time
from collections.abc import Callable

import torch

LIMIT = int(os.environ.get("ROUNDS", "1000"))  # `all.py` sets it, for short rounds


def ratio(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 7
) -> float:
    """How many times the CPU time of ``ours`` ``theirs`` takes: printed as median [min, max]."""
    torch.set_num_threads(1)
    ours(), theirs()  # once for whatever is made at first use
    found, spent = [], []
    for _ in range(min(rounds, LIMIT)):
        mine, other = cpu(ours), cpu(theirs)
        spent.append(mine)
        found.append(other / mine)
    median = statistics.median(found)
    ms = statistics.median(spent) * 1000
    print(f"{name}: x{median:.2f} [{min(found):.2f}, {max(found):.2f}]  (ours {ms:.1f} ms)")
    return median


def cpu(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
