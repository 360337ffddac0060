"""AE-GAN: a GAN whose generator must also reconstruct the data from an encoder's codes.

The game of lectures on stable GANs. With the reconstruction H = G o E,

    min_{G, E} max_D  E_x [log(D(x) (1 - D(H(x))))] + lambda L(x, H(x)),

and D sees G(z) of random codes besides H(x), so that the model can sample. These are the
regularisers of Che et al. 2017 (arXiv:1612.02136, sections 3.1 and 3.2). The encoder maps every
mode of the data to some code, so fewer modes are lost; and L has a gradient where D is certain and
that of log(1 - D) has vanished. E and G stand in one model here, and are updated together.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import activations, kind_of, squash, unit_range
from genzoo.options import DiscriminatorRate, Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Weight
from genzoo.training import LOSSES, make_players


class Config(Schema):
    """Sizes of the three networks. Samples may have any shape: points, sound, images."""

    shape: Shape = (1, 28, 28)
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 32
    units: Count = 512
    """in each of two hidden layers of each network"""


class TrainOptions(Options):
    """Adam as in DCGAN."""

    batch_size: Count = 128
    lr: Rate = 2e-4
    beta1: Decay = 0.5
    loss: Literal["non-saturating", "minimax"] = "non-saturating"
    discriminator_lr: DiscriminatorRate = 0.0
    """learning rate of the discriminator; 0: the model's"""
    reconstruction_weight: Weight = 0.1
    """lambda, the weight of the squared error summed over a sample's values"""


def _layers(inputs: int, units: int, outputs: int) -> list[nn.Module]:
    first, second, last = (
        nn.Linear(inputs, units),
        nn.Linear(units, units),
        nn.Linear(units, outputs),
    )
    return [first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), last]


class AEGAN(genzoo.Latent, genzoo.Encoder):
    """The generator G (``decode``) and the encoder E (``embed``)."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.kind, self.value_range = kind_of(self.shape), unit_range(self.shape)
        size = math.prod(self.shape)
        encoder = _layers(size, config.units, self.latent_dim)
        generator = _layers(self.latent_dim, config.units, size)
        self.encoder = nn.Sequential(nn.Flatten(), *encoder)
        self.generator = nn.Sequential(*generator, nn.Unflatten(1, self.shape))

    # (n, latent_dim) -> (n, *shape)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return squash(self.generator(code), self.value_range)

    def embed(self, x: Tensor) -> Tensor:  # (n, *shape) -> (n, latent_dim)
        return self.encoder(x)


class Discriminator(genzoo.Discriminator):
    """Two hidden layers."""

    def __init__(self, config: Config):
        super().__init__()
        *hidden, self.head = _layers(math.prod(config.shape), config.units, 1)
        self.hidden = nn.ModuleList(nn.Sequential(*hidden[i : i + 2]) for i in (0, 2))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> two of (n, units)
        return activations(self.hidden, x.flatten(1))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


class AEGANTrainer(genzoo.Trainer):
    """D against G(z) and H(x), which weigh half each; then G and E against D, and for H(x) = x."""

    def __init__(self, model: AEGAN, discriminator: Discriminator, options: TrainOptions):
        players = make_players(model, discriminator, options, options.discriminator_lr)
        super().__init__(model, players)
        self.autoencoder, self.discriminator = model, discriminator
        self.loss, self.weight = LOSSES[options.loss], options.reconstruction_weight

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        return {
            **self.update("discriminator", self._discriminator_loss, batch),
            **self.update("generator", self._generator_loss, batch),
        }

    def fakes(self, batch: genzoo.Batch) -> tuple[Tensor, Tensor]:
        """H(x) and G(z), ``(n, *shape)`` each."""
        reconstruction = self.autoencoder.decode(self.autoencoder.embed(batch.x))
        return reconstruction, self.autoencoder.generate(
            batch.noise("code"), None, self.autoencoder.sampling()
        )

    def _discriminator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        with torch.no_grad():
            fakes = self.fakes(batch)
        real, *fake = (self.discriminator(x).float() for x in (batch.x, *fakes))  # (n,) each
        loss = self.loss.discriminator(real, torch.ones_like(real))
        for logits in fake:
            loss = loss + self.loss.discriminator(logits, torch.zeros_like(logits)) / 2
        correct = (real > 0).float().mean() + (fake[1] < 0).float().mean()
        logits_of = {"D(x)": real, "D(H(x))": fake[0], "D(G(z))": fake[1]}
        logs = {name: logits.sigmoid().mean() for name, logits in logits_of.items()}
        return loss, {"accuracy": correct / 2, **logs}

    def _generator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        fakes = self.fakes(batch)
        game = sum(self.loss.generator(self.discriminator(x).float()) for x in fakes)
        error = (fakes[0].float() - batch.x).square().flatten(1).sum(1).mean()
        return game / 2 + self.weight * error, {"error": error}


def trainer(model: AEGAN, options: TrainOptions) -> genzoo.Trainer:
    return AEGANTrainer(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=AEGAN,
        discriminator=Discriminator,
        trainer=trainer,
        revision=3,
        upgrade=genzoo.rename_fields(code="latent_dim", reconstruction="reconstruction_weight"),
        tiny=Config(shape=(1, 8, 8), latent_dim=4, units=8),
        paper="arXiv:1612.02136",
        api=2,
    )
