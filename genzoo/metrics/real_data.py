"""References: the real images of a data set, as some features see them.

Those of the small classifiers ship with the package, so that nobody needs the data; others are
computed from the data once, and kept in the cache.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from torch import Tensor

from genzoo import data as sets
from genzoo.data.dataset import DataSet
from genzoo.data.dataset import cache_key as key_of
from genzoo.errors import BadInput, OperationFailed, unknown
from genzoo.features.classifiers import Channels, CustomFeatures, Features, Small, names, shipped
from genzoo.features.inception import Inception
from genzoo.files import home, is_folder, write_whole
from genzoo.metrics.statistics.distances import Moments, factored
from genzoo.metrics.statistics.sharpness import sharpness

FORMAT = 2  # raise it whenever the same images would give other statistics
KEPT = 10_000  # features of images of each split that a computed reference keeps
BATCH = 250
FOLDER_OF = "images:"  # before a folder's name: every picture in it, no split kept back
Tell = Callable[[str, int, int], None]  # (what, done, of how many)
# Data sets that are seen by the classifier of another one.
BORROWED = {"stacked-mnist": lambda: Channels("stacked-mnist", "mnist", 3)}


@final
@dataclass(frozen=True, eq=False)
class Reference:
    """What some features saw in the real images of a data set.

    ``moments``: of all training images. ``train``, ``test``: float32 ``(m, d)``, of some images of
    each split, chosen at random; ``test`` is empty where there is no such split. ``images``: what
    was looked at, for a protocol.
    """

    moments: Moments
    train: np.ndarray
    test: np.ndarray
    images: str


@final
class RealData:
    """The real data that models are held against: opened, and looked at, when first asked.

    ``data``: as `genzoo.data.open` takes it, or ``images:FOLDER``, all pictures of a folder.
    ``seen_by``: as `genzoo.metrics.real_data.features` takes it; left out, the classifier of
    ``data``. ``groups``: how many disjoint groups of samples distances are estimated on; left out,
    ten, or one where the features are wide. ``limit``: training images that are looked at.
    """

    def __init__(
        self,
        data: str,
        seen_by: str | None = None,
        *,
        root: str | Path | None = None,
        size: int | None = None,
        channels: int | None = None,
        groups: int | None = None,
        limit: int | None = None,
        progress: Tell | None = None,
    ):
        self.data, self.groups, self.limit = data, groups, limit
        # A part of a data set, or two, are seen by the classifier of the whole.
        whole = is_folder(data) or data.startswith(FOLDER_OF)
        self.whole = data if whole else re.split("[:,]", data)[0]
        self._seen_by, self._progress = seen_by or self.whole, progress
        self._kin: dict[str, RealData] = {self._seen_by: self}
        self._where: dict[str, Any] = {"root": root, "size": size, "channels": channels}
        self._opened: dict[str, DataSet] = {}

    def seen_by(self, features: str) -> "RealData":
        """The same data, seen by other features."""
        kind = features.partition(":")[0]
        if features not in self._kin and self.features_name != kind:
            where = {**self._where, "groups": self.groups, "limit": self.limit}
            kin = RealData(self.data, features, progress=self._progress, **where)
            kin._kin, kin._opened = self._kin, self._opened
            self._kin[features] = kin
        return self._kin.get(features, self)

    @property
    def has_features(self) -> bool:
        """Whether there is something to see the images with."""
        return self._seen_by != self.whole or self.whole in (*names(), *BORROWED)

    @property
    def features_name(self) -> str:
        """The name of the features, known without them."""
        kind, _, rest = self._seen_by.partition(":")
        return kind if kind == "inception" else rest or kind

    @cached_property
    def features(self) -> Features:
        """Raises BadInput where the data have no classifier, and no other features were named."""
        if not self.has_features:
            sets.check(self.whole.removeprefix(FOLDER_OF))  # says so where there are no such data
            have = f"there is one for {', '.join(names())}"
            hint = "--features names other features"
            raise BadInput(f"there is no classifier of {self.data}, {have}; {hint}")
        return features(self._seen_by)

    @cached_property
    def sharpness(self) -> dict[str, float]:
        """The mean over each split, which takes no features. Raises as ``open``."""
        return shipped(self.data).facts["sharpness"] if self._ships else _sharpness_of(self)

    @cached_property
    def looked_at(self) -> str:
        """What of the data is looked at, for a protocol. Raises as ``open``."""
        if self._ships:
            return self.reference.images
        return _images(min(there := len(self.open("train")), self.limit or there), self.limit)

    @cached_property
    def reference(self) -> Reference:
        """Raises as ``features``, and as ``open`` where it must be computed."""
        return _shipped(self.data) if self._ships else _computed(self)

    def open(self, split: str) -> DataSet:
        """A split of the data. Raises as `genzoo.data.open`."""
        if split not in self._opened:
            self._opened[split] = opened_images(self.data, split, self._where)
        return self._opened[split]

    @property
    def _ships(self) -> bool:
        """Whether what is seen in the data comes with the package."""
        return self._seen_by == self.data in names() and not self.limit and self._as_it_is

    @property
    def _as_it_is(self) -> bool:
        """Whether the images keep the size and the channels that the classifier takes."""
        channels, *_, size = self.features.shape or (None, None)
        asked = self._where["channels"], self._where["size"]
        return asked[0] in (None, channels) and asked[1] in (None, size)

    def domain(self, which: int, split: str) -> DataSet:
        """A split of the first or the second of two domains, ``A,B``. Raises as ``open``."""
        name = self.data.split(",")[which].strip()
        return opened_images(name, split, self._where)

    def kinds(self, whole: str) -> tuple[str, ...]:
        """The classes of the data set ``whole``, or its attributes: what a classifier tells."""
        test = sets.open(whole, "test", **self._where)
        return test.classes or test.attributes

    @property
    def takes(self) -> tuple[int, ...] | None:
        """The shape that samples must have to be seen by the features; None: any picture's."""
        return self.features.shape if self.has_features else None

    def conditions(self) -> dict[str, Any]:
        """What a number in these features depends on, for its protocol."""
        found = {
            "data": self.data,
            "features": self.features.about,
            "features_sha256": self.features.sha256,
            "real": self.reference.images,
            "dtype": "float32 features, float64 distances",
        }
        changed = {} if self._as_it_is else self._where
        return {**found, **{k: changed[k] for k in ("size", "channels") if changed.get(k)}}

    def tell(self, what: str, done: int, total: int) -> None:
        if self._progress:
            self._progress(what, done, total)


