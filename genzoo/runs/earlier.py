"""The run that is already in a folder: which files are genzoo's own, and how a new run removes
them. No other file is ever removed, and nothing behind a link.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from genzoo.errors import BadInput, GenzooError
from genzoo.files import check_folder
from genzoo.zoo import manifest
from genzoo.zoo.reader import read_named

_FILES = ("plan.json", "log.jsonl", "lock")
_FOLDERS: MappingProxyType[str, re.Pattern[str]] = MappingProxyType(
    {
        "grids": re.compile(r"\d{8,}\.png"),
        "checkpoints": re.compile(r"\d{8,}\.pt(\.unusable)?"),
        "board": re.compile(r"events\.out\.tfevents\..+"),
    }
)


def check_own(folder: Path) -> None:
    """Check that ``folder``/run is free, or holds a run of genzoo's and no other file.

    Hidden files of the system stay, and are no reason to refuse. Raises BadInput.
    """
    check_folder(folder)
    run = folder / "run"
    if run.is_symlink():
        hint = "choose another --out (which may be a link itself)"
        raise BadInput(f"{run} is a link, and a new run removes nothing behind one: {hint}")
    check_folder(run)
    if not run.is_dir():
        return
    is_run = _is_plan(run / "plan.json")
    for path, is_own in _entries(run):
        if not is_own or (not is_run and path.name != "lock"):
            hint = "move it away, or choose another --out"
            raise BadInput(f"{path} is not a file of a run of genzoo's, and would be lost: {hint}")


def clear(folder: Path) -> None:
    """Remove an earlier run and its model; other files stay, and the lock, which is held.

    The plan goes last: a run of which a part is gone is still known as one.
    """
    run = folder / "run"
    own = [path for path, is_own in _entries(run) if is_own and path.name != "lock"]
    for path in sorted(own, key=lambda path: path.name == "plan.json"):
        path.unlink()
    for name in _FOLDERS:
        if not (run / name).is_symlink():
            with suppress(OSError):  # none, or not empty
                (run / name).rmdir()
    for name in manifest.FILES:
        (folder / name).unlink(missing_ok=True)


def _entries(run: Path) -> Iterator[tuple[Path, bool]]:
    """What is in the folder ``run``, without hidden files; whether genzoo writes such a file."""
    for path in sorted(run.glob("[!.]*")):
        if path.name in _FOLDERS and path.is_dir() and not path.is_symlink():
            for file in sorted(path.glob("[!.]*")):
                yield file, _is_file(file) and bool(_FOLDERS[path.name].fullmatch(file.name))
        else:
            yield path, _is_file(path) and path.name in _FILES


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_plan(path: Path) -> bool:
    """Whether ``path`` is a plan of genzoo's, perhaps a damaged one."""
    try:
        content = read_named(path, manifest.LARGEST_JSON) if _is_file(path) else b""
    except (GenzooError, OSError):
        return False
    return all(key in content for key in (b'"family"', b'"data_sha256"', b'"options"'))
