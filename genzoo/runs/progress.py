"""How far a run is: a line on a terminal or in a notebook, elsewhere lines of a log."""

import sys
import time
from typing import Any, final

from genzoo.runs.run import RunStatus
from genzoo.text import LogLines, printable

PAUSE = 0.2  # seconds between two changes of the line


@final
class ProgressLine:
    """Shows each state that it is called with, in place of the one before; in a log one every 30
    seconds, on a line of its own.
    """

    def __init__(self) -> None:
        self.on_terminal, self.lines = sys.stderr.isatty(), LogLines()
        self.display = None if self.on_terminal else _display()
        self.last, self.handle = 0.0, None

    def __call__(self, status: RunStatus) -> None:
        if not self.on_terminal and self.display is None:
            self.lines(lambda: str(status))
            return
        now = time.monotonic()
        too_soon = now - self.last < PAUSE and status.step < status.steps
        if self.lines.is_quiet or too_soon:
            return
        self.last = now
        self._show(printable(str(status)))

    def close(self) -> None:
        """End the line, so that what follows begins on one of its own."""
        if self.last and self.on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _show(self, text: str) -> None:
        if self.on_terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            line = {"text/plain": text}
            if self.handle is None:
                assert self.display is not None
                self.handle = self.display(line, raw=True, display_id=True)
            else:
                self.handle.update(line, raw=True)


def _display() -> Any:
    """IPython's ``display`` in a notebook's kernel; None elsewhere."""
    ipython: Any = sys.modules.get("IPython")
    has_kernel = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    return ipython.display.display if has_kernel else None
