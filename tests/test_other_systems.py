"""Other systems: a stdout that lacks characters, wide characters in tables, Windows and macOS."""

import ast
import io
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import typer.main
import windows
from PIL import Image

import genzoo
from genzoo import families
from genzoo.cli import entry
from genzoo.cli.app import app, as_table, default_path
from genzoo.errors import GenzooError
from genzoo.files import write_text, write_whole
from genzoo.runs import launch
from genzoo.text import columns, encode_all, width

ROOT = Path(__file__).parents[1]
SMALL = "--set width=8 --set latent_dim=2 --set batch_size=8 --threads 1 --device cpu"
RESUME = "train --resume --out out --threads 1"
ENCODINGS = ["utf-8", "cp1252", "cp437", "ascii", "utf-16"]


# ----------------------------------------------------------------------------------------- streams


def stream(encoding):
    """A text stream as Python opens stdout: strict, with the system's encoding."""
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")


@pytest.mark.parametrize(
    ("text", "in_ascii", "in_cp1252"),
    [
        ("plain", "plain", "plain"),
        ("├── vae │ └──", "|-- vae | +--", "|-- vae | +--"),
        ("café × 2 ± 1 → …", "cafe * 2 ? 1 > ?", "café × 2 ± 1 > …"),
        ("“it’s” — ▁▄█", '"it\'s" - ###', "“it’s” — ###"),
        ("猫 ｆｕｌｌ", "?? f u l l ", "?? f u l l "),
        ("e\u0301", "e", "e"),
        ("x\udc80", "x?", "x?"),  # of a file's name that is no UTF-8
        ("🙂👩\u200d🔬", "??????", "??????"),
    ],
)
def test_a_stream_takes_every_character(text, in_ascii, in_cp1252):
    for encoding, expected in {"ascii": in_ascii, "cp1252": in_cp1252}.items():
        out = stream(encoding)
        encode_all(out)
        print(text, end="", file=out, flush=True)
        assert out.buffer.getvalue().decode(encoding) == expected


def test_what_an_encoding_has_is_not_changed():
    out = stream("utf-8")
    encode_all(out)
    print("├ 猫 e\u0301 …", end="", file=out, flush=True)
    assert out.buffer.getvalue().decode() == "├ 猫 e\u0301 …"


def test_a_stream_that_cannot_be_changed_stays():
    encode_all(io.StringIO())
    encode_all(types.SimpleNamespace(write=print))


# Every command, and words with which it prints what others wrote. None needs a run.
WORDS = "猫, é and ├"
LINES = {
    "adopt": "adopt 猫.pth",
    "cache": "cache",
    "arithmetic": "arithmetic 猫 0+1-2",
    "attend": "attend 猫",
    "cite": "cite vae",
    "compare": "compare 猫",
    "data show": "data show 猫",
    "demo": "demo 猫 --port é",
    "env": "env 猫",
    "export": "export 猫",
    "direction": "direction 猫 --to é",
    "steer": "steer 猫 猫.safetensors",
    "evaluate": "evaluate 猫",
    "families": "families",
    "features": "features 猫",
    "inpaint": "inpaint 猫 猫.png",
    "inspect": "inspect 猫.png",
    "interpolate": "interpolate 猫 --sample 0,1",
    "info": "info ./模型",
    "list": "list",
    "neighbours": "neighbours 猫",
    "outliers": "outliers 猫",
    "plot": "plot ./猫",
    "plugin list": "plugin list",
    "plugin new": "plugin new 猫",
    "plugin check": "plugin check 猫",
    "pull": "pull 猫/é",
    "push": "push ./猫 é/猫",
    "reference": "reference 猫",
    "sample": "sample ./模型 -n 1 -o 猫.png",
    "search": "search 猫",
    "train": "train 猫",
    "translate": "translate ./模型 猫.png",
    "traverse": "traverse 猫 0",
    "truncate": "truncate 猫",
    "upgrade": "upgrade ./猫",
    "verify": "verify 猫",
}


def all_commands():
    """The words of each command, as a user types them."""
    commands = typer.main.get_command(app).commands
    return {
        f"{name} {inner}".strip()
        for name, command in commands.items()
        for inner in getattr(command, "commands", [""])
    }


def test_each_command_is_tried():
    assert all_commands() == {*LINES}


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """An empty folder with a model in 模型 whose classes have such names, too."""
    monkeypatch.chdir(tmp_path)
    parts = families.get("vae")
    model = parts.model(parts.tiny)
    genzoo.save(model, tmp_path / "模型", data=WORDS)
    return tmp_path


