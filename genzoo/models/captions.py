"""Sheets of pictures with text: a title, captions below the pictures, names beside rows."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from genzoo.models.pictures import check_sheet

INK, PALE, PAPER = "#1b1b1b", "#6b6b6b", "#ffffff"
FONT, TITLE, GAP, MARGIN = 16, 20, 10, 12  # pixels; legible from the last row at 800 pixels


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


def captioned(
    cells: Sequence[Image.Image],
    captions: Sequence[str],
    columns: int,
    *,
    title: str = "",
    foot: str = "",
    least: int = 480,
) -> Image.Image:
    """Pictures of one size in rows, each above its caption; ``title`` above all, ``foot`` below.

    ``least``: of the sheet's width, so that texts have room. Raises BadInput if it is too large.
    """
    wide, high = cells[0].size
    band = FONT + 8 if any(captions) else 0
    rows = math.ceil(len(cells) / columns)
    width = max(least, 2 * MARGIN + columns * (wide + GAP) - GAP)
    heads = wrapped(title, width - 2 * MARGIN, TITLE)
    feet = wrapped(foot, width - 2 * MARGIN)
    top = MARGIN + len(heads) * (TITLE + 6) + (GAP if heads else 0)
    below = top + rows * (high + band + GAP)
    height = below + len(feet) * (FONT + 6) + MARGIN - (0 if feet else GAP)
    check_sheet(1, (3, height, width), 1, gap=0)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, line in enumerate(heads):
        draw.text((MARGIN, MARGIN + i * (TITLE + 6)), line, INK, font(TITLE))
    for i, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        left = MARGIN + i % columns * (wide + GAP)
        upper = top + i // columns * (high + band + GAP)
        sheet.paste(cell.convert("RGB"), (left, upper))
        text = cut(caption, wide + GAP - 4)
        draw.text((left + wide / 2, upper + high + 4), text, INK, font(), anchor="ma")
    for i, line in enumerate(feet):
        draw.text((MARGIN, below + i * (FONT + 6)), line, PALE, font())
    return sheet


def with_rows(
    grid: Image.Image, names: Sequence[str], *, title: str = "", foot: str = ""
) -> Image.Image:
    """A grid whose rows, all equally high, have ``names`` beside them."""
    left = MARGIN + round(max(font().getlength(name) for name in names)) + GAP
    width = left + grid.width + MARGIN
    heads = wrapped(title, width - 2 * MARGIN, TITLE)
    feet = wrapped(foot, width - 2 * MARGIN)
    top = MARGIN + len(heads) * (TITLE + 6) + (GAP if heads else 0)
    height = top + grid.height + GAP + len(feet) * (FONT + 6) + MARGIN
    check_sheet(1, (3, height, width), 1, gap=0)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, line in enumerate(heads):
        draw.text((MARGIN, MARGIN + i * (TITLE + 6)), line, INK, font(TITLE))
    sheet.paste(grid.convert("RGB"), (left, top))
    for i, name in enumerate(names):
        middle = top + (i + 0.5) * grid.height / len(names)
        draw.text((left - GAP, middle), name, INK, font(), anchor="rm")
    for i, line in enumerate(feet):
        draw.text((MARGIN, top + grid.height + GAP + i * (FONT + 6)), line, PALE, font())
    return sheet
