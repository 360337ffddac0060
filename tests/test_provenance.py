"""Pictures say where they come from, are drawn again by it, and are never trusted."""

import contextlib
import io
import json
import os
import re
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.errors import BadInput, GenzooError, OperationFailed, UnknownName
from genzoo.evaluation import drawing
from genzoo.models import film
from genzoo.models.samples import Images
from genzoo.zoo import citation, folder, names, provenance


def shelved(home, name, family, seed=0):
    """A tiny model of ``family`` as a card of the name."""
    parts = families.get(family)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = parts.model(parts.tiny)
    folder.save(model, home / name, family=family)
    return genzoo.load(home / name, device="cpu")


@pytest.fixture
def home(tmp_path, monkeypatch, only_models):
    """The only cards there are; tests run in a folder beside them."""
    for name in ("cards", "here"):
        (tmp_path / name).mkdir()
    only_models(tmp_path / "cards")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cards"


@pytest.fixture
def model(home):
    return shelved(home, "tiny", "vae")


def call(capsys, *words):
    code = run([*map(str, words)])
    return code, *capsys.readouterr()


def chunk(kind, content, length=None):
    size = len(content) if length is None else length
    return struct.pack(">I", size) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks, size=(18, 18)):
    """A black picture with ``chunks`` before its pixels."""
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    content = buffer.getvalue()
    return content[:33] + b"".join(chunks) + content[33:]  # behind the signature and IHDR


def recorded(**changes):
    record = {
        "genzoo": "0.1.0",
        "origin": {"model": "tiny", "family": "vae", "weights_sha256": "0" * 64, "revision": None},
        "seeds": [[0, 0]],
        "labels": None,
    }
    return png(chunk(b"tEXt", b"genzoo\0" + json.dumps(record | changes).encode()))


# --------------------------------------------------------------------------------- what it says


def test_a_picture_says_what_drew_it(model):
    model.sample(3, seed=9, start=2, truncation=0.5).save("x.png")
    told = genzoo.inspect("x.png")
    assert told.synthetic
    assert told.record.genzoo == genzoo.__version__
    assert vars(told.record.origin) == vars(model.origin)
    assert told.record.seeds == ((9, 2), (9, 3), (9, 4))
    assert told.record.call.method == "sample"
    settings = {"truncation": 0.5, "temperature": None, "observation_noise": 0.0}
    assert told.record.call.sampling == settings


def test_no_pixel_is_decoded_to_read_it(model, monkeypatch):
    model.sample(3).save("x.png")
    monkeypatch.setattr(Image, "open", None)
    assert genzoo.inspect("x.png").record.origin.model == "tiny"


def test_pictures_from_before_the_call_was_written_are_read(model):
    drawn = model.sample(2, seed=5)
    record = drawn.record()
    del record["call"]
    about = PngImagePlugin.PngInfo()
    about.add_text("genzoo", json.dumps(record))
    drawn.grid().save("old.png", pnginfo=about)
    assert genzoo.inspect("old.png").record.call.method == "sample"
    assert genzoo.reproduce("old.png", device="cpu").state == "equal"


def test_what_a_newer_genzoo_adds_is_left_out(home):
    Path("new.png").write_bytes(recorded(more=1, call={"method": "sample", "steps": 9}))
    assert genzoo.inspect("new.png").record.call.method == "sample"


def test_texts_that_other_programs_packed_are_read(home):
    text = '{"genzoo": "0.1.0", "seeds": [[0, 0]]}'
    for kind, head in ((b"zTXt", b"genzoo\0\0"), (b"iTXt", b"genzoo\0\1\0en\0key\0")):
        Path("x.png").write_bytes(png(chunk(kind, head + zlib.compress(text.encode()))))
        assert genzoo.inspect("x.png").record.seeds == ((0, 0),)
    Path("x.png").write_bytes(png(chunk(b"iTXt", b"genzoo\0\0\0\0\0" + text.encode())))
    assert genzoo.inspect("x.png").record.seeds == ((0, 0),)


