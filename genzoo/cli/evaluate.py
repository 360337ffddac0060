"""evaluate: how good a model is, or a folder of images."""

from typing import Annotated

import typer

from genzoo.cli.app import Device, Json, Root, Ticker, app, as_json
from genzoo.errors import GenzooError
from genzoo.text import printable


@app.command()
def evaluate(
    subject: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model, a folder like ./mine, images:FOLDER.")
    ],
    data: Annotated[
        str | None, typer.Option(help="Held against: a name, ./FOLDER, images:FOLDER. [its own]")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Names with commas between: fd,precision,nll. [the usual]")
    ] = None,
    n: Annotated[
        int | None, typer.Option("-n", "--n", help="Samples, or images a likelihood is of.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples.")] = 0,
    features: Annotated[
        str | None, typer.Option(help="mnist, inception, inception:FILE, module:object. [data's]")
    ] = None,
    groups: Annotated[
        int | None, typer.Option(min=1, help="Disjoint groups that distances are estimated on.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Real images to look at.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Bring folders' images to it.")] = None,
    channels: Annotated[int | None, typer.Option(help="1 or 3, of folders' images.")] = None,
    root: Root = None,
    write: Annotated[bool, typer.Option("--write", help="Put it into the model's card.")] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure a model by any metric: genzoo evaluate vae-mnist --metrics fd,recall."""
    from genzoo.evaluation import evaluate as evaluation

    ticker = Ticker()
    found = evaluation.evaluate(
        subject,
        data=data,
        metrics=metrics,
        n=n,
        seed=seed,
        features=features,
        groups=groups,
        limit=limit,
        size=size,
        channels=channels,
        root=root,
        device=device,
        progress=ticker.count,
    )
    ticker.done()
    if write:
        found.write()
    if json:
        as_json(found.record())
        return
    print(printable(f"{found.name} on {found.data}"))
    print(found)
    for score in found.scores:
        print(printable(f"{score.metric}: {evaluation.protocol_line(score.protocol)}"))


@app.command("metrics")
def list_metrics(json: Json = False) -> None:
    """List the metrics: what each measures, and of what."""
    from genzoo.cli.app import as_table
    from genzoo.metrics import registry
    from genzoo.metrics.metric import ModelMetric
    from genzoo.metrics.sample_metrics import INCEPTION
    from genzoo.testing import status

    status.refuse_broken("metric")
    found = []
    for name in registry.names():
        try:
            kind = registry.metric_class(name)
        except GenzooError as error:  # a broken plugin, or a name taken twice
            found.append((name, "", "", str(error)))
            continue
        of = "a model" if issubclass(kind, ModelMetric) else "images"
        found.append((name, of, kind.goal, kind.about))
    known = {name: (of, goal) for name, of, goal, _ in found}
    for ours, theirs in INCEPTION.items():
        found.append((theirs, *known[ours], f"{ours} in the features of the original FID"))
    if json:
        as_json([dict(zip(("name", "of", "goal", "about"), row, strict=True)) for row in found])
    else:
        as_table(found, ("name", "of", "good", ""))
