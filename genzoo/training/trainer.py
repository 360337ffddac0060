"""Trainer: one step of training; its ``update`` changes the weights. ``fit``: the training loop."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genzoo.errors import BadInput, OperationFailed, article
from genzoo.models.inference import channels_last
from genzoo.models.model import Model
from genzoo.models.randomness import Noise, digest, stream
from genzoo.options import Options
from genzoo.training import parallel

Logs = dict[str, Tensor]


class Diverged(OperationFailed):
    """A loss or a gradient is not finite; no weight was updated with it."""


class Stateful(Protocol):
    """What a checkpoint can hold."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


@final
@dataclass(frozen=True)
class Batch:
    """The data of one step, ``x`` ``(n, *shape)`` in the model's range, and the step's randomness.

    ``indices`` are the samples' places in the step. ``noise`` depends only on them, the seed, the
    step and the purpose, so that a step can be repeated, split and shared between processes.
    """

    x: Tensor
    labels: Tensor | None = None
    second_domain: Tensor | None = None
    step: int = 0
    progress: float = 0.0
    seed: int = 0
    indices: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    def noise(self, purpose: str) -> Noise:
        indices = self.indices or range(len(self))
        return Noise(self.seed, indices, f"step {self.step}: {purpose}", self.x.device)

    def split(self, parts: int) -> "list[Batch]":
        """As many batches of equal length, in order."""
        if parts == 1:
            return [self]
        size, rest = divmod(len(self), parts)
        if rest:
            raise BadInput(f"a batch of {len(self)} is not divisible by {parts}")
        return [self._rows(slice(i * size, (i + 1) * size)) for i in range(parts)]

    def _rows(self, rows: slice) -> "Batch":
        indices = (self.indices or tuple(range(len(self))))[rows]
        labels, other = (None if t is None else t[rows] for t in (self.labels, self.second_domain))
        return replace(self, x=self.x[rows], labels=labels, second_domain=other, indices=indices)


@final
@dataclass(frozen=True)
class RunSettings:
    """How the loop runs a trainer; none of it changes what the trainer learns."""

    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    micro_batches: int = 1
    compile: bool = False


@final
@dataclass
class Player:
    """A network that learns, its optimiser, and its learning rate before any schedule."""

    network: nn.Module
    optimizer: Optimizer
    options: Options

    def __post_init__(self) -> None:
        self.lr: float = self.optimizer.param_groups[0]["lr"]
        self.decay = self.options.lr_inverse_decay

    def schedule(self, progress: float, step: int = 0) -> None:
        """Set the learning rate: it rises in ``warmup``, falls after ``lr_decay_start``, and always
        by ``lr_inverse_decay``.
        """
        up, down = self.options.warmup, self.options.lr_decay_start
        factor = min(1.0, progress / up) if up else 1.0
        if down < 1:
            factor *= min(1.0, (1 - progress) / (1 - down))
        factor /= 1 + self.decay * step
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * factor


def make_player(network: nn.Module, options: Options, lr: float | None = None) -> Player:
    """``network`` with the optimiser that ``options`` name."""
    o, rate = options, lr or options.lr
    parameters = list(network.parameters())
    if o.optimizer == "adam":
        betas = (o.beta1, o.beta2)
        return Player(network, torch.optim.Adam(parameters, rate, betas, fused=True), o)
    if o.optimizer == "rmsprop":
        optimizer = torch.optim.RMSprop(parameters, rate, o.beta2, momentum=o.momentum)
        return Player(network, optimizer, o)
    return Player(network, torch.optim.SGD(parameters, rate, momentum=o.momentum), o)


