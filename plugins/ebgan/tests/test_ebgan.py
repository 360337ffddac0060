"""EBGAN against its paper: the energy, both losses, the pulling-away term."""

from itertools import product

import pytest
import torch
from genzoo_ebgan import Config, Generator, TrainOptions, pulling_away, trainer

import genzoo
from genzoo.training import RunSettings

SMALL = Config(shape=(1, 8, 8), latent_dim=4, width=4, bottleneck=4)


def made(**options):
    torch.manual_seed(0)
    game = trainer(Generator(SMALL), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def batch(n=6):
    return genzoo.Batch(genzoo.Noise(0, range(n), "data").uniform(1, 8, 8) * 2 - 1)


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def test_the_energy_is_the_length_of_the_error():
    judge, x = made().discriminator, batch().x
    energy, code = judge.energy(x)
    again = judge.decoder(judge.encoder(x))
    lengths = [sum(v**2 for v in row) ** 0.5 for row in (again - x).flatten(1).tolist()]
    assert energy.tolist() == pytest.approx(lengths, rel=1e-4)
    assert torch.equal(judge(x), -energy)
    assert code.shape == (6, 4)
    torch.testing.assert_close(judge.energy(x[:1])[0], energy[:1])


def test_the_losses_are_equations_1_and_2():
    game = made(margin=3.0, pulling_away=0.5)
    energies = [torch.tensor([1.0, 0.5]), torch.tensor([2.0, 7.0]), torch.tensor([2.0, 7.0])]
    codes = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    game.discriminator.energy = lambda x: (energies.pop(0), codes)
    d, logs = game._discriminator_loss(batch(2))
    assert d.item() == pytest.approx((1.0 + 0.5) / 2 + (3.0 - 2.0 + 0.0) / 2)
    assert (logs["energy of data"], logs["energy of fakes"]) == (0.75, 4.5)
    g, _ = game._generator_loss(batch(2))
    assert g.item() == pytest.approx(4.5 + 0.5 * 0.5)  # the cosine of 45 degrees, squared


def test_the_best_energy_s_loss_is_the_overlap_of_both_distributions():
    """Section 2.2: over energies in [0, m], the least of equation 1 is m times the sum of the
    smaller of both probabilities: of two images, as data 3/4 and 1/4, as fakes 1/4 and 3/4.
    """
    game, (x, fakes) = made(margin=4.0), ([0, 0, 0, 1], [0, 1, 1, 1])
    least = []
    for table in product(torch.linspace(0, 4, 9), repeat=2):
        rows = [torch.stack(table)[x], torch.stack(table)[fakes]]
        game.discriminator.energy = lambda _, rows=rows: (rows.pop(0), None)
        least.append(game._discriminator_loss(batch(4))[0].item())
    assert min(least) == pytest.approx(4.0 * (1 / 4 + 1 / 4))


def test_the_pulling_away_term_is_the_mean_over_pairs():
    codes = torch.randn(5, 3)
    unit = [row / row.norm() for row in codes]
    pairs = [(unit[i] @ unit[j]) ** 2 for i in range(5) for j in range(5) if i != j]
    torch.testing.assert_close(pulling_away(codes), sum(pairs) / (5 * 4))
    assert pulling_away(torch.eye(3)).item() == pytest.approx(0, abs=1e-6)
    assert pulling_away(torch.ones(4, 3)).item() == pytest.approx(1, abs=1e-6)


def test_fakes_beyond_the_margin_teach_the_discriminator_nothing():
    """With m = 0 it is an autoencoder of the data, whatever the generator draws."""
    ends = []
    for shift in (0.0, 1.0):
        game = made(margin=0.0)
        with torch.no_grad():
            game.generator.layers[0].bias += shift
        game.update("discriminator", game._discriminator_loss, batch())
        ends.append(weights(game.discriminator))
    assert torch.equal(*ends)
