"""Plugins found by their entry points, listed without an import, and loaded by name."""

import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, final

import pluggy

from genzoo.errors import OperationFailed, UnknownName, article, unknown
from genzoo.families.family import API, Family, Hooks
from genzoo.text import printable
from genzoo.version import VERSION

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint


GROUPS = {"family": "genzoo.families", "metric": "genzoo.metrics", "dataset": "genzoo.datasets"}
CALLED = {"family": "family", "metric": "metric", "dataset": "data set"}
LISTED = {"family": "families", "metric": "metrics", "dataset": "data"}  # the command that does
log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Plugin:
    """An entry point, as package metadata describe it: nothing is imported to make one."""

    name: str
    kind: str
    value: str
    package: str
    version: str
    summary: str
    branch: str = ""
    year: str = ""
    state: Literal["listed", "ok", "broken", "disabled", "conflict"] = "listed"
    error: str = ""
    detail: str = field(default="", repr=False)


def plugins(kind: str = "family") -> list[Plugin]:
    """The installed plugins of a kind by name, from metadata alone."""
    return [_described(e, kind) for e in _entry_points(kind)]


def names(kind: str = "family") -> list[str]:
    """What can be asked of ``get``, without importing a plugin."""
    off = disabled()
    return sorted({p.name for p in plugins(kind) if not {p.name, p.package} & off})


def known(name: str) -> bool:
    """Whether a family of this name is installed, enabled or not, or is one that genzoo requires;
    ``get`` says what is wrong with it.
    """
    return f"genzoo-{name}" in required() or name in {p.name for p in plugins()}


def get(name: str) -> Family:
    """The family ``name``: imports its plugin, and no other.

    Raises UnknownName; OperationFailed where the plugin is broken or two have the name.
    """
    return load("family", name, "a genzoo.Family", lambda found: isinstance(found, Family))


def load(kind: str, name: str, wanted: str, fits: Callable[[Any], bool]) -> Any:
    """What the plugin ``name`` of ``kind`` hands over, ``wanted`` in words, if it ``fits``.

    Raises as ``get`` does.
    """
    owner, found = _load(kind, name)
    if not fits(found):
        got = f"{found!r:.80}" if isinstance(found, type) else f"{article(found)}"
        got = "nothing" if found is None else got
        raise OperationFailed(f"{owner} is broken: genzoo_{kind} must return {wanted}, got {got}")
    _check_api(owner, getattr(found, "api", None))
    return found


def _check_api(owner: str, api: Any) -> None:
    if api is None:
        raise OperationFailed(f"{owner} is broken: it gives no plugin API: add api={API}")
    if api != API:
        newer = "genzoo" if type(api) is int and api > API else "the plugin"
        raise OperationFailed(
            f"{owner} is broken: it needs plugin API {api}, this genzoo has API {API}: "
            f"upgrade {newer}"
        )


def owner(kind: str, name: str) -> str:
    """Whose plugin ``name`` is, for a message: ``plugin genzoo-x (genzoo_x)``."""
    return _load(kind, name)[0]


def metadata(name: str) -> Plugin:
    """The family ``name`` as its package's metadata describe it. Raises UnknownName."""
    off = disabled()
    for plugin in plugins():
        if plugin.name == name and not {name, plugin.package} & off:
            return plugin
    raise _missing("family", name)


@final
class Conflict(OperationFailed):
    """Two distributions offer the same name."""


def _entry_points(kind: str) -> "list[EntryPoint]":
    from importlib.metadata import distributions

    found: dict[str, list[EntryPoint]] = {}
    for dist in distributions():
        try:
            if mine := [*dist.entry_points.select(group=GROUPS[kind])]:
                # One that stands on the path twice is what stands there first.
                found.setdefault(_package(mine[0]), mine)
        except Exception as error:  # damaged metadata, of whatever is installed
            log.debug("cannot read the metadata of a distribution: %s", error)
    entries = [e for mine in found.values() for e in mine]
    return sorted(entries, key=lambda e: (e.name, _package(e), e.value))


