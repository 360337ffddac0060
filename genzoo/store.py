"""A model folder <-> a model. Reading is strict and bounded, and runs no code of the folder's."""

import hashlib
import json
import logging
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from genzoo import families, schemas
from genzoo.errors import BadInput, Failed, InvalidModel, UnknownName, article
from genzoo.files import check_free, expanded
from genzoo.schemas import Count, Name, Names, Schema, checked, read_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from genzoo.models import Model

FORMAT = 1
CONFIG, WEIGHTS, DISCRIMINATOR = "config.json", "model.safetensors", "discriminator.safetensors"
FILES = (CONFIG, WEIGHTS, DISCRIMINATOR, "README.md", "metrics.json", "samples.png")
LARGEST_JSON, _LARGEST_HEADER = 1 << 20, 1 << 20
_DTYPES = {  # torch's names: safetensors', bytes
    "float64": ("F64", 8),
    "float32": ("F32", 4),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
    "int64": ("I64", 8),
    "int32": ("I32", 4),
    "int16": ("I16", 2),
    "int8": ("I8", 1),
    "uint8": ("U8", 1),
    "bool": ("BOOL", 1),
}
_WIDTHS = dict(_DTYPES.values())
DTYPES = ("float32", "float16", "bfloat16")
_NARROW = {"F32", "F16", "BF16"}
_STRANGERS = {
    b"PK": "a zip archive, as torch.save writes them",
    b"\x80": "a pickle",
    b"version ": "a Git LFS pointer: the file itself was never fetched",
    b"<": "a web page",
}
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
log = logging.getLogger("genzoo")


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

    format: Literal[1] = 1
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
    licence: Name = "unknown"
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

    scores: Annotated[tuple[Measured, ...], Field(max_length=1000)] = ()
    fingerprint: str | None = None
    speed: Speed | None = None


def save(
    model: "Model",
    folder: str | Path,
    *,
    family: str | None = None,
    name: str | None = None,
    data: str | None = None,
    licence: str | None = None,
    terms: str | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    discriminator: "nn.Module | None" = None,
    recipe: Recipe | None = None,
    force: bool = False,
) -> Path:
    """Write ``model`` as a folder that ``load`` reads: all of it or nothing.

    What is not said of its data, licence and terms is what it was loaded with, as for a copy.
    Parameters are stored in ``dtype``; buffers (norm statistics among them) stay float32. Raises
    BadInput if a model is there already and ``force`` is off, Failed if it cannot be written.
    """
    from genzoo.models import Model

    if not isinstance(model, Model):
        raise BadInput(f"expected a genzoo.Model to save, got {article(model)}")
    if dtype not in DTYPES:
        raise BadInput(f"weights are stored as {', '.join(DTYPES)}, not as {dtype!r}")
    folder = expanded(folder)
    files = {WEIGHTS: _packed(model, dtype)}
    if discriminator is not None:
        files[DISCRIMINATOR] = _packed(discriminator, dtype)
    given = {"data": data, "licence": licence, "terms": terms}
    told = dict(model.provenance) | {k: v for k, v in given.items() if v is not None}
    said = {
        "name": schemas.name(name or folder.resolve().name),
        **{k: schemas.name(v) if k == "data" else v for k, v in told.items()},
        "dtype": dtype,
        "recipe": recipe and recipe.model_dump(mode="json"),
    }
    files[CONFIG] = manifest_bytes(_described(model, family or family_of(model), files, said))
    write_folder(folder, files, force=force)
    return folder


def load(folder: str | Path, device: "str | torch.device" = "auto", verify: bool = True) -> "Model":
    """The model in ``folder``, in evaluation mode.

    Nothing in the folder is run or unpickled. ``verify=False`` leaves out the hash and the look for
    non-finite weights. Raises InvalidModel, UnknownName (no such folder or family), BadInput.
    """
    from genzoo.devices import device as chosen

    folder, wanted = expanded(folder), chosen(device)
    manifest = read_manifest(folder)
    family = _family(manifest, folder)
    config = checked(family.config, manifest.config, f"{folder / CONFIG}: config", InvalidModel)
    model = _on_meta(lambda: family.model(config), folder)
    named, classes = len(manifest.class_names), getattr(model, "num_classes", 0)
    if named not in (0, classes):
        raise InvalidModel(f"{folder}: {named} class names, but the model has {classes} classes")
    _fill(model, folder / WEIGHTS, manifest.weights_sha256 if verify else None)
    model.class_names, model.origin = manifest.class_names, _origin(manifest)
    model.provenance = {k: getattr(manifest, k) for k in ("data", "licence", "terms")}
    return model.to(wanted).eval()


