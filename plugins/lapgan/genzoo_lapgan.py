"""LAPGAN: a small image from one GAN, and at each doubling of its side the detail from another.

Denton, Chintala, Szlam & Fergus 2015 (arXiv:1506.05751): the Laplacian pyramid of section 2.2, the
conditional games of section 2.3. Adam as in DCGAN; dense networks for the smallest image, two or
three convolutions for each detail.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.laws import Law, Uniform
from genzoo.models.networks import activations
from genzoo.options import DiscriminatorRate, Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share
from genzoo.training import LOSSES, make_players


class Config(Schema):
    """The pyramid, and the sizes of its networks."""

    shape: Shape = (3, 32, 32)
    """of a square image, whose side halves ``doublings`` times"""
    doublings: Annotated[int, Field(ge=1, le=4)] = 2
    """of the side: 2 lead from 8 to 32 pixels"""
    noise_dim: Count = 100
    """numbers from which the smallest image comes; each detail takes one for each pixel"""
    units: Count = 600
    """of two hidden layers of the smallest level's networks"""
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps of the other levels"""


class TrainOptions(Options):
    """Adam as in DCGAN."""

    batch_size: Count = 64
    lr: Rate = 2e-4
    beta1: Decay = 0.5
    discriminator_lr: DiscriminatorRate = 0.0
    """learning rate of the discriminators; 0: the generators'"""
    label_smoothing: Share = 0.0
    """one-sided: the real target is 1 minus this"""


def shrink(x: Tensor) -> Tensor:  # (n, C, H, W) -> (n, C, H / 2, W / 2)
    return F.avg_pool2d(x, 2)


def expand(x: Tensor) -> Tensor:  # (n, C, H, W) -> (n, C, 2 H, 2 W), without detail
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def pyramid(x: Tensor, levels: int) -> list[Tensor]:
    """``(n, C, H, W)`` at each size, the smallest first."""
    images = [x]
    for _ in range(levels):
        images.append(shrink(images[-1]))
    return images[::-1]


def _sides(config: Config) -> list[int]:
    """Of the images of the pyramid, the smallest first. Raises BadInput."""
    side, times = config.shape[-1], 2**config.doublings
    if len(config.shape) != 3 or config.shape[1] != side or side % times:
        sizes = "x".join(map(str, config.shape))
        wanted = f"squares, {times} times a whole number"
        raise genzoo.BadInput(f"the pyramid needs {wanted}, got {sizes}")
    return [side >> level for level in range(config.doublings, -1, -1)]


def _dense(inputs: int, units: int, outputs: int) -> list[nn.Module]:
    hidden = [nn.Linear(inputs, units), nn.LeakyReLU(0.2)]
    return [*hidden, nn.Linear(units, units), nn.LeakyReLU(0.2), nn.Linear(units, outputs)]


