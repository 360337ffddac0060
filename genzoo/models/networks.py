"""Parts that the networks of several families share."""

import logging
import math
from collections import OrderedDict
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Literal, final

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import softplus

from genzoo.errors import BadInput
from genzoo.models.ranges import Range
from genzoo.schemas import Kind

__all__ = [
    "MaskedConv",
    "Maxout",
    "UNet",
    "activations",
    "check_bounded",
    "conv_decoder",
    "conv_encoder",
    "discretised_logistic",
    "fit_gaussian",
    "gated_perceptron",
    "halvings",
    "initialise_convolution",
    "kernel_size",
    "kind_of",
    "normed_perceptron",
    "patch_discriminator",
    "perceptron",
    "plain_decoder",
    "plain_encoder",
    "pyramid",
    "shallow_generator",
    "signed_range",
    "square_image",
    "squash",
    "standard_normal",
    "unit_range",
    "whiten",
]
log = logging.getLogger("genzoo")


def halvings(side: int) -> tuple[int, int]:
    """How often ``side`` halves before it is odd or at most 7, and the side that is left."""
    levels = 0
    while side % 2 == 0 and side > 7:
        side, levels = side // 2, levels + 1
    return levels, side


def pyramid(shape: tuple[int, ...], width: int) -> tuple[list[int], int]:
    """Feature maps per level, from an image of this ``shape`` inwards, and the smallest side.

    At each level the maps double and their sides halve, down to 4 to 7. Raises BadInput if the
    image is not square, or its side not 4 to 7 times a power of two.
    """
    levels, side = halvings(shape[-1])
    square = len(shape) == 3 and shape[1] == shape[2]
    if not (square and 4 <= side <= 7 and 1 <= levels <= 5):
        sizes = "x".join(map(str, shape))
        raise BadInput(f"convolutions need squares, 4 to 7 times a power of two, got {sizes}")
    return [width * 2**i for i in range(levels)], side


def kernel_size(side: int) -> int:
    """The kernel (stride 2, padding 1) between ``side`` pixels and half as many, rounded up.

    4 for an even side. 3 for an odd one: 7 pixels become 4, and transposed, 4 become 7.
    """
    return 4 - side % 2


def conv_encoder(shape: tuple[int, ...], width: int, outputs: int) -> nn.Sequential:
    """Strided convolutions down to maps of 4 to 7 pixels: ``(n, *shape) -> (n, outputs)``.

    A side that does not halve so far ends in larger maps.
    """
    maps, side = _levels(shape, width)
    layers: list[nn.Module] = []
    for a, b in pairwise(maps):
        layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.SiLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(maps[-1] * side**2, outputs))


def conv_decoder(inputs: int, shape: tuple[int, ...], width: int) -> nn.Sequential:
    """The mirror image of ``conv_encoder``: ``(n, inputs) -> (n, *shape)``, unbounded."""
    maps, side = _levels(shape, width)
    layers: list[nn.Module] = [nn.Linear(inputs, maps[-1] * side**2)]
    layers += [nn.Unflatten(1, (maps[-1], side, side))]
    for a, b in pairwise(maps[::-1]):
        layers += [nn.BatchNorm2d(a), nn.SiLU(), nn.ConvTranspose2d(a, b, 4, 2, 1)]
    return nn.Sequential(*layers)


def plain_encoder(shape: tuple[int, ...], width: int, outputs: int) -> nn.Sequential:
    """As ``conv_encoder``, but without a norm, and by 3x3 convolutions and ELU: its blocks.

    The code of an image depends on no other image of the batch.
    """
    maps, side = _levels(shape, width)
    blocks = [nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.ELU()) for a, b in pairwise(maps)]
    last = nn.Sequential(nn.Flatten(), nn.Linear(maps[-1] * side**2, outputs))
    return nn.Sequential(*blocks, last)


def plain_decoder(inputs: int, shape: tuple[int, ...], width: int) -> nn.Sequential:
    """The mirror image of ``plain_encoder``: 3x3 convolutions, and repeated pixels for each double
    side: ``(n, inputs) -> (n, *shape)``, unbounded.
    """
    (channels, *inner), side = _levels(shape, width)
    maps = [*inner[::-1], width]
    layers: list[nn.Module] = [nn.Linear(inputs, maps[0] * side**2)]
    layers += [nn.Unflatten(1, (maps[0], side, side)), nn.ELU()]
    for a, b in pairwise(maps):
        layers += [nn.Conv2d(a, b, 3, 1, 1), nn.Upsample(scale_factor=2), nn.ELU()]
    return nn.Sequential(*layers, nn.Conv2d(width, channels, 3, 1, 1))