def printed(monkeypatch, encoding, line):
    """(code, stdout, stderr) of a command on a terminal of that encoding."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream(encoding))
    with pytest.raises(SystemExit) as end:
        entry.main(line.split())
    texts = []
    for name in ("stdout", "stderr"):
        getattr(sys, name).flush()
        texts.append(getattr(sys, name).buffer.getvalue().decode(encoding))
    return end.value.code, *texts


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("name", LINES)
def test_no_command_prints_what_the_stream_lacks(name, encoding, saved, monkeypatch):
    code, out, err = printed(monkeypatch, encoding, LINES[name])
    assert code in (0, 1, 2, 3), err
    assert out or err
    assert "Traceback" not in err
    assert (code == 0) == (name in WELL)
    if code:
        assert err.startswith("genzoo: ")
        assert err.count("\n") == 1


WELL = {"cache", "cite", "families", "info", "list", "plugin list", "sample"}


def test_the_tree_of_families_is_ascii_where_it_must_be(monkeypatch):
    with monkeypatch.context() as patch:
        tree = printed(patch, "utf-8", "families")[1]
    with monkeypatch.context() as patch:
        plain = printed(patch, "cp1252", "families")[1]
    assert "├── " in tree
    assert "|-- " in plain
    assert [*map(len, plain.splitlines())] == [*map(len, tree.splitlines())]


# ------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize(
    ("text", "cells"),
    [("cat", 3), ("猫", 2), ("e\u0301", 1), ("é", 1), ("한국", 4), ("ｱ", 1), ("🙂", 2), ("❤", 1)],
)
def test_a_text_is_as_wide_as_a_terminal_shows_it(text, cells):
    assert width(text) == cells


def test_columns_stay_in_line():
    rows = [("name", "n"), ("猫と犬", 1), ("e\u0301te\u0301", 2), ("🙂", 3), ("plain text", 4)]
    lines = columns(rows)
    assert {
        width(line[: line.rindex(str(n))]) for line, (_, n) in zip(lines, rows, strict=True)
    } == {12}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_columns_stay_in_line_in_every_encoding(encoding, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream(encoding))
    encode_all(sys.stdout)
    as_table([("猫と犬", 1), ("e\u0301te\u0301", 2), ("…️", 3), ("½ ﬁ", 4), ("plain text", 5)])
    sys.stdout.flush()
    lines = sys.stdout.buffer.getvalue().decode(encoding).splitlines()
    assert {width(line[:-1]) for line in lines} == {12}


# ------------------------------------------------------------------------------------------- files


def calls_of_files():
    """Each call in genzoo and its plugins that opens a file, and where it is."""
    sources = [*ROOT.glob("genzoo/**/*.py"), *ROOT.glob("plugins/*/*.py")]
    for path in sources:
        text = path.read_text(encoding="utf-8")
        if "open(" not in text and "_text(" not in text and "File(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def lacking(call):
    """What a call must say so that it reads and writes the same on every system."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {word.arg: word.value for word in call.keywords}
    if name in ("read_text", "write_text"):
        needed = {"encoding"} | ({"newline"} if name == "write_text" else set())
        is_own = isinstance(call.func, ast.Name)  # genzoo.files.write_text has both
        return set() if is_own else needed - {*given}
    words = [a.value for a in call.args[:2] if isinstance(a, ast.Constant)]
    modes = [w for w in words if isinstance(w, str) and w and not {*w} - {*"rwxabt+"}]
    if name not in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile") or not modes:
        return set()
    if "b" in modes[0]:
        return set()
    return ({"encoding"} | ({"newline"} if {*modes[0]} & {*"wxa"} else set())) - {*given}


def test_each_file_of_text_is_utf_8_with_plain_newlines():
    tried = [where for where, call in calls_of_files() if lacking(call)]
    assert tried == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("path.read_text()", {"encoding"}),
        ("path.write_text(x, encoding='utf-8')", {"newline"}),
        ("path.open('a')", {"encoding", "newline"}),
        ("open(path, 'w')", {"encoding", "newline"}),
        ("path.open('rb')", set()),
        ("Image.open(path)", set()),
    ],
)
def test_a_call_that_says_too_little_is_found(source, words):
    assert lacking(ast.parse(source).body[0].value) == words


