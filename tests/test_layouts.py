"""Files as a set: what is read, what is left out, and the summary that says both."""

import dataclasses
import io
import json
import logging
import random
import re
import subprocess
import sys
import unicodedata
import wave
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import Field

from genzoo import cli, data, families
from genzoo.cli.app import parse_labels
from genzoo.data import catalogue, folders, label_files
from genzoo.data.dataset import Summary
from genzoo.data.layouts import split_files
from genzoo.editing import selection
from genzoo.errors import BadInput, UnknownName
from genzoo.options import Options, Sampling
from genzoo.runs.plan import plan
from genzoo.schemas import Schema
from genzoo.zoo import provenance


def encoded(seed: int, *shape: int, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, shape or (8, 8), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def fill(folder: Path, names, *shape: int, kind: str = "PNG") -> Path:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(seed, *shape, kind=kind))
    return folder


def numbered(count: int, ending: str = ".png") -> list[str]:
    return [f"{index:02}{ending}" for index in range(count)]


# ------------------------------------------------------------------------------------ the summary


def test_a_summary_of_what_is_kept_and_left_out(tmp_path, caplog):
    fill(tmp_path / "set", ["train/a/1.png", "train/b/2.png", "test/a/3.png"], 6, 9, 3)
    (tmp_path / "set/train/b/4.png").write_bytes(b"broken")
    caplog.set_level(logging.INFO)
    first, again = (data.open(tmp_path / "set", size=6).summary for _ in range(2))
    assert first == again, "from the cache, too"
    assert (first.kept, first.shape, first.channels, first.classes) == (2, (3, 6, 6), 3, ("a", "b"))
    assert first.left_out == {"broken files (no image)": ("train/b/4.png",)}
    assert "2 images (train" in first.lines()[0]
    assert "colour (3 channels), 2 classes (a, b)" in first.lines()[0]
    assert first.lines()[-1].endswith("left out 1 broken file (no image): train/b/4.png")
    assert [r.levelname for r in caplog.records if r.message in first.lines()] == [
        "WARNING"
    ] * 2 * len(first.lines())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("digits", "1,500 images (train), 28x28, grey (1 channel), 10 classes (0, 1, 2, ...)"),
        ("digits:3", "153 images (train), 28x28, grey (1 channel), no classes"),
        ("ring8", "50,000 points (train), 2 coordinates, 8 classes (0, 1, 2, ...)"),
    ],
)
def test_a_named_set_has_one_line(name, line, caplog):
    line = f"{name}: {line}"
    caplog.set_level(logging.INFO, "genzoo.data")
    assert data.open(name).summary.lines() == [line]
    assert [r.message for r in caplog.records if r.name == "genzoo.data"] == [line]


def test_what_was_done_to_some_images_is_said(tmp_path):
    fill(tmp_path / "set", ["1.png"], 9, 9)
    fill(tmp_path / "set", ["2.png"], 4, 4, 3)
    lines = data.open(tmp_path / "set", "all", size=6).summary.lines()
    assert f"{tmp_path}/set: of the images, 1 grey made colour; 1 smaller than 6x6: enlarged" in (
        lines
    )
    lines = data.open(tmp_path / "set", "all", size=3, channels=1).summary.lines()
    assert f"{tmp_path}/set: of the images, 1 colour made grey" in lines


def test_an_older_entry_of_the_cache_has_a_summary():
    meta = {"split": "train", "shape": [3, 1, 8, 8], "skipped": [], "classes": []}
    assert Summary.of("./old", "images", meta).lines() == [
        "./old: 3 images (train), 8x8, grey (1 channel), no classes"
    ]


def test_a_summary_cannot_control_a_terminal():
    meta = {"split": "train", "shape": [3, 1, 8, 8], "skipped": ["\x1b[2J.png"] * 4}
    assert Summary.of("x", "images", meta).lines()[-1] == (
        "x: left out 4 broken files:  [2J.png,  [2J.png,  [2J.png, ..."
    )


