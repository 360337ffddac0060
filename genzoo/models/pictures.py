"""PNG files of generated images: their metadata, the size of grids, seeds written below images."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import (
    GifImagePlugin,
    Image,
    ImageDraw,
    ImageFont,
    PngImagePlugin,
    UnidentifiedImageError,
)

from genzoo.errors import BadInput
from genzoo.version import VERSION

LARGEST_SHEET = 64_000_000  # pixels; Pillow warns of decompression bombs from 89 million on
BAND = 14  # height in pixels of the band below an image for its seed
# The comment in every image file, and the key of the PNG text that holds the record.
SYNTHETIC, KEYWORD = "Synthetic: drawn by a generative model.", "genzoo"
# IPTC's terms, as XMP, for media made by a trained model, all or a part: photo software and
# archives read them.
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    "Iptc4xmpExt:DigitalSourceType="
    '"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>'
    "</rdf:RDF></x:xmpmeta>"
)
COMPOSITE = XMP.replace("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")


def png(picture: Image.Image, record: Mapping[str, Any] | None, xmp: str = XMP) -> bytes:
    """The bytes of a PNG file of ``picture``, marked as synthetic, with ``record`` as its text."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", SYNTHETIC)
    texts.add_itxt("XML:com.adobe.xmp", xmp)
    if record is not None:
        texts.add_text("Software", f"genzoo {VERSION}")
        texts.add_text(KEYWORD, json.dumps(record))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=texts, optimize=True)
    return buffer.getvalue()


def opened(file: str | Path | BinaryIO) -> Image.Image:
    """A PNG or GIF that genzoo wrote; only its header is read. The program's limit of pixels
    (Image.MAX_IMAGE_PIXELS), which Image.open obeys, is for files of others: the caller of this
    function checks `LARGEST_SHEET`. (Pillow checks later frames of a GIF all the same.) Raises what
    Pillow raises.
    """
    try:
        return PngImagePlugin.PngImageFile(file)
    except SyntaxError:  # so these classes say that a file is not of their format
        if not isinstance(file, str | Path):
            file.seek(0)
    try:
        return GifImagePlugin.GifImageFile(file)
    except SyntaxError:
        raise UnidentifiedImageError("it is no PNG or GIF, or its start is damaged") from None


def check_sheet(
    n: int,
    shape: Sequence[int],
    scale: int | None = None,
    columns: int | None = None,
    gap: int = 2,
    band: int = 0,
) -> tuple[int, int, tuple[int, int]]:
    """The scale, the columns, and the (height, width) of a grid of ``n`` images ``(C, H, W)``.

    ``band``: pixels below each image, for its seed. Raises BadInput if the grid would be larger
    than image software opens without a warning.
    """
    _, height, width = shape
    scale = scale or max(1, round(64 / max(height, width)))
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
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
    font = ImageFont.load_default(BAND - 4)
    texts = [f"{pair[0]}:{pair[1]}", str(pair[1])]
    text = next((t for t in texts if font.getlength(t) <= width), texts[-1])
    white = 255 if picture.mode == "L" else (255, 255, 255)
    ImageDraw.Draw(picture).text(below, text, white, font, anchor="mb")
