"""Sheets of pictures with text: a title, captions below pictures and columns, names beside rows."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import final

from PIL import Image, ImageDraw, ImageFont

from genzoo.models.pictures import check_sheet, enlarged_cells

INK, PALE, PAPER = "#1b1b1b", "#6b6b6b", "#ffffff"
FONT, TITLE, GAP, MARGIN = 16, 20, 10, 12  # pixels; legible from the last row at 800 pixels
SMALLEST, CLOSE = 11, 4  # pixels: of a caption that has little room; between pictures of a strip


def font(size: int = FONT) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def cut(text: str, width: float, size: int = FONT) -> str:
    """The start of ``text`` that is at most ``width`` pixels wide; an ellipsis if it is cut."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "...") > width:
        text = text[:-1]
    return text + "..." if text else ""


def wrapped(text: str, width: float, size: int = FONT) -> list[str]:
    """``text`` in lines of at most ``width`` pixels, where its words allow it."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font(size).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return [cut(line, width, size) for line in lines]


@final
@dataclass(frozen=True)
class Captions:
    """Texts of a sheet: a ``title`` above it, a text beside each of the ``rows``, below each of the
    ``columns`` and of the ``cells``, and a ``foot`` below it. Empty: none of these.

    ``blank``: cells that stay empty, whatever picture they have.
    """

    title: str = ""
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    cells: Sequence[str] = ()
    foot: str = ""
    blank: Collection[int] = ()

    def of_frame(self, chosen: Sequence[int], count: int) -> "Captions":
        """Those of a sheet that shows the ``chosen`` of ``count`` columns.

        If that is one, its text is in the title, and a row is a picture that the sheet can place
        anywhere.
        """
        if len(chosen) == 1 and self.columns:
            return Captions(f"{self.title}: {self.columns[chosen[0]]}", cells=self.rows)
        rows = range(0, len(self.cells), count)
        cells = [self.cells[row + column] for row in rows for column in chosen]
        columns = [self.columns[column] for column in chosen] if self.columns else ()
        return replace(self, columns=columns, cells=cells, blank=())


def captioned(
    cells: Sequence[Image.Image],
    captions: Captions,
    columns: int,
    *,
    gap: int = GAP,
    least: int = 480,
) -> Image.Image:
    """Pictures of one size in rows on white, ``gap`` pixels apart, with their ``captions``.

    ``least``: of the sheet's width, so that texts have room. Raises BadInput if it is too large.
    """
    plan = _Plan(captions, cells[0].size, len(cells), columns, gap, least)
    check_sheet(1, (3, plan.height, plan.width), 1, gap=0)
    sheet = Image.new("RGB", (plan.width, plan.height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, line in enumerate(plan.heads):
        draw.text((MARGIN, MARGIN + i * (TITLE + 6)), line, INK, font(TITLE))
    for i, cell in enumerate(cells):
        if i not in captions.blank:
            sheet.paste(cell.convert("RGB"), plan.corner(i))
    _write_below(draw, plan, captions.cells, range(len(cells)))
    last = range((plan.rows - 1) * columns, plan.rows * columns)
    _write_below(draw, plan, captions.columns, last, plan.band * any(captions.cells))
    for i, text in enumerate(captions.rows):
        middle = plan.left - GAP, plan.corner(i * columns)[1] + plan.cell[1] / 2
        draw.text(middle, text, INK, font(), anchor="rm", align="right")
    for i, line in enumerate(plan.feet):
        draw.text((MARGIN, plan.below + i * (FONT + 6)), line, PALE, font())
    return sheet


def labelled(
    images: Sequence[Image.Image],
    captions: Captions,
    columns: int | None = None,
    scale: int | None = None,
) -> Image.Image:
    """Images of one size, enlarged ``scale`` times, or so that the sheet is at least 750 pixels
    wide, with ``captions``. Raises BadInput if it is too large.
    """
    width, height = images[0].size
    scale, columns, _ = check_sheet(len(images), (3, height, width), scale, columns, CLOSE)
    return captioned(enlarged_cells(images, scale), captions, columns, gap=CLOSE)


@final
class _Plan:
    """Where the parts of a sheet stand, in pixels."""

    def __init__(
        self,
        captions: Captions,
        cell: tuple[int, int],
        n: int,
        columns: int,
        gap: int,
        least: int,
    ):
        self.cell, self.columns, self.gap, self.rows = cell, columns, gap, math.ceil(n / columns)
        self.left, self.band = MARGIN, FONT + 8
        if captions.rows:
            lines = [line for text in captions.rows for line in text.split("\n")]
            self.left += round(max(font().getlength(line) for line in lines)) + GAP
        self.width = max(least, self.left + columns * (cell[0] + gap) - gap + MARGIN)
        self.heads = wrapped(captions.title, self.width - 2 * MARGIN, TITLE)
        self.feet = wrapped(captions.foot, self.width - 2 * MARGIN)
        self.top = MARGIN + len(self.heads) * (TITLE + 6) + (GAP if self.heads else 0)
        self.step = cell[1] + gap + self.band * any(captions.cells)
        self.below = self.top + self.rows * self.step - gap + self.band * any(captions.columns)
        self.below += GAP if self.feet else 0
        self.height = self.below + len(self.feet) * (FONT + 6) + MARGIN

    def corner(self, i: int) -> tuple[int, int]:
        """The left and the top of a cell."""
        across, down = i % self.columns, i // self.columns
        return self.left + across * (self.cell[0] + self.gap), self.top + down * self.step


def _write_below(
    draw: ImageDraw.ImageDraw, plan: _Plan, texts: Sequence[str], cells: range, down: int = 0
) -> None:
    """``texts`` below ``cells``, ``down`` pixels further: as small as the longest one needs."""
    width = plan.cell[0] + plan.gap - 4
    size = next((s for s in range(FONT, SMALLEST, -1) if _fit(texts, width, s)), SMALLEST)
    for i, text in zip(cells, texts, strict=True) if texts else ():
        left, top = plan.corner(i)
        middle = left + plan.cell[0] / 2, top + plan.cell[1] + 4 + down
        draw.text(middle, cut(text, width, size), INK, font(size), anchor="ma")


def _fit(texts: Sequence[str], width: float, size: int) -> bool:
    return all(font(size).getlength(text) <= width for text in texts)
