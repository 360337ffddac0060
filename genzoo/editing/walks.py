"""Walks through the codes of a `Latent` model: from sample to sample, along two numbers, by sums.

A sample is picked by its address, ``SEED`` or ``SEED:INDEX``: 3 is what ``sample(1, seed=3)``
draws, 0:17 what ``sample(1, seed=0, start=17)`` does: the one that a numbered sheet has as 0:17.
"""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from genzoo.devices import memory
from genzoo.errors import BadInput
from genzoo.models.checks import checked_seed
from genzoo.models.model import Model
from genzoo.models.sampler import Latent, Progress
from genzoo.models.samples import Samples
from genzoo.zoo import names as model_names

SampleAddress = tuple[int, int]
SampleAddresses = str | Sequence[int | SampleAddress] | Tensor
How = Literal["slerp", "lerp"]
NOISE, NEIGHBOURS = 0.25, 8  # around a sum: Radford et al. 2016, section 6.3.2
GAP, SIGN = 4, 28  # pixels, of the figure of a sum
_PICK = re.compile(r"\s*(?:(\d+)\s*:)?\s*(\d+)\s*")


def latent(model: Model) -> Latent:
    """``model``, if it has codes to walk through. Raises BadInput, and names models that have."""
    if not isinstance(model, Latent):
        raise model_names.lacking(model, Latent, "has no code to walk through")
    return model


def picks(chosen: str | Sequence[int | SampleAddress]) -> list[SampleAddress]:
    """The (seed, index) of each sample that ``chosen`` names; a lone number is a seed.

    In text, ``3,17`` are the first samples of seeds 3 and 17, and ``0:3,17,5:1`` samples 3 and 17
    of seed 0 and sample 1 of seed 5: behind a colon, numbers are its seed's. Raises BadInput.
    """
    if not isinstance(chosen, str):
        pairs = [(one, 0) if not isinstance(one, tuple) else one for one in chosen]
        if any(len(pair) != 2 for pair in pairs):
            raise BadInput(f"samples are a seed or (seed, index), got {chosen!r:.60}")
        return [(checked_seed(seed), checked_seed(index)) for seed, index in pairs]
    found: list[SampleAddress] = []
    seed: int | None = None
    for part in chosen.split(","):
        if not (read := _PICK.fullmatch(part)):
            hint = "SEED or SEED:INDEX with commas between, like 3,17 or 0:3,17"
            raise BadInput(f"seeds are {hint}, got {chosen[:60]!r}")
        if read[1] and found and seed is None:  # would 5 in 3,0:17,5 be a seed?
            raise BadInput(f"seeds are all alone or begin with SEED:INDEX, got {chosen[:60]!r}")
        seed = int(read[1]) if read[1] else seed
        number = int(read[2])
        found.append((number, 0) if seed is None else (seed, number))
    return [(checked_seed(seed), checked_seed(index)) for seed, index in found]


def places(
    model: Latent, chosen: SampleAddresses, label: int | str | None
) -> tuple[Tensor, list[SampleAddress], int | str | None]:
    """The codes ``(k, code)`` of what was chosen, whose streams go with them, and the label."""
    if isinstance(chosen, Tensor):
        codes = chosen.to(model.device, torch.float32)
        whose = [(0, i) for i in range(len(codes))]
    else:
        whose = picks(chosen)
        if not whose:
            raise BadInput("no seeds were given: like 3,17 or 0:3,17")
        codes = torch.cat([model.codes(1, seed=seed, start=index) for seed, index in whose])
    if label is not None or not model.num_classes:
        model.labels_for(label, 1)  # says what is wrong with it
        return codes, whose, label
    own = [index % model.num_classes for _, index in whose]  # as ``sample`` has it
    return codes, whose, _one_label(model, own)


def pick(model: Model, chosen: SampleAddresses, *, label: int | str | None = None) -> Samples:
    """The samples that ``chosen`` names, in one."""
    codes, whose, label = places(latent(model), chosen, label)
    return latent(model).decode_codes(codes, labels=label, seeds=whose, call={"method": "pick"})


