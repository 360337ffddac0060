"""genzoo export: a model as a file for other programs, or as a page."""

from pathlib import Path
from typing import Annotated, Any

from genzoo.cli.app import Ticker, app, default_path, parse_settings, print_file
from genzoo.cli.options import Force, Json, ModelName, Settings, option, out_option
from genzoo.errors import BadInput, refuse_unread
from genzoo.files import check_new, ending_of
from genzoo.text import printable

ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}


@app.command(
    examples=[
        "genzoo export dcgan-celeba --to onnx",
        "genzoo export cgan-mnist --to page -o site",
    ]
)
def export(
    name: ModelName,
    *,
    to: Annotated[
        str | None,
        option(
            "onnx: for onnxruntime and others; torch: of torch.export; page: for browsers.",
            "onnx|torch|page",
            default="by the name of --out, or onnx",
        ),
    ] = None,
    settings: Settings = None,
    out: Annotated[
        Path | None, out_option("A .onnx, a .pt2, or the folder of a page.", "MODEL.onnx")
    ] = None,
    runtime: Annotated[
        Path | None,
        option("Copy onnxruntime-web from this folder into the page.", "FOLDER"),
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a model as a file or a page that needs no genzoo."""
    if to not in (None, "page", *ENDINGS):
        raise BadInput(f"--to must be onnx, torch or page, got {to!r}")
    kind: Any = to or ("torch" if out and ending_of(out) == ".pt2" else "onnx")
    path = out or default_path(name, ENDINGS.get(kind, "-page"))
    if kind != "page":
        refuse_unread("only --to page has a runtime", runtime=runtime)
        check_new(path, [ENDINGS[kind]], force)
    from genzoo.exports import formats

    values = parse_settings(settings)
    ticker = Ticker()
    result = formats.export(
        name,
        to=kind,
        out=path,
        sampling=values,
        runtime=runtime,
        force=force,
        progress=ticker.count,
    )
    ticker.done()
    print_file(path, result.record(), json)
    if not json:
        print(printable(str(result)))
