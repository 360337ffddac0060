"""The form that images are brought to: size, channels, and the values that become 0 and 255."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from genzoo.data.pictures import Picture, Unreadable
from genzoo.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from genzoo.data.pictures import Span

    Sides = tuple[int, int]  # (width, height)


Size = int | str | Sequence[int] | None  # 64, "64x48" or (64, 48): width x height
Levels = str | Sequence[float] | None  # "0:4095" or (0, 4095)
LARGEST_SIDE = 4096
FITS = ("crop", "pad")
NARROWEST = 50  # an image that is so many times narrower than its goal is no picture of anything


class Form(NamedTuple):
    """How images are asked for. `size`: (width, height), by default their own; `fit`: what becomes
    of images with other proportions, "crop" (only the centre is used) or "pad" (with black);
    `levels`: the values that become 0 and 255, by default those of the whole set.
    """

    size: Sides | None = None
    channels: int | None = None
    fit: str = "crop"
    levels: Span | None = None

    @classmethod
    def of(
        cls,
        size: Size = None,
        channels: int | None = None,
        fit: str | None = None,
        levels: Levels = None,
    ) -> Form:
        """From values as `open` takes them. Raises BadInput."""
        if channels not in (None, 1, 3):
            raise BadInput(f"channels must be 1 or 3, got {channels!r}")
        if fit not in (None, *FITS):
            raise BadInput(f"fit must be {' or '.join(FITS)}, got {fit!r}")
        if fit and size is None:
            raise BadInput(f"fit={fit} needs a size: size=64, or width x height, size=64x48")
        return cls(size_of(size), channels, fit or "crop", span_from(levels))

    @property
    def key(self) -> list[object]:
        """The part of a cache's key: as ever for squares of which nothing else is asked."""
        width, height = self.size or (None, None)
        size = width if width == height else [width, height]
        more = [self.fit, self.levels] if self.fit != "crop" or self.levels else []
        return [size, self.channels, *more]


class Frame(NamedTuple):
    """The form that every image of a set is converted to: as `form` asks, with `channels`, from the
    centre square of at most `crop` pixels; without a size, images must already be `own`.
    `integers`, `floats`: the values of the set's files with more than 8 bits.
    """

    channels: int
    form: Form = Form()
    crop: int | None = None
    own: Sides | None = None
    integers: Span | None = None
    floats: Span | None = None

    def reduction(self, own: Sides) -> float:
        """How many times smaller an image of this size becomes; 1 if it is not resized, or its own
        values matter.
        """
        size, fit, levels = self.form.size, self.form.fit, self.form.levels
        if not size or levels:
            return 1
        ratios = own[0] / size[0], own[1] / size[1]
        return max(ratios) if fit == "pad" else _scale(own, size, self.crop)

    def span(self, picture: Picture) -> Span | None:
        """The values of a picture that become 0 and 255; None: its own."""
        if self.form.levels or picture.deep is None:
            return self.form.levels
        return picture.span or (self.floats if picture.deep.dtype.kind == "f" else self.integers)


def size_of(value: Size) -> Sides | None:
    """(width, height) from 64, "64x48" (width x height) or (64, 48). Raises BadInput."""
    if value is None:
        return None
    sides: list[Any] = [value, value]
    if isinstance(value, str):
        texts = value.lower().split("x")
        sides = [int(t) if t.isascii() and t.isdigit() and len(t) < 10 else t for t in texts]
    elif isinstance(value, tuple | list):
        sides = [*value]
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or not all(1 <= side <= LARGEST_SIDE for side in sides):
        expected = f"a whole number from 1 to {LARGEST_SIDE}, or width x height, such as 64x48"
        raise BadInput(f"size must be {expected}; got {value!r}")
    return sides[0], sides[1]


def span_from(value: Levels) -> Span | None:
    """(lowest, highest) from "0:4095" or (0, 4095). Raises BadInput."""
    if value is None:
        return None
    try:
        low, high = map(float, value.split(":") if isinstance(value, str) else value)
        good = math.isfinite(high - low) and low < high
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        expected = "the values that become black and white, such as 0:4095 or (0, 4095)"
        raise BadInput(f"levels must be {expected}; got {value!r}")
    return low, high


def to_pixels(picture: Picture, frame: Frame, name: str = "") -> np.ndarray:
    """The picture as uint8 (C, H, W). BadInput if it is not resized and unlike the first;
    Unreadable if it is too narrow.
    """
    import numpy as np

    if not frame.form.size and frame.own not in (None, picture.size):
        own, other = ("{}x{}".format(*size) for size in (frame.own or (), picture.size))
        raise BadInput(f"images differ in size, {own} and {other} ({name}): {needs_size(picture)}")
    pixels = np.asarray(_fitted(picture, frame))
    # A copy: Pillow's array is read-only, of which torch warns.
    return np.array(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1), order="C")


def needs_size(picture: Picture) -> str:
    """What to type where images must be brought to one size."""
    width, height = picture.size
    same = f", or size={width}x{height} (width x height)" if width != height else ""
    return f"give size= to crop and resize them: size={min(width, height)} for squares{same}"


def _fitted(picture: Picture, frame: Frame) -> Image:
    from PIL import Image

    size, fit, span = frame.form.size, frame.form.fit, frame.span(picture)
    if not size:
        return picture.to_image(frame.channels, span)
    width, height = picture.size
    stretch = (width / height) / (size[0] / size[1])
    if max(stretch, 1 / stretch) > NARROWEST:
        raise Unreadable("too narrow")
    if fit == "crop":
        box = _centre(picture.size, size, frame.crop)
        return picture.resized(box, size, frame.channels, span)
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = Image.new("L" if frame.channels == 1 else "RGB", size)
    at = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas.paste(picture.resized((0, 0, width, height), inner, frame.channels, span), at)
    return canvas


def _centre(own: Sides, size: Sides, crop: int | None) -> tuple[int, int, int, int]:
    """The largest box in the centre with the proportions of `size`, of at most `crop` pixels."""
    scale = _scale(own, size, crop)
    width, height = (max(1, min(own[i], round(size[i] * scale))) for i in (0, 1))
    left, top = (own[0] - width) // 2, (own[1] - height) // 2
    return left, top, left + width, top + height


def _scale(own: Sides, size: Sides, crop: int | None) -> float:
    """How many times smaller that box becomes."""
    scale = min(own[0] / size[0], own[1] / size[1])
    return min(scale, crop / max(size)) if crop else scale
