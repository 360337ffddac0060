"""Files that are written whole or not at all."""

import contextlib
import os
import re
from pathlib import Path

from genzoo.errors import BadInput, Failed

_FOLDER = re.compile(r"^(\.\.?([/\\]|$)|[/~]|[A-Za-z]:[/\\])")


def is_folder(name: str | Path) -> bool:
    """Whether ``name`` has the form of a folder's: a Path, or ./x ../x /x ~/x C:\\x."""
    return isinstance(name, Path) or bool(_FOLDER.match(name))


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` aside, flush it to the disk, then rename: never half a file."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def expanded(path: str | Path) -> Path:
    """``path`` with its ~ replaced. Raises BadInput where that is nobody's home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{str(path)[:80]!r}: {error}") from None
