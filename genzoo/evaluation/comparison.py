"""The result of a comparison: as text for a terminal, as a web page in one file, as an image."""

import base64
import io
import json
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from PIL import Image

from genzoo.errors import OperationFailed
from genzoo.evaluation import seeds
from genzoo.evaluation.choice import ENDINGS, FILES, check_target
from genzoo.evaluation.drawing import (
    BAD,
    GOOD,
    INK,
    LARGE,
    MARGIN,
    PALE,
    SMALL,
    encoded,
    font,
    new_sheet,
)
from genzoo.evaluation.evaluate import protocol_line
from genzoo.evaluation.seeds import SeedGroup, Spread, Training
from genzoo.files import expanded, write_whole
from genzoo.metrics.score import Score, Verdict, differences
from genzoo.models.picture_files import opened
from genzoo.models.samples import Images, Points, Signals
from genzoo.text import columns, pairs
from genzoo.version import VERSION
from genzoo.zoo.manifest import Measured
from genzoo.zoo.readme import score_name

if TYPE_CHECKING:
    from jinja2 import Template

BATCH = 64  # samples at a time, where speed is measured
GOALS = {"lower": "lower is better", "higher": "higher is better", "near_one": "1 is real"}
# The image's sizes in pixels. SHARP: the least side of a sample in the page.
WIDE, LARGEST, COLUMN, REAL, LINE = 1760, 800, 450, 150, 40
GRID, SHARP = 4, 128
COLOURS: dict[Verdict, str] = {
    "better": GOOD,
    "worse": BAD,
    "can't tell": PALE,
    "not ranked": PALE,
}


@final
@dataclass(frozen=True)
class ModelEntry:
    """A model in a comparison: what it is, its first samples, and how long 64 of them take."""

    name: str
    family: str
    trained_on: str
    parameters: int
    bytes: int
    samples: Images | Points | Signals
    seconds: tuple[float, ...]
    terms: str
    card_scores: tuple[Measured, ...] = ()
    """the scores on its card, measured earlier with protocols of their own"""
    sampling: dict[str, Any] = field(default_factory=dict)
    """the settings that it sampled with, where they differ from its defaults"""
    training: Training = field(default_factory=Training)
    """its training seed, and what else decided its training"""

    @property
    def milliseconds(self) -> float:
        """Seconds per sample in batches of 64, in the fastest round: other work only adds time."""
        return 1000 * min(self.seconds) / BATCH

    @property
    def kind(self) -> str:
        """What its samples are, in the plural."""
        return type(self.samples).__name__.lower()


