"""What a Hub, a network and a disk do wrong: one line each, bounded waits, a cache that serves."""

import errno
import os
import resource
import signal

import pytest
from loopback import git_name, sha256, silence, status

import genzoo
from genzoo.errors import InvalidModel, NetworkError, OperationFailed, UnknownName
from genzoo.zoo import hub, manifest

NAME = "zoo/dcgan-tiny"
WEIGHTS = r"GET /zoo/.*/resolve/.*model\.safetensors"


def refusal(kind, name=NAME, **options):
    """The one line that fetching says."""
    with pytest.raises(kind) as caught:
        hub.fetch(name, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


def nothing_is_left(tmp_path):
    """No half file, in our cache and the client's."""
    found = [p for p in tmp_path.rglob("*") if "incomplete" in p.name or p.name.startswith("tmp")]
    mine = tmp_path / "home" / "hub"
    return not found and not [p for p in mine.rglob("*") if p.is_file() and p.name != "main"]


# ------------------------------------------------------------------- who may, and what there is


def test_a_missing_model(web):
    line = refusal(UnknownName, "zoo/nothing")
    assert line.startswith("zoo/nothing is not on the Hub")
    assert "hf auth login" in line


def test_a_private_model(web, files, monkeypatch):
    web.add(NAME, files, private=True)
    assert "private" in refusal(UnknownName)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    assert hub.fetch(NAME).is_dir()
    assert web.tokens == {"hf_test"}


def test_a_gated_model(web, files, monkeypatch):
    web.add(NAME, files, gated=True)
    line = refusal(NetworkError)
    assert f"is gated: ask for access at {web.url}/{NAME}" in line
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    assert hub.fetch(NAME).is_dir()


def test_a_missing_revision(web, published):
    assert f"{NAME}@v9" in refusal(UnknownName, f"{NAME}@v9")
    none = "0" * 40
    assert f"{NAME}@0000000" in refusal(UnknownName, f"{NAME}@{none}")


def test_a_renamed_model(web, published, caplog):
    web.renamed["zoo/old-name"] = NAME
    folder = hub.fetch("zoo/old-name")
    assert caplog.messages == [f"zoo/old-name was renamed to {NAME}"]
    assert (folder.parent.name, folder.name) == (published, "old-name")
    assert hub.fetch("zoo/old-name", local_files_only=True) == folder


def test_a_repository_that_is_no_genzoo_model(web, files):
    web.add("o/m", {"README.md": b"", "pytorch_model.bin": b"\x80\x02"})
    assert "no config.json; pickles are never read" in refusal(InvalidModel, "o/m")
    web.add("o/n", {**files, "config.json": b'{"architectures": ["Bert"]}'})
    line = refusal(InvalidModel, "o/n")
    assert "got null" in line
    assert line.startswith(f"o/n@{web.repos['o/n'].head[:7]}/config.json")
    got = [line for line in web.asked if "/o/n/resolve" in line]
    assert all("config.json" in line for line in got), "the rest was fetched all the same"


@pytest.mark.parametrize("name", ["config.json", "README.md", "metrics.json"])
def test_what_is_far_too_large_is_not_downloaded(web, files, name):
    web.add(NAME, {**files, name: b" " * (manifest.LARGEST_JSON + 1)})
    assert f"{name} has 1048577 bytes, the limit is 1048576" in refusal(InvalidModel)
    assert not [line for line in web.asked if "/resolve/" in line]


def test_weights_that_are_far_too_large_are_not_downloaded(web, published, files, monkeypatch):
    monkeypatch.setenv("GENZOO_MAX_WEIGHT_BYTES", "100")
    assert "model.safetensors has" in refusal(InvalidModel)
    assert not [line for line in web.asked if "/resolve/" in line]


def test_weights_that_their_config_does_not_know(web, files, tmp_path):
    web.add(NAME, {**files, manifest.WEIGHTS: files[manifest.WEIGHTS][:-1] + b"\1"})
    line = refusal(InvalidModel)
    assert "checksum mismatch: model.safetensors" in line
    assert nothing_is_left(tmp_path)


# ---------------------------------------------------------------------------------------- statuses

ASKS = "GET /api/models"


@pytest.mark.parametrize(
    ("code", "headers", "says"),
    [
        (400, {}, "BadRequestError"),
        (401, {"X_Error_Message": "Invalid credentials in Authorization header"}, "HF_TOKEN"),
        (402, {}, "402"),
        (403, {}, "403"),
        (403, {"X_Error_Code": "GatedRepo"}, "is gated"),
        (403, {"X_Error_Message": "Access to this resource is disabled."}, "disabled"),
        (404, {}, "404"),
        (418, {}, "418"),
    ],
)
def test_a_refusal_is_not_repeated(web, published, waits, code, headers, says):
    web.on(ASKS, status(code, **headers))
    assert says in refusal(NetworkError)
    assert (len(web.asked), waits) == (1, [])


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_hub_is_asked_three_times(web, published, waits, code):
    web.on(ASKS, status(code))
    line = refusal(NetworkError)
    assert ("too many requests" if code == 429 else str(code)) in line
    assert (len(web.asked), waits) == (3, [1, 2])


def test_a_hub_that_was_busy_for_a_moment(web, published, waits):
    web.on(ASKS, status(503), times=2)
    assert hub.fetch(NAME).parent.name == published
    assert waits == [1, 2]


def test_the_hub_may_say_how_long_it_takes(web, published, waits):
    web.on(ASKS, status(429, Retry_After="7"), times=1)
    assert hub.fetch(NAME).parent.name == published
    assert waits == [7]


@pytest.mark.parametrize("wait", ["3600", "9" * 400])
def test_but_nobody_is_made_to_wait_for_an_hour(web, published, waits, wait):
    web.on(ASKS, status(429, Retry_After=wait))
    assert "429" in refusal(NetworkError)
    assert sum(waits) < 10


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize(
    ("code", "says"),
    [
        (403, "403"),
        (404, "404"),
        (429, "429"),
        (500, "500"),
        (503, "503"),
    ],
)
def test_a_file_that_cannot_be_had(web, published, waits, tmp_path, method, code, says):
    web.on(f"{method} /zoo/.*/resolve", status(code))
    assert says in refusal(NetworkError)
    assert sum(waits) < 60
    assert nothing_is_left(tmp_path)
    web.faults.clear()
    assert genzoo.load(NAME, device="cpu").origin.revision == published


def test_a_listed_file_that_is_not_there(web, published):
    web.on("(HEAD|GET) .*/resolve/.*metrics", lambda r: r.refuse(404, "EntryNotFound"))
    assert "lacks a file that it lists" in refusal(InvalidModel)


# ------------------------------------------------------------------------------------ the network


def test_a_dead_hub(web, published, waits):
    web.die()
    assert "cannot reach the Hub" in refusal(NetworkError)
    assert waits == []


def test_a_silent_hub(web, published, waits, impatient):
    web.on(ASKS, silence(3))
    assert "did not answer within 0.5 seconds" in refusal(NetworkError)
    assert waits == []


def test_a_hub_that_falls_silent_in_the_middle(web, published, waits, tmp_path, impatient):
    web.on("GET .*/resolve/.*safetensors", silence(0.8))
    refusal(NetworkError)
    assert sum(waits) < 60
    assert nothing_is_left(tmp_path)


def redirect(request):
    request.answer(302, b"", {"Location": request.path})


@pytest.mark.parametrize("where", [ASKS, "HEAD /zoo", "GET /zoo"])
def test_a_redirect_loop(web, published, where, waits):
    web.on(where, redirect)
    assert "too many redirects" in refusal(NetworkError)


def test_files_on_another_host(web, published, files):
    """As the Hub does it: large files are redirected to a host of another name, without a token."""

    def elsewhere(request):
        there = web.url.replace("127.0.0.1", "localhost")
        headers = {"X-Repo-Commit": published, "ETag": f'"{sha256(files[manifest.WEIGHTS])}"'}
        headers["X-Linked-Size"] = str(len(files[manifest.WEIGHTS]))
        request.answer(302, b"", {**headers, "Location": f"{there}/elsewhere"})

    web.on(r"/resolve/.*safetensors", elsewhere)
    web.on("GET /elsewhere", lambda r: r.answer(200, files[manifest.WEIGHTS]))
    assert (hub.fetch(NAME) / manifest.WEIGHTS).read_bytes() == files[manifest.WEIGHTS]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"id": 3}', b"\xff\xfe", b"null"])
