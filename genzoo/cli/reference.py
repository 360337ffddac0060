"""reference: published numbers, and genzoo's beside them."""

from typing import TYPE_CHECKING, Annotated, Any

from genzoo.cli.app import app, as_json, as_table
from genzoo.cli.completing import complete_data
from genzoo.cli.options import Json, argument, option

if TYPE_CHECKING:
    from genzoo.evaluation.published import Table


@app.command(
    examples=[
        "genzoo reference",
        "genzoo reference cifar10 --metric fid",
    ]
)
def reference(
    data: Annotated[
        str | None,
        argument("A data set.", "DATA", default="all are listed", complete=complete_data),
    ] = None,
    metric: Annotated[
        str | None, option("One metric: fid, parzen.", "METRIC", default="all")
    ] = None,
    json: Json = False,
) -> None:
    """Show published numbers beside those of the cards."""
    from genzoo.evaluation import reference as published

    if data is None:
        listing = published.reference(None, metric=metric)
        as_json([vars(one) for one in listing]) if json else as_table(listing.rows, listing.heads)
        return
    tables = published.reference(data, metric=metric)
    if json:
        as_json({"data": data, "tables": [*map(_record, tables)]})
        return
    for i, table in enumerate(tables):
        print("\n" * bool(i) + "\n".join(published.above(table)))
        as_table(*published.cells(table))
        if lines := published.below(table):
            print("\n".join(lines))


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
