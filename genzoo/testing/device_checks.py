"""Checks that a model and its trainer run on a GPU, on machines without one: with fake tensors."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from genzoo.testing.contract import Broken, place, require
from genzoo.testing.fake_device import DEVICE, UNKNOWN, attempt, fake_device, move
from genzoo.testing.family_case import TOTAL, Case, computations, law
from genzoo.training import Batch, RunSettings, Trainer, fit

N = 4


@law(code='testing.run("runs_on_any_device", "NAME")')
def _runs_on_any_device(case: Case) -> str | None:
    """What a model computes stays on its device, and waits for no value."""
    model = case.model().eval().requires_grad_(False)
    with fake_device():
        move(model)
        x = torch.zeros(N, *model.shape, device=DEVICE)
        calls = computations(
            model, x, torch.zeros(N, getattr(model, "latent_dim", 0), device=DEVICE)
        )
        return _run_all(calls)


@law(code='testing.run("trains_on_any_device", "NAME")')
def _trains_on_any_device(case: Case) -> str | None:
    """What a step of training computes stays on the model's device, and waits for no value."""
    trainer = case.trainer()
    trainer.settings = RunSettings(device=DEVICE)
    batches = [*case.batches(trainer)]
    modules = [*trainer.networks().values(), *trainer.extras.values()]
    with fake_device():
        for module in modules:
            if isinstance(module, torch.nn.Module):
                move(module)
        return _run_all(
            (f"a step at {batch.step / TOTAL:.0%} of a run", partial(_step, trainer, batch))
            for batch in batches
        )


def _step(trainer: Trainer, batch: Batch) -> Any:
    labels, other = (
        None if t is None else t.to(DEVICE) for t in (batch.labels, batch.second_domain)
    )
    moved = replace(batch, x=batch.x.to(DEVICE), labels=labels, second_domain=other)
    ((_, logs),) = fit(trainer, [moved], batch.step + 1, batch.step)
    # Without a backward pass the norm of no gradient is a number on the CPU.
    return [value for name, value in logs.items() if not name.endswith("/gradient")]


def _run_all(calls: Iterable[tuple[str, Callable[[], Any]]]) -> str | None:
    """The reason why something could not be followed, or None."""
    for what, call in calls:
        result, error = attempt(call)
        if isinstance(error, UNKNOWN):
            return f"fake tensors cannot follow {place(error)}"
        if error is not None:
            text = " ".join(str(error).split())[:200]
            raise Broken(f"{what} on {DEVICE}: {text} ({place(error)}).")
        for x in result if isinstance(result, list | tuple) else [result]:
            where = x.device.type
            require(where == DEVICE, f"{what} on {DEVICE} gives a tensor on {where}.")
    return None
