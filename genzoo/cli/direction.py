"""genzoo direction: compute the direction of an attribute; genzoo steer: apply it."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    SAMPLE,
    SEED,
    Device,
    Force,
    Json,
    Label,
    Metadata,
    ModelName,
    Restarts,
    Root,
    Scale,
    SearchSeed,
    SearchSteps,
    Settings,
    Ticker,
    app,
    count_option,
    data_option,
    default_path,
    out_option,
    parse_settings,
    print_file,
)
from genzoo.cli.output import samples_path
from genzoo.errors import refuse_unread
from genzoo.files import check_new
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo direction dcgan-celeba --of Smiling -o smile.safetensors",
        "genzoo direction vae-mnist --toward 0:3,5 --away 0:1,2",
    ]
)
def direction(
    name: ModelName,
    of: Annotated[
        str | None,
        typer.Option(metavar="ATTRIBUTE", help="A class or an attribute of the data: Smiling, 3."),
    ] = None,
    encode: Annotated[
        bool, typer.Option("--encode", help="Use the codes of real images in place of samples.")
    ] = False,
    toward: Annotated[
        str | None,
        typer.Option(
            metavar="SEED:INDEX", help="In place of --of: samples with the attribute, like 0:3,5,9."
        ),
    ] = None,
    away: Annotated[
        str | None,
        typer.Option(metavar="SEED:INDEX", help="With --toward: samples without the attribute."),
    ] = None,
    data: Annotated[str | None, data_option("the model's training data")] = None,
    n: Annotated[
        int | None, count_option("Number of samples or images.", "4000 samples, all images")
    ] = None,
    seed: Annotated[int | None, SEED] = None,
    label: Label = None,
    out: Annotated[Path | None, out_option("A .safetensors.", "MODEL-OF.safetensors")] = None,
    root: Root = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Compute the direction of an attribute, like Smiling."""
    from genzoo.editing import directions

    path = out or default_path(name, f"-{of or 'direction'}.safetensors")
    check_new(path, [".safetensors"], force)
    ticker = Ticker()
    result = directions.direction(
        name,
        of,
        encode=encode,
        toward=toward,
        away=away,
        data=data,
        n=n,
        seed=seed,
        label=label,
        root=root,
        device=device,
        progress=ticker.count,
    )
    ticker.done()
    result.save(path)
    print_file(path, result.info.model_dump(mode="json"), json)
    if not json:
        print(printable(str(result)))


@app.command(
    examples=[
        "genzoo steer dcgan-celeba smile.safetensors --sample 0:16,18",
        "genzoo steer vae-mnist seven.safetensors --sample digit.png --alphas -2,0,2",
    ]
)
def steer(
    name: Annotated[
        str, typer.Argument(metavar="MODEL", help="The model that the direction was computed for.")
    ],
    direction: Annotated[
        Path, typer.Argument(metavar="DIRECTION", help="A file of genzoo direction.")
    ],
    sample: Annotated[list[str], SAMPLE],
    alphas: Annotated[
        str, typer.Option(metavar="NUMBERS", help="Multiples of the direction: -2,0,2, or -2:2.")
    ] = "-2:2",
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Number of alphas in -2:2.",
            show_default="30 for a .gif, else 7",
        ),
    ] = None,
    label: Label = None,
    settings: Settings = None,
    search_steps: SearchSteps = None,
    restarts: Restarts = None,
    search_seed: SearchSeed = None,
    out: Annotated[
        Path | None,
        out_option(
            "A .png, .jpg, .webp, .pdf (a row per sample), .gif or .npy.", "MODEL-steered.png"
        ),
    ] = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Move samples along a direction."""
    if ":" not in alphas:
        refuse_unread(f"--alphas {alphas} is the whole list", steps=steps)
    path = samples_path(out, name, "-steered", force)
    from genzoo import load
    from genzoo.editing import directions, selection, walks
    from genzoo.models import writing

    model = walks.as_latent(load(name, device=device))
    path = path or default_path(name, f"-steered{writing.default_ending(model)}")
    usual = 30 if path.suffix == ".gif" and ":" in alphas else None
    values = directions.parse_alphas(alphas, steps or usual)
    chosen = selection.select(model, sample)
    still = 2 if chosen.photos else 0
    columns = still + len(values)
    n = columns * len(chosen)
    writing.check_target(
        path, n, model, scale, force, film=True, columns=columns, metadata=metadata
    )
    samples = directions.steer(
        model,
        direction,
        chosen,
        alphas=values,
        label=label,
        sampling=parse_settings(settings),
        search_steps=search_steps,
        restarts=restarts,
        search_seed=search_seed,
    )
    record = writing.write(iter([samples]), n, path, scale, metadata, columns=columns, still=still)
    print_file(path, {"n": n, "alphas": values, **record}, json)
