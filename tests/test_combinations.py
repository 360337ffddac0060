"""Options that are known to fail together, and sizes of images that a family does not take."""

import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from genzoo import cli, families
from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput
from genzoo.options import AdversarialOptions, Options
from genzoo.runs import launch, plan
from genzoo.runs.sizes import nearest_sizes
from genzoo.training.combinations import COMBINATIONS, warnings_of
from genzoo.training.losses import LOSSES

PLAIN = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
WITH_BATCH_NORM = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
NORMALISED = nn.Sequential(spectral_norm(nn.Linear(2, 1)))
WGAN = {"loss": "wasserstein", "penalty": "gradient"}
CLIPPED = {"loss": "wasserstein", "weight_clip": 0.01, "optimizer": "rmsprop"}


@pytest.mark.parametrize(
    ("values", "discriminator", "words"),
    [
        ({**WGAN, "label_smoothing": 0.1}, PLAIN, ["wasserstein and label_smoothing=0.1 are"]),
        ({**WGAN, "soft_labels": True}, PLAIN, ["soft_labels=true"]),
        ({**WGAN, "label_noise": 0.05}, PLAIN, ["label_noise=0.05"]),
        ({"loss": "wasserstein"}, PLAIN, ["bounds the critic's slope"]),
        (WGAN, WITH_BATCH_NORM, ["penalty=gradient is known to fail: the discriminator has batch"]),
        ({"penalty": "r1"}, WITH_BATCH_NORM, ["penalty=r1"]),
        ({**CLIPPED, "optimizer": "adam", "beta1": 0.5}, PLAIN, ["optimizer=rmsprop, or beta1=0"]),
        ({**CLIPPED}, NORMALISED, ["clipping them changes nothing"]),
        ({"loss": "wasserstein", "label_noise": 0.1}, PLAIN, ["label_noise", "slope"]),
    ],
)
def test_a_combination_that_fails_is_named_with_its_reason(values, discriminator, words):
    warnings = warnings_of(AdversarialOptions(**values), discriminator)
    assert len(warnings) == len(words)
    assert all(word in text for word, text in zip(words, warnings, strict=True))


@pytest.mark.parametrize(
    ("values", "discriminator"),
    [
        (WGAN, PLAIN),
        (CLIPPED, PLAIN),
        (CLIPPED, WITH_BATCH_NORM),  # as the paper's authors have it
        ({**CLIPPED, "optimizer": "adam", "beta1": 0.0}, PLAIN),
        ({"loss": "wasserstein"}, NORMALISED),
        ({"label_smoothing": 0.1, "label_noise": 0.05}, WITH_BATCH_NORM),
        ({"loss": "hinge", "soft_labels": True}, NORMALISED),
        ({"penalty": "r1"}, PLAIN),
    ],
)
def test_others_are_not(values, discriminator):
    assert warnings_of(AdversarialOptions(**values), discriminator) == []


def test_without_an_adversary_there_is_no_combination():
    assert warnings_of(Options(), None) == []
    assert warnings_of(AdversarialOptions(loss="wasserstein"), None) == []


def test_every_combination_names_its_options():
    for combination in COMBINATIONS:
        assert {*combination.names} <= {*AdversarialOptions.model_fields}


@pytest.mark.parametrize(("smoothing", "falls"), [(0.0, False), (0.1, True)])
def test_smoothing_pulls_the_critics_bias_and_nothing_else_does(smoothing, falls):
    """The reason that the warning gives: of the bias, data and fakes cancel out, until smoothed."""
    bias = torch.zeros((), requires_grad=True)
    scores, loss = (
        torch.randn(64, generator=torch.Generator().manual_seed(0)),
        LOSSES["wasserstein"],
    )
    targets = torch.full((64,), 1.0) - smoothing, torch.zeros(64)
    sum(loss.discriminator(scores + bias, target) for target in targets).backward()
    torch.testing.assert_close(bias.grad, torch.tensor(2 * smoothing))
    assert bool(bias.grad > 0.1) is falls


SMALL = {"width": 4, "latent_dim": 4, "batch_size": 4}


def test_a_run_warns_once_and_goes_on(tmp_path, caplog, capsys):
    out = tmp_path / "run"
    words = ["train", "gan", "--data", "ring8", "--steps", "2", "--out", str(out)]
    assert cli.run([*words, "--set", "loss=wasserstein", "--set", "label_smoothing=0.1"]) == 0
    failing = [text for text in caplog.messages if "known to fail" in text]
    assert len(failing) == 2
    assert (out / "model.safetensors").is_file()


