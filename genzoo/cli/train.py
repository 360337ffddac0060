"""train: train a model, resume a run, or estimate a run's time and memory."""

import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.app import (
    Device,
    Force,
    Json,
    Root,
    Ticker,
    app,
    as_json,
    as_table,
    clock,
    complete_family,
    complete_model,
    size,
)
from genzoo.errors import BadInput
from genzoo.files import file_name
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.runs.launch import Estimate
    from genzoo.runs.run import Run, RunStatus
    from genzoo.zoo.manifest import Recipe


LARGEST_POOL = 256  # threads: with many more the process ends without a message
log = logging.getLogger("genzoo")


@app.command()
def train(
    family: Annotated[
        str | None,
        typer.Argument(help="A family of genzoo families.", autocompletion=complete_family),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A data set (genzoo data --help), a folder, or two domains A,B. [digits]"
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=10**9, help="Number of training steps.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=1e6, help="Train for about this many minutes (in place of --steps)."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed. [0]")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run and its model.")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Train with the settings of this model: dcgan-mnist, ./mine.",
            autocompletion=complete_model,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a field: NAME=VALUE. genzoo info FAMILY lists the fields."),
    ] = None,
    device: Device = "auto",
    precision: Annotated[
        str, typer.Option(help="Precision of the computation: fp32 or bf16.")
    ] = "fp32",
    micro_batches: Annotated[
        int, typer.Option(min=1, help="Split each batch into N parts (gradient accumulation).")
    ] = 1,
    compile: Annotated[bool, typer.Option("--compile", help="Compile the networks.")] = False,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints.")
    ] = None,
    grid_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between sample grids.")
    ] = None,
    board: Annotated[
        bool, typer.Option("--board", help="Write TensorBoard logs to OUT/run/board.")
    ] = False,
    store_as: Annotated[
        str, typer.Option(help="Data type of the stored weights: float32, float16 or bfloat16.")
    ] = "float32",
    license: Annotated[str, typer.Option(help="License of the weights.")] = "unknown",
    version: Annotated[
        int | None,
        typer.Option(
            "--model-version", min=1, help="Version of the model. [1, or after the one in --out]"
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Number of CPU threads.")] = None,
    root: Root = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate time and memory; do not train.")
    ] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Train a model: genzoo train vae --data digits --minutes 1 --out my-vae."""
    from genzoo.schemas import assignments

    values = assignments(settings or [])
    if resume:
        _threads(threads)
        given = {"family": family, "data": data, "steps": steps, "seed": seed, "version": version}
        given |= values | ({} if license == "unknown" else {"license": license})
        _resume(out, given, root, board, json)
        return
    if steps is not None and minutes is not None:
        raise BadInput("--steps and --minutes exclude each other: give one of them")
    request: dict[str, Any] = {
        "data": data or "digits",
        "values": values,
        "seed": seed or 0,
        "precision": precision,
        "micro_batches": micro_batches,
        "compile": compile,
        "dtype": store_as,
        "license": license,
    }
    if recipe is not None:
        if family is not None:
            raise BadInput(f"--recipe decides the family: leave {family} out")
        family, steps, request = _recipe(recipe, request, data, seed, steps, minutes)
    if family is None:
        raise BadInput("no family given: type genzoo families to see all")
    _threads(threads)
    request |= {"device": device, "command": shlex.join(["genzoo", *sys.argv[1:]])}
    others = {"checkpoint_every": checkpoint_every, "grid_every": grid_every, "version": version}
    request |= {key: value for key, value in others.items() if value}
    budget = {"steps": steps, "minutes": 5.0 if steps is None and minutes is None else minutes}
    _begin(family, request, budget, out, root, dry_run, force, board, json)


def _recipe(
    name: str,
    request: dict[str, Any],
    data: str | None,
    seed: int | None,
    steps: int | None,
    minutes: float | None,
) -> tuple[str, int | None, dict[str, Any]]:
    """The family, steps and further settings of the model ``name``; those given replace them."""
    from genzoo import families
    from genzoo.data import register
    from genzoo.zoo import names

    _, manifest = names.resolve(name)
    recipe = manifest.recipe
    if recipe is None:
        raise BadInput(f"{name} has no recipe: it was not trained by genzoo train")
    place = data or register.training_data(name, manifest.data, recipe.data_sha256)
    family = families.get(manifest.family)
    config, options, _ = family.upgraded(manifest.revision, recipe.config, recipe.options)
    settings = {
        "data": place if isinstance(place, str) else register.to_open(place.data),
        "recipe": recipe,
        "inherited": {**config, **options},
        "seed": recipe.seed if seed is None else seed,
        "precision": recipe.precision,
        "micro_batches": recipe.micro_batches,
        "dtype": manifest.dtype,
        "license": manifest.license,
    }
    steps = recipe.steps if steps is None and minutes is None else steps
    return manifest.family, steps, {**request, **settings}


def _begin(
    family: str,
    request: dict[str, Any],
    budget: dict[str, Any],
    out: Path | None,
    root: str | None,
    dry_run: bool,
    force: bool,
    board: bool,
    json: bool,
) -> None:
    from genzoo import families

    families.get(family)  # an unknown name is reported before torch is imported
    from genzoo.runs import launch
    from genzoo.runs.plan import make_plan, plan
    from genzoo.runs.rehearsal import rehearse
    from genzoo.runs.run import alone

    place = Path(root) if root else None
    recipe = request.pop("recipe", None)
    if dry_run:
        data, values = request.pop("data"), request.pop("values")
        setup = plan(family, data, {**request.pop("inherited", {}), **values}, place)
        record = make_plan(family, data, setup, steps=budget["steps"] or 1, **request)
        rehearse(record, setup.dataset, values)
        _print_estimate(launch.estimate(record, setup.dataset), budget["minutes"], json)
        return
    from genzoo.data import register

    folder = out or Path(file_name(f"{family}-{register.label(request['data'])}"))
    with alone(folder):
        run = launch.start(family, folder=folder, root=place, force=force, **budget, **request)
        if recipe is not None:
            _compare(run, recipe)
        _go(run, board, json)


def _compare(run: "Run", recipe: "Recipe") -> None:
    """Warn of what keeps the run from repeating a model of this ``recipe`` bit for bit."""
    plan, differ = run.plan, []
    if plan.data_sha256 != recipe.data_sha256:
        hashes = f"expected sha256 {recipe.data_sha256[:12]}..., got {plan.data_sha256[:12]}..."
        differ.append(f"other data ({hashes})")
    if plan.threads != recipe.threads:
        differ.append(f"{plan.threads} threads in place of {recipe.threads} (--threads)")
    if plan.processes != recipe.processes:
        differ.append(f"{plan.processes} processes in place of {recipe.processes} (torchrun)")
    if differ:
        log.warning("this does not repeat the recipe bit for bit: %s", "; ".join(differ))


def _resume(
    out: Path | None, given: dict[str, Any], root: str | None, board: bool, json: bool
) -> None:
    if out is None:
        raise BadInput("--resume needs --out: the folder of the run")
    from genzoo.runs.run import alone

    with alone(out):
        _go(_resumed(out, given, root), board, json)


def _resumed(out: Path, given: dict[str, Any], root: str | None) -> "Run":
    """The run in ``out``; each value ``given`` with --resume must be the run's value."""
    from genzoo.data import register
    from genzoo.runs import launch

    run = launch.resume(out, Path(root) if root else None)
    plan = {**run.plan.config, **run.plan.options, **run.plan.model_dump(mode="json")}
    for key, value in given.items():
        if key == "data" and value is not None:
            value = register.absolute(value)
        if value is not None and value != plan.get(key):
            conflict = f"the run in {out} has {key} {plan.get(key)!r}, got {value!r}"
            raise BadInput(f"{conflict}: leave it out, or train into another folder")
    return run


def _go(run: "Run", board: bool, json: bool) -> None:
    from genzoo.runs.plots import TensorBoardWriter
    from genzoo.training import parallel

    ticker = Ticker()
    with_board = board and not parallel.rank()
    writer = TensorBoardWriter(run.folder, run.start, run.plan.log_every) if with_board else None

    def report(status: "RunStatus") -> None:
        ticker(lambda: _line(status))
        if writer:
            writer(status)

    try:
        folder = run.go(report)
    finally:
        ticker.done()
        if writer:
            writer.close()
        parallel.stop()
    if json:
        as_json({"folder": str(folder), "steps": run.plan.steps})
    else:
        print(printable(str(folder)))


def _line(status: "RunStatus") -> str:
    losses = " ".join(f"{k} {v.item():.3g}" for k, v in status.logs.items() if k.endswith("loss"))
    phase = f" ({status.phase})" if status.phase else ""
    place = f"step {status.step} of {status.steps}{phase}"
    return f"{place}  {status.rate:.1f}/s  {clock(status.left)} left  {losses}"


def _print_estimate(estimate: "Estimate", minutes: float | None, json: bool) -> None:
    seconds = minutes * 60 if minutes else estimate.seconds
    steps = round(seconds * estimate.rate) if minutes else estimate.steps
    if json:
        as_json({**vars(estimate), "steps": steps, "seconds": seconds})
        return
    counts = ", ".join(f"{name} {count:,}" for name, count in estimate.parameters.items())
    phases = ", ".join(f"{name} {share:.0%}" for name, share in estimate.phases.items())
    as_table(
        [
            ("parameters", counts),
            ("memory", size(estimate.memory) if estimate.memory else "unknown"),
            ("speed", f"{estimate.rate:.2f} steps a second (measured)"),
            ("steps", f"{steps:,}"),
            *([("phases", phases)] if phases else []),
            ("time", clock(seconds)),
        ]
    )


def _threads(count: int | None) -> None:
    if count is not None:
        import os

        import torch

        most = max(LARGEST_POOL, os.cpu_count() or 1)
        if count > most:
            raise BadInput(f"--threads {count} is too many: expected at most {most}")
        torch.set_num_threads(count)
