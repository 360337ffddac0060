"""Text for a terminal: tables, text from others without control characters, and text for a stream
whose encoding lacks some characters.
"""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# What stands for a character that the stream's encoding lacks. As wide as the character.
_INSTEAD = {
    **dict.fromkeys("│├┃║▏▎▍▌", "|"),
    **dict.fromkeys("─━═‐‑‒–—―−", "-"),
    **dict.fromkeys("└┌┐┘┼┴┬┤", "+"),
    **dict.fromkeys("█▉▊▋▓▇▆▅▄▃▂▁", "#"),
    **dict.fromkeys("‘’‚′", "'"),
    **dict.fromkeys("“”„″", '"'),
    **dict.fromkeys("•·×∙", "*"),
    **dict.fromkeys("→⇒▶›", ">"),
    **dict.fromkeys("←⇐◀‹", "<"),
    **dict.fromkeys("\xa0\u202f\u2009", " "),
}


def printable(text: str, instead: str = " ") -> str:
    """``text`` without control characters: text from others must not control a terminal."""
    return "".join(c if c.isprintable() else instead for c in text)


def nfc(text: str) -> str:
    """``text`` with each accented letter as one character: macOS writes names as two."""
    if text.isascii():
        return text
    import unicodedata  # a library to load, for commands that need it

    return unicodedata.normalize("NFC", text)


def pairs(values: Mapping[str, Any]) -> str:
    """``{"steps": 20}`` as ``steps 20``, separated by commas."""
    return ", ".join(f"{key} {value}" for key, value in values.items())


def width(text: str) -> int:
    """The cells that ``text`` takes on a terminal: Chinese characters and emoji take two each,
    a combining accent takes none.
    """
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def columns(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of text whose columns are as wide as their widest cells."""
    lines = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(_padded, line, widths)).rstrip() for line in lines]


def encode_all(stream: Any) -> None:
    """Let the text ``stream`` take every character, whatever its encoding.

    Those that it lacks (on Windows a file is cp1252) become similar ones of ASCII, or question
    marks, as many as keep a table's columns. A stream that cannot be changed stays as it is.
    """
    codecs.register_error("genzoo", _replaced)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="genzoo")


def _cells(character: str) -> int:
    import unicodedata

    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _padded(cell: str, cells: int) -> str:
    return cell + " " * (cells - width(cell))


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """An error handler of `codecs`: ASCII for the characters that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(_ascii, lacking)), error.end


def _ascii(character: str) -> str:
    if character in _INSTEAD:
        return _INSTEAD[character]
    import unicodedata

    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    cells = _cells(character)  # é is e, a full-width A is A and a space
    return plain.ljust(cells) if 0 < len(plain) <= cells else "?" * cells
