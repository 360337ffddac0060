"""Penalties, in float32: on a discriminator's input gradient, on a network's weights."""

import torch
from einops import rearrange
from torch import Tensor, nn

from genzoo.models.model import Discriminator
from genzoo.models.randomness import Noise


def gradient_penalty(
    discriminator: Discriminator, real: Tensor, fake: Tensor, labels: Tensor | None, noise: Noise
) -> Tensor:
    """(||grad D|| - 1)^2 between data and fakes (Gulrajani et al. 2017, equation 3)."""
    share = noise.uniform(*[1] * (real.ndim - 1))
    between = torch.lerp(real.float(), fake.float(), share)
    slopes = _input_gradient(discriminator, between, labels).flatten(1)
    # The norm's own gradient is infinite at zero.
    return (slopes.square().sum(1).add(1e-12).sqrt() - 1).square().mean()


def r1_penalty(
    discriminator: Discriminator, real: Tensor, fake: Tensor, labels: Tensor | None, noise: Noise
) -> Tensor:
    """||grad D||^2 / 2 at the data (Mescheder et al. 2018, equation 9)."""
    return _input_gradient(discriminator, real, labels).flatten(1).square().sum(1).mean() / 2


def r1_r2_penalty(
    discriminator: Discriminator, real: Tensor, fake: Tensor, labels: Tensor | None, noise: Noise
) -> Tensor:
    """``r1_penalty``, plus the same at the fakes (Mescheder et al. 2018, equation 10)."""
    at_data, at_fakes = (r1_penalty(discriminator, x, x, labels, noise) for x in (real, fake))
    return at_data + at_fakes


def _input_gradient(discriminator: Discriminator, x: Tensor, labels: Tensor | None) -> Tensor:
    x = x.detach().float().requires_grad_()
    with torch.autocast(x.device.type, enabled=False):
        logits = discriminator(x, labels)
        return torch.autograd.grad(logits.sum(), x, create_graph=True)[0]


def orthogonal_penalty(network: nn.Module) -> Tensor:
    """||W W^T * (1 - I)||^2 of linear and convolutional weights (Brock et al. 2019, equation 3)."""
    terms = [torch.zeros((), device=next(network.parameters()).device)]
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            transposed = isinstance(layer, nn.ConvTranspose2d)  # its weight is (in, out, h, w)
            axes = (
                "inner outer ... -> outer (inner ...)" if transposed else "outer ... -> outer (...)"
            )
            rows = rearrange(layer.weight, axes).float()
            with torch.autocast(rows.device.type, enabled=False):
                products = rows @ rows.T
            terms.append(products.square().sum() - products.diagonal().square().sum())
    return torch.stack(terms).sum()


PENALTIES = {"gradient": gradient_penalty, "r1": r1_penalty, "r1+r2": r1_r2_penalty}
