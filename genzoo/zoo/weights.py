"""safetensors files: the header checked before the weights fill a model."""

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from genzoo.errors import BadInput, InvalidModel, OperationFailed
from genzoo.families.registry import others_code, reason_of
from genzoo.schemas import read_json, renamed
from genzoo.zoo.manifest import CONFIG, sha256_of
from genzoo.zoo.reader import open_inside, size_of

if TYPE_CHECKING:
    from torch import Tensor, nn


_LARGEST_HEADER = 1 << 20
_DTYPES = {  # torch's name of a dtype: that in a safetensors file
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_NARROW = {"F32", "F16", "BF16"}  # what a floating-point tensor may be stored as
_OTHER_KINDS = {
    b"PK": "a zip archive, as torch.save writes them",
    b"\x80": "a pickle",
    b"version ": "a Git LFS pointer: the file itself was not downloaded",
    b"<": "a web page",
}
Header = dict[str, tuple[str, tuple[int, ...]]]


def read_header(path: Path) -> Header:
    """Each tensor's dtype and shape in a safetensors file, without its content; imports no torch.

    Raises InvalidModel.
    """
    with open_inside(path) as file:
        return header_of(file, size_of(file), path)


def header_of(file: BinaryIO, size: int, path: Path) -> Header:
    """The header of ``file``, of ``size`` bytes, which ``path`` names.

    Checked here: what its reader needs, and that the file is whole. That the tensors' bytes fit
    their shapes and follow each other is checked by the library, when it reads them.
    """
    file.seek(0)
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= min(_LARGEST_HEADER, size - 8):
        for magic, what in _OTHER_KINDS.items():
            if start.startswith(magic):
                raise InvalidModel(f"{path} is {what}, not safetensors")
        raise InvalidModel(f"{path} is not safetensors, or cut off ({size} bytes)")
    entries = read_json(file.read(length), f"{path}: header", InvalidModel)
    if not isinstance(entries, dict):
        raise InvalidModel(f"{path}: header: expected an object")
    tensors = {k: _entry(path, k, v) for k, v in entries.items() if k != "__metadata__"}
    stop = max((stop for *_, stop in tensors.values()), default=0)
    if 8 + length + stop != size:
        raise InvalidModel(
            f"{path} has {size} bytes, its header says {8 + length + stop}: cut off, or damaged"
        )
    return {name: (dtype, shape) for name, (dtype, shape, _) in tensors.items()}


def metadata_of(content: bytes) -> dict[str, str]:
    """The texts in the header of a safetensors file that its library has read."""
    length = int.from_bytes(content[:8], "little")
    header = read_json(content[8 : 8 + length], "the header")
    texts = header.get("__metadata__") or {}
    return {key: text for key, text in texts.items() if isinstance(text, str)}


def on_meta(build: "Callable[[], Any]", folder: Path) -> Any:
    """The network that ``build`` returns, with tensors that use no memory."""
    import torch
    from torch.overrides import TorchFunctionMode

    class NoInitialisation(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            result = _uninitialised(func, args, kwargs or {})
            return func(*args, **kwargs or {}) if result is None else result

    try:
        with others_code(), torch.device("meta"), NoInitialisation():
            network = build()
    except Exception as error:
        reason = reason_of(error)[:200]
        raise InvalidModel(f"{folder}: no model can be built from its config: {reason}") from error
    limit = largest_model()
    needed = sum(t.numel() * t.element_size() for t in network.state_dict().values())
    if needed > limit:
        raise InvalidModel(f"{folder}: its config needs {needed} bytes, the limit is {limit}")
    return network


def _uninitialised(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result of ``func`` on the meta device without a call; None if it must be called.

    Tensors hold no values there, yet to initialise them would take most of the time of a load.
    The last two cases are in spectral norm's constructor: torch imports its compiler to find their
    shapes.
    """
    import torch

    name = getattr(func, "__name__", "")
    initialises = getattr(func, "__module__", "") == "torch.nn.init"
    if initialises or name in ("normal_", "uniform_", "normalize"):
        tensors = [kwargs.get("out"), kwargs.get("tensor"), *args]
        return next(x for x in tensors if x is not None)
    if name in ("mv", "vdot"):
        return args[0][..., 0]
    if name == "div" and args[0].is_floating_point() and torch.as_tensor(args[1]).dim() == 0:
        return torch.empty_like(args[0])
    return None


def fill(
    network: "nn.Module",
    file: BinaryIO,
    path: Path,
    sha256: str | None,
    names: Mapping[str, str],
) -> None:
    """Put the tensors of ``file``, which ``path`` names, into ``network``, which has none yet.

    ``sha256``: that of the file; None reads it unverified. ``names``: the old and the new name of
    each tensor that was renamed since. Raises InvalidModel.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as unpack

    expected = network.state_dict()
    header = header_of(file, size_of(file), path)
    _compare(expected, renamed(header, names), path)  # bounds what is read next
    content = _content(file, path, sha256)
    if header_of(io.BytesIO(content), len(content), path) != header:
        raise InvalidModel(f"{path} changed while it was read")
    try:
        tensors = unpack(content)
    except SafetensorError as error:
        raise InvalidModel(f"{path} is not valid safetensors: {error}") from None
    state = {
        name: tensor.to(expected[name].dtype) for name, tensor in renamed(tensors, names).items()
    }
    if sha256 is not None:
        for name, tensor in state.items():
            # One pass, no copy: a sum of finite weights is finite, unless they are huge.
            if not torch.isfinite(tensor.sum()):
                raise InvalidModel(f"{path}: {name} holds values that are not finite")
    network.load_state_dict(state, assign=True)
    tensors_now = [*network.named_parameters(), *network.named_buffers()]
    if unset := [name for name, tensor in tensors_now if tensor.is_meta]:
        kind = type(network).__name__
        raise OperationFailed(f"{kind} keeps {unset[0]} in neither parameter nor buffer")


def _content(file: BinaryIO, path: Path, sha256: str | None) -> bytes:
    """The content of ``file``, which must have this hash if one is given."""
    file.seek(0)
    content = file.read()
    if sha256 is not None and sha256_of(content) != sha256:
        raise InvalidModel(
            f"{path}: checksum mismatch: its hash is not the one in {CONFIG}, so the file is "
            "damaged or was replaced"
        )
    return content


def largest_model() -> int:
    """The most bytes that a model's weights may have: $GENZOO_MAX_WEIGHT_BYTES, else 8 GiB."""
    limit = os.environ.get("GENZOO_MAX_WEIGHT_BYTES", str(8 << 30))
    if not limit.isdecimal():
        raise BadInput(f"GENZOO_MAX_WEIGHT_BYTES must be a whole number of bytes, got {limit!r}")
    return int(limit)


def _compare(expected: "Mapping[str, Tensor]", header: Header, path: Path) -> None:
    """Check that the file has the tensors of the network, in their shapes and dtypes."""
    missing, extra = sorted(expected.keys() - header), sorted(header.keys() - expected)
    if missing or extra:
        parts = [f"lacks {', '.join(missing[:3])} ({len(missing)})"] * bool(missing)
        some = ", ".join(name[:80] for name in extra[:3])
        parts += [f"has unknown {some} ({len(extra)})"] * bool(extra)
        raise InvalidModel(f"{path} does not fit {CONFIG}: it {' and '.join(parts)}")
    for name, tensor in expected.items():
        dtype, shape = header[name]
        if shape != (own := tuple(tensor.shape)):
            raise InvalidModel(f"{path} does not fit {CONFIG}: {name} is {shape}, expected {own}")
        exact = _DTYPES[str(tensor.dtype).removeprefix("torch.")]
        if dtype != exact and not (tensor.is_floating_point() and dtype in _NARROW):
            raise InvalidModel(f"{path}: {name} has dtype {dtype[:20]}, expected {exact}")


def _entry(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], int]:
    """(dtype, shape, the byte behind the last) of a header's entry."""
    try:
        dtype, shape, (_, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = isinstance(dtype, str) and isinstance(shape, list) and len(shape) <= 64
        whole = whole and all(type(n) is int and 0 <= n <= 1 << 40 for n in (stop, *shape))
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise InvalidModel(f"{path}: header: the entry {name[:80]!r} is not valid")
    return dtype, tuple(shape), stop


def pack(network: "nn.Module", dtype: str) -> bytes:
    """``network`` as a safetensors file: parameters as ``dtype``, buffers as they are."""
    import torch
    from safetensors.torch import save

    narrow = getattr(torch, dtype)
    narrowed = {name for name, p in network.named_parameters() if p.is_floating_point()}
    state = {}
    for name, tensor in network.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        state[name] = tensor.to(narrow) if name in narrowed else tensor.clone()
        if not torch.isfinite(state[name]).all():
            raise OperationFailed(
                f"not saved: {name} holds values that {dtype} cannot: infinite or NaN"
            )
    return save(state)
