"""The pieces that networks of several families are built of."""

import contextlib
import itertools

import numpy as np
import pytest
import torch
from torch import nn

import genzoo
from genzoo import families, testing
from genzoo.models import equalised, networks
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


@pytest.mark.parametrize("mask", ["A", "B"])
@pytest.mark.parametrize("halves", [1, 2])
def test_masked_convolution_against_a_loop(mask, halves):
    layer = networks.MaskedConv((6, 12), 3, 3, mask, halves)
    x = torch.randn(2, 6, 1, 5)
    expected = layer.bias.detach().view(12, 1, 1).expand(2, 12, 1, 5).clone()
    for q, p, j, tap in itertools.product(range(12), range(6), range(5), range(3)):
        to, of, at = q % (12 // halves) * 3 * halves // 12, p // 2, j + tap - 2
        if at >= 0 and (tap < 2 or of < to or (of == to and mask == "B")):
            expected[:, q, 0, j] += layer.weight[q, p, 0, tap].detach() * x[:, p, 0, at]
    assert torch.allclose(layer(x), expected, atol=1e-5)


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


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 9)])
def test_plain_coders_see_each_image_alone(shape):
    encoder, decoder = networks.plain_encoder(shape, 4, 5), networks.plain_decoder(5, shape, 4)
    x = torch.rand(3, *shape)
    code = encoder(x)
    image = decoder(code)
    assert (code.shape, image.shape) == ((3, 5), x.shape)
    torch.testing.assert_close(encoder(x[:1]), code[:1])
    torch.testing.assert_close(decoder(code[:1]), image[:1])


@pytest.mark.parametrize("shape", [(1, 28, 32), (2,)])
def test_convolutional_coders_need_squares(shape):
    for build in (
        lambda: networks.conv_encoder(shape, 4, 5),
        lambda: networks.conv_decoder(5, shape, 4),
        lambda: networks.plain_encoder(shape, 4, 5),
        lambda: networks.plain_decoder(5, shape, 4),
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


def test_no_network_squashes_points():
    """With each of its networks a family draws points anywhere, or refuses them."""
    drawn = set()
    for name in families.names():
        case = testing.Case.of(name)
        fields = case.family.config.model_json_schema()["properties"]
        of_points = case.family.data in ("any", "labelled", "points") and "shape" in fields
        for network in fields.get("network", {}).get("enum", [None]) if of_points else ():
            with contextlib.suppress(genzoo.BadInput, genzoo.OperationFailed):
                model = case.model(shape=(2,), **({"network": network} if network else {}))
                model.requires_grad_(False)
                for parameter in model.parameters():
                    parameter.mul_(30)
                assert model.value_range is None, f"{name}, {network}"
                assert model.sample(20).tensor.abs().max() > 2, f"{name}, {network}"
                drawn.add((name, network))
    expected = {("gan", "normed"), ("wgan-gp", "normed"), ("cgan", "mlp"), ("cgan", "normed")}
    assert expected <= drawn


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


def test_a_gaussian_of_fewer_samples_than_dimensions():
    """Of its samples the codes are those of the pseudoinverse; its density exists."""
    x = torch.from_numpy(np.random.default_rng(0).normal(3, 2, (5, 8)).astype(np.float32))
    mean, scale = networks.standard_normal(8)
    networks.fit_gaussian(mean, scale, x.mean(0), x.T.cov())
    torch.testing.assert_close(mean, x.mean(0))
    torch.testing.assert_close(scale @ scale.T, x.T.cov(), atol=1e-4, rtol=1e-4)
    assert torch.equal(scale, scale.tril())
    assert (scale.diagonal() > 0).all()
    centred = (x - x.mean(0)).double().numpy()
    distances = np.einsum("ni,ij,nj->n", centred, np.linalg.pinv(np.cov(centred.T)), centred)
    code = networks.whiten(x, mean, scale)
    assert code.square().sum(1).numpy() == pytest.approx(distances, rel=1e-3)
    torch.testing.assert_close(mean + code @ scale.T, x, atol=1e-4, rtol=1e-4)


def test_a_gaussian_of_one_point_stays_there():
    mean, scale = networks.standard_normal(2)
    networks.fit_gaussian(mean, scale, torch.ones(2), torch.zeros(2, 2))
    assert torch.equal(mean, torch.ones(2))
    torch.testing.assert_close(scale, 1e-3 * torch.eye(2))


def test_codes_that_are_not_finite_are_told(caplog):
    mean, scale = networks.standard_normal(2)
    networks.fit_gaussian(mean, scale, torch.ones(2), torch.full((2, 2), torch.nan))
    assert "codes of the data are not finite" in caplog.text
    assert torch.equal(mean, torch.zeros(2))
    assert torch.equal(scale, torch.eye(2))


@pytest.mark.parametrize("layer", [nn.Linear(600, 50), nn.Conv2d(50, 60, 3)])
def test_an_equalised_layer_is_hes_and_learns_at_its_own_scale(layer):
    """Weights as He's start has them; one step of Adam moves each by the same share of it."""
    layer = equalised.equalised(layer)
    he = (2 / layer.weight[0].numel()) ** 0.5
    assert layer.weight.std().item() == pytest.approx(he, rel=0.02)
    before = layer.weight.detach().clone()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
    (layer.weight.sum() + layer.bias.sum()).backward()
    optimizer.step()
    moved = before - layer.weight.detach()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.01 * he), rtol=1e-2, atol=0)


