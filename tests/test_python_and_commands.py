"""Python and the command line: each command is a function, argument by argument; messages speak
the language of their reader.
"""

import ast
import inspect
import pkgutil
import re
import signal
import typing
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
import torch
import typer
from PIL import Image

import genzoo
from genzoo import errors, text
from genzoo.cli import run
from genzoo.cli.application import app
from genzoo.errors import BadInput

ROOT = Path(__file__).parents[1]
CORE = ROOT / "genzoo"

# ---------------------------------------------------------------------------------------- messages

# A word of one language only: an option, a command, an argument of Python, or "in Python".
COMMANDS = sorted({path.stem for path in (CORE / "cli").glob("[a-z]*.py")} - {"app", "entry"})
ONE_LANGUAGE = re.compile(
    rf"(^|[\s('])--[a-z][a-z-]+|\bgenzoo ({'|'.join(COMMANDS)})\b|\bin Python\b"
    r"|(?<![-\w])(data|root|sampling|settings|labels?|out|resume|force)=(?![={])"
)
# Files for one kind of reader: the command line's own, and templates of packages and pages.
OWN = ("cli/", "demo/tabs", "demo/widgets.py", "testing/", "errors.py")
# How to go on with data that only Python holds: the command line cannot.
PYTHON_ONLY = ("data/register.py", ", data=..., out=FOLDER, resume=True)")


