"""The sampler of `genzoo_pixelcnn.py`, faster: it keeps what does not change from one pixel to the
next, after Ramachandran et al. 2017 (arXiv:1704.06001).
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

import genzoo
from genzoo.models.networks import MaskedConv

PixelCNN = Any  # `genzoo_pixelcnn.py` imports this file, so its class has no name here


@torch.no_grad()
def complete(
    model: PixelCNN,
    x: Tensor,
    mask: Tensor | None,
    noise: genzoo.Noise,
    labels: Tensor | None,
    temperature: float = 1.0,
) -> Tensor:  # images and a mask, 1 = known (None: nothing is), both (n, C, H, W) -> the same
    """The result of ``model.complete_slowly``, bit for bit, except where two levels of a pixel are
    equally likely to within a rounding error of the logits.
    """
    channels, height, width = model.shape
    known = None if mask is None else mask > 0
    # Products this small are slower on several threads, which wait for each other, most of all
    # where another process keeps a core busy.
    with genzoo.one_thread():
        state = _State(model, len(x), labels)
        for row in range(height):
            epsilon = (temperature * noise.gumbel(width, channels, model.levels)).unbind(1)
            state.begin(row)
            for column in range(width):
                at = (slice(None), slice(None), row, column)
                state.pixel(column, epsilon[column], x[at], None if known is None else known[at])
        return state.image()


class _State:
    """A batch of images while their pixels are sampled.

    The vertical stack is computed once per row, the horizontal one once per pixel: together as much
    work as one forward pass.
    """

    def __init__(self, model: PixelCNN, n: int, labels: Tensor | None):
        self.model, self.labels, self.reach = model, labels, model.reach
        self.layers = list(model.layers)
        p, self.side, new = model.config.width, self.layers[0].side, model.above.weight.new_zeros
        self.channels, height, width = model.shape
        # Channels last, so that the pixels to the left of one are contiguous in memory.
        self.x = new(n, height + self.reach, width + 2 * self.reach, self.channels)
        rows = new(len(self.layers), n, self.side + 1, width + 2 * self.side, p)
        self.rows = rearrange(
            rows, "l n h w p -> l n p h w"
        ).unbind()  # (n, p, side + 1, W + 2 side)
        self.added = new(width, len(self.layers), n, 2 * p)
        self.left, self.both = new(len(self.layers), n, self.side * p), new(n, 2 * p)
        self.halves = self.both.chunk(2, 1)
        self.values = model.value(torch.arange(model.levels, device=self.x.device))
        across = [_matrix(layer.across) for layer in self.layers]  # ((side + 1) p, 2 p)
        self.beside = torch.stack([matrix[: self.side * p] for matrix in across])
        outs = (_matrix(layer.out) for layer in self.layers)
        self.steps = list(zip((matrix[self.side * p :] for matrix in across), outs, strict=True))
        self.first, self.head = _matrix(model.left), _matrix(model.head)
        laws = _matrix(model.law).chunk(self.channels, 1), _bias(model.law).chunk(self.channels)
        self.laws = list(zip(*laws, strict=True))

    def begin(self, row: int) -> None:
        """Compute a row of the vertical stack, and what it adds to the horizontal one's layers."""
        model, (n, p) = self.model, self.rows[0].shape[:2]
        rows_above = rearrange(self.x[:, row : row + self.reach], "n h w c -> n c h w")
        v = model.above(rows_above)  # (n, p, 1, W)
        if model.config.position_bias:
            v = v + model.places[0][:, row : row + 1]
        for i, (layer, rows) in enumerate(zip(self.layers, self.rows, strict=True)):
            down, across = layer.class_terms(self.labels)
            rows[:, :, :-1] = rows[:, :, 1:].clone()
            rows[:, :, -1:, self.side : -self.side] = v
            above = layer.down(rows) + down
            flat = rearrange(above, "n q 1 w -> (w n) q")  # q = 2 p
            bias = layer.link.bias + _bias(layer.across)
            added = torch.addmm(bias, flat, layer.link.weight[:, :, 0, 0].T).view(-1, n, 2 * p)
            self.added[:, i] = added if self.labels is None else added + across[:, :, 0, 0]
            a, b = above.chunk(2, 1)
            v = a.tanh() * b.sigmoid()
        self.before = self.added.unbind()
        self.left.zero_()
        self.row = self.x[:, row + self.reach].flatten(1)  # (n, (W + 2 reach) C), the same memory
        self.firsts = _bias(model.left).expand(model.shape[2], -1)
        if model.config.position_bias:
            self.firsts = self.firsts + model.places[1][:, row].T

    def pixel(self, column: int, noise: Tensor, x: Tensor, known: Tensor | None) -> None:
        """Sample ``(n, C)`` values, except known ones: argmax of logits plus ``(n, C, levels)``."""
        before = torch.baddbmm(self.before[column], self.left, self.beside).unbind()
        start, at = column * self.channels, (column + self.reach) * self.channels
        a, b = self.halves
        hidden: list[Tensor] = []
        for channel, (law, bias) in enumerate(self.laws):
            window = self.row[:, start : at + self.channels]
            h = torch.addmm(self.firsts[column], window, self.first)
            hidden.clear()
            for layer, (own, out) in zip(before, self.steps, strict=True):
                hidden.append(h)
                torch.addmm(layer, h, own, out=self.both)
                h = torch.addmm(h, a.tanh_().mul(b.sigmoid_()), out)
            h = torch.addmm(self.model.head.bias, h.relu_(), self.head)
            logits = torch.addmm(bias, h.relu_(), law).add_(noise[:, channel])
            value = self.values.index_select(0, logits.argmax(1))
            if known is not None:
                value = torch.where(known[:, channel], x[:, channel], value)
            self.row[:, at + channel] = value
        fresh = torch.stack(hidden)
        self.left = torch.cat([self.left[:, :, fresh.shape[2] :], fresh], 2)

    def image(self) -> Tensor:  # (n, C, H, W)
        inner = self.x[:, self.reach :, self.reach : -self.reach]
        return rearrange(inner, "n h w c -> n c h w").contiguous()


def _matrix(layer: MaskedConv) -> Tensor:  # weights (q, p, 1, taps) -> (taps p, q)
    return rearrange(layer.masked(), "q p 1 taps -> (taps p) q").contiguous()


def _bias(layer: MaskedConv) -> Tensor:
    return layer.bias