def load_discriminator(
    folder: str | Path, device: "str | torch.device" = "auto", verify: bool = True
) -> "nn.Module":
    """The discriminator beside the model. Raises as ``load``; BadInput if there is none."""
    from genzoo.devices import device as chosen

    folder, wanted = expanded(folder), chosen(device)
    manifest = read_manifest(folder)
    family = _family(manifest, folder)
    if family.discriminator is None or manifest.discriminator_sha256 is None:
        raise BadInput(f"{folder}: this model has no discriminator")
    build = family.discriminator
    config = checked(family.config, manifest.config, f"{folder / CONFIG}: config", InvalidModel)
    network = _on_meta(lambda: build(config), folder)
    _fill(network, folder / DISCRIMINATOR, manifest.discriminator_sha256 if verify else None)
    return network.to(wanted).eval()


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
    if type(values.get("format")) is not int or values["format"] != FORMAT:
        got = json.dumps(values.get("format"))[:40]
        raise InvalidModel(f"{path}: this genzoo reads format {FORMAT}, got {got}: upgrade genzoo")
    return checked(Manifest, values, str(path), InvalidModel)


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Each tensor's dtype and shape in a safetensors file, checked; imports no torch."""
    size = _regular(path)
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(_LARGEST_HEADER, size - 8):
            for magic, what in _STRANGERS.items():
                if start.startswith(magic):
                    raise InvalidModel(f"{path} is {what}, not safetensors")
            raise InvalidModel(f"{path} is not safetensors, or cut off ({size} bytes)")
        entries = read_json(file.read(length), f"{path}: header", InvalidModel)
    if not isinstance(entries, dict):
        raise InvalidModel(f"{path}: header: expected an object")
    found = {k: _entry(path, k, v) for k, v in entries.items() if k != "__metadata__"}
    stop = 0
    for begin, end in sorted(places for *_, places in found.values()):
        if begin != stop:
            raise InvalidModel(f"{path}: header: tensors overlap, or leave bytes between them")
        stop = end
    if 8 + length + stop != size:
        raise InvalidModel(f"{path}: the header does not describe its {size} bytes: cut off?")
    return {name: (dtype, shape) for name, (dtype, shape, _) in found.items()}


def family_of(model: "Model") -> str:
    """The family whose plugin defines the class of ``model``."""
    if model.origin is not None:
        return model.origin.family
    module = type(model).__module__
    found = [p.name for p in families.plugins() if p.value.partition(":")[0] == module]
    if len(found) != 1:
        what = f"belongs to {' and '.join(found)}" if found else "comes from no installed plugin"
        raise BadInput(f"{type(model).__name__} {what}: say which with family=")
    return found[0]


def _described(
    model: "Model", family: str, files: Mapping[str, bytes], said: dict[str, Any]
) -> Manifest:
    """What ``config.json`` says of ``model`` and its ``files``, with what was ``said`` of it."""
    plugin, version = families.installed_as(family)
    other = files.get(DISCRIMINATOR)
    found = {
        "family": family,
        "revision": families.get(family).revision,
        "plugin": plugin,
        "plugin_version": version,
        "config": model.config.model_dump(mode="json"),
        "class_names": [*map(schemas.name, model.class_names)],
        "weights_sha256": _sha256(files[WEIGHTS]),
        "discriminator_sha256": other and _sha256(other),
    }
    return checked(Manifest, {**said, **found}, "the model's card")


