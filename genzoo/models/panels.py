"""Pictures with axes: spectrograms of signals, scatters of points; numbers stay legible at 800
pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from genzoo.errors import BadInput
from genzoo.models.pictures import LARGEST_SHEET

WIDTH = 800  # pixels of a picture, unless many panels need more
SMALLEST_PANEL, GAP, FONT, MARK = 140, 14, 15, 5
NUMBER = 65, 35  # the room of a number at an axis
# Margins around the panels; at the top there is room for a viewer's label, TOP between panels.
HEAD, LEFT, RIGHT, TOP, BOTTOM = 56, 66, 70, 28, 52
INK, PALE, PAPER = (27, 27, 27), (214, 214, 214), (255, 255, 255)
QUIETEST = -80.0  # decibels; a sine of amplitude 1 has 0
WINDOW = 0.032  # seconds
# The colours of magma, from the quietest to the loudest.
MAGMA = (0x000004, 0x1C1044, 0x4F127B, 0x812581, 0xB5367A, 0xE55064, 0xFB8761, 0xFEC287, 0xFCFDBF)
# Okabe and Ito's colours, which colour-blind people tell apart, the bright yellow left out.
CLASSES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B")
SIDE, BARS = 640, 40  # pixels a side of a scatter; bars of a histogram
MOST_POINTS = 200_000


@final
@dataclass(frozen=True)
class Axes:
    """A rectangle of pixels (left, top, right, bottom), and the values at its edges."""

    box: tuple[int, int, int, int]
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point."""
        left, top, right, bottom = self.box
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + across * (right - left), bottom - up * (bottom - top)

    def draw(self, sheet: ImageDraw.ImageDraw, *, below: bool = True, beside: bool = True) -> None:
        """The frame, with marks and numbers below and beside it."""
        left, top, right, bottom = self.box
        sheet.rectangle(self.box, outline=INK)
        if below:
            for value in ticks(*self.x, max(2, (right - left) // NUMBER[0])):
                x = round(self.at(value, 0)[0])
                sheet.line((x, bottom, x, bottom + MARK), INK)
                # Numbers at a corner stay within the frame: there may be another beside it.
                anchor = {left: "la", right: "ra"}.get(x, "ma")
                _write(sheet, (x, bottom + MARK + 2), f"{value:g}", anchor)
        if beside:
            for value in ticks(*self.y, max(2, (bottom - top) // NUMBER[1])):
                y = self.at(0, value)[1]
                sheet.line((left - MARK, y, left, y), INK)
                _write(sheet, (left - MARK - 3, y), f"{value:g}", "rm")


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round numbers from ``low`` to ``high``, at equal distances."""
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= least)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def _write(
    sheet: ImageDraw.ImageDraw, at: tuple[float, float], text: str, anchor: str, size: int = FONT
) -> None:
    sheet.text(at, text, INK, ImageFont.load_default(size), anchor=anchor)


# ------------------------------------------------------------------------------------- spectrograms


def spectrogram_sheet(n: int) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """The columns, the size of a panel, and the size of a picture of ``n`` spectrograms: width and
    height in pixels. Raises BadInput if image software would warn of it.
    """
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    room = WIDTH - LEFT - RIGHT - (columns - 1) * GAP
    width = max(SMALLEST_PANEL, room // columns)
    height = width * (1 if columns > 1 else 0.6) * 0.75
    panel = width, round(height)
    size = (
        LEFT + columns * (panel[0] + GAP) - GAP + RIGHT,
        HEAD + rows * (panel[1] + TOP) - TOP + BOTTOM,
    )
    if math.prod(size) > LARGEST_SHEET:
        got = f"{n:,} spectrograms have {math.prod(size) / 1e6:,.0f} million pixels"
        most = f"at most {LARGEST_SHEET / 1e6:.0f} are allowed"
        raise BadInput(f"{got}, {most}: take fewer, or write a folder (-o FOLDER)")
    return columns, panel, size


def spectrograms(x: Tensor, rate: int, titles: Sequence[str] = ()) -> Image.Image:
    """A panel for each signal of ``(n, channels, length)``: seconds across, Hz up, power as colour.

    Channels are averaged. ``titles``: a text above each panel.
    """
    columns, (width, height), size = spectrogram_sheet(len(x))
    picture = Image.new("RGB", size, PAPER)
    sheet = ImageDraw.Draw(picture)
    seconds = (0.0, x.shape[-1] / rate)
    for i, signal in enumerate(x):
        left = LEFT + i % columns * (width + GAP)
        top = HEAD + i // columns * (height + TOP)
        picture.paste(_coloured(decibels(signal, rate), (width, height)), (left, top))
        axes = Axes((left, top, left + width, top + height), seconds, (0.0, rate / 2))
        has_none_below, is_first = i + columns >= len(x), i % columns == 0
        axes.draw(sheet, below=has_none_below, beside=is_first)
        if i < len(titles):
            _write(sheet, (left + width / 2, top - 3), _cut(titles[i], width), "mb", FONT - 2)
    right = LEFT + columns * (width + GAP) - GAP
    _write(sheet, (LEFT - MARK - 3, HEAD - 10), "Hz", "rb")
    _write(sheet, ((LEFT + right) / 2, size[1] - 4), "seconds", "mb")
    _draw_scale(picture, sheet, right + GAP, min(height, 300))
    return picture


def decibels(signal: Tensor, rate: int) -> Tensor:
    """The power spectrum of ``(channels, length)``, channels averaged: ``(frequencies, times)``."""
    length = signal.shape[-1]
    size = 1 << max(4, min(round(math.log2(max(16, rate * WINDOW))), int(math.log2(length))))
    window = torch.hann_window(size, device=signal.device)
    hop = max(1, size // 8, length // 2000)
    spectrum = torch.stft(
        signal.detach().float(),
        size,
        hop,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    power = (spectrum.abs() * 2 / window.sum()).square().mean(0)
    return 10 * power.clamp_min(1e-12).log10().nan_to_num(nan=-12.0)


def _coloured(values: Tensor, size: tuple[int, int]) -> Image.Image:
    """Decibels ``(frequencies, times)``, the lowest first, as an image of ``size`` pixels."""
    image = Image.fromarray(np.ascontiguousarray(values.cpu().numpy()[::-1], np.float32))
    smooth = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    return Image.fromarray(_palette()[_level(smooth)])


def _level(values: np.ndarray) -> np.ndarray:
    return (np.clip(1 - values / QUIETEST, 0, 1) * 255).round().astype(np.uint8)


def _palette() -> np.ndarray:
    """256 colours, ``(256, 3)`` uint8."""
    anchors = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in MAGMA])
    at = np.linspace(0, len(MAGMA) - 1, 256)
    rows = [np.interp(at, range(len(MAGMA)), anchors[:, i]) for i in range(3)]
    return np.stack(rows, 1).round().astype(np.uint8)


def _draw_scale(picture: Image.Image, sheet: ImageDraw.ImageDraw, left: int, height: int) -> None:
    """The colours of 0 to -80 dB, with numbers."""
    values = np.linspace(0, QUIETEST, height, dtype=np.float32)[:, None].repeat(12, 1)
    picture.paste(Image.fromarray(_palette()[_level(values)]), (left, HEAD))
    sheet.rectangle((left, HEAD, left + 12, HEAD + height), outline=INK)
    for value in (0, -20, -40, -60, -80):
        y = HEAD + value / QUIETEST * height
        sheet.line((left + 12, y, left + 12 + MARK, y), INK)
        _write(sheet, (left + 12 + MARK + 3, y), f"{value}", "lm", FONT - 2)
    _write(sheet, (left, HEAD - 10), "dB", "lb")


def _cut(text: str, width: int) -> str:
    """The start of ``text`` that is at most ``width`` pixels wide."""
    font = ImageFont.load_default(FONT - 2)
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text


# ----------------------------------------------------------------------------------------- scatters


def check_points(n: int, shape: Sequence[int]) -> None:
    """Check that ``n`` points of ``shape`` can be drawn. Raises BadInput."""
    if len(shape) != 1:
        sizes = "x".join(map(str, shape))
        raise BadInput(f"a scatter shows points (n, d), got {n:,} of {sizes}: write them as .npy")
    if n > MOST_POINTS:
        raise BadInput(f"a scatter shows at most {MOST_POINTS:,} points, got {n:,}: write .npy")


def scatter(
    points: np.ndarray, labels: np.ndarray | None = None, class_names: Sequence[str] = ()
) -> Image.Image:
    """Points ``(n, d)``: their first two coordinates; a histogram where d is 1.

    ``labels`` ``(n,)`` decide the colour. Points that are not finite are left out.
    """
    finite = np.isfinite(points).all(1)
    points, labels = points[finite], None if labels is None else labels[finite]
    names = _legend(labels, class_names)
    legend = 30 + max((len(n) for n in names.values()), default=-3) * 9
    size = LEFT + SIDE + 24 + max(0, legend), HEAD + SIDE + BOTTOM
    picture = Image.new("RGB", size, PAPER)
    box = (LEFT, HEAD, LEFT + SIDE, HEAD + SIDE)
    if points.shape[1] == 1:
        _histogram(ImageDraw.Draw(picture), points[:, 0], box)
    else:
        _dots(picture, points, labels, box)
    sheet = ImageDraw.Draw(picture)
    for i, (label, name) in enumerate(names.items()):
        x, y = box[2] + 16, HEAD + 10 + 22 * i
        sheet.ellipse((x - 5, y - 5, x + 5, y + 5), _colour(label))
        _write(sheet, (x + 12, y), name, "lm")
    return picture


def _legend(labels: np.ndarray | None, class_names: Sequence[str]) -> dict[int, str]:
    """The names of the classes, if they are few enough for a colour each."""
    known = [] if labels is None else np.unique(labels).tolist()
    if not 1 < len(known) <= len(CLASSES):
        return {}
    return {k: (class_names[k] if k < len(class_names) else str(k))[:24] for k in known}


def _colour(label: int) -> str:
    return CLASSES[label % len(CLASSES)]


def _dots(
    picture: Image.Image,
    points: np.ndarray,
    labels: np.ndarray | None,
    box: tuple[int, int, int, int],
) -> None:
    """A dot for each point, at the same scale across and up."""
    x, y = _equal(_span(points[:, 0]), _span(points[:, 1]))
    sheet = ImageDraw.Draw(picture)
    grid = Axes(box, x, y)
    for value in ticks(*x, SIDE // NUMBER[0]):
        sheet.line((*grid.at(value, y[0]), *grid.at(value, y[1])), PALE)
    for value in ticks(*y, SIDE // NUMBER[1]):
        sheet.line((*grid.at(x[0], value), *grid.at(x[1], value)), PALE)
    # Twice as large, then reduced: the edges of the dots are smooth.
    large = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)
    canvas, radius = ImageDraw.Draw(large), 6 if len(points) <= 2000 else 3
    axes = Axes((2 * box[0], 2 * box[1], 2 * box[2], 2 * box[3]), x, y)
    for i, (a, b) in enumerate(points[:, :2].tolist()):
        across, up = axes.at(a, b)
        colour = _colour(0 if labels is None else int(labels[i]))
        canvas.ellipse((across - radius, up - radius, across + radius, up + radius), colour)
    picture.paste(large.resize(picture.size, Image.Resampling.BOX))
    sheet = ImageDraw.Draw(picture)
    grid.draw(sheet)
    more = f" (of {points.shape[1]})" if points.shape[1] > 2 else ""
    _name(sheet, box, "coordinate 1", f"coordinate 2{more}")


def _histogram(
    sheet: ImageDraw.ImageDraw, values: np.ndarray, box: tuple[int, int, int, int]
) -> None:
    x = _span(values)
    counts, edges = np.histogram(values, BARS, x)
    axes = Axes(box, x, (0.0, 1.05 * max(1, counts.max())))
    for count, a, b in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            sheet.rectangle((*axes.at(a, count), *axes.at(b, 0)), CLASSES[0], PAPER)
    axes.draw(sheet)
    _name(sheet, box, "coordinate", "points")


def _name(sheet: ImageDraw.ImageDraw, box: tuple[int, int, int, int], across: str, up: str) -> None:
    """The names of both axes."""
    _write(sheet, ((box[0] + box[2]) / 2, box[3] + BOTTOM - 4), across, "mb")
    _write(sheet, (box[0] - MARK, box[1] - 5), up, "lb")


def _span(values: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest value, with some room around them."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (-1.0, 1.0)
    room = 0.05 * (high - low) or max(1.0, abs(high)) * 0.05
    return low - room, high + room


def _equal(
    x: tuple[float, float], y: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Both spans, of the width of the larger."""
    half = max(x[1] - x[0], y[1] - y[0]) / 2
    a, b = sum(x) / 2, sum(y) / 2
    return (a - half, a + half), (b - half, b + half)
