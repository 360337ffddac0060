"""R3GAN against its paper: the loss of pairs, the penalties, the blocks and their first weights."""

import math

import pytest
import torch
from genzoo_r3gan import GAIN, Config, Discriminator, Generator, Residual, TrainOptions
from torch import nn

import genzoo
from genzoo import families
from genzoo.training import RunSettings

SMALL = Config(shape=(1, 8, 8), latent_dim=4, width=4, residual_blocks=1, group_size=4)


def made(**options):
    torch.manual_seed(0)
    game = families.get("r3gan").make_trainer(Generator(SMALL), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def batch(step=0):
    x = genzoo.Noise(step, range(6), "data").uniform(1, 8, 8) * 2 - 1
    return genzoo.Batch(x, step=step)


def test_defaults_are_the_papers():
    o = TrainOptions()
    assert (o.loss, o.penalty, o.penalty_interval) == ("relativistic", "r1+r2", 1)
    assert (o.optimizer, o.beta1, o.discriminator_steps, Config().latent_dim) == ("adam", 0, 1, 64)


def test_there_is_no_norm_and_no_trick():
    kinds = {type(m) for net in (Generator(SMALL), Discriminator(SMALL)) for m in net.modules()}
    assert not [kind for kind in kinds if "Norm" in kind.__name__ or "Dropout" in kind.__name__]
    o = TrainOptions()
    assert (o.label_smoothing, o.instance_noise, o.top_k, o.augment) == (0, 0, 1, "none")


def test_the_loss_and_its_penalties_are_those_of_section_2():
    """E f(D(G(z)) - D(x)), f(t) = -log(1 + exp(-t)), plus gamma / 2 of both squared slopes."""
    game = made(penalty_weight=3.0)
    judge, model = game.discriminator, game.sampler
    codes = model.draw_code(batch().noise("code 0"), model.sampling())
    fakes, slopes = model.decode(codes).detach(), []
    for x in (batch().x, fakes):
        x = x.clone().requires_grad_()
        judge(x).sum().backward()
        slopes.append(x.grad.square().sum((1, 2, 3)).mean().item())
    pairs = zip(judge(batch().x).tolist(), judge(fakes).tolist(), strict=True)
    expected = sum(math.log(1 + math.exp(-(real - fake))) for real, fake in pairs) / 6
    judge.zero_grad()
    found = game.step(batch())["discriminator/loss"].item()
    assert found == pytest.approx(expected + 3 / 2 * sum(slopes), rel=1e-4)


def test_only_differences_of_logits_count():
    """A constant added to every logit changes no loss: neither player learns from it."""
    losses = []
    for shift in (0.0, 5.0):
        game = made()
        game.discriminator.register_forward_hook(lambda *a, shift=shift: a[2] + shift)
        logs = game.step(batch())
        losses.append([logs[f"{player}/loss"].item() for player in ("discriminator", "generator")])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_block_begins_as_the_identity():
    block, x = Residual(16, Config(), 6), torch.randn(2, 16, 5, 5)
    assert torch.equal(block(x), x)


def test_first_weights_are_fixups():
    """Of L blocks with 3 layers: He's deviation times L ** (-1 / (2 * 3 - 2)); the last layer 0."""
    block = Residual(64, Config(), 16)
    layers = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    for layer, inputs in zip(layers, (64, 9 * 16), strict=False):
        assert layer.weight.std().item() == pytest.approx(GAIN / 2 / inputs**0.5, rel=0.05)
        assert not layer.bias.any()
    assert not layers[2].weight.any()
    assert [(m.groups, m.out_channels) for m in layers] == [(1, 128), (8, 128), (1, 64)]
    x = torch.randn(10**5)
    after = nn.functional.leaky_relu(GAIN * x, 0.2).square().mean().item()
    assert after == pytest.approx(1, abs=0.02)  # the gain keeps the mean square


def test_a_group_sees_its_own_maps_alone():
    layer, x = Residual(8, Config(group_size=4), 1).layers[2], torch.zeros(1, 16, 3, 3)
    x[:, 5] = 1
    seen = (layer(x)[0].abs().sum((1, 2)) > 0).tolist()
    assert seen == [4 <= i < 8 for i in range(16)]


@pytest.mark.parametrize(("size", "maps"), [(28, [4, 8, 16]), (64, [4, 8, 16, 32, 64])])
def test_maps_double_as_sides_halve(size, maps):
    config = Config(shape=(3, size, size), width=4, residual_blocks=1)
    found = Discriminator(config).features(torch.zeros(1, 3, size, size))
    assert [tuple(m.shape[1:]) for m in found] == [
        (n, size >> i, size >> i) for i, n in enumerate(maps)
    ]
    assert Generator(config).decode(torch.zeros(2, 64)).shape == (2, 3, size, size)


def test_the_code_weighs_the_learnt_maps():
    """Before the blocks act, the first maps are products of a number and a learnt map."""
    model, seen = Generator(SMALL), []
    model.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    code = torch.randn(3, 4)
    model.decode(code)
    numbers = code @ model.weights.weight.T
    expected = torch.einsum("nc,chw->nchw", numbers, model.basis)
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (2,)])
def test_it_takes_squares(shape):
    with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
        Generator(Config(shape=shape))
