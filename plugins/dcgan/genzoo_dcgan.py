"""DCGAN: an all-convolutional generator against an all-convolutional discriminator.

Radford, Metz & Chintala 2016 (arXiv:1511.06434), sections 3 and 4. ``network = "upsampling"`` is
the variant that Keras courses teach: a dense layer, pixels repeated, 5x5 convolutions of stride 1.
"""

from itertools import count, pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

import genzoo
from genzoo.options import AdversarialOptions
from genzoo.schemas import Channels, Count, Decay, Rate, Schema


class Config(Schema):
    """Sizes of both networks."""

    channels: Channels = 3
    size: Annotated[int, Field(ge=8, le=128)] = 64
    """pixels: 4 to 7 times a power of two"""
    latent_dim: Count = 100
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps next to the image; they double towards the code"""
    hidden: Annotated[tuple[Count, ...], Field(max_length=8)] = ()
    """units of layers between code and maps: none in the paper; the authors' MNIST code: [1024]"""
    network: Literal["strided", "upsampling"] = "strided"
    """the paper's, or the Keras courses'"""
    noise: Literal["normal", "uniform"] = "normal"
    """law of the code: normal, or uniform on (-1, 1) as the paper has it"""
    dropout: Decay = 0.0
    """in the upsampling networks"""

    @field_validator("size")
    @classmethod
    def _halves_down_to_the_seed(cls, size: int) -> int:
        if (seed := _seed(size)) not in (4, 5, 6, 7):
            raise ValueError(
                f"should be 4 to 7 times a power of two, like 28 or 64 (halves to {seed})"
            )
        return size

    def widths(self, smallest: int) -> list[int]:
        """Feature maps from the image inwards, until they are no larger than ``smallest``."""
        levels = next(i for i in count() if self.size >> i <= smallest)
        return [self.width * 2**i for i in range(levels)]


class Options(AdversarialOptions):
    """Section 4: Adam at 0.0002 with momentum 0.5, mini-batches of 128."""

    batch_size: Count = 128
    lr: Rate = 2e-4
    beta1: Decay = 0.5


def _seed(size: int) -> int:
    while size % 2 == 0 and size > 7:
        size //= 2
    return size


def _initialise(module: nn.Module) -> None:
    """Section 4: weights from N(0, 0.02); a batch norm's gain around 1."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


def _upsampling(config: Config) -> list[nn.Module]:
    """Dense to the smallest maps; then nearest pixels to twice the side, and 5x5 convolutions."""
    side = _seed(config.size)
    widths = [2 * w for w in config.widths(side)][::-1]
    widths = [2 * widths[0], *widths]
    units = widths[0] * side**2
    layers = [nn.Linear(config.latent_dim, units), nn.BatchNorm1d(units), nn.ReLU()]
    layers += [nn.Unflatten(1, (widths[0], side, side)), nn.Dropout(config.dropout)]
    for i, (a, b) in enumerate(pairwise([*widths, config.width])):
        layers += [nn.Upsample(scale_factor=2)] if i < len(widths) - 1 else []
        layers += [nn.ConvTranspose2d(a, b, 5, 1, 2), nn.BatchNorm2d(b), nn.ReLU()]
    return [*layers, nn.ConvTranspose2d(config.width, config.channels, 5, 1, 2), nn.Sigmoid()]


def _judging(config: Config) -> tuple[nn.ModuleList, nn.Sequential]:
    """Its discriminator: three strided 5x5 convolutions and one that is not, dropout, no norm."""
    widths = [config.channels, *(config.width * 2**i for i in range(1, 5))]
    blocks, side = nn.ModuleList(), config.size
    for stride, (a, b) in zip((2, 2, 2, 1), pairwise(widths), strict=True):
        conv, side = nn.Conv2d(a, b, 5, stride, 2), -(-side // stride)
        blocks.append(nn.Sequential(conv, nn.LeakyReLU(0.2), nn.Dropout(config.dropout)))
    return blocks, nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * side**2, 1))


class Generator(genzoo.Latent):
    """Figure 1: the code becomes a small stack of maps, and each layer doubles it."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.latent_dim = config.latent_dim
        self.shape = (config.channels, config.size, config.size)
        if config.network == "upsampling":
            self.value_range, self.layers = (0.0, 1.0), nn.Sequential(*_upsampling(config))
            return
        widths = config.widths(_seed(config.size))[::-1]
        units, layers = [config.latent_dim, *config.hidden], list[nn.Module]()
        for inputs, outputs in pairwise(units):
            layers += [nn.ConvTranspose2d(inputs, outputs, 1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.ConvTranspose2d(units[-1], widths[0], _seed(config.size), bias=False)]
        for width, narrower in pairwise(widths):
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.ConvTranspose2d(width, narrower, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], config.channels, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers).apply(_initialise)

    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: genzoo.Noise | None = None
    ) -> Tensor:  # (n, code) -> (n, C, H, W)
        if self.config.noise == "uniform":
            code = 2 * torch.special.ndtr(code) - 1
        return self.layers(code if self.config.network == "upsampling" else code[:, :, None, None])


class Discriminator(genzoo.Discriminator):
    """Section 3: strides for pooling, LeakyReLU, batch norm but on the first and last layer.

    Its maps halve down to 4 pixels or fewer, so that the last layer sees strokes, not edges.
    """

    def __init__(self, config: Config):
        super().__init__()
        if config.network == "upsampling":
            self.blocks, self.head = _judging(config)
            return
        widths = config.widths(4)
        stem = nn.Sequential(nn.Conv2d(config.channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2))
        self.blocks = nn.ModuleList([stem])
        for width, wider in pairwise(widths):
            conv = nn.Conv2d(width, wider, 4, 2, 1, bias=False)
            self.blocks.append(nn.Sequential(conv, nn.BatchNorm2d(wider), nn.LeakyReLU(0.2)))
        self.head = nn.Conv2d(widths[-1], 1, config.size >> len(widths))
        self.apply(_initialise)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> maps, each half as large
        maps = []
        for block in self.blocks:
            maps.append(x := block(x))
        return maps

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, C, H, W) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


def trainer(model: Generator, options: Options) -> genzoo.Trainer:
    return genzoo.Adversarial(model, Discriminator(model.config), options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=Options,
        model=Generator,
        discriminator=Discriminator,
        trainer=trainer,
        revision=2,
        upgrade=genzoo.rename_fields(code="latent_dim"),
        tiny=Config(channels=1, size=16, latent_dim=4, width=4),
        paper="arXiv:1511.06434",
        api=2,
    )
