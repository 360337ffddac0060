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
from typing import Any, TypeGuard, TypeVar, cast, final

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from genzoo.errors import OperationFailed
from genzoo.models.precision import InDtype, dtype_name
from genzoo.schemas import Schema

_State = list[Any]
M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")
_lock = threading.Lock()
# torch's own attributes of a module: tensors and modules, which are compared as such, and the mode.
_OF_TORCH = frozenset(vars(nn.Module()))
_COMPILER = ("torch._dynamo", "torch._inductor")
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
_copies: weakref.WeakKeyDictionary[nn.Module, dict[Execution, tuple[_State, nn.Module]]] = (
    weakref.WeakKeyDictionary()
)


def inference_copy(model: M, execution: Execution = PLAIN) -> M:
    """A copy of ``model`` for inference, reused until a tensor or an attribute of it changes."""
    with _lock:
        state = _state(model)
        copies = _copies.setdefault(model, {})
        entry = copies.get(execution)
        if entry is None or entry[0] != state:
            entry = copies[execution] = (state, _make_copy(model, execution))
    return cast(M, entry[1])


def run(model: M, execution: Execution, call: Callable[[M], T]) -> T:
    """The result of ``call`` on the private copy, in float32. Raises OperationFailed if the copy
    cannot be compiled.
    """
    if execution == PLAIN:
        return call(inference_copy(model))
    private = inference_copy(model, execution)
    in_dtype = nullcontext() if execution.dtype == torch.float32 else InDtype(execution.dtype)
    try:
        with in_dtype:
            result = call(private)
    except Exception as error:
        if execution.compile and type(error).__module__.startswith(_COMPILER):
            reason = str(error).strip().partition("\n")[0][:200]
            what = f"{type(model).__name__} cannot be compiled on this machine"
            raise OperationFailed(f"{what}, load it without compile=True: {reason}") from error
        raise
    return _in_float32(result)


def _in_float32(result: Any) -> Any:
    """``result`` with its tensors of other floating types in float32, as they are by default."""
    if isinstance(result, tuple):
        return tuple(map(_in_float32, result))
    is_float = isinstance(result, Tensor) and result.is_floating_point()
    return result.float() if is_float else result


def _state(model: nn.Module) -> _State:
    """The plain attributes of all modules; and place, version and sum of each tensor.

    Writes through ``.data`` change only the sum.
    """
    tensors = [*model.parameters(), *model.buffers()]
    plain = []
    for module in model.modules():
        own = vars(module)
        for name in own.keys() - _OF_TORCH:  # in C, as this runs before each batch
            value = own.get(name)
            simple = type(value) in _SIMPLE
            plain.append((name, value if simple else _fingerprint(value, tensors, ())))
    with torch.no_grad():
        sums = torch.stack([_sum(t) for t in tensors]).nan_to_num().tolist() if tensors else []
    return [plain, [(t.data_ptr(), _version(t), s) for t, s in zip(tensors, sums, strict=True)]]


def _fingerprint(value: Any, tensors: list[Tensor], above: tuple[int, ...]) -> Any:
    """What changes if the attribute ``value`` does; its tensors are added to ``tensors``.

    It refers to no part of the model, which would never be freed. ``above``: the ids of what holds
    ``value``.
    """
    if type(value) in _SIMPLE or isinstance(value, Schema):
        return value
    if isinstance(value, Tensor):
        tensors.append(value)
        return "tensor"
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if id(value) in above:
        return "circle"
    above = (*above, id(value))
    if isinstance(value, Mapping):
        value = [*value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        if all(type(part) in _SIMPLE for part in value):
            return [*value]
        return [_fingerprint(part, tensors, above) for part in value]
    own = None if isinstance(value, type) else getattr(value, "__dict__", None)
    return _fingerprint(own, tensors, above) if own else id(value)


def _sum(tensor: Tensor) -> Tensor:
    return tensor.sum(dtype=torch.float32)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _make_copy(model: nn.Module, execution: Execution) -> nn.Module:
    model = copy.deepcopy(model).eval().requires_grad_(False)
    is_wide = execution.dtype == torch.float64  # folding in half precision would lose digits
    model = model.double() if is_wide else model.float()
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential) and _is_plain(module):
            _fold_norms(module)
            for i, layer in enumerate(module):
                module[i] = _faster_layer(layer)
    model = channels_last(model).eval()
    if execution.dtype in (torch.float16, torch.bfloat16):
        model = model.to(execution.dtype)
    if execution.compile:
        for part in largest_called(model):
            part.compile()
    return model


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
