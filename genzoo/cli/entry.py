"""The entry point of the command line: runs one command, turns errors into a line and a code."""

import errno
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any, final

from genzoo.cli.application import Ended, app
from genzoo.cli.commands import COMMANDS
from genzoo.cli.spelling import check_spelling
from genzoo.devices import is_first_process, process_count
from genzoo.errors import BadInput, GenzooError, Stopped, on_the_command_line
from genzoo.files import raised_signals
from genzoo.text import encode_all, printable

SHARE = ("sample", "evaluate", "compare", "verify")
CLOSED = "cannot print the result: sys.stdout is closed"


@final
class _Line(logging.Formatter):
    """Log lines without control characters, which names of files and models may contain."""

    def format(self, record: logging.LogRecord) -> str:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # removes the line of a Ticker
        return clear + printable(super().format(record))


@final
class _Once(logging.Filter):
    """Lets a line about a data set through once: a command may open the set several times."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        new = record.name != "genzoo.data" or line not in self.seen
        self.seen.add(line)
        return new


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    words = [*sys.argv[1:]] if arguments is None else [*arguments]
    for name in ("stdout", "stderr"):  # closed by the caller, as in genzoo list >&-
        if getattr(sys, name) is None:
            null = Path(os.devnull).open("w", encoding="utf-8", newline="")  # noqa: SIM115 (to the end)
            setattr(sys, name, null)
        encode_all(getattr(sys, name))
    # Else pydantic searches every installed package for its own plugins: 20 ms of 200.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if not sys.stderr.isatty():  # the Hub client's lines about retries are progress
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line("genzoo: %(message)s"))
    handler.addFilter(_Once())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if os.environ.get("RANK", "0") == "0":  # of several processes one reports
        for name in ("genzoo.data", "genzoo.cli"):
            logging.getLogger(name).setLevel(logging.INFO)
    else:
        logging.getLogger("genzoo").setLevel(logging.ERROR)
    with raised_signals():
        code = run(words)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _closed_pipe()
    except OSError as error:  # a full disk; Python would try to write again when it ends
        code = code or _print_error(_of_system(error), 1, words)
        _drop_output()
    except ValueError:  # closed by others' code
        code = code or _print_error(CLOSED, 1, words)
    sys.exit(code)


@on_the_command_line()
def run(arguments: Sequence[str]) -> int:
    """Run one command; an error becomes one line and an exit code."""
    try:
        check_spelling(arguments)
        _check_command(arguments)
        _check_filled(arguments)
        with _together(arguments):
            return app([*arguments], prog_name="genzoo", standalone_mode=False) or 0
    except Ended as end:
        if isinstance(end.__cause__, BrokenPipeError):
            return _closed_pipe()
        return _print_interrupted(end.__cause__, arguments)
    except KeyboardInterrupt as error:  # before the command began
        return _print_interrupted(error, arguments)
    except SystemExit as end:  # of typer: names for the shell, or its help's reader closed the pipe
        return _closed_pipe() if end.code else 0
    except GenzooError as error:
        from genzoo.cli import words

        message = words.with_models(str(error), arguments)
        return _print_error(message, error.exit_code, arguments)
    except MemoryError as error:
        return _print_error(" ".join(["out of memory", str(error)]).strip(), 1, arguments)
    except OSError as error:
        code = 2 if error.errno == errno.ENAMETOOLONG else 1
        return _print_error(_of_system(error), code, arguments)
    except Exception as error:
        usage: Any = error
        if type(error).__name__ == "NoArgsIsHelpError":
            print(usage.format_message(), file=sys.stderr)
            return usage.exit_code
        if hasattr(error, "format_message"):  # typer's error: a wrong option or argument
            from genzoo.cli import words

            return _print_error(words.explain(usage, arguments), usage.exit_code, arguments)
        if getattr(sys.stdout, "closed", False):
            return _print_error(CLOSED, 1, arguments)
        if "out of memory" in str(error) or "can't allocate" in str(error):
            return _print_error(str(error), 1, arguments)
        raise


@contextmanager
def _together(arguments: Sequence[str]) -> Iterator[None]:
    """In the block several processes, if torchrun started some for one of the commands that `SHARE`
    the drawing of samples, are joined. The first one prints, and writes.
    """
    if process_count() == 1 or not {*arguments[:1]} & {*SHARE} or {"-h", "--help"} & {*arguments}:
        yield
        return
    import torch

    from genzoo.training import parallel

    if torch.cuda.is_available():  # "cuda" is each process's own
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    unseen = Path(os.devnull)
    with unseen.open("w", encoding="utf-8", newline="\n") as nowhere, parallel.connected():
        parallel.start(torch.device("cpu"))  # what they exchange is in memory
        with nullcontext() if is_first_process() else redirect_stdout(nowhere):
            yield


def _check_command(arguments: Sequence[str]) -> None:
    first = next((a for a in arguments if not a.startswith("-")), None)
    if first is not None and arguments[0] == first and first not in COMMANDS:
        from genzoo.cli import words

        raise words.unknown_command(first, COMMANDS)
    try:
        Path.cwd()
    except OSError:  # in such a folder a library of torch ends the process, with a wrong reason
        if first is not None:
            raise BadInput("the current folder does not exist any more: cd to another") from None


def _of_system(error: OSError) -> str:
    """What the system said, about which file."""
    if error.strerror is None:  # a library's, with a text of its own
        return f"{type(error).__name__}: {error}"
    if error.filename is not None:
        return f"cannot use {os.fsdecode(error.filename)}: {error.strerror}"
    what = "write the output" if error.errno in (errno.ENOSPC, errno.EFBIG) else "read or write"
    return f"cannot {what}: {error.strerror}"


def _check_filled(arguments: Sequence[str]) -> None:
    """Raise BadInput for an empty argument: that of a path would mean the current folder."""
    for before, word in zip(("", *arguments), arguments, strict=False):
        option, equals, value = word.partition("=")
        if not word or (word.startswith("--") and equals and not value):
            name = option or (before if before.strip("-") != before != "--" else "an argument")
            raise BadInput(f"{name} is empty: give a value, or leave it out (an unset variable?)")


def _print_error(message: str, code: int, arguments: Sequence[str]) -> int:
    if os.environ.get("GENZOO_DEBUG"):
        traceback.print_exc()
    line = " ".join(printable(message).split())
    if "--json" in arguments:
        print(json.dumps({"error": {"code": code, "message": line}}), file=sys.stderr)
    else:
        print(f"genzoo: {line}", file=sys.stderr)
    return code


def _print_interrupted(error: BaseException | None, arguments: Sequence[str]) -> int:
    code = error.exit_code if isinstance(error, Stopped) else 130
    return _print_error(str(error) or "interrupted", code, arguments)


def _closed_pipe() -> int:
    """Stop without a message: nobody reads stdout any more. The code is 128 + SIGPIPE."""
    _drop_output()
    return 141


def _drop_output() -> None:
    """Let what is still to be written to stdout go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
