"""The cache: shown, cleaned and bounded; nothing twice in it, nothing removed that is in use, and a
cut array is an error, not the end of the process.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genzoo import data
from genzoo.cli import run as command
from genzoo.data import entries
from genzoo.errors import BadInput, OperationFailed
from genzoo.files import home
from genzoo.runs import launch


@pytest.fixture(autouse=True)
def no_limit(monkeypatch):
    monkeypatch.delenv(entries.LIMIT, raising=False)


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def arrays():
    """The arrays on the disk, each file once however many names it has."""
    return {path.stat().st_ino: path for path in home().glob("data/*/array")}


def names():
    return sorted((stored.kind, Path(stored.name).name) for stored in entries.listing())


# --------------------------------------------------------------------------------- nothing twice


def touch(folder):
    os.utime(folder / "00.png", (1, 1))
    return folder


def touch_all(folder):
    for path in folder.iterdir():
        path.touch()
    return folder


def move(folder):
    return folder.rename(folder.with_name("moved"))


def copy(folder):
    return shutil.copytree(folder, folder.with_name("copy"))


def add_text(folder):
    (folder / "notes.png.txt").write_text("no image")
    return folder


@pytest.mark.parametrize("change", [touch, touch_all, move, copy, add_text])
@pytest.mark.parametrize("in_use", [True, False])
def test_the_same_pictures_take_no_space_twice(change, in_use, faces):
    before = data.open(faces)
    sha256 = before.sha256
    if not in_use:
        del before
    after = data.open(change(faces))
    assert after.sha256 == sha256
    assert len(arrays()) == 1
    if change in (touch, touch_all, add_text) and not in_use:
        assert len(entries.listing()) == 1


def keep_time(path, write):
    """Give a file the size and time that it had, as cp -p, tar and rsync do."""
    stat = path.stat()
    write()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("how", ["in place", "replaced", "exchanged", "zip"])
def test_other_pixels_are_seen_also_with_the_same_size_and_time(how, tmp_path):
    folder, packed = tmp_path / "set", tmp_path / "set.zip"
    folder.mkdir()
    contents = []
    for shade, part in enumerate(("train", "test")):
        (folder / part).mkdir()
        Image.new("L", (8, 8), shade).save(folder / part / "1.bmp")
        contents.append((folder / part / "1.bmp").read_bytes())
        os.utime(folder / part / "1.bmp", (1, 1))

    def pack(first):
        with zipfile.ZipFile(packed, "w") as archive:
            for part, content in zip(("train", "test"), contents[first:] + contents, strict=False):
                archive.writestr(zipfile.ZipInfo(f"{part}/1.bmp"), content)

    pack(0)
    place = packed if how == "zip" else folder
    one, two = folder / "train/1.bmp", folder / "test/1.bmp"
    assert (data.open(place).array == 0).all()
    if how == "zip":
        keep_time(packed, lambda: pack(1))
    elif how == "in place":
        keep_time(one, lambda: one.write_bytes(contents[1]))
    elif how == "replaced":
        keep_time(one, lambda: Path(shutil.copy(two, folder / "x")).replace(one))
    else:
        one.rename(folder / "x"), two.rename(one), (folder / "x").rename(two)
    assert (data.open(place).array == 1).all()


def test_an_earlier_state_of_a_folder_goes(faces):
    first = data.open(faces).sha256
    data.open(faces, "test")
    data.open(faces, size=8)
    (faces / "00.png").write_bytes((faces / "01.png").read_bytes())
    after = data.open(faces)
    assert after.sha256 != first
    data.open(faces, "test")
    shapes = sorted((stored.split, entries.header(stored.path).shape[1:]) for stored in
                    entries.listing())  # fmt: skip
    assert shapes == [("test", (1, 16, 16)), ("train", (1, 8, 8)), ("train", (1, 16, 16))]


def test_an_earlier_state_that_is_in_use_stays(faces):
    before = data.open(faces)
    pixels = np.array(before.array)
    (faces / "00.png").unlink()
    data.open(faces)
    assert len(entries.listing()) == 2
    assert (before.array == pixels).all()


def test_a_damaged_twin_is_not_shared(faces):
    sha256 = data.open(faces).sha256
    (path,) = arrays().values()
    stat = path.stat()
    with path.open("r+b") as file:
        file.write(b"damaged")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = data.open(copy(faces))
    assert after.sha256 == sha256
    assert bytes(after.array[0].data) != b"damaged" + bytes(after.array[0].data)[7:]


# ---------------------------------------------------------------------------------------- a limit


def aged(name, days):
    """Let the entry be used last ``days`` ago."""
    for stored in entries.listing():
        if stored.name == name:
            then = time.time() - days * 86_400
            for path in [stored.path, *stored.path.rglob("*")]:
                os.utime(path, (then, then))


def test_what_was_unused_longest_goes_first(monkeypatch):
    for days, name in enumerate(("ring8", "grid25", "mixture3"), 1):
        data.open(name, "test")
        aged(name, days)
    assert [stored.name for stored in entries.listing()] == ["ring8", "grid25", "mixture3"]
    data.open("mixture3", "test")  # used again
    monkeypatch.setenv(entries.LIMIT, "400kB")
    data.open("gaussian1d", "test")
    assert {stored.name for stored in entries.listing()} == {"ring8", "mixture3", "gaussian1d"}


def test_what_is_in_use_stays_and_it_is_said(monkeypatch, caplog):
    used = data.open("ring8", "test")
    view = used.array[3:]
    del used
    monkeypatch.setenv(entries.LIMIT, "10kB")
    data.open("gaussian1d", "test")
    assert len(entries.listing()) == 2
    assert "more than its limit" in caplog.text
    assert view.shape == (9_997, 2)
    del view
    data.open("mixture3", "test")
    assert [stored.name for stored in entries.listing()] == ["mixture3"]


def test_what_another_process_uses_stays():
    code = "from genzoo import data; x = data.open('ring8', 'test'); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        (stored,) = entries.listing()
        assert not entries.remove(stored)
        assert entries.shrink(0) == []
        other.communicate(b"\n")
    assert entries.remove(stored)
    assert entries.listing() == []


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10GB", 10**10),
        ("1.5 mb", 1_500_000),
        ("7", 7),
        ("2k", 2000),
        ("0", 0),
        ("3 TB", 3 * 10**12),
    ],
)
def test_sizes(text, size):
    assert entries.parse_size(text) == size


@pytest.mark.parametrize("text", ["-1", "10 apples", "GB", "1e9", "nan", "1GB2", "9" * 400])
def test_what_is_no_size_is_refused(text, monkeypatch, capsys):
    monkeypatch.setenv(entries.LIMIT, text)
    with pytest.raises(BadInput, match=f"GENZOO_CACHE_LIMIT.*10GB.*{text[:40]}"):
        data.open("ring8", "test")
    assert command(["cache", "--limit", text]) == 2
    assert "10GB" in capsys.readouterr().err


# ------------------------------------------------------------------------------------ the command


@pytest.fixture
def full(faces):
    """Of each kind one, and a folder's two splits."""
    data.open(faces)
    data.open(faces, "test")
    data.open("ring8", "test")
    (home() / "downloads" / "MNIST").mkdir(parents=True)
    (home() / "downloads" / "MNIST" / "images.gz").write_bytes(b"x" * 3000)
    (home() / "references").mkdir()
    (home() / "references" / f"{'a' * 32}.safetensors").write_bytes(b"y" * 500)
    model = home() / "hub" / "someone--thing" / ("0" * 40) / "thing"
    model.mkdir(parents=True)
    (model / "config.json").write_bytes(b"z" * 700)
    (home() / "folders.json").write_text("{}")


