"""Trainer: one step of training; its ``update`` changes the weights. ``fit``: the training loop."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genzoo.errors import BadInput, OperationFailed, article
from genzoo.models.inference import channels_last
from genzoo.models.model import Model
from genzoo.models.randomness import Noise, digest, seed_torch, stream
from genzoo.models.whole_batch import first_row
from genzoo.options import Options
from genzoo.training import parallel
from genzoo.training.phases import Phase, phase_starts, place
from genzoo.training.whole_layers import share_batches

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
    ``progress``: the share of the steps that is done: of the run's in the batches that `fit` gets,
    of the phase's in those that it gives a trainer. It fills in ``phase``, the phase's name, and
    ``phase_start``, its first step.
    """

    x: Tensor
    labels: Tensor | None = None
    second_domain: Tensor | None = None
    step: int = 0
    progress: float = 0.0
    seed: int = 0
    indices: tuple[int, ...] = ()
    phase: str = ""
    phase_start: int = 0

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
        # Listed once: to walk through the modules takes as long as the average of a small network.
        self.parameters = list(self.network.parameters())

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
        optimizer = torch.optim.RMSprop(parameters, rate, o.rms_decay, momentum=o.momentum)
        return Player(network, optimizer, o)
    return Player(network, torch.optim.SGD(parameters, rate, momentum=o.momentum), o)


def make_players(
    model: nn.Module, discriminator: nn.Module, options: Options, rate: float
) -> dict[str, Player]:
    """The generator and the discriminator of a game, which learns at ``rate``; 0: at the same."""
    return {
        "generator": make_player(model, options),
        "discriminator": make_player(discriminator, options, rate),
    }


class Trainer(ABC):
    """Trains a model. ``players``: the networks that learn; ``extras``: what else has a state.

    A family writes ``step``, which changes weights only through ``update``. ``phases``: the parts
    of a run; in each, ``batch.progress`` and with it every schedule goes from 0 to 1. ``inner``:
    the trainer that this one calls, if it wraps one.
    """

    batches_per_step: int = 1
    phases: Sequence[Phase] = (Phase("training"),)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if closed := [b.__name__ for b in cls.__mro__[1:] if "__final__" in vars(b)]:
            way = "super().__init__(model, other.players, inner=other)"
            raise TypeError(
                f"{cls.__name__}: {closed[0]} is final. Write a Trainer that wraps one: {way}"
            )

    def __init__(
        self,
        model: Model,
        players: Mapping[str, Player],
        extras: Mapping[str, Stateful] | None = None,
        inner: "Trainer | None" = None,
    ):
        self.model, self.players, self.inner = model, players, inner
        self.extras: dict[str, Stateful] = {**(inner.extras if inner else {}), **(extras or {})}
        if not _holds([*self.networks().values(), *self.extras.values()], model):
            self.extras["model"] = model  # tensors of no player, such as a buffer of its own
        self.settings = RunSettings()
        self._begun = 0

    @abstractmethod
    def step(self, batch: Batch) -> Logs:
        """One training step; the values to log, as 0-dim tensors.

        ``batch`` holds ``batches_per_step`` times the batch size.
        """

    def begin(self, phase: str) -> None:  # noqa: B027 - most trainers have nothing to do here
        """Called before the first step of ``phase``, to change what the phase changes: freeze a
        part, let a network grow, `renew` an optimiser.

        A resumed run calls it again for each phase that has begun, and then loads the states.
        torch's generator is seeded by the run's seed and the phase.
        """

    @final
    def renew(self, player: str) -> None:
        """Start the player's optimiser anew, without the moments of earlier steps."""
        self.players[player].optimizer.state.clear()

    @final
    def placed(self, batch: Batch) -> Batch:
        """``batch``, whose progress is the run's, in its phase."""
        index, start, progress = place(self.phases, batch.step, batch.progress)
        phase = self.phases[index].name
        return replace(batch, phase=phase, phase_start=start, progress=progress)

    @final
    def enter(self, phase: str, seed: int) -> None:
        """Begin ``phase``, and those before it, unless they have begun."""
        names = [p.name for p in self.phases]
        while self._begun <= names.index(phase):
            name, self._begun = names[self._begun], self._begun + 1
            with _seeded(seed, "begin", name):
                self.begin(name)

    @final
    def restore(
        self, states: Mapping[str, Any], step: int = 0, steps: int = 1, seed: int = 0
    ) -> None:
        """Go back to the ``states`` of the parts after ``step`` of ``steps``."""
        for phase, start in phase_starts(self.phases, steps).items():
            if start < step:
                self.enter(phase, seed)
        for name, part in self.parts().items():
            part.load_state_dict(states[name])

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
        trainer: Trainer | None = self
        while trainer:
            if not trainer.inner and any(isinstance(v, Trainer) for v in vars(trainer).values()):
                name, way = type(trainer).__name__, "super().__init__(..., inner=other)"
                raise OperationFailed(f"{name} wraps another trainer without naming it: {way}")
            trainer.settings, trainer = settings, trainer.inner
        for module in [*self.networks().values(), *self.extras.values()]:
            if isinstance(module, nn.Module):
                channels_last(module.to(settings.device)).train()
                if parallel.size() > 1:
                    share_batches(module)
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
        learner.schedule(batch.progress, batch.step - batch.phase_start)
        learner.optimizer.zero_grad()  # an interrupted step may have left gradients
        logs: list[Logs] = []
        parts = batch.split(self.settings.micro_batches)
        with self._freeze_others(player):
            for part in parts:
                with self.computing(part, player):
                    value, log = checked_loss(loss(part), f"the loss of {player}")
                is_last = part is parts[-1]
                with parallel.summed(learner.network) if is_last else nullcontext():
                    (value / (len(parts) * parallel.size())).backward()
                logs.append({"loss": value.detach(), **log})
        mean = {k: _mean([log[k].detach().float() for log in logs]) for k in logs[0]}
        mean = parallel.average(mean)
        norm = self._descend(learner, mean["loss"], f"{player} at step {batch.step}")
        return {f"{player}/{k}": v for k, v in {**mean, "gradient": norm}.items()}

    @final
    @contextmanager
    def computing(self, batch: Batch, purpose: str) -> Iterator[None]:
        """In the block: autocast, and torch's generator (dropout) seeded by seed, step, purpose."""
        device, is_bf16 = batch.x.device, self.settings.precision == "bf16"
        first = first_row(batch.indices[0]) if batch.indices else 0
        seed = batch.seed, batch.step, purpose, first
        try:
            with (
                _seeded(*seed, device=device),
                torch.autocast(device.type, torch.bfloat16, is_bf16),
            ):
                yield
        finally:
            # Autocast keeps the weights that it cast until the outermost block ends, and a caller's
            # block may be outside: the next step would compute with the weights of the first.
            torch.clear_autocast_cache()

    @contextmanager
    def _freeze_others(self, player: str) -> Iterator[None]:
        mine = {id(p) for p in self.players[player].parameters}
        others = [p for other in self.players.values() for p in other.parameters]
        frozen = [p for p in others if p.requires_grad and id(p) not in mine]
        for parameter in frozen:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in frozen:
                parameter.requires_grad_(True)

    def _descend(self, learner: Player, loss: Tensor, where: str) -> Tensor:
        gradients = [p.grad for p in learner.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not torch.isfinite(norm + loss):
            learner.optimizer.zero_grad()
            raise Diverged(f"{where}: loss {loss.item():.6g}, gradient norm {norm.item():.6g}")
        if limit := learner.options.gradient_clip:
            nn.utils.clip_grads_with_norm_(learner.parameters, limit, norm)
        learner.optimizer.step()
        learner.optimizer.zero_grad()
        return norm


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).mean()


