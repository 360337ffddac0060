"""Parent: the model whose weights a new run begins with."""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from genzoo import families
from genzoo.data import register
from genzoo.errors import BadInput
from genzoo.files import is_folder
from genzoo.models.model import Model
from genzoo.training import Trainer
from genzoo.zoo import folder as folders
from genzoo.zoo import names
from genzoo.zoo.manifest import Manifest, Stage

log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Parent:
    """A stored model, which is the beginning of another one of its family.

    ``discriminator``: the one beside it; None if it has none. Where its run averaged the weights
    (``ema_decay``), the average is what was stored, and so what is taken.
    """

    name: str
    manifest: Manifest
    model: Model
    discriminator: nn.Module | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Its config, in today's names."""
        config: dict[str, Any] = self.model.config.model_dump(mode="json")
        return config

    @property
    def data_sha256(self) -> str | None:
        """The hash of its training data; None if it has no recipe."""
        return self.manifest.recipe.data_sha256 if self.manifest.recipe else None

    @property
    def form(self) -> dict[str, Any]:
        """How its data were opened, beyond its config."""
        recipe = self.manifest.recipe
        return register.form_of(self.data_sha256, recipe.form.values if recipe else {})

    @property
    def stages(self) -> tuple[Stage, ...]:
        """How it was trained, for the record of the model that begins with it."""
        recipe, m = self.manifest.recipe, self.manifest
        earlier = tuple(stage for stage in recipe.stages if stage.model) if recipe else ()
        own = Stage(
            steps=recipe.steps if recipe else None,
            model=self.name,
            version=m.version,
            weights_sha256=m.weights_sha256,
            discriminator_sha256=m.discriminator_sha256,
            data=m.data,
        )
        return (*earlier, own)

    def fill_model(self, model: Model) -> None:
        """Copy its weights into ``model``. Raises BadInput if they do not fit.

        Parts that ``model`` has beside them, such as a prior's flow, begin anew, and it says which.
        """
        new, old = model.config.model_dump(mode="json"), self.model.state_dict()
        differ = [f"{k} {v}, here {new[k]}" for k, v in self.config.items() if new.get(k, v) != v]
        parts = {name.partition(".")[0] for name in model.state_dict()}
        added = sorted(parts - {name.partition(".")[0] for name in old})
        _copy(self.model, model, self.name, differ, added)
        if added:
            log.warning("%s has no %s: that begins anew", self.name, " and no ".join(added))

    def fill_discriminator(self, trainer: Trainer) -> None:
        """Copy its discriminator into that of ``trainer``, and say which networks are new."""
        networks, known = trainer.networks(), _ids([trainer.model])
        recipe, taken = self.manifest.recipe, "its weights"
        if recipe and (decay := recipe.options.get("ema_decay")):
            taken = f"its averaged weights (ema_decay {decay})"
        if self.discriminator is not None and "discriminator" in networks:
            _copy(self.discriminator, networks["discriminator"], f"{self.name}'s discriminator", ())
            known |= _ids([networks["discriminator"]])
            taken += " and its discriminator"
        new = [name for name, network in networks.items() if not _ids([network]) <= known]
        text = " and ".join([*(f"the {name}" for name in new), "all optimisers"])
        log.warning("the run begins with %s: %s; %s begin anew", self.name, taken, text)


def read_parent(name: str | Path, family: str) -> Parent:
    """The model ``name``, of this ``family``, as a parent. Raises as `genzoo.load`, and BadInput
    if it is of another family.
    """
    folder, manifest = names.resolve(name)
    if manifest.family != family:
        raise BadInput(
            f"{name} is a model of {manifest.family}, and its weights fit no other family, got "
            f"{family}"
        )
    model = folders.load_folder(folder, "cpu", manifest=manifest)
    discriminator = None
    if families.get(family).discriminator and manifest.discriminator_sha256:
        folder = names.with_discriminator(name, folder)
        discriminator = folders.load_discriminator(folder, "cpu", manifest=manifest)
    on_hub = "/" in str(name) and not is_folder(name)
    shown = str(name).partition("@")[0] if on_hub else manifest.name
    return Parent(shown, manifest, model, discriminator)


def _copy(
    source: nn.Module,
    target: nn.Module,
    name: str,
    differ: Iterable[str],
    added: Collection[str] = (),
) -> None:
    """Copy the state of ``source`` into ``target``, but for the parts of it that are ``added``.

    Raises BadInput, with the tensors that differ and the fields of the config that do.
    """
    old, new = source.state_dict(), target.state_dict()
    old |= {key: new[key] for key in new if key.partition(".")[0] in added}
    wrong = [*_misfits(old, new)]
    if wrong:
        fields = f" ({'; '.join(differ)})" if differ else ""
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise BadInput(
            f"the weights of {name} do not fit this run{fields}: {'; '.join(wrong[:3])}{more}"
        )
    target.load_state_dict(old)


def _misfits(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Iterable[str]:
    for key in sorted({*old, *new}):
        shapes = [tuple(t[key].shape) if key in t else None for t in (old, new)]
        if shapes[0] != shapes[1]:
            there, here = ("missing" if s is None else s for s in shapes)
            yield f"{key} is {there}, here {here}"


def _ids(networks: Iterable[nn.Module]) -> set[int]:
    return {id(p) for network in networks for p in network.parameters()}
