"""What a contract is: named checks that hold, are broken, or do not apply, and how many of each."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, final

from genzoo.families.registry import CALLED

Check = Callable[[Any], str | None]


class Broken(AssertionError):
    """A check found the contract broken: pytest shows it as a failed assertion, in our words."""


def require(good: Any, said: str) -> None:
    """Raises Broken with ``said`` unless ``good``: an ``assert`` that ``python -O`` leaves in."""
    if not good:
        raise Broken(said)


def require_refused(call: Callable[[], Any], error: type[Exception], said: str) -> None:
    """Raises Broken with ``said`` unless ``call`` raises ``error``."""
    try:
        call()
    except error:
        return
    raise Broken(said)


def require_json(value: Any, what: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Broken(f"{what} cannot be written as JSON: {error}") from None


@final
@dataclass(frozen=True)
class Contract:
    """What the plugins of a kind promise. ``opened`` is, while entered, one by name, as the checks
    look at it.

    A check raises where the promise is broken; it returns why it does not apply, or None.
    """

    kind: str
    opened: Callable[[str], AbstractContextManager[Any]]
    checks: dict[str, Check] = field(default_factory=dict)

    def check(self, check: Check) -> Check:
        """Add a check, under its name without the underscore. A decorator."""
        self.checks[check.__name__.strip("_")] = check
        return check

    def run(self, check: str, case: Any) -> str | None:
        """Run one check on a name or a case. Raises Broken, or whatever the plugin raises."""
        with self.opened(case) if isinstance(case, str) else nullcontext(case) as opened:
            return self.checks[check](opened)


@final
@dataclass(frozen=True)
class Outcome:
    """How a plugin kept its contract: ``held`` checks; of ``skipped`` ones why they do not apply,
    of ``broken`` ones what was wrong.
    """

    name: str
    kind: str
    held: tuple[str, ...]
    skipped: dict[str, str]
    broken: dict[str, str]

    def __str__(self) -> str:
        """A line for each broken check, and one that counts."""
        lines = [f"{check}: {said}" for check, said in self.broken.items()]
        counts = [f"{len(self.held)} checks held"]
        counts += [f"{len(self.broken)} broken"] * bool(self.broken)
        if self.skipped:
            whys: dict[str, list[str]] = {}
            for check, why in self.skipped.items():
                whys.setdefault(why, []).append(check)
            told = "; ".join(f"{', '.join(checks)} ({why})" for why, checks in whys.items())
            counts += [f"{len(self.skipped)} do not apply: {told}"]
        return "\n".join([*lines, f"{CALLED[self.kind]} {self.name}: {', '.join(counts)}"])


def outcome(contract: Contract, name: str) -> Outcome:
    """Run every check on the plugin ``name``.

    Raises UnknownName; OperationFailed where it cannot load.
    """
    held: list[str] = []
    skipped: dict[str, str] = {}
    broken: dict[str, str] = {}
    with contract.opened(name) as case:
        for check, look in contract.checks.items():
            try:
                why = look(case)
            except Broken as error:
                broken[check] = " ".join(str(error).split())
            except Exception as error:  # the plugin's own code: whatever it raises breaks the check
                broken[check] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            else:
                held += [check] if why is None else []
                skipped |= {} if why is None else {check: why}
    return Outcome(name, contract.kind, tuple(held), skipped, broken)
