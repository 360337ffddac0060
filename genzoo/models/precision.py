"""Computing in one dtype: what a family's code makes of other precision is brought to it."""

from typing import Any, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from genzoo.errors import BadInput

DTYPES = ("float32", "float16", "bfloat16", "float64")
_WRITE = {"__set__", "__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__"}


def checked_dtype(dtype: Any) -> torch.dtype:
    """One of `DTYPES`, by name or as torch's. Raises BadInput."""
    name = dtype_name(dtype) if isinstance(dtype, torch.dtype) else dtype
    if name not in DTYPES:
        raise BadInput(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r:.60}")
    found: torch.dtype = getattr(torch, name)
    return found


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@final
class InDtype(TorchFunctionMode):
    """In the block torch's functions compute in ``dtype``, whatever types they are given.

    Noise, constants and inputs are float32. Where they meet the weights, they become ``dtype``:
    float64 from the start, a half precision where the two meet, so that what a family computes in
    float32 on purpose, such as a softmax, stays so. What torch lacks in half precision is computed
    in float32.
    """

    def __init__(self, dtype: torch.dtype):
        super().__init__()
        self.dtype, self.is_wide = dtype, dtype == torch.float64

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if args and _is_in_place(getattr(func, "__name__", "")):
            target, *others = args
            own = target.dtype if _floats(target) else self.dtype
            return func(target, *_cast(others, own), **_cast(kwargs, own))
        found = {t.dtype for t in _floats((args, kwargs))}
        if len(found) > 1 or (self.is_wide and found - {self.dtype}):
            args, kwargs = (_cast(value, self.dtype) for value in (args, kwargs))
        try:
            result = func(*args, **kwargs)
        except (RuntimeError, NotImplementedError):
            if self.is_wide or self.dtype not in {t.dtype for t in _floats((args, kwargs))}:
                raise
            result = func(*_cast(args, torch.float32), **_cast(kwargs, torch.float32))
            return _cast(result, self.dtype)
        return _cast(result, self.dtype) if self.is_wide else result


def _is_in_place(name: str) -> bool:
    """Whether a function of torch of this name writes into its first argument."""
    if name.startswith("__"):
        return name in _WRITE
    return name.endswith("_")


def _floats(value: Any) -> list[Tensor]:
    """The floating-point tensors in lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in _floats(part)]
    return []


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """``value`` with its floating-point tensors in ``dtype``."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() and value.dtype != dtype else value
    if isinstance(value, dict):
        return {key: _cast(part, dtype) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_cast(part, dtype) for part in value)
    return value
