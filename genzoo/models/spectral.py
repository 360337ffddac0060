"""Residual blocks with spectral norm, self-attention, and the discriminator made of them."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, final

import torch
from einops import einsum, rearrange, reduce
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from genzoo.errors import BadInput
from genzoo.models.model import Discriminator
from genzoo.models.networks import pyramid

__all__ = [
    "ProjectionDiscriminator",
    "SelfAttention",
    "attentive_levels",
    "find_singular_vectors",
    "run_blocks",
    "spectral_conv",
]

Initialiser = Callable[[Tensor], object]


def spectral_conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    bias: bool = True,
    init: Initialiser = nn.init.xavier_uniform_,
) -> nn.Module:
    """A convolution that keeps the sides and whose weights' largest singular value is 1.

    Miyato et al. 2018 (arXiv:1802.05957), equation 8.
    """
    layer = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=bias)
    init(layer.weight)
    return spectral_norm(layer)


@torch.no_grad()
def find_singular_vectors(network: nn.Module) -> None:
    """Find those of averaged weights, and leave ``network`` in evaluation mode.

    Averages of singular vectors are not the singular vectors of averages.
    """
    network.train()  # in which each access to a weight is one step of the power iteration
    _ = [layer.weight for layer in filter(is_parametrized, network.modules()) for _ in range(30)]
    network.eval()


@final
class SelfAttention(nn.Module):
    """Every pixel is a weighted sum over all; the weight gamma of that sum starts at 0.

    Zhang et al. 2019 (arXiv:1805.08318), section 3. ``pooled``: as BigGAN-PyTorch has it, the sum
    is over the maxima of 2x2 pixels, and of half as many maps.
    """

    def __init__(self, maps: int, pooled: bool = False):
        super().__init__()
        inner, self.pooled = max(1, maps // 8), pooled
        values = max(1, maps // 2) if pooled else inner
        self.f, self.g = (spectral_conv(maps, inner, 1, bias=False) for _ in range(2))
        self.h = spectral_conv(maps, values, 1, bias=False)
        self.v = spectral_conv(values, maps, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def weights(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> (n, H W, places), rows sum to 1
        """Equation 1: row j says where pixel j looks; the places are pixels, or pooled ones."""
        f, g = (rearrange(y, "n c h w -> n c (h w)") for y in (self._pool(self.f(x)), self.g(x)))
        return einsum(f, g, "n c i, n c j -> n j i").softmax(2)

    def _pool(self, x: Tensor) -> Tensor:
        return max_pool2d(x, 2) if self.pooled else x

    def forward(self, x: Tensor) -> Tensor:  # (n, maps, H, W) -> the same; equations 2 and 3
        weights, h = self.weights(x), rearrange(self._pool(self.h(x)), "n c h w -> n c (h w)")
        o = einsum(weights, h, "n j i, n c i -> n c j")
        return x + self.gamma * self.v(rearrange(o, "n c (h w) -> n c h w", h=x.shape[2]))


def attentive_levels(
    shape: tuple[int, ...], width: int, attention_resolution: int
) -> tuple[list[int], int, int]:
    """Feature maps from the image inwards, the smallest side, and the side with attention, or 0.

    The maps double up to sixteenfold. Attention is at the largest maps between two blocks with a
    side up to ``attention_resolution``, or nowhere if that is 0. Raises BadInput as ``pyramid``,
    and if no side is so small.
    """
    inner, smallest = pyramid(shape, width)
    sides, largest = [smallest * 2**i for i in range(1, len(inner))], attention_resolution
    attends = max((side for side in sides if side <= largest), default=0)
    if largest and not attends:
        raise BadInput(f"attention_resolution must be one of {[*sides, 0]}, got {largest}")
    return [width * 2 ** min(i, 4) for i in range(len(inner) + 1)], smallest, attends


def run_blocks(network: Any, x: Tensor, *more: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """The output of each of ``network.blocks``, before and after attention.

    ``network.attentions`` has the layer of attention after block i, where there is one, as "i".
    Block i gets the i-th of each of ``more``.
    """
    for i, block in enumerate(network.blocks):
        maps = block(x, *(each[i] for each in more))
        x = network.attentions[str(i)](maps) if str(i) in network.attentions else maps
        yield maps, x


class _Halving(nn.Module):
    """A residual block to half the side; the first one, on pixels, starts without a ReLU."""

    def __init__(self, a: int, b: int, first: bool, init: Initialiser):
        super().__init__()
        self.first = first
        self.wide = spectral_conv(a, b, init=init)
        self.fine = spectral_conv(b, b, init=init)
        self.past = spectral_conv(a, b, 1, init=init)

    def forward(self, x: Tensor) -> Tensor:  # (n, a, H, W) -> (n, b, H / 2, W / 2)
        h = self.fine(self.wide(x if self.first else x.relu()).relu())
        return avg_pool2d(h, 2) + self.past(avg_pool2d(x, 2))


def _initialised(layer: nn.Linear | nn.Embedding, init: Initialiser | None) -> nn.Module:
    if init:
        init(layer.weight)
    return layer


@final
class ProjectionDiscriminator(Discriminator):
    """Residual blocks down to 4 to 7 pixels, which are summed; the class by projection.

    Miyato & Koyama 2018 (arXiv:1802.05637), equation 3. ``classes``: 0: it does not get the class.
    ``init``: of all weights; left out, Xavier's of convolutions and torch's of the last layers. The
    other arguments are those of ``attentive_levels``.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int,
        attention_resolution: int,
        classes: int,
        init: Initialiser | None = None,
    ):
        super().__init__()
        of_convs = init or nn.init.xavier_uniform_
        maps, _, attends = attentive_levels(shape, width, attention_resolution)
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleDict()
        for i, (a, b) in enumerate(pairwise([shape[0], *maps[1:]])):
            self.blocks.append(_Halving(a, b, not i, of_convs))
            if shape[1] // 2 ** (i + 1) == attends:
                self.attentions[str(i)] = SelfAttention(b)
        self.head = spectral_norm(_initialised(nn.Linear(maps[-1], 1), init))
        if classes:
            embedding = _initialised(nn.Embedding(classes, maps[-1]), init)
            self.classes: nn.Module = spectral_norm(embedding)

    def features(self, x: Tensor) -> list[Tensor]:  # (n, *shape) -> maps, each half as large
        return [output for _, output in run_blocks(self, x)]

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, *shape) -> (n,)
        h = reduce(self.features(x)[-1].relu(), "n c h w -> n c", "sum")
        logits = self.head(h).flatten()
        return logits if labels is None else logits + (self.classes(labels) * h).sum(1)
