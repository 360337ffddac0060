"""Which models and data a comparison takes, and where its result goes. No torch."""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

from genzoo import families
from genzoo.data import catalogue, register
from genzoo.data.arrays import source_of
from genzoo.errors import BadInput, DataMissing, GenzooError, argument, article
from genzoo.files import check_free, check_new, is_folder
from genzoo.zoo import installed, names
from genzoo.zoo import manifest as manifests

FILES = ("compare.html", "compare.png", "compare.json")
ENDINGS = tuple(Path(name).suffix for name in FILES)
PICTURES = (".jpg", ".jpeg", ".webp", ".pdf", ".svg", ".gif")  # that it has not
UNKNOWN = "unknown data"  # that the card of a model names, and this machine does not have


def check_target(path: Path, force: bool) -> None:
    """Check that a comparison can be written into the folder ``path``, or to the one file that it
    names. Raises BadInput.
    """
    if path.suffix.lower() in (*ENDINGS, *PICTURES):
        check_new(path, ENDINGS, force)
        return
    check_free(path, FILES, force)
    nearest = next(p for p in (path, *path.resolve().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise BadInput(f"cannot write into {nearest}: choose another folder with -o")


def choose_models(
    models: Sequence[str | Path], data: Any = None, *, any_data: bool = False
) -> tuple[dict[str, Path], Any, str]:
    """The folder of each model, the data set to compare them on, and the reason for that one.

    ``any_data``: the user chose metrics or features, so the data need no classifier. Raises
    BadInput, UnknownName.
    """
    if len(models) < 2:
        raise BadInput(f"a comparison needs two models or more, got {len(models)}")
    data = None if data is None else source_of(data)
    options = {str(name): _folders_of(name) for name in models}
    if data is not None and not any_data and not _has_features(data):
        text = f"no classifier for {register.label(data)!r}: {_advice(options)}"
        raise BadInput(installed.hint(text))
    trained_on = {on for folders in options.values() for on in folders}
    usable = [on for on in sorted(trained_on - {UNKNOWN}) if any_data or _has_features(on)]
    reason = f"given with {argument('data')}"
    if data is None:
        data, reason = _common_data(options, usable)
    folders: dict[str, Path] = {}
    for name in models:
        on = options[str(name)]
        if data not in on and name in families.names():
            have = ", ".join(on) or "none"
            raise BadInput(
                f"{name} has no model trained on {register.label(data)}, available: {have}"
            )
        folder = on[data] if data in on else next(iter(on.values()))
        if folder in folders.values():
            alias = "" if name == folder.name else f" is {folder.name}, which"
            raise BadInput(f"{name}{alias} is already in the comparison")
        folders[folder.name if folder.name not in folders else str(folder)] = folder
    _check_different(folders)
    return folders, data, reason


def _check_different(folders: dict[str, Path]) -> None:
    """Check that no two folders contain the same weights. Raises BadInput."""
    weights: dict[str, str] = {}
    for name, folder in folders.items():
        first = weights.setdefault(manifests.read_manifest(folder).weights_sha256, name)
        if first != name:
            raise BadInput(f"{name} and {first} have the same weights: they are one model")


def _folders_of(name: str | Path) -> dict[str, Path]:
    """The folders that ``name`` can mean, by the data set that they were trained on."""
    if not isinstance(name, str | Path):
        raise BadInput(
            f"a model must be a name, a family or a folder, got {article(name)}: save it with "
            f"genzoo.save and give the folder"
        )
    if not is_folder(name) and name in families.names():
        folders = {on: names.folder_of(card) for on, card in names.models_of(str(name)).items()}
        folders = {on: folder for on, folder in folders.items() if register.is_named(on)}
        return folders or {UNKNOWN: names.find(name)}  # find raises: it says how to train one
    folder, manifest = names.resolve(name)
    sha256 = manifest.recipe.data_sha256 if manifest.recipe else None
    try:
        place = register.training_data(manifest.name, manifest.data, sha256)
    except DataMissing:
        return {UNKNOWN: folder}
    return {place if isinstance(place, str) else place.data: folder}


def _common_data(options: dict[str, dict[str, Path]], usable: list[str]) -> tuple[str, str]:
    rank = {name: i for i, name in enumerate(installed.PREFERRED)}
    in_all = reduce(set.intersection, (set(on) for on in options.values()))
    common = sorted(in_all & set(usable), key=lambda d: (rank.get(d, len(rank)), d))
    if not common:
        shared = sorted(in_all - {UNKNOWN})  # without a classifier
        why = _no_classifier(shared[0]) if shared else _nothing_shared(options)
        raise BadInput(installed.hint(f"{why}{_advice(options)}"))
    named = [name for name in common[1:] if register.is_named(name)]
    others = f" (also possible with {argument('data')}: {' or '.join(named)})" if named else ""
    return common[0], f"the training data of all models{others}"


def _no_classifier(data: str) -> str:
    ways = f"features with {argument('features')}, or metrics that need none with "
    ways += f"{argument('metrics')}; or "
    return (
        f"no classifier for {register.label(data)!r}, on which all models were trained: name {ways}"
    )


def _nothing_shared(options: dict[str, dict[str, Path]]) -> str:
    trained_on = {name: " and ".join(map(register.label, on)) for name, on in options.items()}
    each = ", ".join(f"{name} on {on}" for name, on in trained_on.items())
    return f"the models share no known training data ({each}): "


def _has_features(data: Any) -> bool:
    """Whether the samples of ``data`` have features by default."""
    if data in [*installed.features()]:
        return True
    with suppress(GenzooError):  # not here: not a name, or a folder that is missing
        return catalogue.kind_of(data) != "images"
    return False


def _advice(options: dict[str, dict[str, Path]]) -> str:
    """What can be typed to compare the models all the same; ``options``: the folders of each."""
    from genzoo.features import classifiers

    models = []
    for on in options.values():
        with suppress(GenzooError):
            models.append(names.load(next(iter(on.values())), device="cpu"))
    kinds = sorted({model.kind for model in models})
    if len(kinds) > 1:
        return f"they are models of {' and '.join(kinds)}, which do not compare"
    if kinds == ["signals"]:
        return (
            f"give the data with {argument('data')}, a name or a folder of .wav files like ./FOLDER"
        )
    own = [name for name, source in catalogue.SOURCES.items() if source.kind in kinds]
    known = own if kinds == ["points"] else classifiers.names()
    fitting = [d for d in known if all(model.shape == _shape(d) for model in models)]
    if not fitting:
        return (
            f"no data set that is known fits all: give one with {argument('data')}, and features "
            f"with {argument('features', 'MODULE:OBJECT')}"
        )
    return f"choose the reference data with {argument('data')}: {' or '.join(fitting)}"


def _shape(data: str) -> tuple[int, ...]:
    """The shape of samples that the default features of ``data`` take."""
    from genzoo.features import classifiers

    if data in classifiers.names():
        return classifiers.shape_of(data)
    return catalogue.open(data, "test").shape
