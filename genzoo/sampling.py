"""Writing samples to the disk as they are drawn: a grid, an array, or a folder of any number."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from genzoo.devices import memory
from genzoo.errors import BadInput, Failed, article
from genzoo.files import check_new, whole
from genzoo.models import Model
from genzoo.samples import SYNTHETIC, Images, Samples, check_sheet

# What samples can be written as, by a name's ending; "" is a folder.
GRIDS, FILMS = (".png", ".npy", ""), (".gif", ".png", ".npy", "")
FRAME = 192  # pixels, of a film of one picture at a time


def check_target(
    path: Path,
    n: int,
    model: Model,
    scale: int | None,
    force: bool,
    *,
    kinds: Sequence[str] = GRIDS,
    columns: int | None = None,
) -> None:
    """Before anything is drawn: can ``path`` take ``n`` samples of ``model``? Raises BadInput."""
    if path.suffix not in kinds or path.name == "-":
        endings = ", ".join(kind for kind in kinds if kind)
        folder = ", or a folder's name without an ending" if "" in kinds else ""
        raise BadInput(f"cannot write {path}: expected {endings}{folder}")
    if path.suffix in (".png", ".gif") and not model.is_images:
        raise BadInput(f"cannot write {path}: these samples are no pictures: -o NAME.npy")
    if path.suffix == ".png":
        check_sheet(n, model.shape, scale, columns)
    if path.suffix == ".gif":
        _check_film(n, model.shape, scale)
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {path}: there is no folder {path.parent}")
    if path.exists() and path.is_dir() != (path.suffix == ""):
        raise BadInput(f"{path} is a {'folder' if path.is_dir() else 'file'}: choose another -o")
    if path.exists() and not force:
        raise BadInput(f"{path} exists: choose another -o, or --force")
    if path.is_dir() and any(path.iterdir()) and not (path / "record.json").is_file():
        raise BadInput(f"{path} holds other things than samples: choose another -o")


def write(
    parts: Iterator[Samples],
    n: int,
    path: Path,
    scale: int | None = None,
    metadata: bool = True,
    columns: int | None = None,
    numbers: bool = False,
) -> dict[str, Any]:
    """Write all ``n`` of ``parts`` to ``path``, whole or not at all; what it takes to draw them
    again. A grid or a film is made in memory; an array or a folder may be of any size. A film
    shows ``columns``, one after the other. Without ``metadata`` pictures say that they are
    synthetic, and no more.
    """
    if path.suffix == "":
        return _write_folder(parts, path, metadata)
    if path.suffix == ".npy":
        return _write_array(parts, n, path)
    drawn = list(parts)
    samples = type(drawn[0]).join(drawn)
    assert isinstance(samples, Images)
    if path.suffix == ".gif":
        film(_frames(samples, columns or len(samples), scale), samples, path, metadata=metadata)
    else:
        samples.save(path, scale, metadata=metadata, columns=columns, numbers=numbers)
    return samples.record()


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


def _write_array(parts: Iterator[Samples], n: int, path: Path) -> dict[str, Any]:
    """One ``.npy`` of ``(n, *shape)`` float32, in constant memory."""
    record: dict[str, Any] = {}
    labels: list[int] = []
    with whole(path) as aside, aside.open("wb") as file:
        for part in parts:
            if not record:
                shape = (n, *part.tensor.shape[1:])
                head = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_2_0(file, head)
                record = part[:1].record()
            file.write(np.asarray(part, "<f4").tobytes())
            labels += [] if part.labels is None else part.labels.tolist()
    return {**record, "n": n, "labels": labels or None}


def _write_folder(parts: Iterator[Samples], path: Path, metadata: bool) -> dict[str, Any]:
    """A file each, in constant memory; the folder gets its name when all are there."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    record: dict[str, Any] = {}
    labels: list[int] = []
    try:
        aside.mkdir()
        for n, one in enumerate((one for part in parts for one in part), 1):
            # A walk's samples have no index of their own: they are counted.
            drawn = one.call is None or one.call.get("method") == "sample"
            file = aside / f"{one.seeds[0][1] if drawn else n - 1:08}"
            if isinstance(one, Images):
                one.save(file.with_suffix(".png"), metadata=metadata)
            else:
                one.save(file.with_suffix(".npy"))
            record = {**(record or one.record()), "n": n}
            labels += [] if one.labels is None else one.labels.tolist()
        record["labels"] = labels or None
        kept = record if metadata else {"n": n}
        (aside / "record.json").write_text(json.dumps(kept, indent=2))
        shutil.rmtree(path, ignore_errors=True)
        aside.rename(path)
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return record
