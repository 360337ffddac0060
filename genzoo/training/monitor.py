"""The training monitor: warns of faults during training, explains them and suggests options.

It does not change the run: it reads the logs and, at every hundredth step, draws samples from
private copies, with random streams of its own.
"""

import copy
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar, final

import torch
from pydantic import ValidationError
from torch import Tensor

from genzoo.errors import argument
from genzoo.models.abilities import Translator
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent, Sampler
from genzoo.options import AdversarialOptions, Options
from genzoo.training import parallel
from genzoo.training.adversarial import Adversarial
from genzoo.training.standard_trainers import EMA
from genzoo.training.trainer import Batch, Logs, Trainer
from genzoo.training.whole_layers import stop_sharing

log = logging.getLogger("genzoo")
T = TypeVar("T")

# Steps between two checks. A check draws twice, which costs about a step: 1 % of the time.
EVERY = 100
# Samples drawn at a check: if two modes are one, hundreds of pairs show it.
COUNT = 64
# The smallest number of real samples whose distances show the variety of the data.
FEWEST = 8
# Checks without a fault before a rule may warn again: with fewer, a borderline run warns all along.
RECOVERY = 3

# The discriminator is wrong on one sample in a hundred; minimax's gradient has lost 99 %. A healthy
# DCGAN passes 0.016 in its first hundred steps.
ACCURATE, HOPELESS = 0.99, 0.01
# A share of the real samples' distances. Perceptrons that later draw well begin at 0.05, the early
# blur of a VAE has 0.1; a generator that ignores its code is below 0.001.
VARIETY = 0.03
# A share of the distance between samples of different codes. From the hundredth step on, short
# healthy runs are below 0.2, averages after long ones up to 0.6, frozen statistics from 0.9.
# A gap below VISIBLE of the distance between two real samples does not count.
GAP, VISIBLE = 0.75, 0.02
# A share of the distance that an average should move in one step; rounding takes at most a tenth,
# if that distance is more than ROUNDING of the weights.
FOLLOWED, ROUNDING = 0.5, 1e-6


@final
@dataclass(frozen=True)
class TrainingWarning:
    """A rule's warning after ``step``."""

    rule: str
    step: int
    text: str


