"""Synthetic models of each kind of samples, and data like theirs, for the checks of a metric."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import torch
from torch import Tensor, nn

from genzoo.errors import BadInput
from genzoo.metrics import registry
from genzoo.metrics.metric import ModelMetric, SampleMetric
from genzoo.metrics.real_data import RealData
from genzoo.metrics.score import Score
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Density, Encoder, Translator
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent
from genzoo.schemas import Kind

SHAPE = (1, 28, 28)  # the input of the classifier of MNIST that ships with the package
REAL, FEW = 80, 200
CLASSES = 10  # of that classifier


@final
class SquareModel(Latent, Encoder, Density):
    """A synthetic model with many abilities: its images show a bright square."""

    shape, value_range, latent_dim, levels = SHAPE, (0.0, 1.0), 4, None

    def __init__(
        self,
        config: Any = None,
        classes: int = 0,
        likelihood: Literal["exact", "bound", "estimate"] = "exact",
    ):
        super().__init__(config)
        self.num_classes = classes
        self.likelihood_kind = likelihood
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
        return nats - noise.uniform() if self.likelihood_kind == "bound" else nats


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


@final
class ToneModel(Latent):
    """A synthetic model of signals: fading tones of different pitch."""

    kind, shape, value_range, latent_dim, rate = "signals", (1, 1024), (-1.0, 1.0), 2, 8000

    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:  # -> (n, 1, 1024)
        seconds = torch.arange(1024) / self.rate
        pitch, fading = 300 + 50 * code[:, :1], 8 + 2 * code[:, 1:]
        return ((2 * torch.pi * pitch * seconds).sin() * (-fading * seconds).exp())[:, None] / 2


@final
class RingModel(Latent):
    """A synthetic model of points: a circle, like the data set ring8."""

    kind, shape, value_range, latent_dim = "points", (2,), None, 2

    def decode(self, code: Tensor, labels: Tensor | None = None) -> Tensor:  # (n, 2) -> (n, 2)
        return 2 * code / code.norm(dim=1, keepdim=True).clamp_min(1e-6)


MODELS: dict[Kind, type[Latent]] = {
    "images": SquareModel,
    "signals": ToneModel,
    "points": RingModel,
}


class Subject(NamedTuple):
    """A synthetic model, and real data that fit it."""

    model: Any
    data: str


@final
@dataclass(frozen=True)
class Case:
    """A metric class, a folder for synthetic real data, and the kind of the samples."""

    name: str
    metric_class: type[SampleMetric | ModelMetric]
    folder: str
    kind: Kind = "images"

    def of(self, kind: Kind) -> "Case":
        """The same metric with samples of another kind."""
        return self if kind == self.kind else replace(self, kind=kind)

    @property
    def features(self) -> str | None:
        return "mnist" if self.kind == "images" else None

    @cached_property
    def data(self) -> str:
        """Real data of the kind: a data set's name, or a folder with four classes, filled now."""
        if self.kind == "points":
            return "ring8"
        model, ending = MODELS[self.kind](None), ".wav" if self.kind == "signals" else ".png"
        for split, start in (("train", 0), ("test", REAL)):
            for i, sample in enumerate(model.sample(REAL, seed=1, start=start)):
                place = Path(self.folder, self.kind, split, f"class {i % 4}")
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{i}{ending}").write_bytes(
                    sample.file_of_one(metadata=True)
                )  # in its own size
        return str(Path(self.folder, self.kind))

    @cached_property
    def subjects(self) -> list[Subject]:
        """Models of every ability that a metric may need."""
        if self.kind != "images":
            return [Subject(MODELS[self.kind](None), self.data)]
        others = (SquareModel(likelihood=kind) for kind in ("bound", "estimate"))
        squares = SquareModel(), SquareModel(classes=CLASSES), *others
        pairs = f"{self.data}@edges", "digits:1,digits:7"
        translations = (Subject(NegativeModel(), data) for data in pairs)
        return [*(Subject(model, self.data) for model in squares), *translations]

    @cached_property
    def subject(self) -> Subject:
        """The first of the subjects that a metric of models applies to, or the first."""
        fitting = (s for s in self.subjects if not self._reason(s))
        return next(fitting, self.subjects[0])

    @cached_property
    def metric(self) -> SampleMetric | ModelMetric:
        return self._metric(self.subject)

    def _metric(self, subject: Subject) -> SampleMetric | ModelMetric:
        return self.metric_class(RealData(subject.data, self.features))

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
        """Samples ``(n, *shape)`` as files hold them."""
        subject = ModelSubject("synthetic", self.subjects[0].model)
        return torch.cat(list(subject.stream(self.n, seed)))

    def score(self) -> Score:
        if isinstance(self.metric, ModelMetric):
            return self.metric.score(ModelSubject("synthetic", self.subject.model), None, 0)
        return self.metric(self.samples())

    @cached_property
    def first_score(self) -> Score:
        """The one that most checks look at, as each may take seconds."""
        return self.score()

    def unsupported_reason(self) -> str | None:
        """Why a metric of models cannot be tested on any of the synthetic models."""
        if reason := self._reason(self.subject):
            return f"does not apply to a synthetic model: {reason}"
        return self._refusal

    @cached_property
    def _refusal(self) -> str | None:
        """Why it refuses the synthetic data, such as too few samples."""
        try:
            self.first_score  # noqa: B018 (it may raise)
        except BadInput as error:
            return f"does not take the synthetic data: {error}"
        except Exception:  # found again, and explained, by the checks
            return None
        return None


@contextmanager
def opened(name: str) -> Iterator[Case]:
    """The case of the metric ``name``, of the first kind that it measures."""
    metric_class: Any = registry.metric_class(name)
    first: Kind = next((kind for kind in MODELS if kind in metric_class.kinds), "images")
    with tempfile.TemporaryDirectory() as folder:
        yield Case(name, metric_class, folder, first)