@cache
def features(text: str) -> Features:
    """The features that ``text`` names: a data set's (``mnist``), ``inception`` (the network of the
    original FID; ``inception:FILE`` with its weights), or ``module:object``, a network of the
    user's own. Raises BadInput, UnknownName, OperationFailed, NetworkError.
    """
    kind, _, rest = text.partition(":")
    if text in names():
        return Small(text)
    if text in BORROWED:
        return BORROWED[text]()
    if kind == "inception":
        return Inception(rest or None)
    if rest:
        return CustomFeatures(text)
    hint = "A network of your own is written module:object."
    raise unknown("network", text, [*names(), *BORROWED, "inception"], hint)


def opened_images(data: str, split: str, where: dict[str, Any]) -> DataSet:
    """A split of a data set, or all pictures of ``images:FOLDER``. Raises as `genzoo.data.open`."""
    if not data.startswith(FOLDER_OF):
        return sets.open(data, split, **where)
    if split not in ("train", "all"):
        raise BadInput(f"{data} is all one: it has no split {split!r}")
    if not (folder := data.removeprefix(FOLDER_OF)):
        raise BadInput("images: names no folder; the folder here is images:.")
    rest = {k: v for k, v in where.items() if k != "root"}
    return sets.open(folder if is_folder(folder) else Path(folder), "all", **rest)


def rows_of(dataset: DataSet, rows: np.ndarray | range) -> Iterator[Tensor]:
    """The images at ``rows`` in batches ``(n, C, H, W)``."""
    for start in range(0, len(rows), BATCH):
        yield dataset.batch(rows[start : start + BATCH])


def some_of(dataset: DataSet, n: int | None, seed: int) -> np.ndarray:
    """The rows of ``n`` images, chosen at random, or all. Raises BadInput where n is too large."""
    there = len(dataset)
    if n is None:
        return np.arange(there)
    if not 1 < n <= there:
        raise BadInput(f"{dataset.name} ({dataset.split}) holds {there:,} images, got n {n:,}")
    return np.random.RandomState(seed % 2**32).permutation(there)[:n]


@cache
def _shipped(data: str) -> Reference:
    kept = shipped(data)
    tensors, facts = kept.tensors, kept.facts
    covariance = factored(tensors["covariance"].numpy())
    return Reference(
        Moments(facts["train"], tensors["mean"].numpy(), covariance),
        tensors["train"].float().numpy(),
        tensors["test"].float().numpy(),
        _images(facts["train"], None),
    )


