"""plot: draw a run as a figure, a page or a film."""

from pathlib import Path
from typing import Annotated

import typer

from genzoo.cli.app import Force, Json, Scale, app, as_json, out_option
from genzoo.files import check_new
from genzoo.models.kinds import check_path
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
        Path | None,
        out_option(
            "A .html, .svg, .png, .jpg, .webp, .pdf, .gif (film of the grids) or .npy (samples).",
            "RUN.html",
        ),
    ] = None,
    scale: Scale = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw a run's losses, gradients and samples."""
    path = out or Path(f"{run.resolve().name}.html")
    check_path(path, force)
    from genzoo.runs import plots

    check_new(path, plots.ENDINGS, force)
    file = plots.plot(run, path, scale=scale)
    if json:
        as_json({"file": str(file), **plots.read_run(run).record()})
    else:
        print(printable(str(file)))
