"""Blending: fill in a hole with the gradients of a filling, so that no seam shows at its border.

Yeh et al. 2017 (arXiv:1607.07539), equation 7, after Perez et al. 2003 (Poisson image editing).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

EXACT = 1e-20  # squared, relative: the residual at which a system counts as solved


def blend(photos: Tensor, fillings: Tensor, known: Tensor) -> Tensor:
    """``photos`` where ``known``; elsewhere x with the least |grad x - grad filling|^2.

    All ``(n, C, H, W)``. The difference x - filling is harmonic: each of its unknown values is the
    mean of its neighbours', and the known ones are photo - filling. Each channel is a system of
    its own; a channel of which nothing is known keeps its filling.
    """
    hole = (~known).cpu().double()
    border = (photos - fillings).cpu().double() * (1 - hole)
    change = _harmonic(border.flatten(0, 1), hole.flatten(0, 1)).view(hole.shape)
    return photos.where(known, fillings + change.to(fillings))


def _harmonic(border: Tensor, hole: Tensor) -> Tensor:
    """The harmonic values in the ``hole`` (1 inside, 0 outside), 0 outside: ``(k, H, W)`` each.

    Conjugate gradients, float64. A system that is solved does not change any more, so that the
    result does not depend on the others.
    """
    degree = _sum_of_neighbours(torch.ones_like(hole))
    x, residual = torch.zeros_like(border), _sum_of_neighbours(border) * hole
    step, square = residual, _dot(residual, residual)
    limit, tiny = EXACT * square, torch.finfo(square.dtype).tiny
    for _ in range(hole[0].numel()):
        if (square <= limit).all():
            break
        applied = (degree * step - _sum_of_neighbours(step)) * hole
        length = square / _dot(step, applied).clamp_min(tiny)
        length = length.where(square > limit, 0)
        x, residual = x + length * step, residual - length * applied
        before, square = square, _dot(residual, residual)
        step = residual + square / before.clamp_min(tiny) * step
    return x


def _sum_of_neighbours(x: Tensor) -> Tensor:
    """The sum of the values above, below, left and right; outside of the image there are none."""
    around = F.pad(x, (1, 1, 1, 1))
    return around[:, :-2, 1:-1] + around[:, 2:, 1:-1] + around[:, 1:-1, :-2] + around[:, 1:-1, 2:]


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum((1, 2), keepdim=True)
