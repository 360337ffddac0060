"""The table of docs/inpainting.md: PSNR and SSIM in the hole, and the seam, on held-out images.

``bench_inpainting.py MODEL DATA N MASK WINDOW[,WEIGHT]...``: ``vae-celeba celeba 9 centre 0 7``.
The seam is the mean difference of two neighbours of which one is known and one is not.
"""

import sys

import torch
from torch import Tensor

import genzoo
from genzoo import data
from genzoo.metrics.real_data import random_rows
from genzoo.metrics.statistics import similarity


def main(model: str, name: str, n: str, mask: str, *windows: str) -> None:
    torch.set_num_threads(1)
    test = data.open(name, "test")
    x = test.batch(random_rows(test, int(n), 0))
    for text in windows:
        window, _, weight = text.partition(",")
        for blend in (False, True):
            how = {"window": int(window), "weight": float(weight or 0), "blend": blend}
            filled = genzoo.inpaint(model, x, mask, batch_size=64, **how)
            image = filled.samples.tensor.mul(255).round().div(255)
            print(how, *_scores(image, x, filled.known), flush=True)
    print("the images themselves: seam", _mean(seam(x, filled.known)))


def _scores(image: Tensor, x: Tensor, known: Tensor) -> list[str]:
    scores = {
        "PSNR": similarity.psnr(image, x, ~known),
        "SSIM": similarity.ssim(image, x, ~known),
        "seam": seam(image, known),
    }
    return [f"{name} {_mean(values)}" for name, values in scores.items()]


def seam(image: Tensor, known: Tensor) -> Tensor:
    """``(n,)`` for images ``(n, C, H, W)``."""
    total, count = torch.zeros(len(image)), torch.zeros(len(image))
    for side in (2, 3):
        n = image.shape[side] - 1
        (a, b), (one, other) = (
            (v.narrow(side, 0, n), v.narrow(side, 1, n)) for v in (image, known)
        )
        border = one != other
        total += ((a - b).abs() * border).flatten(1).sum(1)
        count += border.flatten(1).sum(1)
    return total / count


def _mean(values: Tensor) -> str:
    return f"{values.mean():.3f} +- {1.96 * values.std() / len(values) ** 0.5:.3f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
