"""push, pull, search, cite, and models of the Hub in every other command: output and exit codes."""

import json
import os
import subprocess
import sys

import pytest
from loopback import status

from genzoo import cli
from genzoo.zoo import manifest

NAME = "zoo/dcgan-tiny"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs a command: (exit code, stdout, stderr)."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments):
        code = cli.run([*map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_push(web, folder, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    code, out, err = run("push", folder, NAME, "--tag", "v1", "--private")
    assert (code, out, err) == (0, f"{web.url}/{NAME}/tree/v1\n", "")
    assert web.repos[NAME].private
    code, out, err = run("push", folder, NAME, "--json")
    assert (code, err) == (0, "")
    head = web.repos[NAME].head
    told = {"repo": NAME, "commit": head, "url": f"{web.url}/{NAME}/tree/{head}", "tag": None}
    assert json.loads(out) == told


def test_pull(web, published, run, tmp_path):
    assert run("pull", f"{NAME}@{published}") == (0, "dcgan-tiny\n", "")
    assert (tmp_path / "here" / "dcgan-tiny" / manifest.CONFIG).is_file()
    code, out, err = run("pull", NAME, "-o", "other", "--discriminator", "--json")
    assert (code, err) == (0, "")
    files = sorted({*manifest.FILES} - {"samples.png", "samples.wav"})
    assert json.loads(out) == {"path": "other", "files": files}
    code, out, err = run("pull", NAME, "-o", "other")
    assert (code, out) == (2, "")
    assert "config.json" in err
    assert run("pull", NAME, "-o", "other", "--force")[0] == 0


def test_search(web, files, run):
    web.add("zoo/a", files)
    web.add("zoo/\x1b[2J", files)
    code, out, _ = run("search", "dcgan")
    assert code == 0
    assert out.splitlines()[0].split() == ["name", "license", "downloads", "changed", "tags"]
    assert out.splitlines()[1].split()[:5] == ["zoo/a", "mit", "3", "2026-11-01", "dcgan"]
    assert "\x1b" not in out
    code, out, _ = run("search", "--json", "--limit", "1")
    (found,) = json.loads(out)
    assert (found["name"], found["license"]) == ("zoo/a", "mit")
    assert run("search", "nothing", "--json")[:2] == (0, "[]\n")


def test_cite(web, published, run):
    code, out, err = run("cite", NAME)
    assert (code, err) == (0, "")
    assert out.startswith("@misc{genzoo-dcgan-paper,")
    assert published in out
    assert json.loads(run("cite", NAME, "--json")[1]) == {"name": NAME, "bibtex": out[:-1]}


def test_a_model_of_the_hub_is_a_model(web, published, run):
    name = f"{NAME}@{published}"
    assert run("sample", name, "-n", "2") == (0, "dcgan-tiny.png\n", "")
    code, out, _ = run("info", name, "--json")
    assert (code, json.loads(out)["scores"][0]["name"]) == (0, "fd-mnist")
    code, _, err = run("compare", name, NAME)
    assert (code, NAME in err) == (2, True)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("sample zoo/nothing", 2, "zoo/nothing"),
        ("sample zoo/dcgan-tiny@v9", 2, "zoo/dcgan-tiny@v9"),
        ("sample zoo/dcgan-tiny@../x", 2, "'../x'"),
        ("sample zoo/other", 4, "zoo/other"),
        ("sample dcgan-tinny", 2, "'dcgan-tinny'"),
        ("pull zoo/nothing", 2, "zoo/nothing"),
        ("pull ./x", 2, "'./x'"),
        ("push ./nothing zoo/x", 2, "nothing"),
        ("push . zoo/x", 4, "config.json"),
        ("push . zoo", 2, "'zoo'"),
        ("search a/b", 2, "'a/b'"),
        ("search --limit 0", 2, "limit"),
        ("cite no-such-model", 2, "no-such-model"),
    ],
)
def test_what_cannot_be_done_is_one_line(web, published, run, line, code, says):
    web.add("zoo/other", {"README.md": b""})
    got, out, err = run(*line.split())
    assert (got, out) == (code, "")
    assert err.startswith("genzoo: ")
    assert err.count("\n") == 1
    assert says in err


@pytest.mark.parametrize(
    "line", [f"sample {NAME}", f"info {NAME}", f"pull {NAME}", "search", f"cite {NAME}"]
)
def test_a_hub_with_trouble_is_3(web, published, run, line):
    web.on("/api", status(503))
    code, out, err = run(*line.split(), "--json")
    assert (code, out) == (3, "")
    (last,) = [told for told in err.splitlines() if told.startswith("{")]
    error = json.loads(last)["error"]
    assert (error["code"], "503" in error["message"]) == (3, True)


def test_a_process_of_its_own_says_one_line(web, published, tmp_path):
    """The client speaks of every try on stderr, unless it is told that nobody watches."""
    web.on("HEAD .*/resolve", status(503, Retry_After="0"), times=2)
    web.on("GET .*/resolve", status(403))
    env = {**os.environ, "HF_HOME": str(tmp_path / "apart"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    env |= {"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", "from genzoo.cli import main; main()", "info", NAME],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"genzoo: {NAME}@{published[:7]}: ")
    assert "403" in line


def test_the_first_push_of_a_process_finds_its_client():
    """In a process of its own: here, an earlier test has imported all that the client has."""
    code = (
        "from genzoo.zoo.hub_client import connected, quiet_progress\n"
        "with connected('x') as library, quiet_progress(): print(library.HfApi)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
