"""ProGAN: both networks grow with the resolution, and each new layer fades in.

Karras, Aila, Laine & Lehtinen 2018 (arXiv:1710.10196): growing (section 2, figure 2), the deviation
of a minibatch (3), equalised learning rates (4.1), pixel norm (4.2); networks and training as in
appendix A.
"""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, final

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.equalised import (
    PixelNorm,
    deviation_head,
    equalised,
    leaky_conv,
    leaky_halving,
    pixel_norm,
    resolution_maps,
)
from genzoo.options import AdversarialOptions, GanLossName, PenaltyName
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Weight

# ``grown`` counts doublings in thousandths: whole numbers, which a moving average copies.
WHOLE = 1000


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 64, 64)
    """of an image: square, 4 to 7 pixels times a power of two"""
    latent_dim: Count = 512
    width: Annotated[int, Field(ge=1, le=1024)] = 256
    """feature maps next to the image; they double towards the code"""
    max_width: Annotated[int, Field(ge=1, le=4096)] = 512
    """most feature maps of a layer"""


class TrainOptions(AdversarialOptions):
    """Appendix A.1: WGAN-GP's loss with a drift term, one step each, Adam (0, 0.99) at 0.001."""

    loss: GanLossName = "wasserstein"
    penalty: PenaltyName = "gradient"
    batch_size: Count = 16
    lr: Rate = 1e-3
    beta1: Decay = 0.0
    beta2: Decay = 0.99
    ema_decay: Decay = 0.999
    growing_share: Annotated[float, Field(ge=0, le=1)] = 0.6
    """share of the run in which the networks grow; 0: they start at full size"""
    drift_weight: Weight = 1e-3
    """weight of E[D(x)^2], which keeps the discriminator's values near 0"""


def shares(grown: Tensor, n: int) -> Tensor:
    """``(n,)``: how far the layers of each doubling have faded in, from 0 to 1."""
    return (grown / WHOLE - torch.arange(n, device=grown.device)).clamp(0, 1)


def mix(old: Tensor, new: Tensor, share: Tensor) -> Tensor:
    return (1 - share) * old + share * new  # exact at both ends


class Generator(genzoo.Latent):
    """A code to an image of the resolution that is reached, its pixels repeated to full size."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, config.latent_dim
        maps, side = resolution_maps(config.shape, config.width, config.max_width)
        self.first = nn.Sequential(
            equalised(nn.Linear(config.latent_dim, maps[0] * side**2)),
            *(nn.Unflatten(1, (maps[0], side, side)), nn.LeakyReLU(0.2), PixelNorm()),
            *(*leaky_conv(maps[0], maps[0]), PixelNorm()),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2),
                *(*leaky_conv(a, b), PixelNorm()),
                *(*leaky_conv(b, b), PixelNorm()),
            )
            for a, b in pairwise(maps)
        )
        channels = config.shape[0]
        self.to_image = nn.ModuleList(equalised(nn.Conv2d(a, channels, 1), gain=1) for a in maps)
        self.register_buffer("grown", torch.tensor(WHOLE * len(self.blocks)))

    def images(self, code: Tensor, doublings: int) -> Tensor:
        """``(n, latent_dim)`` to unbounded images whose smallest side doubled so often."""
        h = self.first(pixel_norm(code))
        x = self.to_image[0](h)
        for k, share in enumerate(shares(self.grown, doublings)):
            h = self.blocks[k](h)
            x = mix(F.interpolate(x, scale_factor=2), self.to_image[k + 1](h), share)
        return x

    # (n, latent_dim) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.images(code, len(self.blocks)).clamp(-1, 1)


class Discriminator(genzoo.Discriminator):
    """An image of any of the resolutions to a logit: the mirror image of the generator."""

    def __init__(self, config: Config):
        super().__init__()
        maps, side = resolution_maps(config.shape, config.width, config.max_width)
        channels = config.shape[0]
        self.from_image = nn.ModuleList(nn.Sequential(*leaky_conv(channels, a, 1)) for a in maps)
        self.blocks = nn.ModuleList(leaky_halving(b, a) for a, b in pairwise(maps))
        self.head = deviation_head(maps[0], side)
        self.smallest = side
        self.register_buffer("grown", torch.tensor(WHOLE * len(self.blocks)))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> maps, each half as large
        doublings = (x.shape[2] // self.smallest).bit_length() - 1
        maps = [self.from_image[doublings](x)]
        for k, share in reversed([*enumerate(shares(self.grown, doublings))]):
            x = F.avg_pool2d(x, 2)
            maps.append(mix(self.from_image[k](x), self.blocks[k](maps[-1]), share))
        return maps

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, C, H, W) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


def doublings_at(progress: float, growing_share: float, last: int) -> float:
    """How often the smallest side has doubled: each resolution stays as long as it fades in."""
    if progress >= growing_share:
        return last
    done, rest = divmod(progress / growing_share * 2 * last, 2)
    return done + max(0.0, rest - 1)


def shrunk(x: Tensor, doublings: float, last: int) -> Tensor:
    """Images ``(n, C, H, W)`` as a generator that has grown so far makes them (appendix A)."""
    new = F.avg_pool2d(x, 2 ** (last - math.ceil(doublings)))
    if share := doublings % 1:
        old = F.interpolate(F.avg_pool2d(new, 2), scale_factor=2)
        return old.lerp(new, share)
    return new


@final
class Growing(genzoo.Trainer):
    """An adversarial game on images of the resolution that the run's progress has reached."""

    def __init__(self, model: Generator, options: TrainOptions):
        self.generator, self.discriminator = model, Discriminator(model.config)
        self.last, self.options = len(model.blocks), options
        game = genzoo.Adversarial(
            model,
            self.discriminator,
            options,
            terms={"discriminator": [self._drift]},
            fakes=self._fakes,
        )
        super().__init__(model, game.players, inner=game)
        self.game, self.batches_per_step = game, game.batches_per_step

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        doublings = doublings_at(batch.progress, self.options.growing_share, self.last)
        grown = round(WHOLE * doublings)
        for network in (self.generator, self.discriminator):
            network.grown.fill_(grown)
        x = shrunk(batch.x, grown / WHOLE, self.last)
        return self.game.step(replace(batch, x=x))

    def _fakes(self, batch: genzoo.Batch, noise: genzoo.Noise) -> Tensor:
        code = self.generator.draw_code(noise, self.generator.sampling())
        halvings = (self.generator.shape[1] // batch.x.shape[2]).bit_length() - 1
        return self.generator.images(code, self.last - halvings)

    def _drift(self, game: genzoo.training.Game) -> tuple[Tensor, genzoo.Logs]:
        drift = game.real_logits.square().mean()
        return self.options.drift_weight * drift, {"drift": drift}


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        trainer=Growing,
        data="images",
        tiny=Config(shape=(1, 8, 8), latent_dim=4, width=4, max_width=4),
        paper="arXiv:1710.10196",
        api=2,
    )
