"""evaluate: any metric, of models and of folders; what it refuses; metrics by name, plugins too."""

import json
import logging
import math
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import genzoo
from genzoo import cli, data, families
from genzoo.errors import BadInput, OperationFailed, UnknownName
from genzoo.evaluation import evaluate, unread
from genzoo.families import registry as plugin_registry
from genzoo.features import classifiers
from genzoo.metrics import likelihood_metrics, real_data, registry, sample_metrics, subjects
from genzoo.metrics import metric as metric_interface
from genzoo.metrics import score as scoring
from genzoo.metrics.diagnostic_metrics import LabelAccuracy
from genzoo.metrics.real_data import RealData
from genzoo.metrics.statistics import parzen
from genzoo.models import shared_samples
from genzoo.zoo import card, migrate
from genzoo.zoo import folder as folders

USUAL = ["fd", "kd", "precision", "recall", "class_score", "mode_kl", "sharpness"]


@pytest.fixture(scope="module")
def found():
    return genzoo.evaluate("dcgan-mnist", n=1280, device="cpu")


def pictures(folder, n, size=28, seed=0, mode="L", classes=1):
    """A folder of made images: smooth blobs, no two alike."""
    random = np.random.default_rng(seed)
    for i in range(n):
        grey = random.normal(size=(4, 4))
        image = Image.fromarray((grey - grey.min()) / np.ptp(grey) * 255).convert("L")
        place = folder / f"kind{i % classes}" if classes > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        image.resize((size, size), Image.Resampling.BICUBIC).convert(mode).save(place / f"{i}.png")
    return folder


class Wide(nn.Module):
    """Features that a user brings: the picture, shrunk, in a random projection."""

    def __init__(self):
        super().__init__()
        source = torch.Generator().manual_seed(0)
        self.register_buffer("turn", torch.randn(49, 6, generator=source))

    def forward(self, x):  # (n, C, H, W) -> (n, 6)
        return nn.functional.adaptive_avg_pool2d(x.mean(1, keepdim=True), 7).flatten(1) @ self.turn


@pytest.fixture
def wide(monkeypatch):
    """``Wide`` where --features finds it."""
    module = type(sys)("made_features")
    module.Wide, module.number, module.crooked = Wide, 3, lambda x: x
    module.__file__, module.quits = __file__, lambda x: sys.exit(5)
    module.complex = lambda x: x.flatten(1)[:, :4].to(torch.complex64)
    monkeypatch.setitem(sys.modules, "made_features", module)
    real_data.load_features.cache_clear()
    return "made_features:Wide"


def test_features_of_any_weights_have_a_hash():
    """NumPy has no bfloat16; and a state may hold what is no tensor."""

    class Odd(Wide):
        def get_extra_state(self):
            return {"step": 3}

    hashes = {
        classifiers._code_and_state(f"{__name__}:Wide", network)
        for network in (Wide(), Wide().bfloat16(), Odd())
    }
    assert len(hashes) == 3
    assert "" not in hashes


# ------------------------------------------------------------------------------------ what it finds


def test_a_model_is_held_against_what_it_was_trained_on(found):
    assert (found.name, found.data) == ("dcgan-mnist", "mnist")
    assert [s.metric for s in found.scores] == [f"{kind}-mnist" for kind in USUAL]


def test_it_finds_what_compare_finds(found):
    """The same samples, the same numbers: one way to measure, not two."""
    both = genzoo.compare("vae-mnist", "dcgan-mnist", n=1280, device="cpu")
    assert {s.metric: s.value for s in found.scores} == {
        name: column[1].value for name, column in both.scores.items()
    }


def test_a_table_says_value_interval_and_what_real_images_get(found):
    lines = str(found).splitlines()
    assert lines[0].split() == ["value", "95", "%", "real"]
    assert len(lines) == 1 + len(USUAL)
    assert "classes hit: 10" in next(line for line in lines if line.startswith("mode_kl-mnist"))


def test_a_record_says_what_makes_it_again(found):
    for record, score in zip(found.records(), found.scores, strict=True):
        again = genzoo.evaluate("dcgan-mnist", **record["request"], device="cpu")
        assert [s.value for s in again.scores] == [score.value]
        assert record["protocol"] == again.scores[0].protocol
        assert record["versions"]["torch"]
        assert record["tolerance"] > 0


def test_a_model_in_memory_is_measured_too(found):
    model = genzoo.load("dcgan-mnist", device="cpu")
    again = genzoo.evaluate(model, metrics="fd", n=1280)
    assert again.scores[0].value == found.scores[0].value
    said = "dcgan-mnist is a model in memory, without a card (give its name or folder)"
    with pytest.raises(BadInput, match=re.escape(said)):
        again.write()
    with pytest.raises(BadInput, match=r"without a discriminator \(give its name or folder\)"):
        subjects.ModelSubject("dcgan-mnist", model).discriminator()


