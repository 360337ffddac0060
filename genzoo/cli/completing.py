"""Completion by TAB: models, families, data sets, metrics, classes, fields. None imports torch.

Whatever goes wrong, the shell gets no names, and never an error.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import typer

from genzoo.metrics.metric_names import BUILT_IN, INCEPTION
from genzoo.text import printable

_Names = TypeVar("_Names", bound=Callable[..., list[str]])


def _quiet(function: _Names) -> _Names:
    """``function``, which gives no names where it fails."""

    @functools.wraps(function)
    def quiet(*args: Any, **given: Any) -> list[str]:
        try:
            return function(*args, **given)
        except Exception:  # a damaged cache, a broken plugin
            return []

    return quiet  # type: ignore[return-value]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    """Those of ``names`` that begin with what comes after the last comma, with what is before."""
    before, comma, part = incomplete.rpartition(",")
    found = sorted({printable(name) for name in names if name.startswith(part)})
    return [f"{before}{comma}{name}" for name in found]


@_quiet
def complete_family(incomplete: str) -> list[str]:
    """The names of families that begin with ``incomplete``."""
    from genzoo import families

    return _beginning(families.names(), incomplete)


@_quiet
def complete_model(incomplete: str) -> list[str]:
    """The names of models and families that begin with ``incomplete``."""
    from genzoo import families
    from genzoo.zoo import installed

    return _beginning([*installed.names(), *families.names()], incomplete)


@_quiet
def complete_data(incomplete: str) -> list[str]:
    """The names of data sets that begin with ``incomplete``; of two domains, the second."""
    from genzoo.data import catalogue

    return _beginning(catalogue.names(), incomplete)


@_quiet
def complete_metrics(incomplete: str) -> list[str]:
    """The names of metrics that begin with ``incomplete``; of several, the last."""
    from genzoo import families

    return _beginning([*BUILT_IN, *INCEPTION, *families.names("metric")], incomplete)


@_quiet
def complete_label(ctx: typer.Context, incomplete: str) -> list[str]:
    """The classes of the model before that begin with ``incomplete``; of several, the last."""
    from genzoo.cli import early

    manifest = early.manifest_of(_words(ctx, "name")[0])
    return _beginning(manifest.class_names if manifest else (), incomplete)


@_quiet
def complete_field(ctx: typer.Context, incomplete: str) -> list[str]:
    """The fields of --set that begin with ``incomplete``: of the family or model before."""
    from genzoo import families
    from genzoo.cli import early

    family = _words(ctx, "recipe", "family", "name", "subject")[0]
    if ctx.info_name != "train" or ctx.params.get("recipe"):
        manifest = early.manifest_of(family)
        family = manifest.family if manifest else ""
    facts = families.known_facts(family)[family]
    training = [*facts.config, *facts.options]
    names = training if ctx.info_name == "train" else facts.sampling or ()
    return [f"{name}=" for name in sorted(names) if name.startswith(incomplete)]


def _words(ctx: typer.Context, *names: str) -> list[str]:
    """The values of these arguments, then the words that were not read: typer stops where an option
    lacks its value, which is the one to complete.
    """
    return [*filter(None, map(ctx.params.get, names)), *ctx.args]
