"""Checks of what models can do beside sampling and scoring: encode, translate, inpaint, attend."""

from contextlib import suppress
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.models.abilities import (
    Attentive,
    Completer,
    Density,
    Encoder,
    Stepwise,
    Translator,
)
from genzoo.models.model import infer
from genzoo.models.randomness import Noise, seed_torch
from genzoo.models.sampler import Latent
from genzoo.testing.contract import Broken, require
from genzoo.testing.family_case import Case, computations, in_range, law, public, unit
from genzoo.testing.option_checks import moved
from genzoo.testing.sampling_checks import TRAINED

CALL = TRAINED + "x = torch.rand(8, *model.shape)\n"


@law(code='testing.run("keeps_its_input", "NAME")')
def _keeps_its_input(case: Case) -> None:
    """A model does not change what it is given, which may be the user's own tensor."""
    model: Any = case.model().eval()
    x = in_range(model, unit(model, 6))
    code = Noise(0, range(6)).normal(getattr(model, "latent_dim", 0))
    for name, call in computations(model, x, code):
        given = x.clone(), code.clone()
        with torch.no_grad():
            call()
        same = torch.equal(given[0], x) and torch.equal(given[1], code)
        require(same, f"{name} writes into its input.")


@law(Encoder, CALL + "model.encode(x)")
def _encodes(case: Case) -> None:
    """A code depends on its sample alone, and is as long as the codes that decode takes."""
    model: Any = case.trained().model
    x = public(model, 40)
    code = model.encode(x, batch_size=40)
    width = model.latent_dim if isinstance(model, Latent) else None
    expected = f"(40, {width or 'width'})"
    fits = code.ndim == 2 and len(code) == 40 and width in (None, code.shape[1])
    require(fits, f"the codes of 40 samples must be {expected}, got {tuple(code.shape)}.")
    require(code.isfinite().all(), "codes are not finite.")
    same_code = f"{len(x)} different samples have the same code."
    require(not torch.allclose(code, code[:1].expand_as(code)), same_code)
    for size in (1, 7):
        apart = (code - model.encode(x, batch_size=size)).abs().max() / code.abs().max()
        message = f"in batches of {size} codes differ by {apart:.3g} of the largest."
        require(apart <= 1e-4, message)


@law(Translator, CALL + "[model.translate(x, domain).tensor for domain in model.targets]")
def _translates(case: Case) -> None:
    """Images of any size are translated to images of that size, which depend on them."""
    model: Any = case.trained().model
    channels, height, width = model.shape
    sizes = [(0, 0), (1, 3), (5, 2), (height, width), (1 - height, 1 - width), (-3, 7)]
    each = [model.translate(public(model, 3), domain).tensor for domain in model.targets]
    for a, b in pairwise(each):
        require(
            not torch.equal(a, b), f"{' and '.join(model.targets)} are the same: it ignores to."
        )
    for domain in model.targets:
        for more, wider in sizes:
            x = Noise(7, range(3), "test images").uniform(channels, height + more, width + wider)
            y = model.translate(x, domain).tensor
            message = f"translate to {domain} must keep {tuple(x.shape)}, got {tuple(y.shape)}."
            require(y.shape == x.shape, message)
            require(y.isfinite().all(), f"translate to {domain} gives numbers that are not finite.")
        alike = f"translate to {domain} gives the same for different images."
        require(not torch.allclose(y[0], y[1]), alike)
        alone = model.translate(x, domain, batch_size=1).tensor
        require(torch.allclose(y, alone, atol=1e-4), f"translate to {domain} depends on the batch.")


@law(Attentive, TRAINED + "samples, maps = model.attention(4)\nmaps.sum((-1, -2))")
def _attends(case: Case) -> None:
    """attention gives what sample gives, and each position's attention sums to 1."""
    model: Any = case.trained().model
    samples, maps = model.attention(4, seed=2)
    same = torch.allclose(samples.tensor, model.sample(4, seed=2).tensor, atol=1e-5)
    require(same, "the samples of attention are not those of sample.")
    shape = tuple(maps.shape)
    fits = maps.ndim == 5 and len(maps) == 4 and shape[1:3] == shape[3:]
    require(fits, f"the maps of 4 samples must be (4, h, w, h, w), got {shape}.")
    error = (maps.sum((-1, -2)) - 1).abs().max().item()
    require(error < 1e-3 and maps.min() >= 0, f"attention must sum to 1, it is off by {error:.3g}.")
    for name, values in moved(model.sampling).items():
        with suppress(BadInput):
            setting = {name: values[0]}
            expected = model.sample(4, **setting).tensor
            same = torch.allclose(model.attention(4, **setting)[0].tensor, expected, atol=1e-5)
            require(same, f"attention reads {name} in another way than sample.")


