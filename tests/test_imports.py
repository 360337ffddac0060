"""Listings, help and `import genzoo` wait for nothing that is slow to import, and for no plugin."""

import json
import os
import subprocess
import sys

import pytest
import torch

import genzoo
from genzoo import families

SLOW = ["torch", "torchvision", "numpy", "huggingface_hub", "einops", "sklearn", "PIL", "scipy"]
PLUGINS = sorted(
    {
        p.value.partition(":")[0]
        for kind in families.GROUPS
        if kind != "models"
        for p in families.plugins(kind)
    }
)
OF_COMMANDS = ["genzoo.cli.list", "genzoo.cli.sample", "genzoo.cli.train", "rich.markdown"]
COMMANDS = [
    "",
    "--help",
    "--version",
    "list",
    "list --quiet",
    "list --json",
    "families",
    "list families",
    "families --json",
    "plugin --help",
    "plugin new no-such-/name",
    "list data",
    "list data --json",
    "info MODEL",
    "info MODEL --json",
    "reference",
    "reference mnist",
    "reference cifar10 --metric fid --json",
    "reference no-such-name",
    "train --help",
    "sample --help",
    "info no-such-name",
    "train no-such-name",
    "no-such-command",
]

# Says, after each step of one process, which of the watched modules have come with it.
SCRIPT = """
import contextlib, io, json, sys
watched, before, report = sys.argv[2].split(","), {*sys.modules}, {}
def tell(step, code=0):
    global before
    new, before = {*sys.modules} - before, {*sys.modules}
    came = [w for w in watched if any(f"{m}.".startswith(f"{w}.") for m in new)]
    report[step] = [code, came]
import genzoo
dir(genzoo), genzoo.__version__
tell("import genzoo")
genzoo.BadInput, genzoo.Family, genzoo.hookimpl, genzoo.load, genzoo.model_names()
tell("its light names")
import genzoo.families
genzoo.families.names(), genzoo.families.plugins()
tell("families.names()")
import genzoo.cli
genzoo.cli.run
tell("import genzoo.cli")
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = genzoo.cli.run(line)
    tell(" ".join(line), code)
import torch.distributed
tell("torch", int(torch.distributed.is_initialized()))
print(json.dumps(report))
"""


def asked(lines, watched):
    """(exit code, which of ``watched`` it imported) of each command, all run in one process."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(lines), ",".join(watched)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of a small model of each installed family."""
    folder = tmp_path_factory.mktemp("models")
    for name in families.names():
        family = families.get(name)
        with torch.random.fork_rng():
            genzoo.save(family.model(family.tiny), folder / name, family=name)
    return folder


@pytest.fixture(scope="module")
def steps(models):
    folder = str(models / families.names()[0])
    lines = [line.replace("MODEL", folder).split() for line in COMMANDS]
    found = asked(lines, [*SLOW, *PLUGINS, "pydantic", "typer", "pluggy", *OF_COMMANDS])
    return {key.replace(folder, "MODEL"): value for key, value in found.items()}


@pytest.mark.parametrize("step", ["its light names", "families.names()", "import genzoo.cli"])
def test_an_import_brings_nothing_slow(step, steps):
    assert not {*steps[step][1]} & {*SLOW, *PLUGINS}


def test_the_bare_import_brings_next_to_nothing(steps):
    assert steps["import genzoo"] == [0, []]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_listing_brings_nothing_slow(command, steps):
    code, came = steps[command]
    assert not {*came} & {*SLOW, *PLUGINS}
    assert code == (2 if "no-such" in command or not command else 0)


@pytest.mark.parametrize("command", ["", "--help", "--version"])
def test_the_help_brings_no_command(command, steps):
    assert not {*steps[command][1]} & {*OF_COMMANDS}
    assert {"genzoo.cli.list"} == {*steps["list"][1]} & {*OF_COMMANDS}


def test_the_watch_sees_what_comes(steps):
    assert {"torch", "numpy"} <= {*steps["torch"][1]}
    assert "typer" in steps["import genzoo.cli"][1]


def test_sampling_imports_its_own_family_and_no_more(models, tmp_path):
    """torchvision alone costs 1.8 s; a grid needs NumPy, Pillow and einops (5 ms)."""
    name = families.names()[-1]
    watched = [*SLOW, *PLUGINS, "genzoo.data", "genzoo.runs", "torch._dynamo", "sympy", "pandas"]
    line = ["sample", str(models / name), "-n", "2", "-o", str(tmp_path / "grid.png")]
    found = asked([line], watched)
    plugin = next(p for p in families.plugins() if p.name == name).value.partition(":")[0]
    code, came = found[" ".join(line)]
    assert code == 0
    assert plugin in came
    assert {*came} <= {"torch", "numpy", "PIL", "einops", plugin}
    assert found["torch"] == [0, []], "the processes of a run were joined"
