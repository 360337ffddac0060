"""outliers: test whether a model gives other images a lower likelihood."""

from typing import Annotated

from genzoo.cli.app import Ticker, app, as_json
from genzoo.cli.completing import complete_data
from genzoo.cli.groups import DataForm
from genzoo.cli.options import (
    Device,
    Json,
    ModelName,
    Seed,
    count_option,
    data_option,
    option,
)
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo outliers pixelcnn-mnist --against fashion-mnist",
        "genzoo outliers vae-mnist --against ./scans -n 200",
    ]
)
def outliers(
    name: ModelName,
    *,
    against: Annotated[
        str, option("The other images: a data set or a folder.", "DATA", complete=complete_data)
    ],
    n: Annotated[int, count_option("Number of test images of each.", least=2)] = 1000,
    seed: Seed = 0,
    data: Annotated[str | None, data_option("the model's training data")] = None,
    form: DataForm,
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
        device=device,
        progress=ticker.count,
        **vars(form),
    )
    ticker.done()
    if json:
        as_json(result.record())
        return
    print(result)
    print(printable(protocol_line(result.protocol)))
