"""Autoencoder: an encoder and a decoder that together reconstruct their input.

Hinton & Salakhutdinov 2006 (Science 313, 504-507, doi:10.1126/science.1127647). Training does not
fix the distribution of the codes, so the decoder is poor on random ones, which is what a VAE cures.
``fit_prior`` fits a Gaussian to the codes after training (Ghosh et al. 2020, arXiv:1903.12436,
section 4).
"""

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.flows import FittedPrior
from genzoo.models.networks import (
    check_bounded,
    conv_decoder,
    conv_encoder,
    kind_of,
    squash,
    unit_range,
)
from genzoo.options import Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape


class Config(Schema):
    """Sizes of the two networks, which mirror each other."""

    shape: Shape = (1, 28, 28)
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 32
    network: Literal["mlp", "conv"] = "mlp"
    width: Annotated[int, Field(ge=1, le=4096)] = 256
    """units of a hidden layer, or feature maps next to the image"""


class TrainOptions(Options):
    """Today's optimiser; the paper trained layer by layer."""

    batch_size: Count = 128
    lr: Rate = 1e-3
    ema_decay: Decay = 0.99
    loss: Literal["squared", "cross-entropy"] = "squared"
    """between a sample and its reconstruction; cross-entropy is for pixels from 0 to 1"""
    fit_prior: bool = False
    """sample codes from a Gaussian fitted to the data's codes, not from N(0, 1)"""


def _mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    first, second = nn.Linear(inputs, width), nn.Linear(width, width)
    return nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), nn.Linear(width, outputs))


class Autoencoder(FittedPrior):
    """Random codes are N(0, 1), or a Gaussian once that is fitted."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.kind, self.value_range = kind_of(self.shape), unit_range(self.shape)
        if config.network == "conv":
            self.encoder = conv_encoder(self.shape, config.width, self.latent_dim)
            self.decoder = conv_decoder(self.latent_dim, self.shape, config.width)
        else:
            size, width = math.prod(self.shape), config.width
            self.encoder = nn.Sequential(nn.Flatten(), *_mlp(size, width, self.latent_dim))
            decoder = _mlp(self.latent_dim, width, size)
            self.decoder = nn.Sequential(*decoder, nn.Unflatten(1, self.shape))
        self.add_prior(self.latent_dim)

    # (n, latent_dim) -> (n, *shape)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return squash(self.decoder(self.from_standard(code)), self.value_range)

    def embed(self, x: Tensor) -> Tensor:  # (n, *shape) -> (n, latent_dim)
        return self.to_standard(self.encoder(x).float())

    def loss(self, batch: genzoo.Batch, options: TrainOptions) -> tuple[Tensor, genzoo.Logs]:
        """The reconstruction error, summed over a sample's values."""
        logits = self.decoder(self.encoder(batch.x)).float()  # (n, *shape)
        if options.loss == "cross-entropy":
            error = F.binary_cross_entropy_with_logits(logits, batch.x, reduction="none")
        else:
            error = squash(logits, self.value_range).sub(batch.x).square()
        return error.flatten(1).sum(1).mean(), {}


def trainer(model: Autoencoder, options: TrainOptions) -> genzoo.Trainer:
    if options.loss == "cross-entropy":
        check_bounded(model.shape, "loss", options.loss, "squared")
    if not options.fit_prior:
        model.reset_prior()
    return genzoo.LossTrainer(model, lambda batch: model.loss(batch, options), options)


@torch.no_grad()
def finish(model: Autoencoder, options: TrainOptions, batches: Iterable[Tensor]) -> None:
    """Fit the distribution of random codes to the mean and covariance of the data's codes."""
    if options.fit_prior:
        model.fit_prior(torch.cat([model.encoder(x).float() for x in batches]))


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Autoencoder,
        trainer=trainer,
        finish=finish,
        revision=3,
        upgrade=genzoo.rename_fields(code="latent_dim", error="loss"),
        tiny=Config(shape=(1, 16, 16), latent_dim=2, width=8),
        paper="doi:10.1126/science.1127647",
        api=2,
    )
