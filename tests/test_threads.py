"""How many threads a call and a run compute with, and that they are put back."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import genzoo
from genzoo import devices
from genzoo.features.classifiers import DatasetClassifier
from genzoo.models import threads
from genzoo.models.model import infer
from genzoo.models.threads import SMALL, suited, training_threads, using, work_of

CORES = 4
LARGE = 2 * SMALL


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    """Torch's own number on a machine of four cores, none of which is busy."""
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(CORES)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: CORES)
    monkeypatch.setattr(devices, "_shares_cores", lambda: False)
    monkeypatch.setattr(threads, "_running_elsewhere", lambda: 0)
    torch.set_num_threads(CORES)
    yield
    devices._are_threads_chosen.clear()
    torch.set_num_threads(before)


def within(work):
    with suited(work):
        return torch.get_num_threads()


@pytest.mark.parametrize(
    ("busy", "work", "expected"),
    [(0, LARGE, 4), (1, LARGE, 3), (3, LARGE, 1), (9, LARGE, 1), (0, SMALL / 2, 1), (2, 0, 1)],
)
def test_large_work_gets_the_free_cores_and_small_work_one(busy, work, expected, monkeypatch):
    monkeypatch.setattr(threads, "_running_elsewhere", lambda: busy)
    assert within(work) == expected
    assert torch.get_num_threads() == CORES


def by_an_error():
    with pytest.raises(ValueError, match="no"), suited(0):
        raise ValueError("no")


def by_another_threads_start():
    with suited(0), ThreadPoolExecutor(1) as pool:
        pool.submit(torch.get_num_threads).result()


@pytest.mark.parametrize("way", [by_an_error, by_another_threads_start])
def test_the_number_is_put_back(way):
    way()
    assert torch.get_num_threads() == CORES
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == CORES


@pytest.mark.parametrize(
    "choose",
    [
        lambda patch: patch.setenv("OMP_NUM_THREADS", "4"),
        lambda patch: patch.setenv("MKL_NUM_THREADS", "4"),
        lambda patch: torch.set_num_threads(3),
        lambda patch: torch.set_num_threads(1),
        lambda patch: devices.set_threads(4),
    ],
)
def test_a_number_that_somebody_chose_stays(choose, monkeypatch):
    choose(monkeypatch)
    chosen = torch.get_num_threads()
    monkeypatch.setattr(threads, "_running_elsewhere", lambda: 2)
    assert within(0) == within(LARGE) == chosen
    assert training_threads(nn.Linear(2, 2), (2,), 1) == chosen


def test_two_calls_at_once_share_the_cores():
    met = threading.Barrier(2, timeout=60)

    def call(_):
        torch.set_num_threads(CORES)
        met.wait()
        with suited(LARGE):
            met.wait()
            return torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(call, range(2)))[0] == CORES // 2
    assert within(LARGE) == CORES


def test_one_core_that_two_threads_share_counts_once(monkeypatch):
    monkeypatch.setattr(devices, "_shares_cores", lambda: True)
    torch.set_num_threads(2)
    monkeypatch.setattr(threads, "_running_elsewhere", lambda: 3)
    assert within(LARGE) == 1


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (nn.Linear(30, 40, bias=False), (1, 28, 28), 1200),
        (nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 20)), (3,), 1000),
        (nn.Conv2d(2, 4, 3), (2, 16, 16), 72 * 16),
        (nn.ReLU(), (1, 8, 8), 0),
    ],
)
def test_the_work_of_a_layer(network, shape, expected):
    assert work_of(network, shape) == expected


def test_a_model_samples_and_a_user_finds_the_threads_as_they_were(latent):
    seen = []
    drawn = infer(latent, lambda copy: seen.append(torch.get_num_threads()) or copy)
    assert isinstance(drawn, type(latent))
    infer(latent, lambda _: seen.append(torch.get_num_threads()), n=10**9)
    assert seen == [1, CORES]
    one = latent.sample(3).tensor
    assert torch.get_num_threads() == CORES
    with using(1):
        assert torch.allclose(latent.sample(3).tensor, one, atol=1e-6)


def test_features_are_computed_on_the_free_cores(monkeypatch):
    seen, extractor = [], DatasetClassifier("mnist")
    monkeypatch.setattr(threads, "_running_elsewhere", lambda: CORES - 2)
    note = lambda part: (seen.append(torch.get_num_threads()), part.flatten(1))[1]  # noqa: E731
    monkeypatch.setattr(extractor, "_features", note)
    extractor(torch.rand(2, 1, 28, 28))
    assert seen == [2]
    assert torch.get_num_threads() == CORES


@pytest.mark.parametrize("busy", [[0, 0, 0], [2, 3, 2]])
def test_a_run_counts_what_stays_busy(busy, monkeypatch):
    readings = iter(busy)
    monkeypatch.setattr(threads, "_running_elsewhere", partial(next, readings))
    assert training_threads(nn.Linear(2000, 2000), (2000,), 1) == CORES - min(busy)


@pytest.mark.parametrize(("running", "own"), [(5, 1), (5, 2), (2, 1), (2, 2), (1, 1), (1, 2)])
def test_threads_of_this_process_are_not_those_of_others(running, own, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"0.1 0.2 0.3 {running}/321 99")
    tasks = [Path(str(i)) for i in range(3)]
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(tasks))
    states = {str(i): b"S" if i >= own else b"R" for i in range(3)}
    content = lambda path: b"7 (a) R (b) " + states[path.parent.name] + b" 1 2"  # noqa: E731
    monkeypatch.setattr(Path, "read_bytes", content)
    assert threads._running_elsewhere() == max(0, running - own)


def test_no_such_file_means_no_other_work(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.undo()
    monkeypatch.setattr(Path, "read_text", missing)
    assert threads._running_elsewhere() == 0


def test_a_run_has_its_threads_and_leaves_the_users(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(threads, "_running_elsewhere", lambda: 9)
    short = {
        "steps": 2,
        "grid_every": 9,
        "progress": lambda _: seen.append(torch.get_num_threads()),
    }
    genzoo.train("gan", "ring8", out=tmp_path / "a", **short)
    assert seen == [1, 1]
    genzoo.train("gan", "ring8", out=tmp_path / "b", threads=2, **short)
    assert seen[2:] == [2, 2]
    assert torch.get_num_threads() == CORES
    assert devices.is_usual_threads(CORES)
