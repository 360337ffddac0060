"""Folders that mean harm, on the disk, through the command line: a line, a code, nothing run.

test_model_folders.py tests the message for each kind of damage; here: that nothing else happens.
"""

import hashlib
import json
import logging
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from safetensors.torch import save as pack

from genzoo import cli, families
from genzoo.cli import entry
from genzoo.zoo import folder as store
from genzoo.zoo import reader
from genzoo.zoo.manifest import CONFIG, WEIGHTS

PAGE = b"<!DOCTYPE html><html><body>404</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
EVIL = "from pathlib import Path\nPath('exploded').touch()\n"


class Bomb:
    """Makes a file in the current folder, when somebody unpickles it."""

    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


# ----------------------------------------------------------------------------------- what to do


def edit(folder, **changes):
    values = json.loads((folder / CONFIG).read_text())
    for key, change in changes.items():
        values[key] = change(values[key]) if callable(change) else change
    (folder / CONFIG).write_text(json.dumps(values))


def configured(**changes):
    """A field of the family's own config is other than it was."""
    return lambda folder: edit(folder, config=lambda c: {**c, **changes})


def manifest(**changes):
    return lambda folder: edit(folder, **changes)


def config(content):
    return lambda folder: (folder / CONFIG).write_bytes(content)


def weights(content):
    """These are the weights, and their hash is right."""

    def spoil(folder):
        found = content(folder) if callable(content) else content
        (folder / WEIGHTS).write_bytes(found)
        edit(folder, weights_sha256=hashlib.sha256(found).hexdigest())

    return spoil


def tensors(**changes):
    """Some tensors are others; None leaves one out."""

    def content(folder):
        found = load_file(folder / WEIGHTS) | {k.replace("__", "."): v for k, v in changes.items()}
        return pack({k: v for k, v in found.items() if v is not None})

    return weights(content)


def headed(text, data=b"", length=None):
    return weights(struct.pack("<Q", len(text) if length is None else length) + text + data)


def zipped(folder):
    torch.save({"a": Bomb()}, folder / "x")
    content = (folder / "x").read_bytes()
    (folder / "x").unlink()
    return content


def only(name):
    def spoil(folder):
        (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(pickle.dumps(Bomb()))

    return spoil


def cut(folder):
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-1000])


def flipped(folder):
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-100] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def sparse(name, size, start=b""):
    """A file of ``size`` bytes, of which the disk has the first few."""

    def spoil(folder):
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(size)

    return spoil


def gone(name):
    return lambda folder: (folder / name).unlink()


def instead(name, make):
    def spoil(folder):
        (folder / name).unlink()
        make(folder / name)

    return spoil


def outside(name):
    """A link to what lies beside the folder."""

    def spoil(folder):
        (folder / name).rename(folder.parent / "secret")
        (folder / name).symlink_to(folder.parent / "secret")

    return spoil


def with_code(folder):
    """What other libraries would import (transformers' auto_map, diffusers' _class_name)."""
    for name in ("modeling.py", "__init__.py", "genzoo_vae.py", "conftest.py"):
        (folder / name).write_text(EVIL)
    edit(folder, auto_map={"AutoModel": "modeling.Evil"}, _class_name="Evil")


def metrics(value):
    return lambda folder: (folder / "metrics.json").write_text(json.dumps(value))


NESTED = b'{"format": 1, "config": ' + b"[" * 900 + b"]" * 900 + b"}"
MANY = b"{" + b",".join(
    b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i for i in range(18_000)
) + b"}"  # fmt: skip
SCORE = {"name": "fd", "value": 1.0, "protocol": {}}
ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\r\n\x9b31m"

