"""reference: published numbers as tables, each with its protocol, beside genzoo's own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final, overload

from genzoo.errors import BadInput, argument, command
from genzoo.evaluation import published
from genzoo.evaluation.published import Published, Table
from genzoo.models.arguments import checked_arguments
from genzoo.text import Records, columns, html_table, printable

BETTER = {True: "higher is better", False: "lower is better", None: "no direction is better"}


@final
@dataclass(frozen=True)
class PublishedData:
    """A data set with published numbers: how many, and of which ``metrics``."""

    data: str
    numbers: int
    metrics: tuple[str, ...]


LISTING: dict[str, Callable[[PublishedData], Any]] = {
    "data": lambda entry: entry.data,
    "numbers": lambda entry: entry.numbers,
    "metrics": lambda entry: ", ".join(entry.metrics),
}


@final
class Tables(tuple[Table, ...]):
    """The published numbers on a data set, a table for each metric and protocol."""

    def __repr__(self) -> str:
        return "\n\n".join("\n".join(_lines(table)) for table in self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        tables = ((*cells(one), above(one), below(one)) for one in self)
        return "".join(html_table(r, h, title=first, notes=last) for r, h, first, last in tables)


@overload
def reference(data: None = None, *, metric: str | None = None) -> Records[PublishedData]: ...
@overload
def reference(data: str, *, metric: str | None = None) -> Tables: ...
@checked_arguments
def reference(
    data: str | None = None, *, metric: str | None = None
) -> Records[PublishedData] | Tables:
    """The data sets with published numbers; or the numbers on ``data``, of one ``metric`` or all,
    each with protocol and source, beside the cards' scores that compare.

    Raises UnknownName, and BadInput for a metric without data.
    """
    if data is not None:
        return Tables(published.tables(data, metric))
    if metric is not None:
        example = command("reference", "cifar10", metric="fid")
        raise BadInput(f"{argument('metric')} needs a data set: {example}")
    return Records(map(_entry, published.names()), LISTING)


def _entry(name: str) -> PublishedData:
    records = published.published(name)
    return PublishedData(name, len(records), tuple(dict.fromkeys(r.metric for r in records)))


def _lines(table: Table) -> list[str]:
    rows, heads = cells(table)
    return [*above(table), *columns([heads, *rows]), *below(table)]


def above(table: Table) -> list[str]:
    """What stands above a table: its metric and protocol, and a source that all rows share."""
    unit = f" in {table.unit}" if table.unit else ""
    lines = [f"{table.metric}{unit}, {BETTER[table.higher_is_better]}"]
    lines += [f"protocol: {table.protocol}"]
    lines += [f"source: {table.rows[0].source}"] if _has_one_source(table) else []
    return [*map(printable, lines)]


def below(table: Table) -> list[str]:
    """What stands below a table: why scores of genzoo do not compare."""
    lines = []
    for score in table.card_scores:
        if score.differences:
            lines.append(f"genzoo: {score.card} not comparable: {score.differences}")
    if table.missing:
        lines.append(f"genzoo: {table.missing}")
    elif table.counterpart.remark:
        lines.append(f"note: {table.counterpart.remark}")
    return [*map(printable, lines)]


def _has_one_source(table: Table) -> bool:
    return len({str(row.source) for row in table.rows}) == 1


def cells(table: Table) -> tuple[list[list[str]], list[str]]:
    """The rows of a table, the published numbers and then the cards', and its heads."""
    rows = [[row.model, _value(row), row.checked, str(row.source)] for row in table.rows]
    comparable = (score for score in table.card_scores if not score.differences)
    rows += [[f"genzoo: {s.card}", _number(s.value, s.interval), "card", ""] for s in comparable]
    heads = ["model", table.metric, "checked", "source"]
    width = len(heads) - _has_one_source(table)
    return [row[:width] for row in rows], heads[:width]


def _value(row: Published) -> str:
    relation = "" if row.relation == "=" else f"{row.relation} "
    error = "" if row.plus_minus is None else f" +- {row.plus_minus:.10g}"
    return f"{relation}{row.value:.10g}{error}"


def _number(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:g}" if interval is None else f"{value:g} ({interval[0]:g} to {interval[1]:g})"
