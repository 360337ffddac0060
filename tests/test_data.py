"""Data sets: opened by name or folder, split, decoded once, cached; and every bad input."""

import contextlib
import dataclasses
import errno
import gzip
import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from genzoo import data
from genzoo.data import cache, celeba, cifar10, decoding, downloads, folders
from genzoo.data.dataset import subset
from genzoo.errors import BadInput, NetworkError, OperationFailed, UnknownName
from genzoo.files import locked


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, request):
    """A cache of its own for every test, and no files but those it makes."""
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "home"))
    if "data" not in request.keywords:
        monkeypatch.delenv("GENZOO_DATA", raising=False)
    return tmp_path / "home"


def encoded(pixels, mode=None, kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def fill(folder: Path, names, *shape: int, first: int = 0) -> Path:
    for seed, name in enumerate(names, first):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(noise(seed, *shape)))
    return folder


def tenths(count: int) -> list[str]:
    return [f"{index:03}.png" for index in range(count)]


def entries(home: Path) -> list[Path]:
    return [path for path in (home / "data").iterdir() if not path.name.endswith(".lock")]


# ---------------------------------------------------------------------------------- names


def test_names_and_descriptions():
    assert set(data.names()) == {
        "mnist", "fashion-mnist", "cifar10", "celeba", "mnist-binarized", "mnist-binary",
        "stacked-mnist", "digits", "digits-inverted", "gaussian1d", "mixture3", "ring8", "grid25",
        "tones", "plucked",
    }  # fmt: skip
    for name in data.names():
        source = data.describe(name)
        assert source.name == name
        assert source.summary
        assert source.terms
        assert (source.kind == "images") == (source.levels > 0)
        assert (source.kind == "signals") == (source.rate > 0)


def test_importing_it_imports_no_torch_and_no_numpy():
    code = "import genzoo.data, sys; genzoo.data.names(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert not {b"torch", b"numpy", b"PIL", b"sklearn", b"torchvision"} & set(modules.split())


@pytest.mark.parametrize(
    ("name", "near"), [("mnits", "mnist"), ("faces", "./faces"), ("cifar-10", "cifar10")]
)
def test_unknown_names_show_near_ones_and_how_a_folder_is_written(
    name, near, tmp_path, monkeypatch
):
    monkeypatch.chdir(fill(tmp_path, ["faces/a.png"], 8, 8))  # the disk must not decide
    with pytest.raises(UnknownName, match=near) as caught:
        data.open(name)
    assert f"./{name}" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (["ring8", "valid"], {}, "'valid'.* train and test"),
        (["ring8"], {"size": 8}, "ring8 .*size"),
        (["ring8"], {"rate": 8000}, "ring8 .*rate"),
        (["digits"], {"length": 28}, "digits holds images: leave length out, it takes size"),
        (["tones"], {"size": 8}, "tones holds signals: leave size out, it takes length"),
        (["tones"], {"length": 0}, "length .* got 0"),
        (["tones"], {"rate": 8000.0}, "rate .* got 8000.0"),
        (["tones"], {"channels": 3}, "channels .* 1 to 2, got 3"),
        (["digits"], {"size": 0}, "got 0"),
        (["digits"], {"size": 5000}, "got 5000"),
        (["digits"], {"size": True}, "got True"),
        (["digits"], {"size": "28"}, "got '28'"),
        (["digits"], {"channels": 4}, "channels .*1 or 3.* 4"),
        (["mnist"], {"root": "/no/such/root"}, "root '/no/such/root'"),
        (["ring8,grid25"], {}, "'ring8,grid25'"),
        (["./no-such"], {}, "folder.* ./no-such"),
        ([Path("no-such.zip")], {}, "no-such.zip"),
        ([3], {}, "got int"),
        (["mnist-binarized"], {}, "mnist-binarized"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, options, says):
    with pytest.raises(BadInput, match=says) as caught:
        data.open(*arguments, **options)
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------- folders


def test_a_folder_of_classes(tmp_path):
    fill(tmp_path / "set", ["train/b/1.png", "train/a/2.png", "test/a/3.png"], 6, 6, 3)
    fill(tmp_path / "set", ["train/b/.hidden.png", ".git/x.png"], 6, 6, 3)
    (tmp_path / "set" / "train" / "notes.txt").write_text("no image")
    train, test = data.open(tmp_path / "set"), data.open(tmp_path / "set", "test")
    assert (train.kind, train.levels, train.classes) == ("images", 256, ("a", "b"))
    assert (len(train), train.shape, len(test)) == (2, (3, 6, 6), 1)
    assert train.labels.tolist() == [0, 1]
    assert train.labels.dtype == np.int64
    assert test.labels.tolist() == [0]
    assert (train.array[0] == noise(1, 6, 6, 3).transpose(2, 0, 1)).all()
    assert train.sha256 == hashlib.sha256(bytes(train.array) + bytes(train.labels)).hexdigest()


@pytest.mark.parametrize("prefix", ["", "faces/", "a/b/"])
def test_one_subfolder_or_none_is_unlabelled(tmp_path, prefix):
    fill(tmp_path / "set", [prefix + name for name in tenths(12)], 5, 5)
    opened = data.open(tmp_path / "set")
    assert opened.labels is None
    assert opened.labels_of([0]) is None
    assert opened.classes == ()
    assert opened.shape == (1, 5, 5)


def test_images_beside_class_folders_are_refused(tmp_path):
    fill(tmp_path / "set", ["a/1.png", "b/2.png", "3.png"], 5, 5)
    with pytest.raises(BadInput, match=r"1 files .*3\.png.* a, b"):
        data.open(tmp_path / "set")


def test_splits_are_disjoint_complete_and_stable_when_files_are_added(tmp_path):
    folder = fill(tmp_path / "set", tenths(60), 4, 4)

    def rows(split):
        return {bytes(image) for image in data.open(folder, split).array}

    train, test = rows("train"), rows("test")
    assert len(train) + len(test) == 60
    assert not train & test
    assert 1 <= len(test) <= 15
    fill(folder, [f"0{name}" for name in tenths(60)], 4, 4, first=100)
    assert train < rows("train")
    assert test < rows("test")
    (folder / "000.png").rename(folder / "zzz.png")
    assert len(rows("train") | rows("test")) == 120


