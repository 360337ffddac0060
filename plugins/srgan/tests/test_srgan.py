"""SRGAN against its paper: figure 4, the two phases, the weights of the loss."""

from itertools import pairwise

import pytest
import torch
from genzoo_srgan import SRGAN, Config, Discriminator, TrainOptions, TwoPhases
from torch import nn

import genzoo
from genzoo.training import RunSettings

SMALL = {"shape": (1, 8, 8), "domains": ("low2", "high"), "scale": 2, "examples": 5}
TINY = Config(**SMALL, width=4, residual_blocks=1)


def made(**options):
    torch.manual_seed(0)
    game = TwoPhases(SRGAN(TINY), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def pairs(steps, n=8):
    """Noise from -1 to 1, and its means over 2x2 pixels."""
    for step in range(steps):
        y = genzoo.Noise(0, range(n), f"data {step}").uniform(1, 8, 8) * 2 - 1
        x = nn.functional.avg_pool2d(y, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        yield genzoo.Batch(x, second_domain=y, step=step, progress=step / steps)


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def test_defaults_are_the_papers():
    """Section 3.2 and equation 3."""
    o, c = TrainOptions(), Config()
    assert (o.batch_size, o.lr, o.beta1, o.content_weight) == (16, 1e-4, 0.9, 1000)
    assert (c.scale, c.width, c.residual_blocks) == (4, 64, 16)


def test_the_networks_are_figure_4s():
    judge = Discriminator(Config(width=2))
    convs = [m for m in judge.modules() if isinstance(m, nn.Conv2d)]
    found = [(m.out_channels // 2, m.stride[0]) for m in convs]
    assert found == [(n, s) for n in (1, 2, 4, 8) for s in (1, 2)]  # times 64
    assert {m.kernel_size for m in convs} == {(3, 3)}
    assert [type(block[1]) for block in judge.blocks][:2] == [nn.Identity, nn.BatchNorm2d]
    assert [m.out_features for m in judge.modules() if isinstance(m, nn.Linear)] == [32, 1]
    assert sum(isinstance(m, nn.PixelShuffle) for m in SRGAN(Config(width=1)).modules()) == 2


def test_it_sees_the_means_of_its_squares_alone():
    """So that any detail of a result is its own."""
    model, noise = SRGAN(TINY).eval(), genzoo.Noise(0, range(2))
    x = torch.rand(2, 1, 8, 8)
    blurred = nn.functional.avg_pool2d(x, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        one, other = (model.convert(image, "high", noise) for image in (x, blurred))
    torch.testing.assert_close(one, other)
    assert (one - other.flip(0)).abs().max() > 1e-3


def test_the_discriminator_begins_with_the_game():
    game, ends = made(pretraining=0.5, lr=0.01), []
    for batch, logs in genzoo.fit(game, pairs(4), 4):
        ends.append(weights(game.game.discriminator))
        assert ("discriminator/loss" in logs) == (batch.step >= 2)
        assert "generator/MSE" in logs
    same = [torch.equal(a, b) for a, b in pairwise(ends)]
    assert same == [True, False, False]
    assert [phase.name for phase in made(pretraining=1.0).phases] == ["content"]
    assert [phase.name for phase in made(pretraining=0.0).phases] == ["game"]


def test_the_loss_is_equation_3_in_other_units():
    """A thousand times the squared error, plus -log D of the result."""
    game = made(pretraining=0.0, lr=1e-9)
    (batch,), logits = pairs(1), []
    game.game.discriminator.register_forward_hook(lambda *a: logits.append(a[2].detach()))
    fake = game.srgan.convert(batch.x, "high", batch.noise("none"))
    logs = game.step(game.placed(batch))
    error = (fake - batch.second_domain).square().mean().item()
    expected = 1000 * error - logits[-1].sigmoid().log().mean().item()
    assert logs["generator/loss"].item() == pytest.approx(expected, rel=1e-3)


def test_pretraining_learns_the_pairs():
    """The best guess from a mean of four leaves 3 / 4 of the variance, which is 1 / 3."""
    game = made(pretraining=1.0, lr=0.01)
    errors = [log["generator/MSE"].item() for _, log in genzoo.fit(game, pairs(40), 40)]
    assert errors[0] > 0.33
    assert sum(errors[-5:]) / 5 == pytest.approx(0.25, abs=0.05)


def test_pretraining_takes_batches_of_the_games_size():
    """Of a batch for two updates of the discriminator the generator takes the second half."""
    game, (batch,) = made(pretraining=1.0, discriminator_steps=2, lr=1e-9), pairs(1)
    part = batch.split(2)[1]
    fake = game.srgan.convert(part.x, "high", part.noise("none"))
    expected = (fake - part.second_domain).square().mean().item()
    assert game.step(game.placed(batch))["generator/MSE"].item() == pytest.approx(expected)


def test_scale_and_data_agree():
    with pytest.raises(genzoo.BadInput, match=r"the data are @low4, and scale is 2"):
        SRGAN(Config(scale=2))


@pytest.mark.parametrize("sides", [(8, 8), (5, 7), (1, 1)])
def test_images_of_any_size(sides):
    x = torch.rand(1, 1, *sides)
    assert SRGAN(TINY).eval().translate(x).tensor.shape == x.shape


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 48), (1, 3, 3)])
def test_the_discriminator_takes_images_of_any_size(shape):
    assert Discriminator(Config(shape=shape, width=1)).eval()(torch.rand(2, *shape)).shape == (2,)
