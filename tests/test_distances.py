"""Distances against closed forms, slow forms, other packages' and what they must obey."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from genzoo.errors import BadInput
from genzoo.metrics.statistics import nearest as metrics_statistics_nearest
from genzoo.metrics.statistics.distances import (
    class_score,
    density_coverage,
    factored,
    frechet,
    kernel,
    kernels,
    moments,
    nearest,
    precision_recall,
)


def cloud(n, width, seed=0, shift=0.0):
    """Features with correlations of every strength."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(width, width)) * np.linspace(0.01, 1, width)
    return random.normal(size=(n, width)) @ mixing + shift


def rectified(n, width=64, seed=0, shift=0.0):
    """Features like Inception's: float32, none below 0, some dead for most images."""
    return np.maximum(cloud(n, width, seed, shift), 0).astype(np.float32)


@pytest.fixture
def thin(monkeypatch):
    """Strips and chunks of a few rows, so that small clouds take many of them."""
    monkeypatch.setattr(metrics_statistics_nearest, "_STRIP", 700)
    monkeypatch.setattr(metrics_statistics_nearest, "_CHUNK", 150)


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


def test_moments_of_many_chunks_are_those_of_one(thin):
    x = rectified(500, 16) + np.float32(9)
    found = moments(x)
    np.testing.assert_allclose(found.mean, x.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(found.factor.T @ found.factor, np.cov(x.T), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n", "width"), [(256, 64), (400, 192)])
def test_frechet_is_what_other_packages_say(n, width):
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    x, y = rectified(n, width), rectified(n + 40, width, 1, 0.1)
    theirs = [fid.fid_features_to_statistics(torch.from_numpy(v).double()) for v in (x, y)]
    found = frechet(moments(x), moments(y))
    told = fid.fid_statistics_to_metric(*theirs, verbose=False)
    assert found == pytest.approx(told["frechet_inception_distance"], rel=1e-6)


# SciPy says so of the argument ``disp`` of ``sqrtm``, which 1.18 takes no more.
@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
def test_frechet_is_what_the_matrix_square_root_gives():
    other = pytest.importorskip("pytorch_fid.fid_score")
    scipy = pytest.importorskip("scipy")
    if tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 18):
        pytest.skip("pytorch-fid passes SciPy an argument that it takes no more")
    x, y = rectified(400, 64), rectified(300, 64, 1, 0.1)
    stated = [(v.mean(0, dtype=np.float64), np.cov(v.T)) for v in (x, y)]
    theirs = other.calculate_frechet_distance(*stated[0], *stated[1])
    assert frechet(moments(x), moments(y)) == pytest.approx(theirs, rel=1e-5)


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


def test_kernel_in_strips_is_that_of_whole_matrices(thin):
    x, y = rectified(61, 32), rectified(83, 32, 1, 0.1)

    def gram(a, b):
        return (a.astype(np.float64) @ b.T.astype(np.float64) / 32 + 1) ** 3

    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (gram(x, x), gram(y, y))]
    between = gram(x, y).mean()
    scale = sum(within) + 2 * between
    assert kernel(x, y) == pytest.approx(sum(within) - 2 * between, rel=0, abs=1e-14 * scale)
    np.testing.assert_allclose(kernels(np.stack([x, x]), y), kernel(x, y), rtol=1e-12)


def test_kernel_is_what_torch_fidelity_says():
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = (torch.from_numpy(rectified(256, 64, *a)).double() for a in ((0,), (1, 0.1)))
    told = kid.kid_features_to_metric(
        x, y, kid_subsets=1, kid_subset_size=256, verbose=False, rng_seed=0
    )
    theirs = told["kernel_inception_distance_mean"]
    assert kernel(x.numpy(), y.numpy()) == pytest.approx(theirs, rel=1e-5)


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
    with pytest.raises(BadInput, match="width: 4 and 5"):
        frechet(moments(np.eye(4)), moments(np.eye(5)))
    with pytest.raises(BadInput, match=r"at least 2 features .*, got 1"):
        kernel(np.zeros((1, 4)), np.zeros((5, 4)))


# ------------------------------------------------------------------------------------- class score


def test_class_score_is_the_divergence_it_stands_for():
    logits = np.random.default_rng(0).normal(size=(300, 12)) * 3
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    divergence = (p * np.log(p / p.mean(0))).sum(1).mean()
    assert class_score(logits) == pytest.approx(np.exp(divergence), rel=1e-12)


