"""Checks of samplers: range, the seed rule, labels, gradients; for rare codes, too."""

import copy
import random
import threading
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.models.abilities import Density
from genzoo.models.model import infer
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent, Sampler
from genzoo.testing.contract import Broken, require, require_error
from genzoo.testing.family_case import Case, law, public, raw_samples

MANY = 200
MODEL = 'model = testing.Case.of("NAME").model()\n'
TRAINED = 'model = testing.Case.of("NAME").trained().model\n'


@law(Sampler, MODEL + "model.sample(200, seed=5).tensor.aminmax()")
def _samples_in_range(case: Case) -> None:
    """Samples are finite float32 numbers of the model's shape, in its value_range."""
    model = case.model()
    samples = model.sample(MANY, seed=5, batch_size=100).tensor
    expected, got = (MANY, *model.shape), tuple(samples.shape)
    require(got == expected, f"{MANY} samples must have shape {expected}, got {got}.")
    check_values(
        model, raw_samples(model, Noise(5, range(MANY)), model.labels_for(None, MANY)), "samples"
    )
    if model.public_range:
        low, high = model.public_range
        message = f"{model.kind} must be in [{low:g}, {high:g}]: value_range=None is for points."
        require(samples.min() >= low and samples.max() <= high, message)
    message = "all samples of a seed are the same."
    require(not torch.equal(samples, samples[:1].expand_as(samples)), message)


@law(
    Latent,
    MODEL + "code = model.code_law.of_normal(5 * torch.eye(model.latent_dim))\n"
    "model.decode_codes(code).tensor.aminmax()",
)
def _rare_codes_in_range(case: Case) -> None:
    """Codes that are drawn once in a million give finite samples in value_range, too."""
    model = case.model()
    for what, codes in rare_codes(model).items():
        check_values(model, _decoded(model, codes), f"samples of codes with {what}")


def _decoded(model: Latent, codes: Tensor) -> Tensor:
    labels, noise = model.labels_for(None, len(codes)), Noise(0, range(len(codes)))
    return infer(model, lambda copy: copy.decode_with(codes, labels, noise, model.sampling()))


def rare_codes(model: Latent) -> dict[str, Tensor]:
    """Codes far from the mean, or at it: what they have -> ``(n, latent_dim)``."""
    size = model.latent_dim
    sign = torch.tensor([1.0, -1.0])[:, None]
    numbers = {
        "all zeros": torch.zeros(1, size),
        "all numbers alike": torch.cat([sign, 3 * sign, 5 * sign]).expand(-1, size),
        "one large number": torch.cat([5 * torch.eye(size)[:64], -5 * torch.eye(size)[:64]]),
        "large numbers": 2.5 * Noise(3, range(50), "rare codes").normal(size),
    }
    return {what: model.code_law.of_normal(z) for what, z in numbers.items()}


def check_values(model: Sampler, x: Tensor, what: str) -> None:
    require(x.dtype == torch.float32, f"{what} must be float32, got {x.dtype}.")
    wrong = (~x.isfinite()).flatten(1).any(1)
    require(not wrong.any(), f"{what} {wrong.nonzero().flatten().tolist()[:5]} are not finite.")
    if model.value_range:
        low, high = model.value_range
        outside = x.min().item() if x.min() < low else x.max().item()
        message = f"{what} must be in [{low}, {high}], got {outside:.6g}."
        require(x.min() >= low and x.max() <= high, message)


@law(
    Sampler,
    MODEL + "(model.sample(200).tensor - model.sample(200, batch_size=7).tensor).abs().amax()",
)
def _keeps_the_seed_rule(case: Case) -> None:
    """A sample depends only on the weights, its seed, its index and its label, not on its batch."""
    model = case.model()
    whole = model.sample(MANY, seed=3, batch_size=MANY).tensor
    parts = model.sample(MANY, seed=3, batch_size=7).tensor
    _require_same_rows(whole, parts, f"a batch of {MANY} and batches of 7")
    some = (0, 1, 9, 10, 63, 64, 127, MANY - 1)
    alone = torch.cat([model.sample(1, seed=3, start=i).tensor for i in some])
    _require_same_rows(whole[list(some)], alone, f"a batch of {MANY} and alone", some)
    order = np.random.default_rng(0).permutation(MANY)
    labels = model.labels_for(None, MANY)
    mixed = raw_samples(model, Noise(3, order.tolist()), None if labels is None else labels[order])
    _require_same_rows(whole[order], model.to_public(mixed), "two orders of a batch", order)
    other = model.sample(6, seed=4).tensor
    require(not torch.allclose(whole[:6], other), "another seed draws the same samples.")


