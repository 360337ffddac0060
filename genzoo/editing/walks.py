"""Walks through the codes of a `Latent` model: from sample to sample, and along two of its numbers.

A sample has an address, ``SEED`` or ``SEED:INDEX``: 3 is what ``sample(1, seed=3)`` draws, 0:17
what ``sample(1, seed=0, start=17)`` draws. Numbered sheets print these addresses.
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from genzoo.devices import memory, usual_torch
from genzoo.errors import BadInput
from genzoo.models.checks import check_count, checked_seed
from genzoo.models.model import Model
from genzoo.models.sampler import Latent, Progress
from genzoo.models.samples import Samples
from genzoo.zoo import names as model_names

SampleAddress = tuple[int, int]
SampleAddresses = str | Sequence[int | str | SampleAddress] | Tensor
Interpolation = Literal["slerp", "lerp"]
_ADDRESS = re.compile(r"\s*(?:(\d+)\s*:)?\s*(\d+)\s*")


def as_latent(model: Model) -> Latent:
    """``model``, if it has a latent code. Raises BadInput, which lists the models that have one."""
    if not isinstance(model, Latent):
        raise model_names.lacking(model, Latent, "has no latent code")
    return model


def parse_addresses(samples: str | Sequence[int | str | SampleAddress]) -> list[SampleAddress]:
    """The (seed, index) of each sample in ``samples``; a lone number is a seed.

    In text, ``3,17`` are the first samples of seeds 3 and 17, and ``0:3,17,5:1`` are samples 3 and
    17 of seed 0 and sample 1 of seed 5: a seed before a colon holds until the next, or to the end
    of the text. Raises BadInput.
    """
    addresses: list[SampleAddress] = []
    for one in [samples] if isinstance(samples, str) else samples:
        if isinstance(one, str):
            addresses += _parse_text(one)
        else:
            addresses.append(one if isinstance(one, tuple) else (one, 0))
    if any(len(address) != 2 for address in addresses):
        raise BadInput(f"samples are a seed or (seed, index), got {samples!r:.60}")
    return [(checked_seed(seed), checked_seed(index)) for seed, index in addresses]


def _parse_text(text: str) -> list[SampleAddress]:
    addresses: list[SampleAddress] = []
    seed: int | None = None
    for part in text.split(","):
        if not (match := _ADDRESS.fullmatch(part)):
            expected = "SEED or SEED:INDEX, separated by commas, like 3,17 or 0:3,17"
            raise BadInput(f"expected {expected}, got {text[:60]!r}")
        if match[1] and addresses and seed is None:  # in 3,0:17,5, would 5 be a seed?
            expected = "either seeds alone, like 3,17, or a list that begins with SEED:INDEX"
            raise BadInput(f"expected {expected}, got {text[:60]!r}")
        seed = int(match[1]) if match[1] else seed
        number = int(match[2])
        addresses.append((number, 0) if seed is None else (seed, number))
    return addresses


def resolve(
    model: Latent,
    samples: SampleAddresses,
    label: int | str | None,
    sampling: Mapping[str, Any] | None = None,
) -> tuple[Tensor, list[SampleAddress], int | str | None]:
    """The codes ``(k, code)`` of ``samples``, their addresses, and the label of all of them.

    Codes may be given in place of addresses: they get the addresses of seed 0. ``sampling``: the
    settings of the samples. Raises BadInput.
    """
    if isinstance(samples, Tensor):
        codes = samples.to(model.device, torch.float32)
        addresses = [(0, i) for i in range(len(codes))]
    else:
        addresses = parse_addresses(samples)
        if not addresses:
            raise BadInput("no seeds given: expected seeds like 3,17 or 0:3,17")
        how = sampling or {}
        parts = [model.codes(1, seed=seed, start=index, **how) for seed, index in addresses]
        codes = torch.cat(parts)
    if label is not None or not model.num_classes:
        given = model.labels_for(label, 1)  # raises if the label is wrong
        own = [] if given is None else given.tolist()
    else:
        own = [index % model.num_classes for _, index in addresses]  # as ``sample`` labels them
    # By their names: a number may be the name of another class.
    names = [model.class_names[k] if model.class_names else k for k in own]
    return codes, addresses, common_label(names)


def common_label(labels: Sequence[int | str | None]) -> int | str | None:
    """The label that all have. Raises BadInput if they differ."""
    if len(distinct := list(dict.fromkeys(labels))) < 2:
        return next(iter(distinct), None)
    classes = " and ".join(map(str, distinct))
    raise BadInput(f"these samples are of classes {classes}: choose one class with --label")


def address_record(samples: SampleAddresses, addresses: list[SampleAddress]) -> Any:
    """``samples`` in the form of an image's record."""
    return "codes" if isinstance(samples, Tensor) else [[*address] for address in addresses]


