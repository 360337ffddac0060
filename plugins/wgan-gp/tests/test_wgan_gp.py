"""WGAN-GP and WGAN against their papers: the critic, its bounds, what it estimates."""

import pytest
import torch
from genzoo_wgan_gp import ClippedTrainOptions, Config, Discriminator, Generator, TrainOptions
from torch import nn

import genzoo
from genzoo import families
from genzoo.training import RunSettings

POINTS = Config(shape=(1,), width=64, latent_dim=4)


def small_trainer(options, config=POINTS):
    torch.manual_seed(0)
    model = Generator(config)
    trainer = families.get("wgan-gp").make_trainer(model, options)
    trainer.prepare(RunSettings())
    return trainer


@pytest.mark.parametrize(("norm", "kind"), [("batch", nn.BatchNorm2d), ("layer", nn.GroupNorm)])
def test_a_norm_in_the_critic_is_an_option(norm, kind):
    """As in the code of WGAN's authors: none after the first convolution, no bias before it."""
    critic = Discriminator(Config(width=4, critic_norm=norm))
    first, *rest = [[*block] for block in critic.blocks]
    assert not [m for m in first if "Norm" in type(m).__name__]
    assert first[0].bias is not None
    assert rest
    for convolution, own, _ in rest:
        assert isinstance(own, kind)
        assert convolution.bias is None
    assert critic(torch.randn(3, 1, 28, 28)).shape == (3,)


@pytest.mark.parametrize("shape", [(2,), (1, 64)])
def test_critics_without_convolutions_have_no_norm(shape):
    with pytest.raises(genzoo.BadInput, match="critic_norm=batch needs images"):
        Discriminator(Config(shape=shape, critic_norm="batch"))


def test_the_critic_has_no_norm():
    for config in (Config(), POINTS):
        assert not [m for m in Discriminator(config).modules() if "Norm" in type(m).__name__]


def test_halvings_round_up():
    """28 pixels halve to 14, 7 and 4, in both networks, as in the authors' code for MNIST."""
    config = Config(width=4, latent_dim=8, halvings=3)
    x = Generator(config).decode(torch.randn(2, 8))
    sides = [m.shape[-1] for m in Discriminator(config).features(x)]
    assert (x.shape, sides) == ((2, 1, 28, 28), [14, 7, 4])


def test_defaults_are_the_papers():
    o = TrainOptions()
    assert (o.penalty, o.penalty_weight, o.discriminator_steps) == ("gradient", 10, 5)
    assert (o.optimizer, o.lr, o.beta1, o.beta2, o.batch_size) == ("adam", 1e-4, 0, 0.9, 64)
    c = ClippedTrainOptions()
    assert (c.optimizer, c.lr, c.weight_clip, c.penalty) == ("rmsprop", 5e-5, 0.01, "none")
    assert (c.rms_decay, c.discriminator_warmup_steps) == (0.99, 0)


def test_two_families_from_one_file():
    assert families.get("wgan-gp").options is TrainOptions
    assert families.get("wgan").options is ClippedTrainOptions


@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_the_estimate_is_wassersteins_distance(weight):
    """Of two laws that differ by a shift it is the shift, times the slope that the penalty leaves.

    A critic of slope s gets s shift - weight (s - 1)^2, the most at s = 1 + shift / (2 weight).
    """
    options = TrainOptions(lr=1e-3, penalty_weight=weight)
    trainer, source = small_trainer(options), torch.Generator().manual_seed(0)
    trainer.sampler.decode_with = lambda code, labels, noise, sampling: 0.5 * code[:, :1]
    shift, estimates = 2.0, []
    for step in range(400):
        x = shift + 0.5 * torch.randn(64, 1, generator=source)
        batch = genzoo.Batch(x, step=step)
        logs = trainer.update("discriminator", lambda b: trainer._discriminate(None, b), batch)
        estimates.append(logs["discriminator/wasserstein"].item())
    expected = shift * (1 + shift / (2 * weight))
    assert sum(estimates[-100:]) / 100 == pytest.approx(expected, rel=0.05)


def test_clipping_bounds_every_weight():
    trainer = small_trainer(ClippedTrainOptions(batch_size=4, lr=0.1))
    trainer.step(genzoo.Batch(torch.randn(20, 1)))
    assert max(p.abs().max().item() for p in trainer.discriminator.parameters()) <= 0.01
    assert max(p.abs().max().item() for p in trainer.model.parameters()) > 0.01


def test_no_gradient_reaches_the_generator_in_a_critic_step():
    trainer, gradients = small_trainer(TrainOptions(batch_size=4)), []
    for parameter in trainer.model.parameters():
        parameter.register_hook(gradients.append)
    batch = genzoo.Batch(torch.randn(4, 1))
    trainer.update("discriminator", lambda b: trainer._discriminate(None, b), batch)
    assert not gradients
    trainer.update("generator", lambda b: trainer._generate(None, 0, b), batch)
    assert gradients


@pytest.mark.parametrize(("size", "sides"), [(28, [14, 7]), (32, [16, 8, 4]), (64, [32, 16, 8, 4])])
def test_pictures_of_every_size(size, sides):
    config = Config(shape=(3, size, size), width=4)
    assert Generator(config).eval().sample(2).tensor.shape == (2, 3, size, size)
    maps = Discriminator(config).features(torch.zeros(2, 3, size, size))
    assert [m.shape[-1] for m in maps] == sides


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (1, 7, 7), (1, 256, 256)])
def test_pictures_that_do_not_halve_are_refused(shape):
    with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
        Generator(Config(shape=shape))


def test_layers_begin_small_enough_to_leave_no_lattice():
    for module in Generator(Config(width=32)).modules():
        if isinstance(module, nn.ConvTranspose2d):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
