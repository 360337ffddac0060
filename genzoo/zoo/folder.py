"""A model folder <-> a model. Reading is strict and bounded, and runs no code of the folder's."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from genzoo import families, schemas
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, GenzooError, InvalidModel, OperationFailed, UnknownName, article
from genzoo.families.registry import others_code, reason_of
from genzoo.files import check_free, expanded, synced, whole_folder
from genzoo.models.arguments import checked_arguments
from genzoo.schemas import checked
from genzoo.zoo.manifest import (
    CONFIG,
    DISCRIMINATOR,
    FILES,
    LARGEST_BESIDE,
    METRICS,
    PICTURE,
    README,
    SOUND,
    WEIGHTS,
    Adoption,
    Manifest,
    Recipe,
    manifest_bytes,
    read_manifest,
    sha256_of,
)
from genzoo.zoo.reader import open_inside, read_capped, size_of
from genzoo.zoo.weights import fill, header_of, largest_model, on_meta, pack

if TYPE_CHECKING:
    import torch
    from torch import nn

    from genzoo.models.model import Model


log = logging.getLogger("genzoo")


@checked_arguments
def save(
    model: "Model",
    folder: str | Path,
    *,
    family: str | None = None,
    name: str | None = None,
    version: int | None = None,
    data: str | None = None,
    license: str | None = None,
    terms: str | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    discriminator: "nn.Module | None" = None,
    recipe: Recipe | None = None,
    adopted: Adoption | None = None,
    force: bool = False,
) -> Path:
    """Write ``model`` as a folder that ``load`` reads: all of it or nothing.

    Without ``data``, ``license`` and ``terms`` it keeps those that it was loaded with, as a copy,
    which also says what it was ``adopted`` from.
    ``version``: by default 1; a copy of a loaded model has its version, and a model that replaces
    another one in ``folder`` has the version after that.
    Parameters are stored in ``dtype``; buffers (norm statistics among them) stay float32. Raises
    BadInput if a model is there already and ``force`` is off, OperationFailed if it cannot be
    written. ``force`` over a model of the same weights keeps its card, samples, discriminator and
    recipe; over other weights it removes them, and warns of what it removed.
    """
    _check_saved(model, discriminator, version)
    folder = expanded(folder)
    networks = {WEIGHTS: model, DISCRIMINATOR: discriminator}
    files = {
        name: pack(network, dtype) for name, network in networks.items() if network is not None
    }
    old = _manifest_of(folder)
    if force and old is not None and old.weights_sha256 == sha256_of(files[WEIGHTS]):
        recipe, adopted = recipe or old.recipe, adopted or old.adopted
        files = {**_beside(folder, old), **files}
    facts = _facts(model, {"data": data, "license": license, "terms": terms})
    values = {
        "name": schemas.name(name or folder.resolve().name),
        "version": version or _next_version(model, folder, sha256_of(files[WEIGHTS])),
        **facts,
        "dtype": dtype,
        "recipe": recipe and recipe.model_dump(mode="json"),
        "adopted": _adoption(model, adopted),
    }
    manifest = _manifest(model, family or family_of(model), files, values)
    _write_over(folder, old, manifest, {**files, CONFIG: manifest_bytes(manifest)}, force)
    return folder


def _adoption(model: "Model", given: Adoption | None) -> dict[str, Any] | None:
    """Where the weights come from, as given, or as a copy keeps it while they are the same."""
    old = _manifest_of(model.folder) if given is None and model.folder else None
    if old and old.adopted and sha256_of(pack(model, old.dtype)) == old.weights_sha256:
        given = old.adopted
    return given.model_dump(mode="json") if given else None


def _check_saved(model: Any, discriminator: Any, version: int | None) -> None:
    from torch.nn import Module

    from genzoo.models.model import Model

    if not isinstance(model, Model):
        raise BadInput(f"expected a genzoo.Model to save, got {article(model)}")
    if not isinstance(discriminator, Module | None):
        raise BadInput(f"discriminator must be a network, got {article(discriminator)}")
    if version is not None:
        from genzoo.models.checks import check_count  # imports numpy

        check_count("version", version, 1)


def _facts(model: "Model", given: dict[str, str | None]) -> dict[str, Any]:
    """What is given, and else what the model was loaded with."""
    facts = {k: v for k, v in model.provenance.items() if k in given}
    facts |= {k: v for k, v in given.items() if v is not None}
    return {k: schemas.name(v) if k == "data" else v for k, v in facts.items()}


def _write_over(
    folder: Path, old: Manifest | None, new: Manifest, files: dict[str, bytes], force: bool
) -> None:
    """Write ``files`` in place of the model ``old``; warn of all that is gone afterwards."""
    if old is not None and any(getattr(old, k) != getattr(new, k) for k in _ON_THE_CARD):
        files.pop(README, None)
    lost = [name for name in FILES if name not in files and (folder / name).exists()]
    lost += ["its recipe"] * bool(old and old.recipe and not new.recipe)
    write_folder(folder, files, force=force)
    if lost:
        log.warning("%s: removed %s: of the model that was there before", folder, ", ".join(lost))


_ON_THE_CARD = ("name", "data", "license", "terms")  # what a README.md says, besides the numbers


def _beside(folder: Path, old: Manifest) -> dict[str, bytes]:
    """The files of ``folder`` that stay true while its weights stay the same."""
    names = [n for n in (README, METRICS, PICTURE, SOUND) if (folder / n).exists()]
    files = {name: read_capped(folder / name, LARGEST_BESIDE) for name in names}
    if old.discriminator_sha256 and (folder / DISCRIMINATOR).exists():
        content = read_capped(folder / DISCRIMINATOR, largest_model())
        files |= {DISCRIMINATOR: content} if sha256_of(content) == old.discriminator_sha256 else {}
    return files


def _next_version(model: "Model", folder: Path, weights_sha256: str) -> int:
    """The version of ``model`` in ``folder`` if none is given."""
    if model.origin is not None and model.origin.weights_sha256 == weights_sha256:
        return model.origin.version
    old = version_of(folder)
    return 1 if old is None else old + 1


def version_of(folder: Path) -> int | None:
    """The version of the model in ``folder``; None if there is no readable one."""
    manifest = _manifest_of(folder)
    return manifest.version if manifest else None


def _manifest_of(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except GenzooError:
        return None


@usual_torch()
def load_folder(
    folder: str | Path,
    device: "str | torch.device" = "auto",
    verify: bool = True,
    manifest: Manifest | None = None,
) -> "Model":
    """The model in ``folder``, in evaluation mode.

    Nothing in the folder is run or unpickled. ``verify=False`` skips the checksum and the check
    for non-finite weights. ``manifest``: that of the folder, if it was read before. Raises
    InvalidModel, UnknownName (no such folder or family), BadInput.
    """
    from genzoo.devices import device as choose

    folder, device = expanded(folder), choose(device)
    manifest = manifest or read_manifest(folder)
    family = _family(manifest, folder)
    sha256 = manifest.weights_sha256 if verify else None
    model: Model = _filled(family.model, family, manifest, folder / WEIGHTS, sha256)
    names, classes = len(manifest.class_names), getattr(model, "num_classes", 0)
    if names not in (0, classes):
        raise InvalidModel(f"{folder}: {names} class names, but the model has {classes} classes")
    model.rate = manifest.rate or model.rate
    model.folder = folder
    model.class_names, model.origin = manifest.class_names, _origin(manifest)
    model.provenance = {k: getattr(manifest, k) for k in ("data", "license", "terms")}
    if manifest.recipe:
        model.provenance = {**model.provenance, "data_sha256": manifest.recipe.data_sha256}
        model.data_form = manifest.recipe.form.values
    return model.to(device).eval()


@usual_torch()
def load_discriminator(
    folder: str | Path,
    device: "str | torch.device" = "auto",
    verify: bool = True,
    manifest: Manifest | None = None,
) -> "nn.Module":
    """The discriminator beside the model. Raises as ``load_folder``; BadInput if there is none."""
    from genzoo.devices import device as choose

    folder, device = expanded(folder), choose(device)
    manifest = manifest or read_manifest(folder)
    family = _family(manifest, folder)
    if family.discriminator is None or manifest.discriminator_sha256 is None:
        raise BadInput(f"{folder}: this model has no discriminator")
    sha256 = manifest.discriminator_sha256 if verify else None
    network = _filled(family.discriminator, family, manifest, folder / DISCRIMINATOR, sha256)
    return network.to(device).eval()


def _filled(
    build: "Callable[[Any], Any]",
    family: families.Family,
    manifest: Manifest,
    path: Path,
    sha256: str | None,
) -> Any:
    """The network that ``build`` makes of the manifest's config, with the weights of ``path``."""
    with open_inside(path) as file:  # opened once: header and weights belong together
        config, tensors = _upgraded(family, manifest, file, path)
        network = on_meta(lambda: build(config), path.parent)
        fill(network, file, path, sha256, tensors)
    return network


