"""Which network in the files of others a family has, and how it becomes that family's model."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from genzoo import families, schemas
from genzoo.errors import BadInput, GenzooError, OperationFailed, argument, article, similar
from genzoo.families.adopted import Adopted, Shapes
from genzoo.families.registry import others_code, reason_of
from genzoo.models.checks import shape_text
from genzoo.schemas import checked
from genzoo.text import pairs
from genzoo.zoo.checkpoint_files import CheckpointFile, Tensors
from genzoo.zoo.layer_pairs import Misfit, Paired, pair
from genzoo.zoo.manifest import AdoptedFile
from genzoo.zoo.weights import on_meta

if TYPE_CHECKING:
    import torch

    from genzoo.families.family import Family

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
        return Shapes(shapes_of(self.tensors), len(self.parts))

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


def find(
    read: Sequence[CheckpointFile],
    as_family: str | None = None,
    part: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Fit:
    """The network in the files that is one of a family, and how. Raises BadInput if none is."""
    _check_fields(as_family, settings)
    return _only_fit(_chosen(networks_of(read), part), as_family, settings)


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


def networks_of(read: Iterable[CheckpointFile]) -> list[Network]:
    """Each network in the files."""
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
    raise _nearest(networks, as_family, misfits)


def _nearest(
    networks: list[Network], as_family: str | None, misfits: list[tuple[str, Network, Misfit]]
) -> BadInput:
    """What is wrong where no family fits: why the nearest does not."""
    name, network, nearest = max(misfits, key=lambda one: one[2].matched)
    if all(map(_judges, networks)):
        hint = "give the generator's file first, and then this one"
        return BadInput(f"{networks[0]} looks like a discriminator, which draws nothing: {hint}")
    if as_family is not None:
        return BadInput(f"{network} is no {name} that genzoo reads: {nearest}")
    if nearest.matched:
        return BadInput(f"{network} fits no family; the nearest is {name}: {nearest}")
    first, shape = next(iter(network.shapes.items()))
    tried = ", ".join(dict.fromkeys(one[0] for one in misfits))
    return BadInput(
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
        own = shapes_of(on_meta(lambda: family.model(config), Path(name)).state_dict())
    except GenzooError as error:
        return Misfit(str(error).removeprefix(f"{name}: "))
    try:
        return Fit(name, network, adopted, config, pair(own, network.shapes, adopted))
    except Misfit as misfit:
        return Misfit(str(misfit), misfit.matched + 1)


def shapes_of(tensors: Mapping[str, "torch.Tensor"]) -> Shapes:
    """The shape of each tensor, in their order."""
    return Shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
