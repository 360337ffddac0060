"""VAE-GAN against its paper: the three losses, and which network learns from which."""

import pytest
import torch
from genzoo_vae_gan import VAEGAN, Config, TrainOptions, feature_error, trainer
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.functional import logsigmoid

import genzoo
from genzoo.training import RunSettings

SMALL = Config(shape=(1, 8, 8), latent_dim=4, width=4)


def made(**options):
    torch.manual_seed(0)
    game = trainer(VAEGAN(SMALL), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def batch(**more):
    x = genzoo.Noise(0, range(6), "data").uniform(1, 8, 8) * 2 - 1
    return genzoo.Batch(x, **more)


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def test_defaults_are_the_papers():
    options = TrainOptions()
    assert (options.optimizer, options.lr, options.batch_size) == ("rmsprop", 3e-4, 64)


def test_the_losses_are_those_of_algorithm_1():
    """L_prior by torch's divergence, L_llike by its normal density, L_GAN by its log-sigmoid."""
    game, given = made(reconstruction_weight=0.5), batch()
    model, judge = game.vae, game.discriminator
    mean, log_variance = model.posterior(given.x)
    posterior = Normal(mean, (log_variance / 2).exp())
    prior = Normal(torch.zeros(4), torch.ones(4))
    divergence = kl_divergence(Independent(posterior, 1), Independent(prior, 1)).mean()
    noise = given.noise("posterior").normal(4)
    again = model.decode(mean + noise * posterior.scale)
    drawn = model.decode(given.noise("prior").normal(4))
    maps, found = (judge.features(x)[-1].flatten(1) for x in (given.x, again))
    likelihood = Normal(found, 1.0).log_prob(maps) - Normal(found, 1.0).log_prob(found)
    error = -likelihood.sum(1).mean()
    real, *fakes = (judge(x) for x in (given.x, again, drawn))
    value = logsigmoid(real).mean() + sum(logsigmoid(-f).mean() for f in fakes)
    wanted = {
        "discriminator": -value,
        "encoder": divergence + error,
        "decoder": 0.5 * error - sum(logsigmoid(f).mean() for f in fakes),
    }
    for player, expected in wanted.items():
        loss, logs = getattr(game, f"_{player}_loss")(given)
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
        assert all(log.ndim == 0 for log in logs.values())


def test_the_game_does_not_reach_the_encoder():
    """Section 2.3: what the discriminator says of an image gives the encoder no gradient."""
    ends = []
    for scale in (1.0, -50.0):
        game = made()
        with torch.no_grad():
            game.discriminator.head.weight *= scale
        game.update("encoder", game._encoder_loss, batch())
        game.update("decoder", game._decoder_loss, batch())
        ends.append([weights(game.vae.encoder), weights(game.vae.decoder)])
    (one, first), (other, second) = ends
    assert torch.equal(one, other)
    assert not torch.equal(first, second)


def test_gamma_weighs_the_decoder_s_error_alone():
    ends = []
    for weight in (0.0, 10.0):
        game = made(reconstruction_weight=weight)
        game.step(batch())
        ends.append({name: weights(network) for name, network in game.networks().items()})
    same = {name: torch.equal(ends[0][name], ends[1][name]) for name in ends[0]}
    assert same == {"encoder": True, "decoder": False, "discriminator": True}


def test_the_error_is_one_of_maps():
    """Images whose maps agree have none, whatever their pixels: here the maps of a blind layer."""
    game, x = made(), batch().x
    with torch.no_grad():
        game.discriminator.blocks[0][0].weight.zero_()
    maps = [game.discriminator.features(image)[-1] for image in (x, -x)]
    assert feature_error(*maps) == 0
    assert feature_error(torch.zeros(2, 3), torch.ones(2, 3)) == pytest.approx(1.5)


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (2,)])
def test_it_takes_squares(shape):
    with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
        trainer(VAEGAN(Config(shape=shape)), TrainOptions())
