"""Where the folders that models were trained on are on this machine, by the hash of their content.

A model's card holds the hash and the last part of the folder's path; the path itself stays here.
"""

from __future__ import annotations

import json
import logging
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from genzoo import families
from genzoo.data import transforms
from genzoo.data.catalogue import SOURCES
from genzoo.data.dataset import Source
from genzoo.errors import BadInput, DataMissing, GenzooError, OperationFailed, argument
from genzoo.files import expanded, home, is_folder, locked, write_whole
from genzoo.schemas import Schema, checked, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genzoo.models.model import Model

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=4000)]
# A value of --set that decides how data are opened: 64, [1, 64, 48], "0:4095".
Value = bool | int | float | Text | tuple[int | float, ...] | None
DIGITS = 12  # of a hash, in a message
MOST = 500  # places; the one that was used the longest time ago goes
LARGEST = 1 << 24  # bytes
IMAGES = "images:"  # before a folder's name: all images in it
IN_MEMORY = "python:"  # before the name of data that Python holds, in the plan of a run
log = logging.getLogger("genzoo")


class Place(Schema, use_attribute_docstrings=False):
    """A folder (or two, ``A,B``) whose training split has this hash, opened in this form."""

    sha256: Sha256
    data: Text
    form: Annotated[dict[Text, Value], Field(max_length=20)] = Field(default_factory=dict)


class Register(Schema, use_attribute_docstrings=False):
    """The content of the register's file. ``places``: the one that was used last comes last."""

    format: Literal[1] = 1
    places: Annotated[tuple[Place, ...], Field(max_length=MOST)] = ()


def remember(sha256: str, data: str, form: Mapping[str, Any]) -> None:
    """Note that ``data``, absolute paths, has this hash in this ``form``. A name is not noted: it
    needs no place. If the register cannot be written, it warns.
    """
    if not holds_folder(data) or data.startswith(IN_MEMORY):
        return
    values = {"sha256": sha256, "data": data, "form": {k: v for k, v in form.items() if v}}
    place = checked(Place, values, "the place of the data")
    path = _path()
    try:
        if (known := _read()) and known[-1] == place:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f"{path.name}.lock")):
            places = [*(other for other in _read() if other != place), place][-MOST:]
            content = Register(places=tuple(places)).model_dump(mode="json")
            write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
    except (OSError, OperationFailed) as error:
        hint = f"a model trained on it needs {argument('data', 'FOLDER')} again"
        log.warning("cannot note where %s is (%s): %s", data, error, hint)


def find(sha256: str | None) -> Place | None:
    """The place used last whose training split had this hash, if its folders still exist."""
    for place in reversed(_read()):
        if place.sha256 == sha256 and all(_exists(part) for part in parts_of(place.data)):
            return place
    return None


def training_data(name: str, data: str, sha256: str | None) -> Place | str:
    """What the model ``name`` was trained on: a place on this machine, or a named data set.

    ``data`` and ``sha256``: as its card says. A card can be anybody's, so a folder that it names is
    never opened: only the register knows folders. Raises DataMissing, which says what to type.
    """
    if sha256 and (place := find(sha256)):
        return place
    if data and is_named(data):
        return data
    hint = f"give {argument('data', 'FOLDER')}"
    if not data:
        what = f"{name}: no reference data"
        raise DataMissing(f"{what}. Give a data set or folder with {argument('data')}")
    what = f"{name} was trained on {label(data)!r}, which is no named data set"
    raise DataMissing(f"{what}, and this machine does not know where it is: {hint}")


def check_unchanged(data: str, name: str, expected: str | None, got: str | None) -> None:
    """Check that a folder has the hash of the data that the model ``name`` was trained on. Raises
    BadInput.
    """
    if got != expected:
        what = f"{data} has changed since {name} was trained on it"
        hint = f"give {argument('data', 'FOLDER')} to use it all the same"
        raise BadInput(f"{what}: {hashes(expected, got)}: {hint}")


def hashes(expected: str | None, got: str | None) -> str:
    """Two hashes that differ, for a message."""
    return f"expected sha256 {(expected or '')[:DIGITS]}..., got {(got or '')[:DIGITS]}..."


def form_of(sha256: str | None, card: Mapping[str, Any]) -> dict[str, Any]:
    """How the training data of this hash were opened, beyond a model's config: the form on its
    ``card``; where an early genzoo wrote the card, which holds none, what this machine knows.
    """
    known = None if card else find(sha256)
    return dict(card) or {
        k: v for k, v in (known.form if known else {}).items() if k in ("fit", "levels", "rate")
    }


