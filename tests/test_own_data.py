"""Data of one's own: a folder is found again by its hash, a card opens none, a path is published
nowhere.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo.cli import run as command
from genzoo.data import register
from genzoo.errors import BadInput, DataMissing
from genzoo.evaluation import verify
from genzoo.files import home
from genzoo.runs import launch
from genzoo.runs import plan as plans
from genzoo.zoo import manifest as manifests

VALUES = {"shape": [1, 16, 16], "width": 8, "latent_dim": 2, "batch_size": 4}
FEW = {"metrics": "sharpness", "n": 40, "device": "cpu"}
# What a card could name to make another machine read its own files.
FOREIGN = ["/", "~/photos", "../..", "./x", "//server/share", "C:\\x", "mnist,/", "/,/", "/@edges"]


def pictures(folder, seed=0, count=45):
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed).integers(0, 256, (count, 16, 16), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model, the folder that it was trained on, and what this machine then knows."""
    base = tmp_path_factory.mktemp("secret")
    photos = pictures(base / "private" / "faces")
    words = f"genzoo train vae --data {photos} --out={base}/mine --steps 2"
    settings = {"device": "cpu", "command": words, "values": VALUES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_HOME", str(base / "home"))
        folder = launch.start("vae", str(photos), base / "mine", steps=2, **settings).go()
    return folder, photos, base / "home" / "folders.json"


@pytest.fixture
def mine(trained, tmp_path, monkeypatch):
    """A copy of the model, in the current folder, on a machine that knows nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENZOO_DATA", raising=False)
    return shutil.copytree(trained[0], tmp_path / "mine")


@pytest.fixture
def known(mine, trained):
    """The same on the machine that trained it."""
    home().mkdir(parents=True)
    shutil.copy(trained[2], home())
    return mine


def spoilt(model, name, change):
    values = json.loads((model / name).read_text())
    change(values)
    (model / name).write_text(json.dumps(values))


@pytest.fixture
def walled(mine, monkeypatch):
    """Fails the test that lists a folder other than the model's, the package's and Python's."""
    inside, listing = (str(mine), str(Path(genzoo.__file__).parents[1]), sys.prefix), os.scandir

    def scandir(path="."):
        if not os.path.realpath(path).startswith(inside):
            pytest.fail(f"looked into {path}")
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)


# ------------------------------------------------------------------------------------ no path


def test_no_file_of_a_model_holds_a_path(known, trained):
    genzoo.evaluate("./mine", **FEW).write()
    parent = str(trained[1].parent)
    for path in known.rglob("*"):
        if path.is_file() and path.relative_to(known).parts[0] != "run":
            assert parent.encode() not in path.read_bytes(), path.name
    recipe = manifests.read_manifest(known).recipe
    assert recipe.command == "genzoo train vae --data ./faces --out=./mine --steps 2"
    assert manifests.read_manifest(known).data == "faces"
    assert parent in trained[2].read_text()


