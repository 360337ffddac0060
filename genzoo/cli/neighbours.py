"""neighbours: samples beside the most similar training images."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import Ticker, app, default_path
from genzoo.cli.groups import DataForm
from genzoo.cli.options import (
    Device,
    ModelName,
    Seed,
    count_option,
    data_option,
    option,
    out_option,
)
from genzoo.cli.output import FILES, Picture


@app.command(
    examples=[
        "genzoo neighbours dcgan-mnist",
        "genzoo neighbours vae-celeba -n 4 -k 6 -o near.png",
    ]
)
def neighbours(
    name: ModelName,
    *,
    n: Annotated[int, count_option("Number of samples.", least=1)] = 8,
    k: Annotated[int, option("Number of training images per sample.", "N", "-k", "--k", min=1)] = 4,
    seed: Seed = 0,
    data: Annotated[str | None, data_option("the model's training data")] = None,
    form: DataForm,
    out: Annotated[Path | None, out_option(FILES, "MODEL-neighbours.png")] = None,
    picture: Picture,
    device: Device = "auto",
) -> None:
    """Show the training images nearest to samples."""
    path = picture.path(out, default_path(name, "-neighbours.png"))
    from genzoo.evaluation import neighbours as searching

    ticker = Ticker()
    result = searching.neighbours(
        name,
        data=data,
        n=n,
        k=k,
        seed=seed,
        device=device,
        progress=ticker.count,
        **vars(form),
    )
    ticker.done()
    result.save(path, scale=picture.scale)
    picture.print(path, result.record())
    if not picture.json:
        print(result)
