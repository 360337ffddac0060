"""The public names: one table a package, the stub made from it, and all of them where they say."""

import ast
import importlib
import json
import os
import re
import string
import subprocess
import sys
import types
import typing
from pathlib import Path

import pytest

import genzoo

ROOT = Path(__file__).parents[1]
CORE = ROOT / "genzoo"
# The packages that are attributes of genzoo after `import genzoo` alone.
DOORS = ["data", "demo", "editing", "evaluation", "families", "metrics", "runs", "testing"]
DOORS += ["training", "zoo"]
# Every `__init__.py` that calls `lazy`, by its package's name.
LAZY = {
    ".".join(path.parent.relative_to(ROOT).parts): path
    for path in sorted(CORE.rglob("__init__.py"))
    if "lazy(" in path.read_text()
}
WRITE = "GENZOO_WRITE_STUBS"


def call(path):
    """The arguments of the call of `lazy` in an `__init__.py`: (names by module, packages)."""
    calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    (found,) = [c for c in calls if ast.unparse(c.func) == "lazy"]
    homes, *packages = [ast.literal_eval(arg) for arg in found.args[1:]]
    return homes, packages[0] if packages else ()


def order(name):
    """As ruff sorts imported names: constants, then classes, then functions."""
    return (not name.isupper(), not name[:1].isupper(), name)


def stub(package):
    """What `__init__.pyi` must say for the table in `__init__.py`."""
    path = LAZY[package]
    homes, packages = call(path)
    imports = [(package, name) for name in sorted(packages)]
    for module in sorted(homes):
        imports += [(f"{package}.{module}", name) for name in sorted(homes[module], key=order)]
    lines = [f"from {module} import {name} as {name}" for module, name in imports]
    defined = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)]
    if defined:
        lines = ["from collections.abc import Callable, Mapping, Sequence", *lines]
        lines = [lines[0], "from typing import Any", "", *lines[1:], "", "__version__: str", ""]
    for function in defined:
        function.body = [ast.Expr(ast.Constant(...))]
        lines.append(ast.unparse(function))
    head = f"# Made from the table in __init__.py: {WRITE}=1 pytest tests/test_public_names.py"
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "stub.pyi", "-"]
    text = "\n".join([head, "", *lines, ""])
    return subprocess.run(command, input=text, text=True, capture_output=True, check=True).stdout


