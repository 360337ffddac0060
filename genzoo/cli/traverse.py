"""genzoo traverse: change two dimensions of a sample's code."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    Device,
    Force,
    Json,
    Label,
    Metadata,
    ModelName,
    SamplingSet,
    Scale,
    app,
    default_path,
    parse_settings,
    print_file,
)
from genzoo.errors import BadInput


@app.command()
def traverse(
    name: ModelName,
    dims: Annotated[str, typer.Option(help="Two dimensions of the code: down, across.")] = "0,1",
    grid: Annotated[str, typer.Option(help="ROWSxCOLUMNS.")] = "9x9",
    seed: Annotated[str, typer.Option(help="SEED or SEED:INDEX of the sample.")] = "0",
    label: Label = None,
    settings: SamplingSet = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .png or .npy. [NAME-traversal.png]")
    ] = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Change two dimensions of a sample's code: genzoo traverse vae-celeba --dims 3,7."""
    from genzoo import load
    from genzoo.editing import walks
    from genzoo.models import writing

    pair = _parse_pair(dims, ",", "--dims", "3,7")
    rows, columns = _parse_pair(grid, "x", "--grid", "9x9")
    model = walks.as_latent(load(name, device=device))
    path = output or default_path(name, f"-traversal{writing.default_ending(model)}")
    walks.check_grid(model, pair, (rows, columns))
    n = rows * columns
    writing.check_target(path, n, model, scale, force, columns=columns, metadata=metadata)
    samples = walks.traverse(
        model,
        pair,
        grid=(rows, columns),
        sample=seed,
        label=label,
        sampling=parse_settings(settings),
    )
    record = writing.write(iter([samples]), n, path, scale, metadata, columns=columns)
    print_file(path, {"n": n, **record}, json)


def _parse_pair(text: str, separator: str, option: str, example: str) -> tuple[int, int]:
    one, _, two = (part.strip() for part in text.partition(separator))
    if not (one.isdecimal() and two.isdecimal() and len(text) < 40):
        raise BadInput(f"{option} must be two whole numbers like {example}, got {text[:40]!r}")
    return int(one), int(two)
