"""Checks of trainers: who learns, when, from what; and that saving and resuming lose nothing."""

import copy
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genzoo.testing.contract import require
from genzoo.testing.family_case import TOTAL, Case, law, outputs, steps_of
from genzoo.testing.sampling_checks import with_classes
from genzoo.training import Batch, Trainer, fit
from genzoo.zoo import folder as folders

RUN = 'case = testing.Case.of("NAME")\ntrainer = case.trainer()\n'
ALL = "[logs for _, logs in genzoo.fit(trainer, case.batches(trainer), 5)]"


@law(code=RUN + ALL)
def _learns(case: Case) -> None:
    """Every player learns, at the start of a run, in the middle and at its end."""
    trainer = case.trainer()
    before = {name: _parameters(network) for name, network in trainer.networks().items()}
    for batch, logs in fit(trainer, _watched(case, trainer), len(steps_of(trainer))):
        where = f"at {batch.progress:.0%} of {batch.phase}"
        for name, value in logs.items():
            require(value.ndim == 0, f"the log {name} must be a single number.")
            require(value.isfinite(), f"the log {name} is {value} {where}.")
            require(not value.requires_grad, f"the log {name} holds its graph: detach it.")
        _check_modes(trainer, where)
    for name, network in trainer.networks().items():
        pairs = zip(before[name], _parameters(network), strict=True)
        message = f"{len(steps_of(trainer))} steps change no parameter of the player {name}."
        require(any(not torch.equal(*pair) for pair in pairs), message)
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    require(parameters, "parameters stay frozen after a step.")


def _watched(case: Case, trainer: Trainer) -> Iterator[Any]:
    """The batches of a run, each compared with what it was after its step."""
    for batch in case.batches(trainer):
        given = copy.deepcopy((batch.x, batch.labels, batch.second_domain))
        yield batch
        for name, old in zip(("x", "labels", "second_domain"), given, strict=True):
            new = getattr(batch, name)
            same = old is None or torch.equal(old, new)
            require(same, f"a step writes into batch.{name}, which belongs to the loader.")


def _check_modes(trainer: Trainer, where: str) -> None:
    for name, network in trainer.networks().items():
        message = f"the player {name} is in evaluation mode after a step {where}."
        require(network.training, message)
        left = any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
        require(not left, f"a step {where} leaves gradients at the player {name}.")
    frozen = [n for n, p in trainer.model.named_parameters() if not p.requires_grad]
    built = {
        n
        for n, p in type(trainer.model)(trainer.model.config).named_parameters()
        if not p.requires_grad
    }
    stuck = sorted({*frozen} - built)
    require(not stuck, f"parameters stay frozen after a step {where}: {stuck[:3]}.")


def _parameters(network: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in network.parameters()]


@law(code=RUN + "trainer.players")
def _every_parameter_has_a_player(case: Case) -> None:
    """Whatever learns belongs to a player, whose optimiser changes it and whose state is saved."""
    trainer = case.trainer()
    owned = {id(p) for network in trainer.networks().values() for p in network.parameters()}
    owned |= {
        id(p) for e in trainer.extras.values() if isinstance(e, nn.Module) for p in e.parameters()
    }
    for where, module in _modules(trainer):
        lost = [n for n, p in module.named_parameters() if p.requires_grad and id(p) not in owned]
        require(not lost, f"parameters of {where} belong to no player: {lost[:3]}.")
    for name, player in trainer.players.items():
        learnt = {id(p) for group in player.optimizer.param_groups for p in group["params"]}
        lost = [
            n
            for n, p in player.network.named_parameters()
            if p.requires_grad and id(p) not in learnt
        ]
        message = f"the optimiser of {name} does not have its parameters {lost[:3]}."
        require(not lost, message)


def _modules(trainer: Trainer) -> Iterator[tuple[str, nn.Module]]:
    """Every module that a trainer holds, in a list or a dict, too."""
    for name, value in vars(trainer).items():
        items = [value]
        if isinstance(value, dict):
            items = [*value.values()]
        elif isinstance(value, list | tuple):
            items = [*value]
        yield from ((name, item) for item in items if isinstance(item, nn.Module))


@law(code=RUN + "# the same weights, whatever the batches hold")
def _learns_from_its_batch(case: Case) -> None:
    """What the players learn depends on the samples of a batch; on its labels, if a model can have
    classes; on its second domain, if the family takes two.
    """
    given, classes = next(case.batches(case.trainer())), with_classes(case)
    read = {
        "x": True,
        "labels": classes == {},
        "second_domain": given.second_domain is not None,
    }
    _require_learns_from(case, [name for name, is_read in read.items() if is_read], {})
    if classes:
        _require_learns_from(case, ["labels"], classes)


def _require_learns_from(case: Case, fields: list[str], config: dict[str, Any]) -> None:
    right = _learnt(case, lambda batch: batch, config)
    for field in fields:
        changed = _learnt(case, partial(_with_other, case, field), config)
        pairs = [pair for n in right for pair in zip(right[n], changed[n], strict=True)]
        same = all(torch.equal(*pair) for pair in pairs)
        require(not same, f"no player learns from batch.{field}: other ones give the same weights.")


