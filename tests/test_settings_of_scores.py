"""Scores with settings of sampling: beside the protocol, on cards, in tables, measured again."""

import json
from pathlib import Path

import pytest
import torch

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.errors import BadInput
from genzoo.evaluation.verify import verify
from genzoo.metrics import ModelSubject
from genzoo.zoo import card, migrate
from genzoo.zoo import folder as folders

HALF = {"truncation": 0.5}


def tiny(seed=0, family="vae", **config):
    """A model of images 28x28 that has learned nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = families.get(family)
        return parts.model(parts.config(shape=(1, 28, 28), width=8, **config))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two models, a and b."""
    for seed, name in enumerate("ab"):
        folders.save(tiny(seed), tmp_path / name, data="digits")
        card.write_metrics(tmp_path / name, {"scores": []})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def measured(model="./a", metrics="sharpness", n=290, **arguments):
    return genzoo.evaluate(model, metrics=metrics, n=n, device="cpu", **arguments)


def call(capsys, *words):
    code = run([*map(str, words)])
    return code, *capsys.readouterr()


def test_a_score_stores_the_settings_that_differ_from_the_defaults(here):
    (plain,), (half,) = measured().scores, measured(sampling=HALF).scores
    assert (plain.sampling, half.sampling) == ({}, HALF)
    assert plain.protocol == half.protocol
    assert plain.value != half.value
    assert "sampling" not in plain.record()
    assert half.record()["sampling"] == HALF
    assert measured(sampling={"truncation": None}).scores[0].sampling == {}
    samples = genzoo.load("./a", device="cpu").sample(290, truncation=0.5, batch_size=250)
    drawn = torch.cat([*ModelSubject("a", tiny(), None, HALF).stream(290, 0)])
    assert torch.equal(drawn, samples.tensor.clamp(0, 1).mul(255).round().div(255))


def test_only_a_metric_that_samples_has_them(here):
    scores = {s.metric: s.sampling for s in measured(metrics="parzen,elbo", sampling=HALF).scores}
    assert scores == {"parzen-digits": HALF, "elbo-digits": {}}


@pytest.mark.parametrize(
    ("sampling", "says"),
    [
        ({"steps": 3}, "no setting of sampling called 'steps': its settings are .*truncation"),
        ({"truncation": 0}, "truncation must be at least 0.02, got 0"),
        ({"truncation": "a"}, "truncation"),
    ],
)
def test_a_setting_that_the_model_does_not_have_is_refused(sampling, says, here):
    with pytest.raises(BadInput, match=says):
        measured(sampling=sampling)
    with pytest.raises(BadInput, match="takes no settings of sampling"):
        genzoo.evaluate("images:.", data="digits", sampling=sampling)


def test_a_card_has_a_score_for_each_settings(here, capsys):
    measured().write()
    assert call(capsys, "evaluate", "./a", "--metrics", "sharpness", "-n", 290, "--set",
                "truncation=0.5", "--write")[0] == 0  # fmt: skip
    scores = card.read_metrics(Path("a"))["scores"]
    assert [s.get("sampling") for s in scores] == [HALF, None]
    assert scores[0]["request"]["sampling"] == HALF
    assert "sharpness-digits, truncation 0.5 |" in Path("a/README.md").read_text()
    assert card.card(Path("a")).score.startswith("sharpness-digits ")
    assert "sharpness-digits, truncation 0.5" in call(capsys, "info", "./a")[1]
    measured(sampling=HALF).write()
    assert len(card.read_metrics(Path("a"))["scores"]) == 2


def test_verify_measures_with_the_same_settings(here):
    measured(sampling=HALF).write()
    (found,) = [c for c in verify("./a") if c.name != "fingerprint"]
    assert (found.name, found.state) == ("sharpness-digits, truncation 0.5", "ok")
    metrics = card.read_metrics(Path("a"))
    del metrics["scores"][0]["request"]["sampling"]
    card.write_metrics(Path("a"), metrics)
    (found,) = [c for c in verify("./a") if c.name != "fingerprint"]
    assert (found.state, found.reason) == ("differs", "its request samples with the defaults")


def test_models_with_settings_are_ranked(here):
    found = genzoo.compare(
        "./a", "./b", metrics="sharpness", n=290, device="cpu", sampling={"./b": HALF}
    )
    assert [entry.sampling for entry in found.entries] == [{}, HALF]
    assert "not ranked" not in found.verdicts["sharpness-digits"]
    one, other = found.scores["sharpness-digits"]
    assert (one.sampling, other.sampling) == ({}, HALF)
    assert other.value == measured("./b", sampling=HALF).scores[0].value
    assert torch.equal(
        found.entries[1].samples.tensor,
        genzoo.load("./b", device="cpu").sample(16, truncation=0.5).tensor,
    )
    (line,) = [line for line in str(found).splitlines() if line.startswith("sampling")]
    assert line.split() == ["sampling", "defaults", "truncation", "0.5"]
    assert found.record()["models"][1]["sampling"] == HALF


def test_a_model_is_called_by_the_name_that_the_table_shows(here, capsys):
    line = ["compare", "./a", "./b", "--metrics", "sharpness", "-n", 290, "--json"]
    code, out, err = call(capsys, *line, "--set", "b:truncation=0.5", "-o", "found")
    assert code == 0, err
    models = json.loads(out)["models"]
    assert [(m["name"], m["sampling"]) for m in models] == [("a", {}), ("b", HALF)]


def test_a_setting_without_a_model_is_for_all_that_have_it(here, capsys):
    folders.save(tiny(family="pixelcnn", layers=1), here / "pixels", data="digits")
    line = ["compare", "./a", "./pixels", "--metrics", "sharpness", "-n", 290]
    code, out, err = call(capsys, *line, "--set", "truncation=0.5", "-o", "found", "--json")
    assert code == 0, err
    assert [model["sampling"] for model in json.loads(out)["models"]] == [HALF, {}]
    for setting, says in [
        ("./a:steps=3", "no setting of sampling called 'steps'"),
        (
            "./c:truncation=1",
            "settings for ./c, which is not compared: the models are ./a",
        ),
        ("steps=3", "none of the models has a setting of sampling called 'steps'"),
        ("truncation", "--set expects NAME=VALUE"),
    ]:
        code, out, err = call(capsys, *line, "--set", setting, "-o", "other")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert says in err
    assert not Path("other").exists()


@pytest.mark.parametrize("number", [{}, {"format": 2}])
def test_an_older_card_had_truncation_in_its_protocol(number):
    old = {"name": "fd-digits", "value": 1.0, "protocol": {"n": 3, "truncation": 0.5}}
    other = {"name": "kd-digits", "value": 1.0, "protocol": {"n": 3}}
    asked = {**old, "request": {"metrics": "fd-digits"}}
    new = migrate.metrics({**number, "scores": [old, other, asked, 3]}, "x")
    assert new["scores"][0] == {**old, "protocol": {"n": 3}, "sampling": HALF}
    assert new["scores"][1] == other
    assert new["scores"][2]["request"] == {"metrics": "fd-digits", "sampling": HALF}
    assert new["scores"][3] == 3
