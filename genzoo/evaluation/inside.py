"""What a network sees: the filters of its first layer, and the maps of each layer for one image."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from genzoo.devices import usual_torch
from genzoo.evaluation import representations
from genzoo.features import classifiers
from genzoo.files import check_ending, expanded, write_whole
from genzoo.models.arguments import checked_arguments
from genzoo.models.captions import with_rows
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Discriminator, Model, finite_input
from genzoo.models.picture_files import REAL, Pictured, encode
from genzoo.models.pictures import WIDTH
from genzoo.models.samples import Images

SHOWN = 12  # layers of a repr
ACROSS, GAP = 10, 2  # maps of a layer that are shown; pixels between them
ROOM = (WIDTH - 160) / ACROSS  # pixels of a map, about: 160 are for names


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
        """A row for the image, one for the filters, and one for each layer: the maps that vary
        most, each from black to white; above a map of the first layer, its filter. Raises BadInput.

        ``scale``: by how much each pixel of the image is enlarged; without it the picture becomes
        about 800 pixels wide.
        """
        side = self.image.shape[1] * (scale or max(1, round(ROOM / self.image.shape[1])))
        first = _varying(self.layers[0]) if self.layers and self.layers[0].ndim == 3 else None
        rows = [([_colours(self.image)], "the image")]
        if self.filters is not None:
            aligned = first is not None and len(self.filters) == len(self.layers[0])
            order = first if aligned and first is not None else _strongest(self.filters)
            cells = [_weights(self.filters[i]) for i in order]
            sides = "x".join(map(str, self.filters.shape[2:]))
            rows.append((cells, f"{len(self.filters)} filters of {sides}"))
        for number, maps in enumerate(self.layers, 1):
            rows.append(_row(maps, number))
        wide = ACROSS * (side + GAP) - GAP
        grid = Image.new("RGB", (wide, len(rows) * (side + 2 * GAP)), "white")
        for i, (cells, _) in enumerate(rows):
            for j, cell in enumerate(cells):
                size = (wide, side) if cell.height == 1 and cell.width > 1 else (side, side)
                shown = cell.resize(size, Image.Resampling.NEAREST)
                grid.paste(shown, (j * (side + GAP), i * (side + 2 * GAP) + GAP))
        return with_rows(grid, [name for _, name in rows], title=f"what {self.name} sees")

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


def _row(maps: Tensor, number: int) -> tuple[list[Image.Image], str]:
    """The pictures of a layer, and its name."""
    if maps.ndim == 3:
        sides = "x".join(map(str, maps.shape[1:]))
        name = f"layer {number}: {len(maps)} maps of {sides}"
        return [_grey(maps[i]) for i in _varying(maps)], name
    return [_grey(maps.flatten()[None])], f"layer {number}: {maps.numel()} numbers"


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
