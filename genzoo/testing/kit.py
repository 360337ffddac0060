"""The contracts of families, data sets and metrics, run by name."""

from typing import Any

from genzoo.errors import BadInput, UnknownName, unknown
from genzoo.families.registry import CALLED, names
from genzoo.testing import contract, dataset, family, metric
from genzoo.testing.contract import Contract, Outcome

CONTRACTS: dict[str, Contract] = {
    c.kind: c for c in (family.FAMILY, dataset.DATASET, metric.METRIC)
}
CHECKS = family.FAMILY.checks


def checks(kind: str = "family") -> list[str]:
    """The names of a kind's checks. Raises BadInput."""
    return [*_contract(kind).checks]


def run(check: str, name: str | Any, kind: str = "family") -> str | None:
    """Run one check on a plugin by name (or on a `Case`): why it does not apply, or None if it
    holds. Raises Broken, an AssertionError, where the contract is broken; BadInput, UnknownName.
    """
    if check not in checks(kind):
        raise unknown("check", check, checks(kind), f"They are those of a {CALLED[kind]}.")
    return _contract(kind).run(check, name)


def outcome(name: str, kind: str = "family") -> Outcome:
    """Run a kind's whole contract.

    Raises UnknownName; OperationFailed where the plugin cannot load.
    """
    return contract.outcome(_contract(kind), name)


def outcomes(name: str) -> list[Outcome]:
    """The contracts of every plugin called ``name``: a name may be of several kinds.

    Raises UnknownName; OperationFailed where the plugin cannot load.
    """
    kinds = [kind for kind in CONTRACTS if name in names(kind)]
    if not kinds:
        raise _nobody(name)
    return [outcome(name, kind) for kind in kinds]


def _nobody(name: str) -> UnknownName:
    known = {name for kind in CONTRACTS for name in names(kind)}
    return unknown("plugin", name, known, "Type genzoo plugins to see all.")


def _contract(kind: str) -> Contract:
    if kind not in CONTRACTS:
        raise BadInput(f"kind must be one of {', '.join(CONTRACTS)}, got {kind!r}")
    return CONTRACTS[kind]