def test_every_command_prints_it_once_and_a_run_records_it(tmp_path, capsys):
    fill(tmp_path / "set", numbered(30))
    (tmp_path / "set/30.png").write_bytes(b"broken")
    words = f"train vae --data {tmp_path}/set --steps 1 --out {tmp_path}/out --set width=2"
    words += " --set latent_dim=2"
    command = [sys.executable, "-c", "import genzoo.cli; genzoo.cli.main()", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = json.loads((tmp_path / "out/run/plan.json").read_text())["summary"]
    assert lines[-1] == f"{tmp_path}/set: left out 1 broken file (no image): 30.png"
    assert all(done.stderr.count(f"genzoo: {line}\n") == 1 for line in lines)
    assert cli.run(["info", f"{tmp_path}/out"]) == 0
    shown = capsys.readouterr().out
    assert all(line in shown for line in lines)


# ------------------------------------------------------------------------------------------ splits


def halves(train: str, test: str, count: int = 2) -> list[str]:
    """Both splits of two classes."""
    return [
        f"{top}/{k}/{n}.png" for top in (train, test) for k in ("cat", "dog") for n in range(count)
    ]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("train", "val"),
        ("train", "valid"),
        ("Train", "Validation"),
        ("TRAIN", "DEV"),
        ("training", "testing"),
        ("training_set", "test_set"),
        ("train", "eval"),
        ("train2017", "val2017"),
        ("seg_train", "seg_test"),
        ("train_1", "test_1"),
        ("DIV2K_train_HR", "DIV2K_valid_HR"),
        ("train-LR x4", "test-LR x4"),
        ("trn", "tst"),
        ("train", "hold-out"),
        ("trainA", "testA"),
        ("photos/train", "photos/valid"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_usual_words_are_splits_and_no_classes(tmp_path, train, test, packed):
    place = fill(tmp_path / "set", halves(train, test))
    if packed:
        place = zipped(tmp_path / "set.zip", place)
    one, two = data.open(place), data.open(place, "test")
    assert (one.classes, two.classes) == (("cat", "dog"), ("cat", "dog"))
    assert (len(one), len(two), len({bytes(x) for s in (one, two) for x in s.array})) == (4, 4, 8)
    names = [name.rpartition("/")[2] for name in (train, test)]
    assert one.summary.split_from == two.summary.split_from == f"folders {names[0]} and {names[1]}"


def zipped(path: Path, folder: Path, change=str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.writestr(change(str(file.relative_to(folder))), file.read_bytes())
    return path


def test_without_folders_the_content_decides_and_all_is_no_split(tmp_path):
    fill(tmp_path / "set", numbered(30))
    assert data.open(tmp_path / "set").summary.split_from == "10 % by content"
    assert data.open(tmp_path / "set", "all").summary.split_from == "none"


def test_of_validation_and_test_the_test_is_the_test_split(tmp_path):
    fill(tmp_path / "set", [*halves("train", "test"), "val/cat/0.png", "val/dog/1.png"])
    test = data.open(tmp_path / "set", "test")
    assert (len(test), test.summary.split_from) == (4, "folders train and test")
    left = {"files of val (the test split is test)": ("val/cat/0.png", "val/dog/1.png")}
    assert test.summary.left_out == left


def test_files_beside_the_split_folders_are_said(tmp_path):
    fill(tmp_path / "set", [*halves("train", "test"), "preview.png", "extra/1.png"])
    (tmp_path / "set/cover.avi").write_bytes(b"x")
    (tmp_path / "set/cover.jxl").write_bytes(b"x")
    assert data.open(tmp_path / "set").summary.left_out == {
        "files beside the split folders": ("extra/1.png", "preview.png"),
        ".avi files": ("cover.avi",),
        ".jxl files": ("cover.jxl",),
    }


def test_splits_inside_each_class_are_splits(tmp_path):
    fill(
        tmp_path / "set",
        [f"{k}/{part}/{n}.png" for k in "ab" for part in ("train", "val") for n in "01"],
    )
    train, test = data.open(tmp_path / "set"), data.open(tmp_path / "set", "test")
    assert (train.classes, train.labels.tolist(), test.labels.tolist()) == (
        ("a", "b"),
        [0, 0, 1, 1],
        [0, 0, 1, 1],
    )


def test_a_folder_around_the_classes_of_each_split_is_no_class(tmp_path):
    names = [name.replace("/", "/images/", 1) for name in halves("train", "test")]
    assert data.open(fill(tmp_path / "set", names)).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["train/1.png", "bus/2.png"], [r"data='\S+/set/train';", r"mv \S+/train \S+-class"]),
        (["train/1.png", "3.png"], ["beside 1 file:", r"data='\S+/set/train';"]),
        (["train/1.png", "unseen/2.png"], [r"mv \S+/set/unseen \S+/set/test, or give"]),
        (
            [f"{part}_{kind}/1.png" for part in ("train", "valid") for kind in ("HR", "LR_x2")],
            ["train_HR, train_LR_x2, valid_HR, .*: splits or classes"],
        ),
        (["train/1.png", "test/1.png", "cat/2.png"], [r"mkdir \S+/set-others && mv \S+/set/cat "]),
        (["train/1.png", "training/1.png", "test/1.png"], ["data=.*train' or data=.*training'"]),
        (["val/1.png", "test/1.png"], ["data=.*set/val' or data=.*set/test'"]),
        (["a b/train/1.png", "a b/bus/2.png"], [r"data='\S+/set/a b/train'"]),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_shows_both_commands(tmp_path, names, says):
    with pytest.raises(BadInput) as caught:
        data.open(fill(tmp_path / "set", names))
    assert all(re.search(text, str(caught.value)) for text in says), caught.value
    assert "\n" not in str(caught.value)
    packed = zipped(tmp_path / "pack.zip", tmp_path / "set")
    with pytest.raises(BadInput, match=r"unpack it \(unzip \S+/pack.zip -d \S+/pack\) and"):
        data.open(packed)


@pytest.mark.parametrize("names", [("trainA", "trainB"), ("trainA", "trainB", "testA", "testB")])
def test_two_domains_are_no_classes_of_a_family_of_one(tmp_path, names):
    fill(tmp_path / "set", [f"{name}/{n}.png" for name in names for n in range(4)])
    with pytest.raises(BadInput, match=r"two domains, trainA and trainB: .* data='\S+/set/trainA'"):
        data.open(tmp_path / "set")
    one, _ = data.open_pair(tmp_path / "set")
    assert len(one) <= 4
    assert data.open(tmp_path / "set/trainA").shape == (1, 8, 8)


def test_domains_have_the_splits_of_all_words(tmp_path):
    parts = ("trainA", "valA", "trainB", "valB")
    fill(tmp_path / "set", [f"{name}/{n}.png" for name in parts for n in range(3)])
    for aligned in (False, True):
        one, two = data.open_pair(tmp_path / "set", "test", aligned=aligned)
        assert (len(one), len(two)) == (3, 3)
        assert one.summary.split_from == "folders trainA and valA"
    assert data.paired(one, two, aligned=True).domains == ("A", "B")


def test_pairs_leave_out_validation_and_files_of_another_ending(tmp_path):
    parts = [
        f"{side}/{part}/{n}.png" for side in "AB" for part in ("train", "val", "test") for n in "01"
    ]
    fill(tmp_path / "set", [*parts, "A/train/9.png"])
    (tmp_path / "set/notes.txt").write_text("x")
    one, _ = data.open_pair(tmp_path / "set", aligned=True)
    left = one.summary.left_out
    assert left["files of val (the test split is test)"] == tuple(p for p in parts if "val" in p)
    assert left["files without a partner"] == ("A/train/9.png",)
    assert left[".txt files"] == ("notes.txt",)


# ----------------------------------------------------------------------------------------- endings


def test_every_file_that_is_not_taken_is_counted_by_its_ending(tmp_path):
    fill(tmp_path / "set", numbered(20, ".jfif"), kind="JPEG")
    fill(tmp_path / "set", [f"x{n:02}" for n in range(20)])
    fill(tmp_path / "set", numbered(5))
    for n in range(10):
        (tmp_path / f"set/{n}.heic").write_bytes(b"heic")
    (tmp_path / "set/README").write_text("no image")
    (tmp_path / "set/Thumbs.db").write_bytes(b"x")
    opened = data.open(tmp_path / "set", "all")
    assert len(opened) == 45
    left = {kind.partition(" (")[0]: len(names) for kind, names in opened.summary.left_out.items()}
    assert left == {"files without an ending, of another kind": 1, ".heic files": 10}
    assert any("pillow-heif" in kind for kind in opened.summary.left_out)
    for n in range(10):
        (tmp_path / f"set/{n}.heic").unlink()
    (tmp_path / "set/notes.txt").write_text("x")
    assert data.open(tmp_path / "set", "all").summary.left_out[".txt files"] == ("notes.txt",)


@pytest.mark.parametrize("ending", [".jpe", ".JIF", ".jfif", ".jfi", "", ".0001", ".2024"])
def test_jpegs_by_all_their_endings_and_by_their_content(tmp_path, ending):
    names = [f"{part}/{n}{ending}" for part in ("train", "test") for n in range(3)]
    fill(tmp_path / "set", names, kind="JPEG")
    assert len(data.open(tmp_path / "set")) == 3
    assert len(data.open(zipped(tmp_path / "set.zip", tmp_path / "set"))) == 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_every_format_is_known_by_its_first_bytes(tmp_path, kind):
    fill(tmp_path / "set", ["train/1", "test/1"], 8, 8, 3, kind=kind)
    assert len(data.open(tmp_path / "set")) == 1


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ({"dog": ".heic"}, r"class dog .*3 \.heic.*pip install"),
        ({"train/dog": ".jxl", "test/cat": ".png", "train/cat": ".png"}, r"class dog .*3 \.jxl"),
        ({"train": ".png", "test": ".heic"}, r"test split .*3 \.heic"),
    ],
)
def test_a_class_or_a_split_that_vanishes_is_an_error(tmp_path, lost, says):
    for place, ending in {"cat": ".png", **lost}.items() if "dog" in lost else lost.items():
        fill(tmp_path / "set", [f"{place}/{n}.png" for n in range(3)])
        for file in sorted((tmp_path / "set" / place).iterdir()):
            file.rename(file.with_suffix(ending))
    with pytest.raises(BadInput, match=says):
        data.open(tmp_path / "set", "test" if "test" in lost and "train" in lost else "train")


