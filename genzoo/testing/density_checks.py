"""Checks of log-likelihoods: they are reproducible, each sample's own, and sum to at most 1."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.models.abilities import Density
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Sampler
from genzoo.testing.contract import require
from genzoo.testing.family_case import Case, law, public
from genzoo.testing.sampling_checks import MODEL

CALL = MODEL + "x = (torch.rand(20, *model.shape) * 255).round() / 255\n"
# Shapes small enough to meet every image, or to integrate on a grid.
SMALL = ((1, 2, 2), (1, 3, 3), (1, 4, 4))
POINTS = ((2,), (1,))
FEW = 4096  # states that are all visited
DRAWS = 2000


@law(Density, CALL + "model.log_prob(x) - model.log_prob(x, batch_size=1)")
def _scores(case: Case) -> None:
    """log_prob is finite, reproducible, and each sample's own: (n,) nats."""
    model = case.model()
    kind = model.likelihood_kind
    message = f"likelihood_kind must be exact or bound, got {kind!r}."
    require(kind in ("exact", "bound"), message)
    x = public(model, 20)
    nats = model.log_prob(x)
    require(nats.shape == (20,), f"log_prob of 20 samples must be (20,), got {tuple(nats.shape)}.")
    require(nats.isfinite().all(), "log_prob is not finite.")
    require(torch.equal(nats, model.log_prob(x)), "the same seed gives different log_prob.")
    for size in (1, 7):
        apart = _difference(nats, model.log_prob(x, batch_size=size))
        require(apart <= 1e-4, f"log_prob depends on the batch: with batch_size={size} it differs.")
    require(not torch.equal(nats[:1].expand(20), nats), "log_prob is the same for all samples.")
    if kind == "exact":
        apart = _difference(nats, model.log_prob(x, seed=1))
        require(apart <= 1e-4, "it is called exact, but another seed gives another log_prob.")


def _difference(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs() / a.abs().clamp_min(1)).max().item()


@law(Density, CALL + "sum(model.log_prob(x)).exp()")
def _probabilities_sum_to_one(case: Case) -> str | None:
    """The probabilities of all images sum to 1 (a bound on them: to at most 1)."""
    applied = [_check_total(model) for model in _small_models(case)]
    return None if any(applied) else "is no distribution over the values of data or of points"


def _small_models(case: Case) -> Iterator[Any]:
    """Models of shapes and levels that the data could have: the smallest of images, and of points.

    A family may refuse a shape.
    """
    binary = {"levels": 2} if "levels" in case.family.config.model_fields else {}
    for shapes, changes in ((SMALL, binary), (POINTS, {})):
        for shape in shapes if "shape" in case.family.config.model_fields else ():
            try:
                yield case.model(shape=shape, **changes)
            except BadInput:
                continue
            break
    yield case.model()


def _check_total(model: Any) -> bool:
    """Check the sum, or the integral, over all samples. False where it does not say anything."""
    if model.levels:
        _check_mass(model, model.levels ** math.prod(model.shape))
    elif model.likelihood_kind == "exact" and model.value_range is None and len(model.shape) == 1:
        if model.shape[0] > 2:
            return False
        total = _log_integral(model)
        require(abs(total) < 0.05, f"the density's integral is exp({total:.4g}), not 1.")
    else:
        return False  # a pseudo-likelihood, which may sum to anything
    return True


def _log_integral(model: Any, half: float = 20.0) -> float:
    """Of a density on the line or the plane: log of the sum over a grid, times its cells' size."""
    axis = torch.linspace(-half, half, 201 if model.shape[0] > 1 else 2001)
    grid = torch.cartesian_prod(*[axis] * model.shape[0]).reshape(-1, model.shape[0])
    cell = math.log((axis[1] - axis[0]).item()) * model.shape[0]
    return _log_prob(model, grid).logsumexp(0).item() + cell


def _check_mass(model: Any, states: float) -> None:
    values, shape = torch.arange(model.levels) / (model.levels - 1), tuple(model.shape)
    size = math.prod(shape)
    what = f"of the {model.levels}**{size} samples of shape {shape}"
    bound = model.likelihood_kind == "bound"
    if states <= FEW:
        every = torch.tensor([*itertools.product(values.tolist(), repeat=size)])
        total = _log_prob(model, every.reshape(-1, *shape), 50 if bound else 1).logsumexp(0).item()
        # Log-weights of a bound are random; the mean of their exponentials is exact.
        message = f"the probabilities {what} sum to exp({total:.4g}), not 1."
        require(abs(total) < (0.2 if bound else 0.01), message)
        return
    entropy = size * math.log(model.levels)
    x = values[Noise(5, range(DRAWS), "states").uniform(*shape).mul(model.levels).long()]
    total = _log_prob(model, x).logsumexp(0).item() - math.log(DRAWS) + entropy
    # By Markov's inequality a right one is above 5 in one of 148 cases at most.
    require(total < 5, f"the probabilities {what} sum to about exp({total:.4g}), not to 1.")
    if bound:
        low = -entropy / 2 - 5
    elif isinstance(model, Sampler):
        # The mean of log p over samples of p is at least that of any other distribution.
        x = model.to_public(model.from_public(model.sample(100).tensor))
        total, low = _log_prob(model, x).mean().item() + entropy, -1.0
    else:
        return
    require(total > low, f"log_prob {what} is too low by about {-total:.4g} nats.")


def _log_prob(model: Any, x: Tensor, samples: int = 1) -> Tensor:
    labels = 0 if getattr(model, "num_classes", 0) else None
    return model.log_prob(x, labels, samples=samples, batch_size=4096).double()
