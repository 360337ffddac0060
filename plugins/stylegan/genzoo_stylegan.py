"""StyleGAN: a network maps the code to a style, which scales the feature maps of every layer.

Karras, Laine & Aila 2019 (arXiv:1812.04948): mapping network, noise for each layer (section 2),
style mixing (3.1), truncation towards the mean style (appendix B). The styles modulate weights,
which are then demodulated, as in StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, section 2.2); the
first paper normalised maps instead (AdaIN). Path lengths (3.2) and the sum of images (4.1) are from
StyleGAN2, too.
"""

from itertools import pairwise
from typing import Annotated, final

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from pydantic import Field, model_validator
from torch import Tensor, nn

import genzoo
from genzoo.models.equalised import (
    deviation_head,
    equalised,
    leaky_conv,
    leaky_halving,
    modulated,
    pixel_norm,
    resolution_maps,
)
from genzoo.models.networks import activations
from genzoo.options import AdversarialOptions, PenaltyInterval, PenaltyName, Sampling
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Share, Weight

MAPPING_RATE = 0.01  # of learning, beside the other layers' (2019, appendix C)
LENGTH_RATE = 0.01  # of the moving mean of path lengths (2020, appendix B)
CODES = 4096  # whose mean style truncation goes to


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 64, 64)
    """of an image: square, 4 to 7 pixels times a power of two"""
    latent_dim: Count = 512
    """of a code and of a style"""
    mapping_layers: Annotated[int, Field(ge=1, le=16)] = 8
    width: Annotated[int, Field(ge=1, le=1024)] = 256
    """feature maps next to the image; they double towards the code"""
    max_width: Annotated[int, Field(ge=1, le=4096)] = 512
    """most feature maps of a layer"""


class TrainOptions(AdversarialOptions):
    """2019, appendix C: non-saturating loss, R1 of weight 10, Adam (0, 0.99); 2020: lazy R1."""

    penalty: PenaltyName = "r1"
    penalty_interval: PenaltyInterval = 16
    batch_size: Count = 32
    lr: Rate = 2e-3
    beta1: Decay = 0.0
    beta2: Decay = 0.99
    ema_decay: Decay = 0.999
    mixing_share: Share = 0.9
    """share of the fakes that two codes make, one for the coarse layers and one for the fine"""
    path_length_weight: Weight = 0.0
    """weight of equation 4 of StyleGAN2, whose authors take 2; 0: none, which takes less time"""
    path_length_interval: PenaltyInterval = 8
    """steps between two such terms; the weight is multiplied by this number"""


class StyleSampling(Sampling):
    """How far styles go, how much noise, and whose styles the fine layers have."""

    truncation: Annotated[float, Field(ge=0, le=1)] = 1.0
    """psi of appendix B: 1: the styles as they are, 0: the mean style"""
    noise: Annotated[float, Field(ge=0, le=10)] = 1.0
    """how much of each layer's noise; 0: none"""
    mix_index: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """the layers from ``mix_from`` on have the style of this sample; none: no mixing"""
    mix_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """the seed of that sample, with ``mix_index``"""
    mix_from: Annotated[int, Field(ge=0, le=20)] = 2
    """with ``mix_index``: 0: the layers of the smallest resolution and all others; each doubling
    has two more"""

    @model_validator(mode="after")
    def _of_a_sample(self) -> "StyleSampling":
        if self.mix_index is None and (self.mix_seed, self.mix_from) != (0, 2):
            raise ValueError("mix_seed and mix_from act only with mix_index, the sample to mix in")
        return self


class StyledConv(nn.Module):
    """A modulated convolution, noise of a learnt strength, and a LeakyReLU."""

    def __init__(self, a: int, b: int, style_dim: int, doubles: bool = False):
        super().__init__()
        self.doubles = doubles
        self.conv = equalised(nn.Conv2d(a, b, 3, 1, 1, bias=False))
        self.style = equalised(nn.Linear(style_dim, a), gain=1)
        nn.init.ones_(self.style.bias)
        self.bias, self.strength = nn.Parameter(torch.zeros(b)), nn.Parameter(torch.zeros(()))

    # (n, a, H, W), (n, style_dim) -> (n, b, H, W), or twice the sides
    def forward(self, x: Tensor, style: Tensor, noise: genzoo.Noise | None, share: float) -> Tensor:
        if self.doubles:
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
        x = modulated(self.conv, x, self.style(style))
        if noise is not None:
            x = x + share * self.strength * noise.normal(1, *x.shape[2:])
        return F.leaky_relu(x + rearrange(self.bias, "c -> c 1 1"), 0.2)


