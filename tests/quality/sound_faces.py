"""The share of faces whose eyes, nose and mouth are found where they belong.

    GENZOO_DATA=FOLDER python tests/quality/sound_faces.py dcgan-celeba vae-celeba [-n 1000]

A part is found by a linear filter on orientation histograms (Dalal & Triggs 2005), fitted in closed
form to CelebA's aligned training faces (Hariharan et al. 2012, "Discriminative Decorrelation for
Clustering and Classification"). It belongs where the faces have it: a face is sound if each filter
answers most within 4 pixels of its place, and no weaker than for 98 in 100 training faces.
No damage was used to fit it. It prints real faces and damaged ones first, to compare with.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from damage import LEFT_EYE, MOUTH, NOSE, RIGHT_EYE, damaged, damages_of

import genzoo
from genzoo import data

PARTS = {"left eye": LEFT_EYE, "right eye": RIGHT_EYE, "nose": NOSE, "mouth": MOUTH}
BINS, CELL = 8, 2  # orientations; pixels in a cell
TALL, WIDE = 7, 9  # cells of a filter
REACH, NEAR = 5, 2  # cells around its place where a part is looked for, and where it may be
WEAKEST = 0.02  # the share of training faces whose part counts as too weak


class Filters(NamedTuple):
    """``weights`` (4, BINS, TALL, WIDE); ``least``: the weakest answer that counts (4,)."""

    weights: Tensor
    least: Tensor


def histograms(x: Tensor) -> Tensor:
    """(n, 3, 64, 64) -> (n, BINS, 32, 32): how strong edges of each orientation are, normalised."""
    grey = F.pad(x.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    right = grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
    down = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]
    strength = (right**2 + down**2).sqrt()
    turn = torch.atan2(down, right).div(torch.pi).remainder(1) * BINS  # unsigned
    away = (turn - torch.arange(BINS).view(1, -1, 1, 1)).abs()
    share = (1 - torch.minimum(away, BINS - away)).clamp(min=0)
    cells = F.avg_pool2d(strength * share, 2 * CELL, CELL, CELL // 2, count_include_pad=False)
    around = F.avg_pool2d(cells.square().sum(1, True), 5, 1, 2, count_include_pad=False)
    return cells / (around + 1e-4).sqrt()


def place_of(part: str, maps: Tensor) -> tuple[int, int]:
    """The cell, down and right, in the middle of a part."""
    right, down = PARTS[part]
    return round(down * maps.shape[2] - 0.5), round(right * maps.shape[3] - 0.5)


def window(maps: Tensor, down: int, right: int) -> Tensor:
    """The cells around one, flat: ``(n, BINS * TALL * WIDE)``."""
    maps = F.pad(maps, (WIDE // 2, WIDE // 2, TALL // 2, TALL // 2))
    return maps[:, :, down : down + TALL, right : right + WIDE].flatten(1)


def answers(filters: Tensor, maps: Tensor, part: int) -> Tensor:
    """(n, 2 REACH + 1, 2 REACH + 1): the answers of a filter around its place."""
    found = F.conv2d(maps, filters[part : part + 1], padding=(TALL // 2, WIDE // 2))[:, 0]
    down, right = place_of(list(PARTS)[part], maps)
    room = F.pad(found, (REACH,) * 4, value=float("-inf"))
    return room[:, down : down + 2 * REACH + 1, right : right + 2 * REACH + 1]


def fitted(seed: int = 0) -> Filters:
    """w = S^-1 (mean of the part - mean of anything), S the covariance of anything."""
    dataset, random = data.open("celeba"), np.random.RandomState(seed)
    parts = torch.zeros(len(PARTS), BINS * TALL * WIDE, dtype=torch.double)
    anything = []
    everything = np.array_split(np.arange(len(dataset)), len(dataset) // 250)
    for rows in everything:
        maps = histograms(dataset.batch(rows))
        for i, part in enumerate(PARTS):
            parts[i] += window(maps, *place_of(part, maps)).double().sum(0) / len(dataset)
        anything += [window(maps, *random.randint(4, 28, 2)) for _ in range(6)]
    background = torch.cat(anything).double()
    spread = torch.from_numpy(np.cov(background.T.numpy()))
    spread += 0.01 * spread.trace() / len(spread) * torch.eye(len(spread))
    weights = torch.linalg.solve(spread, (parts - background.mean(0)).T).T.float()
    weights = weights.view(len(PARTS), BINS, TALL, WIDE)
    best = [strongest(weights, histograms(dataset.batch(rows)))[0] for rows in everything]
    return Filters(weights, torch.cat(best).quantile(WEAKEST, 0))


def strongest(weights: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Of each part the strongest answer (n, 4), and how many cells from its place (n, 4)."""
    best, far = [], []
    for i in range(len(PARTS)):
        found = answers(weights, maps, i).flatten(1)
        most, where = found.max(1)
        down, right = where // (2 * REACH + 1) - REACH, where % (2 * REACH + 1) - REACH
        best.append(most)
        far.append((down.float() ** 2 + right.float() ** 2).sqrt())
    return torch.stack(best, 1), torch.stack(far, 1)


def found(filters: Filters, x: Tensor) -> Tensor:
    """Whether each part of faces (n, 3, 64, 64) is found where it belongs: bool (n, 4)."""
    best, far = strongest(filters.weights, histograms(x))
    return (best >= filters.least) & (far <= NEAR)


def line(name: str, each: Tensor) -> str:
    shares = [
        f"{part} {share:.0%}" for part, share in zip(PARTS, each.float().mean(0), strict=True)
    ]
    return f"{name}: {each.all(1).float().mean():.1%} sound ({', '.join(shares)})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--which", action="store_true", help="whether each of the first 64 is sound"
    )
    given = parser.parse_args()
    filters = fitted()
    test = data.open("celeba", "test")
    x = test.batch(range(min(given.n, len(test))))
    print(line("held-out real faces", found(filters, x)))
    for name in damages_of("celeba"):
        print(line(f"{name}, strength 3", found(filters, damaged(x, name, 3))))
    for name in given.models:
        samples = genzoo.load(name).sample(given.n, seed=given.seed).tensor
        each = found(filters, samples)
        print(line(name, each))
        if given.which:
            print("".join("+" if sound else "." for sound in each.all(1)[:64]))


if __name__ == "__main__":
    main()
