"""Walks through the codes of a `Latent` model: from sample to sample, and along two of its numbers.

Before what is edited from photos stand the photos themselves and their reconstructions.
"""

import math
from collections.abc import Mapping, Sequence, Sized
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Unpack

import torch
from torch import Tensor

from genzoo.devices import memory, usual_torch
from genzoo.editing.activity import measure_activity
from genzoo.editing.notation import SampleAddress
from genzoo.editing.photos import PhotoSearch
from genzoo.editing.selection import (
    RECONSTRUCTION,
    Resolved,
    SampleLike,
    resolve,
    select,
)
from genzoo.errors import BadInput, argument, either
from genzoo.models.arguments import checked_arguments
from genzoo.models.captions import Captions
from genzoo.models.checks import check_count, checked_pair
from genzoo.models.laws import CodeLaw
from genzoo.models.model import Model
from genzoo.models.pictures import strip_columns
from genzoo.models.sampler import Latent, Progress
from genzoo.models.samples import Samples
from genzoo.zoo import names as model_names

Interpolation = Literal["slerp", "lerp"]


def as_latent(model: str | Path | Model, device: str | torch.device = "auto") -> Latent:
    """``model``, by its name or in memory, if it has a latent code. Raises BadInput, which lists
    the models that have one, and as ``load``.
    """
    model = model_names.as_model(model, device)
    if not isinstance(model, Latent):
        raise model_names.lacking(model, Latent, "has no latent code")
    return model


@checked_arguments
def samples_at(
    model: str | Path | Model,
    sample: SampleLike,
    *,
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
) -> Samples:
    """The samples with these addresses, as one batch; ``sampling``: settings as of ``sample``.

    Raises BadInput, and as ``load``.
    """
    model = as_latent(model, device)
    start = resolve(model, sample, label, sampling)
    return model.decode_codes(
        start.codes,
        labels=start.label,
        seeds=start.addresses,
        call={"method": "pick"},
        **(sampling or {}),
    )


@checked_arguments
@usual_torch()
def interpolate(
    model: str | Path | Model,
    sample: SampleLike,
    *,
    steps: int = 30,
    loop: bool = False,
    how: Interpolation = "slerp",
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
    batch_size: int = 64,
    progress: Progress | None = None,
    **search: Unpack[PhotoSearch],
) -> Samples:
    """A walk through samples, photos, or codes ``(k, code)``: ``steps`` from each to the next.

    Gives ``(k - 1) * steps + 1`` samples, the k-th included; with ``loop`` the walk returns to its
    start and ends one step before it. At each address it draws exactly what ``sample`` draws. If
    there are photos, each of them and its reconstruction stand before the walk, which goes through
    the reconstructions. Its picture is one row, or several where a screen is
    too narrow for one. ``search``: how photos' codes are found (`PhotoSearch`).

    ``slerp`` keeps the length of normal codes, which other laws do not need: uniform numbers go
    straight, classes change in the middle. Halfway on the straight line (``lerp``) between two
    of them a code is shorter by the square root of 2, and the model was not trained on such codes
    (White 2016, arXiv:1609.04468, section 2.1). Random numbers that a model draws beside its code
    stay those of the last sample passed. ``label`` and ``sampling``, settings as of ``sample``,
    hold for the whole walk. Raises BadInput, and as ``load``.
    """
    model = as_latent(model, device)
    if how not in ("slerp", "lerp"):
        raise BadInput(f"how must be slerp or lerp, got {how!r}")
    chosen = select(model, sample)
    n = walk_length(chosen, steps, loop)
    check_memory(model, n, "steps", len(chosen) - (not loop))
    start = resolve(model, chosen, label, sampling, search)
    codes, seeds = _between(model.code_law, start, steps, loop, straight=how == "lerp")
    call = {"method": "interpolate", **start.recorded("through"), "steps": steps}
    walk = model.decode_codes(
        codes,
        labels=start.label,
        seeds=seeds,
        call={**call, "loop": loop, "how": how},
        batch_size=batch_size,
        progress=progress,
        **(sampling or {}),
    )
    if start.photos:
        pairs = start.pairs(model, sampling)[[*start.photos]].flatten(0, 1)
        walk = with_photos(model, walk, pairs[None], seeds[:1])
    walk.columns = strip_columns(len(walk), model.shape[-1])
    walk.film = len(walk), 2 * len(start.photos)
    walk.captions = _captions_of_walk(start, steps, loop)
    return walk