def test_scores_are_written_into_the_card(tmp_path):
    folder = folders.save(genzoo.load("dcgan-mnist", device="cpu"), tmp_path / "mine")
    found = genzoo.evaluate(folder, metrics=["sharpness"], n=40, device="cpu")
    assert found.write() == folder
    (kept,) = card.read_metrics(folder)["scores"]
    assert kept["name"] == "sharpness-mnist"
    assert kept["request"] == {"data": "mnist", "n": 40, "seed": 0, "metrics": "sharpness-mnist"}
    assert f"| sharpness-mnist | {kept['value']:g} [" in (folder / "README.md").read_text()


def test_images_of_a_folder_stand_in_the_place_of_a_model(tmp_path):
    """Digits of a model, written down and read again, are the digits of the model."""
    model = genzoo.load("dcgan-mnist", device="cpu")
    for i, one in enumerate(model.sample(200, seed=0)):
        one.save(tmp_path / f"{i:05}.png", scale=1)
    told = {"data": "mnist", "metrics": "fd", "groups": 1, "device": "cpu"}
    (folder,) = genzoo.evaluate(f"images:{tmp_path}", **told).scores
    (direct,) = genzoo.evaluate(model, n=200, **told).scores
    assert folder.value == pytest.approx(direct.value, rel=1e-6)  # in another order
    assert folder.protocol == direct.protocol
    assert folder.interval is None


def test_two_folders_in_features_of_ones_own(tmp_path, wide):
    """Against the textbook: every picture of both folders, whatever folder it is in."""
    one = pictures(tmp_path / "one", 60, seed=1)
    other = pictures(tmp_path / "other", 80, seed=2, classes=2)
    told = {"data": f"images:{other}", "metrics": "fd", "features": wide, "groups": 1}
    (score,) = genzoo.evaluate(f"images:{one}", **told).scores
    assert score.metric == "fd-Wide"
    assert score.protocol["real"] == "80 training images"
    seen = [_seen(folder) for folder in (one, other)]
    means, spreads = ([f(x) for x in seen] for f in (lambda x: x.mean(0), lambda x: np.cov(x.T)))
    root = np.sqrt(np.linalg.eigvals(spreads[0] @ spreads[1]).astype(complex)).real.sum()
    want = ((means[0] - means[1]) ** 2).sum() + sum(map(np.trace, spreads)) - 2 * root
    assert score.value == pytest.approx(want, rel=1e-4)


def _seen(folder):
    files = sorted(folder.rglob("*.png"))
    x = torch.stack([torch.from_numpy(np.array(Image.open(f))) for f in files])[:, None] / 255
    return Wide()(x.float()).double().numpy()


def test_a_reference_is_computed_once(tmp_path, wide, monkeypatch):
    folder = pictures(tmp_path / "real", 40)
    looked = []
    real = RealData(f"images:{folder}", wide, progress=lambda *told: looked.append(told))
    first = real.reference
    assert looked
    again = RealData(f"images:{folder}", wide, progress=lambda *_: pytest.fail("looked again"))
    assert np.array_equal(again.reference.train, first.train)
    assert np.allclose(again.reference.moments.factor, first.moments.factor)
    few = RealData(f"images:{folder}", wide, limit=10).reference
    assert (few.moments.n, len(few.train)) == (10, 10)
    pictures(tmp_path / "real", 41)
    assert len(RealData(f"images:{folder}", wide).reference.train) == 41


def test_other_weights_of_the_same_code_are_other_features(tmp_path, wide, monkeypatch):
    """What was kept of one network is not taken for what the other sees."""
    source = f"images:{pictures(tmp_path / 'real', 40)}"
    first = RealData(source, wide).reference
    twice = Wide()
    twice.turn *= 2
    monkeypatch.setattr(sys.modules["made_features"], "Wide", twice)
    real_data.load_features.cache_clear()
    assert np.allclose(RealData(source, wide).reference.train, 2 * first.train)


def test_a_damaged_cache_is_made_anew(tmp_path, wide):
    folder = pictures(tmp_path / "real", 40)
    first = RealData(f"images:{folder}", wide).reference
    ((kept),) = (tmp_path / "home" / "references").glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(RealData(f"images:{folder}", wide).reference.train, first.train)
    whole = bytearray(kept.read_bytes())
    whole[-9] ^= 64  # of the right size, and readable
    kept.write_bytes(whole)
    assert np.array_equal(RealData(f"images:{folder}", wide).reference.train, first.train)


def test_sharpness_needs_no_classifier():
    told = {"metrics": "sharpness", "n": 40, "device": "cpu"}
    (score,) = genzoo.evaluate("gan-mnist", data="digits", **told).scores
    assert score.protocol["real"] == "1,500 training images"
    real = RealData("digits", "mnist")
    assert real.sharpness == RealData("digits").sharpness
    x = real.open("train").array[:, 0].astype(np.float64) / 255
    around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    by_hand = (around - 4 * x[:, 1:-1, 1:-1]).reshape(len(x), -1).var(1, ddof=1).mean()
    assert real.sharpness["train"] == pytest.approx(by_hand, rel=1e-5)


def test_digits_against_another_set_through_the_same_eyes():
    """No reference ships for these digits: it is computed from the data."""
    told = {"data": "digits", "features": "mnist", "n": 1280, "device": "cpu"}
    found = genzoo.evaluate("dcgan-mnist", metrics=["fd", "nearest_train_features"], **told)
    fd, memorised = found.scores
    assert (fd.metric, fd.protocol["data"]) == ("fd-mnist", "digits")
    assert fd.protocol["real"] == "1,500 training images"
    assert memorised.value > 1
    assert memorised.details["p-value"] > 0.5


