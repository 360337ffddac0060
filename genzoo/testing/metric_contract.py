"""The contract of every metric: the same samples give the same number, with its protocol."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, final, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from genzoo.errors import BadInput, OperationFailed
from genzoo.evaluation.evaluate import evaluate
from genzoo.metrics import registry
from genzoo.metrics.metric import ModelMetric, SampleMetric
from genzoo.metrics.real_data import RealData
from genzoo.metrics.score import Goal, Score
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Density, Encoder, Translator
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent
from genzoo.testing.contract import Broken, Contract, require, require_error, require_json

SHAPE = (1, 28, 28)  # the input of the classifier of MNIST that ships with the package
REAL, FEW = 80, 200
CLASSES = 10  # of that classifier


@final
class SquareModel(Latent, Encoder, Density):
    """A synthetic model with many abilities: its images show a bright square."""

    shape, value_range, latent_dim, levels = SHAPE, (0.0, 1.0), 4, None

    def __init__(self, config: Any = None, classes: int = 0, bound: bool = False):
        super().__init__(config)
        self.num_classes = classes
        self.likelihood_kind = "bound" if bound else "exact"
        self.spread = nn.Parameter(torch.tensor(1.0))

    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: Noise | None = None
    ) -> Tensor:  # (n, 4) -> (n, 1, 28, 28)
        at, light = 14 + 4 * self.spread * code[:, :2], code[:, 2:].sigmoid()
        if labels is not None:
            at = at + labels[:, None] - CLASSES / 2
        rows = torch.arange(28.0)
        far = (rows - at[:, :, None]).abs()  # (n, 2, 28): from the middle, down and across
        inside = (4 - torch.maximum(far[:, 0, :, None], far[:, 1, None, :])).sigmoid()
        return (light[:, :1, None] * inside + light[:, 1:, None] * (1 - inside))[:, None]

    def embed(self, x: Tensor) -> Tensor:  # (n, 1, 28, 28) -> (n, 4)
        corners = x[:, 0, ::27, ::27].flatten(1)
        return torch.logit(corners, 1e-3)

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:  # -> (n,)
        nats = -(x - 0.5).square().flatten(1).sum(1) / 2 - math.prod(SHAPE) * 0.919
        return nats if self.likelihood_kind == "exact" else nats - noise.uniform()


@final
class NegativeModel(Translator):
    """A synthetic translator: bright becomes dark."""

    shape, value_range, domains = SHAPE, (0.0, 1.0), ("first", "second")

    def __init__(self, config: Any = None):
        super().__init__(config)
        self.strength = nn.Parameter(torch.tensor(0.9))
        self.register_buffer("examples", torch.arange(3 * 784).view(3, *SHAPE).byte())

    def convert(self, x: Tensor, to: str, noise: Noise) -> Tensor:  # (n, 1, H, W) -> the same
        return 1 - self.strength * x


class Subject(NamedTuple):
    """A synthetic model, and real data that fit it."""

    model: Any
    data: str


@final
@dataclass(frozen=True)
class Case:
    """A metric class, and a folder of synthetic images, in four classes, as its real data."""

    name: str
    metric_class: type[SampleMetric | ModelMetric]
    folder: str

    @cached_property
    def subjects(self) -> list[Subject]:
        """Models of every ability that a metric may need."""
        squares = SquareModel(), SquareModel(classes=CLASSES), SquareModel(bound=True)
        pairs = f"{self.folder}@edges", "digits:1,digits:7"
        translations = (Subject(NegativeModel(), data) for data in pairs)
        return [*(Subject(model, self.folder) for model in squares), *translations]

    @cached_property
    def subject(self) -> Subject:
        """The first of the subjects that a metric of models applies to, or the first."""
        fitting = (s for s in self.subjects if not self._reason(s))
        return next(fitting, self.subjects[0])

    @cached_property
    def metric(self) -> SampleMetric | ModelMetric:
        return self._metric(self.subject)

    def _metric(self, subject: Subject) -> SampleMetric | ModelMetric:
        return self.metric_class(RealData(subject.data, "mnist"))

    def _reason(self, subject: Subject) -> str:
        """Why a metric of models does not apply to the subject, or ""."""
        metric = self._metric(subject)
        if not isinstance(metric, ModelMetric):
            return ""
        return metric.unsupported_reason(ModelSubject("synthetic", subject.model))

    @property
    def n(self) -> int:
        """Enough samples for its parts."""
        minimum = self.metric.min_samples if isinstance(self.metric, SampleMetric) else FEW
        return max(minimum, FEW)

    def samples(self, seed: int = 0) -> Tensor:
        """Images ``(n, 1, 28, 28)`` in 256 levels."""
        return self.subjects[0].model.sample(self.n, seed=seed).tensor.mul(255).round().div(255)

    def score(self) -> Score:
        if isinstance(self.metric, ModelMetric):
            return self.metric.score(ModelSubject("synthetic", self.subject.model), None, 0)
        return self.metric(self.samples())

    def unsupported_reason(self) -> str | None:
        """Why a metric of models cannot be tested on any of the synthetic models."""
        if reason := self._reason(self.subject):
            return f"does not apply to a synthetic model: {reason}"
        return self._refusal

    @cached_property
    def _refusal(self) -> str | None:
        """Why it refuses the synthetic data, such as too few samples."""
        try:
            self.score()
        except BadInput as error:
            return f"does not take the synthetic data: {error}"
        except Exception:  # found again, and explained, by the checks
            return None
        return None


@contextmanager
def _opened(name: str) -> Iterator[Case]:
    metric_class: Any = registry.metric_class(name)
    model = SquareModel()
    with tempfile.TemporaryDirectory() as folder:
        for split, start in (("train", 0), ("test", REAL)):
            pictures = model.sample(REAL, seed=1, start=start).tensor[:, 0]
            for i, picture in enumerate((pictures * 255).round().byte().numpy()):
                place = Path(folder, split, f"class {i % 4}")
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(place / f"{i}.png")
        yield Case(name, metric_class, folder)


METRIC = Contract("metric", _opened)


@METRIC.check
def _has_id_goal_and_description(case: Case) -> None:
    require(
        case.metric_class.id == case.name,
        f"id must be {case.name!r}, the name of its entry point, got {case.metric_class.id!r}",
    )
    goals = get_args(Goal)
    require(
        case.metric_class.goal in goals,
        f"goal must be one of {goals}, got {case.metric_class.goal!r}",
    )
    require(
        getattr(case.metric_class, "about", ""),
        "about must be a short description, got an empty one",
    )
    name = case.metric.name
    fits = isinstance(name, str) and f"{name}-".startswith(f"{case.name}-")
    require(fits, f"name must be like {case.name}-DATA or {case.name}-FEATURES, got {name!r}")


@METRIC.check
def _conditions_are_json(case: Case) -> None:
    conditions = case.metric.conditions()
    require(isinstance(conditions, dict), f"conditions must return a dict, got {conditions!r:.80}")
    require_json(conditions, "the result of conditions")
    keys = {"data", "features"} & conditions.keys()
    require(keys, "conditions must name data or features: else scores on two sets are ranked")


@METRIC.check
def _gives_a_finite_score(case: Case) -> str | None:
    if reason := case.unsupported_reason():
        return reason
    try:
        score = case.score()
    except OperationFailed as error:  # its message says what is wrong
        raise Broken(str(error)) from error
    require(math.isfinite(score.value), f"the score is {score.value}")
    require(np.isfinite(score.parts).all(), "parts are not finite")
    require(
        score.metric == case.metric.name,
        f"the score's name is {score.metric!r}, the metric's {case.metric.name!r}",
    )
    require(score.goal == case.metric_class.goal, f"the score's goal is {score.goal!r}")
    require_json(score.record(), "the score")
    require(score.floor is None or math.isfinite(score.floor), f"floor is {score.floor}")
    return None


@METRIC.check
def _is_reproducible(case: Case) -> str | None:
    if reason := case.unsupported_reason():
        return reason
    one, two = case.score(), case.score()
    require(
        np.array_equal(one.parts, two.parts), f"the same samples give {one.value}, then {two.value}"
    )
    require(one.protocol == two.protocol, "the same samples give two protocols")
    return None


@METRIC.check
def _does_not_depend_on_the_batch(case: Case) -> str | None:
    """`evaluate` extracts features batch by batch."""
    if not isinstance(case.metric, SampleMetric):
        return "is a metric of models"
    x = case.samples()[:50]
    whole = case.metric.extract(x)
    require(len(whole) == len(x), f"extract returns {len(whole)} rows for {len(x)} images")
    parts = np.concatenate([case.metric.extract(part) for part in x.split(20)])
    close = parts.shape == whole.shape and np.allclose(parts, whole, atol=1e-4, rtol=1e-4)
    require(
        close, "extract depends on the batch: an image's features may not depend on other images"
    )
    return None


@METRIC.check
def _parts_depend_on_n_alone(case: Case) -> str | None:
    """Otherwise the parts of two models would not form pairs."""
    if not isinstance(case.metric, SampleMetric):
        return "is a metric of models"
    features = (case.metric.extract(case.samples(seed)) for seed in (0, 1))
    counts = [len(case.metric.estimate(one).parts) for one in features]
    require(counts[0] == counts[1], f"{case.n} samples give {counts} parts with two seeds")
    return None


@METRIC.check
def _refuses_invalid_pixels(case: Case) -> str | None:
    metric = case.metric
    if not isinstance(metric, SampleMetric):
        return "is a metric of models"
    for what, wrong in (("NaN", torch.nan), ("a pixel of 2", 2.0)):
        x = case.samples()
        x[0, 0, 0, 0] = wrong
        require_error(partial(metric, x), BadInput, f"images with {what} must be refused")
    return None


@METRIC.check
def _features_differ_between_images(case: Case) -> str | None:
    """Constant features measure nothing. (The scores of two sets may be equal.)"""
    if not isinstance(case.metric, SampleMetric):
        return "is a metric of models"
    noise = Noise(0, range(20), "noise").uniform(*SHAPE)
    features = case.metric.extract(torch.cat([case.samples()[:20], noise]))
    constant = all(np.array_equal(row, features[0]) for row in features)
    require(not constant, "extract returns the same for all images, even for noise")
    return None


@METRIC.check
def _works_in_evaluate(case: Case) -> str | None:
    if reason := case.unsupported_reason():
        return reason
    options: dict[str, Any] = {"data": case.subject.data, "features": "mnist", "device": "cpu"}
    n = case.n if isinstance(case.metric, SampleMetric) else None
    (score,) = evaluate(case.subject.model, metrics=case.name, n=n, **options).scores
    require(score.metric == case.metric.name, f"evaluate returns the score {score.metric}")
    return None
