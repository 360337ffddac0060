"""Layers with equalised learning rates: those of GANs that grow, and of GANs with styles."""

import math
from typing import final

import torch
from einops import rearrange, reduce
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from genzoo.models import whole_batch
from genzoo.models.networks import pyramid

__all__ = [
    "MinibatchDeviation",
    "PixelNorm",
    "deviation_head",
    "equalised",
    "leaky_conv",
    "leaky_halving",
    "modulated",
    "pixel_norm",
    "resolution_maps",
]


def resolution_maps(shape: tuple[int, ...], width: int, most: int) -> tuple[list[int], int]:
    """Feature maps of each resolution, from the smallest up to the image's, and the smallest side.

    ``width`` of them at the image; they double inwards, up to ``most``. Raises BadInput as
    ``pyramid``.
    """
    doublings, smallest = pyramid(shape, 1)
    return [min(width * 2**i, most) for i in range(len(doublings) + 1)][::-1], smallest


class _Scaled(nn.Module):
    """A weight times a constant."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:  # any shape -> the same
        return weight * self.factor


def equalised(
    layer: nn.Linear | nn.Conv2d, gain: float = math.sqrt(2), rate: float = 1.0
) -> nn.Module:
    """``layer`` with an equalised learning rate (Karras et al. 2018, section 4.1).

    Its weights are stored with a deviation of 1, and multiplied by He's constant whenever they are
    used, so that Adam, whose steps know no scale, changes each layer at the same speed. ``gain``:
    of what follows; 1 where no LeakyReLU does. ``rate``: how fast the layer learns, beside others.
    """
    nn.init.normal_(layer.weight, 0, 1 / rate)
    _scale(layer, "weight", rate * gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
        if rate != 1:
            _scale(layer, "bias", rate)
    return layer


def _scale(layer: nn.Module, name: str, factor: float) -> None:
    # "Unsafe" skips a product as a check: on the meta device that imports torch's compiler.
    register_parametrization(layer, name, _Scaled(factor), unsafe=True)


def pixel_norm(x: Tensor) -> Tensor:  # (n, maps, ...) -> the same
    """Each pixel's vector of maps with a mean square of 1 (Karras et al. 2018, section 4.2)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


@final
class PixelNorm(nn.Module):
    """``pixel_norm`` as a layer."""

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, ...) -> the same
        return pixel_norm(x)


@final
class MinibatchDeviation(nn.Module):
    """A further map: how much the batch varies, the mean deviation of its numbers.

    A discriminator sees by it when all fakes are alike (Karras et al. 2018, section 3).
    """

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> (n, maps + 1, H, W)
        # In float32, as squares lose digits; the root's own gradient is infinite at zero.
        whole = whole_batch.gather(x.float()) if self.training else x.float()
        deviation = (whole.var(0, correction=0) + 1e-8).sqrt().mean().to(x.dtype)
        return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], 1)


def leaky_conv(inputs: int, outputs: int, kernel: int = 3) -> list[nn.Module]:
    """An equalised convolution, which keeps the sides, and a LeakyReLU."""
    return [equalised(nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2)), nn.LeakyReLU(0.2)]


def leaky_halving(inputs: int, outputs: int) -> nn.Sequential:
    """Two equalised convolutions, then half the side (Karras et al. 2018, table 2)."""
    return nn.Sequential(*leaky_conv(inputs, inputs), *leaky_conv(inputs, outputs), nn.AvgPool2d(2))


def deviation_head(maps: int, side: int) -> nn.Sequential:  # (n, maps, side, side) -> (n, 1)
    """A discriminator's last layers, which see how much the batch varies (table 2)."""
    return nn.Sequential(
        *(MinibatchDeviation(), *leaky_conv(maps + 1, maps), nn.Flatten()),
        *(equalised(nn.Linear(maps * side**2, maps)), nn.LeakyReLU(0.2)),
        equalised(nn.Linear(maps, 1), gain=1),
    )


# (n, a, H, W), (n, a) -> (n, b, H, W)
def modulated(conv: nn.Module, x: Tensor, style: Tensor, demodulate: bool = True) -> Tensor:
    """``conv``, without a bias, with its weights multiplied by each sample's ``style``.

    Karras et al. 2020 (arXiv:1912.04958), equations 1 and 3: ``style`` scales the weights of each
    input map, and demodulation gives those of each output map the norm 1 again. Scaling the maps
    before and after computes the same without weights for each sample (section 2.2).
    """
    maps = conv(x * rearrange(style, "n a -> n a 1 1"))
    if not demodulate:
        return maps
    assert isinstance(conv.weight, Tensor)
    squares = style.square() @ reduce(conv.weight.square(), "b a h w -> a b", "sum")
    return maps * rearrange((squares + 1e-8).rsqrt(), "n b -> n b 1 1")