class ToImage(nn.Module):
    """A modulated convolution of one pixel, whose weights stay as they are."""

    def __init__(self, maps: int, channels: int, style_dim: int):
        super().__init__()
        self.conv = equalised(nn.Conv2d(maps, channels, 1, bias=False), gain=1)
        self.style = equalised(nn.Linear(style_dim, maps), gain=1)
        nn.init.ones_(self.style.bias)
        self.bias = nn.Parameter(torch.zeros(channels))

    # (n, maps, H, W), (n, style_dim) -> (n, channels, H, W)
    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        image = modulated(self.conv, x, self.style(style), demodulate=False)
        return image + rearrange(self.bias, "c -> c 1 1")


class Generator(genzoo.Latent):
    """A code to a style, and a learnt constant to an image, by layers that the style scales."""

    sampling = StyleSampling

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.latent_dim = config.shape, (d := config.latent_dim)
        self.mapping = nn.Sequential()
        for _ in range(config.mapping_layers):
            self.mapping.extend([equalised(nn.Linear(d, d), rate=MAPPING_RATE), nn.LeakyReLU(0.2)])
        maps, side = resolution_maps(config.shape, config.width, config.max_width)
        self.constant = nn.Parameter(torch.randn(maps[0], side, side))
        self.layers = nn.ModuleList([StyledConv(maps[0], maps[0], d)])
        for a, b in pairwise(maps):
            self.layers.extend([StyledConv(a, b, d, doubles=True), StyledConv(b, b, d)])
        self.to_image = nn.ModuleList(ToImage(a, config.shape[0], d) for a in maps)
        self.register_buffer("mean_style", torch.zeros(d))
        self.register_buffer("path_length", torch.zeros(()))

    def styles(self, code: Tensor) -> Tensor:
        """The style of each layer: ``(n, latent_dim)`` to ``(n, layers, latent_dim)``."""
        style = self.mapping(pixel_norm(code))
        return repeat(style, "n d -> n layers d", layers=len(self.layers))

    def mixed(self, coarse: Tensor, fine: Tensor, start: int | Tensor) -> Tensor:
        """``coarse`` styles up to layer ``start``, a number or ``(n,)``; ``fine`` from there on."""
        layers = torch.arange(len(self.layers), device=coarse.device)
        is_fine = layers >= rearrange(torch.as_tensor(start, device=coarse.device), "... -> ... 1")
        return torch.where(rearrange(is_fine, "... layers -> ... layers 1"), fine, coarse)

    def images(self, styles: Tensor, noise: genzoo.Noise | None, share: float = 1.0) -> Tensor:
        """``(n, layers, latent_dim)`` to unbounded images; those of all resolutions add up."""
        h = repeat(self.constant, "c h w -> n c h w", n=styles.shape[0])
        h = self.layers[0](h, styles[:, 0], noise, share)
        x = self.to_image[0](h, styles[:, 0])
        for i in range(1, len(self.layers), 2):
            for k in (i, i + 1):
                h = self.layers[k](h, styles[:, k], noise, share)
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = x + self.to_image[(i + 1) // 2](h, styles[:, i + 1])
        return x

    # (n, latent_dim) -> (n, C, H, W)
    def decode(
        self,
        code: Tensor,
        labels: Tensor | None = None,
        noise: genzoo.Noise | None = None,
        sampling: StyleSampling | None = None,
    ) -> Tensor:
        sampling = sampling or StyleSampling()
        styles = self.styles(code)
        if sampling.mix_index is not None:
            if sampling.mix_from >= len(self.layers):
                last = len(self.layers) - 1
                raise genzoo.BadInput(f"mix_from must be 0 to {last}, got {sampling.mix_from}")
            other = genzoo.Noise(sampling.mix_seed, [sampling.mix_index], device=code.device)
            fine = self.styles(self.draw_code(other, sampling).to(code.dtype))
            styles = self.mixed(styles, fine, sampling.mix_from)
        styles = self.mean_style.lerp(styles, sampling.truncation)
        return self.images(styles, noise if sampling.noise else None, sampling.noise).clamp(-1, 1)


class Discriminator(genzoo.Discriminator):
    """An image to a logit, by the layers of ProGAN's (arXiv:1710.10196, table 2)."""

    def __init__(self, config: Config):
        super().__init__()
        maps, side = resolution_maps(config.shape, config.width, config.max_width)
        first = nn.Sequential(*leaky_conv(config.shape[0], maps[-1], 1))
        halvings = (leaky_halving(a, b) for a, b in pairwise(maps[::-1]))
        self.blocks = nn.ModuleList([first, *halvings])
        self.head = deviation_head(maps[0], side)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, C, H, W) -> maps, each half as large
        return activations(self.blocks, x)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, C, H, W) -> (n,)
        return self.head(self.features(x)[-1]).flatten()


