"""The texts in PNG, GIF and WAV files that anybody may have written: read strictly, with bounds."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from genzoo.errors import BadInput

LARGEST_TEXT, MOST_CHUNKS = 1 << 22, 100_000  # bytes of a text; chunks of a file
MOST_TEXT = 1 << 24  # bytes of all texts together, unpacked
KEYWORD = "genzoo"  # as in pictures.py, which brings torch
_RECORD, _XMP = b"gnzo", b"_PMX"  # as in sounds.py
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


def read_texts(file: BinaryIO, path: Path) -> dict[str, bytes]:
    """The texts of a PNG by keyword, the first of each; comment and record of a GIF or WAV."""
    start = file.read(8)
    texts: dict[str, bytes] = {}
    if start == b"\x89PNG\r\n\x1a\n":
        total = 0
        for key, text in _png(file, path):
            total += len(key) + len(text)
            if total > MOST_TEXT:
                raise BadInput(f"{path}: its texts are longer than {MOST_TEXT} bytes together")
            texts.setdefault(key, text)
    elif start[:6] in (b"GIF87a", b"GIF89a"):
        file.seek(0)
        # Before the first image, and no further.
        texts["Comment"], _, record = _gif(io.BytesIO(file.read(LARGEST_TEXT))).partition(b"\n")
        texts |= {KEYWORD: record} if record else {}
    elif start[:4] == b"RIFF" and file.read(4) == b"WAVE":
        for key, text in _wav(file, path):
            texts.setdefault(key, text)
    else:
        raise BadInput(f"{path} is no PNG, GIF or WAV")
    return texts


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


def _wav(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    """The comment, the XMP and the record of a WAV file; other chunks are skipped."""
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind not in (b"LIST", _XMP, _RECORD):
            file.seek(length + length % 2, io.SEEK_CUR)
            continue
        if length > LARGEST_TEXT:
            raise BadInput(f"{path}: a chunk of {length} bytes, the limit is {LARGEST_TEXT}")
        content = file.read(length + length % 2)[:length]
        if kind != b"LIST":
            yield (KEYWORD if kind == _RECORD else "XMP"), content
        elif content[:8] == b"INFOICMT":  # genzoo's is the first
            size = int.from_bytes(content[8:12], "little")
            yield "Comment", content[12 : 12 + size].rstrip(b"\0")
    raise BadInput(f"{path} has more than {MOST_CHUNKS} chunks")


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


def _gif(file: BinaryIO) -> bytes:
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
