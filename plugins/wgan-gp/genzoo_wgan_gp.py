"""WGAN-GP and WGAN: the discriminator estimates Wasserstein's distance, the generator reduces it.

Gulrajani et al. 2017 (arXiv:1704.00028), algorithm 1; Arjovsky et al. 2017 (arXiv:1701.07875),
algorithm 1. The papers call the discriminator a critic. They limit its slope in two ways: by a
penalty on its gradient, or by clipping its weights.
"""

import math
from itertools import accumulate, pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import (
    activations,
    initialise_convolution,
    kernel_size,
    kind_of,
    normed_perceptron,
    pyramid,
    signed_range,
    square_image,
)
from genzoo.options import AdversarialOptions, DiscriminatorSteps, OptimizerName, PenaltyName
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share, Weight

NORMS = {"batch": nn.BatchNorm2d, "layer": lambda maps: nn.GroupNorm(1, maps)}


class Config(Schema):
    """Sizes of both networks: convolutions for images, perceptrons for all else."""

    shape: Shape = (1, 28, 28)
    """images (square, 4 to 7 times a power of two, at most 128 pixels), signals or points"""
    latent_dim: Count = 128
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to an image, which double towards the code; else units of each layer"""
    halvings: Annotated[int, Field(ge=0, le=6)] = 0
    """how often the sides of images halve, rounded up (the authors' MNIST code: 3); 0: to 4 to 7"""
    network: Literal["plain", "normed"] = "plain"
    """plain: convolutions for images, else perceptrons; normed: a generator of perceptrons with
    batch norms, as in courses, also of images; their units double from width on"""
    norm_epsilon: Share = 1e-5
    """of normed: what is added to the variance"""
    critic_norm: Literal["none", "layer", "batch"] = "none"
    """norm in the critic of images: WGAN-GP's authors advise none or layer (section 4), the code of
    WGAN's has batch, which a penalty on each sample's own gradient excludes"""


class TrainOptions(AdversarialOptions):
    """Gulrajani et al.: five discriminator steps, a penalty of weight 10, Adam (0, 0.9)."""

    loss: Literal["wasserstein"] = "wasserstein"
    discriminator_steps: DiscriminatorSteps = 5
    penalty: PenaltyName = "gradient"
    lr: Rate = 1e-4
    beta1: Decay = 0.0
    beta2: Decay = 0.9


class ClippedTrainOptions(AdversarialOptions):
    """Arjovsky et al.: RMSprop at 0.00005 with PyTorch's decay, weights clipped to 0.01."""

    loss: Literal["wasserstein"] = "wasserstein"
    discriminator_steps: DiscriminatorSteps = 5
    weight_clip: Weight = 0.01
    optimizer: OptimizerName = "rmsprop"
    rms_decay: Decay = 0.99
    lr: Rate = 5e-5


class Generator(genzoo.Latent):
    """A code to a sample."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.kind, self.value_range = kind_of(self.shape), signed_range(self.shape)
        if config.network == "normed":
            parts = config.latent_dim, config.width, self.shape, config.norm_epsilon
            self.layers = normed_perceptron(*parts)
        else:
            self.layers = (conv_generator if self.kind == "images" else mlp_generator)(config)

    # (n, latent_dim) -> (n, *shape)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(code)


class Discriminator(genzoo.Discriminator):
    """By default without a norm: the penalty is on each sample's own gradient (section 4)."""

    def __init__(self, config: Config):
        super().__init__()
        images = kind_of(config.shape) == "images"
        if not images and config.critic_norm != "none":
            raise genzoo.BadInput(f"critic_norm={config.critic_norm} needs images")
        build = conv_discriminator if images else mlp_discriminator
        self.blocks, self.head = build(config)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> the output of each block
        return activations(self.blocks, x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


def conv_generator(config: Config) -> nn.Sequential:  # (n, latent_dim) -> (n, C, H, W)
    """Strided transposed convolutions with batch norm."""
    maps, sides = (levels[::-1] for levels in pyramid_levels(config))
    layers: list[nn.Module] = [nn.Unflatten(1, (config.latent_dim, 1, 1))]
    layers += [nn.ConvTranspose2d(config.latent_dim, maps[0], sides[0], bias=False)]
    for a, b, side in zip(maps, [*maps[1:], config.shape[0]], sides[1:], strict=True):
        layers += [nn.BatchNorm2d(a), nn.ReLU()]
        is_last = side == sides[-1]
        layers += [nn.ConvTranspose2d(a, b, kernel_size(side), 2, 1, bias=is_last)]
    layers += [nn.Tanh()]
    # With torch's own initial weights, early images show a lattice.
    return nn.Sequential(*layers).apply(initialise_convolution)


def conv_discriminator(config: Config) -> tuple[nn.ModuleList, nn.Module]:
    maps, sides = pyramid_levels(config)
    blocks = nn.ModuleList()
    for (a, b), side in zip(pairwise([config.shape[0], *maps]), sides, strict=False):
        norm = [NORMS[config.critic_norm](b)] if len(blocks) and config.critic_norm in NORMS else []
        convolution = nn.Conv2d(a, b, kernel_size(side), 2, 1, bias=not norm)
        blocks.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2)))
    return blocks, nn.Conv2d(maps[-1], 1, sides[-1])


def pyramid_levels(config: Config) -> tuple[list[int], list[int]]:
    """Feature maps per level from the image inwards, and the sides, the image's first."""
    maps, _ = pyramid(config.shape, config.width)
    levels = config.halvings or len(maps)
    sides = list(accumulate(range(levels), lambda side, _: -(-side // 2), initial=config.shape[1]))
    return [config.width * 2**i for i in range(levels)], sides


def mlp_generator(config: Config) -> nn.Sequential:  # (n, latent_dim) -> (n, *shape)
    """Three hidden layers; a hyperbolic tangent at the end for signals."""
    units = [config.latent_dim, *[config.width] * 3]
    hidden = [m for a, b in pairwise(units) for m in (nn.Linear(a, b), nn.ReLU())]
    last = [nn.Linear(config.width, math.prod(config.shape)), nn.Unflatten(1, config.shape)]
    bounded = [nn.Tanh()] if kind_of(config.shape) == "signals" else []
    return nn.Sequential(*hidden, *last, *bounded)


def mlp_discriminator(config: Config) -> tuple[nn.ModuleList, nn.Module]:
    units = [math.prod(config.shape), *[config.width] * 3]
    blocks = nn.ModuleList(
        nn.Sequential(nn.Flatten(), nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(units)
    )
    return blocks, nn.Linear(config.width, 1)


def adopt(shapes: genzoo.Shapes) -> genzoo.Adopted:
    """PyTorch-GAN's wgan and wgan_gp."""
    first, *_, last = shapes.dense(5)
    return genzoo.Adopted(
        source="the perceptron of PyTorch-GAN's wgan and wgan_gp",
        config={
            "shape": square_image(last[0]),
            "latent_dim": first[1],
            "width": first[0],
            "network": "normed",
            "norm_epsilon": 0.8,
        },
    )


@genzoo.hookimpl
def genzoo_family(name: str) -> genzoo.Family:
    clipped = name == "wgan"
    return genzoo.Family(
        config=Config,
        options=ClippedTrainOptions if clipped else TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        adopt=adopt,
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(shape=(1, 8, 8), latent_dim=4, width=4),
        paper="arXiv:1701.07875" if clipped else "arXiv:1704.00028",
        api=2,
    )