def test_text_is_written_as_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "linesep", "\r\n")
    write_text(tmp_path / "x", "é\n猫\n")
    assert (tmp_path / "x").read_bytes() == "é\n猫\n".encode()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("vae-mnist", "vae-mnist.png"),
        ("org/vae@main", "vae.png"),
        ("./a:b?c*", "a-b-c-.png"),
        ("./CON", "CON-.png"),
        ("./aux.v2", "aux-.v2.png"),
        ("./com1 ", "com1 -.png"),
        ("./ends. .", "ends. ..png"),
        ('./<x>"|', "-x---.png"),
        ("./模型", "模型.png"),
        ("./new\nline", "new line.png"),
    ],
)
def test_a_file_that_genzoo_names_has_a_name_everywhere(name, file):
    assert default_path(name, ".png") == Path(file)
    windows._check_name(file)


def test_a_name_stays_in_its_folder():
    for ending in ("-../../x.safetensors", "-a/b.png", "-a\\b.png", "-c:x.png", "-x. "):
        path = default_path("./model", ending)
        assert path.parent == Path()
        windows._check_name(path)


def test_a_long_name_can_be_written(tmp_path):
    """The file beside it has a name, too."""
    for name in ("x" * 255, "猫" * 85):
        write_whole(tmp_path / name, b"1")
        assert (tmp_path / name).read_bytes() == b"1"


# ----------------------------------------------------------------------------------------- Windows


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """An empty folder with 40 pictures in ``made``."""
    monkeypatch.chdir(tmp_path)
    Path("made").mkdir()
    random = np.random.default_rng(0)
    for i in range(40):
        pixels = random.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(f"made/{i:03}.png")


def test_windows_can_do_all(pictures, capsys, monkeypatch):
    """Train, go on, replace, sample, measure, look: nothing needs what Windows lacks."""
    import filelock  # noqa: F401 (Windows has locks, in a module of its own)

    windows.act(monkeypatch)
    lines = [
        f"train vae --data ./made --steps 4 --checkpoint-every 2 --out out {SMALL}",
        f"train vae --data ./made --steps 5 --out out --force {SMALL}",
        f"train vae --data ./made --steps 5 --dry-run {SMALL}",
        "sample ./out -n 4",
        "sample ./out -n 4 --force",
        "sample ./out -n 4 -o folder",
        "inspect out.png",
        "info ./out",
        "evaluate ./out --data ./made -n 40 --metrics sharpness",
        "neighbours ./out --data ./made -n 2",
        "interpolate ./out --sample 0,1",
        "plot ./out",
        "plugin new my-family",
        "list",
        "families",
        "list data",
    ]
    for line in lines:
        assert (entry.run(line.split()), line) == (0, line), capsys.readouterr().err
    assert "unknown" in capsys.readouterr().out  # the memory


def test_a_run_goes_on_on_windows(pictures, capsys, monkeypatch):
    import filelock  # noqa: F401 (Windows has locks, in a module of its own)

    windows.act(monkeypatch)
    line = f"train vae --data ./made --steps 4 --checkpoint-every 2 --out out {SMALL}"
    assert entry.run(line.split()) == 0
    whole = Path("out/model.safetensors").read_bytes()
    for late in Path("out").iterdir():
        if late.is_file():
            late.unlink()
    Path("out/run/checkpoints/00000004.pt").unlink()
    assert entry.run(RESUME.split()) == 0, capsys.readouterr().err
    assert Path("out/model.safetensors").read_bytes() == whole


@pytest.mark.parametrize(("system", "peak"), [("linux", 2048 * 1024), ("darwin", 2048)])
def test_the_peak_of_memory_is_in_bytes(system, peak, monkeypatch):
    usage = types.SimpleNamespace(ru_maxrss=2048)
    own = types.SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: usage)
    monkeypatch.setitem(sys.modules, "resource", own)
    monkeypatch.setattr(sys, "platform", system)
    import torch

    assert launch._memory(torch.device("cpu")) == peak


def test_a_file_in_use_is_one_line(tmp_path, monkeypatch):
    """Windows replaces no file that somebody has open: said, and nothing is lost."""
    write_whole(tmp_path / "x", b"old")
    windows.act(monkeypatch)
    with (tmp_path / "x").open("rb"), pytest.raises(GenzooError, match="in use"):
        write_whole(tmp_path / "x", b"new")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]
