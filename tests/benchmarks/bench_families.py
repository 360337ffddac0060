"""A training step of every family: its time, and what the time is spent on; a Markdown table.

    python tests/benchmarks/bench_families.py [FAMILY ...] [--compile]

Each family on digits (28 pixels, grey; other kinds of data where it needs them) with its default
settings, one thread, CPU time, at the end of a run, where all of a network is in use. By
torch.profiler: products are matrix products and convolutions with their gradients. ``--compile``
measures a compiled step against the plain one instead; compiling takes up to a minute for each.
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from genzoo import devices, families
from genzoo.runs.plan import make_plan, plan
from genzoo.runs.run import Run
from genzoo.training import fit

SECONDS = 1.5  # of measured steps, for each family
PROFILED = 5  # steps, at the most
ROUNDS = 3  # of a compiled step against a plain one
STEPS, START = 10_000, 9_900
# By what a family learns from, and by its name, where it takes digits of another form.
DATA = {"paired": "digits@low4", "unpaired": "digits,digits-inverted", "signals": "tones"}
VALUES = {"biggan": {"batch_size": 16}}  # its own, 256, would take a minute a step
PRODUCTS = ("mm", "conv", "dot_product", "rnn_layer", "baddbmm", "einsum", "aten::mv", "addmv")
LEARNING = ("Optimizer", "fused_adam", "foreach", "lerp", "vector_norm")
HEAD = "| family | batch | ms a step | products | optimiser, norm, average | data | the rest |"


class Step(NamedTuple):
    """Milliseconds of a step, and shares of it."""

    batch: int
    ms: float
    products: float
    learning: float
    data: float


def make_run(name: str, compile: bool = False) -> Run:
    family = families.get(name)
    data = DATA.get(family.data, "digits")
    setup = plan(name, data, VALUES.get(name))
    record = make_plan(name, data, setup, steps=STEPS, device="cpu", compile=compile)
    return Run(record, setup.dataset, Path())


class Stepper:
    """Takes steps near the end of a run; ``fetching``: CPU seconds for their data."""

    def __init__(self, run: Run):
        self.fetching = 0.0
        self.steps = fit(run.trainer, self._timed(run.loader.batches(START)), STEPS, START)

    def __call__(self) -> object:
        return next(self.steps)

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            seconds, batch = timed(lambda: next(batches))
            self.fetching += seconds
            yield batch


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def measure(name: str) -> Step:
    run = make_run(name)
    step = Stepper(run)
    times = [timed(step)[0]]
    if times[0] < 2 * SECONDS:  # of a longer step, what is made at first use is a small part
        step.fetching, times = 0.0, list[float]()
    while sum(times) < SECONDS and len(times) < 20:
        times.append(timed(step)[0])
    data = step.fetching / sum(times)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        began = time.perf_counter()  # as the profiler counts
        for _ in times[:PROFILED]:
            step()
        seconds = time.perf_counter() - began
    products = learning = 0.0
    for row in found.key_averages():
        if any(part in row.key for part in LEARNING):
            learning += row.self_cpu_time_total / 1e6
        elif row.key.startswith("aten::") and any(part in row.key for part in PRODUCTS):
            products += row.self_cpu_time_total / 1e6
    size = run.options.batch_size
    return Step(size, statistics.median(times) * 1000, products / seconds, learning / seconds, data)


def compiled_gain(name: str) -> str:
    """How many times as fast a compiled step is, and what compiling took."""
    torch.compiler.reset()  # after some networks it compiles no other in the same process
    plain, compiled = Stepper(make_run(name)), Stepper(make_run(name, compile=True))
    plain()
    try:
        began = time.perf_counter()
        compiled(), compiled(), compiled()  # what differs from step to step compiles it again
        took = time.perf_counter() - began
        steps = range(min(20, max(1, round(0.3 / timed(plain)[0]))))  # one may be short to time
        ratios = [
            timed(lambda: [plain() for _ in steps])[0]
            / timed(lambda: [compiled() for _ in steps])[0]
            for _ in range(ROUNDS)
        ]
    except Exception as error:  # the compiler raises errors of many classes
        return f"not compiled: {type(error).__name__}"
    spread = f"[{min(ratios):.2f}, {max(ratios):.2f}]"
    return f"x{statistics.median(ratios):.2f} {spread}, after {took:.0f} s"


def line(name: str, step: Step) -> str:
    rest = max(0.0, 1 - step.products - step.learning - step.data)
    shares = [f"{share:.0%}" for share in (step.products, step.learning, step.data, rest)]
    return f"| {' | '.join([f'`{name}`', str(step.batch), f'{step.ms:,.1f}', *shares])} |"


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("families", nargs="*", help="all by default")
    parser.add_argument("--compile", action="store_true", help="compiled steps against plain")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own messages
    if not given.compile:
        print(HEAD + "\n" + "| --- " * 7 + "|")
    for name in given.families or families.names():
        if given.compile:
            print(f"{name}, a compiled step: {compiled_gain(name)}", flush=True)
        else:
            print(line(name, measure(name)), flush=True)
    print(f"\n{devices.machine(torch.device('cpu'))}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
