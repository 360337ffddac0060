"""BigGAN: SAGAN made large, whose blocks all get the class and a part of the code.

Brock, Donahue & Simonyan 2019 (arXiv:1809.11096): shared class embedding and hierarchical codes
(section 3, appendix B, figure 15), truncated codes and orthogonal regularisation (3.1, equation 3).
The discriminator is SAGAN's (arXiv:1805.08318).
"""

from itertools import pairwise
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import genzoo
from genzoo.models.spectral import (
    ProjectionDiscriminator,
    SelfAttention,
    attentive_levels,
    find_singular_vectors,
    run_blocks,
    spectral_conv,
)
from genzoo.options import AdversarialOptions, DiscriminatorRate, DiscriminatorSteps, GanLossName
from genzoo.schemas import Count, Decay, Rate, Schema, Shape, Weight

orthogonal = nn.init.orthogonal_


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Module:
    """With orthogonal weights whose largest singular value stays 1."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    orthogonal(layer.weight)
    return spectral_norm(layer)


class Config(Schema):
    """Sizes of both networks."""

    shape: Shape = (3, 32, 32)
    """of an image: square, 4 to 7 pixels times a power of two"""
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10
    chunk_dim: Count = 20
    """of the code, for the first layer, and as many for each block: 120 in all at 128x128"""
    class_dim: Count = 128
    """of the class embedding that all blocks share"""
    width: Annotated[int, Field(ge=1, le=1024)] = 96
    """feature maps next to the image, which double towards the code up to sixteenfold"""
    attention_resolution: Annotated[int, Field(ge=0, le=256)] = 16
    """attention at the largest maps with a side up to this; 0: no attention"""
    pooled_attention: bool = False
    """the generator's attention over the maxima of 2x2 pixels, as BigGAN-PyTorch has it"""


class TrainOptions(AdversarialOptions):
    """Section 3 and appendix C: hinge loss, Adam (0, 0.999), two discriminator steps."""

    loss: GanLossName = "hinge"
    batch_size: Count = 256
    """table 1: more, up to 2048, are better"""
    lr: Rate = 5e-5
    discriminator_lr: DiscriminatorRate = 2e-4
    discriminator_steps: DiscriminatorSteps = 2
    beta1: Decay = 0.0
    ema_decay: Decay = 0.9999
    orthogonal_weight: Weight = 1e-4


class Norm(nn.Module):
    """Batch norm whose scale and shift are linear in the class and a part of the code."""

    def __init__(self, maps: int, inputs: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(maps, affine=False)
        self.scale, self.shift = (linear(inputs, maps, bias=False) for _ in range(2))

    def forward(self, x: Tensor, given: Tensor) -> Tensor:  # (n, maps, H, W), (n, inputs) -> x's
        scale, shift = (rearrange(f(given), "n c -> n c 1 1") for f in (self.scale, self.shift))
        return self.norm(x) * (1 + scale) + shift


class Up(nn.Module):
    """A residual block to twice the side (figure 15b)."""

    def __init__(self, a: int, b: int, inputs: int):
        super().__init__()
        self.first, self.second = Norm(a, inputs), Norm(b, inputs)
        self.wide, self.fine = (
            spectral_conv(a, b, init=orthogonal),
            spectral_conv(b, b, init=orthogonal),
        )
        self.past = spectral_conv(a, b, 1, init=orthogonal)

    # (n, a, H, W), (n, inputs) -> (n, b, 2 H, 2 W)
    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        h = self.wide(F.interpolate(self.first(x, given).relu(), scale_factor=2))
        return self.fine(self.second(h, given).relu()) + F.interpolate(self.past(x), None, 2)


class Generator(genzoo.Latent):
    """The first part of the code to maps of 4 to 7 pixels; the others, and the class, to blocks."""

    attentions: Any

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.num_classes = config.shape, config.classes
        maps, self.smallest, attends = attentive_levels(
            config.shape, config.width, config.attention_resolution
        )
        maps = maps[::-1]
        self.latent_dim = config.chunk_dim * len(maps)
        self.classes = nn.Embedding(config.classes, config.class_dim)
        orthogonal(self.classes.weight)
        self.first = linear(config.chunk_dim, maps[0] * self.smallest**2)
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleDict()
        for i, (a, b) in enumerate(pairwise(maps)):
            self.blocks.append(Up(a, b, config.chunk_dim + config.class_dim))
            if self.smallest * 2 ** (i + 1) == attends:
                self.attentions[str(i)] = SelfAttention(b, config.pooled_attention)
        self.norm = nn.BatchNorm2d(maps[-1])
        self.last = spectral_conv(maps[-1], self.shape[0], init=orthogonal)

    # (n, latent_dim), (n,) -> (n, C, H, W)
    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        first, *parts = code.split(self.config.chunk_dim, 1)
        x, classes = self.first(first), self.classes(labels)
        x = rearrange(x, "n (c h w) -> n c h w", h=self.smallest, w=self.smallest)
        *_, (_, x) = run_blocks(self, x, [torch.cat([classes, part], 1) for part in parts])
        return self.last(self.norm(x).relu()).tanh()


def discriminator(config: Config) -> genzoo.Discriminator:
    c = config
    return ProjectionDiscriminator(
        c.shape, c.width, c.attention_resolution, c.classes, init=orthogonal
    )


def finish(model: Generator, options: TrainOptions, batches: object) -> None:
    """Find the singular vectors of averaged weights."""
    find_singular_vectors(model)


def adopt(shapes: genzoo.Shapes) -> genzoo.Adopted:
    """BigGAN-PyTorch's generator of 128 pixels, with a shared embedding and hierarchical codes."""
    classes, class_dim = shapes.layer("shared")
    width, chunk_dim = shapes.layer("output_layer.2")[1], shapes.layer("linear")[1]
    layers = {"classes": "shared", "first": "linear"}
    layers |= {"norm": "output_layer.0", "last": "output_layer.2"}
    inner = {"wide": "conv1", "fine": "conv2", "past": "conv_sc"}
    for ours, theirs in (("first", "bn1"), ("second", "bn2")):
        inner |= {f"{ours}.norm": theirs, f"{ours}.scale": f"{theirs}.gain"}
        inner[f"{ours}.shift"] = f"{theirs}.bias"
    attended = [i for i in range(5) if f"blocks.{i}.1.gamma" in shapes]
    for i in range(5):
        layers |= {f"blocks.{i}.{a}": f"blocks.{i}.0.{b}" for a, b in inner.items()}
    for i in attended:
        names = {"": "", ".f": ".phi", ".g": ".theta", ".h": ".g", ".v": ".o"}
        layers |= {f"attentions.{i}{a}": f"blocks.{i}.1{b}" for a, b in names.items()}
    sizes = {"shape": (3, 128, 128), "classes": classes, "class_dim": class_dim, "width": width}
    more = {"chunk_dim": chunk_dim, "attention_resolution": sum(8 << i for i in attended)}
    return genzoo.Adopted(
        source="the generator of BigGAN-PyTorch at 128 pixels",
        config={**sizes, **more, "pooled_attention": True},
        layers=layers,
        unused=("sv0",),
    )


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=Generator,
        discriminator=discriminator,
        finish=finish,
        data="labelled",
        adopt=adopt,
        tiny=Config(
            shape=(1, 8, 8), classes=3, chunk_dim=2, class_dim=2, width=3, attention_resolution=0
        ),
        paper="arXiv:1809.11096",
        api=2,
    )
