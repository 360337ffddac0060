"""The abilities: seeds, labels, range, densities, translation, and no trace of any of it."""

import copy
import inspect
import math
import threading
import tracemalloc

import numpy as np
import pytest
import torch

from genzoo.editing.translation import translate
from genzoo.errors import BadInput, OperationFailed, UnknownName
from genzoo.models.origin import Origin
from genzoo.models.randomness import Noise
from genzoo.models.sampler import Latent, Sampler
from genzoo.models.samples import Images, Points, Signals


def alike(one, other):
    return torch.allclose(one, other, atol=1e-5)


# ------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize(
    "how",
    [
        {"batch_size": 1},
        {"batch_size": 4},
        {"batch_size": 7},
        {"batch_size": 1000},
        {"batch_size": np.int64(3)},
    ],
)
def test_batch_size_changes_nothing(latent, how):
    assert alike(latent.sample(7, seed=3, **how).tensor, latent.sample(7, seed=3).tensor)


def test_each_sample_alone_is_the_batchs(latent):
    whole = latent.sample(6, seed=3)
    for i in range(6):
        assert alike(latent.sample(1, seed=3, start=i).tensor, whole[i].tensor)


def test_seeds_say_how_to_draw_again(latent):
    drawn = latent.sample(5, seed=8, start=2)
    assert drawn.seeds == tuple((8, i) for i in range(2, 7))
    seed, index = drawn[3].seeds[0]
    assert alike(latent.sample(1, seed=seed, start=index).tensor, drawn[3].tensor)


def test_what_does_not_fit_the_memory_is_refused_with_a_way_out(latent, monkeypatch):
    with pytest.raises(BadInput, match=r"1,000,000,000 samples .* GB"):
        latent.sample(10**9)
    assert len(next(latent.stream(10**9, batch_size=2))) == 2
    monkeypatch.setattr("genzoo.models.sampler.memory", lambda: 0)  # an unknown size
    assert len(latent.sample(3)) == 3


def test_only_a_family_whose_decode_takes_noise_gets_it():
    class Plain(Latent):
        kind, shape, latent_dim, value_range = "points", (2,), 2, None

        def decode(self, code, labels=None):
            return code

    class Noisy(Plain):
        def decode(self, code, labels=None, noise=None):
            return code if noise is None else code + noise.normal(2)

    class Quiet(Noisy):
        def decode(self, code, labels=None):
            return code

    plain, noisy, quiet = (kind(None) for kind in (Plain, Noisy, Quiet))
    streams = Noise(3, range(4))
    codes, rest = streams.normal(2), streams.normal(2)
    for model, expected in ((plain, codes), (noisy, codes + rest), (quiet, codes)):
        assert torch.equal(model.sample(4, seed=3).tensor, expected)
        again = model.decode_codes(model.codes(4, seed=3), seeds=[(3, i) for i in range(4)])
        assert torch.equal(again.tensor, expected)
        cut = model.sample(4, seed=3, truncation=10.0).tensor
        assert torch.equal(cut, expected)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (torch.zeros(3, 8, 8), r"ToyLatent\.decode .*\(3, 3, 8, 8\), got .*\(3, 8, 8\)"),
        (torch.zeros(2, 3, 8, 8), r"decode .*\(3, 3, 8, 8\), got .*\(2, 3, 8, 8\)"),
        (None, "decode .*, got a NoneType"),
    ],
)
def test_a_family_that_returns_something_else_is_told(latent, monkeypatch, made, said):
    monkeypatch.setattr(type(latent), "decode", lambda *_, **__: made)
    with pytest.raises(OperationFailed, match=said):
        latent.sample(3)


def test_a_score_that_is_not_one_a_sample_is_told(density, monkeypatch):
    monkeypatch.setattr(type(density), "log_weight", lambda *_: torch.zeros(()))
    with pytest.raises(OperationFailed, match=r"log_weight .*\(2\), got .*\(\)"):
        density.log_prob(torch.zeros(2, *density.shape))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_any_precision_samples_in_float32(latent, dtype):
    drawn = copy.deepcopy(latent).to(dtype).sample(3)
    assert drawn.tensor.dtype == torch.float32
    assert torch.allclose(drawn.tensor, latent.sample(3).tensor, atol=0.02)


