"""Published numbers with protocol and source, and the scores of genzoo's cards that compare.

The numbers are in ``published.json``; reading them needs no network and no torch.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, final

from genzoo import data as datasets
from genzoo.errors import InvalidModel, see_all, unknown
from genzoo.schemas import Name, Schema, checked, read_json
from genzoo.zoo import card as cards
from genzoo.zoo import installed
from genzoo.zoo.manifest import Measured

__all__ = [
    "CardScore",
    "Protocol",
    "Published",
    "Source",
    "Table",
    "names",
    "published",
    "tables",
]

FILE = Path(__file__).with_name("published.json")
# How a likelihood's protocol names the usual law of grey images for a model of two levels.
BINARISED = "stochastic binarisation, drawn by the seed"
# The number of images: None if the metric uses none, like generated ones for a likelihood.
Images = int | Literal["not stated"] | None


@final
class Protocol(Schema):
    """What two numbers must share to be in one table."""

    n_real: Images
    n_fake: Images
    split: Name
    features: Name
    size: Name | None = None
    averaging: Name | None = None
    plus_minus: Name | None = None
    note: Name | None = None

    def __str__(self) -> str:
        counts = [_counted(self.n_real, "real"), _counted(self.n_fake, "fake")]
        fields = {"split": self.split, "features": self.features, "size": self.size}
        fields |= {"averaged over": self.averaging, "+-": self.plus_minus}
        parts = [f"{key} {value}" for key, value in fields.items() if value not in (None, "none")]
        return "; ".join(filter(None, [*counts, *parts, self.note]))


@final
class Source(Schema):
    """The source of a number: title, table or file, year, arXiv identifier or address."""

    title: Name
    where: Name
    year: int
    link: Name

    def __str__(self) -> str:
        return f"{self.title} ({self.year}), {self.where}, {self.link}"


@final
class Published(Schema):
    """A published number.

    ``relation``: whether the true value is equal, at most, or about ``value``. ``checked``: what it
    was compared with: the source's file, a transcript of it, or only memory.
    """

    data: Name
    model: Name
    metric: Name
    relation: Literal["=", "<=", "~"]
    value: float
    plus_minus: float | None
    unit: Name
    higher_is_better: bool | None
    protocol: Protocol
    source: Source
    checked: Literal["file", "transcript", "memory"]


@final
class _File(Schema):
    records: tuple[Published, ...]


@final
@dataclass(frozen=True)
class Counterpart:
    """genzoo's counterpart of a published metric.

    ``score``: the name of its scores, None if genzoo cannot measure it. ``reason``: why they are
    not comparable, "" if they are. ``needs``: what the protocol of a comparable score must contain.
    ``remark``: a difference that remains.
    """

    score: str | None
    reason: str = ""
    needs: dict[str, Any] = field(default_factory=dict)
    remark: str = ""


@final
@dataclass(frozen=True)
class CardScore:
    """A score on a card; ``differences``: why it does not compare, "" if it does."""

    card: str
    value: float
    interval: tuple[float, float] | None
    protocol: dict[str, Any]
    differences: str


@final
@dataclass(frozen=True)
class Table:
    """Published numbers of one metric and protocol, and the cards' scores of the same metric."""

    metric: str
    unit: str
    higher_is_better: bool | None
    protocol: Protocol
    rows: tuple[Published, ...]
    counterpart: Counterpart
    card_scores: tuple[CardScore, ...]

    @property
    def missing(self) -> str:
        """Why no score of genzoo is in the table; "" if one is."""
        if any(not score.differences for score in self.card_scores):
            return ""
        if self.counterpart.score is None:
            return f"cannot be measured: {self.counterpart.reason}"
        if self.counterpart.reason:
            return f"not comparable: {self.counterpart.reason}"
        return f"no card has a comparable {self.counterpart.score} score"


def names() -> list[str]:
    """The data sets that have published numbers."""
    return sorted({record.data for record in _records()})


def published(data: str) -> list[Published]:
    """The numbers published on ``data``, in the file's order. Raises UnknownName."""
    if data not in names():
        hint = see_all("reference")
        raise unknown("data set with published numbers", data[:80], names(), hint)
    return [record for record in _records() if record.data == data]


def tables(data: str, metric: str | None = None) -> list[Table]:
    """The numbers on ``data``, of one ``metric`` or all, by protocol; with the cards' scores.

    Raises UnknownName.
    """
    records = published(data)
    metrics = list(dict.fromkeys(record.metric for record in records))
    if metric is not None and metric not in metrics:
        raise unknown("published metric", metric[:80], metrics, "Leave it out for all.")
    groups: dict[tuple[str, ...], list[Published]] = {}
    for record in records:
        if metric in (None, record.metric):
            key = (record.metric, record.unit, record.protocol.model_dump_json())
            groups.setdefault(key, []).append(record)
    scores = _scores()
    return [
        _table(groups[key], scores) for key in sorted(groups, key=lambda k: metrics.index(k[0]))
    ]


def _table(rows: Sequence[Published], scores: Sequence[tuple[str, Measured]]) -> Table:
    first = rows[0]
    own = counterpart(first)
    candidates = [] if own.reason else [(c, s) for c, s in scores if s.name == own.score]
    return Table(
        first.metric,
        first.unit,
        first.higher_is_better,
        first.protocol,
        tuple(rows),
        own,
        tuple(_card_score(card, score, own) for card, score in candidates),
    )


