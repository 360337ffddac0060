"""train: train a model, resume a run, or estimate a run's time and memory.

An option that is not given is None, so that --resume can tell it from one that is.
"""

import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    as_table,
    clock,
    complete_family,
    complete_model,
    data_option,
    license_option,
    out_option,
    size,
)
from genzoo.errors import BadInput
from genzoo.files import check_name, file_name
from genzoo.text import pairs, printable

if TYPE_CHECKING:
    from genzoo.runs.launch import Estimate
    from genzoo.runs.run import Run, RunStatus
    from genzoo.zoo.manifest import Recipe, Stage


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
    from genzoo.schemas import assignments

    request = {
        "data": data,
        "steps": steps,
        "minutes": minutes,
        "seed": seed,
        "values": assignments(settings or []) or None,
        "start_from": start_from,
        "device": device,
        "precision": precision,
        "micro_batches": micro_batches,
        "compile": compile or None,
        "checkpoint_every": checkpoint_every,
        "grid_every": grid_every,
        "dtype": store_as,
        "license": license,
        "version": version,
        "threads": threads,
    }
    request = {key: value for key, value in request.items() if value is not None}
    if steps is not None and minutes is not None:
        raise BadInput("--steps and --minutes exclude each other: give one of them")
    if resume and force:
        raise BadInput("--resume continues a run and --force replaces it: give one of them")
    if recipe is not None:
        if family is not None:
            raise BadInput(f"--recipe decides the family: leave {family} out")
        family, request = _recipe(recipe, request, resume)
    place = Path(root) if root else None
    if resume:
        _resume(family, out, place, request, dry_run, board, json)
    else:
        _begin(family, out, place, request, dry_run, force, board, json)


def _recipe(name: str, request: dict[str, Any], resume: bool) -> tuple[str, dict[str, Any]]:
    """The family of the model ``name``, and its settings under those of ``request``."""
    from genzoo import families
    from genzoo.data import register
    from genzoo.zoo import names

    _, manifest = names.resolve(name)
    recipe = manifest.recipe
    if recipe is None:
        raise BadInput(f"{name} has no recipe: it was not trained by genzoo train")
    place = request.get("data")
    place = place or register.training_data(name, manifest.data, recipe.data_sha256)
    form = register.form_of(recipe.data_sha256, recipe.form.values)
    family = families.get(manifest.family)
    config, options, _ = family.upgraded(manifest.revision, recipe.config, recipe.options)
    settings = {
        "data": place if isinstance(place, str) else register.to_open(place.data),
        "recipe": recipe,
        "inherited": {**config, **options, **form},  # levels: a number, or in a form a range
        "seed": recipe.seed,
        "precision": recipe.precision,
        "micro_batches": recipe.micro_batches,
        "dtype": manifest.dtype,
        "license": manifest.license,
    }
    if "minutes" not in request:
        settings["steps"] = recipe.steps
    if recipe.parent and "start_from" not in request and not resume:
        settings["start_from"] = _parent_of(name, recipe.parent)
    if changed := {key for stage in recipe.stages for key in stage.changes}:
        text = "its training was changed on the way (%s); the recipe repeats the last settings"
        log.warning(f"%s: {text} from its first step", name, ", ".join(sorted(changed)))
    return manifest.family, {**settings, **request}


def _parent_of(name: str, parent: "Stage") -> str:
    """The model that the recipe of ``name`` began with. Raises BadInput if it is not at hand."""
    from genzoo.errors import GenzooError
    from genzoo.files import is_folder
    from genzoo.zoo import names

    began = f"{name} began with the weights of {parent.model} ({parent.weights_sha256})"
    if is_folder(parent.model):  # a card does not decide which folders are read
        raise BadInput(f"{began}: give this model with --from")
    try:
        _, manifest = names.resolve(parent.model, local_files_only=True)
    except GenzooError as error:
        raise BadInput(f"{began}: give this model with --from ({error})") from None
    if manifest.weights_sha256 != parent.weights_sha256:
        raise BadInput(f"{began}, and the {parent.model} here has others: give it with --from")
    return parent.model


def _begin(
    family: str | None,
    out: Path | None,
    root: Path | None,
    request: dict[str, Any],
    dry_run: bool,
    force: bool,
    board: bool,
    json: bool,
) -> None:
    from genzoo import families
    from genzoo.zoo import names

    if family is None and "start_from" in request:
        family = names.resolve(request["start_from"])[1].family
    if family is None:
        raise BadInput("no family given: type genzoo families to see all")
    families.get(family)  # an unknown name is reported before torch is imported
    from genzoo.runs import launch

    recipe = request.pop("recipe", None)
    request = {"data": "digits", **request}
    if not {"steps", "minutes"} & request.keys():
        request["minutes"] = 5.0
    if dry_run:
        minutes = request.pop("minutes", None)
        _print_estimate(launch.forecast(family, root=root, **request), minutes, json)
        return
    command = shlex.join(["genzoo", *sys.argv[1:]])
    folder = check_name(out or _folder(family, request))
    request |= {"root": root, "force": force, "command": command}
    run = launch.start(family, folder=folder, **request)
    if recipe is not None:
        _compare(run, recipe)
    _go(run, board, json)


def _folder(family: str, request: dict[str, Any]) -> Path:
    """The default of --out."""
    from genzoo.data import register

    return Path(file_name(f"{family}-{register.label(request.get('data', 'digits'))}"))


def _compare(run: "Run", recipe: "Recipe") -> None:
    """Warn of what keeps the run from repeating a model of this ``recipe`` bit for bit."""
    from genzoo.runs.plan import other_form

    plan, differ = run.plan, []
    if plan.data_sha256 != recipe.data_sha256:
        hashes = f"expected sha256 {recipe.data_sha256[:12]}..., got {plan.data_sha256[:12]}..."
        opened = f", opened with {pairs(plan.form)}" if plan.form else ""
        differ.append(f"other data{opened} ({hashes})")
    if text := other_form(plan.kind, recipe.form.values, plan.form):
        differ.append(text)
    if plan.threads != recipe.threads:
        differ.append(f"{plan.threads} threads in place of {recipe.threads} (--threads)")
    if plan.processes != recipe.processes:
        differ.append(f"{plan.processes} processes in place of {recipe.processes} (torchrun)")
    if differ:
        log.warning("this does not repeat the recipe bit for bit: %s", "; ".join(differ))


def _resume(
    family: str | None,
    out: Path | None,
    root: Path | None,
    request: dict[str, Any],
    dry_run: bool,
    board: bool,
    json: bool,
) -> None:
    if out is None and family is None:
        raise BadInput("--resume needs --out: the folder of the run")
    from genzoo.runs import launch
    from genzoo.runs.run import alone

    request.pop("recipe", None)
    folder = out or _folder(family or "", request)
    launch.check_run(folder)
    if dry_run:
        _print_rest(launch.preview(folder, root, family=family, **request), json)
        return
    with alone(folder):
        _go(launch.resume(folder, root, family=family, **request), board, json)


def _print_rest(run: "Run", json: bool) -> None:
    from genzoo.runs import launch

    if run.finished:
        run.say_finished()
        _print_folder(run.folder, run.plan.steps, json)
    else:
        _print_estimate(launch.estimate(run.plan, run.dataset, run.start), None, json)


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
    _print_folder(folder, run.plan.steps, json)


def _print_folder(folder: Path, steps: int, json: bool) -> None:
    if json:
        as_json({"folder": str(folder), "steps": steps})
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
