"""Model: a network that its config rebuilds, and what all abilities share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, final

import numpy as np
import torch
from torch import Tensor, nn

from genzoo.errors import BadInput, OperationFailed, article
from genzoo.models.checks import shape_text
from genzoo.models.inference import inference_copy
from genzoo.models.samples import Arrays, Images, Origin, Samples

M = TypeVar("M", bound="Model")
T = TypeVar("T")


class Model(nn.Module, ABC):
    """A network that ``type(model)(model.config)`` rebuilds; ``shape`` is that of one sample.

    ``value_range`` is the range of the family's own tensors, or None if they are unbounded. A
    model's abilities are its other base classes. A family writes a method in its own range; users
    call one that takes and gives samples in [0, 1]:

    ==========  ==============  =================================
    ability     a family writes users call
    ==========  ==============  =================================
    Sampler     generate        sample, stream
    Latent      decode          codes, decode_codes, and the above
    Attentive   attend          attention
    Encoder     embed           encode
    Density     log_weight      log_prob
    Translator  convert         translate
    Completer   complete        genzoo.inpaint
    ==========  ==============  =================================
    """

    shape: tuple[int, ...]
    value_range: tuple[float, float] | None = (-1.0, 1.0)
    class_names: tuple[str, ...] = ()
    origin: Origin | None = None
    provenance: Mapping[str, str] = MappingProxyType({})
    """data, license and terms of the folder that it was loaded from; ``save`` passes them on"""

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
        """Whether samples are images: (C, H, W) with one or three channels."""
        return len(self.shape) == 3 and self.shape[0] in (1, 3)

    @final
    def to_unit(self, x: Tensor) -> Tensor:
        """From the family's range to [0, 1]; unbounded values stay as they are."""
        if self.value_range is None:
            return x.float()
        low, high = self.value_range
        return ((x.float() - low) / (high - low)).clamp(0, 1)

    @final
    def from_unit(self, images: "Samples | Tensor | np.ndarray") -> Tensor:
        """From ``(n, *shape)`` in [0, 1], or bytes, to the family's range, on its device.

        Raises BadInput.
        """
        try:
            x = torch.as_tensor(images.tensor if isinstance(images, Samples) else images)
        except (TypeError, ValueError, RuntimeError):
            raise BadInput(f"expected samples or an array, got {images!r:.60}") from None
        x = x.to(self.device)
        x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
        if x.ndim != len(self.shape) + 1:
            raise self._wrong_shape(x)
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
            raise self._wrong_shape(x)
        return x

    @final
    def to_samples(
        self,
        x: Tensor,
        labels: Tensor | None,
        seeds: Sequence[tuple[int, int]],
        call: Mapping[str, Any],
    ) -> Samples:
        """``x``, ``(n, *shape)`` in the family's range, as `Images` or `Arrays` in [0, 1].

        ``seeds``: the (seed, index) of each sample. ``call``: the method that made them, and its
        arguments.
        """
        kind = Images if self.is_images else Arrays
        return kind(self.to_unit(x), labels, seeds, self.origin, self.class_names, call)

    def _wrong_shape(self, x: Tensor) -> BadInput:
        expected, got = shape_text(self.shape, "n"), shape_text(x.shape)
        return BadInput(f"expected samples of shape {expected}, got {got}")


def finite_input(model: Model, images: "Samples | Tensor | np.ndarray") -> Tensor:
    """As ``model.checked_input``, for at least one image, and all finite."""
    x = model.checked_input(images)
    if not len(x):
        raise BadInput("expected at least one image, got none")
    if not torch.isfinite(x).all():
        raise BadInput("images must be finite, got NaN or infinity")
    return x


class Discriminator(nn.Module, ABC):
    """The second network of an adversarial game (a ``critic`` in papers on Wasserstein GANs)."""

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits, ``(n,)`` or a map of them: high for inputs that look like data."""

    @abstractmethod
    def features(self, x: Tensor) -> list[Tensor]:
        """The feature maps of each hidden layer, from the input up."""


def infer(model: M, call: Callable[[M], T]) -> T:
    """Run ``call`` on the model's private copy, without gradients and in float32."""
    with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
        return call(inference_copy(model))


def check_output(model: Model, method: str, x: Any, shape: tuple[int | None, ...]) -> None:
    """Check what a family's own ``method`` returned; None in ``shape`` stands for any length.

    Raises OperationFailed.
    """
    is_tensor = isinstance(x, Tensor)
    got = tuple(x.shape) if is_tensor else ()
    fits = len(got) == len(shape) and all(n in (None, m) for n, m in zip(shape, got, strict=True))
    if not is_tensor or not fits:
        sides = ", ".join("any" if side is None else str(side) for side in shape)
        what = f"one of shape {shape_text(got)}" if is_tensor else article(x)
        raise OperationFailed(
            f"{type(model).__name__}.{method} must return a tensor of shape ({sides}), got {what}"
        )
