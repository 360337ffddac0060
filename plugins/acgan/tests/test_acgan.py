"""AC-GAN against its paper: the sizes, the two likelihoods, and who learns from which."""

import math

import pytest
import torch
from genzoo_acgan import Config, Discriminator, Generator, TrainOptions, trainer

import genzoo
from genzoo.training import RunSettings

SMALL = Config(shape=(1, 8, 8), classes=3, latent_dim=4, width=4, dropout=0.0)
LABELS = torch.tensor([0, 1, 2, 1, 0, 2])


def made(**options):
    torch.manual_seed(0)
    game = trainer(Generator(SMALL), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def batch(**more):
    x = genzoo.Noise(0, range(6), "data").uniform(1, 8, 8) * 2 - 1
    return genzoo.Batch(x, labels=LABELS, **more)


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def log_share(logits, label):
    """log of a class's share, summed by hand."""
    return logits[label] - math.log(sum(math.exp(value) for value in logits))


def test_defaults_are_the_papers():
    """Appendix A."""
    options = TrainOptions()
    assert (options.batch_size, options.lr, options.beta1) == (100, 2e-4, 0.5)
    assert (options.class_weight, Config().dropout, options.loss) == (1.0, 0.5, "non-saturating")


def test_the_class_is_not_given_to_the_discriminator():
    judge, x = Discriminator(SMALL).eval(), batch().x
    assert torch.equal(judge(x, LABELS), judge(x, LABELS.flip(0)))
    assert judge.class_logits(judge.features(x)[-1]).shape == (6, 3)


def test_the_class_changes_the_sample():
    torch.manual_seed(0)
    model = Generator(SMALL).eval()
    samples = model.decode(torch.randn(1, 4).expand(3, -1), torch.arange(3))
    assert (samples[0] - samples[1]).abs().max() > 1e-4


def test_the_terms_are_equations_2_and_3():
    """D's loss is -(L_S + L_C) and G's is L_S's own part minus L_C, from sums by hand."""
    logs = {weight: made(class_weight=weight).step(batch()) for weight in (0.0, 1.0)}
    game = made()
    model, judge = game.sampler.train(), game.discriminator.train()
    codes = model.draw_code(batch().noise("code 0"), model.sampling())
    with torch.no_grad():
        fakes, sums = model.decode(codes, LABELS), {}
        for name, x in (("data", batch().x), ("fakes", fakes)):
            logits = judge.class_logits(judge.features(x)[-1]).tolist()
            sums[name] = sum(log_share(row, k) for row, k in zip(logits, LABELS, strict=True)) / 6
    more = logs[1.0]["discriminator/loss"] - logs[0.0]["discriminator/loss"]
    assert more.item() == pytest.approx(-sums["data"] - sums["fakes"], rel=1e-4)
    assert sums["fakes"] < -0.1
    assert "generator/class accuracy" in logs[0.0]


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_class_moves_both_players(weight):
    ends = []
    for chosen in (0.0, weight):
        game = made(class_weight=chosen)
        start = game.discriminator.head.weight[1:].clone()
        game.step(batch())
        d = game.discriminator
        ends.append([weights(game.sampler), weights(d.blocks), d.head.weight[1:].clone()])
    assert torch.equal(start, ends[-1][2]) == (weight == 0)
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other) == (weight == 0)


def test_labels_teach_the_generator():
    """Each class is one image: after some steps the discriminator reads the class off the fakes."""
    game, logs = made(lr=0.01), []
    shades = torch.tensor([-0.8, 0.0, 0.8])
    for step in range(40):
        x = shades[LABELS].view(-1, 1, 1, 1) + 0.1 * batch(step=step).noise("x").normal(1, 8, 8)
        logs.append(game.step(genzoo.Batch(x, labels=LABELS, step=step, progress=step / 40)))
    right = [log["generator/class accuracy"].item() for log in logs]
    assert sum(right[:5]) / 5 < 0.8 < sum(right[-5:]) / 5


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (2,)])
def test_it_takes_squares(shape):
    with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
        Generator(Config(shape=shape))