def test_a_class_of_broken_files_is_an_error(tmp_path):
    fill(tmp_path / "set", halves("train", "test"))
    for file in (tmp_path / "set/train/dog").iterdir():
        file.write_bytes(b"\x89PNG broken")
    with pytest.raises(BadInput, match=r"class dog in .* are broken \(train/dog/1.png\)"):
        data.open(tmp_path / "set")


def test_a_folder_of_other_files_says_which(tmp_path):
    fill(tmp_path / "set", ["1.heic", "2.heic"])
    (tmp_path / "set/LICENSE").write_text("MIT")
    with pytest.raises(
        BadInput, match=r"no images in .*; it has 2 \.heic files .*, 1 files without"
    ):
        data.open(tmp_path / "set")


def test_sounds_have_splits_labels_and_endings_too(tmp_path):
    for index, name in enumerate([*halves("train", "valid"), "train/cat/7", "train/cat/8.mp3"]):
        path = tmp_path / "set" / name.replace(".png", ".WAV")
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 4, "NONE", ""))
            file.writeframes(bytes([index]) * 8)
    opened = data.open(tmp_path / "set")
    assert (opened.kind, opened.classes, len(opened)) == ("signals", ("cat", "dog"), 5)
    assert opened.summary.split_from == "folders train and valid"
    assert opened.summary.left_out == {".mp3 files": ("train/cat/8.mp3",)}


