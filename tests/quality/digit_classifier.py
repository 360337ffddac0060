"""Train a small digit classifier on MNIST, and say how sure it is of a model's samples.

    GENZOO_DATA=FOLDER python tests/quality/digit_classifier.py dcgan-mnist vae-mnist [--write]

The network: four 3x3 convolutions with batch norm and SiLU, a hidden layer, ten logits; AdamW for
ten epochs with small shifts and turns. It must reach 99 % on the test split, or it stops here.
``--write`` puts the scores into the models' cards.
"""

import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import genzoo
from genzoo import cards, data
from genzoo.devices import machine

EPOCHS, BATCH, SURE, SAMPLES = 10, 128, 0.9, 1000


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((1, 24, 1), (24, 24, 2), (24, 48, 1), (48, 48, 2)):
            conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            layers += [conv, nn.BatchNorm2d(outputs), nn.SiLU()]
        head = [nn.Flatten(), nn.Linear(48 * 7 * 7, 128), nn.SiLU(), nn.Linear(128, 10)]
        self.layers = nn.Sequential(*layers, *head)

    def forward(self, x: Tensor) -> Tensor:  # (n, 1, 28, 28) in [0, 1] -> (n, 10) logits
        return self.layers(x)


def moved(x: Tensor, source: torch.Generator) -> Tensor:
    """Each image turned by up to 8 degrees and shifted by up to 2 pixels."""
    angle, down, right = (torch.rand(3, len(x), generator=source) * 2 - 1).unbind()
    angle = angle * math.radians(8)
    rows = [angle.cos(), -angle.sin(), right / 7, angle.sin(), angle.cos(), down / 7]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def train(name: str = "mnist", seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    source = torch.Generator().manual_seed(seed)
    train_set, network = data.open(name), Classifier()
    steps = EPOCHS * (len(train_set) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(train_set), generator=source)[: len(train_set) // BATCH * BATCH]
        for rows in order.view(-1, BATCH):
            x, labels = train_set.batch(rows.numpy()), train_set.labels_of(rows.numpy(), "cpu")
            loss = F.cross_entropy(network(moved(x, source)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def probabilities(network: Classifier, x: Tensor) -> Tensor:  # -> (n, 10)
    return torch.cat([network(part).softmax(1) for part in x.split(500)])


def main(names: list[str], write: bool) -> None:
    network, test = train(), data.open("mnist", "test")
    everything = range(len(test))
    certain = probabilities(network, test.batch(everything))
    accuracy = (certain.argmax(1) == test.labels_of(everything, "cpu")).float().mean().item()
    real = (certain.amax(1) >= SURE).float().mean().item()
    print(f"classifier: {accuracy:.2%} on the test split, sure of {real:.1%} of it")
    if accuracy < 0.99:
        raise SystemExit("the classifier is too weak to judge by")
    for name in names:
        report(network, name, accuracy, real, write)


def report(network: Classifier, name: str, accuracy: float, real: float, write: bool) -> None:
    images = genzoo.load(name, device="cpu").sample(SAMPLES, seed=0)
    top, classes = probabilities(network, images.tensor).max(1)
    sure = (top >= SURE).float().mean().item()
    shares = [f"{s:.1%}" for s in torch.bincount(classes, minlength=10) / len(classes)]
    print(f"{name}: sure of {sure:.1%}; classes {' '.join(shares)}")
    protocol = {
        "samples": SAMPLES,
        "seed": 0,
        "classifier": "tests/quality/digit_classifier.py, seed 0",
        "its test accuracy": round(accuracy, 4),
        "the same of real test digits": round(real, 4),
        "smallest and largest class": f"{min(shares, key=_number)} and {max(shares, key=_number)}",
        "machine": machine(torch.device("cpu")),
    }
    score = {"name": f"digits sure at {SURE}", "value": round(100 * sure, 1), "unit": " %"}
    if write:
        cards.add_scores(cards.find(name), [{**score, "protocol": protocol}])


def _number(text: str) -> float:
    return float(text.rstrip("%"))


if __name__ == "__main__":
    chosen = [a for a in sys.argv[1:] if not a.startswith("-")]
    main([Path(a) if Path(a).is_dir() else a for a in chosen], "--write" in sys.argv)
