"""Shows a picture: inline in a notebook, else in the system's viewer."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from genzoo.text import printable

_WAIT = 1.0  # seconds in which a viewer that does not start says so
_viewers: list["subprocess.Popen[bytes]"] = []  # kept: Python warns of one that is forgotten


def show(thing: Any, png: Callable[[], bytes]) -> None:
    """Show ``thing``; ``png``: its picture, for a viewer. Without a screen, print its path."""
    if display := _notebook_display():
        display(thing)
        return
    content = png()
    number, name = tempfile.mkstemp(".png", "genzoo-")
    os.close(number)
    path = Path(name)
    path.write_bytes(content)
    if not _open(path):
        print(printable(f"no screen to show it on; the picture is {path}"))


def _notebook_display() -> Callable[[Any], Any] | None:
    """What displays a value inline, if a notebook runs this code."""
    shell_of = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = shell_of() if shell_of else None
    if not hasattr(shell, "kernel"):
        return None
    display: Callable[[Any], Any] = import_module("IPython.display").display
    return display


def _open(path: Path) -> bool:
    """Open ``path`` in the system's viewer; whether there is one."""
    if sys.platform == "win32":
        with contextlib.suppress(OSError):
            os.startfile(path)
            return True
        return False
    has_screen = sys.platform == "darwin" or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    )
    program = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if not has_screen or program is None:
        return False
    nowhere = subprocess.DEVNULL
    command = [program, str(path)]
    viewer = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, start_new_session=True)
    _viewers.append(viewer)
    try:
        return viewer.wait(_WAIT) == 0
    except subprocess.TimeoutExpired:  # it goes on: xdg-open of some systems is the viewer
        return True
