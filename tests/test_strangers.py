"""What a stranger's file may ask for: nothing beyond bounds, nothing outside its folder."""

import io
import json
import re
import shutil
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save as pack

import genzoo
from genzoo import cli, families
from genzoo.errors import BadInput, InvalidModel
from genzoo.zoo import card as cards
from genzoo.zoo import folder as folders
from genzoo.zoo import manifest, reader, weights

SCORE = {"name": "fd-mnist", "value": 12.5, "protocol": {"n": 1000}}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    family = families.get("vae")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = family.model(family.tiny)
    folder = folders.save(model, tmp_path_factory.mktemp("sound") / "model", data="digits")
    cards.complete(folder)
    return folder


@pytest.fixture
def folder(sound, tmp_path, monkeypatch):
    """A sound folder, to spoil; the current folder is an empty one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Path(shutil.copytree(sound, tmp_path / "model"))


def call(capsys, *words):
    code = cli.run([*map(str, words)])
    return code, *capsys.readouterr()


def edit(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# ------------------------------------------------------------------------------ metrics.json

NULLS = {
    **{key: {"scores": [SCORE | {key: None}]} for key in (
        "details", "unit", "sampling", "request", "tolerance", "goal", "machine", "versions",
        "interval", "floor",
    )},
    **{f"no {key}": {key: None} for key in ("speed", "scores", "fingerprint")},
}  # fmt: skip


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("command", ["info", "info --json", "card", "readme", "verify"])
def test_null_in_the_metrics_is_no_number(name, command, folder, capsys):
    edit(folder, "metrics.json", **NULLS[name])
    if command == "card":
        assert cards.card(folder).error == ""
    elif command == "readme":
        cards.add_scores(folder, [SCORE | {"name": "kd"}])
        assert "| kd | 12.5 |" in (folder / "README.md").read_text()
    elif command == "verify":
        states = {c.name: c.state for c in genzoo.verify(folder)}
        assert states["fingerprint"] == ("skipped" if name == "no fingerprint" else "ok")
    else:
        code, out, err = call(capsys, *command.split(), folder)
        assert (code, err) == (0, "")
        assert out


WRONG = {
    "a goal of a number": {"scores": [SCORE | {"goal": 3}]},
    "details of a list": {"scores": [SCORE | {"details": [1]}]},
    "a machine of an object": {"scores": [SCORE | {"machine": {}}]},
    "versions of text": {"scores": [SCORE | {"versions": "1"}]},
    "a protocol of null": {"scores": [SCORE | {"protocol": None}]},
    "a value of null": {"scores": [SCORE | {"value": None}]},
    "an interval of one": {"scores": [SCORE | {"interval": [1.0]}]},
    "a speed without a number": {"speed": {"machine": "m"}},
    "a speed below zero": {"speed": {"machine": "m", "seconds_for_16": -1}},
    "a fingerprint of a number": {"fingerprint": 7},
    "scores of an object": {"scores": {}},
    "a setting of an object": {"scores": [SCORE | {"sampling": {"truncation": {}}}]},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_metrics_are_one_line(name, folder, capsys):
    edit(folder, "metrics.json", **WRONG[name])
    for words in (["info", folder], ["info", folder, "--json"], ["verify", folder]):
        code, out, err = call(capsys, *words)
        assert (code, out, err.count("\n")) == (4, "", 1)
        assert "metrics.json" in err


def test_what_a_newer_genzoo_wrote_is_kept(folder):
    edit(folder, "metrics.json", scores=[SCORE | {"more": [1]}], more={"a": 1})
    cards.add_scores(folder, [SCORE | {"name": "kd"}])
    written = json.loads((folder / "metrics.json").read_text())
    assert (written["more"], written["scores"][1]["more"]) == ({"a": 1}, [1])


# ------------------------------------------------------------------------------ sums of sizes


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content))


def png(*chunks):
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()[:33] + b"".join(chunks) + buffer.getvalue()[33:]


PACKED = zlib.compress(bytes(4 << 20), 9)
HEAVY = {
    "200 packed texts of unlike keywords": png(
        *(chunk(b"zTXt", b"k%d\0\0" % i + PACKED) for i in range(200))
    ),
    "200 packed texts of another kind": png(
        *(chunk(b"iTXt", b"k%d\0\1\0\0\0" % i + PACKED) for i in range(200))
    ),
    "200 long keywords": png(*(chunk(b"tEXt", bytes([i]) * 200_000) for i in range(1, 200))),
}


def peak_of(run):
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", HEAVY)
def test_a_small_picture_takes_little_memory(name, tmp_path):
    (tmp_path / "x.png").write_bytes(HEAVY[name])

    def run():
        with pytest.raises(BadInput):
            genzoo.inspect(tmp_path / "x.png")

    assert peak_of(run) < 60 << 20


RECORDS = {
    "seeds": b'{"genzoo": "1", "seeds": [%s]}' % b",".join([b"[-1,0]"] * 30_000),
    "labels": b'{"genzoo": "1", "labels": [%s]}' % b",".join([b'""'] * 30_000),
    "fields": b"{%s}" % b",".join(b'"k%d":1' % i for i in range(30_000)),
    "origin": b'{"origin": {%s}}' % b",".join(b'"k%d":1' % i for i in range(30_000)),
}


@pytest.mark.parametrize("name", RECORDS)
def test_thirty_thousand_mistakes_in_a_record_are_one_error(name, tmp_path):
    """Each would take a kilobyte, and 4 MB of text hold half a million of them."""
    packed = chunk(b"zTXt", b"genzoo\0\0" + zlib.compress(RECORDS[name]))
    (tmp_path / "x.png").write_bytes(png(packed))
    with pytest.raises(BadInput) as failure:
        genzoo.inspect(tmp_path / "x.png")
    assert not re.search(r"and \d{3,} more", str(failure.value))


MANY = {
    "scores": ("metrics.json", b'{"scores": [%s]}' % b",".join([b"0"] * 500_000)),
    "fields": ("metrics.json", b"{%s}" % b",".join(b'"%d":1' % i for i in range(90_000))),
    "classes": ("config.json", b'{"class_names": [%s]}' % b",".join([b"0"] * 90_000)),
    "shape": ("config.json", b'{"config": {"shape": [%s]}}' % b",".join([b"0"] * 500_000)),
}


@pytest.mark.parametrize("name", MANY)
def test_many_mistakes_in_a_folder_are_one_error(name, folder):
    file, content = MANY[name]
    (folder / file).write_bytes(content)
    with pytest.raises(InvalidModel) as failure:
        cards.card(folder)
    assert not re.search(r"and \d{3,} more", str(failure.value))


# ------------------------------------------------------------------------------ one opening


def test_header_and_weights_are_of_one_opening(folder, monkeypatch):
    """The file is replaced after its header was read: what was opened is what is loaded."""
    before = genzoo.load(folder, device="cpu").sample(1, seed=0).tensor
    content = (folder / manifest.WEIGHTS).read_bytes()
    other = pack({"evil": torch.zeros(1)})
    compare = weights._compare

    def swap(*values):
        compare(*values)
        (folder / "new").write_bytes(other)
        (folder / "new").replace(folder / manifest.WEIGHTS)

    monkeypatch.setattr(weights, "_compare", swap)
    for verify in (True, False):
        (folder / manifest.WEIGHTS).write_bytes(content)
        model = folders.load_folder(folder, "cpu", verify)
        assert torch.equal(model.sample(1, seed=0).tensor, before)


@pytest.mark.parametrize("verify", [True, False])
def test_weights_that_change_while_they_are_read_are_refused(verify, folder, monkeypatch):
    compare = weights._compare

    def overwrite(*values):
        compare(*values)
        (folder / manifest.WEIGHTS).write_bytes(pack({"evil": torch.zeros(1)}))

    monkeypatch.setattr(weights, "_compare", overwrite)
    with pytest.raises(InvalidModel, match=r"model\.safetensors"):
        folders.load_folder(folder, "cpu", verify)


def test_a_link_that_takes_a_files_place_is_not_followed(folder, tmp_path, monkeypatch):
    """Between the check and the opening."""
    (tmp_path / "secret").write_text("secret")
    opened = open

    def swap(path, *how, **more):
        Path(path).unlink()
        Path(path).symlink_to(tmp_path / "secret")
        return opened(path, *how, **more)

    monkeypatch.setattr(reader, "open", swap, raising=False)
    with pytest.raises(genzoo.GenzooError, match=r"README\.md"):
        reader.read_capped(folder / "README.md", 100)
