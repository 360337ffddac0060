"""plot: draw a run as a figure, a page or a film."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Force, Json, app, as_json, out_option
from genzoo.files import check_new
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo plot my-vae",
        "genzoo plot my-vae -o my-vae.gif",
    ]
)
def plot(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    out: Annotated[
        Path | None, out_option("A .html, .svg, .png or .gif (film of the grids).", "RUN.html")
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw a run's losses, gradients and samples."""
    from genzoo.runs import plots

    path = out or Path(f"{run.resolve().name}.html")
    check_new(path, plots.ENDINGS, force)
    file = plots.plot(run, path)
    if json:
        as_json({"file": str(file), **plots.read_run(run).record()})
    else:
        print(printable(str(file)))
