"""A sheet of outliers: how likely the images of two data sets are, and the most similar ones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from genzoo.data.dataset import DataSet
from genzoo.metrics.statistics.nearest import closest
from genzoo.models.captions import INK, MARGIN, PAPER, Captions, captioned, font
from genzoo.models.panels import CLASSES, Axes
from genzoo.models.pictures import check_sheet, enlarged_cells, enlargement
from genzoo.models.samples import Images

SHOWN, NEAREST, BARS = 4, 5, 40  # outliers, their neighbours, and bars of the histogram
HEAD, HIGH, LEFT, FOOT = 64, 180, 56, 56  # pixels of the histogram and around it


class Half(NamedTuple):
    """One of the two data sets: its name, its images ``rows`` (n,), and their nats (n,)."""

    name: str
    images: DataSet
    rows: np.ndarray
    nats: np.ndarray


def draw(model: str, inside: Half, outside: Half, note: str, scale: int | None) -> Image.Image:
    """A histogram of both, and below it some of the outliers, from the most to the least likely,
    each before the images of ``inside`` that are nearest to it in pixels. Raises BadInput.
    """
    order = np.argsort(-outside.nats, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int)]
    x, y = outside.images.batch(outside.rows[chosen]), inside.images.batch(inside.rows)
    count = min(NEAREST, len(y))
    _, near = closest(x.flatten(1).numpy(), y.flatten(1).numpy(), count)
    cells, texts = [], []
    for one, row, others in zip(Images(x).pil(), chosen, near, strict=True):
        cells += [one, *Images(y[others]).pil()]
        texts += [f"{outside.nats[row]:,.0f}", *(f"{inside.nats[k]:,.0f}" for k in others)]
    scale = scale or enlargement((1 + count) * cells[0].width, cells[0].height)
    captions = Captions(
        f"{outside.name}, from the most to the least likely, and the nearest of {inside.name}",
        cells=texts,
        columns=[outside.name, *[inside.name] * count],
        foot=f"Below each image: log p by {model}, in nats. {note}",
    )
    below = captioned(enlarged_cells(cells, scale), captions, 1 + count)
    above = _histogram([inside, outside], below.width)
    check_sheet(1, (3, above.height + below.height, below.width), 1, gap=0)
    sheet = Image.new("RGB", (below.width, above.height + below.height), PAPER)
    sheet.paste(above, (0, 0))
    sheet.paste(below, (0, above.height))
    return sheet


def _histogram(halves: Sequence[Half], width: int) -> Image.Image:
    """How many images of each data set have which log-likelihood."""
    sheet = Image.new("RGB", (width, HEAD + HIGH + FOOT), PAPER)
    pen = ImageDraw.Draw(sheet)
    values = np.concatenate([half.nats for half in halves])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    counts = [np.histogram(half.nats, edges)[0] for half in halves]
    top = max(1, *(int(count.max()) for count in counts))
    box = (MARGIN + LEFT, HEAD, width - MARGIN, HEAD + HIGH)
    axes = Axes(box, (float(edges[0]), float(edges[-1])), (0.0, 1.05 * top))
    left = box[0]
    for half, count, colour in zip(halves, counts, CLASSES, strict=False):
        outline = [axes.at(edges[0], 0)]
        for k, value in enumerate(count):
            outline += [axes.at(edges[k], value), axes.at(edges[k + 1], value)]
        pen.line([*outline, axes.at(edges[-1], 0)], colour, 3)
        pen.text((left, HEAD - 22), half.name, colour, font())
        left += round(font().getlength(half.name)) + 24
    axes.draw(pen)
    pen.text((MARGIN, MARGIN), "images by log p", INK, font(20))
    pen.text(((box[0] + box[2]) / 2, HEAD + HIGH + 30), "log p, nats", INK, font(), anchor="ma")
    return sheet
