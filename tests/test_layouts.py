"""Files as a set: what is read, what is left out, and the summary that says both."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genzoo import data
from genzoo.data.dataset import Summary

COMMAND = [sys.executable, "-c", "import genzoo.cli; genzoo.cli.main()"]


def encoded(seed: int, *shape: int, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, shape or (8, 8), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def fill(folder: Path, names, *shape: int, kind: str = "PNG") -> Path:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(seed, *shape, kind=kind))
    return folder


def numbered(count: int, ending: str = ".png") -> list[str]:
    return [f"{index:02}{ending}" for index in range(count)]


# ------------------------------------------------------------------------------------ the summary


def test_a_summary_of_what_is_kept_and_left_out(tmp_path, caplog):
    fill(tmp_path / "set", ["train/a/1.png", "train/b/2.png", "test/a/3.png"], 6, 9, 3)
    (tmp_path / "set/train/b/4.png").write_bytes(b"broken")
    caplog.set_level(logging.INFO)
    first, again = (data.open(tmp_path / "set", size=6).summary for _ in range(2))
    assert first == again, "from the cache, too"
    assert (first.kept, first.shape, first.channels, first.classes) == (2, (3, 6, 6), 3, ("a", "b"))
    assert first.left_out == {"broken files": ("train/b/4.png",)}
    assert "2 images (train" in first.lines()[0]
    assert "colour (3 channels), 2 classes (a, b)" in first.lines()[0]
    assert first.lines()[-1].endswith("left out 1 broken file: train/b/4.png")
    assert [r.levelname for r in caplog.records if r.message in first.lines()] == [
        "WARNING"
    ] * 2 * len(first.lines())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("digits", "1,500 images (train), 28x28, grey (1 channel), 10 classes (0, 1, 2, ...)"),
        ("digits:3", "153 images (train), 28x28, grey (1 channel), no classes"),
        ("ring8", "50,000 points (train), 2 coordinates, 8 classes (0, 1, 2, ...)"),
    ],
)
def test_a_named_set_has_one_line(name, line, caplog):
    line = f"{name}: {line}"
    caplog.set_level(logging.INFO, "genzoo.data")
    assert data.open(name).summary.lines() == [line]
    assert [r.message for r in caplog.records if r.name == "genzoo.data"] == [line]


def test_an_older_entry_of_the_cache_has_a_summary():
    meta = {"split": "train", "shape": [3, 1, 8, 8], "skipped": [], "classes": []}
    assert Summary.of("./old", "images", meta).lines() == [
        "./old: 3 images (train), 8x8, grey (1 channel), no classes"
    ]


def test_a_summary_cannot_control_a_terminal():
    meta = {"split": "train", "shape": [3, 1, 8, 8], "skipped": ["\x1b[2J.png"] * 4}
    assert Summary.of("x", "images", meta).lines()[-1] == (
        "x: left out 4 broken files:  [2J.png,  [2J.png,  [2J.png, ..."
    )


def test_every_command_prints_it_once_and_a_run_records_it(tmp_path):
    fill(tmp_path / "set", numbered(30))
    (tmp_path / "set/30.png").write_bytes(b"broken")
    words = f"train vae --data {tmp_path}/set --steps 1 --out {tmp_path}/out --set width=2"
    words += " --set latent_dim=2"
    done = subprocess.run([*COMMAND, *words.split()], capture_output=True, text=True, check=True)
    lines = json.loads((tmp_path / "out/run/plan.json").read_text())["summary"]
    assert lines[-1] == f"{tmp_path}/set: left out 1 broken file: 30.png"
    assert all(done.stderr.count(f"genzoo: {line}\n") == 1 for line in lines)
