"""PixelCNN: each pixel is sampled given those above it and to its left; likelihoods are exact.

Van den Oord et al. 2016a (arXiv:1601.06759): the order of the channels and the masks (section 3.4).
2016b (arXiv:1606.05328): the gates, two stacks without blind spot (figure 2) and the classes
(equation 4). The networks here are the gated ones. `genzoo_pixelcnn_fast.py` samples the same as
`complete_slowly`, in less time.
"""

import itertools
import math
from typing import Annotated, Literal

import genzoo_pixelcnn_fast
import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo import Noise
from genzoo.models.networks import MaskedConv
from genzoo.options import Options, PixelSampling
from genzoo.schemas import Count, Decay, Rate, Schema, Shape


class Config(Schema):
    """Sizes of the two stacks, and the values that a pixel takes."""

    shape: Shape = (1, 28, 28)
    levels: Annotated[int, Field(ge=0, le=256)] = 256
    """values that a pixel of the data can take"""
    quantized_levels: Annotated[int, Field(ge=0, le=256)] = 0
    """round pixels to so many values, up or down at random: 2 is the usual binarisation; 0: none"""
    classes: Annotated[int, Field(ge=0, le=10_000)] = 0
    """of the data"""
    conditional: bool = False
    """condition the model on the class"""
    layers: Annotated[int, Field(ge=1, le=64)] = 7
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps of each stack, shared out among the image's channels"""
    first_kernel: Literal[3, 5, 7, 9] = 7
    """side of the first layer's window"""
    kernel: Literal[3, 5, 7] = 3
    """side of the other layers' windows"""
    position_bias: bool = False
    """a learned bias for every position, which the papers do not have"""


class TrainOptions(Options):
    """Today's optimiser; small batches, as each image is 784 examples."""

    batch_size: Count = 16
    lr: Rate = 1e-3
    ema_decay: Decay = 0.998


def gate(x: Tensor) -> Tensor:  # (n, 2 p, ...) -> (n, p, ...)
    """Equation 2 of 2016b."""
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


