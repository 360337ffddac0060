"""What a class looks at: which numbers of a code act, where a model looks, what a network sees, a
data set and its mean; and that an existing file is noticed before torch is imported.
"""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import data
from genzoo.cli import run
from genzoo.data.dataset import Rows, Source
from genzoo.data.photo_files import photos
from genzoo.data.sheet import mean_sheet
from genzoo.editing import attention, walks
from genzoo.errors import BadInput, OperationFailed
from genzoo.evaluation import truncation
from genzoo.metrics.score import Score
from genzoo.models.laws import Categorical, Normal
from genzoo.models.samples import Images
from genzoo.schemas import Count, Schema


class Config(Schema):
    width: Count = 1


class Weighted(genzoo.Latent):
    """A pixel is a weighted sum of a code of four normal numbers and a class of three."""

    shape, value_range, latent_dim = (1, 1, 1), None, 7

    def __init__(self, config):
        super().__init__(config)
        weights = torch.tensor([0.1, 0.0, 0.4, -0.2, 0.0, 0.0, 0.9])
        self.weights = torch.nn.Parameter(weights)

    def law(self):
        return Normal(4), Categorical(3)

    def decode(self, code, labels=None):
        return (code @ self.weights).view(-1, 1, 1, 1)


@pytest.fixture
def weighted():
    return Weighted(Config())


def call(capsys, line):
    code = run(line.split())
    return code, *capsys.readouterr()


# ---------------------------------------------------------------------------------------- activity


def test_the_most_active_numbers_are_those_with_the_largest_weights(weighted):
    """From -2 to 2 deviations a number of weight w changes a pixel by 4 |w|."""
    found = genzoo.measure_activity(weighted)
    assert found.dims == (2, 4, 3, 0, 1)
    wanted = [
        1.6,
        0.9,
        0.8,
        0.4,
        0.0,
    ]  # the class, whose first number is 4: from the first to the last
    assert found.changes == pytest.approx(wanted, abs=1e-5)
    assert genzoo.measure_activity(weighted) == found


def test_a_traversal_takes_the_two_most_active(weighted):
    grid = walks.traverse(weighted, grid=(2, 3))
    assert grid.call["dims"] == [2, 4]
    assert torch.equal(grid.tensor, walks.traverse(weighted, (2, 4), grid=(2, 3)).tensor)


def test_a_sweep_has_a_row_for_each_number(weighted, tmp_path):
    result = genzoo.sweep(weighted, columns=3)
    rows = result.samples.tensor.view(5, 3)
    shown = walks.traverse(weighted, (2, 0), grid=(3, 1)).tensor.flatten()
    assert (rows[0].diff() > 0.3).all()
    assert torch.allclose(rows[4], rows[4, 0].expand(3)), "this number does nothing"
    assert torch.allclose(rows[0] - rows[0, 1], shown - shown[1], atol=1e-6)
    with Image.open(result.save(tmp_path / "x.png")) as picture:
        assert picture.width > 800
    assert np.load(result.save(tmp_path / "x.npy")).shape == (15, 1, 1, 1)


def test_the_command_says_which_it_took(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(capsys, "traverse vae-mnist --grid 2x2")
    dims = genzoo.measure_activity("vae-mnist").dims
    path, line = out.splitlines()
    assert (code, path) == (0, "vae-mnist-traversal.png")
    assert (
        line == f"numbers {dims[0]} (down) and {dims[1]} (across) of the code change pictures most"
    )
    code, out, _ = call(capsys, "info vae-mnist --active --json")
    assert [row["dim"] for row in json.loads(out)] == [*dims[:10]]


# --------------------------------------------------------------------------------------- attention


def test_points_that_tell_most_differ_most():
    """Of nine positions one looks at the first, one at the last, the others everywhere alike."""
    maps = torch.full((3, 3, 3, 3), 1 / 9)
    maps[0, 2], maps[2, 1] = 0, 0
    maps[0, 2, 0, 0], maps[2, 1, 2, 2] = 1, 1
    assert {(0, 2), (2, 1)} < {*attention.telling_points(maps, 3)}


class Looking(genzoo.Attentive):
    """Grey pictures; each position of 4x4 looks at the upper left one."""

    shape, value_range = (1, 8, 8), (0.0, 1.0)

    def __init__(self, config):
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.tensor(0.5))

    def generate(self, noise, labels, sampling):
        return torch.full((len(noise), 1, 8, 8), 0.5)

    def attend(self, noise, labels, sampling):
        maps = torch.zeros(len(noise), 4, 4, 4, 4)
        maps[..., 0, 0] = 1
        return self.generate(noise, labels, sampling), maps

    def attention_weight(self):
        return self.weight.item()


