"""MADE: an autoencoder with masked weights, so that each pixel's output sees only earlier pixels.

Germain et al. 2015 (arXiv:1502.03509): the masks (section 4), deep networks (4.2), training with
several orders of the pixels (4.3) and several sets of masks (4.4). With one hidden layer it is a
fully visible belief net of the kind of NADE (Larochelle & Murray 2011), whose recurrence makes
sampling fast here.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

import genzoo
from genzoo import Noise
from genzoo.options import Options, PixelSampling
from genzoo.schemas import Count, Decay, Rate, Schema, Shape


class Config(Schema):
    """Sizes of the autoencoder, and how many sets of masks it has."""

    shape: Shape = (1, 28, 28)
    levels: Annotated[int, Field(ge=0, le=256)] = 256
    """values that a pixel of the data can take; the model draws black and white"""
    layers: Annotated[int, Field(ge=1, le=16)] = 1
    """hidden layers"""
    units: Count = 500
    """units of each hidden layer"""
    order: Literal["raster", "random", "many"] = "raster"
    """of the pixels: row by row (channels one after the other), one random order, or a random one
    for each set of masks"""
    masks: Annotated[int, Field(ge=1, le=64)] = 1
    """sets of masks, which take turns in training; the model is their mixture"""


class TrainOptions(Options):
    """The paper's size of a batch; today's optimiser."""

    batch_size: Count = 100
    lr: Rate = 1e-3
    ema_decay: Decay = 0.998


def draw_degrees(sizes: list[int], pixels: Tensor) -> Tensor:
    """The number m(k) of each unit: of the D pixels, ``(D,)``, then of the hidden layers.

    A pixel's is its place in the order, from 1. A hidden unit's is drawn from the least of the
    layer below up to D - 1, so that no unit is without input (section 4.2).
    """
    degrees, last = [pixels], max(len(pixels) - 1, 1)
    for size in sizes:
        low = degrees[-1].min().clamp(max=last)
        degrees.append((low + torch.rand(size) * (last + 1 - low)).floor().clamp(max=last))
    return torch.cat(degrees)


class MADE(genzoo.Completer, genzoo.Density):
    """p(x) as a product over pixels (section 3), by one pass of an autoencoder."""

    sampling = PixelSampling
    likelihood_kind, levels, value_range = "exact", 2, (0.0, 1.0)
    degrees: Tensor

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape = config.shape
        self.in_raster_order = config.order == "raster" and config.shape[0] == 1
        if len(self.shape) != 3:
            raise genzoo.BadInput("MADE needs images: it draws each pixel black or white")
        d, hidden = math.prod(self.shape), [config.units] * config.layers
        self.sizes = [d, *hidden]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([*self.sizes, d]))
        degrees = torch.empty(config.masks, sum(self.sizes), dtype=torch.int32)
        if not degrees.is_meta:  # there, a file's take their place
            place = torch.arange(1.0, d + 1)
            for i, row in enumerate(degrees):
                if config.order == "many" or (config.order == "random" and i == 0):
                    place = torch.rand(d).argsort() + 1.0
                row.copy_(draw_degrees(hidden, place))
        self.register_buffer("degrees", degrees)  # (masks, D + hidden units)

    def weights(self, i: int) -> list[Tensor]:
        """The weights of each layer, (out, in), with 0 for what a unit must not see (4.1, 4.2).

        A hidden unit sees units of at most its own degree, an output only those of less.
        """
        m = self.degrees[i].split(self.sizes)
        masks = [to[:, None] >= of for of, to in pairwise(m)] + [m[0][:, None] > m[-1]]
        return [layer.weight * mask for layer, mask in zip(self.layers, masks, strict=True)]

    def logits(self, x: Tensor, i: int) -> Tensor:  # (n, D) -> (n, D)
        """Of each pixel, given those before it in the order of mask set ``i``."""
        *hidden, last = zip(self.weights(i), self.layers, strict=True)
        for weight, layer in hidden:
            x = F.linear(x, weight, layer.bias).relu()
        return F.linear(x, last[0], last[1].bias)

    def log_p(self, x: Tensor, i: int) -> Tensor:  # (n, D) -> (n,), nats
        losses = F.binary_cross_entropy_with_logits(self.logits(x, i), x, reduction="none")
        return -losses.sum(1)

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        """Of the mixture whose parts are the sets of masks."""
        log_p = torch.stack([self.log_p(x.flatten(1), i) for i in range(self.config.masks)])
        return log_p.logsumexp(0) - math.log(self.config.masks)

    def loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Minus the log-likelihood, in nats, under the mask set whose turn it is."""
        x = batch.x
        if self.config.levels != 2:
            x = (batch.noise("binarisation").uniform(*self.shape) < x).float()
        loss = -self.log_p(x.flatten(1), batch.step % self.config.masks).mean()
        return loss, {"nats": loss, "bits/dim": loss / math.log(2) / math.prod(self.shape)}

    def generate(self, noise: Noise, labels: Tensor | None, sampling: PixelSampling) -> Tensor:
        unknown = torch.zeros(len(noise), *self.shape, device=self.device)
        return self.complete(unknown, unknown, noise, labels, sampling)

    @torch.no_grad()
    def complete(
        self, x: Tensor, mask: Tensor, noise: Noise, labels: Tensor | None, sampling: PixelSampling
    ) -> Tensor:  # images and a mask, 1 = known, both (n, C, H, W) -> (n, C, H, W)
        """Each sample chooses a mask set, then draws its pixels in order; known ones stay."""
        part = (noise.uniform() * self.config.masks).long()  # (n,)
        uniform, result = noise.uniform(self.sizes[0]), x.flatten(1).clone()
        # Products this small are slower on several threads, which wait for each other.
        with genzoo.one_thread():
            for i in part.unique().tolist():
                rows = part == i
                known = mask.flatten(1)[rows] > 0
                result[rows] = self.draw(result[rows], known, uniform[rows], i, sampling)
        return rearrange(result, "n (c h w) -> n c h w", c=self.shape[0], h=self.shape[1])

    def draw(
        self, x: Tensor, known: Tensor, uniform: Tensor, i: int, sampling: PixelSampling
    ) -> Tensor:  # (n, D), three times -> (n, D)
        """Pixel after pixel by mask set ``i``. The first layer's sums grow by one pixel's part at a
        time, as in NADE; so with one hidden layer, all pixels cost about one pass.
        """
        first, *middle, last = self.weights(i)
        biases = [layer.bias for layer in self.layers]
        sums, columns = biases[0].repeat(len(x), 1), first.T.contiguous()
        heat = max(sampling.temperature, 1e-6)
        for d in self.degrees[i, : self.sizes[0]].argsort().tolist():
            h = sums.relu()
            for weight, bias in zip(middle, biases[1:-1], strict=True):
                h = F.linear(h, weight, bias).relu()
            p = ((h @ last[d] + biases[-1][d]) / heat).sigmoid()
            x[:, d] = torch.where(known[:, d], x[:, d], (uniform[:, d] < p).float())
            sums.addr_(x[:, d], columns[d])
        return x


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=MADE,
        trainer=lambda model, options: genzoo.LossTrainer(model, model.loss, options),
        data="images",
        tiny=Config(shape=(1, 6, 6), layers=2, units=12, masks=2),
        paper="arXiv:1502.03509",
        api=2,
    )
