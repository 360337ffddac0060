"""VAE-GAN: a VAE whose decoder is a GAN's generator, and whose error is that of the discriminator's
features.

Larsen, Sonderby, Larochelle & Winther 2016 (arXiv:1512.09300): section 2.3 and algorithm 1. The
decoder maximises log D of its images, the form for strong gradients (Goodfellow et al. 2014,
section 3).
"""

from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import (
    activations,
    conv_decoder,
    conv_encoder,
    initialise_convolution,
    pyramid,
)
from genzoo.options import DiscriminatorRate, OptimizerName, Options
from genzoo.schemas import Count, Rate, Schema, Shape, Weight
from genzoo.training import LOSSES, make_player


class Config(Schema):
    """Sizes of the three networks."""

    shape: Shape = (3, 64, 64)
    """of a square image: 4 to 7 pixels times a power of two"""
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 128
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image; they double towards the code"""


class TrainOptions(Options):
    """Section 4: RMSprop at 0.0003, mini-batches of 64."""

    batch_size: Count = 64
    optimizer: OptimizerName = "rmsprop"
    lr: Rate = 3e-4
    discriminator_lr: DiscriminatorRate = 0.0
    """learning rate of the discriminator; 0: the model's"""
    reconstruction_weight: Weight = 1e-3
    """gamma, the weight of the error in the decoder's loss, beside the game"""


class VAEGAN(genzoo.Latent, genzoo.Encoder):
    """q(z | x), a Gaussian, and the decoder, which is the generator."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, config.latent_dim
        self.encoder = conv_encoder(self.shape, config.width, 2 * self.latent_dim)
        self.decoder = conv_decoder(self.latent_dim, self.shape, config.width)

    # (n, latent_dim) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decoder(code).tanh()

    def embed(self, x: Tensor) -> Tensor:  # (n, C, H, W) -> (n, latent_dim), the mean of q(z | x)
        return self.posterior(x)[0]

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, C, H, W)`` to mean and log variance of q(z | x), ``(n, latent_dim)`` each."""
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 8)


class Discriminator(genzoo.Discriminator):
    """Strided convolutions; the last maps are those in which the error is measured."""

    def __init__(self, config: Config):
        super().__init__()
        maps, side = pyramid(config.shape, config.width)
        self.blocks = nn.ModuleList()
        for i, (a, b) in enumerate(pairwise([config.shape[0], *maps])):
            norm = nn.BatchNorm2d(b) if i else nn.Identity()
            self.blocks.append(nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), norm, nn.LeakyReLU(0.2)))
        self.head = nn.Conv2d(maps[-1], 1, side)
        self.apply(initialise_convolution)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> maps, each half as large
        return activations(self.blocks, x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, C, H, W) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


class VAEGANTrainer(genzoo.Trainer):
    """Algorithm 1: each network has its own part of the three losses."""

    def __init__(self, model: VAEGAN, discriminator: Discriminator, options: TrainOptions):
        players = {
            "encoder": make_player(model.encoder, options),
            "decoder": make_player(model.decoder, options),
            "discriminator": make_player(discriminator, options, options.discriminator_lr),
        }
        super().__init__(model, players)
        self.vae, self.discriminator = model, discriminator
        self.game, self.weight = LOSSES["non-saturating"], options.reconstruction_weight

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        return {
            **self.update("discriminator", self._discriminator_loss, batch),
            **self.update("encoder", self._encoder_loss, batch),
            **self.update("decoder", self._decoder_loss, batch),
        }

    def reconstruction(self, batch: genzoo.Batch) -> tuple[Tensor, Tensor]:
        """x's reconstruction by a code from q(z | x), ``(n, C, H, W)``, and q's divergence from
        N(0, 1), ``(n,)`` nats.
        """
        mean, log_variance = self.vae.posterior(batch.x)
        noise = batch.noise("posterior").normal(self.vae.latent_dim)
        z = mean + (log_variance / 2).exp() * noise
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return self.vae.decode(z), divergence

    def sample(self, batch: genzoo.Batch) -> Tensor:
        """Images of codes from the prior, ``(n, C, H, W)``."""
        return self.vae.decode(batch.noise("prior").normal(self.vae.latent_dim))

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, C, H, W)`` to the maps of the error and the logits, ``(n,)``."""
        maps = self.discriminator.features(x)[-1]
        return maps.float(), self.discriminator.head(maps).float().flatten()

    def _discriminator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """-L_GAN: images of both kinds of codes are fakes."""
        with torch.no_grad():
            fakes = self.reconstruction(batch)[0], self.sample(batch)
        real, *fake = (self.judge(x)[1] for x in (batch.x, *fakes))  # (n,) each
        loss = self.game.discriminator(real, torch.ones_like(real))
        for logits in fake:
            loss = loss + self.game.discriminator(logits, torch.zeros_like(logits))
        logits_of = {"D(x)": real, "D(G(E(x)))": fake[0], "D(G(z))": fake[1]}
        return loss, {name: logits.sigmoid().mean() for name, logits in logits_of.items()}

    def _encoder_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """L_prior + L_llike; the game does not reach the encoder."""
        x, divergence = self.reconstruction(batch)
        error = feature_error(self.judge(batch.x)[0], self.judge(x)[0])
        return divergence.mean() + error, {"divergence": divergence.mean(), "error": error}

    def _decoder_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """gamma L_llike - L_GAN."""
        with torch.no_grad():
            maps, _ = self.judge(batch.x)
        found, logits = self.judge(self.reconstruction(batch)[0])
        _, others = self.judge(self.sample(batch))
        error = feature_error(maps, found)
        game = self.game.generator(logits) + self.game.generator(others)
        return self.weight * error + game, {"game": game}


def feature_error(maps: Tensor, found: Tensor) -> Tensor:
    """-log N(maps | found, 1) without its constant: the mean over images of ``(n, ...)`` maps."""
    return (maps - found).square().flatten(1).sum(1).mean() / 2


def trainer(model: VAEGAN, options: TrainOptions) -> genzoo.Trainer:
    return VAEGANTrainer(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=VAEGAN,
        discriminator=Discriminator,
        trainer=trainer,
        tiny=Config(shape=(1, 8, 8), latent_dim=4, width=4),
        paper="arXiv:1512.09300",
        api=2,
    )
