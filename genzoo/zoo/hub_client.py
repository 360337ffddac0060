"""The Hub's client library: its address, timeouts and progress bars; its errors as genzoo's."""

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
    command,
)

TIMEOUT = 10.0  # seconds until the first answer, and between two pieces of one


class NoAnswer(NetworkError):
    """The Hub does not answer or is busy: an earlier download can be used instead."""

    wait: float | None = None  # seconds until another try makes sense


def endpoint() -> str | None:
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def page_url(repo: str = "") -> str:
    """The address of the web page of ``repo``."""
    return f"{endpoint() or 'https://huggingface.co'}/{repo}"


@contextlib.contextmanager
def connected(what: str) -> Iterator[Any]:
    """The client library; what it raises becomes a GenzooError about ``what``."""
    import huggingface_hub

    try:
        yield huggingface_hub
    except GenzooError:
        raise
    except Exception as error:
        raise _explain(error, what) from error


@contextlib.contextmanager
def quiet_progress() -> Iterator[None]:
    """No progress bars without a terminal: the client shows those of uploads everywhere."""
    # By name: they are attributes only once something else has imported them.
    from huggingface_hub import constants, utils

    bars: Any = utils
    forced = constants.HF_HUB_DISABLE_PROGRESS_BARS is False
    if forced or sys.stderr.isatty() or bars.are_progress_bars_disabled():
        yield
        return
    bars.disable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bars()


_LOG_IN = "log in with hf auth login, or set HF_TOKEN"
# The client's classes by name, as they moved between its versions; the first that fits counts.
_CLIENT_ERRORS: dict[str, tuple[type[GenzooError], str]] = {
    "GatedRepoError": (
        NetworkError,
        "{what} is gated: ask for access at {page} and " + _LOG_IN,
    ),
    "DisabledRepoError": (NetworkError, "{what} was disabled by the Hub"),
    "RevisionNotFoundError": (
        UnknownName,
        "{what}: no such revision, see {page}/tree/main; without one you get the newest",
    ),
    "RepositoryNotFoundError": (
        UnknownName,
        "{what} is not on the Hub, or private: find it with {search}, or " + _LOG_IN,
    ),
    "EntryNotFoundError": (InvalidModel, "{what} lacks a file that it lists"),
    "HFValidationError": (BadInput, "{what}: {reason}"),
    "TooManyRedirects": (NetworkError, "{what}: too many redirects"),
}
_STATUSES = {
    401: "{what}: authentication failed (401): " + _LOG_IN,
    402: "{what}: payment required (402): see {page}",
    403: "{what}: permission denied (403): use a token with more rights, or another owner",
    409: "{what}: it exists already (409)",
    412: "{what}: somebody else pushed at the same time (412): try again",
    413: "{what}: too large for the Hub (413)",
}


def _explain(error: Exception, what: str) -> GenzooError:
    """``error`` of the client as one of genzoo's: one line, with what to do."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    cause, response = error.__cause__, getattr(error, "response", None)
    wrapped = "LocalEntryNotFoundError" in kinds or type(error) is RuntimeError
    if wrapped and isinstance(cause, Exception):
        return _explain(cause, what)
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    facts = {"what": what, "page": page_url(what.partition("@")[0]), "reason": reason}
    facts["search"] = command("search")
    for kind, (ours, text) in _CLIENT_ERRORS.items():
        if kind in kinds:
            return ours(text.format(**facts))
    if response is not None:
        return _status_error(response, facts)
    if "TimeoutException" in kinds:
        return NoAnswer(f"{what}: the Hub did not answer within {TIMEOUT:g} seconds")
    if "TransportError" in kinds or isinstance(error, ConnectionError):
        return NoAnswer(f"{what}: cannot reach the Hub: check the network")
    if isinstance(error, OSError):
        if error.errno:
            where = error.filename or "the Hub's cache"
            return OperationFailed(
                f"cannot write {where}: {error.strerror}; free some space or set HF_HOME"
            )
        return NetworkError(f"{what}: the download failed: {reason}")
    return NetworkError(f"{what}: unexpected answer from the Hub: {reason}")


def _status_error(response: Any, facts: dict[str, str]) -> GenzooError:
    """The error for an answer with the status of a failure."""
    status = response.status_code
    if status != 429 and status < 500:
        text = _STATUSES.get(status, "{what}: {reason}")
        return NetworkError(text.format(**facts))
    header = str(response.headers.get("Retry-After", ""))
    wait = float(header) if header.isdecimal() and len(header) < 9 else 0.0
    when = f"in {wait:g} seconds" if wait else "later"
    problem = "too many requests (429)" if status == 429 else f"the Hub has a problem ({status})"
    error = NoAnswer(f"{facts['what']}: {problem}: try again {when}")
    error.wait = wait
    return error
