"""truncate: fidelity and diversity at several truncations."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    Device,
    Features,
    Force,
    Json,
    ModelName,
    Root,
    Scale,
    Seed,
    Ticker,
    app,
    as_json,
    count_option,
    data_option,
    default_path,
    metrics_option,
    out_option,
)
from genzoo.cli.output import picture_path
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo truncate dcgan-celeba",
        "genzoo truncate vae-mnist --values 0.5,1,none -n 500 -o trade.png",
    ]
)
def truncate(
    name: ModelName,
    values: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="Limits of truncation; none: no truncation.",
            show_default="those of 0.25,0.5,0.75,1,1.5,2,none that the model allows",
        ),
    ] = None,
    metrics: Annotated[str, metrics_option(True)] = "precision,recall,fd",
    data: Annotated[str | None, data_option("the model's training data")] = None,
    n: Annotated[int, count_option("Number of samples at each truncation.")] = 2000,
    seed: Seed = 0,
    features: Features = None,
    out: Annotated[
        Path | None, out_option("A .png, .jpg, .webp, .pdf or .json.", "MODEL-truncation.png")
    ] = None,
    scale: Scale = None,
    root: Root = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Plot whether truncation trades diversity for fidelity."""
    path = picture_path(out, default_path(name, "-truncation.png"), force, scale, ".json")
    from genzoo.evaluation import truncation

    ticker = Ticker()
    curve = truncation.truncate(
        name,
        values,
        data=data,
        metrics=metrics,
        n=n,
        seed=seed,
        features=features,
        root=root,
        device=device,
        progress=ticker.count,
    )
    ticker.done()
    curve.save(path, scale=scale)
    if json:
        as_json({"path": str(path), **curve.record()})
        return
    print(printable(f"{curve.name} on {curve.data}"))
    print(curve)
    print(printable(str(path)))
