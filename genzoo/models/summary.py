"""Summary: the layers of a network as a table, with output shapes and numbers of parameters."""

import copy
import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from genzoo.devices import usual_tensors
from genzoo.models.inference import largest_called
from genzoo.models.randomness import Noise
from genzoo.text import columns

Shape = tuple[int | None, ...]  # None: the number of samples, whatever it is
_N = 2  # samples of the batch that is tried
_LARGE = 50_000_000  # numbers of a network that is copied without them
_HEADS = ("layer", "type", "output", "parameters")


@final
@dataclass(frozen=True)
class Layer:
    """A layer of a network, or tensors that a module holds beside its layers.

    ``shape``: of its first output, None standing for the number of samples; None if the layer was
    not called. ``statistics``: numbers that no optimiser changes, like the running mean and
    variance of a batch norm.
    """

    name: str
    type: str
    shape: Shape | None
    parameters: int
    statistics: int

    @property
    def total(self) -> int:
        return self.parameters + self.statistics


@final
@dataclass(frozen=True, repr=False)
class Summary:
    """The layers of a network in the order of their definition; printed, it is a table."""

    title: str
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def statistics(self) -> int:
        return sum(layer.statistics for layer in self.layers)

    @property
    def total(self) -> int:
        """Parameters and statistics: the number that Keras gives."""
        return self.parameters + self.statistics

    def record(self) -> dict[str, Any]:
        """The table for JSON."""
        sums = {"parameters": self.parameters, "statistics": self.statistics, "total": self.total}
        return {"title": self.title, "layers": [vars(layer) for layer in self.layers], **sums}

    def __str__(self) -> str:
        *rows, last = columns([_HEADS, *self._rows()])
        return "\n".join([self.title, *rows, last, self._sums()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [_html_row("th", _HEADS), *(_html_row("td", row) for row in self._rows())]
        table = f"<table>{''.join(rows)}</table>"
        return f"<div><b>{html.escape(self.title)}</b>{table}{html.escape(self._sums())}</div>"

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """The cells of the table, the last column to the right."""
        wide = max(len(f"{self.total:,}"), len(_HEADS[-1]))
        rows = [(r.name, r.type, _text(r.shape), f"{r.total:,}".rjust(wide)) for r in self.layers]
        return [*rows, ("total", "", "", f"{self.total:,}".rjust(wide))]

    def _sums(self) -> str:
        others = f"{self.statistics:,} are running statistics and other buffers"
        return f"{self.parameters:,} are trained, {others}"


def _text(shape: Shape | None) -> str:
    if shape is None:
        return "-"
    return f"({', '.join('n' if side is None else str(side) for side in shape)})"


def _html_row(cell: str, texts: Sequence[str]) -> str:
    *left, last = (html.escape(text.strip()) for text in texts)
    cells = "".join(f'<{cell} style="text-align:left">{text}</{cell}>' for text in left)
    return f'<tr>{cells}<{cell} style="text-align:right">{last}</{cell}></tr>'


# ------------------------------------------------------------------------------------------ reading


def of_model(model: Any, title: str) -> Summary:
    """The layers of a `genzoo.Model`, whose methods are called until all layers have an output."""
    return _summary(model, title, partial(_calls, tuple(model.shape)))


def of_discriminator(network: Any, title: str, shape: Sequence[int], classes: int) -> Summary:
    """The layers of a `genzoo.Discriminator` of samples of this ``shape``."""
    return _summary(network, title, partial(_judgements, tuple(shape), classes))


_Calls = Callable[[Any, torch.device], Iterator[Callable[[], Any]]]


def _summary(network: nn.Module, title: str, calls: _Calls) -> Summary:
    """The network itself is neither called nor changed: a copy is."""
    leaves = {name: part for name, part in network.named_modules() if name and _is_layer(part)}
    layers = {n: part for n, part in leaves.items() if not any(_is_inside(n, o) for o in leaves)}
    shapes: dict[str, Shape] = {}
    # On meta a copy takes no memory and no time, but torch imports its compiler, which takes both.
    is_large = sum(t.numel() for t in _tensors(network)) > _LARGE
    for on_meta in (True, False) if is_large else (False,):
        if layers.keys() - shapes.keys():
            shapes = {**_shapes(_copy(network, on_meta), [*layers], calls), **shapes}
    rows = _rows_of(network, layers, shapes)
    return Summary(title, tuple(rows))


def _is_layer(module: nn.Module) -> bool:
    """Whether a module holds no others, but for those that compute its weights."""
    return is_parametrized(module) or not any(True for _ in module.children())


def _is_inside(name: str, other: str) -> bool:
    return name.startswith(f"{other}.")


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _copy(network: nn.Module, on_meta: bool) -> nn.Module:
    """A copy for one pass: in evaluation mode, without the hooks of others. A network that is on
    meta has no numbers; its copy elsewhere gets zeros.
    """
    memo: dict[int, Any] = {}
    for tensor in _tensors(network):
        if on_meta or tensor.is_meta:
            place = "meta" if on_meta else "cpu"
            blank = torch.zeros(tensor.shape, dtype=tensor.dtype, device=place)
            is_parameter = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(blank, tensor.requires_grad) if is_parameter else blank
    network = copy.deepcopy(network, memo).eval().float()
    for module in network.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return network


def _shapes(network: nn.Module, names: list[str], calls: _Calls) -> dict[str, Shape]:
    """The shape of the first output of each layer that one of ``calls`` reaches."""
    shapes: dict[str, Shape] = {}

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and name not in shapes:
            sides = tuple(output.shape)
            shapes[name] = (None, *sides[1:]) if sides[:1] == (_N,) else sides

    for name in names:
        network.get_submodule(name).register_forward_hook(partial(note, name))
    device = next((t.device for t in _tensors(network)), None)
    no_autocast = torch.autocast("cpu", enabled=False)
    with torch.no_grad(), no_autocast, usual_tensors():
        for call in calls(network, device or torch.device("cpu")):
            if len(shapes) == len(names):
                break
            try:
                call()
            except Exception:  # a family's code that needs numbers, or other inputs
                continue
    return shapes


def _calls(shape: tuple[int, ...], model: Any, device: torch.device) -> Iterator[Callable[[], Any]]:
    """The methods of a model that a family writes, cheap ones first."""
    x = torch.zeros((_N, *shape), device=device)
    labels = model.labels_for(None, _N) if hasattr(model, "labels_for") else None
    noise = Noise(0, range(_N), device=device)
    sampling: Any = getattr(model, "sampling", dict)()
    if hasattr(model, "decode_with"):
        yield lambda: model.decode_with(model.draw_code(noise, sampling), labels, noise, sampling)
    if hasattr(model, "embed"):
        yield lambda: model.embed(x)
    if hasattr(model, "log_weight"):
        yield lambda: model.log_weight(x, labels, noise)
    for to in getattr(model, "targets", ()):
        yield partial(model.convert_any_size, x, to, noise)
    if hasattr(model, "attend"):
        yield lambda: model.attend(noise, labels, sampling)
    if hasattr(model, "generate"):
        yield lambda: model.generate(noise, labels, sampling)


def _judgements(
    shape: tuple[int, ...], classes: int, network: Any, device: torch.device
) -> Iterator[Callable[[], Any]]:
    x = torch.zeros((_N, *shape), device=device)
    labels = torch.arange(_N, device=device) % classes if classes else None
    yield lambda: network(x, labels)
    for part in largest_called(network):  # a second network, for another domain
        yield partial(part, x)


def _rows_of(
    network: nn.Module, layers: dict[str, nn.Module], shapes: dict[str, Shape]
) -> Iterator[Layer]:
    """A row for each layer and for each tensor beside them; shared tensors count once."""
    seen: set[int] = set()
    for name, module in network.named_modules():
        if name in layers:
            kind = type(module).__name__.removeprefix("Parametrized")
            tensors = _own_tensors(module, whole=True)
            yield _layer(name, kind, shapes.get(name), [t for _, t in tensors], seen)
        elif not any(_is_inside(name, layer) for layer in layers):
            for own, tensor in _own_tensors(module, whole=False):
                path, shape = f"{name}.{own}".lstrip("."), tuple(tensor.shape)
                yield _layer(path, type(tensor).__name__, shape, [tensor], seen)


def _own_tensors(module: nn.Module, whole: bool) -> list[tuple[str, Tensor]]:
    """The parameters and the statistics of a module: of its parts too, if ``whole``."""
    kept = module.state_dict(keep_vars=True)
    return [
        (name, tensor)
        for name, tensor in kept.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and (whole or "." not in name)
    ]


def _layer(
    name: str, kind: str, shape: Shape | None, tensors: Sequence[Tensor], seen: set[int]
) -> Layer:
    new = {id(t): t for t in tensors if id(t) not in seen}
    seen |= new.keys()
    trained = sum(t.numel() for t in new.values() if isinstance(t, nn.Parameter))
    return Layer(name, kind, shape, trained, sum(t.numel() for t in new.values()) - trained)
