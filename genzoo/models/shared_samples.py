"""Samples that several processes draw together: each draws some batches of them."""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist

from genzoo.errors import OperationFailed, argument
from genzoo.files import LATE, appears, whole_folder
from genzoo.models.whole_batch import rank, size

T = TypeVar("T")
# At most so many batches of each process between two exchanges, each of which costs milliseconds;
# after one that took more seconds there are no more of them, so that slow work shows progress.
ROUND, SOON = 8, 1.0
_is_shared = False


def own(batches: Iterable[T]) -> Iterator[T]:
    """Those of ``batches`` that are this process's: all, except while `in_order` asks for them."""
    shared = _is_shared and size() > 1
    return islice(batches, rank(), None, size()) if shared else iter(batches)


def in_order(results: Iterator[T]) -> Iterator[T]:
    """The results of all processes, of which ``results`` are those of the `own` batches, in the
    order of the batches.
    """
    global _is_shared
    if size() == 1:
        yield from results
        return
    each, is_last = 1, False
    while not is_last:
        began = time.monotonic()
        try:
            _is_shared = True
            mine = list(islice(results, each))
        finally:
            _is_shared = False
        parts: list[Any] = [None] * size()
        dist.all_gather_object(parts, (time.monotonic() - began, mine))
        spent, first = parts[0]  # whose clock counts for all
        is_last = len(first) < each  # nobody has more than the first
        for i in range(len(first)):
            yield from (part[i] for _, part in parts if i < len(part))
        if spent < SOON:
            each = min(2 * each, ROUND)


@contextmanager
def common_folder(path: Path) -> Iterator[Path]:
    """`whole_folder` of the first process, which all fill: it becomes ``path`` when the block has
    ended in each of them. Raises OperationFailed, also where one does not see it.
    """
    if size() == 1:
        with whole_folder(path) as aside:
            yield aside
        return
    with nullcontext() if rank() else whole_folder(path) as made:
        names: list[Any] = [made]
        dist.broadcast_object_list(names)
        aside = names[0]
        _check_seen(path, aside)
        with _removed_after_errors(path, aside):
            yield aside
        dist.barrier()


def _check_seen(path: Path, aside: Path) -> None:
    seen: list[Any] = [None] * size()
    dist.all_gather_object(seen, appears(aside, LATE))
    if not all(seen):
        what = f"process {seen.index(False)} of {size()} does not see the folder of {path}"
        other = f"write {argument('out', 'NAME.npy')}, for which the first process gets all samples"
        raise OperationFailed(f"{what}: choose one on a disk that all machines share, or {other}")


@contextmanager
def _removed_after_errors(path: Path, aside: Path) -> Iterator[None]:
    """Whoever stops removes the folder: the others may be writing while the first one does."""
    try:
        yield
    except BaseException as error:
        is_gone = isinstance(error, FileNotFoundError) and not aside.exists()
        shutil.rmtree(aside, ignore_errors=True)
        if is_gone:
            what = "another one has ended, and says why if it can"
            raise OperationFailed(f"process {rank()} of {size()} stops: {what}") from error
        if isinstance(error, OSError):
            raise OperationFailed(f"cannot write {path}: {error.strerror or error}") from error
        raise
