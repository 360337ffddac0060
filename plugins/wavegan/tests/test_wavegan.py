"""WaveGAN against its paper: the sizes of table 3 and 4, phase shuffle, sounds of any length."""

import numpy as np
import pytest
import torch
from genzoo_wavegan import Config, Discriminator, Generator, PhaseShuffle, TrainOptions
from torch import nn

import genzoo


def test_defaults_are_the_papers():
    """Appendix D."""
    o, c = TrainOptions(), Config()
    assert (o.loss, o.penalty, o.penalty_weight) == ("wasserstein", "gradient", 10)
    assert (o.lr, o.beta1, o.beta2, o.batch_size, o.discriminator_steps) == (1e-4, 0.5, 0.9, 64, 5)
    assert (c.phase_shuffle, c.latent_dim, c.width) == (2, 100, 64)


def test_the_networks_are_those_of_appendix_d():
    """Tables 3 and 4 with d = 4: 16 samples of 16 d maps, and back, by quarters."""
    config = Config(width=4)
    model, maps = Generator(config), []
    for layer in model.layers:
        if isinstance(layer, nn.ConvTranspose1d):
            layer.register_forward_hook(lambda m, i, out: maps.append(tuple(out.shape[1:])))
    x = model.decode(torch.zeros(1, 100))
    assert model.layers[0].out_features == 16 * 16 * 4
    assert maps == [(32, 64), (16, 256), (8, 1024), (4, 4096), (1, 16384)]
    seen = [tuple(m.shape[1:]) for m in Discriminator(config).features(x)]
    assert seen == [(4, 4096), (8, 1024), (16, 256), (32, 64), (64, 16)]


def test_phase_shuffle_shifts_each_sample_and_reflects_its_ends():
    """Against NumPy's padding: every shift from -n to n occurs, and nothing else."""
    torch.manual_seed(0)
    x = torch.randn(60, 3, 9)
    shuffle = PhaseShuffle(2)
    y, found = shuffle(x).numpy(), set()
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2)), mode="reflect")
    for i in range(len(x)):
        fits = [k for k in range(5) if np.array_equal(y[i], padded[i, :, k : k + 9])]
        assert len(fits) == 1
        found |= {*fits}
    assert found == {*range(5)}
    assert torch.equal(shuffle.eval()(x), x)
    assert torch.equal(PhaseShuffle(0)(x), x)


def test_phase_shuffle_keeps_gradients():
    x = torch.randn(4, 2, 8, requires_grad=True)
    PhaseShuffle(2)(x).sum().backward()
    assert x.grad.sum().item() == pytest.approx(4 * 2 * 8)


def test_it_stands_between_the_layers():
    blocks = Discriminator(Config(width=2)).blocks
    assert [isinstance(block[0], PhaseShuffle) for block in blocks] == [False, *[True] * 4]


@pytest.mark.parametrize("shape", [(1, 2048), (2, 1000), (1, 7), (1, 125)])
def test_sounds_of_any_length(shape):
    config = Config(shape=shape, width=2, latent_dim=3)
    model, judge = Generator(config), Discriminator(config)
    x = model.decode(torch.randn(2, 3))
    assert x.shape == (2, *shape)
    assert judge(x).shape == (2,)
    x = torch.randn(1, *shape, requires_grad=True)
    judge(x).sum().backward()
    assert (x.grad.abs() > 0).all(), "the discriminator hears all of it"


@pytest.mark.parametrize("shape", [(1, 8, 8), (2,)])
def test_it_takes_sounds(shape):
    with pytest.raises(genzoo.BadInput, match=f"needs sounds.*{'x'.join(map(str, shape))}"):
        Generator(Config(shape=shape))
