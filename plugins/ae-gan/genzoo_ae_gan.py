"""AE-GAN: a GAN that must also give back what its encoder is shown.

The game of lectures on stable GANs: with H = G o E,

    min_{G, E} max_D  E_x [log(D(x) (1 - D(H(x))))] + lambda L(x, H(x)),

and G(z) of random codes is judged beside H(x), so that there is something to draw from: the
regularisers of Che et al. 2017 (arXiv:1612.02136, section 3.1). What is missed by random codes is
missed by no encoder, so fewer modes are lost; and L slopes where D is sure, and log(1 - D) is flat.
"""

import math
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.options import Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Weight
from genzoo.training import LOSSES, make_player


class Config(Schema):
    """Sizes of the three networks; any shape will do: points, sound, pictures."""

    shape: Shape = (1, 28, 28)
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 32
    units: Count = 512
    """of each of two hidden layers, in each network"""


class TrainOptions(Options):
    """Rates as DCGAN's; ``reconstruction`` is the lambda above."""

    batch_size: Count = 128
    lr: Rate = 2e-4
    beta1: Decay = 0.5
    loss: Literal["non-saturating", "minimax"] = "non-saturating"
    discriminator_lr: Annotated[float, Field(ge=0, le=10)] = 0.0
    """of the discriminator; 0 takes the model's"""
    reconstruction: Weight = 0.1
    """lambda, of the squared error summed over a sample's values"""


def _layers(inputs: int, units: int, outputs: int) -> list[nn.Module]:
    first, second = nn.Linear(inputs, units), nn.Linear(units, units)
    slope = partial(nn.LeakyReLU, 0.2)
    return [first, slope(), second, slope(), nn.Linear(units, outputs)]


class AEGAN(genzoo.Latent, genzoo.Encoder):
    """G and E, which learn together."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.value_range = (0.0, 1.0) if len(self.shape) == 3 else None
        pixels = math.prod(self.shape)
        inwards = _layers(pixels, config.units, self.latent_dim)
        outwards = _layers(self.latent_dim, config.units, pixels)
        self.encoder = nn.Sequential(nn.Flatten(), *inwards)
        self.generator = nn.Sequential(*outwards, nn.Unflatten(1, self.shape))

    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: genzoo.Noise | None = None
    ) -> Tensor:  # (n, code) -> (n, *shape)
        x = self.generator(code)
        return x if self.value_range is None else x.sigmoid()

    def embed(self, x: Tensor) -> Tensor:  # (n, *shape) -> (n, code)
        return self.encoder(x)


class Discriminator(genzoo.Discriminator):
    """Two hidden layers."""

    def __init__(self, config: Config):
        super().__init__()
        *hidden, self.head = _layers(math.prod(config.shape), config.units, 1)
        self.hidden = nn.ModuleList(nn.Sequential(*hidden[i : i + 2]) for i in (0, 2))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> two of (n, units)
        found, x = [], x.flatten(1)
        for layer in self.hidden:
            found.append(x := layer(x))
        return found

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


class Reconstructing(genzoo.Trainer):
    """D against G(z) and H(x), half each; G and E against D, and for H(x) = x."""

    def __init__(self, model: AEGAN, discriminator: Discriminator, options: TrainOptions):
        players = {
            "generator": make_player(model, options),
            "discriminator": make_player(discriminator, options, options.discriminator_lr or None),
        }
        super().__init__(model, players)
        self.discriminator, self.loss = discriminator, LOSSES[options.loss]
        self.weight = options.reconstruction

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        return {
            **self.update("discriminator", self._discriminate, batch),
            **self.update("generator", self._generate, batch),
        }

    def fakes(self, batch: genzoo.Batch) -> tuple[Tensor, Tensor]:
        """H(x) and G(z), ``(n, *shape)`` each."""
        model = self.players["generator"].network
        back = model.decode(model.embed(batch.x))
        return back, model.generate(batch.noise("code"))

    def _discriminate(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        with torch.no_grad():
            back, drawn = self.fakes(batch)
        real, *fakes = (self.discriminator(x).float() for x in (batch.x, back, drawn))
        loss = self.loss.discriminator(real, torch.ones_like(real))
        for fake in fakes:
            loss = loss + self.loss.discriminator(fake, torch.zeros_like(fake)) / 2
        right = (real > 0).float().mean() + (fakes[1] < 0).float().mean()
        seen = {"D(x)": real, "D(H(x))": fakes[0], "D(G(z))": fakes[1]}
        return loss, {"accuracy": right / 2, **{k: v.sigmoid().mean() for k, v in seen.items()}}

    def _generate(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        back, drawn = self.fakes(batch)
        game = sum(self.loss.generator(self.discriminator(x).float()) for x in (back, drawn))
        error = (back.float() - batch.x).square().flatten(1).sum(1).mean()
        return game / 2 + self.weight * error, {"error": error}


def trainer(model: AEGAN, options: TrainOptions) -> genzoo.Trainer:
    return Reconstructing(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=AEGAN,
        discriminator=Discriminator,
        trainer=trainer,
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(shape=(1, 8, 8), latent_dim=4, units=8),
        paper="arXiv:1612.02136",
        api=2,
    )
