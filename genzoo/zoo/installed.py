"""The installed models: genzoo's own, and those of packages with an entry point ``genzoo.models``.

Its value is a package whose folder holds model folders. Nothing of that package is imported.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import final

from genzoo import families
from genzoo.errors import GenzooError, OperationFailed
from genzoo.families.registry import Conflict, Plugin
from genzoo.zoo.manifest import CONFIG, Manifest, read_manifest

OWN = "genzoo"
_WAY_OUT = "Uninstall one of them, or add one package to GENZOO_DISABLE_PLUGINS"


@final
@dataclass(frozen=True)
class Installed:
    """An installed model: its name is that of its ``folder``. ``error``: why it cannot be used."""

    name: str
    package: str
    folder: Path
    error: str = ""


@final
@dataclass(frozen=True)
class _Collection:
    """The model folders in ``folder``, which ``package`` brings."""

    package: str
    folder: Path


def cards_folder() -> Path:
    """Where genzoo's own models are: beside pyproject.toml in a checkout, else in the package."""
    spec = find_spec("genzoo")
    package = Path(str(spec and spec.origin)).parent
    beside = package.parent / "model_cards"
    return beside if (package.parent / "pyproject.toml").is_file() else package / "model_cards"


def models() -> list[Installed]:
    """All installed models by name, those in conflict too; of these the first."""
    found: dict[str, list[_Collection]] = {}
    for collection in _collections():
        for path in _folders(collection.folder):
            found.setdefault(path.name, []).append(collection)
    return [_installed(name, collections) for name, collections in sorted(found.items())]


def names() -> list[str]:
    """The names of all installed models."""
    return [model.name for model in models()]


def find(name: str) -> Path | None:
    """The folder of the installed model ``name``; None if there is none.

    ``name`` must have no separator of paths. Raises Conflict if two packages have the name.
    """
    if found := [c for c in _collections() if (c.folder / name / CONFIG).is_file()]:
        _check_alone(name, found)
        return found[0].folder / name
    return None


def manifests() -> dict[str, Manifest]:
    """Each installed model's manifest, by its name; models that are broken or in conflict are left
    out: one package's mistake leaves the others usable.
    """
    found: dict[str, Manifest] = {}
    for model in models():
        try:
            if not model.error:
                found[model.name] = read_manifest(model.folder)
        except GenzooError:  # genzoo list and genzoo plugin list give the reason
            continue
    return found


def own() -> set[str]:
    """The names of genzoo's own models."""
    return {path.name for path in _folders(cards_folder())}


def is_installed(folder: Path) -> bool:
    """Whether ``folder`` is that of an installed model, so that its name is enough to load it."""
    parent = folder.resolve().parent
    return any(c.folder.resolve() == parent for c in _collections())


def check(plugin: Plugin) -> None:
    """Check the models of an entry point. Raises OperationFailed, Conflict, InvalidModel."""
    folder = _folder_of(plugin)
    if not (paths := _folders(folder)):
        raise OperationFailed(f"{_owner(plugin)} are broken: no folder in {folder} has {CONFIG}")
    for path in paths:
        read_manifest(path)
        find(path.name)


def _collections() -> list[_Collection]:
    """Genzoo's own models, then those of plugins, without what is disabled or broken."""
    off, found = families.disabled(), []
    if OWN not in off:
        found.append(_Collection(OWN, cards_folder()))
    for plugin in families.plugins("models"):
        if not {plugin.name, plugin.package} & off:
            try:
                found.append(_Collection(plugin.package, _folder_of(plugin)))
            except OperationFailed:  # genzoo plugin list gives the reason
                continue
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))


def _installed(name: str, collections: list[_Collection]) -> Installed:
    first, error = collections[0], ""
    try:
        _check_alone(name, collections)
    except GenzooError as failure:
        error = str(failure)
    return Installed(name, first.package, first.folder / name, error)


def _check_alone(name: str, collections: list[_Collection]) -> None:
    """Check that only one of ``collections`` has the model ``name``. Raises Conflict."""
    first = collections[0]
    folders = {(c.folder / name).resolve(): c for c in collections}
    if len(folders) > 1:
        owners = " and ".join(f"{c.package} ({c.folder / name})" for c in folders.values())
        raise Conflict(f"two models are called {name!r}: {owners}. {_WAY_OUT}")
    if first.package == OWN or name not in families.names():
        return
    # No package may decide what the name of another's family means.
    if (family := read_manifest(first.folder / name).family) != name:
        owners = f"{families.metadata(name).package} and {first.package} ({first.folder / name})"
        raise Conflict(
            f"a family and a model of {family} are called {name!r}: {owners}. {_WAY_OUT}"
        )


def _folder_of(plugin: Plugin) -> Path:
    """The folder of the package that an entry point names. Raises OperationFailed."""
    top, *below = plugin.value.split(".")
    try:
        spec = find_spec(top) if plugin.value.replace(".", "_").isidentifier() else None
    except (ImportError, ValueError):  # no name, or a module without a spec
        spec = None
    for place in (spec and spec.submodule_search_locations) or ():
        if (folder := Path(place, *below)).is_dir():
            return folder
    raise OperationFailed(
        f"{_owner(plugin)} are broken: its entry point must name a package with model folders, "
        f"got {plugin.value}"
    )


def _owner(plugin: Plugin) -> str:
    return f"the models of plugin {plugin.package} ({plugin.value})"