def _require_same_rows(a: Tensor, b: Tensor, where: str, names: Any = None) -> None:
    apart = (a - b).abs().flatten(1).amax(1)
    wrong = (~(apart <= 1e-5 * a.abs().amax().clamp_min(1))).nonzero().flatten().tolist()
    row = (names[wrong[0]] if names is not None else wrong[0]) if wrong else None
    message = (
        f"{len(wrong)} samples differ between {where}, first sample {row}, by {apart.max():.3g}."
    )
    require(not wrong, message)


@law(Sampler, MODEL + "a = model.sample(4).tensor\n(a - model.sample(4).tensor).abs().amax()")
def _leaves_no_trace(case: Case) -> None:
    """Sampling changes neither the model nor any random generator, in any thread."""
    model = case.model().train()
    before, rng = copy.deepcopy(model.state_dict()), _generators()
    first = model.sample(4).tensor
    threads = [threading.Thread(target=model.sample, args=(4,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(model.training, "sampling changes the model's mode from training to evaluation.")
    used = [name for name, value in _generators().items() if value != rng[name]]
    require(not used, f"sampling uses {used}: take all randomness from noise.")
    for name, tensor in model.state_dict().items():
        require(torch.equal(tensor, before[name]), f"sampling changed {name}.")
    clean = all(p.requires_grad and p.grad is None for p in model.parameters())
    require(clean, "sampling leaves gradients, or turns requires_grad off.")
    require(torch.equal(first, model.sample(4).tensor), "sampling twice gives different samples.")


def _generators() -> dict[str, Any]:
    """The states of the random generators that all code shares."""
    numpy_state: Any = np.random.get_state()
    return {
        "torch's generator": torch.get_rng_state().numpy().tobytes(),
        "NumPy's generator": (numpy_state[1].tobytes(), *numpy_state[2:]),
        "Python's generator": random.getstate(),
    }


@law(Sampler, MODEL + "model.sample(1, labels=model.num_classes)")
def _labels_are_checked(case: Case) -> None:
    """A label that the model does not know is refused."""
    model = case.model()
    for wrong in [model.num_classes, -1] if model.num_classes else [0]:
        accepted = f"label {wrong} was accepted, with {model.num_classes} classes."
        require_error(partial(model.sample, 1, labels=wrong), BadInput, accepted)


@law(
    Sampler,
    'case = testing.Case.of("NAME")\nmodel = case.trained(case.model(EXAMPLE)).model\n'
    "(model.sample(8, labels=0).tensor - model.sample(8, labels=1).tensor).abs().amax()",
)
def _labels_matter(case: Case) -> str | None:
    """Two labels give different samples for the same noise, and a sample different densities."""
    changes = with_classes(case)
    if changes is None:
        return "has no classes"
    model: Any = case.trained(case.model(**changes)).model
    each = [model.sample(8, labels=k, seed=2).tensor for k in range(min(model.num_classes, 5))]
    example = ", ".join(f"{name}={value}" for name, value in changes.items())
    for k, (a, b) in enumerate(pairwise(each)):
        message = f"after training, labels {k} and {k + 1} give the same: generate ignores them."
        require(not torch.equal(a, b), message, example)
    if isinstance(model, Density):
        nats = [model.log_prob(public(model, 8), labels=k) for k in range(2)]
        message = "after training, labels 0 and 1 give the same log_prob: log_weight ignores them."
        require(not torch.equal(*nats), message, example)
    return None


def with_classes(case: Case) -> dict[str, Any] | None:
    """The changes of ``tiny`` that give it classes; None where the family has none."""
    named = {"classes": 3, "conditional": True}
    known = {n: value for n, value in named.items() if n in case.family.config.model_fields}
    for changes in ({}, known):
        if getattr(case.model(**changes), "num_classes", 0) > 1:
            return changes
    return None


@law(
    Latent,
    MODEL
    + "code = model.codes(8).requires_grad_()\n"
    + "model.decode(code).square().sum().backward()",
)
def _decodes_with_gradient(case: Case) -> None:
    """A finite gradient reaches every number of the code: projection descends along it."""
    model = case.model().eval()
    noise = Noise(0, range(8))
    code = model.draw_code(noise, model.sampling()).requires_grad_()
    labels = model.labels_for(None, 8)
    samples = model.decode_with(code, labels, noise, model.sampling())
    weights = Noise(1, range(8)).normal(*model.shape)
    if samples.requires_grad:
        (samples * weights).sum().backward()
    if code.grad is None:
        raise Broken("no gradient reaches the code.")
    require(code.grad.isfinite().all(), "the gradient at the code is not finite.")
    still = (code.grad == 0).all(0).nonzero().flatten().tolist()
    require(not still, f"no gradient reaches numbers {still[:5]} of the code.")
