"""GAN: two multilayer perceptrons that play against each other.

Goodfellow et al. 2014 (arXiv:1406.2661), algorithm 1 and section 5; sizes, prior and dropout as in
the authors' code for MNIST.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import (
    Maxout,
    activations,
    kind_of,
    normed_perceptron,
    signed_range,
    square_image,
    squash,
    unit_range,
)
from genzoo.options import AdversarialOptions
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share


class Config(Schema):
    """Sizes of both networks. Samples may have any shape: points, sound, images."""

    shape: Shape = (1, 28, 28)
    latent_dim: Count = 100
    prior: Literal["uniform", "normal"] = "uniform"
    """distribution of the code: uniform on (-1, 1) as in the authors' code, or N(0, 1)"""
    generator_units: Count = 1200
    """units in each of the generator's two hidden layers"""
    discriminator_units: Count = 240
    """maxout units in each of the discriminator's two hidden layers"""
    maxout_pieces: Annotated[int, Field(ge=2, le=16)] = 5
    """linear pieces of each maxout unit"""
    network: Literal["plain", "normed"] = "plain"
    """the generator: two layers of ReLUs, or four of leaky ones with batch norms, as in courses;
    their units double from generator_units on"""
    norm_epsilon: Share = 1e-5
    """of normed: what is added to the variance"""
    dropout: Decay = 0.5
    """share of values dropped in the discriminator's hidden layers"""
    input_dropout: Decay = 0.0
    """share of values dropped in the discriminator's input (the authors' code: 0.2)"""


class TrainOptions(AdversarialOptions):
    """Batches of 100, one discriminator step (section 5); today's optimiser for both."""

    batch_size: Count = 100
    lr: Rate = 2e-4
    beta1: Decay = 0.5


class Generator(genzoo.Latent):
    """Two layers of rectified linear units; a sigmoid at the end for images."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.kind, self.value_range = kind_of(self.shape), unit_range(self.shape)
        if config.network == "normed":
            self.value_range = signed_range(self.shape)
            parts = config.latent_dim, config.generator_units, self.shape, config.norm_epsilon
            self.layers = normed_perceptron(*parts)
        else:
            self.layers = plain_perceptron(config)

    # (n, latent_dim) -> (n, *shape)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.config.prior == "uniform":  # the distribution function of N(0, 1) is uniform
            code = 2 * torch.special.ndtr(code) - 1
        x = self.layers(code)
        return x if self.config.network == "normed" else squash(x, self.value_range)


def plain_perceptron(config: Config) -> nn.Sequential:  # (n, latent_dim) -> (n, *shape)
    code, units = config.latent_dim, config.generator_units
    hidden = [nn.Linear(code, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()]
    last = nn.Linear(units, math.prod(config.shape))
    return nn.Sequential(*hidden, last, nn.Unflatten(1, config.shape))


class Discriminator(genzoo.Discriminator):
    """Two layers of maxout units with dropout."""

    def __init__(self, config: Config):
        super().__init__()
        units, pieces = config.discriminator_units, config.maxout_pieces
        sizes = (math.prod(config.shape), units), (units, units)
        self.blocks = nn.ModuleList(
            nn.Sequential(Maxout(*size, pieces), nn.Dropout(config.dropout)) for size in sizes
        )
        self.head = nn.Linear(units, 1)
        self.input_dropout = nn.Dropout(config.input_dropout)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> two of (n, units)
        return activations(self.blocks, self.input_dropout(x.flatten(1)))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


def adopt(shapes: genzoo.Shapes) -> genzoo.Adopted:
    """PyTorch-GAN's gan, and its other generators of perceptrons."""
    first, *_, last = shapes.dense(5)
    return genzoo.Adopted(
        source="the perceptron of PyTorch-GAN's gan, wgan and others",
        config={
            "shape": square_image(last[0]),
            "latent_dim": first[1],
            "generator_units": first[0],
            "prior": "normal",
            "network": "normed",
            "norm_epsilon": 0.8,
        },
    )


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        adopt=adopt,
        revision=3,
        upgrade=genzoo.rename_fields(
            code="latent_dim",
            noise="prior",
            units="generator_units",
            maxout="discriminator_units",
            pieces="maxout_pieces",
        ),
        tiny=Config(
            shape=(1, 8, 8),
            latent_dim=4,
            generator_units=8,
            discriminator_units=6,
            maxout_pieces=2,
        ),
        paper="arXiv:1406.2661",
        api=2,
    )
