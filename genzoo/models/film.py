"""GIFs of samples: frames of a walk, or of pictures as they are drawn."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from genzoo.devices import memory
from genzoo.errors import BadInput, article
from genzoo.files import check_new, whole
from genzoo.models.model import Model
from genzoo.models.pictures import SYNTHETIC, check_sheet
from genzoo.models.samples import Images, Samples

FRAME = 192  # pixels, of a film of one picture at a time


def film(
    frames: Sequence[Image.Image],
    samples: Samples,
    path: Path,
    *,
    each: int = 60,
    metadata: bool = True,
) -> None:
    """Write a GIF of ``frames``, which show ``samples``, ``each`` so many milliseconds.

    Its comment is a line that says it is synthetic and, with ``metadata``, the record.
    """
    note = "\n".join([SYNTHETIC, *[json.dumps(samples.record())] * metadata])
    first, *rest = frames
    with whole(path) as aside:
        first.save(
            aside, "GIF", save_all=True, append_images=rest, duration=each, loop=0, comment=note
        )


def _check_film(n: int, shape: Sequence[int], scale: int | None) -> None:
    """Whether the frames fit into memory, of bytes, and once more for their palettes."""
    scale = scale or max(1, round(FRAME / max(shape[-2:])))
    needed, there = 2 * n * math.prod(shape) * scale**2, memory()
    if there and needed > there:
        took = f"a film of {n:,} pictures takes {needed / 1e9:,.1f} GB of {there / 1e9:,.1f} GB"
        most = there // (needed // n)
        raise BadInput(f"{took}: {most:,} fit; take fewer steps, a smaller scale, or a folder")


def _frames(samples: Images, columns: int, scale: int | None) -> list[Image.Image]:
    """Each of the columns that the samples, row by row, make: of several rows there and back."""
    rows = len(samples) // columns
    if rows == 1:
        scale = scale or max(1, round(FRAME / max(samples.tensor.shape[-2:])))
        return [one.grid(1, scale, 0) for one in samples]
    cells = samples.tensor.unflatten(0, (rows, columns))
    shown = [Images(cells[:, i]).grid(scale=scale) for i in range(columns)]
    return shown + shown[-2:0:-1]


def watchable(model: Model, parts: Iterator[Samples], n: int, path: Path, force: bool) -> Images:
    """All of ``parts`` at once, to be watched; BadInput where there is nothing to watch."""
    if not getattr(model, "in_raster_order", False):
        raise BadInput(f"{article(model)} draws all pixels at once: leave --watch out")
    check_new(path, [".gif"], force, "--watch")
    check_sheet(n, model.shape)
    drawn = list(parts)
    samples = type(drawn[0]).join(drawn)
    assert isinstance(samples, Images)
    return samples


def watch(samples: Images, path: Path, frames: int = 100, metadata: bool = True) -> None:
    """Write a GIF of pictures that appear pixel by pixel, row by row, as they were drawn."""
    height, width = samples.tensor.shape[-2:]
    order = torch.arange(height * width).view(height, width)
    shown = []
    for part in range(frames + 1):
        drawn = (order < round(part / frames * height * width)).to(samples.tensor)
        cells = samples.tensor * drawn + 0.5 * (1 - drawn)
        shown.append(Images(cells).grid())
    shown += [shown[-1]] * (frames // 4)  # to look at
    film(shown, samples, path, metadata=metadata)


def overlay(samples: Images, maps: Tensor, places: Sequence[tuple[int, int]]) -> Images:
    """The first sample with each place marked, beside it where that place looks, brighter = more.

    ``maps``: ``(n, h, w, h, w)`` as ``attention`` gives them; ``places``: (row, column) in pixels.
    """
    picture = samples.tensor[0].cpu().expand(3, -1, -1)
    height, width = picture.shape[1:]
    cells = []
    for row, column in places:
        if not (0 <= row < height and 0 <= column < width):
            raise BadInput(f"place {row},{column} lies outside of a picture of {height}x{width}")
        h, w = maps.shape[1:3]
        looks = maps[0, row * h // height, column * w // width].cpu()
        light = F.interpolate((looks / looks.max())[None, None], (height, width))[0]
        marked = picture.clone()
        marked[:, row, column] = torch.tensor([1.0, 0.0, 0.0])
        cells += [marked, picture * (0.15 + 0.85 * light)]
    call = {"method": "attention", "places": [*map(list, places)]}
    return Images(torch.stack(cells), None, samples.seeds[:1], samples.origin, call=call)
