"""The Hub's client: its address, its silence, and its errors in our words."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from genzoo.errors import (
    BadInput,
    GenzooError,
    InvalidModel,
    NetworkError,
    OperationFailed,
    UnknownName,
)

TIMEOUT = 10.0  # seconds until the first answer, and between two pieces of one


class _Silent(NetworkError):
    """No answer, or that the Hub is busy: what was fetched before will do instead."""

    wait: float | None = None  # seconds until it is worth another try


# -------------------------------------------------------------------------------------- errors
def _endpoint() -> str | None:
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def _page(repo: str = "") -> str:
    """Where people look at ``repo``."""
    return f"{_endpoint() or 'https://huggingface.co'}/{repo}"


@contextlib.contextmanager
def _asking(what: str) -> Iterator[Any]:
    """The client; whatever it raises becomes one of our errors, about ``what``."""
    import huggingface_hub

    try:
        yield huggingface_hub
    except GenzooError:
        raise
    except Exception as error:
        raise _explained(error, what) from error


@contextlib.contextmanager
def _still() -> Iterator[None]:
    """No progress where nobody watches: the client's uploads do not look."""
    # By name: as attributes they are there only once something else has imported them.
    from huggingface_hub import constants, utils

    bars: Any = utils
    wanted = constants.HF_HUB_DISABLE_PROGRESS_BARS is False
    if wanted or sys.stderr.isatty() or bars.are_progress_bars_disabled():
        yield
        return
    bars.disable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bars()


_LOG_IN = "log in with hf auth login, or set HF_TOKEN"
# The client's classes by name, as they moved between its versions; the first that fits is said.
_KINDS: dict[str, tuple[type[GenzooError], str]] = {
    "GatedRepoError": (
        NetworkError,
        "{what} is gated: ask for access at {page} and " + _LOG_IN,
    ),
    "DisabledRepoError": (NetworkError, "{what} was disabled by the Hub"),
    "RevisionNotFoundError": (
        UnknownName,
        "{what}: there is no such revision, see {page}/tree/main; without one it is the newest",
    ),
    "RepositoryNotFoundError": (
        UnknownName,
        "{what} is not on the Hub, or it is private: look for it with genzoo search, or " + _LOG_IN,
    ),
    "EntryNotFoundError": (InvalidModel, "{what} lacks a file that it lists"),
    "HFValidationError": (BadInput, "{what}: {said}"),
    "TooManyRedirects": (NetworkError, "{what}: the Hub sends from one address to the next"),
}
_STATUSES = {
    401: "{what}: the Hub does not accept who you are: " + _LOG_IN,
    402: "{what}: the Hub wants to be paid for this: see {page}",
    403: "{what}: the Hub says you may not: it takes a token with other rights, or another owner",
    409: "{what}: that is there already",
    412: "{what}: somebody else pushed at the same time: try again",
    413: "{what}: this is too large for the Hub",
}


def _explained(error: Exception, what: str) -> GenzooError:
    """What went wrong at the Hub in one line, with what to do."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    cause, response = error.__cause__, getattr(error, "response", None)
    wrapped = "LocalEntryNotFoundError" in kinds or type(error) is RuntimeError
    if wrapped and isinstance(cause, Exception):
        return _explained(cause, what)
    said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    facts = {"what": what, "page": _page(what.partition("@")[0]), "said": said}
    for kind, (ours, text) in _KINDS.items():
        if kind in kinds:
            return ours(text.format(**facts))
    if response is not None:
        return _answered(response, facts)
    if "TimeoutException" in kinds:
        return _Silent(f"{what}: the Hub did not answer within {TIMEOUT:g} seconds")
    if "TransportError" in kinds or isinstance(error, ConnectionError):
        return _Silent(f"{what}: the Hub cannot be reached: is there a network?")
    if isinstance(error, OSError):
        if error.errno:
            where = error.filename or "the Hub's cache"
            return OperationFailed(
                f"cannot write {where}: {error.strerror}; free some space or set HF_HOME"
            )
        return NetworkError(f"{what}: the download did not work: {said}")
    return NetworkError(f"{what}: the Hub answers what its client does not understand: {said}")


def _answered(response: Any, facts: dict[str, str]) -> GenzooError:
    """The error for an answer with a status that is none of success."""
    status = response.status_code
    if status != 429 and status < 500:
        text = _STATUSES.get(status, "{what}: {said}")
        return NetworkError(text.format(**facts))
    given = str(response.headers.get("Retry-After", ""))
    wait = float(given) if given.isdecimal() and len(given) < 9 else 0.0
    late = f"in {wait:g} seconds" if wait else "later"
    trouble = "too many requests" if status == 429 else f"the Hub has trouble ({status})"
    silent = _Silent(f"{facts['what']}: {trouble}: try again {late}")
    silent.wait = wait
    return silent
