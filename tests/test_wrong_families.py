"""Families that are wrong in one way each, and the check of the kit that must catch each.

Each is a right family with one line changed. A kind that the kit learns to catch gets a line here.
"""

import contextlib
import inspect
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import MethodType
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest
import torch
from pydantic import ConfigDict, Field, field_serializer
from torch import nn

import genzoo
from genzoo import families, testing


class Wrong(NamedTuple):
    """What is wrong, in which family, which check catches it, and a word of what it says."""

    check: str
    said: str
    family: families.Family


def changed(name: str, **fields: Any) -> families.Family:
    """The family ``name`` with other fields."""
    return families.Family(**{**vars(families.get(name)), **fields})


def with_methods(name: str, **methods: Callable) -> families.Family:
    """The family ``name``, whose model has other methods: ``method(right, self, *args)``."""
    good = families.get(name)

    def model(config: Any) -> Any:
        right = type(good.model(config))
        return type(
            right.__name__, (right,), {k: _method(right, k, v) for k, v in methods.items()}
        )(config)

    return changed(name, model=model)


def _method(right: type, name: str, change: Callable) -> Callable:
    def method(self: Any, *args: Any, **more: Any) -> Any:
        return change(partial(getattr(right, name), self, **more), self, *args)

    method.__signature__ = inspect.signature(getattr(right, name))
    return method


def with_codes(name: str, change: Callable) -> families.Family:
    """The family ``name``, whose decode reads changed codes: ``change(code)``."""
    return with_methods(name, decode=lambda right, self, code, *more: right(change(code), *more))


def with_samples(name: str, change: Callable) -> families.Family:
    """The family ``name``, whose decode returns changed samples: ``change(x)``."""
    return with_methods(name, decode=lambda right, self, *args: change(right(*args)))


def with_trainer(name: str, change: Callable[[Any, Any], None]) -> families.Family:
    """The family ``name``, each new trainer of which is changed."""
    good = families.get(name)

    def trainer(model: Any, options: Any) -> Any:
        right = good.make_trainer(model, options)
        change(right, options)
        return right

    return changed(name, trainer=trainer)


def with_step(name: str, change: Callable) -> families.Family:
    """The family ``name``, whose trainer has another step: ``change(right, trainer, batch)``."""

    def wrap(trainer: Any, options: Any) -> None:
        trainer.step = partial(change, trainer.step, trainer)

    return with_trainer(name, wrap)


def with_loss(name: str, change: Callable) -> families.Family:
    """The family ``name``, whose players have another loss: ``change(loss, batch)``."""

    def wrap(trainer: Any, options: Any) -> None:
        update = trainer.update
        trainer.update = lambda player, loss, batch: update(player, partial(change, loss), batch)

    return with_trainer(name, wrap)


# ------------------------------------------------------------------------------------- how to err


def leaks(decode, self, code, labels=None):
    x = decode(code, labels)
    return x if len(x) <= 10 else 0.99 * x + 0.01 * x.mean(0)


def leaks_late(decode, self, code, labels=None):
    x = decode(code, labels)
    if len(x) > 150:
        x[150] = x[149]
    return x


def squeezes(decode, self, code, labels=None):
    x = decode(code, labels)
    return x + (0.01 if len(x) == 1 else 0) * (0.5 - x)


def overflows(decode, self, code, labels=None):
    x = decode(code, labels)
    far = code.abs().amax(1) > 4.5
    return torch.where(far.view(-1, 1, 1, 1), torch.nan, x)


def overshoots(decode, self, code, labels=None):
    return decode(code, labels) + (code.norm(dim=1) > 4.5).float().view(-1, 1, 1, 1)


def draws_globally(generate, self, noise, labels, sampling):
    return generate(noise, labels, sampling) * random.random()


def remembers(generate, self, noise, labels, sampling):
    self.calls = getattr(self, "calls", 0) + 1
    return generate(noise, labels, sampling) * (1 - 0.01 * self.calls)


def noisy(log_weight, self, x, labels, noise):
    return log_weight(x, labels, noise) + 0.01 * noise.normal()


def centred(log_weight, self, x, labels, noise):
    nats = log_weight(x, labels, noise)
    return nats - nats.mean()


