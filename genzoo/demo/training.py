"""A training in the background, which the demo page shows while it goes on.

It ends when its steps are done, when it is told to stop, or when nobody has looked for a while: a
page that is closed cannot say so.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from genzoo import devices, families
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, GenzooError
from genzoo.models.randomness import seed_torch
from genzoo.models.ranges import rescale
from genzoo.models.sampler import Sampler
from genzoo.models.samples import Images
from genzoo.runs.plan import Setup, plan
from genzoo.training import EMA, Batch, RunSettings, Trainer, TrainingMonitor, batches, fit

SHOWN = 16  # samples, of the same codes at each step
ALONE = 5.0  # seconds without a look, after which it ends
PAUSE = 0.4  # seconds between two grids


@final
class LiveTraining:
    """A training of a family; ``start`` begins it. Raises BadInput, OperationFailed.

    ``logs``: the values of each log, one a step; ``warnings``: the training monitor's; ``error``:
    why it ended early.
    """

    def __init__(
        self, family: str, data: str, settings: Mapping[str, Any], steps: int, device: str
    ):
        self.steps, self.step, self.seed, self.rate = steps, 0, 0, 0.0
        setup = plan(family, data, dict(settings))
        self.trainer, place = _trainer(family, setup, self.seed, device), devices.device(device)
        self.monitor = TrainingMonitor(self.trainer, setup.options)
        self.batch_size = setup.options.batch_size * self.trainer.batches_per_step
        self.x, self.labels = _data(setup, self.trainer.model, place)
        self.logs: dict[str, list[float]] = {}
        self.warnings: list[str] = []
        self.error, self._samples = "", self._draw()
        self._stopped, self._news = threading.Event(), threading.Event()
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._looked = time.monotonic()
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """End after the present step, and wait for it."""
        self._stopped.set()
        self._thread.join()

    def wait(self, seconds: float = 2.0) -> bool:
        """Wait for new samples, at most so long; whether the training goes on."""
        self._looked = time.monotonic()
        self._news.wait(seconds)
        self._news.clear()
        return self.is_running

    def samples(self) -> Images:
        """The newest samples, always of the same codes."""
        return self._samples

    def status(self) -> str:
        """How far it is, in a line."""
        if not self.step:
            return "Not trained yet: press Start."
        line = f"Step {self.step:,} of {self.steps:,}"
        if self.step == self.steps:
            return f"{line}: done."
        if not self.is_running:
            return f"{line}: stopped."
        return f"{line}, about {(self.steps - self.step) / max(self.rate, 1e-9):.0f} seconds left."

    @usual_torch()
    def _run(self) -> None:
        try:
            with devices.one_thread():  # the other core answers the page
                self._train()
        except GenzooError as error:
            self.error = str(error)
        except Exception as error:  # a fault of a family: the page says it
            self.error = f"{type(error).__name__}: {error}"
        finally:
            self._news.set()

    def _train(self) -> None:
        began = shown = time.monotonic()
        for batch, logs in fit(self.trainer, self._batches(), self.steps):
            for name, value in logs.items():
                self.logs.setdefault(name, []).append(value.item())
            self.step, now = batch.step + 1, time.monotonic()
            self.rate = self.step / (now - began)
            self.warnings += [w.text for w in self.monitor.check(self.step, logs, batch)]
            is_over = self._stopped.is_set() or now - self._looked > ALONE
            if is_over or self.step == self.steps or now - shown > PAUSE:
                self._samples, shown = self._draw(), now
                self._news.set()
            if is_over:
                return

    def _batches(self) -> Iterator[Batch]:
        """The batch of each step, with its labels where the model takes some."""
        places = torch.arange(len(self.x))
        for batch in batches(places, self.batch_size, self.steps, self.seed):
            labels = None if self.labels is None else self.labels[batch.x]
            yield replace(batch, x=self.x[batch.x], labels=labels)

    def _draw(self) -> Images:
        model = self.trainer.model
        assert isinstance(model, Sampler)
        samples = model.sample(SHOWN, seed=0)
        assert isinstance(samples, Images)
        return samples


def _trainer(family: str, setup: Setup, seed: int, device: str) -> Trainer:
    """The trainer of a new model."""
    parts = families.get(family)
    with torch.random.fork_rng([]):
        seed_torch(seed)
        model = parts.model(setup.config)
        if not isinstance(model, Sampler) or not model.is_images:
            raise BadInput(f"{family} draws no images, and the page shows only these")
        trainer = parts.make_trainer(model, setup.options)
        if setup.options.ema_decay:
            trainer = EMA(trainer, setup.options.ema_decay)
    trainer.prepare(RunSettings(str(devices.device(device))))
    return trainer


def _data(setup: Setup, model: Any, place: torch.device) -> tuple[Tensor, Tensor | None]:
    """All training data, in the model's range, and their labels if the model takes some."""
    rows = list(range(len(setup.dataset)))
    x = rescale(setup.dataset.batch(rows, place), model.public_range, model.value_range)
    return x, setup.dataset.labels_of(rows, place) if model.num_classes else None
