"""Plots of a run: its curves, its grids, figures, pages, films and TensorBoard."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from genzoo import cli
from genzoo.errors import BadInput
from genzoo.models.picture_files import SYNTHETIC
from genzoo.runs import launch, plots

SIZES = {"generator_units": 16, "discriminator_units": 8, "batch_size": 16}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots") / "run"
    asked = {"values": SIZES, "device": "cpu", "grid_every": 10, "log_every": 1}
    launch.start("gan", "digits", folder, steps=30, **asked).go()
    return folder


def test_curves_are_what_was_logged(run):
    log = plots.read_run(run)
    lines = [json.loads(s) for s in (run / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["generator/loss"] for line in lines if "generator/loss" in line]
    steps, values = log.curves["generator/loss"]
    assert steps.tolist() == list(range(1, 31))
    assert values.tolist() == losses
    assert {"discriminator/accuracy", "discriminator/D(x)", "generator/gradient"} <= {*log.curves}


def test_cells_are_the_samples_of_the_grids(run):
    """The last grid's cells are what the model draws from seed 0; files have their own size."""
    import genzoo

    log = plots.read_run(run)
    with Image.open(run / "run" / "grids" / "00000030.png") as grid:
        assert grid.size == (4 * 30 + 2, 4 * 30 + 2)
    assert log.steps == (0, 10, 20, 30)
    drawn = genzoo.load(run).sample(16, seed=0).tensor.numpy()  # (16, 1, 28, 28)
    assert np.abs(log.cells[-1] - drawn.transpose(0, 2, 3, 1)).max() < 1 / 255


def test_grids_of_earlier_versions_are_enlarged(run, tmp_path):
    copy, log = tmp_path / "copy", plots.read_run(run)
    shutil.copytree(run / "run", copy / "run", ignore=shutil.ignore_patterns("checkpoints", "lock"))
    for step, cells in zip(log.steps, log.cells, strict=True):
        plots._grid(cells, 3).save(copy / "run" / "grids" / f"{step:08}.png")
    assert (plots.read_run(copy).cells == log.cells).all()


def test_both_curves_by_hand(run):
    log = plots.read_run(run)
    cells = log.cells.reshape(4, 16, -1).astype(np.float64)
    pairs = [(i, j) for i in range(16) for j in range(i)]
    apart = [np.sqrt(np.mean([np.square(c[i] - c[j]).mean() for i, j in pairs])) for c in cells]
    assert log.spread[1] == pytest.approx(apart, rel=1e-4)
    moved = [np.sqrt(np.square(b - a).mean()) for a, b in pairwise(cells)]
    assert log.change[1] == pytest.approx(moved, rel=1e-4)
    assert log.change[0].tolist() == [10, 20, 30]


def test_a_figure_draws_every_curve(run, tmp_path):
    svg = plots.plot(run, tmp_path / "run.svg").read_text()
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    panels = [g for g in root.iter() if re.fullmatch(r"axes_\d+", g.get("id", ""))]
    lines = [g for g in root.iter() if g.get("id", "").startswith("line2d")]
    log = plots.read_run(run)
    assert len(panels) >= 6  # losses, accuracy, D, gradients, and two of the grids
    assert len(lines) > len(log.curves)
    assert svg == plots.plot(run, tmp_path / "again.svg").read_text()
    with Image.open(plots.plot(run, tmp_path / "run.png")) as image:
        assert image.width > 1000
        assert len(np.unique(np.array(image.convert("RGB")).reshape(-1, 3), axis=0)) > 50


def test_the_film_shows_the_grids(run, tmp_path):
    with Image.open(plots.plot(run, tmp_path / "run.gif")) as film:
        assert film.n_frames == 4
        assert SYNTHETIC.encode() in film.info["comment"]
        assert film.width >= 750
        film.seek(3)
        last = np.array(film.convert("L"))
    grid = np.array(plots._grid(plots.read_run(run).cells[-1], None))
    shown = last[48 : 48 + len(grid), 12 : 12 + len(grid)]  # below the step
    assert np.abs(shown.astype(int) - grid).mean() < 2
    assert (last[12:40] < 100).any(), "the step"


