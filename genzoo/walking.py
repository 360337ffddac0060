"""Walks through the codes of a `Latent` model: from sample to sample, along two numbers, by sums.

A sample is picked by its address, ``SEED`` or ``SEED:INDEX``: 3 is what ``sample(1, seed=3)``
draws, 0:17 what ``sample(1, seed=0, start=17)`` does: the one that a numbered sheet has as 0:17.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, final

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from genzoo import cards
from genzoo.devices import memory
from genzoo.draws import Draws
from genzoo.errors import BadInput
from genzoo.files import expanded, write_whole
from genzoo.models import Latent, Model, Progress, checked_seed
from genzoo.samples import Images, Samples, check_sheet, png

Pick = tuple[int, int]
Picks = str | Sequence[int | Pick] | Tensor
How = Literal["slerp", "lerp"]
NOISE, NEIGHBOURS = 0.25, 8  # around a sum: Radford et al. 2016, section 6.3.2
GAP, SIGN = 4, 28  # pixels, of the figure of a sum
_PICK = re.compile(r"\s*(?:(\d+)\s*:)?\s*(\d+)\s*")


def latent(model: Model) -> Latent:
    """``model``, if it has codes to walk through. Raises BadInput, and names models that have."""
    if not isinstance(model, Latent):
        raise cards.lacking(model, Latent, "has no code to walk through")
    return model


def picks(chosen: str | Sequence[int | Pick]) -> list[Pick]:
    """The (seed, index) of each sample that ``chosen`` names; a lone number is a seed.

    In text, ``3,17`` are the first samples of seeds 3 and 17, and ``0:3,17,5:1`` samples 3 and 17
    of seed 0 and sample 1 of seed 5: behind a colon, numbers are its seed's. Raises BadInput.
    """
    if not isinstance(chosen, str):
        pairs = [(one, 0) if not isinstance(one, tuple) else one for one in chosen]
        if any(len(pair) != 2 for pair in pairs):
            raise BadInput(f"samples are a seed or (seed, index), got {chosen!r:.60}")
        return [(checked_seed(seed), checked_seed(index)) for seed, index in pairs]
    found: list[Pick] = []
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
    model: Latent, chosen: Picks, label: int | str | None
) -> tuple[Tensor, list[Pick], int | str | None]:
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


def pick(model: Model, chosen: Picks, *, label: int | str | None = None) -> Samples:
    """The samples that ``chosen`` names, in one."""
    codes, whose, label = places(latent(model), chosen, label)
    return latent(model).draw(codes, labels=label, seeds=whose, call={"method": "pick"})


def interpolate(
    model: Model,
    through: Picks,
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
    return model.draw(
        torch.cat(parts),
        labels=label,
        seeds=starts,
        call={**call, "loop": loop, "how": how},
        batch_size=batch_size,
        progress=progress,
    )


def length(through: Sequence[Pick], steps: int, loop: bool) -> int:
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
    of: Picks = (0,),
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
    return model.draw(
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
    if model.code < 2:
        raise BadInput("a traversal takes a code of two numbers at least: this one has 1")
    for dim in dims:
        if not 0 <= dim < model.code:
            raise BadInput(f"dims are numbers of the code, 0 to {model.code - 1}, got {dim}")
    if dims[0] == dims[1]:
        raise BadInput(f"a traversal takes two different dims, got {dims[0]} twice")
    for side, n in zip(("rows", "columns"), grid, strict=True):
        _count(f"the grid's {side}", n)
    check_memory(model, grid[0] * grid[1], "rows", grid[1])


@final
@dataclass(frozen=True, eq=False)
class Arithmetic:
    """What a sum of mean codes draws, laid out as in DCGAN's figure 7.

    ``terms``: of each its sign and its samples, that of the mean code last. ``code``: the sum,
    ``(1, code)``. ``around``: nine samples, the sum's in the middle, around it of sum and noise.
    """

    terms: tuple[tuple[int, Samples], ...]
    code: Tensor
    around: Samples

    def picture(self, scale: int | None = None) -> Image.Image:
        """The terms as columns with their means below, and the nine. Raises BadInput of points."""
        return _figure(self, scale)

    def save(self, path: str | Path, scale: int | None = None, *, metadata: bool = True) -> Path:
        """Write the picture as a PNG that says it is synthetic, and what was summed."""
        path = expanded(path)
        if path.suffix.lower() != ".png":
            raise BadInput(f"cannot write {path.name}: expected a name ending in .png")
        write_whole(path, png(self.picture(scale), self.around.record() if metadata else None))
        return path


def arithmetic(
    model: Model,
    terms: str | Sequence[tuple[int, Picks]],
    *,
    label: int | str | None = None,
    seed: int = 0,
) -> Arithmetic:
    """Mean codes added and subtracted: Radford et al. 2016, section 6.3.2 and figure 7.

    ``terms``: text like ``0:3,5,9 - 0:1,2,4 + 0:7,8,11``, or of each its sign (1 or -1) and its
    samples. Single samples were unstable there, the mean of three was not. A mean is shorter than
    a code; as in the paper it stays so. The eight around the sum are it and uniform noise on
    +-0.25, from ``seed``. Raises BadInput.
    """
    model = latent(model)
    read = parse(terms) if isinstance(terms, str) else [*terms]
    if not read or any(sign not in (1, -1) for sign, _ in read):
        raise BadInput("a sum takes terms, each with the sign 1 or -1")
    found = [places(model, chosen, label) for _, chosen in read]
    label = _one_label(model, [label for *_, label in found])
    total = torch.zeros(1, model.code, device=model.device)
    drawn = []
    for (sign, chosen), (codes, whose, _) in zip(read, found, strict=True):
        mean = codes.mean(0, keepdim=True)
        total = total + sign * mean
        call = {"method": "arithmetic", "term": _told(chosen, whose)}
        seeds = [*whose, whose[0]]
        part = model.draw(torch.cat([codes, mean]), labels=label, seeds=seeds, call=call)
        drawn.append((sign, part))
    summed = [[sign, _told(c, w)] for (sign, c), (_, w, _) in zip(read, found, strict=True)]
    noise = Draws(checked_seed(seed), range(NEIGHBOURS), "arithmetic", model.device)
    near = total + NOISE * (2 * noise.uniform(model.code) - 1)
    codes = torch.cat([near[: NEIGHBOURS // 2], total, near[NEIGHBOURS // 2 :]])
    call = {"method": "arithmetic", "terms": summed, "noise": NOISE, "seed": seed}
    seeds = [found[0][1][0]] * len(codes)
    around = model.draw(codes, labels=label, seeds=seeds, call=call)
    return Arithmetic(tuple(drawn), total, around)


def parse(text: str) -> list[tuple[int, Picks]]:
    """The signs and samples of ``0:3,5,9 - 0:1,2,4 + 0:7,8,11``. Raises BadInput."""
    signs = re.findall(r"[+-]", text)
    first, *rest = re.split(r"[+-]", text)
    if first.strip():
        signs, rest = ["+", *signs], [first, *rest]
    if not rest or any(not part.strip() for part in rest):
        raise BadInput(f"a sum is like 0:3,5,9 - 0:1,2,4 + 0:7,8,11, got {text[:60]!r}")
    return [(1 if s == "+" else -1, picks(p)) for s, p in zip(signs, rest, strict=True)]


def _one_label(model: Latent, labels: Sequence[int | str | None]) -> int | str | None:
    """The label that all have. Raises BadInput."""
    if len(kinds := list(dict.fromkeys(labels))) < 2:
        return next(iter(kinds), None)
    names = [model.class_names[k] if model.class_names else k for k in kinds]  # type: ignore[index]
    raise BadInput(
        f"these samples are of classes {' and '.join(map(str, names))}: a label holds for all"
    )


def _told(chosen: Picks, whose: list[Pick]) -> Any:
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


def _figure(found: Arithmetic, scale: int | None) -> Image.Image:
    """Columns of samples over that of their mean, signs between, the nine to the right of them."""
    if not isinstance(found.around, Images):
        raise BadInput("these samples are no pictures: their sum has no figure")
    height, width = found.around.tensor.shape[-2:]
    scale = scale or max(1, round(96 / max(height, width)))
    high, wide = height * scale + GAP, width * scale + GAP
    rows = max(len(part) for _, part in found.terms) - 1
    foot = GAP + max(rows * high + SIGN, 2 * high)  # the top of the means
    right = GAP + len(found.terms) * (wide + SIGN)
    _, _, size = check_sheet(1, (3, foot + high, right + 3 * wide), 1, gap=0)
    sheet = Image.new("RGB", size[::-1], "white")
    signs = [*(sign for sign, _ in found.terms[1:]), 0]
    for i, (_, part) in enumerate(found.terms):
        left = GAP + i * (wide + SIGN)
        *cells, mean = _cells(part, scale)
        for j, cell in enumerate(cells):
            sheet.paste(cell, (left, foot - SIGN - (len(cells) - j) * high))
        sheet.paste(mean, (left, foot))
        _write_sign(sheet, signs[i], (left + wide + (SIGN - GAP) / 2, foot + high / 2))
    if found.terms[0][0] < 0:
        _write_sign(sheet, -1, (GAP + wide / 2, foot - SIGN / 2))
    for k, cell in enumerate(_cells(found.around, scale)):
        sheet.paste(cell, (right + k % 3 * wide, foot + (k // 3 - 2) * high))
    return sheet


def _cells(samples: Samples, scale: int) -> list[Image.Image]:
    assert isinstance(samples, Images)
    return [one.resize((one.width * scale, one.height * scale), 0) for one in samples.pil()]


def _write_sign(sheet: Image.Image, sign: int, middle: tuple[float, float]) -> None:
    text = {1: "+", -1: "-", 0: "="}[sign]
    ImageDraw.Draw(sheet).text(middle, text, "black", ImageFont.load_default(SIGN), anchor="mm")
