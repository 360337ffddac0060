"""Model: a network that its config rebuilds, and what all abilities share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from genzoo.devices import usual_tensors
from genzoo.errors import BadInput, OperationFailed, article
from genzoo.models import description, layouts, summary
from genzoo.models.checks import check_finite, shape_text, tensor_of
from genzoo.models.inference import PLAIN, Execution, inference_copy, run
from genzoo.models.origin import Origin
from genzoo.models.ranges import PUBLIC, Range, rescale
from genzoo.models.samples import Images, Points, Samples, Signals
from genzoo.models.summary import Summary
from genzoo.models.threads import suited, work_of
from genzoo.schemas import Kind

M = TypeVar("M", bound="Model")
T = TypeVar("T")
# What methods take as samples: public ones, as arrays, or images of the model's size.
SamplesLike = (
    Samples | Tensor | np.ndarray | Image.Image | Sequence[Image.Image | np.ndarray | Tensor]
)


class Model(nn.Module, ABC):
    """A network that ``type(model)(model.config)`` rebuilds; ``shape`` is that of one sample.

    ``kind`` says what samples are, and in which range users take and give them:

    =======  ==============================  =========
    kind     shape                           range
    =======  ==============================  =========
    images   (1 or 3, height, width)         [0, 1]
    signals  (channels, length), at ``rate`` [-1, 1]
    points   any                             unbounded
    =======  ==============================  =========

    ``value_range`` is the range of the family's own tensors, or None if they are unbounded. A
    model's abilities are its other base classes. A family writes a method in its own range; users
    call one that takes and gives samples in the public range:

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
    Stepwise    step            genzoo.export
    ==========  ==============  =================================
    """

    shape: tuple[int, ...]
    kind: Kind = "images"
    rate: int = 16_000
    """samples a second, of signals; a training run and ``load`` set it to that of the data"""
    value_range: Range = (-1.0, 1.0)
    class_names: tuple[str, ...] = ()
    origin: Origin | None = None
    provenance: Mapping[str, str] = MappingProxyType({})
    """data, license and terms of the folder that it was loaded from; ``save`` passes them on"""
    folder: Path | None = None
    """that it was loaded from; ``load`` sets it"""
    data_form: Mapping[str, Any] = MappingProxyType({})
    """how its training data were opened, where its config does not say it: fit, levels; ``load``
    sets it"""

    execution: Execution = PLAIN
    """in which dtype its public methods compute, and whether compiled; ``load`` sets it"""

    def __init__(self, config: Any):
        super().__init__()
        self.config = config

    @final
    def __repr__(self) -> str:
        return description.text(self)

    @final
    def _repr_html_(self) -> str:
        """A card with samples, which are drawn once."""
        return description.card(self)

    @final
    def summary(self) -> Summary:
        """Its layers as a table: types, shapes of outputs, numbers of parameters.

        ``print(model.summary())``. The model itself is neither run nor changed: a copy is.
        """
        return summary.of_model(self, description.title(self))

    @final
    @property
    def device(self) -> torch.device:
        modules: list[nn.Module] = [self]
        while modules:  # in the order of ``self.modules()``, which takes longer
            own = vars(modules.pop())
            for tensor in (*own["_parameters"].values(), *own["_buffers"].values()):
                if tensor is not None:
                    return tensor.device
            modules += [part for part in reversed(own["_modules"].values()) if part is not None]
        return torch.device("cpu")

    @final
    @property
    def is_images(self) -> bool:
        return self.kind == "images"

    @final
    @property
    def public_range(self) -> Range:
        """The range of samples for users. Raises OperationFailed if shape and kind contradict."""
        check_kind(self)
        return PUBLIC[self.kind]

    @final
    def to_public(self, x: Tensor) -> Tensor:
        """From the family's range to the public one; unbounded values stay as they are."""
        public = self.public_range
        if self.value_range is None or public is None:
            return x.float()
        return rescale(x.float(), self.value_range, public).clamp(*public)

    @final
    def from_public(self, samples: "SamplesLike") -> Tensor:
        """From ``(n, *shape)`` in the public range to the family's, on its device.

        Images may have their channels last, or be one (`layouts.image_batch`). Bytes are 255ths.
        Raises BadInput.
        """
        given = samples.tensor if isinstance(samples, Samples) else samples
        if self.is_images:
            given = layouts.array_of(given, self.shape[0])
        x = tensor_of(given, "samples or an array", self.device)
        whole = (
            "" if x.is_floating_point() else "; bytes (uint8) are 255ths, other integers are not"
        )
        x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
        if self.is_images and len(self.shape) == 3:
            x = layouts.image_batch(x, self.shape)
        elif x.ndim == len(self.shape):
            x = x[None]
        if x.ndim != len(self.shape) + 1:
            raise self._wrong_shape(x)
        public = self.public_range
        if self.value_range is None or public is None:
            return x
        low, high = public
        if x.numel() and not (x.min() >= low and x.max() <= high):
            got = f"[{x.min().item():.3g}, {x.max().item():.3g}]"
            check_finite("samples", x)
            raise BadInput(f"expected samples in [{low:g}, {high:g}], got {got}{whole}")
        return rescale(x, public, self.value_range)

    @final
    def checked_input(self, samples: "SamplesLike") -> Tensor:
        """``from_public``, for samples that must be finite and have exactly the model's shape."""
        x = self.from_public(samples)
        if tuple(x.shape[1:]) != tuple(self.shape):
            raise self._wrong_shape(x)
        check_finite("samples", x)
        return x

    @final
    def to_samples(
        self,
        x: Tensor,
        labels: Tensor | None,
        seeds: Sequence[tuple[int, int]],
        call: Mapping[str, Any],
    ) -> Samples:
        """``x``, ``(n, *shape)`` in the family's range, as samples of the model's kind.

        ``seeds``: the (seed, index) of each sample. ``call``: the method that made them, and its
        arguments. Raises OperationFailed if the model's shape is not one of its kind.
        """
        return self.public_samples(self.to_public(x), labels, seeds, call)

    @final
    def public_samples(
        self,
        x: Tensor,
        labels: Tensor | None,
        seeds: Sequence[tuple[int, int]],
        call: Mapping[str, Any],
    ) -> Samples:
        """As ``to_samples``, of ``x`` in the public range."""
        check_kind(self)
        call = {**call, **self.execution.record()}
        parts = (x, labels, seeds, self.origin, self.class_names, call)
        if self.kind == "signals":
            return Signals(*parts, rate=self.rate)
        return Images(*parts) if self.kind == "images" else Points(*parts)

    def _wrong_shape(self, x: Tensor) -> BadInput:
        expected, got = shape_text(self.shape, "n"), shape_text(x.shape)
        return BadInput(f"expected samples of shape {expected}, got {got}")


