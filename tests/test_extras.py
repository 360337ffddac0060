"""What a message says to type for a missing extra: its packages, as genzoo's metadata name them."""

import re
import shlex
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from genzoo.data import pictures
from genzoo.data.synthetic import DIGITS
from genzoo.demo import page
from genzoo.errors import install_command
from genzoo.exports import programs
from genzoo.features.direct import LogMel
from genzoo.features.inception import Inception
from genzoo.runs import plots

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def _digits():
    return [*DIGITS[0].read(None, "train").blocks()]


def _heif():
    pictures.decoded(b"\0\0\0\x18ftypheic" + b"\0" * 40)


# Of each extra that users install: a module of its package, and what needs it.
NEEDS = {
    "audio": ("torchaudio.transforms", lambda: LogMel(16_000)._spectrogram),
    "board": ("torch.utils.tensorboard", lambda: plots.TensorBoardWriter(Path())),
    "demo": ("gradio", page._gradio),
    "digits": ("sklearn.datasets", _digits),
    "export": ("onnxruntime", programs.check_onnx),
    "heif": ("pillow_heif", _heif),
    "metrics": ("torch_fidelity", Inception),
    "plot": ("matplotlib", lambda: plots.figure(None, "png")),
}


@pytest.fixture(autouse=True)
def _fresh():
    yield
    install_command.cache_clear()


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_its_packages(extra):
    assert sorted(shlex.split(install_command(extra))) == sorted(["pip", "install", *EXTRAS[extra]])
    assert [*map(Requirement, EXTRAS[extra])]


def test_each_extra_for_users_is_tried_here():
    assert {*NEEDS} == {*EXTRAS} - {"test"}


@pytest.mark.parametrize("extra", NEEDS)
def test_what_needs_an_extra_says_what_to_type(extra, monkeypatch):
    module, call = NEEDS[extra]
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(Exception, match="pip install") as raised:
        call()
    assert install_command(extra) in str(raised.value)
    assert "genzoo[" not in str(raised.value)


def test_a_genzoo_without_metadata_names_the_extra(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    install_command.cache_clear()
    assert install_command("demo") == 'pip install "genzoo[demo]"'


def test_no_text_names_an_extra_of_genzoo_s():
    """``pip install "genzoo[demo]"`` asks an index for genzoo, and none has it.

    Two pages are of the time when one has, and say so.
    """
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.ipynb")]
    files += [p for part in ("genzoo", "plugins") for p in (ROOT / part).rglob("*.py")]
    called = re.compile(r"genzoo\[(" + "|".join(EXTRAS) + r")[],]")
    released = {"CHANGELOG.md", "index.md", "releasing.md"}
    texts = {path: path.read_text() for path in files if path.name not in released}
    assert [str(path) for path, text in texts.items() if called.search(text)] == []
    call = r"""install_command\(["'](\w+)["']\)"""
    asked = {name for text in texts.values() for name in re.findall(call, text)}
    assert asked == {*NEEDS}


def test_docs_name_the_versions_that_genzoo_needs():
    """The commands of the pages are those that messages give."""
    wanted = {Requirement(text).name: text for texts in EXTRAS.values() for text in texts}
    for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for text in re.findall(r'pip\s+install\s+((?:"[^"]+"\s*)+)', path.read_text()):
            for package in re.findall(r'"([^"]+)"', text):
                name = Requirement(package).name
                assert package == wanted.get(name, package), path
