"""The sampler of `genzoo_pixelcnn.py`, faster: it keeps what does not change from one pixel to the
next, after Ramachandran et al. 2017 (arXiv:1704.06001).
"""

import itertools
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
            state.begin(row, temperature * noise.gumbel(width, channels, model.levels))
            for column in range(width):
                at = (slice(None), slice(None), row, column)
                state.pixel(column, x[at], None if known is None else known[at])
        return state.image()


class _State:
    """A batch of images while their pixels are sampled.

    The vertical stack is computed once per row, the horizontal one once per pixel: together as much
    work as one forward pass. A channel computes its own maps alone, from those of the channels
    before. The maps before a gate stand by channel: both halves of the first, and so on.
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
        self.added = new(len(self.layers), width, n, 2 * p)
        self.left = new(len(self.layers), n, self.side * p)
        self.sums = new(len(self.layers), n, 2 * p)
        self.values = model.value(torch.arange(model.levels, device=self.x.device))
        ends = [-(-p * c // self.channels) for c in range(self.channels + 1)]
        maps = [slice(*pair) for pair in itertools.pairwise(ends)]
        halves = torch.arange(2 * p, device=self.x.device).view(2, p)
        self.order = torch.cat([halves[:, own].flatten() for own in maps])
        across = [_matrix(layer.across)[:, self.order] for layer in self.layers]
        links = ((layer.link, _bias(layer.across)) for layer in self.layers)
        both = [((link.bias + bias)[self.order], link.weight[self.order]) for link, bias in links]
        self.biases = [bias for bias, _ in both]
        self.links = [weight[:, :, 0, 0].T for _, weight in both]
        self.beside = torch.stack([matrix[: self.side * p] for matrix in across])
        # The inputs of the layers at a pixel, and the output of the last.
        self.hidden = [*self.left[:, :, -p:].unbind(), new(n, p)]
        self.gates, self.heads = new(len(self.layers), n, p).unbind(), new(n, p)
        self.parts = [_Channel(self, c, own, across) for c, own in enumerate(maps)]

    def begin(self, row: int, noise: Tensor) -> None:  # (n, W, C, levels)
        """Compute a row of the vertical stack, and what it adds to the horizontal one's layers."""
        model = self.model
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
            self.added[i].flatten(0, 1).copy_(torch.addmm(self.biases[i], flat, self.links[i]))
            if self.labels is not None:
                self.added[i] += across[:, self.order, 0, 0]
            a, b = above.chunk(2, 1)
            v = a.tanh_().mul_(b.sigmoid_())
        self.before = self.added.unbind(1)
        self.left.zero_()
        inside = self.x[:, row + self.reach].flatten(1)  # (n, (W + 2 reach) C), the same memory
        self.windows = inside.unfold(1, (self.reach + 1) * self.channels, self.channels).unbind(1)
        firsts = _bias(model.left).expand(model.shape[2], -1)
        if model.config.position_bias:
            firsts = firsts + model.places[1][:, row].T
        for part, eps in zip(self.parts, noise.unbind(2), strict=True):
            part.begin(inside[:, self.reach * self.channels :], firsts, eps)

    def pixel(self, column: int, x: Tensor, known: Tensor | None) -> None:
        """Sample ``(n, C)`` values, except known ones: argmax of logits plus noise."""
        torch.baddbmm(self.before[column], self.left, self.beside, out=self.sums)
        if self.side > 1:
            p = self.model.config.width
            self.left[:, :, :-p] = self.left[:, :, p:].clone()
        for part in self.parts:
            value = self.values.index_select(0, part.choose(column, self.windows[column]))
            if known is not None:
                c = part.channel
                value = torch.where(known[:, c], x[:, c], value)
            part.places[column].copy_(value)

    def image(self) -> Tensor:  # (n, C, H, W)
        inner = self.x[:, self.reach :, self.reach : -self.reach]
        return rearrange(inner, "n h w c -> n c h w").contiguous()


class _Channel:
    """The maps ``own`` of one channel, and the matrices that lead to them; all memory is made once.

    A layer's input at a pixel is where the next pixel looks for its left neighbour.
    """

    def __init__(self, state: _State, channel: int, own: slice, across: list[Tensor]):
        model, so_far = state.model, slice(own.stop)
        self.channel, self.channels = channel, state.channels
        self.own, n = own, len(state.sums[0])
        gate = slice(2 * own.start, 2 * own.stop)  # its maps before a gate, of both halves
        self.both = state.sums.new_zeros(n, gate.stop - gate.start)
        self.halves = self.both.chunk(2, 1)
        outs = [_matrix(layer.out)[so_far, own].contiguous() for layer in state.layers]
        p = model.config.width
        inputs = [matrix[-p:][so_far, gate] for matrix in across]
        afters = state.hidden[1:]
        self.steps = [
            (
                *(before[:, gate], h[:, so_far], to_both.contiguous(), h[:, own]),
                *(gates[:, own], gates[:, so_far], to_h, after[:, own]),
            )
            for before, h, to_both, gates, to_h, after in zip(
                state.sums, state.hidden, inputs, state.gates, outs, afters, strict=False
            )
        ]
        self.first = _matrix(model.left)[:, own].contiguous()
        self.begun, self.end = state.hidden[0][:, own], state.hidden[-1][:, own]
        self.head = _bias(model.head)[own], _matrix(model.head)[so_far, own].contiguous()
        self.heads, self.head_out = state.hidden[-1][:, so_far], state.heads[:, own]
        law = _matrix(model.law).chunk(state.channels, 1)[channel]
        self.law = _bias(model.law).chunk(state.channels)[channel], law[so_far].contiguous()
        self.law_in = state.heads[:, so_far]

    def begin(self, inside: Tensor, firsts: Tensor, noise: Tensor) -> None:
        """Take a row: ``(n, W C or more)`` of pixels, ``(W, p)``, and ``(n, W, levels)``."""
        self.places = inside[:, self.channel :: self.channels].unbind(1)
        self.firsts, self.noise = firsts[:, self.own].unbind(), noise.unbind(1)

    def choose(self, column: int, window: Tensor) -> Tensor:
        """``(n,)``: the level of each image's pixel; ``window``: the pixels to its left, and it."""
        a, b = self.halves
        torch.addmm(self.firsts[column], window, self.first, out=self.begun)
        for before, h, to_both, own, gate, gates, to_h, after in self.steps:
            torch.addmm(before, h, to_both, out=self.both)
            torch.mul(a.tanh_(), b.sigmoid_(), out=gate)
            torch.addmm(own, gates, to_h, out=after)
        self.end.relu_()
        torch.addmm(self.head[0], self.heads, self.head[1], out=self.head_out).relu_()
        logits = torch.addmm(self.law[0], self.law_in, self.law[1])
        return logits.add_(self.noise[column]).argmax(1)


def _matrix(layer: MaskedConv) -> Tensor:  # weights (q, p, 1, taps) -> (taps p, q)
    return rearrange(layer.masked(), "q p 1 taps -> (taps p) q").contiguous()


def _bias(layer: MaskedConv) -> Tensor:
    return layer.bias
