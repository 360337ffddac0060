"""Wrong codes, samples, labels and numbers, to every method of every ability: a line each."""

import copy

import numpy as np
import pytest
import torch

import genzoo
from genzoo import families
from genzoo.errors import BadInput, GenzooError, UnknownName
from genzoo.models import sampler
from genzoo.models.checks import problem_of
from genzoo.models.randomness import Noise

NAN = float("nan")


@pytest.fixture(scope="module")
def pixels():
    """A completer and exact density, conditional: 3 classes, images (1, 6, 6) of 3 levels."""
    family = families.get("pixelcnn")
    values = {**family.tiny.model_dump(), "classes": 3, "conditional": True}
    with torch.random.fork_rng():
        return family.model(family.config(**values)).eval()


@pytest.fixture(scope="module")
def attentive():
    family = families.get("sagan")
    with torch.random.fork_rng():
        return family.model(family.tiny).eval()


@pytest.fixture
def bound(request):
    """The method of a test's model: ``latent.encode``."""
    model, _, name = request.param.partition(".")
    return getattr(request.getfixturevalue(model), name)


def check(call, said, kind=BadInput):
    """One line of the house's, which says what was got."""
    with pytest.raises(GenzooError, match=said) as caught:
        call()
    text = str(caught.value)
    assert isinstance(caught.value, kind)
    assert "\n" not in text
    assert len(text) < 250


# ------------------------------------------------------------------------------------------ samples


def image(*shape, **how):
    return torch.zeros(shape, **how)


SIZED = {"latent.encode": (3, 8, 8), "density.log_prob": (2,), "pixels.log_prob": (1, 6, 6)}
READERS = {**SIZED, "translator.translate": (3, 8, 8)}


@pytest.mark.parametrize("bound", READERS, indirect=True, ids=str)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[None], r"expected samples of shape .*, got \(1, 2, "),
        (lambda x: x.fill_(NAN), r"expected samples of finite numbers, got nan \(\d+ of \d+\)"),
        (lambda x: x.index_fill(-1, torch.tensor([1]), NAN), r"finite numbers, got nan"),
        (lambda x: x.fill_(float("inf")), r"finite numbers, got inf"),
        (
            lambda x: x.to(torch.complex64),
            r"expected samples or an array of real .*, got complex64",
        ),
        (lambda x: x.to("meta"), r"with values, got a tensor on meta"),
        (lambda x: x.to_sparse(), r"got sparse ones"),
        (lambda x: "digits.png", r"expected samples or an array, got 'digits.png'"),
        (lambda x: None, r"expected samples or an array, got None"),
        (lambda x: [[1], [2, 3]], r"expected samples or an array, got \[\[1\]"),
        (lambda x: np.array([["a"]]), r"expected samples or an array, got array"),
        (lambda x: {"x": x}, r"expected samples or an array, got \{"),
    ],
)
def test_wrong_samples(bound, change, said):
    x = torch.full((2, *READERS[where(bound)]), 0.5)
    check(lambda: bound(change(x)), said)


def where(method):
    """The key of a method in `READERS`."""
    kinds = {"ToyLatent": "latent", "ToyDensity": "density", "PixelCNN": "pixels"}
    return f"{kinds.get(type(method.__self__).__name__, 'translator')}.{method.__name__}"


@pytest.mark.parametrize("bound", SIZED, indirect=True, ids=str)
def test_samples_of_another_size(bound):
    shape = SIZED[where(bound)]
    check(lambda: bound(image(2, *shape[:-1], 5)), r"expected .*, got \(2, .*5\)$")


@pytest.mark.parametrize("bound", ["latent.encode", "translator.translate"], indirect=True)
@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (2.0, torch.float32, r"expected samples in \[0, 1\], got \[2, 2\]$"),
        (-0.5, torch.float64, r"expected samples in \[0, 1\], got \[-0.5, -0.5\]$"),
        (255, torch.int64, r"got \[255, 255\]; bytes \(uint8\) are 255ths, other integers are not"),
    ],
)
def test_samples_out_of_range(bound, value, dtype, said):
    check(lambda: bound(torch.full((1, 3, 8, 8), value, dtype=dtype)), said)


def test_samples_of_levels_that_the_model_does_not_know(pixels):
    check(lambda: pixels.log_prob(torch.full((1, 1, 6, 6), 0.3), 0), "knows 3 values of a pixel")


@pytest.mark.parametrize(
    ("how", "said", "kind"),
    [
        ({"to": "grey"}, "no domain is called 'grey': available: dark, light", UnknownName),
        ({"to": 1}, "to must be a text or None, got 1", BadInput),
        ({"to": ["light"]}, "to must be a text or None, got", BadInput),
        ({"seed": -1}, "seed must be a whole number", BadInput),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0", BadInput),
        ({"steps": 3}, "no setting of sampling called 'steps'", BadInput),
    ],
)
def test_wrong_arguments_of_translate(translator, how, said, kind):
    check(lambda: translator.translate(image(1, 3, 8, 8), **how), said, kind)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (1, 3, 0, 8)])
