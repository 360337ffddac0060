"""reference: published numbers, and genzoo's beside them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.app import Json, app, as_json, as_table
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.evaluation.published import Published, Table


@app.command(
    examples=[
        "genzoo reference",
        "genzoo reference cifar10 --metric fid",
    ]
)
def reference(
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="A data set.", show_default="all are listed"),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="One metric: fid, parzen.", show_default="all"),
    ] = None,
    json: Json = False,
) -> None:
    """Show published numbers beside those of the cards."""
    from genzoo.errors import BadInput
    from genzoo.evaluation import published

    if data is not None:
        tables = published.tables(data, metric)
        as_json({"data": data, "tables": [_record(t) for t in tables]}) if json else _show(tables)
        return
    if metric is not None:
        raise BadInput("--metric needs a data set: genzoo reference cifar10 --metric fid")
    records = {name: published.published(name) for name in published.names()}
    metrics = {name: [*dict.fromkeys(r.metric for r in rows)] for name, rows in records.items()}
    if json:
        listed = ((name, len(rows)) for name, rows in records.items())
        as_json([{"data": name, "numbers": n, "metrics": metrics[name]} for name, n in listed])
        return
    rows = [(name, len(records[name]), ", ".join(metrics[name])) for name in records]
    as_table(rows, ("data", "numbers", "metrics"))


def _show(tables: "list[Table]") -> None:
    better = {True: "higher is better", False: "lower is better", None: "no direction is better"}
    for i, table in enumerate(tables):
        unit = f" in {table.unit}" if table.unit else ""
        print("\n" * bool(i) + printable(f"{table.metric}{unit}, {better[table.higher_is_better]}"))
        print(printable(f"protocol: {table.protocol}"))
        _rows(table)
        for score in table.card_scores:
            if score.differences:
                print(printable(f"genzoo: {score.card} not comparable: {score.differences}"))
        if table.missing:
            print(printable(f"genzoo: {table.missing}"))
        elif table.counterpart.remark:
            print(printable(f"note: {table.counterpart.remark}"))


def _rows(table: "Table") -> None:
    """Print published numbers, then the cards'; print a source that all share once, above."""
    shared = len({str(row.source) for row in table.rows}) == 1
    if shared:
        print(printable(f"source: {table.rows[0].source}"))
    rows = [[row.model, _value(row), row.checked, str(row.source)] for row in table.rows]
    comparable = (score for score in table.card_scores if not score.differences)
    rows += [[f"genzoo: {s.card}", _number(s.value, s.interval), "card", ""] for s in comparable]
    heads = ["model", table.metric, "checked", "source"]
    width = len(heads) - shared
    as_table([row[:width] for row in rows], heads[:width])


def _record(table: "Table") -> dict[str, Any]:
    head = {"metric": table.metric, "unit": table.unit, "higher_is_better": table.higher_is_better}
    columns = {"model", "relation", "value", "plus_minus", "source", "checked"}
    return {
        **head,
        "protocol": table.protocol.model_dump(),
        "rows": [row.model_dump(include=columns) for row in table.rows],
        "counterpart": vars(table.counterpart),
        "card_scores": [vars(score) for score in table.card_scores],
        "missing": table.missing,
    }


def _value(row: "Published") -> str:
    relation = "" if row.relation == "=" else f"{row.relation} "
    error = "" if row.plus_minus is None else f" +- {row.plus_minus:.10g}"
    return f"{relation}{row.value:.10g}{error}"


def _number(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:g}" if interval is None else f"{value:g} ({interval[0]:g} to {interval[1]:g})"