# -------------------------------------------------------------------------------------------- zips


@pytest.mark.parametrize(
    "change",
    [
        lambda name: f"set\\{name}".replace("/", "\\"),
        lambda name: f"./{name}",
        lambda name: f"/set/{name}",
        lambda name: f"C:\\set\\{name}".replace("/", "\\"),
        lambda name: f"../{name}",
        lambda name: f"set//{name}",
    ],
)
def test_a_zip_of_any_maker_keeps_its_labels(tmp_path, change):
    folder = fill(tmp_path / "set", halves("train", "test"))
    packed = zipped(tmp_path / "set.zip", folder, change)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("set\\empty\\", b"")
        archive.writestr("set/other/", b"")
    opened = data.open(packed)
    assert opened.classes == ("cat", "dog")
    assert opened.sha256 == data.open(folder).sha256
    assert opened.summary.left_out == {}


def test_names_of_a_zip_in_utf_8_that_does_not_say_so(tmp_path):
    folder = fill(tmp_path / "set", ["train/käse/1.png", "train/öl/1.png", "test/öl/1.png"])
    packed = zipped(tmp_path / "set.zip", folder)
    content = packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        for info in archive.infolist():  # the flag that says UTF-8, in both headers
            flag = info.flag_bits.to_bytes(2, "little")
            assert info.flag_bits & 0x800
            name = info.filename.encode()
            for at in (m.start() for m in re.finditer(re.escape(name), content)):
                for back in (24, 38):
                    if content[at - back : at - back + 2] == flag:
                        content = content[: at - back] + b"\0\0" + content[at - back + 2 :]
    packed.write_bytes(content)
    assert data.open(packed).classes == ("käse", "öl")


def damaged(content: bytes) -> bytes:
    """A zip whose first member's bytes have changed."""
    at = content.index(b"PK\3\4") + 60
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def locked(content: bytes) -> bytes:
    """A zip whose first member needs a password, as its flags say."""
    for start, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.index(start) + flags
        content = content[:at] + bytes([content[at] | 1]) + content[at + 1 :]
    return content


@pytest.mark.parametrize(
    ("change", "says"), [(damaged, "damaged in the zip"), (locked, "its password")]
)
def test_a_broken_member_of_a_zip_has_its_reason(tmp_path, change, says):
    folder = fill(tmp_path / "set", ["a.png", "b.png", "c.png"])
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    (tmp_path / "set.zip").write_bytes(change((tmp_path / "set.zip").read_bytes()))
    summary = data.open(tmp_path / "set.zip", "all").summary
    ((reason, names),) = summary.left_out.items()
    assert (says in reason, names) == (True, ("a.png",))


def test_half_a_zip_is_told_from_no_zip_of_images(tmp_path):
    folder = fill(tmp_path / "set", ["a.png", "b.png"])
    whole = zipped(tmp_path / "set.zip", folder).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="cut off, or no zip: download or pack it again"):
        data.open(tmp_path / "half.zip")


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_that_is_too_large_is_not_read_first(tmp_path, monkeypatch, packed):
    place = fill(tmp_path / "set", ["a.png", "b.png"])
    (place / "big.png").write_bytes(bytes(100_000))
    place = zipped(tmp_path / "set.zip", place) if packed else place
    read, limited = [], folders.limited
    monkeypatch.setattr(folders, "LARGEST_FILE", 1 << 16)
    monkeypatch.setattr(folders, "limited", lambda *a: read.append(str(a[1])) or limited(*a))
    summary = data.open(place, "all").summary
    assert summary.kept == 2
    assert "larger than 65,536 bytes): big.png" in summary.lines()[-1]
    assert not any("big.png" in name for name in read)


def test_a_name_twice_in_a_zip_is_said(tmp_path):
    packed = zipped(tmp_path / "set.zip", fill(tmp_path / "set", ["train/1.png", "test/1.png"]))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("train\\1.png", encoded(7))
    opened = data.open(packed)
    assert opened.summary.left_out == {"files whose name comes again in the zip": ("train/1.png",)}


# --------------------------------------------------------------------------------- labels in files

CSV = "file_name,label\na.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n"
LINES = "".join(
    json.dumps({"file_name": f"{name}.png", "label": label}) + "\n"
    for name, label in zip("abcd", [1, 0, 1, 0], strict=True)
)
STYLEGAN = json.dumps({"labels": [["a.png", 1], ["b.png", 0], ["c.png", 1], ["d.png", 0]]})


