"""The registry of plugins: listed from package metadata without an import, loaded by name."""

import contextlib
import dataclasses
import difflib
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, final

from genzoo.errors import OperationFailed, Stopped, UnknownName, article, either, see_all, unknown
from genzoo.families.facts import Facts, note, read
from genzoo.families.family import API, Family
from genzoo.files import raise_stopped
from genzoo.text import Records, printable
from genzoo.version import VERSION

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


GROUPS = {
    "family": "genzoo.families",
    "metric": "genzoo.metrics",
    "dataset": "genzoo.datasets",
    "models": "genzoo.models",  # no code: zoo/installed.py finds the folders
}
KIND_NAMES = {"family": "family", "metric": "metric", "dataset": "data set", "models": "models"}
# The command that lists a kind: genzoo families.
LIST_COMMANDS = {
    "family": "families",
    "metric": "list metrics",
    "dataset": "list data",
    "models": "list",
}
log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Plugin:
    """A plugin as its package's metadata describe it; no import is needed."""

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
    """The installed plugins of a kind, sorted by name, from metadata alone."""
    return [plugin for plugin, _ in _found(kind)]


def list_families() -> Records[Plugin]:
    """The installed families that are enabled, from metadata alone, with branch, year, summary."""
    off = disabled()
    enabled = [p for p in plugins() if not {p.name, p.package} & off]
    heads = ("name", "branch", "year", "summary")
    return Records(enabled, {head: attrgetter(head) for head in heads})


def names(kind: str = "family") -> list[str]:
    """The names that ``get`` and ``load`` take, without importing a plugin."""
    off = disabled()
    return sorted({p.name for p in plugins(kind) if not {p.name, p.package} & off})


def known(name: str) -> bool:
    """Whether ``name`` is an installed family, enabled or not, or one that genzoo requires.

    ``get`` may still fail and give the reason.
    """
    return _is_required(name) or name in {p.name for p in plugins()}


def get(name: str) -> Family:
    """The family ``name``: imports its plugin, and no other.

    Raises UnknownName; OperationFailed if the plugin is broken or two have the name.
    """
    return load("family", name, "a genzoo.Family", lambda result: isinstance(result, Family))


def load(kind: str, name: str, expected: str, fits: Callable[[Any], bool]) -> Any:
    """What the hook of the plugin ``name`` of ``kind`` returns, checked.

    ``fits`` checks it; ``expected`` describes it in words. Raises as ``get`` does.
    """
    owner, result = _load(kind, name)
    try:
        with others_code():
            is_fit, api = fits(result), getattr(result, "api", None)
            got = f"{result!r:.80}" if isinstance(result, type) else article(result)
    except Exception as error:
        raise OperationFailed(f"{owner} is broken: {reason_of(error)[:300]}") from error
    if not is_fit:
        got = "nothing" if result is None else got
        raise OperationFailed(f"{owner} is broken: genzoo_{kind} must return {expected}, got {got}")
    _check_api(owner, api)
    return result


def _check_api(owner: str, api: Any) -> None:
    if api is None:
        reason = f"it declares no plugin API, this genzoo has API {API}"
        raise OperationFailed(f"{owner} is broken: {reason}: upgrade the plugin")
    if api != API:
        newer = "genzoo" if type(api) is int and api > API else "the plugin"
        raise OperationFailed(
            f"{owner} is broken: it needs plugin API {api}, this genzoo has API {API}: "
            f"upgrade {newer}"
        )


def known_facts(only: str = "") -> dict[str, Facts]:
    """What is known without an import of each family that was loaded before, on this machine.

    ``only``: the one family to look for.
    """
    off, found = disabled(), dict[str, Facts]()
    wanted = [pair for pair in _found("family") if only in ("", pair[0].name)]
    enabled = [pair for pair in wanted if not {pair[0].name, pair[0].package} & off]
    for name, several in groupby(enabled, key=lambda pair: pair[0].name):
        (_, one), *others = several
        if not others and (facts := read(one)):
            found[name] = facts
    return found


def facts_of(name: str) -> Facts:
    """What is known of the family ``name``; where that is nothing, it is loaded. Raises as get."""
    if (facts := known_facts(name).get(name)) and facts.abilities is not None:
        return facts
    family = get(name)
    kind: Any = family.model
    if not isinstance(kind, type):
        try:
            with others_code():
                kind = type(kind(family.tiny))
        except Exception as error:
            raise OperationFailed(f"the family {name} is broken: {reason_of(error)}") from error
    note_model(name, family, kind)
    return Facts.of(family, kind)


def note_model(name: str, family: Family, kind: type) -> None:
    """Note for `known_facts` of what class the models of ``family``, called ``name``, are."""
    for plugin, entry in _found("family"):
        if plugin.name == name:
            note(entry, family, kind)


def owner(kind: str, name: str) -> str:
    """The plugin ``name`` for a message: ``plugin genzoo-x (genzoo_x)``."""
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
    """Two packages have a plugin of the same name."""


