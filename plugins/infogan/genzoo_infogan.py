"""InfoGAN: a GAN whose code has parts with a meaning, which a network can read off its images.

Chen et al. 2016 (arXiv:1606.03657): the code of section 7.2, the bound on the mutual information of
section 5, the networks of appendix C.1.
"""

import math
from typing import Annotated

from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.laws import Categorical, Law, Normal, Uniform
from genzoo.models.networks import activations
from genzoo.options import AdversarialOptions, DiscriminatorRate
from genzoo.schemas import Channels, Count, Decay, Rate, Schema, Weight


class Config(Schema):
    """The parts of the code, and the sizes of both networks."""

    channels: Channels = 1
    size: Annotated[int, Field(ge=8, le=64, multiple_of=4)] = 28
    noise_dim: Count = 62
    """numbers of the code without a meaning"""
    categories: Annotated[int, Field(ge=2, le=1000)] = 10
    """of the part of the code that is one of several"""
    continuous: Count = 2
    """numbers of the code that are uniform on (-1, 1)"""
    width: Annotated[int, Field(ge=1, le=512)] = 64
    """feature maps next to the image; twice as many at a quarter of its size"""
    units: Count = 1024
    """of the dense layers"""
    dense_norm: bool = True
    """batch norm in the discriminator's dense layer, as in the paper; it takes the mean of each
    batch away, of data and of fakes alike, and a narrow discriminator then learns slowly"""


class TrainOptions(AdversarialOptions):
    """Section 6, and the experiment with MNIST (appendix C.1)."""

    batch_size: Count = 128
    lr: Rate = 1e-3
    discriminator_lr: DiscriminatorRate = 2e-4
    beta1: Decay = 0.5
    category_weight: Weight = 1.0
    """lambda of equation 6, for the category"""
    continuous_weight: Weight = 0.1
    """lambda of equation 6, for the continuous numbers"""


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), as in DCGAN, whose networks these are."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)


class Generator(genzoo.Latent):
    """A code (z, c) to an image."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape = (config.channels, config.size, config.size)
        self.latent_dim = config.noise_dim + config.categories + config.continuous
        w, units, side = config.width, config.units, config.size // 4
        self.layers = nn.Sequential(
            *(nn.Linear(self.latent_dim, units), nn.BatchNorm1d(units), nn.ReLU()),
            *(nn.Linear(units, 2 * w * side**2), nn.BatchNorm1d(2 * w * side**2), nn.ReLU()),
            nn.Unflatten(1, (2 * w, side, side)),
            *(nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.BatchNorm2d(w), nn.ReLU()),
            *(nn.ConvTranspose2d(w, config.channels, 4, 2, 1), nn.Tanh()),
        ).apply(_initialise)

    def law(self) -> tuple[Law, ...]:
        c = self.config
        return Normal(c.noise_dim), Categorical(c.categories), Uniform(c.continuous)

    # (n, latent_dim) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(code)


class Discriminator(genzoo.Discriminator):
    """D, and Q, which shares all of D's layers but the last ones (section 6)."""

    def __init__(self, config: Config):
        super().__init__()
        w, units, side = config.width, config.units, config.size // 4
        norm = nn.BatchNorm1d(units) if config.dense_norm else nn.Identity()
        self.blocks = nn.Sequential(
            nn.Sequential(nn.Conv2d(config.channels, w, 4, 2, 1), nn.LeakyReLU(0.1)),
            nn.Sequential(nn.Conv2d(w, 2 * w, 4, 2, 1), nn.BatchNorm2d(2 * w), nn.LeakyReLU(0.1)),
            nn.Sequential(
                nn.Flatten(),
                *(nn.Linear(2 * w * side**2, units), norm, nn.LeakyReLU(0.1)),
            ),
        )
        self.head = nn.Linear(units, 1)
        self.parts = [config.categories, config.continuous, config.continuous]
        self.q = nn.Sequential(
            *(nn.Linear(units, 128), nn.BatchNorm1d(128), nn.LeakyReLU(0.1)),
            nn.Linear(128, sum(self.parts)),
        )
        self.apply(_initialise)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> the output of each block
        return activations(self.blocks, x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, C, H, W) -> (n,)
        return rearrange(self.head(self.features(x)[-1]), "n 1 -> n")

    def log_q(self, h: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """log Q(c | x), ``(n,)`` nats, of the category and of the continuous numbers: their Q is
        normal. ``h``: the last of x's features; ``code``: ``(n, latent_dim)``.
        """
        logits, mean, log_scale = self.q(h).split(self.parts, 1)
        category, numbers = code[:, -sum(self.parts[:2]) :].split(self.parts[:2], 1)
        errors = (numbers - mean) / log_scale.exp()
        log_normal = -(errors.square() + math.log(2 * math.pi)) / 2 - log_scale
        return (category * logits.log_softmax(1)).sum(1), log_normal.sum(1)


def trainer(model: Generator, options: TrainOptions) -> genzoo.Trainer:
    """Equation 6: G, D and Q share a term, the information that x holds about c."""
    discriminator, config = Discriminator(model.config), model.config
    entropies = math.log(config.categories), config.continuous * math.log(2)  # H(c)

    def information(game: genzoo.training.Game) -> tuple[Tensor, genzoo.Logs]:
        log_q = discriminator.log_q(game.maps[-1], game.codes)
        one, two = (q.mean() + h for q, h in zip(log_q, entropies, strict=True))  # equation 5
        loss = -options.category_weight * one - options.continuous_weight * two
        return loss, {"information": one, "continuous information": two}

    terms = {"generator": [information], "discriminator": [information]}
    return genzoo.Adversarial(model, discriminator, options, terms=terms)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        trainer=trainer,
        tiny=Config(size=8, noise_dim=4, categories=3, width=4, units=16),
        paper="arXiv:1606.03657",
        api=2,
    )
