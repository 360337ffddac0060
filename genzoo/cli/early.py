"""Refusals before torch is imported: what the disk alone shows to be wrong with a command."""

import contextlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.errors import BadInput, GenzooError, UnknownName, argument, unknown
from genzoo.files import expanded, is_folder
from genzoo.metrics.metric_names import BUILT_IN, INCEPTION
from genzoo.text import nfc, printable

if TYPE_CHECKING:
    from genzoo.families.facts import Facts
    from genzoo.zoo.manifest import Manifest

log = logging.getLogger("genzoo.cli")
# The arguments of each command that name models; those of train are apart.
MODELS = {
    **dict.fromkeys(
        ("arithmetic", "attend", "cite", "direction", "features", "info", "inpaint"), "name"
    ),
    **dict.fromkeys(("interpolate", "neighbours", "outliers", "sample", "steer"), "name"),
    **dict.fromkeys(("translate", "traverse", "truncate"), "name"),
    **dict.fromkeys(("demo", "verify"), "names"),
    "compare": "models",
    "evaluate": "subject",
}
FILES = ("photos", "picture", "direction")  # arguments that name files, which must exist
# What a command asks of a model: one of these classes; and what a model without them lacks.
_CODE = ("arithmetic", "direction", "interpolate", "steer", "traverse")
ABILITIES = {
    **dict.fromkeys(_CODE, (("Latent",), "has no latent code")),
    "attend": (("Attentive",), "has no attention"),
    "inpaint": (("Completer", "Latent"), "does not inpaint"),
    "outliers": (("Density",), "has no likelihood"),
    "translate": (("Translator",), "does not translate"),
}
COUNTED = ("epochs", "epoch", "nepochs", "n_epochs", "numepochs", "num_epochs", "max_epochs")
OPENED = {"channels", "size", "fit", "levels", "length", "rate"}  # fields that open data of a kind


def check(command: str, given: Mapping[str, Any]) -> None:
    """Refuse what ``command`` is ``given`` if no model has to be built to see it. GenzooError."""
    if command == "train":
        _check_training(given)
        return
    if command == "cache" and {*_listed(given.get("names"))} & {"clear", "clean", "purge", "prune"}:
        raise BadInput("to remove what the cache holds, type genzoo cache --clean")
    if command == "reference" and (name := given.get("data")) in [*BUILT_IN, *INCEPTION]:
        raise UnknownName(f"{name} is a metric: type genzoo reference DATA --metric {name}")
    if command == "pull" and given["name"] in _installed():
        name, address = given["name"], "that of the Hub is written owner/name"
        raise BadInput(f"{name} is installed: type genzoo sample {name}; {address}")
    if command == "plot":
        _check_run(given["run"])
    manifests = {}
    for name in map(str, _listed(given.get(MODELS.get(command, "")))):
        manifests[name] = _model(command, name, given)
    for key in FILES:
        if (command, key) != ("features", "picture"):  # which it writes
            for path in _listed(given.get(key)):
                _check_exists(key, path, given)
    for sample in filter(re.compile(r".*\.[A-Za-z]\w*").fullmatch, _listed(given.get("sample"))):
        _check_exists("sample", expanded(sample), given)
    for name, manifest in manifests.items():
        if manifest is not None:
            if _is_family(name):
                log.info("%s is a family: its model here is %s", name, manifest.name)
            _check_ability(command, name, manifest)
            _check_settings(command, name, manifest, given)
            _check_label(name, manifest, given.get("label"))
            _check_attribute(command, manifest, given)
    if command == "compare" and len(manifests) == 1:
        _check_several(*manifests)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else [*value] if isinstance(value, list | tuple) else [value]


# ------------------------------------------------------------------------------------------ models


def manifest_of(name: str) -> "Manifest | None":
    """What the model ``name`` says of itself; None if only the Hub knows it. Raises as `load`."""
    from genzoo.zoo import names

    if not is_folder(name) and ("/" in name or "@" in name or name.startswith("images:")):
        return None  # load finds it, and its message is the better one
    return names.resolve(name)[1]


