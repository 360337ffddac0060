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
from genzoo.families.registry import others_code, reason_of
from genzoo.metrics.real_data import RealData
from genzoo.metrics.score import Estimates, Goal, Score, interval
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.ranges import PUBLIC
from genzoo.schemas import Kind

T = TypeVar("T")


class Metric(ABC):
    """A number about a model: the mean of independent estimates, its parts.

    The parts of two models pair up: one interval, of the mean of their differences, shows which
    model is better. A plugin's hook ``genzoo_metric`` returns a subclass of `SampleMetric` or
    `ModelMetric`; genzoo creates it with the real data that it compares models with.
    """

    id: ClassVar[str]
    goal: ClassVar[Goal]
    about: ClassVar[str]
    # The kinds of samples that it measures.
    kinds: ClassVar[tuple[Kind, ...]] = ("images",)
    # The plugin API that a plugin's metric was written for.
    api: ClassVar[int]
    unit: str = ""
    # Those of the arguments ``features``, ``limit`` and ``groups`` of `evaluate` that a score may
    # depend on.
    reads: ClassVar[tuple[str, ...]] = ("features", "limit")
    # The smallest and the largest possible value: an interval ends there.
    span: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def __init__(self, real: RealData):
        self.real = real

    @property
    @abstractmethod
    def name(self) -> str:
        """The id, and the features or the data that it is measured with: ``fd-mnist``."""

    @abstractmethod
    def conditions(self) -> dict[str, Any]:
        """What its numbers depend on besides the samples, for their protocol."""

    @final
    def check_conditions(self) -> None:
        """Check that data and features are available. Raises as ``conditions``."""
        self._call(self.conditions)

    @final
    def _call(self, method: Callable[..., T], *args: Any) -> T:
        """The result of the metric's ``method``; the message of an error there names the metric."""
        try:
            with others_code():
                return method(*args)
        except (GenzooError, MemoryError):
            raise
        except Exception as error:
            why = reason_of(error)[:200]
            where = getattr(method, "__name__", "extract")
            raise OperationFailed(f"metric {self.name} failed in {where}: {why}") from error

    @final
    def _score(self, estimates: Estimates, floor: float | None, **protocol: Any) -> Score:
        """The score from ``estimates``; ``protocol``: the keys that genzoo sets."""
        self._check_estimates(estimates, floor)
        parts = np.asarray(estimates.parts, dtype=np.float64)
        if not np.isfinite(parts).all():
            raise BadInput(
                f"{self.name} is not finite: the samples contain NaN, infinite or huge values"
            )
        conditions = self._call(self.conditions)
        self._check_json("conditions", conditions)
        self._check_json("protocol", estimates.protocol)
        self._check_json("details", estimates.details)
        reserved = {**protocol, "parts": len(parts)}
        if clashes := reserved.keys() & {*conditions, *estimates.protocol}:
            raise OperationFailed(
                f"metric {self.name} may not set these protocol keys: {', '.join(sorted(clashes))}"
            )
        return Score(
            self.name,
            float(parts.mean()),
            self._within_span(interval(parts)) if len(parts) > 1 else None,
            floor,
            self.goal,
            {**reserved, **estimates.protocol, **conditions},
            parts,
            self.unit,
            estimates.details,
        )

    def _within_span(self, ends: tuple[float, float]) -> tuple[float, float]:
        low, high = self.span
        return max(low, ends[0]), min(high, ends[1])

    def _check_estimates(self, estimates: Any, floor: Any) -> None:
        parts = np.asarray(estimates.parts) if isinstance(estimates, Estimates) else np.array(None)
        if parts.ndim != 1 or not len(parts) or parts.dtype.kind not in "fiub":
            raise OperationFailed(
                f"metric {self.name}: estimate must return Estimates with at least one number in "
                f"parts (k,), got {estimates!r:.80}"
            )
        is_number = isinstance(floor, Real) and not isinstance(floor, bool)
        if floor is not None and not (is_number and math.isfinite(floor)):
            raise OperationFailed(
                f"metric {self.name}: floor must be a finite number or None, got {floor!r}"
            )
        if self.goal not in get_args(Goal):
            goals = ", ".join(get_args(Goal))
            raise OperationFailed(
                f"metric {self.name}: goal must be one of {goals}, got {self.goal!r:.40}"
            )

    def _check_json(self, what: str, values: Any) -> None:
        """Check that a card can store ``values``. Raises OperationFailed."""
        try:
            fits = isinstance(values, dict) and json.dumps(values, allow_nan=False)
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise OperationFailed(
                f"metric {self.name}: {what} must be a dict of JSON values, got {values!r:.80}"
            )


