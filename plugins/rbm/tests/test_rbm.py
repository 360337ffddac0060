"""RBM: its gradient, its constant against the exact sum, its chain against exact probabilities."""

import itertools
import math

import genzoo_rbm as rbm
import pytest
import torch
import torch.nn.functional as F

import genzoo
from genzoo import Noise, families
from genzoo.schemas import checked


def build(shape=(1, 3, 3), units=6, scale=0.7, seed=0, **values):
    """A small model with weights of this size, and base rates that are not those of its pixels."""
    torch.manual_seed(seed)
    config = checked(rbm.Config, {"shape": shape, "units": units, **values}, "config")
    model = rbm.RBM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, scale)
        model.base.normal_(0, 0.5)
    return model.eval()


def bits(n):
    return torch.tensor([*itertools.product([0.0, 1.0], repeat=n)])


def exact_log_z(model):
    """The sum over all states of the hidden units, with the pixels summed out: float64."""
    w, b, c = (t.detach().double() for t in (model.weights, model.visible_bias, model.hidden_bias))
    h = bits(model.units).double()
    return (h @ c + F.softplus(b + h @ w).sum(1)).logsumexp(0).item()


def exact_log_p(model, x):
    log_p = model.log_p(x.flatten(1), model.sums(x.flatten(1))).detach().double()
    return log_p - exact_log_z(model)


def test_the_free_energy_sums_the_hidden_units_out():
    """log sum_h exp(b v + c h + h W v) for every v, term by term."""
    model = build()
    v, h = bits(9), bits(6)
    energy = (v @ model.visible_bias)[:, None] + h @ model.hidden_bias + v @ model.weights.T @ h.T
    found = model.log_p(v, model.sums(v))
    assert torch.allclose(found, energy.logsumexp(1), atol=1e-5)
    assert exact_log_p(model, v).exp().sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_ais_against_the_exact_sum(scale):
    """Within four standard errors; the error says how far estimates of other chains lie."""
    model = build(scale=scale)
    exact, found = exact_log_z(model), []
    for seed in range(8):
        log_w = model.ais(Noise(seed, range(50)), 40).double()
        found.append((log_w.logsumexp(0) - math.log(50)).item())
    options = checked(rbm.TrainOptions, {"ais_chains": 50, "ais_steps": 40}, "options")
    base = model.base.clone()
    rbm.finish(model, options, [bits(9)[::2].view(-1, 1, 3, 3)])
    assert not torch.equal(model.base, base)
    error = model.log_z_error.item()
    assert abs(model.log_z.item() - exact) < 4 * error
    assert 0.3 * error < torch.tensor(found).std().item() < 3 * error
    assert torch.tensor(found).mean().item() == pytest.approx(exact, abs=4 * error)


def test_of_a_model_without_weights_the_constant_is_exact():
    model = build(scale=0.0)
    model.base.zero_()
    assert model.log_z.item() == pytest.approx(exact_log_z(model), abs=1e-5)
    weights = model.ais(Noise(0, range(3)), 5)
    assert torch.allclose(weights, torch.tensor(exact_log_z(model)).float(), atol=1e-4)


def test_the_gradient_is_a_difference_of_means():
    """Of p(h = 1 given v) v, over data and over the chains."""
    model = build(levels=2)
    trainer = rbm.PersistentCD(model, checked(rbm.TrainOptions, {"chains": 7}, "options"))
    x = bits(9)[::60]
    loss, _ = trainer.loss(genzoo.Batch(x.view(-1, 1, 3, 3)))
    loss.backward()

    def mean(v):
        h = model.sums(v).sigmoid()
        return h.T @ v / len(v), h.mean(0), v.mean(0)

    parameters = (model.weights, model.hidden_bias, model.visible_bias)
    for p, data, chains in zip(parameters, mean(x), mean(trainer.chains.v), strict=True):
        assert torch.allclose(-p.grad, data - chains, atol=1e-6)


def test_a_pixels_conditional_probability_is_the_pseudo_likelihood():
    model = build(levels=2)
    trainer = rbm.PersistentCD(model, checked(rbm.TrainOptions, {}, "options"))
    batch = genzoo.Batch(bits(9).repeat(8, 1).view(-1, 1, 3, 3))
    log_p = exact_log_p(model, bits(9))
    flips = torch.tensor([[row ^ (1 << k) for k in range(9)] for row in range(512)])
    expected = -(log_p[:, None] - torch.logaddexp(log_p[:, None], log_p[flips])).sum(1).mean()
    assert trainer.loss(batch)[1]["pseudo_nats"].item() == pytest.approx(expected.item(), rel=0.06)


def test_samples_follow_the_model():
    """Frequencies of all 16 images of 2 x 2 against their exact probabilities."""
    model = build((1, 2, 2), units=3, scale=1.0)
    images = bits(4)
    expected = 4000 * exact_log_p(model, images).exp()
    samples = model.sample(4000, batch_size=4000, steps=40).tensor
    which = (samples.flatten(1) @ torch.tensor([8.0, 4, 2, 1])).long()
    chi2 = ((which.bincount(minlength=16) - expected).square() / expected).sum()
    assert chi2 < 45  # 15 degrees of freedom: p < 1e-4


def test_completion_follows_the_conditional_distribution():
    """Of the upper two pixels given the lower two, which no order of the pixels would allow."""
    model = build((1, 2, 2), units=3, scale=1.0)
    n, x, mask = 4000, torch.zeros(4000, 1, 2, 2), torch.zeros(4000, 1, 2, 2)
    x[:, :, 1, 0], mask[:, :, 1] = 1, 1
    found = model.complete(x, mask, Noise(3, range(n)), None, model.sampling(steps=40))
    assert torch.equal(found[:, :, 1], x[:, :, 1])
    images = bits(4)
    fits = (images[:, 2] == 1) & (images[:, 3] == 0)
    expected = n * exact_log_p(model, images)[fits].softmax(0)
    which = (found.flatten(1)[:, :2] @ torch.tensor([2.0, 1])).long()
    chi2 = ((which.bincount(minlength=4) - expected).square() / expected).sum()
    assert chi2 < 22  # 3 degrees of freedom: p < 1e-4


def test_it_learns_a_distribution():
    """Four pixels of which the first two agree: 3 ln 2 nats, by the exact sum."""
    model = build((1, 2, 2), units=8, scale=0.1, levels=2)
    options = checked(rbm.TrainOptions, {"lr": 1.0}, "options")
    learner = families.get("rbm").make_trainer(model, options)
    learner.prepare(genzoo.training.RunSettings())
    for step in range(600):
        x = Noise(0, range(100), f"{step}").uniform(1, 2, 2).round()
        x[:, 0, 0, 1] = x[:, 0, 0, 0]
        learner.step(genzoo.Batch(x, step=step, progress=step / 600))
    images = bits(4)
    agree = images[:, 0] == images[:, 1]
    assert -exact_log_p(model, images)[agree].mean().item() == pytest.approx(math.log(8), abs=0.15)


def test_an_estimate_has_a_metric_of_its_own():
    found = genzoo.evaluate(build((1, 28, 28)), data="digits", metrics="nll_estimate", n=20)
    assert found.scores[0].metric == "nll_estimate-digits"
    assert found.scores[0].protocol["likelihood"] == "estimate"
    with pytest.raises(genzoo.BadInput, match="of kind estimate, use nll_estimate"):
        genzoo.evaluate(build((1, 28, 28)), data="digits", metrics="nll", n=20)


def test_points_are_refused():
    with pytest.raises(genzoo.BadInput, match="needs images"):
        build((4,))
