"""Labels in a file beside the images: labels.csv, metadata.csv, metadata.jsonl or dataset.json."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from genzoo.errors import BadInput
from genzoo.schemas import read_json
from genzoo.text import nfc

# By the Hub's convention (huggingface.co/docs/datasets/image_dataset) the metadata have a column
# file_name; by StyleGAN's, dataset.json is {"labels": [["a.png", 3], ...]}.
NAMES = ("labels.csv", "metadata.csv", "metadata.jsonl", "dataset.json")
FILE_COLUMNS = ("file_name", "filename", "file", "image", "path", "name", "id")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target")
CAPTIONS = ("text", "caption", "prompt", "description")
LARGEST = 1 << 26
LONGEST_LABEL = 200
MOST_CLASSES = 10_000

Rows = list[tuple[str, str]]
Table = tuple[Rows, tuple[str, ...]]  # and the columns that are not used
Find = Callable[[str], str | None]


class Labels(NamedTuple):
    """Labels by the name of the file; the rows that name no file; the file that holds them; and
    its columns that are not used.
    """

    of: dict[str, str]
    lost: tuple[str, ...]
    source: str
    unused: tuple[str, ...] = ()


def is_label_file(name: str) -> bool:
    """Whether a file may hold labels, by its name."""
    return name.rpartition("/")[2].lower() in NAMES


def labels(origin: str, name: str, data: bytes, files: Iterable[str]) -> Labels | None:
    """The labels that the file `name` gives to `files`, those in its folder and below; None if it
    has none: a caption, or metadata of another kind. Raises BadInput.
    """
    where, top = f"{origin}: {name}", name.rpartition("/")[0]
    if len(data) > LARGEST:
        raise BadInput(f"{where} has {len(data):,} bytes, at most {LARGEST:,} are read")
    start = f"{top}/" if top else ""
    below = {file.removeprefix(start): file for file in files if file.startswith(start)}
    find, given, lost = _finder(below), dict[str, str](), []
    if (table := _rows(where, PurePosixPath(name).name.lower(), data, find)) is None:
        return None
    for written, label in table[0]:
        if (file := find(written)) is None:
            lost.append(written)
        elif given.setdefault(file, label) != label:
            raise BadInput(f"{where} gives {written:.80} two labels, {given[file]} and {label}")
    if not given:
        first = next(iter(lost), "no row")
        raise BadInput(f"{where}: none of its {len(lost):,} rows names an image ({first:.80}, ...)")
    return Labels(given, tuple(lost), name, table[1])


def classes(values: Iterable[str]) -> tuple[str, ...]:
    """The classes, sorted: as numbers if all are whole numbers."""
    found = {*values}
    numbers = all(re.fullmatch(r"-?[0-9]{1,18}", value) for value in found)
    return tuple(sorted(found, key=lambda value: (int(value), value) if numbers else (0, value)))


def _rows(where: str, kind: str, data: bytes, find: Find) -> Table | None:
    if kind == "dataset.json":
        rows = _from_json(where, data)
        return None if rows is None else (rows, ())
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"{error.reason} at byte {error.start}"
        raise BadInput(f"{where} is not UTF-8 ({why}): save it so") from None
    if kind.endswith(".jsonl"):
        return _from_lines(where, text)
    return _from_table(where, text, kind == "labels.csv", find)


def _from_json(where: str, data: bytes) -> Rows | None:
    value = read_json(data, where)
    if not isinstance(value, dict) or (entries := value.get("labels")) is None:
        return None
    if not isinstance(entries, list):
        raise BadInput(f"{where}: labels should be a list, got {type(entries).__name__}")
    rows = []
    for entry in entries:
        match entry:
            case [str(name), int() | str() as label] if not isinstance(label, bool):
                rows.append((name, _label(where, label)))
            case _:
                raise BadInput(f'{where}: a label should be ["NAME", NUMBER], got {entry!r:.60}')
    return rows


def _from_lines(where: str, text: str) -> Table | None:
    """JSON, a record for each line."""
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            record = read_json(line, f"{where}, line {number}")
            if not isinstance(record, dict):
                raise BadInput(f"{where}, line {number}: expected a record, got {line!r:.60}")
            records.append(record)
    columns = [*dict.fromkeys(key for record in records for key in record)]
    if (at := _of_the_hub(columns, lambda key: [r.get(key) for r in records])) is None:
        return None
    rows = []
    for record in records:
        name, label = (record.get(columns[i]) for i in at)
        if not isinstance(name, str) or isinstance(label, bool | float | list | dict):
            expected = "expected a file and its label (a whole number or text)"
            raise BadInput(f"{where}: {expected}, got {json.dumps(record)[:80]}")
        rows += [] if label is None else [(name, _label(where, label))]
    return rows, _others(columns, at)


def _from_table(where: str, text: str, own: bool, find: Find) -> Table | None:
    """A table with commas, semicolons or tabs between its columns. `own`: it is labels.csv, whose
    columns may have other names than `file_name` and `label`, or none.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    try:
        table = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except csv.Error as error:
        raise BadInput(f"{where} is no table: {error}") from None
    columns = [cell.strip() for cell in table[0]] if table else []
    if own:
        at = _of_any(where, columns)
        named = {*map(str.lower, columns)} & {*FILE_COLUMNS, *LABEL_COLUMNS}
        body = table[1:] if named or find(columns[at[0]]) is None else table
    elif len({*map(len, table)}) == 1:
        body = table[1:]
        found = _of_the_hub(columns, lambda key: [row[columns.index(key)] for row in body])
        if found is None:
            return None
        at = found
    else:
        return None
    return [*_cells(where, body, at)], _others(columns, at)


