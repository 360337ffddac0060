"""The interface of a metric: a number about samples, or about a model."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar, TypeVar, final, get_args

import numpy as np
from torch import Tensor

from genzoo.errors import BadInput, GenzooError, OperationFailed, article
from genzoo.metrics.real_data import RealData
from genzoo.metrics.score import Estimates, Goal, Score, interval
from genzoo.metrics.subjects import ModelSubject

T = TypeVar("T")


class Metric(ABC):
    """A number about a model, made of parts: independent estimates.

    Its value is their mean. Those of two models pair up, so that one interval, of the mean of their
    differences, says which is better. A plugin's hook ``genzoo_metric`` hands over a subclass of
    `SampleMetric` or `ModelMetric`; it is made with the real data that it holds models against.
    """

    id: ClassVar[str]
    goal: ClassVar[Goal]
    about: ClassVar[str]
    # The plugin API that a plugin's metric was written for.
    api: ClassVar[int]
    unit: str = ""
    # What no value can lie beyond: an interval is cut off there.
    span: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def __init__(self, real: RealData):
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
            raise OperationFailed(f"the metric {self.name} broke down in {where}: {why}") from error

    @final
    def scored(self, found: Estimates, floor: float | None, **told: Any) -> Score:
        """The score of what was found; ``told`` goes into its protocol."""
        self._check_found(found, floor)
        parts = np.asarray(found.parts, dtype=np.float64)
        if not np.isfinite(parts).all():
            raise BadInput(f"{self.name} is not finite: the samples hold values beyond measure")
        own, kept = self.asked(self.conditions), {**told, "parts": len(parts)}
        self._check_told({"conditions": own, "told": found.told, "details": found.details})
        if twice := kept.keys() & {*own, *found.told}:
            raise OperationFailed(
                f"the metric {self.name} says what is not its to say: {', '.join(twice)}"
            )
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
        parts = np.asarray(found.parts) if isinstance(found, Estimates) else np.array(None)
        if parts.ndim != 1 or not len(parts) or parts.dtype.kind not in "fiub":
            got = f"got {found!r:.80}"
            raise OperationFailed(
                f"the metric {self.name} must find parts (k,), at least one, {got}"
            )
        number = isinstance(floor, Real) and not isinstance(floor, bool)
        if floor is not None and not (number and math.isfinite(floor)):
            raise OperationFailed(
                f"the floor of {self.name} must be a finite number or None, got {floor!r}"
            )
        if self.goal not in get_args(Goal):
            goals = ", ".join(get_args(Goal))
            raise OperationFailed(
                f"the goal of {self.name} must be one of {goals}, got {self.goal!r:.40}"
            )

    def _check_told(self, told: dict[str, Any]) -> None:
        """Whether a card can hold it."""
        for what, values in told.items():
            try:
                fits = isinstance(values, dict) and json.dumps(values, allow_nan=False)
            except (TypeError, ValueError):
                fits = False
            if not fits:
                got = f"must be a dict of what JSON can hold, got {values!r:.80}"
                raise OperationFailed(f"the metric {self.name}: {what} {got}")


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
    def judged(self, measured: np.ndarray) -> Estimates:
        """How many parts there are, and which samples make a part, depends on n alone."""

    @abstractmethod
    def floor(self, n: int) -> float | None:
        """What n held-out real images would get; None if that is not known."""

    @final
    def at_least(self) -> int:
        """``least``, checked. Raises OperationFailed."""
        least = self.asked(lambda: self.least)
        if not isinstance(least, int):
            raise OperationFailed(f"least of {self.name} must be a whole number, got {least!r:.40}")
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
        """What ``measure`` keeps of images, ``(n, ...)``.

        Raises OperationFailed where it keeps less.
        """
        values = self.asked(self.measure, x)
        if not isinstance(values, np.ndarray) or values.shape[:1] != (len(x),):
            got = values.shape if isinstance(values, np.ndarray) else article(values)
            want = f"must keep an array ({len(x)}, ...) of images, got {got}"
            raise OperationFailed(f"the metric {self.name} {want}")
        return values


class ModelMetric(Metric):
    """A number about a model of some ability, beyond what it draws."""

    @abstractmethod
    def lacks(self, subject: ModelSubject) -> str:
        """Why the model cannot be measured so, "" if it can."""

    @abstractmethod
    def found(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        """Measure it, on ``n`` images or on all there are. Raises BadInput."""

    @abstractmethod
    def floor(self) -> float | None:
        """What real images would get, where that means something."""

    @final
    def check(self, subject: ModelSubject) -> None:
        """Whether the model can be measured so. Raises BadInput."""
        if why := self.lacks(subject):
            raise BadInput(f"{self.name} cannot be measured of {subject.name}: {why}")

    @final
    def score(self, subject: ModelSubject, n: int | None, seed: int, **told: Any) -> Score:
        """The score of a model; ``told`` goes into its protocol. Raises BadInput."""
        self.check(subject)
        found = self.asked(self.found, subject, n, seed)
        return self.scored(found, self.asked(self.floor), **told)