def python(code):
    """What a fresh interpreter prints as JSON."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ------------------------------------------------------------------------------------------- stubs


def test_the_packages_with_a_table():
    tables = {package.removeprefix("genzoo").removeprefix(".") for package in LAZY}
    assert tables == {"", *DOORS, "cli"} - {"training"}


@pytest.mark.parametrize("package", LAZY)
def test_a_stub_repeats_the_table(package):
    """Type checkers read the stub; to write it anew: GENZOO_WRITE_STUBS=1 pytest THIS_FILE."""
    path, expected = LAZY[package].with_suffix(".pyi"), stub(package)
    if os.environ.get(WRITE) == "1":
        path.write_text(expected)
    assert path.read_text() == expected, f"write {path.name} anew: {WRITE}=1 pytest {__file__}"


def test_no_other_stub_hides_code():
    """A type checker that finds a stub does not look into the file beside it."""
    assert {path.with_suffix(".py") for path in CORE.rglob("*.pyi")} == {*LAZY.values()}
    for package in {*LAZY} - {"genzoo"}:
        kinds = {type(node) for node in ast.parse(LAZY[package].read_text()).body}
        assert kinds == {ast.Expr, ast.ImportFrom, ast.Assign}, package


def test_a_wheel_brings_the_stubs(wheels):
    import zipfile

    (core,) = [wheel for wheel in wheels if wheel.name.startswith("genzoo-")]
    names = zipfile.ZipFile(core).namelist()
    assert "genzoo/py.typed" in names
    for path in LAZY.values():
        assert str(path.with_suffix(".pyi").relative_to(ROOT)) in names


# ------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("package", [*LAZY, "genzoo.training"])
def test_no_two_things_have_one_name(package):
    """A name of a package is never a file of it, too: which of the two it is would depend on what
    was imported before."""
    folder = CORE.joinpath(*package.split(".")[1:])
    files = {path.stem for path in folder.glob("*.py")}
    files |= {path.parent.name for path in folder.glob("*/__init__.py")}
    names = {*importlib.import_module(package).__all__}
    assert names & files == ({*DOORS} if package == "genzoo" else set())


@pytest.mark.parametrize("package", LAZY)
def test_a_table_names_each_thing_once_and_where_it_is_defined(package):
    homes, packages = call(LAZY[package])
    names = [name for group in homes.values() for name in group]
    assert len({*names, *packages}) == len(names) + len(packages)
    for module, group in homes.items():
        home = f"{package}.{module}"
        for name in group:
            thing = getattr(importlib.import_module(home), name)
            where = getattr(thing, "__module__", home)
            assert where.startswith(("genzoo.", "pluggy", "builtins", "typing")), name
            if isinstance(thing, type) and where.startswith("genzoo."):
                assert f"{where}.".startswith(f"{home}."), f"{name} is defined in {where}"


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_like_this"):
        genzoo.nothing_like_this  # noqa: B018
    with pytest.raises(ImportError, match="nothing_like_this"):
        exec("from genzoo.data import nothing_like_this")


# ------------------------------------------------------------------------------------------ stable


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = sorted(
    [
        *ROOT.glob("plugins/**/*.py"),
        *ROOT.glob("docs/examples/**/*.py"),
        *ROOT.glob("tests/typing/*.py"),
        *CORE.glob("testing/templates/**/*.py.tmpl"),
    ]
)


def public_modules():
    """The modules of the table in docs/plugins.md."""
    text = (ROOT / "docs/plugins.md").read_text().partition("## What is stable")[2]
    return re.findall(r"^\| `(genzoo[\w.]*)` \|", text.partition("\n## ")[0], re.MULTILINE)


PUBLIC = public_modules()


def sources():
    """(where, Python code) of all that authors of plugins read."""
    for path in CODE:
        text = path.read_text()
        yield path, string.Template(text).safe_substitute(Class="Made", name="made", module="made")
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
            yield page, block


def uses(code):
    """(module, name) of every name of genzoo that ``code`` imports or reads of a module."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "genzoo":
            yield from ((node.module, alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.startswith("genzoo."))
        if isinstance(node, ast.Attribute) and re.fullmatch(
            r"genzoo(\.[a-z_]+)*", owner := ast.unparse(node.value)
        ):
            yield owner, node.attr


def test_the_reader_of_uses_reads_right():
    code = "from genzoo.data import open\ngenzoo.metrics.Score.x\ngenzoo_vae.VAE\nimport genzoo.zoo"
    assert {*uses(code)} == {
        ("genzoo.data", "open"),
        ("genzoo.metrics", "Score"),
        ("genzoo", "metrics"),
        ("genzoo.zoo", ""),
    }


def test_the_table_of_public_modules():
    assert sorted(PUBLIC) == PUBLIC
    assert {"genzoo", *(f"genzoo.{door}" for door in DOORS)} < {*PUBLIC}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_module_lists_its_names(name):
    """And nothing in the list comes from elsewhere: neither Any nor json nor np is ours to keep."""
    module = importlib.import_module(name)
    names = [n for n in module.__all__ if n != "__version__"]
    assert len({*names}) == len(names) > 0
    for one in names:
        thing = getattr(module, one)
        if isinstance(thing, types.ModuleType):
            assert thing.__name__ == f"{name}.{one}"
            assert thing.__name__ in PUBLIC
        elif isinstance(thing, type | types.FunctionType):
            assert thing.__module__.startswith("genzoo."), one
        assert thing is not getattr(typing, one, None)
        assert not one.startswith("_")


def test_what_authors_use_is_public():
    """Every name in the docs, the plugins, the examples and the templates is one that stays."""
    wrong = set()
    for where, code in sources():
        for module, name in uses(code):
            known = module in PUBLIC and name in importlib.import_module(module).__all__
            if not known and name not in ("", "__all__") and f"{module}.{name}" not in PUBLIC:
                wrong.add(f"{where.relative_to(ROOT)}: {module}.{name}")
    assert sorted(wrong) == []


@pytest.mark.parametrize(
    "name",
    [
        "training.Player",
        "training.LOSSES",
        "options.Options",
        "schemas.Schema",
        "options.Sampling",
        "data.Source",
        "data.Rows",
        "metrics.ModelSubject",
        "metrics.RealData",
        "metrics.Estimates",
    ],
)
def test_what_authors_need_is_public(name):
    module, _, name = name.partition(".")
    assert name in importlib.import_module(f"genzoo.{module}").__all__


# ------------------------------------------------------------------------------------------- doors


@pytest.mark.parametrize("package", DOORS)
def test_a_package_is_an_attribute_after_the_bare_import(package):
    code = "import genzoo, json, sys; before = 'torch' in sys.modules; "
    code += f"listed = {package!r} in dir(genzoo); name = genzoo.{package}.__name__; "
    code += "print(json.dumps([before, listed, name, 'torch' in sys.modules]))"
    # Only training's own names are worth nothing without torch.
    assert python(code) == [False, True, f"genzoo.{package}", package == "training"]


def test_all_public_names_are_there():
    """In one process that has imported nothing but genzoo."""
    code = f"""
import genzoo, json
counts = {{}}
for door in ["", *{DOORS}]:
    package = getattr(genzoo, door) if door else genzoo
    for name in package.__all__:
        assert name in dir(package), name
        getattr(package, name)
    counts[door] = len(package.__all__)
print(json.dumps(counts))
"""
    found = python(code)
    assert [*found] == ["", *DOORS]
    assert all(found.values())


@pytest.mark.parametrize(
    ("old", "new"), [("Draws", "Noise"), ("names", "model_names"), ("Failed", "OperationFailed")]
)
def test_an_old_name_gives_the_new_one(old, new):
    with pytest.raises(AttributeError, match=rf"genzoo\.{old} .* genzoo\.{new}$"):
        getattr(genzoo, old)
    assert hasattr(genzoo, new)
