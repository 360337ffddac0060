"""GAN against its paper: sizes, prior, any shape of sample."""

import pytest
import torch
from genzoo_gan import Config, Discriminator, Generator, TrainOptions
from torch import nn

import genzoo


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_sizes_of_the_authors_mnist_networks():
    """100 -> 1200 -> 1200 -> 784, and maxout 784 -> 240 -> 240 of five pieces -> 1."""
    assert parameters(Generator(Config())) == 101 * 1200 + 1201 * 1200 + 1201 * 784
    assert parameters(Discriminator(Config())) == 785 * 240 * 5 + 241 * 240 * 5 + 241


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_the_distribution_of_the_code(prior):
    """What the first layer is given: the code itself, or uniform numbers between -1 and 1."""
    config = Config(shape=(2,), latent_dim=3, generator_units=4, prior=prior)
    model, inputs = Generator(config), []
    model.layers[0].register_forward_hook(lambda m, given, out: inputs.append(given[0]))
    model.decode(torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)))
    deviation = 3**-0.5 if prior == "uniform" else 1.0
    assert inputs[0].std().item() == pytest.approx(deviation, rel=0.02)
    assert (inputs[0].abs().max() <= 1) == (prior == "uniform")


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 28, 28), (3, 32, 32)])
def test_any_shape(shape):
    model = Generator(Config(shape=shape, generator_units=8)).eval()
    assert model.sample(3).tensor.shape == (3, *shape)
    assert (model.value_range is None) == (len(shape) == 1)
    assert Discriminator(Config(shape=shape))(torch.zeros(3, *shape)).shape == (3,)


def test_the_generator_has_no_norm_and_the_discriminator_drops_half():
    assert not [m for m in Generator(Config()).modules() if "Norm" in type(m).__name__]
    rates = {m.p for m in Discriminator(Config()).blocks.modules() if isinstance(m, nn.Dropout)}
    assert rates == {0.5}


@pytest.mark.parametrize(("rate", "mean"), [(0.0, 1.0), (0.2, 1.25)])
def test_input_dropout_is_the_authors_option(rate, mean):
    """Their code keeps 0.8 of the input and scales it by 1.25; by default there is none."""
    assert Config().input_dropout == 0.0
    network = Discriminator(Config(shape=(100,), input_dropout=rate))
    inputs = []
    network.blocks[0].register_forward_hook(lambda m, given, out: inputs.append(given[0]))
    network.train()(torch.ones(50, 100))
    network.eval()(torch.ones(50, 100))
    assert inputs[0].max() == pytest.approx(mean)
    assert (inputs[0] == 0).float().mean() == pytest.approx(rate, abs=0.02)
    assert (inputs[1] == 1).all()


def test_defaults_are_the_papers():
    o = TrainOptions()
    assert (o.loss, o.batch_size, o.discriminator_steps) == ("non-saturating", 100, 1)


def test_no_real_sample_reaches_the_generator_but_through_the_discriminator():
    """Its loss is the same whatever the batch holds (Goodfellow's advantage, section 6)."""
    losses = []
    for value in (0.0, 1.0):
        torch.manual_seed(0)
        model = Generator(Config(shape=(2,), generator_units=8))
        trainer = genzoo.Adversarial(model, Discriminator(Config(shape=(2,))), TrainOptions())
        trainer.prepare(genzoo.training.RunSettings())
        x = torch.full((4, 2), value)
        loss, _ = trainer._generate(None, 0, genzoo.Batch(x))
        losses.append(loss.item())
    assert losses[0] == losses[1]