class SampleMetric(Metric):
    """A number about samples, from any source: extract features, estimate, score."""

    @property
    @abstractmethod
    def min_samples(self) -> int:
        """The smallest number of samples that it takes."""

    @property
    @abstractmethod
    def extract(self) -> Callable[[Tensor], np.ndarray]:
        """The function from samples ``(n, *shape)`` to features, float32 ``(n, ...)``.

        Images are in [0, 1], signals in [-1, 1]. It runs batch by batch. Metrics whose functions
        are equal share one run.
        """

    @abstractmethod
    def estimate(self, features: np.ndarray) -> Estimates:
        """Independent estimates from the features of all samples, ``(n, ...)``.

        The number of parts, and which samples make a part, depend on n alone.
        """

    @abstractmethod
    def floor(self, n: int) -> float | None:
        """The value that n held-out real samples get; None if it is not known."""

    @final
    def checked_min_samples(self) -> int:
        """``min_samples``. Raises OperationFailed if that is not a whole number."""
        count = self._call(lambda: self.min_samples)
        if not isinstance(count, int):
            raise OperationFailed(
                f"metric {self.name}: min_samples must be a whole number, got {count!r:.40}"
            )
        return count

    @final
    def features_of(self, samples: Tensor) -> np.ndarray:
        """What ``extract`` returns. Raises OperationFailed unless that is a row for each sample."""
        features = self._call(self.extract, samples)
        if not isinstance(features, np.ndarray) or features.shape[:1] != (len(samples),):
            got = features.shape if isinstance(features, np.ndarray) else article(features)
            raise OperationFailed(
                f"metric {self.name}: extract must return an array ({len(samples)}, ...), got {got}"
            )
        return features

    @final
    def score(self, features: np.ndarray, **protocol: Any) -> Score:
        """The score from the features of all samples; ``protocol`` goes into its protocol.

        Raises BadInput.
        """
        n = len(features)
        if n < (minimum := self.checked_min_samples()):
            raise BadInput(f"{self.name} needs at least {minimum:,} samples, got {n:,}")
        estimates = self._call(self.estimate, features)
        return self._score(estimates, self._call(self.floor, n), samples=n, **protocol)

    @final
    def __call__(self, samples: Tensor, **protocol: Any) -> Score:
        """The score of samples ``(n, *shape)`` in the range of their kind. Raises BadInput."""
        kind = self.real.kind
        low, high = PUBLIC[kind] or (-math.inf, math.inf)
        if not (samples.numel() and samples.min() >= low and samples.max() <= high):
            span = f" in [{low:g}, {high:g}]" if PUBLIC[kind] else ""
            raise BadInput(f"{self.name} takes {kind}{span} without NaN")
        return self.score(self.features_of(samples), **protocol)


class ModelMetric(Metric):
    """A number about a model with some ability: it runs the model, not only its samples.

    One that samples asks ``subject.samples`` or ``subject.stream``, which know the settings.
    """

    @abstractmethod
    def unsupported_reason(self, subject: ModelSubject) -> str:
        """Why this metric does not apply to the model; "" if it does."""

    @abstractmethod
    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        """Independent estimates from ``n`` samples; None: the metric's default. Raises BadInput."""

    @abstractmethod
    def floor(self) -> float | None:
        """The value that real samples get; None if that means nothing."""

    @final
    def check(self, subject: ModelSubject) -> None:
        """Check that the metric applies to the model. Raises BadInput."""
        if reason := self.unsupported_reason(subject):
            raise BadInput(f"{self.name} does not apply to {subject.name}: {reason}")

    @final
    def score(self, subject: ModelSubject, n: int | None, seed: int, **protocol: Any) -> Score:
        """The score of a model; ``protocol`` goes into its protocol. Raises BadInput."""
        self.check(subject)
        estimates = self._call(self.estimate, subject, n, seed)
        return self._score(estimates, self._call(self.floor), **protocol)