def _levels(shape: tuple[int, ...], width: int) -> tuple[list[int], int]:
    """The image's channels, the feature maps of each level, and the smallest side."""
    if len(shape) != 3 or shape[1] != shape[2]:
        raise BadInput(f"convolutions need squares, got {'x'.join(map(str, shape))}")
    levels, side = halvings(shape[1])
    return [shape[0], *(width * 2**i for i in range(levels))], side


def patch_discriminator(channels: int, width: int, layers: int) -> nn.Sequential:
    """PatchGAN: it classifies each patch of an image (Isola et al. 2017, arXiv:1611.07004, section
    3.2.2): ``(n, C, H, W)`` to a logit for each patch, ``(n, 1, H', W')``.

    Its parts are ``blocks``, of which as many as ``layers`` are strided, and ``head``.
    """
    maps = [channels, *(width * 2 ** min(i, 3) for i in range(layers + 1))]
    blocks = nn.Sequential()
    for i, (a, b) in enumerate(pairwise(maps)):
        conv = nn.Conv2d(a, b, 4, 2 if i < layers else 1, 1)
        norm = nn.InstanceNorm2d(b) if i else nn.Identity()
        blocks.append(nn.Sequential(conv, norm, nn.LeakyReLU(0.2)))
    parts = OrderedDict(blocks=blocks, head=nn.Conv2d(maps[-1], 1, 4, 1, 1))
    return nn.Sequential(parts).apply(initialise_convolution)


def normed_perceptron(
    inputs: int, units: int, shape: tuple[int, ...], epsilon: float
) -> nn.Sequential:  # (n, inputs) -> (n, *shape), in ``signed_range(shape)``
    """Four hidden layers of leaky ReLUs, whose units double, with batch norms after the first.

    Not of a paper: many courses have this generator. ``epsilon``: of the norms' variance.
    """
    sizes = [inputs, *(units * 2**i for i in range(4))]
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        norm = [nn.BatchNorm1d(b, epsilon)] if i else []
        layers += [nn.Linear(a, b), *norm, nn.LeakyReLU(0.2)]
    last = nn.Linear(sizes[-1], math.prod(shape))
    bounded = [nn.Tanh()] if signed_range(shape) else []
    return nn.Sequential(*layers, last, *bounded, nn.Unflatten(1, shape))


def perceptron(inputs: int, units: int, outputs: int) -> nn.Sequential:
    """One hidden layer of ReLUs: ``(n, inputs) -> (n, outputs)``, unbounded."""
    return nn.Sequential(nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, outputs))


def gated_perceptron(inputs: int, units: int, outputs: int) -> nn.Sequential:
    """Two hidden layers of gated units (Dauphin et al. 2017, arXiv:1612.08083)."""
    first, second = nn.Linear(inputs, 2 * units), nn.Linear(units, 2 * units)
    return nn.Sequential(first, nn.GLU(), second, nn.GLU(), nn.Linear(units, outputs))


def shallow_generator(
    code: int, width: int, shape: tuple[int, int, int], epsilon: float
) -> nn.Sequential:  # (n, code) -> (n, *shape), in (-1, 1)
    """A dense layer to a quarter of the side, then twice repeated pixels and 3x3 convolutions.

    Not of a paper: many courses have this generator. ``epsilon``: of the later norms' variance.
    """
    channels, side, _ = shape
    small, maps = side // 4, 2 * width
    layers: list[nn.Module] = [nn.Linear(code, maps * small**2)]
    layers += [nn.Unflatten(1, (maps, small, small)), nn.BatchNorm2d(maps)]
    for b in (maps, width):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(maps, b, 3, 1, 1)]
        layers += [nn.BatchNorm2d(b, epsilon), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(width, channels, 3, 1, 1), nn.Tanh())


@final
class Maxout(nn.Module):
    """The largest of several linear functions (Goodfellow et al. 2013, equation 1)."""

    def __init__(self, inputs: int, outputs: int, pieces: int):
        super().__init__()
        self.outputs, self.linear = outputs, nn.Linear(inputs, outputs * pieces)

    def forward(self, x: Tensor) -> Tensor:  # (n, inputs) -> (n, outputs)
        pieces = rearrange(self.linear(x), "n (outputs k) -> n outputs k", outputs=self.outputs)
        return pieces.amax(2)


