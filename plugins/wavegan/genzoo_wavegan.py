"""WaveGAN: a GAN of sounds, whose discriminator does not hear small shifts in time.

Donahue et al. 2019 (arXiv:1802.04208): DCGAN's networks in one dimension, with longer filters and
a stride of 4 (section 3), phase shuffle (section 3.3), the sizes and the training of appendix D:
the loss of WGAN-GP.
"""

from functools import partial
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import repeat
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.models.networks import activations
from genzoo.options import AdversarialOptions, DiscriminatorSteps, PenaltyName
from genzoo.schemas import Count, Decay, Rate, Schema, Shape
from genzoo.training import own_rows

STRIDE, KERNEL = 4, 25  # section 3: of DCGAN's 2x2 and 5x5, as many numbers in one dimension
MOST_FIRST = 31  # samples of the shortest signals inside the networks; the paper has 16


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (1, 16384)
    """channels and samples of a sound"""
    latent_dim: Count = 100
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the sound; they double towards the code"""
    phase_shuffle: Annotated[int, Field(ge=0, le=64)] = 2
    """largest shift between the discriminator's layers, in samples; 0: none"""


class TrainOptions(AdversarialOptions):
    """Appendix D: WGAN-GP with five discriminator steps and Adam (0.5, 0.9) at 0.0001."""

    loss: Literal["wasserstein"] = "wasserstein"
    discriminator_steps: DiscriminatorSteps = 5
    penalty: PenaltyName = "gradient"
    lr: Rate = 1e-4
    beta1: Decay = 0.5
    beta2: Decay = 0.9


def levels(config: Config) -> tuple[list[int], int]:
    """Feature maps at each length, from the sound inwards, and the shortest length.

    That times 4 for each level is the sound's length or a little more. Raises BadInput.
    """
    if len(config.shape) != 2:
        sizes = "x".join(map(str, config.shape))
        raise genzoo.BadInput(f"wavegan needs sounds (channels, length), got {sizes}")
    count = 1
    while -(-config.shape[1] // STRIDE**count) > MOST_FIRST:
        count += 1
    return [config.width * 2**i for i in range(count)], -(-config.shape[1] // STRIDE**count)


class Generator(genzoo.Latent):
    """A code to a sound, four times as long at each layer."""

    kind = "signals"

    def __init__(self, config: Config):
        super().__init__(config)
        maps, first = levels(config)
        self.shape, self.latent_dim = config.shape, config.latent_dim
        layers: list[nn.Module] = [nn.Linear(config.latent_dim, maps[-1] * first)]
        layers += [nn.Unflatten(1, (maps[-1], first))]
        for a, b in pairwise([*maps[::-1], config.shape[0]]):
            layers += [nn.ReLU(), nn.ConvTranspose1d(a, b, KERNEL, STRIDE, 11, 1)]
        self.layers = nn.Sequential(*layers, nn.Tanh())

    # (n, latent_dim) -> (n, channels, length)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(code)[:, :, : self.shape[1]]


class PhaseShuffle(nn.Module):
    """In training, shifts each sample by a number from -n to n, with reflected ends (section 3.3).

    The discriminator then cannot reject fakes by the phase that transposed convolutions leave.
    """

    def __init__(self, n: int):
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:  # (b, maps, length) -> the same
        if not (self.n and self.training):
            return x
        draw = partial(torch.randint, -self.n, self.n + 1, device=x.device)
        shifts = own_rows(lambda rows: draw((rows, 1)), len(x))
        last = x.shape[2] - 1
        places = (torch.arange(last + 1, device=x.device) + shifts).abs()
        places = (last - (last - places).abs()).clamp(min=0)
        return x.gather(2, repeat(places, "b length -> b maps length", maps=x.shape[1]))


class Discriminator(genzoo.Discriminator):
    """A sound to a number, without a norm: the penalty is on each sound's own gradient."""

    def __init__(self, config: Config):
        super().__init__()
        maps, first = levels(config)
        self.whole = first * STRIDE ** len(maps)
        self.blocks = nn.ModuleList()
        for i, (a, b) in enumerate(pairwise([config.shape[0], *maps])):
            shuffle = [PhaseShuffle(config.phase_shuffle)] if i else []
            layers = *shuffle, nn.Conv1d(a, b, KERNEL, STRIDE, 11), nn.LeakyReLU(0.2)
            self.blocks.append(nn.Sequential(*layers))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(maps[-1] * first, 1))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, c, length) -> each a quarter as long
        return activations(self.blocks, F.pad(x, (0, self.whole - x.shape[2])))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, c, length) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        data="signals",
        tiny=Config(shape=(1, 128), latent_dim=4, width=4),
        paper="arXiv:1802.04208",
        api=2,
    )
