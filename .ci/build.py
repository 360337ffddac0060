"""Builds the wheel and the sdist of every distribution into a folder: .ci/build.py dist

What is built is what git tracks, copied; the date of the last commit is the date of all files. So
two builds of one commit with the same hatchling are equal, byte by byte; ``--twice`` builds again
and compares. Each wheel is built from the sdist beside it.

``--repository https://HOST/OWNER/NAME`` makes the links of each README absolute, to the tag of this
version, and names the repository in the metadata. The page of an index shows no relative link.
"""

import argparse
import contextlib
import filecmp
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = ("*.md", "LICENSE", "pyproject.toml", "genzoo", ".gitignore")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#:\s]+)(#[^)]*)?\)")


def projects(root: Path) -> list[Path]:
    """The folders of all distributions."""
    return [root, *sorted(path.parent for path in root.glob("[!.]*/*/pyproject.toml"))]


def git(*words: str) -> str:
    """What git says."""
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True
    ).stdout


def copy(target: Path, only: list[str]) -> None:
    """Copy what git tracks of these projects, or of all: names and contents."""
    parts = [*CORE, *(only or ("plugins", "model_cards"))]
    for name in git("ls-files", "-z", "--", *(p for p in parts if p != ".")).split("\0"):
        if (source := ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name)


def absolute(text: str, folder: str, repository: str, tag: str) -> str:
    """A README with its relative links made absolute; ``folder`` is where it is, from the root."""

    def link(match: re.Match[str]) -> str:
        image, words, target, place = match.groups()
        path = os.path.normpath(os.path.join(folder, target)).replace(os.sep, "/")  # noqa: PTH118
        kind = "raw" if image or path.endswith((".png", ".gif")) else "blob"
        words = LINK.sub(link, words)
        return f"{image}[{words}]({repository}/{kind}/{tag}/{path}{place or ''})"

    parts = re.split(r"(^```.*?^```)", text, flags=re.M | re.S)
    return "".join(part if part[:3] == "```" else LINK.sub(link, part) for part in parts)


def publish(root: Path, repository: str, version: str) -> None:
    """Make the READMEs and the metadata of a copy name the repository."""
    urls = {"Repository": "", "Documentation": f"/tree/v{version}/docs", "Issues": "/issues"}
    urls["Changelog"] = f"/blob/v{version}/CHANGELOG.md"
    lines = "".join(f'{name} = "{repository}{path}"\n' for name, path in urls.items())
    for folder in projects(root):
        readme, project = folder / "README.md", folder / "pyproject.toml"
        where = folder.relative_to(root).as_posix()
        text = absolute(readme.read_text(encoding="utf-8"), where, repository, f"v{version}")
        readme.write_text(text, encoding="utf-8", newline="\n")
        with project.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"\n[project.urls]\n{lines}")


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """In this folder, and without what a builder prints."""
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        yield


def distribution(folder: Path, target: Path) -> None:
    """The sdist of a project, and the wheel of that sdist."""
    from hatchling import build

    with tempfile.TemporaryDirectory() as scratch:
        with inside(folder):
            name = build.build_sdist(str(target))
        with tarfile.open(target / name) as archive:
            archive.extractall(scratch, filter="data")
        with inside(Path(scratch, name.removesuffix(".tar.gz"))):
            build.build_wheel(str(target))


def everything(target: Path, repository: str, version: str, only: list[str]) -> None:
    """All distributions, from a fresh copy of the tree."""
    with tempfile.TemporaryDirectory() as scratch:
        copy(root := Path(scratch), only)
        if repository:
            publish(root, repository, version)
        for folder in projects(root):
            if not only or folder.relative_to(root).as_posix() in only:
                distribution(folder, target)


def differences(first: Path, second: Path) -> list[str]:
    """The files that are not the same in both folders."""
    names = {path.name for folder in (first, second) for path in folder.iterdir()}
    both = {n: [f / n for f in (first, second) if (f / n).is_file()] for n in sorted(names)}
    return [n for n, found in both.items() if len(found) != 2 or not filecmp.cmp(*found, False)]


def pinned() -> None:
    """Refuse another hatchling than the one that the constraints name: it writes other bytes."""
    lines = (ROOT / "tests/constraints.txt").read_text(encoding="utf-8").splitlines()
    (wanted,) = (line.partition("==")[2] for line in lines if line.startswith("hatchling=="))
    if (found := metadata.version("hatchling")) != wanted:
        sys.exit(f"hatchling {found} is here; expected {wanted}: pip install hatchling=={wanted}")


def main(words: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a new or empty folder")
    parser.add_argument("--repository", default="", help="https://HOST/OWNER/NAME")
    parser.add_argument("--twice", action="store_true", help="build again, and compare the bytes")
    parser.add_argument("--only", nargs="*", default=[], help="folders of projects; . is genzoo")
    asked = parser.parse_args(words)
    if asked.repository and not re.fullmatch(r"https://[\w.-]+(/[\w.-]+){2}", asked.repository):
        parser.error(f"--repository {asked.repository}: expected https://HOST/OWNER/NAME")
    target = asked.folder.resolve()
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        parser.error(f"{asked.folder}: expected a new or empty folder")
    pinned()
    os.environ.setdefault("SOURCE_DATE_EPOCH", git("log", "-1", "--format=%ct").strip())
    version = (ROOT / "genzoo/version.py").read_text(encoding="utf-8").split('"')[-2]
    everything(target, asked.repository, version, asked.only)
    if asked.twice:
        with tempfile.TemporaryDirectory() as second:
            everything(Path(second), asked.repository, version, asked.only)
            if found := differences(target, Path(second)):
                sys.exit(f"two builds differ: {', '.join(found)}")
    same = ", twice the same" if asked.twice else ""
    print(f"{len([*target.iterdir()])} files in {asked.folder}{same}")


if __name__ == "__main__":
    main()