@final
@dataclass(frozen=True)
class Comparison:
    """The result of ``compare``. ``scores`` and ``verdicts``: by metric, one for each entry, None
    where the metric does not apply.
    """

    data: str
    reason: str
    """why this data set"""
    n: int
    seed: int
    machine: str
    entries: tuple[ModelEntry, ...]
    descriptions: dict[str, str]
    scores: dict[str, tuple[Score | None, ...]]
    verdicts: dict[str, tuple[Verdict | None, ...]]

    @cached_property
    def seed_groups(self) -> list[SeedGroup]:
        """The families that have several models here, which differ in their training seed alone."""
        return seeds.seed_groups(
            [e.family for e in self.entries], [e.training for e in self.entries]
        )

    @cached_property
    def families(self) -> dict[str, list[Spread]]:
        """By metric, its values over the training seeds of each of ``seed_groups``."""
        result = {}
        for name, scores in self.scores.items():
            own = [[scores[row] for row in group.rows] for group in self.seed_groups]
            if own and all(score is not None for group in own for score in group):
                values = [np.array([score.value for score in group if score]) for group in own]
                result[name] = seeds.spreads(values, _first(scores).goal)
        return result

    def record(self) -> dict[str, Any]:
        """Everything except the images, for JSON."""
        return {
            "genzoo": VERSION,
            "data": self.data,
            "reason": self.reason,
            "samples": self.n,
            "seed": self.seed,
            "machine": self.machine,
            "models": [self._model(i) for i in range(len(self.entries))],
            "families": [self._family(i) for i in range(len(self.seed_groups))],
        }

    def _family(self, i: int) -> dict[str, Any]:
        group = self.seed_groups[i]
        scores = [
            {"name": name, "values": column[i].values.tolist(), "verdict": column[i].verdict}
            for name, column in self.families.items()
        ]
        own = [self.entries[row].training.seed for row in group.rows]
        return {"name": group.name, "training_seeds": own, "scores": scores}

    def _model(self, i: int) -> dict[str, Any]:
        entry = self.entries[i]
        facts = {k: getattr(entry, k) for k in ("name", "family", "trained_on", "terms")}
        return {
            **facts,
            "sampling": entry.sampling,
            "origin": entry.samples.record()["origin"],
            "parameters": entry.parameters,
            "bytes": entry.bytes,
            "speed": {"batch_size": BATCH, "seconds": entry.seconds, "machine": self.machine},
            "scores": [
                {**score.record(), "verdict": self.verdicts[name][i]}
                for name, scores in self.scores.items()
                if (score := scores[i]) is not None
            ],
            "scores on its card": [score.record() for score in entry.card_scores],
        }

    def __str__(self) -> str:
        heads = ["", *(e.name for e in self.entries), "real"]
        lines = [intro(self), "", *columns([heads, *rows(self)]), "", *sentences(self)]
        if self.families:
            lines += ["", seeds.FAMILIES, "", *columns(family_rows(self))]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Comparison of {title(self)}, {self.n} samples of each, seed {self.seed}>"

    def _repr_png_(self) -> bytes:
        return picture(self)

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write compare.html (self-contained), compare.png and compare.json into ``folder``; or one
        of them, if it is a name that ends in .html, .png or .json.

        Raises BadInput if they exist and ``force`` is off, OperationFailed if writing fails.
        """
        folder = expanded(folder)
        check_target(folder, force)
        if (ending := folder.suffix.lower()) in ENDINGS:
            write_whole(folder, self._content(ending))
            return folder
        files = {name: self._content(Path(name).suffix) for name in sorted(FILES, reverse=True)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperationFailed(f"cannot create {folder}: {error.strerror}") from error
        for name, content in files.items():
            write_whole(folder / name, content)
        return folder

    def _content(self, ending: str) -> bytes:
        if ending == ".png":
            return picture(self)
        if ending == ".html":
            return page(self).encode()
        return (json.dumps(self.record(), indent=2) + "\n").encode()


@final
@dataclass(frozen=True)
class Cell:
    """A cell of the table: a number as text, and the verdict on it."""

    text: str
    verdict: Verdict | None = None

    def __str__(self) -> str:
        return f"{self.text}  {self.verdict}" if self.verdict else self.text


# ------------------------------------------------------------------------------------ as text


def title(comparison: Comparison) -> str:
    names = [entry.name for entry in comparison.entries]
    return f"{', '.join(names[:-1])} and {names[-1]} on {comparison.data}"


def intro(comparison: Comparison) -> str:
    data = f"{comparison.data}: {comparison.reason}"
    return f"{data}. {comparison.n:,} samples of each, seed {comparison.seed}; 95 % intervals."


def rows(comparison: Comparison) -> list[list[Cell]]:
    """A row for each metric and fact: its name, a cell for each model, the floor."""
    table = []
    for name, scores in comparison.scores.items():
        cells = [_cell(s, v) for s, v in zip(scores, comparison.verdicts[name], strict=True)]
        first = _first(scores)
        unit = f", {first.unit.strip()}" if first.unit else ""
        floor = "" if first.floor is None else _three_digits(first.floor)
        table.append([Cell(f"{name}{unit} ({GOALS[first.goal]})"), *cells, Cell(floor)])
    if any(entry.sampling for entry in comparison.entries):
        settings = [pairs(entry.sampling) or "defaults" for entry in comparison.entries]
        table.append([Cell("sampling"), *map(Cell, settings), Cell("")])
    for fact, text in FACTS.items():
        table.append([Cell(fact), *(Cell(text(entry)) for entry in comparison.entries), Cell("")])
    return table


FACTS = {
    f"ms a sample, {BATCH} at a time": lambda e: f"{e.milliseconds:.3g}",
    "parameters": lambda e: f"{e.parameters:,}",
    "bytes": lambda e: f"{e.bytes:,}",
}


def sentences(comparison: Comparison) -> list[str]:
    """The result for each metric as a sentence."""
    names, result = [e.name for e in comparison.entries], []
    for metric, verdicts in comparison.verdicts.items():
        if "not ranked" in verdicts:
            result.append(f"{metric}: not ranked{_not_ranked_reason(comparison.scores[metric])}")
            continue
        best = next((n for n, v in zip(names, verdicts, strict=True) if v == "better"), None)
        unsure = [n for n, v in zip(names, verdicts, strict=True) if v == "can't tell"]
        text = f"can't tell {' and '.join(unsure)} apart at {comparison.n:,} samples"
        result.append(f"{metric}: {best} is better" if best else f"{metric}: {text}")
        result[-1] += seeds.FRECHET if seeds.is_frechet(metric) else ""
    return [*result, *([] if comparison.families else [seeds.MODELS])]


def family_rows(comparison: Comparison) -> list[list[Cell]]:
    """A line of names, then for each metric its values over the training seeds of each family."""
    groups = comparison.seed_groups
    heads = [Cell(""), *(Cell(f"{g.name}, {len(g.rows)} seeds") for g in groups)]
    table = [
        [Cell(name), *(Cell(str(spread), spread.verdict) for spread in column)]
        for name, column in comparison.families.items()
    ]
    return [heads, *table]


def _not_ranked_reason(scores: tuple[Score | None, ...]) -> str:
    present = [score for score in scores if score is not None]
    if len(present) < 2:
        return ", because it applies to one model only"
    keys = dict.fromkeys(k for other in present[1:] for k in differences(present[0], other))
    return f", because the protocols differ in {', '.join(keys)}"


def protocols(comparison: Comparison) -> list[list[str]]:
    """A row for each metric: its name, and the protocol of its numbers."""
    scores = comparison.scores.items()
    return [[name, protocol_line(_first(column).protocol)] for name, column in scores]


def _first(scores: tuple[Score | None, ...]) -> Score:
    return next(score for score in scores if score is not None)


def card_scores(comparison: Comparison) -> list[list[str]]:
    """A row for each score on the models' cards that was not measured here."""
    return [
        [entry.name, score_name(score), _card_value(score), protocol_line(score.protocol)]
        for entry in comparison.entries
        for score in entry.card_scores
        if score.name not in comparison.scores or score.sampling
    ]


