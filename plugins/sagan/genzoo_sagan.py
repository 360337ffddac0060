"""SAGAN: a GAN in which every place of a picture can look at every other.

Zhang et al. 2019 (arXiv:1805.08318): self-attention (section 3, equations 1 to 3), spectral norm in
both networks (4.1), two time-scales (4.2). Its residual blocks, conditional batch norm and
projection discriminator are those of Miyato & Koyama 2018 (arXiv:1802.05637, equation 3).
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

import genzoo
from genzoo.models.networks import pyramid
from genzoo.options import AdversarialOptions
from genzoo.schemas import Count, Decay, Rate, Schema, Shape

Labels = Tensor | None


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 32, 32)
    """of a picture: square, 4 to 7 times a power of two"""
    classes: Annotated[int, Field(ge=0, le=10_000)] = 0
    """0: nobody is told the class"""
    latent_dim: Count = 128
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image, which double towards the code up to sixteenfold"""
    attention: Annotated[int, Field(ge=0, le=256)] = 16
    """the largest side up to this attends, in both networks (section 5.2); 0: none does"""


class Options(AdversarialOptions):
    """Section 4.2 and 5: the hinge, Adam (0, 0.9), the discriminator four times as fast."""

    loss: Literal["non-saturating", "minimax", "least-squares", "hinge", "wasserstein"] = "hinge"
    lr: Rate = 1e-4
    discriminator_lr: Annotated[float, Field(ge=0, le=10)] = 4e-4
    beta1: Decay = 0.0
    beta2: Decay = 0.9


