"""train: train a model, resume a run, or estimate a run's time and memory.

An option that is not given is None, so that --resume can tell it from one that is.
"""

import logging
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genzoo.cli.app import (
    COMPUTING,
    DEVICE,
    OUTPUT,
    SEED,
    Force,
    Json,
    Root,
    Settings,
    Ticker,
    app,
    as_json,
    complete_family,
    complete_model,
    data_option,
    license_option,
    out_option,
)
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.runs.launch import Estimate


log = logging.getLogger("genzoo")


@app.command(
    examples=[
        "genzoo train vae --data digits --minutes 1 -o my-vae",
        "genzoo train dcgan --data ./photos --set size=64 --steps 20000 --dry-run",
    ]
)
def train(
    family: Annotated[
        str | None,
        typer.Argument(
            metavar="FAMILY", help="A family of genzoo families.", autocompletion=complete_family
        ),
    ] = None,
    data: Annotated[str | None, data_option("digits")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=10**9, metavar="N", help="Number of training steps.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1e6,
            metavar="MINUTES",
            help="Train for about so long (in place of --steps).",
            show_default="5",
        ),
    ] = None,
    seed: Annotated[int | None, SEED] = None,
    out: Annotated[
        Path | None, out_option("Folder of the run and its model.", "FAMILY-DATA", "FOLDER")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Train with the settings of this model: dcgan-mnist, ./mine.",
            autocompletion=complete_model,
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Begin with the weights of this model (and its config and discriminator).",
            autocompletion=complete_model,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    settings: Settings = None,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="fp32|bf16",
            help="Precision of the computation.",
            show_default="fp32",
            rich_help_panel=COMPUTING,
        ),
    ] = None,
    micro_batches: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Split each batch into N parts (gradient accumulation).",
            show_default="1",
            rich_help_panel=COMPUTING,
        ),
    ] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the networks.", rich_help_panel=COMPUTING)
    ] = False,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Steps between checkpoints.", rich_help_panel=OUTPUT),
    ] = None,
    grid_every: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Steps between sample grids.", rich_help_panel=OUTPUT
        ),
    ] = None,
    board: Annotated[
        bool,
        typer.Option(
            "--board", help="Write TensorBoard logs to OUT/run/board.", rich_help_panel=OUTPUT
        ),
    ] = False,
    store_as: Annotated[
        str | None,
        typer.Option(
            metavar="DTYPE",
            help="Data type of the stored weights: float32, float16, bfloat16.",
            rich_help_panel=OUTPUT,
            show_default="float32",
        ),
    ] = None,
    license: Annotated[str | None, license_option("unknown")] = None,
    version: Annotated[
        int | None,
        typer.Option(
            "--model-version",
            min=1,
            metavar="N",
            help="Version of the model.",
            rich_help_panel=OUTPUT,
            show_default="1, or after the one in --out",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of CPU threads.", rich_help_panel=COMPUTING),
    ] = None,
    root: Root = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate time and memory; do not train.")
    ] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Train a model, or resume a run."""
    given = {**locals(), "dtype": store_as}
    from genzoo.runs.request import read_request
    from genzoo.schemas import assignments

    request = read_request({**given, "settings": assignments(settings or [])})
    from genzoo.runs import train as training

    if dry_run:
        _print_estimate(training.estimate(request), json)
        return
    ticker = Ticker()
    command = shlex.join(["genzoo", *sys.argv[1:]])
    command = re.sub(r"(--seed[ =])random\b", rf"\g<1>{seed}", command)  # it can be repeated
    try:
        run = training.carry_out(request, ticker.step, command)
    finally:
        ticker.done()
    if json:
        as_json({"folder": str(run.folder), "steps": run.plan.steps})
    else:
        print(printable(str(run.folder)))


def _print_estimate(estimate: "Estimate", json: bool) -> None:
    if json:
        as_json(vars(estimate))
    else:
        print(estimate)
