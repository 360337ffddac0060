"""BiGAN against its paper: the pairs, both losses, and an encoder that inverts the generator."""

import math

import pytest
import torch
from genzoo_bigan import BiGAN, Config, Discriminator, TrainOptions, trainer

import genzoo
from genzoo.training import RunSettings

SMALL = Config(shape=(1, 8, 8), latent_dim=4, units=8)


def made(config=SMALL, **options):
    torch.manual_seed(0)
    game = trainer(BiGAN(config), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def batch(**more):
    return genzoo.Batch(genzoo.Noise(0, range(6), "data").uniform(1, 8, 8), **more)


def softplus(value):
    return math.log1p(math.exp(value))


def test_the_discriminator_sees_each_sample_with_its_code():
    game, seen = made(), []
    game.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    before = {key: value.clone() for key, value in game.model.state_dict().items()}
    game.step(batch())
    again = BiGAN(SMALL).train()
    again.load_state_dict(before)
    (x, found), (fake, drawn) = seen[:2]
    assert torch.equal(x, batch().x)
    torch.testing.assert_close(found, again.embed(x))
    torch.testing.assert_close(fake, again.decode(drawn))
    assert torch.equal(drawn, again.draw_code(batch().noise("code"), again.sampling()))


def test_the_losses_are_those_of_the_paper():
    """Equation 3, and the same with the labels exchanged: sums by hand."""
    game = made()
    game.logits = lambda batch: (torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.3]))
    (d, logs), (g, _) = game._discriminator_loss(batch()), game._generator_loss(batch())
    equation = [softplus(-0.5), softplus(1.0), softplus(2.0), softplus(0.3)]
    torch.testing.assert_close(d, torch.tensor(sum(equation) / 2))
    inverse = [softplus(0.5), softplus(-1.0), softplus(-2.0), softplus(-0.3)]
    torch.testing.assert_close(g, torch.tensor(sum(inverse) / 2))
    assert logs["accuracy"].item() == 0.25


def test_both_encoder_and_generator_learn():
    game = made()
    before = [p.clone() for p in game.model.parameters()]
    game.step(batch())
    assert all((a != b).any() for a, b in zip(before, game.model.parameters(), strict=True))


@pytest.mark.slow
def test_the_encoder_inverts_the_generator():
    """Theorem 2, on a curve in the plane: no term asks that E(G(z)) be z."""
    game = made(Config(shape=(2,), latent_dim=1, units=32), lr=1e-3, discriminator_lr=3e-3)
    for step in range(400):
        t = genzoo.Noise(0, range(64), f"data {step}").uniform(1) * 2 - 1
        x = torch.cat([t, t**2], 1)
        game.step(genzoo.Batch(x, step=step, progress=step / 400))
    model = game.model.eval()
    z = torch.linspace(-0.9, 0.9, 50)[:, None]
    with torch.no_grad():
        found = model.embed(model.decode(z))
    assert torch.corrcoef(torch.cat([z, found], 1).T)[0, 1] > 0.9


def test_codes_are_uniform_and_found_ones_lie_within():
    model = BiGAN(SMALL).eval()
    codes = model.codes(2000)
    assert codes.abs().max() < 1
    torch.testing.assert_close(codes.std(), torch.tensor(1 / 3).sqrt(), atol=0.01, rtol=0)
    assert model.encode(torch.rand(5, 1, 8, 8)).abs().max() < 1


def test_sizes_of_the_papers_perceptrons():
    def layers(inputs, outputs):
        return inputs * 1024 + 1024**2 + 4 * 1024 + (1024 + 1) * outputs

    total = layers(50, 784) + layers(784, 50)
    assert sum(p.numel() for p in BiGAN(Config()).parameters()) == total


def test_the_discriminator_judges_each_pair_alone():
    """Batch norm would take away what all pairs of one kind share."""
    judge, x, code = Discriminator(SMALL).train(), torch.rand(6, 1, 8, 8), torch.rand(6, 4)
    torch.testing.assert_close(judge(x[:1], code[:1]), judge(x, code)[:1])
    assert judge(x, code)[0] != judge(x, code.flip(0))[0]
    assert judge(x, code)[0] != judge(x.flip(0), code)[0]
