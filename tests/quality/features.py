"""Train the classifier whose features ``fd-mnist`` or ``fd-celeba`` compares; see the real images.

    GENZOO_DATA=FOLDER python tests/quality/features.py mnist [--threads 1]

Writes ``features/DATA.safetensors`` beside genzoo's models: the network in 16 bits, the moments of
all training images in its features, those features of some images of each split, and how good it
is.
"""

import argparse
import functools
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from genzoo import data
from genzoo.features import classifiers
from genzoo.metrics.statistics.sharpness import sharpness
from genzoo.zoo import installed

ROOT = Path(__file__).parents[2]

# What each data set gets: the network's widths, the passes over the data.
PLANS = {
    "mnist": ((24, 48, 64), 6),
    "fashion-mnist": ((24, 48, 64), 12),
    "cifar10": ((32, 64, 112), 40),
    "celeba": ((24, 48, 64, 96), 24),
}
SYMMETRIC = ("fashion-mnist", "cifar10", "celeba")  # whose mirror images are as good
UPRIGHT = ("cifar10",)  # whose detail a turn, or half a pixel, would blur
KEPT = 2000  # features of images of each split
BATCH, RATE = 128, 3e-3


def moved(x: Tensor, source: torch.Generator, name: str) -> Tensor:
    """Each image turned by up to 8 degrees, shifted by up to a fourteenth, mirrored or not."""
    angle, down, right = (torch.rand(3, len(x), generator=source) * 2 - 1).unbind()
    angle, side = angle * math.radians(8), torch.ones(len(x))
    if name in UPRIGHT:
        half = x.shape[-1] / 2  # pixels
        angle, down, right = angle * 0, *((v * 4).round() * 7 / half for v in (down, right))
    if name in SYMMETRIC:
        side = torch.randint(0, 2, (len(x),), generator=source) * 2.0 - 1
    rows = [side * angle.cos(), -angle.sin(), right / 7, side * angle.sin(), angle.cos(), down / 7]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def targets(name: str, split: str, dataset: data.DataSet) -> Tensor:
    """Class numbers ``(n,)``, or for faces the 40 attributes ``(n, 40)`` as 0 and 1."""
    if name == "celeba":
        return torch.from_numpy(data.attributes("celeba", split)[1]).float()
    labels = dataset.labels_of(range(len(dataset)))
    assert labels is not None
    return labels


def train(name: str, seed: int = 0) -> classifiers.ClassifierNetwork:
    torch.manual_seed(seed)
    source, dataset = torch.Generator().manual_seed(seed), data.open(name)
    wanted, (widths, passes) = targets(name, "train", dataset), PLANS[name]
    channels, size, _ = dataset.shape
    outputs = wanted.shape[1] if wanted.ndim == 2 else len(dataset.classes)
    network = classifiers.ClassifierNetwork(channels, size, widths, outputs)
    network.to(memory_format=torch.channels_last)
    batches = len(dataset) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=passes * batches)
    # Smoothed, as certainty beyond need makes a few features huge, and a distance a matter of them.
    crossed = functools.partial(F.cross_entropy, label_smoothing=0.1)
    loss_of = F.binary_cross_entropy_with_logits if wanted.ndim == 2 else crossed
    for number in range(passes):
        order = torch.randperm(len(dataset), generator=source)[: batches * BATCH]
        total = 0.0
        for rows in order.view(-1, BATCH):
            x = moved(dataset.batch(rows.numpy()), source, name)
            loss = loss_of(network(x.contiguous(memory_format=torch.channels_last)), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"pass {number + 1} of {passes}: loss {total / batches:.4f}", flush=True)
    return network.eval()


def rounded(network: classifiers.ClassifierNetwork) -> dict[str, Tensor]:
    """Its state in 16 bits, which the network then has too: what is measured is what is kept."""
    state = {k: v.detach().clone().contiguous() for k, v in network.state_dict().items()}
    kept = {k: v.half() if k in dict(network.named_parameters()) else v for k, v in state.items()}
    network.load_state_dict({k: v.float() if v.dtype == torch.half else v for k, v in kept.items()})
    return kept


@torch.no_grad()
def seen(
    network: classifiers.ClassifierNetwork, dataset: data.DataSet
) -> tuple[Tensor, Tensor, float]:
    """Features (n, 128), logits (n, outputs) and mean sharpness of a whole split."""
    parts, sharp = [], []
    for start in range(0, len(dataset), 500):
        x = dataset.batch(range(start, min(start + 500, len(dataset))))
        parts.append(network.layers(x * 2 - 1))
        sharp.append(sharpness(x))
    found = torch.cat(parts)
    return found, network.head(found), torch.cat(sharp).mean().item()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=PLANS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    network = train(given.name)
    kept = rounded(network)
    splits = {split: data.open(given.name, split) for split in ("train", "test")}
    real, _, sharp = seen(network, splits["train"])
    test, logits, test_sharp = seen(network, splits["test"])
    wanted = targets(given.name, "test", splits["test"])
    guess = (logits > 0).float() if wanted.ndim == 2 else logits.argmax(1)
    accuracy = (guess == wanted).float().mean().item()
    widths, passes = PLANS[given.name]
    x = real.double().numpy()
    facts = {
        "network": dict(zip(("channels", "size"), splits["train"].shape, strict=False))
        | {"widths": widths, "outputs": logits.shape[1]},
        "exclusive": wanted.ndim == 1,  # classes, of which an image has one; or attributes
        "accuracy": round(accuracy, 4),
        "passes": passes,
        "train": len(x),
        "test": len(test),
        "sharpness": {"train": sharp, "test": test_sharp},
        "data_sha256": {k: v.sha256 for k, v in splits.items()},
        "terms": splits["train"].terms,
    }
    tensors = {f"network.{k}": v for k, v in kept.items()}
    tensors["mean"] = torch.from_numpy(x.mean(0))
    tensors["covariance"] = torch.from_numpy(np.cov(x.T))
    for split, found in (("train", real), ("test", test)):
        chosen = np.random.RandomState(0).permutation(len(found))[:KEPT]
        tensors[split] = found[chosen].half()
    package = "genzoo-models-celeba" if given.name == "celeba" else "genzoo-models"
    path = ROOT / installed.OWN[package] / "features" / f"{given.name}.safetensors"
    save_file(tensors, path, {"facts": json.dumps(facts)})
    print(f"{path}: accuracy {accuracy:.4f} on {len(test)} test images")


if __name__ == "__main__":
    main()
