"""Starting ``genzoo --help``, ``list``, ``families`` against a typer hello-world: CPU time."""

import os
import statistics
import subprocess
import sys

HELLO = """
import typer
app = typer.Typer()
@app.command()
def hello(name: str = "world"):
    print(name)
@app.command()
def bye():
    print("bye")
app()
"""


def _cpu(command: list[str]) -> float:
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )


def main() -> None:
    genzoo = [sys.executable, "-c", "from genzoo.cli import main; main()"]
    hello = [sys.executable, "-c", HELLO]
    for mine, other in ((["--help"], ["--help"]), (["list"], ["hello"]), (["families"], ["hello"])):
        pairs = [(_cpu(genzoo + mine), _cpu(hello + other)) for _ in range(9)]
        found = [a / b for a, b in pairs]
        ms = statistics.median(a for a, _ in pairs) * 1000
        spread = f"[{min(found):.2f}, {max(found):.2f}]"
        print(f"genzoo {mine[0]}: {statistics.median(found):.2f} {spread} of hello  ({ms:.0f} ms)")


if __name__ == "__main__":
    main()
