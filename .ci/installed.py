"""Fails unless every installed part of genzoo is, file by file, from the wheels in a folder."""

import re
import sys
import zipfile
from importlib import metadata
from pathlib import Path


def rows(record: str) -> set[str]:
    """The lines of a RECORD: files with their hashes, without those that have none."""
    return {line for line in record.splitlines() if ",sha256=" in line}


def main() -> None:
    """The command line: the folder, then the distributions that must be there."""
    wheels = {path.name.partition("-")[0]: path for path in Path(sys.argv[1]).glob("*.whl")}
    found = {re.sub("[-.]", "_", d.name): d for d in metadata.distributions() if d.name}
    ours = {name: d for name, d in found.items() if name.split("_")[0] == "genzoo"}
    if missing := {*wheels} - {*ours}:
        sys.exit(f"not installed: {', '.join(sorted(missing))}")
    for name, distribution in ours.items():
        with zipfile.ZipFile(wheels[name]) as wheel:
            (record,) = [n for n in wheel.namelist() if n.endswith(".dist-info/RECORD")]
            expected = rows(wheel.read(record).decode())
        if not expected <= rows(distribution.read_text("RECORD") or ""):
            sys.exit(f"{name} {distribution.version} is not that of {wheels[name]}")
    print(f"{len(ours)} distributions, all from {sys.argv[1]}")


if __name__ == "__main__":
    main()
