"""Train the network that notices damage, whose outputs are features of ``fd-celeba`` and others.

    GENZOO_DATA=FOLDER python tests/quality/damage_network.py celeba [--threads 1] [--keep FILE]

It reads the classifier that `features.py` wrote to ``features/DATA.safetensors``, and writes the
file anew with all networks. A picture's features are the classifier's and the estimated damage:
how strong each kind is, and where it is; of a face also where its parts are, and whether its eyes
belong together (`parts_network.py`). The kinds are those below, and never those of
`damage.HELD_BACK`: swirls, two halves, moved mouths and the checkerboard of period 4 are the exam.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
import damage
import parts_network
from damage import places, warped

from genzoo import data
from genzoo.features import classifiers
from genzoo.features.networks import CELLS, CONTENT, ClassifierNetwork, DamageNetwork, PartsNetwork


class Plan(NamedTuple):
    """The network's widths, its hidden layer, the passes over the data."""

    widths: tuple[int, ...]
    hidden: int
    passes: int


PLANS = {"celeba": Plan((16, 28, 40, 48), 48, 66), "cifar10": Plan((32, 64, 80), 96, 24)}
BATCH, RATE, CHUNK = 160, 3e-3, 8
KEPT = {"train": 2000, "test": 1000}  # features of images of each split
# The deviations of the estimated kinds, cells, parts and eyes among whole images, beside that of
# the content. The cells are alike where all is damaged. Chosen on the damage of training.
WEIGHTS = {"kinds": 0.5, "cells": 0.05, "parts": 0.5, "eyes": 1.0}
TUNING = 1000  # training images that it does not see: they choose the features' scales

Result = tuple[Tensor, Tensor]  # pictures (n, 3, S, S), and where they changed: (n, 1, S, S)


def uniform(n: int, low: float, high: float) -> Tensor:
    return torch.empty(n, 1, 1, 1).uniform_(low, high)


def between(u: float, low: float, high: float) -> float:
    """From ``low`` to ``high`` for u from 0 to 1, in equal ratios."""
    return low * (high / low) ** u


def everywhere(x: Tensor) -> Tensor:
    return torch.ones(len(x), 1, *x.shape[2:])


def box(x: Tensor, size: Callable[[], float], round_: bool) -> Tensor:
    """A rectangle or an ellipse in each picture, nowhere over its half: ``(n, 1, S, S)``."""
    down, right = places(x)
    masks = []
    for _ in range(len(x)):
        height, width = size() / 2, size() / 2
        centre = np.random.uniform(0.1, 0.9, 2)
        near_down, near_right = (down - centre[0]).abs() / height, (right - centre[1]).abs() / width
        if round_:
            masks.append((near_down**2 + near_right**2 <= 1).float())
        else:
            masks.append(((near_down <= 1) & (near_right <= 1)).float())
    return torch.stack(masks)[:, None]


def blobs(x: Tensor, share: float) -> Tensor:
    """Spots of any form, over about ``share`` of each picture."""
    side = int(np.random.choice([5, 7, 9]))
    field = torch.randn(len(x), 1, side, side)
    field = F.interpolate(field, x.shape[2:], mode="bicubic")
    height = field.flatten(1).quantile(1 - share, dim=1)[:, None, None, None]
    softness = np.random.choice([0.02, 0.3])
    return ((field - height) / softness).clamp(0, 1)


def patches(x: Tensor, _: Tensor, u: float) -> Result:
    """Squares of a grid change places, or one is copied to another place."""
    grid = int(np.random.choice([4, 4, 8]))
    size, count = x.shape[-1] // grid, max(2, round(between(u, 2, grid**2)))
    out, mask = x.clone(), torch.zeros(len(x), 1, *x.shape[2:])
    for i in range(len(x)):
        chosen = np.random.permutation(grid**2)[:count]
        for target, origin in zip(chosen, np.roll(chosen, 1), strict=True):
            (r, c), (s, d) = (divmod(int(v), grid) for v in (target, origin))
            there = np.s_[:, r * size : (r + 1) * size, c * size : (c + 1) * size]
            here = np.s_[:, s * size : (s + 1) * size, d * size : (d + 1) * size]
            out[i][there], mask[i][there] = x[i][here], 1.0
    return out, mask