def _installed() -> list[str]:
    from genzoo.zoo import installed

    return installed.names()


def data_sets() -> list[str]:
    """The names of data sets."""
    from genzoo.data import catalogue

    return catalogue.names()


def of_other_kind(name: str, but: Sequence[str] = (), data: str = "") -> str:
    """What ``name`` is, and the commands that take it; "" if it is nothing that genzoo knows.
    ``but``: kinds that the reader knows of; ``data``: the option that takes a data set.
    """
    from genzoo import families
    from genzoo.data import catalogue
    from genzoo.zoo import installed

    if "family" not in but and name in families.names():
        return f"{name} is a family: type genzoo info {name}, or genzoo train {name}"
    if "model" not in but and name in installed.names():
        return f"{name} is a model: type genzoo sample {name}, or genzoo info {name}"
    if "data" not in but and name in catalogue.names():
        if data:
            return f"{name} is a data set: type {data} {name}"
        way = f"genzoo train FAMILY --data {name} learns from it"
        return f"{name} is a data set: genzoo list data describes it, {way}"
    if "metric" not in but and name in [*BUILT_IN, *INCEPTION, *families.names("metric")]:
        return f"{name} is a metric: type genzoo evaluate MODEL --metrics {name}"
    if "file" not in but and _is_file(name):
        return f"{name} is a file: genzoo inspect {name} says which model drew it"
    return ""


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _model(command: str, name: str, given: Mapping[str, Any]) -> "Manifest | None":
    """The manifest of a model; UnknownName with what ``name`` is instead."""
    from genzoo import families
    from genzoo.zoo import installed

    is_family = name in families.names()
    if command == "demo" and name.isdecimal():
        raise BadInput(
            f"no model is called {name!r}; a port is an option: genzoo demo --port {name}"
        )
    if command == "evaluate" and (place := _folder_of_images(name)):
        raise UnknownName(f"{place} is no model folder; to measure its images: images:{place}")
    if is_family and command in (
        "cite",
        "compare",
        "info",
    ):  # compare chooses a model of it by the data
        return None
    if command in ("cite", "info") and (is_folder(name) or name in installed.names()):
        return None  # it reads no more itself
    if is_folder(name) or is_family or name in installed.names():
        return manifest_of(name)
    if command == "features" and name in data_sets():
        return None  # it takes a classifier, too, which has the name of its data
    others = [str(path) for key in FILES for path in _listed(given.get(key))]
    if model := next((path for path in others if path in installed.names()), ""):
        line = f"genzoo {command} {model} {name}"
        raise UnknownName(f"no model is called {name!r}: the model comes first: {line}")
    if command == "compare" and {*name.split(",")} <= {*installed.names(), *families.names()}:
        raise UnknownName(f"type the names with spaces between: {' '.join(name.split(','))}")
    if command == "compare" and name in ("vs", "versus", "and", "with"):
        raise UnknownName(f"no model is called {name!r}: type the names alone, with spaces between")
    if what := of_other_kind(name, ("family", "model"), "--data" if "data" in given else ""):
        raise UnknownName(f"no model is called {name!r}. {what}")
    return manifest_of(name)


def _folder_of_images(name: str) -> str:
    """How the folder ``name`` is written, if it is here and none of a model; else ""."""
    from genzoo.zoo import installed

    place = name if is_folder(name) else f"./{name}"
    if not is_folder(name) and ("/" in name or name in installed.names()):
        return ""
    with contextlib.suppress(OSError, ValueError, BadInput):
        folder = expanded(place)
        is_model = (folder / "config.json").exists() or (folder / "run").exists()
        return place if folder.is_dir() and not is_model else ""
    return ""


