"""Whether a conditional model draws the class that it was asked for, and how varied a class is.

    GENZOO_DATA=FOLDER python tests/quality/labels.py cgan-mnist [--write]

*Label accuracy*: how often a classifier of the model's data (digit_classifier.py; its test accuracy
is in the protocol) finds the class that was asked for. *Variety*: the mean distance of two samples
of a class in the classifier's last hidden layer, as a share of that of two test images. A model of
one picture a class has the first at 100 % and the second at 0.
"""

import sys
from pathlib import Path
from typing import Any

import digit_classifier
import torch
from torch import Tensor

import genzoo
from genzoo import cards, data, devices, store

SAMPLES = 2000


@torch.no_grad()
def seen(network: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The last hidden layer (n, 128), and the class found (n,)."""
    hidden = torch.cat([network.layers[:-1](part) for part in x.split(500)])
    return hidden, network.layers[-1](hidden).argmax(1)


def variety(hidden: Tensor, labels: Tensor) -> float:
    """The mean distance of two of a class, over classes."""
    kinds = [hidden[labels == k] for k in labels.unique()]
    return sum(torch.pdist(kind).mean().item() for kind in kinds) / len(kinds)


def scores(network: Any, name: str | Path) -> list[dict[str, Any]]:
    model: Any = genzoo.load(name, device="cpu")
    which = store.read_manifest(cards.find(name)).data
    test = data.open(which, "test")
    everything = range(len(test))
    real, found = seen(network, test.batch(everything))
    labels = test.labels_of(everything, "cpu")
    accuracy = (found == labels).float().mean().item()
    asked = torch.arange(SAMPLES) % model.num_classes
    hidden, told = seen(network, model.sample(SAMPLES, labels=asked, seed=0).tensor)
    protocol = {
        "samples": SAMPLES,
        "seed": 0,
        "classifier": f"tests/quality/digit_classifier.py on {which}, seed 0",
        "its test accuracy": round(accuracy, 4),
        "machine": devices.machine(torch.device("cpu")),
    }
    right = 100 * (told == asked).float().mean().item()
    share = variety(hidden, asked) / variety(real, labels)
    return [
        {"name": "label accuracy", "value": round(right, 1), "unit": " %", "protocol": protocol},
        {"name": "variety within a class", "value": round(share, 3), "protocol": protocol},
    ]


def main(names: list[str | Path], write: bool) -> None:
    networks: dict[str, Any] = {}
    for name in names:
        which = store.read_manifest(cards.find(name)).data
        networks[which] = networks.get(which) or digit_classifier.train(which)
        found = scores(networks[which], name)
        print(f"{name}: " + ", ".join(f"{s['name']} {s['value']}" for s in found), flush=True)
        if write:
            cards.add_scores(cards.find(name), found)


if __name__ == "__main__":
    chosen = [a for a in sys.argv[1:] if not a.startswith("-")]
    main([Path(a) if Path(a).is_dir() else a for a in chosen], "--write" in sys.argv)
