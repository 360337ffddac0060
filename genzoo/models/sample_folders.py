"""Folders of samples: a file for each, and the record of all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def write_folder(parts: Iterator[Any], path: Path, metadata: bool) -> dict[str, Any]:
    """A file each, in constant memory; the folder gets its name when all are on the disk.

    Returns the record of the samples.
    """
    record: dict[str, Any] = {}
    labels: list[int] = []
    with whole_folder(path) as aside:
        for n, one in enumerate((one for part in parts for one in part), 1):
            # The samples of a walk have no index of their own: number them.
            indexed = one.seeds and (one.call is None or one.call.get("method") == "sample")
            name = f"{one.seeds[0][1] if indexed else n - 1:08}{one.ending}"
            (aside / name).write_bytes(one.file_of_one(metadata))
            record = {**(record or one.record()), "n": n}
            labels += [] if one.labels is None else one.labels.tolist()
        record["labels"] = labels or None
        content = record if metadata else {"n": n}
        write_text(aside / "record.json", json.dumps(content, indent=2))
        sync_folder(aside)
    return record
