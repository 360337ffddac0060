"""The lecture: each page runs and its claims hold; figures and notebook match the pages."""

import ast
import builtins
import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
LECTURE = ROOT / "docs" / "lecture"
REMEDY = "run python docs/lecture/make.py"
# Their output is read from records, so it is the same on every machine.
EXACT = ("10-parzen", "12-probe")
# Each trains for ten seconds or more.
LONG = ("09-collapse", "14-collapse-of-digits", "15-two-curves")

spec = importlib.util.spec_from_file_location("make", LECTURE / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)
PAGES = make.pages()


def outputs_of(text):
    """The output of each Python block of a page, "" for none."""
    return [m["output"] or "" for m in make.BLOCK.finditer(text) if m["kind"] == "python"]


def masked(outputs):
    """The words without the numbers, whose last digits depend on the machine."""
    return [re.sub(r"[-+]?\d[\d.,]*|\s+", " ", text).split() for text in outputs]


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] if p.stem in LONG else []) for p in PAGES],
    ids=lambda page: page.stem,
)
def test_a_page_runs_and_its_claims_hold(page, tmp_path, capsys):
    folder = tmp_path / "page"
    folder.mkdir()
    result, text = make.run(page, folder), page.read_text()
    assert capsys.readouterr().err == ""
    assert {*result.figures} == {*make.PICTURE.findall(text)}, REMEDY
    for name, path in result.figures.items():
        with Image.open(path) as new, Image.open(LECTURE / name) as old:
            assert new.size == old.size, f"{name}: {REMEDY}"
    outputs = [m["output"] for m in make.BLOCK.finditer(text) if m["output"]]
    assert text.count("```text") == len(outputs), "an output of no block"
    expected, actual = outputs_of(text), outputs_of(result.text)
    if page.stem not in EXACT:
        expected, actual = masked(expected), masked(actual)
    assert actual == expected, REMEDY


def test_all_pages_are_listed_in_their_order():
    listed = re.findall(r"^\| \[\d+\. .*\]\((.*)\)", (LECTURE / "README.md").read_text(), re.M)
    assert listed == [page.name for page in PAGES]
    assert len(PAGES) == 15


def test_figures_are_small_and_each_is_on_a_page():
    names = {name for page in PAGES for name in make.PICTURE.findall(page.read_text())}
    sizes = {path.name: path.stat().st_size for path in LECTURE.glob("*.png")}
    assert {*sizes} == names
    assert max(sizes.values()) < 130_000


def test_figures_are_as_wide_as_a_slide():
    """1,600 pixels, on which a text of 14 points is readable from the last row."""
    for path in LECTURE.glob("*.png"):
        with Image.open(path) as figure:
            assert figure.width == 1600, path.name
    assert make.STYLE["font.size"] >= 14
    for page in PAGES:
        assert "fontsize" not in page.read_text(), page.name


def test_the_notebook_matches_the_pages():
    assert make.NOTEBOOK.read_text() == make.notebook(), REMEDY
    book = nbformat.read(make.NOTEBOOK, 4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    blocks = [m["code"] for page in PAGES for m in make.BLOCK.finditer(page.read_text())]
    assert [c.source.removeprefix("!") for c in code[1:]] == [block.strip() for block in blocks]
    outputs = [output for cell in code for output in cell.outputs]
    printed = [output.text for output in outputs if output.output_type == "stream"]
    text = "".join(page.read_text() for page in PAGES)
    assert printed == [m["output"] for m in make.BLOCK.finditer(text) if m["output"]]
    shown = [o.data["text/plain"] for o in outputs if o.output_type == "display_data"]
    assert shown == make.PICTURE.findall(text)
    assert make.NOTEBOOK.stat().st_size < 1_500_000


def test_no_page_redefines_a_builtin():
    """In the notebook all pages share one namespace."""
    for page in PAGES:
        blocks = [m for m in make.BLOCK.finditer(page.read_text()) if m["kind"] == "python"]
        code = "".join(block["code"] for block in blocks)
        nodes = [*ast.walk(ast.parse(code))]
        stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        stored |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        assert not stored & {*dir(builtins)}, page.name
        assert max(map(len, code.splitlines())) <= 100, page.name


@pytest.mark.slow
def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path):
    """In one namespace, as in Jupyter; the tests above run each page alone."""
    cells = [c.source for c in nbformat.read(make.NOTEBOOK, 4).cells if c.cell_type == "code"]
    blocks = [("bash" if c.startswith("!") else "python", c.removeprefix("!")) for c in cells]
    book = tmp_path / "book.md"
    book.write_text("".join(f"```{kind}\n{code}\n```\n" for kind, code in blocks))
    assert len(make.run(book, tmp_path).figures) == len([*LECTURE.glob("*.png")])


@pytest.mark.parametrize("broken", ["assert 1 > 2", "nothing_like_this"])
def test_a_false_claim_fails(broken, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"A claim.\n\n```python\n{broken}\n```\n")
    with pytest.raises((AssertionError, NameError)):
        make.run(page, tmp_path)


def test_outputs_are_written_below_their_blocks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("One.\n\n```python\nprint(2)\n```\n\n```text\n1\n```\n\nTwo.\n")
    assert make.run(page, tmp_path).text == page.read_text().replace("\n1\n", "\n2\n")


def test_numbers_quoted_from_the_metrics_page_are_on_it():
    lecture = (LECTURE / "11-class-scores.md").read_text()
    metrics = (ROOT / "docs" / "metrics.md").read_text()
    for number in ("0.385", "2.03", "5.77", "5.80", "5.89"):
        assert number in lecture
        assert number in metrics