def _captions_of_walk(start: Resolved, steps: int, loop: bool) -> Captions:
    """The samples that the walk passes, and how far it has come between them."""
    names = start.names
    drawn = [RECONSTRUCTION if i in start.photos else name for i, name in enumerate(names)]
    *passed, last = [*drawn, drawn[0]] if loop else drawn
    between = [f"{i}/{steps}" for i in range(1, steps)]
    cells = [text for name in passed for text in (name, *between)]
    first, *through, end = [*names, names[0]] if loop else names
    title = " ".join([f"from {first}", *(f"through {name}" for name in through), f"to {end}"])
    photos = [name for i in start.photos for name in (names[i], RECONSTRUCTION)]
    return Captions(title, cells=[*photos, *cells, *([] if loop else [last])])


def _between(
    law: CodeLaw, start: Resolved, steps: int, loop: bool, *, straight: bool
) -> tuple[Tensor, list[SampleAddress]]:
    """The codes of a walk, and of each the address of the sample last passed."""
    codes, addresses = start.codes, start.addresses
    legs = [*pairwise(range(len(codes)))] + [(len(codes) - 1, 0)] * loop
    t = torch.arange(steps, dtype=torch.float64) / steps
    parts = [law.between(codes[a], codes[b], t, straight=straight) for a, b in legs]
    seeds = [addresses[a] for a, _ in legs for _ in range(steps)]
    if not loop:
        parts, seeds = [*parts, codes[-1:]], [*seeds, addresses[-1]]
    return torch.cat(parts), seeds


def with_photos(
    model: Model, edited: Samples, pairs: Tensor, addresses: Sequence[SampleAddress]
) -> Samples:
    """The rows of ``edited``, each after its ``pairs``, ``(rows, k, *shape)``, of one address."""
    rows, k = pairs.shape[:2]
    tensor = torch.cat([pairs, edited.tensor.unflatten(0, (rows, -1))], 1).flatten(0, 1)
    columns, seeds = len(edited) // rows, []
    for row, address in enumerate(addresses):
        seeds += [address] * k + [*edited.seeds[row * columns : (row + 1) * columns]]
    labels = None if edited.labels is None else edited.labels[:1].expand(len(tensor))
    return model.public_samples(tensor, labels, seeds, edited.call or {})


def with_steps(edited: Samples, start: Resolved, toward: str, alphas: Sequence[float]) -> Samples:
    """``edited`` with a row for each sample; the steps are written below the columns."""
    pair = ["photo", RECONSTRUCTION] if start.photos else []
    texts = [f"{round(alpha, 2) + 0.0:g}" for alpha in alphas]
    title = f"alpha, steps towards {toward}" if toward else "alpha, steps along the direction"
    rows = [] if start.names == ["photo"] else start.names  # the columns say it, too
    edited.columns = len(pair) + len(texts)
    edited.film = edited.columns, len(pair)
    edited.captions = Captions(title, rows, [*pair, *texts])
    return edited


def walk_length(through: Sized, steps: int, loop: bool) -> int:
    """The number of samples of a walk. Raises BadInput if there is no walk."""
    if len(through) < 2:
        raise BadInput(f"a walk needs at least two samples, like 3,17,42, got {len(through)}")
    check_count("steps", steps, 1)
    return len(through) * steps if loop else (len(through) - 1) * steps + 1