def test_without_metadata_it_says_that_it_is_synthetic_and_no_more(model):
    model.sample(2).save("x.png", metadata=False)
    content = Path("x.png").read_bytes()
    assert genzoo.inspect("x.png") == provenance.Provenance(True, None)
    assert "trainedAlgorithmicMedia" in Image.open("x.png").text["XML:com.adobe.xmp"]
    assert not [w for w in (b"tiny", b"seeds", b"Software", b"0.1.0") if w in content]
    with pytest.raises(BadInput, match=r"x\.png has no record"):
        genzoo.reproduce("x.png")


def test_a_completed_photo_is_said_to_be_synthetic_in_part(home):
    import torch

    from genzoo.models.samples import Images

    made = Images(torch.zeros(1, 1, 8, 8), None, [(0, 0)], call={"method": "inpaint"})
    made.save("x.png", metadata=False)
    xmp = Image.open("x.png").text["XML:com.adobe.xmp"]
    assert "digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in xmp
    Path("x.png").write_bytes(Path("x.png").read_bytes().replace(b"Synthetic", b"something"))
    assert genzoo.inspect("x.png").synthetic, "known by IPTC's term alone"


def test_a_folder_and_a_film_without_metadata(model, home, capsys):
    assert call(capsys, "sample", home / "tiny", "-n", 2, "--no-metadata", "-o", "two")[0] == 0
    assert json.loads(Path("two/record.json").read_text()) == {"n": 2}
    assert genzoo.inspect("two/00000001.png").record is None
    film.watch(model.sample(2), Path("x.gif"), 3, metadata=False)
    assert genzoo.inspect("x.gif") == provenance.Provenance(True, None)


def test_a_film_says_what_drew_it(model):
    film.watch(model.sample(2, seed=4), Path("x.gif"), 5)
    told = genzoo.inspect("x.gif")
    assert told.synthetic
    assert (told.record.seeds, told.record.origin.model) == (((4, 0), (4, 1)), "tiny")
    found = genzoo.reproduce("x.gif", device="cpu")
    assert (found.state, found.model) == ("equal", "tiny")


def test_a_comparisons_picture_says_that_it_is_synthetic(home):
    Path("x.png").write_bytes(drawing.encoded(Image.new("RGB", (4, 4)), synthetic=True))
    assert "trainedAlgorithmicMedia" in Image.open("x.png").text["XML:com.adobe.xmp"]
    assert genzoo.inspect("x.png") == provenance.Provenance(True, None)


def test_the_mark_alone_says_synthetic(home):
    for name, mark in (("a.png", b"Comment\0Synthetic: yes"), ("b.png", b"Comment\0a holiday")):
        Path(name).write_bytes(png(chunk(b"tEXt", mark)))
    assert genzoo.inspect("a.png") == provenance.Provenance(True, None)
    with pytest.raises(OperationFailed, match=r"b\.png has no genzoo metadata"):
        genzoo.inspect("b.png")


# -------------------------------------------------------------------------------------- drawn again


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".pdf"])
def test_files_of_every_format_say_what_drew_them(ending, model, capsys):
    """The record is the PNG's, and the picture is drawn again from it."""
    drawn = model.sample(5, seed=3, truncation=0.4)
    drawn.save("x.png"), drawn.save(f"x{ending}"), drawn.save(f"bare{ending}", metadata=False)
    assert genzoo.inspect(f"x{ending}") == genzoo.inspect("x.png")
    assert genzoo.inspect(f"bare{ending}") == provenance.Provenance(True, None)
    assert b"tiny" not in Path(f"bare{ending}").read_bytes()
    found = genzoo.reproduce(f"x{ending}", device="cpu")
    assert (found.state, found.apart, found.lossy) == ("equal", 0, ending == ".jpg")
    code, out, _ = call(capsys, "inspect", f"x{ending}", "--reproduce")
    assert (code, "loses detail" in out) == (0, ending == ".jpg")


def test_a_jpeg_of_other_pixels_differs(model, capsys):
    drawn = model.sample(4)
    dark = Images(drawn.tensor / 2, None, drawn.seeds, drawn.origin, call=drawn.call)
    dark.save("x.jpg")
    assert genzoo.reproduce("x.jpg", device="cpu").state == "differs"
    assert call(capsys, "inspect", "x.jpg", "--reproduce")[0] == 1


