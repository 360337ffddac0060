"""evaluate: measure how good a model, or a folder of images, is."""

from typing import Annotated

import typer

from genzoo.cli.app import (
    DATA,
    OUTPUT,
    Channels,
    Device,
    Features,
    Fit,
    Groups,
    Json,
    Levels,
    Root,
    Seed,
    Settings,
    Size,
    Ticker,
    app,
    as_json,
    complete_model,
    count_option,
    data_option,
    metrics_option,
    parse_settings,
)
from genzoo.errors import BadInput
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo evaluate vae-mnist --metrics fd,recall -n 2000",
        "genzoo evaluate images:./photos --data celeba",
    ]
)
def evaluate(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model, a folder like ./mine, or images:FOLDER.",
            autocompletion=complete_model,
        ),
    ],
    data: Annotated[str | None, data_option("the model's training data")] = None,
    metrics: Annotated[str | None, metrics_option()] = None,
    n: Annotated[
        int | None,
        count_option(
            "Number of samples, or of test images for a likelihood.", "the metrics' protocol"
        ),
    ] = None,
    seed: Seed = 0,
    settings: Settings = None,
    features: Features = None,
    groups: Groups = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="Number of real images to use.",
            show_default="all",
            rich_help_panel=DATA,
        ),
    ] = None,
    size: Size = None,
    channels: Channels = None,
    fit: Fit = None,
    levels: Levels = None,
    root: Root = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Store the scores in the model's card.", rich_help_panel=OUTPUT
        ),
    ] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure a model, or a folder of images, by any metric."""
    from genzoo.data.register import IMAGES
    from genzoo.evaluation import evaluate as evaluation

    if write and subject.startswith(IMAGES):
        raise BadInput(f"--write stores scores in a model's card, and {subject} is no model")
    ticker = Ticker()
    result = evaluation.evaluate(
        subject,
        data=data,
        metrics=metrics,
        n=n,
        seed=seed,
        sampling=parse_settings(settings),
        features=features,
        groups=groups,
        limit=limit,
        size=size,
        channels=channels,
        fit=fit,
        levels=levels,
        root=root,
        device=device,
        progress=ticker.count,
    )
    ticker.done()
    if write:
        result.write()
    if json:
        as_json(result.record())
        return
    print(printable(f"{result.name} on {result.data}"))
    print(result)
    for score in result.scores:
        print(printable(f"{score.metric}: {evaluation.protocol_line(score.protocol)}"))
