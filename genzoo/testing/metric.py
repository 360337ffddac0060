"""What every metric promises: one number for the same samples, with all that it depends on."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from genzoo.errors import BadInput, OperationFailed
from genzoo.evaluation.evaluate import evaluate
from genzoo.metrics import registry
from genzoo.metrics.metric import ModelMetric, SampleMetric
from genzoo.metrics.real_data import RealData
from genzoo.metrics.score import Score
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Density, Encoder
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent
from genzoo.testing.contract import Broken, Contract, require, require_error, require_json

SHAPE = (1, 28, 28)  # what the features of the package's own classifier of digits take
REAL, FEW = 60, 200


@final
class Made(Latent, Encoder, Density):
    """A model of made pictures with as many abilities as have one: a bright square on a ground."""

    shape, value_range, latent_dim, likelihood_kind, levels = SHAPE, (0.0, 1.0), 4, "exact", None

    def __init__(self, config: Any = None):
        super().__init__(config)
        self.spread = nn.Parameter(torch.tensor(1.0))

    def decode(
        self, code: Tensor, labels: Tensor | None = None, noise: Noise | None = None
    ) -> Tensor:  # (n, 4) -> (n, 1, 28, 28)
        at, light = 14 + 4 * self.spread * code[:, :2], code[:, 2:].sigmoid()
        rows = torch.arange(28.0)
        far = (rows - at[:, :, None]).abs()  # (n, 2, 28): from the middle, down and across
        inside = (4 - torch.maximum(far[:, 0, :, None], far[:, 1, None, :])).sigmoid()
        return (light[:, :1, None] * inside + light[:, 1:, None] * (1 - inside))[:, None]

    def embed(self, x: Tensor) -> Tensor:  # (n, 1, 28, 28) -> (n, 4)
        corners = x[:, 0, ::27, ::27].flatten(1)
        return torch.logit(corners, 1e-3)

    def log_weight(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:  # -> (n,)
        return -(x - 0.5).square().flatten(1).sum(1) / 2 - math.prod(SHAPE) * 0.919


@final
@dataclass(frozen=True)
class Case:
    """A kind of metric, and a folder of made pictures that it is held against."""

    name: str
    kind: type[SampleMetric | ModelMetric]
    folder: str
    model: Made = field(default_factory=Made)

    @cached_property
    def metric(self) -> SampleMetric | ModelMetric:
        return self.kind(RealData(self.folder, "mnist"))

    @property
    def n(self) -> int:
        """Samples that are enough for its parts."""
        least = self.metric.least if isinstance(self.metric, SampleMetric) else FEW
        return max(least, FEW)

    def samples(self, seed: int = 0) -> Tensor:
        """``(n, 1, 28, 28)`` in 256 levels."""
        return self.model.sample(self.n, seed=seed).tensor.mul(255).round().div(255)

    def score(self) -> Score:
        if isinstance(self.metric, ModelMetric):
            return self.metric.score(ModelSubject("made", self.model), None, 0)
        return self.metric(self.samples())

    def lacks(self) -> str | None:
        """Why a model's metric cannot be tried on the made model."""
        metric, made = self.metric, ModelSubject("made", self.model)
        why = metric.lacks(made) if isinstance(metric, ModelMetric) else ""
        return f"cannot be tried on a made model: {why}" if why else None


@contextmanager
def _opened(name: str) -> Iterator[Case]:
    kind: Any = registry.metric_class(name)
    model = Made()
    with tempfile.TemporaryDirectory() as folder:
        for split, start in (("train", 0), ("test", REAL)):
            Path(folder, split).mkdir()
            pictures = model.sample(REAL, seed=1, start=start).tensor[:, 0]
            for i, picture in enumerate((pictures * 255).round().byte().numpy()):
                Image.fromarray(picture).save(Path(folder, split, f"{i}.png"))
        yield Case(name, kind, folder)


METRIC = Contract("metric", _opened)


@METRIC.check
def _says_what_it_is(case: Case) -> None:
    require(case.kind.id == case.name, f"id is {case.kind.id!r}, and its name {case.name!r}")
    goals = ("lower", "higher", "near_one")
    require(case.kind.goal in goals, f"goal is one of {goals}, got {case.kind.goal!r}")
    require(getattr(case.kind, "about", ""), "about is empty: a phrase for people")
    name = case.metric.name
    fits = isinstance(name, str) and f"{name}-".startswith(f"{case.name}-")
    require(fits, f"name is the kind and what it is measured in, {case.name}-..., got {name!r}")