@pytest.mark.parametrize(
    ("file", "text", "classes", "labels"),
    [
        ("labels.csv", CSV, ("cat", "dog"), [0, 1, 0, 1]),
        ("Labels.CSV", CSV.replace("\n", "\r"), ("cat", "dog"), [0, 1, 0, 1]),
        ("labels.csv", CSV.partition("\n")[2], ("cat", "dog"), [0, 1, 0, 1]),
        ("labels.csv", "\ufeff" + CSV.replace(",", ";"), ("cat", "dog"), [0, 1, 0, 1]),
        ("labels.csv", "id\tbreed\n" + "a\tx\nb\ty\nc\tx\nd\ty", ("x", "y"), [0, 1, 0, 1]),
        ("labels.csv", "label,file\n10,a\n9,b.png\n9,c.png\n10,d.png", ("9", "10"), [1, 0, 0, 1]),
        ("metadata.csv", CSV, ("cat", "dog"), [0, 1, 0, 1]),
        ("metadata.csv", CSV.replace("label", "animal"), ("cat", "dog"), [0, 1, 0, 1]),
        ("metadata.jsonl", LINES, ("0", "1"), [1, 0, 1, 0]),
        ("dataset.json", STYLEGAN, ("0", "1"), [1, 0, 1, 0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_labels_in_a_file_beside_the_images(tmp_path, file, text, classes, labels, packed):
    place = fill(tmp_path / "set", [f"{name}.png" for name in "abcd"])
    (place / file).write_text(text)
    every = {bytes(image): label for image, label in rows(place)}
    if packed:
        place = zipped(tmp_path / "set.zip", place)
    parts = {split: opened(place, split) for split in ("train", "test")}
    found = {
        bytes(x): k for s in parts.values() if s for x, k in zip(s.array, s.labels, strict=True)
    }
    images = [bytes(np.asarray(Image.open(tmp_path / f"set/{name}.png"))[None]) for name in "abcd"]
    assert [found[image] for image in images] == labels
    assert every == found
    train = parts["train"] or parts["test"]
    assert train.classes == classes
    assert train.summary.left_out == {}
    assert f"by {file}" in train.summary.lines()[0]


def opened(place: Path, split: str):
    """A split, or None: four files may all fall into the other."""
    try:
        return data.open(place, split)
    except BadInput as error:
        if "falls into its" in str(error):
            return None
        raise


def rows(place: Path):
    parts = [opened(place, split) for split in ("train", "test")]
    return [row for s in parts if s for row in zip(s.array, s.labels.tolist(), strict=True)]


def test_a_file_of_labels_is_not_left_out_whatever_its_folder_is_called(tmp_path):
    folder = fill(tmp_path / "set", [f"cats and dogs/{name}.png" for name in "abcd"])
    (folder / "cats and dogs/labels.csv").write_text(CSV)
    (folder / "notes.csv").write_text("x")
    train = opened(folder, "train")
    assert train.classes == ("cat", "dog")
    assert train.summary.left_out == {".csv files": ("notes.csv",)}


def test_labels_of_splits_and_of_shards(tmp_path):
    fill(tmp_path / "hub", [f"{part}/{n}.png" for part in ("train", "test") for n in "abcd"])
    for part in ("train", "test"):
        (tmp_path / "hub" / part / "metadata.csv").write_text(CSV)
    train = data.open(tmp_path / "hub")
    assert (train.classes, train.labels.tolist()) == (("cat", "dog"), [0, 1, 0, 1])
    assert train.summary.labels_from == "test/metadata.csv and train/metadata.csv"
    names = [f"0000{n % 2}/img{n}.png" for n in range(30)]
    fill(tmp_path / "stylegan", names)
    text = json.dumps({"labels": [[name, n % 3] for n, name in enumerate(names)]})
    (tmp_path / "stylegan/dataset.json").write_text(text)
    assert data.open(tmp_path / "stylegan").classes == ("0", "1", "2")


def test_a_changed_file_of_labels_is_seen(tmp_path):
    fill(tmp_path / "set", [f"{part}/{n}.png" for part in ("train", "test") for n in "abcd"])
    path = tmp_path / "set/train/labels.csv"
    path.write_text(CSV)
    assert data.open(tmp_path / "set").labels.tolist() == [0, 1, 0, 1]
    path.write_text(CSV.replace("d.png,dog", "d.png,cat,"[:-1]))
    assert data.open(tmp_path / "set").labels.tolist() == [0, 1, 0, 0]


def test_files_without_a_row_and_rows_without_a_file_are_said(tmp_path):
    fill(tmp_path / "set", [f"train/{n}.png" for n in "abcde"] + ["test/a.png", "test/f.png"])
    text = "file_name,label\ntrain/a.png,cat\ntrain/b.png,dog\ntest/a.png,cat\ngone.png,cat\n"
    (tmp_path / "set/labels.csv").write_text(text)
    train = data.open(tmp_path / "set")
    assert train.labels.tolist() == [0, 1]
    assert train.summary.left_out == {
        "files without a label in labels.csv": ("train/c.png", "train/d.png", "train/e.png"),
        "rows of labels.csv without a file": ("gone.png",),
    }


def test_labels_and_class_folders_must_agree(tmp_path):
    place = fill(tmp_path / "set", halves("train", "test"))
    agree = "".join(
        f"{name},{'Cat' if 'cat' in name else 'Dog'}\n" for name in halves("train", "test")
    )
    (place / "labels.csv").write_text(agree)
    assert data.open(place).classes == ("Cat", "Dog")
    (place / "labels.csv").write_text(agree.replace("Dog", "Cat", 1))
    with pytest.raises(
        BadInput, match=r"labels in labels\.csv, and others by its folders cat, dog: rename"
    ):
        data.open(place)
    (place / "labels.csv").write_text("index,name\n0,cat\n1,dog\n")
    train = data.open(place)
    assert train.classes == ("cat", "dog")
    ((kind, names),) = train.summary.left_out.items()
    assert ("none of its 2 rows names an image" in kind, names) == (True, ("labels.csv",))


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("labels.csv", b"", "expected columns file_name and label"),
        ("labels.csv", b"a.png\nb.png\n", "expected columns"),
        ("labels.csv", b"a.png,b,c\n", "expected columns file_name and label, got a.png, b, c"),
        ("labels.csv", b"\xff\xfe\0", "not UTF-8"),
        ("labels.csv", b"file,label\na.png,cat\na.png,dog\n", "a.png two labels, cat and dog"),
        ("labels.csv", b"file,label\na.png,\x1b[2J\n", "can be printed"),
        ("labels.csv", b"file,label\na.png," + b"x" * 300, "1 to 200 characters"),
        ("labels.csv", b"file,label\nz.png,cat\n", r"none of its 1 rows names an image \(z.png"),
        ("labels.csv", b"file,label\na.png," + b"x" * 200_000, "no table"),
        ("metadata.jsonl", b"[1]\n", "line 1: expected a record"),
        ("metadata.jsonl", b'{"file_name": "a.png", "label": 1', "line 1 is not valid JSON"),
        ("metadata.jsonl", b'{"file_name": "a.png", "label": {"x": 1}}', "a file and its label"),
        ("dataset.json", b'{"labels": 3}', "labels should be a list, got int"),
        ("dataset.json", b'{"labels": [["a.png", [0.1, 0.2]]]}', r'should be \["NAME", NUMBER\]'),
        ("dataset.json", b'{"labels": [["a.png", true]]}', r'should be \["NAME", NUMBER\]'),
        ("dataset.json", b"[" * 100_000, "not valid JSON"),
    ],
)  # fmt: skip
def test_hostile_labels_are_refused_in_one_line(tmp_path, file, text, says):
    fill(tmp_path / "set", [f"{name}.png" for name in "abcd"])
    (tmp_path / "set" / file).write_bytes(text)
    with pytest.raises(BadInput, match=says) as caught:
        data.open(tmp_path / "set", "train")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("label", ["1.0", "true", "[1]"])
def test_what_a_label_may_be_is_said(tmp_path, label):
    fill(tmp_path / "set", ["a.png"])
    (tmp_path / "set/metadata.jsonl").write_text(f'{{"file_name": "a.png", "label": {label}}}')
    with pytest.raises(BadInput, match=r"its label \(a whole number or text\), got .*a.png"):
        data.open(tmp_path / "set")


@pytest.mark.parametrize(
    ("head", "rest", "kind", "left"),
    [
        ("label,Smiling,Male", "1,0", "columns of metadata.csv", ("Smiling", "Male")),
        (
            "label,class,split",
            "x,train",
            "columns of metadata.csv (folders train and test say what is test)",
            ("class", "split"),
        ),
    ],
)
def test_columns_that_are_not_used_are_said(tmp_path, head, rest, kind, left):
    names = [f"{n}.png" for n in range(30)]
    place = fill(tmp_path / "set", names)
    text = f"file_name,{head}\n" + "".join(f"{name},{name[0]},{rest}\n" for name in names)
    (place / "metadata.csv").write_text(text)
    assert data.open(place).summary.left_out == {kind: left}
    assert f"left out 2 {kind}: {', '.join(left)}" in data.open(place).summary.lines()[-1]
    lines = [{"file_name": name, "label": name[0], **dict.fromkeys(left, 1)} for name in names]
    (place / "metadata.csv").unlink()
    (place / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert data.open(place).summary.left_out == {kind.replace(".csv", ".jsonl"): left}


def test_empty_classes_are_said(tmp_path):
    place = fill(tmp_path / "set", [*halves("train", "test"), "test/owl/1.png"])
    before = data.open(place).summary.left_out
    assert before == {"classes without a file in this split": ("owl",)}
    assert data.open(place, "test").summary.left_out == {}
    (place / "train/elk").mkdir()
    (place / "train/fox/.hidden").mkdir(parents=True)
    assert data.open(place).summary.lines()[2:] == [
        f"{place}: left out 2 empty folders: train/elk, train/fox",
        f"{place}: left out 1 class without a file in this split: owl",
    ]


def test_one_image_and_classes_with_commas_in_the_summary(tmp_path):
    place = fill(tmp_path / "set", ["train/a,b/1.png", "test/a,b/1.png", "test/c/2.png"])
    line = data.open(place).summary.lines()[0]
    assert ": 1 image (train, " in line
    assert line.endswith(', 2 classes ("a,b", c)')


def test_a_colon_after_a_folder_says_what_to_type(tmp_path):
    fill(tmp_path / "set", ["café/1.png", "train/dog/1.png"])
    for kind, own in (("café", "/set/café"), ("dog", r"/set/\.\.\./dog")):
        for use in (data.check, data.open):
            with pytest.raises(BadInput, match=f"a colon .* of a folder, type .*{own}\\)"):
                use(f"{tmp_path}/set:{kind}")


def test_labels_name_no_file_of_another_folder():
    """7.png of train is gone: the one of test has no label from here."""
    rows = b"file_name,label\n1.png,cat\n2.png,dog\n7.png,cat\n"
    files = ["train/1.png", "train/2.png", "test/7.png"]
    found = label_files.labels("set", "train/labels.csv", rows, files)
    assert found.of == {"train/1.png": "cat", "train/2.png": "dog"}
    assert found.lost == ("7.png",)


def test_labels_of_any_size_are_not_read(tmp_path, monkeypatch):
    fill(tmp_path / "set", ["a.png"])
    (tmp_path / "set/labels.csv").write_text(CSV)
    monkeypatch.setattr(label_files, "LARGEST", 20)
    with pytest.raises(BadInput, match="at most 20 are read"):
        data.open(tmp_path / "set")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("dataset.json", '{"labels": null}'),
        ("dataset.json", '{"name": "cats"}'),
        ("metadata.csv", "photographer,year\nme,2020\n"),
        ("metadata.csv", "file_name,file_name\na.png,b.png\n"),
        (
            "metadata.jsonl",
            '{"file_name": "a.png", "text": "a"}\n{"file_name": "b.png", "text": "a"}',
        ),
    ],
)
def test_metadata_without_labels_are_files_of_another_kind(tmp_path, file, text):
    fill(tmp_path / "set", ["train/a.png", "train/b.png", "test/a.png"])
    (tmp_path / "set/train" / file).write_text(text)
    opened = data.open(tmp_path / "set")
    assert opened.classes == ()
    assert opened.summary.left_out == {f"{Path(file).suffix} files": (f"train/{file}",)}


def test_a_class_in_labels_whose_files_have_no_decoder_is_an_error(tmp_path):
    fill(tmp_path / "set", ["a.png", "b.jxl"])
    (tmp_path / "set/labels.csv").write_text("a.png,cat\nb.jxl,dog\n")
    with pytest.raises(BadInput, match=r"no file of the class dog .*1 \.jxl"):
        data.open(tmp_path / "set")


# ------------------------------------------------------------------------------- names of classes


def test_a_class_is_one_however_its_accents_are_written(tmp_path):
    one, two = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    fill(tmp_path / "set", [f"train/{one}/1.png", "train/bar/1.png", f"test/{two}/1.png"])
    test = data.open(tmp_path / "set", "test")
    assert (test.classes, test.labels.tolist()) == (("bar", one), [1])
    assert data.having(test, two).tolist() == [True]


@pytest.fixture
def numbers(conditional):
    """A model whose classes are called by other numbers than theirs."""
    conditional.class_names = ("2", "0", "cats, red")
    return conditional


def chosen(model, labels, n=1) -> list[int]:
    return model.labels_for(labels, n).tolist()


@pytest.mark.parametrize(
    ("label", "number"),
    [("2", 0), (2, 0), ("0", 1), (0, 1), ("1", 1), (1, 1), ("cats, red", 2), ("Cats, RED", 2)],
)
def test_a_number_is_a_name_if_a_class_is_called_so(numbers, label, number):
    """In Python and on the command line alike; only then it is the number of a class."""
    assert chosen(numbers, label) == chosen(numbers, parse_labels(str(label), numbers.class_names))
    assert chosen(numbers, label) == [number]
    assert chosen(numbers, [label, label], 2) == [number, number]


@pytest.mark.parametrize("wrong", ["3", 3, [0, 1, 3], -1])
def test_where_all_classes_are_numbers_a_number_is_a_name_alone(conditional, wrong):
    """Folders 0, 1, 10 and 2 are in this order: 3 would be the class called 2."""
    conditional.class_names, conditional.num_classes = ("0", "1", "10", "2"), 4
    assert chosen(conditional, [0, 1, 2, 10], 4) == [0, 1, 3, 2]
    assert chosen(conditional, torch.tensor([3])) == [3]
    with pytest.raises(BadInput, match=r"no class is called -?\d: the classes are 0, 1, 10, 2"):
        chosen(conditional, wrong, 3)


def test_numbers_in_a_tensor_are_those_of_samples(numbers):
    samples = numbers.sample(3, seed=1)
    assert chosen(numbers, samples.labels, 3) == [0, 1, 2]
    assert chosen(numbers, samples.labels.numpy(), 3) == [0, 1, 2]
    again = numbers.sample(3, seed=1, labels=samples.labels)
    assert torch.equal(samples.tensor, again.tensor)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("cats, red", "cats, red"),
        ("2,cats, red,0", ["2", "cats, red", "0"]),
        ("cats, red,CATS, RED", ["cats, red", "CATS, RED"]),
        ("cats,0", ["cats", "0"]),
        ("2", "2"),
        (None, None),
    ],
)
def test_a_comma_in_the_name_of_a_class(text, labels):
    assert parse_labels(text, ("2", "0", "cats, red")) == labels


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_of_both_forms_name_a_class(numbers, forms):
    one, two = (unicodedata.normalize(form, "Café") for form in forms)
    numbers.class_names = ("x", one, "y")
    assert chosen(numbers, two) == chosen(numbers, two.lower()) == [1]


