"""GMM: a mixture of Gaussians, fitted by EM; the simplest density of images.

Dempster et al. 1977 (doi:10.1111/j.2517-6161.1977.tb01600.x): EM. Ghahramani & Hinton 1996
(technical report CRG-TR-96-1): covariances of a low rank plus a diagonal, with factors z. Cappe &
Moulines 2009 (arXiv:0712.4273): EM on batches, by running averages of the expected statistics.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn, randn

import genzoo
from genzoo import Noise
from genzoo.models.networks import kind_of, unit_range
from genzoo.options import OptimizerName, Options, Sampling
from genzoo.schemas import Count, Schema, Shape
from genzoo.training import Player, gather, make_player

TINY, START = 1e-8, -1.0  # a small number; log_deviation of a new model
Tensors = tuple[Tensor, ...]


class Config(Schema):
    """The number of Gaussians, and the rank of their covariances."""

    shape: Shape = (1, 28, 28)
    levels: Annotated[int, Field(ge=2, le=256)] = 256
    """values that a pixel of the data takes"""
    components: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Gaussians"""
    rank: Annotated[int, Field(ge=0, le=256)] = 0
    """directions of each covariance beside its diagonal; 0: the diagonal alone"""


class TrainOptions(Options):
    """EM on batches; with all data in one batch and ``lr=1`` it is the algorithm of 1977."""

    batch_size: Count = 500
    optimizer: OptimizerName = "sgd"
    lr: Annotated[float, Field(gt=0, le=1)] = 0.1
    """weight of a batch in the running averages"""
    warmup: Annotated[float, Field(ge=0, le=0)] = 0.0
    """none: each Gaussian begins at a sample of the first step, which must not have a rate of 0"""


class NoiseSampling(Sampling):
    """How far samples lie from the means."""

    temperature: Annotated[float, Field(ge=0, le=10)] = 1.0
    """standard deviations are multiplied by it: at 0 a sample is the mean of its Gaussian"""


def infer(y: Tensor, known: Tensor, mean: Tensor, loadings: Tensor, scale: Tensor) -> Tensors:
    """log p of the known values (n,), and z given them: its mean (n, rank) and precision's factor.

    y = mean + loadings z + noise, ``(n, D)``; ``known``, (n or 1, D), is 1 for known values, and
    ``scale`` the logarithm of the noise's deviation. The Gaussian may be one for all rows or one
    for each. The factor L, (n or 1, rank, rank), of the precision L L' is lower triangular.
    """
    # In any precision: 1 / variance of a narrow Gaussian is beyond float16.
    mean, loadings, scale = mean.float(), loadings.float(), scale.float()
    weight, distance = known * (-2 * scale).exp(), y - mean
    precision = loadings.mT @ (weight[:, :, None] * loadings)
    factor = torch.linalg.cholesky(precision + torch.eye(precision.shape[-1], device=y.device))
    t = ((weight * distance)[:, None] @ loadings).mT  # (n, rank, 1)
    z = torch.cholesky_solve(t, factor.expand(len(y), -1, -1))
    squares = (weight * distance.square()).sum(1) - (t * z).sum((1, 2))
    log_det = (known * (math.log(2 * math.pi) + 2 * scale)).sum(1)
    # The factor's diagonal gives half the log-determinant of the precision.
    return -(squares + log_det) / 2 - factor.diagonal(0, 1, 2).log().sum(1), z[:, :, 0], factor


def spread(factor: Tensor, e: Tensor) -> Tensor:  # standard normal e (n, rank), to z - its mean
    return torch.linalg.solve_triangular(factor.mT, e[:, :, None], upper=True)[:, :, 0]


