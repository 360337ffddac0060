"""Picture files: PNG, JPEG, WebP and PDF, with the origin of the picture in their metadata."""

import io
import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import quoteattr

from PIL import (
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from genzoo.errors import BadInput, OperationFailed
from genzoo.files import ending_of
from genzoo.models import pdf
from genzoo.models.pictures import LARGEST_SHEET
from genzoo.version import VERSION

# The comment in every image file, and the key of the PNG text that holds the record.
SYNTHETIC, KEYWORD = "Synthetic: drawn by a generative model.", "genzoo"
NAMESPACE = "urn:genzoo:record:1"  # of the record in XMP
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
# Of pictures that show somebody's data and nothing that a model drew.
REAL = XMP.replace(XMP[XMP.index(" xmlns:Iptc") : XMP.index("/></rdf")], "")
_SEGMENT = 65_533  # bytes of a segment of a JPEG, with its length
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
QUALITY = 95  # of a JPEG
LARGEST_SIDE = {".jpg": 65_500, ".webp": 16_383}  # pixels that the format can hold


def encode(
    picture: Image.Image,
    ending: str = ".png",
    record: Mapping[str, Any] | None = None,
    *,
    xmp: str = XMP,
    comment: str = SYNTHETIC,
    smallest: bool = True,
) -> bytes:
    """The bytes of a file of ``picture``: ``.png``, ``.jpg``, ``.webp`` or ``.pdf``.

    Its metadata contain ``comment``, ``xmp`` and, if there is one, ``record``. All but JPEG keep
    each pixel. ``smallest``: a PNG is compressed as far as it can be, which takes several times as
    long. Raises BadInput if the format cannot hold the picture or the record.
    """
    ending = ending_of(Path(f"picture{ending}"))
    check_sides(ending, picture.size)
    if ending == ".png":
        return _png(picture, record, xmp, comment, smallest)
    packet = _packet(xmp, comment, record)
    if ending == ".pdf":
        return pdf.encode(picture, comment, packet, f"genzoo {VERSION}" if record else "")
    buffer = io.BytesIO()
    if ending == ".webp":
        _check_webp()
        picture.save(buffer, "WEBP", lossless=True, quality=80, xmp=packet)
        return buffer.getvalue()
    options: dict[str, Any] = {"quality": QUALITY, "subsampling": 0, "optimize": True}
    picture.save(buffer, "JPEG", comment=comment.encode(), extra=_segment(packet), **options)
    return buffer.getvalue()


class Pictured(ABC):
    """A result that a notebook shows as the picture that its ``save`` writes."""

    @abstractmethod
    def save(self, path: str | Path) -> Path:
        """Write the picture. Raises BadInput if there is none."""

    def _repr_png_(self) -> bytes | None:
        """The picture; None, so that a notebook shows the text, where there is none."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                return self.save(Path(folder) / "shown.png").read_bytes()
            except BadInput:  # its samples are no images, or too many for one picture
                return None


def check_sides(ending: str, size: tuple[int, int]) -> None:
    """Check that a format can hold a picture of ``size`` pixels. Raises BadInput."""
    if max(size) > (most := LARGEST_SIDE.get(ending, max(size))):
        got = "x".join(f"{side:,}" for side in size)
        raise BadInput(
            f"a {ending} has sides of at most {most:,} pixels, this picture is {got}: write a "
            ".png, or choose a smaller scale"
        )


def _check_webp() -> None:
    from PIL import features

    if not features.check("webp"):
        raise OperationFailed("this Pillow was built without WebP: write a .png")


def _png(
    picture: Image.Image,
    record: Mapping[str, Any] | None,
    xmp: str,
    comment: str,
    smallest: bool,
) -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", comment)
    texts.add_itxt("XML:com.adobe.xmp", xmp)
    if record is not None:
        texts.add_text("Software", f"genzoo {VERSION}")
        texts.add_text(KEYWORD, json.dumps(record))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=texts, optimize=smallest)
    return buffer.getvalue()


def _packet(xmp: str, comment: str, record: Mapping[str, Any] | None) -> bytes:
    """``xmp`` with the comment and the record as attributes of genzoo's own."""
    own = f" xmlns:genzoo={quoteattr(NAMESPACE)} genzoo:comment={_attribute(comment)}"
    if record is not None:
        own += f" genzoo:record={_attribute(json.dumps(record))}"
    return xmp.replace("<rdf:Description", f"<rdf:Description{own}", 1).encode()


def _attribute(text: str) -> str:
    """``text`` as an attribute in double quotes, whatever it contains."""
    return quoteattr(text, {'"': "&quot;"})


def _segment(packet: bytes) -> bytes:
    """The segment of a JPEG that holds XMP (ISO 16684-3, section 1.1.3)."""
    content = _JPEG_XMP + packet
    if len(content) + 2 > _SEGMENT:
        raise BadInput(
            f"a .jpg holds {_SEGMENT:,} bytes of metadata, and the record of these samples has "
            f"{len(content):,}: write a .png, or leave the metadata out"
        )
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content


def opened(file: str | Path | BinaryIO) -> Image.Image:
    """A PNG, GIF, JPEG, WebP or PDF that genzoo wrote; of all but PDF only the header is read.

    The program's limit of pixels (Image.MAX_IMAGE_PIXELS), which Image.open obeys, is for files of
    others: the caller of this function checks `LARGEST_SHEET`. (Pillow checks later frames of a GIF
    all the same.) Raises what Pillow raises.
    """
    start = _start(file)
    read = next((read for mark, read in _FORMATS.items() if start.startswith(mark)), None)
    if read is None:
        raise UnidentifiedImageError("it is no PNG, GIF, JPEG, WebP or PDF")
    if read is WebPImagePlugin.WebPImageFile:
        _check_canvas(start)
    try:
        return read(file)
    except SyntaxError:  # so these classes say that a file is not of their format
        raise UnidentifiedImageError("its start is damaged") from None


def _start(file: str | Path | BinaryIO) -> bytes:
    if isinstance(file, str | Path):
        with Path(file).open("rb") as opened_file:
            return opened_file.read(64)
    start = file.read(64)
    file.seek(-len(start), io.SEEK_CUR)
    return start


def _check_canvas(start: bytes) -> None:
    """Check the size of a WebP, for which its decoder takes the memory at once."""
    if start[8:16] == b"WEBPVP8X":
        sides = [int.from_bytes(start[i : i + 3], "little") + 1 for i in (24, 27)]
    else:
        bits = int.from_bytes(start[21:25], "little")
        sides = [(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1]
    if start[8:16] not in (b"WEBPVP8X", b"WEBPVP8L") or sides[0] * sides[1] > LARGEST_SHEET:
        raise ValueError("it is no WebP that genzoo writes")


# By how their files begin.
_FORMATS: dict[bytes, Callable[[Any], Image.Image]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"GIF8": GifImagePlugin.GifImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"RIFF": WebPImagePlugin.WebPImageFile,
    b"%PDF": pdf.opened,
}