def test_a_penalty_cannot_be_compiled(tmp_path, capsys):
    words = ["train", "wgan-gp", "--data", "ring8", "--steps", "1", "--out", str(tmp_path / "run")]
    assert cli.run([*words, "--compile"]) == 2
    assert "leave --compile out, or set penalty=none" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A function: a folder of images (side, colour), with two domains below it if asked."""
    from PIL import Image

    place = tmp_path_factory.mktemp("pictures")

    def made(side, *folders, channels=3):
        root = place / f"{side}-{channels}-{len(folders)}"
        for name in folders or ("",):
            (root / name).mkdir(parents=True, exist_ok=True)
            for i in range(12):
                shape = (side, side, 3) if channels == 3 else (side, side)
                pixels = np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(root / name / f"{i}.png")
        return root

    return made


@pytest.mark.parametrize(
    ("family", "side", "sizes"),
    [
        ("cyclegan", 8, "24 (--set size=24 "),
        ("cyclegan", 20, "24 (--set size=24 "),
        ("dcgan", 30, "28 or 32 (--set size=28 "),
        ("dcgan", 75, "64 or 80 (--set size=64 "),
        ("wgan-gp", 17, "16 or 20 (--set size=16 "),
        ("sagan", 8, "16 (--set size=16 "),
    ],
)
def test_a_size_that_does_not_fit_names_the_next_that_do(
    family, side, sizes, pictures, tmp_path, capsys
):
    folders = ("A", "B") if family == "cyclegan" else ("cat", "dog")
    data, out = pictures(side, *folders), tmp_path / "run"
    small = ["--set", "batch_size=2", "--set", "width=4"]
    small += ["--set", "residual_blocks=1"] if family == "cyclegan" else []
    words = ["train", family, "--data", str(data), "--steps", "1", "--out", str(out), *small]
    assert cli.run(words) == 2
    error = capsys.readouterr().err
    assert f"sizes that work: {sizes}rescales the images)" in error
    assert error.count("\n") == 1
    fits = sizes.split("size=")[1].split(" ")[0]
    assert cli.run([*words, "--dry-run", "--set", f"size={fits}"]) == 0


def test_cyclegan_takes_sizes_that_are_no_multiples_of_its_strides(pictures, tmp_path):
    values = {"width": 4, "residual_blocks": 1, "batch_size": 2}
    out = tmp_path / "run"
    launch.start("cyclegan", pictures(75, "A", "B"), out, steps=1, values=values).go()
    assert (out / "model.safetensors").is_file()


TOY = """
import torch
from torch import nn
import genzoo
from genzoo.options import Options
from genzoo.schemas import Schema, Shape

class Config(Schema):
    shape: Shape = (1, 8, 8)

class Toy(genzoo.Latent):
    value_range, latent_dim = (0.0, 1.0), 2
    def __init__(self, config):
        super().__init__(config)
        self.shape = config.shape
        self.up = nn.Linear(2, 4)
        self.norm = nn.Conv2d(1, 1, 5)

    def decode(self, code, labels=None):
        return nn.functional.interpolate(self.up(code).view(-1, 1, 2, 2).sigmoid(), self.shape[1:])

    def loss(self, batch):
        x = self.norm(nn.functional.max_pool2d(batch.x, 4))
        return x.square().mean() + self.up.weight.square().mean(), {}

@genzoo.hookimpl
def genzoo_family(name):
    return genzoo.Family(config=Config, options=Options, model=Toy, tiny=Config(), paper="none",
        trainer=lambda model, options: genzoo.LossTrainer(model, model.loss, options), api=2)
"""


def test_an_error_of_torch_becomes_the_next_size_that_works(
    pictures, tmp_path, monkeypatch, capsys
):
    """A family that states no limit: its networks are tried."""
    (tmp_path / "sizes_toy.py").write_text(TOY)
    info = tmp_path / "sizes_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sizes-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[genzoo.families]\nsizestoy = sizes_toy\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    data = str(pictures(12, channels=1))
    words = ["train", "sizestoy", "--data", data, "--steps", "1", "--out", str(tmp_path / "run")]
    try:
        assert cli.run(words) == 2
    finally:
        families.registry._load.cache_clear()
        sys.modules.pop("sizes_toy", None)
    error = capsys.readouterr().err
    assert "sizestoy cannot learn from" in error
    assert "images are 1x12x12 (" in error
    assert "sizes that work: 20 (--set size=20 rescales the images)" in error


def test_lengths_of_signals_are_tried_too():
    array = np.zeros((3, 1, 1000), np.float32)
    signals = DataSet("s", "train", "signals", array, None, (), 0, "0" * 64, (), "", rate=100)

    def attempt(dataset):
        if dataset.shape[1] % 64:
            raise BadInput("no")

    text = nearest_sizes(signals, attempt)
    assert "; lengths that work: 960 or 1024 (" in text
    assert text.endswith("{'length': 960} cuts or pads the signals)")


def test_where_no_size_helps_nothing_is_said(pictures):
    dataset = plan.open_dataset("vae", pictures(12, channels=1), {})
    attempts = []

    def attempt(sized):
        attempts.append(sized.shape)
        raise RuntimeError

    assert nearest_sizes(dataset, attempt) == ""
    assert len(attempts) == 11 + 64


@pytest.mark.parametrize("family", ["pixelcnn", "sagan"])
def test_a_family_of_images_says_that_it_is_one(family, capsys):
    assert cli.run(["train", family, "--data", "tones", "--steps", "1", "--out", "no"]) == 2
    assert f"{family} learns from images, tones holds signals" in capsys.readouterr().err


OF_ONE_SET = [
    n for n in families.names("family") if families.get(n).data in ("any", "images", "labelled")
]


@pytest.mark.parametrize("family", OF_ONE_SET)
def test_the_defaults_fit_coloured_images(family, pictures):
    """The networks are built, not trained."""
    setup = plan.plan(family, pictures(16, "cat", "dog"), {})
    with torch.device("meta"):
        model = families.get(family).model(setup.config)
    assert tuple(model.shape) == (3, 16, 16)
