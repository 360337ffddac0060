"""A sweep: every number of a code in a row of its own, the one that changes samples most first."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack, final

import torch
from PIL import Image

from genzoo.devices import usual_torch
from genzoo.editing.activity import Activity, measure_activity
from genzoo.editing.photos import PhotoSearch
from genzoo.editing.selection import SampleLike, resolve, select
from genzoo.editing.walks import as_latent, check_memory, even_shares
from genzoo.errors import BadInput
from genzoo.files import check_ending, expanded, write_whole
from genzoo.models.arguments import checked_arguments
from genzoo.models.captions import Captions, labelled
from genzoo.models.checks import check_count
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Model
from genzoo.models.picture_files import Pictured, encode
from genzoo.models.pictures import TALLEST, enlargement
from genzoo.models.sampler import Progress
from genzoo.models.samples import Images, Samples

ACTIVE = 0.05  # of the largest change: a number that changes less does nothing that one sees
FEWEST = 8  # rows of a picture, if so many numbers are active


@final
@dataclass(frozen=True, eq=False)
class Sweep(Pictured):
    """``samples``: a row of ``columns`` for each number of ``activity``, in its order."""

    samples: Samples
    activity: Activity
    columns: int

    def __repr__(self) -> str:
        return f"<Sweep of {len(self.activity.dims)} numbers in {self.columns} columns>"

    def picture(self, scale: int | None = None) -> Image.Image:
        """The rows of the most active numbers that fit on a screen, each with its number and the
        change that it makes; below, which are left out. Raises BadInput.
        """
        if not isinstance(self.samples, Images):
            raise BadInput("these samples are not images: write a .npy")
        scale, count = self._fitting(scale)
        pairs = zip(self.activity.dims[:count], self.activity.changes, strict=False)
        title = (
            "One number of the code changes in each row, from low to high. Beside it: which, and "
            "the mean change of a pixel (black to white is 1) from -2 to 2 standard deviations."
        )
        names = [f"{dim}: {change:.3f}" for dim, change in pairs]
        shown = self.samples[: count * self.columns].pil()
        captions = Captions(title, names, foot=self.note(scale))
        return labelled(shown, captions, self.columns, scale)

    def note(self, scale: int | None = None) -> str:
        """Which numbers the picture leaves out, as a sentence; "" if it shows all."""
        _, count = self._fitting(scale)
        n, left_out = len(self.activity.dims), self.activity.changes[count:]
        if not left_out:
            return ""
        largest = f"by {left_out[0]:.3f} at most"
        return f"The {count} most active of {n} numbers; the others change a pixel {largest}."

    def _fitting(self, scale: int | None) -> tuple[int, int]:
        """The scale, and the number of rows: of those that do something as many as are seen at
        once.
        """
        height, width = self.samples.tensor.shape[-2:]
        scale = scale or enlargement(self.columns * width, height)
        changes = self.activity.changes
        active = sum(change >= ACTIVE * changes[0] for change in changes)
        return scale, max(1, min(active, max(FEWEST, TALLEST // (height * scale))))

    def save(self, path: str | Path, scale: int | None = None, *, metadata: bool = True) -> Path:
        """Write the picture as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``, or the samples as
        ``.npy``. ``scale`` and ``metadata`` as of `Images.save`. Raises BadInput.
        """
        path = check_ending(expanded(path), [*PICTURES, ".npy"])
        if (ending := path.suffix.lower()) == ".npy":
            return self.samples.save(path)
        record = self.samples.record() if metadata else None
        write_whole(path, encode(self.picture(scale), ending, record, xmp=self.samples.xmp))
        return path


@checked_arguments
@usual_torch()
def sweep(
    model: str | Path | Model,
    *,
    columns: int = 9,
    sample: SampleLike = 0,
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    device: "str | torch.device" = "auto",
    progress: Progress | None = None,
    **search: Unpack[PhotoSearch],
) -> Sweep:
    """One sample with each number of its code changed, a row for each: the most active first.

    The values of a row are those of `traverse`: quantiles in equal steps of probability; a class
    has one row. ``label`` and ``sampling`` as of ``sample``; ``search``: how the code of a photo is
    found. Raises BadInput.
    """
    model = as_latent(model, device)
    chosen = select(model, sample)
    if len(chosen) != 1:
        raise BadInput(f"a sweep changes one sample, got {len(chosen)}")
    check_count("columns", columns, 1)
    check_memory(model, model.latent_dim * columns, "columns", model.latent_dim)
    start = resolve(model, chosen, label, sampling, search)
    activity = measure_activity(model, label=start.label, sampling=sampling)
    row = start.codes.repeat(columns, 1)
    shares = even_shares(columns).to(row.device)
    rows = [model.code_law.vary(row, dim, shares) for dim in activity.dims]
    call = {"method": "sweep", **start.recorded("of"), "columns": columns}
    samples = model.decode_codes(
        torch.cat(rows),
        labels=start.label,
        seeds=start.addresses * (len(rows) * columns),
        call={**call, "dims": [*activity.dims]},
        batch_size=batch_size,
        progress=progress,
        **(sampling or {}),
    )
    return Sweep(samples, activity, columns)
