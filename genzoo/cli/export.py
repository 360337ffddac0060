"""genzoo export: a model as a file for other programs."""

from pathlib import Path
from typing import Annotated, Any

from genzoo.cli.app import app, default_path, parse_settings, print_file
from genzoo.cli.options import Force, Json, ModelName, Settings, option, out_option
from genzoo.errors import BadInput
from genzoo.files import check_new
from genzoo.text import printable

ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}


@app.command(
    examples=[
        "genzoo export dcgan-celeba --to onnx",
        "genzoo export vae-mnist --to torch -o vae.pt2",
    ]
)
def export(
    name: ModelName,
    *,
    to: Annotated[
        str, option("onnx: for onnxruntime and others; torch: of torch.export.", "onnx|torch")
    ] = "onnx",
    settings: Settings = None,
    out: Annotated[Path | None, out_option("A .onnx or .pt2.", "MODEL.onnx")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a model as a file that needs no genzoo."""
    if to not in ENDINGS:
        raise BadInput(f"--to must be onnx or torch, got {to!r}")
    path = out or default_path(name, ENDINGS[to])
    check_new(path, [ENDINGS[to]], force)
    from genzoo.exports import formats

    kind: Any = to
    result = formats.export(name, to=kind, out=path, sampling=parse_settings(settings), force=force)
    print_file(path, result.record(), json)
    if not json:
        print(printable(str(result)))