@checked_arguments
@usual_torch()
def traverse(
    model: str | Path | Model,
    dims: str | tuple[int, int] | None = None,
    *,
    grid: str | tuple[int, int] = (9, 9),
    sample: SampleLike = 0,
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
    batch_size: int = 64,
    progress: Progress | None = None,
    **search: Unpack[PhotoSearch],
) -> Samples:
    """One sample with two numbers of its code changed, on a grid: ``rows * columns`` samples.

    The first of ``dims`` changes from row to row, the second from column to column; by default the
    two that change samples most (`measure_activity`). Text such as ``dims="3,7"`` and
    ``grid="3x5"`` is read as on the command line. The values are the quantiles of the code's
    law, in equal steps of probability (Kingma & Welling 2014, appendix A, figure 4): for a code of
    two numbers the grid shows the whole manifold. A number of a category stands for all of them:
    the grid goes through the categories. ``sampling``: settings as of ``sample``. Above the grid of
    a photo, in rows of its own that end in black, stand the photo and its reconstruction;
    ``search``: how its code is found (`PhotoSearch`). Raises BadInput, and as ``load``.
    """
    model = as_latent(model, device)
    chosen = select(model, sample)
    if len(chosen) != 1:
        raise BadInput(f"a traversal changes one sample, got {len(chosen)}")
    rows, columns = checked_pair("grid", grid, "x", "3x5")
    dims = most_active(model, label, sampling) if dims is None else _checked_dims(dims)
    check_grid(model, dims, (rows, columns))
    start = resolve(model, chosen, label, sampling, search)
    code = start.codes.repeat(rows * columns, 1)
    down = even_shares(rows).repeat_interleave(columns).to(code.device)
    code = model.code_law.vary(code, dims[0], down)
    code = model.code_law.vary(code, dims[1], even_shares(columns).repeat(rows).to(code.device))
    call = {"method": "traverse", **start.recorded("of"), "dims": [*dims], "grid": [rows, columns]}
    samples = model.decode_codes(
        code,
        labels=start.label,
        seeds=start.addresses * len(code),
        call=call,
        batch_size=batch_size,
        progress=progress,
        **(sampling or {}),
    )
    if start.photos:
        samples = _below_photo(model, samples, start, columns, sampling)
    return _with_values(samples, model.code_law, start, dims, code)


def _with_values(
    samples: Samples, law: CodeLaw, start: Resolved, dims: tuple[int, int], codes: Tensor
) -> Samples:
    """``samples`` with the values of the two numbers, beside the rows and below the columns."""
    columns = (samples.call or {})["grid"][1]
    down, across = (law.describe(codes, dim) for dim in dims)
    rows, blank = down[::columns], range(0)
    if start.photos:
        pair = [start.names[0], RECONSTRUCTION]
        rows = [*(pair if columns == 1 else [",\n".join(pair)]), *rows]
        blank = range(2, columns)
    one = start.names[0] if start.photos or start.record == "codes" else f"sample {start.names[0]}"
    title = f"{one}: number {dims[0]} of its code changes downwards, {dims[1]} to the right"
    samples.columns = columns
    samples.captions = Captions(title, rows, across[:columns], blank=blank)
    return samples


def _checked_dims(dims: str | tuple[int, int]) -> tuple[int, int]:
    if dims == "all":
        raise BadInput("a traversal changes two dims: genzoo.sweep(...) has a row for each of all")
    return checked_pair("dims", dims, ",", "3,7")


def _below_photo(
    model: Latent,
    samples: Samples,
    start: Resolved,
    columns: int,
    sampling: Mapping[str, Any] | None,
) -> Samples:
    """The grid below rows of its width that begin with the photo and its reconstruction."""
    (pair,), rest = start.pairs(model, sampling), -2 % columns
    black = (model.public_range or (0.0, 0.0))[0]
    top = torch.cat([pair, torch.full_like(pair[:1], black).expand(rest, *pair.shape[1:])])
    return with_photos(model, samples, top[None], start.addresses)


def most_active(
    model: Latent, label: int | str | None = None, sampling: Mapping[str, Any] | None = None
) -> tuple[int, int]:
    """The two numbers of the code that change samples most. Raises BadInput if it has one."""
    check_two(model)
    found = measure_activity(model, label=label, sampling=sampling).dims
    if len(found) < 2:
        raise BadInput("a traversal needs two numbers, and this model's code is one category")
    return found[0], found[1]


def even_shares(n: int) -> Tensor:
    """1/2n, 3/2n, ...: float64 ``(n,)``."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def check_two(model: Latent) -> None:
    """Check that the code has at least two numbers. Raises BadInput."""
    if model.latent_dim < 2:
        raise BadInput("a traversal needs a code of at least two numbers: this model's has 1")


def check_grid(model: Latent, dims: tuple[int, int], grid: tuple[int, int]) -> None:
    """Check that ``dims`` are two of the code's numbers and that the grid fits. Raises BadInput."""
    check_two(model)
    said = either(argument("dims"), "dims")
    for dim in dims:
        if not 0 <= dim < model.latent_dim:
            raise BadInput(f"{said} must be from 0 to {model.latent_dim - 1}, got {dim}")
    if dims[0] == dims[1]:
        raise BadInput(f"a traversal needs two different dims, got {dims[0]} twice")
    for part, at in model.code_law.located():
        if not part.can_add and {*range(at.start, at.stop)} >= {*dims}:
            raise BadInput(f"dims {dims[0]} and {dims[1]} are of one category, which is one choice")
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
