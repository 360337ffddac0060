"""Diagnostic metrics: copies of training images, requested classes, translation."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput, argument, article
from genzoo.features.classifiers import DatasetClassifier
from genzoo.metrics.metric import ModelMetric, SampleMetric
from genzoo.metrics.real_data import random_rows, rows_of
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import distances, ranks, similarity
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Translator
from genzoo.models.sampler import Sampler
from genzoo.models.shared_samples import in_order

BLOCKS, COMPARED, QUANTILE = 40, 2000, 0.001
LABELLED = 2000  # samples by class, by default
TRANSLATED = 1000  # pairs, by default


class _RealDistances(NamedTuple):
    """Features of the training images ``(m, d)``, and the distances ``(k,)`` of held-out images to
    the nearest of them.
    """

    train: np.ndarray
    held_out: np.ndarray


class NearestTrain(SampleMetric):
    """The median distance of samples to the nearest training image, divided by that of held-out
    images: 1 if the model memorised nothing, near 0 if it copies.
    """

    goal = "near_one"
    min_samples = BLOCKS

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @final
    def estimate(self, features: np.ndarray) -> Estimates:
        train, held_out = self._real
        flat = features.reshape(len(features), -1)[:COMPARED]
        nearest = distances.nearest(flat, train)
        limit = np.quantile(held_out, QUANTILE)
        details = {
            "p-value": float(f"{ranks.rank_test(nearest, held_out):.3g}"),
            "nearer than all but 0.1 % of held-out images": int((nearest < limit).sum()),
        }
        median = np.median(held_out)
        parts = np.array([np.median(block) / median for block in np.array_split(nearest, BLOCKS)])
        protocol = {"samples compared": len(flat), "held-out images": len(held_out)}
        return Estimates(parts, protocol, details)

    @final
    def floor(self, n: int) -> float | None:
        return 1.0

    @cached_property
    def _real(self) -> _RealDistances:
        train, test = (self._extract(split) for split in ("train", "test"))
        rows = np.random.RandomState(0).permutation(len(test))[:COMPARED]
        return _RealDistances(train, distances.nearest(test[rows], train))

    def _extract(self, split: str) -> np.ndarray:
        """Features ``(n, d)`` of a split; of training images also of the mirrored ones."""
        dataset = self.real.open(split)
        features: list[np.ndarray] = []
        for x in rows_of(dataset, range(len(dataset))):
            views = (x, x.flip(3)) if split == "train" else (x,)
            features += [np.asarray(self.extract(v), np.float32).reshape(len(x), -1) for v in views]
            self.real.report(f"{dataset.name} ({split})", sum(map(len, features)), 2 * len(dataset))
        return np.concatenate(features)


@final
class NearestTrainFeatures(NearestTrain):
    """In the features of the data's classifier."""

    id, reads = "nearest_train_features", ("features",)
    about = "distance in features to the nearest training image: held-out images 1, copies 0"

    @property
    def extract(self) -> Callable[[Tensor], np.ndarray]:
        return self.real.features

    def conditions(self) -> dict[str, Any]:
        return {**self.real.conditions(), "data_sha256": self.real.open("train").sha256}


@final
class NearestTrainPixels(NearestTrain):
    """In pixels."""

    id, reads = "nearest_train_pixels", ()
    about = "distance in pixels to the nearest training image: held-out images 1, copies 0"

    @property
    def extract(self) -> Callable[[Tensor], np.ndarray]:
        return _pixels

    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data, "data_sha256": self.real.open("train").sha256}


def _pixels(x: Tensor) -> np.ndarray:
    return x.flatten(1).cpu().numpy()


