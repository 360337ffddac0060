"""Metric and Score: a number, how sure it is, and the protocol without which it means nothing."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Real as Number
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, final, get_args

import numpy as np
from torch import Tensor

from genzoo.errors import BadInput, Failed, GenzooError, article
from genzoo.metrics.references import Real
from genzoo.metrics.subjects import Drawn

T = TypeVar("T")
Goal = Literal["lower", "higher", "one"]
Verdict = Literal["better", "worse", "can't tell", "not ranked"]
RESAMPLED, FEW, MANY = 2000, 30, 1000
# Student's t, 97.5 %, at 1 to 29 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
)  # fmt: skip


class Found(NamedTuple):
    """What a metric found. ``parts``: independent estimates, ``(k,)`` float64, whose mean is the
    value. ``told``: how, for the protocol. ``details``: what else was seen on the way.
    """

    parts: np.ndarray
    told: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    details: dict[str, Any] = {}  # noqa: RUF012


@final
@dataclass(frozen=True)
class Score:
    """What a metric found: ``value``, the mean of ``parts``; ``interval`` holds 95 %.

    The interval is None of a single estimate. ``floor``: what real images get, where that is known.
    ``protocol``: everything that another number must share to be ranked with this one.
    """

    metric: str
    value: float
    interval: tuple[float, float] | None
    floor: float | None
    goal: Goal
    protocol: dict[str, Any] = field(repr=False)
    parts: np.ndarray = field(repr=False, compare=False)
    unit: str = ""
    details: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def tolerance(self) -> float:
        """How far from it a second measurement under its protocol may lie: a hundredth of the
        value, or a fifth of its interval where that is more. Other machines round otherwise.
        """
        return allowed(self.value, self.interval)

    def record(self) -> dict[str, Any]:
        """All of it, for JSON, to five digits: more than its interval tells."""
        told: dict[str, Any] = {
            "name": self.metric,
            "value": _short(self.value),
            "interval": self.interval and [_short(v) for v in self.interval],
            "floor": None if self.floor is None else _short(self.floor),
            "goal": self.goal,
            "tolerance": float(f"{self.tolerance:.2g}"),
        }
        told |= {"unit": self.unit} if self.unit else {}
        told |= {"details": self.details} if self.details else {}
        return {**told, "protocol": self.protocol}


def allowed(value: float, between: Sequence[float] | None) -> float:
    """The tolerance of a ``value`` with this interval; see `Score.tolerance`."""
    low, high = between or (0.0, 0.0)
    return max(abs(value) / 100, (high - low) / 5)


def _short(value: float) -> float:
    return float(f"{value:.5g}")


class Metric(ABC):
    """A number about a model, made of parts: independent estimates.

    Its value is their mean. Those of two models pair up, so that one interval, of the mean of their
    differences, says which is better. A plugin's hook ``genzoo_metric`` hands over a subclass of
    `SampleMetric` or `ModelMetric`; it is made with the real data that it holds models against.
    """

    kind: ClassVar[str]
    goal: ClassVar[Goal]
    about: ClassVar[str]
    unit: str = ""
    # What no value can lie beyond: an interval is cut off there.
    span: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def __init__(self, real: Real):
        self.real = real

    @property
    @abstractmethod
    def name(self) -> str:
        """``fd-mnist``: the kind, and in what, or on what, it is measured."""

    @abstractmethod
    def conditions(self) -> dict[str, Any]:
        """What its numbers depend on beside the samples, for their protocol."""

    @final
    def asked(self, method: Callable[..., T], *args: Any) -> T:
        """What the metric's own ``method`` gives; where it breaks down, whose it is is said."""
        try:
            return method(*args)
        except (GenzooError, MemoryError):
            raise
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            where = getattr(method, "__name__", "measure")
            raise Failed(f"the metric {self.name} broke down in {where}: {why}") from error

    @final
    def scored(self, found: Found, floor: float | None, **told: Any) -> Score:
        """The score of what was found; ``told`` goes into its protocol."""
        self._check_found(found, floor)
        parts = np.asarray(found.parts, dtype=np.float64)
        if not np.isfinite(parts).all():
            raise BadInput(f"{self.name} is not finite: the samples hold values beyond measure")
        own, kept = self.asked(self.conditions), {**told, "parts": len(parts)}
        self._check_told({"conditions": own, "told": found.told, "details": found.details})
        if twice := kept.keys() & {*own, *found.told}:
            raise Failed(f"the metric {self.name} says what is not its to say: {', '.join(twice)}")
        protocol = {**kept, **found.told, **own}
        return Score(
            self.name,
            float(parts.mean()),
            self._within(interval(parts)) if len(parts) > 1 else None,
            floor,
            self.goal,
            protocol,
            parts,
            self.unit,
            found.details,
        )

    def _within(self, between: tuple[float, float]) -> tuple[float, float]:
        low, high = self.span
        return max(low, between[0]), min(high, between[1])

    def _check_found(self, found: Any, floor: Any) -> None:
        parts = np.asarray(found.parts) if isinstance(found, Found) else np.array(None)
        if parts.ndim != 1 or not len(parts) or parts.dtype.kind not in "fiub":
            got = f"got {found!r:.80}"
            raise Failed(f"the metric {self.name} must find parts (k,), at least one, {got}")
        number = isinstance(floor, Number) and not isinstance(floor, bool)
        if floor is not None and not (number and math.isfinite(floor)):
            raise Failed(f"the floor of {self.name} must be a finite number or None, got {floor!r}")
        if self.goal not in get_args(Goal):
            goals = ", ".join(get_args(Goal))
            raise Failed(f"the goal of {self.name} must be one of {goals}, got {self.goal!r:.40}")

    def _check_told(self, told: dict[str, Any]) -> None:
        """Whether a card can hold it."""
        for what, values in told.items():
            try:
                fits = isinstance(values, dict) and json.dumps(values, allow_nan=False)
            except (TypeError, ValueError):
                fits = False
            if not fits:
                got = f"must be a dict of what JSON can hold, got {values!r:.80}"
                raise Failed(f"the metric {self.name}: {what} {got}")


