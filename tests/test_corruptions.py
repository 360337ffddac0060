"""The lecture's experiment: under rising damage the Frechet distance rises with each level; the
class score, which never looks at real images, need not.

    GENZOO_DATA=FOLDER python tests/test_corruptions.py

prints both for MNIST and Fashion-MNIST, as docs/metrics.md has them.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genzoo import data
from genzoo.metrics import sample_metrics
from genzoo.metrics.real_data import RealData

IMAGES = 2560
FOREIGN = {"mnist": "fashion-mnist", "fashion-mnist": "mnist"}
LEVELS = {
    "noise": (0.05, 0.1, 0.2, 0.4),  # standard deviation
    "blur": (0.5, 1, 1.5, 2.5),  # standard deviation in pixels
    "salt and pepper": (0.01, 0.03, 0.1, 0.3),  # share of the pixels
    "foreign images": (0.02, 0.1, 0.3, 0.7),  # share of the images
}


def noise(x: Tensor, level: float, source: torch.Generator) -> Tensor:
    return (x + level * torch.randn(x.shape, generator=source)).clamp(0, 1)


def blur(x: Tensor, level: float) -> Tensor:
    kernel = torch.exp(-(torch.arange(-8.0, 9) ** 2) / (2 * level**2))
    kernel = (kernel / kernel.sum())[None, None]
    rows = F.conv2d(x, kernel[..., None], padding=(8, 0))
    return F.conv2d(rows, kernel[..., None, :], padding=(0, 8)).clamp(0, 1)


def salt_and_pepper(x: Tensor, level: float, source: torch.Generator) -> Tensor:
    struck = torch.rand(x.shape, generator=source) < level
    return torch.where(struck, (torch.rand(x.shape, generator=source) < 0.5).float(), x)


def damaged(name: str, x: Tensor, other: Tensor, level: float) -> Tensor:
    source = torch.Generator().manual_seed(0)
    if name == "foreign images":
        return torch.cat([other[: round(level * len(x))], x[round(level * len(x)) :]])
    if name == "blur":
        return blur(x, level)
    return (noise if name == "noise" else salt_and_pepper)(x, level, source)


def experiment(name: str) -> dict[str, list[tuple[float, float, float]]]:
    """(level, Frechet distance, class score) of undamaged and damaged test images, by damage."""
    real = RealData(name, groups=1)
    fd, score = sample_metrics.Frechet(real), sample_metrics.ClassScore(real)
    rows = np.random.RandomState(0).permutation(10_000)[:IMAGES]
    x = data.open(name, "test").batch(rows)
    other = data.open(FOREIGN[name], "test").batch(rows)

    def both(images: Tensor) -> tuple[float, float]:
        seen = real.features(images.mul(255).round().div(255))
        return fd.score(seen).value, score.score(seen).value

    whole = both(x)
    return {
        damage: [(0, *whole), *((v, *both(damaged(damage, x, other, v))) for v in levels)]
        for damage, levels in LEVELS.items()
    }


@pytest.mark.data
@pytest.mark.parametrize("name", FOREIGN)
def test_the_distance_rises_with_every_level_of_every_damage(name):
    found = experiment(name)
    for damage, lines in found.items():
        distances = [distance for _, distance, _ in lines]
        assert distances == sorted(distances), f"{damage}: {distances}"
    # The class score is no measure of damage: somewhere more of it scores better, or as well.
    scores = [[score for *_, score in lines] for lines in found.values()]
    assert any(later >= earlier for line in scores for earlier, later in pairwise(line))


def main() -> None:
    for name in FOREIGN:
        for damage, lines in experiment(name).items():
            cells = [f"{level:g}: fd {fd:.3g}, cs {cs:.2f}" for level, fd, cs in lines]
            print(f"{name}, {damage}: {' | '.join(cells)}")


if __name__ == "__main__":
    main()
