"""truncate: fidelity and diversity at several truncations."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import Ticker, app, default_path
from genzoo.cli.options import (
    Device,
    Features,
    ModelName,
    Root,
    Seed,
    count_option,
    data_option,
    metrics_option,
    option,
    out_option,
)
from genzoo.cli.output import Picture
from genzoo.editing.notation import parse_values
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo truncate dcgan-celeba",
        "genzoo truncate vae-mnist --values 0.5,1,none -n 500 -o trade.png",
    ]
)
def truncate(
    name: ModelName,
    *,
    values: Annotated[
        str | None,
        option(
            "Limits of truncation; none: no truncation.",
            "NUMBERS",
            default="those of 0.25,0.5,0.75,1,1.5,2,none that the model allows",
        ),
    ] = None,
    metrics: Annotated[str, metrics_option(None)] = "precision,recall,fd",
    n: Annotated[int, count_option("Number of samples at each truncation.")] = 2000,
    seed: Seed = 0,
    features: Features = None,
    data: Annotated[str | None, data_option("the model's training data")] = None,
    root: Root = None,
    out: Annotated[
        Path | None, out_option("A .png, .jpg, .webp, .pdf or .json.", "MODEL-truncation.png")
    ] = None,
    picture: Picture,
    device: Device = "auto",
) -> None:
    """Plot whether truncation trades diversity for fidelity."""
    if values is not None:
        parse_values(values)
    path = picture.path(out, default_path(name, "-truncation.png"), ".json")
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
    curve.save(path, scale=picture.scale)
    if not picture.json:
        print(printable(f"{curve.name} on {curve.data}"))
        print(curve)
    picture.print(path, curve.record())
