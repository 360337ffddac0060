"""AC-GAN: a GAN whose discriminator also tells the class, of data and of fakes.

Odena, Olah & Shlens 2017 (arXiv:1610.09585): the two log-likelihoods of section 3, equations 2 and
3; the training of appendix A. The networks are DCGAN's (arXiv:1511.06434) with the dropout of
appendix A; the discriminator's last layer tells source and class.
"""

from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import activations, initialise_convolution, pyramid
from genzoo.options import AdversarialOptions
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Weight


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 32, 32)
    """of a square image: 4 to 7 pixels times a power of two"""
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10
    latent_dim: Count = 100
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image; they double towards the code"""
    dropout: Decay = 0.5
    """in the discriminator"""


class TrainOptions(AdversarialOptions):
    """Appendix A: Adam at 0.0002 with momentum 0.5, mini-batches of 100."""

    batch_size: Count = 100
    lr: Rate = 2e-4
    beta1: Decay = 0.5
    class_weight: Weight = 1.0
    """of the class's log-likelihood L_C, in both players' objectives"""


class Generator(genzoo.Latent):
    """Code and class side by side to an image, by transposed convolutions."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, config.latent_dim
        self.num_classes = config.classes
        maps, side = pyramid(config.shape, config.width)
        inputs, maps = config.latent_dim + config.classes, maps[::-1]
        layers: list[nn.Module] = [nn.Linear(inputs, maps[0] * side**2, bias=False)]
        layers += [nn.Unflatten(1, (maps[0], side, side))]
        for a, b in pairwise([*maps, config.shape[0]]):
            layers += [nn.BatchNorm2d(a), nn.ReLU(), nn.ConvTranspose2d(a, b, 4, 2, 1)]
        self.layers = nn.Sequential(*layers, nn.Tanh()).apply(initialise_convolution)

    # (n, latent_dim), (n,) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        classes = F.one_hot(labels, self.num_classes).to(code.dtype)
        return self.layers(torch.cat([code, classes], 1))


class Discriminator(genzoo.Discriminator):
    """An image to a logit, and to a logit for each class; it is not given the class."""

    def __init__(self, config: Config):
        super().__init__()
        self.num_classes = config.classes
        maps, side = pyramid(config.shape, config.width)
        self.blocks = nn.ModuleList()
        for i, (a, b) in enumerate(pairwise([config.shape[0], *maps])):
            norm = nn.BatchNorm2d(b) if i else nn.Identity()
            layers = nn.Conv2d(a, b, 4, 2, 1), norm, nn.LeakyReLU(0.2), nn.Dropout(config.dropout)
            self.blocks.append(nn.Sequential(*layers))
        self.head = nn.Conv2d(maps[-1], 1 + config.classes, side)
        self.apply(initialise_convolution)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> maps, each half as large
        return activations(self.blocks, x)

    # (n, C, H, W) -> (n,), log P(data | x) - log P(fake | x)
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.head(self.features(x)[-1])[:, 0].flatten()

    def class_logits(self, h: Tensor) -> Tensor:
        """The last of x's features to ``(n, classes)``: log P(C | x), up to a constant."""
        return self.head(h)[:, 1:].flatten(1)


def trainer(model: Generator, options: TrainOptions) -> genzoo.Trainer:
    """Section 3: D maximises L_S + L_C, and G maximises L_C - L_S."""
    discriminator, weight = Discriminator(model.config), options.class_weight

    def error(h: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """One part of -L_C, and the share of right classes."""
        assert labels is not None
        logits = discriminator.class_logits(h).float()
        return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()

    def of_fakes(game: genzoo.training.Game) -> tuple[Tensor, genzoo.Logs]:
        loss, right = error(game.maps[-1], game.batch.labels)
        return weight * loss, {"class accuracy": right}

    def of_data(game: genzoo.training.Game) -> tuple[Tensor, genzoo.Logs]:
        loss, right = error(game.real_maps[-1], game.batch.labels)
        return weight * loss, {"class accuracy of data": right}

    terms = {"generator": [of_fakes], "discriminator": [of_data, of_fakes]}
    return genzoo.Adversarial(model, discriminator, options, terms=terms)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        trainer=trainer,
        data="labelled",
        tiny=Config(shape=(1, 8, 8), classes=3, latent_dim=4, width=4),
        paper="arXiv:1610.09585",
        api=2,
    )
