"""Layers that look at the whole batch while several processes share it: batch norm, dropout.

torch's own ``SyncBatchNorm`` works on GPUs alone, and has no second gradient.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from genzoo.models import whole_batch


def share_batches(network: nn.Module) -> None:
    """Let the batch norms and dropouts of ``network`` compute, in training, as one process would.

    The layers stay what they are, with their parameters and names.
    """
    for layer in network.modules():
        if compute := _whole(layer):
            layer.forward = partial(compute, layer)


def stop_sharing(network: nn.Module) -> None:
    """Undo ``share_batches``: the network computes without the other processes."""
    for layer in network.modules():
        if _whole(layer):
            vars(layer).pop("forward", None)


def _whole(layer: nn.Module) -> Callable[[Any, Tensor], Tensor] | None:
    """What computes ``layer`` for the whole batch, if it must."""
    if isinstance(layer, _BatchNorm):
        return _norm
    is_product = not isinstance(layer, nn.AlphaDropout | nn.FeatureAlphaDropout)
    return _drop if isinstance(layer, _DropoutNd) and is_product else None


def _drop(layer: nn.Module, x: Tensor) -> Tensor:  # (n, ...) -> the same
    if not layer.training:
        return x
    is_last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if is_last else torch.contiguous_format

    def draw(rows: int) -> Tensor:
        whole = torch.empty(
            rows, *x.shape[1:], dtype=x.dtype, device=x.device, memory_format=layout
        )
        return type(layer).forward(layer, whole.fill_(1))

    return x * whole_batch.own_rows(draw, len(x))


def _norm(layer: _BatchNorm, x: Tensor) -> Tensor:  # (n, maps, ...) -> the same
    if not layer.training:  # frozen, or an evaluation
        return type(layer).forward(layer, x)
    y, average, variance = _Normalise.apply(x, layer.weight, layer.bias, layer.eps)
    if layer.running_mean is not None and layer.running_var is not None:
        assert layer.num_batches_tracked is not None
        layer.num_batches_tracked.add_(1)
        share = 1 / layer.num_batches_tracked if layer.momentum is None else layer.momentum
        count = x.numel() // x.shape[1] * whole_batch.size()
        layer.running_mean.lerp_(average, share)
        layer.running_var.lerp_(variance * (count / (count - 1)), share)
    return y


@final
class _Normalise(Function):
    """Batch norm by the statistics of the whole batch (Ioffe & Szegedy 2015, algorithm 1)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        # What torch's own norm computes, up to 30 times as fast as var_mean on channels-last maps.
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        own = torch.batch_norm_update_stats(wide, None, None, 0.0)
        average, variance = (t.double() for t in own)
        # In double precision, as the difference of two squares loses digits. (Gathering takes gloo
        # three times as long as a sum.)
        moments = torch.stack([average, variance + average.square()]) / whole_batch.size()
        dist.all_reduce(moments)
        variance = (moments[1] - moments[0].square()).clamp(min=0).to(wide.dtype)
        average = moments[0].to(wide.dtype)
        y = torch.batch_norm(x, weight, bias, average, variance, False, 0.0, epsilon, False)
        ctx.save_for_backward(x, weight, bias, average, variance)
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(average, variance)
        return y, average, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> Any:
        x, weight, bias, average, variance = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient of a gradient
            y = _normalised(x, weight, bias, ctx.epsilon)
            needed = [t for t in (x, weight, bias) if t is not None and t.requires_grad]
            found = iter(torch.autograd.grad(y, needed, gradient, create_graph=True))
            return *(
                next(found) if t is not None and t.requires_grad else None
                for t in (x, weight, bias)
            ), None
        scale = (variance + ctx.epsilon).rsqrt()
        slope = scale if weight is None else scale * weight
        flat = torch.ones_like(average) if weight is None else weight
        dx, dw, db = torch.ops.aten.native_batch_norm_backward(
            gradient, x, flat, average, variance, None, None, False, ctx.epsilon, [True] * 3
        )
        if ctx.needs_input_grad[0]:
            # The statistics depend on x, too: through them go means over the whole batch.
            sums = torch.stack([dw, db])
            dist.all_reduce(sums)
            along, constant = sums / (x.numel() // x.shape[1] * whole_batch.size())
            steep = slope * scale * along
            dx = dx.addcmul_(x, _per_map(steep, x), value=-1)
            dx = dx.sub_(_per_map(slope * constant - steep * average, x))
        return dx, None if weight is None else dw, None if bias is None else db, None


def _normalised(x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """The same in parts that can be differentiated any number of times."""
    axes = _axes(x)
    centred = x - _per_map(whole_batch.mean(x.mean(axes)), x)
    variance = whole_batch.mean(centred.square().mean(axes))
    y = centred * _per_map((variance + epsilon).rsqrt(), x)
    y = y if weight is None else y * _per_map(weight, x)
    return y if bias is None else y + _per_map(bias, x)


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(x.ndim) if axis != 1]


def _per_map(values: Tensor, x: Tensor) -> Tensor:  # (maps,) -> (maps, 1, ...)
    return values.view(-1, *[1] * (x.ndim - 2))
