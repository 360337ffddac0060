"""PixelCNN: each pixel is drawn given those above it and to its left; likelihoods are exact.

Van den Oord et al. 2016a (arXiv:1601.06759) has the order of channels and the masks (section 3.4);
2016b (arXiv:1606.05328) the gates, two stacks without blind spot (figure 2) and the classes
(equation 4): the networks here are its gated ones. `genzoo_pixelcnn_fast.py` draws what
`complete_slowly` draws, in less time.
"""

import itertools
import math
from typing import Annotated, Literal

import genzoo_pixelcnn_fast
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo.options import Options
from genzoo.schemas import Count, Decay, Rate, Schema, Shape


class Config(Schema):
    """Sizes of the two stacks, and the values that a pixel takes."""

    shape: Shape = (1, 28, 28)
    levels: Annotated[int, Field(ge=0, le=256)] = 256
    """values that a pixel of the data takes"""
    coarse: Annotated[int, Field(ge=0, le=256)] = 0
    """values that pixels are rounded to, up or down at random; 2 is the usual binarisation"""
    classes: Annotated[int, Field(ge=0, le=10_000)] = 0
    """of the data"""
    conditional: bool = False
    """whether the model takes the class"""
    layers: Annotated[int, Field(ge=1, le=64)] = 7
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """feature maps of each stack, a multiple of the picture's channels"""
    first: Literal[3, 5, 7, 9] = 7
    """side of the first layer's window"""
    kernel: Literal[3, 5, 7] = 3
    """side of the other layers' windows"""
    places: bool = False
    """a learned bias for every place, which the papers have not"""


class TrainOptions(Options):
    """Today's optimiser; small batches, as a picture is 784 examples."""

    batch_size: Count = 16
    lr: Rate = 1e-3
    ema_decay: Decay = 0.998


def gate(x: Tensor) -> Tensor:  # (n, 2 p, ...) -> (n, p, ...)
    """Equation 2 of 2016b."""
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


class Across(nn.Conv2d):
    """A convolution of a pixel and those to its left, (n, p, H, W) -> (n, q, H, W).

    Of the pixel itself, a map of channel c sees those of the channels before c, R then G then B
    (mask A), or of c too (mask B). ``halves``: 2 where the output is the two halves of a gate.
    """

    def __init__(
        self,
        maps: tuple[int, int],
        taps: int,
        channels: int,
        mask: Literal["A", "B"] = "B",
        halves: int = 1,
        bias: bool = True,
    ):
        super().__init__(*maps, (1, taps), bias=bias)
        self.channels, self.mask, self.halves = channels, mask, halves

    def masked(self) -> Tensor:
        """The weights with 0 for what may not be seen."""
        if self.channels == 1 and self.mask == "B":
            return self.weight
        q, p = (torch.arange(n, device=self.weight.device) for n in self.weight.shape[:2])
        half = len(q) // self.halves
        to, of = q % half // (half // self.channels), p // (len(p) // self.channels)
        seen = of < to[:, None] if self.mask == "A" else of <= to[:, None]
        own = self.weight[..., -1:] * seen[:, :, None, None]
        return torch.cat([self.weight[..., :-1], own], -1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (self.kernel_size[1] - 1, 0)), self.masked(), self.bias)


