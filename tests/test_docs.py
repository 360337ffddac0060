"""README and docs: every command and Python block runs, or a comment gives the reason why not."""

import json
import re
import shlex
from pathlib import Path

import pytest

from genzoo import cli, families

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CORE = {str(p.relative_to(ROOT)) for p in (ROOT / "genzoo").rglob("*.py")}
PUBLISHED = ROOT / "genzoo/evaluation/published.json"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<why><!-- (?:not run|slow|journey): [^>]+-->\n)?"
    r"^```(?P<kind>bash|python|toml)\n(?P<text>.*?)^```",
    re.M | re.S,
)
NOT_RUN = 27


def _blocks(page, why=""):
    """(kind, text) of a page's blocks: those that run here, or those marked "slow", "not run" or
    "journey" (run by tests/hub/test_new_family.py).
    """
    blocks = ((m, m["why"] or "<!-- : ") for m in BLOCK.finditer(page.read_text()))
    return [(m["kind"], m["text"]) for m, mark in blocks if mark.startswith(f"<!-- {why}:")]


# A number of a page in prose, between the two texts: what it says of which card's score.
SAID = [
    ("docs/metrics.md", "of samples get about ", " nats", "gan-mnist", "parzen-mnist", "floor"),
    ("genzoo/metrics/likelihood_metrics.py", "real images get ", " nats", "gan-mnist",
     "parzen-mnist", "floor"),
]  # fmt: skip


def _numbers(value):
    """All numbers in a record."""
    if isinstance(value, dict):
        return {n for v in value.values() for n in _numbers(v)}
    if isinstance(value, list):
        return {n for v in value for n in _numbers(v)}
    return {value} if isinstance(value, int | float) else set()


def _cards():
    return {
        path.parent.name: json.loads(path.read_text())["scores"]
        for path in ROOT.glob("model_cards/*/*/*/metrics.json")
    }


def _agree(text, known):
    """Whether a number as it is written is one of ``known``, rounded."""
    unit = 10 ** -len(text.partition(".")[2])
    return any(abs(float(text) - value) <= unit / 2 + 1e-9 for value in known)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *(ROOT / "docs/families").glob("*.md")], ids=lambda p: p.stem
)
def test_figures_have_a_record(page):
    """A number with a decimal point in a paragraph on cards, or on others' results, is on these
    cards or among the published ones."""
    published = {n for p in json.loads(PUBLISHED.read_text()) for n in _numbers(p)}
    cards, checked = _cards(), 0
    for paragraph in re.split(r"\n\s*\n", page.read_text()):
        named = [card for card in cards if f"`{card}`" in paragraph]
        about = named or "Reference numbers" in paragraph or " lists " in paragraph
        if paragraph.startswith(("```", "|")) or not about:
            continue
        known = published.union(*(_numbers(cards[card]) for card in named))
        prose = re.sub(r"arXiv:\S+", "", paragraph)
        for number in re.findall(r"(?<![\w.=])\d+\.\d+(?![\w.]\d)", prose):
            checked += 1
            assert _agree(number, known), f"{number} in: {paragraph}"
    assert checked or page.stem not in ("gan", "cgan", "pixelcnn", "vae", "sagan", "wgan-gp")


@pytest.mark.parametrize(("page", "before", "after", "card", "score", "field"), SAID)
def test_a_figure_in_prose_is_the_cards(page, before, after, card, score, field):
    (value,) = (s[field] for s in _cards()[card] if s["name"] == score)
    text = (ROOT / page).read_text()
    assert f"{before}{round(value)}{after}" in text


def _run(kind, text):
    if kind == "python":
        exec(compile(text, "block", "exec"), {"__name__": "block"})
        return
    for line in text.strip().splitlines():
        words = shlex.split(line)
        assert words[0] == "genzoo", f"only genzoo commands are run: {line}"
        assert cli.run(words[1:]) == 0, line


# test_lecture_pages.py runs the lecture's pages.
RUN = [page for page in PAGES if page.parent.name != "lecture" and _blocks(page)]


