"""Files and folders: written whole or not at all, locked, checked before anything is written."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import json
import os
import platform
import re
import shutil
import signal
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from genzoo.errors import BadInput, OperationFailed, Stopped, argument
from genzoo.text import printable

if TYPE_CHECKING:
    import numpy as np


def home() -> Path:
    """genzoo's cache: $GENZOO_HOME, else $XDG_CACHE_HOME/genzoo, else ~/.cache/genzoo."""
    if given := os.environ.get("GENZOO_HOME"):
        return expanded(given)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "genzoo"


_FOLDER = re.compile(r"^(\.\.?([/\\]|$)|[/~]|[A-Za-z]:[/\\])")


def is_folder(name: str | Path) -> bool:
    """Whether ``name`` is written as a folder: a Path, or ./x ../x /x ~/x C:\\x."""
    return isinstance(name, Path) or bool(_FOLDER.match(name))


def written(folder: Path) -> str:
    """``folder`` as a name that means a folder: x as ./x."""
    return str(folder) if is_folder(str(folder)) else f"./{folder}"


_REFUSED = re.compile(r'[<>:"/\\|?*]')
_DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9¹²³]", re.IGNORECASE)


def file_name(text: str, ending: str = "") -> str:
    """``text`` and ``ending`` as the name of one file or folder, as every system allows it.

    Windows refuses ``:`` and ``?``, names of devices like CON, and a point or a space at the end.
    """
    name = _REFUSED.sub("-", printable(f"{text}{ending}")).rstrip(". ")
    stem, point, rest = name.partition(".")
    return f"{stem}-{point}{rest}" if _DEVICE.fullmatch(stem.rstrip()) else name


def last_name(path: str | Path) -> str:
    """The last part of ``path``; of . and .. that of the folder they stand for."""
    name = Path(path).name
    return Path(path).resolve().name if name in ("", "..") else name


def default_path(name: str | Path, ending: str) -> Path:
    """The default path of a command's result: the model's name and ``ending``."""
    return Path(file_name(last_name(name).partition("@")[0], ending))


_CONTROLS = ("Cc", "Zl", "Zp")  # Unicode's control characters, and ends of lines and paragraphs


def check_free(folder: Path, names: Iterable[str], force: bool) -> None:
    """Check that none of ``names`` in ``folder`` exists, or ``force`` is on. Raises BadInput."""
    check_name(folder)
    try:
        existing = [name for name in names if (folder / name).exists()]
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror}") from None
    check_folder(folder)
    if existing and not force:
        hint = f"choose another folder, or replace it with {argument('force', True)}"
        more = f"; that replaces or removes {', '.join(existing[1:])}, too" if existing[1:] else ""
        raise BadInput(f"{folder} already contains {existing[0]}: {hint}{more}")


