"""The VAE against its paper: the bound, the divergence, the likelihoods, the fitted prior."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from genzoo_vae import VAE, Config, TrainOptions, finish, trainer
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from genzoo import BadInput, Batch, Noise, fit
from genzoo.models.networks import discretised_logistic
from genzoo.training import RunSettings


def _model(likelihood="bernoulli", **config):
    torch.manual_seed(0)
    model = VAE(
        Config(shape=(1, 8, 8), latent_dim=3, width=16, likelihood=likelihood, **config)
    ).eval()
    for parameter in model.parameters():  # away from the start, where all posteriors are alike
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def _images(n=6, levels=256):
    return (Noise(1, range(n)).uniform(1, 8, 8) * (levels - 1)).round() / (levels - 1)


def test_loss_is_minus_the_bound_with_kingmas_divergence():
    """Appendix B: -KL = 1/2 sum(1 + log s^2 - m^2 - s^2); appendix C.1: Bernoulli cross-entropy."""
    model, batch = _model(), Batch(_images(), progress=1.0)
    mean, log_variance = model.posterior(batch.x)
    z = mean + (log_variance / 2).exp() * batch.noise("code").normal(3)
    logits = model.decoder(z)
    entropy = F.binary_cross_entropy_with_logits(logits, batch.x, reduction="sum") / 6
    divergence = -(1 + log_variance - mean**2 - log_variance.exp()).sum() / 2 / 6
    loss, logs = model.loss(batch, TrainOptions())
    assert loss.item() == pytest.approx((entropy + divergence).item(), rel=1e-5)
    assert logs["elbo"].item() == pytest.approx(-loss.item(), rel=1e-5)


def test_beta_weighs_the_divergence_and_rises():
    model, options = _model(), TrainOptions(beta=4.0, beta_warmup=0.5)
    losses = {p: model.loss(Batch(_images(), progress=p), options) for p in (0.0, 0.25, 0.5, 1.0)}
    divergence = losses[1.0][1]["divergence"].item()
    at = {p: loss.item() + logs["elbo"].item() for p, (loss, logs) in losses.items()}
    for progress, beta in ((0.0, 0.4), (0.25, 2.2), (0.5, 4.0), (1.0, 4.0)):
        assert at[progress] == pytest.approx((beta - 1) * divergence, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("progress", [0.0, 1e-12, 0.5])
def test_no_warmup_is_the_whole_weight_from_the_start(progress):
    model, batch = _model(), Batch(_images(), progress=progress)
    without, done = TrainOptions(beta=4.0, beta_warmup=0.0), TrainOptions(beta=4.0)
    loss, end = model.loss(batch, without)[0], model.loss(replace(batch, progress=1.0), done)[0]
    assert loss.item() == end.item()


def test_log_weights_mean_is_the_bound_and_importance_is_tighter():
    model, x = _model(levels=2), _images(levels=2)
    elbo = model.log_prob(x, samples=500, bound="elbo").mean()
    exact = -model.loss(Batch(x, progress=1.0), TrainOptions())[0]
    assert elbo.item() == pytest.approx(exact.item(), abs=0.5)
    assert (model.log_prob(x, samples=500) > model.log_prob(x, samples=500, bound="elbo")).all()


def test_log_weight_is_log_p_x_z_minus_log_q():
    model, x = _model(), _images(2)
    model.prior_mean.copy_(torch.tensor([0.5, -1.0, 0.0]))
    model.prior_scale.copy_(torch.tensor([[2.0, 0, 0], [0.3, 1, 0], [0, 0.1, 0.5]]))
    with torch.no_grad():
        weight = model.log_weight(x, None, Noise(3, range(2)))
        mean, log_variance = model.posterior(x)
        z = mean + (log_variance / 2).exp() * Noise(3, range(2)).normal(3)
        prior = MultivariateNormal(model.prior_mean, scale_tril=model.prior_scale).log_prob(z)
        posterior = Normal(mean, (log_variance / 2).exp()).log_prob(z).sum(1)
        likelihood = Bernoulli(logits=model.decoder(z), validate_args=False).log_prob(x)
    torch.testing.assert_close(weight, likelihood.flatten(1).sum(1) + prior - posterior)


def test_discretised_logistic_is_a_law_over_256_levels():
    levels = torch.arange(256).view(-1, 1) / 255
    mean = torch.tensor([0.0, 0.3, 0.999]).expand(256, 3)
    mass = discretised_logistic(levels.expand(256, 3), mean, torch.tensor(-3.0)).exp().sum(0)
    torch.testing.assert_close(mass, torch.ones(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("log_scale", [-2.0, -5.0, -8.0, -10.0])
@pytest.mark.parametrize("level", [1, 40, 128, 254])
def test_the_discretised_logistics_tail(log_scale, level):
    """Against the density's integral over the bin, in float64; a wrong mean keeps a gradient."""
    x, mean, s = level / 255, 0.52, math.exp(log_scale)
    at = torch.linspace(x - 0.5 / 255, x + 0.5 / 255, 200_001, dtype=torch.float64)
    z = ((at - mean) / s).abs()
    log_density = -z - 2 * torch.log1p(torch.exp(-z)) - log_scale
    expected = log_density.logsumexp(0) - math.log(255 * len(at))
    guess = torch.tensor(mean, requires_grad=True)
    found = discretised_logistic(torch.tensor(x), guess, torch.tensor(log_scale))
    assert found.item() == pytest.approx(expected.item(), rel=2e-3, abs=2e-3)
    found.backward()
    assert guess.grad.isfinite()
    assert guess.grad.sign() == math.copysign(1, x - mean)


