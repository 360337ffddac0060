"""The exceptions, each with its exit code on the command line, and the words of their messages.

A message names arguments and functions in the reader's language: `argument` and `command` give
``steps=`` and ``genzoo.list_models()`` in Python, ``--steps`` and ``genzoo list models`` while a
command of the command line runs.
"""

import difflib
import functools
import itertools
import os
import re
import shlex
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from genzoo.text import printable

__all__ = [
    "BadInput",
    "DataMissing",
    "GenzooError",
    "InvalidModel",
    "NetworkError",
    "OperationFailed",
    "Stopped",
    "UnknownName",
]


class GenzooError(Exception):
    """An error of genzoo, in one line: what happened, where, expected and got, what to type.

    Abstract: catch it, but raise one of its subclasses.
    """

    exit_code = 1

    def __init__(self, message: str):
        super().__init__(printable(message))


class OperationFailed(GenzooError):
    """A valid request that failed: a broken plugin, a full disk, a diverged run."""


class BadInput(GenzooError, ValueError):
    """The request itself is wrong."""

    exit_code = 2


class DataMissing(BadInput):
    """Needed data are missing: a data set's files, a network's weights."""


class UnknownName(GenzooError, LookupError):
    """No such name exists."""

    exit_code = 2


class NetworkError(GenzooError):
    """The network or the Hub did not answer as it should."""

    exit_code = 3


class InvalidModel(GenzooError):
    """A model folder that is broken, inconsistent or unsafe."""

    exit_code = 4


class Stopped(KeyboardInterrupt):
    """Ctrl-C, or another signal to stop; as shells have it, the exit code is 128 + its number."""

    def __init__(self, message: str = "", number: int = signal.SIGINT):
        is_ctrl_c = number == signal.SIGINT
        how = "interrupted" if is_ctrl_c else f"stopped by {signal.Signals(number).name}"
        super().__init__(message or how)
        self.exit_code = 128 + number


# Arguments whose option has another name: `from` is a word of Python and `set` a function, and
# public signatures older than these options stay.
OPTIONS = MappingProxyType(
    {
        "as_family": "as",
        "dtype": "store-as",
        "labels": "label",
        "root": "data-root",
        "sampling": "set",
        "settings": "set",
        "start_from": "from",
        "version": "model-version",
    }
)
# Commands whose function has another name: `features`, `demo` and `data` are packages.
FUNCTIONS = MappingProxyType(
    {
        "attend": "attention",
        "families": "list_families",
        "features": "extract_features",
        "list": "list_models",
        "plugin check": "testing.outcomes",
        "plugin list": "list_plugins",
    }
)
_running: list[str] = []  # the command of the command line that this process runs


@contextmanager
def on_the_command_line() -> Iterator[None]:
    """In the block messages are for somebody who types commands."""
    _running.append("genzoo")
    try:
        yield
    finally:
        _running.pop()


def either(typed: str, python: str) -> str:
    """``typed`` while a command of the command line runs, otherwise ``python``."""
    return typed if _running else python


def argument(name: str, value: object = None) -> str:
    """How the reader gives the argument ``name``: ``--steps 20`` or ``steps=20``, without a value
    ``--steps`` or ``steps=``. A word in capitals stands for a value: ``--data FOLDER``.
    """
    return either(_option(name, value), f"{name}={'' if value is None else _literal(value)}")


def command(name: str, *words: object, **arguments: object) -> str:
    """How the reader calls a command's function: ``genzoo train vae --out x`` or
    ``genzoo.train('vae', out='x')``.
    """
    given = [shlex.quote(str(word)) for word in words]
    options = [_option(key, value) for key, value in arguments.items()]
    typed = " ".join(["genzoo", name, *given, *options])
    values = [*map(_literal, words), *(f"{k}={_literal(v)}" for k, v in arguments.items())]
    function = FUNCTIONS.get(name, name.replace(" ", "_"))
    return either(typed, f"genzoo.{function}({', '.join(values)})")


def see_all(name: str) -> str:
    """The hint at the command ``name``, or its function, which lists what there is."""
    return either(f"Type genzoo {name} to see all.", f"{command(name)} gives all.")


def _option(name: str, value: object) -> str:
    dashes = "-" if len(name) == 1 else "--"
    option = dashes + OPTIONS.get(name, name.replace("_", "-"))
    if isinstance(value, Mapping):
        return " ".join(f"{option} {key}={_word(v)}" for key, v in value.items())
    if value is None or value is True:
        return option
    return option.replace("--", "--no-", 1) if value is False else f"{option} {_word(value)}"


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else shlex.quote(str(value))


def _literal(value: object) -> str:
    """``value`` in Python code; a word in capitals stands for a value."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return value if isinstance(value, str) and value.isupper() else repr(value)


def refuse_unread(why: str, **given: object) -> None:
    """Refuse those of the arguments that were ``given``, as nothing reads them. Raises BadInput."""
    names = [argument(k) for k, v in given.items() if v is not None and v is not False]
    if names:
        raise BadInput(f"{' and '.join(names)} would have no effect: {why}")


def article(thing: object) -> str:
    """A value's type with its article, for a message: ``an int``, ``a str``."""
    name = type(thing).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


LISTED = 230  # characters of names in a message, so that people read it
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def similar(name: str, known: Iterable[str]) -> list[str]:
    """Those of ``known`` that somebody may mean by ``name``, the likeliest first: at most three."""
    known, word = [*known], name.casefold()
    if word in _NUMBERS and (number := str(_NUMBERS.index(word))) in known:
        return [number]
    by_word: dict[str, str] = {}
    for one in known:
        by_word.setdefault(one.casefold(), one)
    near = difflib.get_close_matches(word, by_word, n=3)
    parts = [one for one in by_word if len(word) > 2 and word in one]
    return [by_word[one] for one in (near or parts[:3])]


def _first(names: list[str], limit: int) -> list[str]:
    """The first of ``names`` that fit into ``limit`` characters, with ", " between them."""
    ends = itertools.accumulate(len(name) + 2 for name in names)
    return [name for name, end in zip(names, ends, strict=True) if end <= limit + 2]


def unknown(kind: str, name: str, known: Iterable[str], hint: str) -> UnknownName:
    """The error for a ``kind`` called ``name``, none of ``known``; ``hint``: what to type."""
    known = sorted(known)
    near = similar(name, known)
    shown = _first(known, LISTED)
    more = f" and {len(known) - len(shown)} more" if len(shown) < len(known) else ""
    available = f"available: {', '.join(shown) or 'none'}{more}."
    names = f"did you mean {' or '.join(near)}?" if near else available
    return UnknownName(f"no {kind} is called {name!r}: {names} {hint}".rstrip())


@functools.cache
def install_command(extra: str) -> str:
    """What to type for the packages of an ``extra`` of genzoo: ``pip install "gradio>=6"``.

    They stand in genzoo's metadata. Its own name with the extra would not do: pip looks for it in
    an index, and genzoo may have been installed from a folder.
    """
    from importlib.metadata import PackageNotFoundError, requires

    try:
        every = requires("genzoo") or []
    except PackageNotFoundError:  # imported from a folder
        every = []
    wanted = re.compile(rf"""extra\s*==\s*["']{re.escape(extra)}["']""")
    packages = [text.partition(";")[0].strip() for text in every if wanted.search(text)]
    packages = packages or [f"genzoo[{extra}]"]
    return " ".join(["pip install", *(f'"{package}"' for package in packages)])
