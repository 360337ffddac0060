"""Pillow's decoders: what they refuse; of JPEGs the header, the end, a part of the size, and small
ones without Pillow's reading of their header.
"""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

    # How many times smaller an image of (width, height) becomes.
    Reduction = Callable[[tuple[int, int]], float]

# The decoder of a JPEG can return every 8th, 4th or 2nd pixel, each the mean of a square, in a
# fraction of the time. An image must stay so many times larger than what it becomes: its pixels
# then differ by 0.3 of 255 levels on average from those of a whole decoding.
REDUCED = 5
# The start of a JPEG's segment; D0 to D7 are marks among its pixels.
MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # markers of a JPEG's header
ORIENTATION = 274  # tag of EXIF; above 4, the sides are exchanged
SMALL = 1 << 16  # pixels
# Segments of a JPEG without further meaning: tables, headers (C2: of a progressive one), comments.
PLAIN = frozenset({0xDB, 0xC0, 0xC1, 0xC2, 0xC4, 0xDD, 0xFE})
HEADER = struct.Struct(">BHHB")  # bits, height, width, channels

_lock, _strict = threading.Lock(), ExitStack()
_users = 0  # how many blocks of `strict` there are, in all threads


@contextmanager
def strict() -> Iterator[None]:
    """In the block Pillow refuses what is truncated or too large, and passes over odd metadata.

    Its settings and Python's warnings are the whole process's: the first block sets them, and the
    last one, in whichever thread, puts them back.
    """
    global _users
    with _lock:
        if not _users:
            _strict.enter_context(_settings())
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _strict.close()


@contextmanager
def _settings() -> Iterator[None]:
    import warnings

    from PIL import Image, ImageFile

    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def jpeg_channels(data: bytes) -> int:
    """1 or 3 by the header of a JPEG of 8 bits; 0 if it is none, or unusual."""
    at = 2 if data.startswith(b"\xff\xd8\xff") else len(data)
    while at + 10 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in JPEG_SIZES:
            return {1: 1, 3: 3, 4: 3}.get(data[at + 9], 0) if data[at + 4] == 8 else 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def jpeg_ends(data: bytes) -> bool:
    """Whether a JPEG has its last marker: pixels that are missing become grey without an error."""
    at = 2
    while found := MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == 0xD9:
            return True
        if marker not in (0x01, 0xD8):  # these have no content
            at += int.from_bytes(data[at : at + 2], "big")
    return False


def reduce(image: Any, reduction: Reduction) -> tuple[int, tuple[int, int] | None]:
    """Let a JPEG be decoded smaller: how many times, and its size before, upright, or (1, None)."""
    own = width, height = image.size
    turned = {"exif", "xmp"} & image.info.keys() and image.getexif().get(ORIENTATION, 1) > 4
    full = own[::-1] if turned else own
    factor = reduction(full)
    scale = next((scale for scale in (8, 4, 2) if factor >= REDUCED * scale), 1)
    if scale > 1:
        image.draft(None, (width // scale, height // scale))
    return (1, None) if image.size == own else (scale, full)


def small_jpeg(data: bytes, reduction: Reduction | None) -> Image | None:
    """A small JPEG by Pillow's decoder alone: in half of the time that ``Image.open`` takes.

    None if it is not small, would be decoded smaller, is damaged, or has more than its pixels to
    tell, such as which side is up.
    """
    from PIL import Image

    channels, width, height = _plain_header(data)
    is_small = 0 < width * height <= SMALL
    if not is_small or (reduction and reduction((width, height)) >= 2 * REDUCED):
        return None
    mode = "L" if channels == 1 else "RGB"
    try:
        return Image.frombytes(mode, (width, height), data, "jpeg", mode, "")
    except ValueError:
        return None


def _plain_header(data: bytes) -> tuple[int, int, int]:
    """The channels, width and height of a JPEG that has nothing else to tell; zeros for others."""
    none = found = 0, 0, 0
    if not data.startswith(b"\xff\xd8\xff\xe0") or data[6:11] != b"JFIF\0":
        return none
    at = 4 + int.from_bytes(data[4:6], "big")
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:  # the pixels
            return found
        if marker not in PLAIN:
            return none
        if marker in JPEG_SIZES:
            bits, height, width, channels = HEADER.unpack_from(data, at + 4)
            if found != none or bits != 8 or channels not in (1, 3):
                return none
            found = channels, width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return none
