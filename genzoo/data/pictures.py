"""One image file: what its header says, its pixels upright and as deep as they are, and why it is
broken.
"""

from __future__ import annotations

import functools
import io
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, final

from genzoo.data.decoders import jpeg_channels, jpeg_ends, reduce, small_jpeg, strict
from genzoo.errors import install_command

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from genzoo.data.decoders import Reduction

    Box = tuple[int, int, int, int]  # left, top, right, bottom
    Span = tuple[float, float]


# Not all formats of Pillow: EPS, for example, would start Ghostscript.
DECODERS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
STARTS = (b"\x89PNG", b"\xff\xd8", b"RIFF", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
WIDE = ("RGB;16", "RGBX;16", "RGBA;16", "LA;16")  # colours of 16 bits, as Pillow calls them
TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
STRIPS = ((273, 279), (324, 325))  # the TIFF tags of offsets and lengths, of strips and tiles
LARGEST_TILE = 1 << 27  # bytes
# Spans that files of this kind usually mean, if the largest value is in the upper half.
USUAL = (1, 255, 65535)
PIXELS_AT_ONCE = 1 << 20
Result = TypeVar("Result")


class Unreadable(Exception):
    """Why a file gives no image, in a few words: "truncated"."""


class Head(NamedTuple):
    """What the header of an image file says. `deep`: more than 8 bits a value."""

    channels: int
    deep: bool


@final
@dataclass(frozen=True)
class Picture:
    """A decoded image, upright: in 8 bits as `image`, or `deep` (H, W), (H, W, 3 or 4), whose
    fourth channel is the opacity. `span`: the smallest and the largest value that the file's format
    allows, if it says so. `inverted`: 0 is white. `several`: it is the first of several images.
    `scale`: `image` is so many times smaller than the one in the file, whose size is `full`.
    """

    image: Image | None
    deep: np.ndarray | None
    mode: str
    span: Span | None = None
    inverted: bool = False
    several: bool = False
    scale: int = 1
    full: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in the file."""
        if self.full:
            return self.full
        if self.deep is not None:
            return self.deep.shape[1], self.deep.shape[0]
        assert self.image is not None
        return self.image.size

    @property
    def transparent(self) -> bool:
        """Whether parts may be transparent."""
        return (
            self.mode in ("RGBA", "LA") if self.image is None else self.image.has_transparency_data
        )

    @property
    def channels(self) -> int:
        """1 or 3, by the mode."""
        return natural_channels(self.mode)

    def crop(self, box: Box) -> Picture:
        """The part inside the box, of an image that is not smaller than the one in the file."""
        if box == (0, 0, *self.size):
            return self
        assert self.full is None
        if self.deep is not None:
            left, top, right, bottom = box
            return replace(self, deep=self.deep[top:bottom, left:right])
        assert self.image is not None
        return replace(self, image=self.image.crop(box))

    def resized(self, box: Box, size: tuple[int, int], channels: int, span: Span | None) -> Image:
        """The part inside the box, (width, height) pixels by Lanczos; else as `to_image`."""
        from PIL.Image import Resampling

        if self.full is None or self.image is None:
            # Not resize(box=...): that mixes in pixels from outside the box.
            return self.crop(box).to_image(channels, span).resize(size, Resampling.LANCZOS)
        left, top, right, bottom = (side / self.scale for side in box)
        x, y = int(left), int(top)
        part = self.image.crop((x, y, math.ceil(right), math.ceil(bottom)))
        inside = left - x, top - y, right - x, bottom - y
        image = replace(self, image=part, full=None).to_image(channels, span)
        return image.resize(size, Resampling.LANCZOS, box=inside)

    def extremes(self) -> Span | None:
        """The smallest and the largest of the deep values; None in 8 bits."""
        if self.deep is None:
            return None
        values = self.numbers(3)
        return values.min().item(), values.max().item()

    def numbers(self, channels: int) -> np.ndarray:
        """The values as the file has them, in 8 bits with `channels`; without the opacity."""
        import numpy as np

        if self.deep is None:
            return np.asarray(self.to_image(channels, None))
        return self.deep[..., :3] if self.deep.ndim == 3 else self.deep

    def to_image(self, channels: int, span: Span | None) -> Image:
        """In mode L or RGB, white where it is transparent. The values of `span` become 0 to 255, by
        default those of the picture, or of 8 bits.
        """
        from PIL import Image

        image = self._in_bytes(span)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        if self.deep is None and span:
            low, high = span
            steps = [(value - low) * 255 / (high - low) + 0.5 for value in range(256)]
            image = image.point([min(max(int(step), 0), 255) for step in steps] * channels)
        return image

    def _in_bytes(self, span: Span | None) -> Image:
        import numpy as np
        from PIL import Image

        if self.deep is None:
            assert self.image is not None
            return self.image
        span = span or self.span or span_of(*(self.extremes() or (0, 1)))
        height, width = self.deep.shape[:2]
        pixels = np.empty(self.deep.shape, np.uint8)
        rows = max(1, PIXELS_AT_ONCE // width)
        for top in range(0, height, rows):  # a copy of all in float64 would be large
            part = slice(top, top + rows)
            pixels[part] = _scaled(self.deep[part], span)
        if self.inverted:
            pixels = 255 - pixels
        return Image.fromarray(pixels)


def _scaled(values: np.ndarray, span: Span) -> np.ndarray:
    """Values as uint8; the opacity of colours, and colours of full range, by their upper byte."""
    import numpy as np

    low, high = span
    if values.ndim == 3 and span == (0, 65535):  # as Pillow reads them
        return (values >> 8).astype(np.uint8)
    scaled = (values.astype(np.float64) - low) * 255 / (high - low) + 0.5
    result = scaled.clip(0, 255).astype(np.uint8)
    if values.ndim == 3 and values.shape[2] == 4:
        result[..., 3] = values[..., 3] >> 8
    return result


def span_of(low: float, high: float) -> Span:
    """The span of values from `low` to `high` that becomes 0 to 255: 0 to 1, 0 to 255 or 0 to 65535
    where the largest value is in its upper half, else from the smallest value to the largest.
    """
    usual = next((top for top in USUAL if low >= 0 and top / 2 < high <= top), None)
    if usual:
        return 0, usual
    return (low, high) if low < high else (min(low, 0), max(high, low + 1 if low == 0 else 0))


def natural_channels(mode: str) -> int:
    """The channels of an image in a mode of Pillow's."""
    return 1 if mode in ("1", "L", "LA", "La", "F") or mode.startswith("I") else 3


def head(data: bytes) -> Head:
    """What the header says; no pixel is decoded. Raises Unreadable."""
    if channels := jpeg_channels(data):
        return Head(channels, deep=False)
    return _tried(_head, data)


def decoded(data: bytes, reduction: Reduction | None = None) -> Picture:
    """The image in a file's content, the first if there are several. Raises Unreadable.

    ``reduction``: of an image of a size, how many times smaller it becomes; where that is 10 or
    more, a JPEG may be decoded at a part of its size.
    """
    return _tried(functools.partial(_decoded, reduction=reduction), data)


def _tried(read: Callable[[bytes], Result], data: bytes) -> Result:
    with _explained(data):
        try:
            return read(data)
        except ValueError as error:
            if "MAX_TEXT" not in str(error):  # the limit of Pillow
                raise
            return read(_without_texts(data))


@contextmanager
def _explained(data: bytes) -> Iterator[None]:
    """Raise any error as Unreadable, with its reason; decoders given hostile bytes raise nearly
    anything.
    """
    try:
        with strict():
            yield
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(_reason(data, error)) from error


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    from PIL import Image

    formats = [*DECODERS]
    if data[4:8] == b"ftyp":
        formats = _avif() if data[8:12] in (b"avif", b"avis") else []
        formats += _heif() if data[8:12] in BRANDS else []
    with Image.open(io.BytesIO(data), formats=formats or DECODERS) as image:
        _check_tiff(image, len(data))
        yield image


def _avif() -> list[str]:
    from PIL import Image

    Image.init()
    if "AVIF" not in Image.OPEN:
        raise Unreadable("AVIF needs Pillow 11.3")
    return ["AVIF"]


def _heif() -> list[str]:
    try:
        import pillow_heif
    except ImportError:
        raise Unreadable(f"HEIC: {install_command('heif')} reads it") from None
    pillow_heif.register_heif_opener()
    return ["HEIF"]


def _head(data: bytes) -> Head:
    with _opened(data) as image:
        return Head(natural_channels(_mode(image)), _is_deep(image))


def _decoded(data: bytes, reduction: Reduction | None) -> Picture:
    import numpy as np
    from PIL import ImageOps

    if data.startswith(b"\xff\xd8"):
        if not jpeg_ends(data):
            raise Unreadable("truncated")
        if small := small_jpeg(data, reduction):
            return Picture(small, None, small.mode)
    with _opened(data) as image:
        # A photograph of a phone may come with further versions of itself (MPO).
        several = getattr(image, "is_animated", False) and image.format != "MPO"
        is_deep, raw, tags = _is_deep(image), _raw_mode(image), getattr(image, "tag_v2", {})
        if raw.startswith(WIDE) and 2 * image.width * image.height > _most_pixels():
            raise Unreadable("too large")  # it is read twice, into twice the bytes
        maximum = image.tile[0][3][1] if image.format == "PPM" and is_deep else 0
        is_jpeg = image.format in ("JPEG", "MPO")
        scale, full = reduce(image, reduction) if reduction and is_jpeg else (1, None)
        if not is_jpeg or {"exif", "xmp"} & image.info.keys():  # else nothing says how it lies
            ImageOps.exif_transpose(image, in_place=True)
        image.load()
        if image.mode == "LAB":
            raise Unreadable("colours in LAB")
        mode, inverted = "LA" if raw.startswith("LA;16") else image.mode, tags.get(PHOTOMETRIC) == 0
        if not is_deep:
            return Picture(image, None, mode, several=several, scale=scale, full=full)
        values = _deep_values(image, tags)
    if values.ndim == 3:
        del image  # both at once would be large
        values = _both_bytes(values, data, raw)
    if not maximum:
        return Picture(None, values, mode, None, inverted, several)
    # Pillow has scaled them to 65535.
    values = np.rint(values * (maximum / 65535)).astype(np.int32)
    return Picture(None, values, mode, (0, maximum), inverted, several)


def _most_pixels() -> float:
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS or math.inf


def _deep_values(image: Image, tags: Any) -> np.ndarray:
    """Values as numbers with their sign. Raises Unreadable if one is no number."""
    import numpy as np

    values, bits = np.asarray(image), (tags.get(SAMPLE_FORMAT, (1,)), tags.get(BITS))
    if image.mode == "L":
        values = values.view(np.int8)
    elif image.mode == "I" and bits == ((1,), (32,)):
        values = values.view(np.uint32)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Unreadable("NaN or infinite pixels")
    return values


def _both_bytes(upper: np.ndarray, data: bytes, raw: str) -> np.ndarray:
    """16 bits of red, green, blue and perhaps the opacity, of which `upper` has the upper bytes."""
    import numpy as np

    if raw.startswith("LA"):  # this holds both bytes of both channels
        both = _lower_bytes(data).astype(np.uint16)
        grey, opacity = both[..., 0] << 8 | both[..., 1], both[..., 2] << 8 | both[..., 3]
        return np.stack([grey] * 3 + [opacity], -1)
    values = upper.astype(np.uint16)
    values <<= 8
    values |= _lower_bytes(data)
    return values


def _lower_bytes(data: bytes) -> np.ndarray:
    """The lower byte of each value of an image with 16 bits a channel, of which Pillow reads only
    the upper ones: with the order of the bytes reversed.
    """
    import numpy as np
    from PIL import ImageOps

    native = "L" if sys.byteorder == "little" else "B"
    with _opened(data) as image:
        raw = _raw_mode(image).replace(";16N", f";16{native}")
        other = raw[:-1] + ("B" if raw.endswith("L") else "L")
        other = "RGBA" if raw.startswith("LA") else other
        for index, tile in enumerate(image.tile):
            args = other if isinstance(tile[3], str) else (other, *tile[3][1:])
            named = hasattr(tile, "_replace")  # not in Pillow 10
            image.tile[index] = tile._replace(args=args) if named else (*tile[:3], args)
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
        return np.asarray(image)


def _mode(image: Any) -> str:
    """Pillow's mode, but for grey of 16 bits with opacity, which Pillow reads as colours."""
    return "LA" if _raw_mode(image).startswith("LA;16") else image.mode


def _raw_mode(image: Any) -> str:
    """How the values lie in the file, in Pillow's words: RGB;16B. "" if unknown."""
    args = image.tile[0][3] if image.tile else ""
    raw = args[0] if isinstance(args, tuple) and args else args
    return raw if isinstance(raw, str) else ""


def _is_deep(image: Any) -> bool:
    """Whether values have more than 8 bits, or a sign. Pillow's modes tell it of grey ones only."""
    if image.mode == "F" or image.mode.startswith("I"):
        return True
    signed = image.mode == "L" and getattr(image, "tag_v2", {}).get(SAMPLE_FORMAT) == (2,)
    return signed or _raw_mode(image).startswith(WIDE)


def _without_texts(data: bytes) -> bytes:
    """A PNG without its texts, of which Pillow reads a few MB only."""
    kept, at = [data[:8]], 8
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in TEXTS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _check_tiff(image: Any, size: int) -> None:
    """Raise Unreadable if parts of a TIFF lie beyond its end, or are larger than all of it."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return
    if tags.get(PHOTOMETRIC) == 6 and tags.get(259) == 1:  # Pillow looks for a fourth byte
        raise Unreadable("colours in YCbCr, not compressed")
    for starts, lengths in STRIPS:
        parts = zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False)
        if any(start + length > size for start, length in parts):
            raise Unreadable("truncated")
    tile = tags.get(322, 1) * tags.get(323, 1) * tags.get(277, 1) * max(tags.get(BITS, (8,))) // 8
    if tile > LARGEST_TILE:
        raise Unreadable("too large")


def _reason(data: bytes, error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if not data:
        return "empty"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return "too large"
    if isinstance(error, UnidentifiedImageError) and not data.startswith(STARTS):
        return "no image"
    if _is_short(data) or re.search("truncat|EOF|not enough", str(error), re.IGNORECASE):
        return "truncated"
    return "damaged, or in a form that is not known"


def _is_short(data: bytes) -> bool:
    """Whether a file is shorter than its own header says."""
    if data.startswith(b"RIFF"):
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if data[:4] in (b"II*\0", b"MM\0*"):  # its directory may be at the end
        order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
        start = int.from_bytes(data[4:8], order)
        return len(data) < start + 2 + 12 * int.from_bytes(data[start : start + 2], order)
    return len(data) < 64
