"""plot: draw a run as a figure, a page or a film."""

from pathlib import Path
from typing import Annotated

from genzoo.cli.app import app, as_json
from genzoo.cli.options import argument, out_option
from genzoo.cli.output import Picture
from genzoo.files import check_new
from genzoo.models.kinds import PLOTS, check_path
from genzoo.text import printable


@app.command(
    examples=[
        "genzoo plot my-vae",
        "genzoo plot my-vae -o my-vae.gif",
    ]
)
def plot(
    run: Annotated[Path, argument("The folder of a run.", "RUN")],
    *,
    out: Annotated[
        Path | None,
        out_option(
            "A .html, .svg, .png, .jpg, .webp, .pdf, .gif (film of the grids) or .npy (samples).",
            "RUN.html",
        ),
    ] = None,
    picture: Picture,
) -> None:
    """Draw a run's losses, gradients and samples."""
    path = out or Path(f"{run.resolve().name}.html")
    check_path(path, picture.force)
    check_new(path, PLOTS, picture.force)
    from genzoo.runs import plots

    file = plots.plot(run, path, scale=picture.scale)
    if picture.json:
        as_json({"file": str(file), **plots.read_run(run).record()})
    else:
        print(printable(str(file)))
