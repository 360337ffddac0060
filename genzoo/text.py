"""Text for a terminal: tables, and text from others without control characters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def printable(text: str, instead: str = " ") -> str:
    """``text`` without control characters: text from others must not control a terminal."""
    return "".join(c if c.isprintable() else instead for c in text)


def pairs(values: Mapping[str, Any]) -> str:
    """``{"steps": 20}`` as ``steps 20``, separated by commas."""
    return ", ".join(f"{key} {value}" for key, value in values.items())


def columns(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of text whose columns are as wide as their widest cells."""
    lines = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pairs = (zip(line, widths, strict=True) for line in lines)
    return ["  ".join(cell.ljust(width) for cell, width in pair).rstrip() for pair in pairs]
