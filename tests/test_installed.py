"""Models that packages bring, by entry points of genzoo.models."""

import importlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.errors import InvalidModel, OperationFailed, UnknownName
from genzoo.evaluation import compare
from genzoo.families import registry
from genzoo.families.registry import Conflict
from genzoo.testing import status
from genzoo.zoo import card as cards
from genzoo.zoo import folder as folders
from genzoo.zoo import installed, names
from genzoo.zoo.manifest import CONFIG, read_manifest

SAMPLE = Path(__file__).parent / "typing" / "genzoo_sample.py"
KEYWORDS = "sample:explicit/approximate:2016"
UNTOUCHABLE = "raise RuntimeError('this package must not be imported')\n"


@pytest.fixture
def site(install, tmp_path):
    """Where packages are installed; the family ``sample`` is, without a model."""
    install("family", "sample", SAMPLE.read_text(), keywords=KEYWORDS)
    return tmp_path / "site-packages"


def bring(site, package, value, *names, family="sample", **facts):
    """Install ``package``, whose entry point ``value`` names a folder with these models."""
    folder = site.joinpath(*value.split("."))
    folder.mkdir(parents=True)
    parts = families.get(family)
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        folders.save(parts.model(parts.tiny), folder / name, family=family, **facts)
    enter(site, package, value)
    return folder


def enter(site, package, value):
    info = site / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[genzoo.models]\n{package} = {value}\n")
    importlib.invalidate_caches()


def call(capsys, *words):
    code = run([*map(str, words)])
    return code, *capsys.readouterr()


def states():
    """Of the packages that a test installs; genzoo's own may be installed or in a checkout."""
    every = {p.package: (p.state, p.error) for p in status.inspect(("models",))}
    return {package: state for package, state in every.items() if package not in installed.OWN}


# ---------------------------------------------------------------------------------- what they bring


def test_models_are_found_without_an_import(site, capsys):
    folder = bring(site, "zoo-of-mine", "zoo_of_mine.cards", "sample-a", data="mnist")
    (folder.parent / "__init__.py").write_text(UNTOUCHABLE)
    assert "sample-a" in genzoo.model_names()
    assert {"vae-mnist", "dcgan-mnist"} < {*genzoo.model_names()}
    assert names.find("sample-a") == folder / "sample-a"
    assert genzoo.load("sample-a", device="cpu").origin.model == "sample-a"
    assert "zoo_of_mine" not in sys.modules
    assert states() == {"zoo-of-mine": ("ok", "")}
    line = next(line for line in call(capsys, "list")[1].splitlines() if "sample-a" in line)
    assert line.split()[:2] == ["sample-a", "mnist"]
    (own,) = [c for c in json.loads(call(capsys, "list", "--json")[1]) if c["name"] == "sample-a"]
    assert (own["package"], own["version"], own["error"]) == ("zoo-of-mine", 1, "")
    code, out, _ = call(capsys, "info", "sample-a")
    assert (code, str(folder) in out) == (0, True)
    assert [r[:3] for r in map(str.split, call(capsys, "plugin", "list")[1].splitlines())].count(
        ["zoo-of-mine", "models", "ok"]
    ) == 1


def test_a_family_of_another_package_has_a_default_model(site):
    with pytest.raises(UnknownName, match="sample has no model yet"):
        genzoo.load("sample")
    bring(site, "zoo-of-mine", "zoo_of_mine", "sample-b", "sample-a", data="mnist")
    assert names.default("sample") == "sample-a"
    assert genzoo.load("sample", device="cpu").origin.model == "sample-a"
    chosen, data, _ = compare.choose_models(["sample", "vae"])
    assert (sorted(chosen), data) == (["sample-a", "vae-mnist"], "mnist")


def test_a_familys_own_models_stay_its_default(site):
    """Who installs a package has not decided what `vae` means."""
    before = names.default("vae"), names.models_of("vae")
    folder = bring(site, "zoo-of-mine", "zoo_of_mine", "a-vae", family="vae", data="mnist")
    path = folder / "a-vae" / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), "default": True}))
    assert read_manifest(path.parent).default
    assert (names.default("vae"), names.models_of("vae")) == before


