"""The private copy of a model that inference runs on: evaluation mode, norms folded in, float32 or
the dtype of the model's `Execution`, compiled if that says so.

The model itself keeps its mode, its dtype and its memory layout, whichever threads sample.
"""

import copy
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeGuard, TypeVar, cast, final

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations

from genzoo.devices import usual_tensors
from genzoo.errors import OperationFailed
from genzoo.models.precision import InDtype, dtype_name
from genzoo.models.threads import using
from genzoo.schemas import Schema

_State = list[Any]
M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")
_lock = threading.Lock()
# torch's own attributes of a module: tensors and modules, which are compared as such, and the mode.
_OF_TORCH = frozenset(vars(nn.Module()))
_PARAMETRIZATIONS = "torch.nn.utils.parametrizations"
_COMPILER = ("torch._dynamo", "torch._inductor")
_HALVES = (torch.float16, torch.bfloat16)
_SMALL = 2048  # values: fewer of them are copied sooner than summed
_SIMPLE = {type(None), bool, int, float, complex, str, bytes}


@final
@dataclass(frozen=True)
class Execution:
    """How a model's private copy computes: in which dtype, and whether compiled."""

    dtype: torch.dtype = torch.float32
    compile: bool = False

    def record(self) -> dict[str, Any]:
        """What differs from the default, for the record of samples."""
        name = {} if self.dtype == torch.float32 else {"dtype": dtype_name(self.dtype)}
        return {**name, **({"compile": True} if self.compile else {})}

    def __str__(self) -> str:
        return dtype_name(self.dtype) + ", compiled" * self.compile


PLAIN = Execution()
_copies: weakref.WeakKeyDictionary[nn.Module, dict[Execution, "_Copy"]] = (
    weakref.WeakKeyDictionary()
)


@final
class _Copy(NamedTuple):
    """A private copy, and the state of its model, as `_state` has it with these ``shared``: the
    addresses of the parameters that both have in one memory.
    """

    module: nn.Module
    state: _State
    shared: frozenset[int]


def inference_copy(model: M, execution: Execution = PLAIN) -> M:
    """A copy of ``model`` for inference, reused until a tensor or an attribute of it changes."""
    with _lock, using(1):  # several threads would take turns at each small sum
        copies = _copies.setdefault(model, {})
        known = copies.get(execution)
        if known is None or known.state != _state(model, known.shared):
            kind = next((p.device.type for p in model.parameters()), "cpu")
            with torch.autocast(kind, enabled=False), usual_tensors():
                module, shared = _make_copy(model, execution)
            known = copies[execution] = _Copy(module, _state(model, shared), shared)
    return cast(M, known.module)


def run(private: M, execution: Execution, call: Callable[[M], T]) -> T:
    """The result of ``call`` on a private copy, in float32. Raises OperationFailed if the copy
    cannot be compiled.
    """
    if execution == PLAIN:
        return call(private)
    in_dtype = nullcontext() if execution.dtype == torch.float32 else InDtype(execution.dtype)
    try:
        with in_dtype:
            result = call(private)
    except Exception as error:
        if execution.compile and type(error).__module__.startswith(_COMPILER):
            reason = str(error).strip().partition("\n")[0][:200]
            what = f"{type(private).__name__} cannot be compiled on this machine"
            raise OperationFailed(f"{what}, load it without compile=True: {reason}") from error
        raise
    result = _in_float32(result)
    if execution.dtype in _HALVES and not _is_finite(result):
        what = f"{type(private).__name__} gives values that are not finite in {execution}"
        raise OperationFailed(f"{what}: load it in another dtype")
    return result


def _is_finite(result: Any) -> bool:
    if isinstance(result, tuple):
        return all(map(_is_finite, result))
    return not isinstance(result, Tensor) or bool(torch.isfinite(result).all())


def _in_float32(result: Any) -> Any:
    """``result`` with its tensors of other floating types in float32, as they are by default."""
    if isinstance(result, tuple):
        return tuple(map(_in_float32, result))
    is_float = isinstance(result, Tensor) and result.is_floating_point()
    return result.float() if is_float else result


def _state(model: nn.Module, shared: frozenset[int]) -> _State:
    """The plain attributes of all modules; and of each tensor the place, the version, and all its
    values or, if it is large, their sum.

    Writes through ``.data`` change only the last. Parameters in memory that is ``shared`` are not
    read, which would take longer than all else: the copy has what is written there.
    """
    found: dict[int, Tensor] = {}
    same = set[int]()
    plain = []
    for module in _modules(model):
        own = vars(module)
        for tensor in own["_parameters"].values():
            if tensor is not None:
                found[id(tensor)] = tensor
                if tensor.data_ptr() in shared:
                    same.add(id(tensor))
        for tensor in own["_buffers"].values():
            if tensor is not None:
                found[id(tensor)] = tensor
        for name in own.keys() - _OF_TORCH:
            value = own.get(name)
            simple = type(value) in _SIMPLE
            plain.append((name, value if simple else _fingerprint(value, found, ())))
    places = [(t.data_ptr(), _version(t)) for t in found.values()]
    return [plain, places, *_contents([t for i, t in found.items() if i not in same])]


