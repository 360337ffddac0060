"""Train the network that knows where the parts of a face are, and which eyes belong together.

It is part of the features of ``fd-celeba`` and others: see `damage_network.py`, which writes the
file. Places are learned as follows: what is seen through a window that is not where it should be
tells how far it was moved. No picture is warped, so a moved mouth is never seen. Eyes are learned
from faces in which one is another's.
"""

import time

import damage
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genzoo.data import DataSet
from genzoo.features.networks import PartsNetwork

SIDES, WIDTHS = (20, 28), (16, 32, 48)
REACH = 14  # pixels that a window is moved at most
STEPS, BATCH, RATE, CHUNK = 4000, 96, 3e-3, 8


def centres(size: int) -> list[tuple[int, int]]:
    """Of the windows, down and right, in pixels: left eye, right eye, nose, mouth."""
    parts = (damage.LEFT_EYE, damage.RIGHT_EYE, damage.NOSE, damage.MOUTH)
    return [(round(down * size), round(right * size)) for right, down in parts]


def network_of(channels: int, size: int) -> PartsNetwork:
    return PartsNetwork(channels, centres(size), SIDES, WIDTHS)


def moves(n: int, network: PartsNetwork, size: int) -> Tensor:
    """(n, 4, 2): moves of the windows, down and right, which stay in the picture."""
    corners = torch.tensor(network.centres) - SIDES[0] // 2
    least, most = (-corners).clamp(min=-REACH), (size - SIDES[0] - corners).clamp(max=REACH)
    return (torch.rand(n, *corners.shape) * (most - least + 1)).long() + least


def eye(x: Tensor, other: Tensor, u: float) -> Tensor:
    """One eye of another face, a little beside its place. ``u``: how strong, from 0 to 1."""
    opacity, radius = min(1.0, 0.3 * (1.3 / 0.3) ** u), np.random.uniform(0.08, 0.14 + 0.12 * u)
    shift = np.random.uniform(-0.02, 0.02, 2)
    masks = []
    for _ in range(len(x)):
        part = [damage.LEFT_EYE, damage.RIGHT_EYE][np.random.randint(2)]
        centre = (part[0] + shift[0], part[1] + shift[1])
        masks.append(damage.ellipse(x, centre, (radius, radius * np.random.uniform(0.6, 1))))
    return x + opacity * torch.stack(masks)[:, None] * (other - x)


def exchanged(x: Tensor) -> tuple[Tensor, Tensor]:
    """Faces, the latter half with one eye of another's, and which have: (n, 1)."""
    x, other, wrong = x.clone(), x[torch.randperm(len(x))], torch.zeros(len(x), 1)
    for start in range(len(x) // 2, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        x[part] = eye(x[part], other[part], np.random.rand())
        wrong[part] = 1
    return x.clamp(0, 1), wrong


def loss_of(network: PartsNetwork, x: Tensor) -> Tensor:
    """Of faces (n, 3, S, S): minus the Laplace log-likelihood of places, and the eyes' entropy."""
    moved = moves(len(x), network, x.shape[-1])
    wanted = -moved.float()
    wanted[:, 1, 1] *= -1  # the right eye's window is mirrored
    mixed, wrong = exchanged(x)
    jitter = torch.randint(-1, 2, (len(x), 1, 2)).expand(-1, 2, -1)
    with torch.autocast("cpu", torch.bfloat16):
        found, pair = network.places(x, moved), network.pair(mixed, jitter)
    places, log_error = found.float().split([2, 1], -1)
    log_error = log_error.clamp(-4, 4)
    unlikely = (places - wanted).abs().sum(-1, True) * (-log_error).exp() + 2 * log_error
    return unlikely.mean() + F.binary_cross_entropy_with_logits(pair.float(), wrong)


def train(dataset: DataSet, rows: np.ndarray, steps: int = STEPS, seed: int = 0) -> PartsNetwork:
    """Train on the images ``rows`` of CelebA."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    channels, size, _ = dataset.shape
    network = network_of(channels, size)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    began = time.process_time()
    for step in range(1, steps + 1):
        x = dataset.batch(np.random.choice(rows, BATCH, replace=False))
        x = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, x.flip(3), x)
        light = torch.exp(torch.empty(BATCH, 1, 1, 1).uniform_(-0.2, 0.2))
        loss = loss_of(network, x.clamp(1e-3) ** light)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            minutes = (time.process_time() - began) / 60
            print(f"step {step} of {steps}: loss {loss:.3f}, {minutes:.1f} min", flush=True)
    return network.eval()