def test_a_zip_is_split_as_its_folder_is(tmp_path):
    folder = fill(tmp_path / "set", [f"{c}/{n}" for c in "ab" for n in tenths(20)], 4, 4)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in folder.rglob("*.png"):
            archive.write(path, Path("wrapped", path.relative_to(folder)))
        archive.writestr("__MACOSX/wrapped/._1.png", b"rubbish")
    for split in ("train", "test"):
        one, two = data.open(folder, split), data.open(str(tmp_path / "set.zip"), split)
        assert one.sha256 == two.sha256
        assert two.classes == ("a", "b")
        assert two.skipped == ()


def test_an_empty_split_is_refused(tmp_path):
    fill(tmp_path / "set", ["1.png"], 4, 4)
    full = decoding.split_of((tmp_path / "set" / "1.png").read_bytes())
    empty = "test" if full == "train" else "train"
    with pytest.raises(BadInput, match=f"{empty} split"):
        data.open(tmp_path / "set", empty)


@pytest.mark.parametrize("content", [None, "notes.txt", ".hidden.png"])
def test_a_folder_without_images_is_refused(tmp_path, content):
    (tmp_path / "set").mkdir()
    if content:
        (tmp_path / "set" / content).write_bytes(encoded(noise(0, 4, 4)))
    with pytest.raises(BadInput, match="no images in"):
        data.open(tmp_path / "set")


def test_files_that_are_no_set_are_refused(tmp_path):
    (tmp_path / "set.tar").write_bytes(b"x")
    (tmp_path / "set.zip").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"set\.tar"):
        data.open(tmp_path / "set.tar")
    with pytest.raises(BadInput, match=r"set\.zip"):
        data.open(tmp_path / "set.zip")


def test_broken_images_are_named_skipped_and_counted(tmp_path, caplog, monkeypatch):
    folder = fill(tmp_path / "set" / "train", ["a/1.png", "a/4.png", "b/5.png"], 9, 9)
    fill(tmp_path / "set" / "test", ["a/1.png"], 9, 9)
    (folder / "a" / "0.png").write_bytes(b"not an image")
    (folder / "a" / "2.png").write_bytes(encoded(noise(7, 9, 9))[:-40])
    (folder / "a" / "3.png").symlink_to(tmp_path / "gone.png")
    (folder / "b" / "6.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    fill(folder, ["b/7.png"], 12, 12)  # between one and two times the limit: Pillow only warns
    fill(folder, ["b/8.png"], 30, 30)
    for _ in range(2):  # decoded, then from the cache
        caplog.clear()
        opened = data.open(tmp_path / "set")
        assert len(opened) == 3
        assert opened.labels.tolist() == [0, 0, 1]
        names = ["a/0.png", "a/2.png", "a/3.png", "b/6.png", "b/7.png", "b/8.png"]
        assert opened.skipped == tuple(f"train/{name}" for name in names)
        assert "2 broken files (no image): train/a/0.png, train/b/6.png" in caplog.text
        assert "1 broken file (truncated): train/a/2.png" in caplog.text
        assert "1 broken file (not a regular file): train/a/3.png" in caplog.text
        assert "2 broken files (too large): train/b/7.png, train/b/8.png" in caplog.text


def test_nothing_but_broken_images_is_refused(tmp_path, home):
    for name in ("train/1.png", "test/2.png"):
        fill(tmp_path / "set", [name], 4, 4)
        (tmp_path / "set" / name).write_bytes(b"x")
    with pytest.raises(BadInput, match="2 images"):
        data.open(tmp_path / "set")
    fill(tmp_path / "set", ["test/3.png"], 4, 4)
    with pytest.raises(BadInput, match=r"all 1 files of .* are broken: train/1.png"):
        data.open(tmp_path / "set")
    assert entries(home) == []


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path):
    fill(tmp_path / "elsewhere", tenths(3), 4, 4)
    fill(tmp_path / "set", ["train/a/1.png", "test/a/1.png"], 4, 4)
    (tmp_path / "set" / "train" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "train" / "a" / "up").symlink_to(tmp_path / "set")
    assert data.open(tmp_path / "set").labels.tolist() == [0, 1, 1, 1]


# ------------------------------------------------------------------------ images of any kind


def grey16() -> bytes:
    return encoded(Image.fromarray(np.full((8, 8), 0x8080, dtype=np.uint16)))


def palette() -> bytes:
    return encoded(np.full((8, 8, 3), (200, 100, 50), dtype=np.uint8), "P")


def clear() -> bytes:  # black, but wholly transparent
    return encoded(np.zeros((8, 8, 4), dtype=np.uint8))


def cmyk() -> bytes:
    return encoded(np.full((8, 8, 3), 255, dtype=np.uint8), "CMYK", "JPEG")


def bits() -> bytes:
    return encoded(np.full((8, 8), 255, dtype=np.uint8), "1")


@pytest.mark.parametrize(
    ("make", "natural", "colour"),
    [
        (grey16, 1, (128, 128, 128)),
        (palette, 3, (204, 102, 51)),
        (clear, 3, (255, 255, 255)),
        (cmyk, 3, (255, 255, 255)),
        (bits, 1, (255, 255, 255)),
    ],
)
def test_every_mode_becomes_grey_or_rgb(tmp_path, make, natural, colour):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.png").write_bytes(make())
    assert data.open(tmp_path).shape == (natural, 8, 8)
    rgb = data.open(tmp_path, channels=3).array[0, :, 4, 4].astype(int)
    assert np.abs(rgb - colour).max() <= 6
    assert data.open(tmp_path, channels=1).shape == (1, 8, 8)


def test_sixteen_bits_are_rounded_to_eight(tmp_path):
    """A level of 255 is 257 levels of 65535."""
    deep = np.array([[0, 128, 129, 257], [32896, 65406, 65407, 65535]], dtype=np.uint16)
    (tmp_path / "1.png").write_bytes(encoded(Image.fromarray(deep)))
    pixels = data.picture(tmp_path / "1.png", 1)
    assert pixels[0].tolist() == [[0, 0, 1, 1], [128, 254, 255, 255]]


