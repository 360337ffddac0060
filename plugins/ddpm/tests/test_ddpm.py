"""DDPM against its papers: schedule, both processes, loss, and data whose answer is known."""

import math

import pytest
import torch
from genzoo_ddpm import DDPM, Config
from torch import Tensor, nn

import genzoo
from genzoo import Noise

N = 20_000
MEAN, DEVIATION = 0.2, 0.3  # of Gaussian data, whose best denoiser has a closed form


def _model(shape=(1, 4, 4), timesteps=100, **config):
    """A small model whose weights, unlike those before training, do something."""
    torch.manual_seed(0)
    model = DDPM(Config(shape=shape, width=8, timesteps=timesteps, **config))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def _normal(seed, n=N):
    return torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedule_is_the_papers(schedule):
    kept = _model(timesteps=1000, schedule=schedule).alpha_bar.double()
    betas = 1 - kept / torch.cat([torch.ones(1), kept[:-1]])
    if schedule == "linear":
        expected = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        torch.testing.assert_close(betas, expected, atol=1e-6, rtol=1e-3)
        return
    angles = (torch.arange(1, 990) / 1000 + 0.008) / 1.008 * math.pi / 2
    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(kept[:989], angles.double().cos() ** 2 / start, atol=1e-5, rtol=0)
    assert betas[-1].item() == pytest.approx(0.999, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_the_schedule(dtype):
    """The image's share at time 0, 0.9999, would round to 1, and its noise to none of none."""
    model = DDPM(Config(shape=(1, 4, 4), width=8))
    plain = model.sample(2, seed=1, steps=4).tensor
    model.execution = type(model.execution)(dtype)
    half = model.sample(2, seed=1, steps=4).tensor
    assert (half - plain).abs().max() < 0.05


def test_forward_process_is_its_steps():
    """Equation 4 against equation 2, one step after another."""
    model, x = _model(), torch.full((1, 1, 4, 4), 0.7)
    kept = torch.cat([torch.ones(1), model.alpha_bar])
    noisy = x.expand(N, -1, -1, -1)
    for step, beta in enumerate((1 - kept[1:] / kept[:-1])[:40]):
        noisy = (1 - beta).sqrt() * noisy + beta.sqrt() * _normal(step)
    at_once = model.diffuse(x, torch.tensor([39]), torch.zeros_like(x)).mean().item()
    assert noisy.mean().item() == pytest.approx(at_once, abs=0.01)
    assert noisy.std().item() == pytest.approx((1 - model.alpha_bar[39]).sqrt().item(), abs=0.01)
    assert 0.2 < at_once < 0.6


@pytest.mark.parametrize("t", [1, 50, 99])
def test_posterior_is_bayes_rule_on_a_grid(t):
    """q(x_(t-1) | x_t, x_0), from q(x_t | x_(t-1)) q(x_(t-1) | x_0) at every value of a grid."""
    model, start, noisy = _model(), 0.4, -0.7
    now, then = (model.alpha_bar[i].item() for i in (t, t - 1))
    grid = torch.linspace(-6, 6, 60_001, dtype=torch.float64)
    step = torch.distributions.Normal((now / then) ** 0.5 * grid, (1 - now / then) ** 0.5)
    before = torch.distributions.Normal(then**0.5 * start, (1 - then) ** 0.5)
    weights = (step.log_prob(torch.tensor(noisy)) + before.log_prob(grid)).softmax(0)
    expected = (weights @ grid).item()
    deviation = (weights @ (grid - expected) ** 2).sqrt().item()
    x, clean = (torch.full((1, 1, 4, 4), value) for value in (noisy, start))
    mean, sigma = model.posterior(x, clean, torch.tensor([t]), torch.tensor([t - 1]), 1.0)
    assert mean[0, 0, 0, 0].item() == pytest.approx(expected, abs=1e-3)
    assert sigma.item() == pytest.approx(deviation, rel=1e-2)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("t", "to"), [(99, 20), (60, 59), (30, 0), (25, -1)])
def test_a_step_back_of_any_length_keeps_the_forward_process(eta, t, to):
    """From x_t as the forward process has it, x_to as it has that (DDIM's lemma 1)."""
    model, x = _model(), torch.full((1, 1, 4, 4), -0.6)
    noisy = model.diffuse(x, torch.tensor([t]), _normal(0))
    mean, deviation = model.posterior(noisy, x, torch.tensor([t]), torch.tensor([to]), eta)
    back = mean + deviation * _normal(1)
    kept = model.alpha_bar[to].item() if to >= 0 else 1.0
    assert back.mean().item() == pytest.approx(-0.6 * kept**0.5, abs=0.01)
    assert back.std().item() == pytest.approx((1 - kept) ** 0.5, abs=0.01)


