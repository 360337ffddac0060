"""inspect: where a picture comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.app import Device, Force, Json, app, as_json, as_table
from genzoo.errors import BadInput
from genzoo.files import check_new
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.zoo.provenance import Provenance, Reproduction


@app.command("inspect")
def inspect_picture(
    picture: Annotated[Path, typer.Argument(metavar="FILE", help="A .png or .gif.")],
    again: Annotated[
        bool, typer.Option("--reproduce", help="Draw it again, and compare pixel for pixel.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="The model, where it is none of genzoo list: ./mine.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .png, for what is drawn again.")
    ] = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Say which model drew a picture, from which seeds: genzoo inspect dcgan-mnist.png."""
    from genzoo.zoo import provenance

    if not again and (model or output):
        raise BadInput("--model and -o are for what is drawn again: add --reproduce")
    _check_output(output, force)
    told = provenance.inspect(picture)
    found = provenance.reproduce(picture, model, device=device) if again else None
    if found and output:
        found.samples.save(output, found.scale)
    if json:
        as_json({"path": str(picture), **_record(told), "reproduced": _result(found)})
    else:
        _show(told, found)
    if found and found.state == "differs":
        raise typer.Exit(1)


def _check_output(output: Path | None, force: bool) -> None:
    if output is None:
        return
    check_new(output, [".png"], force)


def _record(told: "Provenance") -> dict[str, Any]:
    record = told.record and told.record.model_dump(mode="json")
    return {"synthetic": told.synthetic, "record": record}


def _result(found: "Reproduction | None") -> dict[str, Any] | None:
    if found is None:
        return None
    return {key: getattr(found, key) for key in ("state", "apart", "share", "model")}


def _show(told: "Provenance", found: "Reproduction | None") -> None:
    rows: list[tuple[str, Any]] = [
        ("synthetic", "it says so" if told.synthetic else "it does not say so")
    ]
    if (record := told.record) is None:
        rows.append(("model", "it does not say which"))
    else:
        rows += [("genzoo", record.genzoo)]
        if origin := record.origin:
            rows += [("model", origin.model), ("family", origin.family)]
            rows += [("weights", origin.weights_sha256), ("revision", origin.revision or "")]
        call = record.call.model_dump(exclude_none=True) if record.call else {"method": "by hand"}
        rows.append(("drawn by", ", ".join(f"{k} {v}" for k, v in call.items())))
        rows += [("samples", len(record.seeds)), ("seeds", _seeds(record.seeds))]
        rows += [("labels", _short(record.labels))] if record.labels else []
    as_table(row for row in rows if row[1] != "")
    if found:
        print(printable(_verdict(found)))


def _seeds(seeds: "tuple[tuple[int, int], ...]") -> str:
    """``5 from 10 on``: a seed, and the index of its first sample where that is not 0."""
    starts: dict[int, int] = {}
    for seed, index in seeds:
        starts.setdefault(seed, index)
    return _short([f"{seed} from {i} on" if i else str(seed) for seed, i in starts.items()])


def _short(values: Any) -> str:
    shown = ", ".join(map(str, values[:20]))
    return f"{shown}, ..." if len(values) > 20 else shown


def _verdict(found: "Reproduction") -> str:
    if found.state == "equal":
        return f"drawn again by {found.model}: equal, pixel for pixel"
    share = f"{found.share:.2%} of the values differ by up to {found.apart} of 255"
    how = "equal but for rounding" if found.state == "rounded" else "it differs"
    return f"drawn again by {found.model}: {how}: {share}"
