"""The pieces that networks of several families are built of."""

import pytest
import torch
from torch import nn

import genzoo
from genzoo.models import networks
from genzoo.models.networks import Maxout


@pytest.mark.parametrize(
    ("side", "levels", "smallest"), [(28, 2, 7), (64, 4, 4), (30, 1, 15), (9, 0, 9), (6, 0, 6)]
)
def test_halvings(side, levels, smallest):
    assert networks.halvings(side) == (levels, smallest)


def test_a_maxout_unit_is_the_largest_of_its_pieces():
    unit, x = Maxout(3, 2, 4), torch.randn(5, 3)
    pieces = unit.linear.weight.view(2, 4, 3), unit.linear.bias.view(2, 4)
    for i, row in enumerate(x):
        for j in range(2):
            values = [pieces[0][j, k] @ row + pieces[1][j, k] for k in range(4)]
            assert unit(x)[i, j].item() == pytest.approx(max(values).item(), abs=1e-6)


def test_activations_are_the_outputs_of_the_blocks():
    blocks, x = [nn.Linear(2, 3), nn.Linear(3, 1)], torch.randn(4, 2)
    first, second = networks.activations(blocks, x)
    assert torch.equal(first, blocks[0](x))
    assert torch.equal(second, blocks[1](first))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 30, 30), (3, 9, 9)])
def test_convolutional_coders_mirror_each_other(shape):
    encoder, decoder = networks.conv_encoder(shape, 4, 5), networks.conv_decoder(5, shape, 4)
    assert encoder(torch.rand(2, *shape)).shape == (2, 5)
    assert decoder(torch.rand(2, 5)).shape == (2, *shape)
    convs, transposed = (
        [m for m in network if isinstance(m, kind)]
        for network, kind in ((encoder, nn.Conv2d), (decoder, nn.ConvTranspose2d))
    )
    assert [m.weight.shape for m in convs] == [m.weight.shape for m in reversed(transposed)]


@pytest.mark.parametrize("shape", [(1, 28, 32), (2,)])
def test_convolutional_coders_need_squares(shape):
    for build in (
        lambda: networks.conv_encoder(shape, 4, 5),
        lambda: networks.conv_decoder(5, shape, 4),
    ):
        with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
            build()


def test_only_convolutions_are_initialised():
    network = nn.Sequential(nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64), nn.Linear(64, 64))
    linear = network[2].weight.clone()
    network.apply(networks.initialise_convolution)
    assert network[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert torch.equal(network[1].weight, torch.ones(64))
    assert torch.equal(network[2].weight, linear)


def test_images_are_squashed_and_points_are_not():
    x = torch.tensor([[-5.0, 0.0, 5.0]])
    assert torch.equal(networks.squash(x, networks.unit_range((1, 8, 8))), x.sigmoid())
    assert networks.unit_range((1, 8, 8)) == networks.unit_range((1, 64)) == (0.0, 1.0)
    kinds = [networks.kind_of(shape) for shape in ((1, 8, 8), (1, 64), (2,))]
    assert kinds == ["images", "signals", "points"]
    assert networks.squash(x, networks.unit_range((2,))) is x


def test_a_fitted_gaussian_whitens_its_own_samples():
    x = torch.randn(5000, 3) @ torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.3, 1.0]])
    x = x + torch.tensor([1.0, -2.0, 0.0])
    mean, scale = networks.standard_normal(3)
    assert torch.equal(networks.whiten(x, mean, scale), x)
    networks.fit_gaussian(mean, scale, x.mean(0), x.T.cov())
    code = networks.whiten(x, mean, scale)
    torch.testing.assert_close(mean + code @ scale.T, x, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(code.T.cov(), torch.eye(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(code.mean(0), torch.zeros(3), atol=1e-3, rtol=0)


def test_a_gaussian_of_one_number():
    mean, scale = networks.standard_normal(1)
    networks.fit_gaussian(mean, scale, torch.tensor([2.0]), torch.tensor(9.0))
    assert (mean.tolist(), scale.tolist()) == ([2.0], [[3.0]])


def test_a_singular_covariance_leaves_the_gaussian_as_it_is():
    mean, scale = networks.standard_normal(2)
    networks.fit_gaussian(mean, scale, torch.ones(2), torch.zeros(2, 2))
    assert torch.equal(mean, torch.zeros(2))
    assert torch.equal(scale, torch.eye(2))