def test_photographs_are_turned_upright(tmp_path):
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.png").write_bytes(encoded(pixels, exif=exif))
    assert data.open(tmp_path).array[0, 0, :, 0].tolist() == [255] * 4 + [0] * 4


def test_unlike_or_oblong_images_need_a_size(tmp_path):
    fill(tmp_path / "oblong", ["train/1.png", "test/1.png"], 6, 9)
    with pytest.raises(BadInput, match=r"\(test/1.png: 9x6\).* size="):
        data.open(tmp_path / "oblong")
    fill(tmp_path / "mixed", ["train/1.png", "test/1.png"], 8, 8)
    fill(tmp_path / "mixed", ["train/2.png"], 12, 12)
    with pytest.raises(BadInput, match=r"8x8 and 12x12 \(.*train/2.png\).* size="):
        data.open(tmp_path / "mixed")
    assert data.open(tmp_path / "oblong", size=4).shape == (1, 4, 4)
    assert data.open(tmp_path / "mixed", size=4).shape == (1, 4, 4)


def test_size_takes_the_centre_square(tmp_path):
    pixels = np.zeros((10, 30), dtype=np.uint8)
    pixels[:, 10:20] = 255
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.png").write_bytes(encoded(pixels))
    assert (data.open(tmp_path, size=10).array == 255).all()
    big = data.open(tmp_path, size=20)
    assert big.shape == (1, 20, 20)
    assert (big.array == 255).all()


def test_splits_agree_in_channels(tmp_path):
    fill(tmp_path, ["test/1.png", "test/2.png"], 4, 4)
    fill(tmp_path, ["train/1.png"], 4, 4, 3)
    assert data.open(tmp_path).shape == data.open(tmp_path, "test").shape == (3, 4, 4)


# ---------------------------------------------------------------------------------- pairs


def test_two_folders_are_two_domains(tmp_path):
    fill(tmp_path / "x", ["train/1.png", "test/1.png"], 4, 4)
    fill(tmp_path / "y", ["train/1.png", "train/2.png", "test/1.png"], 4, 4, first=9)
    one, two = data.open_pair(f"{tmp_path}/x,{tmp_path}/y")
    assert (len(one), len(two)) == (1, 2)
    fill(tmp_path / "z", ["train/1.png", "test/1.png"], 5, 5)
    with pytest.raises(BadInput, match=r"\(1, 4, 4\).*\(1, 5, 5\)"):
        data.open_pair(f"{tmp_path}/x,{tmp_path}/z")
    for bad in ("ring8", f"{tmp_path}/x,", "a,b,c"):
        with pytest.raises(BadInput, match="A,B"):
            data.open_pair(bad)


def test_the_layout_of_cyclegan_is_two_domains(tmp_path):
    fill(tmp_path, [f"{part}/{n}.png" for part in ("trainA", "trainB") for n in range(40)], 4, 4)
    fill(tmp_path, ["testA/1.png"], 4, 4)
    summer, winter = data.open_pair(tmp_path)
    assert (len(summer), summer.labels) == (40, None)
    assert 1 <= 40 - len(winter) == len(data.open_pair(tmp_path, "test")[1])  # there is no testB
    assert len(data.open_pair(tmp_path, "test")[0]) == 1
    with pytest.raises(BadInput, match="no trainA and trainB"):
        data.open_pair(fill(tmp_path / "plain", ["1.png"], 4, 4))


# -------------------------------------------------------------------------------- batches


def test_batches_equal_torchvisions(tmp_path):
    import torch
    from torchvision import datasets, transforms

    names = [f"train/{c}/{n}.png" for c in "ab" for n in range(5)]
    fill(tmp_path, [*names, "test/a/1.png", "test/b/1.png"], 7, 7, 3)
    theirs = datasets.ImageFolder(str(tmp_path / "train"), transforms.ToTensor())
    ours = data.open(tmp_path)
    order = [3, 9, 0, 3]
    batch = ours.batch(torch.tensor(order))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    assert torch.equal(batch, torch.stack([theirs[i][0] for i in order]))
    assert torch.equal(ours.labels_of(order), torch.tensor([theirs[i][1] for i in order]))
    flip = np.array([True, False, False, True])
    flipped = ours.batch(order, flip=flip)
    assert torch.equal(flipped[flip], batch[flip].flip(-1))
    assert torch.equal(flipped[~flip], batch[~flip])
    assert ours.batch([]).shape == (0, 3, 7, 7)


def test_bad_indices_and_flips_are_refused():
    points = data.open("ring8", "test")
    with pytest.raises(IndexError):
        points.batch([10_000])
    for bad in ([0.5], np.ones(3, dtype=bool), 3, [[1]]):
        with pytest.raises(BadInput, match="indices"):
            points.batch(bad)
    digits = data.DataSet("x", "train", "images", noise(0, 2, 1, 4, 4), None, (), 256, "", (), "")
    for bad in ([True], [0, 1]):
        with pytest.raises(BadInput, match="flip"):
            digits.batch([0, 1], flip=bad)