def test_any_order_gives_the_same(latent):
    model_draws = Noise(3, [5, 0, 2])
    with torch.no_grad():
        picked = latent.to_public(latent.eval().generate(model_draws, None, latent.sampling()))
    assert alike(picked, latent.sample(6, seed=3).tensor[[5, 0, 2]])


def test_the_seed_counts(latent):
    zero, one = latent.sample(3, seed=0).tensor, latent.sample(3, seed=1).tensor
    assert not alike(zero, one)
    assert not alike(zero[1], one[0])


def test_the_weights_count(latent):
    before = latent.sample(2).tensor
    latent.layers[3].bias.data += 0.5
    assert not alike(latent.sample(2).tensor, before)


def test_no_seed_takes_a_fresh_one_and_tells(latent):
    one, other = latent.sample(2, seed=None), latent.sample(2, seed=None)
    assert one.seeds != other.seeds
    assert torch.equal(latent.sample(2, seed=one.seeds[0][0]).tensor, one.tensor)


def test_a_fresh_seed_holds_for_all_batches(latent):
    drawn = latent.sample(5, seed=None, batch_size=2)
    seed = drawn.seeds[0][0]
    assert drawn.seeds == tuple((seed, i) for i in range(5))
    assert torch.equal(latent.sample(5, seed=seed, batch_size=2).tensor, drawn.tensor)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", True])
def test_wrong_seeds_are_refused(latent, seed):
    with pytest.raises(BadInput, match="seed"):
        latent.sample(1, seed=seed)


def test_the_largest_seed_is_taken(latent):
    assert len(latent.sample(1, seed=2**63 - 1)) == 1


@pytest.mark.parametrize("n", [0, -1, True, 1.5, "3", None])
def test_wrong_counts_are_refused(latent, n):
    with pytest.raises(BadInput, match="n must be"):
        latent.sample(n)


@pytest.mark.parametrize("how", [{"start": -1}, {"start": 0.5}, {"batch_size": 0}])
def test_wrong_places_are_refused(latent, how):
    with pytest.raises(BadInput, match=f"^{next(iter(how))} "):
        latent.sample(1, **how)


# ---------------------------------------------------------------------------------- no trace


def snapshot(model):
    flags = [m.training for m in model.modules()]
    gradients = [(p.requires_grad, p.grad) for p in model.parameters()]
    return copy.deepcopy(model.state_dict()), flags, gradients, torch.get_rng_state()


def assert_untouched(model, before):
    state, flags, gradients, generator = before
    assert all(torch.equal(t, state[k]) for k, t in model.state_dict().items())
    assert [m.training for m in model.modules()] == flags
    assert [(p.requires_grad, p.grad) for p in model.parameters()] == gradients
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("training", [True, False])
def test_sampling_leaves_no_trace(latent, training):
    latent.train(training)
    latent.layers[0].eval()
    latent.reader.weight.requires_grad_(False)
    before = snapshot(latent)
    latent.sample(3, batch_size=2, truncation=0.5)
    latent.encode(latent.sample(2))
    assert_untouched(latent, before)


def test_sampling_leaves_no_trace_from_four_threads(latent):
    latent.train()
    before, expected = snapshot(latent), latent.sample(4).tensor
    start, drawn = threading.Barrier(4), []

    def sample():
        start.wait()
        drawn.extend(latent.sample(4).tensor for _ in range(5))

    threads = [threading.Thread(target=sample) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_untouched(latent, before)
    assert len(drawn) == 20
    assert all(torch.equal(d, expected) for d in drawn)


def test_evaluation_mode_is_used(latent):
    assert alike(latent.train().sample(3).tensor, latent.eval().sample(3).tensor)


def test_no_gradient_is_kept(latent, density):
    assert not latent.sample(1).tensor.requires_grad
    assert not latent.encode(torch.rand(1, 3, 8, 8, requires_grad=True)).requires_grad
    assert not density.log_prob(torch.rand(1, 2, requires_grad=True)).requires_grad


def test_generate_is_differentiable(latent):
    latent.generate(Noise(0, range(2)), None, latent.sampling()).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in latent.layers.parameters())


