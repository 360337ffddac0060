"""Two processes of one thread each against one: images a second by wall time, in turn; and, for a
busy machine, how much more CPU time both take together: twice its inverse is what idle cores give.

    python tests/benchmarks/bench_ranks.py [--kinds training] [--samples 50000] [--pinned]

Training: steps of a DCGAN (28 pixels, width 48, batch 64), and of a GAN (28 pixels, batch 128).
Apart: two processes that train on half a batch each, alone: what training would reach if it cost
nothing to exchange statistics and gradients. Sampling: to a folder, in which all bytes must be the
same. Pinned: each of two processes stays on its own core. Meant for two idle cores: it says how
busy they were.
"""

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from genzoo import families
from genzoo.models import whole_batch, writing
from genzoo.models.randomness import seed_torch
from genzoo.schemas import checked
from genzoo.training import Batch, RunSettings, fit

STEPS, SAMPLES = 10, 2048
KINDS = ("training", "apart", "sampling")
NETWORKS = {
    "dcgan": ({"size": 28, "channels": 1, "width": 48}, 64),
    "gan": ({"shape": [1, 28, 28]}, 128),
}


def trainer_of(name: str):
    family, (values, batch) = families.get(name), NETWORKS[name]
    seed_torch(0)
    model = family.model(checked(family.config, values, "config"))
    options = checked(family.options, {"batch_size": batch}, "options")
    trainer = family.make_trainer(model, options)
    trainer.prepare(RunSettings())
    return trainer, batch


def training(name: str, steps: int, parts: int) -> Callable[[], object]:
    trainer, batch = trainer_of(name)
    whole_batch.divide(share := batch // parts)
    first = share * whole_batch.rank()
    x = torch.rand(batch, 1, 28, 28)[first : first + share]
    rows = tuple(range(first, first + share))

    def learn() -> None:
        batches = (Batch(x, step=step, indices=rows) for step in range(steps))
        for _ in fit(trainer, batches, steps):
            pass

    return learn


def sampling(name: str, n: int, folder: Path) -> Callable[[], object]:
    model = trainer_of(name)[0].model
    return lambda: writing.write(model.stream(n), n, folder)


def digest(folder: Path) -> str:
    """Of the names and bytes of all samples, which are removed; of nothing where there are none."""
    known = hashlib.sha256()
    for path in sorted(folder.glob("*")):
        known.update(path.name.encode() + path.read_bytes())
    shutil.rmtree(folder, ignore_errors=True)
    return known.hexdigest()


def worker(folder: Path) -> None:
    """Does each line that it reads, and answers with the seconds that it took."""
    torch.set_num_threads(1)
    if core := os.environ.get("CORE"):
        os.sched_setaffinity(0, {int(core)})
    if os.environ["WORLD_SIZE"] == "2":
        dist.init_process_group("gloo")
    jobs: dict[str, Callable[[], object]] = {}
    for line in map(str.strip, sys.stdin):
        kind, name, n = line.split()
        if line in jobs:
            pass
        elif kind == "sampling":
            jobs[line] = sampling(name, int(n), folder)
        else:
            jobs[line] = training(name, int(n), 2 if kind == "apart" else whole_batch.size())
        began = time.monotonic(), time.process_time()
        jobs[line]()
        print(time.monotonic() - began[0], time.process_time() - began[1], flush=True)


def started(rank: int, size: int, folder: Path, core: int | None = None) -> subprocess.Popen[str]:
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **place, "RANK": str(rank), "WORLD_SIZE": str(size)}
    environment |= {} if core is None else {"CORE": str(core)}
    command = [sys.executable, __file__, "worker", str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def seconds(processes: list[subprocess.Popen[str]], line: str) -> tuple[float, float]:
    """The longest wall time of the processes, and the CPU time of all."""
    for process in processes:
        assert process.stdin
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    answers = [process.stdout.readline().split() for process in processes if process.stdout]
    walls, spent = zip(*(map(float, answer) for answer in answers), strict=True)
    return max(walls), sum(spent)


def compare(line: str, each: list[list[subprocess.Popen[str]]], folder: Path, rounds: int) -> str:
    """Two processes against one, of ``each``, at the job ``line``."""
    rows: list[list[tuple[float, float]]] = []
    for _ in range(rounds + 1):
        digests, row = set(), []
        for processes in each:
            own = line if len(processes) > 1 else line.replace("apart", "training")
            row.append(seconds(processes, own))
            digests.add(digest(folder))
        assert len(digests) == 1, "the samples differ"
        rows.append(row)
    del rows[0]  # what is made at first use
    ratios = [alone[0] / both[0] for alone, both in rows]
    more = statistics.median(both[1] / alone[1] for alone, both in rows)
    kind, name, n = line.split()
    count = int(n) * (1 if kind == "sampling" else NETWORKS[name][1])
    rates = [count / statistics.median(row[i][0] for row in rows) for i in range(2)]
    spread = f"[{min(ratios):.2f}, {max(ratios):.2f}]"
    speeds = f"{rates[0]:.0f} and {rates[1]:.0f} images a second"
    ratio = f"x{statistics.median(ratios):.2f} {spread}"
    return f"{kind} {name}: {ratio}  ({speeds}; x{more:.2f} the CPU time)"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "7")))
    parser.add_argument("--pinned", action="store_true")
    given = parser.parse_args()
    cores = range(2) if given.pinned else (None, None)
    place = Path(tempfile.mkdtemp())
    folder = place / "samples"
    one, two = [started(0, 1, folder)], [started(i, 2, folder, cores[i]) for i in range(2)]
    alone = [started(0, 1, folder, core) for core in cores]
    for kind in given.kinds:
        both = alone if kind == "apart" else two
        for name in NETWORKS:
            n = given.samples if kind == "sampling" else STEPS
            print(compare(f"{kind} {name} {n}", [one, both], folder, given.rounds), flush=True)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for process in (*one, *two, *alone):
        assert process.stdin
        process.stdin.close()
    place.rmdir()


if __name__ == "__main__":
    worker(Path(sys.argv[2])) if sys.argv[1:2] == ["worker"] else main()