def test_a_card_says_the_name_that_loads_it(site, tmp_path):
    folder = bring(site, "zoo-of-mine", "zoo_of_mine", "sample-a")
    for place, address in ((folder / "sample-a", "sample-a"), (tmp_path / "x", "./x")):
        if not place.exists():
            genzoo.save(genzoo.load("sample-a", device="cpu"), place)
        cards.write_metrics(place, {"scores": []})
        assert f'genzoo.load("{address}")' in (place / "README.md").read_text()


def test_the_shell_completes_names(site):
    bring(site, "zoo-of-mine", "zoo_of_mine", "sample-a")
    words = {"genzoo sample sampl": ["sample", "sample-a"], "genzoo train sampl": ["sample"]}
    words["genzoo compare vae-m"] = ["vae-mnist", "vae-mnist-binarized"]
    for text, expected in words.items():
        path = os.pathsep.join([str(site), *filter(None, sys.path)])
        ask = {"_GENZOO_COMPLETE": "complete_bash", "COMP_WORDS": text, "COMP_CWORD": "2"}
        env = {**os.environ, **ask, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", "from genzoo.cli import main; main()"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, sorted(done.stdout.split())) == (0, expected), done.stderr


# ------------------------------------------------------------------------------------- genzoo's own


def test_a_checkout_has_its_own_models_whatever_is_installed(site):
    """So that two checkouts can share an environment."""
    bring(site, "genzoo-models", "genzoo_models", "sample-a")
    root = Path(genzoo.__file__).parents[1]
    every = {c.package: c.folder for c in installed.collections()}
    assert every == {package: root / place for package, place in installed.OWN.items()}
    assert "sample-a" not in genzoo.model_names()
    assert names.find("vae-celeba") == every["genzoo-models-celeba"] / "vae-celeba"


@pytest.fixture
def elsewhere(site, monkeypatch):
    """genzoo is not in a checkout; of its own models only those that the test brings are there."""
    found = registry.plugins

    def brought(kind="family"):
        every = found(kind)
        return [p for p in every if p.package not in installed.OWN or (site / p.value).is_dir()]

    monkeypatch.setattr(families, "plugins", brought)
    place = SimpleNamespace(origin=str(site / "genzoo" / "__init__.py"))
    find = lambda name: place if name == "genzoo" else find_spec(name)  # noqa: E731
    monkeypatch.setattr(installed, "find_spec", find)


def test_genzoos_own_models_are_installed_like_those_of_others(site, elsewhere):
    theirs = bring(site, "genzoo-a", "genzoo_a", "sample-b")
    folder = bring(site, "genzoo-models-celeba", "genzoo_models_celeba", "sample-a")
    (folder / "features").mkdir()
    (folder / "features" / "celeba.safetensors").touch()
    places = [(c.package, c.folder) for c in installed.collections()]
    assert places == [("genzoo-models-celeba", folder), ("genzoo-a", theirs)]
    assert installed.own() == {"sample-a"}
    assert installed.features() == {"celeba": folder / "features" / "celeba.safetensors"}


def test_what_is_missing_of_genzoos_own_is_one_line(elsewhere, capsys, caplog):
    how = "genzoo-models and genzoo-models-celeba are not installed: in a checkout pip install"
    how += " ./model_cards/open ./model_cards/celeba"
    for words in (["sample", "dcgan-celeba"], ["sample", "vae"], ["info", "vae-celeba"]):
        code, _, err = call(capsys, *words)
        assert code == 2
        assert (how in err, err.count("\n")) == (True, 1)
    assert call(capsys, "list")[0] == 0
    assert caplog.messages == [how]


# ------------------------------------------------------------------------------ one name, one model


def test_two_models_of_one_name_are_an_error_that_names_both(site, monkeypatch, capsys):
    mine = bring(site, "zoo-of-mine", "zoo_of_mine", "sample-a", "vae-mnist")
    yours = bring(site, "zoo-of-yours", "zoo_of_yours", "sample-a", "sample-b")
    both = rf"two models are called 'sample-a': zoo-of-mine \({mine}/sample-a\) and zoo-of-yours"
    with pytest.raises(Conflict, match=both):
        genzoo.load("sample-a")
    with pytest.raises(Conflict, match=r"'vae-mnist': genzoo-models \(.*\) and zoo-of-mine \("):
        genzoo.load("vae-mnist")
    assert genzoo.load("sample-b", device="cpu").origin.model == "sample-b"
    assert names.default("sample") == "sample-b"
    assert {state for state, _ in states().values()} == {"conflict"}
    out = call(capsys, "list")[1]
    assert "two models are called 'sample-a'" in out
    assert "sample-b" in out
    monkeypatch.setenv("GENZOO_STRICT_PLUGINS", "1")
    assert call(capsys, "list")[0] == 1
    monkeypatch.setenv("GENZOO_DISABLE_PLUGINS", "zoo-of-mine")
    assert call(capsys, "list")[0] == 0
    assert names.find("sample-a") == yours / "sample-a"
    assert names.find("vae-mnist").parent.name == "genzoo_models"


def test_a_folder_that_two_entry_points_name_is_one(site):
    folder = bring(site, "zoo-of-mine", "zoo_of_mine", "sample-a")
    enter(site, "again", "zoo_of_mine")
    assert names.find("sample-a") == folder / "sample-a"


def test_a_model_cannot_take_the_name_of_anothers_family(site):
    bring(site, "zoo-of-mine", "zoo_of_mine", "dcgan", "sample")
    with pytest.raises(Conflict, match=r"called 'dcgan': genzoo-dcgan and zoo-of-mine"):
        genzoo.load("dcgan")
    assert genzoo.load("sample", device="cpu").origin.model == "sample"


# ----------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    "value",
    ["nothing_like_this", "tempfile", "json.decoder", "zoo:cards", "..", "", "zoo_of_mine.x"],
)
def test_an_entry_point_that_names_no_package_is_said(site, value):
    (site / "zoo_of_mine").mkdir()
    enter(site, "broken", value)
    assert "vae-mnist" in genzoo.model_names()
    state, error = states()["broken"]
    assert state == "broken"
    assert "must name a package with model folders" in error