@pytest.mark.parametrize(
    "context", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_surroundings_change_nothing(latent, density, context):
    x = torch.rand(3, 3, 8, 8)
    with context():
        inside = latent.sample(3).tensor, latent.encode(x), density.log_prob(x[:, 0, 0, :2])
    outside = latent.sample(3).tensor, latent.encode(x), density.log_prob(x[:, 0, 0, :2])
    for one, other in zip(inside, outside, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


# ------------------------------------------------------------------------- streams, progress


def test_a_stream_is_the_sample_in_parts(latent):
    parts = list(latent.stream(7, seed=2, batch_size=3))
    assert [len(p) for p in parts] == [3, 3, 1]
    whole = latent.sample(7, seed=2, batch_size=3)
    assert torch.equal(Images.join(parts).tensor, whole.tensor)
    assert Images.join(parts).seeds == whole.seeds


def test_both_take_the_same_arguments():
    sample, stream = (inspect.signature(f).parameters for f in (Sampler.sample, Sampler.stream))
    assert sample == stream


def test_a_stream_is_lazy(latent):
    calls = []
    parts = latent.stream(10**12, batch_size=2, progress=lambda *progress: calls.append(progress))
    assert calls == []
    next(parts)
    next(parts)
    assert calls == [("samples", 2, 10**12)]


@pytest.mark.parametrize("labels", [None, 1, "cat"])
def test_a_stream_of_any_length_takes_constant_memory(conditional, labels):
    tracemalloc.start()
    parts = conditional.stream(10**12, labels=labels, batch_size=10)
    drawn = [next(parts) for _ in range(20)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(map(len, drawn)) == 200
    assert peak < 2**20


def test_a_stream_complains_at_once(latent, conditional):
    for model, wrong in [
        (latent, {"n": 0}),
        (latent, {"n": 1, "labels": 3}),
        (latent, {"n": 1, "seed": -1}),
    ]:
        with pytest.raises(BadInput):
            model.stream(**wrong)
    with pytest.raises(BadInput):
        conditional.stream(1, labels=7)


def test_progress_is_told(latent):
    calls = []
    latent.sample(5, batch_size=2, progress=lambda *progress: calls.append(progress))
    assert calls == [("samples", done, 5) for done in (2, 4, 5)]


# ------------------------------------------------------------------------------------ labels


def centre(samples):
    """The class of each point, by where it lies."""
    far = samples.tensor > 5
    return (far[:, 0] + 2 * far[:, 1]).tolist()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, [0, 1, 2, 0]),
        (2, [2, 2, 2, 2]),
        ("bee", [1, 1, 1, 1]),
        (np.int64(1), [1, 1, 1, 1]),
        (torch.tensor(2), [2, 2, 2, 2]),
        ("2", [2, 2, 2, 2]),
        ([2, 0, 1, 0], [2, 0, 1, 0]),
        (("cat", "ant", 1, "0"), [2, 0, 1, 0]),
        (np.array([1, 1, 0, 2]), [1, 1, 0, 2]),
        (np.array(["bee", "cat", "ant", "ant"]), [1, 2, 0, 0]),
        (torch.tensor([1, 1, 0, 2]), [1, 1, 0, 2]),
    ],
)
def test_labels(conditional, labels, expected):
    drawn = conditional.sample(4, labels=labels, batch_size=3)
    assert centre(drawn) == expected
    assert drawn.labels.tolist() == expected
    assert drawn.labels.dtype == torch.int64


def test_class_names_go_along(conditional):
    assert conditional.sample(1).class_names == ("ant", "bee", "cat")


def test_class_names_are_found_in_any_case(conditional):
    conditional.class_names = ("Bee", "bee", "T-Shirt")
    assert conditional.labels_for(["bee", "Bee", "t-shirt"], 3).tolist() == [1, 0, 2]
    with pytest.raises(UnknownName, match="BEE"):
        conditional.labels_for("BEE", 1)


