"""Arithmetic with codes: sums and differences (Radford et al. 2016, section 6.3)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from genzoo.editing.walks import (
    GAP,
    NEIGHBOURS,
    NOISE,
    SIGN,
    SampleAddresses,
    _one_label,
    _told,
    latent,
    picks,
    places,
)
from genzoo.errors import BadInput
from genzoo.files import expanded, write_whole
from genzoo.models.checks import checked_seed
from genzoo.models.model import Model
from genzoo.models.pictures import check_sheet, png
from genzoo.models.randomness import Noise
from genzoo.models.samples import Images, Samples


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
    terms: str | Sequence[tuple[int, SampleAddresses]],
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
    total = torch.zeros(1, model.latent_dim, device=model.device)
    drawn = []
    for (sign, chosen), (codes, whose, _) in zip(read, found, strict=True):
        mean = codes.mean(0, keepdim=True)
        total = total + sign * mean
        call = {"method": "arithmetic", "term": _told(chosen, whose)}
        seeds = [*whose, whose[0]]
        part = model.decode_codes(torch.cat([codes, mean]), labels=label, seeds=seeds, call=call)
        drawn.append((sign, part))
    summed = [[sign, _told(c, w)] for (sign, c), (_, w, _) in zip(read, found, strict=True)]
    noise = Noise(checked_seed(seed), range(NEIGHBOURS), "arithmetic", model.device)
    near = total + NOISE * (2 * noise.uniform(model.latent_dim) - 1)
    codes = torch.cat([near[: NEIGHBOURS // 2], total, near[NEIGHBOURS // 2 :]])
    call = {"method": "arithmetic", "terms": summed, "noise": NOISE, "seed": seed}
    seeds = [found[0][1][0]] * len(codes)
    around = model.decode_codes(codes, labels=label, seeds=seeds, call=call)
    return Arithmetic(tuple(drawn), total, around)


def parse(text: str) -> list[tuple[int, SampleAddresses]]:
    """The signs and samples of ``0:3,5,9 - 0:1,2,4 + 0:7,8,11``. Raises BadInput."""
    signs = re.findall(r"[+-]", text)
    first, *rest = re.split(r"[+-]", text)
    if first.strip():
        signs, rest = ["+", *signs], [first, *rest]
    if not rest or any(not part.strip() for part in rest):
        raise BadInput(f"a sum is like 0:3,5,9 - 0:1,2,4 + 0:7,8,11, got {text[:60]!r}")
    return [(1 if s == "+" else -1, picks(p)) for s, p in zip(signs, rest, strict=True)]


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