def test_seeds_keep_their_class_whatever_it_is_called(latent):
    latent.num_classes, latent.class_names = 3, ("2", "0", "1")
    own = selection.resolve(latent, "3", None).label
    assert (own, chosen(latent, own)) == ("2", [0])
    given = selection.resolve(latent, "3", 2).label
    assert chosen(latent, given) == [0]


def test_an_image_is_drawn_again_by_the_numbers_of_its_classes(numbers):
    record = SimpleNamespace(call=None, seeds=[(1, 0), (1, 1)], labels=[0, 1])
    again = provenance._again(numbers, record)
    assert torch.equal(again.tensor, numbers.sample(2, seed=1).tensor)


def test_a_class_of_a_data_set_with_a_comma_in_its_name(monkeypatch):
    source = data.describe("digits")
    classes = ("big, red", *source.classes[1:])
    monkeypatch.setitem(catalogue.SOURCES, "digits", dataclasses.replace(source, classes=classes))
    assert len(data.open("digits:big, red")) == 151
    assert data.kind_of("digits:big, red") == "images"
    data.check("digits:big, red")
    one, two = data.open_pair("digits:1,digits:2")
    assert (one.name, two.name) == ("digits:1", "digits:2")


def test_a_number_after_a_colon_is_a_name():
    names = np.array(data.open("digits").labels)
    assert len(data.open("digits:3")) == (names == 3).sum()
    with pytest.raises(UnknownName, match="'11'"):
        data.open("digits:11")