@pytest.mark.parametrize("n", [1, 2, 5, 70])
@pytest.mark.parametrize("scale", [None, 1, 3])
def test_the_same_picture_is_drawn_again(n, scale, model):
    model.sample(n, seed=3, start=7, truncation=0.4).save("x.png", scale)
    found = genzoo.reproduce("x.png", device="cpu")
    assert (found.state, found.apart, found.share, found.model) == ("equal", 0, 0, "tiny")
    found.samples.save("again.png", found.scale)
    assert Path("again.png").read_bytes() == Path("x.png").read_bytes()


def test_truncation_is_part_of_it(model):
    """Without, it would be another picture: so the test above can fail."""
    model.sample(4, truncation=0.1).save("x.png")
    content = Path("x.png").read_bytes()
    assert b'"truncation": 0.1' in content
    changed = chunk(b"tEXt", b"genzoo\0" + json.dumps(model.sample(4).record()).encode())
    start = content.index(b"tEXtgenzoo") - 4
    length = int.from_bytes(content[start : start + 4], "big")
    Path("x.png").write_bytes(content[:start] + changed + content[start + 12 + length :])
    assert genzoo.reproduce("x.png", device="cpu").state == "differs"


def test_classes_are_asked_for_again(home):
    model = shelved(home, "labelled", "cgan")
    for labels in (None, 1, [1, 0, 1, 1]):
        model.sample(4, labels=labels).save("x.png")
        assert genzoo.reproduce("x.png", device="cpu").state == "equal"


def test_any_choice_of_samples_is_drawn_again(model):
    whole = model.sample(9, seed=3)
    Images.join([whole[2:5], whole[7], model.sample(2, seed=4), whole[8], whole[1]]).save("x.png")
    found = genzoo.reproduce("x.png", device="cpu")
    assert found.samples.seeds[:4] == ((3, 2), (3, 3), (3, 4), (3, 7))
    assert found.apart <= 1  # in other batches


@pytest.mark.parametrize(("by", "state"), [(1, "rounded"), (2, "differs")])
def test_a_pixel_that_was_changed_is_seen(by, state, model, capsys):
    drawn = model.sample(4)
    sheet = np.asarray(drawn.grid()).astype(int)
    sheet[10, 10] += by if sheet[10, 10] < 99 else -by
    about = PngImagePlugin.PngInfo()
    about.add_text("genzoo", json.dumps(drawn.record()))
    Image.fromarray(sheet.astype(np.uint8)).save("x.png", pnginfo=about)
    found = genzoo.reproduce("x.png", device="cpu")
    assert (found.state, found.apart, found.share) == (state, by, 1 / sheet.size)
    code, out, _ = call(capsys, "inspect", "x.png", "--reproduce")
    assert code == (1 if state == "differs" else 0)
    assert f"by up to {by} of 255" in out


def test_a_model_by_its_weights_under_another_name(model, home):
    model.sample(2).save("x.png")
    (home / "tiny").rename(home / "renamed")
    assert genzoo.reproduce("x.png", device="cpu").model == "renamed"


def test_a_missing_model_is_named(model, home):
    model.sample(2).save("x.png")
    (home / "tiny").rename("elsewhere")
    sha = model.origin.weights_sha256[:12]
    with pytest.raises(UnknownName, match=rf"tiny \(vae\), {sha}, which .*model="):
        genzoo.reproduce("x.png")
    assert genzoo.reproduce("x.png", "./elsewhere", device="cpu").state == "equal"


@pytest.mark.parametrize(
    ("revision", "hint"),
    [("a1" * 20, f"model='owner/name@{'a1' * 20}'"), ("v1; rm x", "model=./FOLDER")],
)
def test_a_model_of_the_hub_is_named_by_its_revision(revision, hint):
    origin = {"model": "x", "family": "vae", "weights_sha256": "0" * 64, "revision": revision}
    Path("x.png").write_bytes(recorded(origin=origin))
    with pytest.raises(UnknownName) as error:
        genzoo.reproduce("x.png")
    assert str(error.value).endswith(hint)


def test_a_model_with_other_weights_does_not_stand_in(model, home):
    model.sample(2).save("x.png")
    (home / "tiny").rename("elsewhere")
    other = shelved(home, "tiny", "vae", seed=1).origin.weights_sha256[:12]
    mine = model.origin.weights_sha256[:12]
    with pytest.raises(UnknownName, match=f"other weights than .*: {other}, not {mine}: .*model="):
        genzoo.reproduce("x.png")
    with pytest.raises(UnknownName, match=f"other weights than .*: {other}, not {mine}"):
        genzoo.reproduce("x.png", "tiny")


