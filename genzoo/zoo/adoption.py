"""adopt: weights that others trained as a model folder, if a family has their network."""

import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from genzoo import families, schemas
from genzoo.data import catalogue, register
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, GenzooError, OperationFailed, argument, article, similar
from genzoo.families.adopted import Adopted, Shapes
from genzoo.families.registry import others_code, reason_of
from genzoo.files import check_free, expanded, file_name
from genzoo.models.arguments import checked_arguments
from genzoo.models.checks import shape_text
from genzoo.schemas import checked
from genzoo.text import pairs
from genzoo.version import VERSION
from genzoo.zoo import card, folder
from genzoo.zoo.checkpoint_files import (
    CheckpointFile,
    Tensors,
    is_average,
    is_discriminator,
    read_checkpoint,
)
from genzoo.zoo.layer_pairs import Misfit, Paired, pair
from genzoo.zoo.manifest import FILES, AdoptedFile, Adoption
from genzoo.zoo.weights import on_meta

if TYPE_CHECKING:
    import torch
    from torch import nn

    from genzoo.data.dataset import DataSet, Source
    from genzoo.families.family import Family
    from genzoo.models.model import Model

log = logging.getLogger("genzoo")


@final
@dataclass(frozen=True)
class Network:
    """A network in a file, by its place in it; or two of two files, of which one follows the other.

    Then the names of their tensors begin with 0 and 1.
    """

    file: CheckpointFile
    label: str
    second: "Network | None" = None

    @property
    def parts(self) -> list["Network"]:
        return [Network(self.file, self.label), self.second] if self.second else [self]

    @property
    def tensors(self) -> Tensors:
        parts = [part.file.networks[part.label] for part in self.parts]
        if not parts[1:]:
            return parts[0]
        return {f"{i}.{name}": t for i, part in enumerate(parts) for name, t in part.items()}

    @property
    def shapes(self) -> Shapes:
        return Shapes(_shapes(self.tensors), len(self.parts))

    @property
    def records(self) -> list[AdoptedFile]:
        return [
            AdoptedFile(
                name=schemas.name(part.file.path.name),
                sha256=part.file.sha256,
                part=schemas.name(part.label),
            )
            for part in self.parts
        ]

    def __str__(self) -> str:
        return " and ".join(
            f"{part.file.path} ({part.label})" if part.label else str(part.file.path)
            for part in self.parts
        )


@final
@dataclass(frozen=True)
class Fit:
    """A network as a model of a family; ``passed``: those before it that do not fit, and why."""

    family: str
    network: Network
    adopted: Adopted
    config: Any
    paired: Paired
    passed: tuple[tuple[Network, Misfit], ...] = ()


@checked_arguments
@usual_torch()
def adopt(
    files: str | Path | Sequence[str | Path],
    *,
    as_family: str | None = None,
    part: str | None = None,
    data: str | Path | None = None,
    root: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    license: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
) -> "Model":
    """Weights that others trained, as a model, which is also written as a folder.

    ``files``: one file, or those of one training: a generator's and its discriminator's. They are
    read as plain tensors: nothing in them runs. ``as_family``: a family; None tries all. ``part``:
    which network of a file that holds several. ``data``: what it was trained on, as its card will
    say; a translator takes its examples from it, below ``root`` if it is a named set. ``settings``:
    fields of the family's config that names and shapes do not tell. ``out``: the folder; by default
    the first file's name.

    Raises BadInput or InvalidModel if a file cannot be read or fits no family, in one line that
    says why the nearest does not.
    """
    paths = [expanded(one) for one in ([files] if isinstance(files, str | Path) else files)]
    if not paths:
        raise BadInput("no file to adopt")
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise BadInput(f"{twice} is given twice")
    target = expanded(out) if out is not None else Path(file_name(paths[0].stem))
    check_free(target, FILES, force)
    if data is not None:
        catalogue.check(data)
    read = [*map(read_checkpoint, paths)]
    fit = find(read, as_family, part, settings or {})
    model = model_of(fit)
    critic, other, notes = _critic(fit, _networks(read))
    _check_used(paths, fit, other)
    notes = [*_averages_left_out(fit), *notes]
    facts: dict[str, Any] = {"terms": _describe(model, data, root), "license": license or "unknown"}
    adopted = Adoption(
        source=fit.adopted.source,
        tool=f"genzoo {VERSION}",
        files=(*fit.network.records, *(other.records if other else [])),
        notes=tuple(map(schemas.name, (*fit.paired.notes, *notes))),
    )
    facts["data"] = "" if data is None else register.label(data)
    own: dict[str, Any] = {"family": fit.family, "discriminator": critic, "adopted": adopted}
    folder.save(model, target, **facts, **own, force=force)
    card.complete(target)
    return folder.load_folder(target)


