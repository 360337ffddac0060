"""SAGAN: a GAN with self-attention, by which every pixel can look at every other.

Zhang et al. 2019 (arXiv:1805.08318): self-attention (section 3, equations 1 to 3), spectral norm in
both networks (4.1), two time-scales (4.2). The residual blocks, conditional batch norm and
projection discriminator are those of Miyato & Koyama 2018 (arXiv:1802.05637, equation 3).
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

import genzoo
from genzoo.models.networks import pyramid
from genzoo.options import AdversarialOptions, DiscriminatorRate, GanLossName
from genzoo.schemas import Count, Decay, Rate, Schema, Shape


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 32, 32)
    """of an image: square, 4 to 7 times a power of two"""
    classes: Annotated[int, Field(ge=0, le=10_000)] = 0
    """0: neither network gets the class"""
    latent_dim: Count = 128
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image, which double towards the code up to sixteenfold"""
    attention_resolution: Annotated[int, Field(ge=0, le=256)] = 16
    """attention at the largest maps with a side up to this (section 5.2); 0: no attention"""


class TrainOptions(AdversarialOptions):
    """Sections 4.2 and 5: hinge loss, Adam (0, 0.9), the discriminator four times as fast."""

    loss: GanLossName = "hinge"
    lr: Rate = 1e-4
    discriminator_lr: DiscriminatorRate = 4e-4
    beta1: Decay = 0.0
    beta2: Decay = 0.9


