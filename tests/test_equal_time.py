"""The table of all families for equal CPU minutes: its script runs, and its table says the runs."""

import argparse
import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

import genzoo
from genzoo import families, files

PATH = Path(__file__).parent / "benchmarks" / "equal_time.py"
spec = importlib.util.spec_from_file_location("equal_time", PATH)
equal_time = importlib.util.module_from_spec(spec)
spec.loader.exec_module(equal_time)


def result(family, seed, fd, **more):
    scores = {"fd": fd, "precision": fd and 0.5, "recall": fd and 0.25 * seed}
    sizes = {"parameters": 1000, "steps": 10, "training_seconds": 60.0, "sample_seconds": 0.002}
    return {"family": family, "seed": seed, "likelihood": None, **scores, **sizes, **more}


def test_the_table_is_the_mean_of_the_seeds_best_distance_first():
    nats = {"metric": "nll", "value": 90.0, "unit": "nats"}
    runs = [result("dcgan", 0, 30.0), result("dcgan", 1, 34.0)]
    runs += [result("made width=9", 0, 4.0, likelihood=nats), result("autoencoder", 0, None)]
    runs += [result("made width=8", 0, 5.0)]
    head, _, first, _, second, last = equal_time.rows(runs)
    assert {head.count("|"), first.count("|"), last.count("|")} == {11}
    assert first.startswith(
        "| `made` width=9 | explicit/tractable | 1,000 | 10 | 1.0 min | 2 ms | 4 | 0.5 |"
    )
    assert first.endswith("| 90 nats (nll) |")
    assert second.startswith("| `dcgan` | implicit/direct |")
    assert "| 32 ± 2.8 |" in second
    assert last.startswith("| `autoencoder` |")
    assert last.endswith("|  |  |  |  |")


def test_families_of_other_data_are_named_apart():
    fit, others = equal_time.suitable("images", labelled=False)
    assert "cyclegan" in others
    assert "dcgan" in fit
    assert {*fit, *others} == {plugin.name for plugin in families.plugins()}
    needs_labels = [name for name in others if families.get(name).data == "labelled"]
    assert not {*needs_labels} - {*equal_time.suitable("images", labelled=True)[0]}


def test_the_settings_of_a_page_are_those_of_its_first_training(tmp_path):
    command = "genzoo train {} --steps 9 --set units=9 --set lr=1e-3 --out x"
    lines = ["genzoo train gan --data mnist", command.format("gan --data digits@binary")]
    lines += [command.format("gan-of-others --data digits"), lines[1].replace("9", "7")]
    (tmp_path / "gan.md").write_text("\n".join(lines))
    assert equal_time.as_on_its_page("gan", tmp_path) == "gan units=9 lr=1e-3"
    assert equal_time.as_on_its_page("vae", tmp_path) == "vae"
    assert equal_time.as_on_its_page("gan", None) == "gan"
    pages = Path(__file__).parents[1] / "docs" / "families"
    fit, _ = equal_time.suitable("images", labelled=True)
    without = [name for name in fit if equal_time.as_on_its_page(name, pages) == name]
    assert without == ["vae"]  # its page says no setting


def stopped(*_):
    raise KeyboardInterrupt


def test_a_run_whose_time_is_not_known_is_done_again(monkeypatch, tmp_path):
    """It was stopped behind its last step, so that its last process did none."""
    seconds, done = iter([None, 2.0, 8.0]), []

    def train(entry, data, steps, seed, folder):
        done.append((folder.name, steps))
        folder.mkdir(exist_ok=True)
        files.write_json(folder / "config.json", {"recipe": {"steps": steps}})
        return next(seconds)

    (tmp_path / "made-0" / "run").mkdir(parents=True)
    monkeypatch.setattr(equal_time, "train", train)
    given = argparse.Namespace(data="digits", minutes=0.1, out=tmp_path)
    found = equal_time.trained("made", 0, given, tmp_path / "made-0")
    steps = round(6 / 2 * (equal_time.TRIAL - 1))
    assert done == [("made-0", 0), ("made_trial-0", equal_time.TRIAL), ("made-0", steps)]
    assert found == {"steps": steps, "training_seconds": 8.0}


def test_one_run_takes_the_minutes_that_it_is_given(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(equal_time, "TRIAL", 4)
    words = ["made units=16", "--data", "digits", "--minutes", "0.001", "--seeds", "1"]
    words += ["--n", "1280", "--features", "mnist", "--out", str(tmp_path)]
    measure = equal_time.measure
    monkeypatch.setattr(equal_time, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        equal_time.main([*words, "--one", "0"])
    monkeypatch.setattr(equal_time, "measure", measure)
    monkeypatch.setattr(equal_time, "train", stopped)  # not again
    equal_time.main([*words, "--one", "0"])
    found = json.loads((tmp_path / "made_units=16-0.json").read_text())
    assert found["likelihood"]["value"] > 0
    assert found["likelihood"]["unit"] == "nats an image, 2 levels"
    assert found["steps"] >= 3
    assert genzoo.load(tmp_path / "made_units=16-0").config.units == 16
    equal_time.main(words)  # nothing is run again
    assert "| `made` | explicit/tractable |" in capsys.readouterr().out
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.size == (150 + 12 * 30 + 2, 32)
