"""The few exceptions, each with the exit code that the command line gives it."""

import difflib
from collections.abc import Iterable

from genzoo.text import printable


class GenzooError(Exception):
    """A no from genzoo, in one line: what, where, expected and got, what to type.

    Abstract: catch it, raise one of those below.
    """

    exit_code = 1

    def __init__(self, message: str):
        super().__init__(printable(message))


class OperationFailed(GenzooError):
    """A sound request that did not work out: a broken plugin, a full disk, a diverged run."""


class BadInput(GenzooError, ValueError):
    """The request itself is wrong."""

    exit_code = 2


class DataMissing(BadInput):
    """What would be needed is not here: a data set's files, a network that is kept elsewhere."""


class UnknownName(GenzooError, LookupError):
    """Nothing has the name that was asked for."""

    exit_code = 2


class NetworkError(GenzooError):
    """The network or the Hub did not answer as it should."""

    exit_code = 3


class InvalidModel(GenzooError):
    """A model folder that is broken, inconsistent or not to be trusted."""

    exit_code = 4


def article(thing: object) -> str:
    """What a value is, for a message: ``an int``, ``a str``."""
    name = type(thing).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def unknown(kind: str, name: str, known: Iterable[str], hint: str) -> UnknownName:
    """The error for a ``kind`` called ``name``, none of ``known``; ``hint``: what to type."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3)
    meant = (
        f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(known) or 'none'}."
    )
    return UnknownName(f"no {kind} is called {name!r}: {meant} {hint}")
