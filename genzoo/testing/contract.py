"""Contract: named checks of a plugin. Outcome: which hold, fail, or do not apply."""

import json
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, final

from genzoo.families.registry import KIND_NAMES

Check = Callable[[Any], str | None]
LIMIT = 20.0  # seconds: longer ones of a tiny model tell which checks are slow


class Broken(AssertionError):
    """A check failed: pytest shows it as a failed assertion, with its message in place of code.

    ``example`` takes the place of EXAMPLE in the check's code. ``error``: the plugin's own error,
    with its place, if that broke the check.
    """

    def __init__(self, message: str, example: str = "", error: str = ""):
        super().__init__(message)
        self.example, self.error = example, error


def require(condition: Any, message: str, example: str = "") -> None:
    """Raise Broken unless ``condition`` is true: an ``assert`` that ``python -O`` does not drop."""
    if not condition:
        raise Broken(message, example)


def require_error(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    """Raise Broken unless ``call`` raises ``error``."""
    try:
        call()
    except error:
        return
    raise Broken(message)


def require_json(value: Any, what: str) -> None:
    """Raise Broken unless ``value`` can be written as JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Broken(f"{what} cannot be written as JSON: {error}") from None


@final
@dataclass(frozen=True)
class Contract:
    """The checks of a kind of plugin. ``open_case`` gives, for a name, the case that they check.

    A check raises Broken if it fails. It returns the reason why it does not apply, or None.
    """

    kind: str
    open_case: Callable[[str], AbstractContextManager[Any]]
    checks: dict[str, Check] = field(default_factory=dict)

    def check(self, check: Check, code: str = "") -> Check:
        """A decorator that adds a check, under its name without the leading underscore.

        What a check finds is shown after its docstring, the law, and before ``code``: lines of
        Python that show the same. NAME in it stands for the plugin's name.
        """
        name = check.__name__.strip("_")
        law = (check.__doc__ or "").partition("\n\n")[0]
        lines = code or f'testing.run("{name}", "NAME", "{self.kind}")'

        @wraps(check)
        def explained(case: Any) -> str | None:
            try:
                return check(case)
            except Broken as error:
                text, cause, example, own_error = str(error), None, error.example, ""
            except Exception as error:  # the plugin's own code: any exception breaks the check
                own_error = f"{one_line(error)} ({place(error)})"
                text, cause, example = own_error, error, ""
            text = " ".join(f"{law} {text}".split())
            own = lines.replace("NAME", case.name).replace("EXAMPLE", example).split("\n")
            imports = [f"import {name}" for name in ("torch", "genzoo") if f"{name}." in lines]
            shown = [text, "; ".join(["from genzoo import testing", *imports]), *own]
            raise Broken("\n    ".join(shown), error=own_error) from cause

        self.checks[name] = explained
        return check

    def run(self, check: str, case: Any) -> str | None:
        """Run one check on a name or a case. Raises Broken."""
        with self.open_case(case) if isinstance(case, str) else nullcontext(case) as opened:
            return self.checks[check](opened)


@final
@dataclass(frozen=True)
class Outcome:
    """The result of all checks: the names of those that ``held``; ``skipped``: check -> why it does
    not apply; ``broken``: check -> what is wrong; ``seconds``: check -> CPU time; ``repeats``:
    check -> the earlier check that the same error of the plugin broke.
    """

    name: str
    kind: str
    held: tuple[str, ...]
    skipped: dict[str, str]
    broken: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict, compare=False)
    repeats: dict[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        """What each broken check found, and a line with the counts."""
        lines = []
        for check, message in self.broken.items():
            same = [later for later, first in self.repeats.items() if first == check]
            lines += [f"{check}: {message}"] if check not in self.repeats else []
            if same:
                checks = "check" if len(same) == 1 else "checks"
                lines += [f"    and {len(same)} more {checks}: {', '.join(same)}"]
        counts = [f"{len(self.held)} check{'s' * (len(self.held) != 1)} passed"]
        counts += [f"{len(self.broken)} broken"] * bool(self.broken)
        if self.skipped:
            by_reason: dict[str, list[str]] = {}
            for check, reason in self.skipped.items():
                by_reason.setdefault(reason, []).append(check)
            groups = "; ".join(f"{', '.join(c)} ({reason})" for reason, c in by_reason.items())
            verb = "does not apply" if len(self.skipped) == 1 else "do not apply"
            counts += [f"{len(self.skipped)} {verb}: {groups}"]
        lines += [f"{KIND_NAMES[self.kind]} {self.name}: {', '.join(counts)}"]
        if (total := sum(self.seconds.values())) > LIMIT:
            slow = sorted(self.seconds.items(), key=lambda pair: -pair[1])[:3]
            each = ", ".join(f"{check} {seconds:.1f} s" for check, seconds in slow)
            lines += [f"the checks took {total:.0f} s, most of it: {each}"]
        return "\n".join(lines)


def outcome(contract: Contract, name: str) -> Outcome:
    """Run every check on the plugin ``name``.

    Raises UnknownName; OperationFailed if it cannot load.
    """
    held: list[str] = []
    skipped: dict[str, str] = {}
    broken: dict[str, str] = {}
    seconds: dict[str, float] = {}
    first: dict[str, str] = {}  # error -> check
    repeats: dict[str, str] = {}
    with contract.open_case(name) as case:
        for check, call in contract.checks.items():
            began = time.process_time()
            try:
                reason = call(case)
            except Broken as error:
                broken[check] = str(error)
                if error.error and first.setdefault(error.error, check) != check:
                    repeats[check] = first[error.error]
            else:
                held += [check] if reason is None else []
                skipped |= {} if reason is None else {check: reason}
            seconds[check] = time.process_time() - began
    return Outcome(name, contract.kind, tuple(held), skipped, broken, seconds, repeats)


def one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def place(error: BaseException) -> str:
    """The line that raised ``error``: the last one outside of libraries and of this package."""
    frames = traceback.extract_tb(error.__traceback__)
    libraries = tuple(f"/{name}/" for name in ("torch", "einops", "genzoo/testing"))
    own = [f for f in frames if not any(part in Path(f.filename).as_posix() for part in libraries)]
    frame = (own or frames)[-1]
    return f"{frame.filename}, line {frame.lineno}: {frame.line}"
