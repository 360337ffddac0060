"""R3GAN: a GAN without tricks: pairs in the loss, two gradient penalties, residual networks.

Huang et al. 2024 (arXiv:2501.05441): the loss of section 2, the networks of section 3 (config E):
grouped convolutions in inverted bottlenecks, no norm, the initial weights of Fixup (Zhang et al.
2019, arXiv:1901.09321). A tanh at the end keeps samples in the range, which the paper has not.
"""

import math
from itertools import pairwise
from typing import Annotated

import torch
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import activations, pyramid
from genzoo.options import AdversarialOptions, GanLossName, PenaltyName
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Weight

SLOPE = 0.2  # of leaky ReLU below 0
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # He et al. 2015, equation 15: keeps the variance through it


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 32, 32)
    """of a square image: 4 to 7 pixels times a power of two"""
    latent_dim: Count = 64
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image; they double towards the code up to sixteenfold"""
    residual_blocks: Annotated[int, Field(ge=1, le=16)] = 2
    """at each size of the maps"""
    expansion: Annotated[int, Field(ge=1, le=8)] = 2
    """of the maps inside a block: its bottleneck is inverted"""
    group_size: Annotated[int, Field(ge=1, le=1024)] = 16
    """maps that a 3x3 convolution joins, or the largest divisor that they share with all maps"""


class TrainOptions(AdversarialOptions):
    """Appendix: Adam without momentum, averaged weights. Rates and penalties stay as they are."""

    loss: GanLossName = "relativistic"
    penalty: PenaltyName = "r1+r2"
    penalty_weight: Weight = 1.0
    """gamma, which the penalties have half of"""
    lr: Rate = 2e-4
    beta1: Decay = 0.0
    beta2: Decay = 0.99
    ema_decay: Decay = 0.999


def conv(
    a: int,
    b: int,
    side: int = 1,
    gain: float = 1.0,
    groups: int = 1,
    bias: bool = False,
    padding: bool = True,
) -> nn.Conv2d:
    """A convolution with weights from N(0, gain^2 / inputs); a bias, if it has one, from 0."""
    layer = nn.Conv2d(a, b, side, 1, side // 2 if padding else 0, groups=groups, bias=bias)
    nn.init.normal_(layer.weight, 0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    """1x1 to more maps, 3x3 in groups, 1x1 back: zero at first, so that a deep network is calm.

    ``depth``: the residual blocks of the whole network, whose weights Fixup scales by it: by
    ``depth ** (-1 / (2 m - 2))`` with m = 3 layers in a block.
    """

    def __init__(self, maps: int, config: Config, depth: int):
        super().__init__()
        inner, gain = maps * config.expansion, GAIN * depth ** (-1 / 4)
        groups = inner // math.gcd(inner, config.group_size)
        self.layers = nn.Sequential(
            *(conv(maps, inner, gain=gain, bias=True), nn.LeakyReLU(SLOPE)),
            *(conv(inner, inner, 3, gain, groups, bias=True), nn.LeakyReLU(SLOPE)),
            conv(inner, maps, gain=0),
        )

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same
        return x + self.layers(x)


def levels(config: Config) -> tuple[list[int], int, int]:
    """Feature maps at each size, the largest size first; the smallest size; blocks in all."""
    inner, smallest = pyramid(config.shape, config.width)
    maps = [config.width * 2 ** min(i, 4) for i in range(len(inner) + 1)]
    return maps, smallest, config.residual_blocks * len(maps)


class Generator(genzoo.Latent):
    """A code weighs learnt maps of the smallest size; blocks, and twice the size, up to an image.

    Twice the size is by bilinear interpolation.
    """

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, config.latent_dim
        maps, side, depth = levels(config)
        maps = maps[::-1]
        self.weights = nn.Linear(config.latent_dim, maps[0], bias=False)
        nn.init.normal_(self.weights.weight, 0, config.latent_dim**-0.5)
        self.basis = nn.Parameter(torch.randn(maps[0], side, side))
        blocks: list[nn.Module] = [
            Residual(maps[0], config, depth) for _ in range(config.residual_blocks)
        ]
        for a, b in pairwise(maps):
            blocks += [conv(a, b), nn.Upsample(scale_factor=2, mode="bilinear")]
            blocks += [Residual(b, config, depth) for _ in range(config.residual_blocks)]
        self.layers = nn.Sequential(*blocks, conv(maps[-1], config.shape[0]), nn.Tanh())

    # (n, latent_dim) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(rearrange(self.weights(code), "n c -> n c 1 1") * self.basis)


class Discriminator(genzoo.Discriminator):
    """The generator's mirror image: blocks, and means of 2x2 pixels, down to a number."""

    def __init__(self, config: Config):
        super().__init__()
        maps, side, depth = levels(config)
        self.blocks = nn.ModuleList()
        for i, (a, b) in enumerate(pairwise([config.shape[0], *maps])):
            enter = [nn.AvgPool2d(2), conv(a, b)] if i else [conv(a, b)]
            own = [Residual(b, config, depth) for _ in range(config.residual_blocks)]
            self.blocks.append(nn.Sequential(*enter, *own))
        last = conv(maps[-1], maps[-1], side, groups=maps[-1], padding=False)
        self.head = nn.Sequential(last, conv(maps[-1], 1))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> maps, each half as large
        return activations(self.blocks, x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, C, H, W) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        tiny=Config(shape=(1, 8, 8), latent_dim=4, width=4, residual_blocks=1, group_size=4),
        paper="arXiv:2501.05441",
        api=2,
    )
