"""Flow matching against its paper: the path, the loss, and flows whose answer is known."""

import pytest
import torch
from genzoo_flow_matching import Config, FlowMatching, FlowSampling
from torch import Tensor, nn

import genzoo
from genzoo import Noise

MEAN, DEVIATION = 0.2, 0.3  # of Gaussian data, whose velocities have a closed form


def _model(shape=(1, 4, 4), std=0.1):
    """A small model whose weights, unlike those before training, do something."""
    torch.manual_seed(0)
    model = FlowMatching(Config(shape=shape, width=8))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std)
    return model


def _gaussian(x: Tensor, t: Tensor) -> Tensor:
    """E[x_1 - x_0 | x_t] of pixels from N(MEAN, DEVIATION^2), on straight paths from N(0, 1)."""
    t = t.view(-1, 1, 1, 1)
    covariance = t * DEVIATION**2 - (1 - t)
    return MEAN + covariance / (t**2 * DEVIATION**2 + (1 - t) ** 2) * (x - t * MEAN)


def _two_images(x: Tensor, t: Tensor) -> Tensor:
    """The same for data of two images, all -1/2 and all 1/2: by Bayes' rule over the two."""
    t = t.view(-1, 1, 1, 1)
    ends = torch.tensor([-0.5, 0.5])
    far = torch.stack([(x - t * end).square().flatten(1).sum(1) for end in ends], 1)
    weights = (-far / (2 * (1 - t.view(-1, 1)) ** 2)).softmax(1)
    return ((weights @ ends).view(-1, 1, 1, 1) - x) / (1 - t)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_the_velocity_of_gaussian_data_carries_noise_to_them(solver, monkeypatch):
    """The flow of one Gaussian to another is the straight map: mean + deviation times noise."""
    model = _model()
    monkeypatch.setattr(model.network, "forward", _gaussian)
    code, errors = torch.randn(4, 16, dtype=torch.float64).clamp(-2, 2), {}
    for steps in (16, 32, 64):
        x = model.decode(code, None, FlowSampling(steps=steps, solver=solver)).flatten(1)
        errors[steps] = (x - (MEAN + DEVIATION * code)).abs().max().item()
    less = errors[32] / errors[64]  # half the step: half the error, or less than a quarter
    assert less > 3.5 if solver == "midpoint" else less == pytest.approx(2, rel=0.1)
    assert errors[64] < (1e-4 if solver == "midpoint" else 0.03)


def test_the_velocity_of_two_images_leads_to_one_of_them(monkeypatch):
    """Half of all noise to each, and nowhere between: the samples are the data's."""
    model = _model()
    monkeypatch.setattr(model.network, "forward", _two_images)
    x = model.sample(400, seed=1, steps=40, batch_size=400).tensor * 2 - 1
    torch.testing.assert_close(x.abs(), torch.full_like(x, 0.5), atol=1e-3, rtol=0)
    assert (x.flatten(1).std(1) < 1e-3).all()
    assert (x.mean((1, 2, 3)) > 0).float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_the_way_back_gives_the_code(monkeypatch):
    model = _model()
    monkeypatch.setattr(model.network, "forward", _gaussian)
    x = torch.rand(3, 1, 4, 4) * 1.6 - 0.8
    code = model.embed(x)
    torch.testing.assert_close(code, ((x - MEAN) / DEVIATION).flatten(1), atol=0.1, rtol=0.03)
    monkeypatch.undo()
    model = _model()
    with torch.no_grad():
        torch.testing.assert_close(model.decode(model.embed(x)), x, atol=2e-3, rtol=0)


@pytest.mark.parametrize("sigma_min", [0.0, 0.1])
def test_the_loss_is_the_error_at_the_end_of_a_straight_path(sigma_min, monkeypatch):
    """Equations 22 and 23: the network sees psi_t(x_0), and must say its derivative in t."""
    model, seen = _model(), {}

    def forward(x: Tensor, t: Tensor) -> Tensor:
        seen.update(x=x, t=t)
        return torch.zeros_like(x)

    monkeypatch.setattr(model.network, "forward", forward)
    batch = genzoo.Batch(torch.rand(500, 1, 4, 4) * 2 - 1)
    loss, _ = model.loss(batch, sigma_min)
    noise = batch.noise("noise").normal(1, 4, 4)

    def path(t: Tensor) -> Tensor:
        t = t.view(-1, 1, 1, 1)
        return t * batch.x + (1 - t + t * sigma_min) * noise

    torch.testing.assert_close(seen["x"], path(seen["t"]))
    slope = path(torch.ones(500)) - path(torch.zeros(500))
    torch.testing.assert_close(loss, slope.square().mean())
    assert 0 <= seen["t"].min() < 0.05 < 0.95 < seen["t"].max() < 1


def test_the_best_velocity_is_that_of_all_paths_together(monkeypatch):
    """Theorem 2: the conditional loss is least for the marginal velocity, by Bayes' rule."""
    model = _model()
    images = torch.where(torch.rand(4000, 1, 1, 1) < 0.5, -0.5, 0.5).expand(-1, 1, 4, 4)
    losses = []
    for factor in (1.0, 0.9, 1.1):
        monkeypatch.setattr(model.network, "forward", lambda x, t, a=factor: a * _two_images(x, t))
        losses.append(model.loss(genzoo.Batch(images), 0.0)[0].item())
    assert losses[0] < 0.95 * min(losses[1:])


def test_network_is_told_the_time():
    x = torch.randn(1, 1, 4, 4).expand(2, -1, -1, -1)
    early, late = _model(std=0.3).network(x, torch.tensor([0.0, 0.5]))
    assert (early - late).abs().max() > 1e-3


def test_settings_of_sampling():
    model = _model()
    one = model.sample(2).tensor
    assert torch.equal(model.sample(2, steps=8, solver="midpoint").tensor, one)
    assert not torch.equal(model.sample(2, steps=2).tensor, one)
    assert not torch.equal(model.sample(2, solver="euler").tensor, one)


def test_it_refuses_sides_that_do_not_halve_twice():
    with pytest.raises(genzoo.BadInput, match="halve twice"):
        _model(shape=(1, 6, 6))


def test_the_streams_of_noise_are_the_codes():
    model = _model()
    with torch.no_grad():
        x = model.decode(Noise(3, range(2)).normal(16))
    torch.testing.assert_close(model.sample(2, seed=3).tensor, model.to_public(x))
