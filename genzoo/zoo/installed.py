"""The installed models, which packages with an entry point ``genzoo.models`` bring.

Its value is a package whose folder holds model folders. Nothing of that package is imported.
"""

from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import final

from genzoo import families
from genzoo.errors import GenzooError, OperationFailed
from genzoo.families.registry import Conflict, Plugin
from genzoo.zoo.manifest import CONFIG, Manifest, read_manifest

# Genzoo's own packages of models, and where a checkout has them.
OWN = {
    "genzoo-models": "model_cards/open/genzoo_models",
    "genzoo-models-celeba": "model_cards/celeba/genzoo_models_celeba",
}
# A family's name means its model on the first of these data sets that has one.
PREFERRED = ("mnist", "fashion-mnist", "celeba", "cifar10")
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
class Collection:
    """The model folders in ``folder``, which ``package`` brings by the entry point ``name``."""

    package: str
    folder: Path
    name: str = ""


def collections() -> list[Collection]:
    """What packages bring, genzoo's own first, without what is broken.

    A checkout has the models of its own commit, whatever is installed.
    """
    root = Path(str((spec := find_spec("genzoo")) and spec.origin)).parents[1]
    beside = {package: root / place for package, place in OWN.items() if (root / place).is_dir()}
    found = [Collection(package, folder) for package, folder in beside.items()]
    plugins = [p for p in families.plugins("models") if p.package not in beside]
    for plugin in sorted(plugins, key=lambda p: p.package not in OWN):
        with suppress(OperationFailed):  # genzoo plugin list gives the reason
            found.append(Collection(plugin.package, _folder_of(plugin), plugin.name))
    return found


def models() -> list[Installed]:
    """All installed models by name, those in conflict too; of these the first."""
    found: dict[str, list[Collection]] = {}
    for collection in _enabled():
        for path in _folders(collection.folder):
            found.setdefault(path.name, []).append(collection)
    return [_installed(name, bringing) for name, bringing in sorted(found.items())]


def names() -> list[str]:
    """The names of all installed models."""
    return [model.name for model in models()]


def find(name: str) -> Path | None:
    """The folder of the installed model ``name``; None if there is none.

    ``name`` must have no separator of paths. Raises Conflict if two packages have the name.
    """
    if found := [c for c in _enabled() if (c.folder / name / CONFIG).is_file()]:
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
    return {path.name for c in _own() for path in _folders(c.folder)}


def features() -> dict[str, Path]:
    """The files of genzoo's own classifiers by data set: in ``features`` beside its models."""
    return {p.stem: p for c in _own() for p in c.folder.glob("features/*.safetensors")}


def hint(text: str) -> str:
    """``text``, and what to install if one of genzoo's own packages of models is missing."""
    why = missing()
    return f"{text.removesuffix('.')}. {why}" if why else text


def missing() -> str:
    """Which of genzoo's own packages of models are not installed, and what to type; "" if none."""
    here = {c.package for c in _own()}
    if not (gone := {name: place for name, place in OWN.items() if name not in here}):
        return ""
    places = " ".join(f"./{Path(place).parent.as_posix()}" for place in gone.values())
    are = "are" if len(gone) > 1 else "is"
    return f"{' and '.join(gone)} {are} not installed: in a checkout pip install {places}"


def is_installed(folder: Path) -> bool:
    """Whether ``folder`` is that of an installed model, so that its name is enough to load it."""
    parent = folder.resolve().parent
    return any(c.folder.resolve() == parent for c in _enabled())


def check(plugin: Plugin) -> None:
    """Check the models of an entry point. Raises OperationFailed, Conflict, InvalidModel."""
    own_folders = {c.package: c.folder for c in _own()}
    folder = own_folders.get(plugin.package) or _folder_of(plugin)
    if not (paths := _folders(folder)):
        raise OperationFailed(f"{_owner(plugin)} are broken: no folder in {folder} has {CONFIG}")
    for path in paths:
        read_manifest(path)
        find(path.name)


def _own() -> list[Collection]:
    return [c for c in collections() if c.package in OWN]


def _enabled() -> list[Collection]:
    """The collections without those that are disabled."""
    off = families.disabled()
    return [c for c in collections() if not {c.name, c.package} & off]


def _folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))


def _installed(name: str, bringing: list[Collection]) -> Installed:
    first, error = bringing[0], ""
    try:
        _check_alone(name, bringing)
    except GenzooError as failure:
        error = str(failure)
    return Installed(name, first.package, first.folder / name, error)


def _check_alone(name: str, bringing: list[Collection]) -> None:
    """Check that only one of ``bringing`` has the model ``name``. Raises Conflict."""
    first = bringing[0]
    folders = {(c.folder / name).resolve(): c for c in bringing}
    if len(folders) > 1:
        owners = " and ".join(f"{c.package} ({c.folder / name})" for c in folders.values())
        raise Conflict(f"two models are called {name!r}: {owners}. {_WAY_OUT}")
    if first.package in OWN or name not in families.names():
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