# By name: how the folder is spoilt, and the exit codes of sample and of info (which reads neither
# the weights' values nor what a family makes of its config).
FOLDERS = {
    "1 empty weights": (weights(b""), 4, 4),
    "2 a web page": (weights(PAGE), 4, 4),
    "3 a pointer of Git LFS": (weights(POINTER), 4, 4),
    "4 a pickle": (weights(pickle.dumps(Bomb())), 4, 4),
    "4 a pickle of protocol 0": (weights(pickle.dumps(Bomb(), 0)), 4, 4),
    "4 an archive of torch's": (weights(zipped), 4, 4),
    "5 only .bin": (only("pytorch_model.bin"), 4, 4),
    "5 only .pt": (only("model.pt"), 4, 4),
    "5 only .pkl": (only("model.pkl"), 4, 4),
    "5 only .ckpt": (only("model.ckpt"), 4, 4),
    "6 cut off": (cut, 4, 4),
    "7 a bit flipped": (flipped, 4, 0),
    "8 a header of 2^63 bytes": (headed(b"{}", length=2**63), 4, 4),
    "8 a header of 2^64 - 1 bytes": (headed(b"{}", length=2**64 - 1), 4, 4),
    "9 a header of 80 MB": (sparse(WEIGHTS, 81 << 20, struct.pack("<Q", 80 << 20)), 4, 4),
    "9 a header of many tensors": (headed(MANY), 4, 0),
    "9 a deep header": (headed(b"[" * 200_000), 4, 4),
    "10 a tensor too few": (tensors(spread=None), 4, 0),
    "10 a tensor too many": (tensors(zz=torch.zeros(1)), 4, 0),
    "10 another shape": (tensors(prior_mean=torch.zeros(3)), 4, 0),
    "11 not a number": (tensors(spread=torch.tensor(float("nan"))), 4, 0),
    "11 infinite": (tensors(spread=torch.tensor(float("-inf"))), 4, 0),
    "12 whole numbers": (tensors(spread=torch.tensor(1)), 4, 0),
    "12 float64": (tensors(spread=torch.tensor(1.0).double()), 4, 0),
    "13 no config": (gone(CONFIG), 4, 4),
    "14 no JSON": (config(b"family: vae\n"), 4, 4),
    "14 no object": (config(b"[]"), 4, 4),
    "14 a byte order mark": (config(b'\xef\xbb\xbf{"format": 1}'), 4, 4),
    "14 ten megabytes": (config(b" " * (10 << 20)), 4, 4),
    "14 four gigabytes": (sparse(CONFIG, 4 << 30), 4, 4),
    "14 nested 200,000 deep": (config(b"[" * 200_000), 4, 4),
    "14 nested as deep as can be": (config(NESTED), 4, 4),
    "14 a number of 5,000 digits": (config(b'{"format": ' + b"9" * 5000 + b"}"), 4, 4),
    "14 NaN": (config(b'{"format": NaN}'), 4, 4),
    "14 infinity": (config(b'{"format": -Infinity}'), 4, 4),
    "14 1e400": (config(b'{"format": 1e400}'), 4, 4),
    "14 a key twice": (config(b'{"format": 1, "format": 1}'), 4, 4),
    "15 an unknown key": (manifest(colour="red"), 4, 4),
    "15 an unknown key of the family": (configured(colour="red"), 4, 0),
    "16 text for a number": (configured(code="64"), 4, 0),
    "16 true for a number": (configured(code=True), 4, 0),
    "16 a number for text": (manifest(name=3), 4, 4),
    "17 a terabyte": (configured(shape=[65_536, 65_536, 4]), 4, 0),
    "17 a negative size": (configured(code=-2), 4, 0),
    "17 no size": (configured(width=0), 4, 0),
    "17 a size of 10^12": (configured(latent_dim=10**12), 4, 0),
    "17 a size of 4,000 digits": (configured(latent_dim=10**3999), 4, 0),
    "17 a billion layers": (manifest(family="pixelcnn", config={"layers": 10**9}), 4, 0),
    "18 no such family": (manifest(family="vea"), 2, 0),
    "18 a family that is a module": (manifest(family="os:system"), 2, 0),
    "18 a family that is a path": (manifest(family="../evil"), 2, 0),
    "19 a newer plugin": (manifest(revision=1000), 4, 0),
    "19 a newer format": (manifest(format=3), 4, 4),
    "20 code beside it": (with_code, 4, 4),
    "20 code in the family's config": (configured(auto_map="modeling:Evil"), 4, 0),
    "20 YAML that makes objects": (config(b"!!python/object/apply:os.system [id]"), 4, 4),
    "22 a link out, of the weights": (outside(WEIGHTS), 4, 4),
    "22 a link out, of the config": (outside(CONFIG), 4, 4),
    "22 a link to itself": (instead(WEIGHTS, lambda p: p.symlink_to(p.name)), 4, 4),
    "22 a link to a device": (instead(WEIGHTS, lambda p: p.symlink_to("/dev/zero")), 4, 4),
    "22 a pipe for weights": (instead(WEIGHTS, os.mkfifo), 4, 4),
    "22 a pipe for a config": (instead(CONFIG, os.mkfifo), 4, 4),
    "22 a folder for weights": (instead(WEIGHTS, Path.mkdir), 4, 4),
    "25 escapes in the name": (manifest(name=ESCAPES), 4, 4),
    "25 escapes in the terms": (manifest(terms=ESCAPES, license="other"), 4, 4),
    "25 escapes in a key": (manifest(**{ESCAPES: 1}), 4, 4),
    "25 escapes in a class": (manifest(class_names=[ESCAPES]), 4, 4),
    "25 escapes in the family": (manifest(family=ESCAPES), 4, 4),
    "25 escapes in the family's config": (configured(**{ESCAPES: ESCAPES}), 4, 0),
    "25 escapes in a tensor's name": (tensors(**{ESCAPES: torch.zeros(1)}), 4, 0),
    "25 escapes in a score": (metrics({"scores": [SCORE | {"name": ESCAPES}]}), 0, 0),
    "metrics that are none": (metrics({"scores": 3}), 0, 4),
    "a score that is text": (metrics({"scores": [SCORE | {"value": "1"}]}), 0, 4),
    "a score without a name": (metrics({"scores": [{"value": 1.0, "protocol": {}}]}), 0, 4),
    "a score of 400 digits": (metrics({"scores": [SCORE | {"value": 10**400}]}), 0, 4),
    "a speed that is text": (metrics({"speed": "fast"}), 0, 4),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder that is as it should be."""
    family = families.get("vae")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = family.model(family.tiny)
    return store.save(model, tmp_path_factory.mktemp("sound") / "model", data="digits")


@pytest.fixture
def folder(sound, tmp_path, monkeypatch):
    """A copy of it, to spoil; the current folder is one that is empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Path(shutil.copytree(sound, tmp_path / "model"))


def call(capsys, *words):
    code = cli.run([*map(str, words)])
    return code, *capsys.readouterr()


def tree(folder):
    """All that is in a folder, links and pipes too, and when each was changed."""
    return {p: p.lstat().st_mtime_ns for p in [folder, *folder.rglob("*")]}


def harmless(text):
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_hostile_folder(name, folder, capsys, tmp_path):
    spoil, *codes = FOLDERS[name]
    spoil(folder)
    (tmp_path / "home" / "families").mkdir(parents=True)  # notes of good families may come into it
    before = tree(tmp_path)
    asked = (["sample", folder, "-n", "1", "-o", "x.npy"], ["info", folder])
    for words, expected in zip(asked, codes, strict=True):
        code, out, err = call(capsys, *words)
        assert code == expected, err
        assert harmless(out)
        assert harmless(err)
        if code:
            assert (out, err.count("\n")) == ("", 1)
            assert err.startswith("genzoo: ")
            assert len(err) < 1000
            assert "Traceback" not in err
    if codes[0] == 0:  # the weights are good, and samples were asked for
        Path("x.npy").unlink()
        os.utime(Path.cwd(), ns=(0, before[Path.cwd()]))
    after, notes = tree(tmp_path), tmp_path / "home" / "families"
    assert {p: t for p, t in after.items() if not p.is_relative_to(notes)} == {
        p: t for p, t in before.items() if not p.is_relative_to(notes)
    }
    assert not Path("exploded").exists()


def test_each_of_the_list_is_here():
    """The kinds of hostile input that are local, by their numbers."""
    numbers = {int(n) for name in FOLDERS if (n := name.split()[0]).isdecimal()}
    assert numbers == {*range(1, 21), 22, 25}


def test_the_bombs_are_bombs(folder):
    """What loading does not do: unpickle the one, import the other."""
    pickle.loads(pickle.dumps(Bomb()))
    assert Path("exploded").exists()
    Path("exploded").unlink()
    (folder / "x.pt").write_bytes(zipped(folder))
    torch.load(folder / "x.pt", weights_only=False)
    assert Path("exploded").exists()
    Path("exploded").unlink()
    exec(compile(EVIL, "modeling.py", "exec"))
    assert Path("exploded").exists()


def test_a_sound_folder_with_code_beside_it_runs_none(folder, capsys, monkeypatch):
    for name in ("modeling.py", "genzoo_vae.py", "__init__.py", "sitecustomize.py"):
        (folder / name).write_text(EVIL)
    monkeypatch.chdir(folder)
    assert call(capsys, "sample", ".", "-n", "1", "-o", "x.png")[0] == 0
    assert call(capsys, "info", ".")[0] == 0
    assert not Path("exploded").exists()


def test_no_module_comes_from_a_cards_numbers(folder, monkeypatch, capsys):
    """``verify`` measures again what a card says, but not with code that the card names."""
    (folder / "evil.py").write_text(EVIL)
    monkeypatch.syspath_prepend(folder)
    for features in ("evil:network", f"inception:{folder / 'evil.pt'}"):
        asked = {"metrics": "kd", "data": "digits", "features": features}
        metrics({"scores": [SCORE | {"tolerance": 0.1, "request": asked}]})(folder)
        code, out, err = call(capsys, "verify", folder, "--json")
        (_, check) = json.loads(out)
        assert (code, check["state"]) == (1, "skipped")
        assert err.count("\n") == 1
        assert "no number could be verified" in err
        assert re.search(f"genzoo evaluate .*--features {features}", check["reason"])
    assert "evil" not in sys.modules
    assert not Path("exploded").exists()


@pytest.mark.parametrize("changes", [{"n": 10**12}, {"n": "9"}, {"seed": True}, {"root": "/"}])
def test_a_card_asks_within_bounds(changes, folder, capsys):
    asked = {"metrics": "kd", "data": "digits", "n": 9} | changes
    metrics({"scores": [SCORE | {"tolerance": 0.1, "request": asked}]})(folder)
    code, out, _ = call(capsys, "verify", folder, "--json")
    (_, check) = json.loads(out)
    assert (code, check["state"]) == (1, "differs")
    assert next(iter(changes)) in check["reason"]


# ---------------------------------------------------------------------------------------- its cost


class Counted:
    """A file that counts the bytes read of it."""

    def __init__(self, file, counts):
        self.file, self.counts = file, counts

    def __enter__(self):
        return self

    def __exit__(self, *how):
        self.file.close()

    def read(self, *size):
        content = self.file.read(*size)
        self.counts.append(len(content))
        return content

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize(
    ("name", "spoil", "most"),
    [
        (WEIGHTS, FOLDERS["9 a header of 80 MB"][0], 8),
        (WEIGHTS, FOLDERS["8 a header of 2^63 bytes"][0], 8),
        (WEIGHTS, sparse(WEIGHTS, 8 << 30), 8),
        (CONFIG, FOLDERS["14 four gigabytes"][0], 0),
        (CONFIG, FOLDERS["14 ten megabytes"][0], 0),
        ("metrics.json", sparse("metrics.json", 4 << 30), 0),
    ],
)
def test_what_is_too_large_is_not_read(name, spoil, most, folder, capsys, monkeypatch):
    spoil(folder)
    counts, opened = [], open

    def counted(path, *how, **more):
        file = opened(path, *how, **more)
        return Counted(file, counts) if Path(path).name == name else file

    monkeypatch.setattr(reader, "open", counted, raising=False)  # all files go through this door
    code, _, _ = call(capsys, "info", folder)
    assert code == 4
    assert sum(counts) <= most


MEASURE = r"""
import contextlib, io, json, re, sys
from pathlib import Path
import genzoo.cli
def peak():  # ru_maxrss would begin with that of the process that started this one
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
sound, *folders = sys.argv[1:]
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    codes = [genzoo.cli.run(["sample", sound, "-n", "1", "-o", "x.npy"])]
    before = peak()
    for folder in folders:
        codes += [genzoo.cli.run([verb, folder]) for verb in ("sample", "info")]
print(json.dumps([before, peak(), codes]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says the peak")
def test_nothing_fills_the_memory(sound, tmp_path):
    """All of it in one process: beside what a sound model takes, 100 MB (torch alone is 250)."""
    heavy = [n for n in FOLDERS if n.split()[0] in ("8", "9", "14", "17", "25", "4", "22")]
    folders = []
    for i, name in enumerate(heavy):
        folders.append(Path(shutil.copytree(sound, tmp_path / str(i) / "model")))
        FOLDERS[name][0](folders[-1])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, sound, *folders],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    before, after, codes = json.loads(done.stdout)
    expected = [c for name in heavy for c in FOLDERS[name][1:]]
    print(f"{before} MB, and then {after} MB")
    assert codes == [0, *expected]
    assert after - before < 100


def test_a_picture_without_end_is_refused_before_it_is_drawn(tmp_path, capsys, monkeypatch):
    """Weights of convolutions fit any size: here 65,536 squared, which a card may well say."""
    monkeypatch.chdir(tmp_path)
    family = families.get("pixelcnn")
    folder = store.save(family.model(family.tiny), tmp_path / "model")
    edit(folder, config=lambda c: {**c, "shape": [c["shape"][0], 65_536, 65_536]})
    code, out, err = call(capsys, "sample", folder, "-n", "1")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "million pixels" in err


# ------------------------------------------------------------------------------- words of others


@pytest.fixture
def named(tmp_path, monkeypatch, only_models):
    """The only card there is has a name, a score and a unit that drive terminals."""
    only_models(tmp_path / "cards")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cards").mkdir()
    family = families.get("vae")
    model = family.model(family.config(shape=(1, 28, 28), latent_dim=2, width=8))
    folder = tmp_path / "cards" / ESCAPES
    store.save(model, tmp_path / "plain", data="mnist").rename(folder)  # save refuses such a name
    score = {"name": ESCAPES, "value": 1.0, "unit": ESCAPES, "protocol": {ESCAPES: ESCAPES}}
    metrics({"scores": [score]})(folder)
    return folder


@pytest.mark.parametrize(
    "words", [["list"], ["list", "-q"], ["list", "--json"], ["info", "CARD"], ["families"]]
)
def test_listings_are_harmless(words, named, capsys):
    code, out, err = call(capsys, *(str(named) if w == "CARD" else w for w in words))
    assert (code, err) == (0, "")
    assert harmless(out)
    assert words[0] == "families" or "[2J" in out


def test_what_is_made_of_a_folders_name_is_harmless(named, capsys):
    """The name that samples get, the answer, a comparison and what it holds."""
    code, out, _ = call(capsys, "sample", named, "-n", "1")
    assert (code, harmless(out)) == (0, True)
    assert all(p.name.isprintable() for p in Path().glob("*.png"))
    code, out, err = call(capsys, "sample", named, "-n", "1", "-o", f"{named.name}.png")
    assert (code, out, harmless(err)) == (2, "", True)
    other = shutil.copytree(named, "other")
    tensors(spread=torch.tensor(0.5))(Path(other))  # else they were the same model
    told = ["-n", "300", "--metrics", "sharpness-mnist", "--data", "mnist"]
    code, out, err = call(capsys, "compare", named, f"./{other}", *told, "-o", "found")
    assert (code, harmless(out)) == (0, True), err
    code, out, err = call(capsys, "evaluate", named, *told)
    assert harmless(out + err)


def test_data_with_names_that_drive_a_terminal(tmp_path, capsys, monkeypatch, caplog):
    """Classes, a broken file and the folder itself."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for kind in ("\x1b[2Ja", "b"):
        folder = tmp_path / f"data{ESCAPES}" / kind
        folder.mkdir(parents=True)
        for i in range(20):
            pixels = random.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / f"{ESCAPES}.png").write_bytes(b"broken")
    for family in ("vae", "cgan"):
        words = ["--data", f"./data{ESCAPES}", "--steps", "1", "--set", "batch_size=4"]
        code, out, err = call(capsys, "train", family, *words, "--device", "cpu")
        assert harmless(out + err)
        assert code in (0, 2)
    line = entry._Line("genzoo: %(message)s")
    said = [line.format(r) for r in caplog.records]
    assert any("broken file" in s for s in said)
    assert all(s.isprintable() for s in said)


def test_the_command_line_logs_harmless_lines(capsys, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    logging.getLogger("genzoo").warning("%s", ESCAPES)
    err = capsys.readouterr().err
    assert err.startswith("genzoo: ")
    assert (err.count("\n"), harmless(err)) == (1, True)
