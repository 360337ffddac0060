"""The command that a model's recipe says, in today's words."""

import json
import shlex
from typing import TYPE_CHECKING, Any

from genzoo import families
from genzoo.data import register
from genzoo.errors import OPTIONS, GenzooError
from genzoo.runs.plan import FORMS, OF_DATA, OF_KIND, form_of

if TYPE_CHECKING:
    from genzoo.families.facts import Facts
    from genzoo.zoo.manifest import Manifest, Recipe


def train_command(manifest: "Manifest") -> str:
    """``genzoo train`` with the settings of the recipe that are not the family's defaults; "" if
    no command says it: there is no recipe, the data came from Python, the family is not here.
    """
    recipe = manifest.recipe
    if recipe is None or not recipe.command:
        return ""
    try:
        facts = families.facts_of(manifest.family)
        settings = _settings(manifest, recipe, facts)
    except GenzooError:
        return ""
    words = ["genzoo", "train", manifest.family, *_options(manifest, recipe)]
    for key, value in settings.items():
        words += [f"--{OPTIONS['settings']}", f"{key}={_text(value)}"]
    return shlex.join(words)


def _settings(manifest: "Manifest", recipe: "Recipe", facts: "Facts") -> dict[str, Any]:
    """What ``--set`` gives. Raises as `families.get`."""
    config, options, kind = recipe.config, recipe.options, manifest.kind
    if not {*config, *options} <= {*facts.config, *facts.options}:  # of an older revision
        family = families.get(manifest.family)
        config, options, _ = family.upgraded(manifest.revision, config, options)
    of_data = {*OF_DATA, *OF_KIND[kind]}
    own = {key: value for key, value in {**config, **options}.items() if key not in of_data}
    chosen = {k: v for k, v in own.items() if k not in facts.defaults or facts.defaults[k] != v}
    form = {k: v for k, v in form_of(kind, config).items() if k in FORMS[kind]}
    return {**form, **recipe.form.values, **chosen}


def _options(manifest: "Manifest", recipe: "Recipe") -> list[str]:
    data = manifest.data if register.is_named(manifest.data) else f"./{manifest.data}"
    options: dict[str, Any] = {"data": data, "steps": recipe.steps, "seed": recipe.seed}
    options |= {"from": recipe.parent.model} if recipe.parent else {}
    usual = {"precision": "fp32", "micro-batches": 1, "store-as": "float32", "license": "unknown"}
    own = {
        "precision": recipe.precision,
        "micro-batches": recipe.micro_batches,
        "store-as": manifest.dtype,
        "license": manifest.license,
    }
    options |= {key: value for key, value in own.items() if value != usual[key]}
    options["threads"] = recipe.threads
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    switches = {"compile": recipe.compile}
    return [*words, *(f"--{name}" for name, is_on in switches.items() if is_on)]


def _text(value: Any) -> str:
    """``value`` as `genzoo.schemas.assignments` reads it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
