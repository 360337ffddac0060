"""list: what is installed, by kind. info: one model or family."""

import logging
from typing import Annotated, Any, Literal

import typer

from genzoo.cli.app import app, as_json, as_table, parse_settings, refuse_broken
from genzoo.cli.options import OUTPUT, Json, ModelOrFamily, Settings, argument, flag
from genzoo.errors import refuse_unread
from genzoo.text import Records, printable

log = logging.getLogger("genzoo")
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
        Kind, argument("models, families, data, metrics or plugins.", "KIND")
    ] = "models",
    quiet: Annotated[
        bool,
        flag("--quiet", "Print names only, one per line.", OUTPUT, short="-q"),
    ] = False,
    json: Json = False,
) -> None:
    """List models, families, data sets, metrics or plugins.

    A folder or zip of images or .wav files is a data set, too. NAME:CLASS is a part of one
    (mnist:3). NAME@TRANSFORM is one with all images transformed (mnist@edges, @binary, @grey,
    @low2, @low4, @low8); families that learn from pairs take it beside its originals. Two domains
    are A,B (./summer,./winter).
    """
    from genzoo.zoo import installed

    if json:
        refuse_unread("--json prints all columns", quiet=quiet)
    if kind != "plugins":
        refuse_broken(*READ[kind])
    if kind == "models" and quiet:  # cards are not read
        print("\n".join(map(printable, installed.names())))
        return
    records = _listed(kind)
    if json:
        as_json([*map(_record, records)])
    elif quiet:
        print("\n".join(printable(one.name) for one in records))
    else:
        as_table(records.rows, records.heads)
    if kind == "models" and (gone := installed.missing()):
        log.warning("%s", gone)
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
        from genzoo.cli.families import family_record

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
        bool, flag("--layers", "Show each layer: its output and its number of parameters.", OUTPUT)
    ] = False,
    active: Annotated[
        bool,
        flag("--active", "Measure which ten numbers of the code change pictures most.", OUTPUT),
    ] = False,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Show how a model was trained, or a family's options."""
    if layers:
        refuse_unread("--layers shows the layers alone", active=active)
        _layers(name, settings, json)
        return
    if active:
        refuse_unread("only --layers builds networks", set=settings)
        _active(name, json)
        return
    refuse_unread("only --layers builds networks", set=settings)
    from genzoo.runs import info as about

    found = about.info(name)
    if json:
        as_json(found.record())
    elif isinstance(found, about.ModelInfo):
        print(found.head)
        as_table(found.rows)
        print(*("", *found.foot), sep="\n")
    else:
        print(printable(f"{found.name}  {found.summary}"))
        as_table(found.facts.items())
        for head, rows in found.tables.items():
            print(f"\n{head}")
            as_table(rows)


def _layers(name: str, settings: list[str] | None, json: bool) -> None:
    from genzoo.zoo.layers import layers

    tables = layers(name, parse_settings(settings))
    if json:
        as_json([table.record() for table in tables])
    else:
        print("\n\n".join(map(str, tables)))


def _active(name: str, json: bool) -> None:
    """The ten most active numbers of the code, and the change that each makes."""
    from genzoo.editing.activity import measure_activity

    found = measure_activity(name)
    rows = [*zip(found.dims, found.changes, strict=True)][:10]
    if json:
        as_json([{"dim": dim, "change": change} for dim, change in rows])
        return
    as_table(
        [(dim, f"{change:.3f}") for dim, change in rows], ("number of the code", "mean change")
    )
    print("\nthe mean change of a pixel (black to white is 1) from -2 to 2 standard deviations")
