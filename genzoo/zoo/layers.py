"""The layers of a model and of its discriminator, or of a family with any config."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo import families
from genzoo.errors import BadInput, InvalidModel, argument, see_all, unknown
from genzoo.schemas import checked
from genzoo.zoo import names
from genzoo.zoo.weights import on_meta

if TYPE_CHECKING:
    from genzoo.families.family import Family
    from genzoo.models.model import Model
    from genzoo.models.summary import Summary


def layers(name: str | Path, settings: Mapping[str, Any] | None = None) -> "list[Summary]":
    """The tables of a model, or of a family with ``settings`` of its config; that of the
    discriminator follows where there is one. Raises as ``load``.
    """
    if name in families.names():
        family = families.get(str(name))
        model = _built(family.model, _config(str(name), family, settings or {}), str(name))
    elif settings:
        what = f"{argument('settings')} would have no effect"
        raise BadInput(f"{what}: {name} is a model; only a family takes settings")
    else:
        model = names.load(name, device="cpu")
        assert model.origin is not None
        family = families.get(model.origin.family)
    return [model.summary(), *_of_discriminator(family, model)]


def _of_discriminator(family: "Family", model: "Model") -> "list[Summary]":
    """Its table: from the config, as a model may be stored without its discriminator."""
    if family.discriminator is None:
        return []
    network = _built(family.discriminator, model.config, "its discriminator")
    table: Summary = network.summary(model.shape, getattr(model, "num_classes", 0))
    return [replace(table, title=f"{table.title}, which only training needs")]


def _config(name: str, family: "Family", settings: Mapping[str, Any]) -> Any:
    """The config with these fields, the others at their defaults. Raises BadInput."""
    fields = family.config.model_fields
    for key in settings:
        if key in family.options.model_fields:
            raise BadInput(f"{key} is an option of training: it changes no layer")
        if key not in fields:
            raise unknown("field", key, fields, see_all(f"info {name}"))
    return checked(family.config, dict(settings), f"config of {name}")


def _built(build: Any, config: Any, name: str) -> Any:
    """The network without memory for its weights."""
    try:
        return on_meta(lambda: build(config), Path(name))
    except InvalidModel as error:
        if isinstance(error.__cause__, BadInput):
            raise BadInput(f"{name}: {error.__cause__}") from None
        raise