def _found(kind: str) -> "list[tuple[Plugin, EntryPoint]]":
    """The plugins of a kind with their entry points, sorted by name."""
    return _installed(_places())[kind]


def _places() -> tuple[Any, ...]:
    """Other ones when a package was installed or removed."""
    return *map(_state, sys.path), *map(id, sys.meta_path)


def _state(place: str) -> tuple[Any, ...]:
    with contextlib.suppress(OSError, ValueError):
        status = os.stat(place or ".")  # noqa: PTH116 (each command asks often: Path is slow)
        return place, status.st_ino, status.st_mtime_ns
    return (place,)


@lru_cache(maxsize=1)  # to read the metadata of all packages takes longer than most commands
def _installed(places: tuple[Any, ...]) -> "dict[str, list[tuple[Plugin, EntryPoint]]]":
    """What ``_found`` returns of each kind, while ``sys.path`` is in this state."""
    from importlib.metadata import distributions

    by_package: dict[tuple[str, str], list[tuple[Plugin, EntryPoint]]] = {}
    for dist in distributions():
        try:
            entries = dist.entry_points
            for kind, group in GROUPS.items():
                if own := entries.select(group=group):
                    pairs = [(_from_metadata(entry, dist.metadata, kind), entry) for entry in own]
                    # Of a package that is on the path twice, Python imports the first.
                    by_package.setdefault((kind, pairs[0][0].package), pairs)
        except Exception as error:  # damaged metadata of any installed package
            log.debug("cannot read the metadata of a package: %s", error)
    found: dict[str, list[tuple[Plugin, EntryPoint]]] = {kind: [] for kind in GROUPS}
    for (kind, _), pairs in by_package.items():
        found[kind] += pairs
    for pairs in found.values():
        pairs.sort(key=lambda pair: (pair[1].name, pair[0].package, pair[1].value))
    return found


@cache
def _load(kind: str, name: str) -> tuple[str, Any]:
    """(the plugin for a message, what its hook returns)."""
    pairs = [pair for pair in _found(kind) if pair[0].name == name]
    if not pairs:
        raise _missing(kind, name)
    if not (pairs := [pair for pair in pairs if not {name, pair[0].package} & disabled()]):
        raise OperationFailed(
            f"the {KIND_NAMES[kind]} {name!r} is disabled by GENZOO_DISABLE_PLUGINS"
        )
    if len(pairs) > 1:
        owners = " and ".join(f"{plugin.package} ({entry.value})" for plugin, entry in pairs)
        raise Conflict(
            f"two plugins are called {name!r}: {owners}. Uninstall one of them, or add one "
            "package to GENZOO_DISABLE_PLUGINS"
        )
    ((plugin, entry),) = pairs
    owner, result = _import(plugin, entry)
    if isinstance(result, Family):
        note(entry, result)
    return owner, result


def _import(listed: Plugin, entry: "EntryPoint") -> tuple[str, Any]:
    """As ``_load``, of one entry point."""
    import pluggy  # a listing needs neither

    from genzoo.families.hooks import Hooks

    manager = pluggy.PluginManager("genzoo")
    manager.add_hookspecs(Hooks)
    owner = f"plugin {listed.package} ({entry.value})"
    hook = f"genzoo_{listed.kind}"
    try:
        if not entry.pattern.match(entry.value):
            raise TypeError(f"its entry point must be MODULE or MODULE:OBJECT, got {entry.value}")
        with others_code(), _printing_to_stderr():
            plugin = entry.load()
            manager.register(plugin, name=f"{listed.package}:{entry.name}")
            manager.check_pending()
            if not getattr(manager.hook, hook).get_hookimpls():
                unmarked = hasattr(plugin, hook)
                fault = "is not marked with @genzoo.hookimpl" if unmarked else "is missing"
                raise TypeError(f"its {hook} {fault}")
            result = getattr(manager.hook, hook)(name=entry.name)
    except KeyboardInterrupt:
        log.warning("interrupted in %s", owner)
        raise
    except Exception as error:
        text = reason_of(error)
        if fault := _wrong_field(error):
            text = fault
        elif _is_of_another_api(error):
            text = f"it is not written for plugin API {API}: upgrade the plugin ({text[:200]})"
        reason = _unmet_requirement(entry) or text[:300]
        raise OperationFailed(f"{owner} is broken: {reason}{see_plugins()}") from error
    return owner, result


@final
class _Output:
    """A stream for others' code, which cannot close it."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        raise TypeError("it closes sys.stdout or sys.stderr")


@contextlib.contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """In the block others' code prints to stderr: a command's stdout is its result."""
    out, output = sys.stdout, sys.stderr and _Output(sys.stderr)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        yield
    if getattr(out, "closed", False):  # as sys.__stdout__
        raise TypeError("it closed sys.stdout")


class Abandoned(RuntimeError):
    """Others' code tried to end the program: SystemExit, or any other that is no Exception."""


