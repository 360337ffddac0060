"""GIFs of samples: the steps of a walk, images that appear pixel by pixel."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from einops import rearrange
from PIL import Image

from genzoo.devices import memory
from genzoo.errors import BadInput, argument, article
from genzoo.files import check_new, whole
from genzoo.models.captions import labelled
from genzoo.models.model import Model
from genzoo.models.picture_files import SYNTHETIC
from genzoo.models.pictures import check_sheet
from genzoo.models.samples import Images, Samples


def film(
    frames: Sequence[Image.Image],
    samples: Samples,
    path: Path,
    *,
    each: int = 60,
    metadata: bool = True,
) -> None:
    """Write a GIF of ``frames``, which show ``samples``, ``each`` for so many milliseconds.

    Its comment says that it is synthetic; with ``metadata`` it holds the record, too.
    """
    note = "\n".join([SYNTHETIC, *[json.dumps(samples.record())] * metadata])
    first, *rest = frames
    with whole(path) as aside:
        first.save(
            aside, "GIF", save_all=True, append_images=rest, duration=each, loop=0, comment=note
        )


def check_film(n: int, shape: Sequence[int], scale: int | None, columns: int | None = None) -> None:
    """Check that the frames fit into memory: their bytes, and a copy with a palette each.

    Raises BadInput.
    """
    rows = n // (columns or n)
    scale, _, _ = check_sheet(rows, shape, scale, gap=2 if rows > 1 else 0)
    needed, limit = 2 * n * math.prod(shape) * scale**2, memory()
    if limit and needed > limit:
        size = f"a film of {n:,} images needs {needed / 1e9:,.1f} GB"
        most = limit // (needed // n)
        raise BadInput(
            f"{size}, this machine has {limit / 1e9:,.1f} GB: {most:,} images fit; "
            "take fewer steps, a smaller scale, or a folder"
        )


def make_frames(
    samples: Images, columns: int, scale: int | None, still: int = 0
) -> list[Image.Image]:
    """A frame for each column of the grid that the samples fill row by row.

    The first ``still`` columns are in every frame, before the one that moves. Several rows play
    forward and back.
    """
    rows = len(samples) // columns
    cells = rearrange(samples.tensor, "(row column) c h w -> row column c h w", row=rows)
    across = still + 1 if still else None
    frames = []
    for column in range(still, columns):
        chosen = [*range(still), column]
        shown = Images(cells[:, chosen].flatten(0, 1))
        if samples.captions:
            captions = samples.captions.of_frame(chosen, columns)
            frames.append(labelled(shown.pil(), captions, across, scale))
        else:
            frames.append(shown.grid(across, scale, 2 if len(shown) > 1 else 0))
    return frames if rows == 1 else frames + frames[-2:0:-1]


def watchable(model: Model, parts: Iterator[Samples], n: int, path: Path, force: bool) -> Images:
    """All of ``parts`` as one batch, for ``watch``. Raises BadInput if the model does not draw
    pixel by pixel.
    """
    if not getattr(model, "in_raster_order", False):
        raise BadInput(f"{argument('watch')} needs a pixel-by-pixel model, got {article(model)}")
    check_new(path, [".gif"], force, "watch")
    check_sheet(n, model.shape)
    batches = list(parts)
    samples = type(batches[0]).join(batches)
    assert isinstance(samples, Images)
    return samples


def watch(
    samples: Images,
    path: Path,
    frames: int = 100,
    metadata: bool = True,
    scale: int | None = None,
) -> None:
    """Write a GIF of images that appear pixel by pixel, row by row, as the model drew them."""
    height, width = samples.tensor.shape[-2:]
    order = rearrange(torch.arange(height * width), "(h w) -> h w", h=height)
    grids = []
    for frame in range(frames + 1):
        known = (order < round(frame / frames * height * width)).to(samples.tensor)
        cells = samples.tensor * known + 0.5 * (1 - known)
        grids.append(Images(cells).grid(scale=scale))
    grids += [grids[-1]] * (frames // 4)  # show the complete images longer
    film(grids, samples, path, metadata=metadata)
