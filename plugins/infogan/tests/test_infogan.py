"""InfoGAN against its paper: the laws of its code, the bound, and who learns from it."""

import math

import pytest
import torch
from genzoo_infogan import Config, Discriminator, Generator, TrainOptions, trainer
from torch import nn

import genzoo
from genzoo import Noise
from genzoo.training import RunSettings

SMALL = {"size": 8, "noise_dim": 4, "categories": 3, "continuous": 2, "width": 4, "units": 16}


def small():
    """A generator whose weights, unlike those before training, do something."""
    torch.manual_seed(0)
    model = Generator(Config(**SMALL))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def made(**options):
    torch.manual_seed(0)
    game = trainer(Generator(Config(**SMALL)), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def images(steps):
    for step in range(steps):
        x = Noise(0, range(16), f"data {step}").uniform(1, 8, 8) * 2 - 1
        yield genzoo.Batch(x, step=step, progress=step / steps)


def test_defaults_are_the_papers():
    """Section 7.2 and table 1 of the appendix."""
    config, options = Config(), TrainOptions()
    assert (config.noise_dim, config.categories, config.continuous) == (62, 10, 2)
    assert (options.lr, options.discriminator_lr, options.beta1) == (1e-3, 2e-4, 0.5)
    maps = 74 * 1024 + 1024 + 1024 * 128 * 49 + 128 * 49
    convolutions = 128 * 64 * 16 + 64 + 64 * 16 + 1
    norms = 2 * (1024 + 128 * 49 + 64)
    assert sum(p.numel() for p in Generator(config).parameters()) == maps + convolutions + norms


def test_the_code_follows_its_laws():
    noise, category, numbers = small().codes(3000).split([4, 3, 2], 1)
    assert noise.std().item() == pytest.approx(1, abs=0.03)
    assert category.unique().tolist() == [0, 1]
    assert (category.sum(1) == 1).all()
    torch.testing.assert_close(category.mean(0), torch.full((3,), 1 / 3), atol=0.03, rtol=0)
    assert numbers.abs().max() < 1
    assert numbers.std().item() == pytest.approx(1 / math.sqrt(3), abs=0.02)


def test_a_category_is_a_part_of_the_code():
    """Of codes that differ in the category alone, the images differ."""
    model = small()
    codes = model.codes(1).repeat(3, 1)
    codes[:, 4:7] = torch.eye(3)
    samples = model.decode_codes(codes).tensor
    assert (samples[0] - samples[1]).abs().max() > 1e-3


def log_q(config, logits, mean, log_scale):
    """``log_q`` of a discriminator whose Q reads its three outputs off the features."""
    discriminator = Discriminator(Config(**config))
    discriminator.q = nn.Identity()
    h = torch.cat([logits, mean, log_scale], 1)
    return lambda code: discriminator.log_q(h, code)


def test_q_is_a_distribution():
    """Over all categories and all numbers its probabilities sum to 1: else it would be no bound."""
    numbers = torch.linspace(-20, 20, 4001)[:, None]
    one = torch.ones(len(numbers), 1)
    outputs = one * torch.tensor([0.3, -1.0, 2.0]), 0.4 * one, -0.5 * one
    q, total = log_q({**SMALL, "continuous": 1}, *outputs), torch.zeros(())
    for category in torch.eye(3):
        code = torch.cat([torch.zeros(len(numbers), 4), one * category, numbers], 1)
        of_category, of_numbers = q(code)
        total += of_category[0].exp() * of_numbers.exp().sum() * (numbers[1] - numbers[0]).item()
    assert total.item() == pytest.approx(1, abs=1e-3)


def test_the_term_is_a_bound_on_the_mutual_information():
    """A channel that tells the category with probability 0.8: the true posterior reaches I(c; x),
    all other Q stay below.
    """
    torch.manual_seed(0)
    c, right = torch.randint(3, (20_000,)), torch.rand(20_000) < 0.8
    x = torch.where(right, c, (c + 1 + torch.randint(2, (20_000,))) % 3)
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.1))
    parts = torch.zeros(20_000, 4), nn.functional.one_hot(c, 3), torch.zeros(20_000, 2)
    code, rest, bounds = torch.cat(parts, 1), torch.zeros(20_000, 2), {}
    for sharpness in (0.0, 0.5, 1.0, 2.0):
        posterior = torch.where(nn.functional.one_hot(x, 3) == 1, 0.8, 0.1).log()
        of_category, _ = log_q(SMALL, sharpness * posterior, rest, rest)(code)
        bounds[sharpness] = of_category.mean().item() + math.log(3)
    assert bounds[1.0] == pytest.approx(math.log(3) - entropy, abs=0.02)
    assert bounds[0.0] == pytest.approx(0, abs=1e-4)
    assert max(bounds[0.5], bounds[2.0]) < bounds[1.0]


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_information_moves_g_d_and_q(weight):
    """Without their weights Q learns nothing; with them, all three networks take another way."""
    ends = []
    for chosen in (0.0, weight):
        game = made(category_weight=chosen, continuous_weight=chosen)
        start = weights(game.discriminator.q)
        list(genzoo.fit(game, images(2), 2))
        d = game.discriminator
        ends.append([weights(part) for part in (game.sampler, d.blocks, d.q)])
    assert torch.equal(start, ends[-1][2]) == (weight == 0)
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other) == (weight == 0)


def test_training_raises_the_information():
    game = made(lr=0.01, discriminator_lr=0.01)
    logs = [log for _, log in genzoo.fit(game, images(60), 60)]
    end = sum(log["generator/information"].item() for log in logs[-5:]) / 5
    assert logs[0]["generator/information"] < 0.3 < 0.8 < end <= math.log(3)


@pytest.mark.parametrize("norm", [True, False])
def test_the_dense_norm_takes_the_mean_of_a_batch_away(norm):
    """What all samples of a batch share, such as being fakes, does not pass it."""
    judge, x = Discriminator(Config(**SMALL, dense_norm=norm)).train(), torch.rand(6, 1, 8, 8)
    before = judge(x)
    with torch.no_grad():
        judge.blocks[2][1].bias += 5.0
    assert torch.allclose(judge(x), before, atol=1e-4) == norm