def test_images_that_are_not_translated(translator, shape):
    check(lambda: translator.translate(image(*shape)), "expected images ")


# -------------------------------------------------------------------------------------------- codes


CODES = [
    (torch.zeros(2, 4), r"codes of shape \(n, 5\), got \(2, 4\)"),
    (torch.zeros(5), r"codes of shape \(n, 5\), got \(5\)"),
    (torch.zeros(2, 5, 1), r"codes of shape \(n, 5\), got \(2, 5, 1\)"),
]


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        *CODES,
        (torch.zeros(0, 5), r"\(n, 5\), got \(0, 5\)"),
        (torch.full((1, 5), NAN), r"expected codes of finite numbers, got nan \(5 of 5\)"),
        (torch.zeros(1, 5, dtype=torch.complex64), "of real numbers, got complex64 ones"),
        (torch.zeros(1, 5, device="meta"), "with values, got a tensor on meta"),
        ("0:3", r"expected codes \(n, 5\), got '0:3'"),
        ([[0] * 5, [0] * 4], r"expected codes \(n, 5\), got \[\["),
        (None, r"expected codes \(n, 5\), got None"),
    ],
)
def test_wrong_codes(latent, codes, said):
    check(lambda: latent.decode_codes(codes), said)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        *CODES[:2],
        (torch.zeros(2, 5, dtype=torch.int64), r"\(n, 5\) of floats, got int64"),
        (np.zeros((2, 5), np.float32), r"\(n, 5\) as a tensor, got a ndarray"),
    ],
)
def test_wrong_codes_of_a_familys_own_decode(latent, code, said):
    """What trains and searches calls it without checks: only a failure is explained."""
    check(lambda: latent.decode(code), said)


def test_codes_on_another_device():
    """Not tried on a model: on meta torch would import its compiler first."""
    x = torch.zeros(2, 5, device="meta")
    said = "expected codes of shape (n, 5) on cpu, where the model is, got a tensor on meta"
    assert problem_of("codes", x, (5,), torch.device("cpu")) == said


def test_a_failure_of_the_family_itself_stays(latent, monkeypatch):
    monkeypatch.setattr(latent, "layers", None)
    with pytest.raises(TypeError, match="not callable"):
        latent.decode(torch.zeros(1, 5))
    with pytest.raises(TypeError, match="unexpected keyword"):
        latent.decode(torch.zeros(1, 5), nothing=1)


def test_a_familys_decode_keeps_its_signature_and_its_gradients(latent):
    import inspect

    assert [*inspect.signature(latent.decode).parameters] == ["code", "labels", "noise"]
    code = torch.zeros(1, 5, requires_grad=True)
    latent.decode(code).sum().backward()
    assert code.grad is not None


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"seeds": [(0, 0)]}, "expected 2 seeds, one for each code, got 1"),
        ({"seeds": [0, 1]}, r"pairs \(seed, index\) .*, got \[0, 1\]"),
        ({"seeds": [(0, 0), (0, -1)]}, r"pairs \(seed, index\)"),
        ({"seeds": [(0, 0), (0, 0, 0)]}, r"pairs \(seed, index\)"),
        ({"seeds": 3}, r"pairs .*, got 3"),
        ({"labels": 0}, "unconditional"),
        ({"batch_size": 1.5}, "batch_size must be a whole number, got 1.5"),
        ({"truncation": -1}, "truncation"),
        ({"warmth": 1}, "no setting of sampling called 'warmth'"),
    ],
)
def test_wrong_arguments_of_decode_codes(latent, how, said):
    check(lambda: latent.decode_codes(torch.zeros(2, 5), **how), said)


# ---------------------------------------------------------------------------- numbers and labels


DRAWERS = ["latent.sample", "latent.stream", "latent.codes", "attentive.attention"]
DRAWERS += ["conditional.sample", "translator.sample", "pixels.sample"]
COUNTS = [0, -1, 1.5, "3", None, True, NAN, [2]]


@pytest.mark.parametrize("bound", DRAWERS, indirect=True, ids=str)
def test_wrong_numbers(bound):
    for wrong in COUNTS:
        check(lambda wrong=wrong: bound(wrong), r"n must be a whole number.*, got ")
    for wrong in [-1, 0.5, "0", None, True]:
        check(lambda wrong=wrong: bound(1, start=wrong), "start must be a whole number.*, got")
    for wrong in [-1, 2**63, 1.0, "1", True, [0]]:
        check(lambda wrong=wrong: bound(1, seed=wrong), r"seed must be a whole number.*, got")
    check(lambda: bound(2, start=2**63 - 1), r"start \+ n must be below 2\*\*63")
    check(lambda: bound(1, nothing=1), "no setting of sampling called 'nothing'")


@pytest.mark.parametrize("bound", ["conditional.sample", "pixels.sample"], indirect=True)
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (3, r"label 3 is out of range: this model has 0 to 2"),
        (-1, "label -1 is out of range"),
        (NAN, "labels are whole numbers or class names, got nan"),
        ([0], "expected 2 labels, one for each sample, got 1"),
        (torch.zeros(2), "got 0.0"),
        ({0, 1}, "labels are whole numbers or class names, got"),
        (object, "labels are whole numbers or class names, got"),
    ],
)
def test_wrong_labels(bound, labels, said):
    check(lambda: bound(2, labels=labels), said)


