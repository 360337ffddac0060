"""All benchmarks by one command; a line for each ratio goes into their history.

    python tests/benchmarks/all.py [NAME ...] [--rounds 3] [--long] [--history FILE]

Runs each ``bench_NAME.py``, one after the other, with few rounds; each is a process of one thread,
but for those that measure several.
``--long`` adds those of minutes. The history, ``history.tsv`` beside this file by default, keeps
date, version, machine and its load at the start with each ratio: compare lines of one machine.
"""

import argparse
import datetime
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from genzoo.version import VERSION

HERE = Path(__file__).parent
LONG = ("critic", "evaluate", "fid", "ranks", "threads")
SEVERAL = ("open", "ranks", "threads")  # threads or processes
OTHERS = ("families", "inpainting")  # these print tables
# Images and rounds; of open, files too.
WORDS = {"data": ["1000", "3"], "open": ["500", "2", "20000"], "save": ["100", "3"]}
HEAD = (
    "date",
    "version",
    "torch",
    "machine",
    "load",
    "benchmark",
    "what",
    "ratio",
    "least",
    "most",
)
NUMBER = r"(\d[\d,]*\.?\d*)"
RESULT = re.compile(rf"(.*?)x?{NUMBER}(?: us)? (?:\[{NUMBER}, |\(worst ){NUMBER}[\])]")


def chosen(names: list[str], long: bool) -> list[str]:
    found = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    left_out = {*OTHERS, *(() if long else LONG)}
    return names or [name for name in found if name not in left_out]


def results(text: str) -> Iterator[tuple[str, str, str, str]]:
    """What was measured, and the median with its range, of each line that gives them. Of some only
    the largest is known.
    """
    for line in text.splitlines():
        if match := RESULT.match(line):
            what, *numbers = match.groups()
            what = re.split(r": \d", what.removesuffix("ratio "))[0].rstrip(" :;") or "ratio"
            yield what, *((n or "").replace(",", "") for n in numbers)


def run(name: str, rounds: int) -> str:
    """What ``bench_NAME.py`` prints, which is shown, too."""
    words = [sys.executable, str(HERE / f"bench_{name}.py"), *WORDS.get(name, [])]
    environment = {**os.environ, "ROUNDS": str(rounds)}
    environment |= {} if name in SEVERAL else {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        print(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return done.stdout


def facts() -> tuple[str, ...]:
    """The columns before the benchmark's name."""
    machine = f"{os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return datetime.date.today().isoformat(), VERSION, torch.__version__, machine, load


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="such as step; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", action="store_true", help=f"also {', '.join(LONG)}")
    parser.add_argument("--history", type=Path, default=HERE / "history.tsv")
    given = parser.parse_args(words)
    if not given.history.exists():
        given.history.write_text("\t".join(HEAD) + "\n")
    for name in chosen(given.names, given.long):
        print(f"\n{name}", flush=True)
        known = facts()
        lines = [(*known, name, *row) for row in results(run(name, given.rounds))]
        with given.history.open("a") as history:
            history.writelines("\t".join(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
