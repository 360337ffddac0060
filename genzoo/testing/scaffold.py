"""genzoo plugin new: write a new plugin, a small working package for its author to change."""

import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from genzoo import families
from genzoo.errors import BadInput, argument
from genzoo.families.registry import GROUPS, KIND_NAMES
from genzoo.files import expanded, whole_folder, write_text
from genzoo.testing import status
from genzoo.version import VERSION
from genzoo.zoo import names

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 32
SUMMARIES = {
    "family": "a generator that has a sample near every image",
    "metric": "distance between the brightness of samples and of real images",
    "dataset": "3,600 discs, rings and crosses, 28x28 grey",
}


def new_plugin(name: str, kind: str = "family", out: str | Path | None = None) -> Path:
    """Write the package ``genzoo-NAME`` into the new folder ``out``, and return it.

    The package has a pyproject.toml, one module, its tests and a README. Raises BadInput if the
    name or the folder cannot be used, OperationFailed if it cannot be written.
    """
    if kind not in SUMMARIES:
        raise BadInput(f"the kind must be one of {', '.join(SUMMARIES)}, got {kind!r}")
    _check_name(name, kind)
    place = expanded(out or f"genzoo-{name}")
    if place.exists() or place.is_symlink():
        raise BadInput(f"{place} exists: choose a new folder with {argument('out')}")
    if not place.absolute().parent.is_dir():
        raise BadInput(f"cannot write {place}: there is no folder {place.parent}")
    # With a plain rename a folder that has appeared since is not replaced.
    with whole_folder(place.absolute(), move=Path.rename) as aside:
        for path, text in _rendered(name, kind).items():
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            write_text(aside / path, text)
    return place


def _check_name(name: str, kind: str) -> None:
    if name.startswith(("genzoo-", "genzoo_")):
        raise BadInput(f"the package name begins with genzoo anyway: give only {name[7:]!r}")
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        allowed = "lower-case letters, digits and single dashes, beginning with a letter"
        raise BadInput(f"a name has at most {LONGEST} {allowed}, like my-gan, got {name!r:.60}")
    if owner := _owner(name, kind):
        raise BadInput(f"the name {name!r} is taken by {owner}: choose another")


def _owner(name: str, kind: str) -> str:
    """What uses the name, or the package's name, already; "" if nothing does."""
    package, module = f"genzoo-{name}", _module_name(name)
    for group in GROUPS:
        for plugin in families.plugins(group):
            if plugin.package == package or (plugin.name, group) == (name, kind):
                return f"the {KIND_NAMES[group]} {plugin.name} of {plugin.package}"
    if package in families.required_packages():
        return f"{package}, which genzoo itself requires"
    if name in status.built_in(kind):
        return f"a built-in {KIND_NAMES[kind]}"
    if kind == "family" and name in names.model_names():
        return "an installed model"
    return f"an installed module, {module}" if importlib.util.find_spec(module) else ""


def _module_name(name: str) -> str:
    return f"genzoo_{name.replace('-', '_')}"


def _bounds(version: str) -> str:
    """The versions of genzoo that a plugin works with, written for this one: to the next that may
    break it.
    """
    from packaging.version import Version

    own = Version(version)
    lowest = version if own.is_prerelease else f"{own.major}.{own.minor}"
    highest = f"{own.major}.{own.minor + 1}" if own.major == 0 else str(own.major + 1)
    return f">={lowest},<{highest}"


def _rendered(name: str, kind: str) -> dict[str, str]:
    """The files of the package: path -> text."""
    sources = files("genzoo.testing") / "templates"
    module = _module_name(name)
    keywords = ["genzoo", f"{name}:implicit/direct:2018"] if kind == "family" else ["genzoo"]
    code = (sources / kind / "module.py.tmpl").read_text(encoding="utf-8")
    words = {
        "name": name,
        "package": f"genzoo-{name}",
        "module": module,
        "Class": _class(name, code),
        "group": GROUPS[kind],
        "summary": SUMMARIES[kind],
        "keywords": ", ".join(f'"{word}"' for word in keywords),
        "genzoo": f"genzoo{_bounds(VERSION)}",
    }
    templates = {
        "pyproject.toml": sources / "pyproject.toml.tmpl",
        "README.md": sources / kind / "README.md.tmpl",
        f"{module}.py": sources / kind / "module.py.tmpl",
        f"tests/test_{module.removeprefix('genzoo_')}.py": sources / kind / "test.py.tmpl",
    }
    return {
        path: Template(template.read_text(encoding="utf-8")).substitute(words)
        for path, template in templates.items()
    }


def _class(name: str, code: str) -> str:
    """my-gan -> MyGan; MyGanPlugin if the module uses that word for something else."""
    whole = "".join(part.capitalize() for part in name.split("-"))
    is_used = keyword.iskeyword(whole) or re.search(rf"\b{whole}\b", code)
    return f"{whole}Plugin" if is_used else whole
