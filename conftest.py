"""What every test starts from: its own seed and home, one thread, no real data and no network."""

import logging
import os
import random
import secrets
import signal
import tempfile
import zlib
from pathlib import Path

import numpy as np
import offline
import pytest
import torch

from genzoo.models.randomness import seed_torch

offline.install()
torch.set_num_threads(1)
# Subprocesses too: two threads that share one free core wait for each other, many times as long.
os.environ["OMP_NUM_THREADS"] = "1"
# No test asks the Hub, but those that start one of their own.
os.environ["HF_HUB_OFFLINE"] = "1"
# A shell in the background ignores Ctrl-C, and nohup SIGHUP: some tests send them.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
DATA = os.environ.get("GENZOO_DATA")


def pytest_configure():
    """Requests are written down in a file of this process and of those that it starts."""
    name = f"genzoo-requests-{secrets.token_hex(8)}"  # made at the first one, if there is any
    os.environ[offline.RECORD] = str(Path(tempfile.gettempdir()) / name)


def pytest_unconfigure():
    Path(os.environ[offline.RECORD]).unlink(missing_ok=True)


def pytest_collection_modifyitems(items):
    """What is marked ``data`` needs the real data sets, and is skipped where they are not."""
    for item in items:
        if not DATA and item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason="GENZOO_DATA is not set"))


# ------------------------------------------------------------------------------------------- seeds


def seed(name):
    """Start all random numbers anew, from a seed of this name's own."""
    number = zlib.crc32(name.encode())
    seed_torch(number)
    np.random.seed(number)
    random.seed(number)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Each test starts from its own seed, and sees real data only if it is marked ``data``."""
    seed(item.name)
    logging.getLogger("genzoo.data").setLevel(logging.NOTSET)  # which a command sets to INFO
    os.environ.pop("GENZOO_DATA", None)
    if DATA and item.get_closest_marker("data"):
        os.environ["GENZOO_DATA"] = DATA


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """A fixture that tests share has a seed of its own: any of them may be the first."""
    if fixturedef.scope == "function":
        return (yield)
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    seed(f"{fixturedef.argname} {request.param_index}")
    try:
        return (yield)
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])


# ----------------------------------------------------------------------------------------- network


def watched():
    """Fail the test that sent a request beyond loopback, whatever became of the request."""
    try:
        return (yield)
    finally:
        if lines := offline.requests():
            pytest.fail(f"a request beyond loopback:\n{lines}", pytrace=False)


pytest_runtest_call = pytest.hookimpl(wrapper=True)(watched)
pytest_runtest_teardown = pytest_runtest_call


# -------------------------------------------------------------------------------------------- home


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """Caches go to a folder of the test's own."""
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "home"))
