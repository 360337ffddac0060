"""Start a run, resume it, or estimate what it would take."""

import logging
import os
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from genzoo import devices
from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput, OperationFailed
from genzoo.files import check_free, write_whole
from genzoo.runs.checkpoints import checkpoints
from genzoo.runs.plan import Plan, make_plan, open_dataset, plan, read_plan, versions
from genzoo.runs.run import Run, alone
from genzoo.training import fit, parallel
from genzoo.zoo import manifest

log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Estimate:
    """What ``--dry-run`` found: counts, bytes, steps a second, seconds to the end."""

    parameters: dict[str, int]
    memory: int
    rate: float
    steps: int
    seconds: float


def start(
    family: str,
    data: str | Path,
    folder: Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    values: dict[str, Any] | None = None,
    root: Path | None = None,
    force: bool = False,
    **settings: Any,
) -> Run:
    """A new run of ``family`` on ``data`` in ``folder``; no step is done yet.

    ``values`` go to the data set, the config and the options, as in `plan`; ``minutes`` become
    steps by the rate measured on this machine. Raises BadInput, UnknownName, OperationFailed.
    """
    setup = plan(family, data, values, root)
    parallel.start(devices.device(settings.get("device", "auto")))
    if parallel.rank() == 0 and not force:
        _check_free(folder)
    if minutes is not None:
        if parallel.size() > 1:
            raise BadInput("several processes need --steps: each would measure another rate")
        trial = make_plan(family, data, setup, steps=1, **settings)
        steps = max(1, round(minutes * 60 * estimate(trial, setup.dataset).rate))
    record = make_plan(family, data, setup, steps=1 if steps is None else steps, **settings)
    run = Run(record, setup.dataset, folder)
    if parallel.rank() == 0:
        with alone(folder) if (folder / "run").is_dir() else nullcontext():
            _clear(folder)
        try:
            (folder / "run").mkdir(parents=True)
        except OSError as error:
            raise OperationFailed(f"cannot make {folder}: {error.strerror}") from error
        write_whole(folder / "run" / "plan.json", record.model_dump_json(indent=2).encode())
    parallel.wait()
    return run


def resume(folder: Path, root: Path | None = None) -> Run:
    """The run in ``folder`` as its last checkpoint left it.

    Raises BadInput where there is no run, or its data have changed.
    """
    path = folder / "run" / "plan.json"
    if not path.is_file():
        raise BadInput(f"there is no run in {folder} to resume: leave --resume out to begin one")
    record = read_plan(path)
    dataset = open_dataset(record.family, record.data, record.config, root)
    if dataset.sha256 != record.data_sha256:
        raise BadInput(f"{record.data} has changed since {folder} began: the run cannot go on")
    torch.set_num_threads(record.threads)  # sums depend on how they are shared out
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if (record.versions, record.processes) != (versions(record.family), processes):
        what = "processes" if record.processes != processes else "versions"
        log.warning("%s differ from the run's: it goes on, but not bit for bit", what)
    parallel.start(devices.device(record.device))
    run = Run(record, dataset, folder)
    run.restore()
    return run


def estimate(record: Plan, dataset: DataSet) -> Estimate:
    """Try a few steps of ``record`` and throw them away: what the whole of it would take."""
    run = Run(record, dataset, Path())
    steps = fit(run.trainer, run.loader.batches(), 1000)
    next(steps)  # the first one sets things up
    began, done = time.monotonic(), 0
    while done < 20 and (done < 3 or time.monotonic() - began < 5):
        next(steps)
        done += 1
    rate = done / (time.monotonic() - began)
    counts = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in run.trainer.networks().items()
    }
    return Estimate(counts, _memory(run.device), rate, record.steps, record.steps / rate)


def _memory(device: torch.device) -> int:
    """The most bytes that this process, or its accelerator, has held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _check_free(folder: Path) -> None:
    """Whether a new run would write over nothing; of one without a checkpoint, nothing is lost."""
    if checkpoints(folder):
        raise BadInput(f"{folder} holds a run already: --resume it, or --force to begin anew")
    check_free(folder, manifest.FILES, force=False)
    strange = sorted(p.name for p in folder.glob("[!.]*") if p.name != "run")
    if strange:
        hint = "choose another --out, or --force to train beside it"
        raise BadInput(f"{folder} holds {strange[0]}, which is no part of a run: {hint}")


def _clear(folder: Path) -> None:
    """Make room for a new run; what else is in the folder stays."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    for name in manifest.FILES:
        (folder / name).unlink(missing_ok=True)
