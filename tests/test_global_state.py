"""What the process has set for torch, numpy and Python changes no result, and is left as it was."""

import contextlib
import logging
import os
import random
import signal
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import families
from genzoo.runs import launch

VALUES = {"width": 8, "latent_dim": 2, "batch_size": 8}
PLACE = {"device": "cpu", "threads": 1}


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@contextlib.contextmanager
def elsewhere():
    before = Path.cwd()
    os.chdir("/")
    try:
        yield
    finally:
        os.chdir(before)


# What a program around genzoo may have set.
AROUND = {
    "float64": lambda: _after(torch.set_default_dtype, torch.float64, torch.float32),
    "float16": lambda: _after(torch.set_default_dtype, torch.float16, torch.float32),
    "default device": lambda: _after(torch.set_default_device, "meta", None),
    "device in a block": lambda: torch.device("meta"),
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": deterministic,
    "numpy raises": lambda: np.errstate(all="raise"),
    "warnings are errors": errors,
    "another folder": elsewhere,
}


@contextlib.contextmanager
def _after(change, value, before):
    change(value)
    try:
        yield
    finally:
        change(before)


def state():
    """All that genzoo could change for the rest of the process."""
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
        "others": [t.name for t in threading.enumerate()],
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": str(np.random.get_state()),
        "random": random.getstate(),
        "errors": np.geterr(),
        "printing": str(np.get_printoptions()),
        "warnings": [*warnings.filters],
        "logging": (logging.root.level, [*logging.root.handlers], logging.raiseExceptions),
        "own log": (logging.getLogger("genzoo").level, [*logging.getLogger("genzoo").handlers]),
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        "folder": Path.cwd(),
        "path": [*sys.path],
        "streams": (sys.stdout, sys.stderr, sys.stdout.errors),
        "environment": {**os.environ},
        "pillow": (Image.MAX_IMAGE_PIXELS,),
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with 40 pictures in ``made``, and a model of them in ``model``."""
    folder = tmp_path_factory.mktemp("state")
    (folder / "made").mkdir()
    random = np.random.default_rng(0)
    for i in range(40):
        pixels = random.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / f"made/{i:03}.png")
    parts = families.get("vae")
    config = parts.config(shape=(1, 8, 8), width=8, latent_dim=2)
    genzoo.save(parts.model(config).eval(), folder / "model", data="made")
    return folder


def used(place, out):
    """What genzoo computes: load, sample, encode, likelihood, walk, score, train. As bytes."""
    model = genzoo.load(place / "model", device="cpu")
    samples = model.sample(3, seed=1)
    tensors = [*model.state_dict().values(), samples.tensor, model.encode(samples)]
    tensors.append(model.log_prob(samples))
    tensors.append(model.decode_codes(np.ones((2, 2))).tensor)
    scores = genzoo.evaluate(
        model, data=str(place / "made"), metrics=["sharpness"], n=40, device="cpu"
    )
    run = launch.start("vae", place / "made", out, steps=2, values=VALUES, **PLACE)
    run.go()
    trained = genzoo.load(out, device="cpu").state_dict()
    tensors += trained.values()
    kinds = [(t.dtype, t.device.type, t.shape) for t in tensors]
    plain = [t.detach().cpu().contiguous().numpy().tobytes() for t in tensors]
    return kinds, plain, [score["value"] for score in scores.records()]


@pytest.fixture(scope="module")
def expected(place):
    """What it computes where nothing is set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_HOME", str(place / "home"))
        return used(place, place / "plain")


@pytest.mark.parametrize("name", AROUND)
def test_the_results_and_the_process_stay_as_they_are(name, place, expected, monkeypatch):
    monkeypatch.setenv("GENZOO_HOME", str(place / "home"))
    with AROUND[name]():
        before = state()
        found = used(place, place / name)
        after = state()
    assert found[0] == expected[0]
    assert found[1:] == expected[1:]
    changed = {k: (before[k], after[k]) for k in before if before[k] != after[k]}
    assert changed == {}


def test_a_failure_leaves_the_process_as_it_is(place, monkeypatch):
    """An error on the way restores what was set, too."""
    torch.set_default_dtype(torch.float64)
    try:
        before = state()
        with pytest.raises(genzoo.UnknownName):
            genzoo.evaluate(place / "model", data="digitz", device="cpu")
        with pytest.raises(genzoo.GenzooError):
            genzoo.load(place / "made")
        assert state() == before
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_model_loaded_inside_inference_mode_can_be_trained(place):
    with torch.inference_mode():
        model = genzoo.load(place / "model", device="cpu")
    assert not any(p.is_inference() for p in model.parameters())