@torch.no_grad()
def _contents(tensors: list[Tensor]) -> tuple[list[float], list[bytes]]:
    """The sums of the large tensors, and all values of the small ones.

    The small ones are read together: a call of torch's for each would take longer than they do.
    """
    small: dict[torch.dtype, list[Tensor]] = {}
    sums = []
    for tensor in tensors:
        if tensor.numel() > _SMALL:
            sums.append(_sum(tensor))
        else:
            flat = tensor if tensor.ndim == 1 else tensor.reshape(-1)
            small.setdefault(tensor.dtype, []).append(flat)
    joined = [torch.cat(parts).view(torch.uint8).cpu() for parts in small.values()]
    total = torch.stack(sums).nan_to_num().tolist() if sums else []
    return total, [values.numpy().tobytes() for values in joined]


def _modules(model: nn.Module) -> list[nn.Module]:
    """As ``model.modules()``, which also writes their names, in a fifth of the time."""
    modules, seen = [model], {id(model)}
    for module in modules:
        for part in vars(module)["_modules"].values():
            if part is not None and id(part) not in seen:
                seen.add(id(part))
                modules.append(part)
    return modules


def _fingerprint(value: Any, tensors: dict[int, Tensor], above: tuple[int, ...]) -> Any:
    """What changes if the attribute ``value`` does; its tensors are added to ``tensors``, by id.

    It refers to no part of the model, which would never be freed. ``above``: the ids of what holds
    ``value``.
    """
    if type(value) in _SIMPLE or isinstance(value, Schema):
        return value
    if type(value) is tuple and _SIMPLE.issuperset(map(type, value)):
        return value
    if isinstance(value, Tensor):
        tensors[id(value)] = value
        return "tensor"
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if id(value) in above:
        return "circle"
    above = (*above, id(value))
    if isinstance(value, Mapping):
        value = [*value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        if _SIMPLE.issuperset(map(type, value)):
            return [*value]
        return [_fingerprint(part, tensors, above) for part in value]
    own = None if isinstance(value, type) else getattr(value, "__dict__", None)
    return _fingerprint(own, tensors, above) if own else id(value)


def _sum(tensor: Tensor) -> Tensor:
    return tensor.sum(dtype=torch.float32)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _make_copy(model: nn.Module, execution: Execution) -> tuple[nn.Module, frozenset[int]]:
    """The private copy, and the addresses of the parameters that it has in the model's memory."""
    memory: dict[int, Any] = {id(p): _shared(p) for p in model.parameters()}
    theirs = {p.data_ptr() for p in memory.values()}
    model = copy.deepcopy(model, memory).eval().requires_grad_(False)
    is_wide = execution.dtype == torch.float64  # folding in half precision would lose digits
    model = model.double() if is_wide else model.float()
    rewritten = set(_bake(model))
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential) and _is_plain(module):
            before = list(module)
            _fold_norms(module)
            for i, layer in enumerate(module):
                module[i] = _faster_layer(layer)
            changed = (a for a, b in zip(before, module, strict=True) if a is not b)
            rewritten.update(p.data_ptr() for layer in changed for p in layer.parameters())
    model = channels_last(model).eval()
    if execution.dtype in _HALVES:
        for parameter in model.parameters():  # buffers hold tables, which rounding would break
            parameter.data = parameter.data.to(execution.dtype)
    if execution.compile:
        for part in largest_called(model):
            part.compile()
    ours = {p.data_ptr() for p in model.parameters()}
    return model, frozenset((theirs & ours) - rewritten)


def _shared(parameter: nn.Parameter) -> nn.Parameter:
    """A parameter in the same memory, without gradient."""
    return nn.Parameter(parameter.data, requires_grad=False)


def _bake(model: nn.Module) -> Iterator[int]:
    """Replace weights that torch's parametrizations, such as a spectral norm, compute at each
    access by what they are in evaluation mode. Yields the addresses of the parameters read.

    torch's ``remove_parametrizations`` changes the class, which the model's own layers share.
    """
    for module in filter(is_parametrized, list(model.modules())):
        lists: Any = module.parametrizations
        parts = (part for each in lists.values() for part in each)
        if any(type(part).__module__ != _PARAMETRIZATIONS for part in parts):
            continue
        yield from (p.data_ptr() for p in lists.parameters())
        weights = {name: getattr(module, name).detach() for name in lists}
        module.__class__ = type_before_parametrizations(module)
        del module.parametrizations
        for name, weight in weights.items():
            setattr(module, name, nn.Parameter(weight, requires_grad=False))


