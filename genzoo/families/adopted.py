"""Adopted: how a family takes the weights of a public network, by names and shapes alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from genzoo.errors import BadInput


@final
class Shapes(dict[str, tuple[int, ...]]):
    """Name -> shape of each tensor of a network, in its own order; or of two ``networks`` of two
    files, one after the other.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], networks: int = 1):
        super().__init__(shapes)
        self.networks = networks

    def convolutions(self, least: int) -> list[tuple[int, ...]]:
        """The shapes of all kernels with four sides. Raises BadInput if they are fewer."""
        return self._weights(4, "convolutions", least)

    def dense(self, least: int) -> list[tuple[int, ...]]:
        """The shapes of all weights with two sides. Raises BadInput if they are fewer."""
        return self._weights(2, "dense layers", least)

    def layer(self, name: str) -> tuple[int, ...]:
        """The shape of the weight of the layer ``name``. Raises BadInput if there is none."""
        if (shape := self.get(f"{name}.weight")) is None:
            raise BadInput(f"expected a layer {name}")
        return shape

    def _weights(self, sides: int, kind: str, least: int) -> list[tuple[int, ...]]:
        found = [shape for shape in self.values() if len(shape) == sides]
        if len(found) < least:
            raise BadInput(f"expected {least} {kind} or more, got {len(found)}")
        return found


@final
@dataclass(frozen=True, kw_only=True)
class Adopted:
    """A network of others as a model of a family: its config, and which tensor becomes which.

    The core pairs the layers of both networks in their order, and the tensors of two layers by the
    last part of their names. Shapes must agree. A bias that the public network lacks is 0, as is a
    count of batches. The other fields say what order alone does not.

    ``layers``: a layer of the family's -> that of the file, where the orders differ; then of all.
    ``source``: the project, and what is adopted of it. ``config``: the fields of the family's
    config; None for one that the file does not tell, which the user must give. ``kept``: tensors of
    the family's network that stay as they are built. ``joined``: a layer of the family's -> the
    layers whose outputs it has, one after the other. ``order``: beginnings of names: layers of the
    file that begin with the first go first, and so on. ``unused``: last parts of the names of
    tensors that the project itself does not read, such as ``running_mean``. ``discriminator``:
    whether the family's discriminator is the project's, layer by layer.
    """

    source: str
    config: dict[str, Any]
    kept: tuple[str, ...] = ()
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    layers: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    discriminator: bool = False


Adopt = Callable[[Shapes], Adopted]