def writes(method, self, x, *more):
    result = method(x, *more)
    x.clamp_(0.1, 0.9)
    return result


def off_by(nats):
    return lambda log_weight, self, x, labels, noise: log_weight(x, labels, noise) + nats


def asks(decode, self, code, labels=None):
    return decode(code, labels) * (1 if code.abs().max().item() < 100 else 0.5)


def through_numpy(decode, self, code, labels=None):
    return decode(torch.from_numpy(np.tanh(code.cpu().numpy())), labels)


def made_on_the_cpu(decode, self, code, labels=None):
    return decode(code + torch.zeros(self.latent_dim), labels)


def loss_on_the_cpu(loss, batch):
    value, logs = loss(batch)
    return value + 0 * (batch.x.flatten(1).sum(1) * torch.ones(len(batch))).sum(), logs


def loss_that_asks(loss, batch):
    value, logs = loss(batch)
    return (value if value > -1e9 else value * 2), logs


def late_on_the_cpu(loss, batch):
    return loss_on_the_cpu(loss, batch) if batch.progress > 0.5 else loss(batch)


def learns_nothing(trainer, options):
    trainer.update = lambda player, loss, batch: {"loss": loss(batch)[0].detach()}


def one_player_rests(trainer, options):
    trainer.players["discriminator"].lr = 0.0


def learns_outside(step, trainer, batch):
    logs = step(batch)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter -= 0.01 * parameter
    return logs


def raises_late(step, trainer, batch):
    if batch.progress > 0.6:
        raise IndexError("no such layer")
    return step(batch)


def raises_in_the_second_phase(trainer, options):
    def begin(self, phase):
        if phase == "refine":
            raise IndexError("no such layer")

    trainer.phases = (genzoo.training.Phase("grow", 0.7), genzoo.training.Phase("refine", 0.3))
    trainer.begin = MethodType(begin, trainer)


def has_a_lost_network(trainer, options):
    trainer.lost = [nn.Linear(2, 2)]


def has_a_late_parameter(trainer, options):
    trainer.model.late = nn.Parameter(torch.zeros(3))


def changes_an_attribute(step, trainer, batch):
    trainer.model.gain = getattr(trainer.model, "gain", 1.0) * 0.9
    return step(batch)


def uses_the_attribute(decode, self, code, labels=None):
    return decode(code, labels) * getattr(self, "gain", 1.0)


def counts(step, trainer, batch):
    trainer.count = getattr(trainer, "count", 0) + 1
    trainer.players["model"].lr = 1e-3 / trainer.count
    return step(batch)


def leaves_evaluation_mode(step, trainer, batch):
    logs = step(batch)
    trainer.model.eval()
    return logs


def leaves_gradients(step, trainer, batch):
    logs = step(batch)
    for parameter in trainer.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return logs


def leaves_a_parameter_frozen(step, trainer, batch):
    logs = step(batch)
    next(trainer.model.parameters()).requires_grad_(False)
    return logs


def writes_into_the_batch(step, trainer, batch):
    logs = step(batch)
    batch.x.mul_(0.5)
    return logs


def holds_the_graph(step, trainer, batch):
    logs = step(batch)
    return {**logs, "size": sum(p.square().sum() for p in trainer.model.parameters())}


def draws_in_the_loss(step, trainer, batch):
    scale = 1 + random.random()
    trainer.players["model"].lr = 1e-3 * scale
    return step(batch)


def wants_the_whole_batch(step, trainer, batch):
    whole, update = batch.x, type(trainer).update
    trainer.update = lambda player, loss, batch: update(
        trainer, player, lambda part: (loss(part)[0] + 0 * (part.x - whole).sum(), {}), batch
    )
    return step(batch)


def ignores(*names):
    """A trainer that is built of the defaults of these options."""

    def family(name):
        good = families.get(name)
        defaults = good.options()

        def trainer(model, options):
            plain = {field: getattr(defaults, field) for field in names}
            return good.make_trainer(model, options.model_copy(update=plain))

        return changed(name, trainer=trainer)

    return family


class ConstantDiscriminator(genzoo.Discriminator):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.Linear(64, 1)

    def features(self, x):
        return [x.flatten(1)]

    def forward(self, x, labels=None):
        return 0 * self.layer(x.flatten(1)).flatten()