def test_no_picture_and_no_record_holds_a_path(known, trained, capsys):
    parent = str(trained[1].parent)
    assert command(["neighbours", "./mine", "-n", "2", "-k", "2", "-o", "near.png", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["data"] == "faces"
    with Image.open("near.png") as picture:
        assert "real images of faces" in picture.info["Comment"]
    result = genzoo.evaluate("./mine", **FEW)
    again = genzoo.evaluate("./mine", data=str(trained[1]), **FEW)
    assert json.dumps(result.record()) == json.dumps(again.record())
    assert parent not in json.dumps(result.record())
    (score,) = result.records()
    assert (score["name"], score["request"]["data"]) == ("sharpness-faces", "faces")
    assert score["request"]["data_sha256"] == score["protocol"]["data_sha256"]


@pytest.mark.parametrize(
    ("data", "label"),
    [
        ("/home/me/faces", "faces"),
        ("/home/me/a.zip", "a.zip"),
        ("/me/summer,~/winter", "summer,winter"),
        ("mnist,/me/winter", "mnist,winter"),
        ("/me/faces@edges", "faces@edges"),
        ("images:/me/faces", "images:faces"),
        ("images:here/faces", "images:faces"),
        ("/", "folder"),
        ("mnist:3", "mnist:3"),
        ("python:array", "array"),
    ],
)
def test_a_label_holds_no_path(data, label):
    assert register.label(data) == label


# ----------------------------------------------------------------------------- found by its hash


@pytest.mark.parametrize("what", ["evaluate", "neighbours", "recipe", "compare"])
def test_a_folder_is_found_by_its_hash(what, known, trained, caplog):
    if what == "evaluate":
        assert genzoo.evaluate("./mine", **FEW).data == "faces"
    elif what == "neighbours":
        assert genzoo.neighbours("./mine", n=2, k=2, device="cpu").dataset.name == "faces"
    elif what == "recipe":
        again = ["train", "--recipe", "./mine", "--out", "again", "--device", "cpu"]
        assert command(again) == 0
        one, other = (manifests.read_manifest(known.with_name(n)) for n in ("mine", "again"))
        assert one.weights_sha256 == other.weights_sha256
    else:
        model = genzoo.load("./mine", device="cpu")
        with torch.no_grad():
            next(model.parameters()).add_(0.01)
        other = shutil.copytree(known, "other")
        model.provenance = {}
        recipe = manifests.read_manifest(known).recipe
        genzoo.save(model, other, data="faces", recipe=recipe, force=True)
        result = genzoo.compare("./mine", "./other", metrics="sharpness", n=40, device="cpu")
        assert result.data == "faces"
        assert str(trained[1].parent) not in json.dumps(result.record(), default=str)
    assert "not the training data" not in caplog.text


def test_without_the_register_the_message_says_what_to_type(mine, capsys):
    for words in (
        ["evaluate", "./mine"],
        ["neighbours", "./mine"],
        ["outliers", "./mine", "--against", "digits"],
        ["train", "--recipe", "./mine", "--out", "again"],
    ):
        assert command(words) == 2
        error = capsys.readouterr().err
        assert "'faces'" in error
        assert "--data FOLDER" in error
        assert error.count("\n") == 1


def test_a_moved_folder_is_named_anew_and_then_known(known, trained, caplog):
    moved = shutil.copytree(trained[1], "elsewhere")
    (home() / "folders.json").unlink()
    with pytest.raises(BadInput, match="data=FOLDER"):
        genzoo.evaluate("./mine", **FEW)
    result = genzoo.evaluate("./mine", data=f"./{moved}", **FEW)
    assert result.data == "faces"
    assert "not the training data" not in caplog.text
    place = register.find(manifests.read_manifest(known).recipe.data_sha256)
    assert place.data == os.path.realpath(moved)
    assert genzoo.evaluate("./mine", **FEW).record() == result.record()


def test_other_data_are_obeyed_and_said_to_be_other(known, tmp_path, caplog):
    pictures(tmp_path / "others", seed=1)
    result = genzoo.evaluate("./mine", data="./others", **FEW)
    assert result.data == "others"
    expected = manifests.read_manifest(known).recipe.data_sha256[:12]
    assert f"others is not the training data of ./mine (expected sha256 {expected}" in caplog.text
    assert f"got {result.request['data_sha256'][:12]}" in caplog.text


def test_a_recipe_on_other_data_says_so(known, tmp_path, caplog):
    pictures(tmp_path / "others", seed=1)
    words = ["train", "--recipe", "./mine", "--data", "./others", "--out", "again"]
    assert command([*words, "--device", "cpu"]) == 0
    assert "other data (expected sha256" in caplog.text


def test_a_folder_that_has_changed_is_not_taken_for_the_training_data(mine, tmp_path, trained):
    here = shutil.copytree(trained[1], tmp_path / "faces")
    sha256 = manifests.read_manifest(mine).recipe.data_sha256
    register.remember(sha256, str(here), {"size": 16, "channels": 1})
    shutil.copy(here / "00.png", here / "01.png")
    with pytest.raises(BadInput, match=r"has changed since .*expected sha256 .*got .*data="):
        genzoo.evaluate("./mine", **FEW)


def test_a_named_set_stays_what_a_card_says(walled, monkeypatch):
    monkeypatch.setattr(register, "find", lambda sha256: None)
    assert genzoo.evaluate("vae-mnist", **FEW).data == "mnist"


# ------------------------------------------------------------------------------ what a card may


@pytest.mark.parametrize("data", FOREIGN)
def test_a_card_opens_no_folder(data, mine, walled, capsys):
    spoilt(mine, "config.json", lambda values: values.update(data=data))
    spoilt(mine, "config.json", lambda values: values["recipe"].update(threads=65536))
    (home() / "x").mkdir(parents=True)
    for words in (
        ["evaluate", "./mine"],
        ["neighbours", "./mine"],
        ["outliers", "./mine", "--against", "digits"],
        ["train", "--recipe", "./mine", "--out", "again"],
    ):
        assert command(words) == 2
    assert "--data FOLDER" in capsys.readouterr().err
    with pytest.raises(BadInput, match="unknown data"):
        genzoo.compare("./mine", "vae-mnist")
    with pytest.raises(DataMissing, match="data=FOLDER"):
        register.training_data("mine", data, None)


@pytest.mark.parametrize("data", [*FOREIGN, "images:/", "images:.", "faces"])
def test_a_cards_request_opens_no_folder(data, mine, walled):
    request = {"metrics": "sharpness", "data": data, "n": 20}
    score = {"name": "sharpness", "value": 1.0, "tolerance": 0.1, "protocol": {}}
    scores = [{**score, "goal": "near_one", "request": request}]
    spoilt(mine, "metrics.json", lambda values: values.update(scores=scores))
    check = [*verify.verify("./mine")][-1]
    assert check.state == "skipped"
    assert "data=FOLDER" in check.reason


def test_numbers_on_ones_own_folder_are_verified(known, trained, monkeypatch):
    genzoo.evaluate("./mine", **FEW).write()
    assert [*verify.verify("./mine")][-1].state == "ok"
    (home() / "folders.json").unlink()
    assert [*verify.verify("./mine")][-1].state == "skipped"
    assert [*verify.verify("./mine", data=str(trained[1]))][-1].state == "ok"


def test_a_recipe_decides_nothing_about_threads(known, monkeypatch, caplog):
    spoilt(known, "config.json", lambda values: values["recipe"].update(threads=65536))
    monkeypatch.setattr(torch, "set_num_threads", lambda n: pytest.fail(f"{n} threads"))
    words = ["train", "--recipe", "./mine", "--out", "again", "--device", "cpu"]
    assert command(words) == 0
    threads = torch.get_num_threads()
    assert f"{threads} threads in place of 65536 (--threads)" in caplog.text


def test_too_many_threads_are_refused(capsys, tmp_path):
    assert command(["train", "vae", "--threads", "65536", "--out", str(tmp_path / "x")]) == 2
    assert "65536 threads: expected 1 to" in capsys.readouterr().err


def test_a_plan_from_elsewhere_cannot_ask_for_too_many_threads(mine, trained):
    (mine / "README.md").unlink()
    path = mine / "run" / "plan.json"
    plans.write_plan(path, plans.read_plan(path).model_copy(update={"threads": 65536}))
    register.remember(plans.read_plan(path).data_sha256, str(trained[1]), {})
    with pytest.raises(BadInput, match="65536 threads: expected 1 to"):
        launch.resume(mine)


# ---------------------------------------------------------------------------------- the register


def test_the_register_is_bounded_and_its_newest_place_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(register, "MOST", 3)
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        register.remember("0" * 64, str(tmp_path / str(number)), {"size": 16})
    assert register.find("0" * 64).data == str(tmp_path / "4")
    (tmp_path / "4").rmdir()
    assert register.find("0" * 64).data == str(tmp_path / "3")
    assert len(json.loads((home() / "folders.json").read_text())["places"]) == 3
    register.remember("1" * 64, "mnist", {})
    assert register.find("1" * 64) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1, "places": [{"data": 3}]}', '{"places": null}', "\0"]
)
def test_a_damaged_register_is_written_anew(text, tmp_path, caplog):
    home().mkdir(parents=True)
    (home() / "folders.json").write_text(text)
    assert register.find("0" * 64) is None
    assert "folders.json" in caplog.text
    register.remember("0" * 64, str(tmp_path), {})
    assert register.find("0" * 64).data == str(tmp_path)


def test_a_register_that_cannot_be_written_is_said(tmp_path, caplog):
    home().write_text("a file")
    register.remember("0" * 64, str(tmp_path), {})
    assert "cannot note where" in caplog.text


def test_two_domains_of_which_one_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "c,d").mkdir()
    assert register.absolute("digits,./b") == f"digits,{tmp_path}/b"
    register.remember("0" * 64, register.absolute("digits,./b"), {})
    assert register.find("0" * 64).data == f"digits,{tmp_path}/b"
    both = register.absolute("./c,d")
    assert register.to_open(both) == tmp_path / "c,d"
    register.remember("1" * 64, both, {})
    assert register.find("1" * 64).data == f"{tmp_path}/c,d"
