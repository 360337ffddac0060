"""Files that are written whole or not at all; folders that one process has to itself."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genzoo.errors import BadInput, OperationFailed


def home() -> Path:
    """$GENZOO_HOME, else $XDG_CACHE_HOME/genzoo, else ~/.cache/genzoo."""
    if given := os.environ.get("GENZOO_HOME"):
        return expanded(given)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "genzoo"


_FOLDER = re.compile(r"^(\.\.?([/\\]|$)|[/~]|[A-Za-z]:[/\\])")


def is_folder(name: str | Path) -> bool:
    """Whether ``name`` has the form of a folder's: a Path, or ./x ../x /x ~/x C:\\x."""
    return isinstance(name, Path) or bool(_FOLDER.match(name))


def check_free(folder: Path, names: Iterable[str], force: bool) -> None:
    """Whether none of ``names`` in ``folder`` would be written over, or ``force`` allows it."""
    try:
        there = [name for name in names if (folder / name).exists()]
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror}") from None
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file, and a folder is needed: choose another name")
    if there and not force:
        hint = "choose another folder, or replace it with --force (in Python force=True)"
        raise BadInput(f"{folder} holds {there[0]} already: {hint}")


def check_new(path: Path, endings: Iterable[str], force: bool = False, option: str = "-o") -> None:
    """Whether a file of one of ``endings`` can be written as ``path``, which ``option`` names, and
    none is written over unless ``force`` allows it. Raises BadInput.
    """
    if path.suffix.lower() not in (known := [*endings]) or not path.parent.is_dir():
        wanted = f"expected a name ending in {' or '.join(known)}, in a folder that is there"
        raise BadInput(f"cannot write {path}: {wanted}")
    if path.exists() and not force:
        raise BadInput(f"{path} exists: choose another {option}, or --force")


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` aside, flush it to the disk, then rename: never half a file."""
    with whole(path) as aside:
        aside.write_bytes(content)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write what becomes ``path`` when the block ends well, and nothing when it does not.

    Raises OperationFailed where the disk refuses.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
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


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[bool | None]:
    """Hold the lock file ``path``, which the system lets go when a process dies.

    Yields whether it is held: False where another process has it (and ``wait`` is off), None where
    the system knows no such locks.
    """
    with path.open("a+b") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except ImportError:
            held = None
        except OSError as error:
            held = False if error.errno in (errno.EACCES, errno.EAGAIN) else None
        yield held


def expanded(path: str | Path) -> Path:
    """``path`` with its ~ replaced. Raises BadInput where that is nobody's home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{str(path)[:80]!r}: {error}") from None


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: no step is torn in two. The second press interrupts at once."""
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