def conv(a: int, b: int, side: int = 3, bias: bool = True) -> nn.Module:
    """A convolution with a largest singular value of 1 (section 4.1)."""
    layer = nn.Conv2d(a, b, side, 1, side // 2, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    return spectral_norm(layer)


def levels(config: Config) -> tuple[list[int], int, int]:
    """Feature maps from the picture inwards, the least side, and the side that attends, or 0."""
    inner, least = pyramid(config.shape, config.width)
    sides = [least * 2**i for i in range(1, len(inner))]  # those between two blocks
    attends = max((side for side in sides if side <= config.attention), default=0)
    if config.attention and not attends:
        have = ", ".join(map(str, [*sides, 0]))
        raise genzoo.BadInput(f"maps attend at a side of {have}, got {config.attention}")
    return [config.width * 2 ** min(i, 4) for i in range(len(inner) + 1)], least, attends


class Attention(nn.Module):
    """Every place weighs every other; gamma, 0 at first, leaves them out until they are of use."""

    def __init__(self, maps: int):
        super().__init__()
        inner = max(1, maps // 8)
        self.f, self.g, self.h = (conv(maps, inner, 1, bias=False) for _ in range(3))
        self.v, self.gamma = conv(inner, maps, 1, bias=False), nn.Parameter(torch.zeros(()))

    def weights(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> (n, H W, H W), rows sum to 1
        """Equation 1: row j is where place j looks."""
        return torch.einsum("nci,ncj->nji", self.f(x).flatten(2), self.g(x).flatten(2)).softmax(2)

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same; equations 2 and 3
        seen = torch.einsum("nji,nci->ncj", self.weights(x), self.h(x).flatten(2))
        return x + self.gamma * self.v(seen.unflatten(2, x.shape[2:]))


class Norm(nn.Module):
    """Batch norm whose scale and shift the class chooses, or the network where there is none."""

    def __init__(self, maps: int, classes: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(maps, affine=False)
        self.chosen = nn.Embedding(max(1, classes), 2 * maps)
        nn.init.zeros_(self.chosen.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # (n, maps, H, W), (n,) -> the first
        scale, shift = self.chosen(labels)[:, :, None, None].chunk(2, 1)
        return self.norm(x) * (1 + scale) + shift


class Up(nn.Module):
    """A residual block to twice the side."""

    def __init__(self, a: int, b: int, classes: int):
        super().__init__()
        self.first, self.second = Norm(a, classes), Norm(b, classes)
        self.wide, self.fine, self.past = conv(a, b), conv(b, b), conv(a, b, 1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # (n, a, H, W) -> (n, b, 2 H, 2 W)
        h = self.wide(F.interpolate(self.first(x, labels).relu(), scale_factor=2))
        return self.fine(self.second(h, labels).relu()) + F.interpolate(self.past(x), None, 2)


class Down(nn.Module):
    """A residual block to half the side; the first one sees pixels, which need no threshold."""

    def __init__(self, a: int, b: int, first: bool):
        super().__init__()
        self.first = first
        self.wide, self.fine, self.past = conv(a, b), conv(b, b), conv(a, b, 1)

    def forward(self, x: Tensor) -> Tensor:  # (n, a, H, W) -> (n, b, H / 2, W / 2)
        h = self.fine(self.wide(x if self.first else x.relu()).relu())
        return F.avg_pool2d(h, 2) + self.past(F.avg_pool2d(x, 2))


class Generator(genzoo.Latent, genzoo.Attentive):
    """Residual blocks from 4 to 7 pixels up, attention at one side between them."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape, self.num_classes = (
            config.latent_dim,
            config.shape,
            config.classes,
        )
        outwards, self.least, self.attends = levels(config)
        maps = outwards[::-1]
        self.first = spectral_norm(nn.Linear(self.latent_dim, maps[0] * self.least**2))
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleDict()
        for i, (a, b) in enumerate(pairwise(maps)):
            self.blocks.append(Up(a, b, config.classes))
            if self.least * 2 ** (i + 1) == self.attends:
                self.attentions[str(i)] = Attention(b)
        self.norm, self.last = nn.BatchNorm2d(maps[-1]), conv(maps[-1], self.shape[0])

    # (n, code), (n,) -> (n, *shape)
    def decode(self, code: Tensor, labels: Labels = None, noise: Any = None) -> Tensor:
        return self._drawn(code, labels)[0]

    # -> (n, *shape), (n, H, W, H, W)
    def attend(self, noise: genzoo.Noise, labels: Labels = None) -> tuple[Tensor, Tensor]:
        x, maps = self._drawn(noise.normal(self.latent_dim), labels)
        if maps is None:
            raise genzoo.BadInput("this model was built without attention")
        (attention,) = self.attentions.values()
        return x, attention.weights(maps).view(len(x), *[self.attends] * 4)

    def _drawn(self, code: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The pictures, and the maps that the attention layer sees."""
        if labels is None:
            labels = torch.zeros(len(code), dtype=torch.long, device=code.device)
        x, seen = self.first(code).unflatten(1, (-1, self.least, self.least)), None
        for i, block in enumerate(self.blocks):
            x = block(x, labels)
            if str(i) in self.attentions:
                seen, x = x, self.attentions[str(i)](x)
        return self.last(self.norm(x).relu()).tanh(), seen


class Discriminator(genzoo.Discriminator):
    """Residual blocks down to 4 to 7 pixels, summed; the class by projection."""

    def __init__(self, config: Config):
        super().__init__()
        maps, _, attends = levels(config)
        maps[0] = config.shape[0]
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleDict()
        for i, (a, b) in enumerate(pairwise(maps)):
            self.blocks.append(Down(a, b, first=not i))
            if config.shape[1] // 2 ** (i + 1) == attends:
                self.attentions[str(i)] = Attention(b)
        self.head = spectral_norm(nn.Linear(maps[-1], 1))
        if config.classes:
            self.classes = spectral_norm(nn.Embedding(config.classes, maps[-1]))

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> what each block sees
        found = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if str(i) in self.attentions:
                x = self.attentions[str(i)](x)
            found.append(x)
        return found

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        seen = self.features(x)[-1].relu().sum((2, 3))
        logits = self.head(seen).flatten()
        return logits if labels is None else logits + (self.classes(labels) * seen).sum(1)


def trainer(model: Generator, options: Options) -> genzoo.Trainer:
    return genzoo.Adversarial(model, Discriminator(model.config), options)


@torch.no_grad()
def finish(model: Generator, options: Options, batches: Iterable[Tensor]) -> None:
    """Singular vectors that were averaged with the weights are not the average's: find those."""
    for layer in filter(is_parametrized, model.modules()):
        layer.train()
        _ = [layer.weight for _ in range(30)]
        layer.eval()


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=Options,
        model=Generator,
        discriminator=Discriminator,
        trainer=trainer,
        finish=finish,
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(shape=(3, 16, 16), classes=3, latent_dim=4, width=8, attention=8),
        paper="arXiv:1805.08318",
        api=2,
    )
