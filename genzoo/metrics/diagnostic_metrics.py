"""Diagnostics: whether a model repeats its training images, or draws what it is asked for."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput, article
from genzoo.features.classifiers import Small
from genzoo.metrics.metric import ModelMetric, SampleMetric
from genzoo.metrics.real_data import rows_of, some_of
from genzoo.metrics.score import Estimates
from genzoo.metrics.statistics import distances, ranks
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.abilities import Translator
from genzoo.models.sampler import Sampler

BLOCKS, NEAREST, QUANTILE = 40, 2000, 0.001
LABELLED = 2000


class _Known(NamedTuple):
    """The training images, and how far held-out images are from the nearest of them."""

    train: np.ndarray
    held: np.ndarray


class Nearness(SampleMetric):
    """How near samples come to training images, beside how near held-out images come: the ratio of
    the median distances, 1 if nothing was learnt by heart, near 0 if everything was.
    """

    goal = "near_one"
    least = BLOCKS

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.data}"

    @final
    def judged(self, measured: np.ndarray) -> Estimates:
        known = self._known
        flat = measured.reshape(len(measured), -1)[:NEAREST]
        apart = distances.nearest(flat, known.train)
        limit = np.quantile(known.held, QUANTILE)
        details = {
            "p-value": float(f"{ranks.rank_test(apart, known.held):.3g}"),
            "nearer than all but 0.1 % of held-out images": int((apart < limit).sum()),
        }
        half = np.median(known.held)
        parts = np.array([np.median(block) / half for block in np.array_split(apart, BLOCKS)])
        told = {"samples compared": len(flat), "held-out images": len(known.held)}
        return Estimates(parts, told, details)

    @final
    def floor(self, n: int) -> float | None:
        return 1.0

    @cached_property
    def _known(self) -> _Known:
        train, held = (self._seen(split) for split in ("train", "test"))
        few = np.random.RandomState(0).permutation(len(held))[:NEAREST]
        return _Known(train, distances.nearest(held[few], train))

    def _seen(self, split: str) -> np.ndarray:  # -> (n, d), of training images mirrored ones too
        dataset = self.real.open(split)
        found = []
        for x in rows_of(dataset, range(len(dataset))):
            views = (x, x.flip(3)) if split == "train" else (x,)
            found += [np.asarray(self.measure(v), np.float32).reshape(len(x), -1) for v in views]
            self.real.tell(f"{dataset.name} ({split})", sum(map(len, found)), 2 * len(dataset))
        return np.concatenate(found)


@final
class NearestTrainFeatures(Nearness):
    """By the features of the data's classifier."""

    id = "nearest_train_features"
    about = "distance to the nearest training image, that of held-out images = 1, in features"

    @property
    def measure(self) -> Callable[[Tensor], np.ndarray]:
        return self.real.features

    def conditions(self) -> dict[str, Any]:
        hashes = {"data_sha256": self.real.open("train").sha256}
        return {**self.real.conditions(), **hashes}


@final
class NearestTrainPixels(Nearness):
    """By the pixels themselves."""

    id = "nearest_train_pixels"
    about = "distance to the nearest training image, that of held-out images = 1, in pixels"

    @property
    def measure(self) -> Callable[[Tensor], np.ndarray]:
        return _pixels

    def conditions(self) -> dict[str, Any]:
        return {"data": self.real.data, "data_sha256": self.real.open("train").sha256}


def _pixels(x: Tensor) -> np.ndarray:
    return x.flatten(1).cpu().numpy()


