"""safetensors files: the header checked before the weights fill a model."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.errors import BadInput, InvalidModel, OperationFailed
from genzoo.schemas import read_json, renamed
from genzoo.zoo.manifest import _LARGEST_HEADER, CONFIG, _regular, _sha256

if TYPE_CHECKING:
    from torch import Tensor, nn


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
_NARROW = {"F32", "F16", "BF16"}
_STRANGERS = {
    b"PK": "a zip archive, as torch.save writes them",
    b"\x80": "a pickle",
    b"version ": "a Git LFS pointer: the file itself was never fetched",
    b"<": "a web page",
}


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


def _fill(
    network: "nn.Module", path: Path, sha256: str | None, names: Mapping[str, str] | None = None
) -> None:
    """Put the tensors of ``path`` into ``network``, which has none yet; ``names``: of those that
    are called otherwise in the file, the old and the new name.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as unpack
    from safetensors.torch import load_file

    wanted, names = network.state_dict(), names or {}
    _compare(wanted, renamed(read_header(path), names), path)
    try:
        tensors = load_file(path) if sha256 is None else unpack(_hashed(path, sha256))
    except SafetensorError as error:
        raise InvalidModel(f"{path} is not valid safetensors: {error}") from None
    state = {
        name: tensor.to(wanted[name].dtype) for name, tensor in renamed(tensors, names).items()
    }
    if sha256 is not None:
        for name, tensor in state.items():
            # One pass, no copy: a sum of finite weights is finite, unless they are absurd.
            if not torch.isfinite(tensor.sum()):
                raise InvalidModel(f"{path}: {name} holds values that are not finite")
    network.load_state_dict(state, assign=True)
    if bare := [n for n, t in _tensors(network) if t.is_meta]:
        raise OperationFailed(
            f"{type(network).__name__} keeps {bare[0]} in neither parameter nor buffer"
        )


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
            raise OperationFailed(
                f"{name} holds values that {dtype} cannot: infinite or NaN; not saved"
            )
    return pack(state)