def test_a_picture_of_an_earlier_version_says_so(model, home, capsys):
    model.sample(2).save("x.png")
    assert "drawn by version" not in call(capsys, "inspect", "x.png")[1]
    parts = families.get("vae")
    newer = folder.save(parts.model(parts.tiny), home / "tiny", force=True)
    assert folder.version_of(newer) == 2
    says = r"drawn by version 1 of tiny \(vae\), and the installed tiny is version 2"
    with pytest.raises(UnknownName, match=f"{says} .*model="):
        genzoo.reproduce("x.png")
    code, out, _ = call(capsys, "inspect", "x.png")
    assert code == 0
    assert re.search(says, out)
    found = json.loads(call(capsys, "inspect", "x.png", "--json")[1])
    assert found["record"]["origin"]["version"] == 1
    assert re.match(says, found["difference"])
    genzoo.load("tiny", device="cpu").sample(1).save("new.png")
    assert genzoo.inspect("new.png").record.origin.version == 2


def test_a_picture_cannot_send_for_a_model(home, monkeypatch):
    """Its words are compared with names, and never looked up: no path, no owner on the Hub."""
    monkeypatch.setattr(names, "find", None)
    for name in ("owner/name@main", "../../etc", "./evil", "https://evil.example"):
        origin = {"model": name, "family": "vae", "weights_sha256": "1" * 64}
        Path("x.png").write_bytes(recorded(origin=origin))
        with pytest.raises(UnknownName, match="not an installed model"):
            genzoo.reproduce("x.png")


def test_what_seeds_alone_do_not_draw(model, translator, home):
    made = translator.translate(translator.sample(2), "dark")
    made.save("a.png")
    with pytest.raises(BadInput, match="by translate"):
        genzoo.reproduce("a.png")
    shown = Images(torch.zeros(1, 1, 4, 4), None, [(0, 0)], call={"method": "attention"})
    shown.save("b.png")
    with pytest.raises(BadInput, match="by attention"):
        genzoo.reproduce("b.png")
    Images(torch.zeros(1, 1, 4, 4)).save("c.png")
    with pytest.raises(BadInput, match="by hand"):
        genzoo.reproduce("c.png")
    translator.sample(2).save("d.png")
    with pytest.raises(BadInput, match="never saved"):
        genzoo.reproduce("d.png")


def test_a_record_of_more_than_the_picture_has_draws_nothing(model, monkeypatch):
    """A file of a kilobyte cannot ask for a million samples."""
    monkeypatch.setattr(genzoo.Sampler, "sample", None)
    origin = dict(vars(model.origin))
    Path("x.png").write_bytes(recorded(origin=origin, seeds=[[0, i] for i in range(5000)]))
    with pytest.raises(BadInput, match=r"18x18; .* 5000 images of 1x16x16"):
        genzoo.reproduce("x.png", device="cpu")


# --------------------------------------------------------------------------------- what is hostile


