"""A plugin of API 2 works under every later core: it loads, trains, saves, samples, is measured.

The plugin in tests/api2 is frozen. If a test here fails, change the core, not the plugin.
"""

import hashlib
import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.families import registry
from genzoo.testing import status
from genzoo.zoo import card, read_metrics
from genzoo.zoo.manifest import CONFIG

HERE = Path(__file__).parent / "api2"
TENSORS = ("discriminator.safetensors", "model.safetensors")
FILES = ["genzoo_api2.py", *(f"model/{n}" for n in ("config.json", "metrics.json", *TENSORS))]
SHA256 = "e8d4f5208b72759968e9b310eaef224aa17a405b3a605bc3f6e2bb0326c9a050"
ENTRIES = {
    "genzoo.families": ("api2-game", "api2-solo"),
    "genzoo.metrics": ("api2-brightness", "api2-reconstruction"),
    "genzoo.datasets": ("api2-stripes",),
}
# A later core may have another name for something that it still takes.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """The plugin as pip leaves it; tests run in an empty folder."""
    site, here = tmp_path / "site-packages", tmp_path / "here"
    info = site / "genzoo_api2-1.0.dist-info"
    info.mkdir(parents=True)
    here.mkdir()
    shutil.copy(HERE / "genzoo_api2.py", site)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: genzoo-api2\nVersion: 1.0\nSummary: frozen\n"
        "Keywords: api2-game:implicit/direct:2014, api2-solo:explicit/approximate:2014\n"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{name} = genzoo_api2\n" for name in names)
        for group, names in ENTRIES.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(here)
    importlib.invalidate_caches()
    registry._load.cache_clear()
    yield
    registry._load.cache_clear()
    sys.modules.pop("genzoo_api2", None)


def call(capsys, line):
    code = run(line.split())
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def train(capsys, family, **settings):
    sets = "".join(f" --set {key}={value}" for key, value in settings.items())
    call(capsys, f"train {family} --data api2-stripes --steps 2 --out m --device cpu{sets}")
    return genzoo.load("./m", device="cpu")


def test_it_is_frozen():
    digest = hashlib.sha256()
    for path in (HERE / name for name in FILES):
        digest.update(path.read_bytes())
    assert digest.hexdigest() == SHA256


def test_it_loads():
    states = {p.name: (p.state, p.error) for p in status.inspect() if p.package == "genzoo-api2"}
    assert states == {name: ("ok", "") for names in ENTRIES.values() for name in names}


def test_the_core_trains_the_game(capsys):
    model = train(capsys, "api2-game", width=6, top_k=0.5, label_noise=0.1)
    assert model.num_classes == 2
    samples = model.sample(6, truncation=0.5, contrast=0.25, labels="down")
    assert samples.labels.tolist() == [1] * 6
    assert not torch.equal(samples.tensor, model.sample(6, labels="down").tensor)
    assert samples.call["sampling"] == {"truncation": 0.5, "temperature": None, "contrast": 0.25}
    codes = model.codes(5)
    assert codes[:, 3:7].sum(1).tolist() == [1] * 5
    assert codes[:, 7:].abs().max() <= 1
    labels = model.sample(5).labels
    assert torch.allclose(model.decode_codes(codes, labels=labels).tensor, model.sample(5).tensor)
    samples.save("x.png")
    assert genzoo.reproduce("x.png", "./m", device="cpu").state == "equal"
    walk = genzoo.editing.interpolate(model, [0, 1], steps=3, label="across")
    assert len(walk) == 4
    assert Path("m/discriminator.safetensors").exists()


def test_its_own_trainer_runs_in_two_phases(capsys):
    model = train(capsys, "api2-solo", penalty_weight=5)
    assert model.seen.item() == 200, "finish has run"
    x = model.sample(5)
    assert model.encode(x).shape == (5, 4)
    assert model.log_prob(x).shape == (5,)
    lines = [json.loads(line) for line in Path("m/run/log.jsonl").read_text().splitlines()]
    assert not [line for line in lines if "finding" in line]
    call(capsys, "train --resume --out m")


def test_its_metrics_measure_its_models_on_its_data(capsys):
    train(capsys, "api2-solo")
    out = call(capsys, "evaluate ./m --metrics api2-brightness,api2-reconstruction -n 50 "
               "--set truncation=0.5 --write --json")  # fmt: skip
    scores = json.loads(out)["scores"]
    assert [s["name"] for s in scores] == [
        "api2-brightness-api2-stripes",
        "api2-reconstruction-api2-stripes",
    ]
    assert [s["sampling"] for s in scores] == [{"truncation": 0.5}] * 2
    assert len(read_metrics(Path("m"))["scores"]) == 2
    checks = {c.name: c.state for c in genzoo.verify("./m")}
    assert [*checks.values()] == ["ok"] * 3


def test_a_model_of_that_time_loads():
    """Its weights, and samples of seed 0 by the fingerprint on its card."""
    model = genzoo.load(HERE / "model", genzoo.Latent, device="cpu")
    fingerprint = read_metrics(HERE / "model")["fingerprint"]
    assert card.distance(model, fingerprint)[0] <= 1
    assert model.class_names == ("across", "down")


def test_an_older_revision_is_upgraded(tmp_path, capsys):
    model = train(capsys, "api2-solo")
    path = Path("m") / CONFIG
    values = json.loads(path.read_text())
    values["revision"], values["config"]["code"] = 1, values["config"].pop("latent_dim")
    path.write_text(json.dumps(values))
    assert torch.equal(genzoo.load("./m", device="cpu").sample(2).tensor, model.sample(2).tensor)


def test_its_metadata_stand_in_the_tree():
    places = {p.name: (p.branch, p.year) for p in families.plugins() if p.package == "genzoo-api2"}
    assert places == {
        "api2-game": ("implicit/direct", "2014"),
        "api2-solo": ("explicit/approximate", "2014"),
    }