@contextlib.contextmanager
def others_code() -> Iterator[None]:
    """In the block code of others runs: all that it raises is an Exception. Only Ctrl-C ends it.

    A KeyboardInterrupt is Ctrl-C if the signal came; else it is the code's own. In a command,
    Ctrl-C raises Stopped.
    """
    pressed = threading.Event()

    def press(number: int, frame: Any) -> None:
        pressed.set()
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    is_ours = is_main and handler is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, press)
    elif is_main and handler not in (raise_stopped, signal.SIG_IGN):
        # another handler has reasons of its own
        pressed.set()
    try:
        yield
    except (Exception, Stopped):
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and pressed.is_set():
            raise
        raise Abandoned(reason_of(error)) from error
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def reason_of(error: BaseException) -> str:
    """An error of others' code as one line: its class and its text, if it has one."""
    name = "" if isinstance(error, Abandoned) else f"{type(error).__name__}: "
    try:
        text = f"{name}{error}"
    except BaseException:  # its text is others' code, too
        text = name
    return " ".join(text.split())


def _wrong_field(error: BaseException) -> str:
    """What is wrong with the arguments of a ``Family``; "" if they say that the API is another."""
    text = reason_of(error)
    if not isinstance(error, TypeError) or "Family.__init__() " not in text:
        return ""
    words = re.findall(r"'(\w+)'", text)
    if "missing" in text:
        hint = f": add api={API}, or upgrade the plugin" if "api" in words else ""
        return f"its Family lacks {' and '.join(words)}{hint}"
    near = difflib.get_close_matches(words[0], [f.name for f in dataclasses.fields(Family)], n=1)
    return f"Family has no field {words[0]!r}, did you mean {near[0]}" if near else ""


def _is_of_another_api(error: BaseException) -> bool:
    """Whether a plugin asked genzoo for a name or an argument that it does not have."""
    if isinstance(error, ImportError):
        return (error.name or "").partition(".")[0] == "genzoo"
    if isinstance(error, AttributeError):
        return "genzoo" in reason_of(error)
    return isinstance(error, TypeError) and "Family.__init__()" in reason_of(error)


def _unmet_requirement(entry: "EntryPoint") -> str:
    """Which of the plugin's requirements this version of genzoo does not meet; "" if none."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in (entry.dist.requires if entry.dist else None) or []:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate()
        if requirement.name != "genzoo" or not applies:
            continue
        if not requirement.specifier.contains(VERSION, prereleases=True):
            older = any(s.operator in ("<", "<=", "==", "~=") for s in requirement.specifier)
            return f"it requires {text}, this is genzoo {VERSION}" + ": upgrade the plugin" * older
    return ""


def _missing(kind: str, name: str) -> UnknownName:
    hint = see_all(LIST_COMMANDS[kind])
    if kind == "family" and _is_required(name):
        how = f"in a checkout pip install ./plugins/{name}"  # an index may have a stranger's
        return UnknownName(f"the family {name!r} is not installed: {how}")
    return unknown(KIND_NAMES[kind], name, names(kind), hint)


def _is_required(family: str) -> bool:
    """Whether genzoo requires the package of ``family``."""
    models = family == "models" or family.startswith("models-")  # packages without a family
    return f"genzoo-{family}" in required_packages() and not models


def see_plugins() -> str:
    """The end of an error about a plugin: where its traceback is."""
    return f". See {either('genzoo plugin list --verbose', 'genzoo.list_plugins()')}"


def required_packages() -> frozenset[str]:
    """The packages that genzoo itself requires. Only these are safe to name in a pip command."""
    return _required(_places())


@lru_cache(maxsize=1)
def _required(places: tuple[Any, ...]) -> frozenset[str]:
    """What ``required_packages`` returns while ``sys.path`` is in this state."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        requirements = requires("genzoo") or []
    except PackageNotFoundError:
        return frozenset()
    return frozenset(re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in requirements)


def _from_metadata(entry: "EntryPoint", meta: Any, kind: str) -> Plugin:
    words = [w.strip().split(":") for w in printable(meta.get("Keywords") or "", "").split(",")]
    name, value = printable(entry.name, ""), printable(entry.value, "")
    # A family's keyword: NAME:BRANCH:YEAR.
    branch, year = next((w[1:] for w in words if len(w) == 3 and w[0] == name), ["", ""])
    summary = printable(meta.get("Summary") or "", "")
    package = printable(meta.get("Name") or "?", "")  # .get warns of nothing in 3.13
    version = printable(meta.get("Version") or "?", "")
    return Plugin(name, kind, value, package, version, summary, branch, year)


def disabled() -> set[str]:
    """The names of plugins and packages in GENZOO_DISABLE_PLUGINS."""
    return {w.strip() for w in os.environ.get("GENZOO_DISABLE_PLUGINS", "").split(",") if w.strip()}
