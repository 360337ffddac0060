"""SAGAN: attention, spectral norm, classes."""

import genzoo_sagan as sagan
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import genzoo
from genzoo import Noise, families
from genzoo.cli import run
from genzoo.schemas import checked
from genzoo.training import RunSettings

TINY = families.get("sagan").tiny


def learner(config=TINY, ema_decay=0.9, **options):
    torch.manual_seed(0)
    values = {"batch_size": 8, **options}
    inner = families.get("sagan").make_trainer(
        sagan.Generator(config), checked(sagan.TrainOptions, values, "options")
    )
    trainer = genzoo.EMA(inner, ema_decay) if ema_decay else inner
    trainer.prepare(RunSettings())
    return trainer


def batches(steps, config=TINY, n=8):
    for step in range(steps):
        x = Noise(0, range(n), f"data {step}").uniform(*config.shape) * 2 - 1
        yield genzoo.Batch(x, torch.arange(n) % max(1, config.classes), step=step)


def test_attention_is_scaled_dot_product_attention():
    torch.manual_seed(0)
    layer, x = sagan.SelfAttention(16), torch.randn(2, 16, 5, 5)
    with torch.no_grad():
        layer.gamma.fill_(0.7)
        query, key, value = (f(x).flatten(2).transpose(1, 2) for f in (layer.g, layer.f, layer.h))
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        expected = x + 0.7 * layer.v(seen.transpose(1, 2).unflatten(2, (5, 5)))
        assert torch.allclose(layer.eval()(x), expected, atol=1e-5)
        weights = layer.weights(x)
    assert torch.allclose(weights.sum(2), torch.ones(2, 25), atol=1e-5)
    assert weights.std() > 1e-4


def test_attention_starts_as_nothing():
    model = sagan.Generator(TINY)
    (attention,) = model.attentions.values()
    x = torch.randn(1, attention.g.in_channels, 8, 8)
    assert torch.equal(attention(x), x)
    assert attention.gamma == 0


@pytest.mark.parametrize(("size", "asked", "side"), [(32, 8, 8), (32, 16, 16), (28, 16, 14)])
def test_both_networks_attend_at_the_side_that_was_asked_for(size, asked, side, monkeypatch):
    sides = []
    forward = sagan.SelfAttention.forward
    monkeypatch.setattr(
        sagan.SelfAttention, "forward", lambda s, x: sides.append(x.shape[2:]) or forward(s, x)
    )
    values = {"shape": (3, size, size), "width": 8, "attention_resolution": asked}
    config = checked(sagan.Config, values, "config")
    model = sagan.Generator(config)
    x = model.generate(Noise(0, range(2)), None, model.sampling())
    sagan.discriminator(config)(x)
    assert sides == [(side, side)] * 2


def largest(network):
    """The largest singular value of every layer's weight, as it is used."""
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    layers += [m for m in network.modules() if nn.utils.parametrize.is_parametrized(m)]
    return {
        name: torch.linalg.svdvals(m.weight.detach().flatten(1))[0].item()
        for name, m in ((str(i), m) for i, m in enumerate(dict.fromkeys(layers)))
    }


def test_every_layer_of_both_has_a_largest_singular_value_of_one():
    trainer = learner(ema_decay=0)
    list(genzoo.fit(trainer, batches(60), 60))
    for network in (trainer.model, trainer.discriminator):
        found = largest(network.eval())
        assert len(found) > 6
        assert all(0.9 < value < 1.15 for value in found.values()), found


def test_the_average_is_normalised_by_its_own_singular_values():
    trainer = learner(ema_decay=0.98, lr=0.02)
    list(genzoo.fit(trainer, batches(40), 40))
    before = largest(trainer.model.eval())
    sagan.finish(trainer.model, None, [])
    after = largest(trainer.model)
    assert max(abs(v - 1) for v in before.values()) > 0.05
    assert max(abs(v - 1) for v in after.values()) < 0.01
    assert not trainer.model.training