def test_the_array_is_a_map_that_nobody_can_write_to():
    opened = data.open("ring8", "test")
    assert isinstance(opened.array, np.memmap)
    for array in (opened.array, opened.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


# ------------------------------------------------------------------------------ the cache


def test_a_changed_file_is_seen(tmp_path):
    fill(tmp_path / "set", ["train/1.png", "test/1.png"], 4, 4)
    before = data.open(tmp_path / "set")
    path = tmp_path / "set" / "train" / "1.png"
    later = path.stat().st_mtime_ns + 1000
    fill(tmp_path / "set", ["train/1.png"], 4, 4, first=5)
    os.utime(path, ns=(later, later))
    assert data.open(tmp_path / "set").sha256 != before.sha256


def test_folders_alike_in_names_sizes_and_times_are_kept_apart(tmp_path):
    for seed, place in enumerate("xy"):
        for part in ("train", "test"):
            (tmp_path / place / part).mkdir(parents=True)
            path = tmp_path / place / part / "1.ppm"
            path.write_bytes(encoded(noise(seed, 4, 4, 3), kind="PPM"))
            os.utime(path, (0, 0))
    assert data.open(tmp_path / "x").sha256 != data.open(tmp_path / "y").sha256


def forbid_decoding(monkeypatch):
    def never(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache, "_write_entry", never)


def test_a_set_is_decoded_once(tmp_path, monkeypatch):
    fill(tmp_path / "set", ["train/1.png", "test/1.png"], 4, 4)
    before = data.open(tmp_path / "set")
    forbid_decoding(monkeypatch)
    after = data.open(tmp_path / "set")
    assert after.sha256 == before.sha256
    assert (after.array == before.array).all()
    with pytest.raises(AssertionError, match="decoded again"):
        data.open(tmp_path / "set", size=3)


def shorten(entry: Path):
    os.truncate(entry / "array", 1000)


def lengthen(entry: Path):
    with (entry / "array").open("ab") as file:
        file.write(b"x")


def no_labels(entry: Path):
    (entry / "labels").unlink()


def fewer_labels(entry: Path):
    os.truncate(entry / "labels", 24)


def part_of_a_label(entry: Path):
    os.truncate(entry / "labels", 1001)


def another_pixel(entry: Path):
    with (entry / "array").open("r+b") as file:
        file.write(b"x")


def another_label(entry: Path):
    with (entry / "labels").open("r+b") as file:
        file.write(b"x")


def half_meta(entry: Path):
    (entry / "meta.json").write_text((entry / "meta.json").read_text()[:50])


def other_meta(entry: Path):
    (entry / "meta.json").write_text("[]")


@pytest.mark.parametrize(
    "damage",
    [
        *(shorten, lengthen, another_pixel, no_labels, fewer_labels, part_of_a_label),
        *(another_label, half_meta, other_meta),
    ],
)
def test_a_damaged_entry_is_made_again(home, damage):
    digest = data.open("ring8", "test").sha256
    (entry,) = entries(home)
    damage(entry)
    after = data.open("ring8", "test")
    assert digest == hashlib.sha256(bytes(after.array) + bytes(after.labels)).hexdigest()
    assert entries(home) == [entry]


def test_a_copied_entry_is_believed_by_its_hash(home, monkeypatch):
    before = data.open("ring8", "test")
    (entry,) = entries(home)
    os.utime(entry / "array", ns=(1, 1))
    forbid_decoding(monkeypatch)
    assert (data.open("ring8", "test").array == before.array).all()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(home, monkeypatch, code):
    def full(_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OperationFailed, match=r"cache .* GENZOO_HOME") as caught:
            data.open("ring8", "test")
    assert ("free some space" in str(caught.value)) == (code == errno.ENOSPC)
    assert entries(home) == []
    assert len(data.open("ring8", "test")) == 10_000


def test_a_real_write_that_fails_is_an_error_not_a_crash(home):
    code = (
        "import resource, genzoo.data as d\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "d.open('ring8', 'test')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "OperationFailed: cannot write the cache" in ran.stderr
    assert entries(home) == []


def test_the_cache_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv("GENZOO_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    data.open("ring8", "test")
    assert (tmp_path / "xdg" / "genzoo" / "data").is_dir()


def test_a_cache_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "file"))
    with pytest.raises(OperationFailed, match="cache"):
        data.open("ring8", "test")


@pytest.fixture
def slow_folder(tmp_path):
    """Images that take a second or two to decode: one big JPEG many times."""
    jpeg = encoded(noise(0, 700, 700, 3), kind="JPEG")
    for part, count in (("train", 120), ("test", 1)):
        (tmp_path / "slow" / part).mkdir(parents=True)
        for index in range(count):
            (tmp_path / "slow" / part / f"{index:03}.jpg").write_bytes(jpeg)
    return tmp_path / "slow"


OPENER = """
import logging, pathlib, sys, time
import numpy, PIL.Image
import genzoo.data
from genzoo.data import decoding
decode, decoding.BLOCK = decoding.decoded, 1  # each image is written by itself, and takes its time
decoding.decoded = lambda *words: time.sleep(0.005) or decode(*words)
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
here = pathlib.Path(sys.argv[2])
here.with_suffix(".ready").touch()
while not here.with_name("go").exists():
    time.sleep(0.001)
print(genzoo.data.open(pathlib.Path(sys.argv[1]), size=16).sha256)
"""


def opener(folder: Path, name: str) -> subprocess.Popen:
    arguments = [sys.executable, "-c", OPENER, str(folder), str(folder.parent / name)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def test_two_processes_at_once_decode_once_and_agree(slow_folder, home):
    around = slow_folder.parent
    with opener(slow_folder, "one") as one, opener(slow_folder, "two") as two:
        wait_for(lambda: len(list(around.glob("*.ready"))) == 2)
        (around / "go").touch()
        told = [one.communicate(timeout=60), two.communicate(timeout=60)]
    assert [one.returncode, two.returncode] == [0, 0], told
    assert told[0][0] == told[1][0] == data.open(slow_folder, size=16).sha256 + "\n"
    assert sum(err.count("decoding") for _, err in told) == 1
    assert len(entries(home)) == 1


def test_a_process_killed_half_way_leaves_nothing_that_is_trusted(slow_folder, home):
    (slow_folder.parent / "go").touch()
    with opener(slow_folder, "one") as one:
        written = "data/.*/array"
        wait_for(lambda: any(path.stat().st_size for path in home.glob(written)))
        one.send_signal(signal.SIGKILL)
        one.communicate(timeout=60)
    assert one.returncode == -signal.SIGKILL
    (left,) = entries(home)
    assert left.name.startswith(".")
    data.open("ring8", "test")  # another set sweeps it too, as nobody holds its lock
    assert not left.exists()
    left.mkdir()
    assert len(data.open(slow_folder, size=16)) == 120
    assert not any(path.name.startswith(".") for path in entries(home))


@pytest.mark.parametrize("name", [".abc.1-2", "abc.tmp-1-2"])  # of today, of version 0.1
def test_work_under_way_is_not_swept(home, name):
    (home / "data" / name).mkdir(parents=True)
    with locked(home / "data" / "abc.lock") as held:
        assert held
        data.open("ring8", "test")
        assert (home / "data" / name).exists()
    data.open("ring8")
    assert not (home / "data" / name).exists()


# ------------------------------------------------------------------------- sets made here


@pytest.mark.parametrize(
    ("name", "modes", "centre", "deviation"),
    [
        ("gaussian1d", 1, [4.0], 0.5),
        ("mixture3", 3, [3.0], 0.5),
        ("ring8", 8, [2**0.5, -(2**0.5)], 0.02),
        ("grid25", 25, [4.0, 4.0], 0.05),
    ],
)
def test_made_points(name, modes, centre, deviation):
    train, test = data.open(name), data.open(name, "test")
    assert (len(train), len(test), train.levels) == (50_000, 10_000, 0)
    assert train.array.dtype == np.float32
    assert train.shape == (len(centre),)
    assert not (train.array[:100] == test.array[:100]).any()
    last = train.array if modes == 1 else train.array[train.labels == modes - 1]
    assert np.abs(last.mean(0) - centre).max() < 4 * deviation / len(last) ** 0.5
    assert np.abs(last.std(0) / deviation - 1).max() < 0.1
    if modes > 1:
        counts = np.bincount(train.labels)
        assert len(counts) == modes == len(train.classes)
        assert np.abs(counts / 50_000 * modes - 1).max() < 0.1
    assert train.batch([1, 2]).tolist() == train.array[1:3].tolist()


@pytest.mark.parametrize(
    ("name", "first"),
    [("mixture3", [0.25282851]), ("ring8", [-1.35590255, 1.43646586])],
)
def test_made_points_stay_as_they_are(name, first):
    """The numbers in lectures and checkpoints rest on these bytes."""
    assert data.open(name, "test").array[0].tolist() == pytest.approx(first, abs=1e-7)


def test_digits():
    pytest.importorskip("sklearn")
    train, test = data.open("digits"), data.open("digits", "test")
    assert (len(train), len(test), train.shape) == (1500, 297, (1, 28, 28))
    assert set(train.labels) == set(test.labels) == set(range(10))
    assert train.array.max() == 255
    assert 0.2 < train.batch(range(200)).mean() < 0.4
    assert data.open("digits", "test", size=32, channels=3).shape == (3, 32, 32)


def test_inverted_digits_are_the_negatives_of_the_digits():
    pytest.importorskip("sklearn")
    digits, negatives = data.open("digits"), data.open("digits-inverted")
    assert np.array_equal(negatives.array, 255 - digits.array)
    assert np.array_equal(negatives.labels, digits.labels)


def test_digits_without_scikit_learn_say_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(OperationFailed, match='pip install "scikit-learn>='):
        data.open("digits")


# --------------------------------------------------------------- named sets from made files


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + bytes(array)


def write_mnist(folder: Path, pack=gzip.compress, end=".gz") -> Path:
    folder.mkdir(parents=True)
    for part, count in (("train", 30), ("t10k", 20)):
        images, labels = noise(count, count, 28, 28), np.arange(count, dtype=np.uint8) % 10
        (folder / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels)))
    return folder


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("mnist", "mnist/MNIST/raw"),
        ("mnist", "MNIST/raw"),
        ("fashion-mnist", "fashion-mnist/FashionMNIST/raw"),
        ("fashion-mnist", "FashionMNIST/raw"),
    ],
)
@pytest.mark.parametrize("end", [".gz", ""])
def test_mnist_files_are_found_and_read(tmp_path, monkeypatch, name, layout, end):
    write_mnist(tmp_path / "root" / layout, gzip.compress if end else bytes, end)
    by_root = data.open(name, "test", root=tmp_path / "root")
    monkeypatch.setenv("GENZOO_DATA", str(tmp_path / "root"))
    assert data.open(name, "test").sha256 == by_root.sha256
    assert (by_root.array[:, 0] == noise(20, 20, 28, 28)).all()
    assert by_root.labels.tolist() == [*range(10), *range(10)]
    assert len(by_root.classes) == 10
    assert len(data.open(name)) == 30


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole + b"x",
        lambda whole: b"\0\0\x0d\x03" + whole[4:],
        lambda whole: whole[:7],
        lambda whole: whole[:4] + b"\xff\xff\xff\xff" + whole[8:],
    ],
)
def test_damaged_mnist_files_are_refused(tmp_path, damage):
    folder = write_mnist(tmp_path / "MNIST" / "raw")
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(damage(gzip.decompress(path.read_bytes()))))
    with pytest.raises(BadInput, match="train-images"):
        data.open("mnist", root=tmp_path)