def test_an_exact_name_comes_first_and_the_first_of_equal_ones(conditional):
    conditional.class_names = ("\u00c4", "\u00e4", "x", "x")
    given = ["\u00e4", "A\u0308", "a\u0308", "x"]  # the middle ones are letter and dots, apart
    assert conditional.labels_for(given, 4).tolist() == [1, 0, 1, 2]
    with pytest.raises(UnknownName, match="X"):
        conditional.labels_for("X", 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_labels_in_an_array_are_those_in_a_list(conditional, dtype):
    labels = np.array([2, 0, 1, 1], dtype)
    for given in (labels, torch.tensor(labels.astype(np.int32))):
        found = conditional.labels_for(given, 4)
        assert found.tolist() == [2, 0, 1, 1]
        assert found.dtype == torch.int64
        for wrong, says in (
            (given + 9, "label 11 "),
            (given[:3], "got 3"),
            (given[:, None], "got"),
        ):
            with pytest.raises(BadInput, match=says):
                conditional.labels_for(wrong, 4)


def test_a_label_does_not_change_the_noise(conditional):
    noise = [conditional.sample(3, labels=c).tensor - conditional.centres[c] for c in range(3)]
    assert alike(noise[0], noise[1])
    assert alike(noise[0], noise[2])


def test_labels_cycle_by_index_and_not_by_batch(conditional):
    whole = conditional.sample(9, batch_size=2)
    assert centre(whole) == [0, 1, 2] * 3
    later = conditional.sample(4, start=5)
    assert centre(later) == [2, 0, 1, 2]
    assert alike(later.tensor, whole.tensor[5:])


def test_a_name_is_preferred_to_a_number(conditional):
    conditional.class_names = ("2", "1", "0")
    assert centre(conditional.sample(2, labels=["2", 2])) == [0, 0]
    assert centre(conditional.sample(2, labels=torch.tensor([2, 0]))) == [2, 0]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (3, "label 3 "),
        (-1, "label -1 is out of range"),
        ("3", "label 3 is out of range"),
        ([0, 1, 2, 5], "label 5 is out of range"),
        ([0, 1], "4 labels.* got 2"),
        ([], "4 labels.* got 0"),
        (np.zeros(5, int), "4 labels"),
        (1.0, "got 1.0"),
        ([0, 1, 2, 1.7], "got 1.7"),
        ([0, 1, 2, None], "got None"),
        ([0, 1, 2, True], "got True"),
        (torch.zeros(4), "got 0.0"),
        (torch.zeros(4, 1, dtype=torch.int64), "labels"),
        ({"ant": 1}, "labels"),
    ],
)
def test_wrong_labels_are_refused(conditional, labels, says):
    with pytest.raises(BadInput, match=says):
        conditional.sample(4, labels=labels)


def test_an_unknown_class_is_named_with_near_ones(conditional):
    with pytest.raises(UnknownName, match=r"'catt'.* cat"):
        conditional.sample(1, labels="catt")


@pytest.mark.parametrize("labels", [0, [0], "ant"])
def test_an_unconditional_model_takes_no_labels(latent, labels):
    with pytest.raises(BadInput, match="unconditional"):
        latent.sample(1, labels=labels)


# -------------------------------------------------------------------------------- truncation


def codes(model, **how):
    """What ``decode`` is given."""
    seen = []
    original = type(model).decode

    def decode(self, code, labels=None, noise=None):
        seen.append(code)
        return original(self, code, labels, noise)

    kind = type("Spy", (type(model),), {"decode": decode})
    spy = kind(model.config)
    spy.load_state_dict(model.state_dict())
    spy.sample(**how)
    return torch.cat(seen)


def test_truncation_redraws_codes_beyond_it(latent):
    free, bounded = codes(latent, n=20), codes(latent, n=20, truncation=0.5)
    assert free.abs().max() > 0.5
    assert bounded.abs().max() <= 0.5
    inside = free.abs() <= 0.5
    assert torch.equal(free[inside], bounded[inside])