def messages(tree):
    """(line, text) of all strings but docstrings, and those inside `either`, which has both."""
    docs, both = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docs.add(node.value)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "either":
            both |= {*ast.walk(node)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and node not in docs | both:
            yield node.lineno, node.value


def test_the_reader_of_messages_reads_right():
    source = 'def f():\n    """--set"""\n    g("--data")\n    return either("--x", "x=") + h("a")'
    assert [*messages(ast.parse(source))] == [(3, "--data"), (4, "a")]
    for one in ("type --data FOLDER", "--set expects", "see genzoo list", "give root= or"):
        assert ONE_LANGUAGE.search(one), one
    for one in ("--", "genzoo reads", 'aria-label="', "a.data==", "well--known", "levels=LOW:HIGH"):
        assert not ONE_LANGUAGE.search(one), one


def test_no_message_speaks_one_language_only():
    """`argument` and `command` name things in the reader's language."""
    wrong = []
    for path in sorted(CORE.rglob("*.py")):
        name = str(path.relative_to(CORE))
        if name.startswith(OWN):
            continue
        wrong += [
            f"{name}:{line}: {said}"
            for line, said in messages(ast.parse(path.read_text()))
            if ONE_LANGUAGE.search(said) and (name, said) != PYTHON_ONLY
        ]
    assert wrong == []


def test_an_argument_is_named_in_the_readers_language(capsys):
    assert errors.argument("data") == "data="
    assert errors.argument("force", True) == "force=True"
    assert errors.argument("data", "FOLDER") == "data=FOLDER"
    assert errors.argument("settings", {"lr": 0.5}) == "settings={'lr': 0.5}"
    assert errors.command("train", "vae", out=Path("x")) == "genzoo.train('vae', out='x')"
    assert errors.see_all("list metrics") == "genzoo.list_metrics() gives all."
    with errors.on_the_command_line():
        assert errors.argument("start_from") == "--from"
        assert errors.argument("metadata", False) == "--no-metadata"
        assert errors.argument("n", 5) == "-n 5"
        assert errors.argument("data", "a b") == "--data 'a b'"
        assert errors.argument("settings", {"lr": 0.5, "k": 1}) == "--set lr=0.5 --set k=1"
        assert errors.command("train", "vae", resume=True) == "genzoo train vae --resume"
        assert errors.see_all("list metrics") == "Type genzoo list metrics to see all."
    assert errors.argument("data") == "data="


def test_an_error_of_a_command_leaves_pythons_words_alone(capsys):
    assert run(["train", "--resume", "--out", "nowhere"]) == 2
    assert "leave --resume out" in capsys.readouterr().err
    assert errors.argument("resume") == "resume="


# ----------------------------------------------------------------------- commands and functions

# Options without an argument, of any command, and why.
NO_ARGUMENT = {
    "json": "a result has .record(), which is what --json prints",
    "out": "a result has .save(path)",
    "force": ".save replaces a file; what holds more has a force of its own",
    "scale": "an argument of .save",
    "metadata": "an argument of .save",
}
# Arguments without an option, of any function, and why.
NO_OPTION = {
    "progress": "a command always shows it",
    "batch_size": "an option where a user may have to change it",
    "adversary": "a network, which no command line holds",
    "local_files_only": "HF_HUB_OFFLINE=1 is for all commands",
}
# Parameters of commands whose argument has another name: MODEL may be loaded, and `set` is a word
# of Python.
RENAMED = {"name": "model", "settings": "sampling"}


NONE: Mapping[str, str] = MappingProxyType({})


class Row(NamedTuple):
    """What is behind a command: a function of genzoo, or a method.

    ``renamed``: parameter -> argument. With a reason each: ``defaults`` that differ,
    ``no_argument``: parameters that the function lacks, ``no_option``: arguments that the command
    lacks.
    """

    function: str
    renamed: Mapping[str, str] = NONE
    defaults: Mapping[str, str] = NONE
    no_argument: Mapping[str, str] = NONE
    no_option: Mapping[str, str] = NONE


ONE = "a function is called once for each"
EMPTY = "nothing given is None for typer, and () in Python"
TEXT = "a text for the shell, numbers in Python"
ROWS = {
    "adopt": Row("adopt"),
    "arithmetic": Row("arithmetic"),
    "attend": Row("attention", defaults={"sample": "0 is a list of one for typer"}),
    "cache": Row("cache", defaults={"names": EMPTY}),
    "cite": Row("cite"),
    "compare": Row("compare"),
    "demo": Row("demo.demo", defaults={"names": EMPTY}),
    "direction": Row("direction"),
    "env": Row("env"),
    "evaluate": Row("evaluate", no_argument={"write": "Evaluation.write()"}),
    "export": Row("export"),
    "families": Row("list_families"),
    "data show": Row("data.show"),
    "features": Row(
        "extract_features", {"photos": "images"}, no_argument={"picture": "genzoo.look_inside"}
    ),
    "info": Row(
        "info",
        no_argument={
            "active": "genzoo.measure_activity(name)",
            **dict.fromkeys(("layers", "settings"), "model.summary(), of a model"),
        },
    ),
    "inpaint": Row(
        "inpaint",
        {"photos": "images", "label": "labels"},
        no_argument=dict.fromkeys(("strip", "gif"), "Completion.frames()"),
    ),
    "inspect": Row(
        "inspect",
        {"picture": "path"},
        no_argument={
            "again": "genzoo.reproduce(path)",
            "model": "genzoo.reproduce(path, model)",
            "device": "genzoo.reproduce(device=)",
        },
    ),
    "interpolate": Row("interpolate", defaults={"steps": "fewer in a strip than in a film"}),
    "list": Row(
        "list_models",
        no_argument={
            "kind": "list_families, list_data, list_metrics, list_plugins",
            "quiet": "[one.name for one in ...]",
        },
    ),
    "neighbours": Row("neighbours"),
    "outliers": Row("outliers"),
    "plot": Row("plot"),
    "plugin check": Row("testing.outcomes"),
    "plugin list": Row("list_plugins", no_argument={"verbose": "plugin.detail"}),
    "plugin new": Row("testing.new_plugin"),
    "pull": Row("pull"),
    "push": Row("push"),
    "reference": Row("reference"),
    "sample": Row(
        "Sampler.sample",
        {"label": "labels", "settings": "settings"},
        no_argument={
            "name": "genzoo.load(name)",
            "device": "genzoo.load(name, device=)",
            "numbers": "an argument of .save",
            "watch": "genzoo.models.film.watch",
        },
    ),
    "search": Row("search"),
    "steer": Row("steer"),
    "train": Row(
        "train",
        {"store_as": "dtype", "settings": "settings"},
        no_argument={"dry_run": "genzoo.forecast(...)"},
    ),
    "translate": Row("translate"),
    "traverse": Row("traverse", defaults={"grid": TEXT, "sample": "0 is a list of one for typer"}),
    "truncate": Row("truncate"),
    "upgrade": Row("upgrade", {"folders": "folder"}),
    "verify": Row("verify", {"names": "name"}, no_argument={"every": ONE}),
}


def commands(group, before=""):
    """Each command by its words."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMAND = dict(commands(typer.main.get_command(app)))


def function_of(row):
    return pkgutil.resolve_name(f"genzoo.{row.function}")


def arguments(function):
    """Name -> default of each argument, those of an unpacked TypedDict too."""
    found = {}
    for name, argument in inspect.signature(function).parameters.items():
        if argument.kind is not argument.VAR_KEYWORD:
            found[name] = argument.default
        elif parts := typing.get_args(argument.annotation):
            found |= dict.fromkeys(parts[0].__annotations__)
        else:
            found[name] = None
    return {name: default for name, default in found.items() if name != "self"}


def test_each_command_has_a_row():
    assert {*COMMAND} == {*ROWS}


@pytest.mark.parametrize("name", ROWS)
def test_a_command_is_a_function(name):
    """Argument by argument, with the same names and defaults; what differs has a reason."""
    row, function = ROWS[name], function_of(ROWS[name])
    given, renamed = arguments(function), {**RENAMED, **row.renamed}
    params = {p.name: p for p in COMMAND[name].params if p.name != "help"}
    pairs = {p: p if p in given else renamed.get(p, p) for p in params}
    pairs = {p: argument for p, argument in pairs.items() if argument in given}
    assert {*params} - {*pairs} <= {*NO_ARGUMENT, *row.no_argument}
    assert {*given} - {*pairs.values()} <= {*NO_OPTION, *row.no_option}
    assert not {*row.no_argument} & {*pairs}, "a reason for what is no exception"
    required = inspect.Parameter.empty
    differ = {p for p, a in pairs.items() if given[a] not in (params[p].default, required)}
    assert differ == {*row.defaults}


@pytest.mark.parametrize("name", ROWS)
def test_a_message_names_the_option_that_there_is(name):
    row = ROWS[name]
    for param in COMMAND[name].params:
        if param.param_type_name == "option" and param.name not in ("help", *row.no_argument):
            argument = row.renamed.get(param.name, param.name)
            with errors.on_the_command_line():
                assert errors.argument(argument) in [*param.opts, *param.secondary_opts]


# ----------------------------------------------------------------------------------- equal results


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small model with random weights, in the current folder as ./tiny."""
    parts = genzoo.families.get("vae")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = parts.model(parts.tiny).eval()
    folder = tmp_path_factory.mktemp("models")
    genzoo.save(model, folder / "tiny", family="vae", data="digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield genzoo.load("./tiny", device="cpu")


SAME = [
    (
        "interpolate ./tiny --sample 0:1,3 --steps 3 --loop",
        {"sample": "0:1,3", "steps": 3, "loop": True},
    ),
    (
        "traverse ./tiny --dims 1,0 --grid 2x3 --sample 4",
        {"dims": (1, 0), "grid": (2, 3), "sample": 4},
    ),
    (
        "steer ./tiny d.safetensors --sample 3,4 --alphas -1:1 --steps 3",
        {"direction": "d.safetensors", "sample": [3, 4], "alphas": "-1:1", "steps": 3},
    ),
]


@pytest.mark.parametrize(("line", "given"), SAME, ids=[line.split()[0] for line, _ in SAME])
def test_a_command_writes_what_its_function_gives(model, line, given):
    """By the model's name, and by the loaded model."""
    genzoo.direction(model, toward="1,2", away="3").save("d.safetensors")
    name = line.split()[0]
    assert run([*line.split(), "-o", f"{name}.npy", "--device", "cpu"]) == 0
    written = torch.from_numpy(np.load(f"{name}.npy"))
    for one in (model, "./tiny"):
        result = getattr(genzoo, name)(one, **given)
        assert torch.equal(result.tensor.cpu(), written)


def test_a_loaded_model_stands_for_its_name(model):
    assert genzoo.cite(model) == genzoo.cite(model.folder)
    assert genzoo.info(model).record() == genzoo.info("./tiny").record()
    assert repr(genzoo.verify(model)) == repr(genzoo.verify("./tiny"))
    path = model.sample(2).save("drawn.png")
    assert genzoo.reproduce(path, model).state == genzoo.reproduce(path, "./tiny").state == "equal"
    with pytest.raises(BadInput, match="already in the comparison"):
        genzoo.compare(model, "./tiny", data="digits", metrics="fd")
    assert genzoo.forecast("vae", start_from=model, steps=1) is not None


def test_a_model_that_is_in_no_folder_as_it_is(model):
    """What a folder says is not true of it."""
    alone = type(model)(model.config)
    with pytest.raises(BadInput, match=r"has no folder or name: save it with genzoo\.save"):
        genzoo.info(alone)
    changed = genzoo.load("./tiny", device="cpu")
    with torch.no_grad():
        next(changed.parameters()).add_(1)
    with pytest.raises(BadInput, match="the weights have changed since they were loaded from tiny"):
        genzoo.cite(changed)
    with pytest.raises(BadInput, match="name must be a text, a path or a Model, got 3"):
        genzoo.verify(3)


def test_training_is_the_same_in_both(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "train vae --steps 2 --set width=4 --set latent_dim=2 --set batch_size=4 --out one"
    assert run([*line.split(), "--device", "cpu", "--threads", "1"]) == 0
    settings = {"width": 4, "latent_dim": 2, "batch_size": 4}
    given = {"settings": settings, "device": "cpu", "threads": 1, "steps": 2}
    model = genzoo.train("vae", **given, progress=False)
    weights = [Path(folder, "model.safetensors").read_bytes() for folder in ("one", "vae-digits")]
    assert weights[0] == weights[1]
    assert model.origin.weights_sha256 in Path("one/config.json").read_text()
    (Path("one/run/log.jsonl")).write_text('{"step": 2, "loss": 1.5}\n')
    drawn = genzoo.plot("one")
    said = "<RunPlot one: vae on digits, logged to step 2 of 2; curves: loss>"
    assert str(drawn).startswith(said)
    small, large = (drawn.save(f"film{scale}.gif", scale=scale) for scale in (1, 3))
    with Image.open(small) as one, Image.open(large) as other:
        assert other.height > 2 * one.height
    with pytest.raises(BadInput, match="resume=True continues it, force=True replaces it"):
        genzoo.train("vae", **given)


def test_ctrl_c_says_in_python_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.zeros((20, 8, 8), np.uint8)
    settings = {"width": 4, "latent_dim": 2, "batch_size": 4}

    def stop(status):
        if status.step == 2:
            signal.raise_signal(signal.SIGINT)

    given = {"settings": settings, "device": "cpu", "steps": 4, "out": "run"}
    with pytest.raises(KeyboardInterrupt, match=r"stopped after step 2; continue .* resume=True"):
        genzoo.train("vae", x, **given, progress=stop)
    steps = []
    genzoo.train("vae", x, **given, resume=True, progress=lambda s: steps.append(s.step))
    assert steps == [3, 4]


# ------------------------------------------------------------------------------------------ records


@pytest.mark.parametrize("kind", ["models", "families", "data", "plugins"])
def test_a_list_prints_as_a_table(kind):
    found = getattr(genzoo, f"list_{kind}")()
    lines = str(found).split("\n")
    assert lines[0].split()[0] == "name"
    assert len(lines) == len(found) + 1 > 2
    assert all(line.startswith(one.name) for line, one in zip(lines[1:], found, strict=True))
    page = found._repr_html_()
    assert page.count("<tr>") == len(lines)
    assert "<script" not in page


def test_a_notebook_shows_texts_of_others_as_text():
    evil = "<script>alert(1)</script>\x1b[2J"
    table = text.Records([evil], {"name": str}, note=evil)
    assert "<script" not in table._repr_html_()
    assert "\x1b" not in str(table)
