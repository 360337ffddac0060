"""The state of every installed plugin: ok, broken, disabled or in conflict."""

import os
import traceback
from dataclasses import replace
from operator import attrgetter
from typing import Any

from genzoo import data, families
from genzoo.data import catalogue
from genzoo.errors import GenzooError, OperationFailed, command
from genzoo.families.registry import GROUPS, KIND_NAMES, Conflict, Plugin, see_plugins
from genzoo.text import Records, printable
from genzoo.zoo import installed


def inspect(kinds: "tuple[str, ...]" = tuple(GROUPS)) -> list[Plugin]:
    """Every plugin after an attempt to load it, with its state and the reason."""
    return [_with_state(p) for kind in kinds for p in families.plugins(kind)]


def list_plugins() -> Records[Plugin]:
    """Every plugin with its state, ok, broken, disabled or conflict, and why: ``.error`` in a line,
    ``.detail`` with the traceback.
    """
    table: dict[str, Any] = {head: attrgetter(head) for head in ("name", "kind", "state")}
    table["package"] = lambda plugin: f"{plugin.package} {plugin.version}"
    return Records(inspect(), {**table, "": attrgetter("error")})


def refuse_broken(*kinds: str) -> None:
    """Where GENZOO_STRICT_PLUGINS is set, load the plugins of ``kinds`` (none given: of all kinds).

    Raises OperationFailed if one is broken or in conflict: a listing would leave it out silently.
    """
    if os.environ.get("GENZOO_STRICT_PLUGINS", "0") in ("", "0"):
        return
    bad = [p for p in inspect(kinds or tuple(GROUPS)) if p.state in ("broken", "conflict")]
    if bad:
        more = f" (and {len(bad) - 1} more: {command('plugin list')})" if len(bad) > 1 else ""
        raise OperationFailed(f"GENZOO_STRICT_PLUGINS is set: {bad[0].error}{more}")


def _check(plugin: Plugin) -> None:
    """Load the plugin; of models, read their manifests. Raises GenzooError."""
    if plugin.kind == "models":
        installed.check(plugin)
    elif plugin.kind == "family":
        families.get(plugin.name)
    elif plugin.kind == "dataset":
        data.describe(plugin.name)
    else:
        from genzoo.metrics import registry  # imports torch

        registry.metric_class(plugin.name)


def built_in(kind: str) -> set[str]:
    """The names of a kind that genzoo itself uses: no plugin can have them."""
    if kind == "dataset":
        return {*catalogue.SOURCES}
    if kind == "metric":
        from genzoo.metrics import registry  # imports torch

        return registry.RESERVED
    return set()


def _with_state(plugin: Plugin) -> Plugin:
    if {plugin.name, plugin.package} & families.disabled():
        return replace(plugin, state="disabled", error="disabled by GENZOO_DISABLE_PLUGINS")
    if plugin.name in built_in(plugin.kind):
        owner = f"plugin {plugin.package} ({plugin.value})"
        kind = KIND_NAMES[plugin.kind]
        error = f"{owner} is ignored: genzoo has a built-in {kind} {plugin.name!r}"
        return replace(plugin, state="conflict", error=error)
    try:
        _check(plugin)
    except GenzooError as error:
        state: Any = "conflict" if isinstance(error, Conflict) else "broken"
        cause = error.__cause__
        lines = "".join(traceback.format_exception(cause) if cause else []).split("\n")
        detail = "\n".join(map(printable, lines))
        reason = str(error).removesuffix(see_plugins())  # that is where the reader is
        return replace(plugin, state=state, error=reason, detail=detail)
    return replace(plugin, state="ok")
