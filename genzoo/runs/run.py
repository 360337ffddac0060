"""A run: trains a family on a data set, in a folder; after any interruption it can be resumed.

FOLDER/run/ holds plan.json, log.jsonl, grids/ and checkpoints/; at the end FOLDER itself is a model
folder. All randomness depends on (seed, step, purpose, sample) alone, so a checkpoint is the step,
the state of the trainer's parts and the data's hash.
"""

import io
import json
import logging
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from genzoo import devices, families
from genzoo.data import register
from genzoo.data.dataset import DataSet
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, GenzooError, OperationFailed, Stopped, argument, command
from genzoo.families.family import Family
from genzoo.files import deferred_signals, write_whole
from genzoo.models.abilities import Translator
from genzoo.models.kinds import SHOWN, has_picture
from genzoo.models.randomness import seed_torch
from genzoo.models.sampler import Sampler
from genzoo.models.samples import Images
from genzoo.models.threads import using
from genzoo.options import Options
from genzoo.runs.checkpoints import (
    Checkpoint,
    Timetable,
    Unusable,
    check_states,
    checkpoints,
    digest_of,
    remove_unusable,
    restore,
    write_checkpoint,
)
from genzoo.runs.examples import fill_examples
from genzoo.runs.loader import Loader
from genzoo.runs.lock import FolderState, alone, folder_state
from genzoo.runs.parent import Parent
from genzoo.runs.plan import Plan, form_on_card, read_plan, write_plan
from genzoo.schemas import Schema, checked
from genzoo.text import clock
from genzoo.training import (
    EMA,
    Batch,
    Diverged,
    RunSettings,
    Trainer,
    TrainingMonitor,
    fit,
    freeze,
    parallel,
    phase_steps,
)
from genzoo.zoo import card, manifest
from genzoo.zoo import folder as folders
from genzoo.zoo.manifest import parent_of

log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class RunStatus:
    """The state of a run after a step. ``rate``: steps a second; ``logs``: what the step logged;
    ``phase``: its phase, if the run has several.
    """

    step: int
    steps: int
    rate: float
    logs: dict[str, Tensor]
    phase: str = ""

    @property
    def left(self) -> float:
        """Seconds to the end, at the rate since the start."""
        return (self.steps - self.step) / self.rate if self.rate else float("inf")

    def __str__(self) -> str:
        losses = " ".join(f"{k} {v.item():.3g}" for k, v in self.logs.items() if k.endswith("loss"))
        phase = f" ({self.phase})" if self.phase else ""
        place = f"step {self.step} of {self.steps}{phase}"
        return f"{place}  {self.rate:.1f}/s  {clock(self.left)} left  {losses}"


class Interrupted(Stopped):
    """A signal to stop: the step was finished and a checkpoint written before this was raised."""