def test_truncated_samples_keep_the_seed_rule(latent):
    whole = latent.sample(6, truncation=0.4, batch_size=4)
    assert alike(latent.sample(2, truncation=0.4, start=3).tensor, whole.tensor[3:5])


@pytest.mark.parametrize("truncation", [0, -1, 0.01, math.nan])
def test_too_much_truncation_is_refused(latent, truncation):
    with pytest.raises(BadInput, match="truncation"):
        latent.sample(1, truncation=truncation)


def test_truncation_needs_a_code(conditional):
    with pytest.raises(BadInput, match="truncation"):
        conditional.sample(1, truncation=0.5)


# ------------------------------------------------------------------------------------- range


@pytest.mark.parametrize(
    ("span", "inner", "outer"),
    [
        ((-1.0, 1.0), [-1, 0, 1, 3, -2], [0, 0.5, 1, 1, 0]),
        ((0.0, 1.0), [0, 0.5, 1, 1.5, -0.1], [0, 0.5, 1, 1, 0]),
        (None, [-1, 0, 1, 3, -2], [-1, 0, 1, 3, -2]),
    ],
)
def test_outward(latent, span, inner, outer):
    latent.value_range = span
    out = latent.to_public(torch.tensor(inner, dtype=torch.float64))
    assert out.dtype == torch.float32
    assert alike(out, torch.tensor(outer).float())


@pytest.mark.parametrize("span", [(-1.0, 1.0), (0.0, 1.0), (-2.0, 5.0)])
def test_inward_undoes_outward(latent, span):
    latent.value_range = span
    x = torch.rand(2, 3, 8, 8) * (span[1] - span[0]) + span[0]
    assert torch.allclose(latent.from_public(latent.to_public(x)), x, atol=1e-5)
    assert (latent.from_public(torch.zeros(1, 3, 8, 8)) == span[0]).all()
    assert (latent.from_public(torch.ones(1, 3, 8, 8)) == span[1]).all()


@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray, Images])
def test_inward_takes_samples_tensors_and_arrays(latent, kind):
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(latent.from_public(kind(x)), x * 2 - 1)


def test_bytes_are_256ths(latent):
    x = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(latent.from_public(x), latent.from_public(x / 255))


def test_samples_are_in_range_and_of_their_kind(latent, conditional):
    images, points = latent.sample(4), conditional.sample(4)
    assert isinstance(images, Images)
    assert images.tensor.min() >= 0
    assert images.tensor.max() <= 1
    assert isinstance(points, Points)
    assert points.tensor.max() > 1


def test_samples_carry_their_origin(latent):
    latent.origin = Origin("toy", "toy", "0" * 64)
    assert latent.sample(1).origin is latent.origin


# ------------------------------------------------------------------------------ encode, score


def test_encode(latent):
    x = torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        assert alike(latent.encode(x), latent.embed(x * 2 - 1))


@pytest.mark.parametrize("size", [1, 3, 64])
def test_batches_change_nothing(latent, density, translator, size):
    """Nor do they hold more than so many at once; none at all are none."""
    x = torch.rand(5, 3, 8, 8)
    assert alike(latent.encode(x, batch_size=size), latent.encode(x))
    assert latent.encode(x[:0], batch_size=size).shape == (0, latent.latent_dim)
    whole = density.log_prob(POINTS, samples=3)
    assert alike(density.log_prob(POINTS, samples=3, batch_size=size), whole)
    parts = translator.translate(x, "light", batch_size=size)
    assert alike(parts.tensor, translator.translate(x, "light").tensor)
    assert parts.seeds == tuple((0, i) for i in range(5))