def test_a_package_without_models_is_said(site):
    bring(site, "broken", "zoo_of_mine")
    state, error = states()["broken"]
    assert (state, "no folder in" in error) == ("broken", True)


def test_a_broken_model_does_not_hide_the_others(site, capsys):
    folder = bring(site, "zoo-of-mine", "zoo_of_mine", "sample-a", "sample-b")
    (folder / "sample-a" / CONFIG).write_text('{"format": 9}')
    (folder / "sample-b" / "metrics.json").write_text("[]")
    assert names.default("vae") == "vae-mnist"
    assert "sample-a" not in installed.manifests()
    with pytest.raises(InvalidModel, match="upgrade genzoo"):
        genzoo.load("sample-a")
    assert states()["zoo-of-mine"][0] == "broken"
    code, out, _ = call(capsys, "list")
    wrong = [line for line in out.splitlines() if line.startswith("sample-")]
    assert (code, len(wrong)) == (0, 2)
    assert "upgrade genzoo" in wrong[0]
    assert "expected an object" in wrong[1]
    assert call(capsys, "reference", "mnist")[0] == 0


def test_an_unknown_name_is_no_path(site):
    bring(site, "zoo-of-mine", "zoo_of_mine", "sample-a")
    with pytest.raises(UnknownName, match="sample-a"):
        names.folder_of("sample-x")
    with pytest.raises((UnknownName, OperationFailed)):
        genzoo.load("zoo_of_mine/../sample-a/x")
