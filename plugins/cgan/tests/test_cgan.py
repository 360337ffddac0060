"""CGAN against its paper: sizes, what the class does to each network."""

import pytest
import torch
from genzoo_cgan import Config, Discriminator, Generator, TrainOptions, discriminator, generator

import genzoo

SMALL = {
    "classes": 3,
    "latent_dim": 4,
    "generator_units": (4, 5, 8),
    "discriminator_units": (4, 3, 4),
    "width": 4,
    "dense_units": (8,),
}


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def small(network, build):
    torch.manual_seed(0)
    return build(Config(shape=(1, 8, 8), network=network, **SMALL))


def test_sizes_of_the_papers_perceptrons():
    """Section 4.1: 200 and 1000 to 1200; maxout 240 and 50 of five pieces to 240 of four."""
    g = 101 * 200 + 11 * 1000 + 1201 * 1200 + 1201 * 784
    d = 785 * 240 * 5 + 11 * 50 * 5 + 291 * 240 * 4 + 241
    assert parameters(Generator(Config())) == g
    assert parameters(Discriminator(Config())) == d


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_the_class_changes_the_samples_and_the_logits(network):
    model, judge = small(network, generator).eval(), small(network, discriminator).eval()
    code = torch.randn(1, 4).expand(3, -1)
    samples = model.decode(code, torch.arange(3))
    assert (samples[0] - samples[1]).abs().max() > 1e-4
    x = torch.rand(1, 1, 8, 8).expand(3, -1, -1, -1)
    assert len(set(judge(x, torch.arange(3)).tolist())) == 3


def test_the_projection_is_the_inner_product_of_class_and_features():
    judge = small("conv", discriminator).eval()
    x, labels = torch.rand(5, 1, 8, 8), torch.tensor([0, 1, 2, 1, 0])
    features = judge.features(x)[-1]
    for i, label in enumerate(labels):
        inner = sum((judge.classes.weight[label] * features[i].flatten()).tolist())
        expected = judge.head(features[i : i + 1]).item() + inner
        assert judge(x, labels)[i].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_labels_by_number_and_by_name():
    model = small("mlp", generator)
    model.class_names = ("ant", "bee", "cat")
    named, numbered = (model.sample(2, labels=label).tensor for label in ("bee", 1))
    assert torch.equal(named, numbered)
    assert model.sample(4).labels.tolist() == [0, 1, 2, 0]
    with pytest.raises(genzoo.UnknownName, match="bee"):
        model.sample(1, labels="bea")


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (2,)])
def test_convolutions_take_squares(shape):
    with pytest.raises(genzoo.BadInput, match="x".join(map(str, shape))):
        generator(Config(shape=shape, network="conv"))


def test_defaults_are_the_papers():
    assert (TrainOptions().batch_size, TrainOptions().loss, Config().dropout) == (
        100,
        "non-saturating",
        0.5,
    )