def _check_several(name: str) -> None:
    """Refuse to compare ``name`` with nothing, with what it can be compared with."""
    from genzoo.zoo import installed

    cards = installed.manifests()
    data = cards[name].data if name in cards else ""
    others = [other for other, card in cards.items() if card.data == data and other != name]
    hint = f": others of {data} are {', '.join(others)}" if data and others else ""
    raise BadInput(f"a comparison needs two models or more, got 1{hint}")


def _check_ability(command: str, name: str, manifest: "Manifest") -> None:
    """Refuse a model that does not do what ``command`` asks, if its family is known to lack it."""
    from genzoo.zoo import names

    if command in ABILITIES:
        (abilities, what), facts = ABILITIES[command], _facts(manifest.family)
        if facts and not {*abilities} & {*(facts.abilities or ())}:
            able = names.able_by_name(*abilities)
            raise names.lack(manifest.name or name, manifest.family, what, able)


def _facts(family: str) -> "Facts | None":
    """What ``family`` has: known from an earlier command, else it is loaded, as the command would;
    None if it cannot be: the command says why.
    """
    from genzoo import families

    try:
        return families.facts_of(family)
    except GenzooError:
        return None


def _check_settings(
    command: str, name: str, manifest: "Manifest", given: Mapping[str, Any]
) -> None:
    """Refuse a setting that the family's sampling does not have, if its fields are known."""
    from genzoo.schemas import assignments

    values = assignments(given.get("settings") or []) if command != "compare" else {}
    if not values or (facts := _facts(manifest.family)) is None:
        return
    for key in values:
        if key not in (facts.sampling or ()):
            raise _no_setting(key, values[key], name, manifest.family, facts)


def _check_label(name: str, manifest: "Manifest", label: str | None) -> None:
    """Refuse a class that the model does not have."""
    from genzoo.cli.labels import parse_labels

    if label is None:
        return
    known = manifest.class_names
    if not known and not manifest.config.get("classes"):  # else they have numbers alone
        raise BadInput(without_classes(name))
    labels, folded = parse_labels(label, known), {nfc(one).casefold() for one in known}
    for one in map(str.strip, [labels] if isinstance(labels, str) else labels or []):
        if known and nfc(one).casefold() not in folded and not one.isdecimal():
            raise unknown("class", one, known, "Or give its number.")


def _check_attribute(command: str, manifest: "Manifest", given: Mapping[str, Any]) -> None:
    """Refuse a class or an attribute that the model's data do not have."""
    if command != "direction" or given["of"] is None:
        return
    from genzoo.data import catalogue

    if (data := given.get("data") or manifest.data) not in catalogue.SOURCES:
        return
    source = catalogue.SOURCES[data]
    known = source.classes or source.attributes
    if known and given["of"] not in known:
        what = "class" if source.classes else "attribute"
        raise unknown(f"{what} of {data}", given["of"], known, "")


def without_classes(name: str) -> str:
    """The error for a class of a model without classes, with models that have some."""
    from genzoo.zoo import installed

    able = [one for one, card in installed.manifests().items() if card.class_names]
    models = f"Models that have: {', '.join(able) or 'none'}"
    return f"{printable(name)} has no classes: leave --label out. {models}"


def _no_setting(key: str, value: Any, name: str, family: str, facts: "Facts") -> BadInput:
    from genzoo.options import ours

    what, known = f"{name} has no setting {key!r}", facts.sampling or ()
    if near := ours(key, known):
        return BadInput(f"{what}: did you mean --set {near}={value}?")
    if field := ours(key, [*facts.config, *facts.options]):
        return BadInput(
            f"{what}: it is a field of training: genzoo train {family} --set {field}=..."
        )
    names = f"its settings are {', '.join(known)}" if known else "it has no settings"
    return BadInput(f"{what}: {names}")


# ------------------------------------------------------------------------------------------- files