class GMM(genzoo.Completer, genzoo.Density):
    """p(y) = sum_k weight_k N(y; mean_k, loadings_k loadings_k' + a diagonal).

    The pixels of an image are rounded: each level has its part of [0, 1], the first and the last
    one the tails, too. Given z the probability of a level is known. So with rank 0 that of an image
    is exact; else z comes from its posterior, and ``log_weight`` is a bound.
    """

    sampling = NoiseSampling

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.kind = config.shape, kind_of(config.shape)
        self.value_range, images = unit_range(config.shape), self.kind == "images"
        # A known level stands for the middle of its part, so completing images is not exact.
        self.levels, self.completes_exactly = config.levels if images else None, not images
        self.likelihood_kind = "bound" if images and config.rank else "exact"
        k, d, q = config.components, math.prod(config.shape), config.rank
        self.log_weights = nn.Parameter(torch.full((k,), -math.log(k)))
        self.mean, self.loadings = map(nn.Parameter, (torch.rand(k, d), randn(k, d, q).mul_(0.1)))
        self.log_deviation = nn.Parameter(torch.full((k, d), START))

    def infer(self, y: Tensor, known: Tensor) -> tuple[Tensor, Tensors, Tensors]:
        """log p(y, k), (n, components), and z under each Gaussian."""
        gaussians = zip(self.mean, self.loadings, self.log_deviation, strict=True)
        log_p, z, factors = zip(*(infer(y, known, *of) for of in gaussians), strict=True)
        return self.log_weights.float().log_softmax(0) + torch.stack(log_p, 1), z, factors

    def place(self, x: Tensor, position: Tensor | float) -> Tensor:  # (n, *shape) -> (n, D)
        """Pixels at a position in [0, 1) of their level; all else as it is."""
        return ((x * (self.levels - 1) + position) / self.levels if self.levels else x).flatten(1)

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        y, e = self.place(x, 0.5), noise.normal(self.config.rank)
        log_p, z, factors = self.infer(y, torch.ones_like(y[:1]))
        if self.levels:
            each = [self.log_mass(y, k, z[k] + spread(L, e), e, L) for k, L in enumerate(factors)]
            log_p = self.log_weights.float().log_softmax(0) + torch.stack(each, 1)
        return log_p.logsumexp(1)

    def log_mass(self, y: Tensor, k: int, z: Tensor, e: Tensor, factor: Tensor) -> Tensor:
        """log P, (n,), of the levels whose middles are ``y`` (n, D), given z (n, rank) in Gaussian
        k; plus log p(z) - log q(z), where z came from standard normal ``e`` by its posterior.
        """
        ratio = (e.square() - z.square()).sum(1) / 2 - factor.diagonal(0, 1, 2).log().sum(1)
        half, deviation = 0.5 / (self.levels or 1), self.log_deviation[k].float().exp()
        mean = self.mean[k].float() + z @ self.loadings[k].float().T
        a = ((y - half - mean) / deviation).masked_fill(y < 2 * half, -math.inf)
        b = ((y + half - mean) / deviation).masked_fill(y > 1 - 2 * half, math.inf)
        upper = a + b > 0  # mirrored there: small probabilities are precise, those near 1 are not
        a, b = torch.where(upper, -b, a), torch.where(upper, -a, b)
        log_b = torch.special.log_ndtr(b)
        log_ratio = (torch.special.log_ndtr(a) - log_b).clamp(max=-TINY)
        return ratio + (log_b + (-torch.expm1(log_ratio)).log()).sum(1)

    def generate(self, noise: Noise, labels: Tensor | None, sampling: NoiseSampling) -> Tensor:
        unknown = torch.zeros(len(noise), *self.shape, device=self.device)
        return self.complete(unknown, unknown, noise, labels, sampling)

    def complete(
        self, x: Tensor, mask: Tensor, noise: Noise, labels: Tensor | None, sampling: NoiseSampling
    ) -> Tensor:  # samples and a mask, 1 = known, both (n, *shape) -> (n, *shape)
        """Draws a Gaussian, z and the rest, each given the known values."""
        y, known = self.place(x, 0.5), (mask.flatten(1) > 0).float()
        k = (self.infer(y, known)[0] + noise.gumbel(self.config.components)).argmax(1)
        mean, loadings, scale = self.mean[k], self.loadings[k], self.log_deviation[k]
        _, z, factor = infer(y, known, mean, loadings, scale)
        z = z + sampling.temperature * spread(factor, noise.normal(self.config.rank))
        rest = sampling.temperature * scale.exp() * noise.normal(y.shape[1])
        y = mean + (loadings @ z[:, :, None])[:, :, 0] + rest
        y = (y * self.levels).floor() / (self.levels - 1) if self.levels else y
        return x.where(mask > 0, y.clamp(*(self.value_range or (-math.inf, math.inf))).view_as(x))