def without(field):
    """A step that puts zeros in place of a field of its batch, if it has one."""

    def step(right, trainer, batch):
        given = getattr(batch, field)
        zeros = None if given is None else torch.zeros_like(given)
        return right(replace(batch, **{field: zeros}))

    return step


def translates_one_way(convert, self, x, to, noise):
    return convert(x, self.domains[1], noise)


def standardises(embed, self, x):
    x = x - x.mean((1, 2, 3), keepdim=True)
    return embed(x / x.square().mean((1, 2, 3), keepdim=True).sqrt())


def attends_by_default(attend, self, noise, labels, sampling):
    return attend(noise, labels, self.sampling())


def completes_by_the_batch(complete, self, x, mask, *more):
    whole = complete(x, mask, *more)
    return whole + 0.01 * (1 - mask) * whole.mean(0)


def completes_nothing_known(complete, self, x, mask, *more):
    return mask * x + (1 - mask) * complete(0 * x, 0 * mask, *more)


def scores_class_0(log_weight, self, x, labels, noise):
    return log_weight(x, None if labels is None else 0 * labels, noise)


def completes_by_seed_0(complete, self, x, mask, noise, *more):
    return complete(x, mask, genzoo.Noise(0, noise.indices), *more)


def converts_by_the_batch(convert, self, x, *more):
    y = convert(x, *more)
    return y - 0.1 * y.mean(0)


def completes_class_0(complete, self, x, mask, noise, labels, sampling):
    return complete(x, mask, noise, 0 * labels, sampling)


def mean_deviation(step, self, *inputs):
    mean, deviation = step(*inputs)
    return mean, deviation.mean()


def conditional(name, **methods):
    """The family ``name`` with classes, whose model has other methods."""
    tiny = families.get(name).tiny.model_copy(update={"classes": 3, "conditional": True})
    return replace(with_methods(name, **methods), tiny=tiny)


def has_a_setting(low, act):
    """The family vae, with a setting ``contrast`` from ``low`` on: ``act(samples, contrast)``."""
    good = families.get("vae")

    class Contrast(good.sampling):
        contrast: Annotated[float, Field(ge=low, le=10)] = 1.0

    class Contrasted(good.model):
        sampling = Contrast

        def decode(self, code, labels=None, noise=None, sampling=None):
            x = super().decode(code, labels, noise, sampling)
            return x if sampling is None else act(x, sampling.contrast)

    return changed("vae", model=Contrasted)


def needs_a_switch():
    good = families.get("vae")

    class Shifting(good.sampling):
        shifted: bool = False
        shift: Annotated[float, Field(ge=0, le=1)] = 0.5

    class Shifted(good.model):
        sampling = Shifting

        def decode(self, code, labels=None, noise=None, sampling=None):
            x = super().decode(code, labels, noise, sampling)
            return x * sampling.shift if sampling and sampling.shifted else x

    return changed("vae", model=Shifted)


def unbounded_setting():
    good = families.get("vae")

    class Loose(good.sampling):
        strength: float | None = None

    class Loosened(good.model):
        sampling = Loose

    return changed("vae", model=Loosened)


def unbounded_images():
    good = families.get("autoencoder")

    class Unbounded(good.model):
        def __init__(self, config):
            super().__init__(config)
            self.value_range = None

        def decode(self, code, labels=None):
            return 2 * super().decode(code, labels)

    return changed("autoencoder", model=Unbounded)


def forgets_a_buffer():
    good = families.get("vae")

    class Forgetful(good.model):
        def __init__(self, config):
            super().__init__(config)
            self.register_buffer("shift", torch.zeros(2), persistent=False)

    return changed("vae", model=Forgetful)


def accepts_unknown_fields():
    good = families.get("vae")

    class Open(good.config):
        model_config = ConfigDict(extra="ignore")

    return changed("vae", config=Open, tiny=Open(**good.tiny.model_dump()))


def rounds_in_json():
    good = families.get("vae")

    class Rounded(good.config):
        share: Annotated[float, Field(ge=0, le=1)] = 0.5

        @field_serializer("share", when_used="json")
        def as_written(self, share):
            return round(share, 1)

    return changed("vae", config=Rounded, tiny=Rounded(**good.tiny.model_dump(), share=0.25))


