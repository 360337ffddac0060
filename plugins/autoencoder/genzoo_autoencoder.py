"""Autoencoder: an encoder and a decoder that give back what they are shown.

Hinton & Salakhutdinov 2006 (Science 313, 504-507). No law of its codes is learnt: a decoder fed
random ones shows why a VAE has one. ``fit_prior`` fits a Gaussian to the codes after training
(Ghosh et al. 2020, arXiv:1903.12436, section 4).
"""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.options import Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape


class Config(Schema):
    """Sizes of both networks, which mirror each other."""

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
    error: Literal["squared", "cross-entropy"] = "squared"
    """between a sample and what is given back; cross-entropy for pixels from 0 to 1"""
    fit_prior: bool = False
    """sample from a Gaussian fitted to the codes, and not from standard normal ones"""


def _mlp(config: Config, outwards: bool) -> nn.Sequential:
    pixels, shape, width = math.prod(config.shape), config.shape, config.width
    ends = (config.latent_dim, pixels) if outwards else (pixels, config.latent_dim)
    layers = [nn.Linear(ends[0], width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()]
    layers.append(nn.Linear(width, ends[1]))
    return (
        nn.Sequential(*layers, nn.Unflatten(1, shape))
        if outwards
        else nn.Sequential(nn.Flatten(), *layers)
    )


def _conv(config: Config, outwards: bool) -> nn.Sequential:
    """Strided convolutions from the image to maps of 4 to 7 pixels, or back."""
    channels, size, _ = config.shape
    widths, layers = [channels], []
    while size % 2 == 0 and size > 7:
        widths.append(config.width * 2 ** (len(widths) - 1))
        size //= 2
    pairs, last = list(pairwise(widths)), (widths[-1], size, size)
    if not outwards:
        for a, b in pairs:
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.SiLU()]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(math.prod(last), config.latent_dim))
    layers = [nn.Linear(config.latent_dim, math.prod(last)), nn.Unflatten(1, last)]
    for a, b in pairs[::-1]:
        layers += [nn.BatchNorm2d(b), nn.SiLU(), nn.ConvTranspose2d(b, a, 4, 2, 1)]
    return nn.Sequential(*layers)


class Autoencoder(genzoo.Latent, genzoo.Encoder):
    """H = G o E. Random codes are N(0, 1), or N(mean, scale scale^T) once that is fitted."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.value_range = (0.0, 1.0) if len(self.shape) == 3 else None
        network = _conv if config.network == "conv" else _mlp
        self.encoder, self.decoder = network(config, False), network(config, True)
        self.register_buffer("prior_mean", torch.zeros(self.latent_dim))
        # torch.eye on the meta device, where load builds, imports torch._dynamo: seconds.
        identity = torch.zeros(self.latent_dim, self.latent_dim).fill_diagonal_(1)
        self.register_buffer("prior_scale", identity)

    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: genzoo.Noise | None = None
    ) -> Tensor:  # (n, code) -> (n, *shape)
        x = self.decoder(self.prior_mean + code @ self.prior_scale.T)
        return x if self.value_range is None else x.sigmoid()

    def embed(self, x: Tensor) -> Tensor:  # (n, *shape) -> (n, code)
        centred = (self.encoder(x).float() - self.prior_mean).T
        return torch.linalg.solve_triangular(self.prior_scale, centred, upper=False).T

    def loss(self, batch: genzoo.Batch, options: TrainOptions) -> tuple[Tensor, genzoo.Logs]:
        """The error of a sample, summed over its values."""
        back = self.decoder(self.encoder(batch.x)).float()
        if options.error == "cross-entropy" and self.value_range:
            each = F.binary_cross_entropy_with_logits(back, batch.x, reduction="none")
        else:
            each = (back.sigmoid() if self.value_range else back).sub(batch.x).square()
        return each.flatten(1).sum(1).mean(), {}


def trainer(model: Autoencoder, options: TrainOptions) -> genzoo.Trainer:
    return genzoo.LossTrainer(model, lambda batch: model.loss(batch, options), options)


@torch.no_grad()
def finish(model: Autoencoder, options: TrainOptions, batches: Iterable[Tensor]) -> None:
    """Fit the law of random codes to the mean and covariance of the data's."""
    if not options.fit_prior:
        return
    codes = torch.cat([model.encoder(x).float() for x in batches])
    factor, failed = torch.linalg.cholesky_ex(torch.atleast_2d(codes.T.cov()))
    if not failed:  # else codes have no law worth the name: the standard normal stays
        model.prior_mean.copy_(codes.mean(0))
        model.prior_scale.copy_(factor)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Autoencoder,
        trainer=trainer,
        finish=finish,
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(shape=(1, 16, 16), latent_dim=2, width=8),
        paper="doi:10.1126/science.1127647",
        api=2,
    )
