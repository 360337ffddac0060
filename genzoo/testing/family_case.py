"""What the checks of a family share: its smallest model, synthetic data, a short training."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial, wraps
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor

from genzoo import families
from genzoo.families.family import Family
from genzoo.models.abilities import Attentive, Completer, Density, Encoder, Translator
from genzoo.models.model import Model, infer
from genzoo.models.randomness import Noise, seed_torch
from genzoo.models.ranges import rescale
from genzoo.models.sampler import Latent, Sampler
from genzoo.schemas import checked
from genzoo.testing.contract import Check, Contract
from genzoo.training import EMA, Batch, RunSettings, Trainer, fit
from genzoo.training.phases import phase_starts

TOTAL = 1024  # steps of a run; its quarters are multiples of the intervals that are powers of two
# A trainer may do something else late in a run, or in a phase, so the checks visit all of them.
SHARES = (0.0, 0.25, 0.5, 0.75, 0.99)


@final
@dataclass(frozen=True)
class Case:
    """A family, and its smallest model with weights from a fixed seed."""

    name: str
    family: Family

    @classmethod
    def of(cls, name: str) -> "Case":
        """The case of an installed family. Raises UnknownName."""
        return cls(name, families.get(name))

    def model(self, seed: int = 0, **changes: Any) -> Any:
        """``family.tiny`` with ``changes``, as a model."""
        values = {**self.family.tiny.model_dump(mode="json"), **changes}
        with torch.random.fork_rng():
            seed_torch(seed)
            return self.family.model(checked(self.family.config, values, "config"))

    def options(self, **options: Any) -> Any:
        return checked(self.family.options, {"batch_size": 8, **options}, "options")

    def trainer(self, average: float = 0.0, micro_batches: int = 1, **options: Any) -> Trainer:
        return self.trainer_of(self.model(), average, micro_batches, **options)

    def trainer_of(
        self, model: Any, average: float = 0.0, micro_batches: int = 1, **options: Any
    ) -> Trainer:
        with torch.random.fork_rng():
            seed_torch(0)
            trainer = self.family.make_trainer(model, self.options(**options))
        if average:
            trainer = EMA(trainer, average)
        trainer.prepare(RunSettings(micro_batches=micro_batches))
        return trainer

    def batches(
        self, trainer: Trainer, start: int = 0, shares: Sequence[float] = SHARES
    ) -> Iterator[Batch]:
        """Some batches of a run, from all of it: numbers that depend on the step alone."""
        model, n = trainer.model, 8 * trainer.batches_per_step
        for step in steps_of(trainer, shares)[start:]:
            noise = Noise(0, range(n), f"made data {step}")
            x, other = (in_range(model, noise.uniform(*model.shape)) for _ in range(2))
            labels = torch.arange(n) % self.classes(model) if self.classes(model) else None
            second = other if self.family.data in ("unpaired", "paired") else None
            yield Batch(x, labels, second, step=step, progress=step / TOTAL)

    def classes(self, model: Any) -> int:
        """The number of classes in a batch, as a run gives them: 0 stands for no labels."""
        if self.family.data == "labelled":
            return getattr(model, "num_classes", 0) or getattr(self.family.tiny, "classes", 2)
        return getattr(model, "num_classes", 0)

    def trained(
        self, model: Any = None, shares: Sequence[float] = SHARES, **options: Any
    ) -> Trainer:
        """A trainer after a step at each of the shares, and after the family's ``finish``."""
        *_, trainer = self.stages(model, shares, **options)
        return trainer

    def stages(
        self, model: Any = None, shares: Sequence[float] = SHARES, **options: Any
    ) -> Iterator[Trainer]:
        """The trainer of ``trained`` after each of its steps, and after ``finish``."""
        trainer = self.trainer_of(self.model() if model is None else model, **options)
        batches = [*self.batches(trainer, 0, shares)]
        for _ in fit(trainer, batches, len(batches)):
            yield trainer
        self.finish(trainer, **options)
        yield trainer

    def finish(self, trainer: Trainer, **options: Any) -> None:
        if self.family.finish:
            x = in_range(trainer.model, unit(trainer.model, 40))
            trainer.model.eval()
            self.family.finish(trainer.model, self.options(**options), [x[:20], x[20:]])


