"""GMM: EM against scikit-learn's, densities against torch's, masses and samples by enumeration."""

import functools
import itertools
import math

import genzoo_gmm as gmm
import numpy as np
import pytest
import torch
from torch import distributions

import genzoo
from genzoo import Noise
from genzoo.schemas import checked

sklearn = pytest.importorskip("sklearn")


def build(shape=(3,), components=3, rank=0, scale=0.5, **values):
    """A small model whose Gaussians differ in everything, and are about this wide."""
    torch.manual_seed(0)
    asked = {"shape": shape, "components": components, "rank": rank, **values}
    model = gmm.GMM(checked(gmm.Config, asked, "config"))
    with torch.no_grad():
        model.log_weights.normal_().copy_(model.log_weights.log_softmax(0))
        model.loadings.normal_(0, scale)
        model.log_deviation.normal_(math.log(scale), 0.3)
    return model.eval()


def new(shape=(3,), components=3, rank=0):
    """A model that nothing was fitted to."""
    torch.manual_seed(0)
    asked = {"shape": shape, "components": components, "rank": rank}
    return gmm.GMM(checked(gmm.Config, asked, "config"))


def mixture(model):
    """The same by torch.distributions."""
    if model.config.rank:
        variance = (2 * model.log_deviation).exp()
        parts = distributions.LowRankMultivariateNormal(model.mean, model.loadings, variance)
    else:
        normal = distributions.Normal(model.mean, model.log_deviation.exp())
        parts = distributions.Independent(normal, 1)
    weights = distributions.Categorical(logits=model.log_weights)
    return distributions.MixtureSameFamily(weights, parts)


