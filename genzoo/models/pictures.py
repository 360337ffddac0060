"""Pictures of generated images: by how much they are enlarged, and texts written beside images."""

import math
from collections.abc import Sequence

import numpy as np
from einops import repeat
from PIL import Image, ImageDraw, ImageFont

from genzoo.errors import BadInput
from genzoo.models.checks import check_count

LARGEST_SHEET = 64_000_000  # pixels; Pillow warns of decompression bombs from 89 million on
# Pixels of a picture, about: a projector shows 1280 x 720, and larger ones by scrolling. SEEN: of
# an image in a strip, at least.
WIDTH, NARROWEST, TALLEST, WIDEST, SEEN = 800, 750, 1200, 1280, 80
BAND, WIDE_BAND = 14, 26  # height in pixels of the band below an image for its seed


def enlargement(width: int, height: int) -> int:
    """The whole factor that makes a picture of these sides about 800 pixels wide, and not below
    750, as long as it stays about 1,200 high at most; at least 1.
    """
    across = max(round(WIDTH / width), math.ceil(NARROWEST / width))
    return max(1, min(across, round(TALLEST / height)))


def usual_columns(n: int) -> int:
    """The columns of a sheet of ``n`` images: about a square, with as few empty places as a sheet
    has that is up to four times as wide as high.
    """
    side = math.isqrt(max(0, n - 1)) + 1
    return min(range(side, max(side + 1, 2 * side)), key=lambda columns: (-n % columns, columns))


def strip_columns(n: int, width: int) -> int:
    """The columns of ``n`` images that follow one another: all, or as many as a screen shows if
    each is at least 80 pixels wide.
    """
    rows = math.ceil(n * width * math.ceil(SEEN / width) / WIDEST)
    return math.ceil(n / rows)


def band_height(width: int) -> int:
    """The height of the band below an image of this ``width`` in pixels, for its seed."""
    return WIDE_BAND if width > 96 else BAND


def check_sheet(
    n: int,
    shape: Sequence[int],
    scale: int | None = None,
    columns: int | None = None,
    gap: int = 2,
    band: int = 0,
) -> tuple[int, int, tuple[int, int]]:
    """The scale, the columns, and the (height, width) of a grid of ``n`` images ``(C, H, W)``.

    Without a ``scale`` the grid becomes about 800 pixels wide. ``band``: pixels below each image,
    for its seed. Raises BadInput for a scale or columns that count nothing, and if the grid would
    be larger than image software opens without a warning.
    """
    for name, value in (("scale", scale), ("columns", columns)):
        if value is not None:
            check_count(name, value, 1)
    _, height, width = shape
    columns = min(n, columns or usual_columns(n))
    rows = math.ceil(n / columns)
    scale = scale or enlargement(columns * width, rows * height)
    size = rows * (height * scale + gap + band) + gap, columns * (width * scale + gap) + gap
    if math.prod(size) > LARGEST_SHEET:
        got = f"a grid of {n:,} has {math.prod(size) / 1e6:,.0f} million pixels"
        hint = "take fewer, a smaller scale, or write a folder (-o FOLDER)"
        raise BadInput(f"{got}, at most {LARGEST_SHEET / 1e6:.0f} are allowed: {hint}")
    return scale, columns, size


def corner(
    n: int, columns: int, cell: tuple[int, int], gap: int = 2, band: int = 0
) -> tuple[int, int] | None:
    """Where the empty places of the last row begin, (top, left) in pixels; None if it is full.

    ``cell``: the (height, width) of an enlarged image.
    """
    if not (last := n % columns):
        return None
    return gap + n // columns * (cell[0] + gap + band), gap + last * (cell[1] + gap)


def draw_grid(
    cells: np.ndarray, columns: int, scale: int, size: tuple[int, int], gap: int, band: int
) -> Image.Image:
    """Images ``(n, h, w, c)`` uint8 in rows on black; the empty places of the last row are white.

    ``size``: as `check_sheet` gives it.
    """
    n, height, width, channels = cells.shape
    high, wide = height * scale + gap + band, width * scale + gap
    sheet = np.zeros((*size, channels), np.uint8)
    if empty := corner(n, columns, (height * scale, width * scale), gap, band):
        sheet[empty[0] :, empty[1] :] = 255
    for i, cell in enumerate(cells):
        top, left = gap + i // columns * high, gap + i % columns * wide
        enlarged = repeat(cell, "h w c -> (h down) (w right) c", down=scale, right=scale)
        sheet[top : top + height * scale, left : left + width * scale] = enlarged
    return pil_image(sheet)


def enlarged_cells(images: Sequence[Image.Image], scale: int) -> list[Image.Image]:
    """Each image with each pixel ``scale`` times as wide and high."""
    return [one.resize((one.width * scale, one.height * scale), 0) for one in images]


def pil_image(pixels: np.ndarray) -> Image.Image:  # (H, W, C) uint8
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def write_seed(
    picture: Image.Image, pair: tuple[int, int], below: tuple[float, float], width: int
) -> None:
    """Write seed:index above the point ``below``; the index alone if both are too wide."""
    font = ImageFont.load_default(band_height(width) - 4)
    texts = [f"{pair[0]}:{pair[1]}", str(pair[1])]
    text = next((t for t in texts if font.getlength(t) <= width), texts[-1])
    white = 255 if picture.mode == "L" else (255, 255, 255)
    ImageDraw.Draw(picture).text(below, text, white, font, anchor="mb")