def _others(columns: list[str], at: tuple[int, int]) -> tuple[str, ...]:
    return tuple(name for i, name in enumerate(columns) if i not in at and name)


def _of_any(where: str, columns: list[str]) -> tuple[int, int]:
    """The places of the file and of the label in labels.csv. Raises BadInput."""
    lower = [column.lower() for column in columns]
    file = next((lower.index(name) for name in FILE_COLUMNS if name in lower), 0)
    label = next((lower.index(name) for name in LABEL_COLUMNS if name in lower), None)
    if len(columns) == 2:
        file = 1 - label if label is not None else file
        label = 1 - file
    if label is None or label == file:
        got = ", ".join(columns)[:100] or "none"
        raise BadInput(f"{where}: expected columns file_name and label, got {got}")
    return file, label


def _of_the_hub(columns: list[str], values: Callable[[str], list[Any]]) -> tuple[int, int] | None:
    """The places of `file_name` and of the label in metadata; the only other column is a label if
    its values come again: captions do not.
    """
    if "file_name" not in columns:
        return None
    label = next((name for name in LABEL_COLUMNS if name in columns), None)
    if label is None and len({*columns}) == len(columns) == 2:
        (other,) = {*columns} - {"file_name"}
        given = [value for value in values(other) if isinstance(value, int | str)]
        if 2 * len({*given}) <= len(given) and other not in CAPTIONS:
            label = other
    return None if label is None else (columns.index("file_name"), columns.index(label))


def _cells(where: str, table: list[list[str]], at: tuple[int, int]) -> Iterator[tuple[str, str]]:
    for row in table:
        if len(row) <= max(at):
            raise BadInput(f"{where}: a row has too few columns: {', '.join(row)[:60]!r}")
        name, label = (row[i].strip() for i in at)
        if label:
            yield name, _label(where, label)


def _finder(below: dict[str, str]) -> Find:
    """Finds the file that a row names: by its path, or else by its name alone, with its ending or
    without, if only one file has it.
    """
    paths = {nfc(name): file for name, file in below.items()}
    alone: defaultdict[str, list[str]] = defaultdict(list)
    for name, file in paths.items():
        last = PurePosixPath(name)
        for key in {last.name, last.stem}:
            alone[key].append(file)

    def find(written: str) -> str | None:
        name = "/".join(part for part in re.split(r"[/\\]", nfc(written)) if part not in ("", "."))
        if name in paths:
            return paths[name]
        found = alone.get(PurePosixPath(name).name, ())
        return found[0] if len(found) == 1 else None

    return find


def _label(where: str, value: Any) -> str:
    text = nfc(str(value).strip())
    if not text.isprintable() or not 0 < len(text) <= LONGEST_LABEL:
        limit = f"1 to {LONGEST_LABEL} characters that can be printed"
        raise BadInput(f"{where}: a label should have {limit}, got {json.dumps(text)[:60]}")
    return text
