"""Checkpoints of a run: the last two stay on the disk, and the newest sound one is loaded.

A checkpoint is a file of torch.save, which is a zip. Its comment names the run and gives the
SHA-256 of all bytes before it, so that any reader of zips still reads it.
"""

import hashlib
import logging
import math
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any, BinaryIO, final

import torch
from torch import Tensor, nn

from genzoo.errors import OperationFailed
from genzoo.files import whole
from genzoo.training import Diverged
from genzoo.training.trainer import Stateful

log = logging.getLogger("genzoo")
_COMMENT = b"genzoo run %-64b sha256 "
_TRAILER = re.compile(rb"genzoo run ([0-9a-f]{64}| {64}) sha256 ([0-9a-f]{64})$")
_LENGTH = len(_COMMENT % b"") + 64
# By time, a checkpoint is due a minute after the last one, or so many times later as writing it
# took, if that is more: then at most a twenty-first of a run's time is spent on them.
INTERVAL, TIMES = 60.0, 20


@final
@dataclass(frozen=True)
class Checkpoint:
    """Everything that the step after ``step`` needs.

    ``data``: the data set's SHA-256. ``seconds``: the time that the run has taken so far.
    ``parts``: the state of each of the trainer's parts. ``monitor``: the training monitor's state,
    which checkpoints of early versions lack. ``run``: the plan's ``run``.
    """

    step: int
    data: str
    seconds: float
    parts: dict[str, Any]
    monitor: dict[str, Any] | None = None
    run: str = ""


@final
class Timetable:
    """When the next checkpoint is due: after each ``every`` steps, or by time if that is None.

    ``clock`` gives seconds.
    """

    def __init__(self, every: int | None, clock: Callable[[], float] = time.monotonic):
        self.every, self.clock = every, clock
        self.due = clock() + INTERVAL

    def is_due(self, step: int) -> bool:
        return step % self.every == 0 if self.every else self.clock() >= self.due

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the writing of a checkpoint."""
        began = self.clock()
        yield
        end = self.clock()
        self.due = end + max(INTERVAL, TIMES * (end - began))


class Unusable(Exception):
    """The reason why a checkpoint is not loaded."""


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of the run in the folder ``run``, the newest first."""
    return sorted(_folder(run).glob("[0-9]*.pt"), key=_step, reverse=True)


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint``, and remove all others but the one before it.

    Those of later steps could not be loaded: they stay as NAME.unusable until the run ends. Raises
    Diverged if it contains a value that is not finite, OperationFailed if writing fails.
    """
    for name, tensor in _tensors(checkpoint.parts):
        if not torch.isfinite(tensor).all():
            raise Diverged(f"after step {checkpoint.step}, {name} holds values that are not finite")
    folder, step = _folder(run), checkpoint.step
    folder.mkdir(exist_ok=True)
    try:
        with whole(folder / f"{step:08}.pt") as aside, aside.open("w+b") as file:
            state = dict(vars(checkpoint))
            torch.save({k: v for k, v in state.items() if k != "run"}, file)
            _seal(file, checkpoint.run)
    except (OperationFailed, RuntimeError) as error:
        # torch's own error names only the position in its file.
        why = "the disk is full or failed" if isinstance(error, RuntimeError) else error.__cause__
        raise OperationFailed(f"cannot write the checkpoint of step {step}: {why}") from error
    newest_first = checkpoints(run)
    for later in (path for path in newest_first if _step(path) > step):
        later.rename(f"{later}.unusable")
    for old in [path for path in newest_first if _step(path) <= step][2:]:
        old.unlink()


def remove_unusable(run: Path) -> None:
    """Remove the checkpoints that could not be loaded."""
    for path in _folder(run).glob("*.unusable"):
        if path.is_file():
            path.unlink()


def restore(
    run: Path, device: torch.device, load: Callable[[Checkpoint], object]
) -> Checkpoint | None:
    """The newest checkpoint that is sound and that ``load`` takes; None if there is none.

    A warning names each that is passed over, and the reason. Raises OperationFailed where memory
    or a permission is missing: then the checkpoint may be good.
    """
    newest_first = checkpoints(run)
    for path in newest_first:
        try:
            checkpoint = read_checkpoint(path, device)
            load(checkpoint)
            return checkpoint
        except (MemoryError, PermissionError, torch.cuda.OutOfMemoryError) as error:
            raise OperationFailed(f"cannot load {path}: {_reason(error)}") from error
        except Exception as error:  # torch, and a family's own parts, raise errors of many classes
            then = "starting from step 0" if path == newest_first[-1] else "trying the one before"
            log.warning("cannot use %s (%s): %s", path, _reason(error), then)
    return None


def read_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """The checkpoint ``path``. Raises Unusable, and whatever torch raises for a damaged file."""
    with path.open("rb") as file:
        run = _check_seal(file, path)
        file.seek(0)
        state = torch.load(file, map_location=device, weights_only=True)
    if not isinstance(state, dict):
        raise Unusable("it holds no checkpoint")
    state = {"monitor": state.pop("doctor", None), **state}  # its name in version 0.1
    checkpoint = Checkpoint(**{**state, "run": run})
    _check(checkpoint, _step(path))
    return checkpoint


def digest_of(parts: Mapping[str, Any]) -> str:
    """The first digits of the SHA-256 of all tensors of the ``parts``."""
    sha256 = hashlib.sha256()
    for name, tensor in _tensors(parts):
        sha256.update(name.encode())
        sha256.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha256.hexdigest()[:12]


def check_states(parts: Mapping[str, Stateful], states: Mapping[str, Any]) -> None:
    """Check that ``states`` were those of ``parts``, which have loaded them. Raises Unusable."""
    if parts.keys() != states.keys():
        raise Unusable(f"it holds {', '.join(sorted(states))}, not {', '.join(sorted(parts))}")
    for name, part in parts.items():
        if isinstance(part, nn.Module) and not _is_same(part.state_dict(), states[name]):
            raise Unusable(f"the state of {name} is of another shape or type")
        if isinstance(part, torch.optim.Optimizer):
            _check_moments(name, part)


def _check_moments(name: str, optimizer: torch.optim.Optimizer) -> None:
    """An optimiser loads moments of any shape: each must be a number, or have its weight's."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            for key, value in optimizer.state.get(weight, {}).items():
                if not isinstance(value, Tensor) or value.shape not in (weight.shape, ()):
                    raise Unusable(f"{key} of {name} is of another shape or type")


