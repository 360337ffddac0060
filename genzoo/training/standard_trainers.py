"""The trainers that any family can use: of one loss, of a moving average."""

import copy
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from genzoo.models.model import Model
from genzoo.options import Options
from genzoo.training.trainer import Batch, Logs, Trainer, make_player


@final
class LossTrainer(Trainer):
    """Minimises one loss of one model; ``loss(batch)`` returns it and the values to log."""

    def __init__(
        self, model: Model, loss: Callable[[Batch], tuple[Tensor, Logs]], options: Options
    ):
        super().__init__(model, {"model": make_player(model, options)})
        self.loss = loss

    def step(self, batch: Batch) -> Logs:
        return self.update("model", self.loss, batch)


@final
class EMA(Trainer):
    """Exponential moving average: runs another trainer; its model is the average of the other's.

    The decay starts low: min(decay, (1 + step) / (10 + step)). Buffers are averaged, too: averaged
    weights with the statistics of the last batches would be another network. Where a phase ends,
    its average is its result: the next phase starts from it, and with an average of its own.
    """

    inner: Trainer

    def __init__(self, inner: Trainer, decay: float):
        average = copy.deepcopy(inner.model).requires_grad_(False)
        super().__init__(average, inner.players, {"average": average}, inner)
        self.decay, self.average = decay, average
        self.batches_per_step, self.phases = inner.batches_per_step, inner.phases

    def begin(self, phase: str) -> None:
        if phase != self.phases[0].name:
            self.inner.model.load_state_dict(self.average.state_dict())
        self.inner.begin(phase)
        self.average.load_state_dict(self.inner.model.state_dict())

    def step(self, batch: Batch) -> Logs:
        logs = self.inner.step(batch)
        self._update_average(self.decay_at(batch))
        return logs

    def decay_at(self, batch: Batch) -> float:
        step = batch.step - batch.phase_start
        return min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def _update_average(self, decay: float) -> None:
        latest = self.inner.model.state_dict()
        pairs = [(mean, latest[name]) for name, mean in self.average.state_dict().items()]
        means, values = zip(*(p for p in pairs if p[0].is_floating_point()), strict=True)
        torch._foreach_lerp_(means, values, 1 - decay)
        for mean, value in pairs:
            if not mean.is_floating_point():
                mean.copy_(value)
