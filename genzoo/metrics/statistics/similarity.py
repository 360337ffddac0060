"""How like an image another is, pixel by pixel and structure by structure, within a part of it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from genzoo.errors import BadInput

WINDOW, SIGMA = 11, 1.5
# Wang et al. 2004, section III.B: (0.01 L)^2 and (0.03 L)^2 where values span L = 1.
C1, C2 = 0.01**2, 0.03**2
# What rounding to 256 levels costs on average: nearer than that nothing can be told.
LEAST = 1 / (12 * 255**2)


def psnr(x: Tensor, y: Tensor, where: Tensor | None = None) -> Tensor:
    """The peak signal-to-noise ratio of ``(n, C, H, W)`` in [0, 1] to ``y``, ``(n,)`` in decibels:
    10 log10 of 1 over the mean squared difference ``where`` (bool, its shape) is true.

    At most 58.9, as two roundings of one image are apart. Raises BadInput.
    """
    where = _within(x, y, where)
    squares = (x.double() - y.double()).square()
    return -10 * _mean(squares, where).clamp_min(LEAST).log10()


def ssim(x: Tensor, y: Tensor, where: Tensor | None = None) -> Tensor:
    """The mean structural similarity of ``(n, C, H, W)`` in [0, 1] to ``y``, ``(n,)``: 1 if equal.

    Wang et al. 2004, equation 13, in a Gaussian window of 11x11, deviation 1.5, each channel by
    itself; the mean over the windows that are centred ``where`` (bool, its shape) is true. A window
    that reaches beyond the image is what is left of it. Raises BadInput.
    """
    where = _within(x, y, where)
    x, y = x.double(), y.double()
    mean_x, mean_y = _blurred(x), _blurred(y)
    spread_x, spread_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    common = _blurred(x * y) - mean_x * mean_y
    means = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return _mean(means * (2 * common + C2) / (spread_x + spread_y + C2), where)


def _within(x: Tensor, y: Tensor, where: Tensor | None) -> Tensor:
    where = torch.ones_like(x, dtype=torch.bool) if where is None else where
    if x.ndim != 4 or not x.shape == y.shape == where.shape:
        got = ", ".join(str(tuple(v.shape)) for v in (x, y, where))
        raise BadInput(f"expected two batches (n, C, H, W) and where to look, alike, got {got}")
    if not where.flatten(1).any(1).all():
        raise BadInput("there is an image of which no value is looked at")
    return where


def _mean(values: Tensor, where: Tensor) -> Tensor:  # (n, C, H, W) twice -> (n,)
    return values.where(where, 0.0).flatten(1).sum(1) / where.flatten(1).sum(1)


def _blurred(x: Tensor) -> Tensor:  # (n, C, H, W) -> as it was
    line = torch.arange(WINDOW, device=x.device, dtype=x.dtype) - WINDOW // 2
    line = (-line.square() / (2 * SIGMA**2)).exp()
    return _along(line, x) / _along(line, torch.ones_like(x[:1, :1]))


def _along(line: Tensor, x: Tensor) -> Tensor:
    flat, half = x.flatten(0, 1)[:, None], WINDOW // 2
    flat = F.conv2d(flat, line.view(1, 1, -1, 1), padding=(half, 0))
    return F.conv2d(flat, line.view(1, 1, 1, -1), padding=(0, half))[:, 0].view_as(x)