def interpolate(
    model: Model,
    through: SampleAddresses,
    *,
    steps: int = 30,
    loop: bool = False,
    how: How = "slerp",
    label: int | str | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Samples:
    """A walk through samples, or through codes ``(k, code)``: ``steps`` from each to the next.

    ``(k - 1) * steps + 1`` samples, the k-th included; a ``loop`` goes on to where it began, and
    ends a step before it. At a sample it is what ``sample`` draws. ``slerp`` keeps to the shell in
    which normal codes lie: halfway on the straight line (``lerp``) between two of them a code is
    shorter by the square root of 2, which is no code that the model has learnt (White 2016,
    arXiv:1609.04468, section 2.1). What a model draws beside its code stays that of the sample
    that was last passed. One ``label`` holds for all. Raises BadInput.
    """
    model = latent(model)
    codes, whose, label = places(model, through, label)
    if how not in ("slerp", "lerp"):
        raise BadInput(f"a walk is slerp or lerp, got {how!r}")
    n = length(whose, steps, loop)
    legs = [*pairwise(range(len(codes)))] + [(len(codes) - 1, 0)] * loop
    check_memory(model, n, "steps", len(legs))
    t = torch.arange(steps, dtype=torch.float64) / steps
    parts = [between(codes[a], codes[b], t, how) for a, b in legs]
    starts = [whose[a] for a, _ in legs for _ in range(steps)]
    if not loop:
        parts, starts = [*parts, codes[-1:]], [*starts, whose[-1]]
    call = {"method": "interpolate", "through": _told(through, whose), "steps": steps}
    return model.decode_codes(
        torch.cat(parts),
        labels=label,
        seeds=starts,
        call={**call, "loop": loop, "how": how},
        batch_size=batch_size,
        progress=progress,
    )


def length(through: Sequence[SampleAddress], steps: int, loop: bool) -> int:
    """The samples of a walk. Raises BadInput where it is none."""
    if len(through) < 2:
        given = f"got {len(through)}"
        raise BadInput(f"a walk goes through two samples at least, {given}: like 3,17,42")
    _count("steps", steps)
    return len(through) * steps if loop else (len(through) - 1) * steps + 1


def between(a: Tensor, b: Tensor, t: Tensor, how: How = "slerp") -> Tensor:
    """The codes at shares ``t`` (k,) of the way from ``a`` (d,) to ``b``: float32 ``(k, d)``.

    slerp(a, b, t) = sin((1 - t) w) / sin w a + sin(t w) / sin w b, w the angle between them (White
    2016, section 2.1); where that has no plane to turn in, the straight line.
    """
    a, b, t = a.double(), b.double(), t.double()[:, None].to(a.device)
    cosine = a @ b / (a.norm() * b.norm()).clamp_min(1e-12)
    angle = cosine.clamp(-1, 1).acos()
    if how == "lerp" or angle.sin() < 1e-6:
        return ((1 - t) * a + t * b).float()
    return ((((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()).float()


def traverse(
    model: Model,
    dims: tuple[int, int] = (0, 1),
    *,
    grid: tuple[int, int] = (9, 9),
    of: SampleAddresses = (0,),
    label: int | str | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Samples:
    """One sample with two numbers of its code changed: the first from row to row, the second from
    column to column. Row by row, ``rows * columns`` samples.

    The values are the normal's quantiles, linear steps of probability (Kingma & Welling 2014,
    appendix A, figure 4): of a code of two numbers it is the whole manifold. Raises BadInput.
    """
    model = latent(model)
    codes, whose, label = places(model, of, label)
    if len(codes) != 1:
        raise BadInput(f"a traversal is around one sample, got {len(codes)}")
    check_grid(model, dims, grid)
    rows, columns = grid
    code = codes.repeat(rows * columns, 1)
    code[:, dims[0]] = quantiles(rows).repeat_interleave(columns).to(code)
    code[:, dims[1]] = quantiles(columns).repeat(rows).to(code)
    call = {"method": "traverse", "of": _told(of, whose), "dims": [*dims], "grid": [*grid]}
    return model.decode_codes(
        code,
        labels=label,
        seeds=whose * len(code),
        call=call,
        batch_size=batch_size,
        progress=progress,
    )


def quantiles(n: int) -> Tensor:
    """The standard normal's at 1/2n, 3/2n, ...: float64 ``(n,)``."""
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)


def check_grid(model: Latent, dims: tuple[int, int], grid: tuple[int, int]) -> None:
    """Whether ``dims`` are two numbers of the model's code, and the grid fits. Raises BadInput."""
    if model.latent_dim < 2:
        raise BadInput("a traversal takes a code of two numbers at least: this one has 1")
    for dim in dims:
        if not 0 <= dim < model.latent_dim:
            raise BadInput(f"dims are numbers of the code, 0 to {model.latent_dim - 1}, got {dim}")
    if dims[0] == dims[1]:
        raise BadInput(f"a traversal takes two different dims, got {dims[0]} twice")
    for side, n in zip(("rows", "columns"), grid, strict=True):
        _count(f"the grid's {side}", n)
    check_memory(model, grid[0] * grid[1], "rows", grid[1])


def _one_label(model: Latent, labels: Sequence[int | str | None]) -> int | str | None:
    """The label that all have. Raises BadInput."""
    if len(kinds := list(dict.fromkeys(labels))) < 2:
        return next(iter(kinds), None)
    names = [model.class_names[k] if model.class_names else k for k in kinds]  # type: ignore[index]
    raise BadInput(
        f"these samples are of classes {' and '.join(map(str, names))}: a label holds for all"
    )


def _told(chosen: SampleAddresses, whose: list[SampleAddress]) -> Any:
    return "codes" if isinstance(chosen, Tensor) else [[*pair] for pair in whose]


def _count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadInput(f"{name} must be a whole number of at least 1, got {value!r}")


def check_memory(model: Model, n: int, of: str, each: int) -> None:
    """Whether ``n`` samples fit, ``each`` for one of ``of``: if not, BadInput says how many do."""
    one, there = 4 * 4 * math.prod(model.shape), memory()
    if there and n * one > there:
        took = f"{n:,} samples take {n * one / 1e9:,.1f} GB of {there / 1e9:,.1f} GB"
        raise BadInput(f"{took}: {of} up to {there // one // each:,} fit")
