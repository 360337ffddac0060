"""truncate: whether truncated codes trade diversity for fidelity, and at which limits.

Values of a code beyond a limit are drawn again (Brock et al. 2019, section 3.1). Not every model
gains: their section 3.1 says that many larger ones give artefacts, and a small one may have learnt
the middle of its codes no better than the rest.
"""

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from PIL import Image, ImageDraw

from genzoo import devices
from genzoo.devices import usual_torch
from genzoo.editing.notation import check_values, parse_values
from genzoo.errors import BadInput, argument
from genzoo.evaluation.comparison import GOALS
from genzoo.evaluation.drawing import (
    INK,
    LINES,
    MARGIN,
    PALE,
    SMALL,
    encoded,
    enlarged,
    font,
    new_sheet,
)
from genzoo.evaluation.evaluate import (
    choose_metrics,
    find_model,
    measure,
    real_for,
)
from genzoo.evaluation.training_data import reference_data
from genzoo.evaluation.unread import unread_arguments, warn_of_unread
from genzoo.files import check_ending, expanded, write_whole
from genzoo.metrics.score import Score
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.arguments import checked_arguments
from genzoo.models.captions import wrapped
from genzoo.models.checks import checked_seed
from genzoo.models.kinds import PICTURES
from genzoo.models.model import Model
from genzoo.models.picture_files import Pictured
from genzoo.models.sampler import Progress
from genzoo.text import columns
from genzoo.version import VERSION

VALUES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, None)
METRICS = "precision,recall,fd"
ENDINGS = (*PICTURES, ".json")
LEFT_OVER = 0.25  # of recall
SAMPLES = 2000
# Pixels: a panel, the numbers of its axis, and a line of the verdict.
WIDE, HIGH, LEFT, LINE = 700, 420, 90, 32
ACROSS = 2  # panels of a row


@final
@dataclass(frozen=True)
class Curve(Pictured):
    """Scores by truncation: ``scores[metric][i]`` is for ``values[i]``; None: no truncation."""

    name: str
    data: str
    values: tuple[float | None, ...]
    scores: dict[str, tuple[Score, ...]]
    machine: str

    def record(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "genzoo": VERSION,
            "name": self.name,
            "data": self.data,
            "machine": self.machine,
            "truncation": self.values,
            "scores": {name: [s.record() for s in column] for name, column in self.scores.items()},
            "verdict": self.verdict,
        }

    def __str__(self) -> str:
        rows = [["truncation", *self.scores]]
        for i, value in enumerate(self.values):
            rows.append([_label(value), *(_cell(column[i]) for column in self.scores.values())])
        return "\n".join([*columns(rows), *([self.verdict] * bool(self.verdict))])

    @property
    def verdict(self) -> str:
        """Whether truncation trades diversity for fidelity here, as a sentence.

        It does where precision is higher and recall lower than at the weakest truncation, both by
        more than their 95 % intervals, and at least a quarter of recall is left: a model that draws
        one good image over and over has lost all of it. "" without precision, recall, or intervals.
        """
        return _verdict(self)

    def __repr__(self) -> str:
        return f"{self.name} on {self.data}\n{self}"

    def save(self, path: str | Path, scale: int | None = None) -> Path:
        """Write the figure as ``.png``, ``.jpg``, ``.webp`` or ``.pdf``, or all numbers as
        ``.json``. ``scale``: by how much each pixel is enlarged. Raises BadInput.
        """
        path = check_ending(expanded(path), ENDINGS)
        if (ending := path.suffix.lower()) == ".json":
            if scale is not None:
                raise BadInput(f"scale enlarges pictures, and {path} holds numbers: leave it out")
            content = (json.dumps(self.record(), indent=2) + "\n").encode()
        else:
            content = encoded(enlarged(picture(self), scale), ending)
        write_whole(path, content)
        return path


