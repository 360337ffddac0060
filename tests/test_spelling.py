"""One spelling, one type and one text for an option that several commands have; former ones."""

import inspect
import json
from typing import get_args

import pytest
import typer
from typer.models import OptionInfo

from genzoo.cli import run
from genzoo.cli.app import app
from genzoo.cli.options import parse_seed
from genzoo.cli.spelling import COMMANDS, OPTIONS, OPTIONS_OF
from genzoo.editing.selection import parse_addresses

# Options that mean something else in each command: only their spelling is one.
OWN = {"--out", "--n", "--steps", "--limit", "--to"}


def commands(group, name=""):
    """(name, function) of each command."""
    for key, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {key}".strip())
        else:
            yield f"{name} {key}".strip(), command.callback


def option_of(hint):
    """(type, info) of a parameter that is an option, else None."""
    kind, *more = get_args(hint) or (hint,)
    infos = [one for one in more if isinstance(one, OptionInfo)]
    plain = [one for one in get_args(kind) if one is not type(None)] or [kind]
    return (plain[0] if type(None) in get_args(kind) else kind, infos[0]) if infos else None


def options():
    """(command, spellings, type, info) of each option of each command."""
    for name, function in commands(typer.main.get_command(app)):
        for key, parameter in inspect.signature(function).parameters.items():
            if found := option_of(parameter.annotation):
                kind, info = found
                words = [w for w in (info.default, *info.param_decls) if str(w).startswith("-")]
                yield name, (*words,) or (f"--{key.replace('_', '-')}",), kind, info


TABLE = [*options()]


def test_each_option_has_one_spelling_type_and_text():
    seen, differ = {}, []
    for command, words, kind, info in TABLE:
        facts = (words, kind, info.help, info.metavar, info.parser, info.min, info.max)
        facts = facts[:1] if words[-1] in OWN else facts
        first = seen.setdefault(words[-1], (command, facts))
        if first[1] != facts:
            differ.append((words[-1], first[0], command))
    assert differ == []
    shared = {"--data", "--device", "--force", "--json", "--label", "--license", "--out", "--n"}
    assert shared | {"--sample", "--scale", "--seed", "--set", "--size"} <= {*seen}


def test_short_and_long_spellings_go_together():
    short = {"-k": ("-k", "--k"), "-n": ("-n", "--n"), "-o": ("-o", "--out")}
    for command, words, *_ in TABLE:
        for word in words:
            if word in ("-n", "--n", "-o", "--out", "-k", "--k"):
                assert words == short[f"-{word.strip('-')[0]}"], command


def test_no_option_has_a_former_spelling():
    assert {word for _, words, *_ in TABLE for word in words} & {*OPTIONS} == set()
    assert [c for c, words, *_ in TABLE for word in words if (c, word) in OPTIONS_OF] == []


FORMER = [
    *((name, now) for name, now in COMMANDS.items() if name != "data"),  # a group today
    ("data --json", "genzoo list data"),
    *((f"sample vae {old} x", now) for old, now in OPTIONS.items()),
    *((f"{command} x {option} 1", now) for (command, option), now in OPTIONS_OF.items()),
    ("sample vae --labels=3", "--label"),
    ("sample vae --seed -1", "--seed random"),
    ("evaluate vae --seed=-1", "--seed random"),
]


@pytest.mark.parametrize(("line", "now"), FORMER)
def test_a_former_spelling_is_refused_with_todays(line, now, capsys):
    assert run(line.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert now in err


def test_data_alone_prints_its_help(capsys):
    assert run(["data"]) == 2
    assert "genzoo list data lists them" in capsys.readouterr().err


def test_a_seed_is_a_number_or_random():
    assert parse_seed("7") == parse_seed(7) == 7
    first, second = parse_seed("random"), parse_seed("random")
    assert first != second
    assert 0 <= first < 2**32
    for wrong in ("-2", "1.5", "Random", "\N{ARABIC-INDIC DIGIT ONE}", str(2**63), ""):
        with pytest.raises(typer.BadParameter, match="or random, got"):
            parse_seed(wrong)


def test_samples_of_several_options_are_a_list():
    assert parse_addresses(["0:3,5", "7", "2:1"]) == [(0, 3), (0, 5), (7, 0), (2, 1)]


@pytest.mark.parametrize("kind", ["models", "families", "data", "metrics", "plugins"])
def test_each_kind_is_listed(kind, capsys):
    assert run(["list", kind, "--json"]) == 0
    names = [record["name"] for record in json.loads(capsys.readouterr().out)]
    assert run(["list", kind, "--quiet"]) == 0
    assert capsys.readouterr().out.split() == names
    assert run(["list", kind]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("name")
    assert [line.split()[0] for line in lines] == names
