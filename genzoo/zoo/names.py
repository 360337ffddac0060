"""A model's name -> its folder: bundled, a family's default, on the Hub, or on the disk."""

import logging
import re
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from genzoo import families
from genzoo.errors import BadInput, GenzooError, NetworkError, UnknownName, article, unknown
from genzoo.files import expanded, is_folder
from genzoo.zoo import folder as folders
from genzoo.zoo import hub
from genzoo.zoo import manifest as manifests
from genzoo.zoo.manifest import CONFIG

if TYPE_CHECKING:
    import torch

    from genzoo.models.model import Model


# The data set that a bare family's name means, if a model on it is here.
PREFERRED = ("mnist", "fashion-mnist", "celeba", "cifar10")
# The Hub's word for terms that are no standard license; load says them.
RESTRICTED = "other"
_CARD = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")
_HUB = re.compile(r"[^/@]+/[^/@]+(@.*)?|[^/@]+@.*", re.DOTALL)
log = logging.getLogger("genzoo")


def load(
    name: str | Path,
    *,
    device: "str | torch.device" = "auto",
    verify: bool = True,
    local_files_only: bool = False,
) -> "Model":
    """A model, in evaluation mode on ``device``.

    ``name``: a card (``dcgan-mnist``), a family (its default model), a model on the Hub
    (``owner/name``, ``owner/name@revision``), or a folder: a Path, or text that begins with ./ ../
    / or ~. Nothing in a folder is run or unpickled; ``local_files_only`` asks no network. Raises
    UnknownName, InvalidModel, BadInput, NetworkError.
    """
    folder = find(name, local_files_only=local_files_only)
    model = folders.load(folder, device, verify)
    if model.origin is not None and (commit := hub.commit_of(folder)):
        model.origin = replace(model.origin, revision=commit)
    manifest = manifests.read_manifest(folder)
    if manifest.license == RESTRICTED:
        _say(manifest.name, manifest.terms)
    return model


@cache
def _say(name: str, terms: str) -> None:
    """Once in a process: what a model may not be used for."""
    log.warning("%s was trained on data with terms: %s", name, terms or "ask who made it")


def model_names() -> list[str]:
    """The models that come along."""
    return sorted(p.parent.name for p in home().glob(f"*/{CONFIG}"))


def home() -> Path:
    """Where the cards are: beside pyproject.toml in a checkout, else in the package."""
    spec = find_spec("genzoo")
    package = Path(str(spec and spec.origin)).parent
    beside = package.parent / "model_cards"
    return beside if (package.parent / "pyproject.toml").is_file() else package / "model_cards"


def find(name: str | Path, *, local_files_only: bool = False) -> Path:
    """The folder that ``name`` means; its form alone says what kind it is. Raises as ``load``."""
    if not isinstance(name, str | Path):
        raise BadInput(f"a model is a name or a folder, got {article(name)}")
    if is_folder(name):
        return expanded(name)
    name = str(name)
    if name.startswith("images:"):
        raise BadInput(f"{name} is images, and a model is needed: genzoo evaluate measures both")
    if _HUB.fullmatch(name):
        return hub.fetch(name, local_files_only=local_files_only)
    if _CARD.fullmatch(name) and (home() / name / CONFIG).is_file():
        return home() / name
    if name in families.names():
        return home() / default(name)
    if families.known(name):
        families.get(name)  # says why it is not among the names
    return _at_the_organisation(name, local_files_only)


def _at_the_organisation(name: str, local_files_only: bool) -> Path:
    """The model that no card here is called, if the organisation has one on the Hub."""
    hint = f"Type genzoo list to see all; a folder is written ./{name[:80]}."
    if _CARD.fullmatch(name):
        try:
            return hub.fetch(name, local_files_only=local_files_only)
        except (BadInput, UnknownName):
            hint += f" {hub.organisation()} has none of that name on the Hub."
        except NetworkError as error:
            hint += f" ({error})"
    raise unknown("model", name[:80], [*model_names(), *families.names()], hint)


def with_discriminator(name: str | Path, folder: Path) -> Path:
    """``folder``, where ``name`` was found; for a model on the Hub, one that holds its
    discriminator too, if its repository has one. Raises NetworkError.
    """
    if hub.commit_of(folder) and manifests.read_manifest(folder).discriminator_sha256:
        return hub.fetch(str(name), discriminator=True)
    return folder


def default(family: str) -> str:
    """The name of the model that stands for ``family``. Raises UnknownName if none does."""
    found = models_of(family)
    if not found:
        hint = f"train one: genzoo train {family} --out my-{family}"
        raise unknown(
            "model", family, model_names(), f"The family {family} has no model yet; {hint}"
        )
    return next(iter(found.values()))


def models_of(family: str) -> dict[str, str]:
    """The family's default model on each data set that it has one for, the preferred ones first."""
    found = [
        (m, n) for n in model_names() if (m := manifests.read_manifest(home() / n)).family == family
    ]
    rank = {name: i for i, name in enumerate(PREFERRED)}
    found.sort(key=lambda f: (rank.get(f[0].data, len(rank)), not f[0].default, f[1]))
    models: dict[str, str] = {}
    for manifest, name in found:
        models.setdefault(manifest.data, name)
    return models


def able(*abilities: "type[Model]") -> list[str]:
    """The models that come along and have one of ``abilities``, like ``genzoo.Latent``."""
    kinds: dict[str, bool] = {}
    found = []
    for name in model_names():
        family = manifests.read_manifest(home() / name).family
        if family not in kinds:
            kinds[family] = _makes(family, abilities)
        found += [name] if kinds[family] else []
    return found


def lacking(
    model: "Model", ability: "type[Model] | tuple[type[Model], ...]", what: str
) -> BadInput:
    """The error for a ``model`` without ``ability`` (or any of several), with models that can."""
    name = model.origin.model if model.origin else "this model"
    abilities = ability if isinstance(ability, tuple) else (ability,)
    having = ", ".join(able(*abilities)) or "none here"
    return BadInput(f"{name} ({article(model)}) {what}: these can: {having}")


def _makes(family: str, abilities: "tuple[type[Model], ...]") -> bool:
    try:
        parts = families.get(family)
    except GenzooError:  # not installed, or broken
        return False
    made = parts.model
    return issubclass(made if isinstance(made, type) else type(made(parts.tiny)), abilities)
