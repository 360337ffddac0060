"""A run: a family learns a data set, into a folder that any interruption can be resumed from.

FOLDER/run/ holds plan.json (what was asked), log.jsonl, grids/ and checkpoints/; at the end FOLDER
itself is a model folder. All randomness depends on (seed, step, purpose, sample) alone, so a
checkpoint is the step, the trainer's parts and the data's hash.
"""

import itertools
import json
import logging
import os
import re
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genzoo import cards, data, devices, families, store
from genzoo.draws import stream
from genzoo.errors import BadInput, Failed
from genzoo.families import Family
from genzoo.files import check_free, is_folder, locked, write_whole
from genzoo.models import Model, Sampler
from genzoo.options import Options
from genzoo.schemas import Count, Name, Schema, checked, divide, read_json
from genzoo.training import (
    Averaged,
    Batch,
    Diverged,
    Doctor,
    Finding,
    Settings,
    Trainer,
    fit,
    parallel,
)
from genzoo.version import VERSION

log = logging.getLogger("genzoo")
Steps = Annotated[int, Field(ge=1, le=10**9)]


class Plan(Schema):
    """What was asked of a run, and what must not have changed when it goes on."""

    family: Name
    data: Annotated[str, Field(max_length=4000)]
    data_sha256: store.Sha256
    steps: Steps
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    config: dict[str, Any]
    options: dict[str, Any]
    device: Name = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    micro_batches: Count = 1
    compile: bool = False
    checkpoint_every: Steps = 500
    grid_every: Steps = 500
    log_every: Steps = 10
    threads: Count = 1
    processes: Count = 1
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    licence: Name = "unknown"
    command: Annotated[str, Field(max_length=4000)] = ""
    versions: dict[str, Name]


@final
@dataclass(frozen=True)
class Progress:
    """Where a run stands, after each step."""

    step: int
    steps: int
    rate: float
    logs: dict[str, Tensor]

    @property
    def left(self) -> float:
        """Seconds to the end, at the rate since the start."""
        return (self.steps - self.step) / self.rate if self.rate else float("inf")


