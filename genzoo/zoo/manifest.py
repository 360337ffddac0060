"""config.json and metrics.json: read strictly, with bounds, into checked records."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from genzoo.data.forms import LARGEST_SIDE, size_of, span_from
from genzoo.errors import BadInput, InvalidModel, UnknownName, command
from genzoo.schemas import (
    Channels,
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
from genzoo.zoo.reader import read_capped

CONFIG, WEIGHTS, DISCRIMINATOR = "config.json", "model.safetensors", "discriminator.safetensors"
PICTURE, SOUND = "samples.png", "samples.wav"  # what a model draws
README, METRICS = "README.md", "metrics.json"  # its card
FILES = (CONFIG, WEIGHTS, DISCRIMINATOR, README, METRICS, PICTURE, SOUND)
LARGEST_JSON, MOST_VALUES = 1 << 20, 100_000  # bytes; commas
LARGEST_BESIDE = 64 << 20  # bytes of a file of samples
DTYPES = ("float32", "float16", "bfloat16")
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
# Of sampling, by name. Which a model has, and their bounds, its own record says.
Floats = Annotated[tuple[float, ...], Field(max_length=1000, fail_fast=True)]
Setting = bool | int | float | Name | Floats | None
Settings = Annotated[dict[Name, Setting], Field(max_length=100)]


def _size(text: str) -> str:
    size_of(text)
    return text


def _span(text: str) -> str:
    span_from(text)
    return text


class DataForm(Schema, use_attribute_docstrings=False, defer_build=True):
    """How a model's data were opened, as `genzoo.data.open` takes it, beyond what its config says.

    A card can be anybody's: this decides how data are opened, and never which.
    """

    size: (
        Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
        | Annotated[str, Field(max_length=20), AfterValidator(_size)]
        | None
    ) = None
    channels: Channels | None = None
    fit: Literal["crop", "pad"] | None = None
    levels: Annotated[str, Field(max_length=100), AfterValidator(_span)] | None = None
    length: Annotated[int, Field(ge=1, le=10**8)] | None = None
    rate: SampleRate | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The fields that are set."""
        return self.model_dump(mode="json", exclude_none=True)


class Stage(Schema, use_attribute_docstrings=False, defer_build=True):
    """A part of a model's training, of ``steps`` steps.

    With a ``model`` it is what that model had learned before, of which the run took the weights;
    without one a part of the run itself, which begins with the ``changes``: name -> (old, new).
    """

    steps: Annotated[int, Field(ge=0, le=10**10)] | None = None
    model: Name = ""
    version: Count | None = None
    weights_sha256: Sha256 | None = None
    discriminator_sha256: Sha256 | None = None
    data: Name = ""
    changes: Annotated[dict[Name, tuple[Setting, Setting]], Field(max_length=100)] = Field(
        default_factory=dict
    )


Stages = Annotated[tuple[Stage, ...], Field(max_length=1000)]


class Recipe(Schema, use_attribute_docstrings=False, defer_build=True):
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
    compile: bool = False
    threads: Count = 1
    processes: Count = 1
    versions: dict[str, Name]
    stages: Stages = ()
    form: DataForm = Field(default_factory=DataForm)

    @property
    def parent(self) -> Stage | None:
        """The model that this training began with; None if it began with new weights."""
        return parent_of(self.stages)


def parent_of(stages: tuple[Stage, ...]) -> Stage | None:
    """The last model of ``stages``, whose weights the run took; None if there is none."""
    return next((stage for stage in reversed(stages) if stage.model), None)


class AdoptedFile(Schema, use_attribute_docstrings=False, defer_build=True):
    """A file of weights that others wrote; ``part``: which network in it."""

    name: Name
    sha256: Sha256
    part: Name = ""


class Adoption(Schema, use_attribute_docstrings=False, defer_build=True):
    """Where the weights come from that others trained: the project as whose network the ``tool``
    read the ``files``, and what it added or left out.
    """

    source: Name
    tool: Name
    files: Annotated[tuple[AdoptedFile, ...], Field(min_length=1, max_length=10)]
    notes: Annotated[tuple[Name, ...], Field(max_length=100, fail_fast=True)] = ()


class Manifest(Schema, use_attribute_docstrings=False, defer_build=True):
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
    adopted: Adoption | None = None


class Measured(Schema, use_attribute_docstrings=False, defer_build=True, extra="allow"):
    """A score in ``metrics.json``. Null says the same as no field, but of ``interval`` and
    ``floor``, where it says that there is none.
    """

    name: Annotated[str, Field(max_length=200)]
    value: float
    interval: tuple[float, float] | None = None
    floor: float | None = None
    goal: Annotated[str, Field(max_length=40)] | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    unit: Annotated[str, Field(max_length=40)] | None = None
    details: dict[str, Any] | None = None
    sampling: Settings | None = None
    protocol: dict[str, Any]
    request: dict[str, Any] | None = None
    machine: Annotated[str, Field(max_length=200)] | None = None
    versions: dict[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        """The fields that are set, for JSON."""
        record = self.model_dump(mode="json", exclude_unset=True)
        return {k: v for k, v in record.items() if v is not None or k in ("interval", "floor")}


class Speed(Schema, use_attribute_docstrings=False, defer_build=True, extra="allow"):
    """How fast a model draws, and on which machine."""

    seconds_for_16: Annotated[float, Field(ge=0)]
    machine: Name


class Metrics(Schema, use_attribute_docstrings=False, defer_build=True, extra="allow"):
    """The content of ``metrics.json``. A newer genzoo's fields are kept, and never read."""

    format: Annotated[int, Field(ge=2, le=migrate.FORMAT)] = migrate.FORMAT
    scores: Annotated[tuple[Measured, ...], Field(max_length=1000, fail_fast=True)] | None = None
    fingerprint: str | None = None
    speed: Speed | None = None

    def record(self) -> dict[str, Any]:
        """The fields that are set, for JSON."""
        record = self.model_dump(mode="json", exclude_unset=True, exclude={"scores"})
        record = {k: v for k, v in record.items() if v is not None}
        if self.scores is not None:
            record["scores"] = [score.record() for score in self.scores]
        return record


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
        hint = command("train", out=folder, resume=True)
        raise InvalidModel(f"{folder} is an unfinished training run; finish it: {hint}")
    values = read_object(path)
    return checked(Manifest, migrate.manifest(values, str(path)), str(path), InvalidModel)


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file of at most 1 MiB. Raises InvalidModel."""
    content = read_capped(path, LARGEST_JSON)
    if content.count(b",") > MOST_VALUES:  # a wrong one costs 1 kB, as each is an error of its own
        raise InvalidModel(f"{path} holds more than {MOST_VALUES:,} values")
    values = read_json(content, str(path), InvalidModel)
    if not isinstance(values, dict):
        raise InvalidModel(f"{path}: expected an object, got {type(values).__name__}")
    return values


def manifest_bytes(manifest: Manifest) -> bytes:
    """``manifest`` as the content of ``config.json``."""
    values = manifest.model_dump(mode="json")
    if recipe := values["recipe"]:
        recipe["form"] = {k: v for k, v in recipe["form"].items() if v is not None}
        for name in ("stages", "form"):  # an earlier genzoo refuses the fields, and reads the rest
            if not recipe[name]:
                del recipe[name]
    if not values["adopted"]:  # as above
        del values["adopted"]
    return (json.dumps(values, indent=2) + "\n").encode()


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
