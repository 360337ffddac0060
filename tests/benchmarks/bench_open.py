"""The first open of a folder of JPEGs against an epoch of torchvision's ImageFolder, one process.

Wall time, as genzoo decodes by a thread for each core; of single large photos, CPU time against
Resize, CenterCrop and ToTensor. And an open of a folder of many files that is in the cache. Run it:
python tests/benchmarks/bench_open.py [images] [rounds] [files of the large folder].
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import datasets, transforms

from genzoo import data


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Noise with the spectrum of a photograph, about 1 / f."""
    random = np.random.default_rng(seed)
    f = np.hypot(*np.meshgrid(np.fft.rfftfreq(width) * width, np.fft.fftfreq(height) * height)) + 1
    grey, *colours = random.normal(size=(4, height, width))
    x = [np.fft.irfft2(np.fft.rfft2(grey + c / 2) / f**1.1, s=(height, width)) for c in colours]
    pixels = np.stack(x, -1) / np.std(x) * 55 + 120
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def make(folder: Path, count: int, size: tuple[int, int]) -> Path:
    (folder / "all").mkdir(parents=True)
    for i in range(count):
        photo(*size, seed=i).save(folder / "all" / f"{i:06}.jpg", quality=85)
    return folder


def timed(work, clock=time.perf_counter) -> float:
    start = clock()
    work()
    return clock() - start


def opened(folder: Path, **how) -> None:
    shutil.rmtree(os.environ["GENZOO_HOME"], ignore_errors=True)
    data.open(folder, "all", **how)


def compared(epoch, folder: Path, rounds: int, clock=time.perf_counter, **how):
    """The times of an epoch, and those of a first open; the first of each does not count."""
    both = [
        (
            timed(lambda: [epoch[i] for i in range(len(epoch))], clock),
            timed(lambda: opened(folder, **how), clock),
        )
        for _ in range(rounds + 1)
    ]
    return map(list, zip(*both[1:], strict=True))


def report(what: str, theirs: list[float], ours: list[float]) -> None:
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"{what}: ratio {middle:.2f} [{low:.2f}, {high:.2f}], ", end="")
    print(f"genzoo {1000 * statistics.median(ours):.0f} ms")


def main(count: int = 2000, rounds: int = 3, many: int = 100_000) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["GENZOO_HOME"] = f"{temporary}/home"
        for side, n in ((64, count), (256, count // 8)):
            folder = make(Path(temporary, str(side)), n, (side, side))
            epoch = datasets.ImageFolder(folder, transforms.ToTensor())
            both = compared(epoch, folder, rounds)
            report(f"{n:,} of {side} pixels, first open", *both)
        folder = make(Path(temporary, "large"), 5, (4000, 3000))
        small = [transforms.Resize(64), transforms.CenterCrop(64), transforms.ToTensor()]
        epoch = datasets.ImageFolder(folder, transforms.Compose(small))
        both = compared(epoch, folder, rounds, time.process_time, size=64)
        report("5 of 12 megapixels to 64 pixels, CPU", *both)
        folder = Path(temporary, "many")
        folder.mkdir()
        content = next((Path(temporary, "64", "all")).iterdir())
        for i in range(many):
            os.link(content, folder / f"{i:07}.jpg") if i % 1000 else shutil.copy(content, folder)
        data.open(folder)
        print(f"{many:,} files, in the cache: {timed(lambda: data.open(folder)):.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
