"""A model folder <-> a model. Reading is strict and bounded, and runs no code of the folder's."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genzoo import families, schemas
from genzoo.errors import BadInput, GenzooError, InvalidModel, OperationFailed, UnknownName, article
from genzoo.files import check_free, expanded, synced, whole_folder
from genzoo.schemas import checked
from genzoo.zoo.manifest import (
    CONFIG,
    DISCRIMINATOR,
    DTYPES,
    FILES,
    WEIGHTS,
    Manifest,
    Recipe,
    _sha256,
    manifest_bytes,
    read_manifest,
)
from genzoo.zoo.weights import _fill, _on_meta, _packed, read_header

if TYPE_CHECKING:
    import torch
    from torch import nn

    from genzoo.models.model import Model


log = logging.getLogger("genzoo")


def save(
    model: "Model",
    folder: str | Path,
    *,
    family: str | None = None,
    name: str | None = None,
    data: str | None = None,
    license: str | None = None,
    terms: str | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    discriminator: "nn.Module | None" = None,
    recipe: Recipe | None = None,
    force: bool = False,
) -> Path:
    """Write ``model`` as a folder that ``load`` reads: all of it or nothing.

    What is not said of its data, license and terms is what it was loaded with, as for a copy.
    Parameters are stored in ``dtype``; buffers (norm statistics among them) stay float32. Raises
    BadInput if a model is there already and ``force`` is off, OperationFailed if it cannot be
    written.
    """
    from genzoo.models.model import Model

    if not isinstance(model, Model):
        raise BadInput(f"expected a genzoo.Model to save, got {article(model)}")
    if dtype not in DTYPES:
        raise BadInput(f"weights are stored as {', '.join(DTYPES)}, not as {dtype!r}")
    folder = expanded(folder)
    files = {WEIGHTS: _packed(model, dtype)}
    if discriminator is not None:
        files[DISCRIMINATOR] = _packed(discriminator, dtype)
    given = {"data": data, "license": license, "terms": terms}
    told = dict(model.provenance) | {k: v for k, v in given.items() if v is not None}
    said = {
        "name": schemas.name(name or folder.resolve().name),
        **{k: schemas.name(v) if k == "data" else v for k, v in told.items()},
        "dtype": dtype,
        "recipe": recipe and recipe.model_dump(mode="json"),
    }
    files[CONFIG] = manifest_bytes(_described(model, family or family_of(model), files, said))
    write_folder(folder, files, force=force)
    return folder


def load(folder: str | Path, device: "str | torch.device" = "auto", verify: bool = True) -> "Model":
    """The model in ``folder``, in evaluation mode.

    Nothing in the folder is run or unpickled. ``verify=False`` leaves out the hash and the look for
    non-finite weights. Raises InvalidModel, UnknownName (no such folder or family), BadInput.
    """
    from genzoo.devices import device as chosen

    folder, wanted = expanded(folder), chosen(device)
    manifest = read_manifest(folder)
    family = _family(manifest, folder)
    config, tensors = _upgraded(family, manifest, folder / WEIGHTS)
    model = _on_meta(lambda: family.model(config), folder)
    named, classes = len(manifest.class_names), getattr(model, "num_classes", 0)
    if named not in (0, classes):
        raise InvalidModel(f"{folder}: {named} class names, but the model has {classes} classes")
    _fill(model, folder / WEIGHTS, manifest.weights_sha256 if verify else None, tensors)
    model.class_names, model.origin = manifest.class_names, _origin(manifest)
    model.provenance = {k: getattr(manifest, k) for k in ("data", "license", "terms")}
    return model.to(wanted).eval()


def load_discriminator(
    folder: str | Path, device: "str | torch.device" = "auto", verify: bool = True
) -> "nn.Module":
    """The discriminator beside the model. Raises as ``load``; BadInput if there is none."""
    from genzoo.devices import device as chosen

    folder, wanted = expanded(folder), chosen(device)
    manifest = read_manifest(folder)
    family = _family(manifest, folder)
    if family.discriminator is None or manifest.discriminator_sha256 is None:
        raise BadInput(f"{folder}: this model has no discriminator")
    build = family.discriminator
    config, tensors = _upgraded(family, manifest, folder / DISCRIMINATOR)
    network = _on_meta(lambda: build(config), folder)
    sha256 = manifest.discriminator_sha256 if verify else None
    _fill(network, folder / DISCRIMINATOR, sha256, tensors)
    return network.to(wanted).eval()


def family_of(model: "Model") -> str:
    """The family whose plugin defines the class of ``model``."""
    if model.origin is not None:
        return model.origin.family
    module = type(model).__module__
    found = [p.name for p in families.plugins() if p.value.partition(":")[0] == module]
    if len(found) != 1:
        what = f"belongs to {' and '.join(found)}" if found else "comes from no installed plugin"
        raise BadInput(f"{type(model).__name__} {what}: say which with family=")
    return found[0]


def _described(
    model: "Model", family: str, files: Mapping[str, bytes], said: dict[str, Any]
) -> Manifest:
    """What ``config.json`` says of ``model`` and its ``files``, with what was ``said`` of it."""
    plugin = families.metadata(family)
    other = files.get(DISCRIMINATOR)
    found = {
        "family": family,
        "revision": families.get(family).revision,
        "plugin": plugin.package,
        "plugin_version": plugin.version,
        "config": model.config.model_dump(mode="json"),
        "class_names": [*map(schemas.name, model.class_names)],
        "weights_sha256": _sha256(files[WEIGHTS]),
        "discriminator_sha256": other and _sha256(other),
    }
    return checked(Manifest, {**said, **found}, "the model's card")


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write ``files`` into ``folder``: aside first; config.json comes last, with the hashes."""
    check_free(folder, FILES, force)

    def move(aside: Path, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for name in set(FILES) - files.keys():  # another model's card says nothing of this one
            (folder / name).unlink(missing_ok=True)
        for name in sorted(files, key=lambda n: n == CONFIG):
            (aside / name).replace(folder / name)

    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(f"cannot write {folder}: {error.strerror or error}") from error
    with whole_folder(folder, move) as aside:
        for name, content in files.items():
            with synced(aside / name) as file:
                file.write(content)


def _family(manifest: Manifest, folder: Path) -> families.Family:
    try:
        family = families.get(manifest.family)
    except UnknownName as error:
        missing = f"{folder.name} is a model of a family that is missing: {error}"
        hint = "A family is a plugin, code that only you can choose to install: docs/plugins.md"
        raise UnknownName(f"{missing} {hint}") from None
    if manifest.revision > family.revision:
        raise InvalidModel(
            f"{folder}: made by revision {manifest.revision} of {manifest.family}, "
            f"installed is {family.revision}: upgrade {families.metadata(manifest.family).package}"
        )
    return family


def _upgraded(
    family: families.Family, manifest: Manifest, path: Path
) -> tuple[Any, Mapping[str, str]]:
    """The checked config, and the tensors of ``path`` that are called otherwise now."""
    where = f"{path.with_name(CONFIG)}: config"
    options = manifest.recipe.options if manifest.recipe else {}
    try:
        tensors = [*read_header(path)] if manifest.revision < family.revision else ()
        new = family.upgraded(manifest.revision, manifest.config, options, tensors)
    except GenzooError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        old = f"revision {manifest.revision} of {manifest.family}"
        raise InvalidModel(f"{path.parent}: {old} cannot be upgraded: {reason}") from error
    return checked(family.config, new.config, where, InvalidModel), new.tensors


def _origin(manifest: Manifest) -> Any:
    from genzoo.models.samples import Origin

    return Origin(manifest.name, manifest.family, manifest.weights_sha256)
