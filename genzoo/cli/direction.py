"""genzoo direction: compute the direction of an attribute; genzoo steer: apply it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    refuse_unread,
)
from genzoo.errors import BadInput
from genzoo.files import check_new
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.editing.directions import Direction
    from genzoo.models.model import Model


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
    from genzoo import load
    from genzoo.editing.directions import direction_from_seeds
    from genzoo.editing.walks import as_latent

    if (of is None) == (toward is None) or (toward is None) != (away is None):
        raise BadInput("give either --of Smiling, or --toward 0:3,5 --away 0:1,2")
    if of is None:
        refuse_unread(
            "--toward and --away choose the samples",
            encode=encode,
            data=data,
            n=n,
            seed=seed,
            data_root=root,
        )
    elif encode:
        refuse_unread("--encode takes real images", seed=seed)
    else:
        refuse_unread("samples need no data set, without --encode", data_root=root)
    path = out or default_path(name, f"-{of or 'direction'}.safetensors")
    check_new(path, [".safetensors"], force)
    model = as_latent(load(name, device=device))
    if of is None:
        result = direction_from_seeds(model, toward or "", away or "", label=label)
    else:
        result = _of_attribute(model, of, encode, data, n, seed or 0, label, root)
    result.save(path)
    print_file(path, result.info.model_dump(mode="json"), json)
    if not json:
        print(printable(_summary(result)))


def _of_attribute(
    model: "Model",
    of: str,
    encode: bool,
    data: str | None,
    n: int | None,
    seed: int,
    label: str | None,
    root: str | None,
) -> "Direction":
    from genzoo.editing import directions

    ticker = Ticker()
    if encode:
        result = directions.direction_from_data(
            model, of, data=data, n=n, root=root, label=label, progress=ticker.count
        )
    else:
        count = 4000 if n is None else n
        result = directions.direction_from_samples(
            model, of, data=data, n=count, seed=seed, label=label, progress=ticker.count
        )
    ticker.done()
    return result


def _summary(direction: "Direction") -> str:
    info, (toward, away) = direction.info, direction.info.counts
    counts = f"from {away:,} {'without' if info.attribute else 'samples'} to {toward:,}"
    line = f"{info.attribute or 'direction'}: {counts}, length {direction.vector.norm():.2f}"
    if info.increase_rate is None:
        return line
    line += f"; one step increases the score of {info.increase_rate:.0%} of 100 other samples"
    if info.flip_rate is None:
        return line
    return f"{line} and adds the attribute to {info.flip_rate:.0%} of those without it"


@app.command(
    examples=[
        "genzoo steer dcgan-celeba smile.safetensors --sample 0:16,18",
        "genzoo steer vae-mnist seven.safetensors --sample 3,17 --alphas -2,0,2",
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
        out_option("A .png (one row per sample), .gif or .npy.", "MODEL-steered.png"),
    ] = None,
    scale: Scale = None,
    metadata: Metadata = True,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Move samples along a direction."""
    from genzoo import load
    from genzoo.editing import directions, selection, walks
    from genzoo.models import writing

    if ":" not in alphas:
        refuse_unread(f"--alphas {alphas} is the whole list", steps=steps)
    model = walks.as_latent(load(name, device=device))
    path = out or default_path(name, f"-steered{writing.default_ending(model)}")
    values = directions.parse_alphas(alphas, steps or (30 if path.suffix == ".gif" else 7))
    chosen = selection.select(model, sample)
    still = 2 if chosen.photos else 0
    columns = still + len(values)
    n = columns * len(chosen)
    writing.check_target(
        path, n, model, scale, force, film=True, columns=columns, metadata=metadata
    )
    vector = directions.read_direction(direction)
    samples = directions.steer(
        model,
        vector,
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