def test_gaussian_is_the_normal_density():
    model, x, z = _model("gaussian"), _images(2), torch.randn(2, 3)
    with torch.no_grad():
        mean = model.decoder(z).sigmoid()
        spread = (20 * model.spread).exp()
        expected = Normal(mean, spread).log_prob(x).flatten(1).sum(1)
        torch.testing.assert_close(model.log_likelihood(x, z), expected)


@pytest.mark.parametrize(
    ("likelihood", "levels", "scored"),
    [
        ("bernoulli", 2, 2),
        ("bernoulli", 256, None),
        ("logistic", 256, 256),
        ("gaussian", 256, None),
    ],
)
def test_only_a_law_over_the_datas_own_levels_is_a_probability(likelihood, levels, scored):
    assert VAE(Config(likelihood=likelihood, levels=levels)).levels == scored


def test_finish_fits_the_aggregate_posterior():
    model = _model()
    batches = [_images(64), _images(64).flip(3)]
    finish(model, TrainOptions(), batches)
    with torch.no_grad():
        parts = [model.posterior(x) for x in batches]
    mean = torch.cat([m for m, _ in parts])
    variance = torch.cat([v for _, v in parts]).exp()
    torch.testing.assert_close(model.prior_mean, mean.mean(0))
    covariance = model.prior_scale @ model.prior_scale.T
    torch.testing.assert_close(covariance, mean.T.cov() + variance.mean(0).diag())


def test_the_flow_learns_the_codes_and_leaves_them_as_they_are():
    """Two clusters of codes: a Gaussian cannot have them, and the flow learns that."""
    model, options = _model(couplings=4, coupling_width=16), TrainOptions(prior_share=1, lr=0.01)
    model.encoder[-1].weight.data[:3] *= 30  # the means of the clusters lie apart
    learner = trainer(model, options)
    learner.prepare(RunSettings())
    assert [phase.name for phase in learner.phases] == ["prior"]
    images = torch.cat([torch.zeros(32, 1, 8, 8), torch.ones(32, 1, 8, 8)])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = [Batch(images, step=i, progress=i / 60) for i in range(60)]
    losses = [logs["model/loss"].item() for _, logs in fit(learner, batches, 60)]
    assert losses[-1] < losses[0] / 3
    moved = {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}
    assert moved
    assert all(name.startswith("flow.") for name in moved)
    finish(model, options, [images])
    assert torch.equal(model.prior_scale, torch.eye(3)), "no Gaussian beside the flow"


def test_the_flow_is_a_phase_of_a_run_unless_the_prior_is_not_fitted():
    model = _model(couplings=2, coupling_width=4)
    phases = {p.name: p.share for p in trainer(model, TrainOptions(prior_share=0.25)).phases}
    assert phases == {"bound": 0.75, "prior": 0.25}
    assert len(trainer(model, TrainOptions(fit_prior=False)).phases) == 1
    assert len(trainer(_model(), TrainOptions()).phases) == 1


def test_finish_leaves_the_prior_standard_when_told():
    model = _model()
    finish(model, TrainOptions(fit_prior=False), [_images(64)])
    assert torch.equal(model.prior_scale, torch.eye(3))


