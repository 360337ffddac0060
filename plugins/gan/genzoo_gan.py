"""GAN: two multilayer perceptrons, one against the other.

Goodfellow et al. 2014 (arXiv:1406.2661), algorithm 1 and section 5; sizes, noise and dropout of the
authors' code for MNIST.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.options import AdversarialOptions
from genzoo.schemas import Count, Decay, Rate, Schema, Shape


class Config(Schema):
    """Sizes of both networks; any shape will do: points, sound, pictures."""

    shape: Shape = (1, 28, 28)
    latent_dim: Count = 100
    noise: Literal["uniform", "normal"] = "uniform"
    """law of the code: uniform on (-1, 1) as the authors' code has it"""
    units: Count = 1200
    """of each of the generator's two hidden layers"""
    maxout: Count = 240
    """units of each of the discriminator's two hidden layers"""
    pieces: Annotated[int, Field(ge=2, le=16)] = 5
    """linear pieces of a maxout unit"""
    dropout: Decay = 0.5
    """in the discriminator's hidden layers"""


class Options(AdversarialOptions):
    """Batches of 100, one discriminator step (section 5); today's optimiser for both."""

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
    """Two layers of rectified linear units; sigmoid at the end, where samples are bounded."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.value_range = (0.0, 1.0) if len(self.shape) == 3 else None
        hidden = [nn.Linear(self.latent_dim, config.units), nn.ReLU()]
        hidden += [nn.Linear(config.units, config.units), nn.ReLU()]
        last = nn.Linear(config.units, math.prod(self.shape))
        self.layers = nn.Sequential(*hidden, last, nn.Unflatten(1, self.shape))

    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: genzoo.Noise | None = None
    ) -> Tensor:  # (n, code) -> (n, *shape)
        if self.config.noise == "uniform":  # a normal number's rank is uniform
            code = 2 * torch.special.ndtr(code) - 1
        x = self.layers(code)
        return x if self.value_range is None else x.sigmoid()


class Discriminator(genzoo.Discriminator):
    """Two layers of maxout units under dropout."""

    def __init__(self, config: Config):
        super().__init__()
        units, pieces = config.maxout, config.pieces
        sizes = (math.prod(config.shape), units), (units, units)
        self.blocks = nn.ModuleList(
            nn.Sequential(Maxout(*size, pieces), nn.Dropout(config.dropout)) for size in sizes
        )
        self.head = nn.Linear(units, 1)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> two of (n, maxout)
        found, x = [], x.flatten(1)
        for block in self.blocks:
            found.append(x := block(x))
        return found

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


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
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(shape=(1, 8, 8), latent_dim=4, units=8, maxout=6, pieces=2),
        paper="arXiv:1406.2661",
        api=2,
    )
