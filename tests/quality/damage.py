"""Ways to damage real images, each at five strengths: what a judge of samples must notice.

Strength 3 is where a person calls the picture broken. It was fixed by eye, on training images,
before any network was trained on damage. `HELD_BACK` is never used in training: see `exam.py`.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Where the aligned faces of CelebA have their parts: shares of the width and the height.
LEFT_EYE, RIGHT_EYE, NOSE, MOUTH = (0.369, 0.514), (0.628, 0.514), (0.494, 0.675), (0.5, 0.79)


def places(x: Tensor) -> tuple[Tensor, Tensor]:
    """The centres of the pixels of ``(n, C, H, W)``, in shares: down ``(H, 1)``, right ``(W,)``."""
    height, width = x.shape[2:]
    return ((torch.arange(height) + 0.5) / height)[:, None], (torch.arange(width) + 0.5) / width


def ellipse(x: Tensor, centre: tuple[float, float], radii: tuple[float, float]) -> Tensor:
    """``(H, W)``: 1 within the ellipse, 0 beyond 1.25 of it, linear between."""
    down, right = places(x)
    far = ((right - centre[0]) / radii[0]) ** 2 + ((down - centre[1]) / radii[1]) ** 2
    return ((1.25 - far.sqrt()) / 0.25).clamp(0, 1)


def warped(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each pixel taken from the place ``down``, ``right`` (n, H, W), in shares."""
    grid = torch.stack([right * 2 - 1, down * 2 - 1], -1)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def eye(x: Tensor, other: Tensor, level: tuple[float, float], source: torch.Generator) -> Tensor:
    """One eye, the left or the right one, from another face. ``level``: opacity, radius."""
    opacity, radius = level
    left, right = (ellipse(x, c, (radius, 0.8 * radius)) for c in (LEFT_EYE, RIGHT_EYE))
    side = torch.rand(len(x), 1, 1, 1, generator=source) < 0.5
    share = opacity * torch.where(side, left, right)
    return x + share * (other - x)


def mouth(x: Tensor, _: Tensor, level: float, source: torch.Generator) -> Tensor:
    """The mouth pulled to any side by ``level`` of the width, with the skin around it."""
    down, right = places(x)
    angle = 2 * math.pi * torch.rand(len(x), 1, 1, generator=source)
    far = ((right - MOUTH[0]) / 0.16) ** 2 + ((down - MOUTH[1]) / 0.12) ** 2
    pull = level * torch.exp(-(far**2))
    return warped(x, down - pull * angle.sin(), right - pull * angle.cos())


def halves(x: Tensor, other: Tensor, level: float, _: torch.Generator) -> Tensor:
    """The right half from another picture. ``level``: opacity."""
    _, right = places(x)
    return x + level * (right > 0.5) * (other - x)


def swirl(x: Tensor, _: Tensor, level: float, source: torch.Generator) -> Tensor:
    """The middle of the picture turned by ``level`` degrees to either side, less outwards."""
    down, right = (v - 0.5 - shift for v, shift in zip(places(x), (0.12, 0.0), strict=True))
    side = torch.randint(0, 2, (len(x), 1, 1), generator=source) * 2 - 1
    far = (down**2 + right**2).sqrt() / 0.36
    angle = side * math.radians(level) * (1 - far).clamp(min=0).sqrt()
    turned_down = down * angle.cos() + right * angle.sin()
    turned_right = right * angle.cos() - down * angle.sin()
    return warped(x, turned_down + 0.62, turned_right + 0.5)


