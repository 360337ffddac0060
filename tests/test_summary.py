"""summary: the layers of a network as a table; the model that it is of stays as it was."""

import copy
import json

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import genzoo
from genzoo import families
from genzoo.models.model import Discriminator
from genzoo.models.summary import Summary

# The table of the course's second deck: Keras counts four numbers a channel of a batch norm.
KERAS = {
    "network": "upsampling", "prior": "uniform", "latent_dim": 100, "width": 32, "dropout": 0.4,
    "size": 28, "channels": 1,
}  # fmt: skip
DENSE, UP, LAST = ("Linear", "BatchNorm1d", "ReLU", "Unflatten", "Dropout"), "Upsample", "Sigmoid"
CONVOLUTION = ("ConvTranspose2d", "BatchNorm2d", "ReLU")
GENERATOR = [
    *zip(DENSE, [(12544,)] * 3 + [(256, 7, 7)] * 2, [1_266_944, 50_176, 0, 0, 0], strict=True),
    (UP, (256, 14, 14), 0),
    *zip(CONVOLUTION, [(128, 14, 14)] * 3, [819_328, 512, 0], strict=True),
    (UP, (128, 28, 28), 0),
    *zip(CONVOLUTION, [(64, 28, 28)] * 3, [204_864, 256, 0], strict=True),
    *zip(CONVOLUTION, [(32, 28, 28)] * 3, [51_232, 128, 0], strict=True),
    ("ConvTranspose2d", (1, 28, 28), 801),
    (LAST, (1, 28, 28), 0),
]


def keras(name):
    family = families.get("dcgan")
    return getattr(family, name)(family.config(**KERAS))


def test_the_generator_is_the_one_of_the_course():
    found = keras("model").summary()
    assert [(r.type, r.shape[1:], r.total) for r in found.layers] == GENERATOR
    assert {r.shape[0] for r in found.layers} == {None}
    assert (found.total, found.parameters, found.statistics) == (2_394_241, 2_368_705, 25_536)


def test_the_discriminator_is_the_one_of_the_course():
    """The course's table is the generator's alone: not the discriminator's, nor their sum."""
    found = keras("discriminator").summary((1, 28, 28))
    assert [r.total for r in found.layers if r.total] == [1664, 204_928, 819_456, 3_277_312, 8193]
    assert found.layers[9].shape == (None, 512, 4, 4)
    assert (found.total, found.statistics) == (4_311_553, 0)


def test_the_table_fits_a_screen_and_can_be_printed():
    found = keras("model").summary()
    lines = str(found).splitlines()
    assert lines[0] == "Generator"
    assert lines[1].split() == ["layer", "type", "output", "parameters"]
    assert lines[2] == "layers.0   Linear           (n, 12544)         1,266,944"
    assert lines[-2].split() == ["total", "2,394,241"]
    assert lines[-2].endswith("2,394,241")
    assert lines[-1] == "2,368,705 are trained, 25,536 are running statistics and other buffers"
    assert max(map(len, lines)) <= 80
    assert repr(found) == str(found)
    shown = found._repr_html_()
    assert shown.count("<tr>") == 1 + len(found.layers) + 1
    assert ">2,394,241</td>" in shown
    record = json.loads(json.dumps(found.record()))
    assert record["total"] == 2_394_241
    assert record["layers"][3]["shape"] == [None, 256, 7, 7]


# Layers that no pass calls: a term of the training runs them, their weights are masked first, or
# the smallest model has none.
NOT_CALLED = {"infogan": "q.", "made": "layers.", "biggan": "attentions"}