# --------------------------------------------------------------------------- which family fits


def find(
    read: Sequence[CheckpointFile],
    as_family: str | None = None,
    part: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Fit:
    """The network in the files that is one of a family, and how. Raises BadInput if none is."""
    _check_fields(as_family, settings)
    return _only_fit(_chosen(_networks(read), part), as_family, settings)


def _check_fields(as_family: str | None, settings: Mapping[str, Any]) -> None:
    """Check that a family that may be meant has each of the ``settings``. Raises BadInput."""
    able = _able() if as_family is None else [as_family]
    found = [family for name in able if (family := _family(name, as_family is not None))]
    known = sorted({field for family in found for field in family.config.model_fields})
    for key in settings:
        if key not in known:
            who = as_family or "no family that adopts"
            near = similar(key, known)
            hint = f": did you mean {near[0]}?" if near else ""
            raise BadInput(f"{who} has {'a' if as_family is None else 'no'} field {key!r}{hint}")


def _networks(read: Iterable[CheckpointFile]) -> list[Network]:
    return [Network(file, label) for file in read for label in file.networks]


def _chosen(networks: list[Network], part: str | None) -> list[Network]:
    """The networks to try: all, or the one of the user's choice. Raises BadInput."""
    if part is None:
        return networks
    if found := [network for network in networks if network.label == part]:
        return found
    known = [network.label for network in networks if network.label]
    near = similar(part, known)
    available = f"available: {', '.join(known)[:200]}" if known else "it is one network"
    hint = f"did you mean {near[0]}?" if near else available
    raise BadInput(f"{networks[0].file.path} has no network {part!r}: {hint}")


def _only_fit(networks: list[Network], as_family: str | None, settings: Mapping[str, Any]) -> Fit:
    """The family that fits, and how. Raises BadInput if none does, or several."""
    names = [as_family] if as_family is not None else families.names()
    both = _both(networks)
    fits, misfits = list[Fit](), list[tuple[str, Network, Misfit]]()
    for name in names:
        if (family := _family(name, as_family is not None)) is None:
            continue
        passed = list[tuple[Network, Misfit]]()
        for network in [*both, *networks]:
            result = _fit(name, family, network, settings)
            if isinstance(result, Fit):
                fits.append(replace(result, passed=tuple(passed)))
                break
            passed += [(network, result)] * (network not in both)
        else:
            misfits += [(name, *one) for one in passed]
    if len(fits) > 1:
        ways = " or ".join(argument("as_family", fit.family) for fit in fits)
        raise BadInput(f"{fits[0].network} fits {len(fits)} families: choose with {ways}")
    if fits:
        return fits[0]
    _check_settings(misfits, settings)
    name, network, nearest = max(misfits, key=lambda one: one[2].matched)
    if all(map(_judges, networks)):
        hint = "give the generator's file first, and then this one"
        raise BadInput(f"{networks[0]} looks like a discriminator, which draws nothing: {hint}")
    if as_family is not None:
        raise BadInput(f"{network} is no {name} that genzoo reads: {nearest}")
    if nearest.matched:
        raise BadInput(f"{network} fits no family; the nearest is {name}: {nearest}")
    first, shape = next(iter(network.shapes.items()))
    tried = ", ".join(dict.fromkeys(one[0] for one in misfits))
    raise BadInput(
        f"{network} fits no family: its first tensor is {first[:80]}, {shape_text(shape)}; "
        f"tried {tried}"
    )


def _judges(network: Network) -> bool:
    """Whether layers of more and more units, or maps, end in a single one."""
    sides = [shape for shape in network.shapes.values() if len(shape) in (2, 4)]
    if len(sides) < 2 or sides[-1][0] != 1:
        return False
    maps = [shape[0] for shape in sides[:-1] if len(shape) == 4]
    return maps == sorted(maps) and len({len(shape) for shape in sides[:-1]}) == 1


def _check_settings(
    misfits: Iterable[tuple[str, Network, Misfit]], settings: Mapping[str, Any]
) -> None:
    """Raise BadInput if a network fits a family but for one of the ``settings``, or all."""
    fewer = [{k: v for k, v in settings.items() if k != key} for key in settings]
    for name, network, misfit in misfits if settings else ():
        family = _family(name, needed=True)
        assert family is not None
        for less in [*fewer, {}]:
            if isinstance(_fit(name, family, network, less), Fit):
                values = pairs({k: v for k, v in settings.items() if k not in less})
                raise BadInput(f"{network} fits {name}, but not with {values}: {misfit}")


def _both(networks: list[Network]) -> list[Network]:
    """The first network of each of two files as one, in the files' order."""
    first = {network.file.path: network for network in reversed(networks)}
    one, *others = reversed(first.values())
    return [Network(one.file, one.label, others[0])] if len(others) == 1 else []


def _family(name: str, needed: bool) -> "Family | None":
    """The family ``name``, if it adopts; None where it does not and is not ``needed``."""
    try:
        family = families.get(name)
    except GenzooError:
        if needed:
            raise
        return None  # a broken plugin must not keep others from being tried
    if family.adopt is None and needed:
        able = ", ".join(_able())
        raise BadInput(f"{name} adopts no weights of others. Families that do: {able}")
    return family if family.adopt else None


def _able() -> list[str]:
    return [name for name in families.names() if _family(name, False)]


def _fit(
    name: str, family: "Family", network: Network, settings: Mapping[str, Any]
) -> Fit | Misfit:
    """How a network fits a family, or why it does not."""
    assert family.adopt is not None
    try:
        with others_code():
            adopted = family.adopt(network.shapes)
            if not isinstance(adopted, Adopted):
                got = article(adopted)
                raise OperationFailed(f"its adopt must return a genzoo.Adopted, got {got}")
    except GenzooError as error:
        return Misfit(str(error))
    except Exception as error:  # of shapes that the family did not expect
        log.debug("%s: %s", name, reason_of(error))
        return Misfit("its tensors are laid out in another way")
    values = {**adopted.config, **settings}
    if unknown := [key for key, value in values.items() if value is None]:
        hint = argument("settings", {unknown[0]: "VALUE"})
        return Misfit(f"the file does not tell its {unknown[0]}: give {hint}", 1)
    try:
        config = checked(family.config, values, name)
        own = _shapes(on_meta(lambda: family.model(config), Path(name)).state_dict())
    except GenzooError as error:
        return Misfit(str(error).removeprefix(f"{name}: "))
    try:
        return Fit(name, network, adopted, config, pair(own, network.shapes, adopted))
    except Misfit as misfit:
        return Misfit(str(misfit), misfit.matched + 1)


def _shapes(tensors: Mapping[str, "torch.Tensor"]) -> Shapes:
    return Shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})


