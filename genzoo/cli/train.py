"""train: a family learns a data set."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genzoo.cli.app import Device, Force, Json, Root, Ticker, app, as_json, as_table, clock, size
from genzoo.errors import BadInput
from genzoo.text import printable

if TYPE_CHECKING:
    from genzoo.runs.launch import Estimate
    from genzoo.runs.run import Progress, Run


@app.command()
def train(
    family: Annotated[str | None, typer.Argument(help="One of genzoo families.")] = None,
    data: Annotated[
        str | None, typer.Option(help="One of genzoo data, or a folder: ./photos. [digits]")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=10**9, help="Updates.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, max=1e6, help="About as long, in place of --steps.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random. [0]")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the run and its model.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Train again as a model's card says: dcgan-mnist, ./mine.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --out.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, as genzoo info FAMILY lists.")
    ] = None,
    device: Device = "auto",
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    micro_batches: Annotated[int, typer.Option(min=1, help="Parts a batch is computed in.")] = 1,
    compile: Annotated[bool, typer.Option("--compile", help="Compile the networks.")] = False,
    checkpoint_every: Annotated[int | None, typer.Option(min=1, help="Steps.")] = None,
    grid_every: Annotated[int | None, typer.Option(min=1, help="Steps from grid to grid.")] = None,
    board: Annotated[bool, typer.Option("--board", help="For TensorBoard: OUT/run/board.")] = False,
    store_as: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    license: Annotated[str, typer.Option(help="Of the weights, for the card.")] = "unknown",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    root: Root = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take.")] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Train a model: genzoo train vae --data digits --minutes 1 --out my-vae."""
    from genzoo.runs.plan import assignments

    values = assignments(settings or [])
    if resume:
        _threads(threads)
        said = {"family": family, "data": data, "steps": steps, "seed": seed, **values}
        said |= {} if license == "unknown" else {"license": license}
        _go(*_resumed(out, said, root), board, json)
        return
    if steps is not None and minutes is not None:
        raise BadInput("--steps and --minutes are two ways to say one thing: give one of them")
    asked: dict[str, Any] = {
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
            raise BadInput(f"--recipe says which family: leave {family} out")
        family, steps, asked = _recipe(recipe, asked, data, seed, steps, minutes)
    if family is None:
        raise BadInput("which family? Type genzoo families to see all")
    _threads(threads)
    asked |= {"device": device, "command": shlex.join(["genzoo", *sys.argv[1:]])}
    every = {"checkpoint_every": checkpoint_every, "grid_every": grid_every}
    asked |= {key: steps for key, steps in every.items() if steps}
    budget = {"steps": steps, "minutes": 5.0 if steps is None and minutes is None else minutes}
    _begin(family, asked, budget, out, root, dry_run, force, board, json)


def _recipe(
    name: str,
    asked: dict[str, Any],
    data: str | None,
    seed: int | None,
    steps: int | None,
    minutes: float | None,
) -> tuple[str, int | None, dict[str, Any]]:
    """The family, the steps and all else that ``name`` was made with; what was said goes before."""
    from genzoo import families
    from genzoo.zoo import manifest as manifests
    from genzoo.zoo import names

    manifest = manifests.read_manifest(names.find(name))
    made = manifest.recipe
    if made is None:
        raise BadInput(f"{name} has no recipe: it was not made by genzoo train")
    _threads(made.threads)
    family = families.get(manifest.family)
    config, options, _ = family.upgraded(manifest.revision, made.config, made.options)
    kept = {
        "data": data or manifest.data,
        "values": {**config, **options, **asked["values"]},
        "seed": made.seed if seed is None else seed,
        "precision": made.precision,
        "micro_batches": made.micro_batches,
        "dtype": manifest.dtype,
        "license": manifest.license,
    }
    steps = made.steps if steps is None and minutes is None else steps
    return manifest.family, steps, {**asked, **kept}


def _begin(
    family: str,
    asked: dict[str, Any],
    budget: dict[str, Any],
    out: Path | None,
    root: str | None,
    dry_run: bool,
    force: bool,
    board: bool,
    json: bool,
) -> None:
    from genzoo import families

    families.get(family)  # a name that nobody has is said before torch is imported
    from genzoo.runs import launch
    from genzoo.runs.plan import make_plan, plan

    place = Path(root) if root else None
    if dry_run:
        data, values = asked.pop("data"), asked.pop("values")
        setup = plan(family, data, values, place)
        record = make_plan(family, data, setup, steps=budget["steps"] or 1, **asked)
        _estimated(launch.estimate(record, setup.dataset), budget["minutes"], json)
        return
    folder = out or Path(f"{family}-{Path(asked['data']).name}")
    run = launch.start(family, folder=folder, root=place, force=force, **budget, **asked)
    _go(run, 0, board, json)


def _resumed(out: Path | None, said: dict[str, Any], root: str | None) -> "tuple[Run, int]":
    """The run in ``out`` and its next step; whatever else was ``said`` must be what it is."""
    from genzoo.runs import launch
    from genzoo.runs.plan import absolute

    if out is None:
        raise BadInput("--resume needs --out: the folder of the run")
    run, start = launch.resume(out, Path(root) if root else None)
    plan = {**run.plan.config, **run.plan.options, **run.plan.model_dump(mode="json")}
    for key, value in said.items():
        if key == "data" and value is not None:
            value = absolute(value)
        if value is not None and value != plan.get(key):
            was = f"{out} was begun with {key} {plan.get(key)!r}, got {value!r}"
            raise BadInput(f"{was}: leave it out, or begin another folder")
    return run, start


def _go(run: "Run", start: int, board: bool, json: bool) -> None:
    from genzoo.runs.plots import TensorBoardWriter
    from genzoo.training import parallel

    ticker = Ticker()
    kept = (
        TensorBoardWriter(run.folder, start, run.plan.log_every)
        if board and not parallel.rank()
        else None
    )

    def report(progress: "Progress") -> None:
        ticker(lambda: _line(progress))
        if kept:
            kept(progress)

    try:
        folder = run.go(report, start)
    finally:
        ticker.done()
        if kept:
            kept.close()
        parallel.stop()
    if json:
        as_json({"folder": str(folder), "steps": run.plan.steps})
    else:
        print(printable(str(folder)))


def _line(p: "Progress") -> str:
    losses = " ".join(f"{k} {v.item():.3g}" for k, v in p.logs.items() if k.endswith("loss"))
    return f"step {p.step} of {p.steps}  {p.rate:.1f}/s  {clock(p.left)} left  {losses}"


def _estimated(found: "Estimate", minutes: float | None, json: bool) -> None:
    seconds = minutes * 60 if minutes else found.seconds
    steps = round(seconds * found.rate) if minutes else found.steps
    if json:
        as_json({**vars(found), "steps": steps, "seconds": seconds})
        return
    counts = ", ".join(f"{name} {count:,}" for name, count in found.parameters.items())
    as_table(
        [
            ("parameters", counts),
            ("memory", size(found.memory)),
            ("speed", f"{found.rate:.2f} steps a second (measured)"),
            ("steps", f"{steps:,}"),
            ("time", clock(seconds)),
        ]
    )


def _threads(count: int | None) -> None:
    if count is not None:
        import torch

        torch.set_num_threads(count)
