"""genzoo arithmetic: add and subtract latent codes."""

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
    Scale,
    SearchSeed,
    SearchSteps,
    Seed,
    Settings,
    app,
    default_path,
    out_option,
    parse_settings,
    print_file,
)
from genzoo.cli.output import FILES, picture_path
from genzoo.errors import BadInput


@app.command(
    examples=[
        "genzoo arithmetic dcgan-celeba 0:3,5,9 - 0:1,2,4 + 0:7,8,11",
        "genzoo arithmetic vae-mnist 3 + 17 --scale 4 -o sum.png",
    ]
)
def arithmetic(
    name: ModelName,
    terms: Annotated[
        list[str],
        typer.Argument(metavar="SUM", help="Means of samples or photos: 0:3,5,9 - 0:1,2 + me.png."),
    ],
    out: Annotated[Path | None, out_option(FILES, "MODEL-sum.png")] = None,
    label: Label = None,
    settings: Settings = None,
    search_steps: SearchSteps = None,
    search_seed: SearchSeed = None,
    restarts: Restarts = None,
    seed: Seed = 0,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Add and subtract the codes of samples."""
    path = picture_path(out, default_path(name, "-sum.png"), force, scale, metadata=metadata)
    from genzoo.editing import arithmetic as sums
    from genzoo.editing.walks import as_latent
    from genzoo.models import writing

    model = as_latent(name, device)
    if not model.is_images:
        raise BadInput(f"cannot write {path}: a sum is drawn of images, not of {model.kind}")
    writing.check_target(path, 9, model, scale, force, metadata=metadata)
    combination = sums.arithmetic(
        model,
        " ".join(terms),
        label=label,
        seed=seed,
        sampling=parse_settings(settings),
        search_steps=search_steps,
        search_seed=search_seed,
        restarts=restarts,
    )
    combination.save(path, scale, metadata=metadata)
    code = combination.code[0].tolist()
    print_file(path, {"code": code, **combination.around.record()}, json)
