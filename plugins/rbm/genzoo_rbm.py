"""RBM: black and white pixels and hidden units, joined by an energy; samples by a Markov chain.

Tieleman 2008 (doi:10.1145/1390156.1390290): persistent contrastive divergence. Salakhutdinov &
Murray 2008 (doi:10.1145/1390156.1390266): annealed importance sampling (AIS) of the normalising
constant, from the base-rate model of the pixels. The same annealing starts the samples here.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo import Noise
from genzoo.options import OptimizerName, Options, Sampling
from genzoo.schemas import Count, Rate, Schema, Shape, Share
from genzoo.training import make_player

Pair = tuple[Tensor, ...]
BLOCK = 20  # steps of the chains whose random numbers are read at once


class Config(Schema):
    """The number of hidden units."""

    shape: Shape = (1, 28, 28)
    levels: Annotated[int, Field(ge=0, le=256)] = 256
    """values that a pixel of the data can take; the model draws black and white"""
    units: Count = 500


class TrainOptions(Options):
    """Plain gradient descent whose rate falls to 0, as the method's proof of convergence asks."""

    batch_size: Count = 100
    optimizer: OptimizerName = "sgd"
    lr: Rate = 0.05
    lr_decay_start: Share = 0.0
    chains: Count = 100
    """Markov chains that run beside the training"""
    chain_steps: Annotated[int, Field(ge=1, le=1000)] = 1
    """steps of each chain in a training step"""
    ais_chains: Annotated[int, Field(ge=2, le=10_000)] = 100
    """chains of the estimate of the normalising constant, after training"""
    ais_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """distributions between the base-rate model and this one"""


class ChainSampling(Sampling):
    """How long the Markov chain of a sample is."""

    steps: Annotated[int, Field(ge=1, le=100_000)] = 500
    """of the chain: in the first half it anneals from the base-rate model to this one"""


class RBM(genzoo.Completer, genzoo.Density):
    """p(v) = sum_h exp(b v + c h + h W v) / Z, with pixels v and hidden units h of 0 and 1."""

    sampling = ChainSampling
    likelihood_kind, levels, value_range = "estimate", 2, (0.0, 1.0)
    base: Tensor
    log_z: Tensor
    log_z_error: Tensor

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape = config.shape
        if len(self.shape) != 3:
            raise genzoo.BadInput("RBM needs images: it draws each pixel black or white")
        self.pixels, self.units = math.prod(self.shape), config.units
        self.weights = nn.Parameter(torch.randn(self.units, self.pixels).mul_(0.01))
        self.hidden_bias = nn.Parameter(torch.zeros(self.units))
        self.visible_bias = nn.Parameter(torch.zeros(self.pixels))
        # Of the model without weights, until ``finish`` estimates them.
        self.register_buffer("base", torch.zeros(self.pixels))
        log_z = (self.pixels + self.units) * math.log(2)
        self.register_buffer("log_z", torch.full((), log_z))
        self.register_buffer("log_z_error", torch.zeros(()))

    def sums(self, v: Tensor) -> Tensor:  # (n, D) -> (n, hidden units)
        return F.linear(v, self.weights, self.hidden_bias)

    def log_p(self, v: Tensor, sums: Tensor, beta: float = 1.0) -> Tensor:  # -> (n,)
        """Without log Z, and with the hidden units summed out: minus the free energy.

        ``beta``: of Salakhutdinov & Murray's distributions between the base-rate model (0) and this
        one (1).
        """
        return v @ self.base.lerp(self.visible_bias, beta) + F.softplus(beta * sums).sum(1)

    def gibbs(self, sums: Tensor, uniform: Pair, beta: float = 1.0) -> Tensor:  # -> (n, D)
        """A step of the chain: the hidden units given the pixels, then the pixels given those."""
        h = (uniform[0] < (beta * sums).sigmoid()).float()
        logits = self.base.lerp(self.visible_bias, beta) + beta * (h @ self.weights)
        return (uniform[1] < logits.sigmoid()).float()

    def uniforms(self, noise: Noise, steps: int) -> Iterator[Pair]:
        """For each step (n, hidden units) and (n, D), read in blocks: single reads are slow."""
        for start in range(0, steps, BLOCK):
            block = noise.uniform(min(BLOCK, steps - start), self.units + self.pixels)
            yield from (u.split([self.units, self.pixels], 1) for u in block.unbind(1))

    def start(self, noise: Noise) -> Tensor:  # -> (n, D)
        """From the base-rate model, in which pixels are independent."""
        return (noise.uniform(self.pixels) < self.base.sigmoid()).float()

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        v = x.flatten(1)
        return self.log_p(v, self.sums(v)) - self.log_z

    def generate(self, noise: Noise, labels: Tensor | None, sampling: ChainSampling) -> Tensor:
        unknown = torch.zeros(len(noise), *self.shape, device=self.device)
        return self.complete(unknown, unknown, noise, labels, sampling)

    @torch.no_grad()
    def complete(
        self, x: Tensor, mask: Tensor, noise: Noise, labels: Tensor | None, sampling: ChainSampling
    ) -> Tensor:  # images and a mask, 1 = known, both (n, C, H, W) -> (n, C, H, W)
        """The known pixels stay in all steps, so the chain goes to p(unknown given known)."""
        known, given, v = mask.flatten(1) > 0, x.flatten(1), self.start(noise)
        for k, uniform in enumerate(self.uniforms(noise, sampling.steps), 1):
            v = torch.where(known, given, v)
            v = self.gibbs(self.sums(v), uniform, min(1.0, 2 * k / sampling.steps))
        return torch.where(known, given, v).view_as(x)

    @torch.no_grad()
    def ais(self, noise: Noise, steps: int) -> Tensor:  # -> (n,), whose mean exponential is Z
        """Log-weights of annealed importance sampling, one of each chain."""
        v = self.start(noise)
        log_w = (self.units * math.log(2) + F.softplus(self.base).sum()).expand(len(noise))
        for k, uniform in enumerate(self.uniforms(noise, steps), 1):
            sums, beta = self.sums(v), k / steps
            log_w = log_w + self.log_p(v, sums, beta) - self.log_p(v, sums, beta - 1 / steps)
            v = self.gibbs(sums, uniform, beta)
        return log_w


