"""What a family has, known without an import: the names of its fields and its models' abilities.

They are noted in the cache when a family is loaded, under the version of its plugin. A missing or
damaged note is as good as none.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from genzoo.errors import GenzooError
from genzoo.files import file_name, home, write_whole
from genzoo.version import VERSION

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from genzoo.families.family import Family

FOLDER = "families"  # in the cache
LARGEST = 1 << 20  # bytes of a note
MOST_FILES = 500  # of a plugin, whose times of change a note remembers


@final
@dataclass(frozen=True)
class Facts:
    """The names of a family's fields, and the names of the classes that its models are of.

    ``sampling`` and ``abilities`` are None where only a model that is built would say. ``former``:
    what fields were called in earlier revisions, as pairs; None where the family alone knows.
    ``defaults``: of the fields that have one, as JSON has it.
    """

    config: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    sampling: tuple[str, ...] | None = None
    abilities: tuple[str, ...] | None = None
    former: tuple[tuple[str, str], ...] | None = ()
    defaults: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, family: "Family", kind: Any = None) -> "Facts":
        """What ``family`` has, and its models of the class ``kind``."""
        facts = cls(
            (*family.config.model_fields,),
            (*family.options.model_fields,),
            defaults={**_defaults(family.config), **_defaults(family.options)},
        )
        if family.upgrade is not None:
            names = getattr(family.upgrade, "names", None)
            facts = replace(facts, former=None if names is None else (*names.items(),))
        kind = family.model if kind is None and isinstance(family.model, type) else kind
        if kind is None:
            return facts
        abilities = tuple(c.__name__ for c in kind.__mro__ if c.__module__.startswith("genzoo."))
        fields = getattr(getattr(kind, "sampling", None), "model_fields", ())
        return replace(facts, sampling=(*fields,), abilities=abilities)


def _defaults(schema: Any) -> dict[str, Any]:
    from genzoo.schemas import read_json  # imports pydantic, which a listing does not need

    fields = schema.model_fields.items()
    values = {name: one.get_default() for name, one in fields if not one.is_required()}
    known: dict[str, Any] = read_json(json.dumps(values), "defaults")  # tuples become lists
    return known


def read(entry: "EntryPoint") -> Facts | None:
    """The note on the family of ``entry``; None if there is none of this version of its plugin."""
    from genzoo.schemas import read_json  # imports pydantic, which a listing does not need

    with contextlib.suppress(Exception):
        path = _path(entry)
        if path.stat().st_size <= LARGEST:
            values = read_json(path.read_bytes(), str(path))
            if values.pop("of") == _origin(entry):
                return _checked(values)
    return None


def note(entry: "EntryPoint", family: "Family", kind: Any = None) -> None:
    """Note what ``family`` has, and its models of the class ``kind``; never an error."""
    with contextlib.suppress(Exception):
        facts, known = Facts.of(family, kind), read(entry)
        if known and facts.abilities is None:
            facts = replace(facts, sampling=known.sampling, abilities=known.abilities)
        if facts != known:
            _write(_path(entry), {"of": _origin(entry), **asdict(facts)})


def _write(path: Path, values: dict[str, Any]) -> None:
    with contextlib.suppress(OSError, GenzooError):  # a cache that cannot be written to
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(values) + "\n").encode())


def _path(entry: "EntryPoint") -> Path:
    return home() / FOLDER / file_name(entry.name, ".json")


def _checked(values: dict[str, Any]) -> Facts:
    """The content of a note as a record; an error if it is of another form."""
    defaults = values.pop("defaults")
    if not isinstance(defaults, dict):
        raise ValueError("expected defaults of fields")
    known = {key: names for key, names in values.items() if names is not None}
    lists: dict[str, Any] = {**values, **{key: tuple(names) for key, names in known.items()}}
    lists["defaults"] = defaults
    if "former" in known:
        lists["former"] = tuple((old, new) for old, new in known["former"])
    facts = Facts(**lists)
    pairs = [name for pair in facts.former or () for name in pair]
    for names in (facts.config, facts.options, facts.sampling or (), facts.abilities or (), pairs):
        if not all(isinstance(name, str) and name.isidentifier() for name in names):
            raise ValueError("expected names of fields")
    return facts


def _origin(entry: "EntryPoint") -> str:
    """What a note depends on: the versions of plugin and genzoo, and when their files changed.

    In a checkout files change without a new version.
    """
    about: Any = entry.dist.metadata if entry.dist else {}
    package, version = about.get("Name"), about.get("Version")
    parts: list[Any] = [package, version, entry.value, VERSION]
    for path in [*_files(entry.value.partition(":")[0]), *_own_files()]:
        status = path.stat()
        parts.append([str(path), status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _files(module: str) -> Iterator[Path]:
    """The source files of the package, or the one file, that holds ``module``; no import."""
    spec = find_spec(module.partition(".")[0])
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from sorted(Path(folder).rglob("*.py"))[:MOST_FILES]
    if spec and spec.submodule_search_locations is None and spec.origin:
        yield Path(spec.origin)


def _own_files() -> Iterator[Path]:
    """Genzoo's files that give fields to families."""
    folder = Path(__file__).parents[1]
    yield from (folder / name for name in ("options.py", "models/sampler.py"))