def _verdict(curve: Curve) -> str:
    precision, recall = (_column(curve, name) for name in ("precision", "recall"))
    if not precision or not recall or len(curve.values) < 2:
        return ""
    strength = [math.inf if value is None else value for value in curve.values]
    weak = strength.index(max(strength))
    others = [i for i in range(len(strength)) if i != weak]
    lower = [i for i in others if _above(recall[weak], recall[i])]
    rising = [i for i in others if _above(precision[i], precision[weak])]
    left = [i for i in lower if recall[i].value >= LEFT_OVER * recall[weak].value]
    if both := [i for i in rising if i in left]:
        best = max(both, key=lambda i: precision[i].value)
        up, down = (_change(column, weak, best) for column in (precision, recall))
        ends = f"from {_label(curve.values[weak])} to {_label(curve.values[best])}"
        trade = f"precision goes {up}, recall {down}"
        return f"truncation trades diversity for fidelity here: {ends} {trade}"
    least = min(others, key=lambda i: strength[i])
    loss = f"at {_label(curve.values[least])} recall goes {_change(recall, weak, least)}"
    if any(recall[i].value >= LEFT_OVER * recall[weak].value for i in rising):
        return "truncation raises precision here, and recall does not fall measurably"
    where = "only where hardly any recall is left" if rising else "at none of these values"
    return f"truncation does not help this model: precision rises {where}; {loss}"


def _column(curve: Curve, metric: str) -> tuple[Score, ...] | None:
    """The scores of a metric, if all have intervals."""
    for name, column in curve.scores.items():
        if name.partition("-")[0] == metric and all(score.interval for score in column):
            return column
    return None


def _above(one: Score, other: Score) -> bool:
    assert one.interval
    assert other.interval
    return one.interval[0] > other.interval[1]


def _change(column: tuple[Score, ...], before: int, after: int) -> str:
    return f"{column[before].value:.2f} -> {column[after].value:.2f}"


@checked_arguments
@usual_torch()
def truncate(
    model: "str | Path | Model",
    values: str | Sequence[float | None] | None = None,
    *,
    data: Any = None,
    metrics: str | Sequence[str] = METRICS,
    n: int = SAMPLES,
    seed: int = 0,
    features: str | None = None,
    root: str | Path | None = None,
    device: Any = "auto",
    progress: Progress | None = None,
) -> Curve:
    """Measure a model at each truncation of ``values``, numbers or text like ``0.5,1,none``; None
    means no truncation. By default those of `VALUES` that the model's setting allows.

    All truncations use one ``seed``, so they differ in little else. The other arguments are those
    of ``evaluate``. Raises BadInput, UnknownName, and as ``load``.
    """
    if isinstance(values, str):
        values = parse_values(values)
    if values is not None:
        check_values(values)
    whole = find_model(model, device)
    values = _allowed(whole) if values is None else values
    subjects = [_truncated(whole, value) for value in values]
    reference = reference_data(whole, data, root)
    chosen = choose_metrics(real_for(whole, reference, features, root=root), whole, metrics)
    seed = checked_seed(seed)
    given = {"features": features}
    rows = [
        measure(s, chosen, seed, samples=n, images=n, progress=progress, given=given)
        for s in subjects
    ]
    scores = {column[0].metric: tuple(column) for column in zip(*rows, strict=True)}
    warn_of_unread(unread_arguments(chosen, given), rows[0])
    machine = devices.machine(whole.model.device)
    return Curve(whole.name, reference.name, tuple(values), scores, machine)


def _allowed(whole: ModelSubject) -> list[float | None]:
    """The values of `VALUES` within the bounds of the model's own setting. Raises BadInput."""
    sampler = whole.sampler
    if "truncation" not in sampler.sampling.model_fields:
        raise BadInput(f"the sampling of {whole.name} has no truncation: there is nothing to plot")
    values: list[float | None] = []
    for value in VALUES:
        with contextlib.suppress(BadInput):
            sampler.checked_sampling({"truncation": value})
            values.append(value)
    if not values:
        raise BadInput(
            f"{whole.name} has a truncation with bounds of its own: give {argument('values')}"
        )
    return values


def _truncated(whole: ModelSubject, value: float | None) -> ModelSubject:
    """The model with this truncation, which may mean what its family wants. Raises BadInput."""
    name = f"{whole.name} at {_label(value)}"
    return ModelSubject(name, whole.model, whole.folder, {"truncation": value})