def test_an_answer_that_is_none(web, published, body):
    web.on(ASKS, lambda r: r.answer(200, body))
    refusal(NetworkError)


@pytest.mark.parametrize(
    "lie", [{"sha": "../../x"}, {"sha": None}, {"id": "../../x"}, {"siblings": [{"rfilename": 1}]}]
)
def test_an_answer_that_lies(web, published, lie, tmp_path):
    told = web.repos[NAME].described(published) | lie
    web.on(ASKS, lambda r: r.answer(200, told))
    with pytest.raises((NetworkError, InvalidModel)):
        hub.fetch(NAME)
    assert nothing_is_left(tmp_path)


# ------------------------------------------------------------------------------- bodies, the disk


def cut(request):
    """Half of the file, then nothing: the connection dies."""
    repo = request.hub.repos[NAME]
    content = repo.commits[repo.head][manifest.WEIGHTS]
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content[: len(content) // 2])
    request.wfile.flush()
    request.hang_up()


def test_a_connection_that_dies_once_is_taken_up_again(web, published, files):
    web.on(WEIGHTS, cut, times=1)
    assert (hub.fetch(NAME) / manifest.WEIGHTS).read_bytes() == files[manifest.WEIGHTS]


def test_a_connection_that_always_dies(web, published, waits, tmp_path):
    web.on(WEIGHTS, cut)
    web.on("Range", cut)
    refusal(NetworkError)
    assert sum(waits) < 60
    assert nothing_is_left(tmp_path)
    web.faults.clear()
    assert genzoo.load(NAME, device="cpu").origin.revision == published


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_is_too_short(web, published, files, name, tmp_path):
    web.on(
        f"GET .*/resolve/.*{name}",
        lambda r: r.send_file(files[name], name, published, files[name][:-9]),
    )
    assert "download failed" in refusal(NetworkError)
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md", "metrics.json"])
def test_a_damaged_file_of_the_right_size(web, published, files, name, tmp_path):
    """The client takes it, and would keep it."""
    damaged = files[name][:-1] + bytes([files[name][-1] ^ 1])
    web.on(f"GET .*/resolve/.*{name}", lambda r: r.send_file(files[name], name, published, damaged))
    assert f"{name} was damaged" in refusal(NetworkError)
    assert nothing_is_left(tmp_path)
    web.faults.clear()
    assert (hub.fetch(NAME) / name).read_bytes() == files[name]


def test_a_file_that_is_damaged_once_is_fetched_again(web, published, files):
    name = manifest.WEIGHTS
    damaged = files[name][:-1] + bytes([files[name][-1] ^ 1])
    web.on(WEIGHTS, lambda r: r.send_file(files[name], name, published, damaged), times=1)
    assert (hub.fetch(NAME) / name).read_bytes() == files[name]


@pytest.fixture
def ctrl_c():
    """As on a terminal: a process that a shell put into the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_the_middle(web, published, files, tmp_path, ctrl_c):
    def interrupt(request):
        os.kill(os.getpid(), signal.SIGINT)
        cut(request)

    web.on(WEIGHTS, interrupt, times=1)
    with pytest.raises(KeyboardInterrupt):
        hub.fetch(NAME)
    assert nothing_is_left(tmp_path)
    assert genzoo.load(NAME, device="cpu").origin.revision == published


@pytest.fixture
def small_disk():
    """Files of at most 3,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(web, published, small_disk, tmp_path):
    small_disk(5000)
    line = refusal(OperationFailed)
    small_disk(resource.RLIM_INFINITY)
    assert "cannot write" in line
    assert nothing_is_left(tmp_path)
    assert genzoo.load(NAME, device="cpu").origin.revision == published


def test_a_cache_of_our_own_that_is_full(web, published, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(hub.shutil, "copyfile", full)
    assert "No space left on device" in refusal(OperationFailed)
    monkeypatch.undo()
    assert nothing_is_left(tmp_path)


def test_a_disk_that_knows_no_links(web, published, files, monkeypatch):
    def unknown(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unknown)
    assert (hub.fetch(NAME) / manifest.WEIGHTS).read_bytes() == files[manifest.WEIGHTS]


def test_a_cache_that_may_not_be_written_serves_what_it_has(web, published, monkeypatch):
    hub.fetch(f"{NAME}@{published}")

    def no(*_):
        raise OperationFailed("cannot write")

    monkeypatch.setattr(hub, "write_whole", no)
    assert hub.fetch(NAME).parent.name == published


def test_what_is_in_the_way_is_no_cache(web, published, tmp_path):
    (tmp_path / "home").write_text("a file")
    assert "cannot write" in refusal(OperationFailed)


def test_a_note_that_is_damaged_is_none(web, published, tmp_path):
    hub.fetch(NAME)
    (note,) = (tmp_path / "home").rglob("main")
    for text in ("../../x", "", "\udcff", published.upper()):
        note.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert "is not in the cache" in refusal(NetworkError, local_files_only=True)
    assert hub.fetch(NAME).parent.name == published
    assert note.read_text() == published


def test_the_loopback_speaks_gits_names():
    assert git_name(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
