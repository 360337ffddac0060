"""Activity: by how much each number of a code changes what a model draws.

A deep generator uses some numbers of its code far more than others; a VAE may ignore most (Burda et
al. 2016, arXiv:1509.00519, section 5.2, calls those that it uses active).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from genzoo.devices import usual_torch
from genzoo.models.arguments import checked_arguments
from genzoo.models.model import Model
from genzoo.models.sampler import Latent, Progress
from genzoo.models.samples import Samples
from genzoo.zoo import names as model_names

SAMPLES, BATCH = 4, 256  # samples of seed 0 whose numbers move; codes at a time
SHOWN = 8  # numbers of a repr
DEVIATIONS = 2.0  # a number moves from minus to plus so many standard deviations


@final
@dataclass(frozen=True)
class Activity:
    """``dims``: the numbers of a code, the most active first; a class is one, by its first number.

    ``changes``: the mean absolute change of a sample's values, in the public range, when the number
    moves from -2 to 2 standard deviations of its law, or a class from the first to the last.
    """

    dims: tuple[int, ...]
    changes: tuple[float, ...]

    def __repr__(self) -> str:
        pairs = zip(self.dims[:SHOWN], self.changes, strict=False)
        first = ", ".join(f"{dim} ({change:.3f})" for dim, change in pairs)
        more = ", ..." if len(self.dims) > SHOWN else ""
        return f"<Activity of {len(self.dims)} numbers, the most active first: {first}{more}>"


@checked_arguments
@usual_torch()
def measure_activity(
    model: str | Path | Model,
    *,
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    device: "str | torch.device" = "auto",
    progress: Progress | None = None,
) -> Activity:
    """How active each number of a `Latent` model's code is, in four samples of seed 0.

    The same call gives the same result. ``label`` and ``sampling``: of the samples, as of
    ``sample``. Raises BadInput, and as ``load``.
    """
    model = model_names.as_model(model, device)
    if not isinstance(model, Latent):
        raise model_names.lacking(model, Latent, "has no latent code")
    codes = model.codes(SAMPLES, **(sampling or {}))
    dims = [at.start + i for part, at in model.code_law.located() for i in _choices(part, at)]
    changes: list[float] = []
    each = max(1, BATCH // (2 * SAMPLES))
    for first in range(0, len(dims), each):
        few = dims[first : first + each]
        low, high = (
            _decoded(model, codes, few, share, label, sampling) for share in _shares(codes)
        )
        apart = (high.tensor - low.tensor).abs().reshape(len(few), -1).mean(1)
        changes += apart.double().tolist()
        if progress:
            progress("numbers of the code", first + len(few), len(dims))
    order = sorted(range(len(dims)), key=lambda i: (-changes[i], dims[i]))
    return Activity(tuple(dims[i] for i in order), tuple(changes[i] for i in order))


def _choices(part: Any, at: slice) -> range:
    """The numbers of a part that change alone: of a class one stands for all."""
    return range(at.stop - at.start if part.can_add else 1)


def _shares(codes: Tensor) -> tuple[Tensor, Tensor]:
    """The quantiles at -2 and 2 standard deviations of a normal number, one for each code."""
    low = torch.special.ndtr(torch.tensor(-DEVIATIONS, dtype=torch.float64))
    low = low.expand(len(codes)).to(codes.device)
    return low, 1 - low


def _decoded(
    model: Latent,
    codes: Tensor,
    dims: list[int],
    share: Tensor,
    label: int | str | None,
    sampling: Mapping[str, Any] | None,
) -> Samples:
    """Of each of ``dims`` in turn the samples with that number at the quantile ``share``."""
    moved = torch.cat([model.code_law.vary(codes, dim, share) for dim in dims])
    one = model.labels_for(label, len(codes))
    labels = None if one is None else one.repeat(len(dims))
    seeds = [(0, i) for i in range(len(codes))] * len(dims)
    return model.decode_codes(
        moved, labels=labels, seeds=seeds, batch_size=BATCH, **(sampling or {})
    )