class SampleMetric(Metric):
    """A number about images, whoever drew them."""

    @property
    @abstractmethod
    def least(self) -> int:
        """The samples below which there are too few for its parts."""

    @property
    @abstractmethod
    def measure(self) -> Callable[[Tensor], np.ndarray]:
        """From images ``(n, C, H, W)`` in [0, 1] what is kept of each: float32 ``(n, ...)``.

        Equal callables are called once for several metrics.
        """

    @abstractmethod
    def judged(self, measured: np.ndarray) -> Found:
        """How many parts there are, and which samples make a part, depends on n alone."""

    @abstractmethod
    def floor(self, n: int) -> float | None:
        """What n held-out real images would get; None if that is not known."""

    @final
    def at_least(self) -> int:
        """``least``, checked. Raises Failed."""
        least = self.asked(lambda: self.least)
        if not isinstance(least, int):
            raise Failed(f"least of {self.name} must be a whole number, got {least!r:.40}")
        return least

    @final
    def score(self, measured: np.ndarray, **told: Any) -> Score:
        """The score of what was measured; ``told`` goes into its protocol. Raises BadInput."""
        n = len(measured)
        if n < (least := self.at_least()):
            raise BadInput(f"{self.name} takes at least {least:,} samples, got {n:,}")
        found = self.asked(self.judged, measured)
        return self.scored(found, self.asked(self.floor, n), samples=n, **told)

    @final
    def __call__(self, x: Tensor, **told: Any) -> Score:
        """The score of images ``(n, C, H, W)`` in [0, 1]. Raises BadInput."""
        if not (x.numel() and x.min() >= 0 and x.max() <= 1):
            raise BadInput(f"{self.name} takes images in [0, 1], with no NaN among them")
        return self.score(self.kept(x), **told)

    @final
    def kept(self, x: Tensor) -> np.ndarray:
        """What ``measure`` keeps of images, ``(n, ...)``. Raises Failed where it keeps less."""
        values = self.asked(self.measure, x)
        if not isinstance(values, np.ndarray) or values.shape[:1] != (len(x),):
            got = values.shape if isinstance(values, np.ndarray) else article(values)
            want = f"must keep an array ({len(x)}, ...) of images, got {got}"
            raise Failed(f"the metric {self.name} {want}")
        return values


