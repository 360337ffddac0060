"""WGAN-GP and WGAN: a critic estimates Wasserstein's distance, a generator shrinks it.

Gulrajani et al. 2017 (arXiv:1704.00028), algorithm 1 and appendix C; Arjovsky et al. 2017
(arXiv:1701.07875), algorithm 1. The two differ in how the critic is kept from being too steep: by a
penalty on its gradient, or by clipping its weights.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import pyramid
from genzoo.options import AdversarialOptions
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Weight


class Config(Schema):
    """Sizes of both networks: convolutions for pictures, perceptrons for all else."""

    shape: Shape = (1, 28, 28)
    """pictures are square, 4 to 7 times a power of two, at most 128 pixels"""
    latent_dim: Count = 128
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image, which double towards the code; units, of points"""


class Options(AdversarialOptions):
    """Algorithm 1 of Gulrajani et al.: five critic steps, a penalty of weight 10, Adam (0, 0.9)."""

    loss: Literal["wasserstein"] = "wasserstein"
    discriminator_steps: Annotated[int, Field(ge=1, le=100)] = 5
    penalty: Literal["none", "gradient", "r1"] = "gradient"
    lr: Rate = 1e-4
    beta1: Decay = 0.0
    beta2: Decay = 0.9


class ClippedOptions(AdversarialOptions):
    """Algorithm 1 of Arjovsky et al.: RMSprop at 0.00005, weights within 0.01."""

    loss: Literal["wasserstein"] = "wasserstein"
    discriminator_steps: Annotated[int, Field(ge=1, le=100)] = 5
    weight_clip: Weight = 0.01
    optimizer: Literal["adam", "rmsprop", "sgd"] = "rmsprop"
    lr: Rate = 5e-5


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.ConvTranspose2d):  # torch's own leaves a lattice on early pictures
        nn.init.normal_(module.weight, 0, 0.02)


class Generator(genzoo.Latent):
    """Strided transposed convolutions with batch norm; of points, three hidden layers."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        if len(self.shape) != 3:
            self.value_range, sizes = None, [self.latent_dim, *[config.width] * 3]
            hidden = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
            last = nn.Linear(config.width, math.prod(self.shape))
            self.layers = nn.Sequential(*hidden, last, nn.Unflatten(1, self.shape))
            return
        widths, size = pyramid(config.shape, config.width)
        widths = widths[::-1]
        layers: list[nn.Module] = [nn.Unflatten(1, (self.latent_dim, 1, 1))]
        layers += [nn.ConvTranspose2d(self.latent_dim, widths[0], size, bias=False)]
        for width, narrower in pairwise(widths):
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.ConvTranspose2d(width, narrower, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], self.shape[0], 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers).apply(_initialise)

    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: genzoo.Noise | None = None
    ) -> Tensor:  # (n, code) -> (n, *shape)
        return self.layers(code)


class Discriminator(genzoo.Discriminator):
    """No batch norm: the penalty is on each sample's gradient by itself (section 4)."""

    def __init__(self, config: Config):
        super().__init__()
        self.blocks = nn.ModuleList()
        if len(config.shape) != 3:
            sizes = [math.prod(config.shape), *[config.width] * 3]
            for a, b in pairwise(sizes):
                self.blocks.append(nn.Sequential(nn.Flatten(), nn.Linear(a, b), nn.ReLU()))
            self.head = nn.Linear(config.width, 1)
            return
        widths, size = pyramid(config.shape, config.width)
        for a, b in pairwise([config.shape[0], *widths]):
            self.blocks.append(nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)))
        self.head = nn.Conv2d(widths[-1], 1, size)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> what each block sees
        found = []
        for block in self.blocks:
            found.append(x := block(x))
        return found

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


def trainer(model: Generator, options: AdversarialOptions) -> genzoo.Trainer:
    return genzoo.Adversarial(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family(name: str) -> genzoo.Family:
    clipped = name == "wgan"
    return genzoo.Family(
        config=Config,
        options=ClippedOptions if clipped else Options,
        model=Generator,
        discriminator=Discriminator,
        trainer=trainer,
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(shape=(1, 8, 8), latent_dim=4, width=4),
        paper="arXiv:1701.07875" if clipped else "arXiv:1704.00028",
        api=2,
    )