@METRIC.check
def _conditions_are_json(case: Case) -> None:
    conditions = case.metric.conditions()
    require(isinstance(conditions, dict), f"conditions is a dict, got {conditions!r:.80}")
    require_json(conditions, "what conditions gives")
    held = {"data", "features"} & conditions.keys()
    require(held, "conditions names no data and no features: scores on two sets would be ranked")


@METRIC.check
def _gives_a_finite_score(case: Case) -> str | None:
    if why := case.lacks():
        return why
    try:
        score = case.score()
    except OperationFailed as error:  # what is no score says best itself what it is
        raise Broken(str(error)) from error
    require(math.isfinite(score.value), f"the score is {score.value}")
    require(np.isfinite(score.parts).all(), "parts are not finite")
    require(score.metric == case.metric.name, f"the score is called {score.metric!r}")
    require(score.goal == case.kind.goal, f"the score's goal is {score.goal!r}")
    require_json(score.record(), "the score")
    require(score.floor is None or math.isfinite(score.floor), f"floor is {score.floor}")
    return None


@METRIC.check
def _measures_twice_alike(case: Case) -> str | None:
    if why := case.lacks():
        return why
    one, two = case.score(), case.score()
    require(np.array_equal(one.parts, two.parts), f"twice the same: {one.value}, then {two.value}")
    require(one.protocol == two.protocol, "twice the same, and two protocols")
    return None


@METRIC.check
def _does_not_see_the_batch(case: Case) -> str | None:
    """`evaluate` measures batch after batch, and joins what is kept of each image."""
    if not isinstance(case.metric, SampleMetric):
        return "is of models"
    x = case.samples()[:50]
    whole = case.metric.measure(x)
    require(len(whole) == len(x), f"measure kept {len(whole)} rows of {len(x)} images")
    parts = np.concatenate([case.metric.measure(part) for part in x.split(20)])
    close = parts.shape == whole.shape and np.allclose(parts, whole, atol=1e-4, rtol=1e-4)
    require(close, "measure of a batch is not that of its images: nothing may depend on the others")
    return None


@METRIC.check
def _parts_depend_on_n_alone(case: Case) -> str | None:
    """Else the parts of two models would not pair up."""
    if not isinstance(case.metric, SampleMetric):
        return "is of models"
    kept = (case.metric.measure(case.samples(seed)) for seed in (0, 1))
    counts = [len(case.metric.judged(measured).parts) for measured in kept]
    require(counts[0] == counts[1], f"of {case.n} samples each, there are {counts} parts")
    return None


@METRIC.check
def _refuses_what_is_no_image(case: Case) -> str | None:
    metric = case.metric
    if not isinstance(metric, SampleMetric):
        return "is of models"
    for what, wrong in (("NaN", torch.nan), ("a pixel of 2", 2.0)):
        x = case.samples()
        x[0, 0, 0, 0] = wrong
        require_error(partial(metric, x), BadInput, f"{what} was taken for a pixel")
    return None


@METRIC.check
def _sees_unlike_images_apart(case: Case) -> str | None:
    """What keeps the same of all images can tell nothing. (Two sets may well have one score.)"""
    if not isinstance(case.metric, SampleMetric):
        return "is of models"
    noise = Noise(0, range(20), "noise").uniform(*SHAPE)
    kept = case.metric.measure(torch.cat([case.samples()[:20], noise]))
    alike = all(np.array_equal(row, kept[0]) for row in kept)
    require(not alike, "measure keeps the same of every picture and of noise")
    return None


@METRIC.check
def _goes_through_evaluate(case: Case) -> str | None:
    if why := case.lacks():
        return why
    told: dict[str, Any] = {"data": case.folder, "features": "mnist", "device": "cpu"}
    n = case.n if isinstance(case.metric, SampleMetric) else None
    (score,) = evaluate(case.model, metrics=case.name, n=n, **told).scores
    require(score.metric == case.metric.name, f"evaluate gave {score.metric}")
    return None
