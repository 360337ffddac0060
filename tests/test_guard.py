"""What every test starts from (conftest.py): its own seed, no real data, no network."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import offline
import pytest

ROOT = Path(__file__).parent.parent
ELSEWHERE = "192.0.2.1"  # kept for examples (RFC 5737): nobody's

RULED = """
import os, random, socket, subprocess, sys
import numpy, pytest, torch

def draws():
    return [torch.rand(1).item(), numpy.random.rand(), random.random()]

@pytest.fixture(scope="module")
def shared():
    return draws()

def test_one(shared):
    print("one", draws(), shared)

def test_two(shared):
    print("two", draws(), shared)

def test_three():
    assert "GENZOO_DATA" not in os.environ
    try:
        socket.create_connection(("192.0.2.1", 80))
    except OSError:
        pass

def test_four():
    code = "import urllib.request as u; u.urlopen('http://nobody.invalid')"
    subprocess.run([sys.executable, "-c", code])

@pytest.mark.data
def test_five():
    assert os.environ["GENZOO_DATA"] == "somewhere"
"""


@pytest.fixture(scope="module")
def ruled(tmp_path_factory):
    """What pytest says of ``RULED`` as our own conftest rules it: forth, and of two tests back."""
    folder = tmp_path_factory.mktemp("ruled")
    tests = []
    for file, names in {
        "forth": ("one", "two", "three", "four", "five"),
        "back": ("two", "one"),
    }.items():
        path = folder / f"test_{file}.py"
        path.write_text(RULED)
        tests += [f"{path}::test_{name}" for name in names]
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "conftest", "-vs"]
    command += ["-p", "no:cacheprovider", "-W", "ignore::pytest.PytestUnknownMarkWarning"]
    env = {**os.environ, "GENZOO_DATA": "somewhere"}
    line = [*command, *tests]
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True).stdout


def test_draws_depend_on_no_other_test(ruled):
    drawn = {
        name: re.findall(rf"^.*\b{name} (\[.*?\]) (\[.*?\])$", ruled, re.M)
        for name in ("one", "two")
    }
    for forth, back in drawn.values():
        assert forth == back
    assert drawn["one"][0][0] != drawn["two"][0][0]


def test_a_request_fails_the_test_that_made_it_though_it_was_caught(ruled):
    assert "2 failed, 5 passed" in ruled
    assert "a request beyond loopback:\nsocket.getaddrinfo of '192.0.2.1' in" in ruled
    assert "a request beyond loopback:\nsocket.getaddrinfo of 'nobody.invalid' in -c" in ruled


@pytest.mark.parametrize(
    ("kind", "ask"),
    [
        (socket.SOCK_STREAM, lambda _: socket.getaddrinfo("nobody.invalid", 80)),
        (socket.SOCK_STREAM, lambda _: socket.gethostbyname("nobody.invalid")),
        (socket.SOCK_STREAM, lambda one: one.connect((ELSEWHERE, 80))),
        (socket.SOCK_STREAM, lambda one: one.connect_ex((ELSEWHERE, 80))),
        (socket.SOCK_DGRAM, lambda one: one.sendto(b"x", (ELSEWHERE, 53))),
        (socket.SOCK_DGRAM, lambda one: one.sendmsg([b"x"], [], 0, (ELSEWHERE, 53))),
    ],
)
def test_requests_beyond_loopback_are_refused(kind, ask):
    with (
        socket.socket(socket.AF_INET, kind) as one,
        pytest.raises(OSError, match="no test may reach beyond loopback"),
    ):
        ask(one)
    assert re.search("nobody|" + re.escape(ELSEWHERE), offline.requests())


@pytest.mark.parametrize(
    ("host", "here"),
    [
        (None, True), ("", True), (b"localhost", True), ("127.0.0.1", True), ("127.9.9.9", True),
        ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", True), ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False), ("127.0.0.1.example.org", False), ("fe80::1", False),
        ("huggingface.co", False), (b"huggingface.co", False),
    ],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(host, here):
    assert offline.stays_here(host) is here


def test_loopback_is_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
    assert not offline.requests()


def test_ci_runs_the_readmes_command():
    """What a reader is told to type is what is checked: the same words, in the same order."""
    block = re.search(r"The second runs the tests:.*?```bash\n(.*?)```", README, re.S)[1]
    install, tests = block.strip().split(" && ")
    lines = [line.removeprefix("alone ") for line in CI.splitlines()]
    assert lines.index(install) < lines.index(tests)
    assert f"alone {tests}" in CI.splitlines(), "without data and without a network"


README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()