def _check_exists(argument: str, path: Path, given: Mapping[str, Any]) -> None:
    from genzoo.zoo import installed

    if path.exists():
        return
    what = f"cannot read {path}: No such file or directory"
    if argument == "direction":
        new = path.with_suffix(".safetensors")
        way = f"genzoo direction {given['name']} --of ATTRIBUTE -o {new}"
        raise BadInput(f"{path} is not a direction file ({what}): make one with {way}")
    is_model = str(path) in installed.names()
    raise BadInput(what + (f"; it is a model: genzoo info {path}" if is_model else ""))


def _check_run(folder: Path) -> None:
    """Refuse a folder without a run, and an installed model in place of the folder of its run."""
    from genzoo.zoo import installed

    if str(folder) in installed.names() and not folder.exists():
        what = f"no run in {folder}: it is an installed model, whose run is not stored"
        raise BadInput(f"{what}; give a folder that a training run wrote")
    if not (folder / "run" / "plan.json").exists():
        raise BadInput(f"no run in {folder}: give a folder that a training run wrote")


# ---------------------------------------------------------------------------------------- training


def _check_training(given: Mapping[str, Any]) -> None:
    """Refuse an unknown family, data set or field of a new run, and a folder that is taken."""
    from genzoo.runs.request import check_arguments
    from genzoo.schemas import assignments

    values = assignments(given.get("settings") or [])
    for key in ("recipe", "start_from"):
        if name := given.get(key):
            manifest_of(name)
    if family := given.get("family"):
        if given.get("resume") and given.get("out") is None and not _is_family(family):
            raise BadInput(f"--resume needs --out: genzoo train --resume --out {family}")
        _check_family(family)
    if (data := given.get("data")) is not None:
        _check_data(data)
    if family and given.get("recipe") is None:
        _check_fields(family, values, given)
    check_arguments({**given, "dtype": given["store_as"]})
    is_new = not (given.get("resume") or given.get("force") or given.get("dry_run"))
    out = given.get("out") or _default_folder(given)
    if is_new and out and "RANK" not in os.environ:  # torchrun starts several
        _check_folder(out)


def _default_folder(given: Mapping[str, Any]) -> Path | None:
    """Where a run goes that names no folder; None if a recipe decides."""
    from genzoo.runs.request import default_folder

    family, data = given.get("family"), given.get("data") or "digits"
    return default_folder(family, data) if family else None


def _is_family(name: str) -> bool:
    from genzoo import families

    return name in families.names()


def _check_family(name: str) -> None:
    from genzoo import families
    from genzoo.zoo import installed

    if _is_family(name):
        return
    if is_folder(name) or name in installed.names():
        ways = f"--recipe {name} repeats its training, --from {name} continues from its weights"
        raise UnknownName(f"{name} is a model, not a family: genzoo train {ways}")
    if what := of_other_kind(name, but=("model", "family")):
        raise UnknownName(f"no family is called {name!r}. {what}")
    families.get(name)  # raises


def _check_data(data: str) -> None:
    from genzoo.data import catalogue

    for part in catalogue.parts(data):
        catalogue.check(part)


def _check_folder(out: Path) -> None:
    from genzoo.runs import earlier

    if not (out / "run" / "lock").exists():  # else the run that goes on there is the news
        earlier.check_own(out)
        earlier.check_free(out)


def _check_fields(family: str, values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    from genzoo.runs.plan import check_names
    from genzoo.zoo.migrate import OPTIONS

    facts = _facts(family) if values else None
    if facts is None or facts.former is None:
        return
    fields = {*facts.config, *facts.options} | OPENED
    former = {**OPTIONS, **dict(facts.former)}
    for key in sorted(values.keys() - fields - {*former}):
        if key in given and key != "family":
            option = argument(key, values[key])
            raise BadInput(f"{key} is no field of {family}: it is an option, {option}")
        if key in COUNTED:
            raise BadInput(f"training is counted in steps, not {key}: --steps N, or --minutes N")
    check_names(family, values, fields, former, facts.sampling or ())
