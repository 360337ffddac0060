"""outliers: test whether a model gives other images a lower likelihood."""

from typing import Annotated

import typer

from genzoo.cli.app import (
    Channels,
    Device,
    Fit,
    Json,
    Levels,
    ModelName,
    Root,
    Seed,
    Size,
    Ticker,
    app,
    as_json,
    count_option,
    data_option,
)
from genzoo.cli.completing import complete_data
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo outliers pixelcnn-mnist --against fashion-mnist",
        "genzoo outliers vae-mnist --against ./scans -n 200",
    ]
)
def outliers(
    name: ModelName,
    against: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            help="The other images: a data set or a folder.",
            autocompletion=complete_data,
        ),
    ],
    data: Annotated[str | None, data_option("the model's training data")] = None,
    n: Annotated[int, count_option("Number of test images of each.", least=2)] = 1000,
    seed: Seed = 0,
    size: Size = None,
    channels: Channels = None,
    fit: Fit = None,
    levels: Levels = None,
    root: Root = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Separate two kinds of images by their likelihood."""
    from genzoo.evaluation import outliers as separating
    from genzoo.evaluation.evaluate import protocol_line

    ticker = Ticker()
    result = separating.outliers(
        name,
        data=data,
        against=against,
        n=n,
        seed=seed,
        size=size,
        channels=channels,
        fit=fit,
        levels=levels,
        root=root,
        device=device,
        progress=ticker.count,
    )
    ticker.done()
    if json:
        as_json(result.record())
        return
    print(result)
    print(printable(protocol_line(result.protocol)))
