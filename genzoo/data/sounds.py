"""Signals brought to one rate, length and number of channels: those of .wav files, or arrays."""

from __future__ import annotations

import io
import logging
import wave
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, final

from genzoo.data.dataset import BROKEN, Meta, Rows, SoundFiles, Source
from genzoo.data.decoding import check_block, read_file, skip, split_of
from genzoo.data.pictures import Unreadable
from genzoo.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    from genzoo.data.dataset import Blocks


LARGEST_LENGTH, LARGEST_RATE = 1 << 22, 1_000_000
VERSION = 3  # increase it when the same files give other signals, or another summary
PCM, EXTENSIBLE = b"\x01\x00", b"\xfe\xff"
FORMS = {2: "ADPCM", 3: "floats", 6: "A-law", 7: "mu-law", 85: "MP3"}
NEEDS = "PCM of 8, 16, 24 or 32 bits is needed"
# A program that writes into a pipe does not know the length and gives a very large one.
UNKNOWN_LENGTH = 0x7FFF0000
log = logging.getLogger("genzoo")


class Form(NamedTuple):
    """The form that signals are converted to; None keeps that of the first one.

    `rate`: samples a second. `length`: samples in a signal.
    """

    rate: int | None = None
    length: int | None = None
    channels: int | None = None


def blocks(source: Source, raw: Rows | SoundFiles, form: Form, meta: Meta) -> Blocks:
    """The split's signals, float32 (k, channels, length) in [-1, 1]; sets `rate` and `classes` in
    `meta`, and notes the files left out, and what was done.
    """
    if isinstance(raw, Rows):
        meta["rate"] = form.rate or source.rate
        return _convert_rows(source, raw, form, meta)
    return _decode_files(raw, form, meta)


def _convert_rows(source: Source, raw: Rows, form: Form, meta: Meta) -> Blocks:
    """Rows keep their number: they are cut at the end, or zeros are appended."""
    import numpy as np

    facts = _Facts()
    try:
        for block, labels in raw.blocks():
            check_block(source, block, labels)
            facts.rate(source.rate, form.rate, len(block))
            facts.mixed(block, form.channels)
            x = _resampled(_mixed(block, form.channels), source.rate, form.rate)
            if form.length and form.length != x.shape[2]:
                room = max(0, form.length - x.shape[2])
                facts.length(x.shape[2], form.length, len(x))
                x = np.pad(x, ((0, 0), (0, 0), (0, room)))[:, :, : form.length]
            yield np.ascontiguousarray(x), labels
    except OSError as error:  # otherwise the cache would report a full disk
        raise BadInput(f"cannot read {source.name}: {error}") from error
    meta["notes"] = facts.notes()


def _decode_files(raw: SoundFiles, form: Form, meta: Meta) -> Blocks:
    """A file gives its pieces of `length`, one after the other, without the rest; a shorter file
    one piece, with zeros appended (as Donahue et al. 2019).
    """
    import numpy as np

    names, origin = raw.tree.names(), raw.tree.origin
    selection = raw.choose(names)
    selection.note(meta)
    labels = None if selection.labels is None else np.array(selection.labels, dtype=np.int64)
    with raw.tree.opened() as read:
        first = _first(origin, names, read, form)
        meta["rate"], facts = first.rate, _Facts()
        for index, name in enumerate(selection.names):
            try:
                data = read_file(read, name)
                if selection.split and split_of(data) != selection.split:
                    continue
                pieces = _pieces(*read_wav(data), form, first, f"{origin}: {name}", facts)
            except Unreadable as error:
                log.debug("%s: %s: %s", origin, name, error)
                skip(meta, name, BROKEN, error)
                continue
            yield pieces, None if labels is None else labels[[index] * len(pieces)]
    meta["values"] = f"{facts.low:.3g} to {facts.high:.3g}, {first.rate:,} of them a second"
    meta["notes"] = facts.notes()


@final
class _Facts:
    """What is done to a split's signals, for its summary."""

    def __init__(self) -> None:
        self.low, self.high = 1.0, -1.0
        self._counts: Counter[str] = Counter()
        self._dropped = 0

    def rate(self, own: int, rate: int | None, count: int = 1) -> None:
        """Note that `count` signals of `own` samples a second get `rate` a second."""
        if rate not in (None, own):
            self._counts[f"converted from {own:,} to {rate:,} samples a second"] += count

    def mixed(self, x: np.ndarray, channels: int | None) -> None:
        """Note what signals (k, c, m) lose if they get so many channels."""
        if channels in (None, own := x.shape[1]):
            return
        self._counts[f"of {own} channels converted to {channels}"] += len(x)
        if own > (channels or own):
            loud = abs(x).max((1, 2)) / 100
            self._counts["nearly silent by that: their channels cancel each other"] += int(
                (abs(x.mean(1)).max(1) < loud).sum()
            )

    def length(self, own: int, length: int, count: int = 1) -> None:
        """Note that `count` signals of `own` samples become rows of `length`, or only one each."""
        self._counts["shorter: filled up with zeros"] += count * (own < length)
        self._counts["cut"] += count * (own > length)
        self._dropped += count * max(0, own - length)

    def notes(self) -> list[str]:
        if cut := self._counts.pop("cut", 0):
            self._counts[f"cut: {self._dropped:,} samples at their ends are left out"] = cut
        return [f"{count:,} {what}" for what, count in self._counts.items() if count]


class _First(NamedTuple):
    """The form of the first file of the whole tree that can be read, so that all splits agree."""

    rate: int
    length: int
    channels: int


