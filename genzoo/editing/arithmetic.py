"""Arithmetic with codes: sums and differences of mean codes (Radford et al. 2016, section 6.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack, final

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from genzoo.devices import usual_torch
from genzoo.editing.notation import EXAMPLE, parse_sum
from genzoo.editing.photos import PhotoSearch
from genzoo.editing.selection import (
    RECONSTRUCTION,
    Resolved,
    SampleLike,
    check_search,
    common_label,
    resolve,
    select,
)
from genzoo.editing.walks import as_latent
from genzoo.errors import BadInput
from genzoo.files import check_ending, expanded, write_whole
from genzoo.models import picture_files
from genzoo.models.arguments import checked_arguments
from genzoo.models.captions import FONT, INK, SMALLEST, Captions, cut, font
from genzoo.models.checks import checked_seed
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Model
from genzoo.models.pictures import check_sheet, enlarged_cells, enlargement
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent
from genzoo.models.samples import Images, Samples

NOISE, NEIGHBOURS = 0.25, 8  # around the sum: Radford et al. 2016, section 6.3.2
GAP, SIGN, BAND = 4, 28, 24  # pixels, in the figure; BAND: below a picture


@final
@dataclass(frozen=True, eq=False)
class Combination(picture_files.Pictured):
    """A sum of mean codes and what the model draws from it, as in DCGAN's figure 7.

    ``terms``: of each term its sign and its samples, the sample of the mean code last. A photo
    stands before its reconstruction. ``code``: the sum, ``(1, code)``. ``around``: nine samples,
    the sum's in the middle, eight of sum plus noise around it.
    """

    terms: tuple[tuple[int, Samples], ...]
    code: Tensor
    around: Samples

    def picture(self, scale: int | None = None) -> Image.Image:
        """The terms as columns, their means below, and the nine. Raises BadInput for points."""
        return _draw_figure(self, scale)

    def __repr__(self) -> str:
        # Of a term the mean's sample is no sample, and a photo stands before its reconstruction.
        counts = [len(term) - 1 - (term.call or {}).get("photos", 0) for _, term in self.terms]
        pairs = zip(self.terms, counts, strict=True)
        signs = [f"{'+' if sign > 0 else '-'} {count}" for (sign, _), count in pairs]
        return f"<Combination {' '.join(signs)} samples, {self.around!r} around the sum>"

    def save(self, path: str | Path, scale: int | None = None, *, metadata: bool = True) -> Path:
        """Write the picture as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``, marked as synthetic;
        ``metadata`` adds what was summed. A ``.npy`` has the nine samples of ``around``.
        """
        path = check_ending(expanded(path), [*PICTURES, ".npy"])
        if (ending := path.suffix.lower()) == ".npy":
            return self.around.save(path)
        record = self.around.record() if metadata else None
        content = picture_files.encode(self.picture(scale), ending, record, xmp=self.around.xmp)
        write_whole(path, content)
        return path


@checked_arguments
@usual_torch()
def arithmetic(
    model: str | Path | Model,
    terms: str | Sequence[tuple[int, SampleLike]],
    *,
    label: int | str | None = None,
    seed: int = 0,
    sampling: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
    **search: Unpack[PhotoSearch],
) -> Combination:
    """Add and subtract mean codes: Radford et al. 2016, section 6.3.2 and figure 7.

    ``terms``: text like ``0:3,5,9 - 0:1,2,4 + photo.png``, or a list of (sign, samples or photos)
    with the sign 1 or -1. The paper found sums of single samples unstable, and means of three
    stable. A mean is shorter than a code; as in the paper it is not rescaled; uniform numbers are
    cut to their range. The eight neighbours of the sum have uniform noise on +-0.25 added, from
    ``seed``. ``search``: how the codes of photos are found (`PhotoSearch`). ``sampling``: settings
    as of ``sample``. Raises BadInput, and as ``load``.
    """
    model = as_latent(model, device)
    law = model.code_law
    law.check_sums("this model has no arithmetic with codes")
    signed = parse_sum(terms) if isinstance(terms, str) else _checked_terms(terms)
    signs, seed = [sign for sign, _ in signed], checked_seed(seed)
    resolved = _resolve_terms(model, [given for _, given in signed], label, sampling, search)
    label = common_label([one.label for one in resolved])
    total = torch.zeros(1, model.latent_dim, device=model.device)
    columns = []
    for sign, term in zip(signs, resolved, strict=True):
        mean = term.codes.mean(0, keepdim=True)
        total = total + sign * mean
        columns.append((sign, _column(model, term, mean, label, sampling or {})))
    noise = Noise(seed, range(NEIGHBOURS), "arithmetic", model.device)
    near = total + NOISE * (2 * noise.uniform(model.latent_dim) - 1)
    codes = law.nearest(torch.cat([near[: NEIGHBOURS // 2], total, near[NEIGHBOURS // 2 :]]))
    summed = [[sign, term.record] for sign, term in zip(signs, resolved, strict=True)]
    call = {"method": "arithmetic", "terms": summed, "noise": NOISE, "seed": seed}
    if photos := sum(len(term.photos) for term in resolved):
        call["photos"] = photos
    seeds = [resolved[0].addresses[0]] * len(codes)
    around = model.decode_codes(codes, labels=label, seeds=seeds, call=call, **(sampling or {}))
    return Combination(tuple(columns), total, around)


def _checked_terms(terms: Any) -> list[tuple[int, SampleLike]]:
    """``terms``, if each is a sign and samples. Raises BadInput."""
    pairs = [*terms] if isinstance(terms, list | tuple) else []
    if not pairs or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        example = f"text like {EXAMPLE}, or a list of (sign, samples)"
        raise BadInput(f"a sum needs terms: {example}, got {terms!r:.60}")
    if wrong := [sign for sign, _ in pairs if not isinstance(sign, int) or sign not in (1, -1)]:
        raise BadInput(f"each term of a sum has the sign 1 or -1, got {wrong[0]!r:.40}")
    return pairs


def _resolve_terms(
    model: Latent,
    terms: Sequence[SampleLike],
    label: int | str | None,
    sampling: Mapping[str, Any] | None,
    search: PhotoSearch,
) -> list[Resolved]:
    chosen = [select(model, term) for term in terms]
    check_search(model, chosen, label, search)
    how = [search if term.photos else PhotoSearch() for term in chosen]
    pairs = zip(chosen, how, strict=True)
    return [resolve(model, term, label, sampling, own) for term, own in pairs]


def _column(
    model: Latent,
    term: Resolved,
    mean: Tensor,
    label: int | str | None,
    sampling: Mapping[str, Any],
) -> Samples:
    """The samples of a term, photos before their reconstructions, and that of the mean code."""
    call = {"method": "arithmetic", **term.recorded("term")}
    seeds, codes = [*term.addresses, term.addresses[0]], torch.cat([term.codes, mean])
    samples = model.decode_codes(codes, labels=label, seeds=seeds, call=call, **sampling)
    cells, rows, names = [], [], []
    for i, one in enumerate(samples.tensor):
        photo = term.photos.get(i)
        cells += [one] if photo is None else [photo.values.to(one), one]
        rows += [i] * (1 if photo is None else 2)
        names += [*term.names, "mean"][i : i + 1] + [RECONSTRUCTION] * (photo is not None)
    labels = None if samples.labels is None else samples.labels[rows]
    own = [samples.seeds[i] for i in rows]
    column = model.public_samples(torch.stack(cells), labels, own, call)
    column.captions = Captions(cells=names)
    return column


def _draw_figure(sums: Combination, scale: int | None) -> Image.Image:
    """Columns of samples above the sample of their mean, signs between; the nine to the right.

    Below each stands what it is.
    """
    if not isinstance(sums.around, Images):
        raise BadInput("these samples are not images: their sum has no picture")
    height, width = sums.around.tensor.shape[-2:]
    rows, across = max(len(column) for _, column in sums.terms), len(sums.terms) + 3
    scale = scale or enlargement(across * width, max(rows, 3) * height)
    high, wide = height * scale + BAND + GAP, width * scale + GAP
    foot = GAP + max((rows - 1) * high + SIGN, 2 * high)  # the top of the means
    right = GAP + len(sums.terms) * (wide + SIGN)
    _, _, size = check_sheet(1, (3, foot + high, right + 3 * wide), 1, gap=0)
    sheet = Image.new("RGB", size[::-1], "white")
    signs = [*(sign for sign, _ in sums.terms[1:]), 0]
    middle = foot + height * scale / 2
    for i, (_, column) in enumerate(sums.terms):
        left = GAP + i * (wide + SIGN)
        *cells, mean = enlarged_cells(_images(column), scale)
        names = column.captions.cells[:-1] if column.captions else [""] * len(cells)
        for j, (cell, name) in enumerate(zip(cells, names, strict=True)):
            _paste(sheet, cell, (left, foot - SIGN - (len(cells) - j) * high), name)
        _paste(sheet, mean, (left, foot), "mean")
        _write_sign(sheet, signs[i], (left + wide + (SIGN - GAP) / 2, middle))
    if sums.terms[0][0] < 0:
        _write_sign(sheet, -1, (GAP + wide / 2, foot - SIGN / 2))
    for k, cell in enumerate(enlarged_cells(_images(sums.around), scale)):
        text = "the sum" if k == NEIGHBOURS // 2 else "+ noise"
        _paste(sheet, cell, (right + k % 3 * wide, foot + (k // 3 - 2) * high), text)
    return sheet


def _images(samples: Samples) -> list[Image.Image]:
    assert isinstance(samples, Images)
    return samples.pil()


def _paste(sheet: Image.Image, cell: Image.Image, at: tuple[int, int], text: str) -> None:
    """A picture, and the text below it."""
    sheet.paste(cell, at)
    middle = at[0] + cell.width / 2, at[1] + cell.height + 2
    size = FONT if font().getlength(text) <= cell.width else SMALLEST
    ImageDraw.Draw(sheet).text(middle, cut(text, cell.width, size), INK, font(size), anchor="ma")


def _write_sign(sheet: Image.Image, sign: int, middle: tuple[float, float]) -> None:
    text = {1: "+", -1: "-", 0: "="}[sign]
    ImageDraw.Draw(sheet).text(middle, text, "black", font(SIGN), anchor="mm")
