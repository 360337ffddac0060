"""DataSet.batch against ImageFolder + ToTensor: images per CPU second, paired in one process.

Run it: python tests/benchmarks/bench_data.py [images] [rounds]. The goal is 8 times or more.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

BATCH = 64


def make(folder: Path, count: int) -> None:
    """JPEG images, 64x64, of smooth noise: about as large as photographs of that size."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    (folder / "all").mkdir(parents=True)
    for index in range(count):
        rough = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        rough.resize((64, 64), Image.Resampling.BICUBIC).save(folder / "all" / f"{index:06}.jpg")


def seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main(count: int = 3000, rounds: int = 7) -> None:
    import torch
    from torchvision import datasets, transforms

    from genzoo import data

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["GENZOO_HOME"] = f"{temporary}/home"
        make(Path(temporary, "images"), count)
        theirs = datasets.ImageFolder(f"{temporary}/images", transforms.ToTensor())
        ours = data.open(Path(temporary, "images"))
        count = len(ours)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
        batches = [order[i : i + BATCH] for i in range(0, count - BATCH + 1, BATCH)]

        def slow() -> None:
            for batch in batches:
                torch.stack([theirs[i][0] for i in batch])

        def fast() -> None:
            for batch in batches:
                ours.batch(batch)

        slow(), fast()
        ratios, rates = [], []
        for _ in range(rounds):
            # Ten passes: one would be near the clock's grain.
            one, ten = seconds(slow), seconds(lambda: [fast() for _ in range(10)])
            ratios.append(10 * one / ten)
            rates.append((len(batches) * BATCH / one, len(batches) * BATCH * 10 / ten))
        folder, mapped = (statistics.median(rate) for rate in zip(*rates, strict=True))
        print(f"images per CPU second: ImageFolder {folder:,.0f}, genzoo {mapped:,.0f}")
        low, high = min(ratios), max(ratios)
        print(f"ratio {statistics.median(ratios):.1f} [{low:.1f}, {high:.1f}], {rounds} rounds")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))