def blobs(n=300):
    """Three groups of points in space, of different width and tilt."""
    random = np.random.RandomState(0)
    tilt = random.randn(3, 3, 3)
    return torch.tensor(
        np.concatenate([random.randn(n // 3, 3) @ t + 4 * t[0] for t in tilt])
    ).float()


def fit(model, x, steps, **options):
    asked = {"batch_size": len(x), "lr": 1.0, **options}
    trainer = gmm.EM(model, checked(gmm.TrainOptions, asked, "options"))
    trainer.prepare(genzoo.training.RunSettings())
    logs = [trainer.step(genzoo.Batch(x, step=step)) for step in range(steps)]
    return [log["statistics/nats"].item() for log in logs]


@pytest.mark.parametrize("rank", [0, 2])
def test_the_density_is_torchs(rank):
    model, x = build(rank=rank), torch.randn(50, 3)
    assert torch.allclose(model.log_prob(x), mixture(model).log_prob(x), atol=1e-5)


@pytest.mark.parametrize("rank", [0, 2])
def test_each_gaussian_of_a_new_model_has_one_sample_at_first(rank):
    """That of its number in the step, in whatever order they come, and the variance of all."""
    model, n = new((1, 2, 2), rank=rank), 40
    x = (255 * torch.rand(n, 1, 2, 2) * torch.tensor([0.1, 0.4, 0.7, 1]).view(2, 2)).round() / 255
    loadings = model.loadings.detach().clone()
    batch = genzoo.Batch(x, indices=tuple(reversed(range(n))))
    trainer = gmm.EM(model, checked(gmm.TrainOptions, {"batch_size": n, "lr": 1.0}, "options"))
    trainer.prepare(genzoo.training.RunSettings())
    trainer.step(batch)
    y = ((255 * x + batch.noise("place").uniform(1, 2, 2)) / 256).flatten(1)
    variance = y.var(0, correction=0).mean()
    close = functools.partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)
    close(model.mean.detach(), y.flip(0)[:3])
    close(model.log_weights.detach().exp(), torch.full((3,), 1 / 3))
    close((2 * model.log_deviation.detach()).exp(), variance.expand(3, 4))
    assert torch.equal(model.loadings, loadings), "one sample has no directions"


def test_steps_of_em_are_scikit_learns():
    """From the same Gaussians, at the samples that each begins at."""
    from sklearn.mixture import GaussianMixture

    x = blobs()[torch.randperm(300)]
    model, steps = new(), 8
    fit(model, x, steps)
    theirs = GaussianMixture(
        3, covariance_type="diag", max_iter=steps - 1, tol=0, reg_covar=0,
        means_init=x[:3], weights_init=[1 / 3] * 3,
        precisions_init=np.full((3, 3), 1 / x.var(0, correction=0).mean()),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="did not converge"):
        theirs.fit(x.numpy())
    np.testing.assert_allclose(model.mean.detach(), theirs.means_, rtol=1e-3, atol=1e-3)
    variance = (2 * model.log_deviation.detach()).exp()
    np.testing.assert_allclose(variance, theirs.covariances_, rtol=2e-3)
    np.testing.assert_allclose(model.log_weights.detach().exp(), theirs.weights_, rtol=1e-3)
    assert model.log_prob(x).mean().item() == pytest.approx(theirs.score(x), abs=1e-4)


def test_one_gaussian_of_low_rank_is_factor_analysis():
    """The likelihood where EM ends is that of scikit-learn's, which takes another way."""
    from sklearn.decomposition import FactorAnalysis

    random = np.random.RandomState(0)
    x = random.randn(400, 2) @ random.randn(2, 6) + 0.5 * random.randn(400, 6) + 1
    theirs = FactorAnalysis(2, tol=1e-6, svd_method="lapack").fit(x).score(x)
    nats = fit(new((6,), 1, 2), torch.tensor(x).float(), 80)
    assert -nats[-1] == pytest.approx(theirs, abs=2e-3)


def test_em_never_loses_likelihood():
    nats = fit(new(rank=1), blobs()[torch.randperm(300)], 30)[1:]
    assert all(after < before + 1e-4 for before, after in itertools.pairwise(nats))
    assert nats[-1] < nats[0] - 0.3


def test_options_are_those_of_the_averages():
    """The M step arrives whatever the schedule: the means are those of the statistics."""
    model, x = new(), blobs()
    options = {"lr_decay_start": 0.0, "lr_inverse_decay": 1.0, "gradient_clip": 0.1, "lr": 0.3}
    trainer = gmm.EM(model, checked(gmm.TrainOptions, options, "options"))
    trainer.prepare(genzoo.training.RunSettings())
    for step in range(3):
        trainer.step(genzoo.Batch(x, step=step, progress=step / 4))
    _, yz, _ = trainer.statistics
    weight = trainer.statistics[0][:, -1, -1]
    torch.testing.assert_close(model.mean.detach(), yz[:, :, -1] / weight[:, None])
    with pytest.raises(genzoo.BadInput, match="warmup must be at most 0"):
        checked(gmm.TrainOptions, {"warmup": 0.1}, "options")


@pytest.mark.parametrize("rank", [0, 2])
def test_a_run_that_begins_with_a_fitted_model_begins_with_its_gaussians(rank):
    model = build(rank=rank)
    before = [p.detach().clone() for p in model.parameters()]
    statistics = gmm.EM(model, gmm.TrainOptions()).statistics
    x = model.sample(20_000, seed=1).tensor
    log_p, z, factors = model.infer(x, torch.ones(1, 3))
    for own, drawn in zip(
        statistics, gmm.expected(x, log_p.softmax(1), z, factors, torch.zeros(())), strict=True
    ):
        assert torch.allclose(own, drawn, atol=0.05), "those of its own samples"
    fit(model, x[:200], 1, lr=1e-6)
    for old, p in zip(before, model.parameters(), strict=True):
        assert torch.allclose(old, p.detach(), atol=1e-3)


@pytest.mark.parametrize("rank", [0, 1])
def test_narrow_gaussians_in_half_precision(rank, tmp_path):
    """1 / variance of a level is 786,432, and float16 ends at 65,504."""
    model = build((1, 2, 2), 4, rank, levels=256, scale=0.01)
    with torch.no_grad():
        model.log_deviation.fill_(math.log(12**-0.5 / 256))
    genzoo.save(model, tmp_path / "m", family="gmm")
    half, x = genzoo.load(tmp_path / "m", dtype="float16"), model.sample(100).tensor
    assert torch.allclose(half.sample(100).tensor, x, atol=0.01)
    assert torch.allclose(half.log_prob(x), model.log_prob(x), atol=8, rtol=0.1)


def test_parts_of_a_batch_give_its_statistics():
    x = blobs()[torch.randperm(300)]
    ends = []
    for parts in (1, 3):
        model = new(rank=1)
        trainer = gmm.EM(model, checked(gmm.TrainOptions, {"batch_size": 300}, "options"))
        for step, micro_batches in enumerate((1, parts, parts)):
            trainer.prepare(genzoo.training.RunSettings(micro_batches=micro_batches))
            trainer.step(genzoo.Batch(x, step=step))
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.allclose(*ends, atol=1e-3)
    assert not torch.equal(*ends)


def every(shape, levels):
    values = itertools.product(range(levels), repeat=math.prod(shape))
    return torch.tensor([*values]).view(-1, *shape) / (levels - 1)


@pytest.mark.parametrize("rank", [0, 2])
def test_probabilities_of_all_images_sum_to_one(rank):
    model = build((1, 1, 2), rank=rank, levels=12, scale=0.15)
    assert model.likelihood_kind == ("bound" if rank else "exact")
    total = model.log_prob(every((1, 1, 2), 12), samples=150, batch_size=144).exp().sum()
    assert total.item() == pytest.approx(1, abs=0.03 if rank else 1e-5)


def test_the_mass_of_a_level_is_an_integral_with_the_tails_at_the_ends():
    """Of narrow and of wide Gaussians, near and far, against float64 differences."""
    model = build((1, 1, 1), 1, levels=256)
    x = torch.arange(256.0).view(-1, 1, 1, 1) / 255
    for mean, deviation in ((0.3, 0.2), (0.9, 0.002), (-0.2, 0.1), (0.5, 3.0)):
        with torch.no_grad():
            model.mean.fill_(mean)
            model.log_deviation.fill_(math.log(deviation))
        ends = torch.cat(
            [torch.tensor([-math.inf]), torch.arange(1, 256) / 256, torch.tensor([math.inf])]
        )
        z = (ends.double() - model.mean.item()) / model.log_deviation.double().exp().item()
        low, high = torch.special.ndtr(z), torch.special.ndtr(-z)
        expected = torch.maximum(low.diff(), -high.diff())
        shown = expected > 1e-30
        found = model.log_prob(x).double().exp()
        assert torch.allclose(found[shown], expected[shown], rtol=2e-3), (mean, deviation)
        assert found.sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("rank", [0, 2])
def test_samples_follow_the_model(rank):
    """Frequencies of images of two pixels against their probabilities."""
    model, n = build((1, 1, 2), rank=rank, levels=12, scale=0.15), 4000
    images = every((1, 1, 2), 12)
    expected = n * model.log_prob(images, samples=100, batch_size=144).exp()
    samples = model.sample(n, batch_size=n).tensor
    which = (11 * samples.flatten(1) @ torch.tensor([12.0, 1])).round().long()
    frequent = expected > 5
    chi2 = ((which.bincount(minlength=144) - expected).square() / expected)[frequent].sum()
    assert chi2 < frequent.sum() + 5 * (2 * frequent.sum()) ** 0.5


@pytest.mark.parametrize("rank", [0, 2])
def test_completion_follows_the_conditional_distribution(rank):
    """Of two values given one: the moments by weighing samples of all three."""
    model, n = build(rank=rank), 8000
    x, mask = torch.full((n, 3), 0.4), torch.tensor([0.0, 1.0, 0.0]).repeat(n, 1)
    with torch.no_grad():
        found = model.complete(x, mask, Noise(0, range(n)), None, model.sampling())
    assert torch.equal(found[:, 1], x[:, 1])
    drawn = mixture(model).sample((200_000,))
    near = drawn[(drawn[:, 1] - 0.4).abs() < 0.05][:, [0, 2]]
    assert torch.allclose(found[:, [0, 2]].mean(0), near.mean(0), atol=0.04)
    assert torch.allclose(found[:, [0, 2]].T.cov(), near.T.cov(), atol=0.04)


def test_at_temperature_0_a_sample_is_a_mean():
    model = build()
    samples = model.sample(20, temperature=0.0).tensor
    assert torch.cdist(samples, model.mean.detach()).min(1).values.max() < 1e-5


def test_constant_pixels_keep_the_width_of_a_level():
    """White ones, too, where float32 leaves little of a variance."""
    model = new((1, 1, 2), 2)
    fit(model, torch.tensor([0.0, 1.0]).repeat(200, 1).view(200, 1, 1, 2), 3)
    deviation = model.log_deviation.detach().exp() * 256
    assert torch.allclose(deviation[:, 0], torch.tensor(12**-0.5), rtol=0.15)
    assert (deviation[:, 1] > 0.28).all()
    assert model.log_prob(torch.tensor([[[[0.0, 1.0]]]])).item() > -0.3


def test_more_gaussians_than_samples_are_refused():
    with pytest.raises(genzoo.BadInput, match="batch_size must be 3 or more"):
        fit(build(), blobs()[:2], 1)