def has_a_size_beside_its_config():
    class Sized(families.get("vae").model):
        def __init__(self, config, units=1):
            super().__init__(config)
            self.more = nn.Linear(units, units)

    return changed("vae", model=partial(Sized, units=2))


def reads_the_last_digits():
    """A model that amplifies what its weights lose in float16."""

    def decode(right, self, *args):
        light = sum(p.double().sum() for p in self.parameters())
        return (right(*args) + (1e6 * light).sin().float()).clamp(0, 1)

    return with_methods("vae", decode=decode)


def takes_any_label(labels_for, self, labels, *more):
    return labels_for(labels % self.num_classes if isinstance(labels, int) else labels, *more)


# What is wrong: the check that must catch it, words of its message, and the family.
WRONG = {
    # ------------------------------------------------------------------------- config and storage
    "a config that takes any field": lambda: Wrong(
        "config_survives_json", "reject unknown fields", accepts_unknown_fields()
    ),
    "a config that JSON rounds": lambda: Wrong(
        "config_survives_json", "tiny changes", rounds_in_json()
    ),
    "a size that is not in the config": lambda: Wrong(
        "rebuilds_from_its_config", "size mismatch", has_a_size_beside_its_config()
    ),
    "samples that float16 changes": lambda: Wrong(
        "half_precision_storage_is_invisible",
        "more than one level in 255",
        reads_the_last_digits(),
    ),
    # ------------------------------------------------------------------------------------ samples
    "samples leak above ten rows": lambda: Wrong(
        "keeps_the_seed_rule", "batches of 7", with_methods("vae", decode=leaks)
    ),
    "one late row leaks": lambda: Wrong(
        "keeps_the_seed_rule", "first sample 150", with_methods("gan", decode=leaks_late)
    ),
    "a batch of one is another": lambda: Wrong(
        "keeps_the_seed_rule", "alone", with_methods("vae", decode=squeezes)
    ),
    "not finite for rare codes": lambda: Wrong(
        "rare_codes_in_range",
        "one large number|numbers alike",
        with_methods("vae", decode=overflows),
    ),
    "out of range for rare codes": lambda: Wrong(
        "rare_codes_in_range", r"must be in \[0.0, 1.0\]", with_methods("vae", decode=overshoots)
    ),
    "out of range": lambda: Wrong(
        "samples_in_range",
        r"must be in \[0.0, 1.0\]",
        with_samples("vae", lambda x: x + 1),
    ),
    "samples in double precision": lambda: Wrong(
        "samples_in_range", "must be float32", with_samples("vae", torch.Tensor.double)
    ),
    "one sample for all rows": lambda: Wrong(
        "samples_in_range", "are the same", with_codes("gan", lambda code: 0 * code)
    ),
    "global randomness": lambda: Wrong(
        "leaves_no_trace", "Python's generator", with_methods("gan", generate=draws_globally)
    ),
    "remembers its calls": lambda: Wrong(
        "leaves_no_trace", "twice", with_methods("gan", generate=remembers)
    ),
    "a law of another width": lambda: Wrong(
        "samples_in_range",
        "law has 3 numbers",
        with_methods("vae", law=lambda right, self: (genzoo.models.laws.Normal(3),)),
    ),
    "any label is taken": lambda: Wrong(
        "labels_are_checked", "was accepted", with_methods("cgan", labels_for=takes_any_label)
    ),
    "labels ignored": lambda: Wrong(
        "labels_matter",
        "labels 0 and 1",
        with_methods("cgan", decode=lambda right, self, code, labels=None: right(code, 0 * labels)),
    ),
    "labels ignored where tiny has none": lambda: Wrong(
        "labels_matter",
        "labels 0 and 1",
        with_methods(
            "pixelcnn",
            generate=lambda right, self, noise, labels, sampling: right(
                noise, None if labels is None else 0 * labels, sampling
            ),
        ),
    ),
    "a setting that is not read": lambda: Wrong(
        "settings_change_the_samples",
        "temperature",
        with_methods(
            "pixelcnn",
            generate=lambda right, self, noise, labels, sampling: right(
                noise, labels, type(sampling)()
            ),
        ),
    ),
    # -------------------------------------------------------------------------------------- codes
    "decode without gradient": lambda: Wrong(
        "decodes_with_gradient",
        "no gradient reaches the code",
        with_codes("vae", torch.Tensor.detach),
    ),
    "a number of the code without gradient": lambda: Wrong(
        "decodes_with_gradient",
        r"numbers \[1\]",
        with_codes("vae", lambda code: torch.cat([code[:, :1], code[:, 1:].detach()], 1)),
    ),
    "constant encoder": lambda: Wrong(
        "encodes",
        "same code",
        with_methods("vae", embed=lambda right, self, x: 0 * right(x) + 1),
    ),
    "encoder of another width": lambda: Wrong(
        "encodes",
        r"must be \(40, 2\), got \(40, 4\)",
        with_methods("vae", embed=lambda right, self, x: torch.cat([right(x)] * 2, 1)),
    ),
    "encoder that sees its batch": lambda: Wrong(
        "encodes",
        "in batches of 1",
        with_methods("vae", embed=lambda right, self, x: right(x - x.mean(0) / 2)),
    ),
    "encoder that writes into its input": lambda: Wrong(
        "keeps_its_input", "embed writes", with_methods("vae", embed=writes)
    ),
    # ---------------------------------------------------------------------------------- densities
    "log_prob too high": lambda: Wrong(
        "probabilities_sum_to_one", "sum to exp", with_methods("pixelcnn", log_weight=off_by(100))
    ),
    "log_prob too low": lambda: Wrong(
        "probabilities_sum_to_one", "sum to exp", with_methods("pixelcnn", log_weight=off_by(-100))
    ),
    "a bound too high": lambda: Wrong(
        "probabilities_sum_to_one", "sum to exp", with_methods("vae", log_weight=off_by(100))
    ),
    "a bound too low": lambda: Wrong(
        "probabilities_sum_to_one", "sum to exp", with_methods("vae", log_weight=off_by(-100))
    ),
    "log_prob off by 1": lambda: Wrong(
        "probabilities_sum_to_one", "sum to exp", with_methods("pixelcnn", log_weight=off_by(1))
    ),
    "log_prob minus the batch's mean": lambda: Wrong(
        "scores", "depends on the batch", with_methods("pixelcnn", log_weight=centred)
    ),
    "exact but noisy": lambda: Wrong(
        "scores", "another seed", with_methods("pixelcnn", log_weight=noisy)
    ),
    "log_prob writes into its input": lambda: Wrong(
        "keeps_its_input", "log_weight writes", with_methods("vae", log_weight=writes)
    ),
    "a density that ignores its label": lambda: Wrong(
        "labels_matter",
        "log_weight ignores them",
        with_methods("pixelcnn", log_weight=scores_class_0),
    ),
    # ---------------------------------------------------------------------------- other abilities
    "inpainting that changes known pixels": lambda: Wrong(
        "completes",
        "known values change",
        with_methods(
            "pixelcnn", complete=lambda right, self, x, mask, *more: right(-x, mask, *more)
        ),
    ),
    "attention that sums to 2": lambda: Wrong(
        "attends",
        "sum to 1",
        with_methods(
            "sagan", attend=lambda right, self, *more: (right(*more)[0], 2 * right(*more)[1])
        ),
    ),
    "a translator that ignores its input": lambda: Wrong(
        "translates",
        "same for different",
        with_methods("cyclegan", convert=lambda right, self, x, *more: right(0 * x, *more)),
    ),
    "a discriminator that does not see": lambda: Wrong(
        "discriminator_has_features",
        "same logit",
        changed("gan", discriminator=ConstantDiscriminator),
    ),
    "a buffer that is not saved": lambda: Wrong("builds_on_meta", "shift", forgets_a_buffer()),
    # ----------------------------------------------------------------------------------- trainers
    "no parameter changes": lambda: Wrong(
        "learns", "no parameter of the player model", with_trainer("vae", learns_nothing)
    ),
    "one player rests": lambda: Wrong(
        "learns", "player discriminator", with_trainer("gan", one_player_rests)
    ),
    "learns outside update": lambda: Wrong(
        "learns_only_in_update", "lr = 0", with_step("vae", learns_outside)
    ),
    "raises late in a run": lambda: Wrong(
        "learns", "IndexError: no such layer", with_step("vae", raises_late)
    ),
    "raises in the second phase": lambda: Wrong(
        "learns",
        "IndexError: no such layer",
        with_trainer("vae", raises_in_the_second_phase),
    ),
    "a network that belongs to no player": lambda: Wrong(
        "every_parameter_has_a_player", "lost belong", with_trainer("vae", has_a_lost_network)
    ),
    "a parameter that the optimiser lacks": lambda: Wrong(
        "every_parameter_has_a_player",
        "optimiser of model",
        with_trainer("vae", has_a_late_parameter),
    ),
    "an attribute that saving loses": lambda: Wrong(
        "saves_and_loads",
        "sample differs by",
        changed(
            "gan",
            model=with_methods("gan", decode=uses_the_attribute).model,
            trainer=with_step("gan", changes_an_attribute).trainer,
        ),
    ),
    "a counter that is not resumed": lambda: Wrong(
        "resumes_bit_for_bit", "differs after resuming", with_step("vae", counts)
    ),
    "evaluation mode after a step": lambda: Wrong(
        "learns", "evaluation mode", with_step("vae", leaves_evaluation_mode)
    ),
    "gradients after a step": lambda: Wrong(
        "learns", "leaves gradients at the player model", with_step("vae", leaves_gradients)
    ),
    "a parameter that a step leaves frozen": lambda: Wrong(
        "learns", "stay frozen after a step at 0%", with_step("vae", leaves_a_parameter_frozen)
    ),
    "a step that writes into its batch": lambda: Wrong(
        "learns", "writes into batch.x", with_step("vae", writes_into_the_batch)
    ),
    "a log that holds its graph": lambda: Wrong(
        "learns", "holds its graph", with_step("vae", holds_the_graph)
    ),
    "a step with global randomness": lambda: Wrong(
        "steps_are_reproducible", "batch.noise", with_step("vae", draws_in_the_loss)
    ),
    "a loss that wants the whole batch": lambda: Wrong(
        "takes_small_batches", "RuntimeError", with_step("vae", wants_the_whole_batch)
    ),
    "a step without the data": lambda: Wrong(
        "learns_from_its_batch", "from batch.x", with_step("vae", without("x"))
    ),
    "a step without the labels": lambda: Wrong(
        "learns_from_its_batch", "from batch.labels", with_step("cgan", without("labels"))
    ),
    "a step without the labels where tiny has none": lambda: Wrong(
        "learns_from_its_batch", "from batch.labels", with_step("pixelcnn", without("labels"))
    ),
    "a step without the second domain": lambda: Wrong(
        "learns_from_its_batch",
        "from batch.second_domain",
        with_step("cyclegan", without("second_domain")),
    ),
    "an option that is not read": lambda: Wrong(
        "options_change_the_run", "nothing: top_k", ignores("top_k")("gan")
    ),
    "an option and its switch that are not read": lambda: Wrong(
        "options_change_the_run",
        "instance_noise, instance_noise_until",
        ignores("instance_noise", "instance_noise_until")("gan"),
    ),
    "a setting that divides by its lowest value": lambda: Wrong(
        "settings_work_at_their_bounds",
        "samples of contrast=0 ",
        has_a_setting(0, lambda x, contrast: x * 0 / contrast + x),
    ),
    "a setting that leaves the range": lambda: Wrong(
        "settings_work_at_their_bounds",
        "samples of contrast=10 must be in",
        has_a_setting(0.1, lambda x, contrast: x * contrast),
    ),
    "a setting that needs another one in silence": lambda: Wrong(
        "settings_change_the_samples",
        "nothing: shift. .* Refuse one that needs another",
        needs_a_switch(),
    ),
    "a setting without bounds": lambda: Wrong(
        "every_number_is_bounded", "Loose.strength", unbounded_setting()
    ),
    "images beyond black and white": lambda: Wrong(
        "samples_in_range", "value_range=None is for points", unbounded_images()
    ),
    "a code of nothing": lambda: Wrong(
        "takes_blank_samples",
        "embed is not finite .* lowest value",
        with_methods("vae", embed=standardises),
    ),
    "a completion that ignores the label": lambda: Wrong(
        "completes",
        "other labels fill in the same",
        conditional("pixelcnn", complete=completes_class_0),
    ),
    "a step that returns more than it names": lambda: Wrong(
        "steps",
        "returns 3 tensors, and step_outputs names mean, deviation",
        with_methods("ddpm", step=lambda right, self, x, *more: (*right(x, *more), x)),
    ),
    "a step that sees its batch": lambda: Wrong(
        "steps",
        "mean of a sample differs",
        with_methods("ddpm", step=lambda right, self, x, *more: right(x - x.mean(0), *more)),
    ),
    "a step whose deviation has no rows": lambda: Wrong(
        "steps",
        "deviation must have a row for each of 4",
        with_methods("ddpm", step=mean_deviation),
    ),
    "a completion that sees its batch": lambda: Wrong(
        "completes",
        "depends on its batch",
        with_methods("pixelcnn", complete=completes_by_the_batch),
    ),
    "a completion that ignores what is known": lambda: Wrong(
        "completes",
        "does not look at the known values",
        with_methods("pixelcnn", complete=completes_nothing_known),
    ),
    "a completion that ignores the seed": lambda: Wrong(
        "completes",
        "another seed fills in the same",
        with_methods("pixelcnn", complete=completes_by_seed_0),
    ),
    "a translator that sees its batch": lambda: Wrong(
        "translates",
        "depends on the batch",
        with_methods("cyclegan", convert=converts_by_the_batch),
    ),
    "a translator that ignores to": lambda: Wrong(
        "translates", "it ignores to", with_methods("cyclegan", convert=translates_one_way)
    ),
    "attention that ignores the settings": lambda: Wrong(
        "attends",
        "reads truncation in another way",
        with_methods("sagan", attend=attends_by_default),
    ),
    # ------------------------------------------------------------------------------------ devices
    "a tensor made on the CPU": lambda: Wrong(
        "runs_on_any_device",
        "generate on cuda: .*same device.*made_on_the_cpu|same device.*torch.zeros",
        with_methods("gan", decode=made_on_the_cpu),
    ),
    "a hidden item": lambda: Wrong(
        "runs_on_any_device", "a value of a tensor is read", with_methods("gan", decode=asks)
    ),
    "a detour through NumPy": lambda: Wrong(
        "runs_on_any_device", "numpy", with_methods("gan", decode=through_numpy)
    ),
    "a loss on the CPU": lambda: Wrong(
        "trains_on_any_device", "same device", with_loss("vae", loss_on_the_cpu)
    ),
    "a loss that asks for its value": lambda: Wrong(
        "trains_on_any_device", "value of a tensor is read", with_loss("vae", loss_that_asks)
    ),
    "a loss that is on the CPU late in a run": lambda: Wrong(
        "trains_on_any_device", "75% of a run", with_loss("vae", late_on_the_cpu)
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_the_kit_catches(kind, monkeypatch):
    wrong = WRONG[kind]()
    monkeypatch.setattr(families, "get", lambda name: wrong.family)  # what loading asks for
    with pytest.raises(testing.Broken, match=wrong.said) as broken:
        testing.run(wrong.check, testing.Case("vae", wrong.family))
    _, *lines = str(broken.value).split("\n")
    assert lines[0].strip().startswith("from genzoo import testing")
    assert 2 <= len(lines) <= 4
    raised = IndexError, RuntimeError, genzoo.OperationFailed, testing.Broken  # by the family
    with contextlib.suppress(*raised):
        exec("\n".join(line.strip() for line in lines), {})


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("branch", "implicit", "a branch of explicit/tractable, .*; got 'implicit'"),
        ("year", "recent", "a year in digits; got 'recent'"),
        ("summary", "", "description is empty"),
    ],
)
def test_the_kit_catches_wrong_metadata(field, value, said, monkeypatch):
    listed = [replace(p, **{field: value}) if p.name == "vae" else p for p in families.plugins()]
    monkeypatch.setattr(families, "plugins", lambda: listed)
    with pytest.raises(testing.Broken, match=said):
        testing.run("metadata_say_where_it_stands", "vae")


def test_every_check_has_a_family_that_it_catches():
    """But for the check of a GPU, which only a machine with one can run."""
    caught = {WRONG[kind]().check for kind in WRONG} | {"metadata_say_where_it_stands"}
    assert {*testing.CHECKS} - caught == {"same_picture_on_a_gpu"}