# ------------------------------------------------------------------------------------ the picture
def picture(curve: Curve) -> Image.Image:
    """A panel for the metrics that are shares, and one for each of the others."""
    shares = [name for name, column in curve.scores.items() if _is_share(column)]
    panels = [shares] * bool(shares) + [[n] for n in curve.scores if n not in shares]
    across = min(len(panels), ACROSS)
    width = MARGIN + across * (LEFT + WIDE + MARGIN)
    verdict = wrapped(curve.verdict, width - 2 * MARGIN, SMALL - 2)
    each = HIGH + 4 * MARGIN  # a panel with its names
    below = 2 * MARGIN - 8 + math.ceil(len(panels) / across) * each  # where the verdict begins
    height = below + max(1, len(verdict)) * LINE + 2 * MARGIN + 8 - LINE
    sheet, draw = new_sheet(width, height)
    first = next(iter(curve.scores.values()))[0]
    title = f"{curve.name} on {curve.data}, by truncation"
    draw.text((MARGIN, MARGIN // 2), title, INK, font(SMALL + 6))
    for i, names in enumerate(panels):
        left = MARGIN + i % across * (LEFT + WIDE + MARGIN) + LEFT
        _panel(draw, left, 3 * MARGIN + i // across * each, curve, names)
    samples = first.protocol.get("samples", "")
    foot = f"{samples:,} samples each, seed {first.protocol.get('seed')}; bars: 95 %."
    for i, line in enumerate(verdict):
        draw.text((MARGIN, below + i * LINE), line, INK, font(SMALL - 2))
    draw.text((MARGIN, height - MARGIN), foot, PALE, font(SMALL - 6))
    return sheet


def _panel(
    draw: ImageDraw.ImageDraw, left: int, top: int, curve: Curve, names: Sequence[str]
) -> None:
    """Axes and a line for each metric; the truncations in their order, evenly spaced."""
    ends = [end for n in names for s in curve.scores[n] for end in s.interval or (s.value,)]
    ticks = [0.2 * i for i in range(6)] if _is_share(curve.scores[names[0]]) else _ticks(ends)
    low, high = ticks[0], ticks[-1]
    xs = [left + (i + 0.5) * WIDE / len(curve.values) for i in range(len(curve.values))]

    def y(value: float) -> float:
        return top + HIGH - (value - low) / (high - low) * HIGH

    for value in ticks:
        draw.line((left, y(value), left + WIDE, y(value)), "#e4e4e4", 1)
        draw.text((left - 10, y(value)), _number(value), PALE, font(SMALL - 6), anchor="rm")
    for x, cut in zip(xs, curve.values, strict=True):
        draw.text((x, top + HIGH + 22), _label(cut), PALE, font(SMALL - 6), anchor="mm")
    middle = left + WIDE / 2, top + HIGH + 54
    draw.text(middle, "truncation", PALE, font(SMALL - 6), anchor="mm")
    for i, name in enumerate(names):
        colour, column = LINES[i % len(LINES)], curve.scores[name]
        label = f"{name} ({GOALS[column[0].goal]})"
        draw.text((left + i * WIDE // 2, top - 34), label, colour, font(SMALL - 4))
        points = [(x, y(score.value)) for x, score in zip(xs, column, strict=True)]
        draw.line(points, colour, 3)
        for (x, mid), score in zip(points, column, strict=True):
            draw.ellipse((x - 5, mid - 5, x + 5, mid + 5), colour)
            if score.interval:
                draw.line((x, y(score.interval[0]), x, y(score.interval[1])), colour, 2)


def _ticks(ends: Sequence[float]) -> list[float]:
    """Round numbers whose range includes 0 and all of ``ends``."""
    low, high = min(0.0, *ends), max(0.0, *ends)
    rough = (high - low or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= rough)
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _number(value: float) -> str:
    """A round number: 0.2, 15, 1,000."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def _is_share(column: Sequence[Score]) -> bool:
    return column[0].metric.partition("-")[0] in ("precision", "recall")


def _label(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _cell(score: Score) -> str:
    low, high = score.interval or (None, None)
    return f"{score.value:.3g}" + ("" if low is None else f"  [{low:.3g}, {high:.3g}]")
