"""GIFs of samples: the steps of a walk, images that appear pixel by pixel."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from PIL import Image

from genzoo.devices import memory
from genzoo.errors import BadInput, argument, article
from genzoo.files import check_new, whole
from genzoo.models.captions import labelled
from genzoo.models.picture_files import SYNTHETIC
from genzoo.models.pictures import check_sheet


def film(
    frames: Sequence[Image.Image],
    samples: Any,
    path: Path,
    *,
    each: int = 60,
    metadata: bool = True,
) -> None:
    """Write a GIF of ``frames``, which show ``samples``, ``each`` for so many milliseconds.

    Its comment says that it is synthetic; with ``metadata`` it holds the record, too.
    """
    note = "\n".join([SYNTHETIC, *[json.dumps(samples.record())] * metadata])
    first, *rest = _plain(frames)
    with whole(path) as aside:
        first.save(
            aside, "GIF", save_all=True, append_images=rest, duration=each, loop=0, comment=note
        )


def _plain(frames: Sequence[Image.Image]) -> Sequence[Image.Image]:
    """Grey frames in one channel: a GIF has all its levels, so that no colours must be chosen for
    each frame, which takes most of the time.
    """
    return [frame.getchannel(0) for frame in frames] if all(map(_is_grey, frames)) else frames


def _is_grey(frame: Image.Image) -> bool:
    first, *others = (channel.tobytes() for channel in frame.split())
    return all(channel == first for channel in others)


def check_film(
    n: int, shape: Sequence[int], scale: int | None, columns: int | None = None, still: int = 0
) -> None:
    """Check that the frames fit into memory: their bytes, and a copy with a palette each.

    ``still``: of the columns those that every frame shows. Raises BadInput.
    """
    rows, across = n // (columns or n), still + 1
    scale, _, _ = check_sheet(rows * across, shape, scale, across, gap=2 if rows > 1 else 0)
    images = (n // rows - still) * rows * across  # those that stand still are in every frame
    needed, limit = 2 * images * math.prod(shape) * scale**2, memory()
    if limit and needed > limit:
        size = f"a film of {n:,} images needs {needed / 1e9:,.1f} GB"
        most = max(1, limit * n // needed)
        raise BadInput(
            f"{size}, this machine has {limit / 1e9:,.1f} GB: {most:,} images fit; "
            "take fewer steps, a smaller scale, or a folder"
        )


def write(
    samples: Any, path: Path, scale: int | None, metadata: bool, columns: int | None = None
) -> None:
    """Write a film of images: of ``columns``, by default those of the function that drew them, or
    else of one image after the other. Raises BadInput.
    """
    columns, still = (columns, 0) if columns else samples.film or (len(samples), 0)
    if len(samples) < 2 or len(samples) % columns:
        got = f"got {len(samples)} in {columns} columns"
        raise BadInput(f"a film needs whole rows of at least two images, {got}")
    check_film(len(samples), samples.tensor.shape[1:], scale, columns, still)
    film(make_frames(samples, columns, scale, still), samples, path, metadata=metadata)


def make_frames(samples: Any, columns: int, scale: int | None, still: int = 0) -> list[Image.Image]:
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
        shown = type(samples)(cells[:, chosen].flatten(0, 1))
        if samples.captions:
            captions = samples.captions.of_frame(chosen, columns)
            frames.append(labelled(shown.pil(), captions, across, scale))
        else:
            frames.append(shown.grid(across, scale, 2 if len(shown) > 1 else 0))
    return frames if rows == 1 else frames + frames[-2:0:-1]


def watchable(model: Any, parts: Iterator[Any], n: int, path: Path, force: bool) -> Any:
    """All of ``parts`` as one batch, for ``watch``. Raises BadInput if the model does not draw
    pixel by pixel.
    """
    if not getattr(model, "in_raster_order", False):
        raise BadInput(f"{argument('watch')} needs a pixel-by-pixel model, got {article(model)}")
    check_new(path, [".gif"], force, "watch")
    check_sheet(n, model.shape)
    batches = list(parts)
    return type(batches[0]).join(batches)


def watch(
    samples: Any,
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
        grids.append(type(samples)(cells).grid(scale=scale))
    grids += [grids[-1]] * (frames // 4)  # show the complete images longer
    film(grids, samples, path, metadata=metadata)
