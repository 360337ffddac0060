"""What an exported model computes: samples of codes, or one step of a sampling loop."""

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genzoo.errors import BadInput, argument
from genzoo.models.abilities import Stepwise
from genzoo.models.inference import PLAIN, inference_copy
from genzoo.models.model import Model, infer
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent
from genzoo.options import LatentSampling, Sampling
from genzoo.zoo.names import lacking

# What samples of a kind are called as an output.
OUTPUTS = {"images": "image", "signals": "signal", "points": "point"}
NOTE = "The random numbers that the model draws beside its code are left out."


@final
class _FourAxes(TorchFunctionMode):
    """In its block attention of three axes is computed with a fourth, without which ONNX has none.

    On tensors of four axes torch may take another kernel, so families stay as they are.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        is_plain = function is F.scaled_dot_product_attention and len(args) == 3 and not kwargs
        if is_plain and all(x.ndim == 3 for x in args):
            return function(*(x.unsqueeze(1) for x in args)).squeeze(1)
        return function(*args, **(kwargs or {}))


@final
class Decoding(nn.Module):
    """Codes, and classes if the model has any, to samples in the public range."""

    def __init__(self, model: Latent, sampling: Sampling):
        super().__init__()
        self.model, self.sampling = model, sampling

    # (n, latent_dim), (n,) -> (n, *shape)
    def forward(self, code: Tensor, label: Tensor | None = None) -> Tensor:
        with _FourAxes():
            return self.model.to_public(self.model.decode_with(code, label, None, self.sampling))


@final
class Step(nn.Module):
    """A model's ``step``."""

    def __init__(self, model: Stepwise):
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Any:  # as the model's step
        with _FourAxes():
            return self.model.step(*inputs)


@final
@dataclass(frozen=True)
class Call:
    """A function of a model, to be exported: its ``inputs`` and ``outputs`` by name.

    ``note``: what it leaves out of what genzoo does, as a sentence; "" if it leaves nothing out.
    """

    model: Latent | Stepwise
    sampling: Sampling
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    note: str = ""

    @property
    def module(self) -> nn.Module:
        """What computes it, in float32: the model's private copy, in the usual memory layout."""
        private: Any = copy.deepcopy(inference_copy(self.model))
        for tensor in [*private.parameters(), *private.buffers()]:
            tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
        if isinstance(private, Latent):
            return Decoding(private, self.sampling).eval()
        return Step(private).eval()

    def example(self, n: int) -> tuple[Tensor, ...]:
        """Inputs for ``n`` samples: of codes those of samples 0 to n - 1 of seed 0."""
        if not isinstance(self.model, Latent):
            return self.model.step_inputs(Noise(0, range(n), "step"))
        labels = self.model.labels_for(None, n)
        return (self.model.codes(n),) + (() if labels is None else (labels,))

    def own(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What genzoo itself computes of ``inputs``."""
        model, module = self.model, self.module
        if isinstance(model, Latent) and not self.note and model.execution == PLAIN:
            labels = inputs[1] if len(inputs) > 1 else None
            return (model.decode_codes(inputs[0], labels=labels, **dict(self.sampling)).tensor,)
        result = infer(model, lambda _: module(*inputs))
        return result if isinstance(result, tuple) else (result,)


def call_of(model: Model, settings: Mapping[str, Any]) -> Call:
    """What is exported of ``model``, with these settings of sampling. Raises BadInput."""
    if isinstance(model, Latent):
        return _decoding(model, settings)
    if not isinstance(model, Stepwise):
        raise lacking(model, (Latent, Stepwise), "has neither a latent code nor a step to export")
    if settings:
        what = f"{argument('sampling', dict(settings))} would have no effect"
        raise BadInput(f"{what}: what is exported is one step, and the loop around it is yours")
    names = [*inspect.signature(type(model).step).parameters][1:]
    given = len(model.step_inputs(Noise(0, range(1), "step")))
    return Call(model, model.checked_sampling({}), (*names[:given],), model.step_outputs)


def _decoding(model: Latent, settings: Mapping[str, Any]) -> Call:
    sampling = model.checked_sampling(settings)
    drawn = [name for name in LatentSampling.model_fields if name in settings]
    if isinstance(sampling, LatentSampling) and drawn:
        what = f"{argument('sampling', {drawn[0]: settings[drawn[0]]})} would have no effect"
        hint = f"what is exported takes codes, and {drawn[0]} is of how they are drawn"
        raise BadInput(f"{what}: {hint}")
    inputs = ("code", "label") if model.num_classes else ("code",)
    call = Call(model, sampling, inputs, (OUTPUTS[model.kind],))
    if "noise" in inspect.signature(type(model).decode).parameters:
        example = call.example(1)
        (whole,), alone = call.own(example), infer(model, lambda _: call.module(*example))
        if not torch.allclose(alone, whole, atol=1e-5):
            return replace(call, note=NOTE)
    return call


def name_of(model: Model) -> str:
    """The name of a model, or of its class if it was never saved."""
    return model.origin.model if model.origin else type(model).__name__
