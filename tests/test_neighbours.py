"""Neighbours, features and outliers: against brute force and scikit-learn, on digits."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import genzoo
from genzoo import data
from genzoo.cli import run
from genzoo.errors import BadInput
from genzoo.evaluation import neighbours, outliers
from genzoo.metrics.real_data import load_features
from genzoo.metrics.statistics.ranks import auroc
from genzoo.zoo.folder import load_discriminator
from genzoo.zoo.names import find


def call(capsys, *words):
    code = run([*map(str, words)])
    return code, *capsys.readouterr()


# --------------------------------------------------------------------------------------- neighbours


@pytest.mark.parametrize("chunk", [784 * 3, 784 * 100, 1 << 24])
def test_the_nearest_are_the_nearest(monkeypatch, chunk):
    monkeypatch.setattr(neighbours, "CHUNK", chunk)
    found = genzoo.neighbours("vae-mnist", data="digits", n=3, k=5)
    train = data.open("digits", "train")
    x, y = found.samples.tensor.flatten(1).double(), train.batch(range(len(train))).flatten(1)
    apart = torch.cdist(x, y.double(), compute_mode="donot_use_mm_for_euclid_dist")
    (pixels,) = found.near
    assert np.allclose(pixels.distances, apart.sort(1).values[:, :5].numpy(), atol=1e-9)
    assert (pixels.rows == apart.argsort(1)[:, :5].numpy()).all()


def test_a_training_image_is_its_own_nearest(latent, tmp_path):
    """Whatever the samples are: these are three of the training images, handed out as samples."""
    folder = tmp_path / "train"
    folder.mkdir()
    for i, one in enumerate(latent.sample(30, seed=1)):
        one.save(folder / f"{i:02}.png", 1)
    latent.provenance = {"data": f"./{folder}"}
    found = genzoo.neighbours(latent, data=str(folder), n=4, k=2, seed=1)
    # One file in ten is kept for the test; the samples are in float, the files in 256 levels.
    near = found.near[0].distances[:, 0] < 0.03
    assert near.sum() >= 3


def test_features_of_the_classifier_are_asked_where_there_is_one(monkeypatch):
    digits = data.open("digits", "train")
    monkeypatch.setattr(neighbours.RealData, "open", lambda self, split: digits)
    found = genzoo.neighbours("dcgan-mnist", n=2, k=3)
    assert [near.space for near in found.near] == ["pixels", "features of mnist"]
    see = load_features("mnist")
    x, y = (torch.from_numpy(see(v)).double() for v in
            (found.samples.tensor, digits.batch(range(len(digits)))))  # fmt: skip
    apart = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    assert (found.near[1].rows == apart.argsort(1)[:, :3].numpy()).all()


def test_the_picture_says_what_it_holds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("neighbours", "vae-mnist", "--data", "digits", "-n", 2, "-k", 3)
    code, out, err = call(capsys, *words, "-o", "near.png", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert "do not publish" in told["note"]
    assert np.shape(told["near"][0]["rows"]) == (2, 3)
    with Image.open("near.png") as picture:
        assert "contains real images of digits" in picture.text["Comment"]
        assert picture.height > 100
    code, _, err = call(capsys, *words, "-o", "near.png")
    assert (code, "--force" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--data", "digits", "--size", 32), "are 1x28x28, but digits is 1x32x32"),
        (("--data", "digits", "-k", 101), "k must be"),
        (("--data", "no-such"), "no data set"),
        (("-o", "x.bmp"), "ending in .png"),
    ],
)
def test_bad_neighbours_are_one_line(tmp_path, monkeypatch, capsys, words, text):
    monkeypatch.chdir(tmp_path)
    code, _, err = call(capsys, "neighbours", "vae-mnist", *words)
    assert (code, text in err, err.count("\n")) == (2, True, 1)


# ----------------------------------------------------------------------------------------- features


def test_features_are_the_discriminators_maps_pooled():
    x = genzoo.load("dcgan-mnist", device="cpu").sample(5, seed=0)
    found = genzoo.extract_features("dcgan-mnist", x, device="cpu", batch_size=2)
    network = load_discriminator(find("dcgan-mnist"), "cpu")
    with torch.no_grad():
        maps = network.features(x.tensor * 2 - 1)
    pooled = [torch.nn.functional.adaptive_max_pool2d(m, [min(4, s) for s in m.shape[2:]])
              for m in maps]  # fmt: skip
    want = torch.cat([p.flatten(1) for p in pooled], 1)
    assert found.dtype == np.float32
    assert np.allclose(found, want.numpy(), atol=1e-4)


def test_an_encoder_sees_codes(latent):
    x = latent.sample(3, seed=0)
    assert np.allclose(genzoo.extract_features(latent, x), latent.encode(x).numpy())


def test_features_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = genzoo.load("vae-mnist", device="cpu")
    x = model.sample(2, seed=0)
    for i in range(2):
        x[i].save(f"{i}.png")
    code, out, _ = call(capsys, "features", "vae-mnist", "0.png", "1.png", "-o", "f.safetensors")
    assert (code, out) == (0, "f.safetensors: 2 images, 20 features each\n")
    with safe_open("f.safetensors", "np") as file:
        assert json.loads(file.metadata()["files"]) == ["0.png", "1.png"]
        kept = file.get_tensor("features")
    levels = x.tensor.mul(255).round().div(255)
    assert np.allclose(kept, model.encode(levels).numpy(), atol=1e-5)
    assert call(capsys, "features", "vae-mnist", "0.png", "-o", "f.npy")[0] == 0
    assert np.allclose(np.load("f.npy"), kept[:1], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "output", "text"),
    [
        ("pixelcnn-mnist", "f.npy", "dcgan-mnist"),
        ("vae-mnist", "f.txt", ".safetensors or .npy"),
        ("vae-mnist", "no/f.npy", "no/f.npy"),
    ],
)
def test_bad_features_are_one_line(tmp_path, monkeypatch, capsys, name, output, text):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (28, 28)).save("0.png")
    code, _, err = call(capsys, "features", name, "0.png", "-o", output)
    assert (code, text in err, err.count("\n")) == (2, True, 1)


# ----------------------------------------------------------------------------------------- outliers


@pytest.mark.parametrize("levels", [3, 1000])
def test_auroc_is_scikit_learns(levels):
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(levels)
    high, low = random.integers(levels, size=70) + levels / 5, random.integers(levels, size=50)
    high = high.round()
    truth = np.r_[np.ones(70), np.zeros(50)]
    area, (lower, upper) = auroc(high, low)
    assert area == pytest.approx(metrics.roc_auc_score(truth, np.r_[high, low]), abs=1e-12)
    assert auroc(low, high)[0] == pytest.approx(1 - area, abs=1e-12)
    assert lower < area < upper


def test_the_interval_is_delongs():
    """Equation 6 as it stands: the covariance of the placements, pair by pair."""
    random = np.random.default_rng(0)
    high, low = random.normal(0.5, 1, 40).round(1), random.normal(0, 1, 30).round(1)
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    variance = wins.mean(1).var(ddof=1) / 40 + wins.mean(0).var(ddof=1) / 30
    area, (lower, upper) = auroc(high, low)
    assert area == pytest.approx(wins.mean(), abs=1e-12)
    assert (upper - lower) / 2 == pytest.approx(1.96 * variance**0.5, abs=1e-12)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random, inside = np.random.default_rng(1), 0
    truth = 0.7602499  # of normal laws a deviation apart: Phi(1 / sqrt 2)
    for _ in range(500):
        low, high = auroc(random.normal(1, 1, 60), random.normal(0, 1, 60))[1]
        inside += low < truth < high
    assert 0.92 < inside / 500 < 0.98


def test_ends_and_what_has_no_rank():
    assert auroc(np.arange(5) + 9, np.arange(5)) == (1.0, (1.0, 1.0))
    assert auroc(np.ones(5), np.ones(4))[0] == 0.5
    with pytest.raises(BadInput, match="NaN"):
        auroc(np.array([1, np.nan]), np.ones(2))
    with pytest.raises(BadInput, match="at least two"):
        auroc(np.ones(1), np.ones(3))


def test_an_unknown_name_is_refused_before_anything_is_downloaded(capsys, monkeypatch):
    monkeypatch.setattr(outliers, "reference_data", None)
    monkeypatch.setattr(outliers, "opened_images", None)
    code, _, err = call(capsys, "outliers", "vae-mnist", "--against", "digit")
    assert code == 2
    assert "no data set is called 'digit'" in err


def test_a_density_tells_its_own_kind_from_another(capsys):
    words = ("outliers", "vae-mnist", "--data", "digits", "--against", "digits-inverted")
    code, out, err = call(capsys, *words, "-n", 40, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["auroc"] > 0.9
    assert told["mean nats"]["inside"] > told["mean nats"]["outside"]
    other = genzoo.outliers("vae-mnist", data="digits-inverted", against="digits", n=40)
    assert other.auroc == pytest.approx(1 - told["auroc"], abs=1e-9)
    code, out, _ = call(capsys, *words[:3], "digits-inverted", "--against", "digits",
                        "-n", 40)  # fmt: skip
    assert "assigns digits a higher likelihood" in out


def test_outliers_are_drawn_beside_the_nearest(capsys, tmp_path):
    """From the most to the least likely, each with its log-likelihood, and marked as real data."""
    path = tmp_path / "x.png"
    words = ("outliers", "vae-mnist", "--data", "digits", "--against", "digits-inverted")
    code, out, _ = call(capsys, *words, "-n", 12, "-o", path)
    lines = out.splitlines()
    assert (code, lines[0], "for local viewing only" in lines[-1]) == (0, str(path), True)
    found = genzoo.outliers("vae-mnist", data="digits", against="digits-inverted", n=12)
    with Image.open(path) as picture, Image.open(found.save(tmp_path / "y.png")) as same:
        assert 750 <= picture.width <= 1280
        assert picture.tobytes() == same.tobytes()
        assert "do not publish" in picture.text["Comment"]
    code, _, err = call(capsys, *words, "--scale", 2)
    assert (code, "--scale would have no effect: nothing is written without -o" in err) == (
        2,
        True,
    )


def test_outliers_draw_grey_pixels_for_a_model_of_two_values():
    """Of both data sets; the expected likelihood is linear in the grey value, so no rounding."""

    class Coin(genzoo.Density):
        shape, levels, value_range, likelihood_kind = (1, 28, 28), 2, (0.0, 1.0), "exact"

        def log_weight(self, x, labels, noise):
            return (x * np.log(0.9) + (1 - x) * np.log(0.1)).flatten(1).sum(1)

    found = genzoo.outliers(Coin(None), data="digits", against="digits-inverted", n=200)
    assert found.protocol["pixels"] == "stochastic binarisation, drawn by the seed"
    test = genzoo.data.open("digits", "test")
    x = test.batch(np.random.RandomState(0).permutation(len(test))[:200])
    grey, rounded = (Coin(None).log_weight(v, None, None).mean().item() for v in (x, x.round()))
    assert abs(grey - rounded) > 5
    assert found.inside.mean() == pytest.approx(grey, abs=3)


def test_a_model_of_classes_is_asked_for_all(monkeypatch):
    class Fair(genzoo.Density, genzoo.Sampler):
        shape, num_classes, likelihood_kind, value_range = (1, 2, 2), 3, "exact", (0.0, 1.0)
        class_names = ("1", "2", "3")

        def generate(self, noise, labels, sampling):
            return noise.uniform(*self.shape)

        def log_weight(self, x, labels, noise):
            return labels.float() + x.mean((1, 2, 3))

    found = outliers._log_prob(
        Fair(None), torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2), 0
    )
    want = np.log(np.exp([0, 1, 2]).mean())
    assert found.tolist() == pytest.approx([want, want + 1], abs=1e-5)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("dcgan-mnist", "--against", "digits"), "pixelcnn-mnist"),
        (("vae-mnist", "--data", "digits", "--against", "digits"), "are the same images"),
        (("vae-mnist", "--data", "digits", "--against", "digits-inverted"), "got 1,000"),
        (
            ("vae-mnist", "--against", "digits-inverted", "--data", "digits", "--size", 32),
            "1x28x28 images, but digits is 1x32x32",
        ),
    ],
)
def test_bad_outliers_are_one_line(capsys, words, text):
    code, _, err = call(capsys, "outliers", *words)
    assert (code, text in err, err.count("\n")) == (2, True, 1)


def test_its_picture_says_that_it_is_synthetic_in_part(tmp_path):
    told = ["neighbours", "gan-mnist", "--data", "digits", "-n", "1", "-o", str(tmp_path / "n.png")]
    assert run(told) == 0
    assert genzoo.inspect(tmp_path / "n.png").synthetic
