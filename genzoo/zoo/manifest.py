"""config.json and metrics.json: read strictly, with bounds, into checked records."""

import hashlib
import json
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from genzoo.errors import BadInput, InvalidModel, OperationFailed, UnknownName
from genzoo.schemas import (
    Count,
    Kind,
    Name,
    Names,
    SampleRate,
    Schema,
    checked,
    read_json,
)
from genzoo.zoo import migrate

CONFIG, WEIGHTS, DISCRIMINATOR = "config.json", "model.safetensors", "discriminator.safetensors"
PICTURE, SOUND = "samples.png", "samples.wav"  # what a model draws
FILES = (CONFIG, WEIGHTS, DISCRIMINATOR, "README.md", "metrics.json", PICTURE, SOUND)
LARGEST_JSON = 1 << 20
DTYPES = ("float32", "float16", "bfloat16")
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
# Of sampling, by name. Which a model has, and their bounds, its own record says.
Setting = bool | int | float | Name | Annotated[tuple[float, ...], Field(max_length=1000)] | None
Settings = Annotated[dict[Name, Setting], Field(max_length=100)]


class Recipe(Schema, use_attribute_docstrings=False):
    """How a model was trained: enough to train it again. ``command`` is history, never parsed."""

    command: Annotated[str, Field(max_length=4000)]
    data_sha256: Sha256
    config: dict[str, Any]
    options: dict[str, Any]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    steps: Annotated[int, Field(ge=0, le=10**10)]
    phases: dict[Name, Annotated[int, Field(ge=1, le=10**10)]] = Field(default_factory=dict)
    seconds: Annotated[float, Field(ge=0)]
    machine: Name
    precision: Literal["fp32", "bf16"] = "fp32"
    micro_batches: Count = 1
    threads: Count = 1
    processes: Count = 1
    versions: dict[str, Name]


class Manifest(Schema, use_attribute_docstrings=False):
    """The content of ``config.json``."""

    format: Literal[2] = 2
    name: Name
    version: Count = 1
    family: Name
    revision: Count = 1
    plugin: Name
    plugin_version: Name
    config: dict[str, Any]
    kind: Kind = "images"
    rate: SampleRate | None = None
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
    """A score in ``metrics.json``: the fields that are read."""

    name: Annotated[str, Field(max_length=200)]
    value: float
    unit: Annotated[str, Field(max_length=40)] = ""
    interval: tuple[float, float] | None = None
    floor: float | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    protocol: dict[str, Any]
    details: dict[str, Any] | None = None
    sampling: Settings | None = None
    request: dict[str, Any] | None = None


class Speed(Schema, use_attribute_docstrings=False, extra="ignore"):
    """How fast a model draws, and on which machine."""

    seconds_for_16: Annotated[float, Field(ge=0)]
    machine: Name


class Metrics(Schema, use_attribute_docstrings=False, extra="ignore"):
    """The fields of ``metrics.json`` that are read; a newer genzoo may write more."""

    format: Annotated[int, Field(ge=2, le=migrate.FORMAT)] = migrate.FORMAT
    scores: Annotated[tuple[Measured, ...], Field(max_length=1000)] = ()
    fingerprint: str | None = None
    speed: Speed | None = None


def read_manifest(folder: Path) -> Manifest:
    """``config.json``, checked; imports no torch."""
    try:
        exists = folder.is_dir()
    except OSError as error:
        raise BadInput(f"cannot read {str(folder)[:200]}: {error.strerror}") from None
    if not exists:
        raise UnknownName(f"no folder {folder}")
    path = folder / CONFIG
    if (folder / "run" / "plan.json").is_file() and not path.exists():
        hint = f"genzoo train --out {folder} --resume"
        raise InvalidModel(f"{folder} is an unfinished training run; finish it: {hint}")
    values = read_object(path)
    return checked(Manifest, migrate.manifest(values, str(path)), str(path), InvalidModel)


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file of at most 1 MiB. Raises InvalidModel."""
    values = read_json(read_capped(path, LARGEST_JSON), str(path), InvalidModel)
    if not isinstance(values, dict):
        raise InvalidModel(f"{path}: expected an object, got {type(values).__name__}")
    return values


def manifest_bytes(manifest: Manifest) -> bytes:
    """``manifest`` as the content of ``config.json``."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n").encode()


def read_capped(path: Path, largest: int) -> bytes:
    """The content of a plain file of at most ``largest`` bytes. Raises InvalidModel."""
    if plain_file_size(path) > largest:
        raise InvalidModel(f"{path} is larger than {largest} bytes")
    try:
        return path.read_bytes()
    except OSError as error:
        raise OperationFailed(f"cannot read {path}: {error.strerror or error}") from None


def plain_file_size(path: Path) -> int:
    """The size of a plain file; folders, pipes and links out of the folder are refused."""
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidModel(
            f"{path.parent} is no model folder: {path.name}: {error.strerror}"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise InvalidModel(f"{path} is not a plain file")
    if path.resolve().parent != path.parent.resolve():
        raise InvalidModel(f"{path} is a link out of its folder")
    return status.st_size


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