def manifest_bytes(manifest: Manifest) -> bytes:
    return (json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n").encode()


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write ``files`` into ``folder``: aside first; config.json comes last, with the hashes."""
    check_free(folder, FILES, force)
    folder = folder.resolve()
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        aside.mkdir(parents=True)
        for name, content in files.items():
            with (aside / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        folder.mkdir(exist_ok=True)
        for name in set(FILES) - files.keys():  # another model's card says nothing of this one
            (folder / name).unlink(missing_ok=True)
        for name in sorted(files, key=lambda n: n == CONFIG):
            (aside / name).replace(folder / name)
    except OSError as error:
        raise Failed(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _family(manifest: Manifest, folder: Path) -> families.Family:
    try:
        family = families.get(manifest.family)
    except UnknownName as error:
        missing = f"{folder.name} is a model of a family that is missing: {error}"
        hint = "A family is a plugin, code that only you can choose to install: docs/plugins.md"
        raise UnknownName(f"{missing} {hint}") from None
    if manifest.revision > family.revision:
        raise InvalidModel(
            f"{folder}: made by revision {manifest.revision} of {manifest.family}, "
            f"installed is {family.revision}: upgrade {families.installed_as(manifest.family)[0]}"
        )
    return family


def _origin(manifest: Manifest) -> Any:
    from genzoo.samples import Origin

    return Origin(manifest.name, manifest.family, manifest.weights_sha256)


def _on_meta(build: "Callable[[], Any]", folder: Path) -> Any:
    """What ``build`` makes, its tensors without memory behind them."""
    import torch
    from torch.overrides import TorchFunctionMode

    class NoInitialisation(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            known = _uninitialised(func, args, kwargs or {})
            return func(*args, **kwargs or {}) if known is None else known

    try:
        with torch.device("meta"), NoInitialisation():
            network = build()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise InvalidModel(f"{folder}: no model can be built from its config: {reason}") from error
    limit = largest_model()
    needed = sum(t.numel() * t.element_size() for t in network.state_dict().values())
    if needed > limit:
        raise InvalidModel(f"{folder}: its config asks for {needed} bytes, allowed are {limit}")
    return network


def _uninitialised(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What ``func`` gives on the meta device, known without a call; None: it must be called.

    Nothing holds initial values there, yet they cost most of the time of a load. The last two are
    what spectral norm does as it is made: torch imports its compiler to find their shapes.
    """
    import torch

    name = getattr(func, "__name__", "")
    initialises = getattr(func, "__module__", "") == "torch.nn.init"
    if initialises or name in ("normal_", "uniform_", "normalize"):
        given = [kwargs.get("out"), kwargs.get("tensor"), *args]
        return next(x for x in given if x is not None)
    if name in ("mv", "vdot"):
        return args[0][..., 0]
    if name == "div" and args[0].is_floating_point() and torch.as_tensor(args[1]).dim() == 0:
        return torch.empty_like(args[0])
    return None


def _fill(network: "nn.Module", path: Path, sha256: str | None) -> None:
    """Put the tensors of ``path`` into ``network``, which has none yet."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as unpack
    from safetensors.torch import load_file

    wanted = network.state_dict()
    _compare(wanted, read_header(path), path)
    try:
        tensors = load_file(path) if sha256 is None else unpack(_hashed(path, sha256))
    except SafetensorError as error:
        raise InvalidModel(f"{path} is not valid safetensors: {error}") from None
    state = {name: tensor.to(wanted[name].dtype) for name, tensor in tensors.items()}
    if sha256 is not None:
        for name, tensor in state.items():
            # One pass, no copy: a sum of finite weights is finite, unless they are absurd.
            if not torch.isfinite(tensor.sum()):
                raise InvalidModel(f"{path}: {name} holds values that are not finite")
    network.load_state_dict(state, assign=True)
    if bare := [n for n, t in _tensors(network) if t.is_meta]:
        raise Failed(f"{type(network).__name__} keeps {bare[0]} in neither parameter nor buffer")


def _hashed(path: Path, sha256: str) -> bytes:
    """The content of ``path``, which must have this hash; read once, so it stays what it was."""
    content = path.read_bytes()
    if _sha256(content) != sha256:
        raise InvalidModel(f"{path}: its hash is not the one in {CONFIG}: damaged or exchanged")
    return content


def largest_model() -> int:
    given = os.environ.get("GENZOO_MAX_WEIGHT_BYTES", str(8 << 30))
    if not given.isdecimal():
        raise BadInput(f"GENZOO_MAX_WEIGHT_BYTES must be a whole number of bytes, got {given!r}")
    return int(given)


def _tensors(network: "nn.Module") -> "list[tuple[str, Tensor]]":
    return [*network.named_parameters(), *network.named_buffers()]


def _compare(
    wanted: "Mapping[str, Tensor]", found: dict[str, tuple[str, tuple[int, ...]]], path: Path
) -> None:
    missing, extra = sorted(wanted.keys() - found), sorted(found.keys() - wanted)
    if missing or extra:
        parts = [f"lacks {', '.join(missing[:3])} ({len(missing)})"] * bool(missing)
        some = ", ".join(name[:80] for name in extra[:3])
        parts += [f"has unknown {some} ({len(extra)})"] * bool(extra)
        raise InvalidModel(f"{path} does not fit {CONFIG}: it {' and '.join(parts)}")
    for name, tensor in wanted.items():
        dtype, shape = found[name]
        if shape != tuple(tensor.shape):
            want = tuple(tensor.shape)
            raise InvalidModel(f"{path} does not fit {CONFIG}: {name} is {shape}, expected {want}")
        exact = _DTYPES[str(tensor.dtype).removeprefix("torch.")][0]
        if dtype != exact and not (tensor.is_floating_point() and dtype in _NARROW):
            raise InvalidModel(f"{path}: {name} has dtype {dtype}, expected {exact}")


def _entry(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """(dtype, shape, the first byte and the one behind the last) of a header's entry."""
    try:
        dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        size = _WIDTHS[dtype]
        if type(shape) is not list or len(shape) > 64:
            raise ValueError
        for side in [start, stop, *shape]:
            if type(side) is not int or not 0 <= side <= 1 << 40:
                raise ValueError
        for side in shape:
            size *= side
        if size != stop - start:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise InvalidModel(f"{path}: header: the entry {name[:80]!r} is not valid") from None
    return dtype, tuple(shape), (start, stop)


def _packed(network: "nn.Module", dtype: str) -> bytes:
    import torch
    from safetensors.torch import save as pack

    narrow = getattr(torch, dtype)
    narrowed = {name for name, p in network.named_parameters() if p.is_floating_point()}
    state = {}
    for name, tensor in network.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        state[name] = tensor.to(narrow) if name in narrowed else tensor.clone()
        if not torch.isfinite(state[name]).all():
            raise Failed(f"{name} holds values that {dtype} cannot: infinite or NaN; not saved")
    return pack(state)


def read_capped(path: Path, largest: int) -> bytes:
    """The content of a regular file of at most so many bytes. Raises InvalidModel."""
    if _regular(path) > largest:
        raise InvalidModel(f"{path} is larger than {largest} bytes")
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failed(f"cannot read {path}: {error.strerror or error}") from None


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
