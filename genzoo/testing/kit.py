"""Runs the contracts of families, data sets and metrics by name."""

from typing import Any

from genzoo.errors import BadInput, see_all, unknown
from genzoo.families.registry import KIND_NAMES, names
from genzoo.testing import contract, dataset_contract, family_contract, metric_contract
from genzoo.testing.contract import Contract, Outcome

CONTRACTS: dict[str, Contract] = {
    c.kind: c for c in (family_contract.FAMILY, dataset_contract.DATASET, metric_contract.METRIC)
}
CHECKS = family_contract.FAMILY.checks


def checks(kind: str = "family") -> list[str]:
    """The names of a kind's checks. Raises BadInput."""
    return [*_contract(kind).checks]


def run(check: str, name: str | Any, kind: str = "family") -> str | None:
    """Run one check on a plugin by name (or on a `Case`). None if it holds, else the reason why it
    does not apply. Raises Broken, an AssertionError, if it fails; BadInput, UnknownName.
    """
    if check not in checks(kind):
        raise unknown(
            "check", check, checks(kind), f"These are the checks of a {KIND_NAMES[kind]}."
        )
    return _contract(kind).run(check, name)


def outcome(name: str, kind: str = "family") -> Outcome:
    """Run all checks of a kind on the plugin ``name``.

    Raises UnknownName; OperationFailed if the plugin cannot load.
    """
    return contract.outcome(_contract(kind), name)


def outcomes(name: str) -> list[Outcome]:
    """Run all checks on every plugin called ``name``: plugins of several kinds may share it.

    Raises UnknownName; OperationFailed if the plugin cannot load.
    """
    kinds = [kind for kind in CONTRACTS if name in names(kind)]
    if not kinds:
        known = {name for kind in CONTRACTS for name in names(kind)}
        raise unknown("plugin", name, known, see_all("plugin list"))
    return [outcome(name, kind) for kind in kinds]


def _contract(kind: str) -> Contract:
    if kind not in CONTRACTS:
        raise BadInput(f"kind must be one of {', '.join(CONTRACTS)}, got {kind!r}")
    return CONTRACTS[kind]