def form_for(model: Model, data: str | Path | Source) -> dict[str, Any]:
    """How ``data`` are opened for ``model``, beyond its shape: a folder, and what the model was
    trained on, as for its training.
    """
    facts = model.provenance
    if not holds_folder(data) and data != facts.get("data"):
        return {}
    return form_of(facts.get("data_sha256"), model.data_form)


def is_named(data: str) -> bool:
    """Whether ``data`` is a named data set, a class or transformation of one, or two of them."""
    known = {*SOURCES, *(plugin.name for plugin in families.plugins("dataset"))}
    names = wholes(data)
    return len(names) <= 2 and all(name in known for name in names)


def wholes(data: str) -> list[str]:
    """The names of the sets, one or two, of which ``data`` are classes or transformations."""
    names = [transforms.split_name(part.strip())[0] for part in data.split(",")]
    return [name.partition(":")[0] for name in names]


def holds_folder(data: str | Path | Source) -> bool:
    """Whether ``data`` is a folder, or one of its two domains is."""
    if isinstance(data, Source):
        return False
    return isinstance(data, Path) or any(map(is_folder, parts_of(data)))


def label(data: str | Path | Source) -> str:
    """``data`` without any path: of each folder the last part of its name."""
    if isinstance(data, Source):
        return data.name
    if isinstance(data, str):
        if data.startswith(IN_MEMORY):
            return data.removeprefix(IN_MEMORY)
        if data.startswith(IMAGES):
            return IMAGES + _last_part(data.removeprefix(IMAGES))
    return ",".join(_last_part(part) if is_folder(part) else str(part) for part in parts_of(data))


def without_paths(command: str) -> str:
    """A command line with the last part of each folder's path alone: ``--out ./my-model``."""
    try:
        words = shlex.split(command)
    except ValueError:  # not of a shell
        words = command.split()
    short = [*map(_short_word, words)]
    return command if short == words else shlex.join(short)


def _short_word(word: str) -> str:
    option, sign, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    parts = [f"./{_last_part(p)}" if is_folder(p) else p for p in value.split(",")]
    return f"{option}{sign}{','.join(parts)}"


def absolute(data: str | Path | Source) -> str:
    """``data`` with its folders (one, or two with a comma between) as absolute paths."""
    if isinstance(data, Source):
        return IN_MEMORY + data.name
    return ",".join(
        str(expanded(part).resolve()) if is_folder(part) else str(part) for part in parts_of(data)
    )


def check_at_hand(data: str | Path | Source, family: str) -> None:
    """Raise DataMissing for the data of a run of ``family`` that only Python had."""
    if isinstance(data, str) and data.startswith(IN_MEMORY):
        what = f"the run's data, {label(data)!r}, came from Python: go on there"
        way = f"genzoo.train({family!r}, data=..., out=FOLDER, resume=True)"
        raise DataMissing(f"{what}, with the same data: {way}")


def to_open(data: str) -> str | Path:
    """``data``, absolute paths, as `genzoo.data.open` takes it: a name with a comma as a Path."""
    return Path(data) if "," in data and len(parts_of(data)) == 1 else data


def _last_part(path: str | Path) -> str:
    try:
        return expanded(path).resolve().name or "folder"
    except (OSError, BadInput):
        return re.split(r"[/\\]", str(path).rstrip("/\\"))[-1] or "folder"


def parts_of(data: str | Path) -> list[str | Path]:
    """Both of two domains ``A,B``; the only part of a Path, and of a folder with a comma."""
    if isinstance(data, Path) or "," not in data or (is_folder(data) and _exists(data)):
        return [data]
    return [part.strip() for part in data.split(",")]


def _exists(part: str | Path) -> bool:
    whole = transforms.split_name(part)[0]
    try:
        return not is_folder(part) or expanded(part).exists() or expanded(whole).exists()
    except (OSError, BadInput):
        return False


def _path() -> Path:
    return home() / "folders.json"


def _read() -> list[Place]:
    """The places; none if the file is missing. A damaged file is as good as none."""
    path = _path()
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return []
        values = read_json(path.read_bytes(), str(path))
        return [*checked(Register, values, str(path)).places]
    except (OSError, GenzooError) as error:
        log.warning("cannot read %s (%s): name folders with %s", path, error, argument("data"))
        return []
