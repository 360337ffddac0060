"""Start a run, resume it, or estimate its time and memory."""

import logging
import math
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, cycle
from pathlib import Path
from typing import Any, final

import torch

from genzoo import devices
from genzoo.data import catalogue
from genzoo.data.dataset import DataSet, Source
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, GenzooError, argument
from genzoo.files import expanded
from genzoo.models.threads import using
from genzoo.runs import changes, earlier, precision
from genzoo.runs.checkpoints import checkpoints
from genzoo.runs.lock import alone, folder_state
from genzoo.runs.parent import Parent, read_parent
from genzoo.runs.plan import (
    Plan,
    Setup,
    check_batch_size,
    make_plan,
    other_form,
    plan,
    read_plan,
    with_form,
    write_plan,
)
from genzoo.runs.rehearsal import check_compile, rehearse
from genzoo.runs.run import Run
from genzoo.text import clock, columns, file_size, pairs
from genzoo.training import fit, parallel, phase_starts
from genzoo.training.adversarial import WARMUP
from genzoo.zoo import manifest
from genzoo.zoo.folder import version_of

log = logging.getLogger("genzoo")
MOMENTS = 4  # of a phase, that an estimate tries
# A choice: README's first training, the shortest with samples that one can read, has 400 steps.
FEWEST = 300


@final
@dataclass(frozen=True)
class Estimate:
    """The estimated size, memory and time of a run. ``parameters``: of each network; ``memory``:
    bytes at the most, 0 where the system does not say; ``rate``: steps a second; ``seconds``: for
    all ``steps``; ``phases``: the share of each in the steps, if there are several.
    """

    parameters: dict[str, int]
    memory: int
    rate: float
    steps: int
    seconds: float
    phases: dict[str, float] = field(default_factory=dict)

    def within(self, seconds: float) -> "Estimate":
        """The estimate of a run that takes so many ``seconds``, of one step or more.

        Warns if the steps are too few to be worth it.
        """
        steps = max(1, round(seconds * self.rate))
        if steps < FEWEST and self.rate:
            log.warning(
                "only %d steps fit into %g minutes, too few to learn from: give %s or more "
                "(%d steps), or a smaller size or width",
                steps,
                seconds / 60,
                argument("minutes", math.ceil(FEWEST / self.rate / 60)),
                FEWEST,
            )
        return replace(self, steps=steps, seconds=seconds)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {count:,}" for name, count in self.parameters.items())
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.phases.items())
        rows = [
            ("parameters", counts),
            ("memory", file_size(self.memory) if self.memory else "unknown"),
            ("speed", f"{self.rate:.2f} steps a second (measured)"),
            ("steps", f"{self.steps:,}"),
            *([("phases", shares)] if shares else []),
            ("time", clock(self.seconds)),
        ]
        return "\n".join(columns(rows))

    __str__ = __repr__


@usual_torch()
def start(
    family: str,
    data: str | Path | Source,
    folder: Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    values: dict[str, Any] | None = None,
    inherited: dict[str, Any] | None = None,
    start_from: str | Path | None = None,
    root: Path | None = None,
    force: bool = False,
    **settings: Any,
) -> Run:
    """A new run of ``family`` on ``data`` in ``folder``; no step is done yet.

    ``values`` go to the data set, the config and the options, as in `plan`, and before them those
    ``inherited`` from a recipe; ``minutes`` become steps by the rate measured on this machine. With
    ``start_from``, a model as `genzoo.load` takes it, the run begins with that model's weights, its
    discriminator and its config. The model's ``version`` counts up if it replaces one in
    ``folder``, unless it is among the ``settings``, the fields of `Plan`. Raises BadInput (for an
    option that nothing reads, too), UnknownName, OperationFailed.
    """
    folder = expanded(folder)
    earlier.check_own(folder)  # with force, too
    setup, parent = _setup(family, data, values, inherited, start_from, root)
    _set_threads(settings)
    _join_others(setup, settings)
    if minutes is not None and parallel.size() > 1:
        raise BadInput(f"several processes need {argument('steps')}: each has another rate")
    _choose_precision(settings)
    with alone(folder) if (folder / "run").is_dir() else nullcontext():
        if parallel.rank() == 0 and not force:
            earlier.check_free(folder)
    trial = make_plan(family, data, setup, steps=1, **settings)
    settings["threads"] = trial.threads
    steps = _rehearsed(trial, setup.dataset, values or {}, steps, minutes)
    if minutes is not None:
        settings["minutes"] = minutes
    if parent:
        stages = (*parent.stages, manifest.Stage(steps=steps))
        settings["stages"] = [stage.model_dump(mode="json") for stage in stages]
    with alone(folder):  # not before: a request that is refused leaves no trace
        if parallel.rank() == 0 and not force:
            earlier.check_free(folder)
        settings.setdefault("version", _next_version(folder))
        record = make_plan(family, data, setup, steps=steps, **settings)
        return _created(record, setup.dataset, folder, parent)


