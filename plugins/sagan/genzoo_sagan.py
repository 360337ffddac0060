"""SAGAN: a GAN with self-attention, by which every pixel can look at every other.

Zhang et al. 2019 (arXiv:1805.08318): self-attention (section 3, equations 1 to 3), spectral norm in
both networks (4.1), two time-scales (4.2). The residual blocks, conditional batch norm and
projection discriminator are those of Miyato & Koyama 2018 (arXiv:1802.05637, equation 3).
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import genzoo
from genzoo.models.spectral import (
    ProjectionDiscriminator,
    SelfAttention,
    attentive_levels,
    find_singular_vectors,
    run_blocks,
    spectral_conv,
)
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
        self.wide, self.fine = spectral_conv(a, b), spectral_conv(b, b)
        self.past = spectral_conv(a, b, 1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # (n, a, H, W) -> (n, b, 2 H, 2 W)
        h = self.wide(F.interpolate(self.first(x, labels).relu(), scale_factor=2))
        return self.fine(self.second(h, labels).relu()) + F.interpolate(self.past(x), None, 2)


class Generator(genzoo.Latent, genzoo.Attentive):
    """Residual blocks from 4 to 7 pixels up, attention at one side between them."""

    attentions: Any

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.num_classes = config.shape, config.classes
        self.latent_dim = config.latent_dim
        maps, self.smallest, self.attends = attentive_levels(
            config.shape, config.width, config.attention_resolution
        )
        maps = maps[::-1]
        self.first = spectral_norm(nn.Linear(self.latent_dim, maps[0] * self.smallest**2))
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleDict()
        for i, (a, b) in enumerate(pairwise(maps)):
            self.blocks.append(Up(a, b, config.classes))
            if self.smallest * 2 ** (i + 1) == self.attends:
                self.attentions[str(i)] = SelfAttention(b)
        self.norm, self.last = nn.BatchNorm2d(maps[-1]), spectral_conv(maps[-1], self.shape[0])

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
        maps, outputs = zip(*run_blocks(self, x, [labels] * len(self.blocks)), strict=True)
        return self.last(self.norm(outputs[-1]).relu()).tanh(), [*maps]


def discriminator(config: Config) -> genzoo.Discriminator:
    c = config
    return ProjectionDiscriminator(c.shape, c.width, c.attention_resolution, c.classes)


def finish(model: Generator, options: TrainOptions, batches: Iterable[Tensor]) -> None:
    """Find the singular vectors of averaged weights."""
    find_singular_vectors(model)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=discriminator,
        finish=finish,
        data="images",
        revision=3,
        upgrade=genzoo.rename_fields(code="latent_dim", attention="attention_resolution"),
        tiny=Config(shape=(3, 16, 16), classes=3, latent_dim=4, width=8, attention_resolution=8),
        paper="arXiv:1805.08318",
        api=2,
    )