def _denoiser(model):
    """E[epsilon | x_t] of pixels from N(MEAN, DEVIATION^2): the regression of one on the other."""

    def forward(x: Tensor, t: Tensor) -> Tensor:
        kept = model.alpha_bar[t].view(-1, 1, 1, 1)
        variance = kept * DEVIATION**2 + 1 - kept
        return (1 - kept).sqrt() / variance * (x - kept.sqrt() * MEAN)

    return forward


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_best_denoiser_of_gaussian_data_draws_gaussian_data(eta, monkeypatch):
    """Up to what T steps miss: equation 7's variance is the least that fits (section 3.2)."""
    model = _model(timesteps=300)
    monkeypatch.setattr(model.network, "forward", _denoiser(model))
    x = model.generate(Noise(0, range(300)), None, model.sampling(steps=300, eta=eta))
    assert x.mean().item() == pytest.approx(MEAN, abs=0.015)
    assert x.std().item() == pytest.approx(DEVIATION, abs=0.02)


def test_the_loss_of_the_best_denoiser_is_the_variance_that_is_left(monkeypatch):
    """Equation 14: over all times, Var(epsilon | x_t); and any other denoiser loses more."""
    model = _model()
    images = genzoo.Batch(MEAN + DEVIATION * _normal(3, 4000))
    kept = model.alpha_bar
    expected = (kept * DEVIATION**2 / (kept * DEVIATION**2 + 1 - kept)).mean().item()
    best, losses = _denoiser(model), []
    for factor in (1.0, 0.9, 1.1):
        monkeypatch.setattr(model.network, "forward", lambda x, t, a=factor: a * best(x, t))
        losses.append(model.loss(images)[0].item())
    assert losses[0] == pytest.approx(expected, rel=0.05)
    assert losses[0] == min(losses)


def test_without_fresh_noise_the_first_decides():
    """DDIM, eta = 0: samples with one start are equal, whatever the streams hold after it."""

    class Start(Noise):
        def normal(self, *shape: int, limit: float | None = None) -> Tensor:
            x = super().normal(*shape, limit=limit)
            return x[:1].expand_as(x) if self.first and not setattr(self, "first", False) else x

    model, ends = _model(), {}
    for eta in (0.0, 1.0):
        noise = Start(0, range(2))
        noise.first = True
        ends[eta] = model.generate(noise, None, model.sampling(steps=5, eta=eta))
    assert torch.equal(ends[0.0][0], ends[0.0][1])
    assert not torch.equal(ends[1.0][0], ends[1.0][1])


def test_all_steps_with_fresh_noise_are_algorithm_2():
    """``steps`` = T, eta = 1 against the paper's loop, with its own formulas."""
    model = _model(timesteps=20)
    noise, kept = Noise(5, range(3)), model.alpha_bar.double()
    x = noise.normal(1, 4, 4)
    with torch.no_grad():
        for t in reversed(range(20)):
            now, then = kept[t], kept[t - 1] if t else torch.ones(()).double()
            beta = 1 - now / then
            epsilon = model.network(x, torch.full((3,), t)).double()
            start = ((x - (1 - now).sqrt() * epsilon) / now.sqrt()).clamp(-1, 1)
            mean = then.sqrt() * beta * start + (now / then).sqrt() * (1 - then) * x
            x = mean / (1 - now)  # equation 7
            if t:
                x = x + ((1 - then) / (1 - now) * beta).sqrt() * noise.normal(1, 4, 4)
            x = x.float()
        drawn = model.generate(Noise(5, range(3)), None, model.sampling(steps=20, eta=1.0))
    torch.testing.assert_close(drawn, x, atol=2e-3, rtol=0)


def test_the_true_noise_leads_back_to_the_picture(monkeypatch):
    model = _model()
    x, asked = torch.rand(1, 1, 4, 4) * 2 - 1, []

    def true_noise(noisy, t):
        asked.append(int(t[0]))
        kept = model.alpha_bar[t[0]]
        return (noisy - kept.sqrt() * x) / (1 - kept).sqrt()

    monkeypatch.setattr(model.network, "forward", true_noise)
    made = model.generate(Noise(0, range(2)), None, model.sampling(steps=7))
    torch.testing.assert_close(made, x.expand(2, -1, -1, -1), atol=1e-3, rtol=0)
    assert asked == [99, 82, 66, 50, 33, 16, 0]  # evenly spaced, from the first to the last


def test_network_is_told_the_time():
    x = torch.randn(1, 1, 4, 4).expand(2, -1, -1, -1)
    early, late = _model().network(x, torch.tensor([0, 99]))
    assert (early - late).abs().max() > 1e-3


def test_it_refuses_sides_that_do_not_halve_twice():
    with pytest.raises(genzoo.BadInput, match="halve twice"):
        _model(shape=(1, 6, 6))


def test_settings_of_sampling():
    model = _model()
    one, few, ddim = (
        model.sample(2, **how).tensor for how in ({}, {"steps": 3}, {"steps": 3, "eta": 0.0})
    )
    assert not torch.equal(one, few)
    assert not torch.equal(few, ddim)
    assert torch.equal(model.sample(2, steps=50, eta=1.0).tensor, one), "the defaults"
    short = _model(timesteps=5)
    most = short.sample(2, steps=4000)
    assert torch.equal(most.tensor, short.sample(2, steps=5).tensor)
    for samples in (most, short.sample(2)):
        assert samples.call["sampling"]["steps"] == 5, "recorded is what was computed"
