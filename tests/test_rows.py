"""Indices of samples: the rows that NumPy takes from the first axis; clear errors for others."""

import re

import numpy as np
import pytest
import torch

from genzoo.models.origin import Origin
from genzoo.models.samples import Images, Points, Signals

ORIGIN = Origin("toy", "toy", "ab" * 32)


def samples(n, kind=Images, shape=(1, 2, 2)):
    values = torch.arange(n, dtype=torch.float32).reshape(n, *[1] * len(shape)) / 64
    labels = torch.arange(n) * 7 % 10
    return kind(values.expand(n, *shape), labels, [(3, i) for i in range(n)], ORIGIN, tuple("abc"))


def random_key(source, n):
    """A key of a random form: most are valid."""
    low, high = (int(i) for i in np.sort(source.integers(-n - 2, n + 3, 2)))
    step = int(source.choice([-3, -2, -1, 1, 2, 3]))
    rows = source.integers(-n, n, source.integers(0, 6)) if n else np.zeros(0, int)
    mask = source.random(n + int(source.random() < 0.1)) < 0.5
    ends = [low if source.random() < 0.7 else None, high if source.random() < 0.7 else None]
    return [
        low,
        np.int64(high),
        np.array(low),
        slice(*ends),
        slice(*ends, step),
        [*map(int, rows)],
        rows,
        rows.astype(np.int8),
        rows.astype(np.uint8),
        range(max(0, low), max(0, high)),
        mask,
        [*map(bool, mask)],
        ...,
        (),
        (slice(*ends), ...),
        (..., slice(None)),
        (rows, slice(None)),
        (low, ..., slice(None)),
        (mask, slice(None), ...),
    ][source.integers(19)]


def expected_rows(key, n):
    """The rows that NumPy takes from an array of ``n`` samples, or None for an error."""
    numbers = np.broadcast_to(np.arange(n).reshape(n, 1, 1, 1), (n, 1, 2, 2))
    try:
        taken = numbers[key]
    except IndexError:
        return None
    return [*np.atleast_1d(taken[..., 0, 0, 0])] if taken.size else []


@pytest.mark.parametrize("form", [lambda key: key, torch.as_tensor], ids=["numpy", "torch"])
def test_random_indices_are_numpys(form):
    source, errors = np.random.default_rng(0), 0
    for _ in range(600):
        n = int(source.integers(0, 7))
        key, whole = random_key(source, n), samples(n)
        key = form(key) if isinstance(key, np.ndarray) else key
        as_numpy = key.numpy() if isinstance(key, torch.Tensor) else key
        if (rows := expected_rows(as_numpy, n)) is None:
            errors += 1
            with pytest.raises(IndexError, match=r"^(sample |expected a mask)"):
                whole[key]
            continue
        some = whole[key]
        assert torch.equal(some.tensor, whole.tensor[rows]), key
        assert torch.equal(some.labels, whole.labels[rows])
        assert some.seeds == tuple(whole.seeds[i] for i in rows)
        assert (some.origin, some.class_names) == (ORIGIN, whole.class_names)
    assert 20 < errors < 200


@pytest.mark.parametrize("kind", [Images, Points, Signals])
def test_each_kind_is_indexed_alike(kind):
    shape = {Images: (3, 2, 2), Points: (2,), Signals: (1, 4)}[kind]
    some = samples(5, kind, shape)[[4, 0]]
    assert isinstance(some, kind)
    assert some.seeds == ((3, 4), (3, 0))


def test_samples_without_labels_and_seeds_have_none_afterwards():
    some = Points(torch.zeros(4, 2))[[1, 2]]
    assert (some.labels, some.seeds, len(some)) == (None, (), 2)


def test_a_volume_is_indexed_by_its_first_axis():
    assert len(samples(4, Points, ())[1:, ...]) == 3
    with pytest.raises(TypeError, match="first axis"):
        samples(4, Points, ())[1:, :]


@pytest.mark.parametrize(
    ("key", "error", "said"),
    [
        (9, IndexError, "sample 9 of 5: indices are -5 to 4"),
        (10**30, IndexError, "sample 1000"),
        ([0, -6], IndexError, "sample -6 of 5"),
        ([True] * 4, IndexError, "expected a mask of 5 values, one for each sample, got 4"),
        (torch.ones(6, dtype=torch.bool), IndexError, "mask of 5 .*, got 6"),
        (1.0, TypeError, "got 1.0"),
        ("0", TypeError, "samples take a whole number, .* got '0'"),
        (["0"], TypeError, r"got \['0'\]"),
        (None, TypeError, "got None"),
        (True, TypeError, "got True"),
        ({0}, TypeError, r"got \{0\}"),
        ([0.5], TypeError, r"got \[0.5\]"),
        ([[0], [1, 2]], TypeError, r"got \[\[0"),
        ([[0, 1]], TypeError, r"got \[\[0, 1\]\]"),
        (np.zeros((5, 1), bool), TypeError, "got array"),
        (np.array([]), TypeError, "got array"),
        ((0, 0), TypeError, "first axis, got .0, 0.: samples.tensor"),
        ((..., 0), TypeError, "first axis"),
        ((slice(None), slice(0, 1)), TypeError, "first axis"),
        ((..., ...), TypeError, "first axis"),
        ((None, 0), TypeError, "first axis"),
        ((0, *[slice(None)] * 4), TypeError, "first axis"),
        (slice("a", None), TypeError, "got slice"),
        (slice(None, None, 0), ValueError, "zero"),
    ],
)
def test_other_keys_are_refused_in_a_line(key, error, said):
    with pytest.raises(error, match=said) as caught:
        samples(5)[key]
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 160


def test_no_sample_of_none():
    with pytest.raises(IndexError, match=re.escape("sample 0 of 0")):
        samples(0)[0]


def test_samples_are_a_sequence():
    whole = samples(4)
    assert [one.seeds[0][1] for one in whole] == [0, 1, 2, 3]
    assert [one.seeds[0][1] for one in reversed(whole)] == [3, 2, 1, 0]
    assert len(whole) == 4


def test_a_slice_shares_memory_and_a_list_does_not():
    whole = Points(torch.zeros(4, 2))
    whole[1:].tensor += 1
    assert whole.tensor.sum() == 6
    whole[[0]].tensor += 1
    assert whole.tensor.sum() == 6
