"""Metric and Score: a number, how sure it is, and the protocol without which it means nothing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

import numpy as np
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.metrics.features import Reference

Goal = Literal["lower", "higher", "one"]
Verdict = Literal["better", "worse", "can't tell"]
RESAMPLED, FEW = 2000, 30
# Student's t, 97.5 %, at 1 to 29 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
)  # fmt: skip


@final
@dataclass(frozen=True)
class Score:
    """What a metric found: ``value``, the mean of ``parts``; ``interval`` holds 95 %.

    ``floor``: what real images get, where that is known. ``protocol``: everything that another
    number must share to be ranked with this one.
    """

    metric: str
    value: float
    interval: tuple[float, float]
    floor: float | None
    goal: Goal
    protocol: dict[str, Any] = field(repr=False)
    parts: np.ndarray = field(repr=False, compare=False)

    def record(self) -> dict[str, Any]:
        """All of it, for JSON; ``name``, ``value`` and ``protocol`` are what a card keeps."""
        told = {"name": self.metric, "value": self.value, "interval": list(self.interval)}
        return {**told, "floor": self.floor, "goal": self.goal, "protocol": self.protocol}


class Metric(ABC):
    """A number about images, made of parts: independent estimates on disjoint samples.

    Its value is their mean. Those of two models pair up, so that one interval, of the mean of their
    differences, says which is better.
    """

    kind: ClassVar[str]
    goal: ClassVar[Goal]
    about: ClassVar[str]
    least: ClassVar[int]
    """samples, below which there are too few for its parts"""

    def __init__(self, real: Reference):
        self.real = real

    @property
    @final
    def name(self) -> str:
        return f"{self.kind}-{self.real.data}"

    @property
    @abstractmethod
    def measure(self) -> Callable[[Tensor], np.ndarray]:
        """From images ``(n, C, H, W)`` in [0, 1] what is kept of each: float32 ``(n, ...)``.

        Equal callables are called once for several metrics.
        """

    @abstractmethod
    def parts(self, measured: np.ndarray) -> np.ndarray:
        """``(k,)`` float64; k, and which samples make a part, depend on n alone."""

    @abstractmethod
    def floor(self, n: int) -> float | None:
        """What n held-out real images would get; None if that is not known."""

    @final
    def score(self, measured: np.ndarray, **told: Any) -> Score:
        """The score of what was measured; ``told`` goes into its protocol. Raises BadInput."""
        n = len(measured)
        if n < self.least:
            raise BadInput(f"{self.name} takes at least {self.least:,} samples, got {n:,}")
        parts = self.parts(measured)
        protocol = {"samples": n, "parts": len(parts), **told, **self._protocol()}
        value, floor = float(parts.mean()), self.floor(n)
        return Score(self.name, value, interval(parts), floor, self.goal, protocol, parts)

    @final
    def __call__(self, x: Tensor, **told: Any) -> Score:
        """The score of images ``(n, C, H, W)`` in [0, 1]. Raises BadInput."""
        return self.score(self.measure(x), **told)

    @final
    def _protocol(self) -> dict[str, Any]:
        real = self.real
        return {
            "data": real.data,
            "features": f"genzoo's classifier of {real.data}",
            "features_sha256": real.sha256,
            "real": f"{real.moments.n:,} training images",
            "dtype": "float32 features, float64 distances",
        }


def interval(parts: np.ndarray) -> tuple[float, float]:
    """Where the mean of the law that gave ``parts`` lies, at 95 %.

    Student's t for fewer than 30; the percentiles of 2,000 resampled means (bootstrap) for more.
    """
    mean, k = float(parts.mean()), len(parts)
    if k < 2:
        raise BadInput("an interval takes at least two parts")
    if k < FEW:
        reach = _T[k - 2] * float(parts.std(ddof=1)) / k**0.5
        return mean - reach, mean + reach
    drawn = np.random.RandomState(0).randint(k, size=(RESAMPLED, k))
    low, high = np.percentile(parts[drawn].mean(1), (2.5, 97.5))
    return float(low), float(high)


def verdict(one: Score, other: Score) -> Verdict:
    """Whether ``one`` is better than ``other``. Raises BadInput where their protocols differ."""
    if (one.metric, one.protocol) != (other.metric, other.protocol):
        keys = dict.fromkeys([*one.protocol, *other.protocol])
        unlike = [k for k in keys if one.protocol.get(k) != other.protocol.get(k)] or ["metric"]
        names = f"{one.metric} and {other.metric}"
        raise BadInput(f"{names} cannot be ranked, their protocols differ: {', '.join(unlike)}")
    low, high = interval(_badness(one) - _badness(other))
    return "better" if high < 0 else "worse" if low > 0 else "can't tell"


def verdicts(scores: Sequence[Score]) -> list[Verdict]:
    """Of each against the best: "better" for that one alone, and only if all others are worse."""
    best = min(range(len(scores)), key=lambda i: _badness(scores[i]).mean())
    others = [verdict(score, scores[best]) for score in scores]
    alone = all(v == "worse" for i, v in enumerate(others) if i != best)
    others[best] = "better" if alone else "can't tell"
    return others


def _badness(score: Score) -> np.ndarray:  # (k,), small where good
    if score.goal == "one":  # on which side of 1 it lies is taken as known
        return (score.parts - 1) * (1 if score.value > 1 else -1)
    return score.parts if score.goal == "lower" else -score.parts
