"""VAE: an encoder and a decoder, trained together on the evidence lower bound.

Kingma & Welling 2014 (arXiv:1312.6114): equation 10, appendices B and C. The likelihoods are
Bernoulli and Gaussian (appendix C), and the discretised logistic of Salimans et al. 2017
(arXiv:1701.05517, section 2.1). ``fit_prior`` fits the prior after training (Ghosh et al. 2020,
arXiv:1903.12436, section 4).
"""

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models import networks
from genzoo.models.flows import FittedPrior
from genzoo.options import LatentSampling, Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share, Weight
from genzoo.training import Phase

# Adam moves a scalar by at most about the learning rate per step, whatever the loss: too slow for
# the deviation of a pixel, which is therefore a parameter times this.
STRIDE = 20.0


class Config(Schema):
    """Sizes, and the distribution of a pixel given the code."""

    shape: Shape = (1, 28, 28)
    levels: Annotated[int, Field(ge=0, le=256)] = 256
    """values that a pixel of the data can take"""
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 40
    network: Literal["mlp", "conv", "relu"] = "mlp"
    """gated perceptrons, convolutions, or perceptrons of one hidden layer of ReLUs (appendix C)"""
    width: Annotated[int, Field(ge=1, le=4096)] = 320
    """units of a hidden layer, or feature maps next to the image"""
    likelihood: Literal["bernoulli", "logistic", "gaussian"] = "bernoulli"
    """bernoulli for binary data (for grey data a pseudo-likelihood), logistic for 256 levels,
    gaussian for all data, also for points"""
    couplings: Annotated[int, Field(ge=0, le=64)] = 0
    """layers of a flow from N(0, 1) to the codes (Chen et al. 2017, arXiv:1611.02731); 0: none"""
    coupling_width: Annotated[int, Field(ge=1, le=4096)] = 256
    """units of a hidden layer of each"""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """codes of samples are multiplied by it, unless the settings of sampling give another one"""


class TrainOptions(Options):
    """Section 5 with today's optimiser; beta as in Higgins et al. 2017, equation 4."""

    batch_size: Count = 128
    lr: Rate = 1e-3
    ema_decay: Decay = 0.999
    beta: Weight = 1.0
    """weight of the KL divergence from the prior"""
    beta_warmup: Share = 0.1
    """share of the run in which the weight rises from 0.1 beta to beta; 0: beta from the start"""
    fit_prior: bool = True
    """fit the distribution of codes to those of the data: a Gaussian, or the flow; else N(0, 1)"""
    prior_share: Annotated[float, Field(gt=0, le=1)] = 0.3
    """share of the run, its end, in which the flow learns alone"""


class VAESampling(LatentSampling):
    """How samples are drawn: codes from the prior, pixels from p(x | z)."""

    observation_noise: Share = 0.0
    """how much of p(x | z)'s noise is added to its mean: 0 none, 1 all, which is a draw from it"""