@final
class Run:
    """A plan, its data set and its trainer.

    ``start``: the step that training begins with; ``seconds``: the time that the run has taken.
    ``options`` and ``config`` stand for those of the plan, with the same values. ``parent``: the
    model whose weights a new run begins with; later they are in its checkpoints.
    """

    @usual_torch()
    def __init__(
        self,
        plan: Plan,
        dataset: DataSet,
        folder: Path,
        options: Options | None = None,
        parent: Parent | None = None,
        config: Schema | None = None,
    ):
        self.plan, self.dataset, self.folder = plan, dataset, folder
        self.start, self.seconds = 0, 0.0
        self.folder_state: FolderState | None = None
        self.parent = parent
        self.family = families.get(plan.family)
        self.device = devices.device(plan.device)
        self.options = options or checked(self.family.options, plan.options, "options")
        self.config = config or checked(self.family.config, plan.config, "config")
        self._build()

    def _build(self) -> None:
        """A new trainer, with the initial weights."""
        plan = self.plan
        parts = self.family, self.config, self.options
        self.trainer = _trainer(plan, *parts, self.dataset, self.parent)
        self.trainer.prepare(
            RunSettings(str(self.device), plan.precision, plan.micro_batches, plan.compile)
        )
        freeze(self.trainer, self.options.freeze)
        self.loader = Loader(plan, self.dataset, self.trainer, self.options, self.device)
        self.monitor = TrainingMonitor(self.trainer, self.options)

    @usual_torch()
    def restore(self) -> None:
        """Go back to the newest sound checkpoint; without one, the run begins anew."""
        if checkpoint := self._restored():
            self.start, self.seconds = checkpoint.step, checkpoint.seconds
        elif model := parent_of(self.plan.stages):
            raise BadInput(
                f"no checkpoint in {self.folder} can be used, and the run began with the weights "
                f"of {model.model}: start it again with {argument('start_from')} and "
                f"{argument('force', True)}"
            )

    def _restored(self) -> Checkpoint | None:
        """The checkpoint that is loaded: of several processes the first one reads it for all."""
        if parallel.size() == 1:
            return restore(self.folder, self.device, self._load)
        file = io.BytesIO()
        if not parallel.rank():
            found = restore(self.folder, self.device, self._load)
            torch.save(found and vars(found), file)
        file = io.BytesIO(parallel.from_first(file.getvalue()))
        state = torch.load(file, map_location=self.device, weights_only=True)
        if state and parallel.rank():
            self._load(Checkpoint(**state))
        return Checkpoint(**state) if state else None

    def _load(self, checkpoint: Checkpoint) -> None:
        """Load ``checkpoint``, or raise any error and be as new."""
        plan, step = self.plan, checkpoint.step
        if step > plan.steps:
            raise Unusable(f"it is of step {step}, the run has {plan.steps}")
        if checkpoint.data != plan.data_sha256:
            raise Unusable("it is of a run on other data")
        if plan.run and checkpoint.run not in ("", plan.run):
            raise Unusable("it is of another run")
        try:
            self.trainer.restore(checkpoint.parts, step, plan.steps, plan.seed)
            check_states(self.trainer.parts(), checkpoint.parts)
            if checkpoint.monitor is not None:
                # Versions before 0.2 knew of one phase.
                only = self.trainer.phases[0].name
                self.monitor.load_state_dict({"phase": only, **checkpoint.monitor})
        except Exception:
            self._build()
            raise

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do, as the first process finds."""
        if self.start < self.plan.steps:
            return False
        return parallel.from_first(parallel.rank() == 0 and _is_written(self.folder))

    def say_finished(self) -> None:
        """Warn that nothing is left to do."""
        more = f"{argument('steps', 'N')}, with a larger number, trains further"
        done = f"is finished: all {self.start} steps are done"
        log.warning("the run in %s %s; %s", self.folder, done, more)

    @usual_torch()
    def go(self, report: Callable[[RunStatus], None] | None = None) -> Path:
        """Train to the end, and write the model; the run's folder.

        ``report`` is called after each step. Raises Diverged, OperationFailed, Interrupted, and
        BadInput where another process trains in the same folder, or has since it was read.
        """
        with alone(self.folder):
            if self.folder_state not in (None, folder_state(self.folder)) and not parallel.rank():
                what = f"the run in {self.folder} has gone on since it was read"
                raise BadInput(f"{what}: continue it with {argument('resume', True)}")
            if self.finished:
                if parallel.rank() == 0:
                    card.unlock(self.folder)
                    self.say_finished()
                return self.folder
            if parallel.size() > 1:
                parts = {name: part.state_dict() for name, part in self.trainer.parts().items()}
                parallel.agree("states", f"step {self.start}, {digest_of(parts)}")
            try:
                with using(self.plan.threads):
                    self._train(report)
            except Diverged as error:
                last = next(iter(checkpoints(self.folder)), None)
                where = f"last good checkpoint: {last}" if last else "no checkpoint yet"
                lower = {"lr": float(f"{self.options.lr / 2:g}")}
                again = command("train", out=self.folder, resume=True, settings=lower)
                way = again if last else f"start again with {argument('settings', lower)}"
                raise Diverged(f"the run diverged: {error}; {where}. Try: {way}") from None
            return self._finish()

    def _train(self, report: Callable[[RunStatus], None] | None) -> None:
        began, earlier = time.monotonic(), self.seconds
        timetable = Timetable(self.plan.checkpoint_every)
        with deferred_signals() as received, _open_log(self.folder, self.start) as lines:
            self._store_changes()
            if self._is_grid_due(self.start):  # a killed process may not have come to it
                self._save_grid(self.start)
            batches = self.loader.batches(self.start)
            for batch, logs in fit(self.trainer, batches, self.plan.steps, self.start):
                step, spent = batch.step + 1, time.monotonic() - began
                self.seconds = earlier + spent
                self._log(batch, logs, lines)
                if report:
                    rate, phase = (step - self.start) / spent, self._phase(batch)
                    report(RunStatus(step, self.plan.steps, rate, logs, phase))
                # Once a step: a signal during a save stops the next step.
                number, is_due = self._agreed(received(), timetable.is_due(step))
                if is_due or number or step == self.plan.steps:
                    with timetable.writing():
                        self.checkpoint(step)
                if self._is_grid_due(step):
                    self._save_grid(step)
                if number:
                    raise _interrupted(step, number)
        self.seconds = earlier + time.monotonic() - began

    def _agreed(self, number: int, is_due: bool) -> tuple[int, bool]:
        """The highest ``number`` of all processes; ``is_due`` of the first, whose clock counts."""
        message = 2 * number + (is_due and not parallel.rank())
        number, is_due_first = divmod(parallel.highest(message, self.device), 2)
        return number, bool(is_due_first)

    def _store_changes(self) -> None:
        """Write what resuming has changed, before the first checkpoint of it."""
        path = self.folder / "run" / "plan.json"
        if not parallel.rank() and path.is_file() and read_plan(path) != self.plan:
            write_plan(path, self.plan)

    def _phase(self, batch: Batch) -> str:
        """The phase of ``batch``, if there are several."""
        return batch.phase if len(self.trainer.phases) > 1 else ""

    def _log(self, batch: Batch, logs: dict[str, Tensor], lines: Any) -> None:
        """Write a step's line, and the monitor's warnings, which are also shown."""
        step = batch.step + 1
        if lines and step % min(self.plan.log_every, self.plan.steps) == 0:
            values = {k: round(v.item(), 6) for k, v in logs.items()}
            place = {"phase": phase} if (phase := self._phase(batch)) else {}
            lines.write(json.dumps({"step": step, **place, **values}) + "\n")
        for warning in self.monitor.check(step, logs, batch):
            log.warning("%s", warning.text)
            line = {"step": warning.step, "finding": warning.rule, "text": warning.text}
            lines.write(json.dumps(line) + "\n")

    def _is_grid_due(self, step: int) -> bool:
        return step % self.plan.grid_every == 0 or step == self.plan.steps

    def checkpoint(self, step: int) -> None:
        """Write all that the step after ``step`` needs. Raises Diverged, OperationFailed."""
        if parallel.rank():
            return
        parts = {name: part.state_dict() for name, part in self.trainer.parts().items()}
        data, monitor = self.plan.data_sha256, self.monitor.state_dict()
        write_checkpoint(
            self.folder, Checkpoint(step, data, self.seconds, parts, monitor, self.plan.run)
        )

    def _save_grid(self, step: int) -> None:
        model = self.trainer.model
        if parallel.rank() or not isinstance(model, Sampler):
            return
        if not has_picture(model.kind, model.shape):
            return
        (self.folder / "run" / "grids").mkdir(exist_ok=True)
        path = self.folder / "run" / "grids" / f"{step:08}.png"
        samples = model.sample(SHOWN[model.kind], seed=0)
        if isinstance(samples, Images):
            samples.save(path, 1)  # plots enlarge what they show
        else:
            samples.save(path)

    def _finish(self) -> Path:
        """Call the family's ``finish``, and write the model folder."""
        model = self.trainer.model.requires_grad_(True)
        if parallel.rank() == 0:
            remove_unusable(self.folder)
        if self.family.finish:
            self.family.finish(model.eval(), self.options, self.loader.some(20_000))
        if parallel.rank() == 0:
            _write_model(self)
        parallel.wait()
        if not parallel.appears(self.folder / manifest.README):
            what = f"process {parallel.rank()} does not see the model in {self.folder}"
            raise OperationFailed(f"{what}: all processes need one shared file system")
        return self.folder


