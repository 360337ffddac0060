"""Files and folders: written whole or not at all, locked, checked before anything is written."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from genzoo.errors import BadInput, OperationFailed


def home() -> Path:
    """genzoo's cache: $GENZOO_HOME, else $XDG_CACHE_HOME/genzoo, else ~/.cache/genzoo."""
    if given := os.environ.get("GENZOO_HOME"):
        return expanded(given)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "genzoo"


_FOLDER = re.compile(r"^(\.\.?([/\\]|$)|[/~]|[A-Za-z]:[/\\])")


def is_folder(name: str | Path) -> bool:
    """Whether ``name`` is written as a folder: a Path, or ./x ../x /x ~/x C:\\x."""
    return isinstance(name, Path) or bool(_FOLDER.match(name))


def check_free(folder: Path, names: Iterable[str], force: bool) -> None:
    """Check that none of ``names`` in ``folder`` exists, or ``force`` is on. Raises BadInput."""
    try:
        existing = [name for name in names if (folder / name).exists()]
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror}") from None
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file, not a folder: choose another name")
    if existing and not force:
        hint = "choose another folder, or replace it with --force (in Python force=True)"
        raise BadInput(f"{folder} already contains {existing[0]}: {hint}")


def check_ending(path: Path, endings: Iterable[str]) -> Path:
    """``path``, if its name ends in one of ``endings``. Raises BadInput."""
    if path.suffix.lower() not in (known := [*endings]):
        raise BadInput(f"cannot write {path}: expected a name ending in {' or '.join(known)}")
    return path


def check_new(path: Path, endings: Iterable[str], force: bool = False, option: str = "-o") -> None:
    """Check that a file with one of ``endings`` can be written as ``path``, given by ``option``.

    An existing file is replaced only with ``force``. Raises BadInput.
    """
    check_ending(path, endings)
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: no folder {path.parent}")
    if path.exists() and not force:
        raise BadInput(f"{path} exists: choose another {option}, or replace it with --force")


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` as the file ``path``: all of it, on the disk, or nothing."""
    with whole(path) as aside:
        aside.write_bytes(content)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write the file that becomes ``path`` when the block ends without an error.

    Otherwise ``path`` does not change. Raises OperationFailed if it cannot be written.
    """
    aside = _beside(path)
    try:
        yield aside
        with aside.open("r+b") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise OperationFailed(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def replace_folder(aside: Path, path: Path) -> None:
    """Move the folder ``aside`` to ``path``, and only then remove the folder that was there."""
    old = _beside(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.rename(old)
        aside.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def whole_folder(
    path: Path, move: Callable[[Path, Path], object] = replace_folder
) -> Iterator[Path]:
    """A new folder to fill, which becomes ``path`` when the block ends without an error.

    Otherwise ``path`` stays as it was. ``move(aside, path)`` puts it into its place. What must
    survive a power cut is written through ``synced``. Raises OperationFailed if it cannot be
    written; its ``__cause__`` is the OSError.
    """
    target = path.resolve()  # a link to a folder stays one
    aside = _beside(target)
    try:
        aside.mkdir()
        yield aside
        move(aside, target)
    except OSError as error:
        raise OperationFailed(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A free name in the folder of ``path``: .NAME.PROCESS-RANDOM."""
    return path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")


@contextlib.contextmanager
def synced(path: Path) -> Iterator[BinaryIO]:
    """The new file ``path``, opened for writing; flushed to the disk at the end of the block."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file ``path``; the system releases it when a process dies.

    Yields whether it is held: False where ``wait`` is off and another process holds it.
    """
    import filelock

    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def expanded(path: str | Path) -> Path:
    """``path`` with ~ replaced. Raises BadInput if that user does not exist."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{str(path)[:80]!r}: {error}") from None


@contextlib.contextmanager
def ctrl_c() -> Iterator[Callable[[], bool]]:
    """In the block the first Ctrl-C only sets a flag, so that a step can end; a second interrupts.

    Yields a function: whether Ctrl-C was pressed.
    """
    pressed = threading.Event()

    def press(number: int, frame: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