def family_of(model: "Model") -> str:
    """The family whose plugin defines the class of ``model``."""
    if model.origin is not None:
        return model.origin.family
    module = type(model).__module__
    owners = [p.name for p in families.plugins() if p.value.partition(":")[0] == module]
    if len(owners) != 1:
        what = f"belongs to {' and '.join(owners)}" if owners else "comes from no installed plugin"
        raise BadInput(f"{type(model).__name__} {what}: give its family with family=")
    return owners[0]


def _manifest(
    model: "Model", family: str, files: Mapping[str, bytes], values: dict[str, Any]
) -> Manifest:
    """The manifest of ``model`` and its ``files``; ``values``: the other fields."""
    plugin = families.metadata(family)
    discriminator = files.get(DISCRIMINATOR)
    facts = {
        "family": family,
        "revision": families.get(family).revision,
        "plugin": plugin.package,
        "plugin_version": plugin.version,
        "config": model.config.model_dump(mode="json"),
        "kind": model.kind,
        "rate": model.rate if model.kind == "signals" else None,
        "class_names": [*map(schemas.name, model.class_names)],
        "weights_sha256": sha256_of(files[WEIGHTS]),
        "discriminator_sha256": discriminator and sha256_of(discriminator),
    }
    return checked(Manifest, {**values, **facts}, "the model's manifest")


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write ``files`` into ``folder``, aside first, in place of a model that is there."""
    check_free(folder, FILES, force)
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(f"cannot write {folder}: {error.strerror or error}") from error
    with whole_folder(folder, _replace_files) as aside:
        for name, content in files.items():
            with synced(aside / name) as file:
                file.write(content)


def _replace_files(aside: Path, folder: Path) -> None:
    """Move the files of ``aside`` into ``folder``; if that stops, the model there comes back.

    config.json goes first and comes last: where a process is killed meanwhile there is no model,
    never one of old and new files. A run's folder holds more than a model, so it stays.
    """
    folder.mkdir(exist_ok=True)
    new = sorted((path.name for path in aside.iterdir()), key=lambda name: name == CONFIG)
    (old := aside / "old").mkdir()
    try:
        _move(folder, old, FILES)
        _move(aside, folder, new)
    except BaseException:  # a signal, too
        _move(folder, aside, [name for name in new if not (aside / name).exists()])
        _move(old, folder, FILES[::-1])
        raise


def _move(source: Path, target: Path, names: Iterable[str]) -> None:
    """Move the files of these ``names`` that ``source`` has, in this order."""
    for name in names:
        if os.path.lexists(source / name):  # a link that leads nowhere, too
            (source / name).replace(target / name)


def _family(manifest: Manifest, folder: Path) -> families.Family:
    try:
        family = families.get(manifest.family)
    except UnknownName as error:
        missing = f"the family of the model {folder.name} is not installed: {error}"
        hint = "A family is a plugin, code that only you can choose to install: docs/plugins.md"
        raise UnknownName(f"{missing} {hint}") from None
    if manifest.revision > family.revision:
        raise InvalidModel(
            f"{folder}: it needs revision {manifest.revision} of {manifest.family}, "
            f"installed is {family.revision}: upgrade {families.metadata(manifest.family).package}"
        )
    return family


def _upgraded(
    family: families.Family, manifest: Manifest, file: BinaryIO, path: Path
) -> tuple[Any, Mapping[str, str]]:
    """The checked config; the old and the new name of each tensor of ``file`` that was renamed."""
    where = f"{path.with_name(CONFIG)}: config"
    options = manifest.recipe.options if manifest.recipe else {}
    try:
        old = manifest.revision < family.revision
        tensors = [*header_of(file, size_of(file), path)] if old else ()
        with others_code():
            new = family.upgraded(manifest.revision, manifest.config, options, tensors)
    except GenzooError:
        raise
    except Exception as error:
        reason = reason_of(error)[:200]
        what = f"revision {manifest.revision} of {manifest.family}"
        raise InvalidModel(f"{path.parent}: {what} cannot be upgraded: {reason}") from error
    return checked(family.config, new.config, where, InvalidModel), new.tensors


def _origin(manifest: Manifest) -> Any:
    from genzoo.models.origin import Origin

    return Origin(manifest.name, manifest.family, manifest.weights_sha256, version=manifest.version)
