"""docs/new-family.md, done as it says: from an empty folder to a model that others can load."""

import ast
import dataclasses
import importlib
import json
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import genzoo
from genzoo import cli, data, families, testing
from genzoo.families import registry

PAGE = Path(__file__).parents[2] / "docs" / "new-family.md"
BLOCK = re.compile(r"(<!-- journey: [^>]+-->\n)?^```(bash|python|toml)\n(.*?)^```", re.M | re.S)
OWN_TEST = "which a test of its own trains"
MOST = {"ppca": 60, "sketch": 65, "mixture": 85}  # lines that the reader writes
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


def write(text):
    """A file as its first line names it; of a .toml, the lines that replace others."""
    path = Path(text.splitlines()[0].removeprefix("# "))
    assert path.exists(), f"{path}: genzoo plugin new writes no such file"
    if path.suffix == ".py":
        path.write_text(text)
        return
    whole = path.read_text()
    for line in text.splitlines()[1:]:
        key = line.partition(" = ")[0]
        whole, count = re.subn(rf"^{key} = .*$", lambda _, line=line: line, whole, flags=re.M)
        assert count == 1, f"{path} has no line {key}"
    path.write_text(whole)


class Installed:
    """What ``pip install -e FOLDER`` does: metadata, and the module's folder on the path."""

    def __init__(self, site, monkeypatch):
        self.site, self.monkeypatch = site, monkeypatch
        monkeypatch.syspath_prepend(site)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def __call__(self, folder):
        project = tomllib.loads(Path(folder, "pyproject.toml").read_text())["project"]
        meta = self.site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        meta.mkdir(parents=True, exist_ok=True)
        told = [f"Name: {project['name']}", f"Version: {project['version']}"]
        told += [f"Summary: {project['description']}", f"Keywords: {','.join(project['keywords'])}"]
        meta.joinpath("METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(told) + "\n")
        ((group, doors),) = project["entry-points"].items()
        lines = "\n".join(f"{name} = {value}" for name, value in doors.items())
        meta.joinpath("entry_points.txt").write_text(f"[{group}]\n{lines}\n")
        self.monkeypatch.syspath_prepend(str(Path(folder).resolve()))
        importlib.invalidate_caches()
        registry._load.cache_clear()


@pytest.fixture
def pip(tmp_path, monkeypatch):
    yield Installed(tmp_path / "site", monkeypatch)
    registry._load.cache_clear()
    for name in MOST:
        sys.modules.pop(f"genzoo_{name}", None)


def run_tests(folder):
    """What ``pytest FOLDER`` does with tests that are plain functions."""
    (path,) = Path(folder, "tests").glob("test_*.py")
    found: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), found)
    names = [n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)]
    assert names
    for name in names:
        found[name]()


