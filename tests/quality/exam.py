"""Do the metrics of samples see what people see? Real images, damaged and left out, in their place.

    GENZOO_DATA=FOLDER python tests/quality/exam.py celeba [--seed 0]

prints the table of docs/measuring.md. What is demanded: `fd` and `kd` rise with every strength of
every damage; `precision` falls with every strength, and is at most 0.7 of that of whole images at
strength 3; `recall` falls with every part of the data that is left out.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from damage import HELD_BACK, damaged, damages_of

from genzoo import data
from genzoo.metrics import sample_metrics
from genzoo.metrics.real_data import RealData

IMAGES = 1000  # held-out images; CelebA's part has no more
BROKEN, SHARE = 3, 0.7
NOTHING = 0.01  # a share that cannot fall any more, as far as 1,000 images show
LEFT_OUT = (0, 1, 5, 9)  # of ten groups of images


class Row(NamedTuple):
    """What 0 to 5 of a damage, or 0, 1, 5 and 9 tenths left out, score."""

    name: str
    metric: str
    values: list[float]

    @property
    def rises(self) -> bool:
        return all(after > before for before, after in pairwise(self.values))

    @property
    def falls(self) -> bool:
        return all(after < max(before, NOTHING) for before, after in pairwise(self.values))

    @property
    def failures(self) -> list[str]:
        """What is demanded of this row and not the case."""
        found = []
        if self.metric in ("fd", "kd") and not self.rises:
            found.append("does not rise with every strength")
        if self.metric in ("precision", "recall") and not self.falls:
            found.append("does not fall with every step")
        if self.metric == "precision" and self.values[BROKEN] > SHARE * self.values[0]:
            found.append(f"{self.values[BROKEN] / self.values[0]:.2f} of real at strength 3")
        return found


def features_of(real: RealData, x: torch.Tensor) -> np.ndarray:
    return real.features(x.mul(255).round().div(255))


def damage_rows(name: str, seed: int = 0) -> Iterator[Row]:
    """`fd`, `kd` and `precision` of each damage."""
    real = RealData(name, groups=1)
    kinds = (sample_metrics.Frechet, sample_metrics.Kernel, sample_metrics.Precision)
    metrics = [kind(real) for kind in kinds]
    held_out = data.open(name, "test")
    x = held_out.batch(np.random.RandomState(seed).permutation(len(held_out))[:IMAGES])
    whole = features_of(real, x)
    for damage in damages_of(name):
        each = [whole, *(features_of(real, damaged(x, damage, s, seed)) for s in range(1, 6))]
        for metric in metrics:
            yield Row(damage, metric.id, [metric.score(features).value for features in each])


def groups_of(name: str, rows: np.ndarray) -> tuple[str, np.ndarray]:
    """Ten groups of training images: their name, and the group of each of ``rows``.

    Classes; of faces, whose identities are not with CelebA's attributes, tenths along the first
    principal component of the attributes.
    """
    dataset = data.open(name)
    if (labels := dataset.labels_of(rows)) is not None:
        return "classes", labels.numpy()
    attributes = data.attributes(name, "train")[1][rows].astype(float)
    centred = attributes - attributes.mean(0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    return "tenths of the faces by attributes", along.argsort().argsort() * 10 // len(rows)


def recall_rows(name: str, seed: int = 0) -> Iterator[Row]:
    """`recall` where groups of images are left out, and where images are and the others repeat; the
    number of samples stays."""
    real = RealData(name, groups=1)
    recall, dataset = sample_metrics.Recall(real), data.open(name)
    # Training images that the reference does not hold: the held-out ones are too few.
    rest = np.random.RandomState(0).permutation(len(dataset))[len(real.reference.train) :]
    rest = rest[np.random.RandomState(seed).permutation(len(rest))][:12_000]
    what, groups = groups_of(name, rest)
    parts = np.array_split(rest, 24)
    features = np.concatenate([features_of(real, dataset.batch(part)) for part in parts])
    count = min(IMAGES, *np.bincount(groups, minlength=10))
    values = []
    for out in LEFT_OUT:  # the mean over which ones are left out
        kept = [(groups - first) % 10 >= out for first in range(10)]
        values.append(np.mean([recall.score(features[own][:count]).value for own in kept]))
    yield Row(f"{what} left out", "recall", values)
    few = [features[: count * (10 - out) // 10] for out in LEFT_OUT]
    repeated = [np.resize(part, (count, part.shape[1])) for part in few]
    yield Row("images left out", "recall", [recall.score(part).value for part in repeated])


def table(rows: list[Row]) -> list[str]:
    """The rows as Markdown: those of a damage, then those of what is left out."""
    lines = ["| damage | metric | 0 | 1 | 2 | 3 | 4 | 5 | |", "| --- " * 9 + "|"]
    left_out = ["| left out | metric | nothing | a tenth | half | nine tenths | |"]
    left_out += ["| --- " * 7 + "|"]
    for row in rows:
        held_back = " (never in training)" if row.name in HELD_BACK else ""
        cells = [row.name + held_back, f"`{row.metric}`", *(f"{v:.3g}" for v in row.values)]
        cells.append("; ".join(row.failures))
        (left_out if row.metric == "recall" else lines).append(f"| {' | '.join(cells)} |")
    return [*lines, "", *left_out]


def exam(name: str, seed: int = 0) -> list[Row]:
    return [*damage_rows(name, seed), *recall_rows(name, seed)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("celeba", "cifar10"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = exam(given.name, given.seed)
    print("\n".join(table(rows)))
    failed = sum(bool(row.failures) for row in rows)
    print(f"\n{given.name}: {len(rows) - failed} of {len(rows)} rows hold")


if __name__ == "__main__":
    main()