def test_embed_and_decode_agree_on_what_a_code_is():
    model = _model()
    finish(model, TrainOptions(), [_images(64)])
    x = _images(4)
    with torch.no_grad():
        direct = model.decoder(model.posterior(x)[0]).sigmoid()
        torch.testing.assert_close(model.decode(model.embed(x)), direct)


def test_a_temperature_is_of_the_codes_that_samples_are_drawn_from():
    free, cold = _model(), _model(temperature=0.5)
    cold.load_state_dict(free.state_dict())
    codes = free.codes(3)
    assert torch.equal(cold.codes(3), codes / 2)
    assert torch.equal(cold.sample(3).tensor, free.decode_codes(codes / 2).tensor)
    assert torch.equal(cold.sample(3, temperature=1.0).tensor, free.sample(3).tensor)
    x = _images(levels=2)
    assert torch.equal(cold.embed(x), free.embed(x)), "a photo's code is no sample"


def test_learned_spread_finds_the_noise():
    """A scalar at the networks' rate would crawl; the true deviation is 0.05."""
    x = 0.5 + 0.05 * Noise(0, range(512)).normal(1, 8, 8)
    model = VAE(Config(shape=(1, 8, 8), latent_dim=1, width=8, likelihood="gaussian"))
    learner = trainer(model, TrainOptions(lr=3e-3))
    learner.prepare(RunSettings())
    list(fit(learner, (Batch(x, step=i, progress=0.5) for i in range(300)), 300))
    assert math.exp(20 * model.spread.item()) == pytest.approx(0.05, rel=0.15)


def test_points_in_the_plane_can_be_learnt():
    model = VAE(Config(shape=(2,), levels=0, latent_dim=2, width=8, likelihood="gaussian"))
    assert model.value_range is None
    assert model.sample(5).tensor.shape == (5, 2)
    for likelihood in ("bernoulli", "logistic"):
        said = f"likelihood={likelihood} is for values from 0 to 1.*set likelihood=gaussian"
        with pytest.raises(BadInput, match=said):
            VAE(Config(shape=(2,), likelihood=likelihood))


def test_signals_have_no_levels():
    """They have 16 bits, so the mass of one of 256 bins is that around each value."""
    model = VAE(Config(shape=(1, 64), width=8, likelihood="logistic"))
    assert model.levels is None
    assert model.log_prob(0.3 * torch.randn(4, 1, 64).clamp(-1, 1)).isfinite().all()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (3, 32, 32)])
def test_convolutional_network_fits_its_shape(shape):
    model = VAE(Config(shape=shape, network="conv", width=4, latent_dim=5))
    assert model.sample(2).tensor.shape == (2, *shape)
    assert model.encode(torch.rand(2, *shape)).shape == (2, 5)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "logistic"])
def test_observation_noise_draws_from_p_of_x_given_z(likelihood):
    model = _model(likelihood)
    model.spread.data.fill_(math.log(0.02) / 20)
    means, drawn = model.sample(400), model.sample(400, observation_noise=1.0)
    assert torch.equal(model.sample(400, observation_noise=0.0).tensor, means.tensor)
    noise = drawn.tensor - means.tensor
    assert noise.mean().item() == pytest.approx(0, abs=0.005)
    if likelihood == "bernoulli":
        assert {*drawn.tensor.unique().tolist()} == {0.0, 1.0}
        deviation = (means.tensor * (1 - means.tensor)).mean().sqrt().item()
    else:
        deviation = 0.02 * (math.pi / 3**0.5 if likelihood == "logistic" else 1)
    assert noise.square().mean().sqrt().item() == pytest.approx(deviation, rel=0.05)
    half = model.sample(400, observation_noise=0.5).tensor - means.tensor
    torch.testing.assert_close(half, noise / 2, atol=1e-6, rtol=0)
    if likelihood == "logistic":
        levels = 255 * drawn.tensor
        torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)


def test_a_sample_s_noise_is_its_own():
    model = _model()
    whole = model.sample(5, observation_noise=1.0).tensor
    assert torch.equal(model.sample(2, start=3, observation_noise=1.0).tensor, whole[3:])
    codes, seeds = model.codes(5), [(0, i) for i in range(5)]
    again = model.decode_codes(codes, seeds=seeds, observation_noise=1.0)
    assert torch.equal(again.tensor, whole)
