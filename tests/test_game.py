"""What a family adds to the adversarial game: terms, further players, fakes and conditions."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genzoo.errors import BadInput, OperationFailed, UnknownName
from genzoo.models.abilities import Translator
from genzoo.models.model import Discriminator
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent
from genzoo.options import AdversarialOptions
from genzoo.training import Adversarial, Batch, RunSettings, fit, make_player

CLASSES, CODE = 3, 5


class Maker(Latent):
    """A generator of 8 x 8 images; the code's first numbers are what InfoGAN's player predicts."""

    latent_dim, shape = CODE, (1, 8, 8)

    def __init__(self):
        super().__init__(None)
        self.layers = nn.Sequential(nn.Linear(CODE, 16), nn.Tanh(), nn.Linear(16, 64))

    def decode(self, code, labels=None):
        return self.layers(code).tanh().view(-1, *self.shape)


class Judge(Discriminator):
    def __init__(self, channels=1):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(channels, 4, 4, 2, 1), nn.LeakyReLU(0.2))
        self.head = nn.Linear(64, 1)

    def features(self, x):
        return [self.conv(x)]

    def forward(self, x, labels=None):
        return self.head(self.features(x)[-1].flatten(1)).flatten()


class Painter(Translator):
    """From images to their edges: two convolutions, with dropout as their noise."""

    shape, domains = (1, 8, 8), ("photo", "edges")

    def __init__(self):
        super().__init__(None)
        self.first, self.last = nn.Conv2d(1, 4, 3, 1, 1), nn.Conv2d(4, 1, 3, 1, 1)
        self.register_buffer("examples", torch.zeros(2, 1, 8, 8, dtype=torch.uint8))

    def convert(self, x, to, noise):
        kept = noise.uniform(4, 8, 8) < 0.9
        return self.last(self.first(x).relu() * kept).tanh()


def batch_of(n=8, shape=(1, 8, 8), **facts):
    x = Noise(5, range(n), "data").uniform(*shape) * 2 - 1
    return Batch(x, indices=tuple(range(n)), **facts)


def infogan(weight=1.0, seen=None, **options):
    """A game whose third player predicts the code's class from the discriminator's maps."""
    torch.manual_seed(0)
    predict = nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))

    def information(game):
        if seen is not None:
            seen.append(game)
        error = F.cross_entropy(predict(game.maps[-1]), game.codes[:, :CLASSES].argmax(1))
        return weight * error, {"information": error.detach()}

    o = AdversarialOptions(**options)
    players = {"predictor": make_player(predict, o)}
    terms = {"generator": [information], "predictor": [information]}
    return Adversarial(Maker(), Judge(), o, terms=terms, players=players)


def pix2pix(l1=10.0, **options):
    """A discriminator of pairs, and the distance to the second image as a term."""
    torch.manual_seed(0)

    def distance(game):
        error = (game.fakes - game.batch.second_domain).abs().mean()
        return l1 * error, {"distance": error.detach()}

    o = AdversarialOptions(**options)
    terms = {"generator": [distance]}
    return Adversarial(Painter(), Judge(2), o, terms=terms, condition=lambda batch: batch.x)


def pairs(steps, start=0):
    for step in range(start, steps):
        x = Noise(5, range(8), f"data {step}").uniform(1, 8, 8) * 2 - 1
        edges = (x - x.roll(1, -1)).clamp(-1, 1)
        yield Batch(x, second_domain=edges, step=step, progress=step / 10, indices=tuple(range(8)))


def weights(trainer):
    return {
        f"{name}.{key}": value.clone()
        for name, network in trainer.networks().items()
        for key, value in network.state_dict().items()
    }


def moved(before, after, player):
    return any(not torch.equal(v, after[k]) for k, v in before.items() if k.startswith(player))


# ------------------------------------------------------------------------------------------- terms


def test_a_term_adds_to_the_loss_and_to_the_log():
    plain, game = infogan(0.0).step(batch_of()), infogan(2.0).step(batch_of())
    assert {"predictor/loss", "predictor/information", "generator/information"} <= game.keys()
    added = game["generator/loss"] - plain["generator/loss"]
    assert added.item() == pytest.approx(2 * game["generator/information"].item(), rel=1e-4)
    assert torch.equal(game["discriminator/loss"], plain["discriminator/loss"])


def test_a_further_player_learns_from_its_own_terms():
    trainer = infogan()
    before = weights(trainer)
    logs = [logs for _, logs in fit(trainer, (batch_of(step=k) for k in range(60)), 60)]
    assert moved(before, weights(trainer), "predictor")
    assert logs[-1]["predictor/loss"] < logs[0]["predictor/loss"]
    assert logs[-1]["generator/information"] < logs[0]["generator/information"]
    assert {"predictor", "predictor.optimizer"} <= trainer.parts().keys()


@pytest.mark.parametrize("player", ["generator", "discriminator", "predictor"])
def test_in_a_turn_only_its_player_learns(player):
    trainer = infogan()
    before = weights(trainer)
    turns = {
        "generator": partial(trainer._generate, None, 0),
        "discriminator": partial(trainer._discriminate, None),
        "predictor": partial(trainer._learn, None, "predictor"),
    }
    trainer.update(player, turns[player], batch_of())
    after = weights(trainer)
    names = ("generator", "discriminator", "predictor")
    assert [name for name in names if moved(before, after, name)] == [player]


@pytest.mark.parametrize("options", [{}, {"discriminator_steps": 2}])
def test_what_a_term_sees(options):
    games = []
    trainer = infogan(seen=games, **options)
    trainer.step(batch_of(8 * trainer.batches_per_step))
    theirs, mine = games
    for game in games:
        assert game.codes.shape == (8, CODE)
        assert game.fakes.shape == game.real.shape == (8, 1, 8, 8)
        assert game.fake_logits.shape == game.real_logits.shape == (8,)
        assert [m.shape for m in game.maps] == [m.shape for m in game.real_maps] == [(8, 4, 4, 4)]
        assert (game.sampler, game.discriminator) == (trainer.sampler, trainer.discriminator)
    assert mine.fakes.requires_grad
    assert mine.codes.requires_grad
    assert not theirs.fakes.requires_grad
    assert not theirs.codes.requires_grad


def test_a_term_may_differentiate_the_fakes_by_their_codes():
    """As path-length regularisation does (Karras et al. 2020, equation 4)."""
    torch.manual_seed(0)

    def path_length(game):
        direction = game.batch.noise("path").normal(1, 8, 8) / 8
        along = (game.fakes * direction).sum()
        (slopes,) = torch.autograd.grad(along, game.codes, create_graph=True)
        return 100 * slopes.square().sum(1).mean(), {"path": slopes.detach().norm()}

    o = AdversarialOptions(lr=1e-2)
    trainer = Adversarial(Maker(), Judge(), o, terms={"generator": [path_length]})
    logs = [logs for _, logs in fit(trainer, (batch_of(step=k) for k in range(30)), 30)]
    assert logs[-1]["generator/path"] < logs[0]["generator/path"] / 2


def test_without_terms_the_codes_have_no_graph():
    trainer = Adversarial(Maker(), Judge(), AdversarialOptions())
    assert not trainer._fakes(batch_of(), "code 0").codes.requires_grad


def test_micro_batches_compute_the_same_terms():
    whole, parts = infogan(), infogan()
    parts.prepare(RunSettings(micro_batches=2))
    one, other = whole.step(batch_of()), parts.step(batch_of())
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.allclose(value, other[name], atol=1e-5), name


def test_a_term_that_returns_something_else():
    terms = {"generator": [lambda game: game.fakes.mean()]}
    trainer = Adversarial(Maker(), Judge(), AdversarialOptions(), terms=terms)
    with pytest.raises(OperationFailed, match=r"a term of generator must return .*, got a Tensor"):
        trainer.step(batch_of())


def test_a_term_does_not_log_over_another():
    terms = {"discriminator": [lambda game: (game.fakes.mean(), {"D(x)": game.fakes.mean()})]}
    trainer = Adversarial(Maker(), Judge(), AdversarialOptions(), terms=terms)
    with pytest.raises(OperationFailed, match=r"a term of discriminator logs D\(x\), which"):
        trainer.step(batch_of())


def test_who_is_named_must_play():
    def term(game):
        return game.fakes.mean(), {}

    play = partial(Adversarial, Maker(), Judge(), AdversarialOptions())
    third = make_player(nn.Linear(2, 2), AdversarialOptions())
    with pytest.raises(UnknownName, match="no player is called 'generatr': did you mean generator"):
        play(terms={"generatr": [term]})
    with pytest.raises(BadInput, match="the player third has no term: nothing would train it"):
        play(players={"third": third})
    with pytest.raises(BadInput, match="generator is a player of every adversarial game"):
        play(terms={"generator": [term]}, players={"generator": third})


# ----------------------------------------------------------------------------- fakes and conditions


def test_a_translator_learns_pairs():
    trainer = pix2pix(lr=1e-2)
    seen = []
    trainer.discriminator.conv.register_forward_pre_hook(lambda _, x: seen.append(x[0].detach()))
    (batch,) = pairs(1)
    trainer.step(batch)
    real, fake, _ = seen
    assert torch.equal(real, torch.cat([batch.x, batch.second_domain], 1))
    assert torch.equal(fake[:, :1], batch.x)
    noise = batch.noise("code 0")
    torch.manual_seed(0)
    assert torch.equal(fake[:, 1:], Painter().convert(batch.x, "edges", noise))
    logs = [logs for _, logs in fit(trainer, pairs(60), 60)]
    assert logs[-1]["generator/distance"] < 0.7 * logs[0]["generator/distance"]


OPTIONS = [
    {"top_k": 0.25},
    {"instance_noise": 0.5},
    {"instance_noise": 0.5, "instance_noise_until": 0.1},
    {"augment": "translation"},
    {"augment": "color"},
    {"augment": "color", "augment_probability": 0.5},
    {"penalty": "gradient"},
    {"penalty": "r1", "penalty_weight": 0.1},
    {"penalty": "r1+r2", "penalty_weight": 0.1},
    {"label_smoothing": 0.2},
    {"soft_labels": True},
    {"label_noise": 0.3},
    {"weight_clip": 0.01},
    {"orthogonal_weight": 1.0},
    {"generator_steps": 2},
    {"loss": "hinge"},
    {"loss": "relativistic"},
    {"discriminator_lr": 0.1},
]


@pytest.mark.parametrize("make", [pix2pix, infogan])
def test_every_option_of_the_game_still_acts(make):
    """Each moves the run away from the one without it, and from that of every other."""
    ends = {}
    for options in [{}, *OPTIONS]:
        trainer = make(**options)
        list(fit(trainer, pairs(4), 4))
        ends[str(options)] = torch.cat([w.flatten() for w in weights(trainer).values()])
    names = [*ends]
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert not torch.equal(ends[one], ends[other]), f"{one} and {other}"


def test_an_augmentation_shifts_both_images_of_a_pair():
    trainer = pix2pix(augment="translation")
    (batch,) = pairs(1)
    both = trainer._discriminator_input(batch, batch.x, "real")
    assert torch.equal(both[:, :1], both[:, 1:])
    assert not torch.equal(both[:, :1], batch.x)


def test_a_translator_needs_two_domains():
    with pytest.raises(BadInput, match="learns from two domains, and the data set has only one"):
        pix2pix().step(batch_of())


def test_fakes_of_another_kind():
    """A family says itself what the fakes are: here the batch, seen through the generator."""
    seen = []

    def fakes(batch, noise):
        seen.append(noise.purpose)
        return trainer.sampler.decode(batch.x.flatten(1)[:, :CODE])

    trainer = Adversarial(Maker(), Judge(), AdversarialOptions(), fakes=fakes)
    before = weights(trainer)
    trainer.step(batch_of())
    assert seen == ["step 0: code 0"]
    assert moved(before, weights(trainer), "generator")