# ----------------------------------------------------------------------------- what a metric needs


def test_likelihoods_stand_under_names_of_their_own(tmp_path):
    vae = families.get("vae")
    model = vae.model(vae.config(shape=(1, 28, 28), latent_dim=2, width=8, likelihood="logistic"))
    folders.save(model, tmp_path / "mine", data="digits")
    told = {"n": 40, "device": "cpu"}
    elbo, iwae = genzoo.evaluate(tmp_path / "mine", metrics="elbo,iwae", **told).scores
    assert (elbo.metric, iwae.metric) == ("elbo-digits", "iwae-digits")
    assert iwae.value < elbo.value
    for score in (elbo, iwae):
        assert score.protocol["unit"] == "bits a value"
        assert (score.protocol["likelihood"], score.protocol["levels"]) == ("bound", 256)
        assert score.protocol["images"] == "40 of the test split"
    assert len(elbo.parts) == 40
    with pytest.raises(BadInput, match="cannot rank"):
        scoring.verdict(elbo, iwae)


def test_processes_share_the_images_of_a_likelihood(monkeypatch):
    """Each of two computes every second batch, as one process would."""
    vae = families.get("vae")
    model = vae.model(vae.config(shape=(1, 28, 28), latent_dim=2, width=8))
    told = {"data": "digits", "metrics": "elbo", "n": 40, "seed": 5, "device": "cpu"}
    monkeypatch.setattr(likelihood_metrics, "BATCH", 12)
    whole = genzoo.evaluate(model, **told).scores[0].parts
    monkeypatch.setattr(likelihood_metrics, "in_order", iter)
    monkeypatch.setattr(shared_samples, "_is_shared", True)
    monkeypatch.setattr(shared_samples, "size", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(shared_samples, "rank", lambda rank=rank: rank)
        own = [i for i in range(40) if i // 12 % 2 == rank]
        assert np.array_equal(genzoo.evaluate(model, **told).scores[0].parts, whole[own])


def test_an_estimate_never_ranks_with_an_exact_value_or_a_bound():
    exact, estimate, bound = Coin(2), Coin(2), Coin(2)
    estimate.likelihood_kind, bound.likelihood_kind = "estimate", "bound"
    told = {"data": "digits", "n": 8, "device": "cpu"}
    kinds = {"nll": exact, "elbo": bound, "nll_estimate": estimate}
    scores = {m: genzoo.evaluate(x, metrics=m, **told).scores[0] for m, x in kinds.items()}
    assert scores["nll_estimate"].protocol["likelihood"] == "estimate"
    assert scores["nll_estimate"].value == scores["nll"].value
    for other in ("nll", "elbo"):
        with pytest.raises(BadInput, match="cannot rank"):
            scoring.verdict(scores["nll_estimate"], scores[other])
        with pytest.raises(BadInput, match="of kind estimate, use nll_estimate"):
            genzoo.evaluate(estimate, metrics=other, **told)


def test_a_bound_is_what_the_model_says(tmp_path):
    vae = families.get("vae")
    model = vae.model(vae.config(shape=(1, 28, 28), latent_dim=2, width=8))
    test = data.open("digits", "test")
    found = genzoo.evaluate(model, data="digits", metrics="elbo", seed=5).scores[0]
    (x,) = (test.batch(range(len(test))),)
    parts = [model.log_prob(x[i : i + 250], seed=5 + i) for i in range(0, len(x), 250)]
    assert found.parts == pytest.approx(-torch.cat(parts).double().numpy(), rel=1e-6)
    assert found.protocol["unit"] == "nats an image"
    assert "continuum" in found.protocol["levels"]


class Coin(genzoo.Density):
    """Each pixel is its top level with probability 0.9, else each other level alike."""

    likelihood_kind, value_range, shape = "exact", (0.0, 1.0), (1, 28, 28)

    def __init__(self, levels):
        super().__init__(None)
        self.levels = levels

    def log_weight(self, x, labels, noise):
        top = (x == 1).flatten(1).double()
        return (top * math.log(0.9) + (1 - top) * math.log(0.1 / (self.levels - 1))).sum(1)


def test_grey_images_are_binarised_at_random_for_a_model_of_two_values():
    """The expected value of a draw is linear in the grey value; rounding would be 6 nats off."""
    x = data.open("digits", "test").batch(range(297)).double()
    expected = -(x * math.log(0.9) + (1 - x) * math.log(0.1)).flatten(1).sum(1).numpy()
    rounded = -(x.round() * math.log(0.9) + (1 - x.round()) * math.log(0.1)).sum(0).sum()
    found, again, other = (
        genzoo.evaluate(Coin(2), data="digits", metrics="nll", seed=seed).scores[0]
        for seed in (0, 0, 1)
    )
    assert found.value == pytest.approx(expected.mean(), abs=3)
    assert abs(rounded / 297 - expected.mean()) > 5
    assert np.array_equal(found.parts, again.parts)
    assert not np.array_equal(found.parts, other.parts)
    assert found.protocol["pixels"] == "stochastic binarisation, drawn by the seed"
    assert found.protocol["seed"] == 0


@pytest.mark.parametrize("levels", [2, 3, 16, 256])
def test_a_drawn_pixel_is_one_of_two_levels_and_keeps_its_mean(levels):
    x = torch.rand(1, 1, 3, 4).expand(2000, 1, 3, 4)
    drawn, is_drawn = likelihood_metrics.on_levels(x, levels, 7, range(2000))
    steps = drawn * (levels - 1)
    assert is_drawn
    assert (steps - steps.round()).abs().max() < 1e-4
    assert (drawn - x).abs().max() <= 1 / (levels - 1) + 1e-6
    assert (drawn.mean(0) - x[0]).abs().max() < 0.05 / (levels - 1)


@pytest.mark.parametrize(("levels", "of"), [(2, 2), (3, 3), (3, 2), (16, 4), (256, 256), (256, 2)])
def test_a_pixel_on_a_level_stays(levels, of):
    x = (torch.arange(of) / (of - 1)).view(1, 1, -1, 1).expand(50, 1, of, 7)
    found, drawn = likelihood_metrics.on_levels(x, levels, 0, range(50))
    assert not drawn
    torch.testing.assert_close(found, x)
    assert likelihood_metrics.on_levels(x, None, 0, range(50)) == (x, False)


def test_the_draw_of_an_image_depends_on_the_seed_and_its_row():
    x = torch.rand(9, 1, 5, 5)
    whole, _ = likelihood_metrics.on_levels(x, 2, 3, np.arange(10, 19))
    part, _ = likelihood_metrics.on_levels(x[4:6], 2, 3, [14, 15])
    assert torch.equal(whole[4:6], part)


def test_images_of_the_models_levels_have_no_law_in_the_protocol():
    found = genzoo.evaluate(Coin(256), data="digits", metrics="nll", n=9).scores[0]
    assert "pixels" not in found.protocol


def halves(images):
    order = np.random.RandomState(1).permutation(len(images))
    return np.array_split(order, 2)


def test_no_training_image_chooses_parzens_width(monkeypatch):
    """Each half of the test images has the width that fits the other one; all are counted."""
    maker = families.get("gan")
    torch.manual_seed(0)
    model = maker.model(maker.config(generator_units=8))
    images = data.open("digits", "test").batch(range(297)).flatten(1).double().numpy()
    monkeypatch.setattr(likelihood_metrics.Parzen, "floor", lambda self: None)
    opened, own = [], RealData.open
    monkeypatch.setattr(RealData, "open", lambda self, part: opened.append(part) or own(self, part))
    score = genzoo.evaluate(model, data="digits", metrics="parzen", n=50).scores[0]
    assert {*opened} == {"test"}
    samples = torch.cat(list(subjects.ModelSubject("m", model).stream(50, 0))).flatten(1).numpy()
    one, other = halves(images)
    for half, chooser in ((one, other), (other, one)):
        sigma = parzen.bandwidth(samples, images[chooser]).sigma
        assert score.parts[half] == pytest.approx(parzen.parzen(samples, images[half], sigma))
    assert len(score.parts) == 297
    assert score.protocol["sigma"].endswith("on 148 test images of the other half")


@pytest.mark.parametrize("n", [None, 80])
def test_the_floor_of_parzen_is_of_as_many_training_images(n):
    """The value rises with their number."""
    train, test = (data.open("digits", split) for split in ("train", "test"))
    rows = np.random.RandomState(1).permutation(len(train))[:n]
    windows = train.batch(rows).flatten(1).numpy()
    images = test.batch(range(len(test))).flatten(1).numpy()
    nats = []
    for half, chooser in (halves(images), halves(images)[::-1]):
        sigma = parzen.bandwidth(windows, images[chooser]).sigma
        nats += [*parzen.parzen(windows, images[half], sigma)]
    (metric,) = registry.create(["parzen"], RealData("digits"))
    if n:
        stream = lambda count, seed: [torch.rand(count, *test.shape)]  # noqa: E731
        metric.estimate(SimpleNamespace(stream=stream, protocol=lambda seed: {}), n, 0)
    assert metric.floor() == pytest.approx(np.mean(nats))


@pytest.mark.parametrize(
    ("model", "metric", "said"),
    [
        ("vae-mnist", "nll", "kind bound, use elbo or iwae"),
        ("vae-mnist", "nll_estimate", "kind bound, use elbo or iwae"),
        ("dcgan-mnist", "elbo", "no likelihood; parzen"),
        ("dcgan-mnist", "label_accuracy", "not class-conditional"),
        ("pixelcnn-mnist", "probe", "no discriminator; and it has no encoder"),
        ("vae-mnist", "translation_accuracy", "does not translate"),
        ("vae-celeba", "class_score", "not classes"),
    ],
)
def test_a_metric_says_which_ability_is_missing(model, metric, said):
    with pytest.raises(BadInput, match=said):
        genzoo.evaluate(model, metrics=metric, n=1280, device="cpu")


def test_a_conditional_model_draws_what_it_is_asked_for():
    labels, variety = genzoo.evaluate(
        "cgan-mnist", metrics="label_accuracy,intra_class_diversity", n=500, device="cpu"
    ).scores
    assert labels.value > 95
    assert labels.floor > 99
    assert 0.7 < variety.value < 1.2
    with pytest.raises(BadInput, match="label_accuracy-mnist is a metric of models, but images:"):
        genzoo.evaluate(f"images:{Path(__file__).parents[1] / 'docs/pictures'}", data="mnist",
                        metrics="label_accuracy", size=28, channels=1)  # fmt: skip


def test_a_classifier_of_other_data_is_judged_by_their_labels():
    """MNIST's takes most of scikit-learn's digits for an 8: what it reaches is counted by hand."""
    metric, test = LabelAccuracy(RealData("digits", "mnist")), data.open("digits", "test")
    read = metric.real.features.logits(metric.real.features(test.batch(range(297)))).argmax(1)
    right = sum(int(a == b) for a, b in zip(read, test.labels, strict=True))
    assert metric.floor() == pytest.approx(100 * right / 297)
    assert right < 200
    assert LabelAccuracy(RealData("mnist")).floor() > 99


def test_one_picture_for_each_class_has_no_variety():
    class Parrot(genzoo.Sampler):
        shape, num_classes, value_range = (1, 28, 28), 10, (0.0, 1.0)

        def __init__(self):
            super().__init__(None)
            test = data.open("digits", "test")
            first = [int((test.labels == k).argmax()) for k in range(10)]
            self.register_buffer("shown", test.batch(first))

        def generate(self, noise, labels, sampling):
            return self.shown[labels]

    variety, memorised = genzoo.evaluate(
        Parrot(),
        data="digits",
        features="mnist",
        metrics="intra_class_diversity,nearest_train_pixels",
        n=400,
    ).scores
    assert variety.value == pytest.approx(0, abs=1e-5)
    assert memorised.value > 0.5


def test_what_was_learnt_by_heart_is_found():
    """Training images themselves, and held-out ones in their place."""
    for split, near in (("train", True), ("test", False)):
        shown = subjects.DatasetSubject("shown", data.open("digits", split))
        real = RealData("digits", "mnist")
        wanted = registry.create(["nearest_train_features", "nearest_train_pixels"], real)
        for score in evaluate.measure(shown, wanted, 0, samples=200):
            assert (score.value < 0.1) == near
            assert (score.details["p-value"] < 1e-6) == near


def test_missed_classes_are_counted():
    """Of the classes' shares half are missing: KL is the logarithm of two."""
    metric = sample_metrics.ModeKL(RealData("mnist"))
    test = metric.real.reference.test
    even = test[metric.real.features.logits(test).argmax(1) % 2 == 0]
    found = metric.estimate(even)
    assert found.details == {"classes": 10, "classes hit": 5}
    assert found.parts.mean() == pytest.approx(np.log(2), abs=0.05)
    assert metric.estimate(test).parts.mean() < 0.05


# ------------------------------------------------------------------------------ metrics by name


FLOORS = ["class_score", "mode_kl", "precision", "recall", "density", "coverage"]


@pytest.mark.parametrize("kind", FLOORS)
def test_a_floor_is_what_as_many_real_images_get(kind):
    """Real images in the place of samples, group by group: bias depends on a group's size."""
    (metric,) = registry.create([kind], RealData("mnist"))
    test = metric.real.reference.test  # 2,000
    for n in (2000, 10_000):
        size = n // min(10, n // 500 if kind == "mode_kl" else 10)
        groups = [test[i : i + size] for i in range(0, 2000, size)]
        # Ten times the same group in the place of n samples: every part is that group's.
        again = [np.tile(g, (n // size, 1)) for g in groups]
        by_hand = np.mean([metric.estimate(g).parts.mean() for g in again])
        assert metric.floor(n) == pytest.approx(by_hand, rel=1e-6)
    assert metric.floor(30_000) is None, "3,000 images of each group are not kept"


def test_a_name_is_a_kind_with_or_without_what_it_is_of():
    real = RealData("digits", "mnist")
    named = registry.create(["fd", "fd-mnist", "nll", "nll-digits", "sharpness-digits"], real)
    assert [metric.name for metric in named] == ["fd-mnist", "nll-digits", "sharpness-digits"]
    assert registry.create(["fd-fashion-mnist"], real)[0].name == "fd-fashion-mnist"
    with pytest.raises(UnknownName, match="did you mean fd-mnist"):
        registry.create(["fd-minst"], real)
    with pytest.raises(BadInput, match="empty"):
        registry.create([""], real)


def test_every_metric_that_was_renamed_says_its_new_name():
    assert {*migrate.METRICS.values()} <= {*registry.names()}
    for old, new in migrate.METRICS.items():
        with pytest.raises(UnknownName, match=f"'{new}-mnist'"):
            registry.create([f"{old}-mnist"], RealData("mnist"))


def test_what_the_field_calls_them_is_in_the_features_of_the_field():
    names = [
        m.name
        for m in registry.create(["fid", "kid", "is", "precision-inception"], RealData("mnist"))
    ]
    assert names == ["fid", "kid", "is", "precision-inception"]


class Brightness(metric_interface.SampleMetric):
    """A third party's metric: how bright, as a share of the real images' brightness."""

    id, goal, about, min_samples = (
        "brightness",
        "near_one",
        "mean of the pixels, real images = 1",
        4,
    )
    api = 2

    @property
    def name(self):
        return f"brightness-{self.real.data}"

    @property
    def extract(self):
        return _brightness

    def conditions(self):
        return {"data": self.real.data}

    def estimate(self, features):
        real = self.real.open("train").array.mean() / 255
        return scoring.Estimates(
            np.array([part.mean() / real for part in np.array_split(features, 4)])
        )

    def floor(self, n):
        return None


def _brightness(x):
    return x.flatten(1).mean(1).numpy()


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """``Brightness`` as a distribution of its own brings it."""
    home = tmp_path / "site"
    meta = home / "made_metric-1.0.dist-info"
    meta.mkdir(parents=True)
    code = "import genzoo\nfrom test_evaluating_metric import Brightness\n"
    code += "@genzoo.hookimpl\ndef genzoo_metric():\n    return Brightness\n"
    (home / "made_metric.py").write_text(code)
    meta.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: made-metric\nVersion: 1.0\n")
    meta.joinpath("entry_points.txt").write_text("[genzoo.metrics]\nbrightness = made_metric\n")
    module = type(sys)("test_evaluating_metric")
    module.Brightness = Brightness
    monkeypatch.setitem(sys.modules, "test_evaluating_metric", module)
    monkeypatch.syspath_prepend(home)
    plugin_registry._load.cache_clear()
    yield
    plugin_registry._load.cache_clear()
    sys.modules.pop("made_metric", None)


def test_a_plugins_metric_goes_everywhere_ours_go(plugin, capsys, tmp_path):
    assert "brightness" in registry.names()
    told = {"data": "digits", "features": "mnist", "n": 1280, "device": "cpu"}
    (score,) = genzoo.evaluate("dcgan-mnist", metrics="brightness", **told).scores
    assert score.metric == "brightness-digits"
    del told["features"]  # it asks for none
    (again,) = genzoo.evaluate("dcgan-mnist", metrics="brightness", **told).scores
    assert again.value == score.value
    told["features"] = "mnist"
    both = genzoo.compare("vae-mnist", "dcgan-mnist", metrics="brightness,fd", **told)
    assert both.scores["brightness-digits"][1].value == score.value
    assert cli.run(["list", "metrics"]) == 0
    assert "mean of the pixels" in capsys.readouterr().out


def test_a_plugin_that_hands_over_something_else_is_named(plugin, monkeypatch):
    monkeypatch.setattr(sys.modules["test_evaluating_metric"], "Brightness", int)
    with pytest.raises(OperationFailed, match=r"plugin made-metric .* must return a SampleMetric"):
        registry.create(["brightness"], RealData("mnist"))


@pytest.mark.parametrize(
    ("part", "broken", "said"),
    [
        ("estimate", lambda *_: 1 / 0, "brightness-digits failed in .*: ZeroDivisionError"),
        ("estimate", lambda *_: None, r"brightness-digits: estimate .* parts \(k,\)"),
        ("floor", lambda *_: {}[0], "brightness-digits failed in .*: KeyError: 0"),
        ("conditions", lambda *_: [][0], "brightness-digits failed in .*: IndexError"),
        (
            "extract",
            property(lambda _: lambda x: x.sum()),
            r"extract must return an array \(40, ...\)",
        ),
        ("extract", property(lambda _: lambda x: x @ 1), "failed in .*: TypeError"),
        ("floor", lambda *_: float("nan"), "floor must .*, got nan"),
        ("floor", lambda *_: "hi", "floor must .*, got 'hi'"),
        ("goal", "best", "goal must be one of lower, higher, near_one, got 'best'"),
        ("min_samples", None, "min_samples must be a whole number, got None"),
        ("conditions", lambda *_: 5, "conditions must be a dict of JSON values, got 5"),
        ("conditions", lambda *_: {"a": {1}}, "conditions must be a dict"),
        ("conditions", lambda *_: {"samples": 1}, "protocol keys: samples"),
        ("estimate", lambda *_: scoring.Estimates(np.ones(4), {"seed": 3}), "protocol keys: seed"),
        ("estimate", lambda *_: scoring.Estimates(np.array(["a"])), "estimate must return"),
        ("estimate", lambda *_: scoring.Estimates(np.ones(4) * 1j), "estimate must return"),
        (
            "estimate",
            lambda *_: scoring.Estimates(np.ones(4), {}, {"d": {1}}),
            "details must be a dict",
        ),
    ],
)
def test_a_metric_that_breaks_down_is_named(plugin, monkeypatch, part, broken, said):
    monkeypatch.setattr(Brightness, part, broken)
    with pytest.raises(OperationFailed, match=said):
        genzoo.evaluate("gan-mnist", data="digits", metrics="brightness", n=40, device="cpu")


# ---------------------------------------------------------------------------------- what it refuses


def test_bad_input_is_told_in_a_line(tmp_path, wide):
    few, empty = pictures(tmp_path / "few", 1), tmp_path / "empty"
    empty.mkdir()
    colour = pictures(tmp_path / "colour", 50, size=32, mode="RGB")
    wrong = {
        ("no images in", f"images:{empty}"): {"data": "mnist"},
        ("no such folder", f"images:{tmp_path / 'none'}"): {"data": "mnist"},
        ("at least 1,280 samples, got 1", f"images:{few}"): {"data": "mnist"},
        ("with data=", f"images:{few}"): {},
        ("samples are 3x32x32, but mnist is 1x28x28: size=28 and channels=1", f"images:{colour}"): {
            "data": "mnist", "metrics": "kd",
        },
        ("at least 40 samples, got 39: n=40$", "dcgan-mnist"): {"metrics": "sharpness", "n": 39},
        ("no model is called 'nobody'", "nobody"): {},
        ("no data set is called 'nowhere'", "dcgan-mnist"): {"data": "nowhere", "features": "mnist",
                                                             "metrics": "fd"},
        ("no classifier for digits", "dcgan-mnist"): {"data": "digits"},
        ("no data set is called 'nowhere'", "gan-mnist"): {"data": "nowhere", "metrics": "fd"},
        ("./none", "gan-mnist"): {"data": "./none", "metrics": "fd"},
        ("images: needs a folder", "images:"): {"data": "mnist"},
        ("'abacus'", f"images:{few}"): {"data": "mnist",
                                                                "device": "abacus"},
        ("empty metric name", "gan-mnist"): {"metrics": "fd,,kd"},
        ("metrics must be", "gan-mnist"): {"metrics": [1]},
        ("features must be", "gan-mnist"): {"features": wide.__class__},
        ("n must be a whole number or None, got '40'", "gan-mnist"): {"n": "40"},
        ("n must be a whole number of at least 2, got 0", "gan-mnist"): {"n": 0},
        ("groups must be a whole number of at least 1, got 0", "gan-mnist"): {"groups": 0},
        ("limit must be a whole number of at least 2, got 0", "gan-mnist"): {"limit": 0},
        ("mnist:3,mnist:4 is two domains.* data='mnist:4'", "gan-mnist"): {
            "data": "mnist:3,mnist:4", "metrics": "sharpness",
        },
        ("50 images, got n 90", f"images:{colour}"): {
            "data": "mnist", "metrics": "sharpness", "n": 90, "size": 28, "channels": 1,
        },
    }  # fmt: skip
    for (said, subject), told in wrong.items():
        with pytest.raises((BadInput, UnknownName), match=said.replace("(", r"\(")):
            genzoo.evaluate(subject, **{"device": "cpu", **told})


def test_images_are_no_model():
    for command in (["compare", "gan-mnist", "images:mine"], ["verify", "images:mine"]):
        assert cli.run(command) == 2
    with pytest.raises(BadInput, match="images:mine"):
        genzoo.load("images:mine")


def test_features_that_see_no_difference_are_refused(tmp_path, wide, monkeypatch):
    monkeypatch.setattr(Wide, "forward", lambda _, x: torch.ones(len(x), 4))
    folder = pictures(tmp_path / "some", 30)
    with pytest.raises(BadInput, match="the same for all images"):
        genzoo.evaluate(f"images:{folder}", data=f"images:{folder}", metrics="fd", features=wide)


def test_one_real_image_is_no_reference(tmp_path, wide):
    one, some = pictures(tmp_path / "one", 1), pictures(tmp_path / "some", 30)
    with pytest.raises(BadInput, match="too few images, 1:"):
        genzoo.evaluate(f"images:{some}", data=f"images:{one}", metrics="fd", features=wide)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no_such_module:net", "No module named 'no_such_module'"),
        ("made_features:nothing", "has no attribute 'nothing'"),
        ("made_features:number", "got an int"),
        ("made_features:crooked", r"must return a tensor \(40, d\)"),
        ("made_features:quits", r"failed on samples .*: SystemExit: 5"),
        ("made_features:complex", r"got \(40, 4\) of complex64"),
    ],
)
def test_features_that_cannot_be_had_are_told_in_a_line(path, said, wide, tmp_path):
    folder = pictures(tmp_path / "made", 40)
    with pytest.raises((BadInput, OperationFailed), match=said):
        genzoo.evaluate(f"images:{folder}", data=f"images:{folder}", metrics="fd", features=path)


@pytest.mark.parametrize("metric", ["sharpness", "label_accuracy"])
def test_a_model_that_draws_no_numbers_is_named(metric):
    class Broken(genzoo.Sampler):
        shape, value_range, num_classes = (1, 28, 28), None, 10

        def generate(self, noise, labels, sampling):
            x = noise.uniform(*self.shape)
            x[3, 0, 5, 5] = float("nan")
            return x

    with pytest.raises(OperationFailed, match=r"Broken .* not finite: .* \(0, 3\)"):
        genzoo.evaluate(Broken(None), data="mnist", metrics=metric, n=40)
    with pytest.raises(BadInput, match="NaN"):
        sample_metrics.Sharpness(RealData("mnist"))(torch.full((40, 1, 28, 28), torch.nan))


def test_points_are_no_images(conditional):
    with pytest.raises(
        BadInput, match="is of points, but mnist holds images: give a data set of points"
    ):
        genzoo.evaluate(conditional, data="mnist", metrics="sharpness", n=40)


def test_few_samples_of_wide_features_warn(tmp_path, wide, monkeypatch, caplog):
    monkeypatch.setattr(sample_metrics, "NARROW", 2)
    folder = pictures(tmp_path / "made", 10)
    told = {"data": f"images:{folder}", "features": wide}
    genzoo.evaluate(f"images:{folder}", metrics="fd", n=5, **told)
    assert "at least 6 samples" in caplog.text
    assert "kd-Wide" in caplog.text
    caplog.clear()
    genzoo.evaluate(f"images:{folder}", metrics="fd", n=10, **told)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


# ------------------------------------------------------------------------------------ command line


def test_the_command_prints_a_table_and_protocols(capsys):
    assert cli.run(["evaluate", "dcgan-mnist", "--metrics", "sharpness", "-n", "80"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("dcgan-mnist on mnist\n")
    assert "sharpness-mnist: samples 80, seed 0, pixels 8 bits, parts 40" in out


def test_the_command_prints_json(capsys):
    line = ["evaluate", "dcgan-mnist", "--metrics", "sharpness,kd", "-n", "1000", "--json"]
    assert cli.run(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in told["scores"]] == ["sharpness-mnist", "kd-mnist"]
    assert set(told) == {"genzoo", "name", "data", "scores"}


def test_interrupted_half_way_it_leaves_nothing(tmp_path, monkeypatch, capsys, wide):
    folder = pictures(tmp_path / "made", 600)
    calls = []

    def stop(self, x):
        calls.append(len(x))
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return x.mean((2, 3)).numpy()

    monkeypatch.setattr(classifiers.CustomFeatures, "__call__", stop)
    told = [f"images:{folder}", "--data", f"images:{folder}", "--metrics", "fd", "--features", wide]
    assert cli.run(["evaluate", *told]) == 130
    assert not [*(tmp_path / "home").glob("references/*")]
    assert capsys.readouterr().out == ""


def test_nothing_is_measured_twice(monkeypatch):
    """One pass over the samples, and one look at each, serve all metrics of the same features."""
    looks = []
    seen = classifiers.DatasetClassifier.__call__
    monkeypatch.setattr(
        classifiers.DatasetClassifier,
        "__call__",
        lambda self, x: looks.append(len(x)) or seen(self, x),
    )
    genzoo.evaluate("dcgan-mnist", metrics="fd,kd,recall,class_score", n=1280, device="cpu")
    assert sum(looks) == 1280


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"groups": 3}, "groups="),
        ({"limit": 50}, "limit="),
        ({"features": "mnist"}, "features="),
        ({"groups": 3, "limit": 50}, "groups= and limit="),
    ],
)
def test_an_argument_that_no_metric_reads_is_refused(given, option, monkeypatch):
    """Before the measurement: a likelihood draws no samples, and compares with no reference."""
    monkeypatch.setattr(metric_interface.ModelMetric, "score", None)
    with pytest.raises(BadInput, match=f"^{option} would have no effect on elbo-digits: leave it"):
        evaluate.evaluate("vae-mnist", data="digits", metrics="elbo", n=4, **given)
    says = "features= would have no effect on elbo-digits: leave it out"
    with pytest.raises(BadInput, match=says):
        genzoo.compare(
            "vae-mnist", "vae-mnist-binarized", data="digits", metrics="elbo", features="mnist"
        )


@pytest.mark.parametrize(
    ("metrics", "given"),
    [
        ("kd,class_score,mode_kl,confident", {"groups": 3}),
        ("nearest_train_features,label_accuracy", {"limit": 50}),
        ("sharpness,nearest_train_pixels,nll_estimate", {"features": "mnist"}),
    ],
)
def test_each_metric_says_itself_what_it_reads(metrics, given):
    """That it was looked at, for a check or a protocol, is not enough."""
    real = RealData("digits", **{"features": "mnist", **given})
    chosen = registry.create(metrics.split(","), real)
    _ = real.features, real.reference
    (name,) = given
    for metric in chosen:
        with pytest.raises(BadInput, match=f"^{name}= would have no effect on {metric.name}"):
            unread.refuse_unread([metric], given)


def test_two_domains_depend_on_the_form_of_their_images():
    (metric,) = registry.create(["translation_accuracy"], RealData("digits:3,digits:7", size=28))
    assert unread.unread_arguments([metric], {"size": 28}) == ["size"]
    assert metric.real.domain(0, "test").shape == (1, 28, 28)
    assert unread.unread_arguments([metric], {"size": 28}) == []


def test_settings_that_no_metric_reads_are_named(caplog):
    sampling = {"truncation": 0.5}
    evaluate.evaluate("vae-mnist", data="digits", metrics="elbo", n=4, sampling=sampling)
    assert "sampling= has no effect on elbo-digits: leave it out" in caplog.text


def test_an_argument_that_a_metric_reads_is_not_named(caplog):
    given = {"groups": 2, "limit": 300, "features": "mnist", "sampling": {"truncation": 2.0}}
    evaluate.evaluate("vae-mnist", data="digits", metrics="recall", n=1000, **given)
    assert "has no effect" not in caplog.text