def test_it_is_shown(full, capsys):
    assert command(["cache"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:-1]].count("data") == 3
    for text in ("someone/thing@0000000", "MNIST", "ring8", "faces", "train", "700 B", "3 kB"):
        assert text in out
    total = sum(stored.bytes for stored in entries.listing())
    assert out.splitlines()[-1].endswith(f"in the cache ({home()})")
    assert command(["cache", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["bytes"], len(told["entries"])) == (total, 6)
    assert command(["cache", "faces", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["entries"]) == 2


def test_an_empty_cache_is_shown(capsys):
    assert command(["cache"]) == 0
    assert capsys.readouterr().out == f"0 B in the cache ({home()})\n"


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--clean"], set()),
        (["faces", "--clean"], {"ring8", "MNIST", "a" * 12, "thing@0000000"}),
        (["someone/thing@0000000", "--clean"], {"faces", "ring8", "MNIST", "a" * 12}),
        (["--older-than", "1", "--clean"], {"faces", "ring8", "MNIST", "a" * 12, "thing@0000000"}),
        (["--older-than", "0", "--clean"], set()),
        (["--limit", "0"], set()),
        (["--limit", "1GB"], {"faces", "ring8", "MNIST", "a" * 12, "thing@0000000"}),
    ],
)
def test_it_is_cleaned(words, left, full, capsys):
    assert command(["cache", *words]) == 0
    assert "removed" in capsys.readouterr().out
    assert {name for _, name in names()} == left
    assert (home() / "folders.json").exists()
    assert not list(home().rglob(".*"))


