"""A GPU for machines that have none: PyTorch's fake tensors, which have a device but no values.

They refuse to mix devices as real ones do.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
    unset_fake_temporarily,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = "cuda"
# What fake tensors cannot follow, although a GPU can.
UNKNOWN = (DynamicOutputShapeException, UnsupportedOperatorException)
# Between the one who asks for a value and `_Values`.
_PASSED = tuple(
    f"torch.{name}"
    for name in ("_compile", "_dynamo", "_ops", "_subclasses", "_tensor", "overrides", "utils")
)


@contextmanager
def fake_device() -> Iterator[None]:
    """In the block tensors on "cuda" are fake, on any machine; those on the CPU are real."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "User provided device_type of 'cuda'")
        with FakeTensorMode(allow_non_fake_inputs=True), _Values(), _NoBackward():
            yield


def move(module: nn.Module) -> None:
    """In a block with a fake device: replace what ``module.to("cuda")`` would move, in place."""
    for part in module.modules():
        parameters, buffers = part._parameters, part._buffers
        for name, parameter in parameters.items():
            if parameter is not None:
                moved = parameter.detach().to(DEVICE)
                parameters[name] = nn.Parameter(moved, parameter.requires_grad)
        for name, buffer in buffers.items():
            buffers[name] = None if buffer is None else buffer.to(DEVICE)


class ValueRead(RuntimeError):
    """A family asks a tensor for its values."""


class _Values(TorchDispatchMode):
    """Tensors on the CPU stay real. Of others genzoo and torch may read a value, and get one that
    is made up; a family may not.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        on_cpu = torch.device(kwargs.get("device") or "cpu").type == "cpu"
        if on_cpu and not any(isinstance(x, FakeTensor) for x in tree_leaves((args, kwargs))):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        if func is not torch.ops.aten._local_scalar_dense.default:
            return func(*args, **kwargs)
        # torch's distributions check their arguments.
        if not _caller().startswith(("genzoo.", "torch.")):
            raise ValueRead("a value of a tensor is read (by item, tolist, if or bool)")
        kind = args[0].dtype
        return True if kind == torch.bool else 1.0 if kind.is_floating_point else 1


class _NoBackward(TorchFunctionMode):
    """Gradients are zeros on the right device: autograd has no thread for one that is absent. An
    array of a tensor's values is zeros, too.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.autograd.grad:
            inputs = kwargs["inputs"] if kwargs and "inputs" in kwargs else args[1]
            each = [inputs] if isinstance(inputs, Tensor) else inputs
            return tuple(torch.zeros_like(x) for x in each)
        if func is Tensor.backward:
            return None
        if func is Tensor.numpy and isinstance(args[0], FakeTensor):
            if not _caller().startswith("genzoo."):
                raise ValueRead("the values of a tensor are read (by numpy)")
            with unset_fake_temporarily():
                return torch.zeros(args[0].shape, dtype=args[0].dtype).numpy()
        return func(*args, **(kwargs or {}))


def _caller() -> str:
    """The module that asks a tensor for its value."""
    frame = sys._getframe(1)
    while frame:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith((__name__, *_PASSED)):
            return name
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def attempt(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """What ``call`` returns, and what it raises."""
    try:
        return call(), None
    except Exception as error:  # the plugin's own code
        return None, error
