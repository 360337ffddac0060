"""Writing samples to the disk as they are drawn: a grid, an array, or a folder of any number."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genzoo.errors import BadInput, Failed
from genzoo.samples import Arrays, Images, Samples

LARGEST_GRID = 4096


def check_target(path: Path, n: int, force: bool) -> None:
    """Before anything is drawn: can ``path`` take ``n`` samples? Raises BadInput."""
    if path.suffix not in (".png", ".npy", ""):
        raise BadInput(
            f"cannot write {path}: expected .png, .npy, or a folder's name without an ending"
        )
    if path.suffix == ".png" and n > LARGEST_GRID:
        raise BadInput(f"a grid takes at most {LARGEST_GRID} samples, got {n}: give -o FOLDER")
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: there is no folder {path.parent}")
    if path.exists() and (not force or path.is_dir() != (path.suffix == "")):
        raise BadInput(f"{path} exists: choose another -o, or --force")
    if path.is_dir() and any(path.iterdir()) and not (path / "record.json").is_file():
        raise BadInput(f"{path} holds other things than samples: choose another -o")


def write(parts: Iterator[Samples], path: Path, scale: int | None = None) -> dict[str, Any]:
    """Write all of ``parts`` to ``path``, whole or not at all; what it takes to draw them again."""
    if path.suffix == "":
        return _write_folder(parts, path)
    drawn = list(parts)
    samples = type(drawn[0]).join(drawn)
    if path.suffix == ".npy":
        samples = Arrays(samples.tensor, samples.labels, samples.seeds, samples.origin)
    if isinstance(samples, Images):
        samples.save(path, scale)
    else:
        samples.save(path)
    return samples.record()


def _write_folder(parts: Iterator[Samples], path: Path) -> dict[str, Any]:
    """A file each, in constant memory; the folder gets its name when all are there."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    record: dict[str, Any] = {}
    labels: list[int] = []
    try:
        aside.mkdir()
        for n, one in enumerate((one for part in parts for one in part), 1):
            ending = ".png" if isinstance(one, Images) else ".npy"
            one.save(aside / f"{one.seeds[0][1]:08}{ending}")
            record = {**(record or one.record()), "n": n}
            labels += [] if one.labels is None else one.labels.tolist()
        record["labels"] = labels or None
        (aside / "record.json").write_text(json.dumps(record, indent=2))
        shutil.rmtree(path, ignore_errors=True)
        aside.rename(path)
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return record
