"""Checks of counts and seeds that public methods share, and the slices of batches."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from genzoo import devices
from genzoo.errors import BadInput, argument, article, either

if TYPE_CHECKING:
    import torch


def check_count(name: str, value: Any, least: int) -> None:
    """Check that ``value`` is a whole number of at least ``least``. Raises BadInput."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        said = either(argument(name), name) if name.isidentifier() else name
        raise BadInput(f"{said} must be a whole number of at least {least}, got {value!r}")


def checked_pair(name: str, value: Any, separator: str, example: str) -> tuple[int, int]:
    """The two whole numbers of the argument ``name``, given as such or as text. Raises BadInput."""
    is_list = isinstance(value, Sequence | np.ndarray)
    parts: Any = value.split(separator) if isinstance(value, str) else value if is_list else ()
    one: Any
    two: Any
    try:
        one, two = (part.strip() if isinstance(part, str) else part for part in parts)
    except (TypeError, ValueError):  # not two
        one = two = None
    if not (_is_whole(one) and _is_whole(two)):
        expected = f"must be two whole numbers like {example}"
        raise BadInput(f"{argument(name)} {expected}, got {value!r:.42}")
    return int(one), int(two)


def _is_whole(part: Any) -> bool:
    if isinstance(part, str):
        return part.isdecimal() and len(part) < 19  # longer ones count nothing
    return isinstance(part, Integral) and not isinstance(part, bool)


def check_span(n: Any, start: Any) -> None:
    """Check that there are samples ``start`` to ``start + n`` of a seed. Raises BadInput."""
    check_count("n", n, 1)
    check_count("start", start, 0)
    if start + n >= 2**63:
        raise BadInput(f"start + n must be below 2**63, got start {start} and n {n}")


def checked_seed(seed: Any) -> int:
    """``seed`` as an int, from 0 to 2**63 - 1. Raises BadInput."""
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= int(seed) < 2**63:
        said = either(argument("seed"), "seed")
        raise BadInput(f"{said} must be a whole number from 0 to 2**63 - 1, got {seed!r}")
    return int(seed)


def tensor_of(value: Any, expected: str, device: "torch.device") -> "torch.Tensor":
    """``value``, numbers in a tensor, an array or lists, as a tensor on ``device``.

    Raises BadInput; ``expected``: what it should be, for the message.
    """
    import torch

    try:
        x = value if isinstance(value, torch.Tensor) else torch.as_tensor(value, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise BadInput(f"expected {expected}, got {value!r:.60}") from None
    if x.is_complex() or x.is_quantized or x.layout != torch.strided:
        kind = "sparse" if x.layout != torch.strided else str(x.dtype).removeprefix("torch.")
        raise BadInput(f"expected {expected} of real numbers, got {kind} ones")
    if x.is_meta and device.type != "meta":
        raise BadInput(f"expected {expected} with values, got a tensor on meta, which holds none")
    return x.to(device)


def check_finite(what: str, x: "torch.Tensor") -> None:
    """Check that ``x``, called ``what``, has neither NaN nor infinity. Raises BadInput."""
    finite = x.isfinite()
    if not finite.all():
        bad = x[~finite][0].item()
        count = int((~finite).sum())
        raise BadInput(f"expected {what} of finite numbers, got {bad} ({count:,} of {x.numel():,})")


def check_pairs(pairs: Any) -> list[tuple[int, int]]:
    """``pairs`` of (seed, index) as a list of whole numbers. Raises BadInput."""
    try:
        return [(checked_seed(seed), checked_seed(index)) for seed, index in pairs]
    except (TypeError, ValueError):
        what = "seeds must be pairs (seed, index) of whole numbers from 0 to 2**63 - 1"
        raise BadInput(f"{what}, got {pairs!r:.60}") from None


def explained(method: Callable[..., Any], problem: Callable[..., str]) -> Callable[..., Any]:
    """``method``, whose failure is a BadInput with the ``problem`` of its arguments, if any.

    ``problem`` gets the same arguments, and is only called after a failure: a method that trains
    a network is as fast as before.
    """

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
            text = ""
            with contextlib.suppress(Exception):  # other arguments than the method's
                text = problem(*args, **kwargs)
            if text:
                raise BadInput(text) from error
            raise

    return call


def problem_of(what: str, x: Any, shape: Sequence[int], device: "torch.device") -> str:
    """Why ``x``, called ``what``, is no batch ``(n, *shape)`` of floats on ``device``; or ""."""
    import torch

    expected = f"expected {what} of shape {shape_text(shape, 'n')}"
    if not isinstance(x, torch.Tensor):
        return f"{expected} as a tensor, got {article(x)}"
    if x.ndim != len(shape) + 1 or tuple(x.shape[1:]) != tuple(shape):
        return f"{expected}, got {shape_text(x.shape)}"
    if not x.is_floating_point():
        return f"{expected} of floats, got {str(x.dtype).removeprefix('torch.')}"
    if x.device.type != device.type:
        return f"{expected} on {device}, where the model is, got a tensor on {x.device}"
    return ""


def problem_of_labels(labels: Any, n: int, classes: int) -> str:
    """Why ``labels`` are not those of ``n`` samples of a model with so many ``classes``; or ""."""
    import torch

    if not classes:
        what = f"this model is unconditional: leave {argument('labels')} out"
        return "" if labels is None else what
    expected = f"expected labels ({n}), whole numbers from 0 to {classes - 1}"
    if not isinstance(labels, torch.Tensor):
        return f"{expected}, as a tensor, got {article(labels)}"
    if labels.shape != (n,) or labels.is_floating_point():
        got = f"{str(labels.dtype).removeprefix('torch.')} of shape {shape_text(labels.shape)}"
        return f"{expected}, got {got}"
    if not ((labels >= 0) & (labels < classes)).all():
        return f"{expected}, got {labels.min().item()} to {labels.max().item()}"
    return ""


def check_place(own: "torch.device", device: "str | torch.device") -> None:
    """Check that a model in memory, on ``own``, is where ``device`` says; "auto" leaves it there.

    Raises BadInput.
    """
    if isinstance(device, str) and device == "auto":
        return
    place = devices.device(device)
    if place.type != own.type or place.index not in (None, own.index):
        raise BadInput(f"device would have no effect: the model is on {own}; move it with .to(...)")


def fresh_seed() -> int:
    """A random seed; it is short, so that people can type it again."""
    return int(np.random.default_rng().integers(2**32))


def batch_slices(n: int, batch_size: int) -> Iterator[slice]:
    """The rows of each batch of ``n`` samples; one empty slice for none. Raises BadInput."""
    check_count("batch_size", batch_size, 1)
    for start in range(0, max(n, 1), batch_size):
        yield slice(start, min(start + batch_size, n))


def shape_text(shape: Sequence[int], before: str = "") -> str:
    """A shape for a message: ``(n, 1, 28, 28)`` with ``before="n"``."""
    return f"({', '.join([*[before] * bool(before), *map(str, shape)])})"
