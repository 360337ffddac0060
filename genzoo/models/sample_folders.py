"""Folders of samples: a file for each, and the record of all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, final

from genzoo.errors import BadInput
from genzoo.files import check_name, sync_folder, whole_folder, write_text


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
class Encoded(NamedTuple):
    """A batch as files: of each sample its index, if it has one, and content; the record of the
    first, the labels of all, and the ending of their names.
    """

    files: list[tuple[int | None, bytes]]
    record: dict[str, Any]
    labels: list[int]
    ending: str


def encode_files(part: Any, metadata: bool) -> Encoded:
    """The files of a batch of samples."""
    ones = list(part)
    # The samples of a walk have no index of their own.
    indexed = part.seeds and (part.call is None or part.call.get("method") == "sample")
    files = [(one.seeds[0][1] if indexed else None, one.file_of_one(metadata)) for one in ones]
    labels = [] if part.labels is None else part.labels.tolist()
    return Encoded(files, ones[0].record(), labels, part.ending)


def write_folder(parts: Iterator[Encoded], path: Path, metadata: bool) -> dict[str, Any]:
    """A file each, in constant memory; the folder gets its name when all are on the disk.

    Returns the record of the samples.
    """
    record: dict[str, Any] = {}
    labels, n = list[int](), 0
    with whole_folder(path) as aside:
        for part in parts:
            record = record or part.record
            labels += part.labels
            for index, file in part.files:
                name = f"{n if index is None else index:08}{part.ending}"
                (aside / name).write_bytes(file)
                n += 1
        record |= {"n": n, "labels": labels or None}
        content = record if metadata else {"n": n}
        write_text(aside / "record.json", json.dumps(content, indent=2))
        sync_folder(aside)
    return record
