"""reference: published numbers, and ours beside them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.app import Json, app, as_json, as_table
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.evaluation.published import Published, Table


@app.command()
def reference(
    data: Annotated[str | None, typer.Argument(help="A data set. [list those there are]")] = None,
    metric: Annotated[str | None, typer.Option(help="One metric: fid, parzen. [all]")] = None,
    json: Json = False,
) -> None:
    """Show published numbers with their protocols and sources, and ours where they are alike."""
    from genzoo.errors import BadInput
    from genzoo.evaluation import published

    if data is not None:
        found = published.tables(data, metric)
        as_json({"data": data, "tables": [_record(t) for t in found]}) if json else _show(found)
        return
    if metric is not None:
        raise BadInput("--metric takes a data set: genzoo reference cifar10 --metric fid")
    records = {name: published.published(name) for name in published.names()}
    kinds = {name: [*dict.fromkeys(r.metric for r in rows)] for name, rows in records.items()}
    if json:
        listed = ((name, len(rows)) for name, rows in records.items())
        as_json([{"data": name, "numbers": n, "metrics": kinds[name]} for name, n in listed])
        return
    rows = [(name, len(records[name]), ", ".join(kinds[name])) for name in records]
    as_table(rows, ("data", "numbers", "metrics"))


def _show(tables: "list[Table]") -> None:
    better = {True: "higher is better", False: "lower is better", None: "neither way better"}
    for i, table in enumerate(tables):
        unit = f" in {table.unit}" if table.unit else ""
        print("\n" * bool(i) + printable(f"{table.metric}{unit}, {better[table.higher_is_better]}"))
        print(printable(f"protocol: {table.protocol}"))
        _rows(table)
        for mine in table.mine:
            if mine.unlike:
                print(printable(f"ours: {mine.card} not comparable: {mine.unlike}"))
        if table.verdict:
            print(printable(f"ours: {table.verdict}"))
        elif table.ours and table.ours.why:
            print(printable(f"mind: {table.ours.why}"))


def _rows(table: "Table") -> None:
    """The numbers, then ours; a source that is the same for all stands above, once."""
    shared = len({str(row.source) for row in table.rows}) == 1
    if shared:
        print(printable(f"source: {table.rows[0].source}"))
    rows = [[row.model, _value(row), row.checked, str(row.source)] for row in table.rows]
    alike = (mine for mine in table.mine if not mine.unlike)
    rows += [[f"ours: {m.card}", _between(m.value, m.interval), "card", ""] for m in alike]
    heads = ["model", table.metric, "checked", "source"]
    wide = len(heads) - shared
    as_table([row[:wide] for row in rows], heads[:wide])


def _record(table: "Table") -> dict[str, Any]:
    head = {"metric": table.metric, "unit": table.unit, "higher_is_better": table.higher_is_better}
    kept = {"model", "relation", "value", "plus_minus", "source", "checked"}
    return {
        **head,
        "protocol": table.protocol.model_dump(),
        "rows": [row.model_dump(include=kept) for row in table.rows],
        "like": table.ours.model_dump() if table.ours else None,
        "ours": [vars(mine) for mine in table.mine],
        "verdict": table.verdict,
    }


def _value(row: "Published") -> str:
    relation = "" if row.relation == "=" else f"{row.relation} "
    error = "" if row.plus_minus is None else f" +- {row.plus_minus:.10g}"
    return f"{relation}{row.value:.10g}{error}"


def _between(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:g}" if interval is None else f"{value:g} ({interval[0]:g} to {interval[1]:g})"
