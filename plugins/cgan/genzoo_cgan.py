"""CGAN: a GAN whose generator and discriminator both get the class.

Mirza & Osindero 2014 (arXiv:1411.1784), equation 2; the perceptrons are those of section 4.1. The
convolutional networks are DCGAN's (arXiv:1511.06434): their generator gets the class beside the
code, as in section 3; their discriminator by a projection (Miyato & Koyama 2018, arXiv:1802.05637,
equation 3).
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models import networks
from genzoo.models.networks import Maxout, activations, kind_of, pyramid, unit_range
from genzoo.options import AdversarialOptions
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (1, 28, 28)
    """of a sample; for convolutions square, 4 to 7 times a power of two"""
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10
    latent_dim: Count = 100
    network: Literal["mlp", "conv", "normed"] = "mlp"
    """the paper's perceptrons, or convolutions; normed is a generator of perceptrons with batch
    norms, as in courses: it gets an embedding of the class beside the code, and its units double
    from width on"""
    norm_epsilon: Share = 1e-5
    """of normed: what is added to the variance"""
    generator_units: tuple[Count, Count, Count] = (200, 1000, 1200)
    """of the generator's perceptron: after the code, after the class, after both"""
    discriminator_units: tuple[Count, Count, Count] = (240, 50, 240)
    """of the discriminator's perceptron: after the sample, after the class, after both"""
    dropout: Decay = 0.5
    """in the perceptrons"""
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps of the convolution next to the image"""
    dense_units: Annotated[tuple[Count, ...], Field(max_length=8)] = (256,)
    """units of dense layers before the generator's convolutions"""


class TrainOptions(AdversarialOptions):
    """Batches of 100 (section 4.1); today's optimiser for both."""

    batch_size: Count = 100
    lr: Rate = 2e-4
    beta1: Decay = 0.5


