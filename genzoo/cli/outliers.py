"""outliers: test whether a model gives other images a lower likelihood."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import Ticker, app, as_json
from genzoo.cli.completing import complete_data
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
from genzoo.cli.output import Picture
from genzoo.errors import refuse_unread
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
    out: Annotated[
        Path | None,
        out_option("A .png, .jpg, .webp or .pdf of the outliers and their nearest, or a .json."),
    ] = None,
    picture: Picture,
    device: Device = "auto",
) -> None:
    """Separate two kinds of images by their likelihood."""
    if out is None:
        refuse_unread("nothing is written without -o", scale=picture.scale, force=picture.force)
    else:
        picture.path(out, out, ".json")
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
    if out is not None:
        result.save(out, scale=picture.scale)
        picture.print(out, result.record())
    elif picture.json:
        as_json(result.record())
    if picture.json:
        return
    print(result)
    print(printable(protocol_line(result.protocol)))
    if out is not None:
        print(printable(result.note))