def samples_at(
    model: Model,
    samples: SampleAddresses,
    *,
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> Samples:
    """The samples with these addresses, as one batch; ``sampling``: settings as of ``sample``.

    Raises BadInput.
    """
    model = as_latent(model)
    codes, addresses, label = resolve(model, samples, label, sampling)
    call = {"method": "pick"}
    return model.decode_codes(codes, labels=label, seeds=addresses, call=call, **(sampling or {}))


@usual_torch()
def interpolate(
    model: Model,
    through: SampleAddresses,
    *,
    steps: int = 30,
    loop: bool = False,
    how: Interpolation = "slerp",
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Samples:
    """A walk through samples, or through codes ``(k, code)``: ``steps`` from each to the next.

    Gives ``(k - 1) * steps + 1`` samples, the k-th included; with ``loop`` the walk returns to its
    start and ends one step before it. At each address it draws exactly what ``sample`` draws.

    ``slerp`` keeps the length of normal codes, which other laws do not need: uniform numbers go
    straight, classes change in the middle. Halfway on the straight line (``lerp``) between two
    of them a code is shorter by the square root of 2, and the model was not trained on such codes
    (White 2016, arXiv:1609.04468, section 2.1). Random numbers that a model draws beside its code
    stay those of the last sample passed. ``label`` and ``sampling``, settings as of ``sample``,
    hold for the whole walk. Raises BadInput.
    """
    model = as_latent(model)
    codes, addresses, label = resolve(model, through, label, sampling)
    if how not in ("slerp", "lerp"):
        raise BadInput(f"how must be slerp or lerp, got {how!r}")
    n = walk_length(addresses, steps, loop)
    legs = [*pairwise(range(len(codes)))] + [(len(codes) - 1, 0)] * loop
    check_memory(model, n, "steps", len(legs))
    t = torch.arange(steps, dtype=torch.float64) / steps
    law, straight = model.code_law, how == "lerp"
    parts = [law.between(codes[a], codes[b], t, straight=straight) for a, b in legs]
    seeds = [addresses[a] for a, _ in legs for _ in range(steps)]
    if not loop:
        parts, seeds = [*parts, codes[-1:]], [*seeds, addresses[-1]]
    call = {"method": "interpolate", "through": address_record(through, addresses), "steps": steps}
    return model.decode_codes(
        torch.cat(parts),
        labels=label,
        seeds=seeds,
        call={**call, "loop": loop, "how": how},
        batch_size=batch_size,
        progress=progress,
        **(sampling or {}),
    )


def walk_length(through: Sequence[SampleAddress], steps: int, loop: bool) -> int:
    """The number of samples of a walk. Raises BadInput if there is no walk."""
    if len(through) < 2:
        raise BadInput(f"a walk needs at least two samples, like 3,17,42, got {len(through)}")
    check_count("steps", steps, 1)
    return len(through) * steps if loop else (len(through) - 1) * steps + 1


@usual_torch()
def traverse(
    model: Model,
    dims: tuple[int, int] = (0, 1),
    *,
    grid: tuple[int, int] = (9, 9),
    sample: SampleAddresses = (0,),
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Samples:
    """One sample with two numbers of its code changed, on a grid: ``rows * columns`` samples.

    The first of ``dims`` changes from row to row, the second from column to column. The values are
    the quantiles of the code's law, in equal steps of probability (Kingma & Welling 2014, appendix
    A, figure 4): for a code of two numbers the grid shows the whole manifold. A number of a class
    stands for all of them: the grid goes through the classes. ``sampling``: settings as of
    ``sample``. Raises BadInput.
    """
    model = as_latent(model)
    codes, addresses, label = resolve(model, sample, label, sampling)
    if len(codes) != 1:
        raise BadInput(f"a traversal changes one sample, got {len(codes)}")
    check_grid(model, dims, grid)
    rows, columns = grid
    code = codes.repeat(rows * columns, 1)
    down = _shares(rows).repeat_interleave(columns).to(code.device)
    code = model.code_law.vary(code, dims[0], down)
    code = model.code_law.vary(code, dims[1], _shares(columns).repeat(rows).to(code.device))
    at = address_record(sample, addresses)
    call = {"method": "traverse", "of": at, "dims": [*dims], "grid": [*grid]}
    return model.decode_codes(
        code,
        labels=label,
        seeds=addresses * len(code),
        call=call,
        batch_size=batch_size,
        progress=progress,
        **(sampling or {}),
    )


def _shares(n: int) -> Tensor:
    """1/2n, 3/2n, ...: float64 ``(n,)``."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def check_grid(model: Latent, dims: tuple[int, int], grid: tuple[int, int]) -> None:
    """Check that ``dims`` are two of the code's numbers and that the grid fits. Raises BadInput."""
    if model.latent_dim < 2:
        raise BadInput("a traversal needs a code of at least two numbers: this model's has 1")
    for dim in dims:
        if not 0 <= dim < model.latent_dim:
            raise BadInput(f"dims must be from 0 to {model.latent_dim - 1}, got {dim}")
    if dims[0] == dims[1]:
        raise BadInput(f"a traversal needs two different dims, got {dims[0]} twice")
    for part, at in model.code_law.located():
        if not part.can_add and {*range(at.start, at.stop)} >= {*dims}:
            raise BadInput(f"dims {dims[0]} and {dims[1]} are of one class, which is one choice")
    for side, n in zip(("rows", "columns"), grid, strict=True):
        check_count(f"the grid's {side}", n, 1)
    check_memory(model, grid[0] * grid[1], "rows", grid[1])


def check_memory(model: Model, n: int, unit: str, per_unit: int) -> None:
    """Check that ``n`` samples fit into memory, ``per_unit`` for each ``unit``.

    Raises BadInput, with the number of units that would fit.
    """
    one, free = 4 * 4 * math.prod(model.shape), memory()
    if free and n * one > free:
        needed = f"{n:,} samples need {n * one / 1e9:,.1f} GB of {free / 1e9:,.1f} GB"
        raise BadInput(f"{needed}: at most {free // one // per_unit:,} {unit} fit")
