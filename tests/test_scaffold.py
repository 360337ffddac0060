"""``genzoo plugin new``: its packages are built, installed, tested, trained, published and used by
others, in environments of their own; what it refuses leaves nothing behind.
"""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path

import offline
import pytest
from loopback import Loopback

from genzoo import cli, families
from genzoo.errors import BadInput, OperationFailed
from genzoo.metrics.real_data import RealData
from genzoo.testing import scaffold, status

KINDS = ("family", "metric", "dataset")
# The project's own rules, but for those that know genzoo as a first-party package.
RULES = "E,F,W,I,UP,B,C4,SIM,RUF,PTH,N,RET,PT"
NAMES = ["near", "my-gan2", "tensor", "config", "z" * scaffold.LONGEST]


# Commands in one process, as each start takes two seconds: [code, stdout, stderr] of each.
SCRIPT = """
import contextlib, io, json, sys
from genzoo.cli import run
said = []
for line in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(line.split())
    said.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(said))
"""


# ----------------------------------------------------------------------------------- what it writes


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_clean_code(kind, tmp_path):
    for name in NAMES:
        folder = scaffold.new_plugin(name, kind, tmp_path / name)
        module = f"genzoo_{name.replace('-', '_')}"
        files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        test = f"tests/test_{module[7:]}.py"
        assert files == sorted(["README.md", "pyproject.toml", f"{module}.py", test])
        assert not [p for p in folder.rglob("*") if p.is_file() and "$" in p.read_text()]
    for command in (["check", "--extend-select", RULES], ["format", "--check"]):
        line = [sys.executable, "-m", "ruff", *command, "--no-cache", *NAMES]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("data", ["ring8", "tones", "digits"])
def test_its_metric_reads_real_data_of_every_kind(data, tmp_path):
    folder = scaffold.new_plugin("near", "metric", tmp_path / "new")
    module = runpy.run_path(str(folder / "genzoo_near.py"))
    metric = module["Near"](RealData(data))
    train = metric.real.open("train")
    features = module["brightness"](train.batch(range(1000)))
    assert metric.estimate(features).parts.mean() < 0.5 * features.std()
    assert metric.floor(1000) < 0.5 * features.std()


def test_the_commands_say_where_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["plugin", "new", "near"]) == 0
    assert cli.run(["plugin", "new", "far", "--kind", "dataset", "-o", "elsewhere"]) == 0
    assert capsys.readouterr().out == "genzoo-near\nelsewhere\n"
    assert (tmp_path / "elsewhere" / "genzoo_far.py").is_file()


