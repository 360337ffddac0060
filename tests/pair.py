"""Two processes against one: ``python pair.py FILE NAME[?key=value&...] ...``.

One process takes steps, and remembers; two, which are forked from it, repeat each step from its
state. NAME is a family, with options. FILE gets its largest differences, as JSON: of a player's
gradient, in relative norm, and of buffers and logs. All is in double precision, in which no ReLU is
near its edge.
"""

import copy
import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genzoo.models import whole_batch
from genzoo.models.randomness import Noise
from genzoo.testing.family_case import TOTAL, Case
from genzoo.training import Batch, Logs, Trainer, fit

SHARES = (0.0, 0.99)
# Of the mixture: a distance to the mean over the batch, while others log the mean of a distance.
NOT_MEANS = {"statistics/loss"}
# Of a player's update: its gradients, and its weights afterwards.
Update = tuple[list[Tensor | None], list[Tensor]]


class Steps:
    """Steps of one process: batch, state before, updates, logs, state afterwards."""

    def __init__(self, name: str):
        family, _, options = name.partition("?")
        given = {key: json.loads(value) for key, value in parse_qsl(options)}
        self.case, self.micro_batches = Case.of(family), given.pop("micro_batches", 1)
        self.options, self.steps = given, []
        trainer = self.trainer()
        for batch in self.case.batches(trainer, shares=SHARES):
            wide = {
                k: t.double()
                for k in ("x", "second_domain")
                if (t := getattr(batch, k)) is not None
            }
            batch = replace(batch, **wide)
            before = {n: copy.deepcopy(part.state_dict()) for n, part in trainer.parts().items()}
            with updates_of() as updates:
                logs = step(trainer, batch)
            self.steps.append((batch, before, updates, logs, buffers(trainer)))

    def trainer(self) -> Trainer:
        trainer = self.case.trainer(micro_batches=self.micro_batches, **self.options)
        for part in trainer.parts().values():
            if isinstance(part, nn.Module):
                part.double()
        return trainer

    def differences(self) -> tuple[float, float]:
        """What several processes find otherwise: the largest of gradients, and of the rest."""
        size, trainer = whole_batch.size(), self.trainer()
        whole_batch.divide(8 // (self.micro_batches * size))
        gradients, others = [0.0], [0.0]
        for batch, before, updates, logs, after in self.steps:
            trainer.restore(copy.deepcopy(before), batch.step, TOTAL)
            rows = whole_batch.own_rows(torch.arange, len(batch) // size)
            fields = ("x", "labels", "second_domain")
            own = {k: t[rows] for k in fields if (t := getattr(batch, k)) is not None}
            with updates_of(updates) as found:
                got = step(trainer, replace(batch, **own, indices=tuple(rows.tolist())))
            gradients += [apart(a[0], b[0]) for a, b in zip(found, updates, strict=True)]
            assert buffers(trainer).keys() == after.keys()
            got, expected = {**buffers(trainer), **got}, {**after, **logs}
            others += [apart([got[k]], [expected[k]]) for k in expected if k not in NOT_MEANS]
        return max(gradients), max(others)


def step(trainer: Trainer, batch: Batch) -> Logs:
    ((_, logs),) = fit(trainer, [batch], batch.step + 1, batch.step)
    return logs


def buffers(trainer: Trainer) -> dict[str, Tensor]:
    """All that changes beside parameters and optimisers."""
    found = {}
    for name, part in trainer.parts().items():
        if not name.endswith(".optimizer"):
            learnt = dict(part.named_parameters()) if isinstance(part, nn.Module) else {}
            state = {k: v for k, v in part.state_dict().items() if k not in learnt}
            found |= {f"{name}.{k}": torch.as_tensor(v).clone() for k, v in state.items()}
    return found


@contextmanager
def updates_of(told: list[Update] | None = None) -> Iterator[list[Update]]:
    """The updates in the block. The weights of those ``told`` take the place of what they find: a
    later player then meets the same ones, which Adam's root would drive apart.
    """
    found, descend = list[Update](), Trainer._descend

    def watched(trainer: Trainer, player: Any, *rest: Any) -> Tensor:
        weights = [*player.network.parameters()]
        gradients = [None if p.grad is None else p.grad.clone() for p in weights]
        norm = descend(trainer, player, *rest)
        with torch.no_grad():
            for weight, other in zip(weights, told[len(found)][1] if told else [], strict=False):
                weight.copy_(other)
        found.append((gradients, [p.detach().clone() for p in weights]))
        return norm

    Trainer._descend = watched
    try:
        yield found
    finally:
        Trainer._descend = descend


def apart(one: list[Tensor | None], other: list[Tensor | None]) -> float:
    """The distance of two lists of tensors, relative to the second."""
    assert [a is None for a in one] == [b is None for b in other]
    a, b = (torch.cat([t.double().flatten() for t in ts if t is not None]) for ts in (one, other))
    return float((a - b).norm() / b.norm().clamp(min=1e-9))


def main() -> None:
    file, *names = sys.argv[1:]
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    Tensor.float = Tensor.double
    move = Noise._to_device
    Noise._to_device = lambda noise, rows: move(noise, rows).double()
    steps = {name: Steps(name) for name in names}
    rank = 0 if os.fork() else 1
    dist.init_process_group("gloo", f"file://{file}.store", rank=rank, world_size=2)
    found = {}
    for name, one in steps.items():
        try:
            found[name] = one.differences()
        except Exception:
            traceback.print_exc()
            print(f"rank {rank}: {name}", file=sys.stderr, flush=True)
            os._exit(1)
    if rank == 0:
        Path(file).write_text(json.dumps(found))
    os._exit(0)


if __name__ == "__main__":
    main()