BOMB = zlib.compress(bytes(64 << 20), 9)
LONG = b'{"genzoo": "' + b"x" * (5 << 20) + b'"}'
HOSTILE = {
    "empty": b"",
    "text": b"hello",
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(100),
    "cut in the signature": b"\x89PNG\r\n",
    "no chunks": b"\x89PNG\r\n\x1a\n",
    "cut in a chunk": png(chunk(b"tEXt", b"genzoo\0{", 4_000_000))[:60],
    "a chunk without end": b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**32 - 1) + b"tEXt",
    "a large chunk of another kind": png(chunk(b"eXIf", bytes(5 << 20))),
    "many chunks": b"\x89PNG\r\n\x1a\n" + chunk(b"abCd", b"") * 200_000,
    "a text without a keyword": png(chunk(b"tEXt", b"")),
    "a long text": png(chunk(b"tEXt", b"genzoo\0" + LONG)),
    "a zTXt bomb": png(chunk(b"zTXt", b"genzoo\0\0" + BOMB)),
    "an iTXt bomb": png(chunk(b"iTXt", b"genzoo\0\1\0\0\0" + BOMB)),
    "a zTXt bomb by another name": png(chunk(b"zTXt", b"x\0\0" + BOMB)),
    "a damaged zTXt": png(chunk(b"zTXt", b"genzoo\0\0" + b"nothing packed")),
    "no JSON": png(chunk(b"tEXt", b"genzoo\0{")),
    "no text": png(chunk(b"tEXt", b"genzoo\0\xff\xfe")),
    "deep": png(chunk(b"tEXt", b"genzoo\0" + b"[" * 100_000)),
    "a list": png(chunk(b"tEXt", b"genzoo\0[]")),
    "a key twice": png(chunk(b"tEXt", b'genzoo\0{"genzoo": "1", "genzoo": "2"}')),
    "no version": png(chunk(b"tEXt", b"genzoo\0{}")),
    "a negative seed": recorded(seeds=[[-1, 0]]),
    "a seed that is true": recorded(seeds=[[True, 0]]),
    "a seed that is too large": recorded(seeds=[[2**63, 0]]),
    "a seed without an index": recorded(seeds=[[1]]),
    "labels of others": recorded(labels=[1, 2]),
    "a label that is text": recorded(labels=["1"]),
    "no truncation": recorded(call={"method": "sample", "truncation": 0}),
    "endless truncation": recorded(call={"method": "sample", "truncation": 1e300}),
    "no hash": recorded(origin={"model": "a", "family": "b", "weights_sha256": "x"}),
    "escapes": recorded(origin={"model": "\x1b[2J", "family": "b", "weights_sha256": "0" * 64}),
    "code": recorded(origin={"model": "a", "family": "b", "weights_sha256": "0" * 64, "run": "x"}),
    "a gif and no more": b"GIF89a",
    "a gif without comment": b"GIF89a" + bytes(7) + b",",
    "a gif of extensions": b"GIF89a" + bytes(7) + b"!\xff\x01x\0" * 100_000,
    "a gif with an endless comment": b"GIF89a"
    + bytes(7)
    + b"!\xfe"
    + (b"\xff" + b"x" * 255) * 20_000,
    "a gif with a wrong record": b"GIF89a" + bytes(7) + b"!\xfe\x04a\n{}\0",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_picture_is_refused_in_a_line(name, home, capsys):
    Path("x.png").write_bytes(HOSTILE[name])
    tracemalloc.start()
    code, out, err = call(capsys, "inspect", "x.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code in (1, 2)
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("genzoo: x.png")
    assert err.rstrip("\n").isprintable()
    assert len(err) < 400
    assert peak < 100 << 20
    assert [*map(str, Path().iterdir())] == ["x.png"]


def test_a_bomb_is_a_bomb():
    assert len(BOMB) < 1 << 20
    with pytest.raises(ValueError, match="too large"):  # Pillow's own limit
        PngImagePlugin.PngImageFile(io.BytesIO(HOSTILE["a zTXt bomb"])).load()


def test_the_record_of_a_hundred_thousand_samples_is_read(home):
    """More than the largest sheet holds of 28 pixels squared."""
    seeds = [[2**32 - 1, i] for i in range(100_000)]
    Path("x.png").write_bytes(recorded(seeds=seeds))
    assert len(genzoo.inspect("x.png").record.seeds) == 100_000


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda p: p.symlink_to("/dev/zero")])
def test_only_a_plain_file_is_opened(make, home):
    make(Path("x.png"))
    with pytest.raises(BadInput, match=r"x\.png is not a plain file"):
        genzoo.inspect("x.png")


@pytest.mark.parametrize("name", ["gone.png", "a\0b.png", "x" * 5000])
def test_no_such_file(name, home):
    with pytest.raises(BadInput, match="cannot read"):
        genzoo.inspect(name)


def test_a_file_larger_than_any_picture_is_not_read(home):
    with Path("x.png").open("wb") as file:
        file.truncate(provenance.LARGEST_FILE + 1)
    with pytest.raises(BadInput, match=r"x\.png is larger than"):
        genzoo.inspect("x.png")


def header(width, height):
    """The record of a model, and pixels that are not there, of any number."""
    sizes = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sizes)


