"""Two processes of one thread each against one: images a second by wall time, in turn; and, for a
busy machine, how much more CPU time both take together: twice its inverse is what idle cores give.

Training: steps of a DCGAN (28 pixels, width 48, batch 64), and of a GAN (28 pixels, batch 128).
Sampling: to a folder. Meant for two idle cores: it says how busy they were.
"""

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

ROUNDS, STEPS, SAMPLES = 7, 10, 2048
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


def training(name: str) -> Callable[[], None]:
    trainer, batch = trainer_of(name)
    whole_batch.divide(share := batch // whole_batch.size())
    first = share * whole_batch.rank()
    x = torch.rand(batch, 1, 28, 28)[first : first + share]
    rows = tuple(range(first, first + share))

    def steps() -> None:
        batches = (Batch(x, step=step, indices=rows) for step in range(STEPS))
        for _ in fit(trainer, batches, STEPS):
            pass

    return steps


def sampling(name: str) -> Callable[[], None]:
    model, folder = trainer_of(name)[0].model, Path(tempfile.mkdtemp())

    def draw() -> None:
        writing.write(model.stream(SAMPLES), SAMPLES, folder / "samples")
        shutil.rmtree(folder / "samples", ignore_errors=True)

    return draw


def worker() -> None:
    """Does each line that it reads, and answers with the seconds that it took."""
    torch.set_num_threads(1)
    if os.environ["WORLD_SIZE"] == "2":
        dist.init_process_group("gloo")
    jobs: dict[str, Callable[[], None]] = {}
    for line in map(str.strip, sys.stdin):
        kind, name = line.split()
        jobs.setdefault(line, training(name) if kind == "training" else sampling(name))
        began = time.monotonic(), time.process_time()
        jobs[line]()
        print(time.monotonic() - began[0], time.process_time() - began[1], flush=True)


def started(rank: int, size: int) -> subprocess.Popen[str]:
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **place, "RANK": str(rank), "WORLD_SIZE": str(size)}
    command = [sys.executable, __file__, "worker"]
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


def main() -> None:
    one, two = [started(0, 1)], [started(0, 2), started(1, 2)]
    for line in [f"{kind} {name}" for kind in ("training", "sampling") for name in NETWORKS]:
        for processes in (one, two):
            seconds(processes, line)  # what is made at first use
        rows = [(seconds(one, line), seconds(two, line)) for _ in range(ROUNDS)]
        ratios = [alone[0] / both[0] for alone, both in rows]
        more = statistics.median(both[1] / alone[1] for alone, both in rows)
        count = SAMPLES if line.startswith("sampling") else STEPS * NETWORKS[line.split()[1]][1]
        walls = [[pair[i][0] for pair in rows] for i in range(2)]
        rates = [count / statistics.median(column) for column in walls]
        spread = f"[{min(ratios):.2f}, {max(ratios):.2f}]"
        text = f"{line}: x{statistics.median(ratios):.2f} {spread}"
        speeds = f"{rates[0]:.0f} and {rates[1]:.0f} images a second"
        print(f"{text}  ({speeds}; x{more:.2f} the CPU time)", flush=True)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for process in (*one, *two):
        assert process.stdin
        process.stdin.close()


if __name__ == "__main__":
    worker() if sys.argv[1:] else main()