def test_a_batch_is_no_larger_than_asked(latent, monkeypatch):
    seen, embed = [], type(latent).embed
    monkeypatch.setattr(type(latent), "embed", lambda m, x: (seen.append(len(x)), embed(m, x))[1])
    latent.encode(torch.rand(5, 3, 8, 8), batch_size=2)
    assert seen == [2, 2, 1]
    with pytest.raises(BadInput, match=r"batch_size.* 0"):
        latent.encode(torch.rand(5, 3, 8, 8), batch_size=0)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        ("x", "got 'x'"),
        (None, "got None"),
        (torch.rand(5, 8, 8), r"\(n, 3, 8, 8\), got \(5, 8, 8\)"),
        (torch.rand(1, 1, 8, 8), r"\(n, 3, 8, 8\), got \(1, 1, 8, 8\)"),
        (torch.rand(1, 3, 8, 9), r"got \(1, 3, 8, 9\)"),
        (torch.full((1, 3, 8, 8), 1.5), r"expected samples in \[0, 1\], got \[1\.5, 1\.5\]"),
        (torch.full((1, 3, 8, 8), -0.1), r"expected samples in \[0, 1\], got \[-0\.1"),
        (torch.full((1, 3, 8, 8), math.nan), r"expected samples of finite numbers, got nan"),
        (torch.full((1, 3, 8, 8), 7), r"expected samples in \[0, 1\], got \[7"),
    ],
)
def test_what_cannot_be_encoded(latent, x, says):
    with pytest.raises(BadInput, match=says):
        latent.encode(x)


def exact_log_prob(model, x):
    w, variance = model.w.detach(), model.noise**2
    covariance = torch.outer(w, w) + variance * torch.eye(2)
    determinant = variance * (variance + w.square().sum())
    inverse = (
        torch.tensor([[covariance[1, 1], -w.prod()], [-w.prod(), covariance[0, 0]]]) / determinant
    )
    return -((x @ inverse) * x).sum(1) / 2 - (2 * math.pi * determinant.sqrt()).log()


POINTS = torch.tensor([[0.0, 0.0], [1.0, -2.0], [-0.5, 1.5], [2.0, 1.0]])


def test_importance_weighting_approaches_the_truth(density):
    close = density.log_prob(POINTS, samples=2000)
    assert torch.allclose(close, exact_log_prob(density, POINTS), atol=0.05)


def test_the_elbo_is_below_by_the_divergence(density):
    elbo = density.log_prob(POINTS, samples=2000, bound="elbo")
    (m, s), (pm, ps) = density.proposal(POINTS), density.posterior(POINTS)
    divergence = ((s / ps) ** 2 + ((m - pm) / ps) ** 2 - 1) / 2 - (s / ps).log()
    assert (divergence > 0.1).all()
    assert torch.allclose(elbo, exact_log_prob(density, POINTS) - divergence.detach(), atol=0.1)


def test_more_samples_tighten_the_bound(density):
    few, some = (
        torch.stack([density.log_prob(POINTS, seed=s, samples=k) for s in range(60)]).mean()
        for k in (1, 8)
    )
    assert few < some < exact_log_prob(density, POINTS).mean() + 0.02


def test_one_sample_is_both_bounds(density):
    assert alike(density.log_prob(POINTS), density.log_prob(POINTS, bound="elbo"))


def test_scores_depend_on_seed_and_place_alone(density):
    whole = density.log_prob(POINTS, seed=3, samples=4)
    assert alike(density.log_prob(POINTS[:2], seed=3, samples=4), whole[:2])
    assert not alike(density.log_prob(POINTS, seed=4, samples=4), whole)


def test_an_exact_density_is_asked_once(density):
    density.likelihood_kind = "exact"
    assert torch.equal(density.log_prob(POINTS, samples=50), density.log_prob(POINTS))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"samples": 0}, "samples"),
        ({"samples": 1.5}, "samples"),
        ({"bound": "elob"}, "'elob'"),
        ({"seed": -1}, "seed.* -1"),
        ({"seed": None}, "seed.* None"),
    ],
)
def test_wrong_ways_to_score(density, how, says):
    with pytest.raises(BadInput, match=says):
        density.log_prob(POINTS, **how)


def test_wrong_shapes_are_not_scored(density):
    with pytest.raises(BadInput, match=r"\(n, 2\)"):
        density.log_prob(torch.zeros(3, 3))


