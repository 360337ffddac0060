"""Releasing: one version everywhere, builds that are equal byte by byte, READMEs of an index."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import genzoo
from genzoo.testing import scaffold

ROOT = Path(__file__).parents[1]


def script(name):
    """A Python script of .ci as a module."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / f".ci/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VERSION, BUILD = script("version"), script("build")


# ----------------------------------------------------------------------------------------- version


@pytest.fixture
def tree(tmp_path):
    """The files that say a version, to change."""
    patterns = ["pyproject.toml", "*/*/pyproject.toml", "docs/examples/*/pyproject.toml"]
    patterns += ["genzoo/version.py", "docs/plugins.md", "CHANGELOG.md", "CITATION.cff"]
    for path in (path for pattern in patterns for path in ROOT.glob(pattern)):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return tmp_path


def test_all_files_agree_on_the_version(capsys):
    VERSION.main(["--tag", f"v{genzoo.__version__}"])
    assert capsys.readouterr().out == f"{genzoo.__version__}\n"


@pytest.mark.parametrize(
    ("version", "bound"),
    [
        ("0.3.0", ">=0.3,<0.4"),
        ("0.3.7", ">=0.3,<0.4"),
        ("0.10.0", ">=0.10,<0.11"),
        ("1.4.2", ">=1.4,<2"),
        ("0.3.0rc1", ">=0.3.0rc1,<0.4"),
    ],
)
def test_a_bound_admits_its_version_and_not_the_next_that_may_break(version, bound):
    from packaging.specifiers import SpecifierSet

    assert VERSION.bounds(version) == scaffold._bounds(version) == bound
    admitted = SpecifierSet(bound)
    assert admitted.contains(version, prereleases=True)
    major, minor, _ = (int(n) for n in re.match(r"(\d+)\.(\d+)\.(\d+)", version).groups())
    assert not admitted.contains(f"0.{minor + 1}.0" if major == 0 else f"{major + 1}.0.0")


def test_one_command_sets_every_version_and_bound(tree, capsys):
    (log := tree / "CHANGELOG.md").write_text("# Changelog\n\n## 7.8.9\n")
    VERSION.main(["7.8.9"], tree)
    assert capsys.readouterr().out == "7.8.9\n"
    left = {p: p.read_text() for p in tree.rglob("*") if p.is_file() and p != log}
    old = r'genzoo[\w-]*>=0\.|^(?:version|VERSION)(?: = "|: )0\.(?!1\.0)'  # the example has 0.1.0
    assert [p for p, text in left.items() if re.search(old, text, re.M)] == []
    projects = [*tree.glob("*/*/pyproject.toml")]
    assert len(projects) > 30
    assert all('dependencies = ["genzoo>=7.8,<8"]' in p.read_text() for p in projects)
    assert '"genzoo-models>=7.8,<8",' in (tree / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("plugins/vae/pyproject.toml", 'version = "', 'version = "9', "not .*: plugins/vae"),
        ("pyproject.toml", "genzoo-dcgan>=", "genzoo-dcgan>=9", "not .*: pyproject.toml"),
        ("CHANGELOG.md", "\n## ", "\n### ", "CHANGELOG.md has no section"),
        ("genzoo/version.py", "VERSION = ", "V = ", "expected one line with the version, found 0"),
    ],
)
def test_a_file_that_disagrees_is_named(tree, file, old, new, message):
    path = tree / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SystemExit, match=message):
        VERSION.main([], tree)


def test_a_wrong_version_or_tag_is_refused(tree, capsys):
    for wrong in ("1", "v1.2.3", "1.2.3+local", "1.2.3-rc1"):
        with pytest.raises(SystemExit):
            VERSION.main([wrong], tree)
        assert "expected a version such as" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r"the tag is v9\.9\.9, but the version is"):
        VERSION.main(["--tag", "v9.9.9"], tree)


# ------------------------------------------------------------------------------------------ builds


def build(folder, **environment):
    """What one build of genzoo and a family writes: name -> hash."""
    command = [sys.executable, ROOT / ".ci/build.py", folder, "--only", ".", "plugins/pixelcnn"]
    env = {**os.environ, **environment}
    subprocess.run([*map(str, command)], check=True, env=env, capture_output=True)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def tracked():
    return (ROOT / ".git").exists() and shutil.which("git")


@pytest.mark.skipif(not tracked(), reason="the build takes what git tracks")
def test_two_builds_are_equal_byte_by_byte(tmp_path):
    """In another time zone, another order of hashes and with other rights of new files, too."""
    first = build(tmp_path / "a", TZ="UTC", PYTHONHASHSEED="1")
    before = os.umask(0o077)
    try:
        second = build(tmp_path / "b", TZ="Asia/Tokyo", PYTHONHASHSEED="2")
    finally:
        os.umask(before)
    names = [f"genzoo{family}-{genzoo.__version__}" for family in ("", "_pixelcnn")]
    assert {*first} == {n + end for n in names for end in (".tar.gz", "-py3-none-any.whl")}
    assert first == second


def test_a_difference_between_builds_is_noticed(tmp_path):
    for folder, same, other in (("a", "1", "1"), ("b", "1", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_text(same)
        (tmp_path / folder / "other").write_text(other)
    (tmp_path / "a" / "alone").write_text("")
    assert BUILD.differences(tmp_path / "a", tmp_path / "b") == ["alone", "other"]


def test_links_of_a_readme_become_absolute():
    text = "[a](docs/a.md#b) ![c](d.png) [![e](f.png)](g.md) [h](https://h.example)\n[i](#j)"
    code = "\n```\n[k](l)\n```\n"
    there = "https://r.example/o/n"
    assert BUILD.absolute(text + code, "plugins/x", there, "v1") == (
        f"[a]({there}/blob/v1/plugins/x/docs/a.md#b) ![c]({there}/raw/v1/plugins/x/d.png) "
        f"[![e]({there}/raw/v1/plugins/x/f.png)]({there}/blob/v1/plugins/x/g.md) "
        f"[h](https://h.example)\n[i](#j){code}"
    )
    assert BUILD.absolute("[a](../../docs/a.md)", "plugins/x", there, "v1") == (
        f"[a]({there}/blob/v1/docs/a.md)"
    )


def test_a_family_s_readme_is_its_metadata_and_its_page():
    """If this fails: python .ci/readmes.py"""
    module = script("readmes")
    folders = [path.parent for path in ROOT.glob("plugins/*/pyproject.toml")]
    wrong = [f.name for f in folders if (f / "README.md").read_text() != module.readme(f)]
    assert (len(folders) > 30, wrong) == (True, [])
    for folder in folders:
        assert '\nreadme = "README.md"\n' in (folder / "pyproject.toml").read_text(), folder.name
        target = re.search(r"\]\((\S+\.md)\)", (folder / "README.md").read_text())[1]
        assert (folder / target).is_file()
