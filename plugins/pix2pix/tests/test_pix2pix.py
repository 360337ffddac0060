"""pix2pix against its paper: the game on pairs, the dropout, the U-Net and the patches."""

import pytest
import torch
from genzoo_pix2pix import Config, Discriminator, Pix2Pix, TrainOptions, trainer
from torch import nn

import genzoo
from genzoo import Noise, cli, data
from genzoo.training import RunSettings

SMALL = {"shape": (1, 16, 16), "width": 4, "discriminator_layers": 1, "examples": 5}


def small(**config):
    """A model whose weights, unlike those before training, do something."""
    torch.manual_seed(0)
    model = Pix2Pix(Config(**SMALL, **config))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def made(**options):
    torch.manual_seed(0)
    game = trainer(Pix2Pix(Config(**SMALL)), TrainOptions(**options))
    game.prepare(RunSettings())
    return game


def pairs(steps, n=8):
    """Images, and their negatives as the second domain."""
    for step in range(steps):
        x = Noise(0, range(n), f"data {step}").uniform(1, 16, 16) * 2 - 1
        yield genzoo.Batch(x, second_domain=-x, step=step, progress=step / 10)


def test_defaults_are_the_papers():
    """Section 3.3 and appendix 6.2."""
    options = TrainOptions()
    assert (options.batch_size, options.lr, options.beta1, options.l1_weight) == (1, 2e-4, 0.5, 100)
    assert Config().dropout == 0.5


def test_a_run_keeps_pairs_together(tmp_path, monkeypatch):
    """Each row of a batch is the edges of the same row of the second domain, mirrored or not."""
    monkeypatch.chdir(tmp_path)
    seen = []
    step = genzoo.Adversarial.step
    monkeypatch.setattr(genzoo.Adversarial, "step", lambda t, b: (seen.append(b), step(t, b))[1])
    words = ["train", "pix2pix", "--data", "digits@edges", "--steps", "3", "--out", "mine"]
    more = ["width=4", "batch_size=8", "horizontal_flip=true"]
    assert cli.run([*words, *(word for pair in more for word in ("--set", pair))]) == 0
    edges = data.TRANSFORMS["edges"][1]
    for batch in seen:
        x, y = (((t + 1) * 127.5).round().int().numpy() for t in (batch.x, batch.second_domain))
        assert (edges(y) == x).all()
    model, whole = genzoo.load("./mine"), data.open("digits@edges", "train").array
    assert [batch.step for batch in seen[-3:]] == [0, 1, 2]  # before them, the rehearsal's
    assert model.domains == ("edges", "digits")
    for example in model.examples.numpy():
        assert (whole == example).all((1, 2, 3)).any(), "an example is not of the first domain"


def test_the_discriminator_sees_input_and_result():
    game, seen = made(), []
    game.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    (batch,) = pairs(1)
    before = game.sampler.convert(batch.x, "B", batch.noise("code 0"))
    game.step(batch)
    real, fake = seen[:2]
    assert torch.equal(real, torch.cat([batch.x, batch.second_domain], 1))
    torch.testing.assert_close(fake, torch.cat([batch.x, before], 1))


def test_the_distance_is_a_term_of_the_generator():
    logs = {}
    for weight in (0.0, 1.0, 100.0):
        game = made(l1_weight=weight)
        (batch,) = pairs(1)
        fake = game.sampler.convert(batch.x, "B", batch.noise("code 0"))
        logs[weight] = game.step(batch)
        error = (fake - batch.second_domain).abs().mean().item()
        assert logs[weight]["generator/L1"].item() == pytest.approx(error, rel=1e-4)
    for weight in (1.0, 100.0):
        more = (logs[weight]["generator/loss"] - logs[0.0]["generator/loss"]).item()
        assert more == pytest.approx(weight * error, rel=1e-3)


def test_dropout_is_noise_of_the_sample():
    """Also in evaluation mode, half of the decoder's activations, and others for another seed."""
    model, x = small().eval(), torch.rand(2, 1, 16, 16).expand(2, -1, -1, -1)
    seen = []
    model.up[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, :4]))
    one, two = (model.translate(x, seed=seed).tensor for seed in (0, 1))
    assert torch.equal(one, model.train().translate(x, seed=0).tensor)
    assert (one - two).abs().max() > 1e-3
    assert (one[0] - one[1]).abs().max() > 1e-3
    sure = small(dropout=0.0)
    assert torch.equal(sure.translate(x, seed=0).tensor, sure.translate(x, seed=1).tensor)
    torch.manual_seed(0)
    with torch.no_grad():
        model.convert(torch.rand(64, 1, 16, 16), "B", Noise(0, range(64)))
    dropped = (seen[-1] == 0).float().mean().item()  # half, and half of the rest by ReLU
    assert dropped == pytest.approx(0.75, abs=0.1)


def test_skips_carry_details_past_the_smallest_maps():
    model, x = small(dropout=0.0), torch.rand(1, 1, 16, 16)
    model.up[0].register_forward_hook(lambda *_: torch.zeros(1, 4, 8, 8))
    changed = x.clone()
    changed[..., 4, 4] += 0.5
    with torch.no_grad():
        moved = model.convert(changed, "B", Noise(0, [0])) != model.convert(x, "B", Noise(0, [0]))
    assert moved.any()


@pytest.mark.parametrize(("layers", "side"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_classifies_a_patch(layers, side):
    network = Discriminator(Config(**{**SMALL, "discriminator_layers": layers}))
    for block in network.blocks:
        block[1] = nn.Identity()  # the norm's means see whole images
    x = torch.rand(1, 2, 128, 128, requires_grad=True)
    logits = network(x)
    middle = logits.shape[2] // 2
    logits[0, 0, middle, middle].backward()
    seen = x.grad[0].abs().sum((0, 1)).nonzero()
    assert seen.max() - seen.min() + 1 == side


@pytest.mark.parametrize(
    "options", [{"top_k": 0.5}, {"penalty": "r1"}, {"augment": "translation"}, {"loss": "hinge"}]
)
def test_options_of_the_game_act(options):
    ends = []
    for chosen in ({}, options):
        game = made(l1_weight=0.0, lr=0.01, **chosen)
        list(genzoo.fit(game, pairs(3), 3))
        ends.append(torch.cat([p.detach().flatten() for p in game.sampler.parameters()]))
    assert not torch.equal(*ends)


def test_pix2pix_learns_thepairs():
    game = made(lr=0.01)
    logs = [log["generator/L1"].item() for _, log in genzoo.fit(game, pairs(60), 60)]
    assert sum(logs[-5:]) < 0.7 * sum(logs[:5])


def test_pix2pix_goes_one_way():
    model, x = small(domains=("map", "photo")), torch.rand(1, 1, 13, 30)
    assert model.translate(x).tensor.shape == x.shape
    with pytest.raises(genzoo.BadInput, match="one way, from map to photo"):
        model.translate(x, "map")