class ModelMetric(Metric):
    """A number about a model of some ability, beyond what it draws."""

    @abstractmethod
    def lacks(self, subject: Drawn) -> str:
        """Why the model cannot be measured so, "" if it can."""

    @abstractmethod
    def found(self, subject: Drawn, n: int | None, seed: int) -> Found:
        """Measure it, on ``n`` images or on all there are. Raises BadInput."""

    @abstractmethod
    def floor(self) -> float | None:
        """What real images would get, where that means something."""

    @final
    def check(self, subject: Drawn) -> None:
        """Whether the model can be measured so. Raises BadInput."""
        if why := self.lacks(subject):
            raise BadInput(f"{self.name} cannot be measured of {subject.name}: {why}")

    @final
    def score(self, subject: Drawn, n: int | None, seed: int, **told: Any) -> Score:
        """The score of a model; ``told`` goes into its protocol. Raises BadInput."""
        self.check(subject)
        found = self.asked(self.found, subject, n, seed)
        return self.scored(found, self.asked(self.floor), **told)


def interval(parts: np.ndarray) -> tuple[float, float]:
    """Where the mean of the law that gave ``parts`` lies, at 95 %.

    Student's t for fewer than 30; the percentiles of 2,000 resampled means (bootstrap) for more;
    the normal law from 1,000 on, where the three agree.
    """
    mean, k = float(parts.mean()), len(parts)
    if k < 2:
        raise BadInput("an interval takes at least two parts")
    if k < FEW or k >= MANY:
        reach = (_T[k - 2] if k < FEW else 1.96) * float(parts.std(ddof=1)) / k**0.5
        return mean - reach, mean + reach
    drawn = np.random.RandomState(0).randint(k, size=(RESAMPLED, k))
    low, high = np.percentile(parts[drawn].mean(1), (2.5, 97.5))
    return float(low), float(high)


def verdict(one: Score, other: Score) -> Verdict:
    """Whether ``one`` is better than ``other``. Raises BadInput where their protocols differ."""
    if unlike := differences(one, other):
        names = f"{one.metric} and {other.metric}"
        raise BadInput(f"{names} cannot be ranked, their protocols differ: {', '.join(unlike)}")
    if len(one.parts) < 2:
        return "can't tell"
    low, high = interval(_badness(one) - _badness(other))
    return "better" if high < 0 else "worse" if low > 0 else "can't tell"


def differences(one: Score, other: Score) -> list[str]:
    """In what the protocols of two scores differ; empty where they can be ranked."""
    if (one.metric, one.protocol) == (other.metric, other.protocol):
        return []
    keys = dict.fromkeys([*one.protocol, *other.protocol])
    return [k for k in keys if one.protocol.get(k) != other.protocol.get(k)] or ["metric"]


def verdicts(scores: Sequence[Score | None]) -> list[Verdict | None]:
    """Of each against the best: "better" for that one alone, and only if all others are worse.

    Nothing is ranked where protocols differ; None stands for a model that has no such score.
    """
    there = [score for score in scores if score is not None]
    if any(differences(there[0], other) for other in there[1:]):
        told: list[Verdict] = ["not ranked"] * len(there)
    else:
        told = _ranked(there)
    given = iter(told)
    return [None if score is None else next(given) for score in scores]


def _ranked(scores: Sequence[Score]) -> list[Verdict]:
    if len(scores) < 2:
        return ["not ranked"] * len(scores)
    best = min(range(len(scores)), key=lambda i: _badness(scores[i]).mean())
    others = [verdict(score, scores[best]) for score in scores]
    alone = all(v == "worse" for i, v in enumerate(others) if i != best)
    others[best] = "better" if alone else "can't tell"
    return others


def _badness(score: Score) -> np.ndarray:  # (k,), small where good
    if score.goal == "one":  # on which side of 1 it lies is taken as known
        return (score.parts - 1) * (1 if score.value > 1 else -1)
    return score.parts if score.goal == "lower" else -score.parts