@pytest.mark.parametrize(
    ("levels", "value", "taken"),
    [
        (2, 1.0, True),
        (2, 0.5, False),
        (256, 100 / 255, True),
        (256, 100.5 / 255, False),
        (None, 0.3, True),
    ],
)
def test_values_must_be_levels(density, levels, value, taken):
    density.value_range, density.levels = (-1.0, 1.0), levels
    x = torch.tensor([[0.0, value]])
    if taken:
        assert density.log_prob(x).isfinite().all()
    else:
        with pytest.raises(BadInput, match=f" {levels} values"):
            density.log_prob(x)


# --------------------------------------------------------------------------------- translate


@pytest.mark.parametrize("size", [(8, 8), (4, 6), (16, 16)])
def test_translate_any_size(translator, size):
    x = torch.rand(2, 3, *size) * 0.9 + 0.05
    light = translator.translate(x, "light")
    assert isinstance(light, Images)
    assert torch.allclose(light.tensor, 1 - x, atol=0.03)
    assert alike(translator.translate(x, "dark").tensor, x)


def test_a_sample_that_was_enlarged_is_translated_in_its_own_size(translator, tmp_path):
    """As `inpaint` and `steer` read it; any other picture keeps its size."""
    drawn = Images(torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    own, large = drawn.save(tmp_path / "1.png", 1), drawn.save(tmp_path / "5.png", 5)
    expected = translate(translator, own).tensor
    assert torch.equal(translate(translator, large).tensor, expected)
    noise = Images(torch.rand(1, 3, 16, 16)).save(tmp_path / "photo.png", 1)
    assert translate(translator, noise).tensor.shape[2:] == (16, 16)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (9, 16), (23, 4)])
@pytest.mark.parametrize(("multiple", "smallest"), [(1, 1), (4, 1), (8, 12), (1, 9)])
def test_the_core_pads_to_the_sides_that_a_family_takes(translator, size, multiple, smallest):
    seen = []

    def convert(self, x, to, noise):
        seen.append(tuple(x.shape[2:]))
        return x

    kind = type("Strict", (type(translator),), {"convert": convert})
    model = kind(translator.config)
    model.multiple, model.smallest = multiple, smallest
    x = torch.rand(2, 3, *size)
    assert alike(model.translate(x).tensor, x), "cropped back to the same place"
    for side, given in zip(seen[-1], size, strict=True):
        assert side % multiple == 0
        assert side >= smallest
        assert side < max(given, smallest) + multiple, "no more than needed"
    model.sample(2)
    assert seen[-1] == tuple(-(-max(8, smallest) // multiple) * multiple for _ in "hw")


def test_padding_repeats_the_last_row_and_column(translator):
    seen = []
    translator.convert = lambda x, to, noise: seen.append(x) or x
    translator.multiple = 4
    x = torch.arange(2 * 3 * 5 * 6.0).reshape(2, 3, 5, 6)
    translator.convert_any_size(x, "light", None)
    (padded,) = seen
    assert torch.equal(padded[:, :, :5, :6], x)
    assert (padded[:, :, 5:] == padded[:, :, 4:5]).all()
    assert (padded[..., 6:] == padded[..., 5:6]).all()


def test_a_conversion_that_changes_the_size_is_named(translator):
    translator.convert = lambda x, to, noise: x[:, :, ::2]
    with pytest.raises(OperationFailed, match=r"convert must return .* \(1, 3, 8, 8\)"):
        translator.convert_any_size(torch.zeros(1, 3, 8, 8), "light", None)


def test_the_second_domain_is_the_default(translator):
    x = torch.rand(2, 3, 8, 8)
    default = translator.translate(x)
    assert torch.equal(default.tensor, translator.translate(x, "light").tensor)
    assert default.call == {"method": "translate", "to": "light", "sampling": {}}


def test_one_way_is_only_to_the_second_domain(translator):
    assert translator.targets == ("dark", "light")
    translator.one_way = True
    assert translator.targets == ("light",)
    assert len(translator.translate(torch.rand(1, 3, 8, 8), "light")) == 1
    with pytest.raises(BadInput, match="one way, from dark to light: not to dark"):
        translator.translate(torch.rand(1, 3, 8, 8), "dark")
    with pytest.raises(UnknownName, match="available: light"):
        translator.translate(torch.rand(1, 3, 8, 8), "dusk")


def test_translate_draws_by_seed_and_place(translator):
    x = torch.full((3, 3, 8, 8), 0.5)
    whole = translator.translate(x, "light", seed=2)
    assert whole.seeds == ((2, 0), (2, 1), (2, 2))
    assert alike(translator.translate(x[:1], "light", seed=2).tensor, whole.tensor[:1])
    assert not alike(translator.translate(x, "light", seed=3).tensor, whole.tensor)
    assert not alike(whole.tensor[0], whole.tensor[1])


def test_an_unknown_domain(translator):
    with pytest.raises(UnknownName, match=r"'ligt'.* light"):
        translator.translate(torch.rand(1, 3, 8, 8), "ligt")


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.rand(5, 8, 8), r"\(n, 3, 8, 8\)"),
        (torch.rand(1, 1, 8, 8), "3 channels, got 1"),
        (torch.rand(1, 3, 0, 8), "at least one pixel"),
        (torch.rand(1, 3, 8, 8) + 1, r"\[0, 1\], got"),
    ],
)
def test_what_cannot_be_translated(translator, x, says):
    with pytest.raises(BadInput, match=says):
        translator.translate(x, "light")


