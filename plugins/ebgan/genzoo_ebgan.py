"""EBGAN: a GAN whose discriminator is an autoencoder; its error is an energy, low for data.

Zhao, Mathieu & LeCun 2017 (arXiv:1609.03126): the losses of equations 1 and 2, the energy of
section 2.3, the pulling-away term of section 2.4.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

import genzoo
from genzoo.models.networks import activations, conv_decoder, plain_decoder, plain_encoder
from genzoo.options import DiscriminatorRate, Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Weight
from genzoo.training import gather, make_players


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 64, 64)
    """of a square image"""
    latent_dim: Count = 100
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image; they double towards the code"""
    bottleneck: Count = 64
    """numbers between the discriminator's encoder and its decoder"""


class TrainOptions(Options):
    """Adam as in DCGAN."""

    batch_size: Count = 64
    lr: Rate = 1e-3
    beta1: Decay = 0.5
    discriminator_lr: DiscriminatorRate = 0.0
    """learning rate of the discriminator; 0: the model's"""
    margin: Weight = 10.0
    """m of equation 1: the energy up to which the discriminator lifts fakes"""
    pulling_away: Weight = 0.1
    """weight of the term that keeps a batch's fakes apart; 0: EBGAN without it"""


class Generator(genzoo.Latent):
    """A code to an image, by transposed convolutions."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, config.latent_dim
        self.layers = conv_decoder(config.latent_dim, config.shape, config.width)

    # (n, latent_dim) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(code).tanh()


class Discriminator(genzoo.Discriminator):
    """An autoencoder without batch norm: an image's energy depends on no other image."""

    def __init__(self, config: Config):
        super().__init__()
        self.encoder = plain_encoder(config.shape, config.width, config.bottleneck)
        self.decoder = plain_decoder(config.bottleneck, config.shape, config.width)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> each block's, then the code
        return activations(self.encoder, x)

    def energy(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """|Dec(Enc(x)) - x|, ``(n,)``, and the code, ``(n, bottleneck)`` (section 2.3)."""
        code = self.encoder(x)
        error = (self.decoder(code) - x).float()
        return error.flatten(1).norm(dim=1), code.float()

    # (n, C, H, W) -> (n,), minus the energy: high for data
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return -self.energy(x)[0]


class EBGANTrainer(genzoo.Trainer):
    """Equations 1 and 2."""

    def __init__(self, model: Generator, discriminator: Discriminator, options: TrainOptions):
        players = make_players(model, discriminator, options, options.discriminator_lr)
        super().__init__(model, players)
        self.generator, self.discriminator, self.options = model, discriminator, options

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        return {
            **self.update("discriminator", self._discriminator_loss, batch),
            **self.update("generator", self._generator_loss, batch),
        }

    def fakes(self, batch: genzoo.Batch) -> Tensor:  # (n, C, H, W)
        return self.generator.decode(batch.noise("code").normal(self.generator.latent_dim))

    def _discriminator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Equation 1: D(x) + [m - D(G(z))]+."""
        with torch.no_grad():
            fakes = self.fakes(batch)
        real, fake = (self.discriminator.energy(x)[0] for x in (batch.x, fakes))
        loss = real + F.relu(self.options.margin - fake)
        return loss.mean(), {"energy of data": real.mean(), "energy of fakes": fake.mean()}

    def _generator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Equation 2, and the pulling-away term."""
        energy, codes = self.discriminator.energy(self.fakes(batch))
        term = pulling_away(gather(codes))
        return energy.mean() + self.options.pulling_away * term, {"pulling away": term}


def pulling_away(codes: Tensor) -> Tensor:
    """Section 2.4: the mean squared cosine of two different codes of ``(n, dim)``, n > 1."""
    n, cosines = len(codes), F.normalize(codes) @ F.normalize(codes).T
    return (cosines.square().sum() - n) / max(1, n * (n - 1))


def trainer(model: Generator, options: TrainOptions) -> genzoo.Trainer:
    return EBGANTrainer(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        trainer=trainer,
        tiny=Config(shape=(1, 8, 8), latent_dim=4, width=4, bottleneck=4),
        paper="arXiv:1609.03126",
        api=2,
    )
