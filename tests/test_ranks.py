"""Counts, divergences and ranks against scipy and what they must obey."""

import math

import numpy as np
import pytest

from genzoo.errors import BadInput
from genzoo.metrics.statistics.ranks import class_counts, classes_hit, divergence, rank_test

stats = pytest.importorskip("scipy.stats")


def test_counts_and_classes_hit():
    counts = class_counts(np.array([3, 0, 3, 3, 5]), 7)
    assert counts.tolist() == [1, 0, 0, 3, 0, 1, 0]
    assert classes_hit(counts) == 3
    assert class_counts(np.array([], np.int64), 2).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ([0, 3], "0 to 2, got 0 to 3"),
        ([-1, 1], "got -1 to 1"),
        ([0.5], "integers, got float64"),
        ([[1]], r"got int64 \(1, 1\)"),
    ],
)
def test_what_is_no_class_is_refused(classes, says):
    with pytest.raises(BadInput, match=says):
        class_counts(np.array(classes), 3)


def test_divergence_is_scipys():
    random = np.random.default_rng(0)
    counts, shares = random.integers(0, 4, 50), random.dirichlet(np.ones(50))
    assert (counts == 0).any()
    assert divergence(counts, shares) == pytest.approx(stats.entropy(counts, shares), rel=1e-12)


def test_divergence_at_its_ends():
    uniform = np.full(1000, 1e-3)
    assert divergence(np.full(1000, 7), uniform) == pytest.approx(0, abs=1e-12)
    assert divergence(np.eye(1000)[4] * 60, uniform) == pytest.approx(math.log(1000))
    assert divergence(np.array([3, 0]), np.array([1.0, 0.0])) == 0
    assert divergence(np.array([3, 1]), np.array([1.0, 0.0])) == math.inf


def test_few_samples_bias_the_divergence_by_what_is_said():
    random, shares = np.random.default_rng(0), np.full(20, 0.05)
    found = [divergence(random.multinomial(2000, shares), shares) for _ in range(400)]
    assert np.mean(found) == pytest.approx(19 / 4000, rel=0.1)


@pytest.mark.parametrize(
    ("counts", "shares", "says"),
    [
        ([0, 0], [0.5, 0.5], "expected counts"),
        ([1, 2, 3], [0.5, 0.5], r"got \(3,\), \(2,\)"),
        ([1, 2], [0.5, 0.6], "sum to 1, got 1.1"),
        ([1, 2], [-0.5, 1.5], "sum to 1"),
    ],
)
def test_what_has_no_divergence_is_refused(counts, shares, says):
    with pytest.raises(BadInput, match=says):
        divergence(np.array(counts), np.array(shares))


@pytest.mark.parametrize("levels", [None, 3, 10])  # None: no ties
@pytest.mark.parametrize(("n", "m"), [(8, 8), (40, 15), (500, 700)])
@pytest.mark.parametrize("shift", [-0.5, 0, 0.5])
def test_the_rank_test_is_scipys(n, m, shift, levels):
    random = np.random.default_rng(n)
    near, far = random.normal(size=n), random.normal(size=m) + shift
    if levels:
        near, far = np.round(near * levels / 4), np.round(far * levels / 4)
    theirs = stats.mannwhitneyu(near, far, alternative="less", method="asymptotic").pvalue
    assert rank_test(near, far) == pytest.approx(theirs, rel=1e-9)


def test_the_rank_test_is_right_as_often_as_it_says():
    random = np.random.default_rng(0)
    found = np.array([rank_test(*random.integers(9, size=(2, 30))) for _ in range(2000)])
    assert (found < 0.05).mean() == pytest.approx(0.05, abs=0.015)


def test_the_rank_test_knows_the_direction_and_ties():
    low, high = np.arange(20), np.arange(20) + 15
    assert rank_test(low, high) < 1e-4
    assert rank_test(high, low) > 0.999
    assert rank_test(np.ones(9), np.ones(12)) == 1


@pytest.mark.parametrize(("near", "far"), [([], [1.0]), ([[1.0]], [1.0]), ([math.nan], [1.0])])
def test_what_has_no_ranks_is_refused(near, far):
    with pytest.raises(BadInput):
        rank_test(np.array(near), np.array(far))
