"""evaluate: measure how good a model, or a folder of images, is."""

from typing import Annotated

import typer

from genzoo.cli.app import (
    Channels,
    Device,
    Fit,
    Groups,
    Json,
    Levels,
    Root,
    SamplingSet,
    Seed,
    Size,
    Ticker,
    app,
    as_json,
    complete_model,
    parse_settings,
)
from genzoo.errors import BadInput, GenzooError
from genzoo.text import printable


@app.command()
def evaluate(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model, a folder like ./mine, or images:FOLDER.",
            autocompletion=complete_model,
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="Reference data: a name, ./FOLDER, images:FOLDER. [training data]"),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Metrics, separated by commas: fd,precision,nll. [defaults]")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("-n", "--n", help="Number of samples, or of test images for a likelihood."),
    ] = None,
    seed: Seed = 0,
    settings: SamplingSet = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Features: mnist, inception, inception:FILE, module:object. [the data's]"
        ),
    ] = None,
    groups: Groups = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Number of real images to use.")] = None,
    size: Size = None,
    channels: Channels = None,
    fit: Fit = None,
    levels: Levels = None,
    root: Root = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store the scores in the model's card.")
    ] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure a model by any metric: genzoo evaluate vae-mnist --metrics fd,recall."""
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


@app.command("metrics")
def list_metrics(json: Json = False) -> None:
    """List the metrics: what each measures, of which kinds of samples or of a model."""
    from genzoo.cli.app import as_table
    from genzoo.metrics import registry
    from genzoo.metrics.metric import ModelMetric
    from genzoo.metrics.sample_metrics import INCEPTION
    from genzoo.testing import status

    status.refuse_broken("metric")
    rows = []
    for name in registry.names():
        try:
            metric = registry.metric_class(name)
        except GenzooError as error:  # a broken plugin, or two plugins with one name
            rows.append((name, "", "", str(error)))
            continue
        of = "a model" if issubclass(metric, ModelMetric) else ", ".join(metric.kinds)
        rows.append((name, of, metric.goal, metric.about))
    goals = {name: goal for name, _, goal, _ in rows}
    for own, usual in INCEPTION.items():
        rows.append((usual, "images", goals[own], f"{own} in the features of the original FID"))
    if json:
        as_json([dict(zip(("name", "of", "goal", "about"), row, strict=True)) for row in rows])
    else:
        as_table(rows, ("name", "of", "goal", ""))
