"""genzoo data show: a data set, to look at."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import (
    SEED,
    App,
    Channels,
    Fit,
    Force,
    Json,
    Levels,
    Root,
    Scale,
    Size,
    app,
    as_json,
    count_option,
    default_path,
    out_option,
)
from genzoo.cli.output import FILES, picture_path
from genzoo.text import printable

data_app = App(help="Look at data sets.")
app.add_typer(data_app, name="data")


@data_app.callback()
def _group() -> None:
    """Look at data sets."""


@data_app.command(
    "show",
    examples=["genzoo data show digits", "genzoo data show mnist --mean -o mean.png"],
)
def show_data(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A data set of genzoo list data, or a folder like ./photos."
        ),
    ],
    n: Annotated[
        int | None, count_option("Number of samples.", "15 images, 9 signals, 1000 points", 1)
    ] = None,
    seed: Annotated[int | None, SEED] = None,
    start: Annotated[
        int | None,
        typer.Option(metavar="N", help="Index of the first sample.", show_default="random ones"),
    ] = None,
    mean: Annotated[
        bool, typer.Option("--mean", help="Only the mean picture: of all, and of each class.")
    ] = False,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="Part of the data: train or test.")
    ] = "train",
    out: Annotated[Path | None, out_option(FILES, "DATA-data.png")] = None,
    scale: Scale = None,
    size: Size = None,
    channels: Channels = None,
    fit: Fit = None,
    levels: Levels = None,
    root: Root = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw a sheet of a data set, with its mean picture.

    The sheet shows somebody's data: keep it to yourself, unless their terms allow more.
    """
    path = picture_path(out, default_path(name, "-data.png"), force, scale)
    from genzoo.data.viewing import show

    sheet = show(
        name,
        n,
        split=split,
        seed=seed,
        start=start,
        mean=mean,
        size=size,
        channels=channels,
        fit=fit,
        levels=levels,
        root=root,
    )
    sheet.save(path, scale=scale)
    if json:
        as_json({"path": str(path), **sheet.record()})
    else:
        print(printable(f"{path}: {sheet.note}"))
