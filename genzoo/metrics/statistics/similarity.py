"""The similarity of two images inside a mask: PSNR and SSIM."""

import torch
import torch.nn.functional as F
from torch import Tensor

from genzoo.errors import BadInput

WINDOW, SIGMA = 11, 1.5
# Wang et al. 2004, section III.B: (0.01 L)^2 and (0.03 L)^2 for values of range L = 1.
C1, C2 = 0.01**2, 0.03**2
# The mean squared error of rounding to 256 levels: smaller ones mean nothing.
SMALLEST_MSE = 1 / (12 * 255**2)


def psnr(x: Tensor, y: Tensor, where: Tensor | None = None) -> Tensor:
    """The peak signal-to-noise ratio in decibels, ``(n,)``, of ``x`` and ``y``, ``(n, C, H, W)`` in
    [0, 1]: -10 log10 of the mean squared error where the mask ``where`` (bool, same shape) is true.

    At most 58.9, the ratio of an image to its rounding. Raises BadInput.
    """
    where = _checked_mask(x, y, where)
    squares = (x.double() - y.double()).square()
    return -10 * _mean(squares, where).clamp_min(SMALLEST_MSE).log10()


def ssim(x: Tensor, y: Tensor, where: Tensor | None = None) -> Tensor:
    """The mean structural similarity, ``(n,)``, of ``x`` and ``y``, ``(n, C, H, W)`` in [0, 1].

    Wang et al. 2004, equation 13, in a Gaussian window of 11x11, deviation 1.5, for each channel;
    the mean over windows centred where the mask ``where`` (bool, same shape) is true. Windows are
    cropped at the edge of the image. Equal images get 1. Raises BadInput.
    """
    where = _checked_mask(x, y, where)
    x, y = x.double(), y.double()
    mean_x, mean_y = _blurred(x), _blurred(y)
    spread_x, spread_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    common = _blurred(x * y) - mean_x * mean_y
    means = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return _mean(means * (2 * common + C2) / (spread_x + spread_y + C2), where)


def _checked_mask(x: Tensor, y: Tensor, where: Tensor | None) -> Tensor:
    where = torch.ones_like(x, dtype=torch.bool) if where is None else where
    if x.ndim != 4 or not x.shape == y.shape == where.shape:
        got = ", ".join(str(tuple(v.shape)) for v in (x, y, where))
        raise BadInput(f"expected two batches and a mask of one shape (n, C, H, W), got {got}")
    if not where.flatten(1).any(1).all():
        raise BadInput("the mask of an image is empty")
    return where


def _mean(values: Tensor, where: Tensor) -> Tensor:  # (n, C, H, W) twice -> (n,)
    return values.where(where, 0.0).flatten(1).sum(1) / where.flatten(1).sum(1)


def _blurred(x: Tensor) -> Tensor:  # -> the same shape
    line = torch.arange(WINDOW, device=x.device, dtype=x.dtype) - WINDOW // 2
    line = (-line.square() / (2 * SIGMA**2)).exp()
    return _along(line, x) / _along(line, torch.ones_like(x[:1, :1]))


def _along(line: Tensor, x: Tensor) -> Tensor:
    flat, half = x.flatten(0, 1)[:, None], WINDOW // 2
    flat = F.conv2d(flat, line.view(1, 1, -1, 1), padding=(half, 0))
    return F.conv2d(flat, line.view(1, 1, 1, -1), padding=(0, half))[:, 0].view_as(x)
