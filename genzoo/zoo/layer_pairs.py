"""Two networks of the same layers under other names: which tensor of one is which of the other."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from genzoo.errors import BadInput
from genzoo.families.adopted import Adopted, Shapes

if TYPE_CHECKING:
    from torch import Tensor, nn

# The last part of a tensor's name, with what torch's parametrisations put in front.
_LEAF = re.compile(r"(?:parametrizations\.\w+\.(?:original\d?|\d+\.\w+)|[^.]+)$")
_ORIGINAL, _U, _V = (f"parametrizations.weight.{part}" for part in ("original", "0._u", "0._v"))
# Spectral norm as torch had it before parametrisations. Norms as other projects name them, which
# also store a spectral norm as weight and u0, its left vector.
_ALIASES = {"weight_orig": _ORIGINAL, "weight_u": _U, "weight_v": _V}
_ALIASES |= {"stored_mean": "running_mean", "stored_var": "running_var", "gain": "weight"}
_COUNT, _BIAS = "num_batches_tracked", "bias"
# The tensors of a layer: last part of the name -> whole names, with their shapes.
Layer = dict[str, tuple[tuple[str, ...], tuple[int, ...]]]


class Misfit(Exception):
    """Why a network is not one of a family; ``matched``: how many of its tensors fit before."""

    def __init__(self, reason: str, matched: int = 0):
        super().__init__(reason)
        self.matched = matched


@final
@dataclass(frozen=True)
class Paired:
    """``names``: tensor of the family's -> those of the file, joined; () for one that is 0."""

    names: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def fill(self, network: "nn.Module", tensors: Mapping[str, "Tensor"]) -> None:
        """Write ``tensors`` into ``network``. Raises BadInput for values that are not finite."""
        import torch

        state = network.state_dict()
        for own, theirs in self.names.items():
            if not theirs:
                state[own].zero_()
                continue
            parts = [tensors[name] for name in theirs]
            if any(part.is_floating_point() != state[own].is_floating_point() for part in parts):
                kind = str(parts[0].dtype).removeprefix("torch.")
                raise BadInput(f"{theirs[0]} holds values of type {kind}, which are no weights")
            values = [part.to(state[own].dtype) for part in parts]
            value = torch.cat(values) if values[1:] else values[0]
            if not torch.isfinite(value).all():
                raise BadInput(
                    f"{theirs[0]} holds values that are not finite: take an earlier file"
                )
            state[own].copy_(value.reshape_as(state[own]))
        _find_vectors(state, [own for own, theirs in self.names.items() if not theirs])
        network.load_state_dict(state)


def _find_vectors(state: "dict[str, Tensor]", absent: list[str]) -> None:
    """The right singular vectors of spectral norms whose files have left ones alone: one step of
    the power iteration, as their code does whenever it uses a weight.
    """
    from torch.nn.functional import normalize

    for right in (name for name in absent if name.endswith(_V)):
        layer = right.removesuffix(_V)
        weight = state[layer + _ORIGINAL].flatten(1)
        state[right].copy_(normalize(weight.T @ state[layer + _U], dim=0))
        state[layer + _U].copy_(normalize(weight @ state[right], dim=0))


def pair(own: Shapes, theirs: Shapes, adopted: Adopted) -> Paired:
    """Pair the tensors of the family's network with those of the file. Raises Misfit."""
    left = {name: shape for name, shape in own.items() if name not in adopted.kept}
    ranks = {name: _rank(name, adopted.order) for name in theirs}
    read = [name for name in theirs if name.rpartition(".")[2] not in adopted.unused]
    used = {name: theirs[name] for name in sorted(read, key=lambda name: ranks[name])}
    mine = _layers(left)
    others = _joined(_in_order(_layers(used), mine, adopted.layers), mine, adopted)
    names: dict[str, tuple[str, ...]] = {}
    for (layer, tensors), (other, found) in zip(mine.items(), others.items(), strict=False):
        names |= _pair_layer(layer, tensors, other, found, len(names))
    extra, missing = [*others][len(mine) :], [*mine][len(others) :]
    if extra:
        tensor = next(iter(others[extra[0]].values()))[0][0]
        raise Misfit(f"{_count(extra, 'layer')} too many, the first is {tensor[:80]}", len(names))
    if missing:
        raise Misfit(f"lacks {_count(missing, 'layer')}, the first like {missing[0]}", len(names))
    return Paired(names, _notes(names, len(theirs) - len(used), adopted))


def _rank(name: str, order: tuple[str, ...]) -> int:
    """Which of the beginnings ``name`` has; their number if it has none."""
    return next((i for i, start in enumerate(order) if name.startswith(start)), len(order))