class EM(genzoo.Trainer):
    """The gradient of a squared distance is a difference: a step of gradient descent with rate lr
    goes that share of the way. So the E step averages, and the M step, at rate 1, arrives.

    The statistics of each Gaussian, with responsibility r: the means over data of r z z', r y z'
    and r y y (of this the diagonal alone), where z ends with a 1.
    """

    def __init__(self, model: GMM, options: TrainOptions):
        if (k := model.config.components) > options.batch_size:
            raise genzoo.BadInput(f"batch_size must be {k} or more: a sample for each Gaussian")
        self.statistics = averages = nn.ParameterList(implied(model))
        # The options are the averages': with a schedule or clipping, the M step would not arrive.
        m_step = Player(model, torch.optim.SGD(model.parameters(), 1.0), Options())
        super().__init__(model, {"statistics": make_player(averages, options), "model": m_step})
        # The least variance is that of a uniform place in a level; for other data a small number.
        self.gmm, self.floor = model, 1 / 12 / model.levels**2 if model.levels else TINY

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        logs = self.update("statistics", self.expect, batch)  # the E step, then the M step
        return logs | self.update("model", self.maximise, batch)

    def expect(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """In a new model each Gaussian has at first one sample, and the variance of all data."""
        with torch.no_grad(), torch.autocast(batch.x.device.type, enabled=False):
            y = self.gmm.place(batch.x, batch.noise("place").uniform(*self.gmm.shape))
            log_p, z, factors = self.gmm.infer(y, torch.ones_like(y[:1]))
            nats = y.shape[1] * math.log(self.gmm.levels or 1) - log_p.logsumexp(1).mean()
            r, variance = log_p.softmax(1), y.new_zeros(())
            if batch.step == 0:
                new = (self.statistics[0] == 0).all()
                row = torch.tensor(batch.indices or range(len(y)), device=y.device)
                r = (row[:, None] == torch.arange(r.shape[1], device=y.device)).where(new, r)
                variance = gather(y).var(0, correction=0).mean() * new
            targets = expected(y, r, z, factors, variance)
        logs = {"nats": nats, "bits/dim": nats / math.log(2) / y.shape[1]}
        return half_square(self.statistics, targets), logs

    def maximise(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        with torch.no_grad():
            zz, yz, yy = self.statistics
            weight = zz[:, -1, -1].clamp(min=TINY**2)[:, None]
            regular = zz + 1e-6 * weight[:, :, None] * torch.eye(zz.shape[1], device=zz.device)
            both = torch.linalg.solve_ex(regular, yz.mT)[0].mT  # loadings and mean
            variance = ((yy - (both * yz).sum(2)) / weight).clamp(min=self.floor)
            # One sample has no directions, so at first they stay random.
            loadings = self.gmm.loadings if batch.step == 0 else both[:, :, :-1]
        targets = weight[:, 0].log().log_softmax(0), both[:, :, -1], loadings, variance.log() / 2
        return half_square(self.gmm, targets), {}


def implied(model: GMM) -> Tensors:
    """The statistics that the parameters of a fitted model come from; of a new one all 0."""
    weight = (model.log_weights.softmax(0) * (model.log_deviation != START).any())[:, None]
    both = torch.cat([model.loadings, model.mean[:, :, None]], 2)  # E[y z'] of z that ends with 1
    yy = both.square().sum(2) + (2 * model.log_deviation).exp()
    return weight[:, :, None] * torch.eye(both.shape[2]), weight[:, :, None] * both, weight * yy


def expected(y: Tensor, r: Tensor, z: Tensors, factors: Tensors, variance: Tensor) -> Tensors:
    """The statistics of ``y`` (n, D) with responsibilities (n, components)."""
    zz, yz = list[Tensor](), list[Tensor]()
    for share, mean, factor in zip((r / len(y)).unbind(1), z, factors, strict=True):
        z1, covariance = F.pad(mean, (0, 1), value=1.0), torch.cholesky_inverse(factor[0])
        zz.append(z1.T @ (share[:, None] * z1) + F.pad(share.sum() * covariance, (0, 1, 0, 1)))
        yz.append(y.T @ (share[:, None] * z1))
    return torch.stack(zz), torch.stack(yz), r.T @ (y.square() + variance) / len(y)


def half_square(network: nn.Module, targets: Tensors) -> Tensor:
    gaps = (p - t.detach() for p, t in zip(network.parameters(), targets, strict=True))
    return torch.stack([gap.square().sum() / 2 for gap in gaps]).sum()


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=GMM,
        trainer=EM,
        tiny=Config(shape=(1, 6, 6), components=3, rank=1),
        paper="doi:10.1111/j.2517-6161.1977.tb01600.x",
        api=2,
    )
