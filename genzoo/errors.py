"""The exceptions, each with its exit code on the command line."""

import difflib
import signal
from collections.abc import Iterable

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


def article(thing: object) -> str:
    """A value's type with its article, for a message: ``an int``, ``a str``."""
    name = type(thing).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def unknown(kind: str, name: str, known: Iterable[str], hint: str) -> UnknownName:
    """The error for a ``kind`` called ``name``, none of ``known``; ``hint``: what to type."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3)
    available = f"available: {', '.join(known) or 'none'}."
    names = f"did you mean {' or '.join(near)}?" if near else available
    return UnknownName(f"no {kind} is called {name!r}: {names} {hint}")