def _card_score(card: str, score: Measured, own: Counterpart) -> CardScore:
    protocol = score.protocol
    differences = [
        f"{key} {_text(protocol.get(key))}, here {_text(needed)}"
        for key, needed in own.needs.items()
        if protocol.get(key) != needed
    ]
    return CardScore(card, score.value, score.interval, protocol, "; ".join(differences))


# ------------------------------------------------------------ genzoo's counterpart of a metric


def counterpart(record: Published) -> Counterpart:
    """genzoo's counterpart of a published number's metric, under the number's protocol."""
    if record.metric not in COUNTERPARTS:
        return Counterpart(None, "genzoo has no such metric")
    if record.data not in datasets.names():
        return Counterpart(None, f"{record.data} is not one of genzoo's data sets")
    return COUNTERPARTS[record.metric](record)


def _parzen(record: Published) -> Counterpart:
    of_each = "of each class" in (record.protocol.note or "")
    remark = "genzoo chooses the width on test images, one half for the other; papers on training "
    remark += "images, or a validation split, that their models did not see"
    remark += "; a card's classes are random, the paper's are 1,000 of each" if of_each else ""
    needs = {"samples": record.protocol.n_fake}
    return Counterpart(f"parzen-{record.data}", needs=needs, remark=remark)


def _probe(record: Published) -> Counterpart:
    metric = {"accuracy": "probe", "accuracy-400": "probe_400"}[record.metric]
    remark = (
        "classifier and splits are the same; the paper's features are learned from other images, "
        "a card's from its training data"
    )
    return Counterpart(f"{metric}-{record.data}", remark=remark)


def _likelihood(record: Published) -> Counterpart:
    """By the words of its protocol: the levels, and exact, a bound, or K importance samples."""
    features, split = record.protocol.features, record.protocol.split
    levels = re.match(r"pixels in (\d+) levels", features)
    importance = re.search(r"importance sampling, ([\d,]+) samples", features)
    needs: dict[str, Any] = {"likelihood": "bound"}
    if "likelihood exact" in features:
        metric, needs = "nll", {"likelihood": "exact"}
    elif "variational bound" in features:
        metric, needs["importance samples"] = "elbo", 1
    else:
        metric = "iwae"
        needs["importance samples"] = int(importance[1].replace(",", "")) if importance else None
    needs |= {"levels": levels and int(levels[1]), "class-conditional": False}
    data, reason = record.data, ""
    if "drawn anew" in features:  # the fixed draw is other data than grey images, drawn
        data, needs["pixels"] = data.removesuffix("-binarized"), BINARISED
    if split != "test":
        reason = f"a card's images are of the test split, these of the {split} split"
    elif metric == "iwae" and not importance:
        reason = "each paper estimates in its own way"
    return Counterpart(f"{metric}-{data}", reason, needs)


def _inception(record: Published) -> Counterpart:
    """Needs the original network and resizing, the training images, and known numbers of images."""
    protocol, metric = record.protocol, record.metric
    needs = {"data": record.data, "samples": protocol.n_fake}
    resized = re.sub("not anti-aliased", "", f"{protocol.features}; {protocol.note or ''}")
    original = "TensorFlow" in protocol.features and "anti-aliased" not in resized
    reason = ""
    if not original:
        reason = f"genzoo's {metric} uses the network and resizing of the original FID"
    elif not isinstance(protocol.n_fake, int) or protocol.n_real == "not stated":
        reason = "the number of images is not stated"
    elif metric == "is":
        reason = "" if protocol.averaging == "10 splits" else "the number of splits is not stated"
    elif protocol.split != "train":
        reason = f"genzoo's {metric} uses the training images, here: {protocol.split}"
    else:
        needs["real"] = f"{protocol.n_real:,} training images"
    remark = "both average unbiased estimates, of 40 blocks in genzoo" if metric == "kid" else ""
    return Counterpart(metric, reason, needs, "" if reason else remark)


def _neighbourhoods(record: Published) -> Counterpart:
    reason = "the number of neighbours is not stated"
    return Counterpart(f"{record.metric}-inception", reason)


# By the name of the published metric. A test compares it with genzoo's metrics.
COUNTERPARTS: dict[str, Callable[[Published], Counterpart]] = {
    "accuracy": _probe,
    "accuracy-400": _probe,
    "bpd": _likelihood,
    "coverage": _neighbourhoods,
    "density": _neighbourhoods,
    "fid": _inception,
    "is": _inception,
    "kid": _inception,
    "nll": _likelihood,
    "parzen": _parzen,
    "precision": _neighbourhoods,
    "recall": _neighbourhoods,
}


def _scores() -> list[tuple[str, Measured]]:
    """(card, score) of all installed cards."""
    found: list[tuple[str, Measured]] = []
    for model in installed.models():
        with contextlib.suppress(InvalidModel):  # genzoo list gives the reason
            found += [(model.name, s) for s in cards.metrics_of(model.folder).scores or ()]
    return found


@cache
def _records() -> tuple[Published, ...]:
    values = read_json(FILE.read_bytes(), str(FILE), InvalidModel)
    return checked(_File, {"records": values}, str(FILE), InvalidModel).records


def _counted(n: Images, kind: str) -> str:
    return f"{n:,} {kind}" if isinstance(n, int) else f"{kind}: {n}" if n else ""


def _text(value: Any) -> str:
    return "not stated" if value is None else f"{value:,}" if type(value) is int else str(value)
