"""Starting ``genzoo --help``, ``list``, ``families`` against a typer hello-world: CPU time."""

import os
import resource
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
# With cached bytecode, as everybody runs both.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


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
