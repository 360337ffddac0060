"""What the disk alone shows to be wrong is refused before torch is imported."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from genzoo import families
from genzoo.cli import commands, early, run
from genzoo.families import facts, registry
from genzoo.metrics import metric_names
from genzoo.metrics import registry as metrics
from genzoo.metrics.sample_metrics import INCEPTION
from genzoo.zoo import installed, names

# Each is refused with code 2; the words are in the message.
LINES = {
    "sample no-such-model": "no model is called 'no-such-model'",
    "sample ./gone": "no folder gone",
    "train no-such-family": "no family is called 'no-such-family'",
    "train vae --data no-such-data": "no data set is called 'no-such-data'",
    "train vae --data ./gone": "no such folder or .zip: ./gone",
    "train vae --set widht=8": "did you mean width?",
    "train vae --set code=8": "is now called 'latent_dim'",
    "train vae --set truncation=1": "truncation is a setting of sampling",
    "train vae --out old": "old already contains config.json",
    "train --recipe no-such-model": "no model is called 'no-such-model'",
    "sample dcgan-mnist --set steps=8": "its settings are truncation",
    "sample dcgan-mnist -o photo.png": "photo.png exists",
    "sample vae-mnist": "vae-mnist.png exists",
    "sample vae-mnist --label 3": "vae-mnist has no classes",
    "sample cgan-mnist --label three": "did you mean 3?",
    "direction dcgan-celeba --of smile": "did you mean Smiling",
    "interpolate vae-mnist --sample 1,2": "vae-mnist-walk.gif exists",
    "train vae --steps 9": "vae-digits already contains config.json",
    "train vae --precision fp16": "--precision must be fp32, bf16, auto",
    "compare vae-mnist gan-mnist": "vae-mnist-vs-gan-mnist already contains compare.png",
    "compare vae dcgan": "vae-mnist-vs-dcgan-mnist already contains compare.png",
    "compare vae dcgan -o photo.png": "photo.png exists",
    "truncate vae-mnist": "vae-mnist-truncation.png exists",
    "direction vae-mnist --of 3": "vae-mnist-3.safetensors exists",
    "inpaint vae-mnist photo.png": "photo-filled.png exists",
    "translate cyclegan-hair photo.png": "photo-Blond_Hair.png exists",
    "plot run": "run.html exists",
    "plot run -o x.doc": "cannot write x.doc",
    # what is wrong with the line comes before a result that is there
    "sample vae-mnist --set lr=1": "a field of training",
    "direction vae-mnist --of 3 --toward 1": "a direction needs --of",
    "inpaint vae-mnist photo.png --mask halve": "expected centre",
    "truncate vae-mnist --values big": "truncations must be like",
    "arithmetic vae-mnist 1 plus 2": "got '1 plus 2'",
    "interpolate vae-mnist --sample one": "expected a list of samples",
    "steer vae-mnist photo.png --sample 1 --alphas big": "expected alphas",
    "traverse vae-mnist --sample one": "expected a list of samples",
    "attend sagan-cifar10 --at here": "ROW,COLUMN",
    "attend dcgan-celeba --at 1,1": "models that can: sagan-cifar10",
    "translate vae-mnist photo.png": "models that can: cyclegan-hair",
    "outliers gan-mnist --against digits": "has no likelihood",
    "inpaint dcgan-mnist gone.png": "cannot read gone.png",
    "features dcgan-mnist gone.png": "cannot read gone.png",
    "steer dcgan-celeba gone.safetensors --sample 3": "make one with genzoo direction",
    "compare vae-mnist": "two models or more",
    "compare vae-mnist no-such-model": "no model is called 'no-such-model'",
    "evaluate no-such-model": "no model is called 'no-such-model'",
    "neighbours no-such-model": "no model is called 'no-such-model'",
}
TAKEN = [f"vae-mnist{end}" for end in (".png", "-walk.gif", "-truncation.png", "-3.safetensors")]
TAKEN += ["vae-mnist-sum.png", "vae-mnist-traversal.png", "vae-mnist-steered.png", "run.html"]
TAKEN += ["photo-filled.png", "photo-Blond_Hair.png", "sagan-cifar10-attention.png"]
TAKEN += ["vae-digits/config.json", "run/run/plan.json"]
TAKEN += [f"vae-mnist-vs-{other}-mnist/compare.png" for other in ("gan", "dcgan")]
SCRIPT = """
import contextlib, io, json, sys
sys.modules["torch"] = None  # an import of it fails
from genzoo.cli import run
said = {}
for line in json.loads(sys.argv[1]):
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        said[line] = [run(line.split()), err.getvalue()]
print(json.dumps(said))
"""


def learn():
    """Note what all families have, as their first use does."""
    for name in families.names():
        families.facts_of(name)


def test_refusals_wait_for_no_torch(tmp_path):
    learn()
    folder = tmp_path / "here"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "config.json").write_text("{}")
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / "photo.png")
    for name in TAKEN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([*LINES])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {line: text for line, (code, text) in said.items() if code != 2} == {}
    assert {line: said[line] for line, words in LINES.items() if words not in said[line][1]} == {}


def test_commands_check_models():
    assert {*early.ABILITIES} <= {*early.MODELS} <= {*commands.COMMANDS}


def test_models_of_an_ability_are_the_same_by_name_and_by_class():
    import genzoo

    for ability in ("Latent", "Attentive", "Density", "Translator", "Completer", "Encoder"):
        assert names.able_by_name(ability) == names.able(getattr(genzoo, ability))


def test_metrics_have_the_names_that_the_shell_knows():
    assert (*metrics.BUILT_IN,) == metric_names.BUILT_IN
    assert (*INCEPTION.values(),) == metric_names.INCEPTION


# ----------------------------------------------------------------------------------------- notes


def notes():
    return {path.stem: path for path in (facts.home() / facts.FOLDER).glob("*.json")}


def test_a_family_is_noted_when_it_is_loaded(install, capsys):
    registry._load.cache_clear()
    assert families.known_facts() == {}
    family = families.get("vae")
    known = families.known_facts()["vae"]
    assert known.config == (*family.config.model_fields,)
    assert known.options == (*family.options.model_fields,)
    assert known.sampling == (*family.sampling.model_fields,)
    assert {"Latent", "Encoder", "Density"} <= {*known.abilities}
    assert run(["cache"]) == 0
    assert "notes  families" in capsys.readouterr().out
    assert run(["cache", "families", "--clean"]) == 0
    assert notes() == {}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"of": 1}', '{"config": ["a b"]}', "null", '{"config": 3}', "x" * 2_000_000],
)
def test_a_damaged_note_is_as_good_as_none(content):
    families.facts_of("vae")
    (path,) = notes().values()
    good = json.loads(path.read_text())
    if content.startswith('{"config"'):
        content = json.dumps({**good, **json.loads(content)})
    path.write_text(content)
    assert families.known_facts() == {}
    registry._load.cache_clear()
    assert families.facts_of("vae").config == tuple(good["config"])
    assert json.loads(path.read_text()) == good, "the next use notes it again"


def test_a_note_of_another_version_is_as_good_as_none(monkeypatch):
    families.facts_of("vae")
    assert {*families.known_facts()} == {"vae"}
    monkeypatch.setattr(facts, "VERSION", "9.9")
    assert families.known_facts() == {}


def test_a_cache_that_cannot_be_written_to_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "file"))
    registry._load.cache_clear()
    assert families.facts_of("vae").abilities
    assert families.known_facts() == {}


def test_of_models_that_are_not_installed_nothing_is_said(tmp_path, monkeypatch, capsys):
    """A model of a family that is missing is refused by the command itself."""
    card = installed.find("vae-mnist")
    (tmp_path / "strange").mkdir()
    text = (card / "config.json").read_text().replace('"family": "vae"', '"family": "strange"')
    (tmp_path / "strange" / "config.json").write_text(text)
    early.check("attend", {"name": str(tmp_path / "strange"), "settings": ["x=1"]})
