"""DDPM: a network learns to remove noise from images, a little at each of many steps.

Ho et al. 2020 (arXiv:2006.11239), with the cosine schedule of Nichol & Dhariwal 2021
(arXiv:2102.09672) and steps that skip, after Song et al. 2021 (DDIM, arXiv:2010.02502). Times are
counted from 0 here, from 1 in the paper.
"""

import math
from itertools import accumulate, pairwise
from operator import mul
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor

import genzoo
from genzoo.models.networks import UNet
from genzoo.options import Options, Sampling
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share, Weight


class Config(Schema):
    """The schedule and the size of the network."""

    shape: Shape = (1, 28, 28)
    timesteps: Annotated[int, Field(ge=2, le=4000)] = 1000
    """T of the paper: steps of the forward process"""
    schedule: Literal["linear", "cosine"] = "linear"
    width: Annotated[int, Field(ge=8, le=1024, multiple_of=8)] = 32
    """feature maps at half the image's size; twice as many at a quarter"""


class TrainOptions(Options):
    """Section 4 and appendix B at the size of a CPU."""

    batch_size: Count = 64
    lr: Rate = 1e-3
    gradient_clip: Weight = 1.0
    ema_decay: Decay = 0.995


class DDPMSampling(Sampling):
    """How the process is walked back: ``model.sample(16, steps=20, eta=0.0)``."""

    steps: Annotated[int, Field(ge=1, le=4000)] = 50
    """timesteps that sampling passes, at most T; all of them are the paper's algorithm 2"""
    eta: Share = 1.0
    """noise added on the way back: 1 as in the paper, 0 none (DDIM)"""


def _variances(config: Config) -> list[float]:
    """beta_t: linear (section 4), or cosine (Nichol & Dhariwal 2021, equation 17)."""
    times = config.timesteps
    if config.schedule == "linear":
        # The paper's ends are for 1000 times: of fewer, each must add more.
        betas = [(1e-4 + 0.0199 * t / (times - 1)) * 1000 / times for t in range(times)]
    else:
        angles = [(t / times + 0.008) / 1.008 * math.pi / 2 for t in range(times + 1)]
        betas = [1 - (math.cos(b) / math.cos(a)) ** 2 for a, b in pairwise(angles)]
    return [min(0.999, beta) for beta in betas]


class DDPM(genzoo.Stepwise):
    """The forward process q adds noise, the reverse process p removes it."""

    sampling = DDPMSampling
    step_outputs = "mean", "deviation"
    alpha_bar: Tensor

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape = config.shape
        if len(self.shape) != 3 or any(side % 4 for side in self.shape[1:]):
            raise genzoo.BadInput(f"DDPM needs images whose sides halve twice, got {self.shape}")
        # Of equation 4: the share of the variance that is still the image's.
        alpha_bar = list(accumulate((1 - beta for beta in _variances(config)), mul))
        self.register_buffer("alpha_bar", torch.tensor(alpha_bar))
        # epsilon_theta on 2 by 2 pixels at once: a quarter of the paper's work at each pixel.
        self.network = UNet(self.shape[0], config.width)

    def share(self, t: Tensor) -> Tensor:  # (n,) -> (n, 1, 1, 1)
        """alpha_bar of each time; 1 at time -1, of the image itself."""
        alpha_bar = torch.where(t >= 0, self.alpha_bar[t.clamp_min(0)], 1.0)
        return rearrange(alpha_bar, "n -> n 1 1 1")

    def diffuse(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:  # (n, *shape), (n,) -> x_t
        """Equation 4."""
        alpha_bar = self.share(t)
        return alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * noise

    def predict(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:  # x_t, epsilon -> x_0
        """Equation 15, clamped to the range of images as the authors do."""
        alpha_bar = self.share(t)
        return ((x - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()).clamp(-1, 1)

    def posterior(
        self, x: Tensor, start: Tensor, t: Tensor, to: Tensor, eta: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Mean and deviation of x at time ``to``, given x_t and x_0: equation 7 for to = t - 1.

        For others DDIM's equations 12 and 16; ``to = -1`` is the image itself.
        """
        now, then = self.share(t), self.share(to)
        variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
        noise = (x - now.sqrt() * start) / (1 - now).sqrt()
        mean = then.sqrt() * start + (1 - then - variance).clamp_min(0).sqrt() * noise
        return mean, variance.sqrt()

    # (n, *shape), (n,), (n,), a number -> (n, *shape), (n, 1, 1, 1)
    def step(
        self, x: Tensor, time: Tensor, to: Tensor, eta: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Mean and deviation of x at time ``to``, given x at ``time``; images are in [-1, 1]."""
        start = self.predict(x, time, self.network(x, time))
        return self.posterior(x, start, time, to, eta)

    def step_inputs(self, noise: genzoo.Noise) -> tuple[Tensor, ...]:
        last = torch.full((len(noise),), self.config.timesteps - 1)
        return noise.normal(*self.shape), last, last // 2, torch.tensor(1.0)

    def effective_sampling(self, sampling: DDPMSampling) -> DDPMSampling:
        """At most T steps."""
        steps = min(sampling.steps, self.config.timesteps)
        return sampling.model_copy(update={"steps": steps})

    def generate(
        self, noise: genzoo.Noise, labels: Tensor | None, sampling: DDPMSampling
    ) -> Tensor:  # -> (n, *shape), algorithm 2
        x, last = noise.normal(*self.shape), self.config.timesteps - 1
        count = min(sampling.steps, last + 1)
        times = torch.linspace(last, 0, count).round().int().tolist()
        for t, to in pairwise([*times, -1]):
            now, then = (torch.full((len(x),), time, device=x.device) for time in (t, to))
            x, deviation = self.step(x, now, then, sampling.eta)
            if to >= 0:
                x = x + deviation * noise.normal(*self.shape)
        return x

    def loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """L_simple (equation 14), algorithm 1."""
        t = (batch.noise("time").uniform() * self.config.timesteps).long()
        noise = batch.noise("noise").normal(*self.shape)
        return F.mse_loss(self.network(self.diffuse(batch.x, t, noise), t), noise), {}


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=DDPM,
        trainer=lambda model, options: genzoo.LossTrainer(model, model.loss, options),
        data="images",
        tiny=Config(shape=(1, 8, 8), timesteps=4, width=8),
        paper="arXiv:2006.11239",
        api=2,
    )