# ------------------------------------------------------------------------------------- class


def test_an_ability_needs_its_method():
    with pytest.raises(TypeError, match="abstract"):
        Latent(None)


@pytest.mark.parametrize(
    ("kind", "shape", "said"),
    [
        ("images", (2, 8, 8), r"the shape of images is \(1 or 3, height, width\), got \(2, 8, 8\)"),
        ("images", (2,), r"got \(2\): set ToyLatent.kind to what its samples are"),
        ("images", (1, 100), r"got \(1, 100\)"),
        ("signals", (1, 8, 8), r"the shape of signals is \(channels, length\), got \(1, 8, 8\)"),
        ("sound", (1, 8), r"ToyLatent.kind must be one of images, signals, points, got 'sound'"),
    ],
)
def test_a_kind_that_does_not_fit_the_shape_is_refused(latent, kind, shape, said):
    latent.kind, latent.shape = kind, shape
    with pytest.raises(OperationFailed, match=said):
        latent.to_samples(torch.zeros(1, *shape), None, [(0, 0)], {})


@pytest.mark.parametrize(
    ("kind", "shape", "result"),
    [
        ("images", (1, 8, 8), Images),
        ("images", (3, 8, 8), Images),
        ("signals", (2, 8), Signals),
        ("points", (2,), Points),
        ("points", (2, 8, 8), Points),
    ],
)
def test_samples_are_of_the_kind_that_the_model_says(latent, kind, shape, result):
    latent.kind, latent.shape, latent.rate = kind, shape, 8000
    samples = latent.to_samples(torch.zeros(1, *shape), None, [(0, 0)], {})
    assert type(samples) is result
    assert latent.is_images == (result is Images)
    assert (
        kind != "signals" or samples.rate == samples[0].rate == Signals.join([samples]).rate == 8000
    )


def test_each_kind_has_a_public_range(latent):
    x = torch.tensor([[[-1.0, 0.0, 0.5, 2.0]]])
    latent.kind, latent.shape = "signals", (1, 4)
    for span, inner in (((-1.0, 1.0), x), ((0.0, 1.0), (x + 1) / 2)):
        latent.value_range = span
        public = latent.to_public(inner)
        assert public.tolist() == [[[-1.0, 0.0, 0.5, 1.0]]]
        assert alike(latent.from_public(public), inner.clamp(*span))
    with pytest.raises(BadInput, match=r"in \[-1, 1\], got \[-1, 2\]"):
        latent.from_public(x)
    latent.kind = "points"
    assert torch.equal(latent.to_public(x), x)
    assert torch.equal(latent.from_public(x), x)


@pytest.mark.parametrize("codes", [None, "x", [[1.0], [1.0, 2.0]], object()])
def test_codes_that_are_no_numbers(latent, codes):
    with pytest.raises(BadInput, match=rf"\(n, {latent.latent_dim}\)"):
        latent.decode_codes(codes)
