"""pix2pix: a network translates images; a discriminator sees each result beside its input.

Isola et al. 2017 (arXiv:1611.07004): the objective of equation 4, the networks of section 3.2 and
of the appendix (6.1). Instance norm stands for the paper's batch norm of one image.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import activations, initialise_convolution, patch_discriminator
from genzoo.options import AdversarialOptions, TranslatorOptions
from genzoo.schemas import Count, Decay, Name, Rate, Schema, Shape, Weight


class Config(Schema):
    """Sizes of the U-Net and of the discriminator."""

    shape: Shape = (3, 256, 256)
    domains: tuple[Name, Name] = ("A", "B")
    halvings: Annotated[int, Field(ge=1, le=8)] = 2
    """how often the U-Net halves the sides"""
    network: Literal["plain", "authors"] = "plain"
    """authors: as their code has it: norms with a scale and a shift, none on the innermost maps,
    ReLU also on what skips, dropout behind the innermost maps but one"""
    width: Annotated[int, Field(ge=1, le=512)] = 64
    """feature maps of the first level; they double up to the fourth"""
    dropout: Decay = 0.5
    """share of the decoder's activations that are dropped, also when it translates"""
    discriminator_layers: Annotated[int, Field(ge=1, le=5)] = 2
    """strided layers: 1 classify patches of 16x16 pixels, 2 of 34, 3 of 70"""
    examples: Annotated[int, Field(ge=1, le=64)] = 16
    """images stored with the weights, which sample translates"""


class TrainOptions(AdversarialOptions, TranslatorOptions):
    """Section 3.3 and appendix 6.2."""

    batch_size: Count = 1
    lr: Rate = 2e-4
    beta1: Decay = 0.5
    l1_weight: Weight = 100.0
    """lambda of equation 4: the weight of the distance to the true result"""


def _maps(channels: int, width: int, levels: int) -> list[int]:
    return [channels, *(width * 2 ** min(i, 3) for i in range(levels))]


class Pix2Pix(genzoo.Translator):
    """A U-Net from the first domain to the second; its only noise is dropout (section 3.1)."""

    one_way = True

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.domains = config.shape, config.domains
        if len(self.shape) != 3:
            raise genzoo.BadInput(f"pix2pix translates images, got {self.shape}")
        self.multiple = 2**config.halvings
        authors = config.network == "authors"
        # Instance norm needs more than one pixel.
        self.smallest = self.multiple if authors else 2 * self.multiple
        maps, last = _maps(self.shape[0], config.width, config.halvings), config.halvings - 1
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, (a, b) in enumerate(pairwise(maps)):
            normed = i and not (authors and i == last)
            norm = nn.InstanceNorm2d(b, affine=authors) if normed else nn.Identity()
            self.down.append(nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), norm, nn.LeakyReLU(0.2)))
        for i, (a, b) in enumerate(pairwise(maps[::-1])):
            norm = nn.InstanceNorm2d(b, affine=authors) if i < last else nn.Identity()
            self.up.append(nn.Sequential(nn.ConvTranspose2d(a * (2 if i else 1), b, 4, 2, 1), norm))
        self.apply(initialise_convolution)  # appendix 6.2
        noise = torch.randint(256, (config.examples, *self.shape), dtype=torch.uint8)
        self.register_buffer("examples", noise)

    # (n, C, H, W) -> (n, C, H, W), sides that halve ``halvings`` times
    def convert(self, x: Tensor, to: str, noise: genzoo.Noise) -> Tensor:
        skips = list[Tensor]()
        for down in self.down:
            x = down(x)
            skips.append(x)
        authors = self.config.network == "authors"
        x = self.up[0](skips.pop().relu() if authors else skips.pop())
        for i, up in enumerate(self.up[1:]):
            if not authors or 0 < i <= self.config.halvings - 5:
                kept = noise.uniform(*x.shape[1:]) >= self.config.dropout
                x = x * kept / (1 - self.config.dropout)
            pair = [skips.pop().relu(), x.relu()] if authors else [x.relu(), skips.pop()]
            x = up(torch.cat(pair, 1))
        return x.tanh()


class Discriminator(genzoo.Discriminator):
    """PatchGAN (section 3.2.2): it classifies each patch of an input and a result."""

    def __init__(self, config: Config):
        super().__init__()
        c = config
        parts = patch_discriminator(2 * c.shape[0], c.width, c.discriminator_layers)
        self.blocks, self.head = parts.blocks, parts.head

    def features(self, x: Tensor) -> list[Tensor]:  # (n, 2 C, H, W) -> the output of each block
        return activations(self.blocks, x)

    # (n, 2 C, H, W) -> (n, 1, H', W'), a logit for each patch
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.head(self.features(x)[-1])


def trainer(model: Pix2Pix, options: TrainOptions) -> genzoo.Trainer:
    """The conditional game of equation 1, plus the distance of equation 3."""

    def distance(game: genzoo.training.Game) -> tuple[Tensor, genzoo.Logs]:
        error = F.l1_loss(game.fakes, game.real)
        return options.l1_weight * error, {"L1": error}

    return genzoo.Adversarial(
        model,
        Discriminator(model.config),
        options,
        terms={"generator": [distance]},
        condition=lambda batch: batch.x,
    )


def adopt(shapes: genzoo.Shapes) -> genzoo.Adopted:
    """The authors' U-Net. They translate one image at a time in training mode, in which their batch
    norm is an instance norm, and its running statistics are not read.
    """
    first, *inner, last = shapes.convolutions(4)
    halvings = len(inner) // 2 + 1
    return genzoo.Adopted(
        source="the U-Net of pytorch-CycleGAN-and-pix2pix",
        config={
            "shape": (last[1], max(256, 1 << halvings), max(256, 1 << halvings)),
            "width": first[0],
            "halvings": halvings,
            "network": "authors",
        },
        kept=("examples",),
        unused=("running_mean", "running_var", "num_batches_tracked"),
    )


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Pix2Pix,
        trainer=trainer,
        data="paired",
        adopt=adopt,
        tiny=Config(shape=(1, 16, 16), width=4, discriminator_layers=1, examples=5),
        paper="arXiv:1611.07004",
        api=2,
    )
