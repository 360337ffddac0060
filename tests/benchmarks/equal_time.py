"""Every family on the same data for equal CPU minutes: one table, by one command.

    python tests/benchmarks/equal_time.py --minutes 5 --seeds 3 --jobs 2 --out equal-time

Each run is a process of one thread, with the family's default settings. A short run of 60 steps,
which passes through all phases of a training, says how many steps the minutes pay for. Each
finished run leaves a file in ``--out``; the same command goes on where it was stopped, and prints
the table at the end. Run it on an otherwise idle machine: memory and caches are shared.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

import genzoo
from genzoo import devices, families, files
from genzoo.runs import RunStatus

TRIAL = 60  # steps of the short run
DRAWN = 64  # samples in a batch, to time their drawing
HEADS = "| family | branch | parameters | steps | training | a sample | {} | likelihood |"
DISTANCES = ("fd", "precision", "recall")
LIKELIHOODS = {"exact": "nll", "bound": "elbo", "estimate": "nll_estimate"}


def suitable(kind: str, labelled: bool) -> tuple[list[str], list[str]]:
    """The installed families that train on one data set of this kind, and the rest."""
    takes = {"any", kind} | ({"labelled"} if labelled else set())
    names = sorted(plugin.name for plugin in families.plugins())
    fit = [name for name in names if families.get(name).data in takes]
    return fit, [name for name in names if name not in fit]


def train(family: str, data: str, steps: int, seed: int, folder: Path) -> tuple[Any, float]:
    """A trained model, and the CPU seconds of all steps after the first."""
    moments: list[float] = []

    def note(state: RunStatus) -> None:
        if state.step in (1, state.steps):
            moments.append(time.process_time())

    often = {"checkpoint_every": steps, "grid_every": steps, "force": True, "threads": 1}
    where = {"out": folder, "seed": seed, "device": "cpu", "progress": note}
    model = genzoo.train(family, data, steps=steps, **often, **where)
    return model, moments[-1] - moments[0]


def run(family: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Train one family, and measure it: the line of the table, for one seed."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        _, seconds = train(family, given.data, TRIAL, seed, folder)
        steps = max(2, round(given.minutes * 60 / seconds * (TRIAL - 1)))
        model, seconds = train(family, given.data, steps, seed, folder)
        began = time.process_time()
        model.sample(DRAWN, seed=seed)
        drawing = (time.process_time() - began) / DRAWN
        scores = measure(model, folder, given.data, given.n, given.features)
    return {
        "family": family,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": steps,
        "training_seconds": seconds,
        "sample_seconds": drawing,
        **scores,
    }


def measure(
    model: genzoo.Model, folder: Path, data: str, n: int, features: str | None
) -> dict[str, Any]:
    """The distances, and the likelihood of a density."""
    found: dict[str, Any] = dict.fromkeys((*DISTANCES, "likelihood"))
    scores = genzoo.evaluate(folder, data=data, metrics=DISTANCES, n=n, features=features).scores
    found |= {score.metric.partition("-")[0]: score.value for score in scores}
    if isinstance(model, genzoo.Density):
        name = LIKELIHOODS[model.likelihood_kind]
        images = min(n, len(genzoo.data.open(data, split="test")))
        (score,) = genzoo.evaluate(folder, data=data, metrics=name, n=images).scores
        found["likelihood"] = {"metric": name, "value": score.value, "unit": score.unit}
    return found


def rows(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The table, best distance first: means over the seeds, and the spread of the scores."""
    runs = defaultdict(list)
    for result in results:
        runs[result["family"]].append(result)
    branches = {plugin.name: plugin.branch for plugin in families.plugins()}

    def mean(family: str, key: str) -> float:
        return statistics.mean(one[key] for one in runs[family])

    def score(values: list[float | None]) -> str:
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return ""
        spread = f" ± {statistics.stdev(known):.2g}" if len(known) > 1 else ""
        return f"{statistics.mean(known):.3g}{spread}"

    def likelihood(family: str) -> str:
        known = [one["likelihood"] for one in runs[family] if one["likelihood"]]
        if not known:
            return ""
        return f"{score([one['value'] for one in known])} {known[0]['unit']} ({known[0]['metric']})"

    def distance(family: str) -> float:
        return (
            mean(family, "fd") if all(one["fd"] is not None for one in runs[family]) else math.inf
        )

    yield HEADS.format(" | ".join(DISTANCES))
    yield "| --- " * (7 + len(DISTANCES)) + "|"
    for family in sorted(runs, key=distance):
        cells = [f"`{family}`", branches[family]]
        cells += [f"{mean(family, key):,.0f}" for key in ("parameters", "steps")]
        cells += [f"{mean(family, 'training_seconds') / 60:.1f} min"]
        cells += [f"{mean(family, 'sample_seconds') * 1000:.3g} ms"]
        cells += [score([one[key] for one in runs[family]]) for key in DISTANCES]
        yield f"| {' | '.join([*cells, likelihood(family)])} |"


def command_of(name: str, seed: int, given: argparse.Namespace) -> list[str]:
    options = {key: getattr(given, key) for key in ("data", "minutes", "n", "out", "features")}
    words = [word for key, value in options.items() if value for word in (f"--{key}", str(value))]
    return [sys.executable, __file__, name, "--one", str(seed), *words]


def run_all(runs: list[tuple[str, int]], given: argparse.Namespace) -> list[Path]:
    """Do those that have no file yet, some at a time; the files of those that succeeded."""

    def start(name: str, seed: int) -> Path | None:
        file: Path = given.out / f"{name}-{seed}.json"
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if not file.exists():
            subprocess.run(command_of(name, seed, given), env=environment, check=False)
        return file if file.exists() else None

    with ThreadPoolExecutor(given.jobs) as pool:
        done = list(pool.map(lambda one: start(*one), runs))
    for (name, seed), file in zip(runs, done, strict=True):
        if file is None:
            print(f"{name}, seed {seed}: failed, see above", file=sys.stderr)
    return [file for file in done if file]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("families", nargs="*", help="all that fit the data by default")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--minutes", type=float, default=5, help="of CPU time, for each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one core each")
    parser.add_argument("--n", type=int, default=2000, help="samples, or images, that are measured")
    parser.add_argument("--features", help="of another data set, where this one has none")
    parser.add_argument("--out", type=Path, default=Path("equal-time"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # the seed of a single run
    given = parser.parse_args(words)
    if given.one is not None:
        name = given.families[0]
        result = run(name, given.one, given)
        files.write_json(given.out / f"{name}-{given.one}.json", result)
        return
    dataset = genzoo.data.open(given.data)
    fit, others = suitable(dataset.kind, bool(dataset.classes))
    given.out.mkdir(parents=True, exist_ok=True)
    done = run_all([(n, seed) for seed in range(given.seeds) for n in given.families or fit], given)
    print("\n".join(rows(json.loads(file.read_text()) for file in done)))
    print(f"\nNot here, as they need other data: {', '.join(others)}." if others else "")
    print(devices.machine(torch.device("cpu")))


if __name__ == "__main__":
    main()
