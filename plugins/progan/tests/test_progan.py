"""ProGAN against its paper: when the networks grow, what fades in, and the drift term."""

import numpy as np
import pytest
import torch
from genzoo_progan import (
    WHOLE,
    Config,
    Discriminator,
    Generator,
    Growing,
    TrainOptions,
    doublings_at,
    shrunk,
)

import genzoo
from genzoo.models.equalised import resolution_maps
from genzoo.training import RunSettings

SMALL = Config(shape=(1, 16, 16), latent_dim=4, width=4, max_width=8)  # 4, 8 and 16 pixels


def made(network=Generator, doublings=2.0):
    torch.manual_seed(0)
    network = network(SMALL).eval().requires_grad_(False)
    network.grown.fill_(round(WHOLE * doublings))
    return network


def repeated(x, times):
    return torch.tensor(np.kron(x, np.ones((1, 1, times, times), np.float32)))


def test_defaults_are_the_papers():
    """Appendix A.1, and table 2 for 64 pixels."""
    options, config = TrainOptions(), Config()
    assert (options.lr, options.beta1, options.beta2, options.batch_size) == (1e-3, 0, 0.99, 16)
    assert (options.loss, options.penalty, options.penalty_weight) == (
        "wasserstein",
        "gradient",
        10,
    )
    assert (options.drift_weight, options.ema_decay) == (1e-3, 0.999)
    assert options.discriminator_steps == options.generator_steps == 1
    maps = resolution_maps(config.shape, config.width, config.max_width)
    assert maps == ([512, 512, 512, 512, 256], 4)


def test_a_resolution_stays_as_long_as_it_fades_in():
    """Two doublings within 0.8 of a run: four parts of 0.2, of which the second and fourth fade."""
    wanted = {0: 0, 0.19: 0, 0.3: 0.5, 0.4: 1, 0.59: 1, 0.65: 1.25, 0.79: 1.95, 0.8: 2, 1: 2}
    for progress, doublings in wanted.items():
        assert doublings_at(progress, 0.8, 2) == pytest.approx(doublings), progress
    assert doublings_at(0, 0, 3) == 3


def test_real_images_have_the_resolution_that_is_reached():
    x = torch.rand(2, 1, 16, 16)
    means = {
        side: torch.tensor(x.numpy().reshape(2, 1, side, 16 // side, side, -1).mean((3, 5)))
        for side in (4, 8)
    }
    assert torch.equal(shrunk(x, 2, 2), x)
    torch.testing.assert_close(shrunk(x, 0, 2), means[4])
    torch.testing.assert_close(shrunk(x, 1, 2), means[8])
    faded = 0.75 * repeated(means[4], 2) + 0.25 * means[8]
    torch.testing.assert_close(shrunk(x, 0.25, 2), faded)


def test_a_layer_fades_into_the_image():
    """Figure 2(b): while it fades in, an image is between the old one, enlarged, and the new."""
    code = torch.randn(3, 4)
    old, new = (made(doublings=d).images(code, k) for d, k in ((0, 0), (1, 1)))
    faded = made(doublings=0.3).images(code, 1)
    assert (old.shape, new.shape) == ((3, 1, 4, 4), (3, 1, 8, 8))
    torch.testing.assert_close(faded, 0.7 * repeated(old, 2) + 0.3 * new)
    torch.testing.assert_close(made(doublings=1).decode(code), repeated(new, 2).clamp(-1, 1))


def test_a_layer_fades_into_the_discriminator():
    x = torch.randn(3, 1, 8, 8)
    small = torch.tensor(x.numpy().reshape(3, 1, 4, 2, 4, 2).mean((3, 5)))
    (old,), new = (made(Discriminator, d).features(seen) for d, seen in ((0, small), (1, x)))
    faded = made(Discriminator, 0.3).features(x)
    torch.testing.assert_close(faded[-1], 0.7 * old + 0.3 * new[-1])
    before = made(Discriminator, 0)  # a large image is seen in the resolution that is reached
    torch.testing.assert_close(before(repeated(small, 4)), before(small))


def learner(**options):
    torch.manual_seed(0)
    trainer = Growing(Generator(SMALL), TrainOptions(**options))
    trainer.prepare(RunSettings())
    return trainer


def batch(progress):
    x = genzoo.Noise(0, range(6), "data").uniform(*SMALL.shape) * 2 - 1
    return genzoo.Batch(x, step=int(100 * progress), progress=progress)


def test_both_networks_see_the_sides_of_the_runs_progress(monkeypatch):
    sides, features = [], Discriminator.features
    monkeypatch.setattr(
        Discriminator, "features", lambda d, x: sides.append(x.shape[2]) or features(d, x)
    )
    trainer = learner(growing_share=0.8, penalty="none")
    for progress in (0, 0.3, 0.5, 0.7, 0.9):
        trainer.step(batch(progress))
        assert trainer.model.grown == trainer.discriminator.grown
    assert sides == [side for side in (4, 8, 8, 16, 16) for _ in range(3)]  # real, fakes, G's turn
    assert trainer.model.grown == 2 * WHOLE


def test_the_drift_term_is_the_mean_square_of_real_logits():
    logs = {w: learner(drift_weight=w, penalty="none").step(batch(0.9)) for w in (0.0, 5.0)}
    x, d = batch(0.9).x, learner().discriminator
    with torch.no_grad():
        square = sum(value**2 for value in d(x).tolist()) / len(x)
    more = logs[5.0]["discriminator/loss"] - logs[0.0]["discriminator/loss"]
    assert more.item() == pytest.approx(5 * square, rel=1e-3)
    assert logs[0.0]["discriminator/drift"].item() == pytest.approx(square, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (2,)])
def test_it_takes_squares(shape):
    with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
        Generator(Config(shape=shape))
