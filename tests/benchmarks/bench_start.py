"""Starting ``genzoo --help``, ``list``, ``families`` against a typer hello-world: CPU time.

Both print to a terminal of 80 columns; their help has panels and colours.
"""

import os
import pty
import resource
import statistics
import subprocess
import sys
import threading

HELLO = """
import typer
app = typer.Typer()
@app.command(rich_help_panel="Greet")
def hello(name: str = "world"):
    "Say hello."
    print(name)
@app.command(rich_help_panel="Part")
def bye():
    "Say goodbye."
    print("bye")
app()
"""
# With cached bytecode, as everybody runs both.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT |= {"TERM": "xterm-256color", "COLUMNS": "80"}


def _cpu(command: list[str]) -> float:
    """The CPU time of a command whose output is a terminal."""
    own, terminal = pty.openpty()
    reader = threading.Thread(target=_read, args=(own,))
    reader.start()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=terminal, stderr=terminal, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    os.close(terminal)
    reader.join()
    os.close(own)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _read(terminal: int) -> None:
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # the other end is closed
        return


def main() -> None:
    genzoo = [sys.executable, "-c", "from genzoo.cli import main; main()"]
    hello = [sys.executable, "-c", HELLO]
    for mine, other in ((["--help"], ["--help"]), (["list"], ["hello"]), (["families"], ["hello"])):
        pairs = [(_cpu(genzoo + mine), _cpu(hello + other)) for _ in range(25)]
        found = [a / b for a, b in pairs]
        ms = statistics.median(a for a, _ in pairs) * 1000
        spread = f"[{min(found):.2f}, {max(found):.2f}]"
        print(f"genzoo {mine[0]}: {statistics.median(found):.2f} {spread} of hello  ({ms:.0f} ms)")


if __name__ == "__main__":
    main()