@final
@dataclass(frozen=True)
class Estimate:
    """What ``--dry-run`` found: counts, bytes, steps a second, seconds to the end."""

    parameters: dict[str, int]
    memory: int
    rate: float
    steps: int
    seconds: float


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after the step in hand was finished and a checkpoint written."""


@final
class Run:
    """A plan, its data, and its trainer."""

    def __init__(self, plan: Plan, dataset: data.DataSet, folder: Path):
        self.plan, self.dataset, self.folder = plan, dataset, folder
        self.family: Family = families.get(plan.family)
        self.device = devices.device(plan.device)
        config = checked(self.family.config, plan.config, "config")
        self.options: Options = checked(self.family.options, plan.options, "options")
        with torch.random.fork_rng([]):
            torch.manual_seed(plan.seed)
            self.trainer = self._trainer(self.family.model(config))
        self.trainer.prepare(
            Settings(str(self.device), plan.precision, plan.micro_batches, plan.compile)
        )
        self.doctor = Doctor(self.trainer, self.options)

    def _trainer(self, model: Model) -> Trainer:
        model.class_names = self.dataset.classes if getattr(model, "num_classes", 0) else ()
        trainer = self.family.trainer(model, self.options)
        return Averaged(trainer, self.options.average) if self.options.average else trainer

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """The steps' batches from ``start`` on, this process's share of each."""
        size, parts = self.options.batch_size, self.trainer.batches_per_step
        share = size // parallel.size()
        first = (part * size + parallel.rank() * share for part in range(parts))
        places = tuple(place for f in first for place in range(f, f + share))
        for step in itertools.count(start):
            at = step * size * parts + np.array(places)
            x, labels = self._rows(self.dataset, at, "epoch")
            second = self.dataset.other
            other = None if second is None else self._rows(second, at, "other epoch")[0]
            conditional = getattr(self.trainer.model, "num_classes", 0)
            progress = min(1.0, step / self.plan.steps)  # an estimate may go on beyond the end
            yield Batch(
                x,
                labels if conditional else None,
                other,
                step=step,
                progress=progress,
                seed=self.plan.seed,
                indices=places,
            )

    def _rows(
        self, dataset: data.DataSet, at: np.ndarray, purpose: str
    ) -> tuple[Tensor, Tensor | None]:
        """The samples at these places of an endless row of shuffled epochs, and their labels."""
        n = len(dataset)
        epochs, which = np.unique(at // n, return_inverse=True)
        drawn = [_shuffled(self.plan.seed, purpose, int(epoch), n) for epoch in epochs]
        order, flips = (np.stack(rows) for rows in zip(*drawn, strict=True))
        indices, flip = order[which, at % n], flips[which, at % n]
        x = dataset.batch(indices, self.device, flip if self.options.flip else None)
        return self._inward(x), dataset.labels_of(indices, self.device)

    def _inward(self, x: Tensor) -> Tensor:
        span = self.trainer.model.range
        x = x if span is None else x * (span[1] - span[0]) + span[0]
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

    def go(self, report: Callable[[Progress], None] | None = None, start: int = 0) -> Path:
        """Train to the end, and write the model. Raises Diverged, Failed, Interrupted, or BadInput
        where another process trains in the same folder.
        """
        if start == self.plan.steps and (self.folder / "README.md").exists():
            return self.folder  # what is written last is there: nothing is left to do
        began, earlier = time.monotonic(), self._seconds_before(start)
        with _alone(self.folder), _ctrl_c() as pressed, self._log(start) as lines:
            self._grid(start)
            taken: deque[Batch] = deque(maxlen=1)
            batches = _noted(self.batches(start), taken)
            steps = fit(self.trainer, batches, self.plan.steps, start)
            for step, logs in enumerate(self._watched(steps), start + 1):
                spent = time.monotonic() - began
                if lines and step % self.plan.log_every == 0:
                    values = {k: round(v.item(), 6) for k, v in logs.items()}
                    lines.write(json.dumps({"step": step, **values}) + "\n")
                for finding in self.doctor.look(step, logs, taken[0]):
                    _say(finding, lines)
                if report:
                    report(Progress(step, self.plan.steps, (step - start) / spent, logs))
                now = pressed()  # asked once: what is pressed while keeping is for the next step
                self._keep(step, earlier + spent, now)
                if now:
                    raise Interrupted(f"stopped after step {step}; --resume goes on from there")
        return self._finish(earlier + time.monotonic() - began)

    def _watched(self, steps: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
        try:
            yield from steps
        except Diverged as error:
            raise self._diverged(str(error)) from None

    def _diverged(self, what: str) -> Diverged:
        last = next(iter(_checkpoints(self.folder)), None)
        kept = f"last good checkpoint: {last}" if last else "there is no checkpoint yet"
        return Diverged(f"the run diverged: {what}; {kept}. Try a lower --set lr=")

    def _keep(self, step: int, seconds: float, now: bool) -> None:
        if step % self.plan.checkpoint_every == 0 or step == self.plan.steps or now:
            self.checkpoint(step, seconds)
        if step % self.plan.grid_every == 0 or step == self.plan.steps:
            self._grid(step)

    @contextmanager
    def _log(self, start: int) -> Iterator[Any]:
        """log.jsonl, without what a stopped run wrote after the checkpoint it now goes on from."""
        if parallel.rank():
            yield None
            return
        path = self.folder / "run" / "log.jsonl"
        kept = [s for s in _lines(path) if _step_of(s) <= start]
        write_whole(path, "".join(f"{s}\n" for s in kept).encode())
        with path.open("a", buffering=1) as file:
            yield file

    def _grid(self, step: int) -> None:
        model = self.trainer.model
        if parallel.rank() or not isinstance(model, Sampler) or not model.is_images:
            return
        (self.folder / "run" / "grids").mkdir(exist_ok=True)
        model.sample(16, seed=0).save(self.folder / "run" / "grids" / f"{step:08}.png")

    def checkpoint(self, step: int, seconds: float) -> None:
        """Write all that the step after ``step`` needs, aside and renamed; keep the last two."""
        if parallel.rank():
            return
        parts = {name: part.state_dict() for name, part in self.trainer.parts().items()}
        if bad := next((k for k, t in _tensors(parts) if not torch.isfinite(t).all()), None):
            raise self._diverged(f"after step {step}, {bad} holds values that are not finite")
        folder = self.folder / "run" / "checkpoints"
        folder.mkdir(exist_ok=True)
        aside = folder / f".{step:08}.pt"
        state = {"step": step, "data": self.plan.data_sha256, "seconds": seconds, "parts": parts}
        state["doctor"] = self.doctor.state_dict()
        try:
            with aside.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(folder / f"{step:08}.pt")
        except (OSError, RuntimeError) as error:
            aside.unlink(missing_ok=True)
            # torch's writer says of a failed write only where in its file it was.
            why = "the disk is full, or fails" if isinstance(error, RuntimeError) else error
            raise Failed(f"cannot write the checkpoint of step {step}: {why}") from error
        found = _checkpoints(self.folder)
        good = [p for p in found if int(p.stem) <= step]  # what is newer could not be read
        for old in {*found} - {*good[:2]}:
            old.unlink()

    def restore(self) -> int:
        """Go back to the newest whole checkpoint; the step to go on from, 0 if there is none."""
        there = _checkpoints(self.folder)
        for path in there:
            try:
                state = torch.load(path, map_location=self.device, weights_only=True)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:100]
                then = "beginning anew" if path == there[-1] else "taking the one before"
                log.warning("%s cannot be read (%s): %s", path, reason, then)
                continue
            for name, part in self.trainer.parts().items():
                part.load_state_dict(state["parts"][name])
            if "doctor" in state:
                self.doctor.load_state_dict(state["doctor"])
            return int(state["step"])
        return 0

    def _seconds_before(self, start: int) -> float:
        if not start:
            return 0.0
        path = self.folder / "run" / "checkpoints" / f"{start:08}.pt"
        return float(torch.load(path, map_location="cpu", weights_only=True)["seconds"])

    def _finish(self, seconds: float) -> Path:
        """Fit what is fitted after training, and write the model folder."""
        model = self.trainer.model.requires_grad_(True)
        if self.family.finish:
            n = len(self.dataset)
            rows = (np.arange(i, min(i + 500, n)) for i in range(0, min(n, 20_000), 500))
            batches = (self._inward(self.dataset.batch(r, self.device)) for r in rows)
            self.family.finish(model.eval(), self.options, batches)
        if parallel.rank() == 0:
            self._write(model, seconds)
        parallel.wait()
        return self.folder

    def _write(self, model: Model, seconds: float) -> None:
        plan, players = self.plan, self.trainer.networks()
        recipe = store.Recipe(
            command=plan.command,
            data_sha256=plan.data_sha256,
            config=plan.config,
            options=plan.options,
            seed=plan.seed,
            steps=plan.steps,
            seconds=round(seconds, 1),
            machine=devices.machine(self.device),
            precision=plan.precision,
            micro_batches=plan.micro_batches,
            threads=plan.threads,
            processes=plan.processes,
            versions=plan.versions,
        )
        store.save(
            model,
            self.folder,
            family=plan.family,
            data=",".join(Path(p).name if is_folder(p) else p for p in plan.data.split(",")),
            licence=plan.licence,
            terms=self.dataset.terms,
            dtype=plan.dtype,
            discriminator=players.get("discriminator") if self.family.discriminator else None,
            recipe=recipe,
            force=True,
        )
        cards.complete(self.folder)


def start(
    family: str,
    dataset: data.DataSet,
    folder: Path,
    *,
    named: str,
    steps: int | None = None,
    minutes: float | None = None,
    values: dict[str, Any] | None = None,
    force: bool = False,
    **settings: Any,
) -> Run:
    """A new run of ``family`` on ``dataset`` (called ``named``): a folder, nothing learnt yet.

    ``values`` go to the family's config and options; ``minutes`` are turned into steps by the rate
    measured on this machine. Raises BadInput, UnknownName, Failed.
    """
    parallel.start(devices.device(settings.get("device", "auto")))
    if parallel.rank() == 0 and not force:
        _check_free(folder)
    asked = {"named": named, "values": values, **settings}
    if minutes is not None:
        if parallel.size() > 1:
            raise BadInput("several processes need --steps: each would measure another rate")
        rate = estimate(planned(family, dataset, steps=1, **asked), dataset).rate
        steps = max(1, round(minutes * 60 * rate))
    plan = planned(family, dataset, steps=1 if steps is None else steps, **asked)
    run = Run(plan, dataset, folder)
    if parallel.rank() == 0:
        with _alone(folder) if (folder / "run").is_dir() else nullcontext():
            _clear(folder)
        try:
            (folder / "run").mkdir(parents=True)
        except OSError as error:
            raise Failed(f"cannot make {folder}: {error.strerror}") from error
        write_whole(folder / "run" / "plan.json", plan.model_dump_json(indent=2).encode())
    parallel.wait()
    return run


def planned(
    family: str,
    dataset: data.DataSet,
    *,
    named: str,
    steps: int,
    values: dict[str, Any] | None = None,
    device: str = "auto",
    **settings: Any,
) -> Plan:
    """The plan of a run, every value checked and filled in."""
    found = families.get(family)
    if (found.data == "unpaired") != (dataset.other is not None):
        wants = "two domains, A,B" if found.data == "unpaired" else "one data set"
        raise BadInput(f"{family} learns from {wants}: {named!r} is something else")
    hint = f"type genzoo info {family} to see all."
    schemas: dict[str, type[Schema]] = {"config": found.config, "options": found.options}
    parts = divide(_beyond_data(values or {}, schemas, dataset), schemas, hint)
    config = found.configured(dataset, parts["config"])
    options = checked(found.options, parts["options"], f"options of {family}")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    pieces = processes * max(1, settings.get("micro_batches", 1))  # Plan refuses less
    if options.batch_size % pieces:
        raise BadInput(f"batch_size {options.batch_size} cannot be shared out evenly over {pieces}")
    asked = {
        **settings,
        "family": family,
        "data": absolute(named),
        "data_sha256": dataset.sha256,
        "steps": steps,
        "device": str(devices.device(device)),
        "config": config.model_dump(mode="json"),
        "options": options.model_dump(mode="json"),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "versions": _versions(family),
    }
    every = {k: max(1, steps // 20) for k in ("checkpoint_every", "grid_every")}
    return checked(Plan, {**every, **asked}, "the plan")


def _beyond_data(
    values: dict[str, Any], schemas: dict[str, type[Schema]], dataset: data.DataSet
) -> dict[str, Any]:
    """``values`` without a size and channels that are no field: ``dataset`` was opened in them."""
    fields = {name for schema in schemas.values() for name in schema.model_fields}
    sides = dict(zip(("channels", "size"), dataset.shape, strict=False))
    had = sides.items() if len(dataset.shape) == 3 else ()
    return {k: v for k, v in values.items() if k in fields or (k, v) not in had}


def resume(folder: Path, root: Path | None = None) -> tuple[Run, int]:
    """The run in ``folder`` as its last checkpoint left it, and the step to go on from.

    Raises BadInput where there is no run, or its data have changed.
    """
    path = folder / "run" / "plan.json"
    if not path.is_file():
        raise BadInput(f"there is no run in {folder} to resume: leave --resume out to begin one")
    plan = checked(Plan, read_json(path.read_bytes(), str(path)), str(path))
    dataset = open_data(plan.data, plan.config, root, family=plan.family)
    if dataset.sha256 != plan.data_sha256:
        raise BadInput(f"{plan.data} has changed since {folder} began: the run cannot go on")
    torch.set_num_threads(plan.threads)  # sums depend on how they are shared out
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if (plan.versions, plan.processes) != (_versions(plan.family), processes):
        what = "processes" if plan.processes != processes else "versions"
        log.warning("%s differ from the run's: it goes on, but not bit for bit", what)
    parallel.start(devices.device(plan.device))
    run = Run(plan, dataset, folder)
    return run, run.restore()


def open_data(
    named: str,
    values: dict[str, Any] | None = None,
    root: Path | None = None,
    split: str = "train",
    family: str | None = None,
) -> data.DataSet:
    """The data set that a config or ``--set`` asks for, in the ``size`` and ``channels`` it has;
    two domains as one, where ``family`` learns from such.
    """
    values = values or {}
    shape = values.get("shape")
    channels, size = shape[:2] if shape and len(shape) == 3 else (None, None)
    size, channels = values.get("size", size), values.get("channels", channels)
    if family is not None and families.get(family).data == "unpaired":
        return data.paired(*data.open_pair(named, split, size=size, channels=channels, root=root))
    return data.open(named, split, size=size, channels=channels, root=root)


def absolute(named: str) -> str:
    """``named`` with its folders, one or two with a comma between, as they are from everywhere."""
    if not is_folder(named):
        return named
    parts = named.split(",") if not Path(named).expanduser().exists() else [named]
    return ",".join(str(Path(p).expanduser().resolve()) if is_folder(p) else p for p in parts)


def estimate(plan: Plan, dataset: data.DataSet) -> Estimate:
    """Try a few steps of ``plan`` and throw them away: what the whole of it would take."""
    run = Run(plan, dataset, Path())
    steps = fit(run.trainer, run.batches(), 1000)
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
    return Estimate(counts, _memory(run.device), rate, plan.steps, plan.steps / rate)


@lru_cache(maxsize=4)
def _shuffled(seed: int, purpose: str, epoch: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """An epoch's order, and which of its images are mirrored."""
    source = stream(seed, purpose, epoch)
    return source.permutation(n), source.random(n) < 0.5