@pytest.mark.parametrize("names", [numbered(30), [f"cat/{name}" for name in numbered(30)]])
@pytest.mark.parametrize("needs", ["labelled", "images"])
def test_a_family_with_classes_says_one_subfolder_for_each(tmp_path, monkeypatch, names, needs):
    class Classes(Schema):
        classes: int = Field(ge=2, default=2)

    toy = SimpleNamespace(config=Classes, options=Options, sampling=Sampling, data=needs)
    monkeypatch.setattr(families, "get", lambda name: toy)
    place = fill(tmp_path / "set", names)
    says = (
        "toy learns from .* has no classes: make one subfolder for each class, such as .*/set/cat"
    )
    with pytest.raises(BadInput, match=says):
        plan("toy", place)


def test_a_split_without_labels_is_an_error(tmp_path):
    fill(tmp_path / "set", [f"{part}/{n}.png" for part in ("train", "test") for n in "abcd"])
    (tmp_path / "set/train/labels.csv").write_text(CSV)
    assert data.open(tmp_path / "set").classes == ("cat", "dog")
    with pytest.raises(BadInput, match=r"none of the 4 files .* has a label in train/labels\.csv"):
        data.open(tmp_path / "set", "test")


def test_a_test_split_without_class_folders_is_named(tmp_path):
    fill(tmp_path / "set", ["train/cat/1.png", "train/dog/2.png", "test/3.png"])
    with pytest.raises(BadInput, match=r"1 files \(test/3\.png, \.\.\.\) beside the class folders"):
        data.open(tmp_path / "set")