# ------------------------------------------------------------------------------ the networks


def model_of(fit: Fit) -> "Model":
    """The model of the family with the weights of the file."""
    model: Model = _filled(families.get(fit.family).model, fit.config, fit.paired, fit.network)
    return model


def _filled(build: Any, config: Any, paired: Paired, network: Network) -> Any:
    """The network that ``build`` makes of ``config``, with the weights of the file."""
    built = _built(build, config)
    try:
        paired.fill(built, network.tensors)
    except BadInput as error:
        raise BadInput(f"{network}: {error}") from None
    return built.eval()


def _built(build: Any, config: Any) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]), others_code():
        torch.manual_seed(0)
        return build(config)


def _critic(
    fit: Fit, networks: list[Network]
) -> tuple["nn.Module | None", Network | None, list[str]]:
    """The discriminator, the network that it is, and notes on it.

    Of the model's own file only a network that is called so can be one; a further file must be one.
    Raises BadInput if it is not.
    """
    used = [(part.file.path, part.label) for part in fit.network.parts]
    files = [path for path, _ in used]
    inside = [n for n in networks if n.file.path in files and (n.file.path, n.label) not in used]
    others = [n for n in networks if n.file.path not in files]
    candidates = others or [n for n in inside if is_discriminator(n.label)]
    if not candidates:
        return None, None, []
    build = families.get(fit.family).discriminator
    reason = f"{fit.family} reads none of {fit.adopted.source}"
    if fit.adopted.discriminator and build is not None:
        shapes = _shapes(on_meta(lambda: build(fit.config), Path(fit.family)).state_dict())
        for network in candidates:
            try:
                paired = pair(shapes, network.shapes, Adopted(source="", config={}))
            except Misfit as misfit:
                reason = str(misfit)
                continue
            notes = [f"discriminator: {note}" for note in paired.notes]
            return _filled(build, fit.config, paired, network), network, notes
    if others:
        raise BadInput(f"{others[0]} is not the discriminator of this {fit.family}: {reason}")
    return None, None, [f"left out: {candidates[0].label}, its discriminator: {reason}"]


