"""Contract: named checks of a plugin. Outcome: which hold, fail, or do not apply."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, final

from genzoo.families.registry import KIND_NAMES

Check = Callable[[Any], str | None]


class Broken(AssertionError):
    """A check failed: pytest shows it as a failed assertion, with its message in place of code."""


def require(condition: Any, message: str) -> None:
    """Raise Broken unless ``condition`` is true: an ``assert`` that ``python -O`` does not drop."""
    if not condition:
        raise Broken(message)


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

    def check(self, check: Check) -> Check:
        """A decorator that adds a check, under its name without the leading underscore."""
        self.checks[check.__name__.strip("_")] = check
        return check

    def run(self, check: str, case: Any) -> str | None:
        """Run one check on a name or a case. Raises Broken, or whatever the plugin raises."""
        with self.open_case(case) if isinstance(case, str) else nullcontext(case) as opened:
            return self.checks[check](opened)


@final
@dataclass(frozen=True)
class Outcome:
    """The result of all checks: the names of those that ``held``; ``skipped``: check -> why it does
    not apply; ``broken``: check -> what is wrong.
    """

    name: str
    kind: str
    held: tuple[str, ...]
    skipped: dict[str, str]
    broken: dict[str, str]

    def __str__(self) -> str:
        """A line for each broken check, and one with the counts."""
        lines = [f"{check}: {message}" for check, message in self.broken.items()]
        counts = [f"{len(self.held)} checks passed"]
        counts += [f"{len(self.broken)} broken"] * bool(self.broken)
        if self.skipped:
            by_reason: dict[str, list[str]] = {}
            for check, reason in self.skipped.items():
                by_reason.setdefault(reason, []).append(check)
            groups = "; ".join(f"{', '.join(c)} ({reason})" for reason, c in by_reason.items())
            counts += [f"{len(self.skipped)} do not apply: {groups}"]
        return "\n".join([*lines, f"{KIND_NAMES[self.kind]} {self.name}: {', '.join(counts)}"])


def outcome(contract: Contract, name: str) -> Outcome:
    """Run every check on the plugin ``name``.

    Raises UnknownName; OperationFailed if it cannot load.
    """
    held: list[str] = []
    skipped: dict[str, str] = {}
    broken: dict[str, str] = {}
    with contract.open_case(name) as case:
        for check, call in contract.checks.items():
            try:
                reason = call(case)
            except Broken as error:
                broken[check] = " ".join(str(error).split())
            except Exception as error:  # the plugin's own code: any exception breaks the check
                broken[check] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            else:
                held += [check] if reason is None else []
                skipped |= {} if reason is None else {check: reason}
    return Outcome(name, contract.kind, tuple(held), skipped, broken)
