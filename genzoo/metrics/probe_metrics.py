"""Representation: how well linear classifiers tell classes apart by what a network has learnt.

Radford et al. 2016, section 5.1: a discriminator's maps, max-pooled to 4x4, or an encoder's codes,
and a linear classifier on top of them; beside it the same network with random weights, and k-means
on patches, which the paper's table has for comparison.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genzoo import families
from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput
from genzoo.metrics.metric import ModelMetric
from genzoo.metrics.real_data import some_of
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import linear_probe
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Encoder
from genzoo.models.inference import inference_copy

CENTROIDS = 400
FeatureMaps = Callable[[Tensor], list[Tensor]]


class Probed(ModelMetric):
    """Test accuracy of a linear classifier on what a discriminator, or an encoder, sees."""

    goal, unit = "higher", " %"

    @property
    @abstractmethod
    def way(self) -> tuple[linear_probe.Kind, int | None]:
        """The classifier, and how many training images of each class it sees; None: all."""

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @final
    def conditions(self) -> dict[str, Any]:
        kind, each = self.way
        told = {"classifier": kind, "training images": f"{each} a class" if each else "all"}
        return {"data": self.real.data, **told, "data_sha256": self.real.open("train").sha256}

    @final
    def lacks(self, subject: ModelSubject) -> str:
        if not isinstance(subject.model, Encoder):
            try:
                subject.discriminator()
            except BadInput as error:
                return f"{error}; and it encodes nothing"
        train = self.real.open("train")
        if train.labels is None:
            return f"{self.real.data} has no classes"
        if train.shape != subject.shape:
            shapes = ("x".join(map(str, s)) for s in (subject.shape, train.shape))
            return f"it sees {next(shapes)}, and {self.real.data} is {next(shapes)}"
        return ""

    @final
    def found(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        rows = [self._rows(n, seed), np.arange(len(self.real.open("test")))]
        from_unit = subject.model.from_unit
        seers = {"trained": seer(subject), "random network": seer(subject, random=True)}
        found = {name: self._probe(sees, from_unit, rows, seed) for name, sees in seers.items()}
        whole = self.real.open("train")
        patches = linear_probe.kmeans_features(whole, centroids=CENTROIDS)
        found["k-means"] = self._probe(lambda x: [patches(x)], lambda x: x, rows, seed)
        told = {"images": f"{len(rows[0]):,} training, {len(rows[1]):,} test", "seed": seed}
        own = found.pop("trained")
        details = {name: round(100 * float(p.correct.mean()), 2) for name, p in found.items()}
        details = {f"{name} %": value for name, value in details.items()}
        details["penalty"] = own.penalty
        return Estimates(100.0 * own.correct, told, details)

    @final
    def floor(self) -> None:
        return None

    def _rows(self, n: int | None, seed: int) -> np.ndarray:
        train, each = self.real.open("train"), self.way[1]
        assert train.labels is not None
        chosen = some_of(train, n, seed)
        return (
            chosen
            if each is None
            else chosen[linear_probe.subset(train.labels[chosen], each, seed)]
        )

    def _probe(
        self,
        sees: FeatureMaps,
        from_unit: Callable[[Tensor], Tensor],
        rows: list[np.ndarray],
        seed: int,
    ) -> linear_probe.Probe:
        sets: list[DataSet] = [self.real.open(split) for split in ("train", "test")]
        seen = [
            linear_probe.features_of(sees, dataset, at, from_unit)
            for dataset, at in zip(sets, rows, strict=True)
        ]
        labels = [dataset.labels[at] for dataset, at in zip(sets, rows, strict=True)]  # type: ignore[index]
        kind, classes = self.way[0], len(sets[0].classes)
        return linear_probe.probe(
            seen[0], labels[0], seen[1], labels[1], classes=classes, kind=kind, seed=seed
        )


@final
class Probe(Probed):
    """By an L2-SVM on all training images."""

    id, way = "probe", ("svm", None)
    about = "test accuracy of an L2-SVM on what the discriminator, or the encoder, sees"


@final
class Probe400(Probed):
    """By an L2-SVM on 400 training images of each class, the table's second column."""

    id, way = "probe_400", ("svm", 400)
    about = "as probe, from 400 training images of each class"


@final
class Logistic(Probed):
    """By logistic regression on all training images."""

    id, way = "logistic", ("logistic", None)
    about = "as probe, by logistic regression"


def seer(subject: ModelSubject, random: bool = False) -> FeatureMaps:
    """What a private copy of the discriminator, or else the encoder, sees; ``random``: of the same
    network with weights that it begins with."""
    model = subject.model
    try:
        network = subject.discriminator()
    except BadInput:
        assert isinstance(model, Encoder)
        encoder = inference_copy(_begun(lambda: type(model)(model.config)) if random else model)
        return lambda x: [encoder.embed(x)]
    if not random:
        return linear_probe.still(network)
    assert model.origin is not None
    build = families.get(model.origin.family).discriminator
    assert build is not None
    return linear_probe.still(_begun(lambda: build(model.config)))


def _begun(build: Callable[[], Any]) -> Any:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return build().eval()


KINDS = (Probe, Probe400, Logistic)
