"""Plugins of every kind at once: whether they load, and which stands in the way of another."""

import os
import traceback
from dataclasses import replace
from typing import Any

from genzoo import data, families
from genzoo.data import catalogue
from genzoo.errors import GenzooError, OperationFailed
from genzoo.families.registry import CALLED, GROUPS, Conflict, Plugin
from genzoo.text import printable


def inspect(kinds: "tuple[str, ...]" = tuple(GROUPS)) -> list[Plugin]:
    """Every plugin after trying to load it: ok, broken, disabled or conflict, and why."""
    found = [p for kind in kinds for p in families.plugins(kind)]
    return [_tried(p) for p in found]


def refuse_broken(*kinds: str) -> None:
    """Where GENZOO_STRICT_PLUGINS is set, load the plugins of ``kinds``, all if none is named.

    Raises OperationFailed if one is broken or in conflict: a listing would have passed it over.
    """
    if os.environ.get("GENZOO_STRICT_PLUGINS", "0") in ("", "0"):
        return
    bad = [p for p in inspect(kinds or tuple(GROUPS)) if p.state in ("broken", "conflict")]
    if bad:
        more = f" (and {len(bad) - 1} more: genzoo plugins)" if len(bad) > 1 else ""
        raise OperationFailed(f"GENZOO_STRICT_PLUGINS is set: {bad[0].error}{more}")


def handed_over(kind: str, name: str) -> Any:
    """What the plugin ``name`` hands over, if it can be used.

    Raises UnknownName, OperationFailed.
    """
    if kind == "family":
        return families.get(name)
    if kind == "dataset":
        return data.describe(name)
    from genzoo.metrics import registry  # brings torch

    return registry.metric_class(name)


def built_in(kind: str) -> set[str]:
    """The names of a kind that genzoo has itself, so that no plugin can have them."""
    if kind == "dataset":
        return {*catalogue.SOURCES}
    if kind == "metric":
        from genzoo.metrics import registry  # brings torch

        return registry.TAKEN
    return set()


def _tried(plugin: Plugin) -> Plugin:
    if {plugin.name, plugin.package} & families.disabled():
        return replace(plugin, state="disabled", error="named in GENZOO_DISABLE_PLUGINS")
    if plugin.name in built_in(plugin.kind):
        what = f"the {CALLED[plugin.kind]} {plugin.name!r}"
        whose = f"plugin {plugin.package} ({plugin.value})"
        error = f"{whose} is passed over: {what} is genzoo's own, and keeps its name"
        return replace(plugin, state="conflict", error=error)
    try:
        handed_over(plugin.kind, plugin.name)
    except GenzooError as error:
        state: Any = "conflict" if isinstance(error, Conflict) else "broken"
        cause = error.__cause__
        lines = "".join(traceback.format_exception(cause) if cause else []).split("\n")
        detail = "\n".join(map(printable, lines))
        return replace(plugin, state=state, error=str(error), detail=detail)
    return replace(plugin, state="ok")
