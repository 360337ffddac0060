"""What --help says: one sentence, options in groups, two examples that work; whole lines."""

import io
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer

from genzoo.cli import run
from genzoo.cli.app import app
from genzoo.cli.commands import COMMANDS
from genzoo.cli.help import ORDER, paragraphs

ANSI = re.compile("\x1b\\[[0-9;]*m")
ROOT = typer.main.get_command(app)
ROOT_FOLDER = Path(__file__).parent.parent


def commands(group, name=""):
    """(name, command) of each command."""
    for key, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {key}".strip())
        else:
            yield f"{name} {key}".strip(), command


EVERY = dict(commands(ROOT))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def shown(monkeypatch, line, columns=80, **variables):
    """What a terminal of so many columns shows."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"COLUMNS": str(columns), "TERM": "xterm-256color", **variables}.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    assert run(line.split()) == 0
    return stream.getvalue()


def test_the_table_has_each_commands_first_sentence():
    assert {name: entry.sentence for name, entry in COMMANDS.items()} == {
        name: paragraphs(command)[0] for name, command in ROOT.commands.items()
    }


@pytest.mark.parametrize("name", EVERY)
def test_a_help_begins_with_one_plain_sentence(name):
    first = paragraphs(EVERY[name])[0]
    assert re.fullmatch(r"[A-Z][^:]{10,62}\.", first)
    assert ". " not in first


def test_the_first_page_shows_each_command_on_one_line(monkeypatch):
    text = ANSI.sub("", shown(monkeypatch, "--help"))
    assert max(map(len, text.splitlines())) == 80
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    for name, entry in COMMANDS.items():
        line = rf"^. {name} +{re.escape(entry.sentence)} +.$"
        assert re.search(line, text, re.M), name
    panels = ["Use", "Edit", "Train", "Measure", "Share", "Extend", "Options"]
    assert re.findall(r"^\S\S (\w+) ", text, re.M) == panels
    assert text.index(" list ") < text.index(" sample ") < text.index(" train ")


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", EVERY)
def test_a_commands_help_fits_the_terminal(name, columns, monkeypatch):
    text = ANSI.sub("", shown(monkeypatch, f"{name} --help", columns))
    assert max(map(len, text.splitlines())) <= columns
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    titles = re.findall(r"^\S\S (\w+) ", text, re.M)
    assert titles == [title for title in ORDER if title in titles]
    words = " ".join(text.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())
    for param in EVERY[name].params:
        assert " ".join(param.help.split()) in words, param.name


@pytest.mark.parametrize("name", EVERY)
def test_elsewhere_nothing_is_wrapped_cut_or_coloured(name, capsys):
    assert run([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert not ANSI.search(text)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    for param in EVERY[name].params:
        assert any(param.help in line for line in text.splitlines()), param.name
        if param.param_type_name == "option" and not param.is_flag:
            assert param.metavar, param.name


def test_no_color_leaves_no_colour(monkeypatch):
    assert re.search("\x1b\\[[0-9;]*3[0-7]m", shown(monkeypatch, "sample --help"))
    plain = shown(monkeypatch, "sample --help", NO_COLOR="1")
    assert not re.search("\x1b\\[[0-9;]*[34][0-7]m", plain)


# Of the examples, those that take next to no time and no data; README and docs run others.
CHEAP = {"list", "info", "families", "cache", "reference", "cite", "plugin new"}
CHEAP |= {"sample", "interpolate", "traverse"}
EXAMPLES = [(name, line) for name, c in EVERY.items() for line in (c.epilog or "").splitlines()]


def test_each_help_ends_with_two_examples(monkeypatch):
    assert {name: len(c.epilog.splitlines()) for name, c in EVERY.items()} == dict.fromkeys(
        EVERY, 2
    )
    text = shown(monkeypatch, "sample --help")
    assert all(line in ANSI.sub("", text) for line in EVERY["sample"].epilog.splitlines())


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_an_example_works(name, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    prefix, words = f"genzoo {name}", shlex.split(line)
    assert f"{line} ".startswith(f"{prefix} ")
    assert len(line) <= 76, "it fits 80 columns"
    with EVERY[name].make_context(name, words[len(prefix.split()) :]):
        pass  # its options and arguments exist
    if name in CHEAP:
        assert run(words[1:]) == (0 if "--clean" not in line else 2)


def test_a_table_fits_the_terminal_and_is_whole_elsewhere(monkeypatch, capsys):
    assert run(["list", "data"]) == 0
    whole = capsys.readouterr().out
    assert max(map(len, whole.splitlines())) > 60
    text = shown(monkeypatch, "list data", 60)
    assert ANSI.search(text)
    lines = ANSI.sub("", text).splitlines()
    assert max(map(len, lines)) <= 60
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert " ".join(" ".join(lines).split()) != ""
    assert {word for line in lines for word in line.split()} == {*whole.split()}


PAGES = [ROOT_FOLDER / "README.md", *sorted((ROOT_FOLDER / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT_FOLDER)))
def test_commands_in_prose_exist_with_their_options(page):
    """Those in blocks are run by the tests of the docs; those in a sentence are read here."""
    for line in re.findall(r"`genzoo ([a-z][^`]*)`", page.read_text()):
        words = [word for word in shlex.split(line.partition(" > ")[0]) if word != "..."]
        command = ROOT
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        if getattr(command, "commands", None):
            assert not words, f"{line}: no such command"
            continue
        try:
            command.make_context(line, words)
        except Exception as error:
            if type(error).__name__ != "MissingParameter":  # a sentence may leave arguments out
                raise AssertionError(line) from error
