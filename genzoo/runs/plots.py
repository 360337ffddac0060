"""Watching a run: what its log says and its grids show, as a figure, a page or a film.

Two curves come from the grids, which draw the same codes at every step. Cells far apart: the code
matters, and no mode is everything. Frames close together: what each code means has settled.
"""

import base64
import html
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from PIL import Image

from genzoo.errors import BadInput, OperationFailed
from genzoo.files import check_new, expanded, write_whole
from genzoo.models.pictures import SYNTHETIC
from genzoo.text import printable
from genzoo.version import VERSION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from genzoo.runs.run import RunStatus


COLUMNS, GAP = 4, 2  # of a grid of sixteen
FRAME = 200  # milliseconds
# What lectures tell people to watch comes first; what else is logged has a panel of its own.
PANELS = {
    "losses": r"/loss$",
    "discriminator's accuracy": r"/accuracy$",
    "D of data and of fakes": r"/D\(.*\)$",
    "gradient norms": r"/gradient$",
}
LINE = 0.8
ENDINGS = (".html", ".svg", ".png", ".gif")  # of what a run is drawn as
MANY = 100  # values, from which on their moving mean is drawn before them
Curve = tuple[np.ndarray, np.ndarray]


@final
@dataclass(frozen=True)
class Watched:
    """What a run left to look at.

    ``curves``: of everything logged, the steps and the values, ``(k,)`` each. ``findings``: what
    the doctor said, by step. ``steps``, ``frames``: of the grids, uint8 ``(k, H, W)`` or
    ``(k, H, W, 3)``; none where the samples are no pictures. ``plan``: what was asked of the run.
    """

    folder: Path
    plan: dict[str, Any]
    curves: dict[str, Curve]
    findings: tuple[tuple[int, str], ...]
    steps: tuple[int, ...]
    frames: np.ndarray | None

    @property
    def cells(self) -> np.ndarray | None:
        """The sixteen samples of each grid, ``(k, 16, h, w, c)`` in [0, 1]."""
        if self.frames is None:
            return None
        frames = self.frames.reshape(*self.frames.shape[:3], -1)[:, GAP:, GAP:]
        k, high, wide, channels = frames.shape
        rows = frames.reshape(k, COLUMNS, high // COLUMNS, COLUMNS, wide // COLUMNS, channels)
        cells = rows.swapaxes(2, 3).reshape(k, COLUMNS**2, *rows.shape[2:3], *rows.shape[4:])
        return cells[:, :, :-GAP, :-GAP].astype(np.float32) / 255

    @property
    def spread(self) -> Curve | None:
        """How far apart the samples of a grid are: the root of the mean square over all pairs."""
        if (cells := self.cells) is None:
            return None
        flat = cells.reshape(*cells.shape[:2], -1)
        # The mean over pairs of a squared distance is twice the variance (unbiased).
        return np.array(self.steps), np.sqrt(2 * flat.var(1, ddof=1).mean(-1))

    @property
    def change(self) -> Curve | None:
        """How far each sample moved since the grid before: the root of the mean square."""
        if (cells := self.cells) is None or len(cells) < 2:
            return None
        moved = np.square(np.diff(cells, axis=0)).reshape(len(cells) - 1, -1).mean(1)
        return np.array(self.steps[1:]), np.sqrt(moved)

    def record(self) -> dict[str, Any]:
        """All of it but the pictures, for JSON."""
        movement = {"cells apart": self.spread, "moved since the grid before": self.change}
        curves = {**self.curves, **{k: v for k, v in movement.items() if v is not None}}
        told = {name: [steps.tolist(), values.tolist()] for name, (steps, values) in curves.items()}
        findings = [{"step": step, "text": text} for step, text in self.findings]
        return {"folder": str(self.folder), "curves": told, "findings": findings}


def watched(folder: str | Path) -> Watched:
    """What the run in ``folder`` has logged and drawn so far; it may still be training.

    Raises BadInput where there is no run.
    """
    place = expanded(folder) / "run"
    try:
        plan = json.loads((place / "plan.json").read_bytes())
        lines = (place / "log.jsonl").read_text(errors="replace").splitlines()
    except (OSError, ValueError):
        raise BadInput(
            f"there is no run in {folder}: it is a folder that genzoo train wrote"
        ) from None
    told = [line for text in lines if (line := _parsed(text))]
    numbers = [{k: v for k, v in line.items() if k != "step"} for line in told]
    curves: dict[str, Curve] = {}
    for name in dict.fromkeys(k for line in numbers for k in line if k not in ("finding", "text")):
        points = [(line["step"], line[name]) for line in told if name in line]
        steps, values = np.array(points, dtype=np.float64).T
        curves[name] = steps.astype(np.int64), values
    findings = tuple((line["step"], line["text"]) for line in told if "finding" in line)
    return Watched(expanded(folder), plan, curves, findings, *_grids(place / "grids"))


def _parsed(text: str) -> dict[str, Any]:
    """A line of the log; {} where a crash cut it off."""
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else {}


def _grids(folder: Path) -> tuple[tuple[int, ...], np.ndarray | None]:
    steps, frames = [], []
    for path in sorted(folder.glob("[0-9]*.png")):
        try:
            with Image.open(path, formats=["PNG"]) as image:
                frames.append(np.array(image.convert("L" if image.mode == "L" else "RGB")))
        except OSError:
            continue  # being written, or cut off by a crash
        steps.append(int(path.stem))
    whole = [i for i, frame in enumerate(frames) if frame.shape == frames[-1].shape]
    kept = np.stack([frames[i] for i in whole]) if whole else None
    return tuple(steps[i] for i in whole), kept


def plot(folder: str | Path, path: str | Path) -> Path:
    """Write what the run in ``folder`` shows to ``path``: a figure (.svg, .png), a page that needs
    nothing beside it (.html), or the grids as a film (.gif).

    Raises BadInput where there is no run, or nothing in it yet; OperationFailed without matplotlib.
    """
    run, path = watched(folder), expanded(path)
    check_new(path, ENDINGS, force=True)
    kind = path.suffix.lower().removeprefix(".")
    write = {"html": page, "gif": film}.get(kind, lambda run: figure(run, kind))
    write_whole(path, write(run))
    return path


def film(run: Watched) -> bytes:
    """The grids, one after the other, as a GIF; the last one stays for two seconds."""
    if run.frames is None:
        raise BadInput(
            f"{run.folder} holds no grids: its samples are no pictures, or none is drawn"
        )
    frames = [Image.fromarray(frame) for frame in run.frames]
    buffer, waits = io.BytesIO(), [FRAME] * (len(frames) - 1) + [2000]
    told = {"save_all": True, "loop": 0, "duration": waits, "comment": SYNTHETIC.encode()}
    frames[0].save(buffer, "GIF", append_images=frames[1:], **told)
    return buffer.getvalue()


def figure(run: Watched, kind: str) -> bytes:
    """All panels as the bytes of an SVG or a PNG. Raises OperationFailed without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise OperationFailed('a figure needs matplotlib: pip install "genzoo[plot]"') from None
    panels = _panels(run)
    rows = math.ceil(len(panels) / 2)
    # One salt and no date: the same run gives the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "genzoo", "font.size": 9}):
        sheet = Figure(figsize=(10, 2.6 * rows), layout="constrained")
        places = sheet.subplots(rows, 2, squeeze=False).flat
        for axes, (name, curves) in zip(places, panels.items(), strict=False):
            _panel(axes, name, curves, [step for step, _ in run.findings])
        for axes in sheet.axes[len(panels) :]:
            axes.set_axis_off()
        sheet.suptitle(printable(_title(run)))
        buffer = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": f"genzoo {VERSION}"}
        sheet.savefig(buffer, format=kind, dpi=120, metadata=metadata)
    return buffer.getvalue()


def _panels(run: Watched) -> dict[str, dict[str, Curve]]:
    """What is drawn beside what: by the kind of number, whichever player it is of."""
    panels: dict[str, dict[str, Curve]] = {}
    for name, curve in run.curves.items():
        fitting = [panel for panel, rule in PANELS.items() if re.search(rule, name)]
        panel = fitting[0] if fitting else name
        short = name.partition("/")[0 if panel in ("losses", "gradient norms") else 2]
        panels.setdefault(panel, {})[short or name] = curve
    panels = {name: panels[name] for name in [*PANELS, *panels] if name in panels}
    if run.spread and run.change:
        panels["samples of one grid: how far apart"] = {"": run.spread}
        panels["the same codes: moved since the grid before"] = {"": run.change}
    if not panels:
        raise BadInput(f"{run.folder} has logged nothing yet: wait for its first ten steps")
    return panels


def _panel(axes: "Axes", name: str, curves: dict[str, Curve], marks: Sequence[int]) -> None:
    for label, (steps, values) in curves.items():
        (drawn,) = axes.plot(steps, values, linewidth=LINE)
        if len(values) > MANY:
            drawn.set_alpha(0.3)
            (drawn,) = axes.plot(steps, _smooth(values), color=drawn.get_color())
        drawn.set_label(printable(label))
    for step in marks:
        axes.axvline(step, color="firebrick", linewidth=LINE, linestyle=":")
    positive = [values for _, values in curves.values() if (values > 0).all()]
    if len(positive) == len(curves) and "gradient" in name:
        axes.set_yscale("log")
    axes.set_title(printable(name), fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=8)


def _smooth(values: np.ndarray) -> np.ndarray:
    """A moving mean over a fiftieth of the run, of what there is at the ends."""
    width = max(3, len(values) // 50) | 1
    total = np.convolve(values, np.ones(width), "same")
    return total / np.convolve(np.ones(len(values)), np.ones(width), "same")


def _title(run: Watched) -> str:
    plan = run.plan
    return f"{plan.get('family', '?')} on {plan.get('data', '?')}, {plan.get('steps', 0):,} steps"


def page(run: Watched) -> bytes:
    """A page with everything in it: curves, the film, what the doctor said, the last values."""
    svg = figure(run, "svg").decode()
    parts = [f"<h1>{_safe(_title(run))}</h1>", f"<pre>{_safe(run.plan.get('command', ''))}</pre>"]
    parts.append(svg[svg.index("<svg") :])
    if run.frames is not None:
        kept = base64.b64encode(film(run)).decode()
        parts.append("<h2>The same sixteen codes, as training goes on</h2>")
        parts.append(f'<img alt="samples at each kept step" src="data:image/gif;base64,{kept}">')
    said = "".join(f"<li>step {step}: {_safe(text)}</li>" for step, text in run.findings)
    parts.append(f"<h2>What the doctor said</h2><ul>{said or '<li>nothing</li>'}</ul>")
    rows = "".join(
        f"<tr><td>{_safe(name)}<td>{steps[-1]:,}<td>{values[-1]:.6g}"
        for name, (steps, values) in run.curves.items()
    )
    parts.append(f"<h2>The last values</h2><table><tr><th><th>step<th>value{rows}</table>")
    style = "body{font:15px system-ui;max-width:62em;margin:2em auto;padding:0 1em}svg{width:100%;"
    style += "height:auto}td,th{text-align:right;padding:.1em 1em}td:first-child{text-align:left}"
    head = f'<meta charset="utf-8"><title>{_safe(_title(run))}</title><style>{style}</style>'
    body = "\n".join(parts)
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'.encode()


def _safe(text: Any) -> str:
    return html.escape(printable(str(text)))


@final
class TensorBoardWriter:
    """Writes a run's numbers, and its grids, where TensorBoard reads them: ``FOLDER/run/board``.

    Called after each step; ``start``: the step that a resumed run goes on from, so that what was
    written behind it is dropped. Raises OperationFailed without tensorboard.
    """

    def __init__(self, folder: Path, start: int = 0, every: int = 10):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise OperationFailed(
                '--board needs tensorboard: pip install "genzoo[board]"'
            ) from None
        self.folder, self.every, self.drawn = folder / "run", every, start - 1
        self.writer = SummaryWriter(str(self.folder / "board"), purge_step=start + 1)

    def __call__(self, status: "RunStatus") -> None:
        if status.step % self.every == 0 or status.step == status.steps:
            for name, value in status.logs.items():
                self.writer.add_scalar(name, value.item(), status.step)
            self._draw()

    def _draw(self) -> None:
        new = [p for p in (self.folder / "grids").glob("[0-9]*.png") if int(p.stem) > self.drawn]
        for path in sorted(new):
            frame, self.drawn = np.array(Image.open(path)), int(path.stem)
            layout = "HW" if frame.ndim == 2 else "HWC"
            self.writer.add_image("samples", frame, self.drawn, dataformats=layout)

    def close(self) -> None:
        """Write what is left: the last grid is drawn after the last step."""
        self._draw()
        self.writer.close()
