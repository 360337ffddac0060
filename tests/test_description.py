"""A model's text, and its card in a notebook: they fit a screen and never fail."""

import copy
import gc
import weakref

import pytest
import torch

import genzoo
from genzoo import families
from genzoo.errors import OperationFailed
from genzoo.models import description
from genzoo.models.inference import Execution

ORIGIN = genzoo.Origin("mine<b>", "toy", "ab" * 32)


def test_a_model_in_a_few_lines(conditional):
    assert repr(conditional).splitlines() == [
        "ToyConditional",
        "  kind        points of 2, unbounded",
        "  parameters  6",
        "  abilities   Sampler",
        "  classes     3: ant, bee, cat",
        "  device      cpu",
    ]


def test_a_loaded_model_has_a_name_and_a_family(latent):
    latent.origin, latent.execution = ORIGIN, Execution(torch.bfloat16, True)
    lines = repr(latent).splitlines()
    assert lines[0] == "mine<b> (ToyLatent of the family toy)"
    assert lines[1:4] == [
        "  kind        images of 3x8x8, in [0, 1]",
        "  parameters  1,748",
        "  abilities   Sampler, Latent, Encoder",
    ]
    assert lines[-1] == "  inference   bfloat16, compiled"


@pytest.mark.parametrize("name", families.names())
def test_every_family_fits_a_screen(name):
    family = families.get(name)
    with torch.random.fork_rng():
        model = family.model(family.tiny)
    model.class_names = tuple(f"class {i}\x1b[31m" for i in range(getattr(model, "num_classes", 0)))
    lines = repr(model).splitlines()
    assert 4 <= len(lines) <= 8
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in repr(model)
    assert "None" not in repr(model)


def test_a_long_list_of_classes_is_cut(conditional):
    conditional.class_names = tuple(f"class {i}" for i in range(100))
    (line,) = [line for line in repr(conditional).splitlines() if "classes" in line]
    assert line.endswith("...")
    assert len(line) == 78


def test_a_model_that_is_half_built_has_a_text():
    class Half(genzoo.Latent):
        def __init__(self):
            self.seen = [repr(self), self._repr_html_()]
            super().__init__(None)
            self.seen += [repr(self), self._repr_html_()]

        def decode(self, code, labels=None):
            return code

    texts = Half().seen
    assert all("Half" in text for text in texts)
    assert "no samples: " in texts[-1]


def test_a_card_shows_samples(latent):
    latent.origin = ORIGIN
    card = latent._repr_html_()
    assert "mine&lt;b&gt; (ToyLatent" in card
    assert "<td" in card
    assert ">images of 3x8x8, in [0, 1]<" in card
    assert 'src="data:image/png;base64,' in card


def test_samples_of_a_card_are_drawn_once_until_the_model_changes(latent, monkeypatch):
    drawn = []
    original = genzoo.Sampler.sample
    monkeypatch.setattr(
        genzoo.Sampler, "sample", lambda self, n, **how: drawn.append(n) or original(self, n, **how)
    )
    first = latent._repr_html_()
    assert latent._repr_html_() == first
    assert drawn == [16]
    with torch.no_grad():
        latent.layers[3].bias += 1
    assert latent._repr_html_() != first
    assert drawn == [16, 16]
    latent.execution = Execution(torch.bfloat16)
    latent._repr_html_()
    assert drawn == [16, 16, 16]


def test_each_kind_has_a_card(conditional, density):
    class Volumes(type(conditional)):
        shape = (2, 2, 2)

        def generate(self, noise, labels, sampling):
            return torch.zeros(len(noise), *self.shape)

    assert "data:image/png" in conditional._repr_html_()
    assert "<img" not in density._repr_html_()  # it does not sample
    conditional = Volumes(conditional.config)
    assert "&lt;Points 1000x2x2x2" in conditional._repr_html_()


def test_a_card_whose_samples_fail_says_so(latent, monkeypatch):
    def fail(self, n):
        raise OperationFailed("no <b>disk</b>")

    monkeypatch.setattr(genzoo.Sampler, "sample", fail)
    assert "no samples: no &lt;b&gt;disk" in latent._repr_html_()


def test_a_models_card_is_freed_with_it(conditional):
    twin = copy.deepcopy(conditional)
    twin._repr_html_()
    freed = weakref.ref(twin)
    assert twin in description._pictures
    del twin
    gc.collect()
    assert freed() is None
