"""list: the installed models. info: one model or family."""

import math
from typing import Annotated, Any

import typer

from genzoo.cli.app import Json, ModelOrFamily, app, as_json, as_table, refuse_unread, size
from genzoo.text import printable


@app.command("list")
def list_models(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print names only, one per line.")
    ] = False,
    json: Json = False,
) -> None:
    """List the installed models: data, size, score, seconds for sixteen samples."""
    from genzoo.testing import status
    from genzoo.zoo import card, names

    if json:
        refuse_unread("--json prints all columns", quiet=quiet)
    status.refuse_broken("family", "models")
    if quiet:
        print("\n".join(map(printable, names.model_names())))
        return
    table = card.table()
    if json:
        as_json([vars(c) for c in table])
        return
    rows = [
        (c.name, "", "", c.error, "")
        if c.error
        else (c.name, c.data, size(c.bytes), c.score, _seconds(c.seconds))
        for c in table
    ]
    as_table(rows, ("name", "data", "size", "score", "16 samples"))


@app.command()
def info(
    name: ModelOrFamily,
    json: Json = False,
) -> None:
    """Show what a model is and how it was trained, or a family's options."""
    from genzoo import families
    from genzoo.runs.plan import data_summary
    from genzoo.zoo import card, names, readme
    from genzoo.zoo.manifest import WEIGHTS
    from genzoo.zoo.weights import read_header

    if name in families.names():
        _family(name, json)
        return
    folder, manifest = names.resolve(name)
    metrics, tensors = card.metrics_of(folder), read_header(folder / WEIGHTS)
    if json:
        scores = metrics.record().get("scores", [])
        summary = {"summary": lines} if (lines := data_summary(folder)) else {}
        as_json({**manifest.model_dump(mode="json"), "scores": scores, **summary})
        return
    command = [("command", manifest.recipe.command)] if manifest.recipe else []
    rows = [(readme.score_name(s), readme.score_value(s)) for s in metrics.scores or ()]
    terms = f"{manifest.license}. {manifest.terms}"
    print(printable(f"{manifest.name}  ({folder})"))
    numbers = sum(math.prod(shape) for _, shape in tensors.values())
    weights = ("weights", f"{numbers:,} values in {len(tensors)} tensors")
    read = [("data as read" if i == 0 else "", line) for i, line in enumerate(data_summary(folder))]
    facts = [*readme.facts(manifest).items(), weights, *read]
    as_table([*facts, *rows, ("terms", terms), *command])
    # They stand in the family's file, which imports torch.
    print(f"\ngenzoo info {manifest.family} lists the settings of sampling and training")


def _family(name: str, json: bool) -> None:
    from genzoo import families
    from genzoo.families.family import DATA
    from genzoo.schemas import fields as fields_of

    family = families.get(name)
    schemas: dict[str, Any] = {"config": family.config, "options": family.options}
    fields = {kind: fields_of(schema) for kind, schema in schemas.items()}
    fields |= {"sampling": fields_of(family.sampling)} if family.sampling.model_fields else {}
    plugin = families.metadata(name)
    package = f"{plugin.package} {plugin.version}"
    facts = {
        "branch": plugin.branch,
        "year": plugin.year,
        "paper": family.paper,
        "package": package,
        "data": family.data if json else DATA[family.data],
    }
    if json:
        as_json({"name": name, "summary": plugin.summary, **facts, **fields})
        return
    print(f"{name}  {plugin.summary}")
    as_table(facts.items())
    for kind, rows in fields.items():
        _print_fields(kind, rows)


def _print_fields(kind: str, rows: list[dict[str, Any]]) -> None:
    where = "of genzoo sample" if kind == "sampling" else "of genzoo train"
    print(f"\n{kind} (--set NAME=VALUE {where})")
    as_table([(r["name"], _default(r["default"]), r["allowed"], r["about"]) for r in rows])


def _default(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f} s"