class Trainer(ABC):
    """Trains a model. ``players``: the networks that learn; ``extras``: what else has a state.

    A family writes ``step``, which changes weights only through ``update``.
    """

    batches_per_step: int = 1

    def __init__(
        self,
        model: Model,
        players: Mapping[str, Player],
        extras: Mapping[str, Stateful] | None = None,
    ):
        self.model, self.players, self.extras = model, players, extras or {}
        self.settings = RunSettings()

    @abstractmethod
    def step(self, batch: Batch) -> Logs:
        """One training step; the values to log, as 0-dim tensors.

        ``batch`` holds ``batches_per_step`` times the batch size.
        """

    @final
    def networks(self) -> dict[str, nn.Module]:
        return {name: p.network for name, p in self.players.items()}

    @final
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds, by name."""
        optimizers = {f"{name}.optimizer": p.optimizer for name, p in self.players.items()}
        return {**self.networks(), **optimizers, **self.extras}

    @final
    def prepare(self, settings: RunSettings) -> None:
        """Move everything to the device, channels last (1.2 times as fast on convolutions)."""
        self.settings = settings
        for module in [*self.networks().values(), *self.extras.values()]:
            if isinstance(module, nn.Module):
                channels_last(module.to(settings.device)).train()
        if settings.compile:
            # The children: ``generate`` does not call ``forward``, so compiling that has no effect.
            for child in (c for n in self.networks().values() for c in n.children()):
                child.compile()

    @final
    def update(
        self, player: str, loss: Callable[[Batch], tuple[Tensor, Logs]], batch: Batch
    ) -> Logs:
        """One optimiser step of one player on ``loss(batch)``: the only place where weights change.

        The other players are frozen, so no gradient is computed for them. ``loss`` returns its
        value and the values to log. Raises Diverged, before the step, if the loss or the gradient
        is not finite.
        """
        learner = self.players[player]
        learner.schedule(batch.progress, batch.step)
        learner.optimizer.zero_grad()  # an interrupted step may have left gradients
        logs: list[Logs] = []
        with self._freeze_others(player):
            for part in batch.split(self.settings.micro_batches):
                with self.computing(part, player):
                    value, log = _checked_loss(loss(part), player)
                (value / self.settings.micro_batches).backward()
                logs.append({"loss": value.detach(), **log})
        mean = {k: torch.stack([log[k].detach().float() for log in logs]).mean() for k in logs[0]}
        norm = self._descend(learner, mean["loss"], f"{player} at step {batch.step}")
        return {f"{player}/{k}": v for k, v in {**mean, "gradient": norm}.items()}

    @final
    @contextmanager
    def computing(self, batch: Batch, purpose: str) -> Iterator[None]:
        """In the block: autocast, and torch's generator (dropout) seeded by seed, step, purpose."""
        kind, is_bf16 = batch.x.device.type, self.settings.precision == "bf16"
        with _seeded(batch, purpose), torch.autocast(kind, torch.bfloat16, is_bf16):
            yield

    @contextmanager
    def _freeze_others(self, player: str) -> Iterator[None]:
        mine = {id(p) for p in self.players[player].network.parameters()}
        others = [p for network in self.networks().values() for p in network.parameters()]
        frozen = [p for p in others if p.requires_grad and id(p) not in mine]
        for parameter in frozen:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in frozen:
                parameter.requires_grad_(True)

    def _descend(self, learner: Player, loss: Tensor, where: str) -> Tensor:
        with_gradient = [p for p in learner.network.parameters() if p.grad is not None]
        parallel.average(p.grad for p in with_gradient if p.grad is not None)
        limit = learner.options.gradient_clip or float("inf")
        norm = nn.utils.clip_grad_norm_(with_gradient, limit)
        if not torch.isfinite(norm + loss):
            learner.optimizer.zero_grad()
            raise Diverged(f"{where}: loss {loss.item():.6g}, gradient norm {norm.item():.6g}")
        learner.optimizer.step()
        learner.optimizer.zero_grad()
        return norm


def _checked_loss(result: Any, player: str) -> tuple[Tensor, Logs]:
    """What a family's loss returned, checked. Raises OperationFailed."""
    match result:
        case (Tensor(ndim=0) as value, dict() as logs):
            return value, logs
        case (Tensor() as value, dict()):
            got = f"a tensor of shape {tuple(value.shape)} and logs"
        case _:
            got = article(result)
    raise OperationFailed(f"the loss of {player} must return (a single number, logs), got {got}")


@contextmanager
def _seeded(batch: Batch, purpose: str) -> Iterator[None]:
    """In the block torch's generator starts from a seed of the batch and the purpose."""
    devices = [batch.x.device] if batch.x.device.type == "cuda" else []
    index = batch.indices[0] if batch.indices else 0
    seed = digest(batch.seed, batch.step, purpose, index)[:8]
    with torch.random.fork_rng(devices):
        torch.manual_seed(int.from_bytes(seed, "little"))
        yield


def batches(x: Tensor, size: int, steps: int, seed: int = 0) -> Iterator[Batch]:
    """Batches for ``fit``: at each step ``size`` samples of ``x``, ``(n, *shape)`` in the model's
    range, drawn with replacement. They depend on the seed and the step alone.
    """
    for step in range(steps):
        rows = torch.from_numpy(stream(seed, "rows", step).integers(len(x), size=size))
        yield Batch(x[rows], step=step, progress=step / steps, seed=seed)


def fit(
    trainer: Trainer, batches: Iterable[Batch], steps: int, start: int = 0
) -> Iterator[tuple[Batch, Logs]]:
    """Train from step ``start`` to ``steps``; after each, yield its batch and what it logged.

    The caller logs, saves or stops.
    """
    for _, batch in zip(range(start, steps), batches, strict=False):
        logs = trainer.step(batch)
        if not isinstance(logs, dict):
            method = f"{type(trainer).__name__}.step"
            raise OperationFailed(f"{method} must return its logs, got {article(logs)}")
        yield batch, logs
