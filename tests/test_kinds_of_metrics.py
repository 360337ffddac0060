"""Metrics of signals and of points: their features, distances, and what is refused."""

import shutil
import sys

import numpy as np
import pytest
import torch

import genzoo
from genzoo import data, families
from genzoo.errors import BadInput, OperationFailed
from genzoo.evaluation import truncate
from genzoo.features.direct import Coordinates, LogMel
from genzoo.metrics import registry
from genzoo.metrics.real_data import RealData, random_rows
from genzoo.metrics.statistics.distances import energies
from genzoo.models.randomness import Noise


class Strings(genzoo.Latent):
    """Fading tones, louder or softer."""

    kind, shape, value_range, latent_dim, rate = "signals", (1, 512), (-1.0, 1.0), 2, 8000
    volume = 0.5

    def decode(self, code, labels=None):
        t = torch.arange(512) / 8000
        pitch = 180 + 40 * code[:, :1]
        wave = torch.sin(2 * torch.pi * pitch * t) * torch.exp(-8 * t)
        return self.volume * wave[:, None]


class Cloud(genzoo.Latent):
    """A Gaussian with the mean and the covariance of ring8."""

    kind, shape, value_range, latent_dim = "points", (2,), None, 2

    def decode(self, code, labels=None):
        return code * (2 + 0.02**2) ** 0.5


class Ring(Cloud):
    """Nearly ring8: points on a circle of radius 2 in its eight directions."""

    def decode(self, code, labels=None):
        angle = torch.atan2(code[:, 1], code[:, 0]) / (torch.pi / 4)
        place = angle.round() * torch.pi / 4
        jitter = 0.02 * torch.stack([code.sum(1), code[:, 0] - code[:, 1]], 1) / 2**0.5
        return 2 * torch.stack([place.cos(), place.sin()], 1) + jitter


@pytest.fixture
def audio():
    return pytest.importorskip("torchaudio")


# ------------------------------------------------------------------------------- energy distance


def test_energy_distance_is_that_of_all_pairs():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(7, 3)), 5 + random.normal(size=(9, 3))

    def length(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=2).sum()

    naive = 2 * length(x, y) / 63 - length(x, x) / 42 - length(y, y) / 72
    assert energies(x[None], y) == pytest.approx([naive], rel=1e-6)
    assert energies(x[None] + 1e4, y + 1e4) == pytest.approx([naive], rel=1e-4)


def test_energy_distance_is_unbiased():
    random = np.random.default_rng(0)
    values = energies(random.normal(size=(200, 20, 2)), random.normal(size=(2000, 2)))
    assert abs(values.mean()) < 4 * values.std() / 200**0.5
    assert (values < 0).any()


def test_one_row_has_no_energy_distance():
    with pytest.raises(BadInput, match="at least 2 features on each side, got 1"):
        energies(np.zeros((1, 1, 2)), np.zeros((5, 2)))


# ----------------------------------------------------------------------------------------- points


def test_energy_sees_what_mean_and_covariance_do_not():
    cloud, ring = (genzoo.evaluate(m, data="ring8", n=4000) for m in (Cloud(None), Ring(None)))
    assert [s.metric for s in ring.scores] == [
        "energy-coordinates", "precision-coordinates", "recall-coordinates",
    ]  # fmt: skip
    energy, precision, _ = ring.scores
    assert energy.value < cloud.scores[0].value / 20
    assert energy.floor < 0.01
    assert precision.value > 0.5 > cloud.scores[1].value
    assert energy.protocol["real"] == "50,000 training points"
    assert "pixels" not in energy.protocol
    (frechet,) = genzoo.evaluate(Cloud(None), data="ring8", n=4000, metrics="fd").scores
    assert frechet.value < 0.1


def test_points_are_their_own_features():
    x = torch.randn(5, 2)
    assert np.array_equal(Coordinates()(x), x.numpy())
    with pytest.raises(BadInput, match=r"got \(1, 1, 2, 2\)"):
        Coordinates()(torch.zeros(1, 1, 2, 2))


# ---------------------------------------------------------------------------------------- signals


def test_log_mel_statistics_say_what_is_heard_when(audio):
    features = LogMel(8000)
    x = torch.from_numpy(data.open("plucked").array[:20].copy())
    whole = features(x)
    assert whole.shape == (20, 128)
    assert whole.dtype == np.float32
    assert np.allclose(whole, np.concatenate([features(part) for part in x.split(7)]), atol=1e-5)
    early, late = whole[:, :32], whole[:, 64:96]
    assert (early.mean(1) > late.mean(1)).all(), "a string fades"
    backwards = features(x.flip(2))
    assert (backwards[:, :32].mean(1) < backwards[:, 64:96].mean(1)).all()
    louder = features(2 * x)[:, :96] - whole[:, :96]
    assert louder.max() == pytest.approx(np.log10(4), abs=0.01), "power rises with the square"


