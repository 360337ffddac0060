"""evaluate: measure how good a model, or a folder of images, is."""

from typing import Annotated

from genzoo.cli.app import Ticker, agreed, app, as_json, parse_settings
from genzoo.cli.completing import complete_model
from genzoo.cli.groups import DataForm
from genzoo.cli.options import (
    DATA,
    OUTPUT,
    Device,
    Features,
    Groups,
    Json,
    Seed,
    Settings,
    argument,
    count_option,
    data_option,
    flag,
    metrics_option,
    option,
)
from genzoo.devices import is_first_process
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
        argument(
            "A model, a folder like ./mine, or images:FOLDER.", "MODEL", complete=complete_model
        ),
    ],
    *,
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
    data: Annotated[str | None, data_option("the model's training data")] = None,
    limit: Annotated[
        int | None,
        option("Number of real images to use.", "N", default="all", panel=DATA, min=2),
    ] = None,
    form: DataForm,
    write: Annotated[
        bool, flag("--write", "Store the scores in the model's card.", OUTPUT)
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
        seed=agreed(seed),
        sampling=parse_settings(settings),
        features=features,
        groups=groups,
        limit=limit,
        device=device,
        progress=ticker.count,
        **vars(form),
    )
    ticker.done()
    if write and is_first_process():
        result.write()
    if json:
        as_json(result.record())
        return
    print(printable(f"{result.name} on {result.data}"))
    print(result)
    for score in result.scores:
        print(printable(f"{score.metric}: {evaluation.protocol_line(score.protocol)}"))