class GivenClass(ModelMetric):
    """A number about a class-conditional model's samples of each class in turn."""

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.features_name}"

    @final
    def conditions(self) -> dict[str, Any]:
        return self.real.conditions()

    @final
    def unsupported_reason(self, subject: ModelSubject) -> str:
        model, extractor = subject.model, self.real.features
        classes = getattr(model, "num_classes", 0)
        if not isinstance(model, Sampler) or not classes:
            return "it is not class-conditional"
        if classes != extractor.outputs:
            return f"it has {classes} classes, but {extractor.about} has {extractor.outputs}"
        return ""

    @final
    def labelled_features(
        self, subject: ModelSubject, n: int | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features of samples ``(n, d)``, and the requested class of each ``(n,)``."""
        model, count = subject.model, n or LABELLED
        assert isinstance(model, Sampler)
        labels = torch.arange(count) % model.num_classes
        batches = subject.samples(count, seed, labels)
        own = (self.real.features(b.tensor.cpu().mul(255).round().div(255)) for b in batches)
        features = [*in_order(own)]
        return np.concatenate(features), labels.numpy()

    @cached_property
    def _labelled_test(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Features of the test images ``(n, d)`` and their classes ``(n,)``. None without labels
        of the classifier's classes, and for its own data, of which it knows how well it does.
        """
        network = self.real.features
        if network.name == self.real.whole:
            return None
        try:
            test = self.real.open("test")
        except BadInput:  # no test split
            return None
        if test.labels is None or len(test.classes) != network.outputs:
            return None
        batches = rows_of(test, range(len(test)))
        return np.concatenate([network(x) for x in batches]), np.asarray(test.labels)


@final
class LabelAccuracy(GivenClass):
    """The share of samples that the data's classifier assigns to the requested class.

    A model with one image for each class gets 100 %: read ``intra_class_diversity`` beside it.
    """

    id, goal, unit = "label_accuracy", "higher", " %"
    reads = ("features",)
    about = "share of samples that the classifier assigns to the requested class"

    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        features, labels = self.labelled_features(subject, n, seed)
        correct = self.real.features.logits(features).argmax(1) == labels
        protocol = {"samples": len(labels), "seed": seed, "classes": "in turn"}
        return Estimates(100.0 * correct, protocol)

    def floor(self) -> float | None:
        network = self.real.features
        if self._labelled_test:
            features, labels = self._labelled_test
            return 100 * float((network.logits(features).argmax(1) == labels).mean())
        if network.name != self.real.whole:
            return None
        facts = getattr(network, "facts", {})
        return 100 * facts["accuracy"] if "accuracy" in facts else None


@final
class IntraClassDiversity(GivenClass):
    """The mean distance in features of two samples of a class, divided by that of test images."""

    id, goal = "intra_class_diversity", "near_one"
    about = "distance between two samples of a class, real images = 1"

    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        features, labels = self.labelled_features(subject, n, seed)
        test = self.real.reference.test
        if not len(test):
            raise BadInput(f"{self.id} needs a test split, and {self.real.data} has none")
        classes = self.real.features.logits(test).argmax(1)
        real = _class_distances(*self._labelled_test or (test, classes))
        protocol = {"samples": len(labels), "seed": seed, "classes": "in turn"}
        return Estimates(_class_distances(features, labels) / real.mean(), protocol)

    def floor(self) -> float | None:
        return 1.0


def _class_distances(features: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """``(K,)``: the mean distance of two features of a class, for each class that has two."""
    groups = [torch.from_numpy(features[classes == k]) for k in np.unique(classes)]
    return np.array([torch.pdist(group).mean().item() for group in groups if len(group) > 1])


def _translations(
    subject: ModelSubject, dataset: DataSet, rows: np.ndarray, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of the images at ``rows``, and of these in the second domain, in 256 levels."""
    model = subject.model
    assert isinstance(model, Translator)
    done = 0
    for x in rows_of(dataset, rows):
        # One seed for each batch, because translate numbers its noise from the batch's first image.
        samples = subject.checked(model.translate(x, model.domains[1], seed=seed + done))
        yield x, samples.tensor.cpu().mul(255).round().div(255)
        done += len(x)


@final
class TranslationAccuracy(ModelMetric):
    """The share of held-out images of the first domain that the data's classifier assigns to the
    second domain after translation.

    The second domain is a class, or an attribute of faces, that the classifier knows
    (``celeba:Black_Hair,celeba:Blond_Hair``).
    """

    id, goal, unit, reads = "translation_accuracy", "higher", " %", ("features",)
    about = "share of translated held-out images that the classifier assigns to the other domain"

    @property
    def name(self) -> str:
        return f"{self.id}-{self.real.features_name}"

    def conditions(self) -> dict[str, Any]:
        network = self.real.features
        return {
            "data": self.real.data,
            "features": network.about,
            "features_sha256": network.sha256,
        }

    def unsupported_reason(self, subject: ModelSubject) -> str:
        if not isinstance(subject.model, Translator):
            return f"{article(subject.model)} does not translate"
        two = "," in self.real.data and self.real.second_domain
        return "" if two else f"it needs two domains: {argument('data', 'A,B')}"

    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        test = self.real.domain(0, "test")
        before, after = [], []
        for x, translated in _translations(subject, test, random_rows(test, n, seed), seed):
            before.append(self._in_second_domain(x))
            after.append(self._in_second_domain(translated))
        share = round(100 * float(np.concatenate(before).mean()), 2)
        protocol = {
            "pictures": f"{sum(map(len, after)):,} of the test split",
            "seed": seed,
            "data_sha256": test.sha256,
        }
        return Estimates(100.0 * np.concatenate(after), protocol, {"before translation": share})

    def floor(self) -> float:
        test = self.real.domain(1, "test")
        hits = [self._in_second_domain(x) for x in rows_of(test, range(len(test)))]
        return 100 * float(np.concatenate(hits).mean())

    def _in_second_domain(self, x: Tensor) -> np.ndarray:  # (n, C, H, W) -> (n,) bool
        classifier = self.real.features
        if not isinstance(classifier, DatasetClassifier):
            raise BadInput(f"{self.id} needs a classifier of the data, not {classifier.about}")
        logits, index = classifier.all_logits(classifier(x)), self._class_index
        return logits.argmax(1) == index if classifier.outputs else logits[:, index] > 0

    @cached_property
    def _class_index(self) -> int:
        """The second domain's class or attribute, as the classifier numbers them."""
        dataset, _, name = self.real.data.split(",")[1].strip().partition(":")
        classes = self.real.class_names(dataset)
        if name not in classes:
            raise BadInput(f"{self.real.data}: the classifier of {dataset} has no class {name!r}")
        return classes.index(name)


@final
class TranslationPSNR(ModelMetric):
    """The peak signal-to-noise ratio of translated held-out images to their partners in the second
    domain. A plausible translation need not be the partner: look at the images, too.
    """

    id, goal, unit, reads = "translation_psnr", "higher", " dB", ()
    about = "peak signal-to-noise ratio of translated held-out images to their partners"

    @property
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data}

    def unsupported_reason(self, subject: ModelSubject) -> str:
        model = subject.model
        if not isinstance(model, Translator):
            return f"{article(model)} does not translate"
        try:
            pairs = self.real.pairs("test", model.shape)
        except BadInput as error:
            return str(error)
        if pairs.shape != tuple(model.shape):
            own, other = ("x".join(map(str, s)) for s in (model.shape, pairs.shape))
            return f"it takes {own} images, but {self.real.data} is {other}"
        return ""

    def estimate(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        pairs = self.real.pairs("test", subject.shape)
        assert pairs.second_domain is not None
        order = random_rows(pairs, n or min(TRANSLATED, len(pairs)), seed)
        before, after = [], []
        results = _translations(subject, pairs, order, seed)
        both = zip(results, rows_of(pairs.second_domain, order), strict=True)
        for (x, translated), partners in both:
            before.append(similarity.psnr(x, partners).numpy())
            after.append(similarity.psnr(translated, partners).numpy())
        details = {"before translation": round(float(np.concatenate(before).mean()), 3)}
        protocol = {
            "pairs": f"{len(order):,} of the test split",
            "seed": seed,
            "data_sha256": pairs.sha256,
        }
        return Estimates(np.concatenate(after), protocol, details)

    def floor(self) -> None:
        return None


KINDS = (
    NearestTrainFeatures,
    NearestTrainPixels,
    LabelAccuracy,
    IntraClassDiversity,
    TranslationAccuracy,
    TranslationPSNR,
)
