"""train: train a model from Python, on a data set, a folder, or what Python holds."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from genzoo import families
from genzoo.devices import threads_put_back
from genzoo.errors import UnknownName, argument, similar
from genzoo.models.arguments import checked_arguments, checked_call, nearest
from genzoo.options import ours
from genzoo.runs import launch
from genzoo.runs.launch import Estimate
from genzoo.runs.lock import alone
from genzoo.runs.plan import other_form
from genzoo.runs.plots import TensorBoardWriter
from genzoo.runs.progress import ProgressLine
from genzoo.runs.request import Request, log, read_request
from genzoo.runs.run import Run, RunStatus
from genzoo.text import pairs
from genzoo.training import parallel
from genzoo.zoo import names

if TYPE_CHECKING:
    from genzoo.models.model import Model
    from genzoo.models.sampler import Sampler
    from genzoo.zoo.manifest import Recipe

Report = Callable[[RunStatus], None]
P = ParamSpec("P")
R = TypeVar("R")


def _says_where_settings_go(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which says of a setting that is given as an argument how it is given."""
    arguments = [*inspect.signature(function).parameters]

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in [name for name in kwargs if name not in arguments]:
            family = kwargs.get("family", args[0] if args else None)
            field = "" if nearest(name, arguments) else _field(family, name)
            if field:
                way = f"settings={{{field!r}: {kwargs[name]!r:.40}}}"
                raise UnknownName(f"no argument is called {name!r}: did you mean {way}?")
        return function(*args, **kwargs)

    return call


def _field(family: Any, name: str) -> str:
    """The setting of ``family`` that ``name`` is, or is like; "" if there is none."""
    if family not in families.names():
        return ""
    parts = families.get(family)
    fields = [*parts.config.model_fields, *parts.options.model_fields]
    return ours(name, fields) or next(iter(similar(name, fields)), "")


@_says_where_settings_go
@checked_arguments
def train(
    family: str | None = None,
    data: Any = None,
    *,
    out: str | Path | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    recipe: "str | Path | Model | None" = None,
    start_from: "str | Path | Model | None" = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    precision: str | None = None,
    micro_batches: int | None = None,
    compile: bool | None = None,
    checkpoint_every: int | None = None,
    grid_every: int | None = None,
    board: bool = False,
    dtype: str | None = None,
    license: str | None = None,
    version: int | None = None,
    threads: int | None = None,
    root: str | Path | None = None,
    force: bool = False,
    progress: Report | bool = True,
) -> "Sampler":
    """Train a model of ``family`` on ``data`` into the folder ``out``, and load it, as `load` does.

    ``data``: a data set's name (by default digits), a folder, two domains ``A,B``; or an array, a
    tensor, (x, labels) or a torch Dataset, as in `genzoo.data.in_memory`. ``out``: by default
    FAMILY-DATA. ``steps`` or ``minutes``: how long; by default five minutes. ``settings``: of the
    data, the config and the options; ``genzoo.info(family)`` lists them. ``seed``: by default 0.

    ``recipe``: a model whose training is repeated. ``start_from``: a model, by its name or loaded,
    whose weights, config and discriminator the run begins with. ``resume``: go on with the run in
    ``out``: what is given again must be the run's, or may change; data from Python are needed
    again. ``force``: replace a model in ``out``. Ctrl-C finishes the step, and saves.

    ``precision``: fp32, bf16, or auto, the one that is measured to be faster. ``checkpoint_every``:
    by default a checkpoint is written once a minute. ``micro_batches``: parts of each batch, one
    after the other. ``compile``: whether torch compiles the networks; by default as ``recipe``
    says, or not. ``board``: write TensorBoard logs. ``dtype``, ``license``, ``version``: of the
    stored model.
    ``progress``: called with a `RunStatus` after each step; by default a line shows it on a
    terminal or in a notebook, elsewhere one on stderr every 30 seconds. Raises BadInput,
    UnknownName, OperationFailed, Interrupted.
    """
    arguments = {key: value for key, value in locals().items() if key != "progress"}
    with threads_put_back():
        run = carry_out(read_request(arguments), progress)
    return names.load(run.folder, device=device or "auto")


