"""genzoo data show: a data set, to look at."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import App, app, default_path
from genzoo.cli.groups import DataForm
from genzoo.cli.options import SEED, argument, count_option, flag, option, out_option
from genzoo.cli.output import FILES, Picture
from genzoo.text import printable

data_app = App(help="Look at data sets.\n\ngenzoo list data lists them.")
app.add_typer(data_app, name="data")


@data_app.callback()
def _group() -> None:
    """Look at data sets.

    genzoo list data lists them.
    """


@data_app.command(
    "show",
    examples=["genzoo data show digits", "genzoo data show mnist --mean -o mean.png"],
)
def show_data(
    name: Annotated[
        str, argument("A data set of genzoo list data, or a folder like ./photos.", "DATA")
    ],
    *,
    n: Annotated[
        int | None, count_option("Number of samples.", "15 images, 9 signals, 1000 points", 1)
    ] = None,
    seed: Annotated[int | None, SEED] = None,
    start: Annotated[
        int | None, option("Index of the first sample.", "N", default="random ones")
    ] = None,
    mean: Annotated[
        bool, flag("--mean", "Only the mean picture: of all, and of each class.")
    ] = False,
    split: Annotated[str, option("Part of the data: train or test.", "SPLIT")] = "train",
    form: DataForm,
    out: Annotated[Path | None, out_option(FILES, "DATA-data.png")] = None,
    picture: Picture,
) -> None:
    """Draw a sheet of a data set, with its mean picture.

    The sheet shows somebody's data: keep it to yourself, unless their terms allow more.
    """
    path = picture.path(out, default_path(name, "-data.png"))
    from genzoo.data.viewing import show

    sheet = show(name, n, split=split, seed=seed, start=start, mean=mean, **vars(form))
    sheet.save(path, scale=picture.scale)
    if picture.json:
        picture.print(path, sheet.record())
    else:
        print(printable(f"{path}: {sheet.note}"))
