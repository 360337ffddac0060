"""A comparison for people: lines for a terminal, a page that is one file, a picture to project."""

import base64
import html
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from genzoo.errors import BadInput, OperationFailed
from genzoo.evaluation.evaluate import protocol_line
from genzoo.files import check_free, expanded, write_whole
from genzoo.metrics.score import Score, Verdict, differences
from genzoo.models.pictures import XMP
from genzoo.models.samples import Images
from genzoo.text import columns
from genzoo.version import VERSION

BATCH = 64  # samples at a time, where speed is measured
FILES = ("compare.html", "compare.png", "compare.json")
GOALS = {"lower": "lower is better", "higher": "higher is better", "near_one": "1 is real"}
# The picture's measures, in pixels: readable from the last row of a lecture hall. SHARP: the least
# that a sample has in the page.
WIDE, LARGEST, COLUMN, REAL = 1760, 800, 450, 150
MARGIN, LINE, LARGE, SMALL = 40, 40, 40, 26
GRID, SHARP = 4, 128
INK, PALE, GOOD, BAD, PAPER = "#1b1b1b", "#6b6b6b", "#0a7d32", "#b3261e", "#ffffff"
COLOURS: dict[Verdict, str] = {
    "better": GOOD,
    "worse": BAD,
    "can't tell": PALE,
    "not ranked": PALE,
}
_ON_CARDS = """<h2>On the models' cards</h2>
<p class="pale">Measured before, each under its own protocol: ranked with nothing here.</p>"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
:root {{ color-scheme: light dark; font: 18px/1.5 system-ui, sans-serif }}
body {{ max-width: 76rem; margin: 2rem auto; padding: 0 1rem }}
.models {{ display: flex; flex-wrap: wrap; gap: 2rem }}
figure {{ margin: 0; flex: 1 1 20rem }}
img {{ width: 100%; image-rendering: pixelated }}
figcaption, .pale {{ opacity: .75 }}
table {{ border-collapse: collapse; width: 100%; margin: 1.5rem 0 }}
th, td {{ text-align: left; padding: .45rem .9rem .45rem 0; border-bottom: 1px solid #8885 }}
td {{ font-variant-numeric: tabular-nums }}
.better {{ color: light-dark(#0a7d32, #6fdc8c) }}
.worse {{ color: light-dark(#b3261e, #ff8a80) }}
pre {{ overflow-x: auto; font-size: .75rem }}
</style></head><body>
<h1>{title}</h1>
<p>{intro}</p>
<div class="models">{figures}</div>
{table}
<p class="pale">{notes}</p>
<h2>Protocols</h2>
{protocols}
{carded}
<details><summary>The record: every number with its protocol</summary><pre>{record}</pre></details>
</body></html>
"""


@final
@dataclass(frozen=True)
class ModelEntry:
    """A model in a comparison: what it is, its first samples, and how long 64 of them take."""

    name: str
    family: str
    trained_on: str
    parameters: int
    bytes: int
    samples: Images
    seconds: tuple[float, ...]
    terms: str
    carded: tuple[dict[str, Any], ...] = ()
    """the scores on its card, measured before under protocols of their own"""

    @property
    def milliseconds(self) -> float:
        """A sample, in batches of 64: the fastest of the rounds, as others only ever slow it."""
        return 1000 * min(self.seconds) / BATCH


