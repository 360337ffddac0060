"""The contract of a data set: train and test share no sample, reading twice gives the same rows."""

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import torch

from genzoo import data
from genzoo.data import catalogue
from genzoo.data.dataset import DataSet, Source
from genzoo.errors import OperationFailed
from genzoo.models.ranges import PUBLIC
from genzoo.testing.contract import Broken, Contract, require

SHARED = 0.01  # the share of test samples that may be in train, too: real sets hold copies
LEVELS = {"images": (2, 256), "signals": (0,), "points": (0,)}


@final
@dataclass(frozen=True)
class Case:
    """A data set, opened when first used."""

    name: str
    source: Source

    @cached_property
    def splits(self) -> dict[str, DataSet]:
        return {split: data.open(self.source, split) for split in self.source.splits}


DATASET = Contract("dataset", lambda name: nullcontext(Case(name, data.describe(name))))


@DATASET.check
def _says_what_it_is(case: Case) -> None:
    source = case.source
    require(source.summary, "summary is empty: describe the data set in a phrase")
    require(source.terms, "terms is empty: give the owner and the license")
    require(source.kind in LEVELS, f"kind must be one of {[*LEVELS]}, got {source.kind!r}")
    levels = LEVELS[source.kind]
    require(
        source.levels in levels,
        f"levels of {source.kind} must be one of {levels}, got {source.levels}",
    )
    classes = source.classes
    are_names = isinstance(classes, tuple) and all(c and isinstance(c, str) for c in classes)
    require(are_names, f"classes must be a tuple of names, got {classes!r:.80}")
    require(len({*classes}) == len(classes), "two classes have the same name")


@DATASET.check
def _has_train_and_test(case: Case) -> None:
    for split in ("train", "test"):
        require(split in case.splits, f"the split {split} is missing")
        require(len(case.splits[split]) > 0, f"the split {split} is empty")


@DATASET.check
def _splits_share_no_sample(case: Case) -> None:
    train, test = ([*map(bytes, case.splits[s].array)] for s in ("train", "test"))
    digests = {hashlib.sha256(row).digest() for row in train}
    copies = sum(hashlib.sha256(row).digest() in digests for row in test)
    message = f"{copies} of {len(test)} test samples are in train, too"
    require(copies <= SHARED * len(test), message)


@DATASET.check
def _splits_are_alike(case: Case) -> None:
    shapes = {split: opened.shape for split, opened in case.splits.items()}
    require(len({*shapes.values()}) == 1, f"the splits differ in shape: {shapes}")
    rates = {split: opened.rate for split, opened in case.splits.items()}
    is_rate = len({*rates.values()}) == 1 and (min(rates.values()) > 0) == (
        case.source.kind == "signals"
    )
    require(is_rate, f"rate must be that of all signals, or 0 for other kinds: {rates}")
    classes = {split: opened.classes for split, opened in case.splits.items()}
    require(len({*classes.values()}) == 1, f"the splits differ in classes: {classes!r:.200}")


@DATASET.check
def _samples_are_what_the_core_takes(case: Case) -> None:
    for split, opened in case.splits.items():
        dtype = np.uint8 if opened.kind == "images" else np.float32
        require(
            opened.array.dtype == dtype, f"{split} is {opened.array.dtype}, not {dtype.__name__}"
        )
        batch = opened.batch(range(min(4, len(opened))))
        require(
            batch.dtype == torch.float32, f"batches of {split} must be float32, got {batch.dtype}"
        )
        require(batch.isfinite().all(), f"{split} has values that are not finite")
        if opened.kind == "images":
            square = opened.shape[1] == opened.shape[2]
            require(square, f"images must be square, got {opened.shape}: ImageFiles crops them")
        if span := PUBLIC[opened.kind]:
            low, high = span
            inside = batch.min() >= low and batch.max() <= high
            require(inside, f"batches of {split} have values outside of [{low:g}, {high:g}]")


@DATASET.check
def _read_twice_it_is_the_same(case: Case) -> None:
    """Without the cache: another version of the plugin may have filled it."""
    for split, opened in case.splits.items():
        keys = {case.source.read(None, split).key for _ in range(2)}
        require(len(keys) == 1, f"{split}: two reads give two keys")
        once, again = (_sha256(case.source, split) for _ in range(2))
        require(once == again, f"{split}: two reads give two hashes; use a fixed seed")
        message = "the cache has other rows under this key: change the key when the rows change"
        require(once == opened.sha256, f"{split}: {message}")


@DATASET.check
def _labels_are_its_classes(case: Case) -> str | None:
    if all(opened.labels is None for opened in case.splits.values()):
        require(not case.source.classes, "it names classes but gives no labels")
        return "has no labels"
    for split, opened in case.splits.items():
        labels, count = opened.labels, len(opened.classes)
        if labels is None:
            require(False, f"{split} has no labels, but another split has")
            continue
        require(labels.dtype == np.int64, f"labels of {split} must be int64, got {labels.dtype}")
        require(
            len(labels) == len(opened),
            f"{split} has {len(labels)} labels for {len(opened)} samples",
        )
        low, high = labels.min(), labels.max()
        require(
            low >= 0 and high < count, f"{split} has labels {low} to {high}, but {count} classes"
        )
    return None


@DATASET.check
def _attributes_fit_the_samples(case: Case) -> str | None:
    names = case.source.attributes
    if not names:
        return "has no attributes"
    are_names = isinstance(names, tuple) and all(n and isinstance(n, str) for n in names)
    require(are_names, f"attributes is a tuple of names, got {names!r:.80}")
    both = (*names, *case.source.classes)
    require(len({*both}) == len(both), "two attributes or classes have one name")
    for split, opened in case.splits.items():
        try:
            data.having(opened, names[0])
        except OperationFailed as error:
            raise Broken(f"{split}: {error}") from None
    return None


def _sha256(source: Source, split: str) -> str:
    raw = source.read(None, split)
    meta = {"name": source.name, "split": split, "classes": source.classes, "skipped": []}
    sha256, label_bytes = hashlib.sha256(), []
    for block, labels in catalogue.convert(source, raw, meta):
        sha256.update(np.ascontiguousarray(block).data)
        label_bytes += [] if labels is None else [labels.tobytes()]
    sha256.update(b"".join(label_bytes))
    return sha256.hexdigest()
