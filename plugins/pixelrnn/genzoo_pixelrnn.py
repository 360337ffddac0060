"""PixelRNN: recurrent layers read the image up to each pixel; likelihoods are exact.

Van den Oord et al. 2016 (arXiv:1601.06759): Row LSTM (section 3.1), Diagonal BiLSTM (3.2), residual
connections (3.3), masks (3.4), the layers of the whole network (table 1). Its PixelCNN is a family
of its own.
"""

import itertools
import math
from typing import Annotated, Literal

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

REACH = 3  # of the first layer's window, which is 7 by 7
State = tuple[Tensor, Tensor] | None  # h and c of a row, (n, units, W) each


class Config(Schema):
    """The kind of layer and its size; the defaults are those of the paper's table 4."""

    shape: Shape = (1, 28, 28)
    levels: Annotated[int, Field(ge=0, le=256)] = 256
    """values that a pixel of the data can take"""
    quantized_levels: Annotated[int, Field(ge=0, le=256)] = 0
    """round pixels to so many values, up or down at random: 2 is the usual binarisation; 0: none"""
    lstm: Literal["row", "diagonal"] = "row"
    """what a layer reads: the triangle above a pixel, or all of the image before it"""
    layers: Annotated[int, Field(ge=1, le=64)] = 7
    units: Annotated[int, Field(ge=1, le=1024)] = 16
    """h: of each LSTM at each pixel, shared out among the image's channels; maps between layers
    have twice as many"""


class TrainOptions(Options):
    """Today's optimiser; small batches, as each image is 784 examples."""

    batch_size: Count = 16
    lr: Rate = 2e-3
    gradient_clip: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    ema_decay: Decay = 0.998


def skew(x: Tensor) -> Tensor:  # (n, p, H, W) -> (n, p, H, W + H - 1)
    """Row i moves to the right by i: a diagonal of the image becomes a column (figure 3)."""
    height, width = x.shape[2:]
    flat = F.pad(x, (0, height)).flatten(2)[:, :, : height * (width + height - 1)]
    return flat.unflatten(2, (height, width + height - 1))


def unskew(x: Tensor) -> Tensor:  # back
    height, columns = x.shape[2:]
    flat = F.pad(x.flatten(2), (0, height)).unflatten(2, (height, columns + 1))
    return flat[..., : columns - height + 1]