class Gated(nn.Module):
    """A layer of both stacks (figure 2 of 2016b)."""

    def __init__(self, config: Config):
        super().__init__()
        p, self.side, channels = config.width, config.kernel // 2, config.shape[0]
        self.down = nn.Conv2d(p, 2 * p, (self.side + 1, config.kernel))
        self.link = nn.Conv2d(2 * p, 2 * p, 1)
        self.across = Across((p, 2 * p), self.side + 1, channels, halves=2)
        self.out = Across((p, p), 1, channels, bias=False)
        if config.conditional:
            self.classes = nn.Embedding(config.classes, 4 * p)

    def class_terms(self, labels: Tensor | None) -> tuple[Tensor | float, ...]:
        """What the class adds to each stack, two of (n, 2 p, 1, 1) (equation 4)."""
        if labels is None:
            return 0.0, 0.0
        return self.classes(labels)[:, :, None, None].chunk(2, 1)

    def forward(self, v: Tensor, h: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """(n, p, H, W) twice -> as they were."""
        down, across = self.class_terms(labels)
        above = self.down(F.pad(v, (self.side, self.side, self.side, 0))) + down
        beside = self.across(h) + self.link(above) + across
        return gate(above), h + self.out(gate(beside))


class PixelCNN(genzoo.Completer, genzoo.Density):
    """p(x) as a product over pixels and channels (equation 1 of 2016a)."""

    likelihood_kind = "exact"
    in_raster_order = True

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.levels = config.shape, config.coarse or config.levels
        self.num_classes = config.classes if config.conditional else 0
        if len(self.shape) != 3 or not self.levels > 1:
            raise genzoo.BadInput("PixelCNN takes pictures whose pixels have 2 to 256 levels")
        if config.conditional and not config.classes:
            raise genzoo.BadInput("conditional needs data with classes")
        channels, p, self.reach = self.shape[0], config.width, config.first // 2
        if p % channels:
            raise genzoo.BadInput(f"width must be a multiple of {channels} channels, got {p}")
        self.above = nn.Conv2d(channels, p, (self.reach, config.first))
        self.left = Across((channels, p), self.reach + 1, channels, "A")
        if config.places:
            self.places = nn.Parameter(torch.zeros(2, p, *self.shape[1:]))
        self.layers = nn.ModuleList(Gated(config) for _ in range(config.layers))
        self.head = Across((p, p), 1, channels)
        self.law = Across((p, channels * self.levels), 1, channels)

    def logits(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """(n, C, H, W) -> (n, C, levels, H, W), each given the pixels and channels before it."""
        reach = self.reach
        v, h = self.above(F.pad(x, (reach, reach, reach, 0)))[:, :, :-1], self.left(x)
        if self.config.places:
            v, h = v + self.places[0], h + self.places[1]
        for layer in self.layers:
            v, h = layer(v, h, labels)
        return self.law(self.head(h.relu()).relu()).unflatten(1, (self.shape[0], self.levels))

    def level(self, x: Tensor) -> Tensor:  # in the range -> whole numbers
        return ((x + 1) / 2 * (self.levels - 1)).round().long()

    def value(self, level: Tensor) -> Tensor:  # and back
        return level * (2 / (self.levels - 1)) - 1

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: genzoo.Noise) -> Tensor:
        each = self.logits(x, labels).float().log_softmax(2)  # (n, C, levels, H, W)
        return each.gather(2, self.level(x)[:, :, None]).sum((1, 2, 3, 4))

    def loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Minus the log-likelihood, nats a value."""
        x = batch.x
        if self.config.coarse:
            steps = (x + 1) / 2 * (self.levels - 1)
            x = self.value((steps + batch.noise("coarse").uniform(*self.shape)).floor())
        loss = F.cross_entropy(self.logits(x, batch.labels).transpose(1, 2), self.level(x))
        each = loss.detach()
        return loss, {"nats": each * math.prod(self.shape), "bits/dim": each / math.log(2)}

    def generate(self, noise: genzoo.Noise, labels: Tensor | None = None) -> Tensor:
        nothing = torch.zeros(len(noise), *self.shape, device=self.device)
        return self.complete(nothing, nothing, noise, labels)

    def complete(
        self, x: Tensor, mask: Tensor, noise: genzoo.Noise, labels: Tensor | None = None
    ) -> Tensor:  # (n, C, H, W), and what of it is known as 1 -> (n, C, H, W)
        """What ``complete_slowly`` gives, in the time of a few forward passes."""
        return genzoo_pixelcnn_fast.complete(self, x, mask, noise, labels)

    @torch.no_grad()
    def complete_slowly(
        self, x: Tensor, mask: Tensor, noise: genzoo.Noise, labels: Tensor | None = None
    ) -> Tensor:  # (n, C, H, W), and what of it is known as 1 -> (n, C, H, W)
        """Section 3.1 of 2016a: one value after the other, each by a forward pass of its own.

        The largest of logits plus Gumbel epsilon is a sample of their softmax.
        """
        channels, height, width = self.shape
        picture, known = torch.zeros_like(x), mask > 0
        epsilon = [noise.gumbel(width, channels, self.levels) for _ in range(height)]
        for i, j, c in itertools.product(range(height), range(width), range(channels)):
            logits = self.logits(picture, labels)[:, c, :, i, j] + epsilon[i][:, j, c]
            value = self.value(logits.argmax(1))
            picture[:, c, i, j] = torch.where(known[:, c, i, j], x[:, c, i, j], value)
        return picture


def trainer(model: PixelCNN, options: TrainOptions) -> genzoo.Trainer:
    return genzoo.LossTrainer(model, model.loss, options)


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=PixelCNN,
        trainer=trainer,
        tiny=Config(shape=(1, 6, 6), levels=3, layers=2, width=6),
        paper="arXiv:1606.05328",
        api=2,
    )
