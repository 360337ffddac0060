"""A file or a folder is written whole or not at all, whatever goes wrong on the way."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from genzoo import files
from genzoo.errors import BadInput, OperationFailed
from genzoo.files import check_free, check_new, locked, synced, whole, whole_folder, write_whole
from genzoo.models.samples import Images


def content(folder):
    """What is in a folder, below it and hidden."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def fill(folder, text):
    (folder / "inner").mkdir()
    for name in ("one", "inner/two"):
        with synced(folder / name) as file:
            file.write(text)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x" * 300, r"cannot write .*\.\.\.: File name too long"),
        ("new\nline", r"'\\n'; choose another name"),
        ("a\tb", r"'\\t'"),
        ("a\x1b[2J", r"'\\x1b'"),
        ("a\u2028b", r"'\\u2028'"),
        ("a\0b", r"'\\x00'"),
    ],
)
@pytest.mark.parametrize("parent", [".", "folder"])
def test_a_name_that_no_script_could_use_is_refused(name, says, parent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(BadInput, match=says):
        check_free(Path(parent, name), ["config.json"], force=False)
    with pytest.raises(BadInput, match=says):
        check_new(Path(parent, f"{name}.png"), [".png"])


@pytest.mark.parametrize("name", ["模型🎨", "été 1", "a\u3000b", "\udcff", "👨\u200d👩"])
def test_other_names_are_taken(name, tmp_path):
    check_new(tmp_path / f"{name}.png", [".png"])


def test_a_folder_is_there_when_the_block_ends(tmp_path):
    with whole_folder(tmp_path / "x") as aside:
        fill(aside, b"new")
        assert not (tmp_path / "x").exists()
        assert aside.parent == tmp_path  # renamed, not copied
    assert content(tmp_path) == {"x/one": b"new", "x/inner/two": b"new"}


def test_a_folder_takes_the_place_of_another(tmp_path):
    for text in (b"old", b"new"):
        with whole_folder(tmp_path / "x") as aside:
            fill(aside, text)
            (aside / text.decode()).touch()
    assert content(tmp_path) == {"x/one": b"new", "x/inner/two": b"new", "x/new": b""}


@pytest.mark.parametrize("error", [ValueError("own"), KeyboardInterrupt(), OSError(errno.EIO, "x")])
@pytest.mark.parametrize("exists", [False, True])
def test_an_error_in_the_block_leaves_the_folder_as_it_was(error, exists, tmp_path):
    if exists:
        (tmp_path / "x").mkdir()
        fill(tmp_path / "x", b"old")
    before = content(tmp_path)
    expected = OperationFailed if isinstance(error, OSError) else type(error)

    def fail():
        with whole_folder(tmp_path / "x") as aside:
            fill(aside, b"new")
            raise error

    with pytest.raises(expected) as caught:
        fail()
    assert content(tmp_path) == before
    assert len([*tmp_path.iterdir()]) == exists
    if isinstance(error, OSError):
        assert str(tmp_path / "x") in str(caught.value)
        assert caught.value.__cause__ is error


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    fill(tmp_path / "x", b"old")
    rename = Path.rename

    def fails(self, target):
        if (self / "inner").exists() and (self / "one").read_bytes() == b"new":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OperationFailed, match="No space left"), whole_folder(tmp_path / "x") as new:
        fill(new, b"new")
    assert content(tmp_path) == {"x/one": b"old", "x/inner/two": b"old"}


def test_a_link_to_a_folder_stays_one(tmp_path):
    (tmp_path / "disk/real").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk/real")
    with whole_folder(tmp_path / "link") as aside:
        fill(aside, b"new")
        assert aside.parent == tmp_path / "disk"  # of one disk, so that a rename moves it
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "disk") == {"real/one": b"new", "real/inner/two": b"new"}


def test_two_threads_write_one_name(tmp_path):
    """Each writes beside, under a name of its own: one of them wins, whole."""
    start = threading.Barrier(2)

    def write(text):
        with whole(tmp_path / "file") as aside:
            start.wait()
            aside.write_bytes(text * 1000)
            start.wait()

    threads = [threading.Thread(target=write, args=[text]) for text in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() in (b"a" * 1000, b"b" * 1000)


def test_what_is_synced_is_flushed_before_the_rename(tmp_path, monkeypatch):
    synced_sizes, sync = [], os.fsync

    def fsync(descriptor):
        synced_sizes.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(tmp_path / "file", b"1234")
    with synced(tmp_path / "other") as file:
        file.write(b"123")
    assert synced_sizes == [4, 3]


@pytest.mark.parametrize("together", [True, False])
def test_a_folder_of_samples_is_flushed_before_it_has_its_name(together, tmp_path, monkeypatch):
    """By one call, or, where that fails, file by file."""
    many, flushed, sync = tmp_path / "many", [], os.fsync

    def flush(folder):
        assert not many.exists()
        flushed.extend(path.stat().st_size for path in folder.iterdir() if together)
        return together

    def fsync(descriptor):
        assert not many.exists()
        flushed.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    assert files._flushed_together(tmp_path) == (sys.platform == "linux")
    monkeypatch.setattr(files, "_flushed_together", flush)
    monkeypatch.setattr(os, "fsync", fsync)
    Images(torch.rand(3, 1, 4, 4)).save(many)
    assert sorted(flushed) == sorted(path.stat().st_size for path in many.iterdir())
    assert len(flushed) == 4


HOLDER = """import sys
from pathlib import Path
from genzoo.files import locked
with locked(Path(sys.argv[1])) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


def test_a_lock_holds_between_processes_and_ends_with_them(tmp_path):
    lock = tmp_path / "lock"
    with locked(lock, wait=False) as held:
        assert held
        with locked(lock, wait=False) as again:
            assert not again
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"True\n"
        with locked(lock, wait=False) as held:
            assert not held
        other.kill()
        other.wait(10)
        with locked(lock, wait=True) as held:
            assert held
