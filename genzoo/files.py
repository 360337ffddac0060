"""Files that are written whole or not at all."""

import os
from pathlib import Path

from genzoo.errors import Failed


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
        aside.unlink(missing_ok=True)
