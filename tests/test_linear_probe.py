"""Probing: classifiers against scikit-learn's, features against slow forms, and what they show."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genzoo
from genzoo import data
from genzoo.errors import BadInput, OperationFailed
from genzoo.metrics.statistics import linear_probe
from genzoo.metrics.statistics.linear_probe import (
    features_of,
    kmeans_features,
    pooled,
    probe,
    subset,
)
from genzoo.models.randomness import stream

linear = pytest.importorskip("sklearn.linear_model")
svm = pytest.importorskip("sklearn.svm")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Training and test pixels (n, 196), float32, and labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_HOME", str(tmp_path_factory.mktemp("home")))
        train, test = data.open("digits"), data.open("digits", "test")
    return *flat(train), *flat(test)


def flat(dataset):
    x = F.avg_pool2d(dataset.batch(range(len(dataset))), 2)
    return x.flatten(1).numpy(), np.array(dataset.labels)


def standardised(x):
    mean, scale = x.mean(0), x.std(0)
    return torch.from_numpy((x - mean) / np.where(scale > 0, scale, 1))


# ------------------------------------------------------------------------------------- classifiers


def hinge(weights, x, y, penalty):
    """The cost, sample by sample and class by class."""
    scores = x.double() @ weights[:, :-1].double().T + weights[:, -1].double()
    own = 2 * F.one_hot(y, len(weights)) - 1
    loss = sum(
        (
            max(0, 1 - o * s) ** 2
            for o, s in zip(own.ravel().tolist(), scores.ravel().tolist(), strict=True)
        )
    )
    return loss / len(x) + penalty / 2 * float(weights[:, :-1].double().square().sum())


def entropy(weights, x, y, penalty):
    scores = x.double() @ weights[:, :-1].double().T + weights[:, -1].double()
    own = scores.log_softmax(1)[range(len(x)), y]
    return float(-own.mean() + penalty / 2 * weights[:, :-1].double().square().sum())


def by_liblinear(x, y, penalty):
    # Its bias is penalised too: scaled up, hardly.
    theirs = svm.LinearSVC(
        C=1 / (penalty * len(x)), dual=False, tol=1e-6, max_iter=5000, intercept_scaling=30
    )
    return theirs.fit(x.double(), y)


def by_lbfgs(x, y, penalty):
    theirs = linear.LogisticRegression(C=1 / (penalty * len(x)), tol=1e-6, max_iter=5000)
    return theirs.fit(x.double(), y)


@pytest.mark.parametrize("n", [1000, 150])  # more and fewer than there are pixels
@pytest.mark.parametrize("penalty", [0.3, 0.01])
@pytest.mark.parametrize(
    ("ours", "theirs", "cost"),
    [(linear_probe.linear_svm, by_liblinear, hinge), (linear_probe.logistic, by_lbfgs, entropy)],
    ids=["svm", "logistic"],
)
def test_classifiers_reach_the_optimum_that_scikit_learn_finds(
    digits, ours, theirs, cost, n, penalty
):
    x, y = standardised(digits[0][:n]), torch.from_numpy(digits[1][:n])
    with torch.no_grad():
        weights = ours(x, y, 10, penalty)
    model = theirs(x, y, penalty)
    other = torch.from_numpy(np.c_[model.coef_, model.intercept_])
    assert weights.dtype == x.dtype
    assert cost(weights, x, y, penalty) == pytest.approx(cost(other, x, y, penalty), rel=1e-3)
    rest = standardised(digits[0])
    right = (linear_probe.predicted(weights, rest).numpy() == digits[1]).mean()
    assert right == pytest.approx((model.predict(rest) == digits[1]).mean(), abs=2e-3)


def test_what_does_not_settle_is_told(digits, monkeypatch):
    monkeypatch.setattr(linear_probe, "ROUNDS", 1)
    with pytest.raises(OperationFailed, match="196 features"):
        linear_probe.logistic(standardised(digits[0]), torch.from_numpy(digits[1]), 10, 1e-5)


# ----------------------------------------------------------------------------------------- probing


def test_the_penalty_is_the_best_on_a_held_out_tenth(digits):
    x, y = digits[0][:500], digits[1][:500]
    grid = (100.0, 0.1, 0.01)
    found = probe(x, y, *digits[2:], classes=10, penalties=grid, seed=3)
    order = stream(3, "held out").permutation(500)
    held, kept = order[:50], np.sort(order[50:])
    every, labels = standardised(x), torch.from_numpy(y)
    right = {}
    for penalty in grid:
        weights = linear_probe.linear_svm(every[kept], labels[kept], 10, penalty)
        right[penalty] = (
            float((linear_probe.predicted(weights, every[held]) == labels[held]).sum()) / 50
        )
    assert len({*right.values()}) > 1
    assert found.penalty == max(right, key=right.get)
    assert found.validation_accuracy == pytest.approx(right[found.penalty])
    assert found.end == (found.penalty != 0.1)
    alone = probe(x, y, *digits[2:], classes=10, penalties=[found.penalty])
    assert (alone.validation_accuracy, alone.end) == (None, False)
    assert np.array_equal(alone.correct, found.correct)


def test_an_end_of_the_grid_is_told(digits):
    x, y = digits[0][:300], digits[1][:300]
    found = probe(x, y, *digits[2:], classes=10, penalties=(1e4, 1e3, 1.0))
    assert (found.penalty, found.end) == (1.0, True)


@pytest.mark.parametrize("kind", ["svm", "logistic"])
def test_a_probe_tells_digits_apart_and_noise_not(digits, kind):
    x, y, test_x, test_y = digits[0][:800], digits[1][:800], *digits[2:]
    told = {"classes": 10, "kind": kind, "penalties": (1.0, 0.1)}
    found = probe(x, y, test_x, test_y, **told)
    assert found.correct.shape == (297,)
    assert found.correct.dtype == bool
    assert 0.84 < found.accuracy == found.correct.mean()
    shuffled = np.random.default_rng(0).permutation(y)
    assert probe(x, shuffled, test_x, test_y, **told).accuracy < 0.25


def test_units_shifts_and_dead_features_change_nothing(digits):
    x, y, test_x, test_y = digits
    fitted = probe(x[:400], y[:400], test_x, test_y, classes=10, penalties=[0.1])
    widths = np.geomspace(0.01, 100, 196, dtype=np.float32)

    def other(x, dead):
        return np.c_[x * widths + 5 * widths, np.full(len(x), dead, np.float32)]

    again = probe(
        other(x[:400], 7), y[:400], other(test_x, -7), test_y, classes=10, penalties=[0.1]
    )
    assert (again.correct == fitted.correct).mean() > 0.99


def test_a_probe_leaves_its_input_as_it_is(digits):
    copies = [part[:100].copy() for part in digits]
    found = probe(*copies, classes=10, penalties=[1.0])
    assert all(np.array_equal(c, d[:100]) for c, d in zip(copies, digits, strict=True))
    for part in copies:
        part.setflags(write=False)
    again = probe(*copies, classes=10, penalties=[1.0])
    assert np.array_equal(again.correct, found.correct)


def test_a_subset_has_each_class_as_often():
    labels = np.random.default_rng(0).integers(5, size=400)
    few, some = subset(labels, 10, 1), subset(labels, 30, 1)
    assert np.bincount(labels[few]).tolist() == [10] * 5
    assert len({*few}) == 50
    assert {*few} < {*some}
    assert np.array_equal(few, np.sort(few))
    assert not np.array_equal(few, subset(labels, 10, 2))
    assert few.max() > 300
    with pytest.raises(BadInput, match="got 200"):
        subset(labels, 200)
    with pytest.raises(BadInput, match="got 0"):
        subset(labels, 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train_y": np.arange(19)}, r"expected training features .* got \(20, 3\), \(19,\)"),
        ({"test_x": np.ones((4, 2), np.float32)}, "width 3.* of 2"),
        ({"test_x": np.full((4, 3), np.nan, np.float32)}, "test features are not finite"),
        ({"train_y": np.full(20, 2)}, "training labels must be 0 to 1, got 2 to 2"),
        ({"test_y": np.full(4, -1)}, "test labels must be 0 to 1, got -1 to -1"),
        ({"train_x": np.ones((5, 3), np.float32), "train_y": np.ones(5)}, "at least 10 training"),
    ],
)
def test_what_cannot_be_probed_is_refused(change, says):
    good = {"train_x": np.ones((20, 3), np.float32), "train_y": np.arange(20) % 2}
    good |= {"test_x": np.ones((4, 3), np.float32), "test_y": np.arange(4) % 2}
    with pytest.raises(BadInput, match=says):
        probe(**good | change, classes=2)


# ---------------------------------------------------------------------------------------- features


def test_maps_are_pooled_to_four_by_four():
    big, odd, small = torch.randn(2, 3, 8, 12), torch.randn(2, 1, 7, 4), torch.randn(2, 5, 2, 3)
    vector = torch.randn(2, 6)
    found = pooled([big, odd, small, vector])
    assert found.shape == (2, 3 * 16 + 16 + 30 + 6)
    assert found[1, 16 + 4 * 1 + 2] == big[1, 1, 2:4, 6:9].max()
    assert found[0, 48 + 4 * 1 + 3] == odd[0, 0, 1:4, 3].max()
    assert torch.equal(found[:, 64:94], small.flatten(1))
    assert torch.equal(found[:, 94:], vector)
    for wrong in ([], [torch.ones(3)], [big, vector[:1]]):
        with pytest.raises(BadInput, match="expected feature maps"):
            pooled(wrong)


class Judge(genzoo.Discriminator):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(1, 3, 3, 2), nn.BatchNorm2d(3), nn.Dropout()])

    def features(self, x):
        maps = []
        for block in self.blocks:
            maps.append(x := block(x))
        return maps

    def forward(self, x, labels=None):
        return self.features(x)[-1].mean((1, 2, 3))


def test_features_of_a_data_set_leave_no_trace():
    judge, digits = Judge(), data.open("digits")
    judge(digits.batch(range(100)))  # the norm has seen something
    before = {k: v.clone() for k, v in judge.state_dict().items()}
    state, rows = torch.get_rng_state(), np.arange(700, 0, -1)
    found = features_of(linear_probe.frozen_features(judge), digits, rows, lambda x: 2 * x - 1)
    assert judge.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in judge.state_dict().items())
    assert all(p.grad is None for p in judge.parameters())
    with torch.no_grad():
        maps = judge.eval().features(2 * digits.batch(rows) - 1)
    assert found.dtype == np.float32
    assert np.allclose(found, pooled(maps), atol=1e-5)
    plain = features_of(judge.features, digits, rows, lambda x: 2 * x - 1)
    assert np.allclose(plain, found, atol=1e-5)


# ----------------------------------------------------------------------------- k-means on patches


def test_kmeans_is_what_scikit_learn_finds_from_the_same_start():
    cluster = pytest.importorskip("sklearn.cluster")
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(3000, 8)))
    start = x[:20].clone()
    theirs = cluster.KMeans(20, init=start.numpy(), n_init=1, max_iter=7, tol=0).fit(x.numpy())
    found = linear_probe._kmeans(x, start.clone(), 7)
    assert np.allclose(found, theirs.cluster_centers_)
    apart = torch.full((1, 8), 1e6, dtype=x.dtype)
    assert torch.equal(linear_probe._kmeans(x, torch.cat([start, apart]), 3)[20:], apart)


def test_patches_are_cut_from_the_pictures_by_the_seed():
    train = data.open("digits", size=8, channels=3)
    found = linear_probe._patches(train, 40, 0)
    views = train.batch(range(len(train))).unfold(2, 6, 1).unfold(3, 6, 1)
    every = {p.numpy().tobytes() for p in views.permute(0, 2, 3, 1, 4, 5).reshape(-1, 108)}
    assert all(p.numpy().tobytes() in every for p in found)
    assert torch.equal(found, linear_probe._patches(train, 40, 0))
    assert not torch.equal(found, linear_probe._patches(train, 40, 1))


def test_triangles_are_what_the_loop_over_patches_gives():
    mean, whitening, centres = torch.randn(72) / 9, torch.randn(72, 72), torch.randn(5, 72)
    image = torch.rand(2, 8, 7)
    near = torch.empty(5, 3, 2)
    for i in range(3):
        for j in range(2):
            z = image[:, i : i + 6, j : j + 6].flatten()
            z = (z - z.mean()) / (z.var(correction=0) + 10 / 255**2).sqrt()
            apart = (centres - (z - mean) @ whitening).norm(dim=1)
            near[:, i, j] = (apart.mean() - apart).clamp(min=0)
    quadrants = [near[:, a, b].mean(1) for a in ([0, 1], [1, 2]) for b in (0, 1)]
    found = linear_probe._triangle(mean, whitening, centres, image[None])
    assert near.max() > 0.1
    assert torch.allclose(found.view(5, 4), torch.stack(quadrants, 1), rtol=1e-3, atol=1e-4)


def test_kmeans_features_depend_on_the_seed_alone_and_beat_pixels(digits):
    train, test = data.open("digits"), data.open("digits", "test")
    see, again, other = (
        kmeans_features(train, centroids=30, patches=2000, rounds=3, seed=s) for s in (0, 0, 1)
    )
    x = test.batch(range(20))
    assert see(x).shape == (20, 120)
    assert torch.equal(see(x), again(x))
    assert torch.allclose(see(x[7:8]), see(x)[7:8], atol=1e-5)
    assert not torch.allclose(see(x), other(x), atol=0.1)
    few, told = subset(train.labels, 10), {"classes": 10, "penalties": (1.0, 0.1)}
    seen = [
        features_of(lambda x: [see(x)], s, rows, lambda x: x)
        for s, rows in ((train, few), (test, range(297)))
    ]
    ours = probe(seen[0], train.labels[few], seen[1], test.labels, **told)
    pixels = probe(digits[0][few], train.labels[few], *digits[2:], **told)
    assert ours.accuracy > pixels.accuracy + 0.02


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("ring8", {}, "images of at least 6x6, ring8"),
        ("digits", {"centroids": 0}, "centroids must be 1 to 100,000"),
        ("digits", {"centroids": 20, "patches": 10}, "1 to 10"),
    ],
)
def test_what_has_no_patches_is_refused(name, options, says):
    with pytest.raises(BadInput, match=says):
        kmeans_features(data.open(name), **options)