# --------------------------------------------------------------------------------- made at random

TOPS = ["train", "test", "val", "Train", "trainA", "trainB", "A", "B", "cat", "extra", "x_train"]


@pytest.mark.parametrize("count", [500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_no_layout_loses_a_file(count):
    """Each file is in a split or among those left out, or the layout is refused in one line."""
    draw = random.Random(count)
    messages = []
    for _ in range(count):
        inner = ["", "train", "test", "cat"]
        levels = [["", "w"], ["", *TOPS], inner]
        parts = [tuple(map(draw.choice, levels)) for _ in range(6)]
        names = sorted("/".join(filter(None, (*part, f"{i}.png"))) for i, part in enumerate(parts))
        try:
            layout = split_files("./x", draw.choice(["train", "test"]), "", names)
        except BadInput as error:
            messages.append(str(error))
            continue
        left = [name for files in layout.left_out.values() for name in files]
        assert sorted({*layout.within, *left}) == names
    assert 0 < len(messages) < count
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("count", [1000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_damaged_labels_are_refused_in_one_line(count):
    draw = random.Random(count)
    whole = {"labels.csv": CSV, "metadata.csv": CSV}
    whole |= {"metadata.jsonl": LINES, "dataset.json": STYLEGAN}
    bits = [b"\0", b'"', b",", b"\n", b"\r", b"{", b"]", b"1e999", b"\xff", b"null", b"\\ud800"]
    messages = []
    for _ in range(count):
        kind = draw.choice([*whole])
        content = bytearray(whole[kind].encode())
        for _ in range(draw.randint(1, 5)):
            at, length = draw.randint(0, len(content)), draw.randint(1, 9)
            bit = draw.choice([*bits, b"", content[:length]])
            content[at : at + draw.choice([0, length])] = bit
        try:
            label_files.labels("./x", kind, bytes(content), [f"{name}.png" for name in "abcd"])
        except BadInput as error:
            messages.append(str(error))
    assert 0 < len(messages) < count
    assert all("\n" not in message and len(message) < 1000 for message in messages)


@pytest.mark.parametrize("size", [0, 3, 8, 9, 50])
def test_a_file_is_read_whole_whatever_size_it_declares(size):
    content = bytes(range(9))
    assert folders.limited(io.BytesIO(content), "x", size=size) == content
