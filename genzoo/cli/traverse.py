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
    Restarts,
    Sample,
    Scale,
    SearchSeed,
    SearchSteps,
    Settings,
    app,
    default_path,
    out_option,
    parse_settings,
    print_file,
)
from genzoo.errors import BadInput


@app.command(
    examples=[
        "genzoo traverse vae-mnist --dims 3,7",
        "genzoo traverse dcgan-celeba --sample 0:16 --grid 5x9 -o grid.png",
    ]
)
def traverse(
    name: ModelName,
    dims: Annotated[
        str, typer.Option(metavar="DIM,DIM", help="Two numbers of the code: down, across.")
    ] = "0,1",
    grid: Annotated[str, typer.Option(metavar="ROWSxCOLUMNS", help="Size of the grid.")] = "9x9",
    sample: Sample = None,
    label: Label = None,
    settings: Settings = None,
    search_steps: SearchSteps = None,
    restarts: Restarts = None,
    search_seed: SearchSeed = None,
    out: Annotated[Path | None, out_option("A .png or .npy.", "MODEL-traversal.png")] = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Change two numbers of a sample's code, on a grid."""
    from genzoo import load
    from genzoo.editing import selection, walks
    from genzoo.models import writing

    pair = _parse_pair(dims, ",", "--dims", "3,7")
    rows, columns = _parse_pair(grid, "x", "--grid", "9x9")
    model = walks.as_latent(load(name, device=device))
    path = out or default_path(name, f"-traversal{writing.default_ending(model)}")
    walks.check_grid(model, pair, (rows, columns))
    chosen = selection.select(model, sample or 0)
    top = -(-2 // columns) if chosen.photos else 0
    n = (top + rows) * columns
    writing.check_target(path, n, model, scale, force, columns=columns, metadata=metadata)
    samples = walks.traverse(
        model,
        pair,
        grid=(rows, columns),
        sample=chosen,
        label=label,
        sampling=parse_settings(settings),
        search_steps=search_steps,
        restarts=restarts,
        search_seed=search_seed,
    )
    record = writing.write(iter([samples]), n, path, scale, metadata, columns=columns)
    print_file(path, {"n": n, **record}, json)


def _parse_pair(text: str, separator: str, option: str, example: str) -> tuple[int, int]:
    one, _, two = (part.strip() for part in text.partition(separator))
    if not (one.isdecimal() and two.isdecimal() and len(text) < 40):
        raise BadInput(f"{option} must be two whole numbers like {example}, got {text[:40]!r}")
    return int(one), int(two)
