"""The texts in picture and sound files that anybody may have written: read strictly, with bounds.

A PNG, GIF or WAV has a place of its own for the record; in a JPEG, WebP or PDF it is part of XMP.
"""

import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import unescape

from genzoo.errors import BadInput

LARGEST_TEXT, MOST_CHUNKS = 1 << 22, 100_000  # bytes of a text; chunks of a file
MOST_TEXT = 1 << 24  # bytes of all texts together, unpacked
KEYWORD = "genzoo"  # as in picture_files.py, which brings torch
_RECORD, _XMP, _WEBP_XMP = b"gnzo", b"_PMX", b"XMP "  # the first two as in sounds.py
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"  # as in picture_files.py, as the next two
_ATTRIBUTE = re.compile(rb'\bgenzoo:(comment|record)="([^"<>]*)"')
_PDF_XMP = re.compile(rb"/Type /Metadata /Subtype /XML /Length (\d{1,9}) >>\nstream\n")


def read_texts(file: BinaryIO, path: Path) -> dict[str, bytes]:
    """The texts of a picture or sound by keyword, the first of each: a PNG's own, and of other
    files the comment, the XMP and the record. Raises BadInput.
    """
    texts: dict[str, bytes] = {}
    total = 0
    for key, text in _texts(file, path):
        total += len(key) + len(text)
        if total > MOST_TEXT:
            raise BadInput(f"{path}: its texts are longer than {MOST_TEXT} bytes together")
        texts.setdefault(key, text)
    return texts


def _texts(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    start = file.read(12)
    file.seek(8)
    if start[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(file, path)
    file.seek(0)
    if start[:6] in (b"GIF87a", b"GIF89a"):
        return _gif(file)
    if start[:5] == b"%PDF-":
        return _pdf(file, path)
    if start[:3] == b"\xff\xd8\xff":
        file.seek(2)
        return _jpeg(file, path)
    if start[:4] == b"RIFF" and start[8:] in (b"WAVE", b"WEBP"):
        file.seek(12)
        return _riff(file, path)
    raise BadInput(f"{path} is no PNG, JPEG, WebP, PDF, GIF or WAV")


def _png(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    """(keyword, text) of each text chunk (PNG 3rd edition, section 11.3.3); others are skipped."""
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if length > LARGEST_TEXT and kind != b"IDAT":
            raise BadInput(f"{path}: a chunk of {length} bytes, the limit is {LARGEST_TEXT}")
        if kind in _TEXTS:
            yield _text(kind, file.read(length), path)
            length = 0
        file.seek(length + 4, io.SEEK_CUR)
    raise BadInput(f"{path} has more than {MOST_CHUNKS} chunks")


def _riff(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    """The comment, the XMP and the record of a WAV or WebP; other chunks are skipped."""
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind not in (b"LIST", _XMP, _RECORD, _WEBP_XMP):
            file.seek(length + length % 2, io.SEEK_CUR)
            continue
        if length > LARGEST_TEXT:
            raise BadInput(f"{path}: a chunk of {length} bytes, the limit is {LARGEST_TEXT}")
        content = file.read(length + length % 2)[:length]
        if kind == _WEBP_XMP:
            yield from _xmp(content)
        elif kind != b"LIST":
            yield (KEYWORD if kind == _RECORD else "XMP"), content
        elif content[:8] == b"INFOICMT":  # genzoo's is the first
            size = int.from_bytes(content[8:12], "little")
            yield "Comment", content[12 : 12 + size].rstrip(b"\0")
    raise BadInput(f"{path} has more than {MOST_CHUNKS} chunks")


def _jpeg(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    """The comments and the XMP of a JPEG, which stand before its pixels (T.81, annex B)."""
    for _ in range(MOST_CHUNKS):
        mark = file.read(4)
        if len(mark) < 4 or mark[0] != 0xFF or mark[1] == 0xDA:  # the pixels begin
            return
        content = file.read(max(0, int.from_bytes(mark[2:], "big") - 2))
        if mark[1] == 0xFE:
            yield "Comment", content
        elif mark[1] == 0xE1 and content.startswith(_JPEG_XMP):
            yield from _xmp(content.removeprefix(_JPEG_XMP))
    raise BadInput(f"{path} has more than {MOST_CHUNKS} segments")


def _pdf(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    """The XMP of a PDF that genzoo wrote: its first object."""
    head = file.read(1024)
    if match := _PDF_XMP.search(head):
        if int(match[1]) > LARGEST_TEXT:
            raise BadInput(f"{path}: a text of {int(match[1])} bytes, the limit is {LARGEST_TEXT}")
        file.seek(match.end())
        yield from _xmp(file.read(int(match[1])))


def _xmp(packet: bytes) -> Iterator[tuple[str, bytes]]:
    """A packet of XMP, and genzoo's own attributes in it."""
    yield "XMP", packet
    for name, value in _ATTRIBUTE.findall(packet):
        text = unescape(value.decode("utf-8", "replace"), {"&quot;": '"'})
        yield (KEYWORD if name == b"record" else "Comment"), text.encode()


def _text(kind: bytes, content: bytes, path: Path) -> tuple[str, bytes]:
    key, _, text = content.partition(b"\0")
    packed = kind == b"zTXt"
    if packed:
        text = text[1:]  # the method, of which there is one
    elif kind == b"iTXt":
        packed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]  # language, translated keyword
    if packed:
        try:  # a few bytes can unpack to any number
            text = zlib.decompressobj().decompress(text, LARGEST_TEXT + 1)
        except zlib.error as error:
            raise BadInput(f"{path}: a text is damaged: {error}") from None
        if len(text) > LARGEST_TEXT:
            raise BadInput(f"{path}: a text of more than {LARGEST_TEXT} bytes")
    return key.decode("latin-1"), text


def _gif(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The comment before the first image of a GIF, and no further (GIF89a, section 24)."""
    comment, _, record = _gif_comment(io.BytesIO(file.read(LARGEST_TEXT))).partition(b"\n")
    yield "Comment", comment
    if record:
        yield KEYWORD, record


def _gif_comment(file: BinaryIO) -> bytes:
    """The comment before the first image of a GIF (GIF89a, section 24)."""
    flags = file.read(13)[10:11] or b"\0"
    file.seek(3 << (flags[0] & 7) + 1 if flags[0] & 128 else 0, io.SEEK_CUR)
    while file.read(1) == b"!":
        kind, parts = file.read(1), list[bytes]()
        while (size := file.read(1)) > b"\0":
            parts.append(file.read(size[0]))
        if kind == b"\xfe":
            return b"".join(parts)
    return b""
