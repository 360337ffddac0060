"""BEGAN: a generator against an autoencoder, in an equilibrium that a controller keeps.

Berthelot, Schumm & Metz 2017 (arXiv:1703.10717): the losses and the controller of section 3.4, the
convergence measure of section 3.4.1, the networks of section 3.5 with one convolution for each of
the paper's two.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.laws import Law, Uniform
from genzoo.models.networks import activations, plain_decoder, plain_encoder
from genzoo.options import DiscriminatorRate, Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share
from genzoo.training import make_players


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 64, 64)
    """of a square image"""
    latent_dim: Count = 64
    """numbers of a code, and of the discriminator's code"""
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image; they double towards the code"""


class TrainOptions(Options):
    """Section 4.1: Adam at 0.0001, mini-batches of 16."""

    batch_size: Count = 16
    lr: Rate = 1e-4
    beta1: Decay = 0.5
    discriminator_lr: DiscriminatorRate = 0.0
    """learning rate of the discriminator; 0: the model's"""
    diversity: Share = 0.5
    """gamma, the error of fakes over that of data: low for fine but similar images"""
    control_rate: Share = 1e-3
    """lambda_k, with which k follows the equilibrium"""


class Generator(genzoo.Latent):
    """A code to an image: the discriminator's decoder, with weights of its own."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, config.latent_dim
        self.layers = plain_decoder(config.latent_dim, config.shape, config.width)

    def law(self) -> tuple[Law, ...]:
        return (Uniform(self.latent_dim),)

    # (n, latent_dim) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(code)


class Discriminator(genzoo.Discriminator):
    """An autoencoder."""

    def __init__(self, config: Config):
        super().__init__()
        self.encoder = plain_encoder(config.shape, config.width, config.latent_dim)
        self.decoder = plain_decoder(config.latent_dim, config.shape, config.width)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> each block's, then the code
        return activations(self.encoder, x)

    def error(self, x: Tensor) -> Tensor:
        """L of section 3.1, ``(n,)``: the mean over an image's values of |x - D(x)|."""
        return (x - self.decoder(self.encoder(x))).float().abs().flatten(1).mean(1)

    # (n, C, H, W) -> (n,), minus the error: high for data
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return -self.error(x)


class Balance(nn.Module):
    """k, how much the discriminator cares for fakes: it keeps L(G(z)) at gamma L(x)."""

    k: Tensor

    def __init__(self, diversity: float, rate: float):
        super().__init__()
        self.diversity, self.rate = diversity, rate
        self.register_buffer("k", torch.zeros(()))

    def move(self, real: Tensor, fake: Tensor) -> Tensor:
        """One step of k; returns M_global, the convergence measure (section 3.4.1)."""
        gap = self.diversity * real - fake
        self.k.add_(self.rate * gap).clamp_(0, 1)
        return real + gap.abs()


class BEGANTrainer(genzoo.Trainer):
    """Section 3.4."""

    def __init__(self, model: Generator, discriminator: Discriminator, options: TrainOptions):
        players = make_players(model, discriminator, options, options.discriminator_lr)
        self.balance = Balance(options.diversity, options.control_rate)
        super().__init__(model, players, {"balance": self.balance})
        self.generator, self.discriminator = model, discriminator

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        logs = self.update("discriminator", self._discriminator_loss, batch)
        logs |= self.update("generator", self._generator_loss, batch)
        measure = self.balance.move(logs["discriminator/L(x)"], logs["generator/loss"])
        return {**logs, "k": self.balance.k.clone(), "convergence": measure}

    def fakes(self, batch: genzoo.Batch, purpose: str) -> Tensor:  # (n, C, H, W)
        codes = self.generator.draw_code(batch.noise(purpose), self.generator.sampling())
        return self.generator.decode(codes)

    def _discriminator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        with torch.no_grad():
            fakes = self.fakes(batch, "code of D")
        real, fake = (self.discriminator.error(x).mean() for x in (batch.x, fakes))
        return real - self.balance.k * fake, {"L(x)": real, "L(G(z))": fake}

    def _generator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        return self.discriminator.error(self.fakes(batch, "code of G")).mean(), {}


def trainer(model: Generator, options: TrainOptions) -> genzoo.Trainer:
    return BEGANTrainer(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        trainer=trainer,
        tiny=Config(shape=(1, 8, 8), latent_dim=4, width=4),
        paper="arXiv:1703.10717",
        api=2,
    )
