"""genzoo direction: compute the direction of an attribute; genzoo steer: apply it."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import Ticker, app, default_path, print_file
from genzoo.cli.groups import CodeSearch, Sampling
from genzoo.cli.options import (
    SAMPLE,
    SEED,
    Device,
    Force,
    Json,
    Label,
    ModelName,
    Root,
    argument,
    count_option,
    data_option,
    flag,
    option,
    out_option,
)
from genzoo.cli.output import SamplesFile
from genzoo.editing.notation import check_alphas, check_samples, check_ways
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
    *,
    of: Annotated[
        str | None, option("A class or an attribute of the data: Smiling, 3.", "ATTRIBUTE")
    ] = None,
    encode: Annotated[
        bool, flag("--encode", "Use the codes of real images in place of samples.")
    ] = False,
    toward: Annotated[
        str | None,
        option("In place of --of: samples with the attribute, like 0:3,5,9.", "SEED:INDEX"),
    ] = None,
    away: Annotated[
        str | None, option("With --toward: samples without the attribute.", "SEED:INDEX")
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
    check_ways(of, toward, away)
    check_samples([*filter(None, (toward, away))])
    path = out or default_path(name, f"-{of or 'direction'}.safetensors")
    check_new(path, [".safetensors"], force)
    from genzoo.editing import directions

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
    name: Annotated[str, argument("The model that the direction was computed for.", "MODEL")],
    direction: Annotated[Path, argument("A file of genzoo direction.", "DIRECTION")],
    *,
    sample: Annotated[list[str], SAMPLE],
    alphas: Annotated[
        str, option("Multiples of the direction: -2,0,2, or -2:2.", "NUMBERS")
    ] = "-2:2",
    steps: Annotated[
        int | None,
        option("Number of alphas in -2:2.", "N", default="30 for a .gif, else 7", min=1),
    ] = None,
    sampling: Sampling,
    search: CodeSearch,
    out: Annotated[
        Path | None,
        out_option(
            "A .png, .jpg, .webp, .pdf (a row per sample), .gif or .npy.", "MODEL-steered.png"
        ),
    ] = None,
    file: SamplesFile,
    device: Device = "auto",
) -> None:
    """Move samples along a direction."""
    if ":" not in alphas:
        refuse_unread(f"--alphas {alphas} is the whole list", steps=steps)
    check_alphas(alphas)
    check_samples(sample)
    path = file.path(out, name, "-steered")
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
    file.check(path, columns * len(chosen), model, columns=columns, film=True, still=still)
    samples = directions.steer(
        model, direction, chosen, alphas=values, **sampling.arguments(), **vars(search)
    )
    record = file.write(samples, path, columns=columns, still=still)
    file.print(path, {"n": len(samples), "alphas": values, **record})
