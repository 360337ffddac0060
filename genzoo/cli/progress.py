"""Progress: a bar with the time left on a terminal, elsewhere a plain line every 30 seconds."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, final

from genzoo.text import LogLines, clock, printable

if TYPE_CHECKING:
    from genzoo.runs.run import RunStatus

REFRESH = 0.2  # seconds between two states of the bar
WIDTH = 24  # characters of the bar
BAR = ("\N{BOX DRAWINGS HEAVY HORIZONTAL}", "\N{BOX DRAWINGS LIGHT HORIZONTAL}")


@final
class Ticker:
    """Says on stderr how far a command is; of several processes the first one speaks."""

    def __init__(self) -> None:
        self.on_terminal = sys.stderr.isatty()
        self.lines = LogLines()
        self.last = float("-inf")
        self.drawn = False
        self.first: tuple[str, int, float] = ("", 0, 0.0)

    def __call__(self, text: Callable[[], str], share: float | None = None) -> None:
        """Show ``text``, and a bar of the ``share`` that is done, if it is time for it."""
        if not self.on_terminal:
            self.lines(text)
            return
        now = time.monotonic()
        if self.lines.is_quiet or now - self.last < REFRESH:
            return
        self.last, self.drawn = now, True
        print(f"\r\x1b[K{_line(printable(text()), share)}", end="", file=sys.stderr, flush=True)

    def count(self, what: str, done: int, total: int) -> None:
        """Show how many of ``total`` are done, and the time left; for ``progress=``."""
        now = time.monotonic()
        if what != self.first[0] or done <= self.first[1]:
            self.first = (what, done, now)
        _, start, began = self.first
        left = (now - began) / (done - start) * (total - done) if done > start else None

        def text() -> str:
            rest = "" if left is None else f", {clock(left)} left"
            return f"{what}: {done:,} of {total:,}{rest}"

        self(text, done / total if total else None)

    def step(self, status: "RunStatus") -> None:
        """Show the state of a training run."""
        self(lambda: str(status), status.step / status.steps)

    def done(self) -> None:
        """Remove the bar."""
        if self.drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _line(text: str, share: float | None) -> str:
    """A line of the terminal: no longer than it, else it could not be overwritten."""
    columns = shutil.get_terminal_size().columns - 1
    if share is None or columns < 2 * WIDTH:
        return text[:columns]
    full = round(min(1.0, share) * WIDTH)
    is_unicode = (sys.stderr.encoding or "").lower().startswith("utf")
    heavy, light = BAR if is_unicode else ("#", "-")
    done, rest = heavy * full, light * (WIDTH - full)
    if not os.environ.get("NO_COLOR"):
        done, rest = f"\x1b[36m{done}\x1b[0m", f"\x1b[2m{rest}\x1b[0m"
    return f"{done}{rest}  {text[: columns - WIDTH - 2]}"
