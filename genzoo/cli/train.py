"""train: train a model, resume a run, or estimate a run's time and memory.

An option that is not given is None, so that --resume can tell it from one that is.
"""

import logging
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

from genzoo.cli.app import Ticker, app, as_json, ungrouped
from genzoo.cli.completing import complete_family, complete_model
from genzoo.cli.options import (
    COMPUTING,
    DEVICE,
    OUTPUT,
    SEED,
    Force,
    Json,
    Root,
    Settings,
    argument,
    data_option,
    flag,
    license_option,
    option,
    out_option,
)
from genzoo.devices import is_first_process
from genzoo.errors import command
from genzoo.files import written
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.runs.launch import Estimate


log = logging.getLogger("genzoo.cli")


@final
@dataclass(frozen=True)
class Length:
    """How long a training lasts."""

    steps: Annotated[int | None, option("Number of training steps.", "N", min=1, max=10**9)] = None
    minutes: Annotated[
        float | None,
        option(
            "Train for about so long (in place of --steps).",
            "MINUTES",
            default="5",
            min=0.01,
            max=1e6,
        ),
    ] = None


@final
@dataclass(frozen=True)
class Start:
    """What a training begins with."""

    recipe: Annotated[
        str | None,
        option(
            help="Train with the settings of this model: dcgan-mnist, ./mine.",
            form="MODEL",
            complete=complete_model,
        ),
    ] = None
    start_from: Annotated[
        str | None,
        option(
            "Begin with the weights of this model (and its config and discriminator).",
            "MODEL",
            "--from",
            complete=complete_model,
        ),
    ] = None
    resume: Annotated[bool, flag("--resume", "Resume the run in --out.")] = False


@final
@dataclass(frozen=True)
class Computing:
    """How a training computes."""

    device: Annotated[str | None, DEVICE] = None
    precision: Annotated[
        str | None,
        option(
            "Precision of the computation; auto: what is faster here.",
            "fp32|bf16|auto",
            default="fp32",
            panel=COMPUTING,
        ),
    ] = None
    micro_batches: Annotated[
        int | None,
        option(
            "Split each batch into N parts (gradient accumulation).",
            "N",
            default="1",
            panel=COMPUTING,
            min=1,
        ),
    ] = None
    compile: Annotated[
        bool | None,
        flag("--compile/--no-compile", "Compile the networks.", COMPUTING, default="no"),
    ] = None
    threads: Annotated[
        int | None, option("Number of CPU threads.", "N", panel=COMPUTING, min=1)
    ] = None


@final
@dataclass(frozen=True)
class Writing:
    """What a training writes."""

    out: Annotated[
        Path | None, out_option("Folder of the run and its model.", "FAMILY-DATA", "FOLDER")
    ] = None
    checkpoint_every: Annotated[
        int | None,
        option("Steps between checkpoints.", "N", default="one a minute", panel=OUTPUT, min=1),
    ] = None
    grid_every: Annotated[
        int | None, option("Steps between sample grids.", "N", panel=OUTPUT, min=1)
    ] = None
    board: Annotated[bool, flag("--board", "Write TensorBoard logs to OUT/run/board.", OUTPUT)] = (
        False
    )
    store_as: Annotated[
        str | None,
        option(
            "Data type of the stored weights: float32, float16, bfloat16.",
            "DTYPE",
            default="float32",
            panel=OUTPUT,
        ),
    ] = None
    license: Annotated[str | None, license_option("unknown")] = None
    version: Annotated[
        int | None,
        option(
            "Version of the model.",
            "N",
            "--model-version",
            default="1, or after the one in --out",
            panel=OUTPUT,
            min=1,
        ),
    ] = None


@app.command(
    examples=[
        "genzoo train vae --data digits --minutes 1 -o my-vae",
        "genzoo train dcgan --data ./photos --set size=64 --steps 20000 --dry-run",
    ]
)
def train(
    family: Annotated[
        str | None,
        argument("A family of genzoo families.", "FAMILY", complete=complete_family),
    ] = None,
    *,
    length: Length,
    seed: Annotated[int | None, SEED] = None,
    start: Start,
    settings: Settings = None,
    dry_run: Annotated[bool, flag("--dry-run", "Estimate time and memory; do not train.")] = False,
    data: Annotated[str | None, data_option("digits")] = None,
    root: Root = None,
    writing: Writing,
    force: Force = False,
    json: Json = False,
    computing: Computing,
) -> None:
    """Train a model, or resume a run."""
    given = ungrouped(locals())
    from genzoo.runs.request import read_request
    from genzoo.schemas import assignments

    request = read_request(
        {**given, "dtype": writing.store_as, "settings": assignments(settings or [])}
    )
    if data is None and not (start.recipe or start.resume):
        log.info("no --data given: the data set is digits, of scikit-learn (genzoo list data)")
    from genzoo.runs import train as training

    if dry_run:
        _print_estimate(training.estimate(request), json)
        return
    ticker = Ticker()
    typed = shlex.join(["genzoo", *sys.argv[1:]])
    typed = re.sub(r"(--seed[ =])random\b", rf"\g<1>{seed}", typed)  # it can be repeated
    try:
        run = training.carry_out(request, ticker.step, typed)
    finally:
        ticker.done()
    if not is_first_process():
        return
    if json:
        as_json({"folder": str(run.folder), "steps": run.plan.steps})
    else:
        print(printable(str(run.folder)))
        log.info("next: %s", ", ".join(_next(run.folder, run.plan.data)))


def _next(folder: Path, data: str) -> list[str]:
    """What to type next for the model in ``folder``."""
    from genzoo.zoo import installed

    what = ["sample", "info", "plot"]
    what += ["evaluate"] if data in installed.features() else []  # else it has no default metrics
    return [command(one, written(folder)) for one in what]


def _print_estimate(estimate: "Estimate", json: bool) -> None:
    if json:
        as_json(vars(estimate))
    else:
        print(estimate)
