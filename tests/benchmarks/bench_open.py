"""The first open of a folder of JPEGs against an epoch of torchvision's ImageFolder, one process.

Wall time, as genzoo decodes by a thread for each core, and CPU time; of large photos against
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


def timed(work) -> np.ndarray:
    """Seconds of wall time, and of CPU."""
    start = time.perf_counter(), time.process_time()
    work()
    return np.subtract((time.perf_counter(), time.process_time()), start)


def opened(folder: Path, **how) -> None:
    shutil.rmtree(os.environ["GENZOO_HOME"], ignore_errors=True)
    data.open(folder, "all", **how)


def compare(what: str, epoch, folder: Path, rounds: int, **how) -> None:
    """An epoch and a first open in turn; the first of each does not count."""
    ratios, ours = [], []
    for _ in range(rounds + 1):
        theirs = timed(lambda: [epoch[i] for i in range(len(epoch))])
        ours.append(timed(lambda: opened(folder, **how)))
        ratios.append(theirs / ours[-1])
    for kind, found, spent in zip(
        ("wall", "CPU"), np.array(ratios[1:]).T, np.array(ours[1:]).T, strict=True
    ):
        ms = 1000 * statistics.median(spent) / len(epoch)
        print(f"{what}, {kind}: ratio {statistics.median(found):.2f} ", end="")
        print(f"[{found.min():.2f}, {found.max():.2f}], genzoo {ms:.2f} ms an image")


def main(count: int = 2000, rounds: int = 3, many: int = 100_000) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["GENZOO_HOME"] = f"{temporary}/home"
        for side, n in ((64, count), (256, count // 8)):
            folder = make(Path(temporary, str(side)), n, (side, side))
            epoch = datasets.ImageFolder(folder, transforms.ToTensor())
            compare(f"{side} pixels", epoch, folder, rounds)
        folder = make(Path(temporary, "large"), 5, (4000, 3000))
        small = [transforms.Resize(64), transforms.CenterCrop(64), transforms.ToTensor()]
        epoch = datasets.ImageFolder(folder, transforms.Compose(small))
        compare("12 megapixels to 64 pixels", epoch, folder, rounds, size=64)
        folder = Path(temporary, "many")
        folder.mkdir()
        content = next((Path(temporary, "64", "all")).iterdir())
        for i in range(many):
            os.link(content, folder / f"{i:07}.jpg") if i % 1000 else shutil.copy(content, folder)
        data.open(folder)
        wall, cpu = timed(lambda: data.open(folder))
        print(f"{many:,} files, in the cache: {wall:.2f} s, CPU {cpu:.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
