"""Claims of lectures on GANs, checked in training: optimum, gradients, orbits, mode collapse.

Seeds are fixed; a broken loss violates each bound.
"""

import math

import pytest
import torch
from genzoo_gan import Config as GANConfig
from genzoo_gan import Discriminator, Generator
from genzoo_gan import TrainOptions as GANOptions
from torch import nn

import genzoo
from genzoo import data, families
from genzoo.data.synthetic import RING
from genzoo.training import LOSSES, RunSettings

SMALL = {"prior": "normal", "maxout_pieces": 3, "dropout": 0}
LINE = GANConfig(shape=(1,), latent_dim=2, generator_units=32, discriminator_units=16, **SMALL)
PLANE = GANConfig(shape=(2,), latent_dim=2, generator_units=64, discriminator_units=32, **SMALL)


def normal(x, mean, deviation):
    return torch.distributions.Normal(mean, deviation).log_prob(x).exp()


def train(trainer, points, steps, batch, seed=0):
    """Train for ``steps`` steps on random batches of ``points``."""
    source = torch.Generator().manual_seed(seed)
    trainer.prepare(RunSettings())
    for step in range(steps):
        rows = torch.randint(len(points), (batch * trainer.batches_per_step,), generator=source)
        trainer.step(genzoo.Batch(points[rows], step=step, progress=step / steps, seed=seed))


def points(name):
    dataset = data.open(name, "train")
    return dataset.batch(range(len(dataset)))


def test_the_optimal_discriminator_is_p_over_p_plus_q():
    """Goodfellow et al. 2014, proposition 1, for a fixed G and two Gaussians of different width."""
    torch.manual_seed(0)
    model, critic = Generator(LINE), Discriminator(LINE)
    trainer = genzoo.Adversarial(model, critic, GANOptions(lr=1e-2, lr_decay_start=0.3))
    trainer.prepare(RunSettings())
    model.decode_with = lambda code, labels, noise, sampling: 3.2 + 0.8 * code[:, :1]
    source, real = torch.Generator().manual_seed(0), points("gaussian1d")
    for step in range(400):
        x = real[torch.randint(len(real), (256,), generator=source)]
        batch = genzoo.Batch(x, step=step, progress=step / 400)
        trainer.update("discriminator", lambda b: trainer._discriminate(None, b), batch)
    x = torch.linspace(1, 6, 51)[:, None]
    p, q = normal(x, 4, 0.5), normal(x, 3.2, 0.8)
    best, weight = p / (p + q), (p + q) / (p + q).sum()  # without data or samples D is arbitrary
    assert best.min() < 0.02
    assert best.max() > 0.7
    error = (critic(x).sigmoid()[:, None] - best).abs()
    assert (weight * error).sum() < 0.03


def test_at_the_end_the_discriminator_is_one_half():
    """Theorem 1: p_G is p_data, D is 1/2 everywhere, V is -log 4."""
    torch.manual_seed(0)
    model, critic = Generator(LINE), Discriminator(LINE)
    options = GANOptions(lr=1e-3, discriminator_lr=4e-3, discriminator_steps=3, lr_decay_start=0.3)
    train(genzoo.Adversarial(model, critic, options), points("gaussian1d"), 400, 128)
    samples, real = model.sample(10_000, seed=1).tensor, points("gaussian1d")
    assert samples.mean().item() == pytest.approx(4, abs=0.15)
    assert samples.std().item() == pytest.approx(0.5, abs=0.2)
    with torch.no_grad():
        d_real, d_fake = critic(real).sigmoid(), critic(samples).sigmoid()
    assert (d_real - 0.5).abs().mean() < 0.05
    value = d_real.log().mean() + (1 - d_fake).log().mean()
    assert value.item() == pytest.approx(-math.log(4), abs=0.03)


@pytest.mark.parametrize("d", [1e-6, 0.01, 0.5, 0.99])
def test_the_gradients_of_both_generator_losses(d):
    """d/dD log(1 - D) = -1 / (1 - D); d/dD -log D = -1 / D (section 3)."""
    for name, slope in (("minimax", -1 / (1 - d)), ("non-saturating", -1 / d)):
        d_fake = torch.tensor([d], dtype=torch.float64, requires_grad=True)
        LOSSES[name].generator(d_fake.logit()).backward()
        assert d_fake.grad.item() == pytest.approx(slope, rel=1e-6)


def test_under_a_perfect_discriminator_the_minimax_gradient_vanishes():
    gradients = {}
    for name in ("minimax", "non-saturating"):
        logits = torch.full((8,), -20.0, requires_grad=True)
        LOSSES[name].generator(logits).backward()
        gradients[name] = logits.grad.sum().item()
    assert abs(gradients["minimax"]) < 1e-8
    assert gradients["non-saturating"] == pytest.approx(-1, rel=1e-3)


class Number(genzoo.Sampler):
    """A generator of one number; ignores the noise."""

    shape = (1,)

    def __init__(self, start):
        super().__init__(GANConfig(shape=(1,)))
        self.x = nn.Parameter(torch.tensor([start]))

    def generate(self, noise, labels, sampling):
        return self.x.expand(len(noise), 1)


class Slope(genzoo.Discriminator):
    """D(x) = y x."""

    def __init__(self, start):
        super().__init__()
        self.y = nn.Parameter(torch.tensor([start]))

    def features(self, x):
        return []

    def forward(self, x, labels=None):
        return (self.y * x).flatten()


def test_alternating_steps_orbit_where_simultaneous_ones_spiral_out():
    """min over x, max over y of -x y: gradients circle around the equilibrium."""
    rate, steps, x, y = 0.1, 500, Number(1.0), Slope(0.0)
    options = GANOptions(loss="wasserstein", optimizer="sgd", lr=rate)
    trainer = genzoo.Adversarial(x, y, options)
    trainer.prepare(RunSettings())
    simultaneous, radii = (1.0, 0.0), []
    for step in range(steps):
        trainer.step(genzoo.Batch(torch.zeros(1, 1), step=step))
        radii.append(math.hypot(x.x.item(), y.y.item()))
        a, b = simultaneous
        simultaneous = a + rate * b, b - rate * a
    assert 0.9 < min(radii) < max(radii) < 1.1
    assert math.hypot(*simultaneous) == pytest.approx((1 + rate**2) ** (steps / 2))


def modes(samples):
    """The number of the ring's blobs with at least 5 % of the points nearest to them."""
    nearest = torch.cdist(samples, torch.tensor(RING)).argmin(1)
    return int((nearest.bincount(minlength=len(RING)) >= 0.05 * len(samples)).sum())


# One for each change, the others with the slow tests.
@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_minimax_collapses_on_the_ring(seed):
    """The generator is faster than its critic."""
    torch.manual_seed(seed)
    options = GANOptions(loss="minimax", lr=5e-3, discriminator_lr=5e-4)
    model = Generator(PLANE)
    train(genzoo.Adversarial(model, Discriminator(PLANE), options), points("ring8"), 300, 64, seed)
    assert modes(model.sample(1000, seed=0).tensor) <= 2


def test_the_gradient_penalty_finds_all_of_the_ring():
    family = families.get("wgan-gp")
    torch.manual_seed(0)
    model = family.model(family.config(shape=(2,), width=64, latent_dim=2))
    options = family.options(lr=2e-3, penalty_weight=1, beta1=0.5)
    train(family.make_trainer(model, options), points("ring8"), 250, 64)
    assert modes(model.sample(1000, seed=0).tensor) == 8
