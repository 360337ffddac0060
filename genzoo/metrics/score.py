"""Score: a number, its interval, and the protocol without which it means nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, final

import numpy as np

from genzoo.errors import BadInput

Goal = Literal["lower", "higher", "near_one"]
Verdict = Literal["better", "worse", "can't tell", "not ranked"]
RESAMPLED, FEW, MANY = 2000, 30, 1000
# Student's t, 97.5 %, at 1 to 29 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
)  # fmt: skip


class Estimates(NamedTuple):
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
    if score.goal == "near_one":  # on which side of 1 it lies is taken as known
        return (score.parts - 1) * (1 if score.value > 1 else -1)
    return score.parts if score.goal == "lower" else -score.parts