class VAE(FittedPrior, genzoo.Density):
    """q(z | x) and p(x | z), and a prior p(z) that is N(0, 1) until it is fitted."""

    likelihood_kind, sampling = "bound", VAESampling

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, config.shape
        self.temperature = config.temperature
        self.kind, self.value_range = networks.kind_of(self.shape), networks.unit_range(self.shape)
        # A bound on a probability needs a distribution over exactly the values that the data take.
        if discrete := {"bernoulli": 2, "logistic": 256}.get(config.likelihood):
            networks.check_bounded(self.shape, "likelihood", config.likelihood, "gaussian")
        self.levels = discrete if self.kind == "images" and discrete == config.levels else None
        if config.network == "conv":
            self.encoder = networks.conv_encoder(self.shape, config.width, 2 * self.latent_dim)
            self.decoder = networks.conv_decoder(self.latent_dim, self.shape, config.width)
        else:
            size, width = math.prod(self.shape), config.width
            kind = networks.perceptron if config.network == "relu" else networks.gated_perceptron
            self.encoder = nn.Sequential(nn.Flatten(), *kind(size, width, 2 * self.latent_dim))
            decoder = kind(self.latent_dim, width, size)
            self.decoder = nn.Sequential(*decoder, nn.Unflatten(1, self.shape))
        self.spread = nn.Parameter(torch.full((), -2 / STRIDE))
        units = config.coupling_width if config.couplings else 0
        self.add_prior(self.latent_dim, config.couplings, units)

    # (n, latent_dim) -> (n, *shape), the mean of p(x | z)
    def decode(
        self,
        code: Tensor,
        labels: Tensor | None = None,
        noise: genzoo.Noise | None = None,
        sampling: VAESampling | None = None,
    ) -> Tensor:
        mean = networks.squash(self.decoder(self.from_standard(code)), self.value_range)
        if noise is None or sampling is None or not sampling.observation_noise:
            return mean
        return mean.lerp(self.observe(mean, noise), sampling.observation_noise)

    def observe(self, mean: Tensor, noise: genzoo.Noise) -> Tensor:  # -> (n, *shape)
        """A draw from p(x | z), given its mean."""
        scale, shape = (STRIDE * self.spread).exp(), self.shape
        if self.config.likelihood == "bernoulli":
            return (noise.uniform(*shape) < mean).to(mean.dtype)
        if self.config.likelihood == "gaussian":
            x = mean + scale * noise.normal(*shape)
            return x if self.value_range is None else x.clamp(*self.value_range)
        # The logistic's quantiles, rounded to its 256 levels.
        return (mean + scale * noise.uniform(*shape).logit(1e-6)).clamp(0, 1).mul(255).round() / 255

    def embed(self, x: Tensor) -> Tensor:  # (n, *shape) -> (n, latent_dim)
        return self.to_standard(self.posterior(x)[0])

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, *shape)`` to mean and log variance of q(z | x), ``(n, latent_dim)`` each."""
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 8)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z): ``(n, *shape)`` and ``(n, latent_dim)`` to ``(n,)``."""
        logits, log_scale = self.decoder(z).float(), STRIDE * self.spread
        if self.config.likelihood == "bernoulli":  # appendix C.1
            values = -F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        elif self.config.likelihood == "gaussian":  # appendix C.2
            error = (x - networks.squash(logits, self.value_range)) / log_scale.exp()
            values = -error.square() / 2 - log_scale - math.log(2 * math.pi) / 2
        else:
            mean = networks.squash(logits, self.value_range)
            values = networks.discretised_logistic(x, mean, log_scale)
        return values.flatten(1).sum(1)

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: genzoo.Noise) -> Tensor:
        """log p(x | z) + log p(z) - log q(z | x), with z from q (section 2.2): ``(n,)``."""
        mean, log_variance = self.posterior(x)
        epsilon = noise.normal(self.latent_dim)
        z = mean + (log_variance / 2).exp() * epsilon
        posterior = -(epsilon.square() + log_variance).sum(1) / 2  # the 2 pi cancel
        return self.log_likelihood(x, z) + self.log_prior(z) - posterior

    def loss(self, batch: genzoo.Batch, options: TrainOptions) -> tuple[Tensor, genzoo.Logs]:
        """Equation 10: minus the bound, its divergence in closed form (appendix B).

        In the phase of the flow only its part of the bound, of codes that stay as they are.
        """
        mean, log_variance = self.posterior(batch.x)
        z = mean + (log_variance / 2).exp() * batch.noise("code").normal(self.latent_dim)
        if batch.phase == "prior":
            return -self.log_prior(z.detach()).mean(), {}
        likelihood = self.log_likelihood(batch.x, z).mean()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        share = options.beta_warmup
        rise = min(1.0, 0.1 + 0.9 * batch.progress / share) if share else 1.0
        loss = options.beta * rise * divergence - likelihood
        return loss, {"elbo": likelihood - divergence, "divergence": divergence}


def trainer(model: VAE, options: TrainOptions) -> genzoo.Trainer:
    if not options.fit_prior:
        model.reset_prior()
    learner = genzoo.LossTrainer(model, lambda batch: model.loss(batch, options), options)
    if model.config.couplings and options.fit_prior:
        phases = [Phase("bound", 1 - options.prior_share), Phase("prior", options.prior_share)]
        learner.phases = [phase for phase in phases if phase.share > 0]
    return learner


@torch.no_grad()
def finish(model: VAE, options: TrainOptions, batches: Iterable[Tensor]) -> None:
    """Without a flow: fit a Gaussian to the aggregate posterior, to codes drawn from it."""
    if options.fit_prior and not model.config.couplings:
        mean, log_variance = map(torch.cat, zip(*map(model.posterior, batches), strict=True))
        model.fit_prior(mean, log_variance.exp())


def adopt(shapes: genzoo.Shapes) -> genzoo.Adopted:
    """pytorch/examples' vae, and the VAE that pythae builds by default."""
    long = "encoder.layers.0.0", "encoder.embedding", "encoder.log_var"
    first, mean, log_variance = long if f"{long[0]}.weight" in shapes else ("fc1", "fc21", "fc22")
    if not {f"{first}.weight", f"{mean}.weight"} <= {*shapes}:
        raise genzoo.BadInput("expected the layers fc1, fc21 and fc22, or those of pythae")
    (units, pixels), (latent_dim, _) = shapes[f"{first}.weight"], shapes[f"{mean}.weight"]
    shape = networks.square_image(pixels)
    return genzoo.Adopted(
        source="the VAE of pytorch/examples and of pythae",
        config={"shape": shape, "width": units, "latent_dim": latent_dim, "network": "relu"},
        kept=("spread", "prior_mean", "prior_scale"),
        joined={"encoder.3": (mean, log_variance)},
        order=("encoder.layers", "encoder"),
    )


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=VAE,
        trainer=trainer,
        finish=finish,
        adopt=adopt,
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(shape=(1, 16, 16), latent_dim=2, width=8),
        paper="arXiv:1312.6114",
        api=2,
    )