def _trainer(
    plan: Plan,
    family: Family,
    config: Schema,
    options: Options,
    dataset: DataSet,
    parent: Parent | None,
) -> Trainer:
    """The trainer of a new model; the plan's seed decides the weights that no ``parent`` gives."""
    with torch.random.fork_rng([]):
        seed_torch(plan.seed)
        model = family.model(config)
        if parent:
            parent.fill_model(model)
        model.class_names = dataset.classes if getattr(model, "num_classes", 0) else ()
        model.rate = dataset.rate or model.rate
        if isinstance(model, Translator):
            fill_examples(model, dataset, options, plan.seed)
        trainer = family.make_trainer(model, options)
        if parent:
            parent.fill_discriminator(trainer)
        return EMA(trainer, options.ema_decay) if options.ema_decay else trainer


def _write_model(run: Run) -> None:
    """The model folder: weights, config.json and README.md."""
    plan, networks = run.plan, run.trainer.networks()
    recipe = manifest.Recipe(
        command=register.without_paths(plan.command),
        data_sha256=plan.data_sha256,
        config=plan.config,
        options=plan.options,
        seed=plan.seed,
        steps=plan.steps,
        phases=phase_steps(run.trainer.phases, plan.steps),
        seconds=round(run.seconds, 1),
        machine=devices.machine(run.device),
        precision=plan.precision,
        micro_batches=plan.micro_batches,
        compile=plan.compile,
        threads=plan.threads,
        processes=plan.processes,
        versions=plan.versions,
        stages=plan.stages,
        form=form_on_card(plan),
    )
    folders.save(
        run.trainer.model,
        run.folder,
        family=plan.family,
        version=plan.version,
        data=register.label(plan.data),
        license=plan.license,
        terms=run.dataset.terms,
        dtype=plan.dtype,
        discriminator=networks.get("discriminator") if run.family.discriminator else None,
        recipe=recipe,
        force=True,
    )
    card.complete(run.folder)


