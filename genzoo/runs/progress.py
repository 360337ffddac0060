"""A line that shows how far a run is: on a terminal, or below a cell of a notebook."""

import sys
import time
from typing import Any, final

from genzoo.runs.run import RunStatus
from genzoo.text import printable

PAUSE = 0.2  # seconds between two changes of the line


@final
class ProgressLine:
    """Shows each state that it is called with, in place of the one before; nothing elsewhere."""

    def __init__(self) -> None:
        self.display = None if sys.stderr.isatty() else _display()
        self.last, self.handle = 0.0, None

    def __call__(self, status: RunStatus) -> None:
        now = time.monotonic()
        if now - self.last < PAUSE and status.step < status.steps:
            return
        self.last = now
        self._show(printable(str(status)))

    def close(self) -> None:
        """End the line, so that what follows begins on one of its own."""
        if self.last and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _show(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif self.display is not None:
            line = {"text/plain": text}
            if self.handle is None:
                self.handle = self.display(line, raw=True, display_id=True)
            else:
                self.handle.update(line, raw=True)


def _display() -> Any:
    """IPython's ``display`` in a notebook's kernel; None elsewhere."""
    ipython: Any = sys.modules.get("IPython")
    has_kernel = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    return ipython.display.display if has_kernel else None