@pytest.mark.parametrize("name", families.names())
def test_every_family_has_a_table_without_gaps(name):
    family = families.get(name)
    with torch.random.fork_rng():
        model = family.model(family.tiny)
        networks = [family.discriminator(family.tiny)] if family.discriminator else []
    tables = [model.summary()]
    tables += [d.summary(model.shape, getattr(model, "num_classes", 0)) for d in networks]
    for network, table in zip([model, *networks], tables, strict=True):
        assert isinstance(table, Summary)
        gaps = [row.name for row in table.layers if row.shape is None]
        assert [gap for gap in gaps if not gap.startswith(NOT_CALLED.get(name, " "))] == []
        assert table.parameters == sum(p.numel() for p in network.parameters())
        floats = [b.numel() for b in network.buffers() if b.is_floating_point()]
        assert table.statistics == sum(floats)


def test_nothing_changes(latent):
    """Neither the mode of its parts, nor buffers, hooks, gradients, nor torch's generator."""
    calls = []
    latent.train()
    latent.layers[0].eval()
    latent.layers[1].register_forward_hook(lambda *_: calls.append(1))
    latent.layers[1].weight.grad = torch.ones(6)
    before, modes = copy.deepcopy(latent.state_dict()), [m.training for m in latent.modules()]
    hooks = [len(m._forward_hooks) for m in latent.modules()]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        state = torch.get_rng_state()
        table = latent.summary()
        assert torch.equal(torch.get_rng_state(), state)
    assert [row.shape for row in table.layers][-1] == (None, 5)
    assert calls == []
    assert all(torch.equal(v, before[k]) for k, v in latent.state_dict().items())
    assert [m.training for m in latent.modules()] == modes
    assert [len(m._forward_hooks) for m in latent.modules()] == hooks
    assert latent.layers[1].weight.grad.sum() == 6


def test_a_model_on_meta_and_one_in_double_precision_have_the_same_table(latent):
    table = latent.summary()
    assert copy.deepcopy(latent).double().summary() == table
    assert copy.deepcopy(latent).to("meta").summary() == table


def test_a_large_network_is_copied_without_its_numbers(latent, monkeypatch):
    from genzoo.models import summary

    table = latent.summary()
    monkeypatch.setattr(summary, "_LARGE", 10)
    places = []
    original = summary._copy  # not on meta here: there torch imports its compiler
    monkeypatch.setattr(summary, "_copy", lambda m, meta: places.append(meta) or original(m, False))
    assert latent.summary() == table
    assert places == [True]


class Odd(Discriminator):
    """A shared layer, a normed one, one that is never called, and tensors beside them."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.register_buffer("seen", torch.zeros(2))
        self.register_buffer("count", torch.zeros(9, dtype=torch.int64))
        self.register_buffer("scratch", torch.zeros(7), persistent=False)
        self.first = spectral_norm(nn.Linear(3, 3))
        self.again, self.spare = self.first, nn.Linear(5, 1)

    def features(self, x):
        return [self.again(self.first(x * self.scale))]

    def forward(self, x, labels=None):
        return self.features(x)[0].sum(1)


def test_odd_networks():
    rows = {row.name: row for row in Odd().summary((3,)).layers}
    assert [*rows] == ["scale", "seen", "first", "spare"]
    assert (rows["scale"].type, rows["scale"].shape, rows["scale"].total) == ("Parameter", (3,), 3)
    assert (rows["seen"].parameters, rows["seen"].statistics) == (0, 2)
    assert (rows["first"].type, rows["first"].shape) == ("Linear", (None, 3))
    assert (rows["first"].parameters, rows["first"].statistics) == (12, 6)
    assert (rows["spare"].shape, rows["spare"].parameters) == (None, 6)
    assert " -  " in str(Odd().summary((3,)))


def test_a_network_that_cannot_be_called_has_a_table_all_the_same():
    assert [row.shape for row in Odd().summary((4,)).layers] == [(3,), (2,), None, None]


def test_a_model_of_points_without_layers(conditional):
    (row,) = conditional.summary().layers
    assert (row.name, row.type, row.shape, row.parameters) == ("centres", "Parameter", (3, 2), 6)


def test_the_title_names_a_loaded_model(latent):
    latent.origin = genzoo.Origin("mine", "toy", "ab" * 32)
    assert latent.summary().title == "mine (ToyLatent of the family toy)"
