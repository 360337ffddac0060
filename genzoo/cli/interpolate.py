"""genzoo interpolate: a walk from sample to sample."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    SAMPLE,
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
    Settings,
    Ticker,
    app,
    default_path,
    out_option,
    parse_settings,
    print_file,
)
from genzoo.cli.output import samples_path
from genzoo.models.kinds import PICTURES


@app.command(
    examples=[
        "genzoo interpolate dcgan-celeba --sample 0:16,18,43 --steps 6 -o walk.png",
        "genzoo interpolate vae-mnist --sample 3,17,42 --loop",
    ]
)
def interpolate(
    name: ModelName,
    sample: Annotated[list[str], SAMPLE],
    out: Annotated[
        Path | None,
        out_option(
            "A .gif, a strip (.png, .jpg, .webp, .pdf), .npy, or a folder.", "MODEL-walk.gif"
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Steps between two samples.", show_default="30, in a strip 8"
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Return to the first sample.")] = False,
    how: Annotated[
        str,
        typer.Option(
            metavar="slerp|lerp", help="slerp keeps the length of codes, lerp is a straight line."
        ),
    ] = "slerp",
    label: Label = None,
    settings: Settings = None,
    search_steps: SearchSteps = None,
    restarts: Restarts = None,
    search_seed: SearchSeed = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Walk from sample to sample, as a film or a strip."""
    path = samples_path(out, name, "-walk", force, film=True)
    from genzoo import load
    from genzoo.editing import selection, walks
    from genzoo.models import writing

    model = walks.as_latent(load(name, device=device))
    path = path or default_path(name, f"-walk{writing.default_ending(model, film=True)}")
    steps = steps if steps is not None else 8 if path.suffix in PICTURES else 30
    through = selection.select(model, sample)
    still = 2 * len(through.photos)
    n = still + walks.walk_length(through, steps, loop)
    writing.check_target(path, n, model, scale, force, film=True, columns=n, metadata=metadata)
    ticker = Ticker()
    walk = walks.interpolate(
        model,
        through,
        steps=steps,
        loop=loop,
        how=how,  # type: ignore[arg-type]
        label=label,
        sampling=parse_settings(settings),
        progress=ticker.count,
        search_steps=search_steps,
        restarts=restarts,
        search_seed=search_seed,
    )
    record = writing.write(iter([walk]), n, path, scale, metadata, columns=n, still=still)
    ticker.done()
    print_file(path, {"n": n, **record}, json)
