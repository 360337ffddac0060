"""PDF files of one picture, without loss: Pillow would write a JPEG into them."""

import re
import zlib
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from genzoo.models.pictures import LARGEST_SHEET

POINTS, LARGEST_PAGE = 0.75, 14_400  # points of a pixel; of a side of a page (PDF 1.7, annex C)
_START, _MARK = b"%PDF-1.7\n", b"%genzoo\n"
_HEAD = 1 << 23  # bytes before the picture: the metadata, and some text
_PICTURE = re.compile(
    rb"/Subtype /Image /Width (\d{1,6}) /Height (\d{1,6}) /ColorSpace /Device(Gray|RGB) [^<>]*"
    rb"/Length (\d{1,9}) >>\nstream\n"
)


def encode(picture: Image.Image, comment: str, xmp: bytes, software: str = "") -> bytes:
    """The bytes of a PDF with ``picture``, "L" or "RGB", on a page of its size."""
    width, height = picture.size
    point = min(POINTS, LARGEST_PAGE / max(picture.size))
    colours = "Gray" if picture.mode == "L" else "RGB"
    form = (
        f"/Type /XObject /Subtype /Image /Width {width} /Height {height} "
        f"/ColorSpace /Device{colours} /BitsPerComponent 8 /Interpolate false "
        "/Filter /FlateDecode"
    )
    drawing = f"{width * point:.4f} 0 0 {height * point:.4f} 0 0 cm /Picture Do"
    page = f"{width * point:.4f} {height * point:.4f}"
    info = f"/Subject {_text(comment)}" + (f" /Producer {_text(software)}" if software else "")
    # The metadata come first: who looks for them need not read the picture.
    objects = [
        _stream("/Type /Metadata /Subtype /XML", xmp),
        f"<< {info} >>".encode(),
        b"<< /Type /Catalog /Pages 4 0 R /Metadata 1 0 R >>",
        b"<< /Type /Pages /Kids [5 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 4 0 R /MediaBox [0 0 {page}] /Contents 6 0 R "
        "/Resources << /XObject << /Picture 7 0 R >> >> >>".encode(),
        _stream("", drawing.encode()),
        _stream(form, zlib.compress(picture.tobytes(), 9)),
    ]
    return _file(objects)


def _file(objects: list[bytes]) -> bytes:
    """Numbered objects, the table of where they stand, and the trailer."""
    content, places = _START + _MARK, list[int]()
    for number, one in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 3 0 R /Info 2 0 R >>\n" % count
    end = b"startxref\n%d\n%%%%EOF\n" % len(content)
    return content + b"xref\n0 %d\n0000000000 65535 f \n" % count + table + trailer + end


def _stream(entries: str, content: bytes) -> bytes:
    head = f"<< {entries} /Length {len(content)} >>".replace("  ", " ")
    return head.encode() + b"\nstream\n" + content + b"\nendstream"


def _text(text: str) -> str:
    """A text string in any alphabet (PDF 1.7, section 7.9.2.2)."""
    return f"<FEFF{text.encode('utf-16-be').hex().upper()}>"


def opened(file: str | Path | BinaryIO) -> Image.Image:
    """The picture in a PDF that ``encode`` wrote. Raises SyntaxError if the file is another."""
    if isinstance(file, str | Path):
        with open(file, "rb") as opened_file:  # noqa: PTH123 (as Pillow's classes take it)
            return opened(opened_file)
    head = file.read(_HEAD)
    if not head.startswith(_START + _MARK) or not (match := _PICTURE.search(head)):
        raise SyntaxError("not a PDF of genzoo")
    width, height, length = (int(match[i]) for i in (1, 2, 4))
    mode, channels = ("L", 1) if match[3] == b"Gray" else ("RGB", 3)
    if not 0 < width * height <= LARGEST_SHEET:
        raise ValueError(f"its picture is {width}x{height}")
    file.seek(match.end())
    size = width * height * channels
    # A few bytes can unpack to any number.
    pixels = zlib.decompressobj().decompress(file.read(length), size + 1)
    if len(pixels) != size:
        raise ValueError(f"its picture has {len(pixels):,} bytes, not {size:,}")
    return Image.frombytes(mode, (width, height), pixels)
