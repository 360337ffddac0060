"""Checks of log-likelihoods: they are reproducible, each sample's own, and sum to at most 1."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from genzoo.errors import BadInput, OperationFailed
from genzoo.models.abilities import Density
from genzoo.models.model import check_kind, infer
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Sampler
from genzoo.testing.contract import require
from genzoo.testing.family_case import Case, law, public
from genzoo.testing.sampling_checks import MODEL

CALL = MODEL + "x = torch.rand(20, *model.shape).round()\n"
# Shapes small enough to meet every image, or to integrate on a grid: of each row the first one
# that the family takes.
SMALL = (
    ((1, 2, 2), (1, 3, 3), (1, 4, 4)),
    ((2,), (1,)),
    ((1, 1, 2), (1, 1, 1)),
)
FEW = 4096  # states that are all visited
DRAWS = 2000
WEIGHTS = 60_000  # of all states together


@law(Density, CALL + "model.log_prob(x) - model.log_prob(x, batch_size=1)")
def _scores(case: Case) -> None:
    """log_prob is finite, reproducible, and each sample's own: (n,) nats."""
    model = case.model()
    kind = model.likelihood_kind
    message = f"likelihood_kind must be exact, bound or estimate, got {kind!r}."
    require(kind in ("exact", "bound", "estimate"), message)
    x = public(model, 20)
    labels = model.labels_for(None, 20) if isinstance(model, Sampler) else None
    nats = model.log_prob(x, labels)
    require(nats.shape == (20,), f"log_prob of 20 samples must be (20,), got {tuple(nats.shape)}.")
    require(nats.isfinite().all(), "log_prob is not finite.")
    require(torch.equal(nats, model.log_prob(x, labels)), "the same seed gives different log_prob.")
    for size in (1, 7):
        apart = _difference(nats, model.log_prob(x, labels, batch_size=size))
        require(apart <= 1e-4, f"log_prob depends on the batch: with batch_size={size} it differs.")
    require(not torch.equal(nats[:1].expand(20), nats), "log_prob is the same for all samples.")
    if kind == "exact":
        apart = _difference(nats, model.log_prob(x, labels, seed=1))
        require(apart <= 1e-4, "it is called exact, but another seed gives another log_prob.")


def _difference(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs() / a.abs().clamp_min(1)).max().item()


@law(
    Density,
    'model = testing.Case.of("NAME").model(EXAMPLE)\n'
    "x = torch.rand(2000, *model.shape).round()\n"
    "model.log_prob(x).exp().mean() * 2 ** x[0].numel()  # where there are two levels",
)
def _probabilities_sum_to_one(case: Case) -> str | None:
    """The probabilities of all images sum to 1 (an estimate: about; a bound: to at most 1)."""
    applied = [_check_total(model, example) for example, model in _small_models(case)]
    return None if any(applied) else "is no distribution over the values of data or of points"


def _small_models(case: Case) -> Iterator[tuple[str, Any]]:
    """Models of the smallest shapes and levels that data could have, and the changes of their
    config. A family may refuse them.
    """
    fields = case.family.config.model_fields
    for shapes in SMALL if "shape" in fields else ():
        binary = {"levels": 2} if "levels" in fields and len(shapes[0]) == 3 else {}
        for shape in shapes:
            changes: dict[str, Any] = {"shape": shape, **binary}
            try:
                model = case.model(**changes)
                check_kind(model)  # a run refuses images of a shape (2,)
            except (BadInput, OperationFailed):
                continue
            yield ", ".join(f"{name}={value}" for name, value in changes.items()), model
            break
    yield "", case.model()


def _check_total(model: Any, example: str) -> bool:
    """Check the sum, or the integral, over all samples. False where it does not say anything."""
    if model.levels:
        _check_mass(model, model.levels ** math.prod(model.shape), example)
    elif model.likelihood_kind == "exact" and math.prod(model.shape) <= 2:
        total = _log_integral(model)
        # Of images it may be a density of values in [0, 1], or of those in the model's range.
        slack = 0.05 if model.value_range is None else 2
        require(abs(total) < slack, f"the density's integral is exp({total:.4g}), not 1.", example)
    else:
        return False  # a pseudo-likelihood, which may sum to anything
    return True


def _log_integral(model: Any) -> float:
    """Of a density on the line or the plane: log of the sum over a grid, times its cells' size."""
    size = math.prod(model.shape)
    axis = torch.linspace(-20, 20, 201 if size > 1 else 2001)
    grid = torch.cartesian_prod(*[axis] * size).reshape(-1, *model.shape)
    labels = torch.zeros(len(grid), dtype=torch.long) if getattr(model, "num_classes", 0) else None
    noise = Noise(0, range(len(grid)))
    logs = infer(model, lambda copy: copy.log_weight(grid, labels, noise)).double()
    cell = size * math.log((axis[1] - axis[0]).item())
    return logs.nan_to_num(nan=-math.inf).logsumexp(0).item() + cell


def _check_mass(model: Any, states: float, example: str) -> None:
    values, shape = torch.arange(model.levels) / (model.levels - 1), tuple(model.shape)
    size = math.prod(shape)
    what = f"of the {model.levels}**{size} samples of shape {shape}"
    bound, exact = (model.likelihood_kind == kind for kind in ("bound", "exact"))
    if states <= FEW:
        every = torch.tensor([*itertools.product(values.tolist(), repeat=size)])
        # Log-weights of a bound are random; the mean of their exponentials is exact. A posterior
        # that is too narrow gives a few of them most of the weight, so that takes many.
        draws = max(50, WEIGHTS // len(every)) if bound else 1
        x = every.repeat(draws, 1).reshape(-1, *shape)
        total = _log_prob(model, x).logsumexp(0).item() - math.log(draws)
        message = f"the probabilities {what} sum to exp({total:.4g}), not 1."
        require(abs(total) < (0.01 if exact else 0.2), message, example)
        return
    entropy = size * math.log(model.levels)
    x = values[Noise(5, range(DRAWS), "states").uniform(*shape).mul(model.levels).long()]
    total = _log_prob(model, x).logsumexp(0).item() - math.log(DRAWS) + entropy
    # By Markov's inequality a right one is above 5 in one of 148 cases at most.
    message = f"the probabilities {what} sum to about exp({total:.4g}), not to 1."
    require(total < 5, message, example)
    if bound:
        low = -entropy / 2 - 5
    elif isinstance(model, Sampler):
        # The mean of log p over samples of p is at least that of any other distribution.
        x = model.to_public(model.from_public(model.sample(100).tensor))
        total, low = _log_prob(model, x).mean().item() + entropy, -1.0 if exact else -5.0
    else:
        return
    require(total > low, f"log_prob {what} is too low by about {-total:.4g} nats.", example)


def _log_prob(model: Any, x: Tensor) -> Tensor:
    labels = 0 if getattr(model, "num_classes", 0) else None
    return model.log_prob(x, labels, batch_size=4096).double()