@pytest.mark.parametrize("rate", [1000, 8000, 44100, 96000])
@pytest.mark.parametrize("length", [1, 100, 5000])
def test_any_rate_and_length_have_features(audio, rate, length):
    features = LogMel(rate)(torch.zeros(2, 3, length))
    assert features.shape == (2, 3 * 128)
    assert np.isfinite(features).all()


def test_without_torchaudio_it_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio.transforms", None)
    with pytest.raises(OperationFailed, match='pip install "torchaudio>=') as caught:
        genzoo.evaluate(Strings(None), data="plucked", n=2000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["fd", "kd", "precision", "recall"])
def test_distances_of_signals_rise_with_damage(audio, name):
    (metric,) = registry.create([name], RealData("plucked", groups=1))
    x = torch.from_numpy(data.open("plucked").array[:1000].copy())
    noise = Noise(0, range(1000), "noise").normal(1, 2048)
    damaged = {
        "less": (x + 0.002 * noise).clamp(-1, 1),
        "more": (x + 0.05 * noise).clamp(-1, 1),
        "backwards": x.flip(2),
        "muffled": (x + x.roll(1, 2) + x.roll(2, 2)) / 3,
    }
    scores = {how: metric(y).value for how, y in {"intact": x, **damaged}.items()}
    scores = {how: -v if metric.goal == "higher" else v for how, v in scores.items()}
    assert scores["intact"] < scores["less"] < scores["more"]
    assert scores["intact"] < min(scores["backwards"], scores["muffled"])


def test_noise_that_nobody_hears_costs_little_recall(audio):
    (metric,) = registry.create(["recall"], RealData("plucked", groups=1))
    x = torch.from_numpy(data.open("plucked", "test").array[:1000].copy())
    hiss = 0.01 * Noise(0, range(len(x)), "noise").normal(1, 2048)
    assert metric((x + hiss).clamp(-1, 1)).value > 0.9 * metric(x).value


def test_a_model_of_signals_is_measured_as_one_of_images_is(audio):
    found = genzoo.evaluate(Strings(None), data="plucked", n=1500)
    assert [score.metric for score in found.scores] == [
        f"{name}-logmel" for name in ("fd", "kd", "precision", "recall")
    ]
    frechet = found.scores[0]
    assert frechet.floor < frechet.value / 20
    assert frechet.protocol["amplitudes"] == "16 bits"
    form = {key: frechet.protocol[key] for key in ("length", "rate", "channels")}
    assert form == {"length": 512, "rate": 8000, "channels": 1}
    assert frechet.protocol["real"] == "4,000 training signals"
    again = genzoo.evaluate(Strings(None), **{**found.request, "metrics": "fd"})
    assert again.scores[0].value == frechet.value


def test_real_signals_are_opened_in_the_models_form(audio):
    class Slow(Strings):
        rate = 4000

    scores = [
        genzoo.evaluate(m(None), data="plucked", n=1500, metrics="fd") for m in (Strings, Slow)
    ]
    assert scores[1].scores[0].protocol["rate"] == 4000
    assert scores[0].scores[0].value != scores[1].scores[0].value


def test_truncation_of_a_model_of_signals_is_measured(audio):
    asked = {"data": "plucked", "n": 1000, "device": "cpu"}
    curve = truncate(Strings(None), [0.5], metrics="precision", **asked)
    (score,) = curve.scores["precision-logmel"]
    (same,) = genzoo.evaluate(
        Strings(None), sampling=score.sampling, metrics="precision", **asked
    ).scores
    assert (score.value, score.protocol) == (same.value, same.protocol)