def conv(a: int, b: int, side: int = 3, bias: bool = True) -> nn.Module:
    """A convolution whose weights have a largest singular value of 1 (section 4.1)."""
    layer = nn.Conv2d(a, b, side, 1, side // 2, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    return spectral_norm(layer)


def levels(config: Config) -> tuple[list[int], int, int]:
    """Feature maps from the image inwards, the smallest side, and the side with attention, or 0."""
    inner, smallest = pyramid(config.shape, config.width)
    sides, largest = [smallest * 2**i for i in range(1, len(inner))], config.attention_resolution
    attends = max((side for side in sides if side <= largest), default=0)  # between two blocks
    if largest and not attends:
        raise genzoo.BadInput(f"attention_resolution must be one of {[*sides, 0]}, got {largest}")
    return [config.width * 2 ** min(i, 4) for i in range(len(inner) + 1)], smallest, attends


class Attention(nn.Module):
    """Every pixel is a weighted sum over all; the weight gamma of that sum starts at 0."""

    def __init__(self, maps: int):
        super().__init__()
        inner = max(1, maps // 8)
        self.f, self.g, self.h = (conv(maps, inner, 1, bias=False) for _ in range(3))
        self.v, self.gamma = conv(inner, maps, 1, bias=False), nn.Parameter(torch.zeros(()))

    def weights(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> (n, H W, H W), rows sum to 1
        """Equation 1: row j says where pixel j looks."""
        f, g = (rearrange(layer(x), "n c h w -> n c (h w)") for layer in (self.f, self.g))
        return einsum(f, g, "n c i, n c j -> n j i").softmax(2)

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same; equations 2 and 3
        weights, h = self.weights(x), rearrange(self.h(x), "n c h w -> n c (h w)")
        o = einsum(weights, h, "n j i, n c i -> n c j")
        return x + self.gamma * self.v(rearrange(o, "n c (h w) -> n c h w", h=x.shape[2]))


class Norm(nn.Module):
    """Batch norm with a scale and a shift per class, or one of each without classes."""

    def __init__(self, maps: int, classes: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(maps, affine=False)
        self.chosen = nn.Embedding(max(1, classes), 2 * maps)
        nn.init.zeros_(self.chosen.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # (n, maps, H, W), (n,) -> the first
        scale, shift = rearrange(self.chosen(labels), "n c -> n c 1 1").chunk(2, 1)
        return self.norm(x) * (1 + scale) + shift


class Up(nn.Module):
    """A residual block to twice the side."""

    def __init__(self, a: int, b: int, classes: int):
        super().__init__()
        self.first, self.second = Norm(a, classes), Norm(b, classes)
        self.wide, self.fine, self.past = conv(a, b), conv(b, b), conv(a, b, 1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # (n, a, H, W) -> (n, b, 2 H, 2 W)
        h = self.wide(F.interpolate(self.first(x, labels).relu(), scale_factor=2))
        return self.fine(self.second(h, labels).relu()) + F.interpolate(self.past(x), None, 2)


class Down(nn.Module):
    """A residual block to half the side; the first one, on pixels, starts without a ReLU."""

    def __init__(self, a: int, b: int, first: bool):
        super().__init__()
        self.first = first
        self.wide, self.fine, self.past = conv(a, b), conv(b, b), conv(a, b, 1)

    def forward(self, x: Tensor) -> Tensor:  # (n, a, H, W) -> (n, b, H / 2, W / 2)
        h = self.fine(self.wide(x if self.first else x.relu()).relu())
        return F.avg_pool2d(h, 2) + self.past(F.avg_pool2d(x, 2))


def run(network: Any, x: Tensor, *labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The output of each block, before and after attention, which at most one of them has."""
    for i, block in enumerate(network.blocks):
        maps = block(x, *labels)
        x = network.attentions[str(i)](maps) if str(i) in network.attentions else maps
        yield maps, x


class Generator(genzoo.Latent, genzoo.Attentive):
    """Residual blocks from 4 to 7 pixels up, attention at one side between them."""

    attentions: Any

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.num_classes = config.shape, config.classes
        self.latent_dim = config.latent_dim
        maps, self.smallest, self.attends = levels(config)
        maps = maps[::-1]
        self.first = spectral_norm(nn.Linear(self.latent_dim, maps[0] * self.smallest**2))
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleDict()
        for i, (a, b) in enumerate(pairwise(maps)):
            self.blocks.append(Up(a, b, config.classes))
            if self.smallest * 2 ** (i + 1) == self.attends:
                self.attentions[str(i)] = Attention(b)
        self.norm, self.last = nn.BatchNorm2d(maps[-1]), conv(maps[-1], self.shape[0])

    # (n, latent_dim), (n,) -> (n, *shape)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self._run(code, labels)[0]

    # -> (n, *shape), (n, H, W, H, W)
    def attend(self, noise: genzoo.Noise, labels: Tensor | None, sampling: Any) -> Any:
        if not (side := self.attends):
            raise genzoo.BadInput("this model was built without attention")
        x, maps = self._run(self.draw_code(noise, sampling), labels)
        ((i, attention),) = self.attentions.items()
        weights = attention.weights(maps[int(i)])
        return x, rearrange(weights, "n (i j) (h w) -> n i j h w", i=side, h=side)

    def attention_weight(self) -> float | None:
        return next((layer.gamma.item() for layer in self.attentions.values()), None)

    def _run(self, code: Tensor, labels: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The images, and the output of each block before attention."""
        if labels is None:
            labels = torch.zeros(len(code), dtype=torch.long, device=code.device)
        x = rearrange(self.first(code), "n (c h w) -> n c h w", h=self.smallest, w=self.smallest)
        maps, outputs = zip(*run(self, x, labels), strict=True)
        return self.last(self.norm(outputs[-1]).relu()).tanh(), [*maps]


class Discriminator(genzoo.Discriminator):
    """Residual blocks down to 4 to 7 pixels, which are summed; the class by projection."""

    def __init__(self, config: Config):
        super().__init__()
        maps, _, attends = levels(config)
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleDict()
        for i, (a, b) in enumerate(pairwise([config.shape[0], *maps[1:]])):
            self.blocks.append(Down(a, b, first=not i))
            if config.shape[1] // 2 ** (i + 1) == attends:
                self.attentions[str(i)] = Attention(b)
        self.head = spectral_norm(nn.Linear(maps[-1], 1))
        if config.classes:
            self.classes: nn.Module = spectral_norm(nn.Embedding(config.classes, maps[-1]))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> maps, each half as large
        return [output for _, output in run(self, x)]

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        h = reduce(self.features(x)[-1].relu(), "n c h w -> n c", "sum")
        logits = self.head(h).flatten()
        return logits if labels is None else logits + (self.classes(labels) * h).sum(1)


@torch.no_grad()
def finish(model: Generator, options: TrainOptions, batches: Iterable[Tensor]) -> None:
    """Find the singular vectors of averaged weights: averages of singular vectors are not them."""
    model.train()  # in which each access to a weight is one step of the power iteration
    _ = [layer.weight for layer in filter(is_parametrized, model.modules()) for _ in range(30)]
    model.eval()


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        finish=finish,
        data="images",
        revision=3,
        upgrade=genzoo.rename_fields(code="latent_dim", attention="attention_resolution"),
        tiny=Config(shape=(3, 16, 16), classes=3, latent_dim=4, width=8, attention_resolution=8),
        paper="arXiv:1805.08318",
        api=2,
    )
