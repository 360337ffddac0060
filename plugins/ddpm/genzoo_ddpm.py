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
from torch import Tensor, nn

import genzoo
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


def _time_embedding(t: Tensor, width: int) -> Tensor:  # (n,) -> (n, width)
    """Times as sines and cosines (appendix B)."""
    rates = torch.exp(torch.arange(width // 2, device=t.device) * (-math.log(1e4) / (width // 2)))
    angles = t.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class Block(nn.Module):
    """A residual block with the time as a second input."""

    def __init__(self, maps: int, out: int, time_dim: int):
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, maps), nn.SiLU(), nn.Conv2d(maps, out, 3, 1, 1))
        self.time = nn.Linear(time_dim, out)
        self.second = nn.Sequential(nn.GroupNorm(8, out), nn.SiLU(), nn.Conv2d(out, out, 3, 1, 1))
        self.skip = nn.Conv2d(maps, out, 1) if maps != out else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:  # (n, maps, H, W) -> (n, out, H, W)
        return self.skip(x) + self.second(
            self.first(x) + rearrange(self.time(time), "n c -> n c 1 1")
        )


class Attention(nn.Module):
    """Self-attention: every pixel looks at every other."""

    def __init__(self, maps: int):
        super().__init__()
        self.norm, self.out = nn.GroupNorm(8, maps), nn.Conv2d(maps, maps, 1)
        self.qkv = nn.Conv2d(maps, 3 * maps, 1)

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same
        q, k, v = rearrange(self.qkv(self.norm(x)), "n (three c) h w -> three n (h w) c", three=3)
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(rearrange(h, "n (h w) c -> n c h w", h=x.shape[2]))


class UNet(nn.Module):
    """epsilon_theta on 2 by 2 pixels at once: a quarter of the paper's work at each pixel."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        w, time_dim = width, 4 * width
        self.width = width
        self.time = nn.Sequential(
            nn.Linear(w, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim), nn.SiLU()
        )
        self.enter = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, w, 3, 1, 1))
        self.down, self.shrink = Block(w, w, time_dim), nn.Conv2d(w, 2 * w, 3, 2, 1)
        self.before, self.after = Block(2 * w, 2 * w, time_dim), Block(2 * w, 2 * w, time_dim)
        self.attention, self.grow = Attention(2 * w), nn.ConvTranspose2d(2 * w, w, 4, 2, 1)
        self.up, last = Block(2 * w, w, time_dim), nn.Conv2d(w, 4 * channels, 3, 1, 1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.leave = nn.Sequential(nn.GroupNorm(8, w), nn.SiLU(), last, nn.PixelShuffle(2))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:  # (n, C, H, W), (n,) -> (n, C, H, W)
        time = self.time(_time_embedding(t, self.width))
        fine = self.down(self.enter(x), time)
        coarse = self.attention(self.before(self.shrink(fine), time))
        coarse = self.grow(self.after(coarse, time))
        return self.leave(self.up(torch.cat([fine, coarse], 1), time))


class DDPM(genzoo.Sampler):
    """The forward process q adds noise, the reverse process p removes it."""

    sampling = DDPMSampling
    alpha_bar: Tensor

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape = config.shape
        if len(self.shape) != 3 or any(side % 4 for side in self.shape[1:]):
            raise genzoo.BadInput(f"DDPM needs images whose sides halve twice, got {self.shape}")
        # Of equation 4: the share of the variance that is still the image's.
        alpha_bar = list(accumulate((1 - beta for beta in _variances(config)), mul))
        self.register_buffer("alpha_bar", torch.tensor(alpha_bar))
        self.network = UNet(self.shape[0], config.width)

    def diffuse(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:  # (n, *shape), (n,) -> x_t
        """Equation 4."""
        alpha_bar = rearrange(self.alpha_bar[t], "n -> n 1 1 1")
        return alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * noise

    def predict(self, x: Tensor, t: int, noise: Tensor) -> Tensor:  # x_t, epsilon -> x_0
        """Equation 15, clamped to the range of images as the authors do."""
        alpha_bar = self.alpha_bar[t]
        return ((x - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()).clamp(-1, 1)

    def posterior(
        self, x: Tensor, start: Tensor, t: int, to: int, eta: float
    ) -> tuple[Tensor, Tensor]:
        """Mean and deviation of x at time ``to``, given x_t and x_0: equation 7 for to = t - 1.

        For others DDIM's equations 12 and 16; ``to = -1`` is the image itself.
        """
        now = self.alpha_bar[t]
        then = self.alpha_bar[to] if to >= 0 else torch.ones_like(now)
        variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
        noise = (x - now.sqrt() * start) / (1 - now).sqrt()
        mean = then.sqrt() * start + (1 - then - variance).clamp_min(0).sqrt() * noise
        return mean, variance.sqrt()

    def generate(
        self, noise: genzoo.Noise, labels: Tensor | None, sampling: DDPMSampling
    ) -> Tensor:  # -> (n, *shape), algorithm 2
        x, last = noise.normal(*self.shape), self.config.timesteps - 1
        count = min(sampling.steps, last + 1)
        times = torch.linspace(last, 0, count).round().int().tolist()
        for t, to in pairwise([*times, -1]):
            epsilon = self.network(x, torch.full((len(x),), t, device=x.device))
            x, deviation = self.posterior(x, self.predict(x, t, epsilon), t, to, sampling.eta)
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
