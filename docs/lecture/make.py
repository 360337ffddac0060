"""Run the lecture: make its figures, outputs and notebook from its pages.

    python docs/lecture/make.py [PAGE.md ...]

runs all pages or the named ones, writes their figures and outputs, and then the notebook.
"""

import base64
import contextlib
import io
import itertools
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
NOTEBOOK = HERE / "lecture.ipynb"
# A block of code, and the output right below it.
BLOCK = re.compile(
    r"^```(?P<kind>python|bash)\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?",
    re.M | re.S,
)
SAVED = re.compile(r"\.savefig\(\"([\w-]+\.png)\"")
PICTURE = re.compile(r"^!\[[^\]]*\]\((?P<name>[\w-]+\.png)\)\n", re.M)
STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 14,
    "font.size": 14,  # readable from the last row: figures are as wide as a slide
    "legend.frameon": False,
    "lines.linewidth": 2.5,
    "savefig.dpi": 120,  # 13.33 inches are 1,600 pixels
}


class Result(NamedTuple):
    """A page after its run: the text with the output of each block, and the figures."""

    text: str
    figures: dict[str, Path]


def pages() -> list[Path]:
    return sorted(HERE.glob("[0-9]*.md"))


def run(page: Path, folder: Path) -> Result:
    """Run a page's blocks in order, in one new namespace and in ``folder``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names: dict[str, object] = {"__name__": page.stem}

    def with_output(match: re.Match[str]) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            _run(match["kind"], match["code"], names, page)
        block = f"```{match['kind']}\n{match['code']}```\n"
        lines = "".join(f"{line.rstrip()}\n" for line in stdout.getvalue().splitlines())
        return f"{block}\n```text\n{lines}```\n" if lines else block

    start = Path.cwd()
    os.chdir(folder)
    try:
        with matplotlib.rc_context(STYLE):
            text = BLOCK.sub(with_output, page.read_text())
    finally:
        plt.close("all")
        os.chdir(start)
    figures = {path.name: path for path in folder.glob("*.png")}
    for path in figures.values():
        _compact(path)
    return Result(text, figures)


def _compact(path: Path) -> None:
    """Reduce the figure to 128 colours to save bytes; keep its metadata."""
    from PIL import Image, PngImagePlugin

    metadata = PngImagePlugin.PngInfo()
    with Image.open(path) as image:
        for key, value in image.text.items():  # type: ignore[attr-defined]
            metadata.add_text(key, value)
        plain, method = image.convert("RGB"), Image.Quantize.MAXCOVERAGE  # keeps rare colours
        small = plain.quantize(128, method, dither=Image.Dither.NONE)
    small.save(path, pnginfo=metadata, optimize=True)


def _run(kind: str, code: str, names: dict[str, object], page: Path) -> None:
    from genzoo import cli

    if kind == "python":
        exec(compile(code, f"<{page.name}>", "exec"), names)
        return
    for line in code.strip().splitlines():
        words = shlex.split(line)
        assert words[0] == "genzoo", f"{page.name}: only genzoo commands are run: {line}"
        assert cli.run(words[1:]) == 0, f"{page.name}: {line}"


class Cell(NamedTuple):
    """A cell of the notebook; only code has an output and figures, by their file names."""

    kind: str
    text: str
    output: str = ""
    figures: Sequence[str] = ()


def cells(page: Path) -> Iterator[Cell]:
    """The cells of a page: prose without its pictures, code with what it prints and draws."""
    text, end = page.read_text(), 0
    for match in BLOCK.finditer(text):
        yield Cell("markdown", _prose(text[end : match.start()]))
        code, end = match["code"], match.end()
        if match["kind"] == "bash":
            code = "".join(f"!{line}\n" for line in code.splitlines())
        yield Cell("code", code, match["output"] or "", SAVED.findall(code))
    yield Cell("markdown", _prose(text[end:]))


def _prose(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", PICTURE.sub("", text))


def notebook() -> str:
    """All pages in order, as a notebook with the outputs and figures that the pages have."""
    import nbformat
    from nbformat import v4

    book, count = v4.new_notebook(), itertools.count(1)
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    style = f"import matplotlib.pyplot as plt\n\nplt.rcParams.update({STYLE})"
    parts = [("start-0", Cell("markdown", (HERE / "README.md").read_text()))]
    parts += [("start-1", Cell("code", style))]
    for page in pages():
        parts += [(f"{page.stem}-{i}", cell) for i, cell in enumerate(cells(page))]
    for name, cell in parts:
        if (text := cell.text.strip()) and cell.kind == "markdown":
            book.cells.append(v4.new_markdown_cell(text, id=name))
        elif text:
            outputs, number = _outputs(cell), next(count)
            code = v4.new_code_cell(text, id=name, execution_count=number, outputs=outputs)
            book.cells.append(code)
    return nbformat.writes(book) + "\n"


def _outputs(cell: Cell) -> list[Any]:
    """What Jupyter would show below ``cell``."""
    from nbformat import v4

    outputs = [v4.new_output("stream", name="stdout", text=cell.output)] if cell.output else []
    for name in cell.figures:
        picture = base64.b64encode((HERE / name).read_bytes()).decode()
        outputs.append(v4.new_output("display_data", {"image/png": picture, "text/plain": name}))
    return outputs


def main(names: list[str]) -> None:
    for page in [HERE / name for name in names] or pages():
        print(page.name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            result = run(page, Path(folder))
            for figure in result.figures.values():
                shutil.copy(figure, HERE)
        page.write_text(result.text)
    NOTEBOOK.write_text(notebook())


if __name__ == "__main__":
    main(sys.argv[1:])