def check_kind(model: Model) -> None:
    """Check that the model's shape is one of its kind. Raises OperationFailed."""
    shape, name = model.shape, type(model).__name__
    if model.kind not in PUBLIC:
        raise OperationFailed(f"{name}.kind must be one of {', '.join(PUBLIC)}, got {model.kind!r}")
    fits = {
        "images": len(shape) == 3 and shape[0] in (1, 3),
        "signals": len(shape) == 2,
        "points": True,
    }
    if not fits[model.kind]:
        sides = {"images": "1 or 3, height, width", "signals": "channels, length"}[model.kind]
        expected = f"the shape of {model.kind} is ({sides})"
        got = f"got {shape_text(shape)}: set {name}.kind to what its samples are"
        raise OperationFailed(f"{expected}, {got}")


def finite_input(model: Model, images: SamplesLike) -> Tensor:
    """As ``model.checked_input``, for at least one image."""
    x = model.checked_input(images)
    if not len(x):
        raise BadInput("expected at least one image, got none")
    return x


def image_shape(model: Model, hint: str) -> tuple[int, ...]:
    """The shape ``(C, H, W)`` of the images of ``model``; ``hint``: what else the user can do.

    Raises BadInput for a model of another kind.
    """
    if not model.is_images:
        name = model.origin.model if model.origin else "this"
        raise BadInput(f"{name} is a model of {model.kind}, not of images: {hint}")
    return tuple(model.shape)


class Discriminator(nn.Module, ABC):
    """The second network of an adversarial game (a ``critic`` in papers on Wasserstein GANs)."""

    @final
    def summary(self, shape: Sequence[int], classes: int = 0) -> Summary:
        """As ``Model.summary``, for samples of this ``shape``, ``classes`` of them."""
        return summary.of_discriminator(self, type(self).__name__, shape, classes)

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits, ``(n,)`` or a map of them: high for inputs that look like data."""

    @abstractmethod
    def features(self, x: Tensor) -> list[Tensor]:
        """The feature maps of each hidden layer, from the input up."""


def infer(model: M, call: Callable[[M], T], n: int = 1) -> T:
    """Run ``call`` on the model's private copy, without gradients, as ``model.execution`` says.

    ``n``: the samples that it computes, for the number of threads. Raises OperationFailed if the
    copy cannot be compiled.
    """
    return inferrer(model)(call, n)


def inferrer(model: M) -> Callable[[Callable[[M], T], int], T]:
    """``infer``, for several calls with the weights as they are now: these are read once."""
    execution, kind = model.execution, model.device.type
    private = inference_copy(model, execution)

    work = work_of(private, model.shape)

    def infer(call: Callable[[M], T], n: int) -> T:
        # Only where it is on: to turn it off costs as much as a layer of a small network.
        is_on = torch.is_autocast_enabled(kind)
        precision = torch.autocast(kind, enabled=False) if is_on else nullcontext()
        with torch.no_grad(), precision, usual_tensors(), suited(n * work):
            return run(private, execution, call)

    return infer


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
