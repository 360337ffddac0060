"""Files of format 1 are read under today's names; what mixes formats, or is newer, is refused."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from genzoo import cli, families
from genzoo.editing.directions import read_direction
from genzoo.errors import BadInput, InvalidModel
from genzoo.families.family import Upgraded
from genzoo.runs.plan import read_plan
from genzoo.schemas import checked
from genzoo.training import make_player
from genzoo.zoo import card, migrate, names, provenance
from genzoo.zoo.folder import load_folder
from genzoo.zoo.manifest import CONFIG, read_manifest

GOLDEN = Path(__file__).parent / "golden"


def raw(path):
    return json.loads(path.read_text())


FOLDERS = [p for p in sorted((GOLDEN / "folders").iterdir()) if raw(p / CONFIG)["format"] == 1]


@pytest.fixture
def folder(tmp_path):
    """A folder of format 1, to change."""
    return Path(shutil.copytree(GOLDEN / "folders" / "dcgan", tmp_path / "dcgan"))


def edit(path, change):
    values = raw(path)
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: path.name)
def test_a_config_of_format_1_says_the_same_in_todays_names(path):
    old, new = raw(path / CONFIG), read_manifest(path)
    assert (old["format"], new.format) == (1, 2)
    assert new.license == old["licence"]
    assert new.version == 1
    same = ("name", "family", "revision", "plugin", "plugin_version", "data", "weights_sha256")
    assert {key: getattr(new, key) for key in same} == {key: old[key] for key in same}
    expected = {migrate.OPTIONS.get(k, k): v for k, v in old["recipe"]["options"].items()}
    if expected["optimizer"] == "rmsprop":
        expected["rms_decay"] = expected.pop("beta2")
    assert new.recipe.options == expected
    assert new.recipe.options.keys().isdisjoint(migrate.OPTIONS)
    family = families.get(new.family)
    config, options, _ = family.upgraded(new.revision, new.config, new.recipe.options)
    checked(family.config, config, "config")
    checked(family.options, options, "options")


OLD_RMSPROP = {"optimizer": "rmsprop", "beta1": 0.9, "beta2": 0.999, "momentum": 0.0}


@pytest.mark.parametrize("format_", [1, 2])
@pytest.mark.parametrize("beta2", [0.9, 0.999])
def test_rmsprops_old_decay_still_means_the_same_training(format_, beta2, tmp_path):
    """It was Adam's beta2; a resumed run and a repeated recipe go on with that value."""
    options = {**OLD_RMSPROP, "beta2": beta2}
    plan = raw(GOLDEN / "run/run/plan.json")
    plan = migrate.plan(plan, "x") if format_ == 2 else plan
    plan["options"] |= options
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    config = raw(GOLDEN / "folders/wgan" / CONFIG)
    config = migrate.manifest(config, "x") if format_ == 2 else config
    config["recipe"]["options"].pop("rms_decay", None)
    config["recipe"]["options"] |= options
    (tmp_path / CONFIG).write_text(json.dumps(config))
    for family, found in (
        ("dcgan", read_plan(tmp_path / "plan.json").options),
        ("wgan", read_manifest(tmp_path).recipe.options),
    ):
        options = checked(families.get(family).options, found, "options")
        player = make_player(torch.nn.Linear(1, 1), options)
        assert player.optimizer.defaults["alpha"] == options.rms_decay == beta2
        assert "beta2" not in found, "nothing reads it: a recipe would be warned of"


def test_a_decay_of_today_stays():
    options = {"optimizer": "rmsprop", "beta2": 0.5, "rms_decay": 0.9}
    found = migrate.plan({"format": 2, "options": options}, "x")
    assert found["options"] == options
    assert migrate.plan({"format": 2, "options": {"optimizer": "adam", "beta2": 0.5}}, "x") == {
        "format": 2,
        "options": {"optimizer": "adam", "beta2": 0.5},
    }


def test_only_older_revisions_are_upgraded():
    """An upgrade may do more than rename: today's fields must not go through it again."""

    def upgrade(revision, config, options, tensors):
        return Upgraded({"from": revision}, options)

    family = dataclasses.replace(families.get("vae"), revision=3, upgrade=upgrade)
    configs = [family.upgraded(revision, {}, {}).config for revision in (1, 2, 3)]
    assert configs == [{"from": 1}, {"from": 2}, {}]


def test_an_old_and_a_new_name_together_are_refused(folder):
    edit(folder / CONFIG, lambda c: c.update(license="mit"))
    with pytest.raises(InvalidModel, match="licence"):
        read_manifest(folder)


def test_a_familys_old_and_new_name_together_are_refused(folder):
    edit(folder / CONFIG, lambda c: c["config"].update(latent_dim=4))
    with pytest.raises(InvalidModel, match="code"):
        load_folder(folder, "cpu")


def test_an_old_name_in_format_2_is_refused(folder):
    edit(folder / CONFIG, lambda c: c.update(format=2))
    with pytest.raises(InvalidModel, match="licence"):
        read_manifest(folder)


@pytest.mark.parametrize("number", [3, 0, True, 1.0, 2.0, "2", None])
def test_other_formats_are_refused(number, folder, tmp_path):
    hint = ": upgrade genzoo" if number == 3 else ""  # only a newer genzoo could read it
    upgrade = f"got {json.dumps(number)}{hint}$"
    edit(folder / CONFIG, lambda c: c.update(format=number))
    with pytest.raises(InvalidModel, match=upgrade):
        read_manifest(folder)
    edit(folder / "metrics.json", lambda m: m.update(format=number))
    with pytest.raises(InvalidModel, match=upgrade):
        card.read_metrics(folder)
    plan = raw(GOLDEN / "run/run/plan.json") | {"format": number}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(BadInput, match=upgrade):
        read_plan(tmp_path / "plan.json")
    with pytest.raises(BadInput, match=upgrade):
        migrate.direction({"format": number}, "x")


