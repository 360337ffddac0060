"""How a model's data were opened stands on its card: a folder with a new name, or on another
machine, is opened so too.
"""

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genzoo
from genzoo.cli import run as command
from genzoo.data import register
from genzoo.editing import directions
from genzoo.errors import BadInput, InvalidModel
from genzoo.evaluation import verify
from genzoo.files import home
from genzoo.runs import launch
from genzoo.zoo import manifest as manifests
from genzoo.zoo import names

IMAGES = {"width": 8, "latent_dim": 2, "batch_size": 4, "size": "16x12"}
FORMS = {
    "fit": {**IMAGES, "fit": "pad"},
    "levels": {**IMAGES, "levels": "0:4095"},
    "both": {**IMAGES, "fit": "pad", "levels": "-10:5000"},
}
FEW = {"metrics": "sharpness", "n": 40, "device": "cpu"}


def pictures(folder):
    """Images of 12 bits, narrower than 4 x 3."""
    folder.mkdir(parents=True)
    values = np.random.default_rng(0).integers(100, 3000, (40, 12, 12), dtype=np.uint16)
    for number, pixels in enumerate(values):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def sounds(folder):
    folder.mkdir(parents=True)
    values = np.random.default_rng(0).integers(-(2**14), 2**14, (30, 400), dtype=np.int16)
    for number, samples in enumerate(values):
        with wave.open(str(folder / f"{number:02}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    return folder


def train(base, values, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_HOME", str(base / "home"))
        settings = {"device": "cpu", "values": values}
        return launch.start("vae", str(data), base / "run", steps=2, **settings).go()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Models by the form of their data."""
    base = tmp_path_factory.mktemp("trained")
    data = pictures(base / "faces")
    return {name: train(base / name, values, data) for name, values in FORMS.items()}, data


@pytest.fixture
def elsewhere(trained, tmp_path, monkeypatch):
    """On a machine that knows nothing: the models, and their data as ./moved."""
    monkeypatch.chdir(tmp_path)
    for name, folder in trained[0].items():
        shutil.copytree(folder, name)
    shutil.copytree(trained[1], "moved")
    return tmp_path


def sha256_of(name):
    return manifests.read_manifest(Path(name)).recipe.data_sha256


@pytest.mark.parametrize("name", FORMS)
def test_a_card_says_how_its_data_were_opened(name, trained):
    form = {k: v for k, v in FORMS[name].items() if k in ("fit", "levels")}
    folder = trained[0][name]
    assert json.loads((folder / "config.json").read_text())["recipe"]["form"] == form
    assert all(
        f"{key} {value}" in (folder / "README.md").read_text() for key, value in form.items()
    )


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("option", ["--recipe", "--from"])
def test_a_new_training_opens_the_moved_data_as_then(name, option, elsewhere, caplog):
    words = ["--data", "./moved", "--device", "cpu", "--out", "again", "--set", "batch_size=4"]
    steps = ["--steps", "2"] if option == "--from" else []
    assert command(["train", option, f"./{name}", *words, *steps]) == 0
    one, again = (manifests.read_manifest(Path(n)) for n in (name, "again"))
    assert again.recipe.data_sha256 == one.recipe.data_sha256
    assert again.recipe.form == one.recipe.form
    assert "other data" not in caplog.text
    if option == "--recipe":
        assert again.weights_sha256 == one.weights_sha256


def test_options_replace_what_a_card_says(elsewhere, caplog):
    words = ["--data", "./moved", "--device", "cpu", "--out", "again", "--set", "fit=crop"]
    assert command(["train", "--recipe", "./both", *words]) == 0
    assert "fit=crop in place of pad" in caplog.text
    form = manifests.read_manifest(Path("again")).recipe.form.values
    assert form == {"fit": "crop", "levels": "-10:5000"}
    caplog.clear()
    result = genzoo.evaluate("./both", data="./moved", fit="crop", levels="0:4095", **FEW)
    for text in ("fit=crop in place of pad", "levels=0:4095 in place of -10:5000"):
        assert text in caplog.text
    assert result.request["fit"] == "crop"


@pytest.mark.parametrize("name", FORMS)
def test_a_score_is_measured_on_the_moved_data_as_then(name, elsewhere, caplog):
    result = genzoo.evaluate(f"./{name}", data="./moved", **FEW)
    assert result.request["data_sha256"] == sha256_of(name)
    result.write()
    assert [*verify.verify(f"./{name}")][-1].state == "ok"
    (home() / "folders.json").unlink()
    assert [*verify.verify(f"./{name}", data="./moved")][-1].state == "ok"
    assert "not the training data" not in caplog.text


@pytest.mark.parametrize("name", FORMS)
def test_neighbours_outliers_and_compare_open_the_moved_data_as_then(name, elsewhere, caplog):
    others = np.random.default_rng(1).integers(0, 256, (20, 12, 16), dtype=np.uint8)
    for number, pixels in enumerate(others):
        path = Path(f"others/{'test' if number % 2 else 'train'}/{number:02}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    for words in (
        ["neighbours", f"./{name}", "-n", "2", "-k", "2", "-o", "near.png", "--force"],
        ["outliers", f"./{name}", "--against", "./others", "-n", "4", "--size", "16x12"],
        ["compare", f"./{name}", "./other", "-n", "40", "--metrics", "sharpness", "-o", "vs"],
    ):
        if words[0] == "compare":
            other = genzoo.load(f"./{name}", device="cpu")
            next(other.parameters()).data.add_(0.01)
            genzoo.save(other, "other", force=True)
        assert command([*words, "--data", "./moved", "--device", "cpu"]) == 0
        (home() / "folders.json").unlink()
    near = genzoo.neighbours(f"./{name}", data="./moved", n=2, k=2, device="cpu")
    assert near.dataset.sha256 == sha256_of(name)
    assert "not the training data" not in caplog.text


@pytest.mark.parametrize("name", FORMS)
def test_a_direction_encodes_its_data_as_for_the_training(name, elsewhere, monkeypatch):
    def halves(images, attribute):
        opened.append(images.sha256)
        return np.arange(len(images)) % 2 == 0

    opened, told = [], {"encode": True, "device": "cpu"}
    monkeypatch.setattr(directions.sets, "having", halves)
    genzoo.direction(f"./{name}", "any", data="./moved", **told)
    form = {k: v for k, v in FORMS[name].items() if k in ("size", "fit", "levels")}
    register.remember(sha256_of(name), str(elsewhere / "moved"), form)
    genzoo.direction(f"./{name}", "any", **told)
    assert opened == [sha256_of(name)] * 2
    shutil.copy("moved/00.png", "moved/01.png")
    with pytest.raises(BadInput, match=r"moved has changed since run .*expected .*got .*data="):
        genzoo.direction(f"./{name}", "any", **told)


def test_what_a_model_is_compared_with_can_be_opened_otherwise(elsewhere, caplog, capsys):
    words = ["--data", "./moved", "--fit", "crop", "--levels", "0:4095", "--json"]
    one = ["neighbours", "./both", "-n", "2", "-k", "2", "-o", "near.png", *words]
    assert command(one) == 0
    got = json.loads(capsys.readouterr().out)["data_sha256"]
    with_levels = {"size": "16x12", "fit": "crop", "levels": "0:4095"}
    assert got == genzoo.data.open("./moved", **with_levels).sha256
    assert "fit=crop in place of pad" in caplog.text


def test_the_rate_of_sounds_is_part_of_the_form(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    values = {"width": 8, "latent_dim": 2, "batch_size": 4, "length": 64, "rate": 4000}
    folder = train(tmp_path, values, sounds(tmp_path / "birds"))
    (tmp_path / "birds").rename("moved")
    words = ["train", "--recipe", f"{folder}", "--data", "./moved", "--out", "again"]
    assert command([*words, "--device", "cpu"]) == 0
    assert sha256_of("again") == sha256_of(folder)
    resumed = ["train", "--resume", "--out", str(folder), "--data", "./moved", "--steps", "3"]
    assert command(resumed) == 0
    assert "other data" not in caplog.text


@pytest.mark.parametrize(
    "form",
    [
        {"fit": "../x"},
        {"fit": 3},
        {"levels": "0:4095:1"},
        {"levels": "5:1"},
        {"levels": "0:" + "9" * 300},
        {"size": "64x48x3"},
        {"size": 10**9},
        {"size": True},
        {"channels": 2},
        {"rate": -1},
        {"length": 10**12},
        {"root": "/"},
        {"data": "/"},
        [],
    ],
)
def test_a_strangers_form_decides_how_data_are_opened_and_no_more(form, elsewhere):
    path = Path("both/config.json")
    values = json.loads(path.read_text())
    values["recipe"]["form"] = form
    path.write_text(json.dumps(values))
    with pytest.raises(InvalidModel, match=r"config\.json: .*recipe\.form"):
        manifests.read_manifest(Path("both"))


def test_a_card_without_a_form_keeps_its_bytes(elsewhere):
    manifest = manifests.read_manifest(names.folder_of("vae-mnist"))
    assert b'"form"' not in manifests.manifest_bytes(manifest)


def test_models_whose_data_were_opened_in_two_ways_are_said_to_be(elsewhere, caplog):
    genzoo.compare("./fit", "./levels", data="./moved", metrics="sharpness", n=40, device="cpu")
    assert "opened otherwise than for levels: fit=pad in place of crop" in caplog.text
    assert "levels=the set's own in place of 0:4095" in caplog.text