class Chains(nn.Module):
    """The states of the persistent chains, which a checkpoint keeps."""

    def __init__(self, n: int, pixels: int):
        super().__init__()
        self.register_buffer("v", torch.rand(n, pixels).round())


class PersistentCD(genzoo.Trainer):
    """The gradient of log p is a mean over data minus one over the model; chains that are never
    started anew stand for the model (Tieleman 2008).
    """

    def __init__(self, model: RBM, options: TrainOptions):
        chains = Chains(options.chains, model.pixels)
        super().__init__(model, {"model": make_player(model, options)}, {"chains": chains})
        self.rbm, self.chains, self.options = model, chains, options

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        v: Tensor = self.chains.v
        where = f"step {batch.step}: chains"
        noise = Noise(batch.seed, range(len(v)), where, v.device)
        with torch.no_grad():
            for uniform in self.rbm.uniforms(noise, self.options.chain_steps):
                v = self.rbm.gibbs(self.rbm.sums(v), uniform)
        self.chains.v.copy_(v)
        return self.update("model", self.loss, batch)

    def loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Its gradient is the one that is meant, its value says nothing. The log is the
        pseudo-likelihood: of a random pixel given all others, times their number.
        """
        x, rbm = batch.x.flatten(1), self.rbm
        if rbm.config.levels != 2:
            x = (batch.noise("binarisation").uniform(rbm.pixels) < x).float()
        chains, log_p = self.chains.v, rbm.log_p(x, rbm.sums(x))
        with torch.no_grad():
            pixel = (batch.noise("pixel").uniform(1) * rbm.pixels).long()
            other = x.scatter(1, pixel, 1 - x.gather(1, pixel))
            nats = rbm.pixels * F.softplus(rbm.log_p(other, rbm.sums(other)) - log_p).mean()
        loss = rbm.log_p(chains, rbm.sums(chains)).mean() - log_p.mean()
        return loss, {"pseudo_nats": nats}


@torch.no_grad()
def finish(model: RBM, options: TrainOptions, batches: Iterable[Tensor]) -> None:
    """The base rates of the pixels, and with them the estimate of log Z and its standard error."""
    x = torch.cat([batch.flatten(1) for batch in batches])
    model.base.copy_(x.mean(0).clamp(0.01, 0.99).logit())
    log_w = model.ais(Noise(0, range(options.ais_chains), "AIS", x.device), options.ais_steps)
    w = (log_w - log_w.max()).double().exp()
    model.log_z.copy_(w.mean().log() + log_w.max())
    model.log_z_error.copy_(w.std() / w.mean() / len(w) ** 0.5)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=RBM,
        trainer=PersistentCD,
        finish=finish,
        data="images",
        tiny=Config(shape=(1, 6, 6), units=12),
        paper="doi:10.1145/1390156.1390290",
        api=2,
    )