def test_a_plan_of_format_1_says_the_same_in_todays_names():
    old, new = raw(GOLDEN / "run/run/plan.json"), read_plan(GOLDEN / "run/run/plan.json")
    assert new.format == 2
    assert new.license == old["licence"]
    assert new.config["latent_dim"] == old["config"]["code"]
    assert new.options["ema_decay"] == old["options"]["average"]
    assert (new.seed, new.steps, new.data_sha256) == (old["seed"], old["steps"], old["data_sha256"])


@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: path.name)
def test_metrics_of_format_1_keep_their_fingerprint_and_speed(path):
    old, new = raw(path / "metrics.json"), card.read_metrics(path)
    assert "format" not in old
    assert new == {**old, "format": 2}


def test_a_direction_of_format_1_says_the_same_in_todays_names(tmp_path):
    path = GOLDEN / "files" / "direction-of-class.safetensors"
    with safe_open(path, "pt") as file:
        old = json.loads(file.metadata()["made"])
        vector = file.get_tensor("direction")
    new = read_direction(path)
    assert new.vector.equal(vector)
    values = new.info.model_dump(mode="json")
    assert values == {
        "format": 2,
        **{migrate.DIRECTION.get(key, key): value for key, value in old.items()},
        "origin": {**old["origin"], "version": 1},
    }
    assert read_direction(GOLDEN / "files" / "direction.safetensors").info.source == "seeds"
    mixed = {"made": json.dumps({**old, "attribute": "4"})}
    save_file({"direction": vector}, tmp_path / "x.safetensors", mixed)
    kept = read_direction(tmp_path / "x.safetensors").info.attribute
    assert kept == "4", "of two names today's is read"


@pytest.mark.parametrize("path", sorted((GOLDEN / "files").glob("*.png")), ids=lambda p: p.stem)
def test_a_pictures_record_of_format_1_is_read(path):
    """Its keys are today's."""
    old, new = json.loads(Image.open(path).text["genzoo"]), provenance.inspect(path).record
    assert new.origin.model_dump() == {**old["origin"], "version": 1}
    assert new.call.method == old["call"]["method"]
    assert [list(seed) for seed in new.seeds] == old["seeds"]
    assert new.labels == (tuple(old["labels"]) if old["labels"] else None)


# --------------------------------------------------------------------------------------- the cards


@pytest.mark.parametrize("name", names.model_names())
def test_the_cards_are_of_todays_format(name):
    path = names.folder_of(name) / CONFIG
    # Without what a later genzoo added, which has a default.
    manifest = read_manifest(path.parent)
    assert raw(path) == manifest.model_dump(mode="json", exclude_unset=True)
    assert raw(path.with_name("metrics.json"))["format"] == migrate.FORMAT


# ------------------------------------------------------------------------- a whole folder at once


def formats(folder):
    names = [name for name in (CONFIG, "metrics.json") if (folder / name).exists()]
    return {raw(folder / name).get("format", 1) for name in names}


def test_a_score_written_into_a_folder_of_format_1_leaves_no_mixed_one(folder, caplog):
    weights, manifest = (folder / "model.safetensors").read_bytes(), read_manifest(folder)
    before = card.read_metrics(folder)
    card.add_scores(folder, [{"name": "kd", "value": 1.0, "protocol": {"n": 9}}])
    assert formats(folder) == {2}
    assert "genzoo 0.1 reads it no longer" in caplog.text
    assert read_manifest(folder) == manifest
    assert card.read_metrics(folder)["fingerprint"] == before["fingerprint"]
    assert (folder / "model.safetensors").read_bytes() == weights
    load_folder(folder, "cpu")


@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: path.name)
def test_upgrade_brings_all_files_to_todays_format(path, tmp_path, capsys):
    copy = Path(shutil.copytree(path, tmp_path / path.name))
    before = (read_manifest(copy), card.read_metrics(copy))
    assert cli.run(["upgrade", str(copy)]) == 0
    assert "brought to today's format" in capsys.readouterr().out
    assert formats(copy) == {2}
    assert (read_manifest(copy), card.read_metrics(copy)) == before
    files = {p: p.read_bytes() for p in copy.iterdir()}
    assert cli.run(["upgrade", str(copy)]) == 0
    assert "is of today's format" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in copy.iterdir()} == files


def test_upgrade_of_what_is_no_model_is_one_line(tmp_path, capsys):
    assert cli.run(["upgrade", str(tmp_path / "nothing")]) == 2
    assert cli.run(["upgrade", str(tmp_path)]) == 4
    assert capsys.readouterr().err.count("\n") == 2


def test_a_readme_that_somebody_wrote_keeps_its_text(folder):
    score = {"name": "kd", "value": 1.0, "protocol": {"n": 9}}
    card.add_scores(folder, [score])
    text = (folder / "README.md").read_text()
    own = text.replace("## Scores", "My own words.\n\n## Scores") + "\n## Thanks\n\nTo you.\n"
    (folder / "README.md").write_text(own)
    card.add_scores(folder, [{**score, "name": "fd"}])
    now = (folder / "README.md").read_text()
    assert "My own words.\n" in now
    assert now.endswith("\n## Thanks\n\nTo you.\n")
    assert "| fd | 1 | n 9 |" in now
    assert "fd" in now.partition("\n---\n")[0]
