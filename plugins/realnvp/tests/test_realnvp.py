"""RealNVP: its inverse, its determinants by autograd, its densities by sums and integrals."""

import itertools

import genzoo_realnvp as realnvp
import pytest
import torch
from torch import nn

import genzoo
from genzoo import Noise
from genzoo.schemas import checked


def build(**config):
    """A small model whose couplings, unlike those before training, do something."""
    torch.manual_seed(0)
    model = realnvp.RealNVP(checked(realnvp.Config, config, "config"))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


POINTS = {"shape": [2], "couplings": 6, "width": 16}
PICTURES = {"shape": [1, 4, 4], "couplings": 2, "width": 5}


@pytest.mark.parametrize("config", [POINTS, {**PICTURES, "shape": [3, 8, 8]}])
def test_flow_is_inverted(config):
    model, x = build(**config), torch.randn(5, *config["shape"])
    with torch.no_grad():
        z, _ = model.flow(x)
        assert (z - x.flatten(1)).abs().max() > 0.1
        torch.testing.assert_close(model.inverse(z), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", [POINTS, PICTURES, {**PICTURES, "scales": 1}])
def test_log_determinant_is_that_of_the_jacobian(config):
    model, sizes = build(**config).double(), []
    for x in torch.randn(3, *config["shape"], dtype=torch.float64):
        jacobian = torch.autograd.functional.jacobian(lambda x: model.flow(x[None])[0][0], x)
        _, expected = torch.linalg.slogdet(jacobian.reshape(model.latent_dim, model.latent_dim))
        torch.testing.assert_close(model.flow(x[None])[1][0], expected)
        sizes.append(abs(expected))
    assert max(sizes) > 1e-2, "some volume changes"


def test_logits_slope_is_their_derivative():
    model = build(**PICTURES, levels=4).double()
    k = torch.randint(4, (1, 1, 4, 4)).double()
    place = torch.full_like(k, 0.3, requires_grad=True)  # levels of width 1: d/dplace
    logits, slope = model.logits(k / 3, place)
    (each,) = torch.autograd.grad(logits.sum(), place)
    torch.testing.assert_close(slope[0], each.log().sum())


def test_density_of_points_integrates_to_one():
    model = build(**POINTS)
    side = torch.linspace(-30, 30, 241)
    density = model.log_prob(torch.cartesian_prod(side, side), batch_size=100_000).exp()
    assert density.sum().item() * (side[1] - side[0]).item() ** 2 == pytest.approx(1, abs=0.01)


def test_probabilities_of_pictures_sum_to_what_is_drawn_inside():
    """All 16 pictures of 2 by 2 bits: their likelihoods are probabilities, not densities."""
    model = build(shape=[1, 2, 2], scales=1, couplings=2, width=5, levels=2)
    pictures = torch.tensor([*itertools.product([0.0, 1.0], repeat=4)]).view(-1, 1, 2, 2)
    total = model.log_prob(pictures, samples=600).exp().sum().item()
    with torch.no_grad():
        pixels = model.inverse(Noise(0, range(8000)).normal(4)).flatten(1).sigmoid()
    margin = realnvp.MARGIN
    inside = ((pixels > margin) & (pixels < 1 - margin)).all(1).float().mean().item()
    assert 0.2 < inside < 0.99
    assert total == pytest.approx(inside, abs=0.03)


def test_likelihood_says_what_it_is():
    pictures, points = build(**PICTURES), build(**POINTS)
    assert (pictures.likelihood_kind, pictures.levels) == ("bound", 256)
    assert (points.likelihood_kind, points.levels) == ("exact", None)


def test_a_picture_comes_back_from_its_code():
    model = build(**PICTURES)
    x = torch.randint(256, (6, 1, 4, 4)) / 255
    with torch.no_grad():
        torch.testing.assert_close(model.decode(model.embed(x)), x, atol=1e-4, rtol=0)


def test_first_masks_are_checkerboards_and_then_turn_over():
    model = build(**PICTURES)
    first, second, halves, _ = (c.mask for c in model.scales[0])
    board = nn.functional.pixel_shuffle(first.expand(4, 2, 2), 2)[0]
    assert torch.equal(board, (torch.arange(4)[:, None] + torch.arange(4) + 1) % 2)
    assert torch.equal(second, 1 - first)
    assert halves.flatten().tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("shape", [[1, 6, 6], [1], [4, 4]])
def test_realnvp_refuses_what_it_cannot_halve(shape):
    with pytest.raises(genzoo.BadInput, match="whose sides halve 2 times"):
        build(shape=shape)