def test_a_layer_of_a_lower_rate_starts_alike_and_moves_less():
    layer = equalised.equalised(nn.Linear(600, 50), rate=0.1)
    assert layer.weight.std().item() == pytest.approx((2 / 600) ** 0.5, rel=0.02)
    before = layer.weight.detach().clone()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
    (layer.weight.sum() + layer.bias.sum()).backward()
    optimizer.step()
    moved = (before - layer.weight.detach()).mean().item()
    assert moved == pytest.approx(0.001 * (2 / 600) ** 0.5, rel=0.01)
    assert layer.bias.mean().item() == pytest.approx(-0.001, rel=1e-3)


def test_pixel_norm_gives_each_pixel_a_mean_square_of_1():
    x = 5 * torch.randn(2, 7, 3, 3)
    normed = equalised.PixelNorm()(x)
    torch.testing.assert_close(normed.square().mean(1), torch.ones(2, 3, 3))
    torch.testing.assert_close(nn.functional.cosine_similarity(normed, x), torch.ones(2, 3, 3))


def test_the_deviation_of_a_minibatch():
    x = torch.randn(5, 3, 4, 4)
    found = equalised.MinibatchDeviation()(x)
    assert torch.equal(found[:, :3], x)
    wanted = x.numpy().std(0).mean()
    assert found[:, 3].flatten().tolist() == pytest.approx([wanted] * 80, rel=1e-5)
    alike = x[:1].expand(5, -1, -1, -1).clone().requires_grad_()
    equalised.MinibatchDeviation()(alike)[:, 3].sum().backward()
    assert alike.grad.isfinite().all()


def test_modulated_weights_by_hand():
    """Equations 1 and 3 of StyleGAN2, with weights for each sample."""
    conv = equalised.equalised(nn.Conv2d(4, 5, 3, 1, 1, bias=False))
    x, style = torch.randn(3, 4, 6, 6), torch.randn(3, 4)
    for demodulate in (False, True):
        found = equalised.modulated(conv, x, style, demodulate)
        for i in range(3):
            weight = conv.weight * style[i].view(1, 4, 1, 1)
            if demodulate:
                weight = weight / weight.flatten(1).norm(dim=1).view(5, 1, 1, 1)
            wanted = nn.functional.conv2d(x[i : i + 1], weight, padding=1)
            torch.testing.assert_close(found[i : i + 1], wanted, rtol=1e-3, atol=1e-5)


def test_maps_of_resolutions():
    assert equalised.resolution_maps((3, 64, 64), 16, 64) == ([64, 64, 64, 32, 16], 4)
    assert equalised.resolution_maps((1, 28, 28), 8, 512) == ([32, 16, 8], 7)
