"""The doctor: looks on while a model trains, and says what goes wrong, what it means, what to try.

It leaves no trace on what it watches: it reads logs that are there anyway, and at every hundredth
step draws from private copies, from streams of its own.
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
from torch import Tensor, nn

from genzoo.models.abilities import Translator
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent, Sampler
from genzoo.options import AdversarialOptions, Options
from genzoo.training import parallel
from genzoo.training.trainer import Batch, Logs, Trainer
from genzoo.training.trainers import EMA, Adversarial

log = logging.getLogger("genzoo")
T = TypeVar("T")

# Steps from one look to the next. A look draws twice, which costs about a step: 1 % of the time.
EVERY = 100
# Samples drawn at a look: two modes in common then show in hundreds of pairs.
COUNT = 64
# The fewest real samples whose distances say something of the data's variety.
FEWEST = 8
# Looks without a fault before a rule may speak again: less, and a run on the brink chatters.
RECOVERY = 3

# An accuracy of 1, but for one sample in a hundred; D(G(z)) where minimax's gradient has lost all
# but as much. A healthy DCGAN passes 0.016 in its first hundred steps.
ACCURATE, HOPELESS = 0.99, 0.01
# Of the real samples' distances. Perceptrons that go on to draw well begin at 0.05, and a VAE's
# early blur has 0.1; a generator that ignores its code is below 0.001.
VARIETY = 0.03
# Of the distance between samples of different codes. From the hundredth step on short healthy runs
# are below 0.2, averages after long ones up to 0.6, statistics that stand still from 0.9.
# Less than SEEN of the distance between two real samples is nothing to look at.
GAP, SEEN = 0.75, 0.02
# Of the way that an average should have gone in one step; rounding alone takes a tenth at most,
# where the way is longer than ROUNDING of its weights.
FOLLOWED, ROUNDING = 0.5, 1e-6


@final
@dataclass(frozen=True)
class TrainingWarning:
    """What a rule has to say, after ``step``."""

    rule: str
    step: int
    text: str


@final
@dataclass
class Window:
    """What can be seen after a step that is a multiple of ``EVERY``.

    ``window`` holds the logs of the steps since the last look, by name; ``whole``, whether of all
    of them; ``before`` the average's state a step ago.
    """

    trainer: Trainer
    options: Options
    step: int
    batch: Batch
    window: Mapping[str, list[Tensor]] = field(default_factory=dict)
    whole: bool = True
    before: Mapping[str, Tensor] | None = None

    @property
    def span(self) -> str:
        return f"over steps {self.step - EVERY + 1} to {self.step}"

    @property
    def unwrapped(self) -> Trainer:
        """The trainer that takes the steps."""
        return self.trainer.inner if isinstance(self.trainer, EMA) else self.trainer

    def logged(self, name: str) -> Tensor | None:
        """``(steps,)``: what was logged as ``name``; None unless at every step."""
        values = self.window.get(name, [])
        return torch.stack(values).cpu() if len(values) == EVERY else None

    def hint(self, **values: Any) -> str:
        """What to try: those of the values that the family takes, and that are not set so yet."""
        now, said = self.options.model_dump(), []
        for name, value in values.items():
            try:
                type(self.options).model_validate({**now, name: value})
            except ValidationError:
                continue
            if now[name] != value:
                shown = f"{value:g}" if isinstance(value, float) else value
                said.append(f"--set {name}={shown}")
        return "; try " + " or ".join(said) if said else ""

    @cached_property
    def sampler(self) -> Sampler | None:
        """The model, if a batch of it costs one pass: not where pixels, or denoising, take many."""
        model = self.trainer.model
        quick = isinstance(model, Latent) or isinstance(self.unwrapped, Adversarial)
        if not quick or not isinstance(model, Sampler) or isinstance(model, Translator):
            return None
        return None if model.in_raster_order else model

    @cached_property
    def labels(self) -> Tensor | None:
        """``(COUNT,)``: the batch's, over and over, so that draws and data have the same."""
        if self.batch.labels is None:
            return None
        return self.batch.labels.repeat(-(-COUNT // len(self.batch)))[:COUNT]

    @cached_property
    def drawn(self) -> tuple[Tensor, Tensor | None]:
        """``(COUNT, *shape)`` twice: what codes that are always the same become in evaluation mode,
        and under the statistics of their own batch; None where no norm keeps running ones.
        """
        assert self.sampler is not None
        model, device = copy.deepcopy(self.sampler).eval(), self.sampler.device
        norms = [m for m in model.modules() if getattr(m, "running_mean", None) is not None]
        with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):

            def draw() -> Tensor:
                noise = Noise(0, range(COUNT), device=device)
                return model.to_unit(model.generate(noise, self.labels))

            evaluated = draw()
            # One of several processes' norms would wait for the others, which are not here.
            if not norms or any(isinstance(norm, nn.SyncBatchNorm) for norm in norms):
                return evaluated, None
            for norm in norms:
                norm.train()
            return evaluated, draw()


# What a rule finds: a sentence, "" where all is well, None where nothing can be said.
Verdict = str | None


def _saturated(look: Window) -> Verdict:
    """D rejects with confidence, and log(1 - D(G(z))) is flat (Goodfellow et al. 2014, sec. 3)."""
    names = ("accuracy", "D(x)", "D(G(z))")
    accuracy, real, fake = (look.logged(f"discriminator/{name}") for name in names)
    if accuracy is None or real is None or fake is None:
        return None
    # A critic's scores are no odds: their zero, and so its accuracy, means nothing.
    critic = getattr(look.options, "loss", None) == "wasserstein"
    odds = torch.cat([real, fake])
    if critic or "discriminator/wasserstein" in look.window or odds.min() < 0 or odds.max() > 1:
        return None
    if accuracy.mean() < ACCURATE or fake.mean() > HOPELESS:
        return ""
    rate = getattr(look.options, "discriminator_lr", 0.0) or look.options.lr
    return (
        f"{look.span} the discriminator's accuracy was {accuracy.mean():.3f}, D(x) "
        f"{real.mean():.3f} and D(G(z)) {fake.mean():.2g}: it has won, and the generator learns "
        "next to nothing from it"
    ) + look.hint(discriminator_lr=rate / 4, discriminator_steps=1, penalty="r1")


def _unpenalised(look: Window) -> Verdict:
    """An option that is taken, and applied nowhere."""
    o = look.options
    if not isinstance(o, AdversarialOptions) or o.penalty == "none" or not o.penalty_weight:
        return None
    due = -(-(look.step - EVERY) // o.penalty_interval) * o.penalty_interval < look.step
    if not look.whole or not due:
        return None
    logged = [v for name, values in look.window.items() if _is_penalty(name) for v in values]
    if logged and torch.stack(logged).any():
        return ""
    other = {"gradient": "r1", "r1": "gradient"}[o.penalty]
    what = (
        f"was 0 all {len(logged)} times: what the discriminator says hangs on nothing that it sees"
        if logged
        else f"was never logged: {type(look.unwrapped).__name__} does not apply it, and nothing "
        "bounds the discriminator's slope"
    )
    asked = f"the penalty {o.penalty} of weight {o.penalty_weight:g}, which the options ask for,"
    return f"{look.span} {asked} {what}" + look.hint(penalty_interval=1, penalty=other)


def _collapsed(look: Window) -> Verdict:
    """Mode collapse, up to one sample for all codes (Goodfellow et al. 2014, section 6)."""
    n = min(COUNT, len(look.batch))
    if look.sampler is None or n < FEWEST:
        return None
    labels = None if look.labels is None else look.labels[:n]
    labels, within = (labels, ", within their classes") if _have_company(labels) else (None, "")
    real = look.sampler.to_unit(look.batch.x[:n])
    pairs = zip(_distances(look.drawn[0][:n], labels), _distances(real, labels), strict=True)
    variety = min((mine / theirs for mine, theirs in pairs if theirs > 0), default=math.nan)
    if not math.isfinite(variety):
        return None
    if variety >= VARIETY:
        return ""
    return (
        f"at step {look.step} samples of {n} different codes lie {variety:.2g} times as far apart "
        f"as {n} real ones{within}: the model draws nearly one thing whatever its code (mode "
        "collapse, or hardly any learning)"
    ) + look.hint(penalty="r1", instance_noise=0.1, lr=look.options.lr / 2)


def _stale(look: Window) -> Verdict:
    """m' = m + (1 - decay) (w - m) in the step just taken, to within rounding, tensor by tensor."""
    trainer, before = look.trainer, look.before
    if not isinstance(trainer, EMA) or not before:
        return None
    share = 1 - trainer.decay_at(look.batch.step)
    now, learnt = trainer.average.state_dict(), trainer.inner.model.state_dict()
    norms = [
        torch.stack([share * (learnt[k] - was).norm(), (now[k] - was).norm(), was.norm()])
        for k, was in before.items()
    ]
    rows = zip(before, torch.stack(norms).tolist(), strict=True)
    moving = [(k, due, went) for k, (due, went, norm) in rows if due > ROUNDING * norm]
    still = [k for k, due, went in moving if went < FOLLOWED * due]
    if not still:
        return "" if moving else None
    return (
        f"at step {look.step} {len(still)} of the {len(moving)} tensors of the averaged model that "
        f"should have moved ({still[0]} the first) had not followed the weights in training: what "
        "is kept at the end, and drawn till then, is not what is being learnt"
    ) + look.hint(ema_decay=0.0)


def _gap(look: Window) -> Verdict:
    """Batch norm's running statistics are others than the batches' own (Ioffe & Szegedy 2015)."""
    n = min(COUNT, len(look.batch))
    if look.sampler is None or n < FEWEST:
        return None
    evaluated, trained = look.drawn
    if trained is None:
        return None
    gap = (trained - evaluated).flatten(1).norm(dim=1).mean().item()
    apart = _distances(trained, None)[1]
    real = _distances(look.sampler.to_unit(look.batch.x[:n]), None)[1]
    if not (apart > 0 and real > 0 and math.isfinite(gap)):
        return None
    if gap <= GAP * apart or gap <= SEEN * real:
        return ""
    return (
        f"at step {look.step} samples of the same codes, drawn with the statistics of their batch "
        "as in training, and with the running ones as ever after, lie "
        f"{gap / apart:.2f} times as far apart as samples of different codes: the running "
        "statistics don't fit the weights"
    ) + look.hint(ema_decay=0.0, batch_size=2 * look.options.batch_size, lr=look.options.lr / 2)


@final
class _Rule(NamedTuple):
    """Speaks once ``patience`` looks in a row have found a fault."""

    verdict: Callable[[Window], Verdict]
    patience: int


# A healthy game may look lost, and a young generator poor, for some hundred steps.
RULES = {
    "saturated discriminator": _Rule(_saturated, 3),
    "collapsed variety": _Rule(_collapsed, 5),
    "missing penalty": _Rule(_unpenalised, 1),
    "stale average": _Rule(_stale, 2),
    "train-eval gap": _Rule(_gap, 2),
}


@final
class TrainingMonitor:
    """Applies every rule to a trainer; each speaks once, and again only after a recovery.

    A rule that fails, on a trainer whose logs or model it did not expect, is left out from then on.
    """

    def __init__(self, trainer: Trainer, options: Options):
        self.trainer, self.options = trainer, options
        self._seen, self._window = 0, dict[str, list[Tensor]]()
        self._before: dict[str, Tensor] | None = None
        # By rule: looks in a row with a fault, and without one; whether it has spoken.
        self._course = dict.fromkeys(RULES, (0, 0, False))
        self._off = set[str]()

    def look(self, step: int, logs: Logs, batch: Batch) -> list[TrainingWarning]:
        """What there is to say after ``step``, which was taken on ``batch``: mostly nothing.

        Call it after every step. Of several processes only the first looks.
        """
        if parallel.rank():
            return []
        self._remember(logs, batch.x.device)
        if step % EVERY == EVERY - 1:
            self._before = self._guarded("stale average", self._average)
        if step % EVERY:
            return []
        whole = self._seen == EVERY
        seen = Window(self.trainer, self.options, step, batch, self._window, whole, self._before)
        self._seen, self._window, self._before = 0, {}, None
        verdicts = {k: self._guarded(k, partial(r.verdict, seen)) for k, r in RULES.items()}
        said = [(rule, self._heard(rule, verdict)) for rule, verdict in verdicts.items()]
        return [TrainingWarning(rule, step, text) for rule, text in said if text]

    def _remember(self, logs: Logs, device: torch.device) -> None:
        self._seen += 1
        for name, value in logs.items():
            if _is_watched(name) and isinstance(value, Tensor) and value.numel() == 1:
                number = value.detach().reshape(()).to(device, torch.float32)
                self._window.setdefault(name, []).append(number)

    def _average(self) -> dict[str, Tensor] | None:
        """The averaged model's state as it is now."""
        if not isinstance(self.trainer, EMA):
            return None
        state = self.trainer.average.state_dict()
        return {k: t.clone() for k, t in state.items() if t.is_floating_point()}

    def _guarded(self, rule: str, call: Callable[[], T]) -> T | None:
        """What ``call`` returns; None, and no more of this rule, where it raises."""
        if rule in self._off:
            return None
        try:
            return call()
        except Exception as error:  # a run that is well must not end of its doctor
            self._off.add(rule)
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            log.warning("nothing is said of a %s from here on: %s", rule, reason)
            return None

    def _heard(self, rule: str, verdict: Verdict) -> str | None:
        """The verdict, if it is time to say it."""
        ill, well, spoke = self._course[rule]
        if verdict is None:
            return None
        ill, well = (ill + 1, 0) if verdict else (0, well + 1)
        speaks = ill >= RULES[rule].patience and not spoke
        self._course[rule] = (ill, well, speaks or (spoke and well < RECOVERY))
        return verdict if speaks else None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds, so that a run that goes on hears what it would have heard."""
        window = {k: torch.stack(values) for k, values in self._window.items()}
        return {"seen": self._seen, "window": window, "course": dict(self._course)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._seen = state["seen"]
        self._window = {k: list(values) for k, values in state["window"].items()}
        self._course |= {k: v for k, v in state["course"].items() if k in RULES}


def _is_penalty(name: str) -> bool:
    return "penalty" in name or name.rpartition("/")[2] in ("gp", "r1")


def _is_watched(name: Any) -> bool:
    return isinstance(name, str) and (name.startswith("discriminator/") or _is_penalty(name))


def _have_company(labels: Tensor | None) -> bool:
    """Whether enough samples have another of their class."""
    if labels is None:
        return False
    return int((labels[:, None] == labels).sum(1).gt(1).sum()) >= FEWEST


def _distances(x: Tensor, labels: Tensor | None) -> tuple[float, float]:
    """Of n samples to the nearest other, the median, and to all others, the root mean square.

    The first finds a few things drawn over and over, the second one thing with a little noise on
    it. Given labels, only samples of one class are others.
    """
    flat = x.flatten(1).float()
    apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    alone = torch.eye(len(x), dtype=torch.bool, device=x.device)
    if labels is not None:
        alone |= labels[:, None] != labels
    nearest = apart.masked_fill(alone, math.inf).amin(1)
    return nearest[nearest.isfinite()].median().item(), apart[~alone].square().mean().sqrt().item()
