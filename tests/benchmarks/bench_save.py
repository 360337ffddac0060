"""Samples to a folder against a plain loop: wall time an image, and its ratio to the loop's.

Plain: `Image.fromarray` and `save` with Pillow's defaults, without metadata, and no flush: the
files may be lost in a power cut. Run it: python tests/benchmarks/bench_save.py [images] [rounds]
[folder]. The folder decides which disk is measured.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from genzoo.models.samples import Images

SHAPES = ((1, 28, 28), (3, 64, 64), (3, 128, 128))


def smooth(n: int, shape: tuple[int, ...]) -> Images:
    """Images that compress about as well as photographs, with seeds as a model's have."""
    random = torch.Generator().manual_seed(0)
    rough = torch.rand(n, shape[0], 12, 12, generator=random)
    x = torch.nn.functional.interpolate(rough, shape[1:], mode="bicubic").clamp(0, 1)
    return Images(x, None, [(0, i) for i in range(n)], None, (), {"method": "sample"})


def plain(samples: Images, folder: Path) -> None:
    folder.mkdir()
    for i, x in enumerate(samples.tensor):
        pixels = (x * 255 + 0.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(pixels.squeeze()).save(folder / f"{i:08}.png")


def seconds(work, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def main(count: int = 400, rounds: int = 5, place: str | None = None) -> None:
    torch.set_num_threads(1)
    for shape in SHAPES:
        samples = smooth(count, shape)
        with tempfile.TemporaryDirectory(dir=place) as temporary:
            pairs = [
                (
                    seconds(samples.save, Path(temporary, f"ours {i}")),
                    seconds(plain, samples, Path(temporary, f"plain {i}")),
                )
                for i in range(rounds + 1)
            ][1:]
        ratios = [ours / theirs for ours, theirs in pairs]
        ours, theirs = (1000 * statistics.median(p[i] for p in pairs) / count for i in (0, 1))
        low, high = min(ratios), max(ratios)
        name = "x".join(map(str, shape))
        print(f"{name}: {ours:.2f} ms an image, plain {theirs:.2f}; ", end="")
        print(f"ratio {statistics.median(ratios):.2f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:4])
