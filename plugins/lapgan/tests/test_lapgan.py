"""LAPGAN against its paper: the pyramid, sampling through it, and games that are independent."""

import pytest
import torch
from genzoo_lapgan import Config, Generator, TrainOptions, expand, pyramid, shrink, trainer

import genzoo
from genzoo.training import RunSettings

SMALL = Config(shape=(1, 8, 8), doublings=2, noise_dim=3, units=8, width=4)


def made(**options):
    torch.manual_seed(0)
    game = trainer(Generator(SMALL), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def batch():
    return genzoo.Batch(genzoo.Noise(0, range(6), "data").uniform(1, 8, 8) * 2 - 1)


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def test_details_and_the_smallest_image_are_the_image():
    """Section 2.2: the pyramid is complete. Going up, each detail restores one size."""
    x = batch().x
    images = pyramid(x, 2)
    assert [tuple(image.shape[1:]) for image in images] == [(1, 2, 2), (1, 4, 4), (1, 8, 8)]
    found = images[0]
    for image in images[1:]:
        found = expand(found) + (image - expand(shrink(image)))
    torch.testing.assert_close(found, x)
    assert images[1][0, 0, 0, 1].item() == pytest.approx(x[0, 0, :2, 2:4].mean().item())


def test_samples_go_up_the_pyramid():
    """Details of 0 leave the smallest image, enlarged; others add to it, each from its noise."""
    model = Generator(SMALL).eval()
    code = model.codes(3)
    assert code.shape == (3, 3 + 16 + 64)
    assert code.abs().max() < 1
    with torch.no_grad():
        whole = model.decode(code)
        other = model.decode(torch.cat([code[:, :-1], -code[:, -1:]], 1))
        for detail in model.details:
            detail[-1].weight.zero_()
            detail[-1].bias.zero_()
        smooth = model.decode(code)
    torch.testing.assert_close(smooth, expand(expand(model.first(code[:, :3]))))
    changed = (whole - other).abs().amax(0)[0] > 0
    assert changed[-1, -1]
    assert not changed[0].any()  # three convolutions of 5x5 reach 6 pixels
    assert not torch.equal(whole, smooth)


def test_fakes_in_training_start_from_real_images():
    game = made()
    model = game.generator.eval()
    with torch.no_grad():
        images, fakes, lows = game.pairs(batch())
        code = model.draw_code(batch().noise("code"), model.sampling())
        low, plane = expand(images[1]), code[:, -64:].reshape(6, 1, 8, 8)
        wanted = low + model.details[1](torch.cat([low, plane], 1))
    torch.testing.assert_close(fakes[2], wanted)
    assert torch.equal(lows[1], low)


@pytest.mark.parametrize("level", [0, 1])
def test_the_games_are_independent(level):
    """Section 2.3: other networks at one level leave those of all others as they learn."""
    ends = []
    for scale in (1.0, 3.0):
        game = made()
        with torch.no_grad():
            game.generator.details[level][-1].weight *= scale
            game.discriminator.details[level][-1][1].weight *= scale
        game.step(batch())
        ends.append(
            [
                weights(part)
                for network in (game.generator, game.discriminator)
                for part in (network.first, network.details[1 - level], network.details[level])
            ]
        )
    same = [torch.equal(*pair) for pair in zip(*ends, strict=True)]
    assert same == [True, True, False] * 2


def test_the_losses_are_sums_over_levels():
    game = made(label_smoothing=0.1)
    rows = [[torch.tensor([0.5, -1.0])] * 3, [torch.tensor([2.0, 0.0])] * 3]
    game.discriminator.logits = lambda images, lows: rows.pop(0)
    loss, logs = game._discriminator_loss(batch())
    real, fake = torch.tensor([0.5, -1.0]).sigmoid(), torch.tensor([2.0, 0.0]).sigmoid()
    of_real = -(0.9 * real.log() + 0.1 * (1 - real).log()).mean()
    one = of_real - (1 - fake).log().mean()
    torch.testing.assert_close(loss, 3 * one)
    assert {*logs} == {"loss of 2 pixels", "loss of 4 pixels", "loss of 8 pixels"}


def test_the_logits_of_an_image_add_up():
    game, x = made(), batch().x
    judge, images = game.discriminator, pyramid(batch().x, 2)
    parts = [judge.first(images[0]).flatten()]
    parts += [judge.judge(i, images[i + 1], expand(images[i])) for i in (0, 1)]
    torch.testing.assert_close(judge(x), sum(parts))


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (2,)])
def test_it_takes_squares_that_halve(shape):
    with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
        Generator(Config(shape=shape))
