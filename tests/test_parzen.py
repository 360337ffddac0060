"""Parzen windows against a double loop and closed forms."""

import math

import numpy as np
import pytest

from genzoo.errors import BadInput
from genzoo.metrics.statistics import parzen as metrics_statistics_parzen
from genzoo.metrics.statistics.parzen import bandwidth, parzen


def looped(samples, points, sigma):
    """Pair by pair, from the differences."""
    n, width = samples.shape
    constant = math.log(n) + width / 2 * math.log(2 * math.pi * sigma**2)
    found = []
    for point in points:
        terms = np.array([-np.square(point - s).sum() / (2 * sigma**2) for s in samples])
        found.append(terms.max() + math.log(np.exp(terms - terms.max()).sum()) - constant)
    return np.array(found)


@pytest.mark.parametrize("sigma", [0.1, 0.2, 1.0])
def test_it_is_the_double_loop(sigma):
    """Pictures of 784 pixels, also some that are, or almost are, among the samples."""
    random = np.random.default_rng(0)
    samples, points = random.random((90, 784)), random.random((60, 784))
    points[:5], points[5:10] = samples[:5], samples[5:10] + 1e-3
    expected = looped(samples, points, sigma)
    assert expected.min() < (-3000 if sigma == 0.1 else 0)
    assert np.allclose(parzen(samples, points, sigma), expected, rtol=1e-12, atol=1e-11)


def test_far_from_zero_it_is_the_same():
    random = np.random.default_rng(0)
    samples, points = random.random((50, 20)), random.random((9, 20))
    near, far = parzen(samples, points, 0.1), parzen(samples + 1e6, points + 1e6, 0.1)
    assert np.allclose(near, far, atol=1e-6)


def test_float32_is_computed_in_float64():
    random = np.random.default_rng(0)
    samples, points = random.random((2, 40, 30), dtype=np.float32)
    wide = parzen(samples.astype(np.float64), points.astype(np.float64), 0.1)
    assert np.array_equal(parzen(samples, points, 0.1), wide)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_gaussian_in_closed_form(width):
    """Many samples of N(0, I) under windows of s: N(0, (1 + s^2) I), whose mean log density under
    N(0, I) is -d/2 (log(2 pi (1 + s^2)) + 1 / (1 + s^2)); in five dimensions few are many."""
    random, sigma = np.random.default_rng(1), 0.3
    samples, points = random.normal(size=(10_000, width)), random.normal(size=(2000, width))
    smooth = 1 + sigma**2
    truth = -width / 2 * (math.log(2 * math.pi * smooth) + 1 / smooth)
    expected = -0.5 * np.square(points).sum(1) / smooth - width / 2 * math.log(2 * math.pi * smooth)
    found = parzen(samples, points, sigma)
    # Of the same points, so that their own spread cancels.
    assert found.mean() - expected.mean() == pytest.approx(0, abs=(0.01, 0.02, 0.2)[width // 2])
    assert found.mean() == pytest.approx(truth, abs=0.05 * width)


def test_it_is_a_density():
    random = np.random.default_rng(0)
    x = np.linspace(-8, 8, 4001)
    found = np.exp(parzen(random.normal(size=(30, 1)), x[:, None], 0.25))
    assert found.sum() * (x[1] - x[0]) == pytest.approx(1, abs=1e-9)


def test_chunks_change_nothing(monkeypatch):
    random = np.random.default_rng(0)
    samples, points = random.random((80, 50)), random.random((71, 50))
    whole = parzen(samples, points, 0.2)
    monkeypatch.setattr(metrics_statistics_parzen, "CHUNK", 7)
    assert np.allclose(parzen(samples, points, 0.2), whole, rtol=1e-13)


def test_the_bandwidth_is_the_likeliest_of_the_grid():
    random = np.random.default_rng(0)
    samples, held = random.normal(size=(200, 3)), random.normal(size=(100, 3))
    grid = np.logspace(-1, 0, 10)
    found = bandwidth(samples, held)
    best = max(grid, key=lambda sigma: looped(samples, held, sigma).mean())
    assert (found.sigma, found.end) == (pytest.approx(best), False)
    assert 0.2 < best < 0.9


@pytest.mark.parametrize(("scale", "sigma"), [(0.01, 0.1), (100, 1.0)])
def test_an_end_of_the_grid_is_told(scale, sigma):
    random = np.random.default_rng(0)
    samples, held = random.normal(size=(2, 100, 2)) * scale
    found = bandwidth(samples, held, grid=np.logspace(0, -1, 10))
    assert (found.sigma, found.end) == (pytest.approx(sigma), True)


@pytest.mark.parametrize(
    ("samples", "points", "sigma", "says"),
    [
        (np.ones((3, 2)), np.ones((3, 4)), 1, r"got \(3, 2\), \(3, 4\)"),
        (np.ones(3), np.ones((3, 1)), 1, r"got \(3,\)"),
        (np.ones((0, 2)), np.ones((3, 2)), 1, r"got \(0, 2\)"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), 1, "must be finite"),
        (np.ones((3, 2)), np.ones((3, 2)), 0, "above 0, got"),
        (np.ones((3, 2)), np.ones((3, 2)), math.nan, "above 0, got"),
    ],
)
def test_what_has_no_density_is_refused(samples, points, sigma, says):
    with pytest.raises(BadInput, match=says):
        parzen(samples, points, sigma)


def test_a_bandwidth_takes_a_grid_and_points():
    with pytest.raises(BadInput, match="got 0 and 3"):
        bandwidth(np.ones((3, 2)), np.ones((3, 2)), grid=[])
    with pytest.raises(BadInput, match="got 10 and 0"):
        bandwidth(np.ones((3, 2)), np.ones((0, 2)))
