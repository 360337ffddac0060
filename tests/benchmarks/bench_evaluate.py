"""The whole way to an FID: ``genzoo evaluate`` against ``python -m pytorch_fid``.

    python tests/benchmarks/bench_evaluate.py [IMAGES]

Two folders of as many made pictures of 64 pixels (1,000 unless told), one thread, the same random
weights; CPU time of each process as the system counts it, start-up and reading of files included.
"""

import os
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn


def weights(folder: Path) -> Path:
    """One set of random weights, where both look for theirs."""
    from pytorch_fid import inception as theirs

    nn.Module.load_state_dict, load = lambda *_: None, nn.Module.load_state_dict
    theirs.load_state_dict_from_url = lambda *_, **__: {}
    network = theirs.fid_inception_v3()
    nn.Module.load_state_dict = load
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    place = folder / "hub" / "checkpoints"
    place.mkdir(parents=True)
    path = place / theirs.FID_WEIGHTS_URL.rpartition("/")[2]
    torch.save(network.state_dict(), path)
    return path


def pictures(folder: Path, count: int, seed: int) -> Path:
    random = np.random.default_rng(seed)
    folder.mkdir()
    for i in range(count):
        rough = Image.fromarray(random.integers(256, size=(8, 8, 3), dtype=np.uint8))
        rough.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{i:05}.png")
    return folder


def spent(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """CPU seconds of a process and its children, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env={**os.environ, **environment}, check=True, text=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, done.stdout


def main(count: int) -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        path = weights(folder)
        one, other = (str(pictures(folder / name, count, i)) for i, name in enumerate("ab"))
        told = {"TORCH_HOME": str(folder), "GENZOO_HOME": str(folder / "home")}
        told |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        theirs = [sys.executable, "-m", "pytorch_fid", one, other, "--num-workers", "0"]
        ours = [sys.executable, "-m", "genzoo", "evaluate", f"images:{one}"]
        ours += ["--data", f"images:{other}", "--metrics", "fid", "--device", "cpu", "--json"]
        ours += ["--features", f"inception:{path}"]
        mine, said = spent(ours, told)
        slow, also = spent([*theirs, "--device", "cpu"], told)
    print(f"evaluate, {count} images: x{slow / mine:.2f} ({slow:.0f} to {mine:.0f} CPU s)")
    value = next(line for line in said.splitlines() if '"value"' in line)
    print(f"ours {value.strip()} theirs {also.strip().splitlines()[-1]}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
