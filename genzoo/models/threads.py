"""How many of torch's threads a call uses: as many as its work is worth and as cores are free.

Threads of OpenMP wait for each other after each layer. Where another process keeps a core busy,
they wait until the system runs the one that lost it: a sample that takes a millisecond on one
thread then takes a hundred.
"""

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf, prod
from pathlib import Path

import torch
from torch import nn

from genzoo import devices

SMALL = 1e6  # multiplications and additions of a layer: less is done before a thread wakes up
LARGE = inf
_works: weakref.WeakKeyDictionary[nn.Module, float] = weakref.WeakKeyDictionary()
_counting = threading.Lock()
_calls = 0  # that compute at this moment, in several threads of Python


def work_of(network: nn.Module, shape: tuple[int, ...]) -> float:
    """About how often a layer of ``network`` multiplies for a sample of ``shape``, on average.

    A convolution's weights count at a sixteenth of an image's places, as if it were at a quarter of
    the sides.
    """
    if network not in _works:
        places = max(1, prod(shape[1:]) // 16)
        layers = [p for p in network.parameters() if p.ndim > 1]
        total = sum(p.numel() * (places if p.ndim > 2 else 1) for p in layers)
        _works[network] = total / max(1, len(layers))
    return _works[network]


@contextmanager
def suited(work: float) -> Iterator[None]:
    """In the block torch uses the threads that layers of so much ``work`` are worth.

    Whoever has chosen a number of threads, for this process or for torch, keeps it.
    """
    global _calls
    with _counting:
        _calls += 1
    try:
        with using(_suited_count(work)):
            yield
    finally:
        with _counting:
            _calls -= 1


def training_threads(network: nn.Module, shape: tuple[int, ...], batch_size: int) -> int:
    """How many threads suit a run that trains ``network`` on batches of samples of ``shape``."""
    work = batch_size * work_of(network, shape)
    counts = [_suited_count(work)]
    while len(counts) < 3:  # a run is long: it does not count what ends in a moment
        time.sleep(0.02)
        counts.append(_suited_count(work))
    return max(counts)


def _suited_count(work: float) -> int:
    usual = torch.get_num_threads()
    if usual == 1 or not devices.is_usual_threads(usual):
        return usual
    return 1 if work < SMALL else min(usual, _free_cores())


@contextmanager
def using(count: int) -> Iterator[None]:
    """In the block torch uses ``count`` threads for the calling thread of Python, and for those
    that use torch for the first time; afterwards as many as before.

    `genzoo.one_thread` never affects these, which takes longer than a small network does.
    """
    before = torch.get_num_threads()
    if before != count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if before != count:
            torch.set_num_threads(before)


def _free_cores() -> int:
    """The cores for a call: those that other processes leave free, shared with this one's calls."""
    return max(1, ((os.cpu_count() or 1) - _running_elsewhere()) // max(1, _calls))


def _running_elsewhere() -> int:
    """How many threads of other processes run or wait for a core now; 0 where no system says so.

    The average load would not do: it counts the work of this process, for a minute.
    """
    try:
        running = int(
            Path("/proc/loadavg").read_text(encoding="utf-8").split()[3].partition("/")[0]
        )
        # The thread that asks is one of them.
        own = 1 if running < 2 else sum(map(_is_running, Path("/proc/self/task").iterdir()))
    except (OSError, ValueError, IndexError):
        return 0
    return max(0, running - own)


def _is_running(task: Path) -> bool:
    try:
        return (task / "stat").read_bytes().rpartition(b") ")[2].startswith(b"R")
    except OSError:  # it has ended
        return False
