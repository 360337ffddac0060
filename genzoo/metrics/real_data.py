"""The real data that metrics compare with: samples, their features and statistics (reference).

References in the features of the small classifiers ship with the package, so that they need no
data set. Others are computed from the data once and stored in the cache.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any, final, get_args

import numpy as np
from torch import Tensor

from genzoo import data as sets
from genzoo.data.dataset import DataSet, Source
from genzoo.data.dataset import cache_key as key_of
from genzoo.data.register import IMAGES, holds_folder, label, parts_of, to_open
from genzoo.data.transforms import split_name
from genzoo.errors import BadInput, argument, unknown
from genzoo.features.classifiers import (
    ChannelClassifier,
    CustomFeatures,
    DatasetClassifier,
    FeatureExtractor,
    names,
    none_for,
    shipped,
)
from genzoo.features.direct import Coordinates, LogMel
from genzoo.features.inception import Inception
from genzoo.files import home, is_folder
from genzoo.metrics import stored_reference
from genzoo.metrics.statistics.distances import Moments, factored
from genzoo.metrics.statistics.sharpness import sharpness
from genzoo.metrics.stored_reference import Reference
from genzoo.models.sampler import Progress
from genzoo.schemas import Kind
from genzoo.zoo import installed

FORMAT = 2  # increase it when the same images would give other statistics
KEPT = 10_000  # images of each split whose features a computed reference stores
BATCH = 250
# The features of data that no classifier is for.
FEATURES_OF: dict[Kind, str] = {"signals": "logmel", "points": "coordinates"}
# Data sets that use the classifier of another one.
BORROWED = {"stacked-mnist": lambda: ChannelClassifier("stacked-mnist", "mnist", 3)}


@final
class RealData:
    """The real data that a metric compares with, opened at first use.

    ``data``: its name, which may stand on a card: of a folder the last part of its path; ``name``
    replaces it. ``given``: what it was created with, as in `genzoo.data.open`, or
    ``images:FOLDER``, all images of a folder. ``features``: as in `load_features`; by default the
    classifier of ``data``, for signals ``logmel``, for points ``coordinates``. ``size`` to
    ``levels``: as in `genzoo.data.open`. ``groups``: the number of disjoint groups of samples that
    distances are estimated on; by default ten, or one for wide features. ``limit``: the number of
    training samples to use; by default all. ``opened``: the splits opened so far.
    """

    def __init__(
        self,
        data: str | Path | Source,
        features: str | None = None,
        *,
        name: str | None = None,
        root: str | Path | None = None,
        size: int | str | None = None,
        channels: int | None = None,
        length: int | None = None,
        rate: int | None = None,
        fit: str | None = None,
        levels: str | None = None,
        groups: int | None = None,
        limit: int | None = None,
        progress: Progress | None = None,
    ):
        self.given = to_open(data) if isinstance(data, str) else data
        self.data = name or label(data)
        self.groups, self.limit = groups, limit
        self.whole = self._whole()
        self.given_features, self._progress = features, progress
        self._siblings: dict[str, RealData] = {}
        self._where: dict[str, Any] = {"root": root, "size": size, "channels": channels}
        self._where |= {"length": length, "rate": rate, "fit": fit, "levels": levels}
        self.opened: dict[str, DataSet] = {}

    def _whole(self) -> str:
        """The data set of which the data are a part, or two parts: they use its classifier."""
        given = self.given
        if not isinstance(given, str) or self.is_folder or split_name(given)[1]:
            return str(self.data) if isinstance(given, Source) else str(given)
        return re.split("[:,]", given)[0]

    @property
    def is_folder(self) -> bool:
        """Whether the data are a folder's: then only their hash says which they are."""
        given = self.given
        if isinstance(given, Source):
            return False
        return holds_folder(given) or str(given).startswith(IMAGES)

    def with_features(self, features: str) -> "RealData":
        """The same data with other features."""
        kind = features.partition(":")[0]
        self._siblings.setdefault(self._features_spec, self)
        if features not in self._siblings and self.features_name != kind:
            where = {**self._where, "groups": self.groups, "limit": self.limit, "name": self.data}
            sibling = RealData(self.given, features, progress=self._progress, **where)
            sibling._siblings, sibling.opened = self._siblings, self.opened
            self._siblings[features] = sibling
        return self._siblings.get(features, self)

    @cached_property
    def kind(self) -> Kind:
        """The kind of samples. Raises BadInput, UnknownName if the data do not exist."""
        if self.whole.startswith(IMAGES):
            return "images"
        return sets.kind_of(self.whole if isinstance(self.given, str) else self.given)

    @cached_property
    def _features_spec(self) -> str:
        return self.given_features or FEATURES_OF.get(self.kind, self.whole)

    @property
    def has_features(self) -> bool:
        """Whether features were named, or the data have a classifier."""
        known = isinstance(self.given, str) and self.whole in (*names(), *BORROWED)
        return self._features_spec != self.whole or known

    @property
    def feature_kinds(self) -> tuple[Kind, ...]:
        """The kinds of samples that the features take; loads nothing."""
        spec = self._features_spec
        if ":" in spec and self.features_name != "inception":  # the user's own network
            return get_args(Kind)
        return tuple(k for k, name in FEATURES_OF.items() if name == spec) or ("images",)

    @property
    def features_name(self) -> str:
        """The name of the features; loads nothing."""
        kind, _, rest = self._features_spec.partition(":")
        return kind if kind == "inception" else rest or kind

    @cached_property
    def features(self) -> FeatureExtractor:
        """Raises BadInput if the data have no classifier and no features were named."""
        if not self.has_features:
            if not isinstance(self.given, Source):
                name = self.given if isinstance(self.given, Path) else self.whole
                sets.check(str(name).removeprefix(IMAGES))  # raises if it does not exist
            raise none_for(self.data, f"name other features with {argument('features')}")
        if self._features_spec == "logmel":
            return LogMel(self.open("train").rate)
        return load_features(self._features_spec)

    @cached_property
    def sharpness(self) -> dict[str, float]:
        """The mean sharpness of the images of each split. Raises as ``open``."""
        return shipped(self.whole).facts["sharpness"] if self._ships else _sharpness_of(self)

    @cached_property
    def protocol_images(self) -> str:
        """Which images are used, for a protocol. Raises as ``open``."""
        if self._ships:
            return self.reference.images
        count = len(self.open("train"))
        return _images_text(self.kind, min(count, self.limit or count), self.limit)

    @cached_property
    def reference(self) -> Reference:
        """Raises as ``features``, and as ``open`` if it must be computed."""
        return _shipped(self.whole) if self._ships else _computed(self)

    def open(self, split: str) -> DataSet:
        """A split of the data. Raises as `genzoo.data.open`."""
        if split not in self.opened:
            self.opened[split] = opened_images(self.given, split, self._where)
        return self.opened[split]

    @property
    def _ships(self) -> bool:
        """Whether the reference comes with the package."""
        own = isinstance(self.given, str) and self._features_spec == self.given in names()
        return own and not self.limit and self._is_native

    @property
    def _is_native(self) -> bool:
        """Whether the images keep the size and the channels that the classifier takes."""
        channels, *_, size = self.features.shape or (None, None)
        same_channels = self._where["channels"] in (None, channels)
        return same_channels and self._where["size"] in (None, size)

    @property
    def second_domain(self) -> str:
        """The second of the domains ``A,B`` or ``NAME@TRANSFORM``; "" if the data are one set."""
        if len(both := self._domains) == 2:
            return str(both[1])
        name, kind = split_name(self.given)
        return name if kind else ""

    @property
    def _domains(self) -> list[str | Path]:
        """Both of two domains ``A,B``; else at most one."""
        given = self.given
        if isinstance(given, Source) or str(given).startswith(IMAGES):
            return []
        return parts_of(given)

    def pairs(self, split: str, shape: tuple[int, ...]) -> DataSet:
        """A split of pairs, in the ``shape`` (C, H, W) of a model. Raises as ``open_pair``."""
        channels, height, width = shape
        own: dict[str, Any] = {"size": f"{width}x{height}", "channels": channels}
        where = {k: v or own.get(k) for k, v in self._where.items() if k not in ("length", "rate")}
        key = f"pairs of {split}"
        if key not in self.opened:
            if isinstance(self.given, Source):
                raise BadInput(f"{self.data} is one set of images: pairs are two folders A,B")
            two = sets.open_pair(self.given, split, aligned=True, **where)
            self.opened[key] = sets.paired(*two, aligned=True)
        return self.opened[key]

    def domain(self, index: int, split: str) -> DataSet:
        """A split of the first (0) or second (1) of two domains, ``A,B``. Raises as ``open``."""
        key = f"{split} of domain {index}"
        if key not in self.opened:
            self.opened[key] = opened_images(self._domains[index], split, self._where)
        return self.opened[key]

    def class_names(self, whole: str) -> tuple[str, ...]:
        """The classes of the data set ``whole``, or its attributes: a classifier's outputs."""
        test = sets.open(whole, "test", **self._where)
        return test.classes or test.attributes

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of image that the features take; None: any."""
        return self.features.shape if self.has_features else None

    @property
    def identity(self) -> dict[str, Any]:
        """Which data these are, for a protocol: their name, and where it says little their hash."""
        return {"data": self.data, **({"data_sha256": self.sha256} if self.sha256 else {})}

    @cached_property
    def sha256(self) -> str | None:
        """Of the training split of a folder, or of arrays: their name does not say which they are.
        None for a named data set, and for two domains.
        """
        if self.second_domain or not (self.is_folder or isinstance(self.given, Source)):
            return None
        with suppress(BadInput):  # a folder of pairs
            return self.open("train").sha256
        return None

    def conditions(self) -> dict[str, Any]:
        """What a score in these features depends on, for its protocol."""
        conditions = {
            **self.identity,
            "features": self.features.about,
            "features_sha256": self.features.sha256,
            "real": self.reference.images,
            "dtype": "float32 features, float64 distances",
        }
        if self.kind == "signals":
            train = self.open("train")
            form = {"channels": train.shape[0], "length": train.shape[1], "rate": train.rate}
            return {**conditions, **form}
        changed = {} if self._is_native else self._where
        return {**conditions, **{k: v for k, v in changed.items() if v and k != "root"}}

    def report(self, what: str, done: int, total: int) -> None:
        """Report to ``progress`` that ``done`` of ``total`` steps are done."""
        if self._progress:
            self._progress(what, done, total)


@cache
def load_features(spec: str) -> FeatureExtractor:
    """A feature extractor by name: a data set's classifier (``mnist``), ``inception`` (the network
    of the original FID; ``inception:FILE`` with these weights), or ``module:object``, the user's
    own network; ``coordinates`` of points. The log-mel statistics of signals need their rate:
    `RealData` has them. Raises BadInput, UnknownName, OperationFailed, NetworkError.
    """
    kind, _, rest = spec.partition(":")
    if spec in names():
        return DatasetClassifier(spec)
    if spec in BORROWED:
        return BORROWED[spec]()
    if kind == "inception":
        return Inception(rest or None)
    if spec == "coordinates":
        return Coordinates()
    if rest:
        return CustomFeatures(spec)
    hint = installed.hint("For your own network write module:object.")
    raise unknown("network", spec, [*names(), *BORROWED, "inception"], hint)


def opened_images(data: str | Path | Source, split: str, where: dict[str, Any]) -> DataSet:
    """A split of a data set, or all images of ``images:FOLDER``. Raises as `genzoo.data.open`."""
    if not isinstance(data, str) or not data.startswith(IMAGES):
        return sets.open(data, split, **where)
    if split not in ("train", "all"):
        raise BadInput(f"{data} has no {split!r} split: images:FOLDER has no splits")
    if not (folder := data.removeprefix(IMAGES)):
        raise BadInput(
            "images: needs a folder, like images:photos (images:. is the current folder)"
        )
    rest = {k: v for k, v in where.items() if k != "root"}
    return sets.open(folder if is_folder(folder) else Path(folder), "all", **rest)


def rows_of(dataset: DataSet, rows: np.ndarray | range) -> Iterator[Tensor]:
    """The samples at ``rows`` in batches ``(n, *shape)``."""
    for start in range(0, len(rows), BATCH):
        yield dataset.batch(rows[start : start + BATCH])


def random_rows(dataset: DataSet, n: int | None, seed: int) -> np.ndarray:
    """The rows of ``n`` randomly chosen samples, or of all. Raises BadInput if n is too large."""
    count = len(dataset)
    if n is None:
        return np.arange(count)
    if not 1 < n <= count:
        where = f"{dataset.name} ({dataset.split})"
        raise BadInput(f"{where} has {count:,} {dataset.kind}: n must be 2 to {count:,}, got {n:,}")
    return np.random.RandomState(seed % 2**32).permutation(count)[:n]


@cache
def _shipped(data: str) -> Reference:
    tensors, facts = shipped(data).tensors, shipped(data).facts
    covariance = factored(tensors["covariance"].numpy())
    return Reference(
        Moments(facts["train"], tensors["mean"].numpy(), covariance),
        tensors["train"].float().numpy(),
        tensors["test"].float().numpy(),
        _images_text("images", facts["train"], None),
    )


def _splits(real: RealData) -> dict[str, DataSet]:
    splits = {"train": real.open("train")}
    with suppress(BadInput):  # a folder without a split, or without pictures in it
        splits["test"] = real.open("test")
    return splits


def _sharpness_of(real: RealData) -> dict[str, float]:
    def total(x: Tensor) -> float:
        return sharpness(x).sum().item() if min(x.shape[2:]) > 2 else 0.0

    means = {}
    for name, dataset in _splits(real).items():
        order = _reference_rows(real, dataset)
        means[name] = sum(total(x) for x in rows_of(dataset, order)) / len(order)
    return means


def _reference_rows(real: RealData, dataset: DataSet) -> np.ndarray:
    count = min(len(dataset), real.limit or len(dataset))
    return np.random.RandomState(0).permutation(len(dataset))[:count]


def _computed(real: RealData) -> Reference:
    """The reference from the cache, or from the images, which takes a pass over all of them."""
    splits = _splits(real)
    shape = splits["train"].shape
    if real.input_shape not in (None, shape):
        own, expected = ("x".join(map(str, s)) for s in (shape, real.input_shape or ()))
        raise BadInput(f"{real.data} is {own}, but the features take {expected}")
    hashes = [dataset.sha256 for dataset in splits.values()]
    path = home() / "references" / f"{key_of([FORMAT, hashes, real.features.sha256, real.limit])}"
    path = path.with_suffix(".safetensors")
    arrays = None if not real.features.sha256 else stored_reference.read(path)
    if arrays is None:
        statistics = {name: _statistics(real, name, dataset) for name, dataset in splits.items()}
        arrays = {
            f"{name}.{k}": v for name, values in statistics.items() for k, v in values.items()
        }
        if real.features.sha256:
            stored_reference.write(path, arrays)
    return _assembled(arrays, real)


def _statistics(real: RealData, split: str, dataset: DataSet) -> dict[str, np.ndarray]:
    """``n``, ``mean``, ``features`` and, where n is above their width, ``covariance``."""
    order = _reference_rows(real, dataset)
    batches: list[np.ndarray] = []
    for x in rows_of(dataset, order):
        batches.append(real.features(x))
        real.report(f"{dataset.name} ({split})", sum(map(len, batches)), len(order))
    features = np.concatenate(batches)
    check_finite(features, f"the features of {dataset.name}")
    if len(features) < 2:
        few = f"{dataset.name} holds too few {dataset.kind}, {len(features)}"
        raise BadInput(f"{few}: a distance needs at least 2")
    if not np.ptp(features, axis=0).any():
        all_of_them = f"all {dataset.kind} of {dataset.name}"
        raise BadInput(f"the features ({real.features.about}) are the same for {all_of_them}")
    wide = features.astype(np.float64)
    full = {"covariance": np.cov(wide.T)} if len(wide) > wide.shape[1] else {}
    return {
        "n": np.array(len(wide)),
        "mean": wide.mean(0),
        "features": features if not full else features[:KEPT],
        **full,
    }


def _assembled(arrays: dict[str, np.ndarray], real: RealData) -> Reference:
    n, train = int(arrays["train.n"]), arrays["train.features"]
    if "train.covariance" in arrays:
        factor = factored(arrays["train.covariance"])
    else:
        factor = (train.astype(np.float64) - arrays["train.mean"]) / np.sqrt(n - 1)
    test = arrays.get("test.features", train[:0])
    text = _images_text(real.kind, n, real.limit)
    return Reference(Moments(n, arrays["train.mean"], factor), train, test, text)


def _images_text(kind: Kind, n: int, limit: int | None) -> str:
    return f"{n:,} training {kind}" + (" chosen at random" if limit else "")


def check_finite(values: np.ndarray, what: str) -> None:
    """Check that all ``values`` ``(n, ...)`` are finite. Raises BadInput."""
    if bad := int((~np.isfinite(values).reshape(len(values), -1).all(1)).sum()):
        raise BadInput(
            f"{what}: {bad:,} of {len(values):,} rows contain values that are not finite"
        )