def test_class_score_from_nothing_told_to_all_classes():
    assert class_score(np.zeros((50, 7))) == pytest.approx(1, rel=1e-12)
    sure = np.eye(7)[np.arange(70) % 7]
    assert class_score(sure * 1e4) == pytest.approx(7, rel=1e-12)
    assert class_score(sure[::7] * 1e4) == pytest.approx(1, rel=1e-12)


def test_class_score_does_not_depend_on_where_logits_begin():
    logits = rectified(200, 10) * 100
    found = class_score(logits)
    assert np.isfinite(found)
    assert found == pytest.approx(class_score(logits.astype(np.float64) - 1e5), rel=1e-9)


def test_class_score_is_what_torch_fidelity_says():
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = rectified(256, 100, 3)
    told = isc.isc_features_to_metric(torch.from_numpy(logits), splits=1)
    assert class_score(logits) == pytest.approx(told["inception_score_mean"], rel=1e-5)


# ---------------------------------------------------------------------------- precision and recall


def by_loops(real, fake, k=3):
    """Equations 1 and 2 as they are written, one pair at a time."""

    def square(a, b):
        return np.square(a.astype(np.float64) - b.astype(np.float64)).sum()

    def balls(points):
        apart = [
            [square(a, b) for j, b in enumerate(points) if j != i] for i, a in enumerate(points)
        ]
        return np.sort(apart, 1)[:, k - 1]

    def share(points, centres):
        about = balls(centres)
        inside = [
            any(square(a, b) <= r for b, r in zip(centres, about, strict=True)) for a in points
        ]
        return np.mean(inside)

    return share(fake, real), share(real, fake)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_are_the_loops(k, thin):
    real, fake = rectified(120, 8), rectified(90, 8, 1, 0.2)
    found = precision_recall(real, fake, k)
    assert found == pytest.approx(by_loops(real, fake, k), abs=1e-12)
    assert 0 < found[0] < 1
    assert 0 < found[1] < 1


@pytest.mark.parametrize("seed", range(6))
def test_ties_are_inside(seed, thin):
    """Points of a lattice, many of them twice or more, far from the origin: all is ties."""
    random = np.random.default_rng(seed)
    real = (random.integers(0, 4, (60, 3)) * 0.1 + 1000).astype(np.float32)
    fake = (random.integers(-1, 5, (50, 3)) * 0.1 + 1000).astype(np.float32)
    for k in (1, 3):
        assert precision_recall(real, fake, k) == pytest.approx(by_loops(real, fake, k), abs=1e-12)


def test_rounding_decides_nothing(thin):
    """Two clusters so far apart that inner products see nothing of what goes on inside them."""
    real, fake = cloud(80, 4) * 1e-3, cloud(70, 4, 1) * 1e-3
    real[::2] += 1e6
    fake[::2] += 1e6
    for k in (1, 3):
        found = precision_recall(real, fake, k)
        assert found == pytest.approx(by_loops(real, fake, k), abs=1e-12)
        assert 0 < found[0] < 1
    wide = np.square(real[:, None] - fake).sum(2)
    np.testing.assert_allclose(nearest(real, fake) ** 2, wide.min(1), rtol=1e-12)


