"""DCGAN: an all-convolutional generator against an all-convolutional discriminator.

Radford, Metz & Chintala 2016 (arXiv:1511.06434): the architecture of section 3 and figure 1, the
training of section 4. ``network = "upsampling"`` is the variant of Keras courses: a dense layer,
repeated pixels, 5x5 convolutions of stride 1. ``"resize"``, ``"residual"`` and ``"shallow"``
keep the paper's discriminator. Their generators repeat pixels and then convolve, against the
checkerboard that transposed convolutions leave (Odena, Dumoulin & Olah 2016,
distill.pub/2016/deconv-checkerboard).
"""

from itertools import count, pairwise
from math import isqrt
from typing import Annotated, Literal

import torch
from einops import rearrange
from pydantic import Field, field_validator
from torch import Tensor, nn

import genzoo
from genzoo.models import networks
from genzoo.models.networks import activations, halvings, initialise_convolution, pyramid
from genzoo.options import AdversarialOptions
from genzoo.schemas import Channels, Count, Decay, Rate, Schema, Share


class Config(Schema):
    """Sizes of both networks."""

    channels: Channels = 3
    size: Annotated[int, Field(ge=8, le=128)] = 64
    """pixels per side: 4 to 7 times a power of two"""
    latent_dim: Count = 100
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image; they double towards the code"""
    dense_units: Annotated[tuple[Count, ...], Field(max_length=8)] = ()
    """of layers between code and maps: none in the paper, [1024] in the authors' MNIST code"""
    network: Literal["strided", "upsampling", "resize", "residual", "shallow"] = "strided"
    """the paper's networks, those of Keras courses, or the paper's with another generator:
    repeated pixels and 3x3 convolutions, plain or in residual blocks, or, as in other courses,
    of two doublings alone, whatever the size (shallow)"""
    norm_epsilon: Share = 1e-5
    """of shallow: what is added to the variance"""
    prior: Literal["normal", "uniform"] = "normal"
    """distribution of the code: N(0, 1), or uniform on (-1, 1) as in the paper"""
    dropout: Decay = 0.0
    """in the upsampling networks"""
    discriminator_norm: Literal["batch", "none"] = "batch"
    """of the paper's discriminator; a penalty on its gradients needs none"""

    @field_validator("size")
    @classmethod
    def _halves_to_4_to_7(cls, size: int) -> int:
        if not 4 <= (smallest := halvings(size)[1]) <= 7:
            raise ValueError(f"must be 4 to 7 times a power of two, like 28 (halves to {smallest})")
        return size


class TrainOptions(AdversarialOptions):
    """Section 4: Adam at 0.0002 with momentum 0.5, mini-batches of 128."""

    batch_size: Count = 128
    lr: Rate = 2e-4
    beta1: Decay = 0.5


class Generator(genzoo.Latent):
    """A code to an image."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim, self.shape = config.latent_dim, (config.channels, config.size, config.size)
        if config.network == "upsampling":
            self.value_range, self.layers = (0.0, 1.0), upsampling_generator(config)
        elif config.network == "shallow":
            parts = config.latent_dim, config.width, self.shape, config.norm_epsilon
            self.value_range, self.layers = (-1.0, 1.0), networks.shallow_generator(*parts)
        else:
            self.value_range, self.layers = (-1.0, 1.0), strided_generator(config)

    # (n, latent_dim) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.config.prior == "uniform":  # the distribution function of N(0, 1) is uniform
            code = 2 * torch.special.ndtr(code) - 1
        is_dense = self.config.network in ("upsampling", "shallow")
        return self.layers(code if is_dense else rearrange(code, "n d -> n d 1 1"))


class Discriminator(genzoo.Discriminator):
    """An image to a logit."""

    def __init__(self, config: Config):
        super().__init__()
        is_dense = config.network == "upsampling"
        build = upsampling_discriminator if is_dense else strided_discriminator
        self.blocks, self.head = build(config)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> maps, each half as large
        return activations(self.blocks, x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, C, H, W) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


def strided_generator(config: Config) -> nn.Sequential:  # (n, latent_dim, 1, 1) -> (n, C, H, W)
    """Figure 1: the code becomes a small stack of maps, and each layer doubles their sides."""
    maps, smallest = pyramid((config.channels, config.size, config.size), config.width)
    units, maps, layers = [config.latent_dim, *config.dense_units], maps[::-1], list[nn.Module]()
    for a, b in pairwise(units):
        layers += [nn.ConvTranspose2d(a, b, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    layers += [nn.ConvTranspose2d(units[-1], maps[0], smallest, bias=False)]
    for a, b in pairwise(maps):
        layers += [Residual(a, b)] if config.network == "residual" else _doubled(config, a, b)
    layers += _doubled(config, maps[-1], config.channels, bias=True)
    return nn.Sequential(*layers, nn.Tanh()).apply(_initialise)


def _doubled(config: Config, a: int, b: int, bias: bool = False) -> list[nn.Module]:
    """Norm, ReLU, and twice the side: by one transposed convolution, or by repeated pixels."""
    norm = [nn.BatchNorm2d(a), nn.ReLU()]
    if config.network == "strided":
        return [*norm, nn.ConvTranspose2d(a, b, 4, 2, 1, bias=bias)]
    return [*norm, nn.Upsample(scale_factor=2), nn.Conv2d(a, b, 3, 1, 1, bias=bias)]


class Residual(nn.Module):
    """Twice the side in a residual block (Miyato et al. 2018, figure 8, with one 1x1 shortcut)."""

    def __init__(self, a: int, b: int):
        super().__init__()
        self.shortcut = nn.Conv2d(a, b, 1, bias=False)
        self.layers = nn.Sequential(
            *(nn.BatchNorm2d(a), nn.ReLU(), nn.Upsample(scale_factor=2)),
            *(nn.Conv2d(a, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()),
            nn.Conv2d(b, b, 3, 1, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:  # (n, a, H, W) -> (n, b, 2 H, 2 W)
        shortcut = nn.functional.interpolate(self.shortcut(x), scale_factor=2)
        return shortcut + self.layers(x)


def strided_discriminator(config: Config) -> tuple[nn.ModuleList, nn.Module]:
    """Section 3: strides for pooling, LeakyReLU, batch norm except on the first and last layer.

    The maps halve down to at most 4 pixels, so that the last layer sees strokes, not edges.
    """
    levels = next(i for i in count() if config.size >> i <= 4)
    maps = [config.channels, *(config.width * 2**i for i in range(levels))]
    blocks = nn.ModuleList()
    for i, (a, b) in enumerate(pairwise(maps)):
        norm = [nn.BatchNorm2d(b)] if i and config.discriminator_norm == "batch" else []
        conv = nn.Conv2d(a, b, 4, 2, 1, bias=not norm)
        blocks.append(nn.Sequential(conv, *norm, nn.LeakyReLU(0.2)))
    head = nn.Conv2d(maps[-1], 1, config.size >> levels)
    initialise = _initialise if config.discriminator_norm == "batch" else _initialise_for_relu
    return blocks.apply(initialise), head.apply(initialise)


def _initialise_for_relu(module: nn.Module) -> None:
    """Without a norm the weights themselves keep the scale (He et al. 2015, equation 15)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, 0.2)


