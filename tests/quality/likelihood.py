"""Measure models that score exactly by the likelihood of their data's test images, for their cards.

    GENZOO_DATA=FOLDER python tests/quality/likelihood.py pixelcnn-mnist [--write]

Nats an image, less is better; the interval is of the mean over images (bootstrap).
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import genzoo
from genzoo import cards, data, devices, store
from genzoo.metrics.scores import interval

BATCH = 250


def score(name: str | Path) -> dict[str, Any]:
    model: Any = genzoo.load(name, device="cpu")
    if not isinstance(model, genzoo.Density) or model.kind != "exact":
        raise SystemExit(f"{name} does not score exactly")
    which = store.read_manifest(cards.find(name)).data
    test = data.open(which, "test")
    spent = []
    for start in range(0, len(test), BATCH):
        rows = range(start, min(start + BATCH, len(test)))
        told = test.labels_of(rows, "cpu") if model.num_classes else None
        x = test.batch(rows)
        spent.append(-model.log_prob(x if model.levels != 2 else x.round(), told).numpy())
    nats = np.concatenate(spent).astype(np.float64)
    low, high = interval(nats)
    return {
        "name": f"nats of {which}",
        "value": round(nats.mean(), 2),
        "interval": [round(low, 2), round(high, 2)],
        "goal": "lower",
        "protocol": {
            "images": f"{len(test):,} of the test split",
            "likelihood": "exact",
            "levels": model.levels,
            "told the class": bool(model.num_classes),
            "machine": devices.machine(torch.device("cpu")),
        },
    }


def main(names: list[str | Path], write: bool) -> None:
    for name in names:
        found = score(name)
        print(f"{name}: {found['name']} {found['value']} {found['interval']}", flush=True)
        if write:
            cards.add_scores(cards.find(name), [found])


if __name__ == "__main__":
    chosen = [a for a in sys.argv[1:] if not a.startswith("-")]
    main([Path(a) if Path(a).is_dir() else a for a in chosen], "--write" in sys.argv)
