"""DCGAN against its paper: layers, sizes, initial weights, defaults."""

import pytest
import torch
from genzoo_dcgan import Config, Discriminator, Generator, Residual, TrainOptions
from pydantic import ValidationError
from torch import nn

from genzoo import Noise


def _count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_paper_generator_has_figure_1_maps():
    """Figure 1 at width 128: 1024x4x4, 512x8x8, 256x16x16, 128x32x32, 3x64x64."""
    model, maps = Generator(Config(width=128)).eval(), []
    for layer in model.layers:
        if isinstance(layer, nn.ConvTranspose2d):
            layer.register_forward_hook(lambda m, i, out: maps.append(tuple(out.shape[1:])))
    model.decode(torch.zeros(1, 100))
    assert maps == [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)]


def test_parameters_are_those_of_the_usual_64_pixel_networks():
    """pytorch/examples at ngf = ndf = 64, plus the biases of the layers next to the image."""
    assert _count(Generator(Config())) == 3_576_704 + 3
    assert _count(Discriminator(Config())) == 2_765_568 + 64 + 1


@pytest.mark.parametrize("size", [8, 16, 20, 24, 28, 32, 48, 64, 96, 112, 128])
def test_every_size_fits_generator_and_discriminator(size):
    config = Config(channels=1, size=size, width=4, latent_dim=8)
    images = Generator(config).generate(Noise(0, range(2)), None, Generator.sampling())
    assert images.shape == (2, 1, size, size)
    assert Discriminator(config)(images).shape == (2,)


@pytest.mark.parametrize("size", [9, 30, 33, 36, 100, 127])
def test_a_size_that_does_not_halve_down_is_refused(size):
    with pytest.raises(ValidationError, match=f"input_value={size}"):
        Config(size=size)


def test_weights_start_as_section_4_says():
    for network in (Generator(Config()), Discriminator(Config())):
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.weight.numel() > 1e5:
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.02)
                assert module.weight.mean().item() == pytest.approx(0, abs=2e-4)
            if isinstance(module, nn.BatchNorm2d):
                assert module.weight.mean().item() == pytest.approx(1, abs=0.02)
                assert module.bias.abs().max() == 0


def test_a_discriminator_without_norm_keeps_the_scale_of_its_maps():
    """He et al. 2015: of noise, each layer's output is as large as its input."""
    config = Config(discriminator_norm="none")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Discriminator(config)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert all(block[0].bias is not None for block in network.blocks)
    maps = network.features(Noise(0, range(4)).normal(3, 64, 64))
    assert [m.square().mean().item() for m in maps] == pytest.approx([1] * len(maps), rel=0.5)
    one, other = Noise(0, range(4)).normal(3, 64, 64).split(2)
    whole = network(torch.cat([one, other]))  # no sample depends on its batch
    assert torch.allclose(whole, torch.cat([network(one), network(other)]), atol=1e-5)


def test_no_batch_norm_next_to_the_image():
    assert not any(isinstance(m, nn.BatchNorm2d) for m in Discriminator(Config()).blocks[0])
    assert [type(m) for m in Generator(Config()).layers][-2:] == [nn.ConvTranspose2d, nn.Tanh]


def test_no_pooling_and_no_hidden_linear_layer():
    kinds = {type(m) for n in (Generator(Config()), Discriminator(Config())) for m in n.modules()}
    assert not kinds & {nn.MaxPool2d, nn.AvgPool2d, nn.Linear, nn.Upsample}


def test_leaky_slope_is_the_papers():
    slopes = {
        m.negative_slope for m in Discriminator(Config()).modules() if type(m) is nn.LeakyReLU
    }
    assert slopes == {0.2}


def test_defaults_are_the_papers():
    o = TrainOptions()
    assert (o.optimizer, o.lr, o.beta1, o.batch_size) == ("adam", 2e-4, 0.5, 128)


def test_features_halve_layer_by_layer():
    maps = Discriminator(Config(width=8)).features(torch.zeros(2, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 32, 32), (16, 16, 16), (32, 8, 8), (64, 4, 4)]


@pytest.mark.parametrize(
    ("size", "sides"), [(8, [4]), (28, [14, 7, 3]), (40, [20, 10, 5, 2]), (64, [32, 16, 8, 4])]
)
def test_the_discriminator_halves_down_to_what_sees_the_whole(size, sides):
    maps = Discriminator(Config(size=size, width=4)).features(torch.zeros(1, 3, size, size))
    assert [m.shape[-1] for m in maps] == sides


