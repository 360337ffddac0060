"""Folders of samples: a file for each, and the record of all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, final

from genzoo.errors import BadInput
from genzoo.files import check_name, sync_folder, whole_folder, write_text
from genzoo.models.shared_samples import common_folder, in_order
from genzoo.models.whole_batch import rank


def check_folder(path: Path) -> None:
    """Check that ``path`` can become a folder of samples, whose old ones are replaced.

    Raises BadInput if it is a file, or holds other files.
    """
    check_name(path)
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path} is a file: choose another folder")
    if path.is_dir() and any(path.iterdir()) and not (path / "record.json").is_file():
        raise BadInput(f"{path} has other files than samples: choose another folder")


@final
class Written(NamedTuple):
    """A batch whose files are written: how many, the record of the first, the labels of all."""

    n: int
    record: dict[str, Any]
    labels: list[int]


def write_folder(
    parts: Iterator[Any], path: Path, metadata: bool, *, shared: bool = False
) -> dict[str, Any]:
    """A file of each sample of ``parts``, in constant memory; the folder gets its name when all are
    on the disk.

    ``shared``: all processes call this, and each writes the batches that it draws. Returns the
    record of the samples.
    """
    place, joined = (common_folder, in_order) if shared else (whole_folder, iter)
    record: dict[str, Any] = {}
    labels, n = list[int](), 0
    with place(path) as aside:
        for part in joined(_write_files(parts, aside, metadata)):
            record = record or part.record
            labels += part.labels
            n += part.n
        record |= {"n": n, "labels": labels or None}
        if not (shared and rank()):
            content = record if metadata else {"n": n}
            write_text(aside / "record.json", json.dumps(content, indent=2))
        sync_folder(aside)
    return record


def _write_files(parts: Iterator[Any], folder: Path, metadata: bool) -> Iterator[Written]:
    n = 0
    for part in parts:
        # The samples of a walk have no index of their own, those of two seeds may share one.
        is_drawn = part.call is None or part.call.get("method") == "sample"
        is_indexed = is_drawn and len({index for _, index in part.seeds}) == len(part)
        for one in part:
            name = f"{one.seeds[0][1] if is_indexed else n:08}{part.ending}"
            with (folder / name).open("xb") as file:  # never one file twice
                file.write(one.file_of_one(metadata))
            n += 1
        labels = [] if part.labels is None else part.labels.tolist()
        yield Written(len(part), part[:1].record(), labels)
