"""The request for a run: the arguments of `genzoo.train`, completed and checked without torch."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from genzoo import families
from genzoo.data import register
from genzoo.data.arrays import source_of
from genzoo.errors import BadInput, GenzooError, argument, command, see_all
from genzoo.files import check_name, expanded, file_name, is_folder
from genzoo.zoo import names
from genzoo.zoo.manifest import DTYPES, Recipe, Stage

MINUTES = 5.0  # of a run whose length is not given
PRECISIONS = ("fp32", "bf16", "auto")
# Other words for types of numbers, and ours.
SHORT = {"fp32": "float32", "float": "float32", "fp16": "float16", "half": "float16"}
SHORT |= {"bf16": "bfloat16", "float32": "fp32", "bfloat16": "bf16", "amp": "bf16"}
# The arguments of `train` that are those of `start`.
_GIVEN = (
    *("data", "steps", "minutes", "seed", "start_from", "device", "precision", "micro_batches"),
    *("compile", "checkpoint_every", "grid_every", "dtype", "license", "version", "threads"),
)
log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Request:
    """A run to begin or to resume, in ``folder``. ``given``: the arguments of `genzoo.runs.start`
    that were given, with those of the ``recipe`` under them.
    """

    family: str | None
    folder: Path
    given: dict[str, Any]
    root: Path | None = None
    resume: bool = False
    force: bool = False
    board: bool = False
    recipe: Recipe | None = None


def read_request(arguments: Mapping[str, Any]) -> Request:
    """The run that these ``arguments`` of `genzoo.train` mean: None is not given.

    Raises BadInput, UnknownName, and as ``load`` for a model that is named.
    """
    check_arguments(arguments)
    loaded = {key: arguments[key] for key in ("recipe", "start_from")}
    named = {key: names.named(model) for key, model in loaded.items() if model is not None}
    arguments = {**arguments, **named}
    family, recipe = arguments["family"], None
    given = {key: arguments[key] for key in _GIVEN}
    given = {key: value for key, value in given.items() if value is not None}
    if "data" in given:
        given["data"] = source_of(given["data"])
    given |= {"values": dict(values)} if (values := arguments["settings"]) else {}
    resume = arguments["resume"]
    if (name := arguments["recipe"]) is not None:
        family, recipe, given = _with_recipe(name, given, resume)
    if not resume:
        family = family or _family_of(given.get("start_from"))
        given = {"data": "digits", **given}
        given |= {} if {"steps", "minutes"} & given.keys() else {"minutes": MINUTES}
        families.get(family)  # an unknown name is reported before torch is imported
    out, root = arguments["out"], arguments["root"]
    place = default_folder(family or "", given.get("data", "digits")) if out is None else out
    folder = expanded(place)
    return Request(
        family,
        folder if resume else check_name(folder),
        given,
        None if root is None else Path(root),
        resume,
        arguments["force"],
        arguments["board"],
        recipe,
    )


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check what alone can be wrong about ``arguments``. Raises BadInput."""
    if arguments["steps"] is not None and arguments["minutes"] is not None:
        both = f"{argument('steps')} and {argument('minutes')}"
        raise BadInput(f"{both} exclude each other: give one of them")
    if arguments["resume"] and arguments["force"]:
        ways = f"{argument('resume')} continues a run and {argument('force')} replaces it"
        raise BadInput(f"{ways}: give one of them")
    for name, known in (("precision", PRECISIONS), ("dtype", DTYPES)):
        if (value := arguments[name]) is not None and value not in known:
            meant = SHORT.get(str(value).removeprefix("torch.").lower())
            hint = f": did you mean {argument(name, meant)}?" if meant in known else ""
            what = f"{argument(name)} must be {', '.join(known)}, got {value!r:.40}"
            raise BadInput(f"{what}{hint}")
    family, recipe = arguments["family"], arguments["recipe"]
    if recipe is not None and family is not None:
        raise BadInput(f"{argument('recipe')} decides the family: leave {family} out")
    if arguments["resume"] and arguments["out"] is None and (family or recipe) is None:
        raise BadInput(f"{argument('resume')} needs {argument('out')}: the folder of the run")


def _family_of(start_from: str | Path | None) -> str:
    """The family of the model that a run begins with. Raises BadInput if there is none."""
    if start_from is None:
        raise BadInput(f"no family given: {command('train', 'FAMILY')}. {see_all('families')}")
    return names.resolve(start_from)[1].family


def default_folder(family: str, data: Any) -> Path:
    """The folder of a run that names none."""
    return Path(file_name(f"{family}-{register.label(data)}"))


def _with_recipe(
    name: str | Path, given: dict[str, Any], resume: bool
) -> tuple[str, Recipe, dict[str, Any]]:
    """The family of the model ``name``, its recipe, and the recipe's values under those ``given``.
    Raises BadInput.
    """
    _, manifest = names.resolve(name)
    recipe = manifest.recipe
    if recipe is None:
        raise BadInput(f"{name} has no recipe: it was not trained by genzoo")
    place = given.get("data")
    place = place or register.training_data(str(name), manifest.data, recipe.data_sha256)
    form = register.form_of(recipe.data_sha256, recipe.form.values)
    family = families.get(manifest.family)
    config, options, _ = family.upgraded(manifest.revision, recipe.config, recipe.options)
    settings = {
        "data": register.to_open(place.data) if isinstance(place, register.Place) else place,
        "inherited": {**config, **options, **form},  # levels: a number, or in a form a range
        "seed": recipe.seed,
        "precision": recipe.precision,
        "micro_batches": recipe.micro_batches,
        "compile": recipe.compile,
        "dtype": manifest.dtype,
        "license": manifest.license,
    }
    if "minutes" not in given:
        settings["steps"] = recipe.steps
    if recipe.parent and "start_from" not in given and not resume:
        settings["start_from"] = _parent_of(str(name), recipe.parent)
    if changed := {key for stage in recipe.stages for key in stage.changes}:
        text = "its training was changed on the way (%s); the recipe repeats the last settings"
        log.warning(f"%s: {text} from its first step", name, ", ".join(sorted(changed)))
    return manifest.family, recipe, {**settings, **given}


def _parent_of(name: str, parent: Stage) -> str:
    """The model that the recipe of ``name`` began with. Raises BadInput if it is not at hand."""
    began = f"{name} began with the weights of {parent.model} ({parent.weights_sha256})"
    give = f"give this model with {argument('start_from')}"
    if is_folder(parent.model):  # a card does not decide which folders are read
        raise BadInput(f"{began}: {give}")
    try:
        _, manifest = names.resolve(parent.model, local_files_only=True)
    except GenzooError as error:
        raise BadInput(f"{began}: {give} ({error})") from None
    if manifest.weights_sha256 != parent.weights_sha256:
        other = f"and the {parent.model} here has others: give it with {argument('start_from')}"
        raise BadInput(f"{began}, {other}")
    return parent.model