def test_the_page_leads_to_a_published_family(web, pip, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    blocks = BLOCK.findall(PAGE.read_text())
    assert all(why for why, _, _ in blocks), "a block of the page is not part of its journey"
    for why, kind, text in blocks:
        if kind != "bash":
            if OWN_TEST not in why:
                write(text)
            continue
        for line in text.strip().splitlines():
            words = shlex.split(line)
            if words[:3] == ["pip", "install", "-e"]:
                pip(words[3])
            elif words[0] == "pytest":
                run_tests(words[1])
            else:
                assert words[0] == "genzoo", line
                assert cli.run(words[1:]) == 0, f"{line}\n{capsys.readouterr().err}"
    told = capsys.readouterr().err.splitlines()  # a busy machine shows how far a training is
    assert [line for line in told if not re.search(r"\d:\d\d left\b", line)] == []
    assert {p.name for p in families.plugins() if p.branch == "explicit/tractable"} >= {"ppca"}
    (card,) = (web.repos["you/ppca-digits"].commits[web.repos["you/ppca-digits"].head],)
    assert {"README.md", "config.json", "model.safetensors", "metrics.json"} <= {*card}
    model = genzoo.load("you/ppca-digits@v1")
    assert isinstance(model, genzoo.Density)
    assert Path("theirs.png").read_bytes()
    ours = genzoo.load("./my-ppca")
    assert (ours.sample(4).tensor == model.sample(4).tensor).all()
    digits = data.open("digits", "test").batch(range(200))
    noise = genzoo.Noise(0, range(200)).uniform(1, 28, 28)
    assert model.log_prob(digits).mean() > model.log_prob(noise).mean() + 1000
    assert len(testing.outcome("ppca").held) == 29
    check_sketch()
    check_mixture()


def check_sketch():
    """It has learned the digits from their edges, which are another image."""
    sketch, test = genzoo.load("./my-sketch"), data.open("digits", "test").batch(range(64))
    edges = data.open("digits@edges", "test").batch(range(64))
    assert (sketch.domains, sketch.targets) == (("edges", "digits"), ("digits",))
    error = (sketch.translate(edges).tensor - test).abs().mean()
    assert error < 0.5 * (edges - test).abs().mean()
    shown = sketch.sample(3).seeds
    assert len({*shown}) == 3
    assert Path("sketch.png").read_bytes()


def check_mixture():
    """Both phases are in the log, and a setting of sampling changes the picture."""
    lines = [*map(json.loads, Path("my-mixture/run/log.jsonl").read_text().splitlines())]
    first, last = lines[0], lines[-1]
    assert (first["phase"], last["phase"]) == ("autoencoder", "prior")
    assert not {k for k in first if k.startswith("prior/")}
    assert not {k for k in last if k.startswith("autoencoder/")}
    mixture = genzoo.load("./my-mixture")
    warm, cold = mixture.sample(4).tensor, mixture.sample(4, temperature=0.5).tensor
    assert not torch.equal(warm, cold)
    assert genzoo.inspect("mixture.png").record.call.sampling == {"temperature": 0.5}


def test_the_trainer_that_wraps_a_game_trains():
    """It begins each phase, and its settings reach the game."""
    (text,) = (text for why, _, text in BLOCK.findall(PAGE.read_text()) if OWN_TEST in why)
    found: dict = {"genzoo": genzoo, "Phase": genzoo.training.Phase}
    exec(compile(text, "block", "exec"), found)
    gan = families.get("gan")
    model, discriminator = gan.model(gan.tiny), gan.discriminator(gan.tiny)
    game = genzoo.Adversarial(model, discriminator, gan.options(discriminator_steps=2))
    trainer = found["Growing"](model, game)
    trainer.prepare(genzoo.training.RunSettings(micro_batches=2))
    assert game.settings.micro_batches == 2
    before = [p.clone() for p in model.parameters()]
    x = torch.rand(8, *model.shape)
    grown = []
    for _ in genzoo.fit(trainer, genzoo.training.batches(x, 8, 4), 4):
        grown.append(model.grown)
    assert grown == [False, False, True, True]
    assert not all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_table_of_the_game_has_its_fields():
    """All that a term reads; its purpose is the name of the turn's random numbers."""
    table = PAGE.read_text().partition("| of `game` |")[2].partition("\n\n")[0]
    fields = {f.name for f in dataclasses.fields(genzoo.training.Game)} - {"purpose"}
    assert [name for name in sorted(fields) if not re.search(rf"`{name}\b", table)] == []


def test_every_field_of_the_interface_is_explained():
    """Of Family, Batch and Game each field, and each word that a translator's author needs."""
    text = PAGE.read_text()
    fields = [f.name for kind in (genzoo.Family, genzoo.Batch) for f in dataclasses.fields(kind)]
    words = [*fields, "Player", "extras", "begin", "renew", "domains", "examples", "one_way"]
    words += ["multiple", "condition", "terms", "players", "make_player", "sampling"]
    prose = " ".join(re.findall("`[^`]+`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)))
    assert [w for w in words if not re.search(rf"\b{w}\b", prose)] == []


@pytest.mark.parametrize("name", MOST)
def test_the_reader_writes_few_lines(name):
    blocks = [text for _, kind, text in BLOCK.findall(PAGE.read_text()) if kind != "bash"]
    written = [text for text in blocks if text.startswith(f"# genzoo-{name}/")]
    lines = [line for text in written for line in text.splitlines()]
    own = [line for line in lines if line.strip() and not line.startswith("#")]
    assert len(written) == 3
    assert len(own) <= MOST[name], len(own)
