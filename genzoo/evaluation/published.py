"""Published numbers beside ours: each with its protocol and its source, only like with like.

They lie in ``published.json``, so reading them needs no network and no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, final

from genzoo.errors import InvalidModel, unknown
from genzoo.schemas import Name, Schema, checked, read_json
from genzoo.zoo import card as cards
from genzoo.zoo import names as model_names

FILE = Path(__file__).with_name("published.json")
# How many images: None where there are none in it, as in a likelihood.
Images = int | Literal["not stated"] | None


@final
class Protocol(Schema):
    """What another number must share to stand in one table with this one."""

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
        told = {"split": self.split, "features": self.features, "size": self.size}
        told |= {"averaged over": self.averaging, "+-": self.plus_minus}
        kept = [f"{kind} {value}" for kind, value in told.items() if value not in (None, "none")]
        return "; ".join(filter(None, [*counts, *kept, self.note]))


@final
class Source(Schema):
    """Where a number stands: title, table or file, year, arXiv identifier or address."""

    title: Name
    where: Name
    year: int
    link: Name

    def __str__(self) -> str:
        return f"{self.title} ({self.year}), {self.where}, {self.link}"


@final
class Ours(Schema):
    """The kind of our metric that is (``like``) or is not the same as a published one, and why.

    ``needs``: what a card's protocol must say for its score to be like the published ones; None
    stands for saying nothing. ``metric`` is None where nothing of ours measures this.
    """

    metric: Name | None
    like: bool
    why: Name
    needs: dict[Name, bool | int | Name | None]


@final
class Published(Schema):
    """A number that others published.

    ``relation``: whether the value is that, at most that, or about that. ``checked``: how it was
    compared with its source: read in its file, in a transcript of it, or remembered alone.
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
    ours: Ours | None


@final
class _File(Schema):
    records: tuple[Published, ...]


@final
@dataclass(frozen=True)
class Mine:
    """A card's score, and in ``unlike`` what keeps it from standing beside published numbers."""

    card: str
    value: float
    interval: tuple[float, float] | None
    protocol: dict[str, Any]
    unlike: str


@final
@dataclass(frozen=True)
class Table:
    """Numbers of one metric and protocol; ``mine``: the cards' scores of that kind."""

    metric: str
    unit: str
    higher_is_better: bool | None
    protocol: Protocol
    rows: tuple[Published, ...]
    ours: Ours | None
    mine: tuple[Mine, ...]

    @property
    def verdict(self) -> str:
        """Why there is nothing of ours in it; "" where there is something."""
        if self.ours is None or any(not mine.unlike for mine in self.mine):
            return ""
        if self.ours.metric is None:
            return f"not re-measurable: {self.ours.why}"
        if not self.ours.like:
            return f"not comparable: {self.ours.why}"
        return f"no card has a score {self.ours.metric}-{self.rows[0].data} like these"


def names() -> list[str]:
    """The data sets that have published numbers."""
    return sorted({record.data for record in _records()})


def published(data: str) -> list[Published]:
    """The numbers published on ``data``, in the file's order. Raises UnknownName."""
    if data not in names():
        hint = "Type genzoo reference to see all."
        raise unknown("data set with published numbers", data[:80], names(), hint)
    return [record for record in _records() if record.data == data]


def tables(data: str, metric: str | None = None) -> list[Table]:
    """The numbers on ``data``, of one ``metric`` or all, by protocol; with the cards' scores.

    Raises UnknownName.
    """
    records = published(data)
    kinds = {record.metric for record in records}
    if metric is not None and metric not in kinds:
        raise unknown("published metric", metric[:80], kinds, "Leave it out for all.")
    groups: dict[tuple[str, ...], list[Published]] = {}
    for record in records:
        if metric in (None, record.metric):
            ours = record.ours.model_dump_json() if record.ours else ""
            key = (record.metric, record.unit, record.protocol.model_dump_json(), ours)
            groups.setdefault(key, []).append(record)
    order = {kind: i for i, kind in enumerate(dict.fromkeys(r.metric for r in records))}
    scores = _scores()
    return [_table(groups[key], scores) for key in sorted(groups, key=lambda k: order[k[0]])]


def _table(rows: Sequence[Published], scores: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    first = rows[0]
    ours, mine = first.ours, []
    if ours and ours.metric and ours.like:
        name = f"{ours.metric}-{first.data}"
        mine = [_mine(card, score, ours) for card, score in scores if score["name"] == name]
    return Table(
        first.metric,
        first.unit,
        first.higher_is_better,
        first.protocol,
        tuple(rows),
        ours,
        tuple(mine),
    )


def _mine(card: str, score: dict[str, Any], ours: Ours) -> Mine:
    protocol, between = score.get("protocol", {}), score.get("interval")
    unlike = [
        f"{key} {_said(protocol.get(key))}, here {_said(needed)}"
        for key, needed in ours.needs.items()
        if protocol.get(key) != needed
    ]
    interval = (between[0], between[1]) if between else None
    return Mine(card, score["value"], interval, protocol, "; ".join(unlike))


def _scores() -> list[tuple[str, dict[str, Any]]]:
    found = [
        (name, cards.read_metrics(model_names.cards_folder() / name))
        for name in model_names.model_names()
    ]
    return [(name, score) for name, metrics in found for score in metrics.get("scores", [])]


@cache
def _records() -> tuple[Published, ...]:
    values = read_json(FILE.read_bytes(), str(FILE), InvalidModel)
    return checked(_File, {"records": values}, str(FILE), InvalidModel).records


def _counted(n: Images, kind: str) -> str:
    return f"{n:,} {kind}" if isinstance(n, int) else f"{kind}: {n}" if n else ""


def _said(value: Any) -> str:
    return "not told" if value is None else f"{value:,}" if type(value) is int else str(value)
