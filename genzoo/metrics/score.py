"""Scores: a number, its interval and its protocol; and which of two scores is better."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, final

import numpy as np

from genzoo.errors import BadInput

Goal = Literal["lower", "higher", "near_one"]
Verdict = Literal["better", "worse", "can't tell", "not ranked"]
# Below FEW parts an interval takes Student's t, from MANY on the normal law, else the bootstrap.
RESAMPLES, FEW, MANY = 2000, 30, 1000
# Student's t, 97.5 %, at 1 to 29 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
)  # fmt: skip


class Estimates(NamedTuple):
    """A metric's result. ``parts``: independent estimates, ``(k,)`` float64, whose mean is the
    value. ``protocol``: how it was measured. ``details``: further numbers to show beside it.
    """

    parts: np.ndarray
    protocol: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    details: dict[str, Any] = {}  # noqa: RUF012


@final
@dataclass(frozen=True)
class Score:
    """A metric's value, the mean of ``parts``, with its 95 % ``interval``.

    ``interval``: None for a single estimate. ``floor``: the value that held-out real images get,
    None if it is not known. ``protocol``: all that two scores must share to be ranked.
    ``sampling``: the settings that the model sampled with, where they differ from its defaults;
    they do not hinder ranking.
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
    sampling: dict[str, Any] = field(default_factory=dict)

    @property
    def tolerance(self) -> float:
        """How far a second measurement under this protocol may differ, as other machines round
        differently: 1 % of the value or 20 % of the interval's width, whichever is larger.
        """
        low, high = self.interval or (0.0, 0.0)
        return max(abs(self.value) / 100, (high - low) / 5)

    def record(self) -> dict[str, Any]:
        """All fields for JSON; numbers to five digits, which is finer than any interval."""
        record: dict[str, Any] = {
            "name": self.metric,
            "value": _short(self.value),
            "interval": self.interval and [_short(v) for v in self.interval],
            "floor": None if self.floor is None else _short(self.floor),
            "goal": self.goal,
            "tolerance": float(f"{self.tolerance:.2g}"),
        }
        record |= {"unit": self.unit} if self.unit else {}
        record |= {"details": self.details} if self.details else {}
        record |= {"sampling": self.sampling} if self.sampling else {}
        return {**record, "protocol": self.protocol}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, from 29 degrees of freedom on the normal law's."""
    return _T[freedom - 1] if freedom < FEW - 1 else 1.96


def interval(parts: np.ndarray) -> tuple[float, float]:
    """The 95 % confidence interval of the mean of ``parts``, ``(k,)``.

    Student's t for k < 30, the bootstrap (percentiles of 2,000 resampled means) for k < 1,000, the
    normal law from there on, where all three agree. Raises BadInput for k < 2.
    """
    mean, k = float(parts.mean()), len(parts)
    if k < 2:
        raise BadInput(f"an interval needs at least two parts, got {k}")
    if k < FEW or k >= MANY:
        half = quantile(k - 1) * float(parts.std(ddof=1)) / k**0.5
        return mean - half, mean + half
    rows = np.random.RandomState(0).randint(k, size=(RESAMPLES, k))
    low, high = np.percentile(parts[rows].mean(1), (2.5, 97.5))
    return float(low), float(high)


def verdict(one: Score, other: Score) -> Verdict:
    """Whether ``one`` is better than ``other``. Raises BadInput where their protocols differ."""
    if keys := differences(one, other):
        names = f"{one.metric} and {other.metric}"
        raise BadInput(f"cannot rank {names}: their protocols differ in {', '.join(keys)}")
    if len(one.parts) < 2:
        return "can't tell"
    low, high = interval(_badness(one) - _badness(other))
    return "better" if high < 0 else "worse" if low > 0 else "can't tell"


def differences(one: Score, other: Score) -> list[str]:
    """The keys in which the protocols of two scores differ; empty if they can be ranked."""
    if (one.metric, one.protocol) == (other.metric, other.protocol):
        return []
    keys = dict.fromkeys([*one.protocol, *other.protocol])
    return [k for k in keys if one.protocol.get(k) != other.protocol.get(k)] or ["metric"]


def verdicts(scores: Sequence[Score | None]) -> list[Verdict | None]:
    """Each score against the best one, which is "better" only if all others are worse.

    All are "not ranked" where protocols differ; None stands for a model without this score.
    """
    present = [score for score in scores if score is not None]
    if any(differences(present[0], other) for other in present[1:]):
        ranks: list[Verdict] = ["not ranked"] * len(present)
    else:
        ranks = _ranked(present)
    remaining = iter(ranks)
    return [None if score is None else next(remaining) for score in scores]


def _ranked(scores: Sequence[Score]) -> list[Verdict]:
    if len(scores) < 2:
        return ["not ranked"] * len(scores)
    best = min(range(len(scores)), key=lambda i: _badness(scores[i]).mean())
    others = [verdict(score, scores[best]) for score in scores]
    alone = all(v == "worse" for i, v in enumerate(others) if i != best)
    others[best] = "better" if alone else "can't tell"
    return others


def _badness(score: Score) -> np.ndarray:  # (k,), lower is better
    if score.goal == "near_one":  # above 1 or below 1, like the value
        return (score.parts - 1) * (1 if score.value > 1 else -1)
    return score.parts if score.goal == "lower" else -score.parts