@final
class Styled(genzoo.Trainer):
    """An adversarial game whose fakes mix styles, with a term on the lengths of paths."""

    def __init__(self, model: Generator, options: TrainOptions):
        self.generator, self.options = model, options
        terms = {"generator": [self._path]} if options.path_length_weight else {}
        game = genzoo.Adversarial(
            model, Discriminator(model.config), options, terms=terms, fakes=self._fakes
        )
        super().__init__(model, game.players, inner=game)
        self.game, self.batches_per_step = game, game.batches_per_step

    def step(self, batch: genzoo.Batch) -> genzoo.Logs:
        logs = self.game.step(batch)
        if "generator/path length" in logs:
            self.generator.path_length.lerp_(logs["generator/path length"], LENGTH_RATE)
        return logs

    def _fakes(self, batch: genzoo.Batch, noise: genzoo.Noise) -> Tensor:
        model = self.generator
        coarse, fine = (model.styles(noise.normal(model.latent_dim)) for _ in range(2))
        chance, place = noise.uniform(2).unbind(1)
        last = len(model.layers) - 1
        start = torch.where(chance < self.options.mixing_share, 1 + (place * last).long(), last + 1)
        return model.images(model.mixed(coarse, fine, start), noise)

    def _path(self, game: genzoo.training.Game) -> tuple[Tensor, genzoo.Logs]:
        """2020, equation 4: a step of a style should move the image equally far everywhere."""
        weight, interval = self.options.path_length_weight, self.options.path_length_interval
        if game.batch.step % interval:
            return torch.zeros((), device=game.real.device), {}
        model, noise = self.generator, game.batch.noise("path")
        length = path_lengths(model, model.styles(noise.normal(model.latent_dim)), noise)
        error = (length - model.path_length).square().mean()
        return weight * interval * error, {"path length": length.mean()}


def path_lengths(model: Generator, styles: Tensor, noise: genzoo.Noise) -> Tensor:
    """``(n,)``: the norm of J^T y of each sample, for a y from N(0, 1 / pixels)."""
    images = model.images(styles, noise).float()
    y = noise.normal(*images.shape[1:]) / images[0, 0].numel() ** 0.5
    (slope,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
    return slope.square().sum(2).mean(1).sqrt()


@torch.no_grad()
def finish(model: Generator, options: TrainOptions, batches: object) -> None:
    """Find the mean style, of many codes."""
    codes = genzoo.Noise(0, range(CODES), "mean style", model.device).normal(model.latent_dim)
    model.mean_style.copy_(model.mapping(pixel_norm(codes)).mean(0))


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=Discriminator,
        trainer=Styled,
        finish=finish,
        data="images",
        tiny=Config(shape=(1, 8, 8), latent_dim=4, mapping_layers=2, width=4, max_width=4),
        paper="arXiv:1812.04948",
        api=2,
    )
