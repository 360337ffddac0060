"""The one door to files that anybody may have written: a plain file, opened once, never waited for.

What is checked is what is read: size, hash and content are those of one opening.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from genzoo.errors import BadInput, GenzooError, InvalidModel, OperationFailed


@contextlib.contextmanager
def open_inside(path: Path) -> Iterator[BufferedReader]:
    """A file of a model folder. Folders, pipes and links out of the folder are refused.

    Raises InvalidModel; OperationFailed if it cannot be read.
    """
    try:
        target = path.resolve()
        is_plain = stat.S_ISREG(target.stat().st_mode)
        is_inside = target.parent == path.parent.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a link to itself
        reason = getattr(error, "strerror", None) or error
        raise InvalidModel(f"{path.parent} is no model folder: {path.name}: {reason}") from None
    if not is_plain:
        raise InvalidModel(f"{path} is not a plain file")
    if not is_inside:
        raise InvalidModel(f"{path} is a link out of its folder")
    with _opened(target, path, InvalidModel, OperationFailed) as file:
        yield file


@contextlib.contextmanager
def open_named(path: Path) -> Iterator[BufferedReader]:
    """A file that the user names, by a link too. Raises BadInput if it is not plain."""
    try:
        target = path.resolve()
        is_plain = stat.S_ISREG(target.stat().st_mode)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"cannot read {path}: {reason}") from None
    if not is_plain:
        raise BadInput(f"{path} is not a plain file")
    with _opened(target, path, BadInput, BadInput) as file:
        yield file


def read_capped(path: Path, largest: int) -> bytes:
    """The content of a file of a model folder, at most ``largest`` bytes. Raises InvalidModel."""
    with open_inside(path) as file:
        return _capped(file, path, largest, InvalidModel)


def read_named(path: Path, largest: int) -> bytes:
    """The content of a file that the user names, at most ``largest`` bytes. Raises BadInput."""
    with open_named(path) as file:
        return _capped(file, path, largest, BadInput)


def size_of(file: BinaryIO) -> int:
    """The bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def _capped(file: BinaryIO, path: Path, largest: int, error: type[GenzooError]) -> bytes:
    # A file may grow while it is read.
    if size_of(file) <= largest and len(content := file.read(largest + 1)) <= largest:
        return content
    raise error(f"{path} is larger than {largest} bytes")


@contextlib.contextmanager
def _opened(
    target: Path, path: Path, odd: type[GenzooError], unreadable: type[GenzooError]
) -> Iterator[BufferedReader]:
    """``target``, where ``path`` led: no link, and no pipe, that took its place meanwhile."""
    try:
        # pathlib opens with no flags of one's own.
        file = open(target, "rb", opener=_without_links)  # noqa: SIM115
    except OSError as error:
        raise unreadable(f"cannot read {path}: {error.strerror or error}") from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise odd(f"{path} is not a plain file")
        yield file


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