def _layers(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Layer]:
    """The tensors of each layer, in order."""
    layers: dict[str, Layer] = {}
    for name, shape in shapes.items():
        found = _LEAF.search(name)
        leaf = found[0] if found else name
        layer = name.removesuffix(leaf).rstrip(".")
        layers.setdefault(layer, {})[_ALIASES.get(leaf, leaf)] = (name,), shape
    for tensors in layers.values():
        if "u0" in tensors and "weight" in tensors:
            tensors[_ORIGINAL], (names, sides) = tensors.pop("weight"), tensors.pop("u0")
            tensors[_U] = names, sides[1:]
    return layers


def _in_order(
    others: dict[str, Layer], mine: Mapping[str, Layer], names: Mapping[str, str]
) -> dict[str, Layer]:
    """The layers of the file in the order of the family's, if ``names`` say it. Raises Misfit."""
    if not names:
        return others
    if lacking := [own for own in mine if names.get(own) not in others]:
        raise Misfit(f"lacks the layer {names.get(lacking[0], lacking[0])}")
    first = {names[own]: others[names[own]] for own in mine}
    return first | others


def _joined(
    others: dict[str, Layer], mine: Mapping[str, Layer], adopted: Adopted
) -> dict[str, Layer]:
    """The layers of the file, those that are one layer of the family's as one. Raises Misfit."""
    for own, parts in adopted.joined.items():
        if own not in mine or not {*parts} <= {*others}:
            raise Misfit(f"lacks one of the layers {', '.join(parts)}")
        first, *rest = (others[part] for part in parts)
        for leaf, (names, (length, *sides)) in first.items():
            for other in rest:
                more, (longer, *others_sides) = other.get(leaf, ((), (0,)))
                if others_sides != sides:
                    raise Misfit(f"{names[0]} and the {leaf} of {parts[-1]} differ in shape")
                names, length = (*names, *more), length + longer
            first[leaf] = names, (length, *sides)
        others = {key: layer for key, layer in others.items() if key not in parts[1:]}
    return others


def _pair_layer(
    layer: str, tensors: Layer, other: str, found: Layer, before: int
) -> dict[str, tuple[str, ...]]:
    """The tensors of one layer: own name -> names in the file. Raises Misfit."""
    names: dict[str, tuple[str, ...]] = {}
    if reason := _other_kind(layer, tensors, other, found):
        raise Misfit(reason, before)
    for leaf, ((own,), shape) in tensors.items():
        theirs, got = found.get(leaf, ((), None))
        if got is not None and got != shape:
            hint = ": transposed" if got == shape[::-1] or got[:2] == shape[1::-1] else ""
            what = f"{theirs[0][:80]} is {got}, expected {shape} as {own}{hint}"
            raise Misfit(what, before + len(names))
        is_found = leaf == _V and _U in found
        if got is None and leaf not in (_BIAS, _COUNT) and not is_found:
            raise Misfit(f"{other[:80]} lacks the {leaf} of {layer}", before + len(names))
        names[own] = theirs
    for leaf, (theirs, _) in found.items():
        if leaf not in tensors and leaf != _COUNT:
            raise Misfit(f"{theirs[0][:80]} has no place: not in {layer}", before + len(names))
    return names


def _other_kind(layer: str, tensors: Layer, other: str, found: Layer) -> str:
    """What two layers of different kinds are, in words; "" if the kinds agree, or are not known."""
    if (_ORIGINAL in found) != (_ORIGINAL in tensors):
        has, lacks = (other, layer) if _ORIGINAL in found else (layer, other)
        return f"{has[:80]} has a spectral norm, and {lacks[:80]} has none"
    sides, expected = (len(one["weight"][1]) if "weight" in one else 0 for one in (found, tensors))
    if sides == 1 and expected > 2:
        norm = "a batch norm, or an instance norm with weights"
        return f"{other[:80]} is {norm}: expected none before {layer}"
    if expected == 1 and sides > 2:
        return f"{other[:80]} is no norm: expected one with weights here, as {layer}"
    return ""


def _notes(names: Mapping[str, tuple[str, ...]], unused: int, adopted: Adopted) -> tuple[str, ...]:
    """What was added and what was left out, in words."""
    zero = [own for own, theirs in names.items() if not theirs and own.endswith(_BIAS)]
    verb = "is" if zero[:1] == zero else "are"
    notes = [f"{_count(zero, 'bias', 'biases')} {verb} not in the file: set to 0"] if zero else []
    if unused:
        kinds = ", ".join(adopted.unused)
        notes.append(f"{unused} tensors left out, which their own code does not read: {kinds}")
    return (*notes,)


def _count(things: Any, one: str, several: str = "") -> str:
    n = len(things)
    return f"{n} {one if n == 1 else several or one + 's'}"