class Generator(genzoo.Latent):
    """Section 4.1: code and class each pass a layer of their own, then both pass one together."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.kind, self.value_range = kind_of(self.shape), unit_range(self.shape)
        self.num_classes = config.classes
        a, b, c = config.generator_units
        drop = nn.Dropout(config.dropout)
        self.from_code = nn.Sequential(nn.Linear(config.latent_dim, a), nn.ReLU(), drop)
        self.from_class = nn.Sequential(nn.Linear(config.classes, b), nn.ReLU(), drop)
        joint = [nn.Linear(a + b, c), nn.ReLU(), drop, nn.Linear(c, math.prod(self.shape))]
        bounded = nn.Sigmoid() if self.value_range else nn.Identity()
        self.layers = nn.Sequential(*joint, bounded, nn.Unflatten(1, self.shape))

    # (n, latent_dim), (n,) -> (n, *shape)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        code = torch.special.ndtr(code)  # uniform in the unit hypercube
        y = _one_hot(labels, self.num_classes, code)
        return self.layers(torch.cat([self.from_code(code), self.from_class(y)], 1))


class Discriminator(genzoo.Discriminator):
    """Section 4.1: sample and class each pass a maxout layer, then both pass one together."""

    def __init__(self, config: Config):
        super().__init__()
        self.num_classes = config.classes
        a, b, c = config.discriminator_units
        drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([nn.Sequential(Maxout(math.prod(config.shape), a, 5), drop)])
        self.from_class = nn.Sequential(Maxout(config.classes, b, 5), drop)
        self.head = nn.Sequential(Maxout(a + b, c, 4), drop, nn.Linear(c, 1))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> one of (n, units)
        return activations(self.blocks, x.flatten(1))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        (h,) = self.features(x)
        y = self.from_class(_one_hot(labels, self.num_classes, h))
        return self.head(torch.cat([h, y], 1)).flatten()


def _one_hot(labels: Tensor | None, classes: int, like: Tensor) -> Tensor:  # (n,) -> (n, classes)
    assert labels is not None
    return F.one_hot(labels, classes).to(like.dtype)


class ConvGenerator(genzoo.Latent):
    """Code and class side by side, dense layers, then transposed convolutions."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.num_classes = config.classes
        maps, side = pyramid(config.shape, config.width)
        units, maps = [config.latent_dim + config.classes, *config.dense_units], maps[::-1]
        layers: list[nn.Module] = []
        for a, b in pairwise(units):
            layers += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU()]
        layers += [nn.Linear(units[-1], maps[0] * side**2, bias=False)]
        layers += [nn.Unflatten(1, (maps[0], side, side))]
        for a, b in pairwise(maps):
            layers += [nn.BatchNorm2d(a), nn.ReLU(), nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(maps[-1]), nn.ReLU()]
        layers += [nn.ConvTranspose2d(maps[-1], self.shape[0], 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    # (n, latent_dim), (n,) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(torch.cat([code, _one_hot(labels, self.num_classes, code)], 1))


class NormedGenerator(genzoo.Latent):
    """An embedding of the class and the code, then four dense layers with batch norms."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.kind, self.value_range = kind_of(self.shape), networks.signed_range(self.shape)
        self.num_classes = config.classes
        self.classes = nn.Embedding(config.classes, config.classes)
        inputs = config.classes + config.latent_dim
        self.layers = networks.normed_perceptron(
            inputs, config.width, self.shape, config.norm_epsilon
        )

    # (n, latent_dim), (n,) -> (n, *shape)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        return self.layers(torch.cat([self.classes(labels), code], 1))


class ConvDiscriminator(genzoo.Discriminator):
    """Strided convolutions; the class's vector weighs the last feature maps (projection)."""

    def __init__(self, config: Config):
        super().__init__()
        maps, side = pyramid(config.shape, config.width)
        self.blocks = nn.ModuleList()
        for i, (a, b) in enumerate(pairwise([config.shape[0], *maps])):
            norm = nn.BatchNorm2d(b) if i else nn.Identity()
            self.blocks.append(nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), norm, nn.LeakyReLU(0.2)))
        self.head = nn.Conv2d(maps[-1], 1, side)
        self.classes = nn.Embedding(config.classes, maps[-1] * side**2)
        nn.init.normal_(self.classes.weight, 0, 0.02)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> maps, each half as large
        return activations(self.blocks, x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, C, H, W) -> (n,)
        assert labels is not None
        h = self.features(x)[-1]
        return self.head(h).flatten() + (h.flatten(1) * self.classes(labels)).sum(1)


def generator(config: Config) -> genzoo.Latent:
    kinds = {"mlp": Generator, "conv": ConvGenerator, "normed": NormedGenerator}
    return kinds[config.network](config)


def discriminator(config: Config) -> genzoo.Discriminator:
    return ConvDiscriminator(config) if config.network == "conv" else Discriminator(config)


def adopt(shapes: genzoo.Shapes) -> genzoo.Adopted:
    """PyTorch-GAN's cgan."""
    (classes, _), first, *_, last = shapes.dense(6)
    sizes = {"shape": networks.square_image(last[0]), "classes": classes, "width": first[0]}
    kind = {"network": "normed", "norm_epsilon": 0.8, "latent_dim": first[1] - classes}
    return genzoo.Adopted(source="the generator of PyTorch-GAN's cgan", config=sizes | kind)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=generator,
        discriminator=discriminator,
        data="labelled",
        adopt=adopt,
        revision=3,
        upgrade=genzoo.rename_fields(
            code="latent_dim",
            units="generator_units",
            maxout="discriminator_units",
            hidden="dense_units",
        ),
        tiny=Config(
            shape=(1, 8, 8),
            classes=3,
            latent_dim=4,
            generator_units=(4, 4, 8),
            discriminator_units=(4, 3, 4),
            dense_units=(4,),
        ),
        paper="arXiv:1411.1784",
        api=2,
    )
