"""config.json and metrics.json: read strictly, with bounds, into checked records."""

import hashlib
import json
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from genzoo.errors import BadInput, InvalidModel, OperationFailed, UnknownName
from genzoo.schemas import Count, Name, Names, Schema, checked, read_json
from genzoo.zoo import migrate

CONFIG, WEIGHTS, DISCRIMINATOR = "config.json", "model.safetensors", "discriminator.safetensors"
FILES = (CONFIG, WEIGHTS, DISCRIMINATOR, "README.md", "metrics.json", "samples.png")
LARGEST_JSON, _LARGEST_HEADER = 1 << 20, 1 << 20
DTYPES = ("float32", "float16", "bfloat16")
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Recipe(Schema, use_attribute_docstrings=False):
    """What made a model: enough to make it again."""

    command: Annotated[str, Field(max_length=4000)]
    data_sha256: Sha256
    config: dict[str, Any]
    options: dict[str, Any]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    steps: Annotated[int, Field(ge=0, le=10**10)]
    seconds: Annotated[float, Field(ge=0)]
    machine: Name
    precision: Literal["fp32", "bf16"] = "fp32"
    micro_batches: Count = 1
    threads: Count = 1
    processes: Count = 1
    versions: dict[str, Name]


class Manifest(Schema, use_attribute_docstrings=False):
    """What ``config.json`` says."""

    format: Literal[2] = 2
    name: Name
    family: Name
    revision: Count = 1
    plugin: Name
    plugin_version: Name
    config: dict[str, Any]
    class_names: Names = ()
    data: Name = ""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    weights_sha256: Sha256
    discriminator_sha256: Sha256 | None = None
    license: Name = "unknown"
    terms: Name = ""
    default: bool = False
    recipe: Recipe | None = None


class Measured(Schema, use_attribute_docstrings=False, extra="ignore"):
    """A score in ``metrics.json``: what is read of it."""

    name: Annotated[str, Field(max_length=200)]
    value: float
    unit: Annotated[str, Field(max_length=40)] = ""
    interval: tuple[float, float] | None = None
    floor: float | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    protocol: dict[str, Any]
    details: dict[str, Any] | None = None
    asked: dict[str, Any] | None = None


class Speed(Schema, use_attribute_docstrings=False, extra="ignore"):
    """How fast a model was, and where."""

    seconds_for_16: Annotated[float, Field(ge=0)]
    machine: Name


class Metrics(Schema, use_attribute_docstrings=False, extra="ignore"):
    """What is read of ``metrics.json``; a newer genzoo may say more in it."""

    format: Annotated[int, Field(ge=2, le=migrate.FORMAT)] = migrate.FORMAT
    scores: Annotated[tuple[Measured, ...], Field(max_length=1000)] = ()
    fingerprint: str | None = None
    speed: Speed | None = None


def read_manifest(folder: Path) -> Manifest:
    """``config.json``, checked; imports no torch."""
    try:
        there = folder.is_dir()
    except OSError as error:
        raise BadInput(f"cannot read {str(folder)[:200]}: {error.strerror}") from None
    if not there:
        raise UnknownName(f"there is no folder {folder}")
    path = folder / CONFIG
    if (folder / "run" / "plan.json").is_file() and not path.exists():
        hint = f"genzoo train --out {folder} --resume"
        raise InvalidModel(f"{folder} is a run that has not ended, go on with it: {hint}")
    values = read_json(read_capped(path, LARGEST_JSON), str(path), InvalidModel)
    if not isinstance(values, dict):
        raise InvalidModel(f"{path}: expected an object, got {type(values).__name__}")
    values = migrate.manifest(values)
    if type(values.get("format")) is not int or values["format"] != migrate.FORMAT:
        got = json.dumps(values.get("format"))[:40]
        raise InvalidModel(
            f"{path}: this genzoo reads formats up to {migrate.FORMAT}, got {got}: upgrade genzoo"
        )
    return checked(Manifest, values, str(path), InvalidModel)


def manifest_bytes(manifest: Manifest) -> bytes:
    return (json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n").encode()


def read_capped(path: Path, largest: int) -> bytes:
    """The content of a regular file of at most so many bytes. Raises InvalidModel."""
    if _regular(path) > largest:
        raise InvalidModel(f"{path} is larger than {largest} bytes")
    try:
        return path.read_bytes()
    except OSError as error:
        raise OperationFailed(f"cannot read {path}: {error.strerror or error}") from None


def _regular(path: Path) -> int:
    """The size of a plain file; folders, pipes and links out of the folder are refused."""
    try:
        found = path.stat()
    except OSError as error:
        raise InvalidModel(
            f"{path.parent} is no model folder: {path.name}: {error.strerror}"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        raise InvalidModel(f"{path} is not a plain file")
    if path.resolve().parent != path.parent.resolve():
        raise InvalidModel(f"{path} is a link out of its folder")
    return found.st_size


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
