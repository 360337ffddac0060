"""The trainers that families share: of a loss, of an adversarial game, of a moving average."""

import copy
from collections.abc import Callable
from functools import partial
from typing import final

import torch
from torch import Tensor

from genzoo.models.model import Discriminator, Model
from genzoo.models.sampler import Sampler
from genzoo.options import AdversarialOptions, Options
from genzoo.training.losses import LOSSES
from genzoo.training.penalties import PENALTIES, orthogonal_penalty
from genzoo.training.trainer import Batch, Logs, Trainer, make_player
from genzoo.training.tricks import (
    SOFT_LABELS,
    augment,
    clip_weights,
    instance_noise,
    label_flips,
    linear_fade,
    top_k,
)


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
class Adversarial(Trainer):
    """A generator against a discriminator (Goodfellow et al. 2014, algorithm 1).

    Data and fakes go through the discriminator in separate batches, so that its batch norm sees one
    kind at a time. Where each player takes one step, both learn from the same fakes, which are
    computed once, as the paper's authors and pytorch/examples do; else the generator learns from
    new ones.
    """

    def __init__(self, model: Sampler, discriminator: Discriminator, options: AdversarialOptions):
        rate = options.discriminator_lr or options.lr
        players = {
            "generator": make_player(model, options),
            "discriminator": make_player(discriminator, options, rate),
        }
        players["discriminator"].decay = (
            options.discriminator_lr_inverse_decay or options.lr_inverse_decay
        )
        super().__init__(model, players)
        self.sampler, self.discriminator, self.options = model, discriminator, options
        self.loss = LOSSES[options.loss]
        self.batches_per_step = options.discriminator_steps

    def step(self, batch: Batch) -> Logs:
        logs: Logs = {}
        parts = batch.split(self.options.discriminator_steps)
        fakes = self._shared_fakes(batch)
        for part in parts:
            logs = self.update("discriminator", partial(self._discriminate, fakes), part)
            if self.options.weight_clip:
                clip_weights(self.discriminator, self.options.weight_clip)
        for turn in range(self.options.generator_steps):
            logs |= self.update("generator", partial(self._generate, fakes, turn), parts[-1])
        return logs

    @property
    def _codes(self) -> str:
        """The purpose of the discriminator's codes: the generator's, where each takes one step."""
        o = self.options
        return "code 0" if o.discriminator_steps == o.generator_steps == 1 else "code"

    def _shared_fakes(self, batch: Batch) -> Tensor | None:
        """The fakes for both players, with their graph; None where each generates its own."""
        if self._codes != "code 0" or self.settings.micro_batches > 1:
            return None
        with self.computing(batch, "fakes"):
            return self._fakes(batch, "code 0")

    def _discriminate(self, fakes: Tensor | None, batch: Batch) -> tuple[Tensor, Logs]:
        with torch.no_grad():
            fake = self._fakes(batch, self._codes) if fakes is None else fakes.detach()
        real = self._discriminator_input(batch, batch.x, "real")
        real_logits = self.discriminator(real, batch.labels).float()
        noisy = self._discriminator_input(batch, fake, "fake")
        fake_logits = self.discriminator(noisy, batch.labels).float()
        loss = self._classify(batch, real_logits, 1 - self.options.label_smoothing, "real")
        loss = loss + self._classify(batch, fake_logits, 0.0, "fake")
        border = 0.5 if self.options.loss == "least-squares" else 0.0  # half-way between targets
        correct = (real_logits > border).float().mean() + (fake_logits < border).float().mean()
        logs = {
            "accuracy": correct / 2,
            "D(x)": real_logits.sigmoid().mean(),
            "D(G(z))": fake_logits.sigmoid().mean(),
        }
        if self.options.loss == "wasserstein":  # the dual's value, equation 2 of WGAN
            logs["wasserstein"] = real_logits.mean() - fake_logits.mean()
        return self._with_penalty(loss, logs, batch, fake)

    def _generate(self, fakes: Tensor | None, turn: int, batch: Batch) -> tuple[Tensor, Logs]:
        fake = self._fakes(batch, f"code {turn}") if fakes is None else fakes
        x = self._discriminator_input(batch, fake, f"generated {turn}")
        logits = self.discriminator(x, batch.labels).float()
        loss = self.loss.generator(top_k(logits, self.options.top_k, batch.progress))
        if self.options.orthogonal_weight:
            loss = loss + self.options.orthogonal_weight * orthogonal_penalty(self.sampler)
        return loss, {}

    def _fakes(self, batch: Batch, purpose: str) -> Tensor:
        return self.sampler.generate(batch.noise(purpose), batch.labels)

    def _discriminator_input(self, batch: Batch, x: Tensor, purpose: str) -> Tensor:
        """``x``, augmented and with instance noise."""
        o = self.options
        deviation = linear_fade(o.instance_noise, batch.progress, o.instance_noise_until)
        if o.augment != "none":
            x = augment(x, o.augment, batch.noise(f"augment {purpose}"))
        return instance_noise(x, deviation, batch.noise(f"noise {purpose}"))

    def _classify(self, batch: Batch, logits: Tensor, target: float, purpose: str) -> Tensor:
        targets = torch.full((len(logits),), target, device=logits.device)
        if self.options.soft_labels:
            low, high = SOFT_LABELS[purpose]
            targets = low + (high - low) * batch.noise(f"labels {purpose}").uniform()
        if self.options.label_noise:
            flips = label_flips(
                len(logits), self.options.label_noise, batch.noise(f"swap {purpose}")
            )
            targets = torch.where(flips, 1 - targets, targets)
        return self.loss.discriminator(logits, targets.view(-1, *[1] * (logits.ndim - 1)))

    def _with_penalty(
        self, loss: Tensor, logs: Logs, batch: Batch, fake: Tensor
    ) -> tuple[Tensor, Logs]:
        o = self.options
        if o.penalty == "none" or batch.step % o.penalty_interval:
            return loss, logs
        slope = PENALTIES[o.penalty](
            self.discriminator, batch.x, fake, batch.labels, batch.noise("penalty")
        )
        return loss + o.penalty_weight * o.penalty_interval * slope, {**logs, "penalty": slope}


@final
class EMA(Trainer):
    """Exponential moving average: runs another trainer; its model is the average of the other's.

    The decay starts low: min(decay, (1 + step) / (10 + step)). Buffers are averaged, too: averaged
    weights with the statistics of the last batches would be another network.
    """

    def __init__(self, inner: Trainer, decay: float):
        average = copy.deepcopy(inner.model).requires_grad_(False)
        super().__init__(average, inner.players, {**inner.extras, "average": average})
        self.inner, self.decay, self.average = inner, decay, average
        self.batches_per_step = inner.batches_per_step

    def step(self, batch: Batch) -> Logs:
        self.inner.settings = self.settings
        logs = self.inner.step(batch)
        self._update_average(self.decay_at(batch.step))
        return logs

    def decay_at(self, step: int) -> float:
        return min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def _update_average(self, decay: float) -> None:
        latest = self.inner.model.state_dict()
        for name, mean in self.average.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(latest[name], 1 - decay)
            else:
                mean.copy_(latest[name])