def test_too_few_real_samples_are_named_by_their_kind():
    with pytest.raises(BadInput, match=r"has 1,000 signals: n must be 2 to 1,000, got 5,000"):
        random_rows(data.open("plucked", "test"), 5000, 0)


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (Strings, {"data": "digits"}, "of signals, but digits holds images: give .* of signals"),
        (Cloud, {"data": "tones"}, "of points, but tones holds signals: give .* of points"),
        (Cloud, {"data": "gaussian1d"}, "its samples are 2, but gaussian1d is 1"),
        (
            Strings,
            {"data": "tones", "metrics": "fid"},
            "fid measures images, .* metrics= and features= out",
        ),
        (Strings, {"data": "tones", "features": "mnist"}, "fd-mnist measures images"),
        (Strings, {"data": "tones", "metrics": "sharpness"}, "sharpness-tones measures images"),
        (Strings, {"data": "tones", "metrics": "energy-coordinates"}, "measures points"),
        (Cloud, {"data": "ring8", "metrics": "fd-logmel"}, "measures signals"),
        (Strings, {"data": "tones", "metrics": "nll"}, "a Strings has no likelihood$"),
        (Strings, {"data": "tones", "metrics": "probe"}, "probe.* measures images"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_a_sample_is_drawn(
    model, options, says, monkeypatch
):
    monkeypatch.setattr(model, "stream", lambda *_, **__: pytest.fail("drew samples"))
    with pytest.raises(BadInput, match=says) as caught:
        genzoo.evaluate(model(None), **{"n": 2000, **options})
    assert "\n" not in str(caught.value)


def test_the_range_of_the_kind_is_checked():
    points = registry.create(["energy"], RealData("ring8"))[0]
    with pytest.raises(BadInput, match="takes points without NaN"):
        points(torch.full((600, 2), torch.nan))
    assert points(torch.randn(600, 2) * 100).value > 10
    signals = registry.create(["fd"], RealData("tones"))[0]
    with pytest.raises(BadInput, match=r"takes signals in \[-1, 1\]"):
        signals(torch.full((1300, 1, 2048), 1.5))


# ----------------------------------------------------------------------------------- comparisons


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of untrained models of each kind: a to d of signals, e and f of points."""
    folder = tmp_path_factory.mktemp("models")
    kinds = {
        "a": ("gan", {"shape": (1, 512)}, "plucked", 8000),
        "b": ("wgan-gp", {"shape": (1, 512)}, "plucked", 8000),
        "c": ("gan", {"shape": (1, 512)}, "tones", 4000),
        "d": ("gan", {"shape": (1, 256)}, "tones", 8000),
        "e": ("gan", {"shape": (2,)}, "ring8", None),
        "f": ("gan", {"shape": (1,)}, "gaussian1d", None),
        "g": ("gan", {"shape": (1, 9, 9)}, "mine", None),
        "h": ("gan", {"shape": (1, 28, 28)}, "others", None),
        "i": ("gan", {"shape": (1, 28, 28)}, "mine", None),
    }
    for seed, (name, (family, config, learned, rate)) in enumerate(kinds.items()):
        torch.manual_seed(seed)
        part = families.get(family)
        model = part.model(part.config(**config))
        model.rate = rate or model.rate
        genzoo.save(model, folder / name, family=family, data=learned)
    return folder


def test_models_of_signals_are_compared(models, audio, tmp_path):
    found = genzoo.compare(models / "a", models / "b", n=1300)
    assert found.data == "plucked"
    assert list(found.scores) == [f"{n}-logmel" for n in ("fd", "kd", "precision", "recall")]
    assert set(found.verdicts["fd-logmel"]) == {"better", "worse"}
    page = (found.save(tmp_path / "found") / "compare.html").read_text()
    assert page.count("data:audio/wav;base64,UklGR") == 2
    assert page.count("data:image/png;base64,") == 2
    assert "held-out real signals" in page
    assert "All signals are synthetic." in page
    assert (tmp_path / "found" / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_models_of_points_are_compared(models, tmp_path):
    torch.manual_seed(9)
    part = families.get("gan")
    genzoo.save(part.model(part.config(shape=(2,))), tmp_path / "e2", family="gan", data="ring8")
    found = genzoo.compare(models / "e", tmp_path / "e2", n=600)
    assert next(iter(found.scores)) == "energy-coordinates"
    page = (found.save(tmp_path / "found") / "compare.html").read_text()
    assert "audio" not in page
    assert "held-out real points" in page


@pytest.mark.parametrize(
    ("names", "options", "says"),
    [
        ("ae", {}, "a on plucked.*models of points and signals, which do not compare$"),
        ("ae", {"data": "plucked"}, "a is of signals, e of points: they do not compare"),
        ("ac", {}, r"a name or a folder of \.wav files"),
        ("ac", {"data": "plucked"}, "rate 8000 and .* rate 4000"),
        ("ad", {"data": "plucked"}, "length 512.* length 256"),
        ("ab", {"data": "digits"}, r"no classifier for 'digits': .* a folder of \.wav files"),
        ("ab", {"data": "mnist"}, "a is of signals, but mnist holds images"),
        ("ef", {}, "no data set that is known fits all"),
        (
            "gh",
            {},
            "known fits all: give one with data=, and features with features=",
        ),
        ("hi", {}, "choose the reference data with data=: fashion-mnist or mnist$"),
        ("hi", {"data": "digits"}, "no classifier for 'digits': choose .* fashion-mnist or mnist$"),
    ],
)
def test_a_comparison_never_advises_what_cannot_work(models, names, options, says):
    with pytest.raises(BadInput, match=says) as caught:
        genzoo.compare(*(models / name for name in names), n=600, **options)
    assert "\n" not in str(caught.value)


def test_scores_on_a_card_are_measured_again(models, tmp_path):
    shutil.copytree(models / "e", tmp_path / "e")
    genzoo.evaluate(tmp_path / "e", n=600).write()
    checks = [c for c in genzoo.verify(tmp_path / "e") if c.name != "fingerprint"]
    assert [check.state for check in checks] == ["ok"] * 3, checks
