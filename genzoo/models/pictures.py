"""Pictures of generated images: by how much they are enlarged, and texts written beside images."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from genzoo.errors import BadInput

LARGEST_SHEET = 64_000_000  # pixels; Pillow warns of decompression bombs from 89 million on
# Pixels of a picture, about: a projector shows 1280 x 720, and larger ones by scrolling.
WIDTH, TALLEST = 800, 1200
BAND, WIDE_BAND = 14, 26  # height in pixels of the band below an image for its seed


def enlargement(width: int, height: int) -> int:
    """The whole factor that makes a picture of these sides about 800 pixels wide; at least 1."""
    return max(1, round(min(WIDTH / width, TALLEST / height)))


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
    for its seed. Raises BadInput if the grid would be larger than image software opens without a
    warning.
    """
    _, height, width = shape
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    scale = scale or enlargement(columns * width, rows * height)
    size = rows * (height * scale + gap + band) + gap, columns * (width * scale + gap) + gap
    if math.prod(size) > LARGEST_SHEET:
        got = f"a grid of {n:,} has {math.prod(size) / 1e6:,.0f} million pixels"
        hint = "take fewer, a smaller scale, or write a folder (-o FOLDER)"
        raise BadInput(f"{got}, at most {LARGEST_SHEET / 1e6:.0f} are allowed: {hint}")
    return scale, columns, size


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
