"""Python and the command line: each command is a function, argument by argument; messages speak
the language of their reader.
"""

import ast
import re
from pathlib import Path

from genzoo import errors
from genzoo.cli import run

ROOT = Path(__file__).parents[1]
CORE = ROOT / "genzoo"

# ---------------------------------------------------------------------------------------- messages

# A word of one language only: an option, a command, an argument of Python, or "in Python".
COMMANDS = sorted({path.stem for path in (CORE / "cli").glob("[a-z]*.py")} - {"app", "entry"})
ONE_LANGUAGE = re.compile(
    rf"(^|[\s('])--[a-z][a-z-]+|\bgenzoo ({'|'.join(COMMANDS)})\b|\bin Python\b"
    r"|\b(data|root|sampling|settings|labels?|out|resume|force)=(?![={])"
)
# Files for one kind of reader: the command line's own, and templates of packages and pages.
OWN = ("cli/", "demo/tabs", "testing/", "errors.py")
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
    for text in ("type --data FOLDER", "--set expects", "see genzoo list", "give root= or"):
        assert ONE_LANGUAGE.search(text), text
    for text in ("--", "genzoo reads", "a.data==", "well--known", "levels=LOW:HIGH"):
        assert not ONE_LANGUAGE.search(text), text


def test_no_message_speaks_one_language_only():
    """`argument` and `command` name things in the reader's language."""
    wrong = []
    for path in sorted(CORE.rglob("*.py")):
        name = str(path.relative_to(CORE))
        if name.startswith(OWN):
            continue
        wrong += [
            f"{name}:{line}: {text}"
            for line, text in messages(ast.parse(path.read_text()))
            if ONE_LANGUAGE.search(text) and (name, text) != PYTHON_ONLY
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
