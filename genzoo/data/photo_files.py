"""Image files that a user gives one by one: as they are, or in the shape of a model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from genzoo.data.folders import PICTURES, content
from genzoo.data.forms import Form, Frame, span_from, to_pixels
from genzoo.data.layouts import HEIF
from genzoo.data.pictures import DECODERS, Picture, Unreadable, decoded, head, span_of
from genzoo.errors import BadInput
from genzoo.files import expanded

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from genzoo.data.pictures import Span


log = logging.getLogger("genzoo")
PLAIN: Mapping[str, Any] = MappingProxyType({})  # the form of data of which nothing was asked
# Pillow's modes of images in words.
_MODES = {"L": "grey", "RGB": "colour", "RGBA": "colour", "P": "colour"}


def picture(
    path: str | Path,
    channels: int,
    *,
    still: bool = False,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """One image file, upright and in its own size: uint8 (channels, H, W). That of a sample of
    ``size`` (width, height) that was enlarged is ``size``. Raises BadInput; with ``still``, for an
    animation, too.
    """
    image = _read(expanded(path), still)
    image = _as_drawn(image, size) if size else image
    if span := _span([image]):
        log.warning("%s: %s", path, _scaling(span))
    return to_pixels(image, Frame(channels))


def photo(path: str | Path, shape: Sequence[int]) -> tuple[np.ndarray, str]:
    """One image file as uint8 of `shape` (C, H, W), its centre in these proportions, and how it was
    changed: "" if it had that size and as many channels. Raises BadInput; for an animation, too.
    """
    if len(shape) != 3:
        raise BadInput(f"{path}: an image has a shape (C, H, W), got {tuple(shape)}")
    image = _read(expanded(path), True)
    return _in_shape(path, image, shape, _span([image]))


def from_pillow(
    image: Image.Image, shape: Sequence[int], name: str, form: Mapping[str, Any] = PLAIN
) -> tuple[np.ndarray, str]:
    """An image in memory as uint8 of `shape` (C, H, W), as in `photos`; `name`: for messages."""
    import numpy as np
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    deep = np.asarray(upright) if upright.mode[0] in "IF" else None
    picture = Picture(upright if deep is None else None, deep, upright.mode)
    if deep is not None and not np.isfinite(deep).all():
        raise BadInput(f"{name} has NaN or infinite pixels")
    return _in_shape(name, picture, shape, _span([picture]), form)


def photos(
    paths: Sequence[str | Path], shape: Sequence[int], form: Mapping[str, Any] = PLAIN
) -> tuple[np.ndarray, list[Path]]:
    """Image files, and those in folders, as uint8 (n, C, H, W), and their paths. `form`: how the
    data of a model were opened, its `data_form`: with `fit` "pad" a photo is padded, else its
    centre is cropped; with `levels` these values become 0 and 255 in files of more than 8 bits.
    Changes to an image are logged. Raises BadInput as `photo`, and if no file is given.
    """
    import numpy as np

    files: list[Path] = []
    for path in map(expanded, paths):
        inside = sorted(p for p in path.iterdir() if _is_picture(p)) if path.is_dir() else [path]
        if not inside:
            raise BadInput(f"no images in {path} ({', '.join(DECODERS)})")
        files += inside
    if not files:
        raise BadInput("no images given")
    if len(shape) != 3:
        raise BadInput(f"{files[0]}: an image has a shape (C, H, W), got {tuple(shape)}")
    span, images = _span(_read(path, True) for path in files if _is_deep(path)), []
    for path in files:
        pixels, changes = _in_shape(path, _read(path, True), shape, span, form)
        if changes:
            log.warning("%s: %s", path, changes)
        images.append(pixels)
    return np.stack(images), files


def _read(path: Path, still: bool) -> Picture:
    from PIL import Image

    try:
        image = decoded(content(path))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from None
    except Unreadable as error:
        if str(error) == "too large":
            limit = f"{(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
            raise BadInput(f"{path} is too large (limit {limit})") from None
        kinds = f"a readable image ({', '.join(DECODERS)})"
        raise BadInput(f"{path} is not {kinds}: {error}") from None
    if still and image.several:
        raise BadInput(f"{path} is an animation, or holds several images: give one of them")
    return image


def _is_deep(path: Path) -> bool:
    """Whether a file has more than 8 bits; also if it cannot be read: reading it says why."""
    try:
        return head(content(path)).deep
    except (OSError, Unreadable):
        return True


def _span(images: Iterable[Picture]) -> Span | None:
    """The values that become 0 and 255, of all the images with more than 8 bits together."""
    extremes = [e for image in images if (e := image.span or image.extremes())]
    lows, highs = zip(*extremes, strict=True) if extremes else ((), ())
    return span_of(min(lows), max(highs)) if extremes else None


def _scaling(span: Span) -> str:
    return "values {:g} to {:g} became 0 to 255".format(*span)


def _as_drawn(image: Picture, size: tuple[int, int]) -> Picture:
    """The image in this size if it is an enlargement of it, each pixel a square, as genzoo writes
    samples; else as it is.
    """
    import numpy as np
    from PIL import Image

    factor = image.size[0] // size[0]
    if image.image is None or factor < 2 or image.size != (size[0] * factor, size[1] * factor):
        return image
    small = image.image.resize(size, Image.Resampling.NEAREST)
    again = small.resize(image.size, Image.Resampling.NEAREST)
    same = np.array_equal(np.asarray(again), np.asarray(image.image))
    return replace(image, image=small) if same else image


def _in_shape(
    path: str | Path,
    image: Picture,
    shape: Sequence[int],
    span: Span | None,
    form: Mapping[str, Any] = PLAIN,
) -> tuple[np.ndarray, str]:
    channels, height, width = shape
    asked, span = (
        Form.of((width, height), fit=form.get("fit")),
        span_from(form.get("levels")) or span,
    )
    image = _as_drawn(image, (width, height))
    try:
        pixels = to_pixels(image, Frame(channels, asked, None, None, span, span))
    except Unreadable as error:
        raise BadInput(f"{path} is {error} for {width}x{height} pixels") from None
    own, mode, goal = image.size, image.mode, "L" if channels == 1 else "RGB"
    changes = [] if own == (width, height) else [f"{own[0]}x{own[1]} to {width}x{height}"]
    if own[0] * height != own[1] * width:
        centre = "its centre square" if width == height else "its centre"
        changes.append("with black at two sides" if asked.fit == "pad" else centre)
    changes += [_scaling(span)] if span and image.deep is not None else []
    changes += ["white in place of transparent parts"] if image.transparent else []
    plain = mode == goal or (image.transparent and mode == "RGBA" and channels == 3)
    plain = plain or (image.channels == channels == 1 and not image.transparent)
    was, now = _MODES.get(mode, mode), _MODES[goal]
    modes = f"{mode} to {goal}" if was == now else f"{was} to {now}"
    return pixels, ", ".join(changes if plain else [*changes, modes])


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (*PICTURES.endings, *HEIF)
