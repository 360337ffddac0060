"""Strips: the stages of completed images, as rows of a picture and as a film."""

from pathlib import Path

import torch
from torch import Tensor

from genzoo.editing.inpainting import Completion
from genzoo.files import check_new
from genzoo.models.film import film
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Model
from genzoo.models.pictures import check_sheet
from genzoo.models.samples import Images

CELLS, FRAMES, DURATION = 8, 40, 100  # cells of a strip; frames of a film, milliseconds of each


def check_targets(
    strip: Path | None, gif: Path | None, n: int, model: Model, force: bool = False
) -> None:
    """Check, before any computation, that ``strip`` and ``gif`` can be written. Raises BadInput."""
    if strip is not None:
        check_new(strip, PICTURES, force, "strip")
        check_sheet(n * (CELLS + 2), model.shape, columns=CELLS + 2)
    if gif is not None:
        check_new(gif, [".gif"], force, "gif")
        check_sheet(n, model.shape)


def strip_cells(completion: Completion, images: Tensor) -> Images:
    """A row for each image: the known part on grey, the stages, the result, the original.

    ``images``: the originals, ``(n, C, H, W)`` in [0, 1].
    """
    samples = completion.samples
    known = samples.tensor.where(completion.known, torch.full_like(samples.tensor, 0.5))
    cells = torch.stack([known, *completion.frames(CELLS), images.to(samples.tensor)], 1)
    return Images(cells.flatten(0, 1), None, samples.seeds, samples.origin, call=samples.call)


def write_stages(
    completion: Completion,
    images: Tensor,
    strip: Path | None,
    gif: Path | None,
    scale: int | None,
) -> None:
    """Write the strip and the film, if a path is given; ``images``: the originals."""
    if strip is not None:
        cells = strip_cells(completion, images)
        cells.save(strip, scale, columns=len(cells) // len(images))
    if gif is not None:
        frames = [Images(frame).grid(scale=scale) for frame in completion.frames(FRAMES)]
        last = [frames[-1]] * (1 + len(frames) // 4)  # show the result longer
        film([*frames, *last], completion.samples, gif, each=DURATION)
