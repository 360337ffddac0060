"""genzoo traverse: change two dimensions of a sample's code."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from genzoo.cli.output import FILES, samples_path
from genzoo.errors import refuse_unread

if TYPE_CHECKING:
    from genzoo.models.sampler import Latent


@app.command(
    examples=[
        "genzoo traverse vae-mnist --dims all",
        "genzoo traverse dcgan-celeba --sample 0:16 --grid 5x9 -o grid.png",
    ]
)
def traverse(
    name: ModelName,
    dims: Annotated[
        str | None,
        typer.Option(
            metavar="DIM,DIM|all",
            help="Two numbers of the code: down, across; or all: a row for each.",
            show_default="the two that change pictures most",
        ),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(metavar="ROWSxCOLUMNS", help="Size of the grid.", show_default="9x9"),
    ] = None,
    sample: Sample = None,
    label: Label = None,
    settings: Settings = None,
    search_steps: SearchSteps = None,
    restarts: Restarts = None,
    search_seed: SearchSeed = None,
    out: Annotated[Path | None, out_option(FILES, "MODEL-traversal.png")] = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Change two numbers of a sample's code, on a grid."""
    from genzoo.models.checks import checked_pair

    if dims == "all":
        refuse_unread("--dims all has a row for each number of the code", grid=grid)
    pair = None if dims in (None, "all") else checked_pair("dims", dims, ",", "3,7 or all")
    rows, columns = checked_pair("grid", grid or "9x9", "x", "9x9")
    path = samples_path(out, name, "-traversal", force)
    from genzoo import load
    from genzoo.editing import selection, walks
    from genzoo.models import writing

    model = walks.as_latent(load(name, device=device))
    path = path or default_path(name, f"-traversal{writing.default_ending(model)}")
    chosen = selection.select(model, sample or 0)
    how: dict[str, Any] = {
        "sample": chosen,
        "label": label,
        "sampling": parse_settings(settings),
        "search_steps": search_steps,
        "restarts": restarts,
        "search_seed": search_seed,
    }
    if dims == "all":
        n = columns * model.latent_dim
        writing.check_target(path, n, model, scale, force, columns=columns, metadata=metadata)
        _sweep(model, path, scale, metadata, how, json)
        return
    is_measured = pair is None
    pair = pair or walks.most_active(model, label, how["sampling"])
    walks.check_grid(model, pair, (rows, columns))
    top = -(-2 // columns) if chosen.photos else 0
    n = (top + rows) * columns
    writing.check_target(path, n, model, scale, force, columns=columns, metadata=metadata)
    samples = walks.traverse(model, pair, grid=(rows, columns), **how)
    record = writing.write(iter([samples]), n, path, scale, metadata, columns=columns)
    print_file(path, {"n": n, **record}, json)
    if is_measured and not json:
        print(f"numbers {pair[0]} (down) and {pair[1]} (across) of the code change pictures most")


def _sweep(
    model: "Latent",
    path: Path,
    scale: int | None,
    metadata: bool,
    how: dict[str, Any],
    json: bool,
) -> None:
    from genzoo.editing.sweep import sweep

    result = sweep(model, **how)
    result.save(path, scale, metadata=metadata)
    print_file(path, {"n": len(result.samples), **result.samples.record()}, json)
