"""The command of all benchmarks reads what they print."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

import genzoo


def module(name):
    path = Path(__file__).parent / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


benchmarks = module("all")

PRINTED = """\
gan, batch 100, a step against a plain loop, fused Adam: x1.02 [0.98, 1.10]  (ours 50.1 ms)
batch 1: 8.35 [7.84, 11.30] forward passes, naive 784
features, largest difference of the same pixels, relative to the largest: 4.0e-07
ratio 32.1 [31.0, 40.2], 7 rounds
gan, 28 px, batch 1, beyond the decode: 1,250 us [1,100, 1,400]
a folder: 8.80 ms an image, plain 2.60; ratio 0.30 [0.28, 0.33]
2 busy: pixelcnn: one sample: x1.02 (worst 1.30)
"""


def test_each_ratio_is_read_with_its_range():
    assert [*benchmarks.results(PRINTED)] == [
        ("gan, batch 100, a step against a plain loop, fused Adam", "1.02", "0.98", "1.10"),
        ("batch 1", "8.35", "7.84", "11.30"),
        ("ratio", "32.1", "31.0", "40.2"),
        ("gan, 28 px, batch 1, beyond the decode", "1250", "1100", "1400"),
        ("a folder", "0.30", "0.28", "0.33"),
        ("2 busy: pixelcnn: one sample", "1.02", "", "1.30"),
    ]


def test_the_history_gets_a_line_for_each(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks, "run", lambda name, rounds: PRINTED)
    for _ in range(2):
        benchmarks.main(["step", "--history", str(tmp_path / "history.tsv")])
    head, *lines = (tmp_path / "history.tsv").read_text().splitlines()
    assert len(lines) == 12
    assert {line.count("\t") for line in [head, *lines]} == {len(benchmarks.HEAD) - 1}
    assert {"step", "sample", "start"} <= {*benchmarks.chosen([], False)}
    assert not {"families", "fid"} & {*benchmarks.chosen([], False)}


def test_the_curves_of_passes_are_of_as_many_passes(monkeypatch, tmp_path, capsys):
    """A step of the midpoint's method has two."""
    asked = []

    def evaluate(model, *, sampling, **rest):
        asked.append((model, sampling))
        value = 100 / sampling["steps"]
        score = SimpleNamespace(value=value, interval=(value - 1, value + 1), floor=6.7)
        return SimpleNamespace(scores=[score])

    monkeypatch.setattr(genzoo, "evaluate", evaluate)
    passes = module("passes")
    passes.main(["--out", str(tmp_path / "x.png")])
    assert ("flow-matching-mnist", {"solver": "midpoint", "steps": 1}) in asked
    assert ("ddpm-mnist", {"eta": 0.0, "steps": 64}) in asked
    head, _, first, *_, last, real = capsys.readouterr().out.splitlines()
    assert head.count("|") == first.count("|") == last.count("|") == 6
    assert first == "| 2 | 50 [49, 51] | 50 [49, 51] | 50 [49, 51] | 100 [99, 101] |"
    assert real == "real images: 6.7"
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.width > 700