def _rehearsed(
    trial: Plan,
    dataset: DataSet,
    given: dict[str, Any],
    steps: int | None,
    minutes: float | None,
) -> int:
    """The steps of a run, whose ``trial`` is rehearsed; as many as ``minutes`` allow."""
    with using(trial.threads):
        rehearse(trial, dataset, given)
        if minutes is not None:
            return estimate(trial, dataset).within(minutes * 60).steps
    return 1 if steps is None else steps


def _set_threads(settings: dict[str, Any]) -> None:
    if threads := settings.pop("threads", None):
        devices.set_threads(threads)


def _join_others(setup: Setup, settings: dict[str, Any]) -> None:
    """Begin as one of several processes; what is wrong is said before the others are waited for."""
    check_batch_size(setup.options, devices.process_count(), settings.get("micro_batches", 1))
    parallel.start(devices.device(settings.get("device", "auto")))


def _choose_precision(settings: dict[str, Any]) -> None:
    """Put what a new run computes in into its ``settings``."""
    device = devices.device(settings.get("device", "auto"))
    settings["precision"] = precision.chosen(settings.get("precision", "fp32"), device)


def _setup(
    family: str,
    data: str | Path | Source,
    values: dict[str, Any] | None,
    inherited: dict[str, Any] | None,
    start_from: str | Path | None,
    root: Path | None,
) -> tuple[Setup, Parent | None]:
    """The data set, config and options of a new run, and the model that it begins with."""
    given = {**(inherited or {}), **(values or {})}
    if start_from is None:
        return plan(family, data, given, root), None
    parent = read_parent(start_from, family)
    kind = parent.manifest.kind
    form = parent.form if catalogue.kind_of(data) == kind else {}
    setup = plan(family, data, with_form(kind, parent.config, {**form, **given}), root)
    if text := other_form(kind, form, given):
        log.warning("the data are opened otherwise than for %s: %s", parent.name, text)
    elif form and setup.dataset.sha256 != parent.data_sha256:
        text = "%s is opened as the data of %s were, with %s: %s changes it"
        log.warning(text, setup.dataset.name, parent.name, pairs(form), argument("settings"))
    return setup, parent


@usual_torch()
def forecast(
    family: str,
    data: str | Path | Source,
    *,
    steps: int | None = None,
    values: dict[str, Any] | None = None,
    inherited: dict[str, Any] | None = None,
    start_from: str | Path | None = None,
    root: Path | None = None,
    **settings: Any,
) -> Estimate:
    """The estimate of the run that `start` would start with these arguments; nothing is written."""
    setup, parent = _setup(family, data, values, inherited, start_from, root)
    _set_threads(settings)
    _choose_precision(settings)
    record = make_plan(family, data, setup, steps=steps or 1, **settings)
    with using(record.threads):
        rehearse(record, setup.dataset, values or {})
        if parent:
            Run(record, setup.dataset, Path(), parent=parent)  # refuses weights that do not fit
        return estimate(record, setup.dataset)


def _created(record: Plan, dataset: DataSet, folder: Path, parent: Parent | None) -> Run:
    """The run of ``record``, in ``folder``, which is cleared for it."""
    run = Run(record, dataset, folder, parent=parent)
    phase_starts(run.trainer.phases, record.steps)  # refuses too few steps
    _agree(record)
    if parallel.rank() == 0:
        earlier.clear(folder)
        write_plan(folder / "run" / "plan.json", record)
        run.folder_state = folder_state(folder)
        if parent:
            run.checkpoint(0)  # a resumed run does not read the parent again
    parallel.wait()
    return run


def _agree(record: Plan) -> None:
    """Check that all processes have read the same plan. Raises OperationFailed."""
    what = record.model_dump(include={"run", "steps", "version", "versions", "data_sha256"})
    parallel.agree("plans", " ".join(map(str, what.values())))


@usual_torch()
def resume(folder: Path, root: Path | None = None, **given: Any) -> Run:
    """The run in ``folder`` as its last checkpoint left it.

    ``given``: arguments of `start`. The same ones as then change nothing; others are obeyed where
    `genzoo.runs.changes.RULES` lets them change, and recorded as a new stage of the run where it is
    no longer bit for bit what it would have been. Raises BadInput if there is no run, its data have
    changed, or a setting cannot change.
    """
    folder = expanded(folder)
    check_run(folder)
    with alone(folder):
        run = _resume(folder, read_plan(folder / "run" / "plan.json"), root, given)
        run.folder_state = folder_state(folder)
    return run