@final
class MaskedConv(nn.Conv2d):
    """A convolution over a pixel and those to its left, from the first of ``maps`` to the second.

    Of the pixel itself, a map of channel c sees the maps of channels before c, in the order R, G, B
    (mask A), or of c too (mask B; van den Oord et al. 2016, arXiv:1601.06759, section 3.4).
    ``parts``: how many parts of equal size the output has, such as those of a gate.
    """

    def __init__(
        self,
        maps: tuple[int, int],
        taps: int,
        channels: int,
        mask: Literal["A", "B"] = "B",
        parts: int = 1,
        bias: bool = True,
    ):
        super().__init__(*maps, (1, taps), bias=bias)
        self.channels, self.mask, self.parts = channels, mask, parts

    def masked(self) -> Tensor:  # (q, p, 1, taps)
        """The weights, with 0 for channels that a map must not see."""
        if self.channels == 1 and self.mask == "B":
            return self.weight
        q, p = (torch.arange(n, device=self.weight.device) for n in self.weight.shape[:2])
        part = len(q) // self.parts
        to, of = q % part * self.channels // part, p * self.channels // len(p)
        visible = of < to[:, None] if self.mask == "A" else of <= to[:, None]  # (q, p)
        own = self.weight[..., -1:] * rearrange(visible, "q p -> q p 1 1")
        return torch.cat([self.weight[..., :-1], own], -1)

    def forward(self, x: Tensor) -> Tensor:  # (n, p, H, W) -> (n, q, H, W)
        if self.kernel_size[1] > 1:  # a pad of nothing would copy
            x = nn.functional.pad(x, (self.kernel_size[1] - 1, 0))
        return nn.functional.conv2d(x, self.masked(), self.bias)


