"""GAN against its paper: sizes, noise, maxout, any shape of sample."""

import pytest
import torch
from genzoo_gan import Config, Discriminator, Generator, Maxout, Options
from torch import nn

import genzoo


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_sizes_of_the_authors_mnist_networks():
    """100 -> 1200 -> 1200 -> 784, and maxout 784 -> 240 -> 240 of five pieces -> 1."""
    assert parameters(Generator(Config())) == 101 * 1200 + 1201 * 1200 + 1201 * 784
    assert parameters(Discriminator(Config())) == 785 * 240 * 5 + 241 * 240 * 5 + 241


def test_a_maxout_unit_is_the_largest_of_its_pieces():
    unit, x = Maxout(3, 2, 4), torch.randn(5, 3)
    pieces = unit.linear.weight.view(2, 4, 3), unit.linear.bias.view(2, 4)
    for i, row in enumerate(x):
        for j in range(2):
            values = [pieces[0][j, k] @ row + pieces[1][j, k] for k in range(4)]
            assert unit(x)[i, j].item() == pytest.approx(max(values).item(), abs=1e-6)


@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_the_law_of_the_code(noise):
    """What the first layer is given: the code itself, or its rank between -1 and 1."""
    model, seen = Generator(Config(shape=(2,), latent_dim=3, units=4, noise=noise)), []
    model.layers[0].register_forward_hook(lambda m, inputs, out: seen.append(inputs[0]))
    model.decode(torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)))
    deviation = 3**-0.5 if noise == "uniform" else 1.0
    assert seen[0].std().item() == pytest.approx(deviation, rel=0.02)
    assert (seen[0].abs().max() <= 1) == (noise == "uniform")


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 28, 28), (3, 32, 32)])
def test_any_shape(shape):
    model = Generator(Config(shape=shape, units=8)).eval()
    assert model.sample(3).tensor.shape == (3, *shape)
    assert (model.value_range is None) == (len(shape) == 1)
    assert Discriminator(Config(shape=shape))(torch.zeros(3, *shape)).shape == (3,)


def test_the_generator_has_no_norm_and_the_discriminator_drops_half():
    assert not [m for m in Generator(Config()).modules() if "Norm" in type(m).__name__]
    rates = {m.p for m in Discriminator(Config()).modules() if isinstance(m, nn.Dropout)}
    assert rates == {0.5}


def test_defaults_are_the_papers():
    o = Options()
    assert (o.loss, o.batch_size, o.discriminator_steps) == ("non-saturating", 100, 1)


def test_no_real_sample_reaches_the_generator_but_through_the_discriminator():
    """Its loss is the same whatever the batch holds (Goodfellow's advantage, section 6)."""
    found = []
    for value in (0.0, 1.0):
        torch.manual_seed(0)
        model = Generator(Config(shape=(2,), units=8))
        trainer = genzoo.Adversarial(model, Discriminator(Config(shape=(2,))), Options())
        trainer.prepare(genzoo.training.RunSettings())
        x = torch.full((4, 2), value)
        loss, _ = trainer._generate(None, 0, genzoo.Batch(x))
        found.append(loss.item())
    assert found[0] == found[1]