def _initialise(module: nn.Module) -> None:
    """Section 4: weights from N(0, 0.02); the gain of a batch norm from N(1, 0.02)."""
    initialise_convolution(module)
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


def upsampling_generator(config: Config) -> nn.Sequential:  # (n, latent_dim) -> (n, C, H, W)
    """Dense to the smallest maps; then nearest pixels to twice the side, and 5x5 convolutions."""
    maps, side = pyramid((config.channels, config.size, config.size), config.width)
    maps = [4 * maps[-1], *(2 * n for n in maps[::-1]), config.width]
    units = maps[0] * side**2
    layers = [nn.Linear(config.latent_dim, units), nn.BatchNorm1d(units), nn.ReLU()]
    layers += [nn.Unflatten(1, (maps[0], side, side)), nn.Dropout(config.dropout)]
    for i, (a, b) in enumerate(pairwise(maps), start=2):
        layers += [nn.Upsample(scale_factor=2)] if i < len(maps) else []
        layers += [nn.ConvTranspose2d(a, b, 5, 1, 2), nn.BatchNorm2d(b), nn.ReLU()]
    last = nn.ConvTranspose2d(config.width, config.channels, 5, 1, 2)
    return nn.Sequential(*layers, last, nn.Sigmoid())


def upsampling_discriminator(config: Config) -> tuple[nn.ModuleList, nn.Module]:
    """Three strided 5x5 convolutions and one of stride 1, with dropout and without a norm."""
    maps = [config.channels, *(config.width * 2**i for i in range(1, 5))]
    blocks, side = nn.ModuleList(), config.size
    for stride, (a, b) in zip((2, 2, 2, 1), pairwise(maps), strict=True):
        conv, side = nn.Conv2d(a, b, 5, stride, 2), -(-side // stride)
        blocks.append(nn.Sequential(conv, nn.LeakyReLU(0.2), nn.Dropout(config.dropout)))
    return blocks, nn.Sequential(nn.Flatten(), nn.Linear(maps[-1] * side**2, 1))


def adopt(shapes: genzoo.Shapes) -> genzoo.Adopted:
    """pytorch/examples and pytorch_GAN_zoo: transposed convolutions; PyTorch-GAN: a dense layer."""
    first, *_, last = convolutions = shapes.convolutions(3)
    if all(len(shape) != 2 for shape in shapes.values()):
        sizes = {"channels": last[1], "size": first[2] << len(convolutions) - 1, "width": last[0]}
        source = "DCGAN as in pytorch/examples and pytorch_GAN_zoo"
        config = {**sizes, "latent_dim": first[0]}
        inner = [f"main.{kind}{i}" for i in range(9) for kind in ("convTranspose", "batchNorm")]
        order = ("formatLayer", *inner)
        return genzoo.Adopted(source=source, config=config, order=order, discriminator=True)
    units, code = shapes.dense(1)[0]
    sizes = {"channels": last[0], "size": 4 * isqrt(units // first[1]), "width": last[1]}
    kind = {"latent_dim": code, "network": "shallow", "norm_epsilon": 0.8}
    source = "the generator of PyTorch-GAN's dcgan"
    return genzoo.Adopted(source=source, config=sizes | kind, order=("l1",))


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        revision=3,
        upgrade=genzoo.rename_fields(code="latent_dim", hidden="dense_units", noise="prior"),
        adopt=adopt,
        tiny=Config(channels=1, size=16, latent_dim=4, width=4),
        paper="arXiv:1511.06434",
        api=2,
    )
