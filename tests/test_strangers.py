"""What a stranger's file may ask for: nothing beyond bounds, nothing outside its folder."""

import ast
import contextlib
import io
import json
import os
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


def edit(folder, file, **changes):
    path = folder / file
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
@pytest.mark.parametrize("command", ["info", "card", "readme"])
def test_null_in_the_metrics_is_no_number(name, command, folder, capsys):
    edit(folder, "metrics.json", **NULLS[name])
    if command == "card":
        assert cards.card(folder).error == ""
    elif command == "readme":
        cards.add_scores(folder, [SCORE | {"name": "kd"}])
        assert "| kd | 12.5 |" in (folder / "README.md").read_text()
    else:
        code, out, err = call(capsys, *command.split(), folder)
        assert (code, err) == (0, "")
        assert out


def test_verify_skips_what_is_null(folder):
    edit(folder, "metrics.json", speed=None, fingerprint=None, scores=[SCORE | {"request": None}])
    assert [check.state for check in genzoo.verify(folder)] == ["skipped"] * 2


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


# ------------------------------------------------------------------------------ names of folders


@pytest.mark.parametrize("name", ["my-vae", "models/my-vae", "a/b/c"])
def test_a_folder_without_its_dot_is_offered(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "did you mean ./" not in call(capsys, "info", name)[2]
    Path(name).mkdir(parents=True)
    code, out, err = call(capsys, "info", name)
    assert (code > 0, out, err.count("\n")) == (True, "", 1)
    assert f"did you mean ./{name}?" in err


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("part", [f"snapshots/{COMMIT}", ""])
def test_a_folder_of_the_hubs_client_says_what_to_type(part, folder, tmp_path, capsys):
    cache = tmp_path / "models--owner--my-vae"
    place = cache / "snapshots" / COMMIT
    place.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for path in folder.iterdir():
        (cache / "blobs" / path.name).write_bytes(path.read_bytes())
        (place / path.name).symlink_to(cache / "blobs" / path.name)
    for words in (["info", cache / part], ["sample", cache / part, "-n", "1"]):
        code, out, err = call(capsys, *words)
        assert (code, out, err.count("\n")) == (4, "", 1)
        assert f"genzoo pull owner/my-vae{f'@{COMMIT}' if part else ''}" in err
        assert "genzoo.load" not in err, "a word of Python"


def test_a_plain_copy_of_it_is_loaded_and_an_odd_name_is_not_typed(folder, tmp_path, capsys):
    place = tmp_path / "models--owner--my-vae" / "snapshots" / COMMIT
    shutil.copytree(folder, place)
    assert genzoo.load(place, device="cpu").origin.family == "vae"
    odd = tmp_path / "models--a;rm -rf--b" / "snapshots" / COMMIT
    odd.mkdir(parents=True)
    code, _, err = call(capsys, "info", odd)
    assert code > 0
    assert "genzoo pull" not in err


# ------------------------------------------------------------------------------ others' text

MARKUP = "[red]x[/red] [/] [link=http://evil.example]y[/link] <b>z</b>"


@pytest.mark.parametrize(
    "words",
    [
        ["info", MARKUP],
        ["sample", MARKUP],
        ["info", "./" + MARKUP],
        [MARKUP],
        ["list", f"--{MARKUP}"],
        ["list", "--json", MARKUP],
        ["train", MARKUP],
    ],
)
def test_text_of_others_is_no_markup_in_an_error(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out, err = call(capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "[red]x[/red]" in err


def test_text_of_others_is_no_markup_in_a_listing(install, capsys, monkeypatch):
    install("family", "marked", "raise ValueError('[red]broken[/] [/nothing]')", summary=MARKUP)
    assert call(capsys, "list", "families")[1].count(MARKUP) == 1
    assert "[red]broken[/] [/nothing]" in call(capsys, "plugin", "list")[1]
    assert call(capsys, "--help")[0] == 0
    complete = {"_GENZOO_COMPLETE": "complete_bash", "COMP_WORDS": "genzoo info mar"}
    for key, value in {**complete, "COMP_CWORD": "2"}.items():
        monkeypatch.setenv(key, value)
    assert "marked" in call(capsys)[1]


def test_text_of_others_in_a_model_folder_is_no_markup(folder, capsys):
    edit(folder, "config.json", terms=MARKUP, license=MARKUP, data=MARKUP)
    edit(folder, "metrics.json", scores=[SCORE | {"name": MARKUP, "unit": MARKUP[:40]}])
    code, out, err = call(capsys, "info", folder)
    assert (code, err) == (0, "")
    assert out.count(MARKUP) == 4


EVIL = "</pre><script>x</script> [a](http://evil.example) ![b](http://evil.example) | ``` \\"


def test_text_of_others_is_neither_markdown_nor_code_in_a_readme(folder):
    edit(folder, "config.json", name='a"); evil("', terms=EVIL, license=EVIL, data=EVIL)
    values = json.loads((folder / "config.json").read_text())
    recipe = {
        "command": f"```\n{EVIL}\n```\n# b", "data_sha256": "0" * 64, "config": {}, "seed": 0,
        "options": {EVIL: EVIL}, "steps": 1, "seconds": 1.0, "machine": EVIL, "versions": {},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps({**values, "recipe": recipe}))
    score = SCORE | {"name": EVIL, "protocol": {EVIL: f"\n# c\n{EVIL}"}}
    (folder / "README.md").unlink()
    cards.add_scores(folder, [score])
    text = (folder / "README.md").read_text().split("\n---\n", 1)[1]
    rendered = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in rendered
    assert "](http://evil" not in rendered
    assert not re.search(r"^# [bc]", text, re.MULTILINE)
    assert len(re.findall("^```", text, re.MULTILINE)) == 4  # of two blocks
    code = text.partition("```python\n")[2].partition("```")[0]
    assert [type(node).__name__ for node in ast.parse(code).body] == ["Import", "Expr"]
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {3, 4}


# ------------------------------------------------------------------------------ saved over itself


def beside(folder):
    names = ("README.md", "metrics.json", "samples.png", manifest.DISCRIMINATOR)
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


@pytest.fixture
def whole(tmp_path):
    """A folder with all that one can hold."""
    family = families.get("dcgan")
    model, discriminator = family.model(family.tiny), family.discriminator(family.tiny)
    recipe = manifest.Recipe(
        command="genzoo train", data_sha256="0" * 64, config={}, options={}, seed=0, steps=1,
        seconds=1, machine="m", versions={},
    )  # fmt: skip
    more = {"discriminator": discriminator, "recipe": recipe, "data": "digits", "license": "mit"}
    folder = folders.save(model, tmp_path / "model", **more)
    cards.complete(folder)
    cards.add_scores(folder, [SCORE])
    return folder


def test_a_model_saved_over_itself_loses_nothing(whole, caplog):
    before, old = beside(whole), manifest.read_manifest(whole)
    assert len(before) == 4
    folders.save(genzoo.load(whole, device="cpu"), whole, force=True)
    assert (beside(whole), manifest.read_manifest(whole)) == (before, old)
    assert folders.load_discriminator(whole, "cpu") is not None
    assert caplog.text == ""


def test_what_the_card_says_no_more_is_removed_by_name(whole, caplog):
    folders.save(genzoo.load(whole, device="cpu"), whole, license="cc0-1.0", force=True)
    assert {*beside(whole)} == {"metrics.json", "samples.png", manifest.DISCRIMINATOR}
    assert "removed README.md:" in caplog.text


def test_what_another_model_takes_with_it_is_named(whole, caplog):
    model = genzoo.load(whole, device="cpu")
    next(model.parameters()).data += 1
    with pytest.raises(BadInput) as refusal:
        folders.save(model, whole)
    for name in beside(whole):
        assert name in str(refusal.value)
    names = beside(whole)
    folders.save(model, whole, force=True)
    assert beside(whole) == {}
    for name in (*names, "its recipe"):
        assert name in caplog.text


# ------------------------------------------------------------------------------ made up by hand


def deep(n):
    value = 1
    for _ in range(n):
        value = [value]
    return value


def metrics_of(**score):
    return lambda f: edit(f, "metrics.json", scores=[SCORE | score])


def config_of(**changes):
    return lambda f: edit(f, "config.json", **changes)


def in_place_of(name, make):
    def change(folder):
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return change


def header(**entries):
    """Weights whose header has more entries: as the library reads it, or not."""

    def change(folder):
        content = (folder / manifest.WEIGHTS).read_bytes()
        length = int.from_bytes(content[:8], "little")
        values = {**json.loads(content[8 : 8 + length]), **entries}
        text = json.dumps(values).encode()
        whole = struct.pack("<Q", len(text)) + text + content[8 + length :]
        (folder / manifest.WEIGHTS).write_bytes(whole)
        edit(folder, "config.json", weights_sha256=manifest.sha256_of(whole))

    return change


REQUEST = {"metrics": "kd", "data": "digits", "n": 9}
FRESH = {
    "a name that is a path": config_of(name="../../etc/passwd"),
    "an empty name": config_of(name=""),
    "a name that is an option": config_of(name="--force"),
    "data that are a folder": config_of(data="/"),
    "data that are a folder here": config_of(data="../.."),
    "data of 40 domains": config_of(data=",".join(["mnist"] * 40)),
    "a rate of images": config_of(rate=44_100),
    "points that are images": config_of(kind="points"),
    "nine thousand classes": config_of(class_names=["x"] * 9000),
    "a hash in capitals": config_of(weights_sha256="A" * 64),
    "a version of 10^30": config_of(version=10**30),
    "a recipe of null fields": config_of(recipe={"command": None, "data_sha256": None}),
    "a family in other letters": config_of(family="vаe"),  # noqa: RUF001 (a Cyrillic a)
    "surrogates in the terms": in_place_of(
        "config.json", lambda p: p.write_text('{"terms": "\\ud800"}')
    ),
    "a protocol 300 deep": metrics_of(protocol={"a": deep(300)}),
    "a protocol of 10^4000": metrics_of(protocol={"a": 10**3999}),
    "details of markup": metrics_of(details={MARKUP: MARKUP}),
    "a value of 1e308": metrics_of(value=1e308, interval=[1e308, -1e308], floor=-1e308),
    "a request of a folder": metrics_of(tolerance=1e308, request=REQUEST | {"data": "/"}),
    "a request of itself": metrics_of(tolerance=1.0, request=REQUEST | {"data": "images:."}),
    "a request of unknown settings": metrics_of(
        tolerance=1.0, request=REQUEST | {"sampling": {"__class__": 1.0}}
    ),
    "a request of many groups": metrics_of(tolerance=1.0, request=REQUEST | {"groups": 65_536}),
    "a thousand scores of one name": lambda f: edit(f, "metrics.json", scores=[SCORE] * 1000),
    "a fingerprint of other letters": lambda f: edit(f, "metrics.json", fingerprint="é" * 9),
    "an empty fingerprint": lambda f: edit(f, "metrics.json", fingerprint=""),
    "a fingerprint cut off": lambda f: edit(f, "metrics.json", fingerprint="eJw="),
    "metadata that are a list": header(__metadata__=[1]),
    "metadata of numbers": header(__metadata__={"a": 1}),
    "metadata of code": header(__metadata__={"format": "__import__('os')"}),
    "a tensor without values": header(evil={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
    "a tensor of a strange type": header(
        evil={"dtype": "C64", "shape": [], "data_offsets": [0, 0]}
    ),
    "a README that is a folder": in_place_of("README.md", Path.mkdir),
    "a README that links out": in_place_of("README.md", lambda p: p.symlink_to("/etc/hostname")),
    "a README of bytes": in_place_of("README.md", lambda p: p.write_bytes(b"\xff\xfe" * 99)),
    "a picture that links out": in_place_of("samples.png", lambda p: p.symlink_to("/etc/passwd")),
    "a picture that is a pipe": in_place_of("samples.png", os.mkfifo),
    "metrics that link out": in_place_of("metrics.json", lambda p: p.symlink_to("/etc/hostname")),
    "metrics that link to nothing": in_place_of("metrics.json", lambda p: p.symlink_to("gone")),
    "a run that is a link": in_place_of("run", lambda p: p.symlink_to("/")),
    "a run of 2 GB": lambda f: sparse_plan(f),
}


def sparse_plan(folder):
    (folder / "run").mkdir()
    with (folder / "run" / "plan.json").open("wb") as file:
        file.truncate(2 << 30)


@pytest.mark.parametrize("name", FRESH)
def test_made_up_by_hand(name, folder, tmp_path, capsys, monkeypatch):
    """Every command ends with a code and at most a line of errors, and changes nothing."""
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "home"))
    FRESH[name](folder)
    before = {p: p.lstat().st_mtime_ns for p in folder.rglob("*")}
    for words in (
        ["info", folder],
        ["verify", folder],
        ["sample", folder, "-n", "1", "-o", "x.npy", "--force"],
    ):
        code, out, err = call(capsys, *words)
        assert code in (0, 1, 2, 4), err
        assert err.count("\n") <= 2  # a reason, and what was warned of
        assert all(line.isprintable() for line in (out + err).split("\n"))
        assert "Traceback" not in err
        assert len(err) < 1500
    assert {p: p.lstat().st_mtime_ns for p in folder.rglob("*")} == before


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_what_stands_where_a_file_is_written_harms_nothing(what, folder, tmp_path):
    """A link named like a file that genzoo writes: it is replaced, or refused; not followed."""
    victim = tmp_path / "victim"
    for name in ("README.md", "metrics.json", ".lock"):
        victim.write_text("precious")
        (folder / name).unlink(missing_ok=True)
        make = {"link": lambda p: p.symlink_to(victim), "pipe": os.mkfifo, "folder": Path.mkdir}
        make[what](folder / name)
        with contextlib.suppress(genzoo.GenzooError):
            cards.add_scores(folder, [SCORE])
        assert victim.read_text() == "precious", name


DIRECTIONS = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "2 MB": lambda p: p.write_bytes(bytes(2 << 20)),
    "nothing": lambda p: p.write_bytes(b""),
    "a wrong info": lambda p: p.write_bytes(pack({"direction": torch.ones(2)}, {"info": "[]"})),
    "an info of null": lambda p: p.write_bytes(
        pack({"direction": torch.ones(2)}, {"info": "null"})
    ),
    "a deep info": lambda p: p.write_bytes(
        pack({"direction": torch.ones(2)}, {"info": "[" * 90_000})
    ),
    "no number": lambda p: p.write_bytes(pack({"direction": torch.full((2,), torch.nan)})),
    "two vectors": lambda p: p.write_bytes(pack({"a": torch.ones(2), "direction": torch.ones(2)})),
}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_strangers_direction_is_one_line(name, folder, tmp_path, capsys):
    path = tmp_path / "x.safetensors"
    DIRECTIONS[name](path)
    code, out, err = call(capsys, "steer", folder, path, "--seed", "0")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert len(err) < 600
