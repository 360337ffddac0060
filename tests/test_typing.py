"""Type checkers see the public names: a sample plugin, sample calls and new plugins pass them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genzoo import testing
from genzoo.testing import scaffold

ROOT = Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "tests" / "typing").glob("*.py"))
PLUGIN = ROOT / "tests" / "typing" / "genzoo_sample.py"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What is checked: the samples, and a new plugin of each kind."""
    folder = tmp_path_factory.mktemp("new")
    new = [scaffold.new_plugin(f"new-{kind}", kind, folder / kind) for kind in scaffold.SUMMARIES]
    return [*SAMPLES, *(path for place in new for path in place.glob("*.py"))]


@pytest.fixture
def wrong(tmp_path):
    """A file with one mistake in the use of a public name."""
    path = tmp_path / "wrong.py"
    path.write_text('import genzoo\n\ngenzoo.load("vae-mnist", device=1)\n')
    return path


def mypy(*paths):
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout


def pyright(*paths):
    """Its errors; it is not among the packages that the tests need."""
    if not (program := shutil.which("pyright")):
        pytest.skip("pyright is not installed")
    command = [program, "--outputjson", "--pythonpath", sys.executable, *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)["generalDiagnostics"]
    return [f"{d['file']}: {d['message']}" for d in report if d["severity"] == "error"]


def test_mypy_passes(files):
    assert len(files) == len(SAMPLES) + len(scaffold.SUMMARIES)
    assert mypy(*files).startswith("Success")


def test_mypy_sees_a_mistake(wrong):
    assert "[call-overload]" in mypy(wrong)


def test_pyright_passes(files):
    assert pyright(*files) == []


def test_pyright_sees_a_mistake(wrong):
    assert len(pyright(wrong)) == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("family", "sample"),
        ("metric", "sample-brightness"),
        ("metric", "sample-reconstruction"),
        ("dataset", "sample-stripes"),
    ],
)
def test_the_sample_plugin_works(install, kind, name):
    install(kind, name, PLUGIN.read_text(), keywords=f"{name}:explicit/approximate:2016")
    found = testing.outcome(name, kind)
    assert not found.broken, found.broken
    assert found.held
