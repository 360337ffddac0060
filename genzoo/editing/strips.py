"""Strips: the stages of completed images, as rows of a picture and as a film."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from genzoo.editing.inpainting import Completion
from genzoo.files import check_new
from genzoo.models.captions import Captions, labelled
from genzoo.models.film import film
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Model
from genzoo.models.pictures import check_sheet
from genzoo.models.samples import Images

CELLS, FRAMES, DURATION = 7, 40, 100  # cells of a strip; frames of a film, milliseconds of each
FIRST = 9  # further frames of the photo with its hole


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
    samples, stages = completion.samples, _stages(completion, CELLS)
    original = images.to(samples.tensor)
    cells = torch.stack([*(stage for _, stage in stages), original], 1)
    strip = Images(cells.flatten(0, 1), None, samples.seeds, samples.origin, call=samples.call)
    strip.columns = len(stages) + 1
    strip.captions = Captions(columns=[*(name for name, _ in stages), "original"])
    return strip


def _stages(completion: Completion, count: int) -> list[tuple[str, Tensor]]:
    """The known part on grey, and the stages that differ from it, each with its name."""
    known, stages = completion.given, completion.stages(count)
    return [("known part", known), *(s for s in stages if not torch.equal(s[1], known))]


def film_frames(completion: Completion, scale: int | None) -> list[Image.Image]:
    """The known part on grey, the stages, the result: each with its name; the ends last longer."""
    stages = _stages(completion, FRAMES)
    frames = [labelled(Images(x).pil(), Captions(name), None, scale) for name, x in stages]
    return [frames[0]] * FIRST + frames + [frames[-1]] * (1 + len(frames) // 4)


def write_stages(
    completion: Completion,
    images: Tensor,
    strip: Path | None,
    gif: Path | None,
    scale: int | None,
) -> None:
    """Write the strip and the film, if a path is given; ``images``: the originals."""
    if strip is not None:
        strip_cells(completion, images).save(strip, scale)
    if gif is not None:
        film(film_frames(completion, scale), completion.samples, gif, each=DURATION)