@cache
def _load(kind: str, name: str) -> tuple[str, Any]:
    found = [e for e in _entry_points(kind) if printable(e.name, "") == name]
    if not found:
        raise _missing(kind, name)
    if not (found := [e for e in found if not {name, _package(e)} & disabled()]):
        raise OperationFailed(
            f"the {CALLED[kind]} {name!r} is disabled: GENZOO_DISABLE_PLUGINS names it"
        )
    if len(found) > 1:
        owners = " and ".join(f"{_package(e)} ({e.value})" for e in found)
        raise Conflict(
            f"two plugins are called {name!r}: {owners}. Uninstall one of them, or name one "
            "package in GENZOO_DISABLE_PLUGINS"
        )
    return _hand_over(kind, found[0])


def _hand_over(kind: str, entry: "EntryPoint") -> tuple[str, Any]:
    """(whose it is, what it hands over)."""
    manager = pluggy.PluginManager("genzoo")
    manager.add_hookspecs(Hooks)
    owner = f"plugin {_package(entry)} ({entry.value})"
    hook = f"genzoo_{kind}"
    try:
        if not entry.pattern.match(entry.value):
            raise TypeError(f"its entry point is MODULE or MODULE:OBJECT, got {entry.value}")
        with contextlib.redirect_stdout(sys.stderr):  # a command's stdout is its result
            plugin = entry.load()
            manager.register(plugin, name=f"{_package(entry)}:{entry.name}")
            manager.check_pending()
            if not getattr(manager.hook, hook).get_hookimpls():
                there = (
                    "is not marked with @genzoo.hookimpl" if hasattr(plugin, hook) else "is missing"
                )
                raise TypeError(f"its {hook} {there}")
            handed = getattr(manager.hook, hook)(name=entry.name)
    except KeyboardInterrupt:  # Ctrl-C, or a plugin that raises it
        log.warning("interrupted in %s", owner)
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        if isinstance(error, TypeError) and "Family.__init__()" in said:
            said = f"it is not written for plugin API {API} of this genzoo: {said}"
        reason = _excluded(entry) or said[:300]
        raise OperationFailed(
            f"{owner} is broken: {reason}. See genzoo plugins --verbose"
        ) from error
    return owner, handed


def _excluded(entry: "EntryPoint") -> str:
    """Why the plugin's own requirements rule this genzoo out, if they do."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in (entry.dist.requires if entry.dist else None) or []:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.name != "genzoo" or (wanted.marker and not wanted.marker.evaluate()):
            continue
        if not wanted.specifier.contains(VERSION, prereleases=True):
            return f"it requires {text}, and this is genzoo {VERSION}"
    return ""


def _missing(kind: str, name: str) -> UnknownName:
    hint = f"Type genzoo {LISTED[kind]} to see all."
    if kind == "family" and f"genzoo-{name}" in required():
        return UnknownName(f"the family {name!r} is not installed: pip install genzoo-{name}")
    return unknown(CALLED[kind], name, names(kind), hint)


def required() -> set[str]:
    """The packages that genzoo itself requires; any other name might be a squatter's."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        wanted = requires("genzoo") or []
    except PackageNotFoundError:
        return set()
    return {re.split(r"[^\w.-]", w, maxsplit=1)[0] for w in wanted}


def _described(entry: "EntryPoint", kind: str) -> Plugin:
    meta: Any = entry.dist.metadata if entry.dist else {}
    words = [w.strip().split(":") for w in printable(meta.get("Keywords") or "", "").split(",")]
    name, value = printable(entry.name, ""), printable(entry.value, "")
    branch, year = next((w[1:] for w in words if len(w) == 3 and w[0] == name), ["", ""])
    summary = printable(meta.get("Summary") or "", "")
    version = printable(meta.get("Version") or "?", "")
    return Plugin(name, kind, value, _package(entry), version, summary, branch, year)


def _package(entry: "EntryPoint") -> str:
    dist: Distribution | None = entry.dist
    return printable(dist.metadata["Name"] or "?", "") if dist else "?"


def disabled() -> set[str]:
    """The plugins and packages that GENZOO_DISABLE_PLUGINS leaves out."""
    return {w.strip() for w in os.environ.get("GENZOO_DISABLE_PLUGINS", "").split(",") if w.strip()}