def _versions(family: str) -> dict[str, str]:
    package, version = families.installed_as(family)
    return {"genzoo": VERSION, "torch": torch.__version__.partition("+")[0], package: version}


def _memory(device: torch.device) -> int:
    """The most bytes that this process, or its accelerator, has held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _checkpoints(folder: Path) -> list[Path]:
    """The newest first."""
    return sorted((folder / "run" / "checkpoints").glob("[0-9]*.pt"), reverse=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No second process trains in ``folder``: each would remove the other's checkpoints."""
    if parallel.rank():
        yield
        return
    with locked(folder / "run" / "lock", wait=False) as held:
        if held is False:
            raise BadInput(f"another process is training in {folder}: wait for it, or stop it")
        yield


def _check_free(folder: Path) -> None:
    """Whether a new run would write over nothing; of one without a checkpoint, nothing is lost."""
    if _checkpoints(folder):
        raise BadInput(f"{folder} holds a run already: --resume it, or --force to begin anew")
    check_free(folder, store.FILES, force=False)
    strange = sorted(p.name for p in folder.glob("[!.]*") if p.name != "run")
    if strange:
        hint = "choose another --out, or --force to train beside it"
        raise BadInput(f"{folder} holds {strange[0]}, which is no part of a run: {hint}")


def _clear(folder: Path) -> None:
    """Make room for a new run; what else is in the folder stays."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    for name in store.FILES:
        (folder / name).unlink(missing_ok=True)


def _noted(batches: Iterator[Batch], taken: deque[Batch]) -> Iterator[Batch]:
    """``batches``, each left in ``taken`` until the next."""
    for batch in batches:
        taken.append(batch)
        yield batch


def _say(finding: Finding, lines: Any) -> None:
    """On the log, and in it."""
    log.warning("%s", finding.text)
    told = {"step": finding.step, "finding": finding.rule, "text": finding.text}
    lines.write(json.dumps(told) + "\n")


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def _step_of(line: str) -> float:
    """The step of a line of the log; a line cut off by a crash belongs to none."""
    found = re.match(r'\{"step": (\d+).*\}$', line)
    return int(found[1]) if found else float("inf")


def _tensors(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from _tensors(value, f"{name}.{key}" if name else key)


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: no step is torn in two. The second press interrupts at once."""
    pressed = threading.Event()

    def press(number: int, frame: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
