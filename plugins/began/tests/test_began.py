"""BEGAN against its paper: the error, the controller, the convergence measure, the networks."""

import pytest
import torch
from genzoo_began import Balance, Config, Discriminator, Generator, TrainOptions, trainer

import genzoo
from genzoo.training import RunSettings

SMALL = Config(shape=(1, 8, 8), latent_dim=4, width=4)


def made(**options):
    torch.manual_seed(0)
    game = trainer(Generator(SMALL), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def batch(**more):
    return genzoo.Batch(genzoo.Noise(0, range(6), "data").uniform(1, 8, 8) * 2 - 1, **more)


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def test_defaults_are_the_papers():
    options = TrainOptions()
    assert (options.batch_size, options.lr, options.control_rate) == (16, 1e-4, 1e-3)
    assert Config().latent_dim == 64


def test_the_generator_is_built_as_the_discriminator_s_decoder():
    judge = Discriminator(Config(shape=(1, 28, 28), width=8))
    model = Generator(Config(shape=(1, 28, 28), width=8))
    shapes = [[p.shape for p in network.parameters()] for network in (judge.decoder, model.layers)]
    assert shapes[0] == shapes[1]
    assert judge.error(torch.zeros(2, 1, 28, 28)).shape == (2,)
    assert model.eval().sample(2).tensor.shape == (2, 1, 28, 28)


def test_the_error_is_the_mean_distance():
    judge, x = made().discriminator, batch().x
    again = judge.decoder(judge.encoder(x))
    distances = [sum(map(abs, row)) / 64 for row in (again - x).flatten(1).tolist()]
    assert judge.error(x).tolist() == pytest.approx(distances, rel=1e-4)
    assert torch.equal(judge(x), -judge.error(x))


def test_k_follows_the_equilibrium_between_0_and_1():
    """k += lambda (gamma L(x) - L(G(z))), in plain numbers; M_global is the paper's formula."""
    balance, k = Balance(diversity=0.5, rate=0.4), 0.0
    for real, fake in [(1.0, 0.1), (0.8, 0.4), (2.0, 0.0), (2.0, 0.0), (0.1, 1.0), (0.1, 3.0)]:
        measure = balance.move(torch.tensor(real), torch.tensor(fake))
        k = min(1.0, max(0.0, k + 0.4 * (0.5 * real - fake)))
        assert balance.k.item() == pytest.approx(k)
        assert measure.item() == pytest.approx(max(1.5 * real - fake, 0.5 * real + fake))
    assert k == 0


def test_k_weighs_the_fakes_in_the_discriminator_s_loss():
    game, losses = made(), {}
    for k in (0.0, 0.25):
        game.balance.k.fill_(k)
        losses[k], logs = game._discriminator_loss(batch())
    torch.testing.assert_close(losses[0.0], logs["L(x)"])
    torch.testing.assert_close(losses[0.25], logs["L(x)"] - 0.25 * logs["L(G(z))"])


def test_a_step_logs_the_measure_and_moves_k():
    game = made(diversity=0.7, control_rate=0.1)
    logs = game.step(batch())
    real, fake = logs["discriminator/L(x)"], logs["generator/loss"]
    torch.testing.assert_close(logs["convergence"], real + (0.7 * real - fake).abs())
    torch.testing.assert_close(logs["k"], (0.1 * (0.7 * real - fake)).clamp(0, 1))
    assert "balance" in game.parts()


def test_at_first_the_discriminator_sees_data_alone():
    """k starts at 0: another generator leaves the first step as it is."""
    ends = []
    for shift in (0.0, 1.0):
        game = made()
        with torch.no_grad():
            game.generator.layers[-1].bias += shift
        game.step(batch())
        ends.append(weights(game.discriminator))
    assert torch.equal(*ends)