def test_the_picture_of_attention(tmp_path):
    result = genzoo.attention(Looking(Config()), [(7, 7)])
    picture = np.asarray(result.picture(10)).astype(int)
    first, second = picture[12:92, 12:92], picture[12:92, 102:182]
    blue = [0x00, 0x72, 0xB2]
    for cell in (first, second):
        assert cell[75, 75].tolist() == blue, "the point is marked in its colour"
    assert np.abs(second[5, 5] - (0.1 * 0.45 * 128 + 0.9 * np.array(blue))).max() < 3
    assert second[40, 40].tolist() == [58] * 3, "darkened where nothing is looked at"
    assert "0.5" in result.note
    assert "nothing" not in result.note
    assert np.load(result.save(tmp_path / "x.npy")).shape == (1, 4, 4)


def test_next_to_nothing_is_said():
    model = Looking(Config())
    with torch.no_grad():
        model.weight.fill_(-0.02)
    assert "next to nothing" in genzoo.attention(model).note


# ------------------------------------------------------------------------------- inside a network


def test_the_inside_of_a_discriminator(tmp_path):
    x = genzoo.load("dcgan-mnist", device="cpu").sample(1, start=3)
    found = genzoo.look_inside("dcgan-mnist", x, device="cpu")
    network = genzoo.zoo.folder.load_discriminator(genzoo.zoo.names.find("dcgan-mnist"), "cpu")
    with torch.no_grad():
        maps = network.features(x.tensor * 2 - 1)
    assert torch.equal(found.filters, network.blocks[0][0].weight.float())
    for mine, theirs in zip(found.layers, maps, strict=True):
        assert torch.allclose(mine, theirs[0].float(), atol=1e-5)
    with Image.open(found.save(tmp_path / "x.png")) as picture:
        assert 750 <= picture.width < 1100


def test_perceptrons_show_weights_and_classifiers_their_answer():
    x = genzoo.load("dcgan-mnist", device="cpu").sample(1, start=3)
    found = genzoo.look_inside("vae-mnist", x, device="cpu")
    assert found.filters.shape[1:] == (1, 28, 28)
    answer = genzoo.look_inside("mnist", x).layers[-1]
    assert answer.shape == (10,)
    assert genzoo.extract_features("mnist", x).shape == (1, 128)


# -------------------------------------------------------------------------------------------- data


@pytest.fixture
def four():
    """Four images of one pixel in two classes."""
    pixels = np.array([0, 100, 200, 40], np.uint8).reshape(4, 1, 1, 1)
    rows = Rows.of(pixels, np.array([0, 1, 1, 0]))
    return data.open(
        Source("four", "images", "", "theirs", 256, ("ant", "bee"), lambda root, split: rows)
    )


def test_a_mean_image(four):
    assert four.mean_image().item() == pytest.approx(85 / 255)
    assert four.mean_image("bee").item() == pytest.approx(150 / 255)
    assert four.mean_image(0).item() == pytest.approx(20 / 255)
    with pytest.raises(genzoo.UnknownName, match="bee"):
        four.mean_image("bees")


def test_a_sheet_of_data(four, tmp_path):
    sheet = four.sheet(2, start=1)
    assert (sheet.rows.tolist(), sheet.names) == ([1, 2], ("mean of all",))
    path = sheet.save(tmp_path / "x.png")
    with Image.open(path) as picture:
        assert "real data of four: for local viewing only" in picture.text["Comment"]
        assert "theirs" in picture.text["Comment"]
        assert "trainedAlgorithmicMedia" not in picture.text["XML:com.adobe.xmp"]
    with pytest.raises(OperationFailed, match="no genzoo metadata"):
        genzoo.inspect(path)
    assert four.sheet(seed=1).rows.tolist() != four.sheet(seed=2).rows.tolist()
    with pytest.raises(BadInput, match="has 4 images, got n 5"):
        four.sheet(5)


