"""Files of weights that others wrote: their tensors by name, without running code of the file's.

A .pth, .pt, .bin or .ckpt file is read by torch's weights-only reader. What a file is, its first
bytes say, not its name.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from genzoo.errors import BadInput, InvalidModel
from genzoo.zoo.manifest import sha256_of
from genzoo.zoo.reader import open_named, size_of
from genzoo.zoo.weights import header_of, largest_model

if TYPE_CHECKING:
    from torch import Tensor

Tensors = dict[str, "Tensor"]

_DEEPEST, _MOST = 4, 20_000  # dicts in dicts; tensors, as in a header of safetensors
_WRAPPERS = re.compile(r"(^|\.)(module|_orig_mod)(?=\.)")  # of data parallelism, of compiling
# What others call a network inside a file, in small letters.
_AVERAGES = "ema|g_ema|ema_g|ema_model|model_ema|netg_ema|generator_ema|params_ema|avgg"
_GENERATORS = "netg|g|generator|gen|gnet|online_model"
_DISCRIMINATORS = "netd|d|discriminator|disc|critic|dnet"
_AVERAGE = re.compile(rf"(^|\.)({_AVERAGES}|\w+_ema|ema_\w+)(\.|$)", re.IGNORECASE)
_DISCRIMINATOR = re.compile(rf"(^|\.)({_DISCRIMINATORS})(\.|$)", re.IGNORECASE)
_NETWORK = re.compile(f"({_AVERAGES}|{_GENERATORS}|{_DISCRIMINATORS})", re.IGNORECASE)


# What torch's reader says of a name that it does not know.
_REFUSED = re.compile(r"(?:[Uu]nsupported (?:global: )?GLOBAL|Unsupported class) ([\w.]+)")
_WAY = "in the code that made it, type torch.save(network.state_dict(), 'weights.pth')"
_OTHERS = re.compile(r"(?!torch\.|numpy\.)[\w.]+\.[A-Z]\w*")  # a class, as its name says


@final
@dataclass(frozen=True)
class CheckpointFile:
    """The networks in a file, by their place in it: "" for a file of one network.

    Averaged copies come first, discriminators last.
    """

    path: Path
    sha256: str
    networks: dict[str, Tensors]


def read_checkpoint(path: Path) -> CheckpointFile:
    """All networks in the file at ``path``.

    Raises BadInput if it cannot be read, InvalidModel if it holds more than plain tensors.
    """
    with open_named(path) as file:
        if (size := size_of(file)) > (limit := largest_model()):
            raise BadInput(f"{path} has {size} bytes, the limit is {limit}")
        content = file.read(size)
    with warnings.catch_warnings():  # of kinds of tensors that are refused below
        warnings.simplefilter("ignore")
        unpacked = _unpacked(content, path)
    found = dict(_networks(unpacked, ""))
    networks = {k: tensors for label in found for k, tensors in _parts(label, found[label])}
    if not networks:
        raise InvalidModel(f"{path} holds no tensors by name: expected the state_dict of a network")
    for tensors in networks.values():
        for name, tensor in tensors.items():
            _check_plain(path, name, tensor)
    ranked = sorted(networks, key=_rank)
    return CheckpointFile(path, sha256_of(content), {label: networks[label] for label in ranked})


def _unpacked(content: bytes, path: Path) -> Any:
    """What a file of torch, or of safetensors, holds."""
    if not content:
        raise InvalidModel(f"{path} is empty")
    if content.startswith(b"version https://git-lfs"):
        way = "type git lfs pull where it was cloned"
        raise InvalidModel(f"{path} is a Git LFS pointer, not the file itself: {way}")
    if content.startswith(b"PK"):
        _check_zip(content, path)
        return _loaded(content, path)
    if content.startswith(b"\x80"):
        return _loaded(content, path)
    from safetensors import SafetensorError
    from safetensors.torch import load as unpack

    if content[8:9] != b"{" and not content.startswith(b"<"):  # its header, or a web page
        raise InvalidModel(f"{path} is neither a file of torch.save nor safetensors")
    header_of(io.BytesIO(content), len(content), path)
    try:
        return dict(sorted(unpack(content).items(), key=_place))
    except SafetensorError as error:
        raise InvalidModel(f"{path} is not valid safetensors: {error}") from None


def _place(named: tuple[str, Any]) -> list[tuple[int, int, str]]:
    """By what tensors are sorted, whose file does not keep their order: layer 10 follows 9."""
    parts = named[0].split(".")
    return [(0, int(p), "") if p.isdecimal() and len(p) < 9 else (1, 0, p) for p in parts]


def _check_zip(content: bytes, path: Path) -> None:
    """Check that unpacking takes no more memory than the file. torch.save compresses nothing."""
    try:
        entries = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise InvalidModel(f"{path} is a damaged or cut off zip archive: {error}") from None
    is_packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if is_packed or sum(entry.file_size for entry in entries) > len(content):
        raise InvalidModel(f"{path} is a compressed zip archive, not a file of torch.save")
    names = [entry.filename for entry in entries]
    if not any(name.endswith("/data.pkl") for name in names):
        is_numpys = any(name.endswith(".npy") for name in names)
        what = "arrays of NumPy (.npz)" if is_numpys else "a zip archive"
        raise InvalidModel(f"{path} is {what}, not a file of torch.save")
    if any(name.endswith("/constants.pkl") for name in names):
        raise InvalidModel(f"{path} is a program of torch.jit: {_WAY}")


@final
class _Record:
    """Stands for an object of options beside the weights, of any class: it is kept unread."""


def _loaded(content: bytes, path: Path) -> Any:
    """What torch.save wrote, by its reader of plain tensors.

    An object of a class of others becomes a `_Record`: its class is not imported. Such a record
    takes no arguments, so that what must be called to be made is refused.
    """
    import torch

    names: list[str] = []
    while True:
        try:
            with torch.serialization.safe_globals([(_Record, name) for name in names]):
                return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # of a damaged file, any
            text = " ".join(str(error).split())
        if "magic number" in text or "Unsupported operand" in text:
            raise InvalidModel(f"{path} is a pickle that torch.save did not write: {_WAY}")
        found = _REFUSED.search(text)
        if not found or not _OTHERS.fullmatch(found[1]) or found[1] in names or names[7:]:
            break
        names.append(found[1])
    if code := (names[0] if names else found and found[1]):
        raise InvalidModel(f"{path} holds {code}, which only code can make: not read; {_WAY}")
    reason = re.sub(r"^Weights only load failed\..*?: ", "", text)[:120]
    raise InvalidModel(f"{path} cannot be read as plain tensors: {reason}")


def _networks(value: Any, label: str, depth: int = 0) -> Iterator[tuple[str, Tensors]]:
    """Each dict of tensors by name inside of ``value``, with its place."""
    from torch import Tensor

    if not isinstance(value, Mapping):
        return
    if len(value) > _MOST:
        raise BadInput(f"a dict of {len(value):,} values: expected at most {_MOST:,} tensors")
    items = [(key, one) for key, one in value.items() if isinstance(key, str)]
    tensors = {key: one for key, one in items if isinstance(one, Tensor)}
    if any(tensor.ndim for tensor in tensors.values()):
        yield label, tensors
    for key, one in items if depth < _DEEPEST else ():
        if "optim" not in key.lower():
            yield from _networks(one, f"{label}.{key}".strip("."), depth + 1)


def _parts(label: str, tensors: Tensors) -> Iterator[tuple[str, Tensors]]:
    """The networks in one dict of tensors: several have the names of an attribute in front."""
    plain = {_WRAPPERS.sub("", name).removeprefix("."): one for name, one in tensors.items()}
    if len(plain) < len(tensors):  # both of two names that differ by a wrapper alone
        plain = tensors
    parts: dict[str, Tensors] = {}
    for name, tensor in plain.items():
        first, point, rest = name.partition(".")
        inner = bool(point) and bool(_NETWORK.fullmatch(first))
        part = parts.setdefault(first if inner else "", {})
        part[rest if inner else name] = tensor
    for part_label, part in parts.items():
        if any(tensor.ndim for tensor in part.values()):
            yield f"{label}.{part_label}".strip("."), part


def _rank(label: str) -> int:
    return 0 if is_average(label) else 2 if is_discriminator(label) else 1


def is_average(label: str) -> bool:
    """Whether a network of this name is an averaged copy of another one."""
    return bool(_AVERAGE.search(label))


def is_discriminator(label: str) -> bool:
    """Whether a network of this name is a discriminator, and not an average of another one."""
    return bool(_DISCRIMINATOR.search(label))


def _check_plain(path: Path, name: str, tensor: "Tensor") -> None:
    """Check that a tensor holds a number for each of its places."""
    import torch

    whole = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not (whole and not tensor.is_quantized and not tensor.is_complex()):
        raise InvalidModel(f"{path}: {name[:80]} is not a plain tensor")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise InvalidModel(f"{path}: {name[:80]} has more values than the file")