def checked_loss(result: Any, what: str) -> tuple[Tensor, Logs]:
    """What a family's loss or term returned, checked. Raises OperationFailed."""
    match result:
        case (Tensor(ndim=0) as value, dict() as logs):
            return value, logs
        case (Tensor() as value, dict()):
            got = f"a tensor of shape {tuple(value.shape)} and logs"
        case _:
            got = article(result)
    raise OperationFailed(f"{what} must return (a single number, logs), got {got}")


def _holds(parts: Iterable[Stateful], model: nn.Module) -> bool:
    """Whether each tensor of the model's state belongs to one of the ``parts``."""
    modules = [part for part in parts if isinstance(part, nn.Module)]
    held = {id(t) for m in modules for t in m.state_dict(keep_vars=True).values()}
    return all(id(t) in held for t in model.state_dict(keep_vars=True).values())


@contextmanager
def _seeded(*parts: int | str, device: torch.device | None = None) -> Iterator[None]:
    """In the block torch's generator starts from a seed that the ``parts`` decide."""
    # Where there is no GPU, a tensor on one is fake: the contract's, which has no generator.
    is_cuda = device is not None and device.type == "cuda" and torch.cuda.is_available()
    devices = [device] if is_cuda else []
    with torch.random.fork_rng(devices):
        seed_torch(int.from_bytes(digest(*parts)[:8], "little"))
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

    The batches' progress is the run's: `fit` puts each into its phase. The caller logs, saves or
    stops.
    """
    for _, given in zip(range(start, steps), batches, strict=False):
        batch = trainer.placed(given)
        trainer.enter(batch.phase, batch.seed)
        logs = trainer.step(batch)
        if not isinstance(logs, dict):
            method = f"{type(trainer).__name__}.step"
            raise OperationFailed(f"{method} must return its logs, got {article(logs)}")
        yield batch, logs