@law(Completer, "testing.run('completes', 'NAME')")
def _completes(case: Case) -> None:
    """complete keeps the known values, and draws the others by these and the noise of their own
    sample.
    """
    model: Any = case.trained().model
    x = in_range(model, unit(model, 12))
    mask = torch.zeros_like(x)
    mask[..., : model.shape[-1] // 2] = 1

    labels = model.labels_for(None, 12)

    def filled(rows: slice, seed: int = 0, given: Tensor = x) -> Tensor:
        own, noise = None if labels is None else labels[rows], Noise(seed, range(12)[rows])
        part, known = given[rows].clone(), mask[rows].clone()
        return infer(model, lambda m: m.complete(part, known, noise, own, m.sampling()))

    whole = filled(slice(0, 12))
    changed = ((whole - x) * mask).abs().max().item()
    require(changed < 1e-5, f"known values change by {changed:.3g}.")
    apart = (whole[5:6] - filled(slice(5, 6))).abs().max().item()
    require(apart < 1e-4, f"a sample depends on its batch: it differs by {apart:.3g} alone.")
    require(not torch.equal(whole, filled(slice(0, 12), 1)), "another seed fills in the same.")
    if labels is not None and model.num_classes > 1:
        labels = labels.roll(1)
        require(not torch.equal(whole, filled(slice(0, 12))), "other labels fill in the same.")
    low, high = (in_range(model, torch.full_like(x, end)) for end in (0.0, 1.0))
    for scale in (1, 10):  # a few steps make small weights, which seldom change a drawn level
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(scale)
        a, b = (filled(slice(0, 12), given=end) * (1 - mask) for end in (low, high))
        if not torch.equal(a, b):
            return
    raise Broken("it does not look at the known values: other ones fill in the same.")


@law(Stepwise, TRAINED + "model.step(*model.step_inputs(genzoo.Noise(0, range(4))))")
def _steps(case: Case) -> None:
    """A step returns what it names, for any number of samples, each of which depends on its own
    inputs alone.
    """
    model: Any = case.trained().model
    many = model.step_inputs(Noise(0, range(4)))
    whole = _step(model, many)
    names = ", ".join(model.step_outputs)
    count = f"step returns {len(whole)} tensors, and step_outputs names {names}."
    require(len(whole) == len(model.step_outputs), count)
    one = tuple(x[:1] if x.ndim else x for x in many)
    for name, x, alone in zip(model.step_outputs, whole, _step(model, one), strict=True):
        require(x.isfinite().all(), f"step's {name} is not finite.")
        rows = f"step's {name} must have a row for each of 4 samples, got {tuple(x.shape)}."
        require(x.ndim > 0 and len(x) == 4, rows)
        apart = (x[:1] - alone).abs().max().item()
        message = f"step's {name} of a sample differs by {apart:.3g} if the sample is alone."
        require(apart <= 1e-4 * max(1, x.abs().max().item()), message)


def _step(model: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    result = infer(model, lambda copy: copy.step(*inputs))
    return result if isinstance(result, tuple) else (result,)


@law(code='testing.run("takes_blank_samples", "NAME")')
def _takes_blank_samples(case: Case) -> str | None:
    """What a model computes of samples of a single value, such as black images, is finite."""
    model: Any = case.trained().model
    if not isinstance(model, Encoder | Density | Translator | Completer):
        return "takes no samples"
    for value in (0.0, 1.0):
        x = in_range(model, torch.full((2, *model.shape), value))
        for name, call in computations(model.eval(), x, Noise(0, range(2)).normal(_width(model))):
            with torch.no_grad():
                results = call()
            for result in results if isinstance(results, tuple) else (results,):
                ends = "lowest" if value == 0 else "highest"
                message = f"{name} is not finite where each number has the {ends} value."
                require(result.isfinite().all(), message)
    return None


def _width(model: Any) -> int:
    return getattr(model, "latent_dim", 0)


@law(code='testing.run("discriminator_has_features", "NAME")')
def _discriminator_has_features(case: Case) -> str | None:
    """The discriminator gives every sample its own logit and its own features."""
    if case.family.discriminator is None:
        return "has no discriminator"
    with torch.random.fork_rng():
        seed_torch(0)
        network = case.family.discriminator(case.family.tiny)
    model = case.model()
    x, labels = in_range(model, unit(model, 4)), None
    if getattr(model, "num_classes", 0):
        labels = torch.zeros(4, dtype=torch.long)
    given = x.clone()
    logits, maps = network(x, labels), network.features(x)
    require(len(logits) == 4, "it must return one logit, or map of logits, for each sample.")
    require(logits.isfinite().all(), "its logits are not finite.")
    constant = torch.equal(logits, logits[:1].expand_as(logits))
    require(not constant, "it gives different samples the same logit.")
    require(maps, "features returns no maps.")
    fits = all(len(m) == 4 for m in maps)
    require(fits, "features must return maps with one row for each sample.")
    require(torch.equal(x, given), "it writes into its input.")
    return None