def _interrupted(step: int, number: int) -> Interrupted:
    text = f"stopped after step {step}; continue it with {argument('resume', True)}"
    by = "" if number == signal.SIGINT else f"{signal.Signals(number).name}: "
    return Interrupted(by + text, number)


def _is_written(folder: Path) -> bool:
    """Whether the run has written its model: the README comes last, and the weights are whole."""
    try:
        weights = (folder / manifest.WEIGHTS).read_bytes()
        is_whole = manifest.sha256_of(weights) == manifest.read_manifest(folder).weights_sha256
    except (GenzooError, OSError):
        return False
    return is_whole and (folder / manifest.README).exists()


@contextmanager
def _open_log(folder: Path, start: int) -> Iterator[Any]:
    """log.jsonl, to append to, without what a stopped run wrote after step ``start``."""
    if parallel.rank():
        yield None
        return
    path = folder / "run" / "log.jsonl"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    write_whole(path, "".join(f"{line}\n" for line in lines if _step_of(line) <= start).encode())
    with path.open("a", buffering=1, encoding="utf-8", newline="\n") as file:
        yield file


def _step_of(line: str) -> float:
    """The step of a line of the log; a line cut off by a crash belongs to none."""
    match = re.match(r'\{"step": (\d+).*\}$', line)
    return int(match[1]) if match else float("inf")
