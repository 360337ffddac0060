"""inspect: which model generated a picture or sound."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.app import (
    DEVICE,
    Force,
    Json,
    app,
    as_json,
    as_table,
    complete_model,
    out_option,
    refuse_unread,
)
from genzoo.errors import BadInput
from genzoo.files import check_new
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.zoo.provenance import Call, Provenance, Reproduction


@app.command(
    "inspect",
    examples=[
        "genzoo inspect dcgan-celeba.png",
        "genzoo inspect dcgan-celeba.png --reproduce",
    ],
)
def inspect_picture(
    picture: Annotated[Path, typer.Argument(metavar="FILE", help="A .png, .gif or .wav.")],
    again: Annotated[
        bool, typer.Option("--reproduce", help="Generate it again and compare all values.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model, if it is not installed: ./mine, or owner/name@REVISION of the Hub.",
            autocompletion=complete_model,
        ),
    ] = None,
    out: Annotated[Path | None, out_option("A .png or .wav to write it to.")] = None,
    device: Annotated[str | None, DEVICE] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Show which model and seeds made a picture or a sound."""
    from genzoo.zoo.provenance import inspect, reproduce

    if not again and (model or out):
        raise BadInput("--model and -o need --reproduce")
    if not again:
        refuse_unread("nothing is generated without --reproduce", device=device)
    if out is None:
        refuse_unread("nothing is written without -o", force=force)
    if out:
        check_new(out, [".png", ".wav"], force)
    provenance = inspect(picture)
    result = reproduce(picture, model, device=device or "auto") if again else None
    if result and out:
        _save(result, out)
    if json:
        as_json({"path": str(picture), **_record(provenance), "reproduced": _result(result)})
    else:
        _show(provenance, result)
    if result and result.state == "differs":
        raise typer.Exit(1)


def _save(result: "Reproduction", output: Path) -> None:
    from genzoo.models.samples import Images

    if isinstance(result.samples, Images):
        result.samples.save(output, result.scale)
    else:
        result.samples.save(output)


def _record(provenance: "Provenance") -> dict[str, Any]:
    from genzoo.zoo.provenance import other_version

    record = provenance.record
    return {
        "synthetic": provenance.synthetic,
        "record": record and record.model_dump(mode="json"),
        "difference": other_version(record.origin) if record and record.origin else "",
    }


def _result(result: "Reproduction | None") -> dict[str, Any] | None:
    if result is None:
        return None
    return {key: getattr(result, key) for key in ("state", "apart", "share", "model")}


def _show(provenance: "Provenance", result: "Reproduction | None") -> None:
    from genzoo.zoo.provenance import other_version

    rows: list[tuple[str, Any]] = [("synthetic", "yes" if provenance.synthetic else "not stated")]
    if (record := provenance.record) is None:
        rows.append(("model", "not stated"))
    else:
        rows += [("genzoo", record.genzoo)]
        if origin := record.origin:
            rows += [("model", origin.model), ("family", origin.family)]
            rows += [("version", origin.version), ("weights", origin.weights_sha256)]
            rows += [("revision", origin.revision or "")]
        rows.append(("drawn by", _call(record.call)))
        rows += [("samples", len(record.seeds)), ("seeds", _seeds(record.seeds))]
        rows += [("labels", _short(record.labels))] if record.labels else []
    as_table(row for row in rows if row[1] != "")
    if record and record.origin and (difference := other_version(record.origin)):
        print(printable(difference))
    if result:
        print(printable(_verdict(result)))


def _call(call: "Call | None") -> str:
    """The method, its arguments and its settings, as text."""
    if call is None:
        return "by hand"
    values = {**call.model_dump(exclude={"method", "sampling", "truncation"}), **call.settings()}
    chosen = [f"{key} {value}" for key, value in values.items() if value is not None]
    return ", ".join([call.method, *chosen])


def _seeds(seeds: "tuple[tuple[int, int], ...]") -> str:
    """``5 from 10 on``: a seed, and the index of its first sample if that is not 0."""
    starts: dict[int, int] = {}
    for seed, index in seeds:
        starts.setdefault(seed, index)
    return _short([f"{seed} from {i} on" if i else str(seed) for seed, i in starts.items()])


def _short(values: Any) -> str:
    text = ", ".join(map(str, values[:20]))
    return f"{text}, ..." if len(values) > 20 else text


def _verdict(result: "Reproduction") -> str:
    if result.state == "equal":
        what = "pixels" if result.levels == 255 else "values"
        return f"reproduced by {result.model}: all {what} are equal"
    share = f"{result.share:.2%} of the values differ by up to {result.apart} of {result.levels:,}"
    how = "equal except for rounding" if result.state == "rounded" else "different"
    return f"reproduced by {result.model}: {how}: {share}"
