"""Start a run, resume it, or estimate its time and memory."""

import logging
import os
import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch

from genzoo import devices
from genzoo.data import register
from genzoo.data.dataset import DataSet, Source
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, GenzooError
from genzoo.files import check_folder, check_free
from genzoo.runs.checkpoints import checkpoints
from genzoo.runs.plan import Plan, make_plan, open_dataset, plan, read_plan, versions, write_plan
from genzoo.runs.rehearsal import rehearse
from genzoo.runs.run import Run, alone, folder_state
from genzoo.training import fit, parallel, phase_starts
from genzoo.zoo import manifest
from genzoo.zoo.folder import version_of

log = logging.getLogger("genzoo")


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
    root: Path | None = None,
    force: bool = False,
    **settings: Any,
) -> Run:
    """A new run of ``family`` on ``data`` in ``folder``; no step is done yet.

    ``values`` go to the data set, the config and the options, as in `plan`, and before them those
    ``inherited`` from a recipe; ``minutes`` become steps by the rate measured on this machine. The
    model's ``version`` counts up if it replaces one in ``folder``, unless it is among the
    ``settings``, the fields of `Plan`. Raises BadInput (for an option that nothing reads, too),
    UnknownName, OperationFailed.
    """
    setup = plan(family, data, {**(inherited or {}), **(values or {})}, root)
    parallel.start(devices.device(settings.get("device", "auto")))
    if minutes is not None and parallel.size() > 1:
        raise BadInput("several processes need --steps: each would measure another rate")
    check_folder(folder)
    with alone(folder):
        if parallel.rank() == 0 and not force:
            _check_free(folder)
        settings.setdefault("version", _next_version(folder))
        trial = make_plan(family, data, setup, steps=1, **settings)
        rehearse(trial, setup.dataset, values or {})
        if minutes is not None:
            steps = max(1, round(minutes * 60 * estimate(trial, setup.dataset).rate))
        record = make_plan(family, data, setup, steps=1 if steps is None else steps, **settings)
        run = Run(record, setup.dataset, folder)
        phase_starts(run.trainer.phases, record.steps)  # refuses too few steps
        if parallel.rank() == 0:
            _clear(folder)
            write_plan(folder / "run" / "plan.json", record)
            run.folder_state = folder_state(folder)
    parallel.wait()
    return run


@usual_torch()
def resume(folder: Path, root: Path | None = None) -> Run:
    """The run in ``folder`` as its last checkpoint left it.

    Raises BadInput if there is no run, or its data have changed.
    """
    path = folder / "run" / "plan.json"
    if not path.is_file():
        raise BadInput(f"no run in {folder} to resume: to start one, leave --resume out")
    with alone(folder):
        run = _resume(folder, read_plan(path), root)
        run.folder_state = folder_state(folder)
    return run


def _resume(folder: Path, record: Plan, root: Path | None) -> Run:
    dataset = open_dataset(record.family, register.to_open(record.data), record.config, root)
    if dataset.sha256 != record.data_sha256:
        raise BadInput(
            f"{record.data} has changed since the run in {folder} started: it cannot be resumed"
        )
    torch.set_num_threads(record.threads)  # sums depend on how threads split them
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if (record.versions, record.processes) != (versions(record.family), processes):
        what = "processes" if record.processes != processes else "versions"
        log.warning("%s differ from the run's: it continues, but not bit for bit", what)
    parallel.start(devices.device(record.device))
    run = Run(record, dataset, folder)
    run.restore()
    return run


@usual_torch()
def estimate(record: Plan, dataset: DataSet) -> Estimate:
    """The memory and time of the run, measured by a few steps that are then discarded."""
    run = Run(record, dataset, Path())
    phases, begun, seconds = run.trainer.phases, 0.0, 0.0
    for phase in phases:
        seconds += phase.share * _seconds_a_step(run, begun, 5 / len(phases))
        begun += phase.share
    rate = 1 / seconds
    counts = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in run.trainer.networks().items()
    }
    shares = {phase.name: phase.share for phase in phases} if len(phases) > 1 else {}
    time_needed = record.steps / rate
    return Estimate(counts, _memory(run.device), rate, record.steps, time_needed, shares)


def _seconds_a_step(run: Run, progress: float, limit: float) -> float:
    """The seconds of a step at ``progress``, the mean of as many as ``limit`` seconds allow."""
    batches = (replace(batch, progress=progress) for batch in run.loader.batches())
    steps = fit(run.trainer, batches, 1000)
    next(steps)  # the first step is slower
    began, done = time.monotonic(), 0
    while done < 20 and (done < 3 or time.monotonic() - began < limit):
        next(steps)
        done += 1
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


def _check_free(folder: Path) -> None:
    """Raise BadInput if a new run would overwrite anything but a run without a checkpoint."""
    if checkpoints(folder):
        raise BadInput(f"{folder} already holds a run: --resume continues it, --force replaces it")
    check_free(folder, manifest.FILES, force=False)
    others = sorted(p.name for p in folder.glob("[!.]*") if p.name != "run")
    if others:
        hint = "choose another --out, or train beside it with --force"
        raise BadInput(
            f"{folder} contains {others[0]}, which does not belong to a training run: {hint}"
        )


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


def _clear(folder: Path) -> None:
    """Remove an earlier run and its model; other files stay, and the lock, which is held."""
    for path in [p for p in (folder / "run").iterdir() if p.name != "lock"]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    for name in manifest.FILES:
        (folder / name).unlink(missing_ok=True)