def test_two_time_scales():
    players = learner(ema_decay=0, batch_size=8).players
    rates = {name: p.optimizer.param_groups[0]["lr"] for name, p in players.items()}
    assert rates == {"generator": 1e-4, "discriminator": 4e-4}
    assert players["generator"].optimizer.param_groups[0]["betas"] == (0.0, 0.9)


def test_the_class_is_told_by_projection():
    """Equation 3 of Miyato & Koyama: a class adds an inner product to what is said without it."""
    torch.manual_seed(0)
    network = sagan.discriminator(TINY).eval()
    x, labels = torch.randn(3, *TINY.shape), torch.tensor([0, 1, 2])
    with torch.no_grad():
        told = network(x, labels) - network(x)
        seen = network.features(x)[-1].relu().sum((2, 3))
        expected = torch.stack([network.classes.weight[k] @ seen[k] for k in range(3)])
    assert torch.allclose(told, expected, atol=1e-4)


def test_the_class_scales_and_shifts_what_is_drawn():
    torch.manual_seed(0)
    model = sagan.Generator(TINY)
    one, other = (model.sample(2, labels=k).tensor for k in (0, 1))
    assert torch.equal(one, other), "at first a class is nothing: scale 1, shift 0"
    with torch.no_grad():
        for norm in (m for m in model.modules() if isinstance(m, sagan.Norm)):
            norm.chosen.weight[1] += 0.5
    assert torch.equal(model.sample(2, labels=0).tensor, one)
    assert not torch.equal(model.sample(2, labels=1).tensor, other)


def test_without_classes():
    config = checked(sagan.Config, {**TINY.model_dump(mode="json"), "classes": 0}, "config")
    model, network = sagan.Generator(config), sagan.discriminator(config)
    assert model.sample(2).labels is None
    assert network(torch.zeros(2, *config.shape)).shape == (2,)
    assert not hasattr(network, "classes")


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ({"shape": (1, 30, 30)}, "1x30x30"),
        ({"shape": (3, 32, 16)}, "3x32x16"),
        ({"shape": (2,)}, "got 2"),
        ({"shape": (3, 4, 4)}, "3x4x4"),
        ({"attention_resolution": 7}, r"attention_resolution .*\[8, 16, 0\], got 7"),
    ],
)
def test_what_cannot_be_built_is_refused(values, got):
    with pytest.raises(genzoo.BadInput, match=got):
        sagan.Generator(checked(sagan.Config, {"width": 8, **values}, "config"))


def test_where_a_place_looks(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    model = sagan.Generator(TINY)
    samples, maps = model.attention(3, seed=4, start=1)
    assert torch.equal(samples.tensor, model.sample(3, seed=4, start=1).tensor)
    assert maps.shape == (3, 8, 8, 8, 8)
    assert torch.allclose(maps.sum((3, 4)), torch.ones(3, 8, 8), atol=1e-5)
    monkeypatch.chdir(tmp_path)
    genzoo.save(model, tmp_path / "m", family="sagan")
    assert run(["attend", "./m", "--at", "0,0", "--at", "15,8", "--sample", "4"]) == 0
    with Image.open("m-attention.png") as picture:
        assert picture.width == 860  # the sample and a map for each point, 17 times enlarged
    assert "gamma): 0; next to nothing" in capsys.readouterr().out
    for line, said in [
        ("attend ./m --at 16,0 -o x.png", "16,0"),
        ("attend ./m --at 3 -o x.png", "ROW,COLUMN"),
        ("attend vae-mnist --at 3,3 -o x.png", "attention"),
        ("attend ./m --at 3,3", "m-attention.png"),
    ]:
        assert run(line.split()) == 2
        assert said in capsys.readouterr().err
    config = checked(
        sagan.Config, {**TINY.model_dump(mode="json"), "attention_resolution": 0}, "config"
    )
    with pytest.raises(genzoo.BadInput, match="without attention"):
        sagan.Generator(config).attention()
