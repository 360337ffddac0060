"""A run's folder belongs to one process at a time, and to the run that it has read."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genzoo.errors import BadInput, OperationFailed
from genzoo.files import locked, sweep, sweep_again
from genzoo.training import parallel

FolderState = tuple[tuple[int, int] | None, ...]


def folder_state(folder: Path) -> FolderState:
    """What changes when a run in ``folder`` begins or goes on: its files are written anew."""
    paths = [folder / "run" / name for name in ("plan.json", "log.jsonl")]
    found = [path.stat() if path.exists() else None for path in paths]
    return tuple((file.st_ino, file.st_mtime_ns) if file else None for file in found)


_held: set[tuple[Path, int]] = set()  # lock and thread


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock ``folder`` in the block: two processes would remove each other's checkpoints.

    A block inside of another one of the same thread does nothing. What is created for the lock is
    removed, if nothing else came into it. Raises BadInput if another process trains in it.
    """
    lock = folder.absolute() / "run" / "lock"
    key = lock, threading.get_ident()
    if not parallel.is_first() or key in _held:
        yield
        return
    with _created(lock.parent), locked(lock, wait=False) as is_locked:
        if not is_locked:
            raise BadInput(f"another process is training in {folder}: wait for it, or stop it")
        _held.add(key)
        sweep_again(folder)  # this process may have trained here before another was killed
        sweep(folder)  # nothing more may be written there
        try:
            yield
        finally:
            _held.discard(key)
            if [*lock.parent.iterdir()] == [lock]:
                lock.unlink()


@contextmanager
def _created(folder: Path) -> Iterator[None]:
    """In the block ``folder`` exists; afterwards those created for it go, if they are empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(f"cannot create {folder.parent}: {error.strerror}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # not empty
            for path in missing:
                path.rmdir()