def test_the_page_needs_nothing_beside_it(run, tmp_path):
    page = plots.plot(run, tmp_path / "run.html").read_text()
    links = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert links
    assert all(link.startswith("data:") for link in links)
    assert "<svg" in page
    assert "gan on digits, 30 steps" in page


def test_text_from_files_is_escaped_on_the_page(run, tmp_path):
    copy = tmp_path / "copy" / "run"
    copy.mkdir(parents=True)
    plan = json.loads((run / "run" / "plan.json").read_text())
    del plan["sha256"]
    (copy / "plan.json").write_text(json.dumps({**plan, "command": "<script>x</script>\x1b[31m"}))
    warning = {"step": 1, "finding": "rule", "text": "<b>loud</b>"}
    numbers = {"step": 1, "model/<i>": 2.0}
    (copy / "log.jsonl").write_text(
        f"{json.dumps(warning)}\n{json.dumps(numbers)}\n" + '{"step": 2'
    )
    page = plots.plot(copy.parent, tmp_path / "run.html").read_text()
    assert "<script>" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "\x1b" not in page
    assert "&lt;b&gt;loud" in page


def test_a_short_run_of_points_has_a_film_and_no_curves_of_cells(tmp_path):
    """Shorter than the ten steps between two lines of the log: its last step is in it."""
    launch.start("gan", "ring8", tmp_path / "run", steps=3, values=SIZES, device="cpu").go()
    log = plots.read_run(tmp_path / "run")
    assert log.spread is None
    assert {tuple(steps) for steps, _ in log.curves.values()} == {(3,)}
    for ending in ("svg", "gif"):
        assert plots.plot(tmp_path / "run", tmp_path / f"run.{ending}").exists()
    dots = re.findall(r'<g clip-path="[^"]+">\s*<use', (tmp_path / "run.svg").read_text())
    assert len(dots) == len(log.curves), "a line of one point is a dot"
    shutil.rmtree(tmp_path / "run/run/grids")
    with pytest.raises(BadInput, match="no grids"):
        plots.plot(tmp_path / "run", tmp_path / "run.gif")


def test_bad_input_is_one_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="nowhere"):
        plots.plot("nowhere", "x.svg")
    with pytest.raises(BadInput, match=r"x\.bmp.*\.html.*\.gif"):
        plots.plot(run, "x.bmp")
    (tmp_path / "new" / "run").mkdir(parents=True)
    for name in ("plan.json", "log.jsonl"):
        (tmp_path / "new" / "run" / name).write_text("{}" if name == "plan.json" else "")
    with pytest.raises(BadInput, match="new has logged nothing"):
        plots.plot("new", "x.svg")
    assert cli.run(["plot", str(run)]) == 0
    assert capsys.readouterr().out == "run.html\n"
    assert cli.run(["plot", str(run)]) == 2
    assert "--force" in capsys.readouterr().err
    assert cli.run(["plot", str(run), "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["curves"]["cells apart"][0] == [0, 10, 20, 30]


def test_without_matplotlib_it_says_what_to_install(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.run(["plot", str(run), "-o", str(tmp_path / "x.svg")]) == 1
    said = 'genzoo: a figure needs matplotlib: pip install "matplotlib>=3.10.8"\n'
    assert capsys.readouterr() == ("", said)
    assert not (tmp_path / "x.svg").exists()


def test_tensorboard_reads_what_the_board_wrote(tmp_path, monkeypatch):
    """Every logged step, and each grid."""
    monkeypatch.chdir(tmp_path)
    command = ["train", "gan", "--board", "--out", "mine"]
    for value in ("generator_units=8", "discriminator_units=8", "batch_size=16"):
        command += ["--set", value]
    command += ["--steps", "20", "--grid-every", "10"]
    assert cli.run(command) == 0
    code = (
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator as E;"
        "e = E('mine/run/board').Reload(); import json;"
        "print(json.dumps([[s.step for s in e.Scalars('generator/loss')],"
        "[[s.step, len(s.encoded_image_string)] for s in e.Images('samples')]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    scalars, images = json.loads(done.stdout)
    assert scalars == [10, 20]
    assert [step for step, _ in images] == [0, 10, 20]
    assert all(size > 100 for _, size in images)