@final
@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found. ``scores`` and ``verdicts``: by metric, one for each entrant, None
    where it lacks what the metric measures.
    """

    data: str
    why: str
    n: int
    seed: int
    machine: str
    entrants: tuple[ModelEntry, ...]
    abouts: dict[str, str]
    scores: dict[str, tuple[Score | None, ...]]
    verdicts: dict[str, tuple[Verdict | None, ...]]

    def record(self) -> dict[str, Any]:
        """All of it but the pictures, for JSON."""
        return {
            "genzoo": VERSION,
            "data": self.data,
            "why": self.why,
            "samples": self.n,
            "seed": self.seed,
            "machine": self.machine,
            "models": [self._model(i) for i in range(len(self.entrants))],
        }

    def _model(self, i: int) -> dict[str, Any]:
        entrant = self.entrants[i]
        facts = {k: getattr(entrant, k) for k in ("name", "family", "trained_on", "terms")}
        sizes = {"parameters": entrant.parameters, "bytes": entrant.bytes}
        speed = {"batch_size": BATCH, "seconds": entrant.seconds, "machine": self.machine}
        scores = [
            {**score.record(), "verdict": self.verdicts[name][i]}
            for name, found in self.scores.items()
            if (score := found[i]) is not None
        ]
        origin = entrant.samples.record()["origin"]
        told = {"speed": speed, "scores": scores, "scores on its card": entrant.carded}
        return {**facts, "origin": origin, **sizes, **told}

    def __str__(self) -> str:
        heads = ["", *(e.name for e in self.entrants), "real"]
        lines = [intro(self), "", *columns([heads, *rows(self)]), "", *sentences(self)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Comparison of {title(self)}, {self.n} samples of each, seed {self.seed}>"

    def _repr_png_(self) -> bytes:
        return picture(self)

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write compare.html (all in one file), compare.png and compare.json into ``folder``.

        Raises BadInput if they are there already and ``force`` is off, OperationFailed if it
        cannot.
        """
        folder = expanded(folder)
        check(folder, force)
        files = {
            "compare.png": picture(self),
            "compare.json": (json.dumps(self.record(), indent=2) + "\n").encode(),
            "compare.html": page(self).encode(),
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperationFailed(f"cannot make {folder}: {error.strerror}") from error
        for name, content in files.items():
            write_whole(folder / name, content)
        return folder


def check(folder: Path, force: bool) -> None:
    """Whether a comparison can be written there: asked before the work, not after."""
    check_free(folder, FILES, force)
    nearest = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise BadInput(f"cannot write into {nearest}: -o names another folder")


def title(comparison: Comparison) -> str:
    names = [entrant.name for entrant in comparison.entrants]
    return f"{', '.join(names[:-1])} and {names[-1]} on {comparison.data}"


def intro(comparison: Comparison) -> str:
    why = f"{comparison.data}: {comparison.why}"
    return f"{why}. {comparison.n:,} samples of each, seed {comparison.seed}; 95 % intervals."


def rows(comparison: Comparison) -> list[list[str]]:
    """A line for each metric and fact: its name, a cell for each model, the floor."""
    found = []
    for name, scores in comparison.scores.items():
        cells = [_cell(s, v) for s, v in zip(scores, comparison.verdicts[name], strict=True)]
        first = next(score for score in scores if score is not None)
        unit = f", {first.unit.strip()}" if first.unit else ""
        found.append([f"{name}{unit} ({GOALS[first.goal]})", *cells, _floor(first)])
    for what, of in FACTS.items():
        found.append([what, *(of(entrant) for entrant in comparison.entrants), ""])
    return found


# What a reader must know of all numbers alike.
_HOW = (
    "Intervals hold the mean of the parts at 95 %: Student's t below 30 parts, the bootstrap below "
    "1,000, then the normal law; real images are taken as given. Better: better than each other "
    "model, pair by pair, by the differences of parts; nothing is corrected for how many are "
    "compared. Distances and shares of few samples are biased: compare them at one n, with what "
    "held-out real images get at that n."
)
FACTS = {
    f"ms a sample, {BATCH} at a time": lambda e: f"{e.milliseconds:.3g}",
    "parameters": lambda e: f"{e.parameters:,}",
    "bytes": lambda e: f"{e.bytes:,}",
}


def sentences(comparison: Comparison) -> list[str]:
    """What the comparison found, a sentence for each metric."""
    names, found = [e.name for e in comparison.entrants], []
    for metric, given in comparison.verdicts.items():
        if "not ranked" in given:
            found.append(f"{metric}: not ranked{_why_not(comparison.scores[metric])}")
            continue
        best = next((n for n, v in zip(names, given, strict=True) if v == "better"), None)
        unsure = [n for n, v in zip(names, given, strict=True) if v == "can't tell"]
        said = f"{best} is better" if best else f"can't tell {' and '.join(unsure)} apart"
        end = "" if best else f" at {comparison.n:,} samples"
        found.append(f"{metric}: {said}{end}")
    return found


def _why_not(scores: tuple[Score | None, ...]) -> str:
    there = [score for score in scores if score is not None]
    if len(there) < 2:
        return ", as one of them alone has it"
    unlike = dict.fromkeys(k for other in there[1:] for k in differences(there[0], other))
    return f", as the protocols differ: {', '.join(unlike)}"


def conditions(comparison: Comparison) -> list[list[str]]:
    """A line for each metric: its name, and the protocol of its numbers."""
    found = []
    for name, scores in comparison.scores.items():
        first = next(score for score in scores if score is not None)
        found.append([name, protocol_line(first.protocol)])
    return found


def carded(comparison: Comparison) -> list[list[str]]:
    """A line for each score on the models' cards that was not measured here."""
    found = []
    for entrant in comparison.entrants:
        for score in entrant.carded:
            if score["name"] in comparison.scores:
                continue
            found.append(
                [entrant.name, score["name"], _kept(score), protocol_line(score["protocol"])]
            )
    return found


def _kept(score: dict[str, Any]) -> str:
    low, high = score.get("interval") or (None, None)
    between = "" if low is None else f"  [{low:.4g}, {high:.4g}]"
    return f"{score['value']:.4g}{score.get('unit', '')}{between}"


def page(comparison: Comparison) -> str:
    """The page: pictures, styles and record are all inside it."""
    heads = ["", *(e.name for e in comparison.entrants), "held-out real images"]
    before = carded(comparison)
    return _PAGE.format(
        title=html.escape(title(comparison)),
        intro=html.escape(intro(comparison)),
        figures="".join(_figure(entrant) for entrant in comparison.entrants),
        table=_table(heads, rows(comparison)),
        notes=html.escape(" ".join(notes(comparison))),
        protocols=_table(["metric", "protocol"], conditions(comparison)),
        carded=_ON_CARDS + _table(["model", "score", "value", "protocol"], before)
        if before
        else "",
        record=html.escape(json.dumps(comparison.record(), indent=2)),
    )


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    told = ["".join(f"<th>{html.escape(head)}</th>" for head in heads)]
    told += ["".join(f"<td>{_marked(html.escape(cell))}</td>" for cell in line) for line in lines]
    return "<table>" + "\n".join(f"<tr>{line}</tr>" for line in told) + "</table>"


def notes(comparison: Comparison) -> list[str]:
    """What must be said with the numbers."""
    about = [f"{name}: {text}." for name, text in comparison.abouts.items()]
    terms = dict.fromkeys(e.terms for e in comparison.entrants if e.terms)
    alike = "Numbers in these features compare with no numbers in others."
    rounds = len(comparison.entrants[0].seconds)
    fast = f"Speed: the fastest of {rounds} rounds of {BATCH}: {comparison.machine}."
    return [
        *about,
        alike,
        _HOW,
        fast,
        "All pictures are synthetic.",
        *(f"Data: {t}." for t in terms),
    ]


def picture(comparison: Comparison) -> bytes:
    """A PNG: sixteen samples of each side by side, the scores below them."""
    lines = [["", *(e.name for e in comparison.entrants), "real"], *rows(comparison)]
    first = round(max(_font(SMALL).getlength(line[0]) for line in lines)) + MARGIN
    count = len(comparison.entrants)
    cells = [cell for line in lines for cell in line[1:-1]]
    column = max(COLUMN, *(round(_font(SMALL).getlength(cell)) + MARGIN for cell in cells))
    wide = max(WIDE, 2 * MARGIN + first + column * count + REAL)
    side = min(LARGEST, (wide - MARGIN) // count - MARGIN)
    top = MARGIN + 2 * LINE + LARGE
    below = top + side + LINE
    sheet = Image.new("RGB", (wide, below + LINE * (len(lines) + 1) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), title(comparison), INK, _font(LARGE))
    for i, entrant in enumerate(comparison.entrants):
        left = MARGIN + i * (wide - MARGIN) // count
        draw.text((left, top - LINE), entrant.name, INK, _font(SMALL))
        sheet.paste(_grid(entrant, side), (left, top))
    for i, line in enumerate(lines):
        for j, cell in enumerate(line):
            left = MARGIN + (first + (j - 1) * column if j else 0)
            colour = next((c for v, c in COLOURS.items() if cell.endswith(v)), INK)
            draw.text((left, below + LINE * i), cell, colour if i else PALE, _font(SMALL))
    foot = f"{intro(comparison)} All pictures are synthetic."
    draw.text((MARGIN, below + LINE * len(lines) + LINE // 2), foot, PALE, _font(SMALL - 6))
    return _png(sheet)


def _cell(score: Score | None, verdict: Verdict | None) -> str:
    if score is None:
        return "no such ability"
    between = ""
    if score.interval is not None:
        low, high = score.interval
        between = f"  [{_three(low)}, {_three(high)}]"
    return f"{_three(score.value)}{between}  {verdict}"


def _floor(score: Score) -> str:
    return "" if score.floor is None else _three(score.floor)


def _three(value: float) -> str:
    """Three digits, zeros among them: what is beside it has as many."""
    return f"{value:#.3g}".rstrip(".")


def _marked(cell: str) -> str:
    for verdict in COLOURS:
        told = html.escape(verdict)
        if cell.endswith(told):
            return f'{cell.removesuffix(told)}<span class="{verdict.split()[0]}">{told}</span>'
    return cell


def _figure(entrant: ModelEntry) -> str:
    scale = max(1, SHARP // max(entrant.samples.tensor.shape[-2:]))
    code = base64.b64encode(entrant.samples.png(scale=scale)).decode()
    name = html.escape(entrant.name)
    said = f"{name}, trained on {html.escape(entrant.trained_on or 'unnamed data')}"
    picture = f'<img src="data:image/png;base64,{code}" alt="samples of {name}">'
    return f"<figure>{picture}<figcaption>{said}; uncurated</figcaption></figure>"


def _grid(entrant: ModelEntry, side: int) -> Image.Image:
    """Four by four samples, not wider than ``side`` pixels, each pixel of theirs a square."""
    across = GRID * max(entrant.samples.tensor.shape[-2:])
    grid = entrant.samples.grid(columns=GRID, scale=max(1, (side - 10) // across))
    grid = grid.convert("RGB")
    grid.thumbnail((side, side))
    return grid


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _png(sheet: Image.Image) -> bytes:
    about = PngImagePlugin.PngInfo()
    about.add_text("Software", f"genzoo {VERSION}")
    about.add_text("Comment", "Synthetic: drawn by generative models.")
    about.add_itxt("XML:com.adobe.xmp", XMP)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", pnginfo=about, optimize=True)
    return buffer.getvalue()
