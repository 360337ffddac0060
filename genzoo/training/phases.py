"""Phases: the parts of a run, one after the other, each with a schedule of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import final

from genzoo.errors import BadInput


@final
@dataclass(frozen=True)
class Phase:
    """A part of a run: its name, and its share of the run's steps, above 0 and up to 1."""

    name: str
    share: float = 1.0


def phase_starts(phases: Sequence[Phase], steps: int) -> dict[str, int]:
    """The first step of each phase in a run of ``steps``. Raises BadInput if one has no step."""
    starts = [0, *(_first_step(end, steps) for end in _ends(phases)[:-1])]
    if len({*starts, steps}) <= len(starts):
        names = ", ".join(p.name for p in phases)
        raise BadInput(f"{steps} steps are too few: each of the phases {names} needs at least one")
    return {phase.name: start for phase, start in zip(phases, starts, strict=True)}


def phase_steps(phases: Sequence[Phase], steps: int) -> dict[str, int]:
    """The steps of each phase, for a record; empty if there is only one. Raises BadInput."""
    starts = phase_starts(phases, steps)
    ends = [*starts.values(), steps][1:]
    lengths = {name: end - start for (name, start), end in zip(starts.items(), ends, strict=True)}
    return lengths if len(lengths) > 1 else {}


def place(phases: Sequence[Phase], step: int, progress: float) -> tuple[int, int, float]:
    """The phase at ``progress`` of a run: its index, its first step and the progress within it."""
    ends = _ends(phases)
    if step and progress:
        steps = step / progress
        index = sum(step >= _first_step(end, steps) for end in ends[:-1])
    else:
        steps, index = 0.0, sum(progress >= end for end in ends[:-1])
    low, high = [0.0, *ends][index : index + 2]
    return index, _first_step(low, steps), max(0.0, (progress - low) / (high - low))


def _ends(phases: Sequence[Phase]) -> list[float]:
    """The share of the run that is done when each phase ends; the last is 1. Raises BadInput."""
    names, shares = [p.name for p in phases], [p.share for p in phases]
    if len({*names}) < len(names) or not all(names):
        raise BadInput(f"each phase needs a name of its own, got {names}")
    if not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        text = ", ".join(f"{p.name} {p.share:g}" for p in phases)
        raise BadInput(f"the shares of the phases must be above 0 and sum to 1, got {text}")
    return [*accumulate(shares[:-1]), 1.0]


def _first_step(share: float, steps: float) -> int:
    """The first of ``steps`` at which ``share`` of them is done, but for the rounding."""
    return math.ceil(share * steps - 1e-6)
