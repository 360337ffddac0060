"""Draws: a stream depends on seed, purpose and index alone, and follows its law."""

import math

import numpy as np
import pytest
import torch

from genzoo.models import randomness
from genzoo.models.randomness import Noise, digest, seed_torch, starts, stream

MANY = 20_000
LAWS = ["normal", "uniform", "gumbel"]
CUMULATIVE = {
    "normal": lambda x: (1 + torch.erf(x / math.sqrt(2))) / 2,
    "uniform": lambda x: x,
    "gumbel": lambda x: torch.exp(-torch.exp(-x)),
}


def furthest(values, law):
    """Kolmogorov and Smirnov's distance between ``values`` and a law."""
    expected = CUMULATIVE[law](values.double().flatten().sort().values)
    ranks = torch.arange(len(expected) + 1) / len(expected)
    return torch.maximum(ranks[1:] - expected, expected - ranks[:-1]).max().item()


# ---------------------------------------------------------------------------------- streams


class Taken(list):
    """Not empty when it is asked, empty when something is taken out: another thread was first."""

    def __bool__(self):
        return True


def test_streams_share_a_generator_and_never_at_once(monkeypatch):
    expected = [stream(0, "x", i).random() for i in range(3)]
    monkeypatch.setattr(randomness, "_spare", Taken())
    for first, second in zip(starts(0, "x", range(3)), starts(0, "x", range(3)), strict=True):
        assert first is not second
        assert first.random() == second.random() == expected.pop(0)
    *_, last = spare = [*randomness._spare]
    assert len(spare) == 2
    assert next(starts(0, "x", [0])) is last


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("indices", [[4], [0, 1], [5, 3, 1], range(2, 6), [1, 1]])
def test_a_stream_does_not_depend_on_its_company(law, indices):
    whole, some = Noise(3, range(6)), Noise(3, indices)
    assert torch.equal(getattr(some, law)(2, 3), getattr(whole, law)(2, 3)[list(indices)])


def test_next_draws_continue_the_stream():
    one, two = Noise(0, range(3)), Noise(0, range(3))
    assert torch.equal(torch.cat([one.normal(4), one.normal(2)], 1), two.normal(6))


METHODS = {"normal": "standard_normal", "uniform": "random", "gumbel": "standard_exponential"}


@pytest.mark.parametrize("first", LAWS)
@pytest.mark.parametrize("second", LAWS)
def test_calls_read_numpys_streams_one_after_the_other(first, second):
    noise, rows = Noise(3, [5, 2], "own"), []
    for law, shape in ((first, (3,)), (second, (2, 2)), (first, ())):
        rows.append(getattr(noise, law)(*shape).flatten(1) if shape else getattr(noise, law)())
    for at, index in enumerate((5, 2)):
        source = stream(3, "own", index)
        for law, size, got in zip((first, second, first), (3, 4, 1), rows, strict=True):
            expected = getattr(source, METHODS[law])(size, dtype=np.float32)
            expected = -np.log(expected) if law == "gumbel" else expected
            assert got[at].numpy() == pytest.approx(expected if size > 1 else expected[0])


def test_what_truncation_drew_again_is_read_once():
    one = Noise(1, range(4))
    first, after = one.normal(30, limit=0.3), one.uniform(5)
    for row, rest, index in zip(first, after, range(4), strict=True):
        source = stream(1, "sample", index)
        expected = source.standard_normal(30, dtype=np.float32)
        while (beyond := abs(expected) > np.float32(0.3)).any():
            expected[beyond] = source.standard_normal(int(beyond.sum()), dtype=np.float32)
        assert (row.numpy() == expected).all()
        assert (rest.numpy() == source.random(5, dtype=np.float32)).all()


def test_a_stream_is_read_on_across_laws():
    drawn = Noise(0, [7])
    drawn.uniform(3)
    assert not torch.equal(drawn.normal(2), Noise(0, [7]).normal(2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0, 0, "sample"), (1, 0, "sample")),
        ((0, 0, "sample"), (0, 1, "sample")),
        ((0, 0, "sample"), (0, 0, "code")),
        ((0, 1, "sample"), (1, 0, "sample")),
        ((1, 11, "sample"), (11, 1, "sample")),
        ((1, 23, "sample"), (12, 3, "sample")),
        ((0, 1, "a 2"), (0, 21, "a ")),
    ],
)
def test_seed_index_and_purpose_each_count(one, other):
    first, second = (Noise(s, [i], p).normal(8) for s, i, p in (one, other))
    assert not torch.isclose(first, second).any()


def test_no_two_of_many_streams_agree():
    first = torch.cat([Noise(seed, range(100)).uniform(2) for seed in range(20)])
    assert len(first.unique(dim=0)) == 2000


def test_numpy_numbers_are_numbers():
    plain, numpy = Noise(5, [2]), Noise(np.int64(5), np.array([2]))
    assert torch.equal(plain.normal(3), numpy.normal(3))


def test_torch_and_numpy_generators_are_left_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    Noise(0, range(3)).normal(5)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()