def test_a_cut_gzip_and_unlike_counts_are_refused(tmp_path):
    folder = write_mnist(tmp_path / "MNIST" / "raw")
    path = folder / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(BadInput, match=r"cannot read .*train-images"):
        data.open("mnist", root=tmp_path)
    path.write_bytes(whole)
    labels = folder / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx(np.zeros(29, dtype=np.uint8))))
    with pytest.raises(BadInput, match=r"30 images.* 29 labels"):
        data.open("mnist", root=tmp_path)
    labels.write_bytes(gzip.compress(idx(np.full(30, 10, dtype=np.uint8))))
    with pytest.raises(OperationFailed, match="values out of range"):
        data.open("mnist", root=tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_points_that_are_not_finite_are_refused(value):
    points = np.zeros((20, 2), np.float32)
    points[10, 1] = value
    source = SimpleNamespace(name="lost", kind="points", classes=())
    with pytest.raises(OperationFailed, match=r"lost returned .*not float32 \(n, d\), finite"):
        decoding.check_block(source, points, None)


def test_mnist_binary_is_a_draw_of_mnist(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw")
    grey, drawn = (data.open(name, root=tmp_path) for name in ("mnist", "mnist-binary"))
    assert drawn.levels == 2
    assert set(np.unique(drawn.array)) == {0, 255}
    assert (drawn.array[grey.array == 0] == 0).all()
    assert (drawn.array[grey.array == 255] == 255).all()
    assert abs(float(drawn.array.mean()) - float(grey.array.mean())) < 3
    assert (drawn.labels == grey.labels).all()
    with pytest.raises(BadInput, match=r"mnist-binary .*28"):
        data.open("mnist-binary", root=tmp_path, size=32)


def test_stacked_mnist_is_three_digits_a_picture(tmp_path, home):
    write_mnist(tmp_path / "MNIST" / "raw")
    for split, count in (("train", 30), ("test", 20)):
        digits = data.open("mnist", split, root=tmp_path)
        stacked = data.open("stacked-mnist", split, root=tmp_path)
        assert (stacked.shape, len(stacked), len(stacked.classes)) == ((3, 28, 28), count, 1000)
        # All made digits differ, so each channel tells which it is.
        place = {picture.tobytes(): row for row, picture in enumerate(digits.array)}
        rows = np.array([[place[c.tobytes()] for c in picture] for picture in stacked.array])
        named = ["".join(map(str, digits.labels[three])) for three in rows]
        assert [stacked.classes[label] for label in stacked.labels] == named
        # The seed never changes: counts of modes rest on this draw.
        drawn = np.random.RandomState([20161107, split == "test"])
        assert (rows == drawn.randint(count, size=(count, 3), dtype=np.int64)).all()
    made = entries(home)
    data.open("stacked-mnist", root=tmp_path)
    assert entries(home) == made


def test_mnist_binarized_from_either_of_its_files(tmp_path):
    bits = noise(1, 6, 784) & 1
    folder = tmp_path / "mnist_binarized"
    folder.mkdir()
    text = "\n".join(" ".join(map(str, row)) for row in bits) + "\n"
    (folder / "binarized_mnist_valid.amat").write_text(text)
    from_text = data.open("mnist-binarized", "valid", root=tmp_path)
    assert (from_text.array.reshape(6, 784) == bits * 255).all()
    assert (from_text.levels, from_text.labels) == (2, None)
    np.savez(folder / "binarized_mnist.npz", valid=np.packbits(bits, axis=1), test=bits)
    assert data.open("mnist-binarized", "valid", root=tmp_path).sha256 == from_text.sha256
    with pytest.raises(BadInput, match=r"expected uint8 \(n, 98\)"):
        data.open("mnist-binarized", "test", root=tmp_path)
    with pytest.raises(BadInput, match="train of"):
        data.open("mnist-binarized", root=tmp_path)


def test_cifar_from_zips_folders_and_binaries(tmp_path):
    names = [f"{c}/{n}.png" for c in cifar10.THINGS for n in "12"]
    fill(tmp_path / "f" / "cifar10" / "train", names, 4, 4, 3)
    (tmp_path / "z" / "cifar10_lossless").mkdir(parents=True)
    for part in (0, 1):
        zipped = tmp_path / "z" / "cifar10_lossless" / f"cifar10_train_part{part}.zip"
        with zipfile.ZipFile(zipped, "w") as archive:
            for name in names[part::2]:
                path = tmp_path / "f" / "cifar10" / "train" / name
                archive.write(path, f"cifar10/train/{name}")
    folder, zips = (data.open("cifar10", root=tmp_path / place) for place in "fz")
    assert folder.sha256 == zips.sha256
    assert folder.labels.tolist() == [k for k in range(10) for _ in "12"]
    binary = tmp_path / "b" / "cifar-10-batches-bin"
    binary.mkdir(parents=True)
    rows = noise(3, 4, 3073)
    rows[:, 0] %= 10
    (binary / "test_batch.bin").write_bytes(bytes(rows))
    test = data.open("cifar10", "test", root=tmp_path / "b")
    assert (test.array.reshape(4, -1) == rows[:, 1:]).all()
    assert test.labels.tolist() == rows[:, 0].tolist()
    (binary / "test_batch.bin").write_bytes(bytes(rows)[:-1])
    with pytest.raises(BadInput, match="3073"):
        data.open("cifar10", "test", root=tmp_path / "b")
    (tmp_path / "p" / "cifar-10-batches-py").mkdir(parents=True)
    with pytest.raises(BadInput, match="cifar-10-batches-py"):
        data.open("cifar10", root=tmp_path / "p")


def test_celeba_crops_the_aligned_faces_and_keeps_its_attributes(tmp_path):
    images = tmp_path / "celeba" / "img_align_celeba"
    fill(images, [f"{n:06}.png" for n in range(1, 21)], 218, 178, 3)
    first, *others = celeba.ATTRIBUTES
    ones = " 1" * len(others)
    rows = [f"{n:06}.png  {-1 if n % 2 else 1} {ones}" for n in range(20, 0, -1)]
    table = "\n".join(["20", f"{first} {' '.join(others)} ", *rows])
    (tmp_path / "celeba" / "list_attr_celeba.txt").write_text(table)
    train, test = (data.open("celeba", split, root=tmp_path) for split in ("train", "test"))
    assert (len(train), len(test), train.shape, train.labels) == (18, 2, (3, 64, 64), None)
    centre = noise(0, 218, 178, 3)[35:183, 15:163]
    expected = Image.fromarray(centre).resize((64, 64), Image.Resampling.LANCZOS)
    assert (train.array[0] == np.asarray(expected).transpose(2, 0, 1)).all()
    names, values = data.attributes("celeba", "test", root=tmp_path)
    assert names == celeba.ATTRIBUTES
    assert (values.dtype, values.shape) == (bool, (2, 40))
    assert values[:, 0].tolist() == [False, True]
    assert values[:, 1:].all()
    assert len(data.open(f"celeba:{first}", "test", root=tmp_path)) == 1
    (images / "000019.png").write_bytes(b"broken")
    assert data.attributes("celeba", "test", root=tmp_path)[1][:, 0].tolist() == [True]
    (tmp_path / "celeba" / "list_attr_celeba.txt").write_text("\n".join(["20", "Young", *rows]))
    with pytest.raises(BadInput, match="list_attr_celeba"):
        data.attributes("celeba", "test", root=tmp_path)


def test_the_official_partition_of_the_whole_celeba():
    names = [f"{n:06}.jpg" for n in range(1, 202_600)]
    train, test = (celeba.select_faces(split, names).names for split in ("train", "test"))
    assert (len(train), train[-1]) == (162_770, "162770.jpg")
    assert (len(test), test[0]) == (19_962, "182638.jpg")


def test_a_download_goes_into_the_cache_once(home, monkeypatch):
    import torchvision

    calls = []

    def fetch(root, download):
        assert download
        calls.append(root)
        print("noise on stdout")
        write_mnist(Path(root) / "MNIST" / "raw")

    monkeypatch.setattr(torchvision.datasets, "MNIST", fetch)
    assert len(data.open("mnist")) == 30
    assert len(data.open("mnist-binary", "test")) == 20
    assert len(calls) == 1
    assert sorted(p.name for p in (home / "downloads").iterdir()) == ["MNIST", "mnist.lock"]


@pytest.mark.parametrize("old", [False, True])
def test_a_download_that_is_cut_off_is_not_taken_for_all_of_it(old, home, monkeypatch):
    """Neither one of this process, nor one that a killed process of an earlier version left."""
    import torchvision

    raw, cut = Path("MNIST/raw"), [old]

    def fetch(root, download):
        write_mnist(Path(root) / raw)
        if not any(cut):
            cut.append(True)
            for path in (Path(root) / raw).glob("*labels*"):
                path.unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(torchvision.datasets, "MNIST", fetch)
    if old:
        write_mnist(home / "downloads" / raw)
        next((home / "downloads" / raw).glob("train-labels*")).unlink()
    else:
        with pytest.raises(KeyboardInterrupt):
            data.open("mnist")
        assert [p.name for p in (home / "downloads").iterdir()] == ["mnist.lock"]
    assert len(data.open("mnist")) == 30


def test_what_another_process_downloads_meanwhile_is_not_downloaded_again(home, monkeypatch):
    import torchvision

    from genzoo.data import downloads as module

    monkeypatch.setattr(torchvision.datasets, "MNIST", lambda *_, **__: pytest.fail("downloaded"))

    @contextlib.contextmanager
    def waiting(path):
        write_mnist(home / "downloads" / "MNIST" / "raw")
        yield True

    monkeypatch.setattr(module, "locked", waiting)
    assert len(data.open("mnist")) == 30


@pytest.mark.parametrize(
    "error", [URLError("no route to host"), RuntimeError("gdown is required"), EOFError()]
)
def test_a_download_that_fails_says_how_to_give_the_files(monkeypatch, error):
    import torchvision

    def fetch(root, download):
        raise error

    monkeypatch.setattr(torchvision.datasets, "MNIST", fetch)
    with pytest.raises(NetworkError, match=r"mnist .*root= or GENZOO_DATA"):
        data.open("mnist")


def test_with_a_root_nothing_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_fetch", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(BadInput, match=r"mnist .*mnist/MNIST/raw"):
        data.open("mnist", root=tmp_path)


# --------------------------------------------------------------------- sets handed over


def handed(*blocks, classes=("a", "b"), levels=256, kind="images") -> data.Source:
    def read(root, split):
        return data.Rows(f"{split}-{id(blocks)}", lambda: iter(blocks))

    return data.Source("mine", kind, "a plugin's", "", levels, classes, read)


def test_a_source_can_be_handed_over():
    images, labels = noise(0, 3, 1, 4, 4), np.array([0, 1, 1])
    opened = data.open(handed((images[:2], labels[:2]), (images[2:], labels[2:])), channels=3)
    assert opened.shape == (3, 4, 4)
    assert (opened.array[:, 2:] == images).all()
    assert opened.labels.tolist() == [0, 1, 1]
    assert opened.classes == ("a", "b")


@pytest.mark.parametrize(
    ("blocks", "options"),
    [
        ([(np.zeros((2, 1, 4, 4)), None)], {}),
        ([(noise(0, 2, 2, 4, 4), None)], {}),
        ([(noise(0, 2, 1, 4, 4), None)], {"levels": 2}),
        ([(noise(0, 2, 1, 4, 4), np.array([0, 2]))], {}),
        ([(noise(0, 2, 1, 4, 4), np.array([0]))], {}),
        ([(noise(0, 2, 1, 4, 4), None), (noise(0, 2, 1, 5, 5), None)], {}),
        ([(noise(0, 2, 1, 4, 4), None), (noise(0, 1, 1, 4, 4), np.array([0]))], {}),
        ([(np.zeros((2, 2)), None)], {"kind": "points", "levels": 0}),
    ],
)
def test_a_source_that_breaks_its_word_is_refused(blocks, options, home):
    with pytest.raises(OperationFailed):
        data.open(handed(*blocks, **options))
    assert entries(home) == []


def test_a_source_that_cannot_be_read_is_not_a_full_disk():
    def blocks():
        raise OSError(errno.EIO, "I/O error")
        yield

    source = data.Source(
        "mine", "images", "", "", 256, (), lambda root, split: data.Rows("k", blocks)
    )
    with pytest.raises(BadInput, match=r"mine.*I/O error"):
        data.open(source)


HAS = np.array([[True, False], [True, True], [False, False]])


def with_attributes(has=HAS, attributes=("round", "blue"), **changes) -> data.Source:
    source = handed((noise(0, 3, 1, 4, 4), np.array([0, 1, 1])))
    changes = {"attributes": attributes, "read_attributes": lambda root, split: has, **changes}
    return dataclasses.replace(source, **changes)


def test_any_source_may_have_attributes():
    whole = data.open(with_attributes())
    names, values = data.attributes(with_attributes())
    assert names == whole.attributes == ("round", "blue")
    assert values.tolist() == HAS.tolist()
    assert data.having(whole, "blue").tolist() == [False, True, False]
    assert data.having(whole, "b").tolist() == [False, True, True]
    with pytest.raises(UnknownName, match="did you mean round"):
        data.having(whole, "rund")


@pytest.mark.parametrize(
    "changes",
    [
        {"has": HAS.astype(np.int8)},
        {"has": HAS[:, :1]},
        {"has": HAS[:2]},
        {"read_attributes": None},
    ],
)
def test_attributes_that_do_not_fit_are_refused(changes):
    with pytest.raises(OperationFailed, match="read_attributes"):
        data.attributes(with_attributes(**changes))


def test_parts_and_pairs_have_no_attributes():
    """Their rows are others."""
    whole = data.open(with_attributes())
    for part in (subset(whole, "part", HAS[:, 0]), data.paired(whole, whole)):
        assert (part.attributes, part.read_attributes) == ((), None)


# ------------------------------------------------------------------------------ real files


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "split", "count", "shape", "means"),
    [
        ("mnist", "train", 60_000, (1, 28, 28), [0.13066]),
        ("fashion-mnist", "train", 60_000, (1, 28, 28), [0.28604]),
        ("fashion-mnist", "test", 10_000, (1, 28, 28), [0.28685]),
        ("mnist-binarized", "train", 50_000, (1, 28, 28), [0.130562]),
        ("mnist-binarized", "valid", 10_000, (1, 28, 28), [0.131127]),
        ("mnist-binarized", "test", 10_000, (1, 28, 28), [0.132512]),
        ("mnist-binary", "test", 10_000, (1, 28, 28), [0.1325]),
        ("stacked-mnist", "train", 60_000, (3, 28, 28), [0.13063, 0.13065, 0.1306]),
        ("cifar10", "train", 50_000, (3, 32, 32), [0.4914, 0.4822, 0.4465]),
        ("cifar10", "test", 10_000, (3, 32, 32), [0.4942, 0.4851, 0.4504]),
        ("celeba", "test", 1_000, (3, 64, 64), None),
    ],
)
def test_real_sets(name, split, count, shape, means):
    opened = data.open(name, split)
    assert (len(opened), opened.shape, opened.skipped) == (count, shape, ())
    if means:
        found = opened.array.mean(axis=(0, 2, 3), dtype=np.float64) / 255
        accuracy = 1e-6 if name == "mnist-binarized" else 1e-4
        assert found == pytest.approx(means, abs=accuracy)
    if name in ("fashion-mnist", "cifar10"):
        assert np.bincount(opened.labels).tolist() == [count // 10] * 10


@pytest.mark.data
def test_real_attributes_fit_the_faces():
    names, values = data.attributes("celeba", "test")
    assert values.shape == (1000, 40)
    assert set(np.unique(values)) == {False, True}
    assert "Smiling" in names


def test_meta_says_what_the_entry_is(home):
    data.open("ring8", "test")
    meta = json.loads((entries(home)[0] / "meta.json").read_text())
    assert (meta["name"], meta["split"], meta["shape"]) == ("ring8", "test", [10_000, 2])


# ------------------------------------------------------------------------------- parts and domains


def test_one_class_of_a_set():
    whole, threes = data.open("digits"), data.open("digits:3")
    rows = np.flatnonzero(whole.labels == whole.classes.index("3"))
    assert np.array_equal(threes.array, whole.array[rows])
    assert (threes.name, threes.labels, threes.classes) == ("digits:3", None, ())
    assert threes.sha256 not in (whole.sha256, data.open("digits:4").sha256)
    with pytest.raises(UnknownName, match=r"digits .*'33'"):
        data.open("digits:33")


@pytest.mark.data
def test_faces_with_one_attribute():
    names, values = data.attributes("celeba")
    blond = data.open("celeba:Blond_Hair")
    assert len(blond) == values[:, names.index("Blond_Hair")].sum() > 100
    with pytest.raises(UnknownName, match="did you mean Blond_Hair"):
        data.open("celeba:Blond_Hairs")


def test_two_domains_as_one():
    one, two = data.open_pair("digits:3,digits:8")
    pair = data.paired(one, two)
    assert np.array_equal(pair.array, one.array)
    assert np.array_equal(pair.second_domain.array, two.array)
    assert pair.sha256 not in (one.sha256, two.sha256, data.paired(two, one).sha256)
    assert pair.domains == ("3", "8")
    assert data.paired(one, one).domains == ("A", "B")


def test_the_other_split_reads_no_file_twice(tmp_path, monkeypatch):
    """The pass over all files has found which of them it takes: it reads those alone."""
    for index in range(40):
        tiny = Image.fromarray(np.full((4, 4), index, np.uint8))
        (tmp_path / "set").mkdir(exist_ok=True)
        tiny.save(tmp_path / "set" / f"{index:02}.png")
    (tmp_path / "set" / "broken.png").write_bytes(b"none")
    read, content = [], folders.content
    monkeypatch.setattr(folders, "content", lambda path, *a: read.append(path) or content(path, *a))
    splits = {split: data.open(tmp_path / "set", split) for split in ("train", "test")}
    assert len(splits["train"]) + len(splits["test"]) == 40
    assert 0 < len(splits["test"]) < 10
    assert len(read) == 41 + len(splits["test"]) + 1  # each file, and then these and the broken one
    monkeypatch.setattr(decoding, "_passes", {})
    again = data.open(tmp_path / "set", "test", channels=1)
    assert np.array_equal(again.array, splits["test"].array)
    assert again.skipped == splits["test"].skipped == ("broken.png",)


def test_a_split_is_whole_whatever_was_opened_before(tmp_path, monkeypatch):
    """What a pass over the other split's files has left is not all that is left."""
    for index in range(40):
        (tmp_path / "set").mkdir(exist_ok=True)
        Image.new("L", (4, 4), index).save(tmp_path / "set" / f"{index:02}.png")
    sizes = []
    for number, split in enumerate(("train", "test", "train", "test", "test")):
        monkeypatch.setenv("GENZOO_HOME", str(tmp_path / f"home{number}"))  # nothing is kept there
        sizes.append(len(data.open(tmp_path / "set", split)))
    assert sizes[:2] == sizes[2:4]
    assert sizes[4] == sizes[1] == 40 - sizes[0]


@pytest.mark.parametrize(
    ("side", "size", "threads"), [(300, 20, True), (190, None, True), (40, 20, False)]
)
def test_large_files_are_decoded_by_threads_whatever_they_become(
    side, size, threads, tmp_path, monkeypatch
):
    (tmp_path / "set").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "set" / "a.jpg")
    asked, in_threads = [], decoding.in_threads
    monkeypatch.setattr(decoding, "in_threads", lambda *a: asked.append(a) or in_threads(*a))
    assert len(data.open(tmp_path / "set", "all", size=size)) == 1
    assert bool(asked) == threads