def _is_same(one: Any, other: Any) -> bool:
    """Whether two states are the same, to the last bit."""
    if type(one) is not type(other) and not (isinstance(one, dict) and isinstance(other, dict)):
        return False
    if isinstance(one, Tensor):
        return (
            one.dtype == other.dtype
            and one.shape == other.shape
            and torch.equal(one, other.to(one.device))
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return bool(one == other)


def _check(checkpoint: Checkpoint, step: int) -> None:
    """Check the types, and that its name is that of its step. Raises Unusable."""
    kinds = {"step": int, "data": str, "seconds": float, "parts": dict, "monitor": dict | None}
    for name, kind in kinds.items():
        value = getattr(checkpoint, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise Unusable(f"its {name} is of the type {type(value).__name__}")
    if checkpoint.step != step:
        raise Unusable(f"its name is of step {step}, its content of step {checkpoint.step}")
    if not 0 <= checkpoint.seconds < math.inf:
        raise Unusable(f"the run took {checkpoint.seconds} seconds")
    for name, tensor in _tensors(checkpoint.parts):
        if not torch.isfinite(tensor).all():
            raise Unusable(f"{name} holds values that are not finite")


def _seal(file: BufferedRandom, run: str) -> None:
    """Append the comment to the zip in ``file``, whose last two bytes give the comment's length."""
    file.seek(-2, 2)
    file.write(_LENGTH.to_bytes(2, "little") + _COMMENT % run.encode())
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256")
    file.write(sha256.hexdigest().encode())


def _check_seal(file: BinaryIO, path: Path) -> str:
    """The run that the comment names. Raises Unusable if the hash does not fit.

    Versions before 0.3 wrote no hash: then the checksums of the zip must fit.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _LENGTH))
    if (trailer := _TRAILER.match(file.read())) is None:
        with zipfile.ZipFile(file) as parts:
            if damaged := parts.testzip():
                raise Unusable(f"its part {damaged} is damaged")
        log.warning("%s has no hash, only checksums: an earlier version wrote it", path)
        return ""
    file.seek(0)
    sha256 = hashlib.sha256()
    left = size - 64
    while left and (block := file.read(min(left, 1 << 20))):
        sha256.update(block)
        left -= len(block)
    if sha256.hexdigest().encode() != trailer[2]:
        raise Unusable("it is damaged: its content does not have its hash")
    return trailer[1].decode().strip()


def _reason(error: BaseException) -> str:
    """The error in one short line; torch's own errors go on for many."""
    text = (str(error).strip().splitlines() or [""])[0]
    return text[:150] if isinstance(error, Unusable) else f"{type(error).__name__}: {text}"[:150]


def _step(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else -1


def _folder(run: Path) -> Path:
    return run / "run" / "checkpoints"


def _tensors(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from _tensors(value, f"{name}.{key}" if name else key)