def steps_of(trainer: Trainer, shares: Sequence[float] = SHARES) -> list[int]:
    """The steps of a run at these shares of each phase."""
    starts = [*phase_starts(trainer.phases, TOTAL).values(), TOTAL]
    return [a + int(share * (b - a)) for a, b in pairwise(starts) for share in shares]


FAMILY = Contract("family", lambda name: nullcontext(Case.of(name)))


def law(ability: type | None = None, code: str = "") -> Callable[[Check], Check]:
    """A decorator that adds a check: of all families, or of the models with an ability.

    Its docstring is the law; ``code`` shows how to see it broken.
    """

    def add(check: Check) -> Check:
        @wraps(check)
        def check_if_able(case: Case) -> str | None:
            if ability and not isinstance(case.model(), ability):
                return f"is no {ability.__name__}"
            return check(case)

        return FAMILY.check(check_if_able, code)

    return add


def unit(model: Model, n: int, purpose: str = "test samples") -> Tensor:
    """``(n, *shape)`` in [0, 1]: noise, of as many values as the model knows."""
    x = Noise(7, range(n), purpose).uniform(*model.shape)
    levels = getattr(model, "levels", None)
    return (x * (levels - 1)).round() / (levels - 1) if levels else x


def public(model: Model, n: int) -> Tensor:
    """``(n, *shape)`` of noise as users give it."""
    return rescale(unit(model, n), (0.0, 1.0), model.public_range)


def in_range(model: Model, x: Tensor) -> Tensor:
    """``x`` from [0, 1] to the model's range."""
    return rescale(x, (0.0, 1.0), model.value_range)


def raw_samples(model: Sampler, noise: Noise, labels: Tensor | None) -> Tensor:
    """What the family's own method returns, in the model's range."""
    return infer(model, lambda copy: copy.generate(noise, labels, model.sampling()))


def outputs(model: Any, **settings: Any) -> dict[str, Tensor]:
    """What each of the model's abilities gives: all that a user can see of it."""
    found = {}
    if isinstance(model, Sampler):
        found["sample"] = model.sample(6, seed=1, **settings).tensor
    if isinstance(model, Encoder):
        found["encode"] = model.encode(public(model, 6))
    if isinstance(model, Density):
        found["log_prob"] = model.log_prob(public(model, 6))
    if isinstance(model, Translator):
        for to in model.targets:
            samples = model.translate(public(model, 2), to, **settings)
            found[f"translate to {to}"] = samples.tensor
    if isinstance(model, Attentive):
        found["attention"] = model.attention(2, **settings)[1]
    return found


def computations(model: Any, x: Tensor, code: Tensor) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each method that a family writes: its name, and a call with samples and codes."""
    noise = partial(Noise, 0, range(len(x)), device=x.device)
    labels = model.labels_for(None, len(x)) if isinstance(model, Sampler) else None
    if isinstance(model, Sampler):
        yield "generate", lambda: model.generate(noise(), labels, model.sampling())
    if isinstance(model, Latent):
        yield "decode", lambda: model.decode_with(code, labels, noise(), model.sampling())
    if isinstance(model, Encoder):
        yield "embed", lambda: model.embed(x)
    if isinstance(model, Density):
        yield "log_weight", lambda: model.log_weight(x, labels, noise())
    for to in model.targets if isinstance(model, Translator) else ():
        yield f"convert to {to}", partial(model.convert_any_size, x, to, noise())
    if isinstance(model, Attentive):
        yield "attend", lambda: model.attend(noise(), labels, model.sampling())
    if isinstance(model, Completer):
        yield "complete", lambda: model.complete(x, x, noise(), labels, model.sampling())