def density_and_coverage_by_loops(real, fake, k):
    """Equations 3 and 4 of Naeem et al. 2020, from the whole matrix."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    within = np.square(real[:, None] - real).sum(2)
    np.fill_diagonal(within, np.inf)
    reach = np.sort(within, 1)[:, k - 1]
    inside = np.square(real[:, None] - fake).sum(2) <= reach[:, None]
    return inside.sum() / (k * len(fake)), inside.any(1).mean()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_density_and_coverage_are_the_matrix_ties_and_copies_included(k, thin):
    random = np.random.default_rng(k)
    lattice = [
        (random.integers(0, 4, (count, 3)) * 0.1 + 1000).astype(np.float32) for count in (60, 50)
    ]
    for real, fake in ((rectified(120, 8), rectified(90, 8, 1, 0.2)), lattice):
        found = density_coverage(real, fake, k)
        assert found == pytest.approx(density_and_coverage_by_loops(real, fake, k), abs=1e-12)
        assert found[0] > 0
        assert 0 < found[1] <= 1


def test_an_outlier_changes_precision_and_hardly_density():
    """The reason for density: the ball of one real outlier holds many fakes."""
    real = cloud(300, 4)
    fake = cloud(300, 4, 1, 40.0)
    outlier = np.concatenate([real, np.full((1, 4), 60.0)])
    assert precision_recall(outlier, fake)[0] == 1
    assert density_coverage(outlier, fake) == (pytest.approx(0.2), pytest.approx(1 / 301))
    assert density_coverage(real, fake) == (0, 0)
    with pytest.raises(BadInput, match="at least 1, got 0"):
        density_coverage(real, fake, 0)


def test_precision_and_recall_are_what_torch_fidelity_says():
    prc = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = cloud(500, 24), cloud(400, 24, 1) * 0.8
    told = prc.prc_features_to_metric(
        torch.from_numpy(fake),
        torch.from_numpy(real),
        prc_neighborhood=3,
        prc_batch_size=100,
        save_cpu_ram=True,
        verbose=False,
    )
    theirs = told["precision"], told["recall"]
    assert precision_recall(real, fake) == pytest.approx(theirs, rel=1e-5)


def test_precision_is_for_what_is_there_and_recall_for_what_is_missed():
    real = cloud(300, 8)
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, real + 1000) == (0, 0)
    half = real[real[:, 7] > np.median(real[:, 7])]
    precision, recall = precision_recall(real, half)
    assert precision == 1
    assert 0.5 <= recall < 0.9
    assert precision_recall(half, real) == (recall, precision)


def test_a_generator_that_has_collapsed_recalls_nothing():
    """All fakes one image: every ball of theirs is a point."""
    real = rectified(700, 512)
    fake = np.repeat(real[:1], 700, 0)
    assert precision_recall(real, fake) == (1, 1 / 700)
    assert precision_recall(real, fake + np.float32(500)) == (0, 0)


def test_balls_need_neighbours_and_features_numbers():
    x = np.zeros((3, 4))
    with pytest.raises(BadInput, match=r"real features .* n at least 4, got \(3, 4\)"):
        precision_recall(x, np.zeros((9, 4)))
    with pytest.raises(BadInput, match="width: 4 and 5"):
        precision_recall(np.zeros((9, 4)), np.zeros((9, 5)))
    with pytest.raises(BadInput, match="finite"):
        precision_recall(np.full((9, 4), np.nan), np.zeros((9, 4)))
    with pytest.raises(BadInput, match="at least 1, got 0"):
        precision_recall(np.zeros((9, 4)), np.zeros((9, 4)), 0)


# ---------------------------------------------------------------------------------------- nearest


def test_nearest_is_the_smallest_of_all(thin):
    x, y = rectified(70, 12), rectified(90, 12, 1)
    wide = x[:, None].astype(np.float64) - y
    np.testing.assert_allclose(nearest(x, y), np.sqrt((wide**2).sum(2)).min(1), rtol=1e-12)


def test_nearest_finds_itself_at_no_distance(thin):
    """To the last bit, and far from the origin, where inner products cancel."""
    x = (cloud(100, 12) * 1e-3 + 1000).astype(np.float32)
    assert (nearest(x, x[::-1]) == 0).all()
    moved = x.copy()
    moved[:, 0] += np.float32(0.25)
    near = nearest(moved, x)
    assert (near > 0).all()
    assert near.max() <= 0.25


def test_nearest_takes_clouds():
    with pytest.raises(BadInput, match="features"):
        nearest(np.zeros((0, 4)), np.zeros((3, 4)))
    with pytest.raises(BadInput, match="width"):
        nearest(np.zeros((3, 4)), np.zeros((3, 5)))


# ----------------------------------------------------------------------------------------- memory

MEASURED = """
import resource, sys
import numpy as np
from genzoo.metrics.statistics import distances, nearest

n, width, strip = map(int, sys.argv[1:])
nearest._STRIP = strip or nearest._STRIP
random = np.random.default_rng(0)
x, y = (random.standard_normal((n, width), dtype=np.float32) for _ in range(2))
calls = [distances.precision_recall, distances.kernel, distances.nearest]
for call in calls:
    call(x[:50], y[:50])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for call in calls:
    call(x, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _most_memory(*arguments):
    """Of all that looks at pairs, in MB, above what the features take; n, width, strip."""
    command = [sys.executable, "-c", MEASURED, *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(said) * (1 if sys.platform == "darwin" else 1024) / 1e6


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_no_matrix_of_all_pairs_is_ever_there():
    """Of 4,000 features a side it would take 128 MB."""
    assert _most_memory(4000, 16, 2**20) < 90


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_memory_has_a_bound():
    """Where that matrix would take 5 GB; of 50,000 x 2,048, some chunks are a little larger."""
    assert _most_memory(25_000, 128, 0) < 800
