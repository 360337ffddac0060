"""Metrics: what they see, how sure they are, and that they follow what eyes say."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import genzoo
from genzoo import data
from genzoo.errors import BadInput, UnknownName
from genzoo.features import classifiers, networks
from genzoo.metrics import real_data, registry, sample_metrics
from genzoo.metrics import score as scoring
from genzoo.metrics.real_data import RealData
from genzoo.metrics.score import Score, interval, verdict, verdicts
from genzoo.metrics.statistics.sharpness import sharpness
from genzoo.zoo import installed

NAMES = classifiers.names()


@pytest.fixture(scope="module")
def real():
    return RealData("mnist")


@pytest.fixture(scope="module")
def digits():
    """Digits of our own, as many as the distances take at least."""
    return genzoo.load("dcgan-mnist", device="cpu").sample(1280, seed=0, batch_size=256).tensor


def scored(parts, goal="lower", metric="fd-made", **protocol):
    parts = np.asarray(parts, dtype=np.float64)
    value = float(parts.mean())
    return Score(metric, value, interval(parts), None, goal, {"seed": 0, **protocol}, parts)


# --------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize("k", [5, 10, 40])
def test_an_interval_holds_the_mean_as_often_as_it_says(k):
    random, inside = np.random.default_rng(0), 0
    for _ in range(1000):
        low, high = interval(random.exponential(size=k) if k > 30 else random.normal(1, 1, k))
        inside += low < 1 < high
    assert 0.90 < inside / 1000 < 0.975


def test_one_part_has_no_interval():
    with pytest.raises(BadInput, match="two parts, got 1"):
        interval(np.ones(1))


# ---------------------------------------------------------------------------------------- verdicts


def test_pairs_decide_what_the_single_intervals_leave_open():
    """Parts that rise and fall together differ by far less than each varies."""
    common = np.random.default_rng(0).normal(0, 5, 10)
    one, other = scored(common + 20), scored(common + 21 + np.linspace(0, 0.1, 10))
    assert one.interval[1] > other.interval[0]
    assert (verdict(one, other), verdict(other, one)) == ("better", "worse")


def test_a_higher_goal_turns_the_verdict():
    one, other = ([1, 2, 3, 2, 1], [5, 6, 7, 6, 5.5])
    assert verdict(scored(one), scored(other)) == "better"
    assert verdict(scored(one, "higher"), scored(other, "higher")) == "worse"


@pytest.mark.parametrize(("one", "other"), [(0.5, 0.9), (1.6, 0.9), (1.6, 1.1), (0.5, 1.1)])
def test_the_nearer_to_one_is_better(one, other):
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 40))
    far, near = (scored(v + e, "near_one") for v, e in zip((one, other), noise, strict=True))
    assert (verdict(far, near), verdict(near, far)) == ("worse", "better")


def test_the_same_twice_cannot_be_told_apart():
    noise = np.random.default_rng(0).normal(3, 1, 10)
    assert verdict(scored(noise), scored(noise)) == "can't tell"


def test_of_three_the_best_is_better_only_if_the_others_are_worse():
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 10))
    low, middle, high = (scored(v + e) for v, e in zip((1, 2, 3), noise, strict=True))
    assert verdicts([middle, low, high]) == ["worse", "better", "worse"]
    close = scored(noise[1] + 1.01)
    assert verdicts([close, high, low]) == ["can't tell", "worse", "can't tell"]


def test_unlike_protocols_are_not_ranked():
    parts = [1, 2, 3]
    with pytest.raises(BadInput, match="seed"):
        verdict(scored(parts), scored(parts, seed=1))
    with pytest.raises(BadInput, match="pixels"):
        verdict(scored(parts), scored(parts, pixels="8 bits"))
    with pytest.raises(BadInput, match="kd-made"):
        verdict(scored(parts), scored(parts, metric="kd-made"))


# ---------------------------------------------------------------------------------------- features


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_says_what_it_is_and_is_small(name):
    found, classifier = RealData(name).reference, real_data.load_features(name)
    facts = classifier.facts
    seen = len(facts["damage"]["kinds"]) + networks.CELLS**2 if "damage" in facts else 0
    seen += networks.PartsNetwork.OUTPUTS if "parts" in facts else 0
    width = networks.CONTENT + seen if seen else networks.WIDTH
    assert found.train.shape[1] == found.test.shape[1] == width
    assert found.moments.n > len(found.train)
    assert classifier.facts["accuracy"] > (0.99 if name == "mnist" else 0.85)
    assert sum(p.numel() for p in classifier.network.parameters()) * 2 < 1e6
    assert installed.features()[name].stat().st_size < 2.5e6


def test_digits_are_what_the_classifier_takes_them_for(real, digits):
    logits = torch.from_numpy(real.features.logits(real.features(digits[:500])))
    shares = logits.softmax(1).mean(0)
    assert shares.shape == (10,)
    assert shares.sum() == pytest.approx(1, abs=1e-4)
    assert shares.min() > 0.02


def test_features_do_not_depend_on_the_batch(real, digits):
    whole = real.features(digits[:300])
    assert np.allclose(whole[:7], real.features(digits[:7]), atol=1e-4)


def test_images_of_another_shape_are_refused(real):
    with pytest.raises(BadInput, match=r"\(n, 1, 28, 28\), got \(4, 3, 28, 28\)"):
        real.features(torch.zeros(4, 3, 28, 28))


def test_there_are_no_features_of_an_unknown_data_set():
    with pytest.raises(BadInput, match=r"digits .*mnist.*features="):
        _ = RealData("digits").features
    with pytest.raises(UnknownName, match="module:object"):
        real_data.load_features("imagenet")


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_a_reference_is_of_the_real_images(name):
    found, test = RealData(name).reference, data.open(name, "test")
    classifier = real_data.load_features(name)
    assert classifier.facts["data_sha256"]["test"] == test.sha256
    seen = classifier(test.batch(range(500)))
    rows = np.random.RandomState(0).permutation(len(test))[: len(found.test)]
    place = {int(r): i for i, r in enumerate(rows)}
    both = [(seen[r], found.test[place[r]]) for r in range(500) if r in place]
    assert both
    for mine, theirs in both:
        assert np.allclose(mine, theirs, rtol=0.01, atol=0.02)


# ----------------------------------------------------------------------------------------- metrics


def damaged(x, how, level):
    if how == "noise":
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
        return (x + level * noise).clamp(0, 1)
    kernel = torch.exp(-(torch.arange(-6, 7) ** 2) / (2 * level**2))
    kernel = (kernel / kernel.sum())[None, None]
    blurred = F.conv2d(x, kernel[..., None], padding=(6, 0))
    return F.conv2d(blurred, kernel[..., None, :], padding=(0, 6))


@pytest.mark.parametrize(("how", "levels"), [("noise", (0.1, 0.2, 0.4)), ("blur", (0.7, 1.2, 2))])
@pytest.mark.parametrize("kind", [sample_metrics.Frechet, sample_metrics.Kernel])
def test_distances_rise_with_damage(real, digits, kind, how, levels):
    metric = kind(real)
    found = [metric(x) for x in (digits, *(damaged(digits, how, v) for v in levels))]
    values = [score.value for score in found]
    assert values == sorted(values)
    assert verdict(found[0], found[-1]) == "better"


def test_one_model_under_two_seeds_is_seldom_told_apart(real):
    """One pair in twenty may be, as its intervals hold 95 %: of eight pairs, hardly three."""
    model = genzoo.load("vae-mnist", device="cpu")
    drawn = [model.sample(1280, seed=seed, batch_size=640).tensor for seed in range(16)]
    for metric in (
        sample_metrics.Frechet(real),
        sample_metrics.Kernel(real),
        sample_metrics.Sharpness(real),
    ):
        found = [metric(x) for x in drawn]
        told = [verdict(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
        assert told.count("can't tell") >= 6, metric.name


@pytest.mark.parametrize("kind", [sample_metrics.Frechet, sample_metrics.Kernel])
def test_the_floor_is_what_real_images_get(real, kind):
    """Below any model's value, and the distance of the test images themselves."""
    metric = kind(real)
    floor = metric.floor(1280)
    assert metric.score(real.reference.test[:1280]).value == pytest.approx(floor, rel=0.5)