def blur(x: Tensor, _: Tensor, u: float) -> Result:
    """Blurred everywhere or in spots, or drawn with fewer pixels."""
    if np.random.rand() < 0.3:
        size = max(4, round(x.shape[-1] / between(u, 1.3, 6)))
        small = F.interpolate(x, size, mode="area")
        mode = ["nearest", "bilinear"][np.random.randint(2)]
        out = F.interpolate(small, x.shape[2:], mode=mode)
    else:
        out = damage.blur(x, x, between(u, 0.4, 4), torch.default_generator)
    mask = everywhere(x) if np.random.rand() < 0.75 else blobs(x, np.random.uniform(0.2, 0.6))
    return x + mask * (out - x), mask


def noise(x: Tensor, _: Tensor, u: float) -> Result:
    """Fine or coarse noise, grey or coloured; or single pixels struck."""
    n, channels, size = len(x), 1 if np.random.rand() < 0.3 else 3, x.shape[-1]
    kind = np.random.rand()
    if kind < 0.15:
        struck = torch.rand(n, 1, size, size) < between(u, 0.003, 0.3)
        return torch.where(struck, torch.rand(n, 3, size, size).round(), x), everywhere(x)
    grain = 1 if kind < 0.6 else int(np.random.choice([2, 3, 5, 8]))
    field = torch.randn(n, channels, -(-size // grain), -(-size // grain))
    mode = "nearest" if np.random.rand() < 0.5 else "bicubic"
    field = F.interpolate(field, scale_factor=grain, mode=mode)[:, :, :size, :size]
    mask = everywhere(x) if np.random.rand() < 0.75 else blobs(x, np.random.uniform(0.2, 0.6))
    return x + between(u, 0.015, 0.35) * mask * field, mask


def colours(x: Tensor, other: Tensor, u: float) -> Result:
    """Hues turned, channels stronger, weaker, bent or mixed; everywhere or in spots."""
    kind, n = np.random.randint(5), len(x)
    if kind in (0, 1):
        out = damage.colours(x, other, between(u, 12, 180), torch.default_generator)
    elif kind == 2:
        out = x * (1 + (torch.rand(n, 3, 1, 1) - 0.5) * 2 * between(u, 0.1, 1))
    elif kind == 3:
        bent = torch.exp((torch.rand(n, 3, 1, 1) - 0.5) * 2 * between(u, 0.15, 1.6))
        out = x.clamp(1e-3) ** bent
    else:
        order = [[1, 0, 2], [2, 1, 0], [0, 2, 1], [1, 2, 0]][np.random.randint(4)]
        out = x + between(u, 0.12, 1) * (x[:, order] - x)
    mask = everywhere(x) if np.random.rand() < 0.7 else blobs(x, np.random.uniform(0.2, 0.6))
    return x + mask * (out - x), mask


def cutout(x: Tensor, _: Tensor, u: float) -> Result:
    """Rectangles and ellipses of one colour."""
    mask = box(
        x, lambda: between(u, 0.1, 0.6) * np.random.uniform(0.7, 1.4), np.random.rand() < 0.5
    )
    colour = torch.rand(len(x), 3, 1, 1)
    if np.random.rand() < 0.4:  # a colour of the picture
        colour = (x * mask).sum((2, 3), True) / mask.sum((2, 3), True).clamp(min=1)
    return x + mask * (colour - x), mask


def lattice(x: Tensor, _: Tensor, u: float) -> Result:
    """The checkerboard of period 2, or stripes of period 2, 3 or 6; in grey or a colour."""
    rows, columns = (torch.arange(s) for s in x.shape[2:])
    if np.random.rand() < 0.5:
        pattern = (rows[:, None] + columns) % 2 * 2.0 - 1
    else:
        period = int(np.random.choice([2, 3, 6]))
        along = (columns % period >= period // 2).float() * 2 - 1
        pattern = along.expand(len(rows), -1)
        pattern = pattern.T if np.random.rand() < 0.5 else pattern
    tint = torch.ones(1, 3, 1, 1) if np.random.rand() < 0.7 else torch.rand(1, 3, 1, 1) * 2 - 1
    side = torch.randint(0, 2, (len(x), 1, 1, 1)) * 2 - 1
    mask = everywhere(x) if np.random.rand() < 0.6 else blobs(x, np.random.uniform(0.2, 0.6))
    return x + between(u, 0.012, 0.25) * side * tint * pattern * mask, mask


def occlusion(x: Tensor, other: Tensor, u: float) -> Result:
    """A thing before the picture: bars, or a piece of another picture from another place."""
    if np.random.rand() < 0.5:
        down, right = places(x)
        angle = uniform(len(x), 0, math.pi)[:, 0]
        far = (
            (down - 0.5) * angle.cos()
            + (right - 0.5) * angle.sin()
            - uniform(len(x), -0.4, 0.4)[:, 0]
        )
        mask = (far.abs() < between(u, 0.015, 0.15)).float()[:, None]
        return x + mask * (torch.rand(len(x), 3, 1, 1) - x), mask
    mask = box(
        x, lambda: between(u, 0.1, 0.6) * np.random.uniform(0.7, 1.4), np.random.rand() < 0.5
    )
    down, right = np.random.randint(8, x.shape[-1] - 8, 2)
    return x + mask * (other.roll((down, right), (2, 3)) - x), mask


def turned(x: Tensor, _: Tensor, u: float) -> Result:
    """Squares turned by 90 or 180 degrees, or mirrored, in their places."""
    least = 8 if x.shape[-1] == 64 else 6
    size = int(between(u, least, x.shape[-1] / 2))
    out, mask = x.clone(), torch.zeros(len(x), 1, *x.shape[2:])
    for i in range(len(x)):
        for _ in range(np.random.randint(1, 4)):
            r, c = np.random.randint(0, x.shape[-1] - size + 1, 2)
            here = np.s_[:, r : r + size, c : c + size]
            kind = np.random.randint(5)
            square = out[i][here].clone()
            out[i][here] = square.flip(1 + kind % 2) if kind > 2 else square.rot90(kind + 1, (1, 2))
            mask[i][here] = 1.0
    return out, mask


def mixed(x: Tensor, other: Tensor, u: float) -> Result:
    """Another picture shines through, or has its place in a rectangle or in spots."""
    kind = np.random.rand()
    if kind < 0.3:
        return x + between(u, 0.08, 0.5) * (other - x), everywhere(x)
    if kind < 0.65:
        round_ = np.random.rand() < 0.5
        mask = box(x, lambda: between(u, 0.15, 0.6) * np.random.uniform(0.7, 1.4), round_)
    else:
        mask = blobs(x, np.random.uniform(0.1, 0.5))
    return x + between(u, 0.2, 1) * mask * (other - x), mask


def bulge(x: Tensor, _: Tensor, u: float) -> Result:
    """A place seen larger or smaller; of faces never the mouth, as moved mouths are the exam."""
    down, right = places(x)
    low, high = (0.2, 0.56) if x.shape[-1] == 64 else (0.25, 0.75)
    centre_down, centre_right = uniform(len(x), low, high)[:, 0], uniform(len(x), 0.25, 0.75)[:, 0]
    far_down, far_right = down - centre_down, right - centre_right
    radius = uniform(len(x), 0.12, 0.2)[:, 0]
    near = torch.exp(-(((far_down**2 + far_right**2) / radius**2) ** 2))
    side = torch.randint(0, 2, (len(x), 1, 1)) * 2 - 1
    factor = 1 + near * ((between(u, 1.12, 2.5) ** side.float()) - 1)
    out = warped(x, centre_down + far_down * factor, centre_right + far_right * factor)
    return out, (near > 0.3).float()[:, None]


def strips(x: Tensor, _: Tensor, u: float) -> Result:
    """Rows or columns moved along themselves, as by a bad cable."""
    turn = np.random.rand() < 0.5
    out = x.transpose(2, 3).clone() if turn else x.clone()
    mask = torch.zeros(len(x), 1, *out.shape[2:])
    size = x.shape[-1]
    for i in range(len(x)):
        for _ in range(np.random.randint(1, 4)):
            height = np.random.randint(2, size // 6)
            start = np.random.randint(0, size - height)
            move = max(1, round(between(u, 0.015, 0.25) * size)) * int(np.random.choice([-1, 1]))
            here = np.s_[:, start : start + height]
            out[i][here] = out[i][here].roll(move, -1)
            mask[i][here] = 1.0
    return (out.transpose(2, 3), mask.transpose(2, 3)) if turn else (out, mask)


KINDS: dict[str, Callable[[Tensor, Tensor, float], Result]] = {
    kind.__name__: kind
    for kind in (
        *(patches, blur, noise, colours, cutout, lattice),
        *(occlusion, turned, mixed, bulge, strips),
    )
}

HARD = ("mixed", "bulge", "strips")  # which it sees twice as often


def shown(x: Tensor) -> Tensor:
    """Pictures mirrored or not, moved by up to a 16th, a little lighter or darker."""
    n, size = len(x), x.shape[-1]
    room = size // 16
    flipped = torch.where(torch.rand(n, 1, 1, 1) < 0.5, x.flip(3), x)
    padded = F.pad(flipped, (room,) * 4, mode="reflect")
    down, right = np.random.randint(0, 2 * room + 1, (2, n))
    moved = [p[:, r : r + size, c : c + size] for p, r, c in zip(padded, down, right, strict=True)]
    light = torch.exp(uniform(n, -0.15, 0.15))
    return torch.stack(moved).clamp(1e-3) ** light


def lesson(x: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures ``(n, 3, S, S)``, two fifths whole, and what the network should say of them.

    A damage of strength u, from 0 to 1, counts as 0.25 + 0.75 u: the slightest is no nothing.
    """
    x, n, kinds = shown(x), len(x), list(KINDS)
    often = np.array([2.0 if kind in HARD else 1.0 for kind in kinds])
    chances = often / often.sum()
    wanted = torch.zeros(n, len(kinds))
    where = torch.zeros(n, 1, *x.shape[2:])
    other = x.roll(1, 0)
    first = 2 * n // 5 // CHUNK * CHUNK
    out = x.clone()
    for start in range(first, n, CHUNK):
        part = slice(start, start + CHUNK)
        for _ in range(1 if np.random.rand() < 0.85 else 2):
            kind, u = int(np.random.choice(len(kinds), p=chances)), np.random.rand()
            out[part], mask = KINDS[kinds[kind]](out[part], other[part], u)
            out[part] = out[part].clamp(0, 1)
            wanted[part, kind] = 0.25 + 0.75 * u
            where[part] = torch.maximum(where[part], mask * (0.25 + 0.75 * u))
    cells = F.adaptive_avg_pool2d(where, CELLS).mul(1.5).clamp(max=1).flatten(1)
    return out.mul(255).round().div(255), torch.cat([wanted, cells], 1)


def loss_of(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared errors; those of the kinds count four times, as some change hardly a cell."""
    errors = (found - wanted).square()
    kinds = found.shape[1] - CELLS**2
    return (4 * errors[:, :kinds].sum() + errors[:, kinds:].sum()) / errors.numel()


def network_of(name: str) -> DamageNetwork:
    channels, size, _ = data.open(name).shape
    return DamageNetwork(channels, size, PLANS[name].widths, len(KINDS), PLANS[name].hidden)


def train(name: str, rows: np.ndarray, passes: int, seed: int = 0) -> DamageNetwork:
    """Train on the images ``rows``."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    dataset, network = data.open(name), network_of(name)
    network.to(memory_format=torch.channels_last)
    batches = len(rows) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=passes * batches)
    began = time.process_time()
    for number in range(passes):
        total = 0.0
        for chosen in np.random.permutation(rows)[: batches * BATCH].reshape(-1, BATCH):
            x, wanted = lesson(dataset.batch(chosen))
            with torch.autocast("cpu", torch.bfloat16):
                found = network(x.contiguous(memory_format=torch.channels_last))
            loss = loss_of(found.float(), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        minutes = (time.process_time() - began) / 60
        print(
            f"pass {number + 1} of {passes}: loss {total / batches:.5f}, {minutes:.1f} min",
            flush=True,
        )
    return network.eval()


def rounded(network: nn.Module) -> dict[str, Tensor]:
    """Its state in 16 bits, which it then has too; what batch norms counted stays in 32 bits."""
    parameters = dict(network.named_parameters())
    state = {k: v.detach().clone().contiguous() for k, v in network.state_dict().items()}
    kept = {k: v.half() if k in parameters else v for k, v in state.items()}
    network.load_state_dict({k: v.float() if v.dtype == torch.half else v for k, v in kept.items()})
    return kept


@torch.no_grad()
def seen_by(
    classifier: ClassifierNetwork, networks: list[nn.Module], dataset: data.DataSet
) -> Result:
    """The hidden layers (n, 128) of all images, and what the networks say of them (n, d)."""
    hidden, harm = [], []
    for chosen in np.array_split(np.arange(len(dataset)), -(-len(dataset) // 250)):
        x = dataset.batch(chosen)
        hidden.append(classifier.layers(x * 2 - 1))
        harm.append(torch.cat([network(x) for network in networks], 1))
    return torch.cat(hidden), torch.cat(harm)


def projection_of(head: Tensor, hidden: Tensor) -> Tensor:
    """(CONTENT, 128): what the classes depend on, then the largest variations of the rest.

    The variance of the projected hidden layer is 1 on average over its dimensions.
    """
    centred = (hidden - hidden.mean(0)).double()
    classes = torch.linalg.svd(head.double(), full_matrices=False)
    own = classes.Vh[1e-4 * classes.S[0] < classes.S]
    rest = centred - centred @ own.T @ own
    more = torch.linalg.svd(rest, full_matrices=False).Vh[: CONTENT - len(own)]
    projection = torch.cat([own, more])
    return (projection / (centred @ projection.T).var(0).mean().sqrt()).float()


def scales_of(harm: Tensor, parts: bool) -> Tensor:
    """What the outputs of the networks for whole images ``(n, d)`` are multiplied with."""
    lengths = {"kinds": len(KINDS), "cells": CELLS**2}
    if parts:
        lengths |= {"parts": PartsNetwork.OUTPUTS - 1, "eyes": 1}
    wanted = torch.cat([torch.full((n,), WEIGHTS[name]) for name, n in lengths.items()])
    return wanted / harm.std(0).clamp(min=0.02)


def write(
    name: str, network: DamageNetwork, parts: PartsNetwork | None, unseen: np.ndarray
) -> Path:
    """Write the classifier's file anew, with the networks and the features of the real images.

    ``unseen``: training images that the networks did not see: they choose the scales.
    """
    path = classifiers.installed.features()[name]
    file = classifiers.ClassifierFile(path)
    tensors = {k: v for k, v in file.tensors.items() if k.startswith("network.")}
    facts = {k: v for k, v in file.facts.items() if k not in ("damage", "parts")}
    classifier = ClassifierNetwork(**file.facts["network"]).eval()
    classifier.load_state_dict(file.state("network."))
    networks: list[nn.Module] = [network]
    tensors |= {f"damage.{k}": v for k, v in rounded(network).items()}
    plan = {"widths": PLANS[name].widths, "hidden": PLANS[name].hidden}
    facts["damage"] = {**plan, "kinds": [*KINDS], "weights": WEIGHTS}
    if parts:
        networks.append(parts)
        tensors |= {f"parts.{k}": v for k, v in rounded(parts).items()}
        sizes = {"sides": parts_network.SIDES, "widths": parts_network.WIDTHS}
        facts["parts"] = {"centres": parts.centres, **sizes}
    seen = {s: seen_by(classifier, networks, data.open(name, s)) for s in ("train", "test")}
    hidden, harm = seen["train"]
    centre, projection = hidden.mean(0), projection_of(classifier.head.weight.detach(), hidden)
    scales = scales_of(harm[unseen], parts is not None)
    tensors |= {"centre": centre, "projection": projection, "scales": scales}
    for split, (own, found) in seen.items():
        features = torch.cat([(own - centre) @ projection.T, found * scales], 1)
        if split == "train":
            wide = features.double().numpy()
            tensors["mean"] = torch.from_numpy(wide.mean(0))
            tensors["covariance"] = torch.from_numpy(np.cov(wide.T))
        chosen = np.random.RandomState(0).permutation(len(features))[: KEPT[split]]
        tensors[split] = features[chosen].half()
    tensors = {k: v.contiguous() for k, v in tensors.items()}
    save_file(tensors, path, {"facts": json.dumps(facts)})
    return path


M = TypeVar("M", bound=nn.Module)


def kept(file: Path | None, blank: M, train: Callable[[], M]) -> M:
    """``blank`` with the weights of ``file``; without it what is trained, and written there."""
    if file and file.is_file():
        blank.load_state_dict(torch.load(file, weights_only=True))
        return blank.eval()
    network = train()
    if file:
        torch.save(network.state_dict(), file)
    return network


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=PLANS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--passes", type=int)
    parser.add_argument("--keep", type=Path, help="a folder: trained networks, written or read")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    name, dataset = given.name, data.open(given.name)
    unseen, rows = np.split(np.random.RandomState(0).permutation(len(dataset)), [TUNING])
    passes = given.passes or PLANS[name].passes
    file = given.keep and given.keep / f"damage-{name}.pt"
    network = kept(file, network_of(name), lambda: train(name, rows, passes))
    parts = None
    if name == "celeba":
        file, blank = given.keep and given.keep / "parts.pt", parts_network.network_of(3, 64)
        parts = kept(file, blank, lambda: parts_network.train(dataset, rows))
    path = write(name, network, parts, unseen)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
