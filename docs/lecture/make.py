"""Run the lecture: its figures, what its blocks print, and the notebook, all from the pages.

    python docs/lecture/make.py [PAGE.md ...]

runs the pages, or those named, writes their figures and outputs, and then the notebook.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
NOTEBOOK = HERE / "lecture.ipynb"
# A block of code, and what it printed, which stands right below.
BLOCK = re.compile(
    r"^```(?P<kind>python|bash)\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?",
    re.M | re.S,
)
PICTURE = re.compile(r"^!\[[^\]]*\]\((?P<name>[\w-]+\.png)\)\n", re.M)
STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "font.size": 9,
    "legend.frameon": False,
    "savefig.dpi": 110,
}


class Ran(NamedTuple):
    """What a page did: its text with what its blocks printed, and the figures it wrote."""

    text: str
    figures: dict[str, Path]


def pages() -> list[Path]:
    return sorted(HERE.glob("[0-9]*.md"))


def run(page: Path, folder: Path) -> Ran:
    """Run a page's blocks in order, in a namespace of their own and in ``folder``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names: dict[str, object] = {"__name__": page.stem}

    def answered(match: re.Match[str]) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            _run(match["kind"], match["code"], names, page)
        block = f"```{match['kind']}\n{match['code']}```\n"
        lines = "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())
        return f"{block}\n```text\n{lines}```\n" if lines else block

    here = Path.cwd()
    os.chdir(folder)
    try:
        with matplotlib.rc_context(STYLE):
            text = BLOCK.sub(answered, page.read_text())
    finally:
        plt.close("all")
        os.chdir(here)
    figures = {path.name: path for path in folder.glob("*.png")}
    for path in figures.values():
        _compact(path)
    return Ran(text, figures)


def _compact(path: Path) -> None:
    """The same figure in 128 colours, fewer bytes, and with what it says of itself."""
    from PIL import Image, PngImagePlugin

    told = PngImagePlugin.PngInfo()
    with Image.open(path) as image:
        for key, value in image.text.items():  # type: ignore[attr-defined]
            told.add_text(key, value)
        plain, kept = image.convert("RGB"), Image.Quantize.MAXCOVERAGE  # rare colours too
        small = plain.quantize(128, kept, dither=Image.Dither.NONE)
    small.save(path, pnginfo=told, optimize=True)


def _run(kind: str, code: str, names: dict[str, object], page: Path) -> None:
    from genzoo import cli

    if kind == "python":
        exec(compile(code, f"<{page.name}>", "exec"), names)
        return
    for line in code.strip().splitlines():
        words = shlex.split(line)
        assert words[0] == "genzoo", f"{page.name}: only genzoo commands are run: {line}"
        assert cli.run(words[1:]) == 0, f"{page.name}: {line}"


def cells(page: Path) -> Iterator[tuple[str, str]]:
    """A page as (kind, text): its prose, without pictures and outputs, and its code."""
    text, end = page.read_text(), 0
    for match in BLOCK.finditer(text):
        yield "markdown", _prose(text[end : match.start()])
        shell = "".join(f"!{line}\n" for line in match["code"].splitlines())
        yield "code", match["code"] if match["kind"] == "python" else shell
        end = match.end()
    yield "markdown", _prose(text[end:])


def _prose(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", PICTURE.sub("", text))


def notebook() -> str:
    """All pages, one after the other, as a notebook without outputs."""
    import nbformat
    from nbformat import v4

    book, made = v4.new_notebook(), {"markdown": v4.new_markdown_cell, "code": v4.new_code_cell}
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    styled = f"import matplotlib.pyplot as plt\n\nplt.rcParams.update({STYLE})"
    found = [("start-0", "markdown", (HERE / "README.md").read_text()), ("start-1", "code", styled)]
    for page in pages():
        found += [(f"{page.stem}-{i}", *cell) for i, cell in enumerate(cells(page))]
    for name, kind, text in found:
        if text := text.strip():
            book.cells.append(made[kind](text, id=name))
    return nbformat.writes(book) + "\n"


def main(named: list[str]) -> None:
    for page in [HERE / name for name in named] or pages():
        print(page.name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            ran = run(page, Path(folder))
            for figure in ran.figures.values():
                shutil.copy(figure, HERE)
        page.write_text(ran.text)
    NOTEBOOK.write_text(notebook())


if __name__ == "__main__":
    main(sys.argv[1:])