@final
@dataclass
class Window:
    """What the rules check, after a step that is a multiple of ``EVERY``.

    ``logs``: name -> its values in the steps since the last check; ``complete``: whether no step
    is missing; ``before``: the state of the average one step ago.
    """

    trainer: Trainer
    options: Options
    step: int
    batch: Batch
    logs: Mapping[str, list[Tensor]] = field(default_factory=dict)
    complete: bool = True
    before: Mapping[str, Tensor] | None = None

    @property
    def span(self) -> str:
        return f"over steps {self.step - EVERY + 1} to {self.step}"

    @property
    def unwrapped(self) -> Trainer:
        """The trainer that takes the steps."""
        trainer = self.trainer
        while trainer.inner:
            trainer = trainer.inner
        return trainer

    def logged(self, name: str) -> Tensor | None:
        """``(steps,)``: the values of the log ``name``; None unless it has one for every step."""
        values = self.logs.get(name, [])
        return torch.stack(values).cpu() if len(values) == EVERY else None

    def hint(self, **values: Any) -> str:
        """The options to try: those of ``values`` that the family has and that differ from now."""
        now, settings = self.options.model_dump(), []
        for name, value in values.items():
            try:
                type(self.options).model_validate({**now, name: value})
            except ValidationError:
                continue
            if now[name] != value:
                settings.append(argument("settings", {name: value}))
        return "; try " + " or ".join(settings) if settings else ""

    @cached_property
    def sampler(self) -> Sampler | None:
        """The model, if a batch takes one forward pass: none that draws by pixels or denoising."""
        model = self.trainer.model
        quick = isinstance(model, Latent) or isinstance(self.unwrapped, Adversarial)
        if not quick or not isinstance(model, Sampler) or isinstance(model, Translator):
            return None
        return None if model.in_raster_order else model

    @cached_property
    def labels(self) -> Tensor | None:
        """``(COUNT,)``: the batch's labels, repeated, so that samples and data have the same."""
        if self.batch.labels is None:
            return None
        return self.batch.labels.repeat(-(-COUNT // len(self.batch)))[:COUNT]

    @cached_property
    def samples(self) -> tuple[Tensor, Tensor | None]:
        """``(COUNT, *shape)`` twice, of the same codes at each check: in evaluation mode, and with
        the batch's own statistics in norms; None if no norm has running statistics.
        """
        assert self.sampler is not None
        model, device = copy.deepcopy(self.sampler).eval(), self.sampler.device
        stop_sharing(model)  # the other processes do not run this
        norms = [m for m in model.modules() if getattr(m, "running_mean", None) is not None]
        with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):

            def draw() -> Tensor:
                noise = Noise(0, range(COUNT), device=device)
                return model.to_public(model.generate(noise, self.labels, model.sampling()))

            evaluated = draw()
            if not norms:
                return evaluated, None
            for norm in norms:
                norm.train()
            return evaluated, draw()


# The result of a rule: a warning, "" without a fault, None if it cannot decide.
Verdict = str | None


def _saturated(window: Window) -> Verdict:
    """D rejects with confidence, and log(1 - D(G(z))) is flat (Goodfellow et al. 2014, sec. 3)."""
    names = ("accuracy", "D(x)", "D(G(z))")
    accuracy, real, fake = (window.logged(f"discriminator/{name}") for name in names)
    if accuracy is None or real is None or fake is None:
        return None
    # The scores of a Wasserstein critic are no logits: their zero, so its accuracy, means nothing.
    critic = getattr(window.options, "loss", None) == "wasserstein"
    odds = torch.cat([real, fake])
    if critic or "discriminator/wasserstein" in window.logs or odds.min() < 0 or odds.max() > 1:
        return None
    if accuracy.mean() < ACCURATE or fake.mean() > HOPELESS:
        return ""
    rate = getattr(window.options, "discriminator_lr", 0.0) or window.options.lr
    return (
        f"{window.span} the discriminator's accuracy was {accuracy.mean():.3f}, D(x) "
        f"{real.mean():.3f} and D(G(z)) {fake.mean():.2g}: the discriminator is winning; the "
        "generator's gradient has almost vanished"
    ) + window.hint(discriminator_lr=rate / 4, discriminator_steps=1, penalty="r1")


def _unpenalised(window: Window) -> Verdict:
    """A penalty that the options ask for and that has no effect."""
    o = window.options
    if not isinstance(o, AdversarialOptions) or o.penalty == "none" or not o.penalty_weight:
        return None
    due = -(-(window.step - EVERY) // o.penalty_interval) * o.penalty_interval < window.step
    if not window.complete or not due:
        return None
    if not window.logs and len(window.trainer.phases) > 1:
        return None  # a phase without a discriminator
    logged = [v for name, values in window.logs.items() if _is_penalty(name) for v in values]
    if logged and torch.stack(logged).any():
        return ""
    other = "gradient" if o.penalty == "r1" else "r1"
    what = (
        f"was 0 all {len(logged)} times: the discriminator's output does not depend on its input"
        if logged
        else f"was never logged: {type(window.unwrapped).__name__} does not apply it, so nothing "
        "bounds the discriminator's gradient"
    )
    penalty = f"the penalty {o.penalty} of weight {o.penalty_weight:g}, set in the options,"
    return f"{window.span} {penalty} {what}" + window.hint(penalty_interval=1, penalty=other)


def _collapsed(window: Window) -> Verdict:
    """Mode collapse, up to one sample for all codes (Goodfellow et al. 2014, section 6)."""
    n = min(COUNT, len(window.batch))
    if window.sampler is None or n < FEWEST:
        return None
    labels = None if window.labels is None else window.labels[:n]
    labels, within = (labels, ", within their classes") if _classes_repeat(labels) else (None, "")
    real = window.sampler.to_public(window.batch.x[:n])
    pairs = zip(_distances(window.samples[0][:n], labels), _distances(real, labels), strict=True)
    variety = min((mine / theirs for mine, theirs in pairs if theirs > 0), default=math.nan)
    if not math.isfinite(variety):
        return None
    if variety >= VARIETY:
        return ""
    return (
        f"at step {window.step} samples of {n} different codes lie {variety:.2g} times as far "
        f"apart as {n} real ones{within}: the samples are nearly the same for every code (mode "
        "collapse, or hardly any learning)"
    ) + window.hint(penalty="r1", instance_noise=0.1, lr=window.options.lr / 2)


def _stale(window: Window) -> Verdict:
    """m' = m + (1 - decay) (w - m) in the step just taken, to within rounding, tensor by tensor."""
    trainer, before = window.trainer, window.before
    if not isinstance(trainer, EMA) or not before:
        return None
    share = 1 - trainer.decay_at(window.batch)
    now, latest = trainer.average.state_dict(), trainer.inner.model.state_dict()
    norms = [
        torch.stack([share * (latest[k] - old).norm(), (now[k] - old).norm(), old.norm()])
        for k, old in before.items()
    ]
    rows = zip(before, torch.stack(norms).tolist(), strict=True)
    moving = [(k, due, went) for k, (due, went, norm) in rows if due > ROUNDING * norm]
    still = [k for k, due, went in moving if went < FOLLOWED * due]
    if not still:
        return "" if moving else None
    return (
        f"at step {window.step} {len(still)} of the {len(moving)} tensors of the averaged model "
        f"that should have moved ({still[0]} the first) did not follow the trained weights: the "
        "model that samples and is saved is not the one that learns"
    ) + window.hint(ema_decay=0.0)


def _gap(window: Window) -> Verdict:
    """Batch norm's running statistics differ from those of batches (Ioffe & Szegedy 2015)."""
    n = min(COUNT, len(window.batch))
    if window.sampler is None or n < FEWEST:
        return None
    evaluated, trained = window.samples
    if trained is None:
        return None
    gap = (trained - evaluated).flatten(1).norm(dim=1).mean().item()
    apart = _distances(trained, None)[1]
    real = _distances(window.sampler.to_public(window.batch.x[:n]), None)[1]
    if not (apart > 0 and real > 0 and math.isfinite(gap)):
        return None
    if gap <= GAP * apart or gap <= VISIBLE * real:
        return ""
    return (
        f"at step {window.step} samples of the same codes, once with the statistics of their batch "
        "(as in training) and once with the running ones (as in evaluation), lie "
        f"{gap / apart:.2f} times as far apart as samples of different codes: the running "
        "statistics do not fit the weights"
    ) + window.hint(
        ema_decay=0.0, batch_size=2 * window.options.batch_size, lr=window.options.lr / 2
    )


@final
class _Rule(NamedTuple):
    """A rule warns once ``patience`` checks in a row have found a fault."""

    verdict: Callable[[Window], Verdict]
    patience: int


# A healthy run may look bad for its first hundreds of steps.
RULES = {
    "saturated discriminator": _Rule(_saturated, 3),
    "collapsed variety": _Rule(_collapsed, 5),
    "missing penalty": _Rule(_unpenalised, 1),
    "stale average": _Rule(_stale, 2),
    "train-eval gap": _Rule(_gap, 2),
}


@final
class TrainingMonitor:
    """Applies every rule to a trainer; each warns once, and again only after a recovery.

    A rule that raises, on a trainer whose logs or model it did not expect, is disabled.
    """

    def __init__(self, trainer: Trainer, options: Options):
        self.trainer, self.options = trainer, options
        self._off = set[str]()
        self._begin("")

    def _begin(self, phase: str) -> None:
        """Forget what was seen: logs of two phases do not belong together."""
        self._phase, self._steps, self._window = phase, 0, dict[str, list[Tensor]]()
        self._before: dict[str, Tensor] | None = None
        # By rule: checks in a row with a fault, and without one; whether it has warned.
        self._course = dict.fromkeys(RULES, (0, 0, False))

    def check(self, step: int, logs: Logs, batch: Batch) -> list[TrainingWarning]:
        """The warnings after ``step``, with its batch and logs: usually none.

        Call it after every step. Of several processes only the first checks.
        """
        if parallel.rank():
            return []
        if batch.phase != self._phase:
            self._begin(batch.phase)
        self._remember(logs, batch.x.device)
        if step % EVERY == EVERY - 1:
            self._before = self._guarded("stale average", self._average)
        if step % EVERY:
            return []
        complete = self._steps == EVERY
        window = Window(
            self.trainer, self.options, step, batch, self._window, complete, self._before
        )
        self._steps, self._window, self._before = 0, {}, None
        verdicts = {k: self._guarded(k, partial(r.verdict, window)) for k, r in RULES.items()}
        due = [(rule, self._due_warning(rule, verdict)) for rule, verdict in verdicts.items()]
        return [TrainingWarning(rule, step, text) for rule, text in due if text]

    def _remember(self, logs: Logs, device: torch.device) -> None:
        self._steps += 1
        for name, value in logs.items():
            if _is_watched(name) and isinstance(value, Tensor) and value.numel() == 1:
                number = value.detach().reshape(()).to(device, torch.float32)
                self._window.setdefault(name, []).append(number)

    def _average(self) -> dict[str, Tensor] | None:
        """A copy of the averaged model's state."""
        if not isinstance(self.trainer, EMA):
            return None
        state = self.trainer.average.state_dict()
        return {k: t.clone() for k, t in state.items() if t.is_floating_point()}

    def _guarded(self, rule: str, call: Callable[[], T]) -> T | None:
        """The result of ``call``; if it raises, None, and the rule is disabled."""
        if rule in self._off:
            return None
        try:
            return call()
        except Exception as error:  # an error in the monitor must not stop a healthy run
            self._off.add(rule)
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            log.warning("check %r is disabled for the rest of this run: %s", rule, reason)
            return None

    def _due_warning(self, rule: str, verdict: Verdict) -> str | None:
        """The warning, if the rule should warn now."""
        faults, passes, warned = self._course[rule]
        if verdict is None:
            return None
        faults, passes = (faults + 1, 0) if verdict else (0, passes + 1)
        is_due = faults >= RULES[rule].patience and not warned
        self._course[rule] = (faults, passes, is_due or (warned and passes < RECOVERY))
        return verdict if is_due else None

    def state_dict(self) -> dict[str, Any]:
        """The state for a checkpoint: a resumed run gives the warnings of an unbroken one."""
        window = {k: torch.stack(values) for k, values in self._window.items()}
        now = {"seen": self._steps, "phase": self._phase, "course": dict(self._course)}
        return {**now, "window": window, "before": self._before, "off": sorted(self._off)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError, KeyError, TypeError or AttributeError for what is no such state."""
        if type(state["seen"]) is not int or not isinstance(state["phase"], str):
            raise ValueError(f"the monitor's state is of {state['phase']!r}, {state['seen']!r}")
        if any(not isinstance(v, Tensor) or v.ndim != 1 for v in state["window"].values()):
            raise ValueError("the monitor's window is not of numbers")
        if any([*map(type, v)] != [int, int, bool] for v in state["course"].values()):
            raise ValueError("the monitor's course is not of counts")
        before, off = state.get("before"), state.get("off", [])  # earlier checkpoints lack them
        if any(not isinstance(tensor, Tensor) for tensor in (before or {}).values()):
            raise ValueError("the monitor's average is not of tensors")
        self._before, self._off = before, {*off} & {*RULES}
        self._steps, self._phase = state["seen"], state["phase"]
        self._window = {k: list(values) for k, values in state["window"].items()}
        self._course |= {k: v for k, v in state["course"].items() if k in RULES}


def _is_penalty(name: str) -> bool:
    return "penalty" in name or name.rpartition("/")[2] in ("gp", "r1")


def _is_watched(name: Any) -> bool:
    return isinstance(name, str) and (name.startswith("discriminator/") or _is_penalty(name))


def _classes_repeat(labels: Tensor | None) -> bool:
    """Whether enough samples have another of their class."""
    if labels is None:
        return False
    return int((labels[:, None] == labels).sum(1).gt(1).sum()) >= FEWEST


def _distances(x: Tensor, labels: Tensor | None) -> tuple[float, float]:
    """The median distance to the nearest other sample, and the root mean square to all others.

    The first detects a few samples repeated, the second one sample with a little noise. Given
    labels, only samples of the same class are compared.
    """
    flat = x.flatten(1).float()
    apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    alone = torch.eye(len(x), dtype=torch.bool, device=x.device)
    if labels is not None:
        alone |= labels[:, None] != labels
    nearest = apart.masked_fill(alone, math.inf).amin(1)
    return nearest[nearest.isfinite()].median().item(), apart[~alone].square().mean().sqrt().item()
