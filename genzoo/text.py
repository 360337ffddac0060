"""Text for a terminal: tables, text from others without control characters, text for a stream
whose encoding lacks some characters, and lines of a log.
"""

import codecs
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, Generic, TypeVar, final

T = TypeVar("T")
EVERY = 30.0  # seconds between two lines of progress in a log

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


@final
class Records(list[T], Generic[T]):
    """A list of records that prints as a table, and shows as one in a notebook.

    ``table``: of each column its head and its cell in a record's row. ``note``: a last line.
    """

    def __init__(
        self, records: Iterable[T], table: Mapping[str, Callable[[T], Any]], note: str = ""
    ):
        super().__init__(records)
        self.table, self.note = dict(table), printable(note)

    @property
    def heads(self) -> list[str]:
        """The heads of the columns."""
        return [*self.table]

    @property
    def rows(self) -> list[list[str]]:
        """The cells of each record, as text."""
        return [[printable(str(cell(one))) for cell in self.table.values()] for one in self]

    def __repr__(self) -> str:
        table = columns([self.heads, *self.rows]) if self else ["(none)"]
        return "\n".join([*table, *[self.note] * bool(self.note)])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return html_table(self.rows, self.heads, notes=[self.note] * bool(self.note))


def html_table(
    rows: Iterable[Iterable[Any]],
    heads: Iterable[str] = (),
    *,
    title: Iterable[str] = (),
    notes: Iterable[str] = (),
) -> str:
    """A table in HTML for a notebook; lines of text above and below it."""
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    names = [*heads]
    lines = [*([_row("th", names)] if names else []), *(_row("td", row) for row in texts)]
    above, below = (
        "".join(f"<p>{escape(printable(line))}</p>" for line in part if line)
        for part in (title, notes)
    )
    return f"{above}<table>{''.join(lines)}</table>{below}"


def _row(tag: str, cells: Iterable[str]) -> str:
    """A row of a table in HTML."""
    style = 'style="text-align: left"'
    return f"<tr>{''.join(f'<{tag} {style}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def file_size(count: float) -> str:
    """A number of bytes as text: 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@final
class LogLines:
    """Lines on stderr that say how far something is, one every 30 seconds, for a log.

    Of several processes the first one speaks.
    """

    def __init__(self) -> None:
        self.last, self.is_quiet = time.monotonic(), os.environ.get("RANK", "0") != "0"

    def __call__(self, text: Callable[[], str]) -> None:
        """Print ``text`` if it is time for it."""
        now = time.monotonic()
        if self.is_quiet or now - self.last < EVERY:
            return
        self.last = now
        print(f"genzoo: {printable(text())}", file=sys.stderr, flush=True)


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