def largest_called(network: nn.Module) -> Iterator[nn.Module]:
    """The largest parts of ``network`` that are called: lists of modules and models are not."""
    for part in network.children():
        if type(part).forward is nn.Module.forward:
            yield from largest_called(part)
        else:
            yield part


def channels_last(model: M) -> M:
    """Change, in place, the memory layout of 2-d convolutions' weights to the fastest kernels'."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return model


def _fold_norms(layers: nn.Sequential) -> None:
    """Fold each batch norm's statistics into the weights of the layer before it."""
    for i, (first, norm) in enumerate(pairwise(list(layers))):
        if (
            not (_is_plain(first) and _is_plain(norm))
            or getattr(norm, "running_mean", None) is None
        ):
            continue
        if isinstance(norm, nn.BatchNorm2d) and _is_ungrouped(first):
            transposed = isinstance(first, nn.ConvTranspose2d)
            layers[i] = fuse_conv_bn_eval(first, norm, transpose=transposed)
        elif isinstance(norm, nn.BatchNorm1d) and isinstance(first, nn.Linear) and norm.affine:
            if first.out_features != norm.num_features:
                continue
            layers[i] = _LinearNorm(first, norm)
        else:
            continue
        layers[i + 1] = nn.Identity()


def _faster_layer(layer: nn.Module) -> nn.Module:
    """A layer that computes the same and runs faster, or the layer itself."""
    if not isinstance(layer, nn.ConvTranspose2d) or not _is_plain(layer) or layer.groups > 1:
        return layer
    form = (layer.stride, layer.padding, layer.output_padding, layer.dilation)
    if form == ((1, 1), (0, 0), (0, 0), (1, 1)):
        return _Projection(layer)
    if layer.kernel_size == (4, 4) and form == ((2, 2), (1, 1), (0, 0), (1, 1)):
        # Few maps leave a transposed convolution's vector units idle; four times as many do not.
        return _sub_pixel(layer) if layer.out_channels <= 4 else layer
    return layer


def _is_plain(layer: nn.Module) -> bool:
    """Whether it is torch's class: a subclass, a parametrization or a hook may compute more."""
    own = type(layer).__module__.startswith("torch.nn.modules.")
    return own and not (layer._forward_hooks or layer._forward_pre_hooks)


def _is_ungrouped(layer: nn.Module) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    return isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.groups == 1


class _LinearNorm(nn.Module):
    """A linear layer and a batch norm in one product, if both act on the same axis."""

    def __init__(self, linear: nn.Linear, norm: nn.BatchNorm1d):
        super().__init__()
        self.fused, self.linear, self.norm = fuse_linear_bn_eval(linear, norm), linear, norm

    def forward(self, x: Tensor) -> Tensor:  # (n, in) -> (n, out), or (n, C, in) -> (n, C, out)
        return self.fused(x) if x.ndim == 2 else self.norm(self.linear(x))


class _Projection(nn.Module):
    """A transposed convolution; for a single-pixel input, one matrix product."""

    def __init__(self, conv: nn.ConvTranspose2d):
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:  # (n, in, H, W) -> (n, out, H + k - 1, W + k - 1)
        if x.shape[2:] != (1, 1):
            return self.conv(x)
        weight = self.conv.weight
        # The result is channels-last, the layout that the next layer computes fastest in.
        flat = x.flatten(1) @ rearrange(weight, "inner outer h w -> inner (h w outer)")
        height, width = weight.shape[2:]
        maps = rearrange(flat, "n (h w outer) -> n outer h w", h=height, w=width)
        return maps if self.conv.bias is None else maps + self.conv.bias[:, None, None]


def _sub_pixel(conv: nn.ConvTranspose2d) -> nn.Module:
    """Kernel 4, stride 2, padding 1 as a 3x3 convolution to four times the maps, interleaved.

    An even output row meets kernel rows 3 and 1, an odd one 2 and 0 (Shi et al. 2016, section 3).
    """
    inputs, outputs = conv.in_channels, conv.out_channels
    # On meta, so that torch's generator draws no initial weights.
    new = nn.Conv2d(inputs, 4 * outputs, 3, 1, 1, bias=conv.bias is not None, device="meta")
    taps = conv.weight.new_zeros(2, 3, 4)  # (parity, row of the 3x3, row of the 4x4)
    taps[0, 0, 3] = taps[0, 1, 1] = taps[1, 1, 2] = taps[1, 2, 0] = 1
    weight = torch.einsum("iokl,pyk,qxl->opqiyx", conv.weight, taps, taps)
    weight = rearrange(weight, "o p q i y x -> (o p q) i y x")
    new.weight = nn.Parameter(weight, requires_grad=False)
    if conv.bias is not None:
        bias = repeat(conv.bias, "outer -> (outer four)", four=4)
        new.bias = nn.Parameter(bias, requires_grad=False)
    return nn.Sequential(new, nn.PixelShuffle(2))
