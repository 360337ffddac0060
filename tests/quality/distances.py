"""Measure models by the metrics of the data that they learnt, as compare does, for their cards.

    python tests/quality/distances.py dcgan-mnist vae-mnist [--write]

Needs no data set: what is known of the real images comes with genzoo. ``--write`` puts the numbers
with their protocols into the cards.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import genzoo
from genzoo import cards, comparing, devices, store
from genzoo.metrics import features, standard

SAMPLES, BATCH = 10_000, 250


def scores(name: str | Path) -> list[dict[str, Any]]:
    model: Any = genzoo.load(name, device="cpu")
    manifest = store.read_manifest(cards.find(name))
    wanted = standard.metrics(features.reference(manifest.data))
    kept: dict[Any, list[np.ndarray]] = {metric.measure: [] for metric in wanted}
    labels = comparing.classes_for(model, SAMPLES, 0)
    for samples in model.stream(SAMPLES, labels=labels, seed=0, batch_size=BATCH):
        x = samples.tensor.clamp(0, 1).mul(255).round().div(255)
        for measure, parts in kept.items():
            parts.append(measure(x))
    told = {"seed": 0, "pixels": "8 bits", "machine": devices.machine(torch.device("cpu"))}
    if labels is not None:
        told["classes"] = "at random"
    found = [metric.score(np.concatenate(kept[metric.measure]), **told) for metric in wanted]
    return [_rounded(score.record()) for score in found]


def _rounded(score: dict[str, Any]) -> dict[str, Any]:
    """To four digits: more than its interval tells."""
    short = {k: float(f"{score[k]:.4g}") for k in ("value", "floor") if score[k] is not None}
    low, high = (float(f"{v:.4g}") for v in score["interval"])
    return {**score, **short, "interval": [low, high]}


def main(names: list[str | Path], write: bool) -> None:
    for name in names:
        found = scores(name)
        for score in found:
            low, high = score["interval"]
            print(f"{name}: {score['name']} {score['value']} [{low}, {high}]")
        if write:
            cards.add_scores(cards.find(name), found)


if __name__ == "__main__":
    chosen = [a for a in sys.argv[1:] if not a.startswith("-")]
    main([Path(a) if Path(a).is_dir() else a for a in chosen], "--write" in sys.argv)
