"""Batches of a data set, in an order that seed and step decide."""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import final

import numpy as np
import torch
from torch import Tensor

from genzoo import families
from genzoo.data.dataset import DataSet
from genzoo.models import whole_batch
from genzoo.models.randomness import stream
from genzoo.models.ranges import rescale
from genzoo.options import Options
from genzoo.runs.plan import Plan
from genzoo.training import Batch, Trainer, parallel


@final
class Loader:
    """Gives each step its batch, in the model's range and on the device.

    The samples come in shuffled epochs without end. Which samples a step gets, and which of them
    are mirrored, depends on the plan's seed and the step alone. Of several processes each gets its
    share of every batch.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: DataSet,
        trainer: Trainer,
        options: Options,
        device: torch.device,
    ):
        self.plan, self.dataset, self.trainer = plan, dataset, trainer
        self.options, self.device = options, device

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """The batch of step ``start``, and those of all steps after it."""
        size, parts = self.options.batch_size, self.trainer.batches_per_step
        indices = self._own_rows(size * parts)
        gives_labels, second = self._gives_labels, self.dataset.second_domain
        # Pairs are in one order, and mirrored together; unpaired domains each have their own.
        order = "epoch" if self.dataset.aligned else "other epoch"
        for step in itertools.count(start):
            positions = step * size * parts + np.array(indices)
            x, labels = self._samples(self.dataset, positions, "epoch")
            yield Batch(
                x,
                labels if gives_labels else None,
                None if second is None else self._samples(second, positions, order)[0],
                step=step,
                progress=min(1.0, step / self.plan.steps),  # never beyond the end
                seed=self.plan.seed,
                indices=indices,
            )

    def _own_rows(self, rows: int) -> tuple[int, ...]:
        """This process's part of a step's ``rows``: of each micro-batch the same share."""
        share = self.options.batch_size // (self.plan.micro_batches * parallel.size())
        whole_batch.divide(share)
        first = range(parallel.rank() * share, rows, parallel.size() * share)
        return tuple(i for f in first for i in range(f, f + share))

    @property
    def _gives_labels(self) -> bool:
        needs = families.get(self.plan.family).data == "labelled"
        return needs or bool(getattr(self.trainer.model, "num_classes", 0))

    def some(self, limit: int, size: int = 500) -> Iterator[Tensor]:
        """``limit`` random samples of the data set, or all if there are no more, in its order,
        ``size`` at a time, in the model's range.
        """
        rows = np.arange(n := len(self.dataset))
        if n > limit:  # the first rows of a folder are of its first classes
            rows = np.sort(stream(self.plan.seed, "some").permutation(n)[:limit])
        for start in range(0, len(rows), size):
            yield self._in_range(self.dataset.batch(rows[start : start + size], self.device))

    def _samples(
        self, dataset: DataSet, positions: np.ndarray, purpose: str
    ) -> tuple[Tensor, Tensor | None]:
        """The samples at ``positions`` of the endless sequence of epochs, and their labels."""
        n = len(dataset)
        epochs, which = np.unique(positions // n, return_inverse=True)
        shuffled = [_shuffled(self.plan.seed, purpose, int(epoch), n) for epoch in epochs]
        order, mirrored = (np.stack(rows) for rows in zip(*shuffled, strict=True))
        indices, flip = order[which, positions % n], mirrored[which, positions % n]
        x = dataset.batch(indices, self.device, flip if self.options.horizontal_flip else None)
        return self._in_range(x), dataset.labels_of(indices, self.device)

    def _in_range(self, x: Tensor) -> Tensor:
        """``x`` from the public range to the model's; images channels last."""
        model = self.trainer.model
        x = rescale(x, model.public_range, model.value_range)
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@lru_cache(maxsize=4)
def _shuffled(seed: int, purpose: str, epoch: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The order of an epoch, and which of its images are mirrored."""
    source = stream(seed, purpose, epoch)
    return source.permutation(n), source.random(n) < 0.5
