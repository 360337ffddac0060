"""Metrics of representations: the accuracy of a linear classifier on a network's features.

Radford et al. 2016, section 5.1: a linear classifier on a discriminator's feature maps, max-pooled
to 4x4, or on an encoder's codes. For comparison: the same network with random weights, and k-means
on patches as in the paper's table.
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
from genzoo.metrics.real_data import random_rows
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import linear_probe
from genzoo.metrics.statistics.linear_probe import FeatureMaps
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Encoder
from genzoo.models.inference import inference_copy
from genzoo.models.randomness import seed_torch

CENTROIDS = 400


class LinearProbe(ModelMetric):
    """Test accuracy of a linear classifier on the features of a discriminator or an encoder."""

    goal, unit, reads = "higher", " %", ()

    @property
    @abstractmethod
    def classifier(self) -> linear_probe.Kind:
        """The kind of linear classifier."""

    @property
    @abstractmethod
    def per_class(self) -> int | None:
        """The number of training images of each class; None: all."""

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @final
    def conditions(self) -> dict[str, Any]:
        return {
            "data": self.real.data,
            "classifier": self.classifier,
            "training images": f"{self.per_class} a class" if self.per_class else "all",
            "data_sha256": self.real.open("train").sha256,
        }

    @final
    def unsupported_reason(self, subject: ModelSubject) -> str:
        if not isinstance(subject.model, Encoder):
            try:
                subject.discriminator()
            except BadInput as error:
                return f"{error}; and it has no encoder"
        train = self.real.open("train")
        if train.labels is None:
            return f"{self.real.data} has no classes"
        if train.shape != subject.shape:
            own, other = ("x".join(map(str, s)) for s in (subject.shape, train.shape))
            return f"it takes {own} images, but {self.real.data} is {other}"
        return ""

    @final
    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        rows = [self._rows(n, seed), np.arange(len(self.real.open("test")))]
        from_public = subject.model.from_public
        own = self._probe(feature_maps(subject), from_public, rows, seed)
        random = self._probe(feature_maps(subject, random=True), from_public, rows, seed)
        patches = linear_probe.kmeans_features(self.real.open("train"), centroids=CENTROIDS)
        kmeans = self._probe(lambda x: [patches(x)], lambda x: x, rows, seed)
        protocol = {"images": f"{len(rows[0]):,} training, {len(rows[1]):,} test", "seed": seed}
        details = {
            "random network %": round(100 * random.accuracy, 2),
            "k-means %": round(100 * kmeans.accuracy, 2),
            "penalty": own.penalty,
        }
        return Estimates(100.0 * own.correct, protocol, details)

    @final
    def floor(self) -> None:
        return None

    def _rows(self, n: int | None, seed: int) -> np.ndarray:
        """The training images that the classifier is fitted to."""
        train = self.real.open("train")
        assert train.labels is not None
        rows = random_rows(train, n, seed)
        if self.per_class is None:
            return rows
        return rows[linear_probe.subset(train.labels[rows], self.per_class, seed)]

    def _probe(
        self,
        maps: FeatureMaps,
        from_public: Callable[[Tensor], Tensor],
        rows: list[np.ndarray],
        seed: int,
    ) -> linear_probe.Probe:
        sets: list[DataSet] = [self.real.open(split) for split in ("train", "test")]
        train, test = (
            linear_probe.features_of(maps, dataset, at, from_public)
            for dataset, at in zip(sets, rows, strict=True)
        )
        train_labels, test_labels = (
            dataset.labels[at]  # type: ignore[index]
            for dataset, at in zip(sets, rows, strict=True)
        )
        return linear_probe.probe(
            train,
            train_labels,
            test,
            test_labels,
            classes=len(sets[0].classes),
            kind=self.classifier,
            seed=seed,
        )


@final
class Probe(LinearProbe):
    """An L2-SVM on all training images."""

    id, classifier, per_class = "probe", "svm", None
    about = "test accuracy of an L2-SVM on features of the discriminator or the encoder"


@final
class Probe400(LinearProbe):
    """An L2-SVM on 400 training images of each class: the second column of the paper's table."""

    id, classifier, per_class = "probe_400", "svm", 400
    about = "like probe, with 400 training images of each class"


@final
class Logistic(LinearProbe):
    """Logistic regression on all training images."""

    id, classifier, per_class = "logistic", "logistic", None
    about = "like probe, with logistic regression"


def feature_maps(subject: ModelSubject, random: bool = False) -> FeatureMaps:
    """The feature maps of a private copy of the discriminator, else the codes of the encoder;
    ``random``: of the same network with its initial weights.
    """
    model = subject.model
    try:
        network = subject.discriminator()
    except BadInput:
        assert isinstance(model, Encoder)
        encoder = inference_copy(
            _initialised(lambda: type(model)(model.config)) if random else model
        )
        return lambda x: [encoder.embed(x)]
    if not random:
        return linear_probe.frozen_features(network)
    assert model.origin is not None
    build = families.get(model.origin.family).discriminator
    assert build is not None
    return linear_probe.frozen_features(_initialised(lambda: build(model.config)))


def _initialised(build: Callable[[], Any]) -> Any:
    with torch.random.fork_rng([]):
        seed_torch(0)
        return build().eval()


KINDS = (Probe, Probe400, Logistic)