def _first(origin: str, names: list[str], read: Callable[[str], bytes], form: Form) -> _First:
    why = ""
    for name in names:
        try:
            x, rate = read_wav(read_file(read, name))
        except Unreadable as error:  # as in _decode_files, which counts it
            why = why or f"{name}: {error}"
            continue
        x = _resampled(x, rate, form.rate)
        return _First(form.rate or rate, form.length or x.shape[1], form.channels or len(x))
    raise BadInput(f"none of the {len(names)} .wav files of {origin} can be read ({why})")


def _pieces(
    x: np.ndarray, rate: int, form: Form, first: _First, name: str, facts: _Facts
) -> np.ndarray:
    """A file's signal (channels, m) as (k, channels, length). BadInput if it is not converted and
    unlike the first."""
    import numpy as np

    if form.rate is None and rate != first.rate:
        hint = f"give rate={first.rate} to convert them"
        raise BadInput(f"sounds differ in rate, {first.rate} and {rate} a second ({name}): {hint}")
    facts.rate(rate, form.rate)
    facts.mixed(x[None], first.channels)
    x = _resampled(_mixed(x, first.channels), rate, form.rate)
    count, length = x.shape[1], first.length
    if form.length is None and count != length:
        both = f"{length:,} and {count:,} samples"
        raise BadInput(f"sounds differ in length, {both} ({name}): give length= to cut them")
    facts.length(count, max(length, count // length * length))
    x = np.pad(x, ((0, 0), (0, max(0, length - count))))
    whole = x[:, : x.shape[1] // length * length]
    facts.low, facts.high = min(facts.low, whole.min()), max(facts.high, whole.max())
    return np.ascontiguousarray(whole.reshape(len(x), -1, length).swapaxes(0, 1))


def _mixed(x: np.ndarray, channels: int | None) -> np.ndarray:
    """Signals (..., c, m) with as many channels: the mean of all, repeated, if c is another."""
    if channels in (None, x.shape[-2]):
        return x
    return x.mean(-2, keepdims=True).repeat(channels, -2)


def _resampled(x: np.ndarray, own: int, rate: int | None) -> np.ndarray:
    """Signals (..., m) of `own` samples a second with `rate` a second, by the Fourier transform:
    all frequencies that both rates can hold stay exactly, and no other comes in, but where a peak
    between two samples is beyond 1 and cut.
    """
    import numpy as np

    if rate in (None, own):
        return x
    before = x.shape[-1]
    after = max(1, round(before * rate / own))
    spectrum = np.fft.rfft(x, axis=-1)
    # The highest frequency of an even length stands for itself and its negative.
    if after > before and before % 2 == 0:
        spectrum[..., -1] /= 2
    elif after < before and after % 2 == 0:
        spectrum[..., after // 2] *= 2
    y = np.fft.irfft(spectrum, after, axis=-1) * (after / before)
    return y.clip(-1, 1).astype(np.float32)


def read_wav(data: bytes) -> tuple[np.ndarray, int]:
    """The content of a .wav file, PCM of 8, 16, 24 or 32 bits: float32 (channels, m) in [-1, 1],
    and its rate. Raises Unreadable.
    """
    import numpy as np

    if not data:
        raise Unreadable("empty")
    try:
        with wave.open(io.BytesIO(_with_plain_header(data))) as file:
            channels, width, rate, count = file.getparams()[:4]
            content = np.frombuffer(file.readframes(count), np.uint8)
    except Exception as error:  # files may hold any bytes
        raise Unreadable(_reason(data, error)) from error
    if not 1 <= width <= 4 or not 1 <= rate <= LARGEST_RATE:
        raise Unreadable(f"{8 * width} bits, {rate} samples a second")
    declared = count * channels * width
    if len(content) < declared < UNKNOWN_LENGTH:
        raise Unreadable("truncated")
    frames = content[: len(content) // (channels * width) * channels * width].reshape(-1, width)
    if not len(frames):
        raise Unreadable("no samples")
    full = np.zeros((len(frames), 4), np.uint8)
    full[:, 4 - width :] = frames ^ 0x80 if width == 1 else frames  # 8 bits have no sign
    values = full.view("<i4").reshape(-1, channels).T / np.float32(2**31)
    return np.ascontiguousarray(values, dtype=np.float32), rate


def _reason(data: bytes, error: Exception) -> str:
    """Why Python's wave reads no samples of a file."""
    if not (data.startswith(b"RIFF") and data[8:12] == b"WAVE"):
        return "no .wav file"
    tag = data.find(b"fmt ", 12, 4096) + 8
    kind = int.from_bytes(data[tag : tag + 2], "little") if tag >= 8 else 0
    if kind == int.from_bytes(EXTENSIBLE, "little"):
        kind = int.from_bytes(data[tag + 24 : tag + 26], "little")
    if kind > 1:
        return f"{FORMS.get(kind, f'format {kind}')}: {NEEDS}"
    short = isinstance(error, EOFError) or "missing" in str(error)
    return "truncated" if short else "damaged"


def _with_plain_header(data: bytes) -> bytes:
    """Files of 24 bits usually have the longer header that Python 3.11's wave refuses: PCM, too.

    The length of the whole is set: where it is too small, wave would not read to the end.
    """
    if data.startswith(b"RIFF"):
        data = data[:4] + min(len(data) - 8, 2**32 - 1).to_bytes(4, "little") + data[8:]
    at = data.find(b"fmt ", 12, 4096) + 8
    if at < 8 or data[at : at + 2] != EXTENSIBLE or data[at + 24 : at + 26] != PCM:
        return data
    return data[:at] + PCM + data[at + 2 :]