def _check_used(paths: Iterable[Path], fit: Fit, critic: Network | None) -> None:
    """Check that each file is of use. Raises BadInput."""
    used = [part.file.path for part in (*fit.network.parts, *(critic.parts if critic else ()))]
    if idle := next((path for path in paths if path not in used), None):
        roles = f"the {fit.family} is of {fit.network}, its discriminator of {critic}"
        raise BadInput(f"{idle} is used for nothing: {roles}; leave it out")


def _averages_left_out(fit: Fit) -> list[str]:
    """The averaged copies in the model's own file that do not fit, and why."""
    files = [part.file.path for part in fit.network.parts]
    return [
        f"left out: {network.label}, an averaged copy: {misfit}"
        for network, misfit in fit.passed
        if network.file.path in files and is_average(network.label)
    ]


# ------------------------------------------------------------------------------- its data


def _describe(model: "Model", data: str | Path | None, root: str | Path | None) -> str:
    """Give the model the names of its classes and its examples; the terms of its data.

    Raises BadInput for a translator without data: it has no other input to draw samples of.
    """
    from genzoo.models.abilities import Translator

    if isinstance(model, Translator):
        if data is None:
            hint = argument("data", "FOLDER")
            raise BadInput(f"a translator keeps images to translate: give some with {hint}")
        return _take_examples(model, data, root)
    if data is None or len(sources := _sources(data)) != 1:
        return ""
    if len(sources[0].classes) == getattr(model, "num_classes", 0):
        model.class_names = sources[0].classes
    return sources[0].terms


def _sources(data: str | Path) -> "list[Source]":
    """The named data sets in ``data``; of folders none."""
    found = []
    for name in [] if isinstance(data, Path) else data.split(","):
        with contextlib.suppress(GenzooError):  # a folder
            found.append(catalogue.describe(name.strip().partition("@")[0].partition(":")[0]))
    return found


def _take_examples(model: Any, data: str | Path, root: str | Path | None) -> str:
    """Store images of ``data`` with a translator, in the size of its config; the terms of them."""
    import numpy as np
    import torch

    for source in _sources(data):
        if source.kind != "images":
            raise BadInput(f"{source.name} holds {source.kind}; a translator needs images")
    channels, height, width = model.shape
    opened: DataSet = catalogue.open(
        data, "train", size=(width, height), channels=channels, root=root
    )
    rows = np.resize(np.arange(len(opened)), len(model.examples))
    model.examples.copy_(torch.from_numpy(opened.array[rows]))
    return opened.terms
