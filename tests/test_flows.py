"""Flows: their inverse, their determinant, and a prior's density."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from genzoo import testing
from genzoo.models.flows import CouplingFlow, FittedPrior


def moved(module):
    """``module`` away from its start, where each coupling is the identity."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module.double()


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("couplings", [0, 1, 6])
def test_a_flow_has_an_inverse_and_the_determinant_of_its_jacobian(dim, couplings):
    flow = moved(CouplingFlow(dim, couplings, 8))
    x = torch.randn(4, dim, dtype=torch.float64)
    y, log_det = flow(x)
    torch.testing.assert_close(flow.inverse(y), x)
    for i in range(4):
        jacobian = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0][0], x[i])
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_det[i])


def test_each_number_of_a_code_depends_on_each_other_one():
    flow = moved(CouplingFlow(9, 8, 16))
    code = torch.randn(9, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0][0], code)
    assert (jacobian.abs() > 1e-9).all()


class Prior(FittedPrior):
    decode = embed = lambda self, x: x

    def __init__(self, dim, couplings):
        torch.nn.Module.__init__(self)
        self.add_prior(dim, couplings, 8)


def test_the_density_of_a_prior_is_that_of_its_samples():
    """Without a flow it is a Gaussian's; with one its integral over a grid is 1."""
    prior = moved(Prior(2, 0))
    prior.prior_mean.copy_(torch.tensor([1.0, -2.0]))
    prior.prior_scale.copy_(torch.tensor([[0.7, 0.0], [0.4, 1.2]]))
    z = prior.from_standard(torch.randn(5, 2, dtype=torch.float64))
    gaussian = MultivariateNormal(prior.prior_mean, scale_tril=prior.prior_scale)
    torch.testing.assert_close(prior.log_prior(z) - math.log(2 * math.pi), gaussian.log_prob(z))
    prior.flow = moved(CouplingFlow(2, 4, 8))
    torch.testing.assert_close(prior.to_standard(prior.from_standard(z)), z)
    places = torch.linspace(-25, 25, 701, dtype=torch.float64)
    with torch.no_grad():
        density = (
            prior.log_prior(torch.cartesian_prod(places, places)) - math.log(2 * math.pi)
        ).exp()
    assert density.sum().item() * (places[1] - places[0]) ** 2 == pytest.approx(1, abs=0.01)


def test_a_prior_is_fitted_to_codes_that_have_a_variance_of_their_own():
    prior, codes = Prior(3, 0), torch.randn(50, 3) * torch.tensor([1.0, 2.0, 0.5]) + 1
    prior.fit_prior(codes, torch.full((50, 3), 0.25))
    torch.testing.assert_close(prior.prior_mean, codes.mean(0))
    covariance = prior.prior_scale @ prior.prior_scale.T
    torch.testing.assert_close(covariance, codes.T.cov() + 0.25 * torch.eye(3))
    prior.fit_prior(codes[:1])
    assert torch.equal(prior.prior_mean, codes[0]), "one code is where all are"


def test_weights_of_another_model_bring_no_fitted_prior_along(caplog):
    """A run with fit_prior=false begins with N(0, 1), whatever the model it starts from has."""
    z = torch.randn(5, 3, dtype=torch.float64)
    for name, config in {"vae": {"couplings": 2}, "autoencoder": {}}.items():
        case = testing.Case.of(name)
        model = moved(case.model(latent_dim=3, **config))
        model.fit_prior(z)
        assert not torch.allclose(model.from_standard(z), z)
        case.trainer_of(model, fit_prior=True)
        assert not caplog.text
        case.trainer_of(model, fit_prior=False)
        assert torch.equal(model.from_standard(z), z)
        assert "N(0, 1) again: settings={'fit_prior': True} fits it" in caplog.text
        caplog.clear()
        case.trainer_of(case.model(), fit_prior=False)
        assert not caplog.text, "nothing was fitted"
