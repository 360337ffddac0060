"""Flow matching: a network learns the velocities that carry noise to images along straight lines.

Lipman et al. 2023 (arXiv:2210.02747): conditional flow matching (equation 9) with straight paths
(section 4.1, equations 20 to 23), as in the rectified flow of Liu et al. 2023 (arXiv:2209.03003).
Sampling solves the ordinary differential equation of these velocities. The network is `ddpm`'s.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.options import LatentSampling, Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share, Weight

Steps = Annotated[int, Field(ge=1, le=128)]


class Config(Schema):
    """The size of the network, and how its equation is solved by default."""

    shape: Shape = (1, 28, 28)
    width: Annotated[int, Field(ge=8, le=1024, multiple_of=8)] = 32
    """feature maps at half the image's size; twice as many at a quarter"""
    steps: Steps = 8
    """steps from noise to image, and back, where a call of `sample` says nothing else"""


class TrainOptions(Options):
    """The path of section 4.1, trained at the size of a CPU."""

    batch_size: Count = 64
    lr: Rate = 1e-3
    gradient_clip: Weight = 1.0
    ema_decay: Decay = 0.995
    sigma_min: Share = 1e-4
    """deviation around an image at the end of its path (equation 20)"""


class FlowSampling(LatentSampling):
    """How the equation is solved: ``model.sample(16, steps=8, solver="midpoint")``."""

    steps: Steps | None = None
    """steps from noise (time 0) to an image (time 1), all of one length; None: the config's"""
    solver: Literal["euler", "midpoint"] = "midpoint"
    """euler: the network once a step; midpoint: twice, and an error of second order"""


def _time_embedding(t: Tensor, width: int) -> Tensor:  # (n,) -> (n, width)
    """Times from 0 to 1 as sines and cosines."""
    rates = torch.exp(torch.arange(width // 2, device=t.device) * (-math.log(1e4) / (width // 2)))
    angles = 1000 * t[:, None] * rates
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
    """v_theta on 2 by 2 pixels at once: `ddpm`'s network, so that the two can be compared."""

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


class FlowMatching(genzoo.Latent, genzoo.Encoder):
    """A continuous flow: the code is the noise at time 0, and the way back gives a code."""

    sampling = FlowSampling

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, math.prod(config.shape)
        if len(self.shape) != 3 or any(side % 4 for side in self.shape[1:]):
            sides = "images whose sides halve twice"
            raise genzoo.BadInput(f"flow matching needs {sides}, got {self.shape}")
        self.network = UNet(self.shape[0], config.width)

    def velocity(self, x: Tensor, t: float) -> Tensor:  # (n, *shape) -> (n, *shape)
        return self.network(x, torch.full((len(x),), t, device=x.device))

    def integrate(
        self, x: Tensor, start: float, end: float, sampling: FlowSampling
    ) -> Tensor:  # (n, *shape) -> (n, *shape)
        """Follow dx/dt = v(x, t), equation 1, from one time to another, forwards or back."""
        steps = sampling.steps or self.config.steps
        times = [start + (end - start) * i / steps for i in range(steps + 1)]
        for t, to in pairwise(times):
            v = self.velocity(x, t)
            if sampling.solver == "midpoint":
                v = self.velocity(x + (to - t) / 2 * v, (t + to) / 2)
            x = x + (to - t) * v
        return x

    def decode(
        self, code: Tensor, labels: Tensor | None = None, sampling: FlowSampling | None = None
    ) -> Tensor:  # (n, latent_dim) -> (n, *shape)
        x = code.unflatten(1, self.shape)
        return self.integrate(x, 0.0, 1.0, sampling or FlowSampling()).clamp(-1, 1)

    def embed(self, x: Tensor) -> Tensor:  # (n, *shape) -> (n, latent_dim)
        return self.integrate(x, 1.0, 0.0, FlowSampling()).flatten(1)

    def loss(self, batch: genzoo.Batch, sigma_min: float) -> tuple[Tensor, genzoo.Logs]:
        """Equation 23: at a random time and place of the path, the error of its velocity."""
        noise, t = batch.noise("noise").normal(*self.shape), batch.noise("time").uniform()
        at = rearrange(t, "n -> n 1 1 1")
        x = (1 - (1 - sigma_min) * at) * noise + at * batch.x
        return F.mse_loss(self.network(x, t), batch.x - (1 - sigma_min) * noise), {}


def trainer(model: FlowMatching, options: TrainOptions) -> genzoo.Trainer:
    return genzoo.LossTrainer(model, lambda batch: model.loss(batch, options.sigma_min), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=FlowMatching,
        trainer=trainer,
        data="images",
        tiny=Config(shape=(1, 8, 8), width=8, steps=2),
        paper="arXiv:2210.02747",
        api=2,
    )