@pytest.mark.parametrize("size", [(100_000, 100_000), (9_000, 9_000), (12_000, 12_000), (0, 0)])
def test_pixels_that_would_fill_the_memory_are_not_decoded(size, model):
    record = model.sample(1).record()
    text = chunk(b"tEXt", b"genzoo\0" + json.dumps(record).encode())
    Path("x.png").write_bytes(header(*size) + text + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"x\.png"):  # and no warning, which would be an error
        genzoo.reproduce("x.png", device="cpu")
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_damaged_pixels_are_told(model):
    model.sample(4).save("x.png")
    content = bytearray(Path("x.png").read_bytes())
    start = content.index(b"IDAT")
    content[start + 10 : start + 60] = b"\xff" * 50
    Path("x.png").write_bytes(content)
    with pytest.raises(BadInput, match=r"x\.png cannot be decoded"):
        genzoo.reproduce("x.png", device="cpu")


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_is_told_in_a_line(seed, model):
    """Bytes changed anywhere: whatever is raised is an error of genzoo's."""
    model.sample(4).save("x.png")
    content, random = bytearray(Path("x.png").read_bytes()), np.random.default_rng(seed)
    for place in random.integers(8, len(content), random.integers(1, 20)):
        content[place] = random.integers(256)
    Path("x.png").write_bytes(content)
    with contextlib.suppress(GenzooError):
        assert genzoo.reproduce("x.png", device="cpu").state in ("equal", "rounded", "differs")


# -------------------------------------------------------------------------------- the command line


def test_inspect_on_the_command_line(model, capsys):
    model.sample(3, seed=8, start=5).save("x.png")
    code, out, err = call(capsys, "inspect", "x.png", "--reproduce", "-o", "again.png")
    assert (code, err) == (0, "")
    words = ["yes", "tiny", "vae", model.origin.weights_sha256, "8 from 5 on", "sample"]
    assert [w for w in words if w not in out] == []
    assert out.endswith("reproduced by tiny: all pixels are equal\n")
    assert Path("again.png").read_bytes() == Path("x.png").read_bytes()


def test_inspect_as_json(model, capsys):
    model.sample(2).save("x.png")
    told = json.loads(call(capsys, "inspect", "x.png", "--json")[1])
    assert told["record"]["origin"] == vars(model.origin)
    assert (told["synthetic"], told["reproduced"]) == (True, None)
    told = json.loads(call(capsys, "inspect", "x.png", "--json", "--reproduce")[1])
    assert told["reproduced"] == {"state": "equal", "apart": 0, "share": 0.0, "model": "tiny"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "y.png"], "--reproduce"),
        (["--model", "tiny"], "--reproduce"),
        (["--reproduce", "-o", "y.bmp"], "ending in .png"),
        (["--reproduce", "-o", "gone/y.png"], "gone"),
        (["--reproduce", "-o", "x.png"], "x.png exists"),
        (["--reproduce", "--model", "tinny"], "did you mean tiny?"),
    ],
)
def test_wrong_use_is_told_before_anything_is_drawn(words, says, model, capsys):
    model.sample(2).save("x.png")
    code, out, err = call(capsys, "inspect", "x.png", *words)
    assert (code, out) == (2, "")
    assert says in err
    assert [*map(str, Path().iterdir())] == ["x.png"]


def test_a_program_s_own_limit_of_pixels_is_not_genzoo_s(model, monkeypatch):
    model.sample(2, seed=4).save("x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert genzoo.reproduce("x.png", device="cpu").state == "equal"


def test_a_family_without_a_model_is_cited_by_its_paper():
    assert genzoo.cite("dcgan").count("@misc{") == 2
    assert genzoo.cite("gmm").count("@misc{") == 1
    assert genzoo.families.get("gmm").paper in genzoo.cite("gmm")


def test_models_with_names_of_other_letters_have_keys_of_their_own(home, monkeypatch):
    keys = set()
    for name in ("模型🎨", "모델🎨", "été", "ete"):
        shelved(home, name, "vae")
        entry = citation.cite(home / name).rpartition("@misc{")[2]
        keys.add(key := entry.partition(",")[0])
        assert re.fullmatch(r"genzoo-\w[\w-]*\w", key, re.ASCII), key
    assert len(keys) == 4
    assert "genzoo-ete" in keys
