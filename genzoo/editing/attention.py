"""Attention as a picture: where chosen points of a sample look, and how much that counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from genzoo.devices import usual_torch
from genzoo.editing.notation import SampleAddress, parse_addresses
from genzoo.errors import BadInput, argument
from genzoo.files import check_ending, expanded, npy, write_whole
from genzoo.models.abilities import Attentive
from genzoo.models.arguments import checked_arguments
from genzoo.models.captions import Captions, captioned
from genzoo.models.checks import checked_pair
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Model, image_shape
from genzoo.models.panels import CLASSES
from genzoo.models.picture_files import Pictured, encode
from genzoo.models.pictures import enlargement
from genzoo.models.samples import Images
from genzoo.zoo import names as model_names

POINTS, MOST, COLUMNS = 5, 8, 3  # chosen points; points of a picture, and cells of a row
LITTLE = 0.1  # a layer's weight below which it adds next to nothing
DIM, STRONG = 0.45, 0.9  # how bright the picture is below a map, and the map's opacity at most


@final
@dataclass(frozen=True, eq=False)
class AttentionMaps(Pictured):
    """Where ``places``, (row, column) in pixels, of one sample look.

    ``maps``: float32 ``(k, h, w)``, each sums to 1. ``weight``: with which the layer adds what it
    gathers to what it had, None if the family does not say.
    """

    samples: Images
    places: tuple[tuple[int, int], ...]
    maps: Tensor
    weight: float | None

    def __repr__(self) -> str:
        places = ", ".join(f"{row},{column}" for row, column in self.places)
        line = f"<AttentionMaps of {self.samples!r} from {places}>"
        return f"{line}\n{self.note}" if self.note else line

    @property
    def note(self) -> str:
        """The weight of the layer, and what it means; "" if it is unknown."""
        if self.weight is None:
            return ""
        line = f"weight of the attention layer (gamma): {self.weight:.3g}"
        if abs(self.weight) < LITTLE:
            line += "; next to nothing: the model draws almost the same without attention"
        return line

    def picture(self, scale: int | None = None) -> Image.Image:
        """The sample with its points in colour, and for each point where it looks, in its colour.

        ``scale``: by how much each pixel is enlarged; without it the picture becomes about 800
        pixels wide. Raises BadInput.
        """
        height, width = self.samples.tensor.shape[2:]
        columns = min(len(self.places) + 1, COLUMNS)
        rows = -(-(len(self.places) + 1) // columns)
        scale = scale or enlargement(columns * width, rows * height)
        whole = self.samples.grid(1, scale, 0).convert("RGB")
        cells = [whole.copy(), *(self._cell(whole, i) for i in range(len(self.places)))]
        for i, place in enumerate(self.places):
            _mark(cells[0], place, scale, CLASSES[i])
            _mark(cells[i + 1], place, scale, CLASSES[i])
        (address,) = self.samples.seeds
        names = [f"from {row},{column}" for row, column in self.places]
        captions = ["sample {}:{}".format(*address), *names]
        return captioned(cells, Captions(cells=captions, foot=self.note), columns)

    def _cell(self, whole: Image.Image, i: int) -> Image.Image:
        """The picture in dark grey, and over it the map ``i`` in the colour of its point."""
        low, high = torch.aminmax(self.maps[i])
        light = (self.maps[i] - low) / (high - low).clamp_min(1e-12)
        smooth = F.interpolate(light[None, None], whole.size[::-1], mode="bilinear")[0, 0]
        share = STRONG * smooth.numpy()[..., None]
        base = DIM * np.asarray(whole.convert("L"), np.float32)[..., None]
        colour = np.array([int(CLASSES[i][k : k + 2], 16) for k in (1, 3, 5)], np.float32)
        return Image.fromarray((base * (1 - share) + colour * share).round().astype(np.uint8))

    def save(self, path: str | Path, scale: int | None = None, *, metadata: bool = True) -> Path:
        """Write the picture as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``, or the maps as ``.npy``.

        ``scale`` and ``metadata`` as of `Images.save`. Raises BadInput, OperationFailed.
        """
        path = check_ending(expanded(path), [*PICTURES, ".npy"])
        if (ending := path.suffix.lower()) == ".npy":
            write_whole(path, npy(self.maps.numpy()))
        else:
            record = self.samples.record() if metadata else None
            write_whole(path, encode(self.picture(scale), ending, record))
        return path


def _mark(picture: Image.Image, place: tuple[int, int], scale: int, colour: str) -> None:
    """A ring around a pixel, white outside, so that it shows on any colour."""
    y, x = ((side + 0.5) * scale for side in place)
    draw, radius = ImageDraw.Draw(picture), max(5, picture.width // 40)
    draw.ellipse((x - radius - 2, y - radius - 2, x + radius + 2, y + radius + 2), "white")
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour, "black")


@checked_arguments
@usual_torch()
def attention(
    model: str | Path | Model,
    at: Sequence[tuple[int, int]] | None = None,
    *,
    sample: int | str | Sequence[int | str | SampleAddress] = 0,
    label: int | str | None = None,
    sampling: Mapping[str, Any] | None = None,
    device: "str | torch.device" = "auto",
) -> AttentionMaps:
    """Where the pixels ``at``, (row, column), of one ``sample`` look.

    By default five points of the middle whose maps differ most from each other. Raises BadInput,
    and as ``load``.
    """
    model = model_names.as_model(model, device)
    if not isinstance(model, Attentive):
        raise model_names.lacking(model, Attentive, "has no attention")
    height, width = image_shape(model, "call model.attention")[1:]
    if at is not None:
        at = check_places(at, height, width)
    addresses = parse_addresses([sample] if isinstance(sample, int) else sample)
    if len(addresses) != 1:
        raise BadInput(f"{argument('sample')}: expected one sample, like 0:3, got {len(addresses)}")
    ((seed, start),) = addresses
    samples, maps = model.attention(1, labels=label, seed=seed, start=start, **(sampling or {}))
    assert isinstance(samples, Images)
    every = maps[0].float().cpu()
    h, w = every.shape[:2]
    if at is None:
        places = [_centre(cell, (h, w), (height, width)) for cell in telling_points(every)]
    else:
        places = [(row, column) for row, column in at]
    chosen = torch.stack([every[row * h // height, column * w // width] for row, column in places])
    call = {"method": "attention", "places": [*map(list, places)]}
    parts = (samples.tensor, samples.labels, samples.seeds, samples.origin, samples.class_names)
    return AttentionMaps(Images(*parts, call), tuple(places), chosen, model.attention_weight())


def check_places(at: Any, height: int, width: int) -> list[tuple[int, int]]:
    """``at``, if each (row, column) is a pixel of the image, and they are few. BadInput."""
    items = at.tolist() if isinstance(at, np.ndarray | Tensor) else at
    if not isinstance(items, list | tuple) or any(isinstance(one, int) for one in items):
        given = f"{argument('at')} must be a list of pixels (row, column)"
        raise BadInput(f"{given}, like [(10, 20)], got {at!r:.42}")
    places = [checked_pair("at", one, ",", "10,20") for one in items]
    if not 1 <= len(places) <= MOST:
        raise BadInput(f"expected 1 to {MOST} points, got {len(places)}")
    for row, column in places:
        if not (0 <= row < height and 0 <= column < width):
            raise BadInput(f"pixel {row},{column} is outside of an image of {height}x{width}")
    return places


def telling_points(maps: Tensor, count: int = POINTS) -> list[tuple[int, int]]:
    """The positions of ``maps`` ``(h, w, h, w)`` that differ most: first the one that is furthest
    from looking everywhere alike, then always the one whose map is furthest from those chosen.

    All are in the middle half of the height and of the width, where objects are.
    """
    h, w = maps.shape[:2]
    flat = maps.reshape(h * w, h * w)
    middle = torch.zeros(h, w, dtype=torch.bool)
    middle[h // 4 : h - h // 4, w // 4 : w - w // 4] = True
    outside = ~middle.flatten()
    apart = (flat - 1 / (h * w)).abs().sum(1)
    chosen: list[int] = []
    for _ in range(min(count, int(middle.sum()))):
        chosen.append(int(apart.masked_fill(outside, -1).argmax()))
        distance = (flat - flat[chosen[-1]]).abs().sum(1)
        apart = distance if len(chosen) == 1 else apart.minimum(distance)
    return sorted(divmod(i, w) for i in chosen)


def _centre(
    cell: tuple[int, int], sides: tuple[int, int], size: tuple[int, int]
) -> tuple[int, int]:
    """The pixel in the middle of a position of the maps."""
    row, column = (
        (2 * k + 1) * long // (2 * short) for k, short, long in zip(cell, sides, size, strict=True)
    )
    return row, column