class Generator(genzoo.Latent):
    """One network for the smallest image, one for each detail."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, (smallest, *sides) = config.shape, _sides(config)
        self.parts = [config.noise_dim, *(side**2 for side in sides)]
        self.latent_dim, c, w = sum(self.parts), config.shape[0], config.width
        small = (c, smallest, smallest)
        dense = _dense(config.noise_dim, config.units, math.prod(small))
        self.first = nn.Sequential(*dense, nn.Unflatten(1, small), nn.Tanh())
        self.details = nn.ModuleList(
            nn.Sequential(
                *(nn.Conv2d(c + 1, w, 5, 1, 2), nn.BatchNorm2d(w), nn.ReLU()),
                *(nn.Conv2d(w, w, 5, 1, 2), nn.BatchNorm2d(w), nn.ReLU()),
                nn.Conv2d(w, c, 5, 1, 2),
            )
            for _ in sides
        )

    def law(self) -> tuple[Law, ...]:
        return (Uniform(self.latent_dim),)

    # (n, latent_dim) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        first, *rest = code.split(self.parts, 1)
        x = self.first(first)
        for level, z in enumerate(rest):
            x = self.refine(level, expand(x), z)
        return x.clamp(-1, 1)

    def refine(self, level: int, low: Tensor, z: Tensor) -> Tensor:
        """``low`` ``(n, C, H, W)`` plus the detail of the noise ``z`` ``(n, H W)``."""
        plane = rearrange(z, "n (h w) -> n 1 h w", h=low.shape[2])
        return low + self.details[level](torch.cat([low, plane], 1))

    def fakes(self, images: list[Tensor], code: Tensor) -> list[Tensor]:
        """A fake of each size: the details are those of the real ``images``, one size smaller."""
        first, *rest = code.split(self.parts, 1)
        pairs = enumerate(zip(images, rest, strict=False))
        return [self.first(first), *(self.refine(i, expand(x), z) for i, (x, z) in pairs)]


class Discriminator(genzoo.Discriminator):
    """One network for the smallest image, and one for each detail, which sees it in its image."""

    def __init__(self, config: Config):
        super().__init__()
        smallest, *sides = _sides(config)
        c, w, self.levels = config.shape[0], config.width, config.doublings
        dense = _dense(c * smallest**2, config.units, 1)
        self.first = nn.Sequential(nn.Flatten(), *dense)
        self.details = nn.ModuleList(
            nn.Sequential(
                nn.Sequential(nn.Conv2d(2 * c, w, 4, 2, 1), nn.LeakyReLU(0.2)),
                nn.Sequential(nn.Conv2d(w, w, 3, 1, 1), nn.LeakyReLU(0.2)),
                nn.Sequential(nn.Flatten(), nn.Linear(w * (side // 2) ** 2, 1)),
            )
            for side in sides
        )

    def judge(self, level: int, x: Tensor, low: Tensor) -> Tensor:
        """``(n, C, H, W)`` and the same without its detail to ``(n,)``."""
        return self.details[level](torch.cat([x, low], 1)).flatten()

    def logits(self, images: list[Tensor], lows: list[Tensor]) -> list[Tensor]:
        """``(n,)`` of each size, the smallest first; ``lows`` of all but the smallest."""
        pairs = enumerate(zip(images[1:], lows, strict=True))
        return [self.first(images[0]).flatten(), *(self.judge(i, x, low) for i, (x, low) in pairs)]

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> two maps of the last detail
        inputs = torch.cat([x, expand(shrink(x))], 1)
        return activations(self.details[-1][:2], inputs)  # type: ignore[index]

    # (n, C, H, W) -> (n,): p(x) is a product over the levels, so the logits add up
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        images = pyramid(x, self.levels)
        return torch.stack(self.logits(images, [expand(image) for image in images[:-1]])).sum(0)


class LAPGANTrainer(genzoo.Trainer):
    """Section 2.3: a game for each level, none of which sees another's networks."""

    def __init__(self, model: Generator, discriminator: Discriminator, options: TrainOptions):
        players = make_players(model, discriminator, options, options.discriminator_lr)
        super().__init__(model, players)
        self.generator, self.discriminator = model, discriminator
        self.game, self.target = LOSSES["non-saturating"], 1 - options.label_smoothing

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        return {
            **self.update("discriminator", self._discriminator_loss, batch),
            **self.update("generator", self._generator_loss, batch),
        }

    def pairs(self, batch: genzoo.Batch) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Real images, fakes, and what both share with the size below, for each size."""
        images = pyramid(batch.x, self.discriminator.levels)
        code = self.generator.draw_code(batch.noise("code"), self.generator.sampling())
        return images, self.generator.fakes(images, code), [expand(x) for x in images[:-1]]

    def _discriminator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        with torch.no_grad():
            images, fakes, lows = self.pairs(batch)
        logits = [self.discriminator.logits(x, lows) for x in (images, fakes)]
        losses = {}
        for image, real, fake in zip(images, *logits, strict=True):
            loss = self.game.discriminator(real.float(), torch.full_like(real, self.target))
            loss = loss + self.game.discriminator(fake.float(), torch.zeros_like(fake))
            losses[f"loss of {image.shape[2]} pixels"] = loss
        return torch.stack([*losses.values()]).sum(), losses

    def _generator_loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        images, fakes, lows = self.pairs(batch)
        logits = self.discriminator.logits(fakes, lows)
        losses = [self.game.generator(fake.float()) for fake in logits]
        names = [f"loss of {image.shape[2]} pixels" for image in images]
        return torch.stack(losses).sum(), dict(zip(names, losses, strict=True))


def trainer(model: Generator, options: TrainOptions) -> genzoo.Trainer:
    return LAPGANTrainer(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        trainer=trainer,
        tiny=Config(shape=(1, 8, 8), doublings=1, noise_dim=4, units=8, width=4),
        paper="arXiv:1506.05751",
        api=2,
    )
