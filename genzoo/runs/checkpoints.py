"""Checkpoints of a run: the last two stay on the disk, and the newest readable one is loaded."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from genzoo.errors import OperationFailed
from genzoo.files import whole
from genzoo.training import Diverged

log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Checkpoint:
    """Everything that the step after ``step`` needs.

    ``data``: the data set's SHA-256. ``seconds``: the time that the run has taken so far.
    ``parts``: the state of each of the trainer's parts. ``monitor``: the training monitor's state,
    which checkpoints of early versions lack.
    """

    step: int
    data: str
    seconds: float
    parts: dict[str, Any]
    monitor: dict[str, Any] | None = None


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of the run in the folder ``run``, the newest first."""
    return sorted(_folder(run).glob("[0-9]*.pt"), reverse=True)


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint``, and remove all others but the one before it.

    Raises Diverged if it contains a value that is not finite, OperationFailed if writing fails.
    """
    for name, tensor in _tensors(checkpoint.parts):
        if not torch.isfinite(tensor).all():
            raise Diverged(f"after step {checkpoint.step}, {name} holds values that are not finite")
    folder, step = _folder(run), checkpoint.step
    folder.mkdir(exist_ok=True)
    try:
        with whole(folder / f"{step:08}.pt") as aside, aside.open("wb") as file:
            torch.save(vars(checkpoint), file)
    except (OperationFailed, RuntimeError) as error:
        # torch's own error names only the position in its file.
        why = "the disk is full or failed" if isinstance(error, RuntimeError) else error.__cause__
        raise OperationFailed(f"cannot write the checkpoint of step {step}: {why}") from error
    newest_first = checkpoints(run)
    last_two = [p for p in newest_first if int(p.stem) <= step][:2]  # newer ones are damaged
    for old in {*newest_first, *folder.glob(".*")} - {*last_two}:  # a killed process leaves .NAME
        old.unlink()


def read_checkpoint(run: Path, device: torch.device) -> Checkpoint | None:
    """The newest checkpoint that can be read; None if there is none."""
    newest_first = checkpoints(run)
    for path in newest_first:
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            state = {"monitor": state.pop("doctor", None), **state}  # its name in version 0.1
            return Checkpoint(**state)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:100]
            then = "starting from step 0" if path == newest_first[-1] else "trying the one before"
            log.warning("cannot read %s (%s): %s", path, reason, then)
    return None


def _folder(run: Path) -> Path:
    return run / "run" / "checkpoints"


def _tensors(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from _tensors(value, f"{name}.{key}" if name else key)