def _card_value(score: Measured) -> str:
    low, high = score.interval or (None, None)
    interval = "" if low is None else f"  [{low:.4g}, {high:.4g}]"
    return f"{score.value:.4g}{score.unit or ''}{interval}"


def _cell(score: Score | None, verdict: Verdict | None) -> Cell:
    if score is None:
        return Cell("does not apply")
    interval = ""
    if score.interval is not None:
        low, high = score.interval
        interval = f"  [{_three_digits(low)}, {_three_digits(high)}]"
    return Cell(f"{_three_digits(score.value)}{interval}", verdict)


def _three_digits(value: float) -> str:
    """Three significant digits with trailing zeros, so that a column is even."""
    return f"{value:#.3g}".rstrip(".")


# ------------------------------------------------------------------------------------ as a page

_HOW = (
    "Intervals are 95 % confidence intervals of the mean of the parts: Student's t below 30 parts, "
    "the bootstrap below 1,000, then the normal law; the real samples are taken as fixed. Better: "
    "better than each other model, tested pair by pair on the differences of parts, without "
    "correction for the number of models. Distances and shares of few samples are biased: compare "
    "them at one n, and with the value of held-out real samples at that n."
)


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know to interpret the numbers."""
    terms = dict.fromkeys(e.terms for e in comparison.entries if e.terms)
    rounds = len(comparison.entries[0].seconds)
    return [
        *(f"{name}: {text}." for name, text in comparison.descriptions.items()),
        "Scores in these features do not compare with scores in others.",
        _HOW,
        *(f"{name}{seeds.FRECHET}." for name in comparison.scores if seeds.is_frechet(name)),
        seeds.FAMILIES if comparison.families else seeds.MODELS,
        f"Speed: the fastest of {rounds} rounds of {BATCH} samples: {comparison.machine}.",
        f"All {comparison.entries[0].kind} are synthetic.",
        *(f"Data: {t}." for t in terms),
    ]


def page(comparison: Comparison) -> str:
    """The web page; images, styles and the record are inside it."""
    return _template().render(
        title=title(comparison),
        intro=intro(comparison),
        entries=[(entry, _image(entry), _sound(entry)) for entry in comparison.entries],
        kind=comparison.entries[0].kind,
        rows=rows(comparison),
        notes=notes(comparison),
        protocols=protocols(comparison),
        card_scores=card_scores(comparison),
        families=family_rows(comparison) if comparison.families else [],
        record=json.dumps(comparison.record(), indent=2),
        good=GOOD,
        bad=BAD,
    )


@cache
def _template() -> "Template":
    from jinja2 import Environment

    source = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(source)


def _image(entry: ModelEntry) -> str:
    """A PNG of the samples, in base64."""
    samples = entry.samples
    if isinstance(samples, Images):
        scale = max(1, SHARP // max(samples.tensor.shape[-2:]))
        return base64.b64encode(samples.png(scale=scale)).decode()
    return base64.b64encode(samples.png()).decode()


def _sound(entry: ModelEntry) -> str:
    """A WAV file of the samples, in base64, if they are signals."""
    samples = entry.samples
    return base64.b64encode(samples.wav()).decode() if isinstance(samples, Signals) else ""


# ------------------------------------------------------------------------------------ as an image


def picture(comparison: Comparison) -> bytes:
    """A PNG: sixteen samples of each model side by side, and the table below them."""
    names = [entry.name for entry in comparison.entries]
    lines = [[Cell(text) for text in ("", *names, "real")], *rows(comparison)]
    small = font(SMALL)
    first = round(max(small.getlength(str(line[0])) for line in lines)) + MARGIN
    widths = [small.getlength(str(cell)) for line in lines for cell in line[1:-1]]
    column = max(COLUMN, round(max(widths)) + MARGIN)
    wide = max(WIDE, 2 * MARGIN + first + column * len(names) + REAL)
    side = min(LARGEST, (wide - MARGIN) // len(names) - MARGIN)
    top = MARGIN + 2 * LINE + LARGE
    below = top + side + LINE
    sheet, draw = new_sheet(wide, below + LINE * (len(lines) + 1) + MARGIN)
    draw.text((MARGIN, MARGIN), title(comparison), INK, font(LARGE))
    for i, entry in enumerate(comparison.entries):
        left = MARGIN + i * (wide - MARGIN) // len(names)
        draw.text((left, top - LINE), entry.name, INK, small)
        sheet.paste(_grid(entry, side), (left, top))
    for i, line in enumerate(lines):
        for j, cell in enumerate(line):
            left = MARGIN + (first + (j - 1) * column if j else 0)
            colour = PALE if not i else COLOURS[cell.verdict] if cell.verdict else INK
            draw.text((left, below + LINE * i), str(cell), colour, small)
    foot = f"{intro(comparison)} All {comparison.entries[0].kind} are synthetic."
    draw.text((MARGIN, below + LINE * len(lines) + LINE // 2), foot, PALE, font(SMALL - 6))
    return encoded(sheet, synthetic=True)


def _grid(entry: ModelEntry, side: int) -> Image.Image:
    """Four by four images, at most ``side`` pixels wide, each of their pixels a square; of other
    samples their picture.
    """
    samples = entry.samples
    if isinstance(samples, Images):
        across = GRID * max(samples.tensor.shape[-2:])
        grid = samples.grid(columns=GRID, scale=max(1, (side - 10) // across))
    else:
        grid = opened(io.BytesIO(samples.png()))
    grid = grid.convert("RGB")
    grid.thumbnail((side, side))
    return grid
