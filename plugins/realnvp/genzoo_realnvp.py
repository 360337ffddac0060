"""RealNVP: an invertible network, so that a density is its code's times a determinant.

Dinh et al. 2017 (arXiv:1605.08803): affine coupling layers (section 3.2), masks over a checkerboard
and over channels (3.4), squeezing and factoring out (3.6), logits of dequantised pixels (4.1). No
batch normalisation (3.7): each coupling begins as the identity, which is steady enough.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.flows import Coupling
from genzoo.options import Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Weight

MARGIN = 0.05  # alpha of section 4.1, kept from both ends: a logit is finite between them


class Config(Schema):
    """Sizes of the flow; ``shape`` is an image's, or (d,) for points."""

    shape: Shape = (1, 28, 28)
    levels: Annotated[int, Field(ge=2, le=256)] = 256
    """values that a pixel of the data takes"""
    scales: Annotated[int, Field(ge=1, le=5)] = 2
    """halvings of an image's sides"""
    couplings: Annotated[int, Field(ge=2, le=64)] = 4
    """coupling layers of each kind of mask, at each scale"""
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps, or units, of the networks s and t"""


class TrainOptions(Options):
    """Section 4.1's optimiser, at small batches."""

    batch_size: Count = 32
    lr: Rate = 1e-3
    gradient_clip: Weight = 1.0
    ema_decay: Decay = 0.995


def _couplings(shape: tuple[int, ...], config: Config) -> nn.ModuleList:
    """What one layer leaves unchanged, the next one changes (section 3.5).

    A squeezed channel is one pixel of each 2 by 2, so that a mask over channels can be a
    checkerboard: the first and the last of each four. Halves of the channels come after it.
    """
    channels = range(shape[0])
    kinds = [[c % 4 in (0, 3) for c in channels], [c < len(channels) // 2 for c in channels]]
    if len(shape) == 1:
        kinds = [[c % 2 == 0 for c in channels]]
    masks = [[float(m ^ i % 2) for m in kind] for kind in kinds for i in range(config.couplings)]
    return nn.ModuleList(Coupling(shape, mask, config.width) for mask in masks)


class RealNVP(genzoo.Latent, genzoo.Encoder, genzoo.Density):
    """z = f(x) is standard normal. For points, ``log_weight`` is exact.

    For images it is a bound: a pixel's probability is the density's integral over its level, and
    the log-density at a uniform position there is on average below the integral's logarithm
    (Theis et al. 2016, arXiv:1511.01844, section 3.1).
    """

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, math.prod(config.shape)
        self.squeezes = len(config.shape) == 3
        self.kind = "images" if self.squeezes else "points"
        halves = self.squeezes and not any(n % 2**config.scales for n in config.shape[1:])
        if not halves and not (len(config.shape) == 1 and self.latent_dim > 1):
            expected = f"points, or images whose sides halve {config.scales} times"
            raise genzoo.BadInput(f"RealNVP needs {expected}, got {config.shape}")
        self.value_range = (0.0, 1.0) if self.squeezes else None
        self.likelihood_kind = "bound" if self.squeezes else "exact"
        self.levels = config.levels if self.squeezes else None
        self.scales, self.parts = nn.ModuleList(), list[tuple[int, ...]]()
        shape, left = config.shape, config.scales if self.squeezes else 1
        while left:
            if self.squeezes:
                shape = (4 * shape[0], shape[1] // 2, shape[2] // 2)
            self.scales.append(_couplings(shape, config))
            left -= 1
            shape = (shape[0] // 2, *shape[1:]) if left else shape
            self.parts.append(shape)

    def flow(self, x: Tensor) -> tuple[Tensor, Tensor]:  # (n, *shape) -> (n, latent_dim), (n,)
        """f, and its log-determinant; half of the channels leave after each scale (section 3.6)."""
        outputs, log_det = list[Tensor](), x.new_zeros(len(x))
        for couplings in self.scales:
            x = F.pixel_unshuffle(x, 2) if self.squeezes else x
            for coupling in couplings:
                x, change = coupling(x)
                log_det = log_det + change
            if len(outputs) + 1 < len(self.scales):
                half, x = x.chunk(2, 1)
                outputs.append(half.flatten(1))
        return torch.cat([*outputs, x.flatten(1)], 1), log_det

    def inverse(self, z: Tensor) -> Tensor:  # (n, latent_dim) -> (n, *shape)
        parts = z.split([math.prod(shape) for shape in self.parts], 1)
        x = z[:, :0]
        for couplings, shape, part in list(zip(self.scales, self.parts, parts, strict=True))[::-1]:
            part = part.unflatten(1, shape)
            x = torch.cat([part, x], 1) if x.numel() else part
            for coupling in reversed(couplings):
                x = coupling.inverse(x)
            x = F.pixel_shuffle(x, 2) if self.squeezes else x
        return x

    def logits(self, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, *shape)``: pixels at a position in [0, 1) of their level, as logits (section 4.1).

        And the log-determinant ``(n,)``, against levels of width 1: a density of those integrates
        to a probability. Points stay as they are.
        """
        if self.levels is None:
            return x, x.new_zeros(len(x))
        p = MARGIN + (1 - 2 * MARGIN) * ((self.levels - 1) * x + position) / self.levels
        slope = math.log((1 - 2 * MARGIN) / self.levels) - p.log() - (1 - p).log()
        return p.logit(), slope.flatten(1).sum(1)

    # (n, latent_dim) -> (n, *shape)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.inverse(code)
        if self.levels is None:
            return x
        steps = (x.sigmoid() - MARGIN) / (1 - 2 * MARGIN) * self.levels - 0.5
        return (steps / (self.levels - 1)).clamp(0, 1)

    def embed(
        self, x: Tensor
    ) -> Tensor:  # (n, *shape) -> (n, latent_dim), from the middle of each level
        return self.flow(self.logits(x, torch.full_like(x, 0.5))[0])[0]

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: genzoo.Noise) -> Tensor:
        """Equation 3, (n,) nats; ``noise`` gives the position in a level."""
        h, slope = self.logits(x, noise.uniform(*self.shape))
        z, log_det = self.flow(h)
        return -(z.square() + math.log(2 * math.pi)).sum(1) / 2 + log_det + slope

    def loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Minus the log-likelihood, in nats per value."""
        loss = -self.log_weight(batch.x, None, batch.noise("place")).mean() / self.latent_dim
        return loss, {"bits/dim": loss.detach() / math.log(2)} if self.levels else {}


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=RealNVP,
        trainer=lambda model, options: genzoo.LossTrainer(model, model.loss, options),
        tiny=Config(shape=(1, 8, 8), couplings=2, width=6),
        paper="arXiv:1605.08803",
        api=2,
    )
