"""inspect: which model generated a picture or sound."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.app import app, as_json
from genzoo.cli.completing import complete_model
from genzoo.cli.options import DEVICE, Force, Json, argument, flag, option, out_option
from genzoo.errors import BadInput, refuse_unread
from genzoo.files import check_new
from genzoo.models.kinds import PICTURES

if TYPE_CHECKING:
    from genzoo.zoo.provenance import Provenance, Reproduction


@app.command(
    "inspect",
    examples=[
        "genzoo inspect dcgan-celeba.png",
        "genzoo inspect dcgan-celeba.png --reproduce",
    ],
)
def inspect_picture(
    picture: Annotated[Path, argument("A .png, .jpg, .webp, .pdf, .gif or .wav.", "FILE")],
    *,
    again: Annotated[
        bool, flag("--reproduce", "Generate it again and compare all values.")
    ] = False,
    model: Annotated[
        str | None,
        option(
            "The model, if it is not installed: ./mine, or owner/name@REVISION of the Hub.",
            "MODEL",
            complete=complete_model,
        ),
    ] = None,
    out: Annotated[
        Path | None, out_option("A .png, .jpg, .webp, .pdf, .wav or .npy to write it to.")
    ] = None,
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
        check_new(out, [*PICTURES, ".wav", ".npy"], force)
    provenance = inspect(picture)
    result = reproduce(picture, model, device=device or "auto") if again else None
    if result and out:
        result.save(out)
    if json:
        as_json({"path": str(picture), **_record(provenance), "reproduced": _result(result)})
    else:
        print(*filter(None, (provenance, result)), sep="\n")
    if result and result.state == "differs":
        raise typer.Exit(1)


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