def test_pinned_values():
    """A change of the algorithm would change every published sample."""
    noise = Noise(0, [0, 1])
    expected = {
        "normal": [[0.7059768, 0.0914461], [-0.5136131, 0.1817682]],
        "uniform": [[0.5448141, 0.0875943], [0.1210698, 0.2739285]],
        "gumbel": [[-0.0053625, 1.8873267], [1.3422685, -0.3787017]],
    }
    for law, values in expected.items():
        assert torch.allclose(getattr(noise, law)(2), torch.tensor(values), atol=1e-6), law


def test_pinned_digest():
    assert digest(0, "sample", 1).hex() == "f0e35e6b20959ff0ef07afaf4103a4c9"
    assert stream(0, "sample", 1).integers(1 << 32) == 4162881802


# ------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("law", LAWS)
def test_law_within_a_stream_and_across_streams(law):
    within = getattr(Noise(1, [0]), law)(MANY)
    across = getattr(Noise(1, range(MANY)), law)()
    # Beyond 1.95 / sqrt(n), one in a thousand of such statistics.
    assert furthest(within, law) < 1.95 / math.sqrt(MANY)
    assert furthest(across, law) < 1.95 / math.sqrt(MANY)


@pytest.mark.parametrize(
    ("law", "mean", "variance"),
    [("normal", 0, 1), ("uniform", 1 / 2, 1 / 12), ("gumbel", 0.5772, math.pi**2 / 6)],
)
def test_mean_and_variance(law, mean, variance):
    values = getattr(Noise(2, range(100)), law)(MANY // 100)
    assert values.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(variance / MANY))
    assert values.var().item() == pytest.approx(variance, rel=0.06)


def test_neighbours_are_not_correlated():
    values = Noise(0, range(200)).normal(200)
    assert abs((values[1:] * values[:-1]).mean().item()) < 4 / 200
    assert abs((values[:, 1:] * values[:, :-1]).mean().item()) < 4 / 200


def test_uniform_is_below_1():
    values = Noise(0, range(10)).uniform(MANY)
    assert values.min() >= 0
    assert values.max() < 1


def test_gumbel_draws_categories():
    logits = torch.tensor([0.1, 0.2, 0.7]).log()
    picked = (logits + Noise(0, range(MANY)).gumbel(3)).argmax(1)
    shares = picked.bincount() / MANY
    assert torch.allclose(shares, logits.exp(), atol=4 * 0.5 / math.sqrt(MANY))


def test_gumbel_is_finite_where_the_exponential_is_zero(monkeypatch):
    """-log of the smallest normal float32, 2^-126."""
    zeros = np.zeros((2, 3), np.float32)
    monkeypatch.setattr(Noise, "_fill", lambda *_: zeros)
    assert Noise(0, range(2)).gumbel(3).flatten().tolist() == pytest.approx([126 * math.log(2)] * 6)


# --------------------------------------------------------------------------------- truncation


@pytest.mark.parametrize("limit", [0.05, 0.7, 2.0])
def test_limit_is_kept(limit):
    assert Noise(0, range(50)).normal(100, limit=limit).abs().max() <= limit


def test_values_within_the_limit_stay():
    free, bounded = Noise(0, range(20)).normal(50), Noise(0, range(20)).normal(50, limit=1.0)
    inside = free.abs() <= 1
    assert torch.equal(free[inside], bounded[inside])


def test_redrawing_does_not_depend_on_the_company():
    whole = Noise(4, range(6)).normal(30, limit=0.3)
    assert torch.equal(Noise(4, [5, 2]).normal(30, limit=0.3), whole[[5, 2]])


def test_redrawn_values_are_truncated_normal():
    values = Noise(0, [0]).normal(MANY, limit=1.0)
    edge = CUMULATIVE["normal"](torch.tensor(1.0))
    spread = (CUMULATIVE["normal"](values) - (1 - edge)) / (2 * edge - 1)
    assert furthest(spread, "uniform") < 1.95 / math.sqrt(MANY)


@pytest.mark.parametrize("has_accelerator", [True, False])
def test_torchs_generators_start_as_torch_starts_them(has_accelerator, monkeypatch):
    seeded, manual_seed = [], torch.manual_seed
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_accelerator)
    monkeypatch.setattr(torch, "manual_seed", lambda seed: [seeded.append(seed), manual_seed(seed)])
    seed_torch(2**63 + 5)
    drawn = torch.rand(3)
    manual_seed(2**63 + 5)
    assert torch.equal(drawn, torch.rand(3))
    assert seeded == [2**63 + 5] * has_accelerator, (
        "devices other than the CPU have generators, too"
    )


def test_a_seed_on_a_cpu_leaves_nothing_behind(monkeypatch):
    """torch's own writes down the stack of calls, for each kind of device that is not there."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr("traceback.format_stack", lambda: pytest.fail("a stack is written down"))
    seed_torch(0)


# -------------------------------------------------------------------------------------- form


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 4)])
def test_shape_and_dtype(law, shape):
    drawn = getattr(Noise(0, range(5)), law)(*shape)
    assert drawn.shape == (5, *shape)
    assert drawn.dtype == torch.float32


def test_no_streams_draw_nothing():
    assert Noise(0, []).normal(3).shape == (0, 3)


def test_draws_land_on_the_device():
    assert Noise(0, [1], device="meta").normal(2).device.type == "meta"


def test_repr_and_length():
    assert repr(Noise(7, range(3), "code")) == "Noise(seed=7, n=3, purpose='code')"
    assert len(Noise(7, range(3))) == 3
