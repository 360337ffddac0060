"""Autoencoder: it gives back what it is shown; random codes are another matter."""

import pytest
import torch
from genzoo_autoencoder import Autoencoder, Config, TrainOptions, finish, trainer

import genzoo
from genzoo import data
from genzoo.training import RunSettings, fit


@pytest.fixture(scope="module")
def digits():
    opened = data.open("digits", "train")
    return opened.batch(range(len(opened)))


@pytest.fixture(scope="module")
def learnt(digits):
    torch.manual_seed(0)
    model, options = Autoencoder(Config(latent_dim=8, width=64)), TrainOptions(lr=3e-3)
    teacher = trainer(model, options)
    teacher.prepare(RunSettings())
    source = torch.Generator().manual_seed(0)
    rows = (torch.randint(len(digits), (64,), generator=source) for _ in range(400))
    batches = (genzoo.Batch(digits[r]) for r in rows)
    losses = [logs["model/loss"] for _, logs in fit(teacher, batches, 400)]
    return model.eval(), losses


def test_it_learns_to_give_back(learnt, digits):
    model, logs = learnt
    assert logs[-1] < logs[0] / 4
    back = model.from_public(model.decode(model.embed(digits[:100])).detach())
    error = (back - digits[:100]).square().flatten(1).sum(1).mean()
    from_the_mean = (digits[:100] - digits.mean(0)).square().flatten(1).sum(1).mean()
    assert error < 0.5 * from_the_mean


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_encode_and_decode_fit_together(network, shape):
    torch.manual_seed(0)
    model = Autoencoder(Config(shape=shape, network=network, latent_dim=5, width=8)).eval()
    x = torch.rand(3, *shape)
    assert model.encode(x).shape == (3, 5)
    with torch.no_grad():
        assert torch.allclose(
            model.decode(model.embed(x)), model.decoder(model.encoder(x)).sigmoid()
        )


def test_points_in_the_plane_have_codes_too():
    model = Autoencoder(Config(shape=(2,), latent_dim=2, width=8))
    assert model.value_range is None
    assert model.sample(3).tensor.shape == (3, 2)
    with pytest.raises(genzoo.BadInput, match=r"loss=cross-entropy is for .* set loss=squared"):
        trainer(model, TrainOptions(loss="cross-entropy"))


def test_a_fitted_law_of_codes_is_that_of_the_datas(learnt, digits):
    model, _ = learnt
    before = model.sample(500).tensor
    finish(model, TrainOptions(), [digits])
    assert torch.equal(model.sample(500).tensor, before), "it is fitted only where that is asked"
    finish(model, TrainOptions(fit_prior=True), [digits])
    codes = model.encode(digits)
    assert codes.mean(0).abs().max() < 1e-3
    assert (codes.T.cov() - torch.eye(8)).abs().max() < 1e-2
    x = model.sample(500).tensor
    assert distance(x, digits) < distance(before, digits), "fitted codes draw nearer to data"


def distance(x, real):
    return torch.cdist(x.flatten(1), real.flatten(1)).amin(1).mean()


def test_both_errors_are_what_they_say(digits):
    torch.manual_seed(0)
    model, x = Autoencoder(Config(width=8)), digits[:4]
    back = model.decoder(model.encoder(x)).sigmoid()
    squared, _ = model.loss(genzoo.Batch(x), TrainOptions())
    assert squared.item() == pytest.approx((back - x).square().sum().item() / 4, rel=1e-5)
    entropy, _ = model.loss(genzoo.Batch(x), TrainOptions(loss="cross-entropy"))
    by_hand = -(x * back.log() + (1 - x) * (1 - back).log()).sum() / 4
    assert entropy.item() == pytest.approx(by_hand.item(), rel=1e-4)