class GatedLayer(nn.Module):
    """A layer of both stacks (figure 2 of 2016b)."""

    def __init__(self, config: Config):
        super().__init__()
        p, self.side, channels = config.width, config.kernel // 2, config.shape[0]
        self.down = nn.Conv2d(p, 2 * p, (self.side + 1, config.kernel))
        self.link = nn.Conv2d(2 * p, 2 * p, 1)
        self.across = MaskedConv((p, 2 * p), self.side + 1, channels, parts=2)
        self.out = MaskedConv((p, p), 1, channels, bias=False)
        if config.conditional:
            self.classes = nn.Embedding(config.classes, 4 * p)

    def class_terms(self, labels: Tensor | None) -> tuple[Tensor | float, ...]:
        """What the class adds to each stack: two of ``(n, 2 p, 1, 1)`` (equation 4), or 0."""
        if labels is None:
            return 0.0, 0.0
        return rearrange(self.classes(labels), "n p -> n p 1 1").chunk(2, 1)

    def forward(self, v: Tensor, h: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """The vertical stack and the horizontal one, ``(n, p, H, W)`` each, to the same."""
        above = self.down(F.pad(v, (self.side, self.side, self.side, 0)))
        if labels is None:  # adding zeros would take 7 % of a step
            beside = self.across(h) + self.link(above)
        else:
            down, across = self.class_terms(labels)
            above = above + down
            beside = self.across(h) + self.link(above) + across
        return gate(above), h + self.out(gate(beside))


class PixelCNN(genzoo.Completer, genzoo.Density, genzoo.Stepwise):
    """p(x) as a product over pixels and channels (equation 1 of 2016a)."""

    sampling = PixelSampling
    likelihood_kind = "exact"
    levels: int
    in_raster_order = True
    step_outputs = ("logits",)

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.levels = config.shape, config.quantized_levels or config.levels
        self.num_classes = config.classes if config.conditional else 0
        if len(self.shape) != 3 or not self.levels > 1:
            raise genzoo.BadInput("PixelCNN needs images whose pixels have 2 to 256 levels")
        if config.conditional and not config.classes:
            raise genzoo.BadInput("conditional=true needs data with one subfolder for each class")
        channels, p, self.reach = self.shape[0], config.width, config.first_kernel // 2
        self.above = nn.Conv2d(channels, p, (self.reach, config.first_kernel))
        self.left = MaskedConv((channels, p), self.reach + 1, channels, "A")
        if config.position_bias:
            self.places = nn.Parameter(torch.zeros(2, p, *self.shape[1:]))
        self.layers = nn.ModuleList(GatedLayer(config) for _ in range(config.layers))
        self.head = MaskedConv((p, p), 1, channels)
        self.law = MaskedConv((p, channels * self.levels), 1, channels)

    def logits(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """``(n, C, H, W)`` to ``(n, C, levels, H, W)``, given the pixels and channels before."""
        v, h = self.above(F.pad(x, (*[self.reach] * 3, 0)))[:, :, :-1], self.left(x)
        if self.config.position_bias:
            v, h = v + self.places[0], h + self.places[1]
        for layer in self.layers:
            v, h = layer(v, h, labels)
        logits = self.law(self.head(h.relu()).relu())
        return rearrange(logits, "n (c levels) h w -> n c levels h w", levels=self.levels)

    def step(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """``logits`` of images in [0, 1], of which only the pixels before each count."""
        return self.logits(2 * image - 1, label)

    def step_inputs(self, noise: Noise) -> tuple[Tensor, ...]:
        labels = self.labels_for(None, len(noise))
        return (noise.uniform(*self.shape),) + (() if labels is None else (labels,))

    def level(self, x: Tensor) -> Tensor:  # in the model's range -> 0 to levels - 1
        return ((x + 1) / 2 * (self.levels - 1)).round().long()

    def value(self, level: Tensor) -> Tensor:  # and back
        return level * (2 / (self.levels - 1)) - 1

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        log_p = self.logits(x, labels).float().log_softmax(2)  # (n, C, levels, H, W)
        return log_p.gather(2, self.level(x)[:, :, None]).sum((1, 2, 3, 4))

    def loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Minus the log-likelihood, in nats per value."""
        x = batch.x
        if self.config.quantized_levels:
            steps = (x + 1) / 2 * (self.levels - 1)
            up = (steps + batch.noise("coarse").uniform(*self.shape)).floor()
            x = self.value(up.minimum(steps.ceil()))  # float32 rounds 1 + 0.99999999 to 2
        loss = F.cross_entropy(self.logits(x, batch.labels).transpose(1, 2), self.level(x))
        return loss, {"nats": loss * math.prod(self.shape), "bits/dim": loss / math.log(2)}

    def generate(self, noise: Noise, labels: Tensor | None, sampling: PixelSampling) -> Tensor:
        unknown = torch.zeros(len(noise), *self.shape, device=self.device)
        heat = sampling.temperature
        return genzoo_pixelcnn_fast.complete(self, unknown, None, noise, labels, heat)

    def complete(
        self, x: Tensor, mask: Tensor, noise: Noise, labels: Tensor | None, sampling: PixelSampling
    ) -> Tensor:  # images and a mask, 1 = known, both (n, C, H, W) -> (n, C, H, W)
        """The result of ``complete_slowly``, in the time of a few forward passes."""
        return genzoo_pixelcnn_fast.complete(self, x, mask, noise, labels, sampling.temperature)

    @torch.no_grad()
    def complete_slowly(
        self, x: Tensor, mask: Tensor, noise: Noise, labels: Tensor | None, temperature: float = 1.0
    ) -> Tensor:  # images and a mask, 1 = known, both (n, C, H, W) -> (n, C, H, W)
        """Section 2.1 of 2016a: one value after the other, each by a forward pass of its own.

        The argmax of logits plus Gumbel noise is a sample from their softmax; noise times the
        temperature is the same as logits divided by it.
        """
        channels, height, width = self.shape
        image, known = torch.zeros_like(x), mask > 0
        epsilon = [temperature * noise.gumbel(width, channels, self.levels) for _ in range(height)]
        for i, j, c in itertools.product(range(height), range(width), range(channels)):
            logits = self.logits(image, labels)[:, c, :, i, j] + epsilon[i][:, j, c]
            value = self.value(logits.argmax(1))
            image[:, c, i, j] = torch.where(known[:, c, i, j], x[:, c, i, j], value)
        return image


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=PixelCNN,
        trainer=lambda model, options: genzoo.LossTrainer(model, model.loss, options),
        data="images",
        revision=2,
        upgrade=genzoo.rename_fields(
            coarse="quantized_levels", first="first_kernel", places="position_bias"
        ),
        tiny=Config(shape=(1, 6, 6), levels=3, layers=2, width=6),
        paper="arXiv:1606.05328",
        api=2,
    )
