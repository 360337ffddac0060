"""VAE: an encoder and a decoder, trained together on the evidence lower bound.

Kingma & Welling 2014 (arXiv:1312.6114). The likelihoods: Bernoulli and Gaussian (appendix C), and
the discretised logistic (Salimans et al. 2017, arXiv:1701.05517, section 2.1).
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
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share, Weight

# Adam moves a lone scalar by at most its rate a step, whatever the loss: give it strides.
STRIDE = 20.0


class Config(Schema):
    """Sizes, and the law of a pixel given the code."""

    shape: Shape = (1, 28, 28)
    levels: Annotated[int, Field(ge=0, le=256)] = 256
    """values that a pixel of the data takes"""
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 40
    network: Literal["mlp", "conv"] = "mlp"
    width: Annotated[int, Field(ge=1, le=4096)] = 320
    """units of a hidden layer, or feature maps next to the image"""
    likelihood: Literal["bernoulli", "logistic", "gaussian"] = "bernoulli"
    """bernoulli for binary (and, as a pseudo-likelihood, grey) data; logistic for 256 levels"""


class TrainOptions(Options):
    """Section 5 with today's optimiser; beta as in Higgins et al. 2017, equation 4."""

    batch_size: Count = 128
    lr: Rate = 1e-3
    ema_decay: Decay = 0.999
    beta: Weight = 1.0
    """weight of the divergence from the prior"""
    beta_warmup: Share = 0.1
    """share of the run in which beta rises from 0.1 of itself"""
    fit_prior: bool = True
    """sample from a Gaussian fitted to the codes (Ghosh et al. 2020, section 4)"""