@checked_arguments
def forecast(family: str | None = None, data: Any = None, **training: Any) -> Estimate:
    """The memory and time of the run that `train` would do with these arguments; nothing is
    written. Raises as `train`.
    """
    bound = checked_call(train, (family, data), training)
    assert bound is not None  # two arguments, and names that `train` knows
    bound.apply_defaults()
    with threads_put_back():
        return estimate(read_request(bound.arguments))


def estimate(request: Request) -> Estimate:
    """The estimate of the run of ``request``. Raises as `train`."""
    given = {key: value for key, value in request.given.items() if key != "minutes"}
    if not request.resume:
        assert request.family is not None
        result = launch.forecast(request.family, root=request.root, **given)
        limit = request.given.get("minutes")
        return result.within(limit * 60) if limit else result
    launch.check_run(request.folder)
    where = request.folder, request.root
    run = launch.preview(*where, family=request.family, **request.given)
    if run.finished:
        run.say_finished()
        return Estimate({}, 0, 0.0, 0, 0.0)
    return launch.estimate(run.plan, run.dataset, run.start)


def carry_out(request: Request, progress: Report | bool = True, command: str = "") -> Run:
    """Train as ``request`` says, to the end; the run. Raises as `train`."""
    line = ProgressLine() if progress is True else None
    report = line or (progress if callable(progress) else None)
    try:
        if request.resume:
            launch.check_run(request.folder)
        hint = f"; what is saved is whole: {argument('resume', True)} for all of them"
        with (
            alone(request.folder) if request.resume else nullcontext(),
            parallel.connected(hint),
        ):
            return _go(_opened(request, command), request.board, progress=report)
    finally:
        if line:
            line.close()


def _opened(request: Request, command: str) -> Run:
    """The run, at its first step or where it was left."""
    folder, root, given = request.folder, request.root, request.given
    if request.resume:
        return launch.resume(folder, root, family=request.family, **given)
    assert request.family is not None
    text: dict[str, Any] = {"command": command} if command else {}
    run = launch.start(
        request.family, folder=folder, root=root, force=request.force, **given, **text
    )
    if request.recipe is not None:
        _compare(run, request.recipe)
    return run


def _go(run: Run, board: bool, progress: Report | None) -> Run:
    """Train to the end, and write the model."""
    with_board = board and not parallel.rank()
    writer = TensorBoardWriter(run.folder, run.start, run.plan.log_every) if with_board else None
    reports = [one for one in (progress, writer) if one]

    def tell(status: RunStatus) -> None:
        for one in reports:
            one(status)

    try:
        run.go(tell)
    finally:
        if writer:
            writer.close()
    return run


def _compare(run: Run, recipe: "Recipe") -> None:
    """Warn of what keeps the run from repeating a model of this ``recipe`` bit for bit."""
    plan, differ = run.plan, []
    if plan.data_sha256 != recipe.data_sha256:
        hashes = f"expected sha256 {recipe.data_sha256[:12]}..., got {plan.data_sha256[:12]}..."
        opened = f", opened with {pairs(plan.form)}" if plan.form else ""
        differ.append(f"other data{opened} ({hashes})")
    if text := other_form(plan.kind, recipe.form.values, plan.form):
        differ.append(text)
    if plan.threads != recipe.threads:
        own = f"{plan.threads} threads in place of {recipe.threads}"
        differ.append(f"{own} ({argument('threads')})")
    if plan.compile != recipe.compile:
        differ.append(
            f"compile={plan.compile} in place of {recipe.compile} ({argument('compile')})"
        )
    if plan.processes != recipe.processes:
        differ.append(f"{plan.processes} processes in place of {recipe.processes} (torchrun)")
    if differ:
        log.warning("this does not repeat the recipe bit for bit: %s", "; ".join(differ))
