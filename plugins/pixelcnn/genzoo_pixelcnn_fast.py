"""The sampler of `genzoo_pixelcnn.py` without its waste: what does not change from one pixel to
the next is kept, after Ramachandran et al. 2017 (arXiv:1704.06001).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

import genzoo

if TYPE_CHECKING:
    from genzoo_pixelcnn import Across, Gated, PixelCNN


@torch.no_grad()
def complete(
    model: "PixelCNN", x: Tensor, mask: Tensor, noise: genzoo.Noise, labels: Tensor | None
) -> Tensor:  # (n, C, H, W), and what of it is known as 1 -> (n, C, H, W)
    """``model.complete_slowly``, bit for bit, but where two levels of a pixel are equally likely
    to within a rounding error of the logits.
    """
    channels, height, width = model.shape
    known = mask > 0 if mask.any() else None
    # Threads that share products this small wait for each other, most of all beside a busy core.
    with genzoo.one_thread():
        drawing = _Drawing(model, len(x), labels)
        for row in range(height):
            epsilon = noise.gumbel(width, channels, model.levels).unbind(1)
            drawing.begin(row)
            for column in range(width):
                at = (slice(None), slice(None), row, column)
                drawing.pixel(column, epsilon[column], x[at], None if known is None else known[at])
        return drawing.picture()


class _Drawing:
    """A batch of pictures while they are drawn: of the vertical stack a row is computed once, of
    the horizontal one the pixel in hand, so that all of it is the work of one forward pass.
    """

    def __init__(self, model: "PixelCNN", n: int, labels: Tensor | None):
        self.model, self.labels, self.reach = model, labels, model.reach
        self.layers: list[Gated] = list(model.layers)  # type: ignore[arg-type]
        p, self.side, new = model.config.width, self.layers[0].side, model.above.weight.new_zeros
        self.channels, height, width = model.shape
        # Pixel by pixel, so that what lies to the left of one is one piece of memory.
        self.x = new(n, height + self.reach, width + 2 * self.reach, self.channels)
        rows = new(len(self.layers), n, self.side + 1, width + 2 * self.side, p)
        self.rows = rows.permute(0, 1, 4, 2, 3).unbind()  # (n, p, side + 1, W + 2 side) each
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
        """The vertical stack's row: what it adds to each layer of the horizontal one."""
        model, (n, p) = self.model, self.rows[0].shape[:2]
        v = model.above(self.x[:, row : row + self.reach].permute(0, 3, 1, 2))  # (n, p, 1, W)
        if model.config.places:
            v = v + model.places[0][:, row : row + 1]
        for i, (layer, rows) in enumerate(zip(self.layers, self.rows, strict=True)):
            down, across = layer.class_terms(self.labels)
            rows[:, :, :-1] = rows[:, :, 1:].clone()
            rows[:, :, -1:, self.side : -self.side] = v
            above = layer.down(rows) + down
            flat = above.permute(3, 0, 2, 1).reshape(-1, 2 * p)  # (W n, 2 p)
            bias = layer.link.bias + _bias(layer.across)
            added = torch.addmm(bias, flat, layer.link.weight[:, :, 0, 0].T).view(-1, n, 2 * p)
            self.added[:, i] = added if self.labels is None else added + across[:, :, 0, 0]
            a, b = above.chunk(2, 1)
            v = a.tanh() * b.sigmoid()
        self.before = self.added.unbind()
        self.left.zero_()
        self.row = self.x[:, row + self.reach].flatten(1)  # (n, (W + 2 reach) C), the same memory
        self.firsts = _bias(model.left).expand(model.shape[2], -1)
        if model.config.places:
            self.firsts = self.firsts + model.places[1][:, row].T

    def pixel(self, column: int, noise: Tensor, x: Tensor, known: Tensor | None) -> None:
        """Draw (n, C), but for what is known: the largest of logits plus noise (n, C, levels)."""
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

    def picture(self) -> Tensor:  # (n, C, H, W)
        reach = self.reach
        return self.x[:, reach:, reach:-reach].permute(0, 3, 1, 2).contiguous()


def _matrix(layer: "Across") -> Tensor:  # weights (q, p, 1, taps) -> (taps p, q)
    return layer.masked()[:, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous()


def _bias(layer: "Across") -> Tensor:
    assert layer.bias is not None
    return layer.bias
