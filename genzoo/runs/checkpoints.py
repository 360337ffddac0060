"""Checkpoints of a run on the disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor


def _checkpoints(folder: Path) -> list[Path]:
    """The newest first."""
    return sorted((folder / "run" / "checkpoints").glob("[0-9]*.pt"), reverse=True)


def _tensors(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from _tensors(value, f"{name}.{key}" if name else key)
