"""Strips: how images came to be completed, as rows of a picture and as a film."""

from pathlib import Path

import torch
from torch import Tensor

from genzoo.editing.inpainting import Completion
from genzoo.errors import BadInput
from genzoo.files import check_new
from genzoo.models.film import film
from genzoo.models.model import Model
from genzoo.models.pictures import check_sheet
from genzoo.models.samples import Images

CELLS, FRAMES, EACH = 8, 40, 100  # of a strip; of a film, and their milliseconds


def picture_shape(model: Model, name: str) -> tuple[int, ...]:
    """The shape of the pictures that ``model`` draws. Raises BadInput where they are none."""
    if not model.is_images:
        shape = "x".join(map(str, model.shape))
        raise BadInput(f"{name} draws {shape}, which are no pictures: genzoo.inpaint takes arrays")
    return tuple(model.shape)


def check_targets(
    strip: Path | None, gif: Path | None, n: int, model: Model, force: bool = False
) -> None:
    """Before anything is computed: can ``strip`` and ``gif`` be written? Raises BadInput."""
    for path, ending, option in ((strip, ".png", "--strip"), (gif, ".gif", "--gif")):
        if path is None:
            continue
        check_new(path, [ending], force, option)
    if strip is not None:
        check_sheet(n * (CELLS + 2), model.shape, columns=CELLS + 2)
    if gif is not None:
        check_sheet(n, model.shape)


def strip(found: Completion, images: Tensor) -> Images:
    """A row for each image: what was known, on grey; on the way; completed; as ``images`` has it.

    ``images``: ``(n, C, H, W)`` in [0, 1], from before anything was taken away.
    """
    done = found.samples.tensor
    hidden = done.where(found.known, torch.full_like(done, 0.5))
    cells = torch.stack([hidden, *found.frames(CELLS), images.to(done)], 1)
    return Images(cells.flatten(0, 1), None, found.samples.seeds, found.samples.origin)


def show(
    found: Completion, images: Tensor, to_strip: Path | None, gif: Path | None, scale: int | None
) -> None:
    """Write the strip and the film that were asked for; ``images`` as ``strip`` takes them."""
    if to_strip is not None:
        cells = strip(found, images)
        cells.call = found.samples.call
        cells.save(to_strip, scale, columns=len(cells) // len(images))
    if gif is not None:
        shown = [Images(frame).grid(scale=scale) for frame in found.frames(FRAMES)]
        assert isinstance(found.samples, Images)
        last = [shown[-1]] * (1 + len(shown) // 4)  # to look at
        film([*shown, *last], found.samples, gif, each=EACH)