@usual_torch()
def preview(folder: Path, root: Path | None = None, **given: Any) -> Run:
    """The run that `resume` would give, for `estimate`: without a lock, so a disk may be read-only.
    Raises as `resume`.
    """
    folder = expanded(folder)
    check_run(folder)
    return _resume(folder, read_plan(folder / "run" / "plan.json"), root, given)


def check_run(folder: Path) -> None:
    """Raise BadInput if there is no run in ``folder``; a lock would leave a trace there."""
    if not parallel.appears(folder / "run" / "plan.json"):
        raise BadInput(
            f"no run in {folder} to resume: to start one, leave {argument('resume')} out"
        )


def _resume(folder: Path, record: Plan, root: Path | None, given: dict[str, Any]) -> Run:
    earlier.check_model(folder, record)
    change = changes.change(record, folder, root, given)
    new = change.plan
    check_compile(new)
    numbers = (int(p.stem) for p in checkpoints(folder) if p.stem.isdecimal())
    done = max((step for step in numbers if step <= record.steps), default=0)
    if new.steps < done:
        got = argument("steps", new.steps)
        raise BadInput(f"the run in {folder} has done {done} steps, got {got}")
    if new.steps != record.steps and version_of(folder) == new.version == record.version:
        new = new.model_copy(update={"version": new.version + 1})  # it replaces a finished model
    devices.set_threads(new.threads)  # sums depend on how threads split them
    parallel.start(devices.device(new.device))
    precision.chosen(new.precision, devices.device(new.device))
    run = Run(new, change.dataset, folder)
    _agree(new)
    run.restore()
    _check_phases(run, record)
    if run.finished:
        change.check_finished(folder)
    elif change.stage:
        text = change.text(run.start)
        log.warning("%s goes on after step %d, not bit for bit: %s", folder, run.start, text)
    stages = changes.stages(record, new, run.start, change.stage)
    run.plan = new.model_copy(update={"stages": stages})
    return run


def _check_phases(run: Run, record: Plan) -> None:
    """Raise BadInput if another number of steps would put the run into another phase."""
    phases = run.trainer.phases
    begun = [
        [name for name, first in phase_starts(phases, steps).items() if first < run.start]
        for steps in (record.steps, run.plan.steps)
    ]
    if begun[0] != begun[1]:
        raise BadInput(
            f"the run in {run.folder} is in its phase {begun[0][-1]} after step {run.start}; of "
            f"{run.plan.steps} steps it would not be: leave {argument('steps', run.plan.steps)} out"
        )


@usual_torch()
def estimate(record: Plan, dataset: DataSet, done: int = 0) -> Estimate:
    """The memory and time of the run after its first ``done`` steps, measured by a few steps that
    are then discarded.
    """
    run = Run(record, dataset, Path())
    phases, begun, seconds, past = run.trainer.phases, 0.0, 0.0, done / record.steps
    for phase in phases:
        first, last = max(begun, min(past, begun + phase.share)), begun + phase.share
        if first < last:
            seconds += (last - first) * _seconds_a_step(run, first, last, 5 / len(phases))
        begun += phase.share
    rate = (1 - past) / seconds if seconds else 0.0
    counts = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in run.trainer.networks().items()
    }
    shares = {phase.name: phase.share for phase in phases} if len(phases) > 1 else {}
    steps = record.steps - done
    time_needed = steps / rate if steps else 0.0
    return Estimate(counts, _memory(run.device), rate, steps, time_needed, shares)


def _seconds_a_step(run: Run, first: float, last: float, limit: float) -> float:
    """The seconds of a step between these shares of the run, the mean of several moments, as later
    steps may take longer; each as often as ``limit`` seconds allow, at least once. A critic's
    warm-up is over by then.
    """
    moments = [first + (last - first) * (k + 0.5) / MOMENTS for k in range(MOMENTS)]
    places = chain([(0, first)], ((WARMUP, moment) for moment in cycle(moments)))
    batches = zip(run.loader.batches(), places, strict=False)
    moved = (replace(x, step=x.step + step, progress=p) for x, (step, p) in batches)
    steps = fit(run.trainer, moved, 1000)
    next(steps)  # the first step is slower
    began, done = time.monotonic(), 0
    while done < 20 and (done < MOMENTS or time.monotonic() - began < limit):
        for _ in moments:
            next(steps)
        done += MOMENTS
    return (time.monotonic() - began) / done


def _memory(device: torch.device) -> int:
    """The peak memory of this process, or of its accelerator, in bytes; 0 if it is unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others kB


def _next_version(folder: Path) -> int:
    """The version of the model of a new run in ``folder``: that of the model there plus 1, or that
    which an unfinished run there would have written.
    """
    if (old := version_of(folder)) is not None:
        return old + 1
    path = folder / "run" / "plan.json"
    try:
        return read_plan(path).version if path.is_file() else 1
    except GenzooError:  # a damaged plan, or of a family that is gone
        return 1
