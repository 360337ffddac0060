"""A Hub on loopback, a client that knows no other and no token, and a model to send it."""

import os
import shutil
import time

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.utils import logging as client_logging
from loopback import Loopback

from genzoo import families
from genzoo.zoo import card, hub_client
from genzoo.zoo import folder as folders

client_logging.set_verbosity_error()  # as genzoo.cli.main asks for where no terminal is
SCORES = [
    {"name": "fd-mnist", "value": 12.5, "goal": "lower", "protocol": {"samples": 1000, "seed": 0}},
    {"name": "kd-mnist", "value": 5e-05, "protocol": {"samples": 1000, "note": 'a "b": c # d'}},
]


@pytest.fixture
def waits(monkeypatch):
    """The pauses that were wanted: none is taken."""
    wanted = []
    monkeypatch.setattr(time, "sleep", wanted.append)
    return wanted


@pytest.fixture
def impatient(monkeypatch):
    """Half a second is too long for an answer."""
    monkeypatch.setattr(hub_client, "TIMEOUT", 0.5)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)


@pytest.fixture
def web(tmp_path, monkeypatch, waits):
    """The Hub."""
    for name in [*os.environ]:
        if name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    cache = tmp_path / "client"
    changed = {
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HOME": str(cache),
        "HF_HUB_CACHE": str(cache / "hub"),
        "HF_TOKEN_PATH": str(cache / "token"),
        "HF_STORED_TOKENS_PATH": str(cache / "tokens"),
    }
    with Loopback() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        template = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        changed |= {"ENDPOINT": found.url, "HUGGINGFACE_CO_URL_TEMPLATE": template}
        for name, value in changed.items():
            monkeypatch.setattr(constants, name, value)
        yield found
    assert found.tokens <= {"hf_test"}, "a token of this machine was sent"


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    family = families.get("dcgan")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, other = family.model(family.tiny), family.discriminator(family.tiny)
    folder = tmp_path_factory.mktemp("model") / "dcgan-tiny"
    folders.save(model, folder, data="mnist", license="mit", discriminator=other)
    card.complete(folder)
    card.add_scores(folder, SCORES)
    return folder


@pytest.fixture
def folder(template, tmp_path):
    """A model with all that belongs to it."""
    return shutil.copytree(template, tmp_path / "dcgan-tiny")


@pytest.fixture
def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def published(web, files):
    """The same model on the Hub, as zoo/dcgan-tiny: its commit."""
    return web.add("zoo/dcgan-tiny", files)


def pytest_report_header():
    return f"huggingface_hub {huggingface_hub.__version__}"
