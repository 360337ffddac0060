"""Model: a network that its config rebuilds, and what all abilities share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, final

import numpy as np
import torch
from torch import Tensor, nn

from genzoo.errors import BadInput, OperationFailed
from genzoo.models.checks import check_count
from genzoo.models.inference import folded
from genzoo.models.samples import Origin, Samples

M = TypeVar("M", bound="Model")
T = TypeVar("T")


class Model(nn.Module, ABC):
    """A network that ``type(model)(model.config)`` rebuilds; ``shape`` is one sample's.

    ``value_range`` is what the family's own tensors span, or None where they are unbounded.
    """

    shape: tuple[int, ...]
    value_range: tuple[float, float] | None = (-1.0, 1.0)
    class_names: tuple[str, ...] = ()
    origin: Origin | None = None
    provenance: Mapping[str, str] = MappingProxyType({})
    """data, license and terms of the folder that it was loaded from, which save passes on"""

    def __init__(self, config: Any):
        super().__init__()
        self.config = config

    @final
    @property
    def device(self) -> torch.device:
        return next((t.device for t in [*self.parameters(), *self.buffers()]), torch.device("cpu"))

    @final
    @property
    def is_images(self) -> bool:
        """Whether samples are pictures: (C, H, W) with one channel or three."""
        return len(self.shape) == 3 and self.shape[0] in (1, 3)

    @final
    def to_unit(self, x: Tensor) -> Tensor:
        """From the family's range to [0, 1]."""
        if self.value_range is None:
            return x.float()
        low, high = self.value_range
        return ((x.float() - low) / (high - low)).clamp(0, 1)

    @final
    def from_unit(self, images: "Samples | Tensor | np.ndarray") -> Tensor:
        """From ``(n, *shape)`` in [0, 1], or bytes, to the family's range, on its device."""
        try:
            x = torch.as_tensor(images.tensor if isinstance(images, Samples) else images)
        except (TypeError, ValueError, RuntimeError):
            raise BadInput(f"expected samples, or an array, got {images!r:.60}") from None
        x = x.to(self.device)
        x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
        if x.ndim != len(self.shape) + 1:
            raise BadInput(
                f"expected samples of shape (n, {_comma(self.shape)}), got {_comma(x.shape)}"
            )
        if self.value_range is None:
            return x
        if x.numel() and not (x.min() >= 0 and x.max() <= 1):
            low, high = x.min().item(), x.max().item()
            raise BadInput(f"expected samples in [0, 1], got [{low:.3g}, {high:.3g}]")
        low, high = self.value_range
        return x * (high - low) + low

    @final
    def checked_input(self, images: "Samples | Tensor | np.ndarray") -> Tensor:
        """``from_unit``, for samples that must have exactly the model's shape."""
        x = self.from_unit(images)
        if tuple(x.shape[1:]) != tuple(self.shape):
            raise BadInput(
                f"expected samples of shape (n, {_comma(self.shape)}), got {_comma(x.shape)}"
            )
        return x


def finite_input(model: Model, images: "Samples | Tensor | np.ndarray") -> Tensor:
    """As ``model.checked_input``, for images of which there is at least one, all finite."""
    x = model.checked_input(images)
    if not len(x):
        raise BadInput("expected at least one image, got none")
    if not torch.isfinite(x).all():
        raise BadInput("images must be finite, got NaN or infinity")
    return x


class Discriminator(nn.Module, ABC):
    """The other player of an adversarial game (the papers' ``critic`` for Wasserstein's)."""

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits, ``(n,)`` or a map of them: the higher, the more like data."""

    @abstractmethod
    def features(self, x: Tensor) -> list[Tensor]:
        """The feature maps of each hidden layer, from the input up."""


def _portions(n: int, size: int) -> Iterator[slice]:
    """The rows of each batch, at least one."""
    check_count("batch_size", size, 1)
    for start in range(0, max(n, 1), size):
        yield slice(start, min(start + size, n))


def _places(rows: slice) -> range:
    return range(rows.start, rows.stop)


def _infer(model: M, call: Callable[[M], T]) -> T:
    """Run ``call`` on the model's private copy: no gradient, in float32 whatever surrounds it."""
    with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
        return call(folded(model))


def _check_made(model: Model, did: str, x: Any, shape: tuple[int | None, ...]) -> None:
    """Whether a family's own method returned what its ability says; None: of any length."""
    got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
    fits = isinstance(x, Tensor) and len(got) == len(shape)
    if not fits or any(want not in (None, n) for want, n in zip(shape, got, strict=True)):
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise OperationFailed(f"{type(model).__name__} {did} {got}, expected a tensor ({wanted})")


def _comma(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
