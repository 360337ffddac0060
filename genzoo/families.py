"""Families: what a plugin hands over, and how plugins are found, listed and loaded."""

import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, final

import pluggy

from genzoo.errors import BadInput, Failed, UnknownName, article, unknown
from genzoo.tables import printable
from genzoo.version import VERSION

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

    from torch import Tensor

    from genzoo.data import DataSet
    from genzoo.models import Discriminator, Model
    from genzoo.options import Options
    from genzoo.schemas import Schema
    from genzoo.training import Trainer

API = 1
GROUPS = {"family": "genzoo.families", "metric": "genzoo.metrics", "dataset": "genzoo.datasets"}
CALLED = {"family": "family", "metric": "metric", "dataset": "data set"}
LISTED = {"family": "families", "metric": "metrics", "dataset": "data"}  # the command that does
BRANCHES = ("explicit/tractable", "explicit/approximate", "implicit/direct")

hookspec = pluggy.HookspecMarker("genzoo")
hookimpl = pluggy.HookimplMarker("genzoo")
log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Family:
    """A kind of model. Its name is the entry point's.

    ``config`` and ``options`` are schemas; ``tiny`` is the smallest config that runs. ``finish`` is
    called once after training with the model, its options and some batches of training data.
    """

    config: "type[Schema]"
    options: "type[Options]"
    model: "Callable[[Any], Model]"
    trainer: "Callable[[Any, Any], Trainer]"
    tiny: "Schema"
    branch: str
    paper: str
    summary: str
    discriminator: "Callable[[Any], Discriminator] | None" = None
    finish: "Callable[[Any, Any, Iterable[Tensor]], None] | None" = None
    data: Literal["images", "labelled", "unpaired", "paired", "points"] = "images"
    revision: int = 1
    api: int = API

    def __post_init__(self) -> None:
        if self.branch not in BRANCHES:
            raise BadInput(f"branch must be one of {', '.join(BRANCHES)}, got {self.branch!r}")
        if type(self.api) is not int:
            raise BadInput(f"api must be a whole number, got {self.api!r}")
        if not isinstance(self.tiny, self.config):
            raise BadInput(f"tiny must be a {self.config.__name__}, got {type(self.tiny).__name__}")

    def configured(self, data: "DataSet", values: dict[str, Any]) -> "Schema":
        """The config for ``data``, with ``values`` set by hand; a contradiction is BadInput."""
        from genzoo.schemas import checked  # brings pydantic, for which a listing need not wait

        found = facts(data)
        wanted = {"size", "channels"} & set(self.config.model_fields)
        if wanted and len(data.shape) != 3:
            raise BadInput(f"{data.name} holds points, and this family learns from images")
        filled = {k: v for k, v in found.items() if k in self.config.model_fields}
        for key in filled.keys() & values.keys():
            given = tuple(values[key]) if isinstance(values[key], list) else values[key]
            if given != filled[key]:
                raise BadInput(f"{key} is {filled[key]!r} in {data.name}, got {values[key]!r}")
        return checked(self.config, {**filled, **values}, f"config for {data.name}")


def facts(data: "DataSet") -> dict[str, Any]:
    """What a data set says about a config's fields."""
    found: dict[str, Any] = {
        "shape": tuple(data.shape),
        "classes": len(data.classes),
        "class_names": tuple(data.classes),
    }
    if len(data.shape) == 3:
        found |= {"channels": data.shape[0], "size": data.shape[1], "levels": data.levels}
    if data.other is not None:
        found["domains"] = data.domains
    return found


class Hooks:
    """What a plugin module (or object) may define, each marked with ``@genzoo.hookimpl``."""

    @hookspec(firstresult=True)
    def genzoo_family(self, name: str) -> Family:  # type: ignore[empty-body]
        """The family of the entry point ``name``; leave the argument out if there is only one."""

    @hookspec(firstresult=True)
    def genzoo_metric(self, name: str) -> Any:
        """The metric of the entry point ``name``: a `genzoo.metrics.scores.Metric`, as a class."""

    @hookspec(firstresult=True)
    def genzoo_dataset(self, name: str) -> Any:
        """The data set of the entry point ``name``: a ``genzoo.data.Source``."""


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

    Raises UnknownName; Failed where the plugin is broken or two have the name.
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
        raise Failed(f"{owner} is broken: genzoo_{kind} must return {wanted}, got {got}")
    if (api := getattr(found, "api", API)) != API:
        newer = "upgrade genzoo" if type(api) is int and api > API else "upgrade the plugin"
        raise Failed(f"{owner} is broken: it speaks plugin API {api}, this is {API}: {newer}")
    return found


def owner(kind: str, name: str) -> str:
    """Whose plugin ``name`` is, for a message: ``plugin genzoo-x (genzoo_x)``."""
    return _load(kind, name)[0]


def installed_as(name: str) -> tuple[str, str]:
    """(package, version) of the family ``name``, from metadata."""
    off = disabled()
    for plugin in plugins():
        if plugin.name == name and not {name, plugin.package} & off:
            return plugin.package, plugin.version
    raise _missing("family", name)


def tree(found: "list[Plugin]") -> list[str]:
    """The taxonomy (Goodfellow 2016, arXiv:1701.00160, figure 9) as lines of text."""
    branches: dict[str, dict[str, list[str]]] = {}
    for branch in [*BRANCHES, *sorted({p.branch for p in found} - {*BRANCHES})]:
        stem, _, twig = (branch or "elsewhere").partition("/")
        leaves = [f"{p.name}  {p.year}  {p.summary}" for p in found if p.branch == branch]
        branches.setdefault(f"{stem} density", {})[twig or "unsorted"] = leaves
    lines = ["generative models"]
    for stem, twigs in branches.items():
        lines += _hung(stem, twigs, stem == [*branches][-1])
    return lines


def _hung(name: str, below: "dict[str, list[str]] | list[str]", last: bool) -> list[str]:
    """``name`` with what is below it, behind the lines of a tree."""
    lines = [("└── " if last else "├── ") + name]
    names_ = list(below)
    for i, child in enumerate(names_):
        deeper = below[child] if isinstance(below, dict) else []
        lines += [
            ("    " if last else "│   ") + x for x in _hung(child, deeper, i == len(names_) - 1)
        ]
    return lines


def fields(schema: "type[Schema]") -> list[dict[str, Any]]:
    """A schema's fields for people: name, default, what is allowed, what it is."""
    properties = schema.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "default": "required" if field.is_required() else field.get_default(),
            "allowed": _allowed(properties[name]),
            "about": (field.description or "").replace("\n", " "),
        }
        for name, field in schema.model_fields.items()
    ]


def _allowed(rule: dict[str, Any]) -> str:
    if "anyOf" in rule:
        return " or ".join(map(_allowed, rule["anyOf"]))
    if "enum" in rule or "const" in rule:
        return ", ".join(map(str, rule.get("enum", [rule.get("const")])))
    low = rule.get("minimum", rule.get("exclusiveMinimum"))
    high = rule.get("maximum", rule.get("exclusiveMaximum"))
    if low is None or high is None:
        kind = rule.get("type", "")
        return {"boolean": "true, false", "array": "a list"}.get(kind, kind)
    return f"{'above ' if 'exclusiveMinimum' in rule else ''}{low:g} to {high:g}"


@final
class Conflict(Failed):
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
        raise Failed(f"the {CALLED[kind]} {name!r} is disabled: GENZOO_DISABLE_PLUGINS names it")
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
        reason = _excluded(entry) or said[:300]
        raise Failed(f"{owner} is broken: {reason}. See genzoo plugins --verbose") from error
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
