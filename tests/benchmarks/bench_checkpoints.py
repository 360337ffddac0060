"""What checkpoints take of a short run: CPU time in units of the rest of it, and bytes.

The run has 60 steps on digits, grids and the model's folder included, with default settings. A run
of minutes writes one a minute.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from genzoo.runs import checkpoints, launch
from genzoo.runs.run import Run

FAMILIES, STEPS = ("gan", "vae"), 60
ROUNDS = min(5, int(os.environ.get("ROUNDS", "5")))


def measure(family: str, folder: Path) -> tuple[float, int]:
    """CPU seconds of the checkpoints in units of the rest, and bytes written."""
    run = launch.start(family, "digits", folder, steps=STEPS, device="cpu", threads=1)
    write, spent, written = Run.checkpoint, [], []

    def timed(self: Run, step: int) -> None:
        began = time.process_time()
        write(self, step)
        spent.append(time.process_time() - began)
        written.append(checkpoints.checkpoints(folder)[0].stat().st_size)

    Run.checkpoint = timed  # type: ignore[method-assign]
    began = time.process_time()
    try:
        run.go()
    finally:
        Run.checkpoint = write  # type: ignore[method-assign]
    whole = time.process_time() - began
    return sum(spent) / (whole - sum(spent)), sum(written)


def main() -> None:
    torch.set_num_threads(1)
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as place:
            found = [measure(family, Path(place) / str(i)) for i in range(ROUNDS + 1)][1:]
        shares = [share for share, _ in found]
        spread = f"{statistics.median(shares):.3f} [{min(shares):.3f}, {max(shares):.3f}]"
        print(f"{family}, {STEPS} steps, checkpoints: {spread} of the rest, ", end="")
        print(f"{found[0][1] / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