def checkerboard(period: int) -> Callable[..., Tensor]:
    """Squares of half the ``period``, lighter and darker by ``level``."""

    def damage(x: Tensor, _: Tensor, level: float, source: torch.Generator) -> Tensor:
        rows, columns = ((torch.arange(s) // (period // 2)) % 2 for s in x.shape[2:])
        squares = (rows[:, None] + columns) % 2 * 2.0 - 1
        side = torch.randint(0, 2, (len(x), 1, 1, 1), generator=source) * 2 - 1
        return x + level * side * squares

    return damage


def shuffle(x: Tensor, _: Tensor, level: int, source: torch.Generator) -> Tensor:
    """``level`` of the 16 squares of a 4 x 4 grid change places."""
    size = x.shape[-1] // 4
    squares = x.unfold(2, size, size).unfold(3, size, size).flatten(2, 3).clone()
    for picture in squares:
        chosen = torch.randperm(16, generator=source)[:level]
        picture[:, chosen] = picture[:, chosen.roll(1)]
    rows = squares.unflatten(2, (4, 4)).permute(0, 1, 2, 4, 3, 5)
    return rows.reshape(x.shape)


def blur(x: Tensor, _: Tensor, level: float, __: torch.Generator) -> Tensor:
    """A Gaussian blur. ``level``: its standard deviation in pixels of faces, 0.7 of it in CIFAR-10.

    In 64ths of the width, the least would change no pixel of CIFAR-10.
    """
    sigma = level * (x.shape[-1] / 64) ** 0.5
    kernel = torch.exp(-(torch.arange(-8.0, 9) ** 2) / (2 * sigma**2))
    kernel = kernel.div(kernel.sum()).expand(x.shape[1], 1, 1, 17)
    padded = F.pad(x, (8, 8, 8, 8), mode="reflect")
    rows = F.conv2d(padded, kernel, groups=x.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=x.shape[1])


def noise(x: Tensor, _: Tensor, level: float, source: torch.Generator) -> Tensor:
    """Gaussian noise. ``level``: its standard deviation."""
    return x + level * torch.randn(x.shape, generator=source)


def colours(x: Tensor, _: Tensor, level: float, source: torch.Generator) -> Tensor:
    """The hue turned by ``level`` degrees to either side; the brightness stays."""
    side = torch.randint(0, 2, (len(x),), generator=source) * 2 - 1
    angle = side * math.radians(level)
    # Around the grey axis: https://www.w3.org/TR/filter-effects-1/#funchuerotateEquivalent
    grey = torch.tensor([0.213, 0.715, 0.072]).expand(3, 3)
    turn = torch.tensor([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])
    matrix = grey + (torch.eye(3) - grey) * angle.cos()[:, None, None]
    matrix = matrix + turn * angle.sin()[:, None, None]
    return torch.einsum("nij,njhw->nihw", matrix, x)


Damage = Callable[[Tensor, Tensor, Any, torch.Generator], Tensor]
# Each damage with its five levels.
DAMAGES: dict[str, tuple[Damage, tuple[Any, ...]]] = {
    "eye of another": (eye, ((0.4, 0.1), (0.7, 0.11), (1.0, 0.125), (1.0, 0.16), (1.0, 0.2))),
    "mouth moved": (mouth, (0.03, 0.06, 0.1, 0.15, 0.2)),
    "two halves": (halves, (0.15, 0.3, 0.5, 0.75, 1.0)),
    "swirl": (swirl, (15, 30, 60, 90, 140)),
    "checkerboard of 2": (checkerboard(2), (0.02, 0.04, 0.08, 0.13, 0.2)),
    "checkerboard of 4": (checkerboard(4), (0.02, 0.04, 0.08, 0.13, 0.2)),
    "patches shuffled": (shuffle, (2, 3, 5, 9, 16)),
    "blur": (blur, (0.5, 0.9, 1.5, 2.2, 3.2)),
    "noise": (noise, (0.03, 0.06, 0.1, 0.16, 0.25)),
    "wrong colours": (colours, (20, 40, 70, 110, 180)),
}
FACES_ONLY = ("eye of another", "mouth moved")
HELD_BACK = ("mouth moved", "two halves", "swirl", "checkerboard of 4")


def damages_of(data: str) -> list[str]:
    """The damages that make sense for the images of ``data``."""
    return [name for name in DAMAGES if data == "celeba" or name not in FACES_ONLY]


def damaged(x: Tensor, name: str, strength: int, seed: int = 0) -> Tensor:
    """Images ``(n, 3, S, S)`` in [0, 1], n at least 2, damaged at a ``strength`` from 1 to 5.

    The same seed damages the same picture in the same place at every strength. Where another
    picture is needed, it is the one before.
    """
    damage, levels = DAMAGES[name]
    source = torch.Generator().manual_seed(seed)
    return damage(x, x.roll(1, 0), levels[strength - 1], source).clamp(0, 1)
