"""The private copy of a model that infers: in evaluation mode, folded, channels-last.

The model itself stays as it is, in its mode and its memory layout, whichever threads sample.
"""

import copy
import threading
import weakref
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

_Mark = list[tuple[int, int, float]]
M = TypeVar("M", bound=nn.Module)

_copies: weakref.WeakKeyDictionary[nn.Module, tuple[_Mark, nn.Module]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def folded(model: M) -> M:
    """A copy of ``model`` for inference, kept until one of its parameters or buffers changes."""
    with _lock:
        mark = _mark(model)
        kept = _copies.get(model)
        if kept is None or kept[0] != mark:
            kept = _copies[model] = (mark, _folded(model))
    return cast(M, kept[1])


def _mark(model: nn.Module) -> _Mark:
    """What changes when the state does; the sums catch writes through ``.data``, unversioned."""
    state = [*model.parameters(), *model.buffers()]
    with torch.no_grad():
        sums = torch.stack([_sum(t) for t in state]).nan_to_num().tolist() if state else []
    return [(t.data_ptr(), _version(t), s) for t, s in zip(state, sums, strict=True)]


def _sum(tensor: Tensor) -> Tensor:
    return tensor.sum(dtype=torch.float32)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _folded(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            _fold_sequence(module)
    return model.to(memory_format=torch.channels_last)


def _fold_sequence(layers: nn.Sequential) -> None:
    """Multiply each batch norm's statistics into the layer before it."""
    for i, (first, norm) in enumerate(zip(list(layers), list(layers)[1:], strict=False)):
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or norm.running_mean is None:
            continue
        if isinstance(first, nn.Conv2d | nn.ConvTranspose2d) and _foldable(first):
            transposed = isinstance(first, nn.ConvTranspose2d)
            layers[i] = fuse_conv_bn_eval(first, norm, transpose=transposed)
        elif isinstance(first, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
            layers[i] = fuse_linear_bn_eval(first, norm)
        else:
            continue
        layers[i + 1] = nn.Identity()


def _foldable(conv: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    plain = not nn.utils.parametrize.is_parametrized(conv)
    return plain and (conv.groups == 1 or isinstance(conv, nn.Conv2d))
