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
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genzoo import devices, families
from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput, OperationFailed
from genzoo.families.family import Family
from genzoo.files import ctrl_c, is_folder, locked, write_whole
from genzoo.models.model import Model
from genzoo.models.sampler import Sampler
from genzoo.options import Options
from genzoo.runs.checkpoints import _checkpoints, _tensors
from genzoo.runs.loader import _shuffled
from genzoo.runs.plan import Plan
from genzoo.schemas import checked
from genzoo.training import (
    EMA,
    Batch,
    Diverged,
    RunSettings,
    Trainer,
    TrainingMonitor,
    TrainingWarning,
    fit,
    parallel,
)
from genzoo.zoo import card, manifest
from genzoo.zoo import folder as folders

log = logging.getLogger("genzoo")


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


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after the step in hand was finished and a checkpoint written."""


@final
class Run:
    """A plan, its data, and its trainer."""

    def __init__(self, plan: Plan, dataset: DataSet, folder: Path):
        self.plan, self.dataset, self.folder = plan, dataset, folder
        self.family: Family = families.get(plan.family)
        self.device = devices.device(plan.device)
        config = checked(self.family.config, plan.config, "config")
        self.options: Options = checked(self.family.options, plan.options, "options")
        with torch.random.fork_rng([]):
            torch.manual_seed(plan.seed)
            self.trainer = self._trainer(self.family.model(config))
        self.trainer.prepare(
            RunSettings(str(self.device), plan.precision, plan.micro_batches, plan.compile)
        )
        self.monitor = TrainingMonitor(self.trainer, self.options)

    def _trainer(self, model: Model) -> Trainer:
        model.class_names = self.dataset.classes if getattr(model, "num_classes", 0) else ()
        trainer = self.family.make_trainer(model, self.options)
        return EMA(trainer, self.options.ema_decay) if self.options.ema_decay else trainer

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """The steps' batches from ``start`` on, this process's share of each."""
        size, parts = self.options.batch_size, self.trainer.batches_per_step
        share = size // parallel.size()
        first = (part * size + parallel.rank() * share for part in range(parts))
        places = tuple(place for f in first for place in range(f, f + share))
        for step in itertools.count(start):
            at = step * size * parts + np.array(places)
            x, labels = self._rows(self.dataset, at, "epoch")
            second = self.dataset.second_domain
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

    def _rows(self, dataset: DataSet, at: np.ndarray, purpose: str) -> tuple[Tensor, Tensor | None]:
        """The samples at these places of an endless row of shuffled epochs, and their labels."""
        n = len(dataset)
        epochs, which = np.unique(at // n, return_inverse=True)
        drawn = [_shuffled(self.plan.seed, purpose, int(epoch), n) for epoch in epochs]
        order, flips = (np.stack(rows) for rows in zip(*drawn, strict=True))
        indices, flip = order[which, at % n], flips[which, at % n]
        x = dataset.batch(indices, self.device, flip if self.options.horizontal_flip else None)
        return self._inward(x), dataset.labels_of(indices, self.device)

    def _inward(self, x: Tensor) -> Tensor:
        span = self.trainer.model.value_range
        x = x if span is None else x * (span[1] - span[0]) + span[0]
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

    def go(self, report: Callable[[Progress], None] | None = None, start: int = 0) -> Path:
        """Train to the end, and write the model. Raises Diverged, OperationFailed, Interrupted, or
        BadInput
        where another process trains in the same folder.
        """
        if start == self.plan.steps and (self.folder / "README.md").exists():
            return self.folder  # what is written last is there: nothing is left to do
        began, earlier = time.monotonic(), self._seconds_before(start)
        with _alone(self.folder), ctrl_c() as pressed, self._log(start) as lines:
            self._grid(start)
            taken: deque[Batch] = deque(maxlen=1)
            batches = _noted(self.batches(start), taken)
            steps = fit(self.trainer, batches, self.plan.steps, start)
            for step, logs in enumerate(self._watched(steps), start + 1):
                spent = time.monotonic() - began
                if lines and step % self.plan.log_every == 0:
                    values = {k: round(v.item(), 6) for k, v in logs.items()}
                    lines.write(json.dumps({"step": step, **values}) + "\n")
                for finding in self.monitor.look(step, logs, taken[0]):
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
        state["monitor"] = self.monitor.state_dict()
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
            raise OperationFailed(f"cannot write the checkpoint of step {step}: {why}") from error
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
            if (watched := state.get("monitor", state.get("doctor"))) is not None:  # 0.1's name
                self.monitor.load_state_dict(watched)
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
        recipe = manifest.Recipe(
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
        folders.save(
            model,
            self.folder,
            family=plan.family,
            data=",".join(Path(p).name if is_folder(p) else p for p in plan.data.split(",")),
            license=plan.license,
            terms=self.dataset.terms,
            dtype=plan.dtype,
            discriminator=players.get("discriminator") if self.family.discriminator else None,
            recipe=recipe,
            force=True,
        )
        card.complete(self.folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No second process trains in ``folder``: each would remove the other's checkpoints."""
    if parallel.rank():
        yield
        return
    with locked(folder / "run" / "lock", wait=False) as held:
        if not held:
            raise BadInput(f"another process is training in {folder}: wait for it, or stop it")
        yield


def _noted(batches: Iterator[Batch], taken: deque[Batch]) -> Iterator[Batch]:
    """``batches``, each left in ``taken`` until the next."""
    for batch in batches:
        taken.append(batch)
        yield batch


def _say(finding: TrainingWarning, lines: Any) -> None:
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
