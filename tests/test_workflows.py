"""Workflows: steps are scripts that are here, actions are fixed, rights few; the site's map."""

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
}
STEPS = [
    (f"{name}, {job}", step)
    for name, workflow in WORKFLOWS.items()
    for job, content in workflow["jobs"].items()
    for step in content.get("steps", ())
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def commands():
    """The words of every command that a workflow runs."""
    return [shlex.split(step["run"]) for _, step in STEPS if "run" in step]


def test_each_step_is_one_script_that_is_here():
    assert {name for name, *_ in commands()} == {
        f".ci/{name}" for name in ("run", "tests", "docs", "distributions", "install")
    }
    for where, step in STEPS:
        line = step.get("run", "")
        assert "\n" not in line and "${{" not in line, f"{where}: {line}"  # noqa: PT018


SCRIPTS = [p for p in sorted((ROOT / ".ci").iterdir()) if p.is_file() and p.suffix in ("", ".py")]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_each_script_is_sound(path):
    if path.suffix == ".py":
        assert ast.get_docstring(ast.parse(path.read_text()))
        return
    assert path.read_text().startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in path.read_text()
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_scripts_name_files_that_are_here():
    for path in SCRIPTS:
        for name in re.findall(r"(?<![\w/])\.ci/[\w.]+", path.read_text()):
            assert (ROOT / name.rstrip(".")).is_file(), f"{path.name}: {name}"


def test_actions_are_named_by_the_hash_of_a_commit():
    """A tag can be moved to other code; what was meant stands beside the hash."""
    used = [
        line
        for path in (ROOT / ".github/workflows").glob("*.yml")
        for line in path.read_text().splitlines()
        if "uses:" in line and "./.github" not in line
    ]
    assert len(used) > 10
    for line in used:
        assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line
    pairs = {re.search(r"uses: (\S+)@(\w+)", line).groups() for line in used}
    assert len(pairs) == len({name for name, _ in pairs})  # everywhere the same


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_reads_and_no_more(name):
    """Only two jobs may show who they are, those that publish; they run no code of ours."""
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets" not in (ROOT / f".github/workflows/{name}.yml").read_text()
    rights = {job: c["permissions"] for job, c in workflow["jobs"].items() if "permissions" in c}
    allowed = {"release": ("publish", {"id-token": "write"})}
    allowed["site"] = ("deploy", {"id-token": "write", "pages": "write"})
    assert rights == dict([allowed[name]] if name in allowed else [])
    for job in rights:
        assert "environment" in workflow["jobs"][job]
        assert not any(
            "run" in step or "checkout" in step["uses"] for step in workflow["jobs"][job]["steps"]
        )
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job or "uses" in job
    for where, step in STEPS:
        if "checkout" in step.get("uses", ""):
            assert step["with"] == {"persist-credentials": False}, where


def test_the_tests_run_on_every_system_and_python_that_genzoo_promises():
    tests = WORKFLOWS["tests"]["jobs"]
    matrix = tests["tests"]["strategy"]["matrix"]
    tried = {(os, version) for os in matrix["os"] for version in matrix["python"]}
    tried |= {(row["os"], row["python"]) for row in matrix["include"]}
    (first,) = (
        s["with"] for s in tests["everything"]["steps"] if "setup-python" in s.get("uses", "")
    )
    tried.add((tests["everything"]["runs-on"], first["python-version"]))
    promised = {c.rpartition(" :: ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c}
    assert {version for os, version in tried if os == "ubuntu-latest"} == promised
    ends = {min(promised), max(promised)}
    for system in ("macos-latest", "windows-latest"):
        assert {version for os, version in tried if os == system} == ends
    assert PROJECT["requires-python"] == f">={min(promised)}"


def test_a_tag_publishes_what_was_tested_with_attestations():
    release = WORKFLOWS["release"]
    assert release[True]["push"] == {"tags": ["v*"]}  # "on" is true in YAML
    publish = release["jobs"]["publish"]
    assert {*publish["needs"]} == {"tests", "distributions", "install"}
    assert publish["steps"][-1]["with"]["attestations"] is True
    (build,) = (s for s in release["jobs"]["distributions"]["steps"] if "run" in s)
    assert build["env"]["GENZOO_TAG"] == "${{ github.ref_name }}"


def test_forms_of_issues_ask_for_what_helps():
    forms = [yaml.safe_load(p.read_text()) for p in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")]
    bodies = [form for form in forms if "body" in form]
    assert len(bodies) == 3
    for form in bodies:
        assert form["name"] and form["description"]  # noqa: PT018
        names = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(names) == len({*names}) > 0
    assert sum("genzoo env" in str(form) for form in bodies) == 2


def test_the_citation_is_of_this_software():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= {*cited}  # what the format requires
    assert cited["license"] == PROJECT["license"]
    assert str(cited["version"]) == PROJECT["version"]


# -------------------------------------------------------------------------------------------- site


def leaves(nav):
    """All pages below an entry of the site's map."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in leaves(part)]


def test_the_site_s_map_has_every_page_once():
    """If this fails: mkdocs.yml has no line, or one too many, for a page of docs/ or a module."""
    shown = leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    text = (ROOT / "docs/plugins.md").read_text()
    modules = re.findall(r"^\| `(genzoo[\w.]*)` \|", text, re.M)
    roots = {"changelog.md", "code-of-conduct.md", "contributing.md", "security.md"}
    assert {*shown} == pages | roots | {f"reference/{module}.md" for module in modules}
    assert len(shown) == len({*shown})


def test_the_site_is_strict():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["strict"] is True
    assert settings["theme"]["font"] is False
    assert {rule for part in settings["validation"].values() for rule in part.values()} == {"warn"}


def test_a_broken_link_of_a_site_is_found(tmp_path):
    spec = importlib.util.spec_from_file_location("ci_links", ROOT / ".ci/links.py")
    links = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(links)
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top"></h1><a href="a/b.html#here">1</a><a href="#top">2</a><img src="no.png">'
        '<a href="https://x.example">3</a><a href="a/b.html#gone">4</a><a href="../out.html">5</a>'
    )
    (tmp_path / "a/b.html").write_text('<p id="here"><a href="../index.html">back</a></p>')
    wrong, count, elsewhere = links.broken(tmp_path)
    assert wrong == [f"index.html: {t}" for t in ("no.png", "a/b.html#gone", "../out.html")]
    assert (count, elsewhere) == (7, 1)
