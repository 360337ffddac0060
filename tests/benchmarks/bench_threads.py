"""Default threads against one thread and all of them: wall time, on free cores and on busy ones.

For the rows with a busy core, a process of its own computes without end meanwhile. Each figure is
the median of several calls; the ratio is to the better of one thread and all. Run it without
OMP_NUM_THREADS: whoever sets that has chosen the number.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

import genzoo
from genzoo import devices
from genzoo.models.abilities import Translator

CASES = [
    ("pixelcnn-mnist", 1),
    ("gan-mnist", 1),
    ("dcgan-mnist", 1),
    ("dcgan-mnist", 16),
    ("sagan-cifar10", 16),
    ("cyclegan-hair", 16),
]
RUNS = [("gan", "digits", 20), ("dcgan", "digits", 5)]
SPIN = "while True: pass"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, nargs="*", default=[0, 1], help="cores kept busy")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    usual = torch.get_num_threads()
    if not devices.is_usual_threads(usual):
        sys.exit("run it without OMP_NUM_THREADS and MKL_NUM_THREADS")
    print(f"{os.cpu_count()} cores, {usual} threads by default")
    for busy in given.busy:
        with spinning(busy):
            for name, n in CASES:
                row(f"{name}, {n}", drawing(name, n), usual, busy, given.rounds)
            for family, data, steps in RUNS:
                title = f"{steps} steps of {family}"
                row(title, training(family, data, steps), usual, busy, given.rounds)


def row(
    title: str, call: Callable[[int | None], float], usual: int, busy: int, rounds: int
) -> None:
    """``call`` computes with so many threads, None standing for genzoo's choice: its seconds."""
    seconds: dict[int | None, list[float]] = {None: [], 1: [], usual: []}
    for threads in seconds:
        call(threads)
    ways = list(seconds)
    for i in range(rounds):
        # In turn, as whoever waited before has more of a busy core afterwards.
        for threads in ways[i % 3 :] + ways[: i % 3]:
            seconds[threads].append(call(threads))
    ours, one, every = (statistics.median(found) for found in seconds.values())
    worst = max(seconds[None]) / min(one, every)
    text = f"default {ours:.4f} s, one thread {one:.4f}, {usual} threads {every:.4f}"
    ratio = ours / min(one, every)
    print(f"{busy} busy: {title}: {text}: x{ratio:.2f} (worst {worst:.2f})", flush=True)


def drawing(name: str, n: int) -> Callable[[int | None], float]:
    model = genzoo.load(name)
    images = torch.rand(n, *model.shape)

    def call() -> None:
        if isinstance(model, Translator):
            model.translate(images)
        else:
            model.sample(n)

    began = time.perf_counter()
    call()
    repeat = max(1, round(0.05 / (time.perf_counter() - began)))  # a short call alone times noise
    return lambda threads: timed(call, repeat, threads)


def training(family: str, data: str, steps: int) -> Callable[[int | None], float]:
    """The seconds of the steps alone, without those of the start."""

    def call(threads: int | None) -> float:
        ends: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            chosen = {} if threads is None else {"threads": threads}
            out, note = Path(folder) / "run", lambda _: ends.append(time.perf_counter())
            genzoo.train(family, data, out=out, steps=steps, progress=note, **chosen)
        return ends[-1] - ends[0]

    return call


def timed(call: Callable[[], None], repeat: int, threads: int | None) -> float:
    """Wall time of a call; a given number of threads is chosen as a user does."""
    with devices.threads_put_back():
        if threads is not None:
            devices.set_threads(threads)
        began = time.perf_counter()
        for _ in range(repeat):
            call()
        return (time.perf_counter() - began) / repeat


@contextmanager
def spinning(count: int) -> Iterator[None]:
    """In the block so many cores are busy, each with a process that does nothing else."""
    processes = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