def test_there_is_no_floor_where_a_group_needs_more_real_images_than_there_are(real):
    assert sample_metrics.Frechet(real).floor(10 * len(real.reference.test) + 10) is None


@pytest.mark.parametrize(
    "kind", [sample_metrics.Frechet, sample_metrics.Kernel, sample_metrics.Sharpness]
)
def test_too_few_samples_are_refused_with_the_least(real, kind):
    metric = kind(real)
    few = torch.zeros(metric.min_samples - 1, 1, 28, 28)
    with pytest.raises(
        BadInput, match=rf"at least {metric.min_samples:,} samples, got {len(few):,}"
    ):
        metric(few)


def test_a_score_says_under_which_protocol(real, digits):
    score = sample_metrics.Frechet(real)(digits, seed=0)
    assert score.metric == "fd-mnist"
    told = score.protocol
    assert (told["samples"], told["parts"], told["seed"]) == (1280, 10, 0)
    assert told["features_sha256"] == real.features.sha256
    assert score.record()["protocol"] == told


def test_an_unknown_metric_is_answered_with_the_nearest(real):
    with pytest.raises(UnknownName, match="fd-mnist"):
        registry.create(["fd-minst"], real)


def test_sharpness_of_a_grating_in_closed_form():
    """Stripes two pixels wide: the Laplacian is +-1 everywhere."""
    x = (torch.arange(32) // 2 % 2).float().expand(32, 32)[None, None]
    inside = 30 * 30
    assert sharpness(x).item() == pytest.approx(inside / (inside - 1), rel=1e-5)
    assert sharpness(0.5 * x).item() == pytest.approx(sharpness(x).item() / 4)
    assert sharpness(x.expand(1, 3, 32, 32)) == pytest.approx(sharpness(x))


def test_blur_lowers_and_noise_raises_sharpness(real, digits):
    metric = sample_metrics.Sharpness(real)
    clear = metric(digits).value
    assert metric(damaged(digits, "blur", 1.0)).value < 0.7 * clear
    assert metric(damaged(digits, "noise", 0.2)).value > 1.2 * clear


@pytest.mark.parametrize("k", [2, 3, 4, 5, 8, 10, 17, 25, 28, 29])
def test_few_parts_take_students_t_with_k_minus_1_degrees_of_freedom(k):
    stats = pytest.importorskip("scipy.stats")
    parts = np.random.default_rng(0).normal(5, 2, k)
    low, high = stats.t.interval(0.95, k - 1, parts.mean(), stats.sem(parts))
    assert interval(parts) == pytest.approx((low, high), rel=2e-4)


def test_many_parts_take_the_normal_law():
    stats = pytest.importorskip("scipy.stats")
    parts = np.random.default_rng(0).normal(5, 2, 1000)
    expected = stats.norm.interval(0.95, parts.mean(), stats.sem(parts))
    assert interval(parts) == pytest.approx(expected, rel=1e-4)


def test_three_digits_make_a_number_the_first_one_the_hundreds():
    features = classifiers.ChannelClassifier("stacked-mnist", "mnist", 3)
    seen = RealData("mnist").reference.train[:300].reshape(100, 3, -1)
    digits = [features.one.logits(np.ascontiguousarray(seen[:, i])).argmax(1) for i in range(3)]
    logits = features.logits(seen.reshape(100, -1))
    assert logits.argmax(1).tolist() == (digits[0] * 100 + digits[1] * 10 + digits[2]).tolist()
    assert np.exp(logits).sum(1) == pytest.approx(np.ones(100), rel=1e-5)


@pytest.mark.data
def test_a_thousand_modes_are_counted():
    """Real stacks of three digits hit nearly all; stacks of one digit hit few."""
    real, test = RealData("stacked-mnist"), data.open("stacked-mnist", "test")
    (metric,) = registry.create(["mode_kl"], real)
    assert metric.name == "mode_kl-stacked-mnist"
    x = torch.cat([test.batch(range(i, i + 1000)) for i in range(0, 10_000, 1000)])
    metric_of = metric.estimate(metric.extract(x))
    assert metric_of.details["classes"] == 1000
    assert metric_of.details["classes hit"] > 990
    assert metric_of.parts.mean() < 0.1
    alike = x[:1000, :1].expand(-1, 3, -1, -1)
    found = metric.estimate(metric.extract(alike))
    assert found.details["classes hit"] < 40
    assert found.parts.mean() > 4
    # The class that is found is that of the labels.
    classes = real.features.logits(metric.extract(x[:500])).argmax(1)
    assert (classes == test.labels[:500]).mean() > 0.97


def test_an_interval_ends_where_values_do():
    """Student's t of two shares near 1 would reach beyond it."""
    found = scoring.Estimates(np.array([0.97, 1.0]))
    assert scoring.interval(found.parts)[1] > 1
    for kind in ("precision", "recall"):
        (metric,) = registry.create([kind], RealData("mnist"))
        low, high = metric._score(found, None).interval
        assert 0 <= low < high == 1
    (modes,) = registry.create(["mode_kl"], RealData("mnist"))
    assert modes._score(scoring.Estimates(np.array([0.0, 0.01])), None).interval[0] == 0
