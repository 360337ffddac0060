"""Truncation measured: as evaluate measures, at each value; the curve drawn and written down."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from PIL import Image
from pydantic import Field

import genzoo
from genzoo.cli import run
from genzoo.errors import BadInput
from genzoo.evaluation import truncation
from genzoo.metrics.real_data import RealData
from genzoo.metrics.registry import create
from genzoo.metrics.subjects import ModelSubject
from genzoo.options import Sampling


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def call(capsys, line):
    code = run(line.split())
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def curve():
    metrics = ["precision", "recall", "sharpness"]
    return truncation.truncate("vae-mnist", (0.3, None), metrics=metrics, n=500, device="cpu")


def test_each_value_is_measured_on_the_samples_that_it_draws(curve):
    model = genzoo.load("vae-mnist", device="cpu")
    (sharpness,) = create(["sharpness"], RealData("mnist"))
    for value, score in zip(curve.values, curve.scores["sharpness-mnist"], strict=True):
        drawn = model.sample(500, truncation=value, batch_size=250).tensor
        assert score.value == pytest.approx(sharpness(drawn.mul(255).round().div(255)).value)
        assert score.sampling == ({} if value is None else {"truncation": value})
        assert "truncation" not in score.protocol, "it does not hinder ranking"


def test_truncation_costs_variety(curve):
    short, long = curve.scores["recall-mnist"]
    assert short.interval[1] < long.interval[0]


def test_untruncated_it_is_what_evaluate_finds(curve):
    asked = {"metrics": ["precision"], "n": 500, "device": "cpu"}
    (found,) = genzoo.evaluate("vae-mnist", **asked).scores
    score = curve.scores["precision-mnist"][1]
    assert (score.value, score.protocol) == (found.value, found.protocol)


def test_the_curve_is_a_table_a_picture_and_a_record(curve, here):
    lines = str(curve).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["truncation", "0.3", "none"]
    assert lines[3:] == [curve.verdict]
    curve.save("c.png")
    curve.save("c.json")
    with Image.open("c.png") as sheet:
        pixels = np.asarray(sheet)
        assert sheet.width > 2 * truncation.WIDE, "shares and sharpness have a panel each"
    for colour in ((0x1F, 0x6F, 0xB4), (0xC2, 0x57, 0x1A)):
        assert (pixels == colour).all(-1).sum() > 500, "no line"
    told = json.loads(Path("c.json").read_text())
    assert told["truncation"] == [0.3, None]
    assert told["scores"]["recall-mnist"][0]["sampling"] == {"truncation": 0.3}
    with pytest.raises(BadInput, match=r"\.pdf or \.json"):
        curve.save("c.txt")


def test_a_point_stands_at_its_value(curve):
    """The height of a mark is the score, of 1 at the top and 0 at the bottom."""
    one = truncation.Curve("m", "d", (None,), {"recall": (curve.scores["recall-mnist"][1],)}, "")
    pixels = np.asarray(truncation.picture(one))
    blue = (pixels == (0x1F, 0x6F, 0xB4)).all(-1)
    middle = truncation.MARGIN + truncation.LEFT + truncation.WIDE // 2
    rows = np.flatnonzero(blue[:, middle - 4])  # beside the bar, within the mark
    top = 3 * truncation.MARGIN
    rows = rows[(rows >= top) & (rows <= top + truncation.HIGH)]
    shown = 1 - (rows.mean() - top) / truncation.HIGH
    assert shown == pytest.approx(one.scores["recall"][0].value, abs=0.01)


@pytest.mark.parametrize(
    ("ends", "ticks"),
    [([0.0, 271.0], [0, 100, 200, 300]), ([3.0], [0, 1, 2, 3]), ([-4.0, 4], [-4, -2, 0, 2, 4])],
)
def test_axes_have_round_numbers(ends, ticks):
    assert truncation._ticks(ends) == ticks


BAD = [
    ("truncate vae-mnist --values a", "got 'a'"),
    ("truncate vae-mnist --values 0", "at least 0.02, got 0.0"),
    ("truncate vae-mnist --values 1,1", "none twice"),
    ("truncate vae-mnist --values nan", "truncation"),
    ("truncate vae-mnist -n 10", "at least 1,280 samples, got 10"),
    ("truncate vae-mnist -o x.svg", "x.svg"),
    ("truncate vae-mnist --metrics fdd", "fdd"),
    ("truncate pixelcnn-mnist", "the sampling of pixelcnn-mnist has no truncation: there is"),
    ("truncate pixelcnn-mnist --values 1", "no setting of sampling called 'truncation'"),
    ("truncate images:. --data mnist", "images"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_bad_input_is_one_line_and_writes_nothing(line, said, here, capsys):
    code, out, err = call(capsys, line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert [*here.iterdir()] == []


class Own(Sampling):
    truncation: Annotated[float, Field(ge=0, le=1)] = 1.0


class Narrow(Sampling):
    truncation: Annotated[float, Field(ge=0, le=0.1)] = 0.1


class Dots(genzoo.Sampler):
    """Points whose truncation is a setting of their own."""

    shape, value_range, kind = (2,), None, "points"

    def generate(self, noise, labels, sampling):
        return sampling.truncation * noise.normal(2)


@pytest.mark.parametrize(("sampling", "values"), [(Own, [0.25, 0.5, 0.75, 1.0]), (Narrow, None)])
def test_the_usual_values_are_those_within_the_models_bounds(sampling, values):
    model = type("Dots", (Dots,), {"sampling": sampling})(None)
    whole = ModelSubject("dots", model)
    if values is None:
        with pytest.raises(BadInput, match="give values="):
            truncation._allowed(whole)
    else:
        assert truncation._allowed(whole) == values


def test_a_latent_model_allows_all_usual_values():
    whole = ModelSubject("vae-mnist", genzoo.load("vae-mnist", device="cpu"))
    assert truncation._allowed(whole) == [*truncation.VALUES]


def test_the_command_writes_and_says_it(here, capsys):
    line = "truncate vae-mnist --values 0.5,none -n 500 --metrics precision"
    code, out, err = call(capsys, line)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "vae-mnist-truncation.png"
    code, out, _ = call(capsys, f"{line} -o x.json --json")
    assert json.loads(out)["truncation"] == [0.5, None]
    assert json.loads(Path("x.json").read_text())["name"] == "vae-mnist"