def check_folder(folder: Path) -> None:
    """Check that ``folder`` is one, or does not exist. Raises BadInput."""
    check_name(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file, not a folder: choose another name")


def check_name(path: Path) -> Path:
    """``path``, if the system takes its name and a script can read it in a line. Raises BadInput.

    A new line or a tab in a name would be a space in what a command prints.
    """
    if control := next((c for c in str(path) if unicodedata.category(c) in _CONTROLS), ""):
        raise BadInput(f"cannot write {path}: its name holds {control!a}; choose another name")
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            short = f"{str(path)[:40]}..."
            raise BadInput(f"cannot write {short}: {error.strerror}; choose another name") from None
    return path


LATE = 30  # seconds that a file system of several machines may be late


def appears(path: Path, seconds: float) -> bool:
    """Whether there is ``path`` now, or within ``seconds``."""
    end = time.monotonic() + seconds
    while not (found := path.exists()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def ending_of(path: Path) -> str:
    """The ending of a name, in small letters: that of a ``.jpeg`` is ``.jpg``."""
    ending = path.suffix.lower()
    return ".jpg" if ending == ".jpeg" else ending


def check_ending(path: Path, endings: Iterable[str]) -> Path:
    """``path``, if its name ends in one of ``endings``. Raises BadInput."""
    if ending_of(path) not in (known := [*endings]):
        raise BadInput(f"cannot write {path}: expected a name ending in {' or '.join(known)}")
    return check_name(path)


def check_new(path: Path, endings: Iterable[str], force: bool = False, name: str = "out") -> None:
    """Check that a file with one of ``endings`` can be written as ``path``, the argument ``name``.

    An existing file is replaced only with ``force``. Raises BadInput.
    """
    check_ending(path, endings)
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: no folder {path.parent}")
    if path.exists() and not force:
        raise BadInput(
            f"{path} exists: choose another {argument(name)}, or add {argument('force', True)}"
        )


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as the file ``path``: the same bytes on every system."""
    path.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> Path:
    """Write ``value`` as the file ``path``, which ends in .json. Raises BadInput."""
    path = check_ending(expanded(path), [".json"])
    write_whole(path, (json.dumps(value, indent=2) + "\n").encode())
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` as the file ``path``: all of it, on the disk, or nothing."""
    with whole(path) as aside:
        aside.write_bytes(content)


def npy(array: np.ndarray) -> bytes:
    """The content of a ``.npy`` file."""
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write the file that becomes ``path`` when the block ends without an error.

    Otherwise ``path`` does not change. Raises OperationFailed if it cannot be written.
    """
    sweep(path.parent)
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
        _in_use.discard(aside.name)


def replace_folder(aside: Path, path: Path) -> None:
    """Move the folder ``aside`` to ``path``, and only then remove the folder that was there."""
    old = _beside(path, _OLD)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.rename(old)
        aside.rename(path)
    except BaseException:  # a signal, too
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    finally:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        _in_use.discard(old.name)


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
    sweep(target.parent)
    aside = _beside(target)
    try:
        aside.mkdir()
        yield aside
        move(aside, target)
    except OSError as error:
        raise OperationFailed(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        _in_use.discard(aside.name)


_OLD = "-old"  # ends the name of a folder that a new one replaces
_ASIDE = re.compile(r"^\.(.+)\.(\d+)-([0-9a-f]{8})[0-9a-f]{8}(-old)?$")
_CUT = 216  # bytes of a name: with what follows it fits into the 255 that a system allows
_in_use: set[str] = set()  # names that this process has given
_swept: set[Path] = set()  # folders that this process has swept: their files may be many


def _beside(path: Path, ending: str = "") -> Path:
    """A free name in the folder of ``path``: .NAME.PROCESS-MACHINE+RANDOM; a long NAME is cut."""
    start = path.name.encode(errors="surrogateescape")[:_CUT].decode(errors="ignore")
    name = f".{start}.{os.getpid()}-{_machine()}{os.urandom(4).hex()}{ending}"
    _in_use.add(name)
    return path.with_name(name)


def sweep(folder: Path) -> None:
    """Remove what killed processes left in ``folder``: files and folders that were never finished.

    A folder that was moved away for a new one goes back if the new one never came. Only names that
    this machine gave are touched, whose process is gone; once in the life of a process, unless
    ``sweep_again`` was called.
    """
    folder = folder.absolute()
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if (match := _ASIDE.match(path.name)) and _is_left(match):
                _remove(path, folder / match[1] if match[4] else None)


def sweep_again(folder: Path) -> None:
    """Let ``sweep`` look into ``folder`` and below again: a process may have been killed there."""
    folder = folder.absolute()
    _swept.difference_update([path for path in _swept if path.is_relative_to(folder)])


def _remove(left: Path, target: Path | None) -> None:
    """Remove ``left``, or make it ``target`` again if that is missing."""
    with contextlib.suppress(OSError):
        if target and not os.path.lexists(target):
            left.rename(target)
        elif left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def _is_left(match: re.Match[str]) -> bool:
    """Whether the process that gave this name is gone."""
    if match[3] != _machine() or match[0] in _in_use:
        return False
    if match[4] and len(os.fsencode(match[1])) > _CUT - 4:  # cut: its whole name is not known
        return False
    return int(match[2]) == os.getpid() or not _is_running(int(match[2]))


def _is_running(process: int) -> bool:
    """Whether a process has this number; where that cannot be found out, it has."""
    if os.name == "nt":  # os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@functools.cache
def _machine() -> str:
    """Eight digits for what numbers the processes: a machine, or a container on it."""
    import hashlib  # 5 ms, which commands that write nothing need not wait for

    numbering = ""
    with contextlib.suppress(OSError):
        numbering = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{platform.node()} {numbering}".encode()).hexdigest()[:8]


@contextlib.contextmanager
def synced(path: Path) -> Iterator[BinaryIO]:
    """The new file ``path``, opened for writing; flushed to the disk at the end of the block."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the files in ``folder`` to the disk: together where the system can, else one by one.

    To wait for the disk once for each small file takes longer than to write it.
    """
    if not _flushed_together(folder):
        for path in folder.iterdir():
            with path.open("r+b") as file:  # Windows flushes no file that is open for reading
                os.fsync(file.fileno())


def _flushed_together(folder: Path) -> bool:
    """Whether Linux has flushed the file system of ``folder``; other systems have no syncfs."""
    import ctypes

    is_posix = hasattr(os, "O_DIRECTORY")  # Windows opens no folder
    flush = getattr(ctypes.CDLL(None), "syncfs", None) if is_posix else None
    if flush is None:
        return False
    number = os.open(folder, os.O_RDONLY)
    try:
        return flush(number) == 0
    finally:
        os.close(number)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True, remove: bool = False) -> Iterator[bool]:
    """Hold the lock file ``path``; the system releases it when a process dies.

    Yields whether it is held: False where ``wait`` is off and another process holds it. With
    ``remove`` the file is gone afterwards. Raises OperationFailed if it cannot be created.
    """
    import filelock

    if path.is_symlink():  # before 3.20.1, filelock cuts the file that a link leads to
        raise OperationFailed(f"cannot lock {path}: it is a link")
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=wait)
        while not path.exists():  # its holder removed it while this process waited for it
            lock.release()
            lock.acquire(blocking=wait)
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        raise OperationFailed(f"cannot lock {path}: {error.strerror or error}") from error
    try:
        yield True
    finally:
        if remove:
            with contextlib.suppress(OSError):  # where the system removes no open file it stays
                path.unlink()
        lock.release()


def expanded(path: str | Path) -> Path:
    """``path`` with ~ replaced. Raises BadInput if it is none, or that user does not exist."""
    if not isinstance(path, str | os.PathLike):
        raise BadInput(f"expected a text or a path, got {path!r:.40}")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{str(path)[:80]!r}: {error}") from None


# The signals that ask a process to end: a person's, a scheduler's, a closed terminal's. Not every
# system has each.
_STOP = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")


@contextlib.contextmanager
def deferred_signals() -> Iterator[Callable[[], int]]:
    """In the block the first signal to stop only sets a flag, so that a step can end.

    Yields a function: the number of that signal, 0 before it. A second Ctrl-C interrupts at once.
    Other signals often come twice, to a process and to its group: the second changes nothing.
    """
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        if received and number == signal.SIGINT:
            raise Stopped
        received.append(number)

    with _handled(receive):
        yield lambda: received[0] if received else 0


@contextlib.contextmanager
def raised_signals() -> Iterator[None]:
    """In the block a signal to stop raises Stopped, so that what it stops can clean up."""
    with _handled(raise_stopped):
        yield


def raise_stopped(number: int, frame: Any) -> None:
    """The handler that `raised_signals` sets. Raises Stopped."""
    raise Stopped(number=number)


@contextlib.contextmanager
def _handled(receive: Callable[[int, Any], None]) -> Iterator[None]:
    """In the block ``receive`` gets the signals to stop; outside of the main thread nothing does.

    A signal that the caller ignores stays ignored (``nohup`` ignores SIGHUP), except Ctrl-C.
    """
    before: dict[int, Any] = {}
    is_main = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in _STOP if is_main and hasattr(signal, name)]
    try:
        for number in numbers:
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, receive)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
