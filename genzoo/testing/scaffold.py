"""A new plugin: a small package of its own that works as it stands, for its author to change."""

import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from genzoo import families
from genzoo.errors import BadInput
from genzoo.families.registry import CALLED, GROUPS
from genzoo.files import expanded, whole_folder
from genzoo.testing import status
from genzoo.version import VERSION
from genzoo.zoo import names

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 32
SUMMARIES = {
    "family": "a network of which some sample is near every picture",
    "metric": "distance between the brightness of samples and of real images",
    "dataset": "3,600 discs, rings and crosses, 28x28 grey",
}


def create(name: str, kind: str = "family", folder: str | Path | None = None) -> Path:
    """Write the package ``genzoo-NAME`` into ``folder`` (which must not be there yet): a
    pyproject.toml, one module, its tests, a README. Returns the folder.

    Raises BadInput where the name or the folder will not do, OperationFailed where the disk
    refuses.
    """
    if kind not in GROUPS:
        raise BadInput(f"--kind is one of {', '.join(GROUPS)}, got {kind!r}")
    _check_name(name, kind)
    place = expanded(folder or f"genzoo-{name}")
    if place.exists() or place.is_symlink():
        raise BadInput(f"{place} is there already: -o names another folder, that is not there yet")
    if not place.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {place.parent} to put {place.name} into")
    # Not replaced: it might have appeared since.
    with whole_folder(place.absolute(), move=Path.rename) as aside:
        for path, text in _rendered(name, kind).items():
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            (aside / path).write_text(text, encoding="utf-8")
    return place


def _check_name(name: str, kind: str) -> None:
    if name.startswith(("genzoo-", "genzoo_")):
        raise BadInput(f"leave genzoo out of the name, the package gets it: {name[7:]!r}")
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        what = (
            f"a name begins with a letter, of small letters, digits and single dashes, {LONGEST} at"
        )
        what += " most, like my-gan"
        raise BadInput(f"{what}; got {name!r:.60}")
    if by := _taken(name, kind):
        raise BadInput(f"the name {name!r} is taken by {by}: choose another")


def _taken(name: str, kind: str) -> str:
    """What has the name, or the package's, already; "" if nothing has."""
    package, module = f"genzoo-{name}", _module(name)
    for other in GROUPS:
        for plugin in families.plugins(other):
            if plugin.package == package or (plugin.name, other) == (name, kind):
                return f"the {CALLED[other]} {plugin.name} of {plugin.package}"
    if package in families.required():
        return f"{package}, which genzoo itself requires"
    if name in status.built_in(kind):
        return f"a {CALLED[kind]} of genzoo's own"
    if kind == "family" and name in names.model_names():
        return "a model of genzoo list"
    return f"an installed module, {module}" if importlib.util.find_spec(module) else ""


def _module(name: str) -> str:
    return f"genzoo_{name.replace('-', '_')}"


def _rendered(name: str, kind: str) -> dict[str, str]:
    """The files of the package: path -> text."""
    sources = files("genzoo.testing") / "templates"
    module, minor = _module(name), [int(part) for part in VERSION.split(".")[:2]]
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
        "genzoo": f"genzoo>={minor[0]}.{minor[1]},<{minor[0]}.{minor[1] + 1}",
    }
    made = {
        "pyproject.toml": sources / "pyproject.toml.tmpl",
        "README.md": sources / kind / "README.md.tmpl",
        f"{module}.py": sources / kind / "module.py.tmpl",
        f"tests/test_{module.removeprefix('genzoo_')}.py": sources / kind / "test.py.tmpl",
    }
    return {
        path: Template(source.read_text(encoding="utf-8")).substitute(words)
        for path, source in made.items()
    }


def _class(name: str, code: str) -> str:
    """my-gan -> MyGan; where the module uses that word for something else, MyGanPlugin."""
    whole = "".join(part.capitalize() for part in name.split("-"))
    taken = keyword.iskeyword(whole) or re.search(rf"\b{whole}\b", code)
    return f"{whole}Plugin" if taken else whole