PROGRESS = re.compile(r"\d:\d\d left\b|: [\d,]+ of [\d,]+$")


@pytest.mark.parametrize("page", RUN, ids=lambda p: p.name)
def test_blocks_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "home"))
    for kind, text in _blocks(page):
        _run(kind, text)
    told = capsys.readouterr().err.splitlines()  # a busy machine shows how far a command is
    assert [line for line in told if not PROGRESS.search(line)] == []


# The Frechet distance that the first training on each family's page must reach: of 500 samples to
# scikit-learn's digits, in the features of genzoo's MNIST classifier.
LIMITS = {
    "vae": 20, "dcgan": 20, "gan": 40, "cgan": 20, "realnvp": 18, "pixelrnn": 38,
    "wgan-gp": 18, "sagan": 45, "pixelcnn": 30, "cyclegan": 20, "autoencoder": 20, "ae-gan": 22,
    "infogan": 20, "made": 24, "acgan": 20, "pix2pix": 20, "rbm": 140, "gmm": 26,
    "ddpm": 20, "flow-matching": 20, "vae-gan": 20, "r3gan": 20, "progan": 16, "bigan": 22,
    "ebgan": 16, "lapgan": 22, "stylegan": 18, "srgan": 20, "began": 40, "biggan": 40,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", LIMITS)
def test_the_first_training_on_a_page_gives_digits(family, tmp_path, monkeypatch):
    import genzoo
    from genzoo import data
    from genzoo.metrics.real_data import load_features
    from genzoo.metrics.statistics import distances

    monkeypatch.chdir(tmp_path)
    for kind, text in _blocks(ROOT / "docs" / "families" / f"{family}.md", "slow"):
        _run(kind, text)
    model, extract = genzoo.load(f"./{family}-digits"), load_features("mnist")
    samples = model.sample(500, seed=0).tensor
    kinds = dict.fromkeys(("made", "pixelrnn", "rbm"), "digits@binary")
    kind = {"cyclegan": "digits-inverted", **kinds}.get(family, "digits")
    real = data.open(kind)
    images = samples.clamp(0, 1), real.batch(range(1500))
    ours, theirs = (distances.moments(extract(x)) for x in images)
    assert distances.frechet(ours, theirs) < LIMITS[family]


@pytest.mark.slow
def test_the_first_training_of_sounds_gives_an_a(tmp_path, monkeypatch):
    """Each sound is like itself one period later, 4000 / 220 samples, as noise is not."""
    import genzoo

    monkeypatch.chdir(tmp_path)
    ((kind, text),) = _blocks(ROOT / "docs" / "families" / "wavegan.md", "slow")
    _run(kind, text)
    x = genzoo.load("./wavegan-tones").sample(100, seed=0).tensor[:, 0]
    now, later = x[:, :-18], x[:, 18:]
    likeness = (now * later).sum(1) / (now.square().sum(1) * later.square().sum(1)).sqrt()
    assert likeness.mean() > 0.6


@pytest.mark.slow
def test_the_readme_s_first_training_gives_digits_that_anyone_reads(tmp_path, monkeypatch):
    """The real digit that is nearest to a sample has the sample's class."""
    import torch

    import genzoo
    from genzoo import data

    monkeypatch.chdir(tmp_path)
    ((kind, text),) = _blocks(ROOT / "README.md", "slow")
    _run(kind, text)
    assert (tmp_path / "mine.png").is_file()
    samples, real = genzoo.load("./my-digits").sample(500, seed=0), data.open("digits")
    pixels = real.batch(range(len(real)))
    near = torch.cdist(samples.tensor.flatten(1), pixels.flatten(1)).argmin(1)
    assert (torch.as_tensor(real.labels.copy())[near] == samples.labels).float().mean() > 0.97


def test_every_family_has_a_first_training():
    pages = {page.stem for page in (ROOT / "docs" / "families").glob("*.md")}
    assert pages == {*LIMITS, "wavegan"}  # which has a test of its own: it learns sounds


def test_the_taxonomy_has_every_family_and_no_name_twice():
    text = (ROOT / "docs" / "taxonomy.md").read_text()
    pages = {page.stem for page in (ROOT / "docs" / "families").glob("*.md")}
    assert {*re.findall(r"\]\(families/([\w-]+)\.md\)", text)} == pages
    assert {plugin.branch for plugin in families.plugins()} == {*families.BRANCHES}  # none is empty
    further = re.findall(r"^\| (\S.*?) \| \d{4} \| .* \| (arXiv:\S+) \|", text, re.M)
    names, sources = zip(*further, strict=True)
    assert len(further) > 60
    assert len({*names}) == len({*sources}) == len(further)


def test_few_blocks_are_not_run():
    assert sum(len(_blocks(p, "not run")) for p in PAGES) == NOT_RUN


def test_a_failing_block_fails_the_test(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        _run("bash", "genzoo sample nothing-like-this")
    with pytest.raises(NameError):
        _run("python", "nothing_like_this")


def test_links_and_pictures_exist():
    for page in PAGES:
        words = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", words):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


# -------------------------------------------------------------------------------------------- tree


def tree():
    """(path, phrase) of each line of README's tree, and of each file in a folder's phrase."""
    (block,) = re.findall(r"^## Where is it\?\n.*?^```\n(.*?)^```", README, re.M | re.S)
    shown, folders = [], {0: ""}
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        if depth in folders:  # else the line above goes on
            name, _, phrase = line.strip().partition(" ")
            path = folders[depth] + name
            shown.append((path, phrase.strip()))
            folders = {d: folder for d, folder in folders.items() if d <= depth}
        if path.endswith("/"):
            folders[path.count("/")] = path
            shown += [(path + file, "-") for file in re.findall(r"\w+\.py", line)]
    return shown


def test_readme_s_tree_is_the_folders():
    shown = [path for path, _ in tree() if path.startswith("genzoo/")]
    assert len(shown) == len({*shown})
    files = {path for path in shown if path.endswith(".py")}
    commands = {path for path in CORE if path.startswith("genzoo/cli/")}
    inner = {path for path in CORE if path.count("/") > 1 and path.endswith("__init__.py")}
    assert files == CORE - commands - inner
    assert {*shown} - files == {"genzoo/", *(f"{Path(path).parent}/" for path in inner)}


def test_every_line_of_the_tree_has_a_phrase():
    assert [path for path, phrase in tree() if not phrase] == []
    others = [path for path, _ in tree() if path.endswith("/") and not path.startswith("genzoo/")]
    assert others == ["plugins/NAME/", "model_cards/", "docs/", "tests/"]
    assert all((ROOT / path.removesuffix("NAME/")).is_dir() for path in others)


def test_readme_and_the_design_show_one_order():
    design = (ROOT / "docs" / "design.md").read_text()
    order = re.findall(r"^\| `([a-z.]+)/?` \|", design.partition("## The order")[2], re.M)
    shown = [path.split("/") for path, _ in tree() if path.startswith("genzoo/")]
    tops = [name.removesuffix(".py") for _, name, *inner in shown if inner in ([], [""])]
    assert [name for name in tops if name and "__" not in name] == order


@pytest.mark.parametrize("page", ["README.md", "tests/quality/where_is_it.md"])
def test_what_is_where(page):
    """Every file of the answers' column is there."""
    text = (ROOT / page).read_text()
    (rows,) = re.findall(r"^\| (?:to change|question) \|.*?\n\| -.*?\n((?:\|.*\n)+)", text, re.M)
    places = []
    for row in rows.splitlines():
        folder = ROOT if page == "README.md" else ROOT / "genzoo"
        for name in re.findall("`([^`]+)`", row.split("|")[2]):
            place = folder / name if (folder / name).exists() else ROOT / name
            assert place.exists(), f"{row}: {name}"
            folder = place.parent
            places.append(place)
    assert len(places) >= len(rows.splitlines()) - 1
