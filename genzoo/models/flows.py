"""Flows: affine coupling layers, and priors of codes that are fitted to data."""

import logging
from typing import final

import torch
from torch import Tensor, nn

from genzoo.errors import argument
from genzoo.models.abilities import Encoder
from genzoo.models.networks import fit_gaussian, standard_normal, whiten
from genzoo.models.sampler import Latent

__all__ = ["Coupling", "CouplingFlow", "FittedPrior"]
log = logging.getLogger("genzoo")


def _network(shape: tuple[int, ...], width: int) -> nn.Sequential:
    """s and t of equation 9 in one network: twice as many outputs as inputs, 0 at first."""
    channels = shape[0]
    if len(shape) == 1:
        layers: list[nn.Module] = [nn.Linear(channels, width), nn.Linear(width, width)]
        last: nn.Linear | nn.Conv2d = nn.Linear(width, 2 * channels)
    else:
        layers = [nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, width, 1)]
        last = nn.Conv2d(width, 2 * channels, 3, padding=1)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), last)


class Coupling(nn.Module):
    """Scales and shifts the values outside of ``mask``, given those inside (equation 9)."""

    mask: Tensor

    def __init__(self, shape: tuple[int, ...], mask: list[float], width: int):
        super().__init__()
        self.register_buffer("mask", torch.tensor(mask).view(-1, *[1] * (len(shape) - 1)))
        self.network = _network(shape, width)
        self.scale = nn.Parameter(torch.ones(self.mask.shape))  # of the tanh (section 4.1)

    def scale_and_shift(
        self, masked: Tensor
    ) -> tuple[Tensor, Tensor]:  # (n, *shape) -> s, t: (n, *shape)
        s, t = self.network(masked).chunk(2, 1)
        return (1 - self.mask) * self.scale * s.tanh(), (1 - self.mask) * t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # (n, *shape) -> (n, *shape), (n,)
        """And the logarithm of the determinant (equation 6)."""
        s, t = self.scale_and_shift(self.mask * x)
        return x * s.exp() + t, s.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:  # (n, *shape) -> (n, *shape), equation 8
        s, t = self.scale_and_shift(self.mask * y)
        return (y - t) * (-s).exp()


@final
class CouplingFlow(nn.Module):
    """Coupling layers of codes. Each two change both halves, and the next two split them anew."""

    def __init__(self, dim: int, couplings: int, width: int):
        super().__init__()
        bits = max(1, (dim - 1).bit_length())
        halves = [[c >> (i // 2 % bits) & 1 for c in range(dim)] for i in range(couplings)]
        masks = [[float(m ^ i % 2) for m in half] for i, half in enumerate(halves)]
        self.layers = nn.ModuleList(Coupling((dim,), mask, width) for mask in masks)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # (n, dim) -> (n, dim), (n,)
        """And the logarithm of the determinant."""
        log_det = x.new_zeros(x.shape[0])
        for layer in self.layers:
            x, change = layer(x)
            log_det = log_det + change
        return x, log_det

    def inverse(self, y: Tensor) -> Tensor:  # (n, dim) -> (n, dim)
        for layer in reversed(self.layers):
            assert isinstance(layer, Coupling)
            y = layer.inverse(y)
        return y


class FittedPrior(Latent, Encoder):
    """A model with an encoder and a distribution of codes, N(0, 1) until it is fitted.

    A code that is standard normal passes the flow backwards, if there is one, then mean + scale @
    code. Both steps are invertible, so the prior has a density.
    """

    prior_mean: Tensor
    prior_scale: Tensor
    flow: CouplingFlow | None

    def add_prior(self, dim: int, couplings: int = 0, width: int = 1) -> None:
        """Register its buffers, and its flow of so many layers; called once, in ``__init__``."""
        mean, scale = standard_normal(dim)
        self.register_buffer("prior_mean", mean)
        self.register_buffer("prior_scale", scale)
        self.flow = CouplingFlow(dim, couplings, width) if couplings else None

    @torch.no_grad()
    def reset_prior(self) -> None:
        """Make it N(0, 1). If it was another one, of the model that a run begins with, say so."""
        parts = [self.prior_mean, self.prior_scale]
        for layer in self.flow.layers if self.flow else ():
            assert isinstance(layer, Coupling)
            parts += layer.network[-1].parameters()
        before = [part.clone() for part in parts]
        for part in parts:
            part.zero_()
        self.prior_scale.fill_diagonal_(1)
        if not all(torch.equal(*pair) for pair in zip(before, parts, strict=True)):
            again = argument("settings", {"fit_prior": True})
            log.warning("the distribution of codes is N(0, 1) again: %s fits it to the data", again)

    def from_standard(self, code: Tensor) -> Tensor:  # (n, dim) -> (n, dim)
        """What the decoder takes, of codes that are standard normal."""
        code = code if self.flow is None else self.flow.inverse(code)
        return self.prior_mean + code @ self.prior_scale.T

    def to_standard(self, z: Tensor) -> Tensor:  # (n, dim) -> (n, dim)
        """The inverse of ``from_standard``."""
        return self._standard(z)[0]

    def log_prior(self, z: Tensor) -> Tensor:  # (n, dim) -> (n,)
        """log p(z), without the constant -dim / 2 log(2 pi)."""
        code, log_det = self._standard(z)
        return log_det - code.square().sum(1) / 2 - self.prior_scale.diagonal().log().sum()

    def _standard(self, z: Tensor) -> tuple[Tensor, Tensor]:  # (n, dim) -> (n, dim), (n,)
        code = whiten(z, self.prior_mean, self.prior_scale)
        if self.flow is None:
            return code, code.new_zeros(code.shape[0])
        moved: tuple[Tensor, Tensor] = self.flow(code)
        return moved

    def fit_prior(self, codes: Tensor, variance: Tensor | None = None) -> None:
        """Fit mean and scale to ``codes`` (n, dim), each of its own ``variance`` (n, dim)."""
        covariance = codes.T.cov(correction=min(1, len(codes) - 1))
        if variance is not None:
            covariance = covariance + variance.mean(0).diag()
        fit_gaussian(self.prior_mean, self.prior_scale, codes.mean(0), covariance)