def _with_other(case: Case, field: str, batch: Batch) -> Batch:
    """The batch with another ``field``: the labels of other rows, or samples from high to low.

    Samples in another order would not do: most losses are means over a batch.
    """
    old = getattr(batch, field)
    low, high = case.model().value_range or (0.0, 1.0)
    return replace(batch, **{field: old.roll(1, 0) if field == "labels" else low + high - old})


def _learnt(
    case: Case, change: Callable[[Batch], Batch], config: dict[str, Any]
) -> dict[str, list[Tensor]]:
    """Each player's parameters after a run of ``tiny`` with ``config`` on changed batches."""
    trainer = case.trainer_of(case.model(**config))
    batches = [change(batch) for batch in case.batches(trainer)]
    for _ in fit(trainer, batches, len(batches)):
        pass
    return {name: _parameters(network) for name, network in trainer.networks().items()}


@law(code=RUN + "for player in trainer.players.values(): player.lr = 0  # nothing may change now")
def _learns_only_in_update(case: Case) -> None:
    """Weights change in update alone, which schedules the rate, clips, and finds what diverges."""
    trainer = case.trainer()
    for player in trainer.players.values():
        player.lr = 0.0
    batches, before = case.batches(trainer), dict[str, Tensor]()
    for step, _ in enumerate(fit(trainer, batches, len(steps_of(trainer)))):
        now = {
            f"{n}.{k}": p.detach().clone()
            for n, net in trainer.networks().items()
            for k, p in net.named_parameters()
            if p.requires_grad
        }
        moved = [name for name in before if not torch.equal(before[name], now[name])]
        # A bound on the weights acts once: at a rate of 0 they then stay in it.
        require(step == 0 or not moved, f"with lr = 0, a step changes {moved[:3]}.")
        before = now


@law(code=RUN + "torch.manual_seed(1)  # must not matter")
def _steps_are_reproducible(case: Case) -> None:
    """A step depends on the weights and its batch alone, whose noise is its only randomness."""
    states = []
    for seed in (0, 1):
        kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
        try:
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            states.append(case.trained().model.state_dict())
        finally:
            torch.set_rng_state(kept[0])
            np.random.set_state(kept[1])
            random.setstate(kept[2])
    for name, tensor in states[0].items():
        message = f"{name} differs between two equal runs: take all randomness from batch.noise."
        require(torch.equal(tensor, states[1][name]), message)


@law(code='trainer = testing.Case.of("NAME").trainer(micro_batches=2)')
def _takes_small_batches(case: Case) -> None:
    """A loss gets a batch in parts (micro_batches), to fit into memory, and logs the same."""
    names = []
    for parts in (1, 2):
        trainer = case.trainer(micro_batches=parts)
        logs = [logs for _, logs in fit(trainer, case.batches(trainer), 2)]
        names.append({name for log in logs for name in log})
    require(names[0] == names[1], f"in parts it logs {sorted(names[1])}, else {sorted(names[0])}.")


@law(
    code='model = testing.Case.of("NAME").trained().model\n'
    "genzoo.testing.family_case.outputs(model)  # not those of the saved and loaded model"
)
def _saves_and_loads(case: Case) -> None:
    """After training a model is saved and loaded without any loss."""
    model: Any = case.trained().model
    with tempfile.TemporaryDirectory() as folder:
        folders.save(model, f"{folder}/model", family=case.name)
        loaded: Any = folders.load_folder(f"{folder}/model", "cpu")
    for name, tensor in model.state_dict().items():
        same = torch.equal(tensor, loaded.state_dict()[name])
        require(same, f"{name} changes when saved and loaded.")
    after = outputs(loaded)
    for name, expected in outputs(model).items():
        apart = (expected - after[name]).abs().max().item()
        message = (
            f"the loaded model's {name} differs by {apart:.3g}: training changes an attribute "
        )
        require(apart == 0, message + "that is neither parameter nor buffer.")


@law(code=RUN + "trainer.parts()  # must hold all that changes")
def _resumes_bit_for_bit(case: Case) -> None:
    """A run that is stopped and resumed ends with the same weights."""
    straight = case.trainer(ema_decay=0.9)
    steps = steps_of(straight)
    half = len(steps) // 2 + 1
    list(fit(straight, case.batches(straight), len(steps)))
    stopped = case.trainer(ema_decay=0.9)
    list(fit(stopped, case.batches(stopped), half))
    states = {name: copy.deepcopy(part.state_dict()) for name, part in stopped.parts().items()}
    resumed = case.trainer(ema_decay=0.9)
    resumed.restore(states, steps[half], TOTAL)
    list(fit(resumed, case.batches(resumed, half), len(steps)))
    for name, network in straight.networks().items():
        for key, tensor in network.state_dict().items():
            same = torch.equal(tensor, resumed.networks()[name].state_dict()[key])
            require(
                same, f"{key} of {name} differs after resuming: parts() must hold all that learns."
            )