# ---------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("name", "kind", "named"),
    [
        ("", "family", "an argument is empty"),
        *((bad, "family", repr(bad)) for bad in
          ["A", "a b", "a_b", "-a", "a-", "a--b", "2d", "../x", "a/b", "x" * 33, "ä", "a\n"]),
        ("genzoo-near", "family", "'near'"),
        ("vae", "family", "vae of genzoo-vae"),
        ("vae", "metric", "vae of genzoo-vae"),
        ("wgan", "family", "wgan of genzoo-wgan-gp"),
        ("dcgan-mnist", "family", "an installed model"),
        ("digits", "dataset", "built-in data set"),
        ("fid", "metric", "built-in metric"),
        ("near", "model", "'model'"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_used_is_refused(name, kind, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["plugin", "new", "--kind", kind, "--", name]) == 2
    err = capsys.readouterr().err
    assert named in err
    assert err.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


def test_a_name_that_was_installed_is_taken(install, tmp_path):
    install("dataset", "bars", "")
    install("metric", "other", "", package="genzoo-near")
    for name, kind in (("bars", "dataset"), ("bars", "family"), ("near", "family")):
        with pytest.raises(BadInput, match=f"'{name}'.* of genzoo-"):
            scaffold.new_plugin(name, kind, tmp_path / "new")
    (tmp_path / "site-packages" / "genzoo_loose.py").write_text("")
    with pytest.raises(BadInput, match="genzoo_loose"):
        scaffold.new_plugin("loose", "family", tmp_path / "new")


def test_our_own_packages_keep_their_names_where_they_are_not_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(families, "required_packages", lambda: {"genzoo-ghost"})
    with pytest.raises(BadInput, match="genzoo-ghost"):
        scaffold.new_plugin("ghost", "metric", tmp_path / "new")


def test_a_new_plugin_takes_the_genzoo_that_it_was_written_with(monkeypatch):
    monkeypatch.setattr(scaffold, "VERSION", "0.3.0rc1")
    assert '"genzoo>=0.3.0rc1,<0.4"' in scaffold._rendered("near", "family")["pyproject.toml"]


@pytest.mark.parametrize("word", ["true", "false"])
def test_a_word_of_the_language_is_no_class(word, tmp_path):
    made = scaffold.new_plugin(word, "family", tmp_path / word)
    ast.parse((made / f"genzoo_{word}.py").read_text())


def test_a_name_begins_with_a_letter(tmp_path):
    with pytest.raises(BadInput, match="1abc"):
        scaffold.new_plugin("1abc", "family", tmp_path / "digit")


def test_what_is_there_stays_as_it_is(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("full", "file", "link"):
        with pytest.raises(BadInput, match=f"{name} exists"):
            scaffold.new_plugin("near", "family", tmp_path / name)
    with pytest.raises(BadInput, match="none"):
        scaffold.new_plugin("near", "family", tmp_path / "none" / "new")
    assert {p.name for p in tmp_path.iterdir()} - {"home"} == {"full", "file", "link"}


def test_a_disk_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    write, calls = Path.write_text, []

    def fail(self, *arguments, **more):
        calls.append(self)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return write(self, *arguments, **more)

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OperationFailed, match="No space left on device"):
        scaffold.new_plugin("near", "family", tmp_path / "new")
    assert [p for p in tmp_path.iterdir() if p.name != "home"] == []


# ------------------------------------------------------------------- the journey, as others make it


class Environment:
    """A virtual environment that sees everything that is installed here, but no genzoo."""

    def __init__(self, folder):
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        (self.site,) = folder.glob("lib/python*/site-packages")
        others = folder / "others"
        others.mkdir()
        for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
            if "genzoo" not in entry.name and entry.suffix != ".pth":
                (others / entry.name).symlink_to(entry)
        (self.site / "others.pth").write_text(f"{others}\n")

    def install(self, *wheels):
        pip = [sys.executable, "-m", "pip", "--python", str(self.folder / "bin" / "python")]
        line = [*pip, "install", "-q", "--no-index", "--no-deps", "--no-compile"]
        line += ["--disable-pip-version-check", *map(str, wheels)]
        subprocess.run(line, check=True, env=self._variables({}))

    def run(self, *line, cwd, code=0, **variables):
        """(stdout, stderr) of a command of the environment, which must end with ``code``."""
        program, *rest = line
        where = self.folder / "bin"
        words = [str(where / program) if program == "genzoo" else str(where / "python"), *rest]
        told = {"capture_output": True, "text": True, "cwd": cwd}
        done = subprocess.run(words, env=self._variables(variables), check=False, **told)
        assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr

    def genzoo(self, *lines, cwd, **variables):
        """The stdout of each command, all of which must succeed."""
        told = json.dumps(lines)
        out, _ = self.run("python", "-c", SCRIPT, told, cwd=cwd, **variables)
        said = json.loads(out)
        failed = {line: err for line, (code, _, err) in zip(lines, said, strict=True) if code}
        assert failed == {}
        return [out for _, out, _ in said]

    def _variables(self, more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HF_"))}
        kept |= {"PYTHONPATH": offline.FOLDER, "HF_HUB_OFFLINE": "1"}
        return {**kept, "GENZOO_HOME": str(self.folder / "home"), **more}


@pytest.fixture(scope="module")
def packages(tmp_path_factory, build):
    """The folder of a new package of each kind, and their wheels by kind."""
    folder = tmp_path_factory.mktemp("packages")
    made = {kind: scaffold.new_plugin(f"near-{kind}", kind, folder / kind) for kind in KINDS}
    wheels = build(made.values(), folder)
    return folder, {kind: next(w for w in wheels if f"near_{kind}" in w.name) for kind in KINDS}


@pytest.fixture(scope="module")
def author(tmp_path_factory, wheels, packages):
    environment = Environment(tmp_path_factory.mktemp("author") / "venv")
    environment.install(*wheels, *packages[1].values())
    return environment


@pytest.fixture(scope="module")
def reader(tmp_path_factory, wheels):
    """Somebody else, who has genzoo and no plugin of others yet."""
    environment = Environment(tmp_path_factory.mktemp("reader") / "venv")
    environment.install(*wheels)
    return environment


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_each_environment_has_its_own_genzoo(author, reader, here):
    code = "import genzoo; print(genzoo.__file__)"
    for environment in (author, reader):
        out, _ = environment.run("python", "-c", code, cwd=here)
        assert out.startswith(str(environment.site))


def test_their_own_tests_pass(author, packages, here):
    folders = [str(packages[0] / kind / "tests") for kind in KINDS]
    line = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "-rA", *folders)
    out, _ = author.run("python", *line, cwd=here)
    assert re.search(r"^\d+ passed", out, re.M)
    for kind in KINDS:
        assert re.search(rf"^PASSED .*test_near_{kind}.py", out, re.M), out


def test_a_new_family_goes_from_training_to_somebody_else(author, reader, packages, here):
    with Loopback() as web:
        hub = {"HF_ENDPOINT": web.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
               "HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN": "hf_test", "NO_PROXY": "127.0.0.1",
               "HF_HOME": str(here / "hf")}  # fmt: skip
        _, _, compared, _, pushed = author.genzoo(
            "train near-family --data digits --steps 60 --set width=64 --license mit --threads 1"
            " --out mine",
            "sample ./mine -n 4 -o mine.npy",
            "compare ./mine vae-mnist --data mnist --metrics sharpness -n 400 -o page --json",
            "evaluate ./mine --metrics near-metric -n 400 --write",
            "push ./mine zoo/mine",
            cwd=here,
            **hub,
        )
        models = {m["name"].removeprefix("./") for m in json.loads(compared)["models"]}
        assert {"mine", "vae-mnist"} <= models
        assert pushed.startswith(f"{web.url}/zoo/mine")
        hub["HF_HOME"] = str(here / "other-hf")
        line = ("genzoo", "sample", "zoo/mine", "-n", "4", "-o", "theirs.npy")
        _, err = reader.run(*line, cwd=here, code=2, **hub)
        assert "no family is called 'near-family'" in err
        assert "pip install" not in err
        assert err.count("\n") == 1
        assert not (here / "theirs.npy").exists()
        reader.install(packages[1]["family"])
        reader.run(*line, cwd=here, **hub)
    assert (here / "theirs.npy").read_bytes() == (here / "mine.npy").read_bytes()


def test_a_new_data_set_is_trained_on_and_measured_against(author, here):
    _, out = author.genzoo(
        "train vae --data near-dataset --steps 3 --set width=8 --set batch_size=8 --out mine",
        "evaluate ./mine --metrics near-metric -n 100 --json",
        cwd=here,
    )
    (score,) = json.loads(out)["scores"]
    assert score["name"] == "near-metric-near-dataset"
    assert score["protocol"]["real"] == "3,000 training images"
    assert 0 <= score["floor"] < score["value"]


def test_all_of_them_are_listed_and_checked(author, here):
    checks = [f"plugin check near-{kind}" for kind in KINDS]
    listed, *checked = author.genzoo("plugin list --json", *checks, cwd=here)
    found = {p["name"]: (p["kind"], p["state"]) for p in json.loads(listed)}
    for kind, out in zip(KINDS, checked, strict=True):
        assert found[f"near-{kind}"] == (kind, "ok")
        assert re.search(r"\d+ checks passed", out)
        assert "broken" not in out
    assert [p.name for p in status.inspect(("dataset",)) if p.name == "near-dataset"] == []