def _mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Two hidden layers of gated units (Dauphin et al. 2017)."""
    first, second = nn.Linear(inputs, 2 * width), nn.Linear(width, 2 * width)
    return nn.Sequential(first, nn.GLU(), second, nn.GLU(), nn.Linear(width, outputs))


def _conv(config: Config, outwards: bool, codes: int) -> nn.Sequential:
    """Strided convolutions from the image to maps of 4 to 7 pixels, or back."""
    channels, size, _ = config.shape
    widths, layers = [channels], []
    while size % 2 == 0 and size > 7:
        widths.append(config.width * 2 ** (len(widths) - 1))
        size //= 2
    pairs = list(pairwise(widths))
    if not outwards:
        for a, b in pairs:
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.SiLU()]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * size**2, codes))
    layers = [nn.Linear(codes, widths[-1] * size**2), nn.Unflatten(1, (widths[-1], size, size))]
    for a, b in pairs[::-1]:
        layers += [nn.BatchNorm2d(b), nn.SiLU(), nn.ConvTranspose2d(b, a, 4, 2, 1)]
    return nn.Sequential(*layers)


class VAE(genzoo.Latent, genzoo.Encoder, genzoo.Density):
    """q(z | x) and p(x | z); the prior is N(mean, scale scale^T), N(0, 1) until it is fitted."""

    likelihood_kind = "bound"

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.value_range = (0.0, 1.0) if len(self.shape) == 3 else None
        # Only where the law is one over the data's own values is the bound one on a probability.
        discrete = {"bernoulli": 2, "logistic": 256}.get(config.likelihood)
        self.levels = discrete if discrete == config.levels else None
        pixels = math.prod(self.shape)
        if config.network == "conv":
            self.encoder = _conv(config, False, 2 * self.latent_dim)
            self.decoder = _conv(config, True, self.latent_dim)
        else:
            self.encoder = nn.Sequential(
                nn.Flatten(), *_mlp(pixels, config.width, 2 * self.latent_dim)
            )
            unflatten = nn.Unflatten(1, self.shape)
            self.decoder = nn.Sequential(*_mlp(self.latent_dim, config.width, pixels), unflatten)
        self.spread = nn.Parameter(torch.full((), -2 / STRIDE))
        self.register_buffer("prior_mean", torch.zeros(self.latent_dim))
        # torch.eye on the meta device, where load builds, imports torch._dynamo: seconds.
        identity = torch.zeros(self.latent_dim, self.latent_dim).fill_diagonal_(1)
        self.register_buffer("prior_scale", identity)

    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: genzoo.Noise | None = None
    ) -> Tensor:  # (n, code) -> (n, *shape), the mean
        mean = self.decoder(self.prior_mean + code @ self.prior_scale.T)
        return mean if self.value_range is None else mean.sigmoid()

    def embed(self, x: Tensor) -> Tensor:  # (n, *shape) -> (n, code)
        centred = (self.posterior(x)[0] - self.prior_mean).T
        return torch.linalg.solve_triangular(self.prior_scale, centred, upper=False).T

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:  # -> mean, log variance: (n, code)
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 8)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:  # (n, *shape), (n, code) -> (n,)
        logits, spread = self.decoder(z).float(), STRIDE * self.spread
        if self.config.likelihood == "bernoulli":
            each = -F.binary_cross_entropy_with_logits(logits, x, reduction="none")
            return each.flatten(1).sum(1)
        mean = logits if self.value_range is None else logits.sigmoid()
        if self.config.likelihood == "gaussian":
            each = -((x - mean) / spread.exp()).square() / 2 - spread - math.log(2 * math.pi) / 2
            return each.flatten(1).sum(1)
        return _discretised_logistic(x, mean, spread).flatten(1).sum(1)

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: genzoo.Noise) -> Tensor:
        mean, log_variance = self.posterior(x)
        epsilon = noise.normal(self.latent_dim)
        z = mean + (log_variance / 2).exp() * epsilon
        standard = torch.linalg.solve_triangular(
            self.prior_scale, (z - self.prior_mean).T, upper=False
        )
        prior = -standard.square().sum(0) / 2 - self.prior_scale.diagonal().log().sum()
        posterior = -(epsilon.square() + log_variance).sum(1) / 2  # the 2 pi cancel
        return self.log_likelihood(x, z) + prior - posterior

    def loss(self, batch: genzoo.Batch, options: TrainOptions) -> tuple[Tensor, genzoo.Logs]:
        """Equation 10: minus the bound, its divergence in closed form (appendix B)."""
        mean, log_variance = self.posterior(batch.x)
        z = mean + (log_variance / 2).exp() * batch.noise("code").normal(self.latent_dim)
        likelihood = self.log_likelihood(batch.x, z).mean()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        rise = min(1.0, 0.1 + 0.9 * batch.progress / max(options.beta_warmup, 1e-9))
        loss = options.beta * rise * divergence - likelihood
        return loss, {"elbo": likelihood - divergence, "divergence": divergence}


def _discretised_logistic(x: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """log of the logistic's mass on x's bin of 256; the end bins reach to infinity."""
    centred, slope = x - mean, (-spread).exp()
    above, below = slope * (centred + 0.5 / 255), slope * (centred - 0.5 / 255)
    inside = (above.sigmoid() - below.sigmoid()).clamp_min(1e-12).log()
    inside = torch.where(x > 254.5 / 255, -F.softplus(below), inside)
    return torch.where(x < 0.5 / 255, -F.softplus(-above), inside)


def trainer(model: VAE, options: TrainOptions) -> genzoo.Trainer:
    return genzoo.LossTrainer(model, lambda batch: model.loss(batch, options), options)


@torch.no_grad()
def finish(model: VAE, options: TrainOptions, batches: Iterable[Tensor]) -> None:
    """Fit the prior to the aggregate posterior: mean and covariance of codes drawn from it."""
    if not options.fit_prior:
        return
    posteriors = [model.posterior(x) for x in batches]
    mean, variance = torch.cat([m for m, _ in posteriors]), torch.cat([v for _, v in posteriors])
    covariance = torch.atleast_2d(mean.T.cov()) + variance.exp().mean(0).diag()
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:  # else codes have no law worth the name: the standard normal stays
        model.prior_mean.copy_(mean.mean(0))
        model.prior_scale.copy_(factor)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=VAE,
        trainer=trainer,
        finish=finish,
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(shape=(1, 16, 16), latent_dim=2, width=8),
        paper="arXiv:1312.6114",
        api=2,
    )
