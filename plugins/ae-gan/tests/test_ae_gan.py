"""AE-GAN against a plain GAN: it misses fewer modes, and learns where that one cannot."""

import pytest
import torch
from genzoo_ae_gan import AEGAN, AEGANTrainer, Config, Discriminator, TrainOptions

import genzoo
from genzoo import data
from genzoo.data import RING
from genzoo.options import AdversarialOptions
from genzoo.training import RunSettings

PLANE = Config(shape=(2,), latent_dim=2, units=64)
# A generator faster than its critic puts all that it draws where that one looks last.
FAST = {"loss": "minimax", "lr": 5e-3, "discriminator_lr": 5e-4}


def played(trainer, steps, seed=0):
    opened = data.open("ring8", "train")
    points, source = opened.batch(range(len(opened))), torch.Generator().manual_seed(seed)
    trainer.prepare(RunSettings())
    for step in range(steps):
        rows = torch.randint(len(points), (64,), generator=source)
        trainer.step(genzoo.Batch(points[rows], step=step, progress=step / steps, seed=seed))
    return trainer.model


def modes(model):
    """How many blobs of the ring are nearest to a share of 5 % of the points."""
    drawn = model.sample(1000, seed=0).tensor
    nearest = torch.cdist(drawn, torch.tensor(RING)).argmin(1)
    return int((nearest.bincount(minlength=len(RING)) >= 0.05 * len(drawn)).sum())


# One for each change, the others with the slow tests.
@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_it_finds_the_ring_where_the_same_networks_collapse(seed):
    torch.manual_seed(seed)
    model, discriminator = AEGAN(PLANE), Discriminator(PLANE)
    alone = AEGAN(PLANE)
    alone.load_state_dict(model.state_dict())
    its = Discriminator(PLANE)
    its.load_state_dict(discriminator.state_dict())
    plain = genzoo.Adversarial(alone, its, AdversarialOptions(**FAST))
    stable = AEGANTrainer(model, discriminator, TrainOptions(**FAST))
    assert modes(played(plain, 300, seed)) <= 3
    assert modes(played(stable, 300, seed)) == 8


def test_it_has_a_gradient_where_the_plain_game_is_flat():
    """D is sure of every fake: log(1 - D(G(z))) hardly slopes, the error does."""
    torch.manual_seed(0)
    model, x = AEGAN(PLANE), torch.full((16, 2), 2.0)

    def slope(weight):
        trainer = AEGANTrainer(
            model, Discriminator(PLANE), TrainOptions(loss="minimax", reconstruction_weight=weight)
        )
        with torch.no_grad():
            trainer.discriminator.head.bias.fill_(-30.0)
        loss, _ = trainer._generator_loss(genzoo.Batch(x))
        grads = torch.autograd.grad(loss, list(model.generator.parameters()))
        return sum(g.square().sum() for g in grads).sqrt().item()

    assert slope(0.0) < 1e-9
    assert slope(0.1) > 1e-2


def test_the_losses_are_those_of_the_formula():
    torch.manual_seed(0)
    model, x = AEGAN(PLANE), torch.randn(8, 2)
    trainer = AEGANTrainer(
        model, Discriminator(PLANE), TrainOptions(loss="minimax", reconstruction_weight=3)
    )
    batch, d = genzoo.Batch(x), trainer.discriminator
    back, drawn = trainer.fakes(batch)
    assert torch.equal(back, model.decode(model.embed(x)))
    real, one, two = (d(v).sigmoid() for v in (x, back, drawn))
    value = real.log().mean() + ((1 - one).log().mean() + (1 - two).log().mean()) / 2
    found, _ = trainer._discriminator_loss(batch)
    assert found.item() == pytest.approx(-value.item(), rel=1e-5)
    found, logs = trainer._generator_loss(batch)
    error = (back - x).square().sum(1).mean()
    wanted = ((1 - one).log().mean() + (1 - two).log().mean()) / 2 + 3 * error
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert logs["error"].item() == pytest.approx(error.item(), rel=1e-5)


@pytest.mark.parametrize("shape", [(1,), (1, 28, 28), (3, 16, 16)])
def test_any_shape(shape):
    config = Config(shape=shape, units=8)
    model = AEGAN(config).eval()
    assert model.sample(3).tensor.shape == (3, *shape)
    assert model.encode(torch.rand(3, *shape)).shape == (3, 32)
    assert Discriminator(config)(torch.zeros(3, *shape)).shape == (3,)