class Classed(ModelMetric):
    """A number about the classes that a conditional model is asked for."""

    @property
    @final
    def name(self) -> str:
        return f"{self.id}-{self.real.features_name}"

    @final
    def conditions(self) -> dict[str, Any]:
        return self.real.conditions()

    @final
    def lacks(self, subject: ModelSubject) -> str:
        model, classes = subject.model, self.real.features.outputs
        have = getattr(model, "num_classes", 0)
        if not isinstance(model, Sampler) or not have:
            return "it takes no classes"
        if have != classes:
            return f"it has {have} classes, and {self.real.features.about} tells {classes} apart"
        return ""

    @final
    def seen(
        self, subject: ModelSubject, n: int | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features of samples ``(n, d)``, and the class that was asked for ``(n,)``, in turn."""
        model, count = subject.model, n or LABELLED
        assert isinstance(model, Sampler)
        asked = torch.arange(count) % model.num_classes
        parts = model.stream(count, labels=asked, seed=seed, batch_size=250)
        found = [self.real.features(p.tensor.cpu().mul(255).round().div(255)) for p in parts]
        return np.concatenate(found), asked.numpy()


@final
class LabelAccuracy(Classed):
    """How often the data's classifier finds the class that was asked for. A model of one picture
    for each class gets 100 %: see ``intra_class_diversity`` beside it.
    """

    id, goal, unit = "label_accuracy", "higher", " %"
    about = "share of samples that the classifier takes for the class that was asked for"

    def found(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        features, asked = self.seen(subject, n, seed)
        right = self.real.features.logits(features).argmax(1) == asked
        told = {"samples": len(asked), "seed": seed, "classes": "in turn"}
        return Estimates(100.0 * right, told)

    def floor(self) -> float | None:
        facts = getattr(self.real.features, "facts", {})
        return 100 * facts["accuracy"] if "accuracy" in facts else None


@final
class IntraClassDiversity(Classed):
    """The mean distance of two samples of a class, in features, as a share of two test images'."""

    id, goal = "intra_class_diversity", "near_one"
    about = "distance of two samples of a class, that of two real images of a class = 1"

    def found(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        features, asked = self.seen(subject, n, seed)
        test = self.real.reference.test
        if not len(test):
            raise BadInput(f"{self.real.data} has no test split to compare with")
        real = _apart(test, self.real.features.logits(test).argmax(1))
        told = {"samples": len(asked), "seed": seed, "classes": "in turn"}
        return Estimates(_apart(features, asked) / real.mean(), told)

    def floor(self) -> float | None:
        return 1.0


def _apart(features: np.ndarray, classes: np.ndarray) -> np.ndarray:  # (n, d), (n,) -> (K,)
    """The mean distance of two of a class, for each class that has two."""
    kinds = [torch.from_numpy(features[classes == k]) for k in np.unique(classes)]
    return np.array([torch.pdist(kind).mean().item() for kind in kinds if len(kind) > 1])


@final
class TranslationAccuracy(ModelMetric):
    """How often held-out pictures of the first domain, translated, are taken for the second's.

    The second domain is a class, or an attribute of faces, that the data's classifier knows
    (``celeba:Black_Hair,celeba:Blond_Hair``).
    """

    id, goal, unit = "translation_accuracy", "higher", " %"
    about = (
        "share of held-out pictures that the classifier takes for the other domain's, translated"
    )

    @property
    def name(self) -> str:
        return f"{self.id}-{self.real.features_name}"

    def conditions(self) -> dict[str, Any]:
        seen_by = self.real.features
        told = {"features": seen_by.about, "features_sha256": seen_by.sha256}
        return {"data": self.real.data, **told}

    def lacks(self, subject: ModelSubject) -> str:
        if not isinstance(subject.model, Translator):
            return f"{article(subject.model)} does not translate"
        return "" if "," in self.real.data else "--data names the two domains, A,B"

    def found(self, subject: ModelSubject, n: int | None, seed: int) -> Estimates:
        model, held = subject.model, self._held(0)
        assert isinstance(model, Translator)
        before, after = [], []
        for x in rows_of(held, some_of(held, n, seed)):
            made = model.translate(x, model.domains[1], seed=seed).tensor.cpu()
            before.append(self._taken(x))
            after.append(self._taken(made.mul(255).round().div(255)))
        share = round(100 * float(np.concatenate(before).mean()), 2)
        told = {"pictures": f"{sum(map(len, after)):,} of the test split", "seed": seed}
        told["data_sha256"] = held.sha256
        return Estimates(100.0 * np.concatenate(after), told, {"before translation": share})

    def floor(self) -> float:
        second = self._held(1)
        seen = [self._taken(x) for x in rows_of(second, range(len(second)))]
        return 100 * float(np.concatenate(seen).mean())

    def _held(self, which: int) -> DataSet:
        return self.real.domain(which, "test")

    def _taken(self, x: Tensor) -> np.ndarray:  # (n, C, H, W) -> (n,), for the second domain's?
        seen_by = self.real.features
        if not isinstance(seen_by, Small):
            raise BadInput(f"{self.id} takes a classifier of the data, not {seen_by.about}")
        found, place = seen_by.outcomes(seen_by(x)), self._place
        return found.argmax(1) == place if seen_by.outputs else found[:, place] > 0

    @cached_property
    def _place(self) -> int:
        """The second domain's number among what the classifier tells apart."""
        whole, _, kind = self.real.data.split(",")[1].strip().partition(":")
        classes = self.real.kinds(whole)
        if kind not in classes:
            raise BadInput(f"{self.real.data}: the classifier of {whole} does not know {kind!r}")
        return classes.index(kind)


KINDS = (
    NearestTrainFeatures,
    NearestTrainPixels,
    LabelAccuracy,
    IntraClassDiversity,
    TranslationAccuracy,
)