def _splits(real: RealData) -> dict[str, DataSet]:
    splits = {"train": real.open("train")}
    with suppress(BadInput):  # a folder without a split, or without pictures in it
        splits["test"] = real.open("test")
    return splits


def _sharpness_of(real: RealData) -> dict[str, float]:
    found = {}
    for name, dataset in _splits(real).items():
        order = _looked_through(real, dataset)
        found[name] = sum(_sharp(x) for x in rows_of(dataset, order)) / len(order)
    return found


def _sharp(x: Tensor) -> float:
    return sharpness(x).sum().item() if min(x.shape[2:]) > 2 else 0.0


def _looked_through(real: RealData, dataset: DataSet) -> np.ndarray:
    count = min(len(dataset), real.limit or len(dataset))
    return np.random.RandomState(0).permutation(len(dataset))[:count]


def _computed(real: RealData) -> Reference:
    """From the cache, or from the images, which takes as long as it takes to look at them."""
    splits = _splits(real)
    shape = splits["train"].shape
    if real.takes not in (None, shape):
        shapes = ("x".join(map(str, s)) for s in (shape, real.takes or ()))
        raise BadInput("{} is {}, and the features take {}".format(real.data, *shapes))
    hashes = [dataset.sha256 for dataset in splits.values()]
    path = home() / "references" / f"{key_of([FORMAT, hashes, real.features.sha256, real.limit])}"
    path = path.with_suffix(".safetensors")
    kept = None if not real.features.sha256 else _read(path)
    if kept is None:
        found = {name: _looked_at(real, name, dataset) for name, dataset in splits.items()}
        kept = {f"{name}.{k}": v for name, values in found.items() for k, v in values.items()}
        if real.features.sha256:
            _write(path, kept)
    return _assembled(kept, real.limit)


def _looked_at(real: RealData, split: str, dataset: DataSet) -> dict[str, np.ndarray]:
    order = _looked_through(real, dataset)
    seen, count = [], len(order)
    for x in rows_of(dataset, order):
        seen.append(real.features(x))
        real.tell(f"{dataset.name} ({split})", sum(map(len, seen)), count)
    found = np.concatenate(seen)
    check_finite(found, f"the features of {dataset.name}")
    wide = found.astype(np.float64)
    if len(wide) < 2:
        raise BadInput(f"{dataset.name} has {len(wide)} image: a distance takes at least 2")
    if not np.ptp(found, axis=0).any():
        raise BadInput(f"{real.features.about}, sees the same in all images of {dataset.name}")
    full = {"covariance": np.cov(wide.T)} if len(wide) > wide.shape[1] else {}
    return {
        "n": np.array(len(wide)),
        "mean": wide.mean(0),
        "features": found if not full else found[:KEPT],
        **full,
    }


def _assembled(kept: dict[str, np.ndarray], limit: int | None) -> Reference:
    n, seen = int(kept["train.n"]), kept["train.features"]
    if "train.covariance" in kept:
        factor = factored(kept["train.covariance"])
    else:
        factor = (seen.astype(np.float64) - kept["train.mean"]) / np.sqrt(n - 1)
    test = kept.get("test.features", seen[:0])
    return Reference(Moments(n, kept["train.mean"], factor), seen, test, _images(n, limit))


def _images(n: int, limit: int | None) -> str:
    return f"{n:,} training images" + (" chosen at random" if limit else "")


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """A reference of the cache, or None where it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            kept = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            told = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError):
        return None
    return kept if told == _sha256(kept) else None


def _sha256(kept: dict[str, np.ndarray]) -> str:
    found = hashlib.sha256()
    for key in sorted(kept):
        found.update(key.encode() + np.ascontiguousarray(kept[key]).tobytes())
    return found.hexdigest()


def _write(path: Path, kept: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(
            f"cannot write {path.parent}: {error.strerror}; set GENZOO_HOME"
        ) from error
    write_whole(path, save(kept, {"sha256": _sha256(kept)}))


def check_finite(values: np.ndarray, what: str) -> None:
    """Raises BadInput where a value is not finite: no distance could follow from it."""
    if bad := int((~np.isfinite(values).reshape(len(values), -1).all(1)).sum()):
        raise BadInput(f"{what}: {bad:,} of {len(values):,} hold values that are not finite")
