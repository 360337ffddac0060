"""CGAN: a GAN whose two players are both told the class.

Mirza & Osindero 2014 (arXiv:1411.1784), equation 2; its section 4.1 gives the perceptrons. The
convolutional networks are DCGAN's. Their generator is told the class as section 3 says, beside the
code; their discriminator by a projection (Miyato & Koyama 2018, arXiv:1802.05637, equation 3).
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import pyramid
from genzoo.options import AdversarialOptions
from genzoo.schemas import Count, Decay, Rate, Schema, Shape


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (1, 28, 28)
    """of a sample; for convolutions square, 4 to 7 times a power of two"""
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10
    latent_dim: Count = 100
    network: Literal["mlp", "conv"] = "mlp"
    """the paper's perceptrons, or convolutions"""
    units: tuple[Count, Count, Count] = (200, 1000, 1200)
    """of the generator's perceptron: after the code, after the class, after both"""
    maxout: tuple[Count, Count, Count] = (240, 50, 240)
    """of the discriminator's: after the sample, after the class, after both"""
    dropout: Decay = 0.5
    """in the perceptrons"""
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps of the convolutions next to the image"""
    hidden: Annotated[tuple[Count, ...], Field(max_length=8)] = (256,)
    """units of layers before the convolutions"""


class Options(AdversarialOptions):
    """Batches of 100 (section 4.1); today's optimiser for both."""

    batch_size: Count = 100
    lr: Rate = 2e-4
    beta1: Decay = 0.5


class Maxout(nn.Module):
    """The largest of several linear functions (Goodfellow et al. 2013, equation 1)."""

    def __init__(self, inputs: int, outputs: int, pieces: int):
        super().__init__()
        self.outputs, self.linear = outputs, nn.Linear(inputs, outputs * pieces)

    def forward(self, x: Tensor) -> Tensor:  # (n, inputs) -> (n, outputs)
        return self.linear(x).unflatten(1, (self.outputs, -1)).amax(2)


class Generator(genzoo.Latent):
    """G(z | y): code and class each have their layer, or stand side by side before the first."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape, self.num_classes = (
            config.latent_dim,
            config.shape,
            config.classes,
        )
        self.value_range = (0.0, 1.0) if config.network == "mlp" else (-1.0, 1.0)
        if config.network == "conv":
            self.layers = self._convolutions(config)
            return
        a, b, c = config.units
        drop = nn.Dropout(config.dropout)
        self.from_code = nn.Sequential(nn.Linear(config.latent_dim, a), nn.ReLU(), drop)
        self.from_class = nn.Sequential(nn.Linear(config.classes, b), nn.ReLU(), drop)
        joint = [nn.Linear(a + b, c), nn.ReLU(), drop, nn.Linear(c, math.prod(self.shape))]
        self.layers = nn.Sequential(*joint, nn.Sigmoid(), nn.Unflatten(1, self.shape))

    def _convolutions(self, config: Config) -> nn.Sequential:
        widths, size = pyramid(config.shape, config.width)
        units, widths = [config.latent_dim + config.classes, *config.hidden], widths[::-1]
        layers: list[nn.Module] = []
        for a, b in pairwise(units):
            layers += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU()]
        layers += [nn.Linear(units[-1], widths[0] * size**2, bias=False)]
        layers += [nn.Unflatten(1, (widths[0], size, size))]
        for a, b in pairwise(widths):
            layers += [nn.BatchNorm2d(a), nn.ReLU(), nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], self.shape[0], 4, 2, 1), nn.Tanh()]
        return nn.Sequential(*layers)

    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: genzoo.Noise | None = None
    ) -> Tensor:  # (n, code), (n,) -> (n, *shape)
        assert labels is not None
        y = F.one_hot(labels, self.num_classes).to(code.dtype)
        if self.config.network == "conv":
            return self.layers(torch.cat([code, y], 1))
        code = torch.special.ndtr(code)  # uniform in the unit hypercube (section 4.1)
        return self.layers(torch.cat([self.from_code(code), self.from_class(y)], 1))


class Discriminator(genzoo.Discriminator):
    """D(x | y): sample and class each have their layer, or the class weighs what is seen."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        if config.network == "conv":
            widths, size = pyramid(config.shape, config.width)
            self.blocks = nn.ModuleList()
            for i, (a, b) in enumerate(pairwise([config.shape[0], *widths])):
                norm = nn.BatchNorm2d(b) if i else nn.Identity()
                self.blocks.append(nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), norm, nn.LeakyReLU(0.2)))
            self.head = nn.Conv2d(widths[-1], 1, size)
            self.classes = nn.Embedding(config.classes, widths[-1] * size**2)
            nn.init.normal_(self.classes.weight, 0, 0.02)
            return
        a, b, c = config.maxout
        drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([nn.Sequential(Maxout(math.prod(config.shape), a, 5), drop)])
        self.from_class = nn.Sequential(Maxout(config.classes, b, 5), drop)
        self.head = nn.Sequential(Maxout(a + b, c, 4), drop, nn.Linear(c, 1))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> what each layer makes of it
        found, x = [], x if self.config.network == "conv" else x.flatten(1)
        for block in self.blocks:
            found.append(x := block(x))
        return found

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        assert labels is not None
        seen = self.features(x)[-1]
        if self.config.network == "conv":
            return self.head(seen).flatten() + (seen.flatten(1) * self.classes(labels)).sum(1)
        y = self.from_class(F.one_hot(labels, self.config.classes).to(seen.dtype))
        return self.head(torch.cat([seen, y], 1)).flatten()


def trainer(model: Generator, options: Options) -> genzoo.Trainer:
    return genzoo.Adversarial(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=Options,
        model=Generator,
        discriminator=Discriminator,
        trainer=trainer,
        data="labelled",
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(
            shape=(1, 8, 8), classes=3, latent_dim=4, units=(4, 4, 8), maxout=(4, 3, 4), hidden=(4,)
        ),
        paper="arXiv:1411.1784",
        api=2,
    )
