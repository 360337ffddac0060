"""Listings, help and `import genzoo` wait for nothing that is slow to import, and for no plugin."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from genzoo import cards, families, store

SLOW = ("torch", "torchvision", "huggingface_hub", "einops", "PIL", "sklearn")
PLUGINS = tuple(
    sorted(
        {
            e.module.partition(".")[0]
            for g in families.GROUPS.values()
            for e in entry_points(group=g)
        }
    )
)
# What has been imported is told at the very end, on a pipe of its own: exits do not hide it.
TELL = """
import atexit, json, os, sys
atexit.register(lambda: os.write({pipe}, json.dumps([*sys.modules]).encode()))
"""
COMMANDS = [
    ["--help"],
    ["--version"],
    ["list"],
    ["list", "--quiet"],
    ["list", "--json"],
    ["families"],
    ["families", "--flat"],
    ["families", "--json"],
    ["data"],
    ["data", "--json"],
    ["sample", "--help"],
    ["train", "--help"],
    ["no-such-command"],
    ["info", "no-such-model"],
    ["train", "no-such-family"],
]


def imported(code, *, fails=False):
    """The top-level packages that a fresh Python has imported after ``code``."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as told:
        done = subprocess.run(
            [sys.executable, "-c", TELL.format(pipe=writer) + code],
            capture_output=True,
            text=True,
            timeout=60,
            pass_fds=[writer],
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        os.close(writer)
        assert bool(done.returncode) == fails, done.stderr
        assert "Traceback" not in done.stderr
        return {name.partition(".")[0] for name in json.loads(told.read())}


def command(arguments):
    return f"from genzoo.cli import main\nmain({arguments!r})"


def test_the_witness_sees():
    found = imported("import genzoo_vae, torchvision, einops")
    assert {"torch", "torchvision", "PIL", "einops", "genzoo_vae"} <= found
    assert "genzoo_vae" in PLUGINS


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_listing_imports_nothing_slow(arguments):
    fails = any(a.startswith("no-such") for a in arguments)
    found = imported(command(arguments), fails=fails)
    assert "genzoo" in found
    assert found & {*SLOW, *PLUGINS} == set()


@pytest.mark.skipif(not cards.names(), reason="no model comes along yet")
def test_info_of_a_model_imports_nothing_slow():
    found = imported(command(["info", cards.names()[0]]))
    assert found & {*SLOW, *PLUGINS} == set()


def test_info_of_a_folder_imports_nothing_slow(tmp_path):
    """As above, with a model of the test's own."""
    family = families.get("vae")
    folder = store.save(family.model(family.tiny), tmp_path / "mine")
    assert imported(command(["info", str(folder)])) & {*SLOW, *PLUGINS} == set()


def test_import_genzoo_imports_nothing_slow():
    code = "import genzoo\ndir(genzoo)\ngenzoo.__version__\ngenzoo.names()\ngenzoo.BadInput"
    code += "\ngenzoo.Family\ngenzoo.hookimpl\ngenzoo.load"
    assert imported(code) & {*SLOW, *PLUGINS} == set()


def test_import_genzoo_alone_imports_next_to_nothing():
    assert imported("import genzoo") & {"pydantic", "typer", "pluggy", "numpy"} == set()


def test_sampling_needs_one_plugin_and_no_torchvision(tmp_path):
    family = families.get("vae")
    folder = store.save(family.model(family.tiny), tmp_path / "mine")
    code = f"import genzoo\ngenzoo.load({str(folder)!r}, device='cpu').sample(2).png()"
    found = imported(code)
    assert found & {*SLOW, *PLUGINS} == {"torch", "PIL", "genzoo_vae"}
    path = str(tmp_path / "grid.png")
    found = imported(command(["sample", str(folder), "-n", "2", "-o", path]))
    assert found & {*SLOW, *PLUGINS} == {"torch", "PIL", "genzoo_vae"}