def test_dense_layers_stand_between_code_and_maps():
    """As in the authors' MNIST code: 100 -> 1024 -> 128 maps of 7x7, batch norm between."""
    model = Generator(Config(channels=1, size=28, dense_units=(1024, 96)))
    kinds = [type(m) for m in model.layers][:7]
    layer = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [*layer, *layer, nn.ConvTranspose2d]
    weights = [m.weight for m in model.layers if isinstance(m, nn.ConvTranspose2d)]
    assert [w.numel() for w in weights[:3]] == [100 * 1024, 1024 * 96, 96 * 128 * 7 * 7]


@pytest.mark.parametrize("network", ["resize", "residual"])
def test_generators_without_transposed_convolutions_double_four_times(network):
    """Only the first layer is one: from a code at a single place it makes maps, no checkerboard."""
    config = Config(network=network, width=8, latent_dim=6)
    model = Generator(config)
    kinds = [type(m) for m in model.modules()]
    assert kinds.count(nn.ConvTranspose2d) == 1
    assert kinds.count(nn.Upsample) == 4
    images = model.generate(Noise(0, range(2)), None, Generator.sampling())
    assert images.shape == (2, 3, 64, 64)
    discriminators = [Discriminator(config), Discriminator(Config(width=8))]
    assert len({str(d) for d in discriminators}) == 1  # the paper's


def test_resize_replaces_each_transposed_convolution_and_nothing_else():
    kinds = {}
    for network in ("strided", "resize"):
        layers = [*Generator(Config(network=network)).layers][1:]
        kinds[network] = [type(m) for m in layers if not isinstance(m, nn.Upsample)]
    swapped = [nn.Conv2d if k is nn.ConvTranspose2d else k for k in kinds["strided"]]
    assert kinds["resize"] == swapped


def test_a_residual_block_adds_to_its_enlarged_input():
    block = Residual(4, 2).eval()
    nn.init.zeros_(block.layers[-1].weight)
    x = torch.randn(1, 4, 3, 3)
    expected = block.shortcut(x).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(block(x), expected)


LECTURE = {
    "size": 28,
    "channels": 1,
    "latent_dim": 100,
    "width": 32,
    "network": "upsampling",
    "prior": "uniform",
    "dropout": 0.4,
}


def test_the_lectures_generator_layer_by_layer():
    """Keras counts the running statistics of a batch norm too: four numbers a map."""
    model = Generator(Config(**LECTURE))
    counts = []
    for layer in model.layers:
        numbers = [*layer.parameters(), *(b for b in layer.buffers() if b.is_floating_point())]
        counts += [sum(t.numel() for t in numbers)] if numbers else []
    assert counts == [1_266_944, 50_176, 819_328, 512, 204_864, 256, 51_232, 128, 801]
    assert sum(counts) == 2_394_241
    assert _count(model) == 2_368_705
    sides = [type(m).__name__ for m in model.layers]
    assert sides.count("Upsample") == 2
    assert sides[-1] == "Sigmoid"
    assert [m.p for m in model.layers if isinstance(m, nn.Dropout)] == [0.4]


def test_the_lectures_discriminator_halves_three_times():
    network = Discriminator(Config(**LECTURE)).eval()
    maps = [tuple(m.shape[1:]) for m in network.features(torch.zeros(1, 1, 28, 28))]
    assert maps == [(64, 14, 14), (128, 7, 7), (256, 4, 4), (512, 4, 4)]
    kinds = {type(m) for m in network.modules()}
    assert nn.Dropout in kinds
    assert nn.BatchNorm2d not in kinds
    assert {m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2,)


def test_the_lectures_networks_at_other_sizes():
    for size, channels in ((64, 3), (20, 1)):
        config = Config(**{**LECTURE, "size": size, "channels": channels, "width": 4})
        images = Generator(config).eval().generate(Noise(0, range(2)), None, Generator.sampling())
        assert images.shape == (2, channels, size, size)
        assert images.min() >= 0
        assert Discriminator(config)(images).shape == (2,)


def test_a_uniform_code_stays_within_one():
    model = Generator(Config(size=8, channels=1, width=4, latent_dim=50, prior="uniform")).eval()
    inputs = []
    model.layers[0].register_forward_hook(lambda m, i, out: inputs.append(i[0]))
    model.generate(Noise(0, range(200)), None, model.sampling())
    code = inputs[0].flatten()
    assert code.abs().max() < 1
    assert code.std().item() == pytest.approx(3**-0.5, abs=0.02)  # of the uniform law on (-1, 1)