class LSTM(nn.Module):
    """An LSTM whose input-to-state and state-to-state parts are convolutions (equation 3)."""

    def __init__(self, config: Config, taps: int, kernel: int):
        super().__init__()
        h, channels = config.units, config.shape[0]
        self.input = MaskedConv((2 * h, 4 * h), taps, channels, parts=4)
        self.state = nn.Conv1d(h, 4 * h, kernel, bias=False)

    def forward(self, gates: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Inputs (n, 4 units, T, S), for T steps of rows of S, to outputs (n, units, T, S)."""
        width, size = self.state.kernel_size[0], self.state.in_channels
        h, c = state or 2 * (gates.new_zeros(len(gates), size, gates.shape[3]),)
        outputs = list[Tensor]()
        for gate in gates.unbind(2):
            gate = gate + self.state(F.pad(h, (width // 2, (width - 1) // 2)))
            o, f, i, g = gate.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs, 2), (h, c)


class Row(nn.Module):
    """A Row LSTM with its residual connection: the state is that of the three pixels above."""

    def __init__(self, config: Config):
        super().__init__()
        self.lstm = LSTM(config, 2, 3)
        self.out = MaskedConv((config.units, 2 * config.units), 1, config.shape[0])

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:  # (n, 2 h, H, W) -> same
        h, state = self.lstm(self.lstm.input(x), state)
        return x + self.out(h), state


class Diagonal(nn.Module):
    """A Diagonal BiLSTM: one reads from the left above, the other one from the right above."""

    def __init__(self, config: Config):
        super().__init__()
        self.left, self.right = LSTM(config, 1, 2), LSTM(config, 1, 2)
        self.out = MaskedConv((config.units, 2 * config.units), 1, config.shape[0])

    def read(self, x: Tensor, lstm: LSTM) -> Tensor:  # (n, 2 h, H, W) -> (n, h, H, W)
        columns = rearrange(skew(lstm.input(x)), "n q h t -> n q t h")
        return unskew(rearrange(lstm(columns)[0], "n q t h -> n q h t"))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:  # (n, 2 h, H, W) -> same
        """The right one's output moves down by a row, as it has read later pixels of its own."""
        right = self.read(x.flip(3), self.right).flip(3)
        h = self.read(x, self.left) + F.pad(right, (0, 0, 1, 0))[:, :, :-1]
        return x + self.out(h), None


class PixelRNN(genzoo.Completer, genzoo.Density):
    """p(x) as a product over pixels and channels (equation 1)."""

    sampling = PixelSampling
    likelihood_kind = "exact"
    levels: int
    in_raster_order = True

    def __init__(self, config: Config):
        super().__init__(config)
        self.shape, self.levels = config.shape, config.quantized_levels or config.levels
        if len(self.shape) != 3 or not self.levels > 1:
            raise genzoo.BadInput("PixelRNN needs images whose pixels have 2 to 256 levels")
        channels, p = self.shape[0], 2 * config.units
        self.above = nn.Conv2d(channels, p, (REACH, 2 * REACH + 1))
        self.left = MaskedConv((channels, p), REACH + 1, channels, "A")
        layer = Row if config.lstm == "row" else Diagonal
        self.layers = nn.ModuleList(layer(config) for _ in range(config.layers))
        self.head = MaskedConv((p, p), 1, channels)
        self.law = MaskedConv((p, channels * self.levels), 1, channels)

    def logits(self, x: Tensor, states: list[State] | None = None) -> tuple[Tensor, list[State]]:
        """``(n, C, H, W)`` to ``(n, C, levels, H, W)``, given the pixels and channels before.

        And the layers' states after the last row. With ``states``, those before it, only the last
        row is computed.
        """
        h = self.above(F.pad(x, (*[REACH] * 3, 0)))[:, :, :-1] + self.left(x)
        h, after = h[:, :, -1:] if states else h, list[State]()
        for layer, state in zip(self.layers, states or [None] * len(self.layers), strict=True):
            h, state = layer(h, state)
            after.append(state)
        logits = self.law(self.head(h.relu()).relu())
        return rearrange(logits, "n (c k) h w -> n c k h w", k=self.levels), after

    def level(self, x: Tensor) -> Tensor:  # in the model's range -> 0 to levels - 1
        return ((x + 1) / 2 * (self.levels - 1)).round().long()

    def value(self, level: Tensor) -> Tensor:  # and back
        return level * (2 / (self.levels - 1)) - 1

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        log_p = self.logits(x)[0].float().log_softmax(2)  # (n, C, levels, H, W)
        return log_p.gather(2, self.level(x)[:, :, None]).sum((1, 2, 3, 4))

    def loss(self, batch: genzoo.Batch) -> tuple[Tensor, genzoo.Logs]:
        """Minus the log-likelihood, in nats per value."""
        x = batch.x
        if self.config.quantized_levels:
            steps = (x + 1) / 2 * (self.levels - 1)
            up = (steps + batch.noise("coarse").uniform(*self.shape)).floor()
            x = self.value(up.minimum(steps.ceil()))  # float32 rounds 1 + 0.99999999 to 2
        loss = F.cross_entropy(self.logits(x)[0].transpose(1, 2), self.level(x))
        return loss, {"nats": loss * math.prod(self.shape), "bits/dim": loss / math.log(2)}

    def generate(self, noise: Noise, labels: Tensor | None, sampling: PixelSampling) -> Tensor:
        unknown = torch.zeros(len(noise), *self.shape, device=self.device)
        return self.complete(unknown, unknown, noise, labels, sampling)

    @torch.no_grad()
    def complete(
        self, x: Tensor, mask: Tensor, noise: Noise, labels: Tensor | None, sampling: PixelSampling
    ) -> Tensor:  # images and a mask, 1 = known, both (n, C, H, W) -> (n, C, H, W)
        """Pixel after pixel. A Row LSTM computes the pixel's row alone, as the states of the row
        above are kept; a Diagonal BiLSTM all rows up to it.
        """
        channels, height, width = self.shape
        image, known, states = torch.zeros_like(x), mask > 0, None
        for i in range(height):
            rows = image[:, :, max(0, i - REACH) if states else 0 : i + 1]  # a view: it fills
            epsilon = sampling.temperature * noise.gumbel(width, channels, self.levels)
            for j, c in itertools.product(range(width), range(channels)):
                logits = self.logits(rows, states)[0][:, c, :, -1, j] + epsilon[:, j, c]
                value = self.value(logits.argmax(1))
                image[:, c, i, j] = torch.where(known[:, c, i, j], x[:, c, i, j], value)
            after = self.logits(rows, states)[1]
            states = after if all(after) else None
        return image


@genzoo.hookimpl
def genzoo_family() -> genzoo.Family:
    return genzoo.Family(
        config=Config,
        options=TrainOptions,
        model=PixelRNN,
        trainer=lambda model, options: genzoo.LossTrainer(model, model.loss, options),
        data="images",
        tiny=Config(shape=(1, 6, 6), levels=3, layers=2, units=3),
        paper="arXiv:1601.06759",
        api=2,
    )
