"""WAV files of generated signals: 16-bit PCM, marked as synthetic."""

import base64
import html
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genzoo.errors import BadInput
from genzoo.models.picture_files import SYNTHETIC, XMP
from genzoo.version import VERSION

LARGEST = 1 << 28  # bytes of a file; players load it whole
PAUSE = 0.25  # seconds of silence between signals
PLAYERS, LARGEST_PAGE = 16, 1 << 23  # in a notebook: players, and bytes of all their files
# The chunks that hold the record and, as Adobe's XMP specification has it, the XMP.
RECORD, XMP_CHUNK = b"gnzo", b"_PMX"


def check_length(n: int, shape: Sequence[int], rate: int) -> None:
    """Check that ``n`` signals ``(channels, length)`` fit into a file. Raises BadInput."""
    channels, length = shape
    size = 2 * channels * (n * length + (n - 1) * round(PAUSE * rate))
    if size > LARGEST:
        got = f"{n:,} signals have {size / 1e6:,.0f} MB"
        raise BadInput(
            f"{got}, at most {LARGEST / 1e6:.0f} are allowed: take fewer, or write a folder "
            "(-o FOLDER)"
        )


def join(x: np.ndarray, rate: int) -> np.ndarray:
    """Signals ``(n, channels, length)`` one after the other: ``(channels, total)``."""
    silence = np.zeros((x.shape[1], round(PAUSE * rate)), x.dtype)
    parts = [part for signal in x for part in (silence, signal)]
    return np.concatenate(parts[1:], 1)


def wav(signal: np.ndarray, rate: int, record: Mapping[str, Any] | None, xmp: str = XMP) -> bytes:
    """``(channels, length)`` in [-1, 1] as the bytes of a file, with ``record`` in a chunk."""
    channels = len(signal)
    samples = (signal.T.clip(-1, 1) * 32767).round().astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    info = b"INFO" + _chunk(b"ICMT", SYNTHETIC.encode() + b"\0")
    if record is not None:
        info += _chunk(b"ISFT", f"genzoo {VERSION}".encode() + b"\0")
    chunks = _chunk(b"fmt ", form) + _chunk(b"LIST", info) + _chunk(XMP_CHUNK, xmp.encode())
    if record is not None:
        chunks += _chunk(RECORD, json.dumps(record).encode())
    return _chunk(b"RIFF", b"WAVE" + chunks + _chunk(b"data", samples))


def _chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a RIFF file: an odd length is padded by a byte that does not count."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def most_players(shape: Sequence[int]) -> int:
    """How many signals ``(channels, length)`` a notebook plays: a page contains their files."""
    return max(1, min(PLAYERS, LARGEST_PAGE // (2 * shape[0] * shape[1])))


def players(picture: bytes, files: Sequence[tuple[str, bytes]], n: int) -> str:
    """HTML of ``picture``, a PNG, and of a player for each (title, WAV) of the first of ``n``."""
    rows = [f'<img src="data:image/png;base64,{_text(picture)}">']
    for title, content in files:
        source = f"data:audio/wav;base64,{_text(content)}"
        rows.append(f'{html.escape(title)}<br><audio controls src="{source}"></audio>')
    if len(files) < n:
        rows.append(f"the first {len(files)} of {n:,}")
    return "".join(f"<div>{row}</div>" for row in rows)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
