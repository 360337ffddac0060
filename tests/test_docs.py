"""README and docs: every command and Python block in them runs, or says why it does not."""

import re
import shlex
from pathlib import Path

import pytest

from genzoo import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<why><!-- (?:not run|slow|journey): [^>]+-->\n)?"
    r"^```(?P<kind>bash|python|toml)\n(?P<text>.*?)^```",
    re.M | re.S,
)
EXCUSED = 8


def _blocks(page, why=""):
    """Kinds and texts of a page's blocks: those that run here; or those that are "slow", "not run",
    or part of the "journey" of tests/hub/test_new_family.py.
    """
    found = ((m, m["why"] or "<!-- : ") for m in BLOCK.finditer(page.read_text()))
    return [(m["kind"], m["text"]) for m, told in found if told.startswith(f"<!-- {why}:")]


def _run(kind, text):
    if kind == "python":
        exec(compile(text, "block", "exec"), {"__name__": "block"})
        return
    for line in text.strip().splitlines():
        words = shlex.split(line)
        assert words[0] == "genzoo", f"only genzoo commands are run: {line}"
        assert cli.run(words[1:]) == 0, line


# The lecture's pages are run by test_lecture_pages.py.
RUN = [page for page in PAGES if page.parent.name != "lecture" and _blocks(page)]


@pytest.mark.parametrize("page", RUN, ids=lambda p: p.name)
def test_blocks_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "home"))
    for kind, text in _blocks(page):
        _run(kind, text)
    assert capsys.readouterr().err == ""


# What the first training on each family's page must reach: the Frechet distance of 500 samples to
# scikit-learn's digits, in the features of genzoo's classifier of MNIST.
JOURNEYS = {
    "vae": 20, "dcgan": 20, "gan": 40, "cgan": 20,
    "wgan-gp": 18, "sagan": 45, "pixelcnn": 30, "cyclegan": 20, "autoencoder": 20, "ae-gan": 22,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", JOURNEYS)
def test_the_first_training_on_a_page_leads_somewhere(family, tmp_path, monkeypatch):
    import genzoo
    from genzoo import data
    from genzoo.metrics.real_data import features
    from genzoo.metrics.statistics import distances

    monkeypatch.chdir(tmp_path)
    ((kind, text),) = _blocks(ROOT / "docs" / "families" / f"{family}.md", "slow")
    _run(kind, text)
    model, seen = genzoo.load(f"./{family}-digits"), features("mnist")
    drawn = model.sample(500, seed=0).tensor
    real = data.open("digits-inverted" if family == "cyclegan" else "digits")
    one, other = (distances.moments(seen(x)) for x in (drawn.clamp(0, 1), real.batch(range(1500))))
    assert distances.frechet(one, other) < JOURNEYS[family]


def test_every_family_has_a_first_training():
    pages = {page.stem for page in (ROOT / "docs" / "families").glob("*.md")}
    assert pages == set(JOURNEYS)


def test_no_more_blocks_are_excused():
    assert sum(len(_blocks(p, "not run")) for p in PAGES) == EXCUSED


def test_a_block_that_fails_is_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        _run("bash", "genzoo sample nothing-like-this")
    with pytest.raises(NameError):
        _run("python", "nothing_like_this")


def test_links_and_pictures_are_there():
    for page in PAGES:
        words = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)#:]+)\)", words):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_readme_names_every_file_of_the_core():
    tree = (ROOT / "README.md").read_text()
    for path in (ROOT / "genzoo").glob("*.py"):
        assert f"  {path.name}" in tree, path.name
    for path in (ROOT / "genzoo" / "training").glob("[!_]*.py"):
        assert path.name in tree, path.name
    for name in re.findall(r"^  (\w+\.py) ", tree, re.M):
        assert (ROOT / "genzoo" / name).exists(), name