def activations(blocks: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """The output of each block, applied one after the other: a discriminator's ``features``."""
    return list(accumulate(blocks, lambda h, block: block(h), initial=x))[1:]


def initialise_convolution(module: nn.Module) -> None:
    """For ``network.apply``: weights of convolutions from N(0, 0.02), biases as torch has them."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)


# ---------------------------------------------------------------------- kind and range of the data


def kind_of(shape: tuple[int, ...]) -> Kind:
    """The ``kind`` of a family that learns from data of any shape.

    Three sides are an image's, two a signal's (channels, length), all else points.
    """
    return "images" if len(shape) == 3 else "signals" if len(shape) == 2 else "points"


def unit_range(shape: tuple[int, ...]) -> Range:
    """A ``value_range`` for data of any shape: None for points, else (0, 1)."""
    return None if kind_of(shape) == "points" else (0.0, 1.0)


def signed_range(shape: tuple[int, ...]) -> Range:
    """As ``unit_range``, where networks end in a hyperbolic tangent: None, else (-1, 1)."""
    return None if kind_of(shape) == "points" else (-1.0, 1.0)


def check_bounded(shape: tuple[int, ...], name: str, value: str, instead: str) -> None:
    """Raise BadInput if samples of this ``shape`` are points: the field ``name`` has a ``value``
    for samples in [0, 1]; ``instead`` is one for points.
    """
    if unit_range(shape) is None:
        what = f"{name}={value} is for values from 0 to 1, and points have no bounds"
        raise BadInput(f"{what}: set {name}={instead}")


def square_image(values: int) -> tuple[int, int, int] | None:
    """The shape of a square image of so many values, grey or in colours; None if there is none.

    784 values are (1, 28, 28), and 3072 are (3, 32, 32).
    """
    for channels in (1, 3):
        side = math.isqrt(values // channels)
        if values and channels * side**2 == values:
            return channels, side, side
    return None


def squash(logits: Tensor, value_range: Range) -> Tensor:
    """A network's last values in the range that ``unit_range`` gave: by a sigmoid, or unchanged."""
    return logits if value_range is None else logits.sigmoid()


# ------------------------------------------------------------------ Gaussian distribution of codes


def standard_normal(dim: int) -> tuple[Tensor, Tensor]:
    """Mean ``(dim,)`` and scale ``(dim, dim)`` of N(0, 1), for two buffers of a model.

    The distribution is N(mean, scale scale^T): ``mean + scale @ code`` with a standard normal code.
    """
    # torch.eye on the meta device, where models are built for loading, imports torch._dynamo, which
    # takes seconds.
    return torch.zeros(dim), torch.zeros(dim, dim).fill_diagonal_(1)


def whiten(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:  # (n, dim) -> (n, dim)
    """The standard normal codes of ``z``, by the triangular ``scale``."""
    return torch.linalg.solve_triangular(scale, (z - mean).T, upper=False).T


@torch.no_grad()
def fit_gaussian(mean: Tensor, scale: Tensor, data_mean: Tensor, covariance: Tensor) -> None:
    """Write the Gaussian of ``data_mean`` and ``covariance`` into ``mean`` and ``scale``.

    One that is not finite leaves them as they are, with a warning.
    """
    covariance = torch.atleast_2d(covariance)
    if not (torch.isfinite(data_mean).all() and torch.isfinite(covariance).all()):
        log.warning("codes of the data are not finite: random codes stay those of N(0, 1)")
        return
    factor, failure = torch.linalg.cholesky_ex(covariance)
    mean.copy_(data_mean)
    scale.copy_(_factor_of_singular(covariance) if failure else factor)


def _factor_of_singular(covariance: Tensor) -> Tensor:  # (dim, dim) -> (dim, dim)
    """A triangular factor with an inverse, of a covariance of fewer samples than dimensions.

    To its diagonal it adds a millionth of the mean variance, or the least power of ten times that
    which suffices; where there is no variance at all, a millionth.
    """
    wide = covariance.double().cpu()
    size = wide.diagonal().mean().item() or 1.0
    added = (size * 10.0**power * torch.eye(len(wide), dtype=wide.dtype) for power in range(-6, 1))
    tried = (torch.linalg.cholesky_ex(wide + one) for one in added)
    return next(factor for factor, failure in tried if not failure).to(covariance)


def discretised_logistic(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log of the logistic's mass on the bin of x, one of 256; the end bins reach to infinity.

    In the tails float32's difference of two sigmoids vanishes; there its logarithm comes from
    s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)). (The authors' code takes the density in the middle of
    the bin, which is wrong where the bin is wider than the logistic.)
    """
    centred, slope = x - mean, (-log_scale).exp()
    above, below = slope * (centred + 0.5 / 255), slope * (centred - 0.5 / 255)
    mass = above.sigmoid() - below.sigmoid()
    tail = (-torch.expm1(-slope / 255)).log() - softplus(-above) - softplus(below)
    inside = torch.where(mass > 1e-5, mass.clamp_min(1e-12).log(), tail)
    inside = torch.where(x > 254.5 / 255, -softplus(below), inside)
    return torch.where(x < 0.5 / 255, -softplus(-above), inside)


# ----------------------------------------------------------------------------- images and times


def _time_embedding(t: Tensor, width: int) -> Tensor:  # (n,) -> (n, width)
    """Times as sines and cosines (Ho et al. 2020, arXiv:2006.11239, appendix B)."""
    rates = torch.exp(torch.arange(width // 2, device=t.device) * (-math.log(1e4) / (width // 2)))
    angles = t.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class _Block(nn.Module):
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


class _Attention(nn.Module):
    """Self-attention: every pixel looks at every other."""

    def __init__(self, maps: int):
        super().__init__()
        self.norm, self.out = nn.GroupNorm(8, maps), nn.Conv2d(maps, maps, 1)
        self.qkv = nn.Conv2d(maps, 3 * maps, 1)

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same
        q, k, v = rearrange(self.qkv(self.norm(x)), "n (three c) h w -> three n (h w) c", three=3)
        h = nn.functional.scaled_dot_product_attention(q, k, v)
        return x + self.out(rearrange(h, "n (h w) c -> n c h w", h=x.shape[2]))


@final
class UNet(nn.Module):
    """A map from images and times to images, by 2 by 2 pixels at once: 0 until it is trained.

    ``scale``: what times are multiplied with: their sines are for times from 0 to about 1000. The
    sides of images halve twice.
    """

    def __init__(self, channels: int, width: int, scale: float = 1.0):
        super().__init__()
        w, time_dim = width, 4 * width
        self.width, self.scale = width, scale
        self.time = nn.Sequential(
            nn.Linear(w, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim), nn.SiLU()
        )
        self.enter = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, w, 3, 1, 1))
        self.down, self.shrink = _Block(w, w, time_dim), nn.Conv2d(w, 2 * w, 3, 2, 1)
        self.before, self.after = _Block(2 * w, 2 * w, time_dim), _Block(2 * w, 2 * w, time_dim)
        self.attention, self.grow = _Attention(2 * w), nn.ConvTranspose2d(2 * w, w, 4, 2, 1)
        self.up, last = _Block(2 * w, w, time_dim), nn.Conv2d(w, 4 * channels, 3, 1, 1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.leave = nn.Sequential(nn.GroupNorm(8, w), nn.SiLU(), last, nn.PixelShuffle(2))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:  # (n, C, H, W), (n,) -> (n, C, H, W)
        time = self.time(_time_embedding(self.scale * t, self.width))
        fine = self.down(self.enter(x), time)
        coarse = self.attention(self.before(self.shrink(fine), time))
        coarse = self.grow(self.after(coarse, time))
        return self.leave(self.up(torch.cat([fine, coarse], 1), time))
