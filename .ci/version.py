"""Sets the version of every distribution and the bounds between them: .ci/version.py 0.3.0

Without a version it prints the present one, and fails where a file has another.
"""

import argparse
import re
import sys
from pathlib import Path

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]
BOUND = re.compile(r"\b(genzoo(?:-[a-z0-9-]+)?)>=[\w.]+,<[\w.]+")
# The line of each file that says the version; the number is between the two groups.
LINES = {
    "pyproject.toml": re.compile(r'^(version = ")[^"]+(")$', re.M),
    "genzoo/version.py": re.compile(r'^(VERSION = ")[^"]+(")$', re.M),
    "CITATION.cff": re.compile(r"^(version: )\S+()$", re.M),
}
# Bounds are in these files, too: what an author of a plugin copies.
SHOWN = ("docs/plugins.md", "docs/examples/*/pyproject.toml")


def bounds(version: str) -> str:
    """The versions of another distribution that work with this one: to the next that may break."""
    parsed = Version(version)
    lowest = version if parsed.is_prerelease else f"{parsed.major}.{parsed.minor}"
    highest = f"0.{parsed.minor + 1}" if parsed.major == 0 else str(parsed.major + 1)
    return f">={lowest},<{highest}"


def stated(root: Path, version: str) -> dict[Path, str]:
    """Each file that says a version or a bound, as it reads with ``version``."""
    own = [root / name for name in LINES if (root / name).is_file()]
    own += sorted(root.glob("plugins/*/pyproject.toml")) + sorted(
        root.glob("model_cards/*/pyproject.toml")
    )
    texts = {}
    for path in own:
        name = path.name if path.suffix == ".toml" else path.relative_to(root).as_posix()
        text, found = LINES[name].subn(rf"\g<1>{version}\g<2>", path.read_text(encoding="utf-8"))
        if found != 1:
            sys.exit(f"{path.relative_to(root)}: expected one line with the version, found {found}")
        texts[path] = text
    shown = [path for pattern in SHOWN for path in sorted(root.glob(pattern))]
    texts |= {path: path.read_text(encoding="utf-8") for path in shown}
    limits = bounds(version)
    return {p: BOUND.sub(lambda m: m[1] + limits, text) for p, text in texts.items()}


def present(root: Path) -> str:
    """The version that genzoo/version.py says."""
    path = root / "genzoo/version.py"
    return path.read_text(encoding="utf-8").partition('VERSION = "')[2].partition('"')[0]


def checked(root: Path, tag: str = "") -> str:
    """The version that all files agree on, and ``tag`` and the changelog with them."""
    version = present(root)
    texts = stated(root, version)
    wrong = [
        p.relative_to(root).as_posix() for p in texts if p.read_text(encoding="utf-8") != texts[p]
    ]
    if wrong:
        sys.exit(f"not {version}: {', '.join(wrong)}; to set it everywhere: .ci/version.py VERSION")
    if tag not in ("", f"v{version}"):
        sys.exit(f"the tag is {tag}, but the version is {version}; expected the tag v{version}")
    if f"\n## {version}\n" not in (root / "CHANGELOG.md").read_text(encoding="utf-8"):
        sys.exit(f"CHANGELOG.md has no section {version}; expected a line: ## {version}")
    return version


def new(text: str) -> str:
    """A version as packages write it: three numbers, perhaps with a1, b1, rc1 or .dev1 behind."""
    try:
        parsed = Version(text)
    except InvalidVersion:
        parsed = None
    if parsed is None or str(parsed) != text or len(parsed.release) != 3 or parsed.local:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a version such as 0.3.0 or 0.3.0rc1")
    return text


def main(words: list[str] | None = None, root: Path = ROOT) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", nargs="?", type=new, help="the new version")
    parser.add_argument("--tag", default="", help="check that this tag names the version")
    wanted = parser.parse_args(words)
    if wanted.version:
        for path, text in stated(root, wanted.version).items():
            path.write_text(text, encoding="utf-8", newline="\n")
    print(checked(root, wanted.tag))


if __name__ == "__main__":
    main()
