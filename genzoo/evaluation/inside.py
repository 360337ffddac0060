"""What a network sees: the filters of its first layer, and the maps of each layer for one image."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from genzoo.devices import usual_torch
from genzoo.evaluation import representations
from genzoo.features import classifiers
from genzoo.files import check_ending, expanded, write_whole
from genzoo.models.arguments import checked_arguments
from genzoo.models.captions import PALE, PAPER, Captions, captioned, font
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Discriminator, Model, finite_input
from genzoo.models.picture_files import REAL, Pictured, encode
from genzoo.models.pictures import WIDTH
from genzoo.models.samples import Images

SHOWN = 12  # layers of a repr
ACROSS, GAP, BAND = 10, 4, 16  # maps of a layer that are shown; pixels between and below them
ROOM = (WIDTH - 200) / ACROSS  # pixels of a map, at least: 200 are for names and gaps
HOW = (
    "Of each layer, the maps that vary most over the image, each from its lowest value (black) to "
    "its highest (white). Below a map: its number in the layer, from 0."
)


@final
@dataclass(frozen=True, eq=False)
class Inside(Pictured):
    """The inside of the network ``name`` for one ``image`` ``(C, H, W)`` in [0, 1].

    ``filters``: the weights of the first layer, ``(k, C, h, w)``; None if they are no pictures.
    ``layers``: of each layer, from the input up, its maps ``(c, h, w)``, or numbers ``(c,)``.
    """

    name: str
    image: Tensor
    filters: Tensor | None
    layers: tuple[Tensor, ...]
    file: str = ""
    """of the image, if it was one"""

    def __repr__(self) -> str:
        layers = ", ".join("x".join(map(str, layer.shape)) for layer in self.layers[:SHOWN])
        more = ", ..." if len(self.layers) > SHOWN else ""
        return f"<Inside of {self.name}, {len(self.layers)} layers: {layers}{more}>"

    def record(self) -> dict[str, Any]:
        """For JSON: the shapes."""
        filters = None if self.filters is None else list(self.filters.shape)
        layers = [list(layer.shape) for layer in self.layers]
        return {"network": self.name, "file": self.file, "filters": filters, "layers": layers}

    def picture(self, scale: int | None = None) -> Image.Image:
        """A row for the image, one for the filters, and one for each layer: the ten maps that vary
        most, each from black to white, with their numbers; above a map of the first layer, its
        filter. Raises BadInput.

        ``scale``: by how much each pixel of the image is enlarged; without it the picture becomes
        about 800 pixels wide.
        """
        side = self.image.shape[1] * (scale or max(1, math.ceil(ROOM / self.image.shape[1])))
        first = _varying(self.layers[0]) if self.layers and self.layers[0].ndim == 3 else None
        rows = [_Row("the image", [_colours(self.image)])]
        if self.filters is not None:
            aligned = first is not None and len(self.filters) == len(self.layers[0])
            order = first if aligned and first is not None else _strongest(self.filters)
            cells = [_weights(self.filters[i]) for i in order]
            sides = "x".join(map(str, self.filters.shape[2:]))
            rows.append(_Row(f"{_part(self.filters)} filters\nof {sides}", cells, order))
        rows += [_layer_row(maps, number) for number, maps in enumerate(self.layers, 1)]
        captions = Captions(f"what {self.name} sees", [row.name for row in rows], foot=HOW)
        return captioned([row.drawn(side) for row in rows], captions, 1)

    def save(self, path: str | Path, scale: int | None = None) -> Path:
        """Write the picture as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``. Raises BadInput."""
        path = check_ending(expanded(path), PICTURES)
        comment = f"Weights of {self.name}, and its maps of one image"
        picture = self.picture(scale)
        write_whole(path, encode(picture, path.suffix.lower(), xmp=REAL, comment=comment))
        return path


@checked_arguments
@usual_torch()
def look_inside(
    model: str | Path | Model,
    image: Any,
    *,
    device: "str | torch.device" = "auto",
) -> Inside:
    """The first layer's filters, and the maps of each layer for ``image``, as `extract_features`
    takes it; of several the first.

    Of a model's discriminator, else of its encoder, or of a classifier that genzoo ships: ``mnist``
    and others. Raises BadInput, and as ``load``.
    """
    given = representations.given_images(model, image, device)
    name, network, run, x, shown = _opened(model, given.values, device)
    with torch.no_grad(), _recorded(network) as calls:
        features = run(x)
    outputs = features if isinstance(features, list) else [output for _, output in calls]
    filters = _filters(calls[0][0], tuple(x.shape[1:])) if calls else None
    layers = tuple(one[0].float().cpu() for one in outputs)
    return Inside(name, shown, filters, layers, str(given.files[0]) if given.files else "")


def _opened(
    model: str | Path | Model, image: Tensor, device: "str | torch.device"
) -> tuple[str, nn.Module, Callable[[Tensor], Any], Tensor, Tensor]:
    """The name, the network, what runs it, its input, and the image for viewers."""
    if representations.is_classifier(model):
        network: nn.Module = copy.deepcopy(classifiers.DatasetClassifier(str(model)).network)
        x = image[:1]
        classifiers.check_shape(classifiers.DatasetClassifier(str(model)), x)
        return f"the classifier of {model}", network, network, x, x[0]
    subject = representations.subject_of(model, device)
    x = finite_input(subject.model, image)[:1]
    shown = subject.model.to_public(x)[0].cpu()
    maker = representations.network_of(subject)
    network = copy.deepcopy(maker).eval()
    if isinstance(network, Discriminator):
        return f"the discriminator of {subject.name}", network, network.features, x, shown
    return f"the encoder of {subject.name}", network, network.embed, x, shown


@contextmanager
def _recorded(network: nn.Module) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """The layers with weights in the order in which they run, each with its output."""
    calls: list[tuple[nn.Module, Tensor]] = []
    kinds = nn.Conv2d | nn.Linear
    hooks = [
        layer.register_forward_hook(lambda layer, _, output: calls.append((layer, output)))
        for layer in network.modules()
        if isinstance(layer, kinds)
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _filters(layer: Any, shape: tuple[int, ...]) -> Tensor | None:
    """The weights of a first layer as pictures ``(k, C, h, w)``; None if they are none."""
    weight = layer.weight.detach().float().cpu()
    if isinstance(layer, nn.Conv2d):
        return weight if weight.shape[1] == shape[0] and min(weight.shape[2:]) > 1 else None
    size = int(np.prod(shape))
    return weight[:, :size].reshape(-1, *shape) if weight.shape[1] >= size else None


@final
@dataclass(frozen=True)
class _Row:
    """Pictures side by side, with the ``numbers`` of maps below them; or one, as wide as all."""

    name: str
    cells: list[Image.Image]
    numbers: Sequence[int] = ()

    def drawn(self, side: int) -> Image.Image:
        """The row in its size, each picture ``side`` pixels wide and high."""
        wide = ACROSS * (side + GAP) - GAP
        row = Image.new("RGB", (wide, side + BAND), PAPER)
        draw = ImageDraw.Draw(row)
        for i, cell in enumerate(self.cells):
            size = (wide, side) if cell.height == 1 and cell.width > 1 else (side, side)
            row.paste(cell.resize(size, Image.Resampling.NEAREST), (i * (side + GAP), 0))
            if size[0] > side:  # its white numbers would look like the paper
                draw.rectangle((0, 0, wide - 1, side - 1), outline=PALE)
        for i, number in enumerate(self.numbers):
            middle = i * (side + GAP) + side / 2, side + 2
            draw.text(middle, str(number), PALE, font(BAND - 2), anchor="ma")
        return row


def _layer_row(maps: Tensor, number: int) -> _Row:
    """The maps of a layer that vary most, or its numbers as one line."""
    if maps.ndim != 3:
        return _Row(f"layer {number}\n{maps.numel()} numbers", [_grey(maps.flatten()[None])])
    sides, order = "x".join(map(str, maps.shape[1:])), _varying(maps)
    name = f"layer {number}\n{_part(maps)} maps\nof {sides}"
    return _Row(name, [_grey(maps[i]) for i in order], order)


def _part(maps: Tensor) -> str:
    """How many of the maps or filters are shown."""
    return f"{ACROSS} of {len(maps)}" if len(maps) > ACROSS else str(len(maps))


def _varying(maps: Tensor) -> list[int]:
    """The maps ``(c, h, w)`` that vary most."""
    return maps.flatten(1).std(1, unbiased=False).argsort(descending=True)[:ACROSS].tolist()


def _strongest(filters: Tensor) -> list[int]:
    return filters.flatten(1).norm(dim=1).argsort(descending=True)[:ACROSS].tolist()


def _grey(values: Tensor) -> Image.Image:
    """``(h, w)`` from black to white."""
    low, high = values.min(), values.max()
    unit = (values - low) / (high - low).clamp_min(1e-12)
    return Images(unit[None, None]).pil()[0]


def _weights(weight: Tensor) -> Image.Image:
    """A filter ``(C, h, w)``: 0 is grey, the largest weight black or white."""
    return _colours(0.5 + 0.5 * weight / weight.abs().max().clamp_min(1e-12))


def _colours(x: Tensor) -> Image.Image:
    return Images(x[None]).pil()[0]
