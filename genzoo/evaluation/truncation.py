"""truncate: what a model gains in fidelity, and loses in variety, where codes are kept short.

Values of the code beyond a limit are drawn again (Brock et al. 2019, section 3.1).
"""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from PIL import Image, ImageDraw, ImageFont

from genzoo import devices
from genzoo.editing import walks
from genzoo.errors import BadInput
from genzoo.evaluation.comparison import BAD, GOALS, GOOD, INK, MARGIN, PALE, PAPER, SMALL
from genzoo.evaluation.evaluate import chosen_metrics, measured, subject_of
from genzoo.files import expanded, write_whole
from genzoo.metrics.real_data import RealData, Tell
from genzoo.metrics.score import Score
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.checks import checked_seed
from genzoo.models.model import Model
from genzoo.text import columns
from genzoo.version import VERSION

VALUES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, None)
METRICS = ("precision", "recall", "fd")
SAMPLES = 2000
WIDE, HIGH, LEFT = 700, 420, 90  # pixels, of a panel and of its axis' numbers
COLOURS = ("#1f6fb4", "#c2571a", INK, GOOD, BAD)


@final
@dataclass(frozen=True)
class Curve:
    """Scores by truncation: ``scores[metric][i]`` is with ``values[i]``; None: not truncated."""

    name: str
    data: str
    values: tuple[float | None, ...]
    scores: dict[str, tuple[Score, ...]]
    machine: str

    def record(self) -> dict[str, Any]:
        """All of it, for JSON."""
        told = {name: [score.record() for score in found] for name, found in self.scores.items()}
        about = {"genzoo": VERSION, "name": self.name, "data": self.data, "machine": self.machine}
        return {**about, "truncation": self.values, "scores": told}

    def __str__(self) -> str:
        rows = [["truncation", *self.scores]]
        for i, value in enumerate(self.values):
            cells = [_cell(found[i]) for found in self.scores.values()]
            rows.append([_told(value), *cells])
        return "\n".join(columns(rows))

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        picture(self).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the figure as a ``.png``, or all numbers as a ``.json``. Raises BadInput."""
        path = expanded(path)
        if path.suffix not in (".png", ".json"):
            raise BadInput(f"cannot write {path.name}: expected a name ending in .png or .json")
        text = json.dumps(self.record(), indent=2) + "\n"
        write_whole(path, text.encode() if path.suffix == ".json" else self._repr_png_())
        return path


def truncate(
    subject: "str | Path | Model",
    values: Sequence[float | None] = VALUES,
    *,
    data: str | None = None,
    metrics: str | Sequence[str] = METRICS,
    n: int = SAMPLES,
    seed: int = 0,
    features: str | None = None,
    root: str | Path | None = None,
    device: Any = "auto",
    progress: Tell | None = None,
) -> Curve:
    """Measure a model at each truncation of ``values``, None among them for none.

    The codes are of one ``seed``, so neighbours differ by their truncation and little else. The
    rest as in ``evaluate``. Raises BadInput, UnknownName, and as ``load``.
    """
    check(values)
    who = subject_of(subject, device, {})
    if not isinstance(who, ModelSubject):
        raise BadInput(f"{who.name} is images: a truncation is of a model's codes")
    walks.as_latent(who.model)
    against = data or who.model.provenance.get("data") or None
    if against is None:
        raise BadInput(f"what is {who.name} to be held against? --data names a data set")
    wanted = chosen_metrics(RealData(against, features, root=root), who, metrics)
    found = []
    for value in values:
        cut = ModelSubject(f"{who.name} at {_told(value)}", who.model, who.folder, value)
        found.append(measured(cut, wanted, n, checked_seed(seed), progress))
    scores = {one[0].metric: tuple(one) for one in zip(*found, strict=True)}
    machine = devices.machine(who.model.device)
    return Curve(who.name, against, tuple(values), scores, machine)


def check(values: Sequence[float | None]) -> None:
    """Whether these are truncations, one at least and none twice. Raises BadInput."""
    if not values or len({*values}) != len(values):
        raise BadInput("truncations are numbers, one at least and none twice")
    for value in values:
        if value is not None and not 0.02 <= value < math.inf:
            raise BadInput(f"a truncation is a number of at least 0.02, got {value}")


def read(text: str) -> list[float | None]:
    """Truncations, ``0.5,1,none``: none draws no code again. Raises BadInput."""
    try:
        found = [None if t.strip() == "none" else float(t) for t in text.split(",")]
    except ValueError:
        raise BadInput(f"truncations are like 0.5,1,2,none, got {text[:40]!r}") from None
    check(found)
    return found


# ------------------------------------------------------------------------------------- the picture
def picture(curve: Curve) -> Image.Image:
    """A panel for the metrics that are shares, and one for each of the others."""
    shares = [name for name, found in curve.scores.items() if _is_share(found)]
    panels = [shares] * bool(shares) + [[n] for n in curve.scores if n not in shares]
    height = HIGH + 6 * MARGIN
    sheet = Image.new("RGB", (MARGIN + len(panels) * (LEFT + WIDE + MARGIN), height), PAPER)
    draw = ImageDraw.Draw(sheet)
    first = next(iter(curve.scores.values()))[0]
    title = f"{curve.name} on {curve.data}, by truncation"
    draw.text((MARGIN, MARGIN // 2), title, INK, _font(SMALL + 6))
    for i, names in enumerate(panels):
        _panel(draw, MARGIN + i * (LEFT + WIDE + MARGIN) + LEFT, 3 * MARGIN, curve, names)
    samples = first.protocol.get("samples", "")
    foot = f"{samples:,} samples each, seed {first.protocol.get('seed')}; bars: 95 %."
    draw.text((MARGIN, height - MARGIN), foot, PALE, _font(SMALL - 8))
    return sheet


def _panel(
    draw: ImageDraw.ImageDraw, left: int, top: int, curve: Curve, names: Sequence[str]
) -> None:
    """Axes and a line for each of the metrics; truncations at equal distances, in their order."""
    ends = [end for n in names for s in curve.scores[n] for end in s.interval or (s.value,)]
    ticks = [0.2 * i for i in range(6)] if _is_share(curve.scores[names[0]]) else _ticks(ends)
    low, high = ticks[0], ticks[-1]
    xs = [left + (i + 0.5) * WIDE / len(curve.values) for i in range(len(curve.values))]

    def y(value: float) -> float:
        return top + HIGH - (value - low) / (high - low) * HIGH

    for value in ticks:
        draw.line((left, y(value), left + WIDE, y(value)), "#e4e4e4", 1)
        draw.text(
            (left - 10, y(value)),
            f"{value:.3g}",
            PALE,
            _font(SMALL - 6),
            anchor="rm",
        )
    for x, cut in zip(xs, curve.values, strict=True):
        draw.text((x, top + HIGH + 22), _told(cut), PALE, _font(SMALL - 6), anchor="mm")
    for i, name in enumerate(names):
        colour, found = COLOURS[i % len(COLOURS)], curve.scores[name]
        told = f"{name} ({GOALS[found[0].goal]})"
        draw.text((left + i * WIDE // 2, top - 34), told, colour, _font(SMALL - 4))
        points = [(x, y(score.value)) for x, score in zip(xs, found, strict=True)]
        draw.line(points, colour, 3)
        for (x, mid), score in zip(points, found, strict=True):
            draw.ellipse((x - 5, mid - 5, x + 5, mid + 5), colour)
            if score.interval:
                draw.line((x, y(score.interval[0]), x, y(score.interval[1])), colour, 2)


def _ticks(ends: Sequence[float]) -> list[float]:
    """Round numbers from 0, or below, to what is above all of ``ends``."""
    low, high = min(0.0, *ends), max(0.0, *ends)
    rough = (high - low or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= rough)
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _is_share(found: Sequence[Score]) -> bool:
    kinds = [score.metric.partition("-")[0] for score in found]
    return kinds[0] in ("precision", "recall")


def _told(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _cell(score: Score) -> str:
    low, high = score.interval or (None, None)
    return f"{score.value:.3g}" + ("" if low is None else f"  [{low:.3g}, {high:.3g}]")
