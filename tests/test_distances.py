"""Distances of features against closed forms, slow forms and what they must obey."""

import numpy as np
import pytest

from genzoo.errors import BadInput
from genzoo.metrics.distances import factored, frechet, kernel, moments


def cloud(n, width, seed=0, shift=0.0):
    """Features with correlations of every strength."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(width, width)) * np.linspace(0.01, 1, width)
    return random.normal(size=(n, width)) @ mixing + shift


def by_eigenvalues(x, y):
    """The textbook's form: eigenvalues of the product of the covariances."""
    one, other = np.cov(x.T), np.cov(y.T)
    root = np.sqrt(np.linalg.eigvals(one @ other).astype(complex)).real.sum()
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(one) + np.trace(other) - 2 * root


@pytest.mark.parametrize(("n", "m"), [(5000, 5000), (500, 80), (65, 64), (300, 3000)])
def test_frechet_is_what_the_eigenvalues_give(n, m):
    x, y = cloud(n, 64), cloud(m, 64, 1, 0.3)
    assert frechet(moments(x), moments(y)) == pytest.approx(by_eigenvalues(x, y), rel=1e-6)


def test_frechet_of_two_gaussians_in_closed_form():
    """Diagonal: |m - n|^2 + sum (s - t)^2."""
    s, t = np.array([1.0, 2.0, 0.5]), np.array([0.5, 2.0, 3.0])
    random = np.random.default_rng(0)
    x, y = random.normal(size=(400_000, 3)) * s, random.normal(size=(400_000, 3)) * t + 1
    assert frechet(moments(x), moments(y)) == pytest.approx(3 + ((s - t) ** 2).sum(), rel=0.01)


def test_few_features_and_many_agree():
    """Below the width the factor is the features themselves; both ways are one number."""
    x, y = cloud(40, 64), cloud(50, 64, 1)
    low = frechet(moments(x), moments(y))
    full = [moments(v) for v in (x, y)]
    wide = [type(m)(m.n, m.mean, factored(m.factor.T @ m.factor)) for m in full]
    assert low == pytest.approx(frechet(*wide), rel=1e-6)


def test_frechet_to_itself_is_nothing_and_it_is_symmetric():
    for n in (30, 64, 1000):
        x, y = moments(cloud(n, 64)), moments(cloud(n, 64, 1))
        assert frechet(x, x) == pytest.approx(0, abs=1e-6 * x.trace)
        assert frechet(x, y) == pytest.approx(frechet(y, x))


def test_frechet_where_a_feature_is_dead():
    x, y = cloud(500, 16), cloud(500, 16, 1)
    x[:, 3] = y[:, 3] = 7
    rest = np.delete(x, 3, 1), np.delete(y, 3, 1)
    whole = frechet(moments(x), moments(y))
    assert whole == pytest.approx(frechet(*map(moments, rest)), rel=1e-6)


def test_kernel_is_the_double_loop():
    x, y = cloud(7, 5), cloud(9, 5, 1)

    def k(a, b):
        return (a @ b / 5 + 1) ** 3

    within = [
        np.mean([k(a, b) for i, a in enumerate(v) for j, b in enumerate(v) if i != j])
        for v in (x, y)
    ]
    between = np.mean([k(a, b) for a in x for b in y])
    assert kernel(x, y) == pytest.approx(sum(within) - 2 * between)


def test_kernel_is_unbiased():
    """Of one law twice, its mean is 0: half the time it is below."""
    random = np.random.default_rng(0)
    found = [kernel(*random.normal(size=(2, 40, 8))) for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20
    assert 0.3 < np.mean(np.array(found) < 0) < 0.8


@pytest.mark.parametrize("distance", [lambda x, y: frechet(moments(x), moments(y)), kernel])
def test_the_further_the_larger(distance):
    x = cloud(800, 16)
    found = [distance(x, x + shift) for shift in (0, 0.2, 0.5, 1, 2)]
    assert found == sorted(found)
    assert found[0] < 1e-6
    assert found[1] > found[0] + 0.01


def test_what_is_no_cloud_is_refused():
    with pytest.raises(BadInput, match="n at least 2"):
        moments(np.zeros((1, 4)))
    with pytest.raises(BadInput, match="unlike width: 4 and 5"):
        frechet(moments(np.eye(4)), moments(np.eye(5)))
    with pytest.raises(BadInput, match="at least 2 features a side, got 1"):
        kernel(np.zeros((1, 4)), np.zeros((5, 4)))