@pytest.mark.parametrize("bound", ["latent.sample", "translator.sample"], indirect=True)
def test_labels_of_a_model_without_classes(bound):
    check(lambda: bound(1, labels=0), "unconditional: leave labels= out")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"labels": [0]}, "unconditional: leave labels= out"),
        ({"samples": 0}, "samples must be a whole number of at least 1, got 0"),
        ({"samples": NAN}, "samples must be a whole number, got nan"),
        ({"bound": "exact"}, "bound must be elbo or importance, got 'exact'"),
        ({"bound": ["elbo"]}, "bound must be elbo or importance"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
    ],
)
def test_wrong_arguments_of_log_prob(density, how, said):
    check(lambda: density.log_prob(torch.zeros(2, 2), **how), said)


def test_wrong_labels_of_log_prob(pixels):
    x = image(2, 1, 6, 6)
    check(lambda: pixels.log_prob(x, [0]), "expected 2 labels, one for each sample, got 1")
    check(lambda: pixels.log_prob(x, 3), "label 3 is out of range")
    check(lambda: pixels.log_prob(x), "class-conditional: pass labels= for each image")
    drawn = pixels.sample(3, labels=[2, 0, 1])
    assert torch.equal(pixels.log_prob(drawn), pixels.log_prob(drawn, [2, 0, 1]))


# --------------------------------------------------------------------------- attention, complete


def test_attention_maps_that_are_none(attentive, monkeypatch):
    twin = copy.deepcopy(attentive)
    x, maps = twin.attention(2)
    assert maps.shape == (2, 8, 8, 8, 8)
    wrong = x.tensor, maps.flatten(1, 2)
    monkeypatch.setattr(type(twin), "attend", lambda *_: wrong)
    check(lambda: twin.attention(2), r"attend must return .*, got one of shape", GenzooError)


def test_attention_of_more_than_fit(attentive, monkeypatch):
    said = "samples need .* GB, this machine has .*: take fewer at a time, with start for the next"
    check(lambda: attentive.attention(10**12), said)
    monkeypatch.setattr(sampler, "memory", lambda: 10_000 * 12 * 64)
    check(lambda: attentive.attention(300), rf"^300 {said}")  # the images would fit, not the maps


def test_attention_in_batches(attentive):
    x, maps = attentive.attention(5, seed=2, start=3)
    again, more = attentive.attention(5, seed=2, start=3, batch_size=2)
    assert torch.allclose(x.tensor, again.tensor, atol=1e-6)
    assert torch.allclose(maps, more, atol=1e-6)
    assert x.seeds == again.seeds
    drawn = attentive.sample(5, seed=2, start=3)
    assert torch.allclose(drawn.tensor, x.tensor, atol=1e-5)
    assert drawn.labels.tolist() == x.labels.tolist()
    check(lambda: attentive.attention(1, batch_size=0), "batch_size must be a whole number")


X, MASK, LABELS = torch.zeros(2, 1, 6, 6), torch.ones(2, 1, 6, 6), torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((X[0], MASK, LABELS), r"expected images of shape \(n, 1, 6, 6\), got \(1, 6, 6\)"),
        ((X[..., :5], MASK, LABELS), r"expected images .*, got \(2, 1, 6, 5\)"),
        ((X, MASK[..., 1:], LABELS), r"expected a mask of shape .*, got \(2, 1, 6, 5\)"),
        ((X.numpy(), MASK, LABELS), "expected images .* as a tensor, got a ndarray"),
        ((X, MASK, "0"), "expected labels .2., whole numbers from 0 to 2, .*, got a str"),
        ((X, MASK, LABELS + 2), "expected labels .2., whole numbers from 0 to 2, got 2 to 3"),
        ((X, MASK, LABELS[:1].float()), "got float32 of shape .1."),
    ],
)
def test_wrong_arguments_of_complete(pixels, given, said):
    x, mask, labels = given
    noise, sampling = Noise(0, range(2)), pixels.sampling()
    check(lambda: pixels.complete(x, mask, noise, labels, sampling), said)


@pytest.mark.parametrize(
    ("x", "mask", "said"),
    [
        (X.fill_(0)[..., :5], "centre", r"expected samples of shape .*, got \(2, 1, 6, 5\)"),
        (torch.full_like(X, NAN), "centre", "finite numbers, got nan"),
        (X[:0], "centre", "at least one image, got none"),
        (X, torch.ones(5, 5), r"\(5, 5\)"),
    ],
)
def test_wrong_arguments_of_inpaint(pixels, x, mask, said):
    check(lambda: genzoo.inpaint(pixels, x, mask, labels=0), said)


def test_a_wrong_device(latent):
    with pytest.raises(BadInput, match="unknown or unavailable device 'gpu'; available: cpu"):
        genzoo.load("vae-mnist", device="gpu")
