"""How many threads torch computes with."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import genzoo


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def in_a_new_thread(function=torch.get_num_threads):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_one_thread_within_and_two_again_after():
    with genzoo.one_thread():
        assert torch.get_num_threads() == 1
        with genzoo.one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_two_again_after_an_exception():
    with pytest.raises(ValueError, match="no"), genzoo.one_thread():
        raise ValueError("no")
    assert torch.get_num_threads() == 2
    assert in_a_new_thread() == 2


def test_other_threads_keep_two():
    """Those that used torch before, and those that begin meanwhile."""
    with ThreadPoolExecutor(1) as earlier:
        assert earlier.submit(torch.get_num_threads).result() == 2
        with genzoo.one_thread():
            assert earlier.submit(torch.get_num_threads).result() == 2
            assert in_a_new_thread() == 2
        assert earlier.submit(torch.get_num_threads).result() == 2
    assert in_a_new_thread() == 2


def test_what_is_set_for_new_threads_meanwhile_stays():
    with genzoo.one_thread():
        in_a_new_thread(lambda: torch.set_num_threads(3))
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    assert in_a_new_thread() == 3


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_threads_that_overlap(first_leaves_first):
    """Each has one thread as long as it wants, and two after, whoever leaves first."""
    # Both begin before either changes the number: a thread begins with the number set last.
    ready, entered = threading.Barrier(2, timeout=60), threading.Barrier(2, timeout=60)
    left = threading.Event()

    def within(turn):
        found = [torch.get_num_threads()]
        ready.wait()
        with genzoo.one_thread():
            entered.wait()
            found.append(torch.get_num_threads())
            if turn:
                assert left.wait(60)
            found.append(torch.get_num_threads())
        left.set()
        return [*found, torch.get_num_threads()]

    with ThreadPoolExecutor(2) as pool:
        turns = [False, True] if first_leaves_first else [True, False]
        assert [*pool.map(within, turns)] == [[2, 1, 1, 2]] * 2
    assert in_a_new_thread() == 2


def test_many_threads_at_once():
    def often(_):
        for _ in range(20):
            with genzoo.one_thread():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 2
        return True

    with ThreadPoolExecutor(8) as pool:
        # All begin before any changes the number: a thread begins with the number set last.
        ready = threading.Barrier(8, timeout=60)
        assert {*pool.map(lambda _: (torch.get_num_threads(), ready.wait())[0], range(8))} == {2}
        assert all(pool.map(often, range(8)))
    assert in_a_new_thread() == 2