@pytest.mark.parametrize("name", ["ring8", "tones"])
def test_sheets_of_points_and_signals(name):
    sheet = data.show(name, 3)
    assert sheet.picture().width > 600
    with pytest.raises(BadInput, match="no picture"):
        data.show(name, mean=True)


def test_the_means_of_classes(four, tmp_path):
    sheet = mean_sheet(four)
    assert sheet.names == ("mean of all", "ant", "bee")
    saved = np.load(sheet.save(tmp_path / "x.npy")).flatten()
    assert saved == pytest.approx(np.array([85, 20, 150]) / 255)


# -------------------------------------------------------------------------------------- truncation


def curve(precision, recall):
    scores = {
        name: tuple(
            Score(name, x, (x - 0.02, x + 0.02), None, "higher", {}, np.zeros(0)) for x in values
        )
        for name, values in (("precision", precision), ("recall", recall))
    }
    return truncation.Curve("m", "d", (0.5, 1.0, None), scores, "here")


@pytest.mark.parametrize(
    ("precision", "recall", "says"),
    [
        (
            (0.9, 0.8, 0.7),
            (0.3, 0.5, 0.6),
            "trades diversity .* none to 0.5 .*0.70 -> 0.90",
        ),
        ((0.9, 0.8, 0.7), (0.0, 0.5, 0.6), "trades diversity .* none to 1 "),
        ((0.9, 0.71, 0.7), (0.0, 0.5, 0.6), "does not help .* hardly any recall is left"),
        ((0.6, 0.7, 0.7), (0.3, 0.5, 0.6), "does not help .* none of these .*0.60 -> 0.30"),
        ((0.9, 0.8, 0.7), (0.6, 0.6, 0.6), "recall does not fall"),
    ],
)
def test_a_trade_is_said_where_there_is_one(precision, recall, says):
    assert re.search(says, curve(precision, recall).verdict)


# ------------------------------------------------------------------------------------------- files


def test_an_enlarged_picture_is_read_as_it_was_drawn(tmp_path):
    drawn = Images(torch.rand(1, 3, 8, 8).mul(255).round().div(255))
    path = drawn.save(tmp_path / "x.png")
    pixels, _ = photos([path], (3, 8, 8))
    assert (pixels[0] == drawn.tensor[0].mul(255).round().byte().numpy()).all()


SECOND = [
    "sample dcgan-mnist",
    "sample dcgan-mnist --watch w.gif -o new.png",
    "interpolate vae-mnist --sample 1,2",
    "traverse vae-mnist",
    "arithmetic vae-mnist 1 + 2",
    "steer vae-mnist d.safetensors --sample 1",
    "inpaint vae-mnist p.png",
    "inpaint vae-mnist p.png -o new.png --strip s.png",
    "translate cyclegan-hair p.png -o x.png",
    "attend sagan-cifar10",
    "truncate vae-mnist",
    "neighbours vae-mnist",
    "features vae-mnist p.png",
    "features vae-mnist p.png --picture x.png",
    "data show digits",
]
FILES = ["dcgan-mnist.png", "w.gif", "vae-mnist-walk.gif", "vae-mnist-traversal.png"]
FILES += ["vae-mnist-sum.png", "vae-mnist-steered.png", "p-filled.png", "s.png", "x.png"]
FILES += ["sagan-cifar10-attention.png", "vae-mnist-truncation.png", "vae-mnist-neighbours.png"]
FILES += ["vae-mnist-features.safetensors", "digits-data.png"]


def test_an_existing_file_is_noticed_before_torch_is_imported(tmp_path):
    for name in [*FILES, "p.png", "d.safetensors"]:
        (tmp_path / name).write_text("x")
    for family in ("vae", "dcgan", "sagan", "cyclegan"):
        genzoo.families.facts_of(family)  # what the first run notes: the abilities of families
    program = (
        "import sys\nfrom genzoo.cli import run\n"
        f"codes = [run(line.split()) for line in {SECOND!r}]\n"
        "print(codes, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{[2] * len(SECOND)} False\n"
    assert done.stderr.count("--force") == len(SECOND), done.stderr
    assert {p.read_text() for p in tmp_path.iterdir() if p.is_file()} == {"x"}
