"""Flow matching: a network learns the velocities that carry noise to images along straight lines.

Lipman et al. 2023 (arXiv:2210.02747): conditional flow matching (equation 9) with straight paths
(section 4.1, equations 20 to 23), as in the rectified flow of Liu et al. 2023 (arXiv:2209.03003).
Sampling solves the ordinary differential equation of these velocities. `ddpm` has the same U-Net.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor

import genzoo
from genzoo.models.networks import UNet
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


class FlowMatching(genzoo.Latent, genzoo.Encoder):
    """A continuous flow: the code is the noise at time 0, and the way back gives a code."""

    sampling = FlowSampling

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, math.prod(config.shape)
        if len(self.shape) != 3 or any(side % 4 for side in self.shape[1:]):
            sides = "images whose sides halve twice"
            raise genzoo.BadInput(f"flow matching needs {sides}, got {self.shape}")
        self.network = UNet(self.shape[0], config.width, scale=1000.0)

    def velocity(self, x: Tensor, t: float) -> Tensor:  # (n, *shape) -> (n, *shape)
        return self.network(x, torch.full(x.shape[:1], t, device=x.device))

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
