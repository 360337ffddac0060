"""list: what is installed, by kind. info: one model or family."""

import math
from typing import Annotated, Any, Literal

import typer

from genzoo.cli.app import (
    OUTPUT,
    Json,
    ModelOrFamily,
    Settings,
    app,
    as_json,
    as_table,
    parse_settings,
    refuse_unread,
)
from genzoo.cli.families import family_record
from genzoo.text import Records, printable

Kind = Literal["models", "families", "data", "metrics", "plugins"]


@app.command(
    "list",
    examples=[
        "genzoo list",
        "genzoo list data",
    ],
)
def list_all(
    kind: Annotated[
        Kind, typer.Argument(metavar="KIND", help="models, families, data, metrics or plugins.")
    ] = "models",
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Print names only, one per line.", rich_help_panel=OUTPUT
        ),
    ] = False,
    json: Json = False,
) -> None:
    """List models, families, data sets, metrics or plugins.

    A folder or zip of images or .wav files is a data set, too. NAME:CLASS is a part of one
    (mnist:3). NAME@TRANSFORM is one with all images transformed (mnist@edges, @grey, @low2, @low4,
    @low8); families that learn from pairs take it beside its originals. Two domains are A,B
    (./summer,./winter).
    """
    from genzoo.testing import status
    from genzoo.zoo import names

    if json:
        refuse_unread("--json prints all columns", quiet=quiet)
    if kind != "plugins":
        status.refuse_broken(*READ[kind])
    if kind == "models" and quiet:  # cards are not read
        print("\n".join(map(printable, names.model_names())))
        return
    records = _listed(kind)
    if json:
        as_json([*map(_record, records)])
    elif quiet:
        print("\n".join(printable(one.name) for one in records))
    else:
        as_table(records.rows, records.heads)
    if any(getattr(one, "state", "") in ("broken", "conflict") for one in records):
        raise typer.Exit(1)


def _listed(kind: Kind) -> Records[Any]:
    """What the function of Python gives."""
    if kind == "models":
        from genzoo.zoo.card import list_models

        return list_models()
    if kind == "families":
        from genzoo.families.registry import list_families

        return list_families()
    if kind == "data":
        from genzoo.data.catalogue import list_data

        return list_data()
    if kind == "metrics":
        from genzoo.metrics.registry import list_metrics

        return list_metrics()
    from genzoo.testing.status import list_plugins

    return list_plugins()


def _record(one: Any) -> dict[str, Any]:
    """A record, for JSON."""
    if getattr(one, "kind", "") == "family" and one.state == "listed":
        return family_record(one)
    return one._asdict() if hasattr(one, "_asdict") else vars(one)


# Kinds of plugins that a listing reads.
READ = {
    "models": ("family", "models"),
    "families": ("family",),
    "data": ("dataset",),
    "metrics": ("metric",),
}


@app.command(
    examples=[
        "genzoo info vae-mnist",
        "genzoo info dcgan",
    ]
)
def info(
    name: ModelOrFamily,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="Show each layer: its output and its number of parameters.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Show how a model was trained, or a family's options."""
    from genzoo import families
    from genzoo.runs.plan import data_summary
    from genzoo.zoo import card, names, readme
    from genzoo.zoo.manifest import WEIGHTS
    from genzoo.zoo.weights import read_header

    if layers:
        _layers(name, settings, json)
        return
    refuse_unread("only --layers builds networks", set=settings)
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
    rows = [(readme.score_name(s), readme.score_value(s)) for s in metrics.scores or ()]
    terms = f"{manifest.license}. {manifest.terms}"
    print(printable(f"{manifest.name}  ({folder})"))
    numbers = sum(math.prod(shape) for _, shape in tensors.values())
    weights = ("weights", f"{numbers:,} values in {len(tensors)} tensors")
    read = [("data as read" if i == 0 else "", line) for i, line in enumerate(data_summary(folder))]
    facts = [*readme.facts(manifest).items(), weights, *read]
    as_table([*facts, *rows, ("terms", terms)])
    if manifest.recipe:  # not in the table, which would break the line
        print("\nIt was trained by")
        print(printable(manifest.recipe.command))
    # They stand in the family's file, which imports torch.
    print(f"\ngenzoo info {manifest.family} lists the settings of sampling and training")


def _layers(name: str, settings: list[str] | None, json: bool) -> None:
    from genzoo.zoo.layers import layers

    tables = layers(name, parse_settings(settings))
    if json:
        as_json([table.record() for table in tables])
    else:
        print("\n\n".join(map(str, tables)))


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