def test_what_is_in_use_is_not_cleaned(full, capsys):
    used = data.open("ring8", "test")
    assert command(["cache", "--clean"]) == 0
    assert "in use, not removed: ring8 test" in capsys.readouterr().out
    assert names() == [("data", "ring8")]
    assert len(used) == 10_000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing"], "no entry of the cache is called 'nothing'"),
        (["--limit", "1GB", "--clean"], "give it alone"),
        (["--older-than", "-1"], "--older-than"),
    ],
)
def test_a_wrong_request(words, says, full, capsys):
    assert command(["cache", *words]) == 2
    assert says in capsys.readouterr().err
    assert len(entries.listing()) == 6


def test_a_damaged_entry_is_shown_and_cleaned(capsys):
    data.open("ring8", "test")
    (path,) = home().glob("data/*/meta.json")
    path.write_text("[]")
    assert command(["cache", "damaged", "--clean"]) == 0
    assert entries.listing() == []


# -------------------------------------------------------------------------------------- cut arrays


def cut(size=100):
    (path,) = arrays().values()
    os.truncate(path, size)


@pytest.mark.parametrize("use", ["batch", "subset", "transform", "slice of pairs"])
def test_an_array_that_is_cut_while_in_use_is_an_error(use, faces, tmp_path):
    if use == "slice of pairs":
        copy(faces)
        one, _ = data.open_pair(f"{faces},{tmp_path / 'copy'}", aligned=True)
    else:
        one = data.open(faces)
    cut()
    uses = {
        "subset": lambda: data.dataset.subset(one, "part", np.ones(len(one), bool)),
        "transform": lambda: data.transforms.transformed(one, "edges"),
    }
    with pytest.raises(OperationFailed, match=r"was cut \(expected [\d,]+ bytes, got 100\)"):
        uses.get(use, lambda: one.batch([0, 1]))()
    again = data.open(faces) if use != "slice of pairs" else None
    if again:
        assert again.batch([0, 1]).shape == (2, 1, 16, 16)
        assert again.sha256 == one.sha256


def test_a_run_whose_data_are_cut_stops_and_goes_on(faces, tmp_path):
    values = {"size": 16, "channels": 1, "width": 8, "latent_dim": 2, "batch_size": 4}
    settings = {"device": "cpu", "values": values, "checkpoint_every": 2, "steps": 6}
    straight = launch.start("vae", faces, tmp_path / "straight", **settings).go()
    run = launch.start("vae", faces, tmp_path / "cut", **settings)

    def report(status):
        if status.step == 3:
            cut()

    with pytest.raises(OperationFailed, match="was cut"):
        run.go(report)
    launch.resume(run.folder).go()
    weights = [(folder / "model.safetensors").read_bytes() for folder in (straight, run.folder)]
    assert weights[0] == weights[1]
