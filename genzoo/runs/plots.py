"""Plots of a run: its log and its sample grids, as a figure, a page, a film or for TensorBoard.

Two curves come from the grids, whose samples have the same codes at every step. If the samples of a
grid are far apart, the model uses the code, and the modes have not collapsed. If samples hardly
change from grid to grid, the meaning of each code is stable.
"""

import base64
import io
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from PIL import Image

from genzoo.errors import BadInput, OperationFailed, argument, article, install_command
from genzoo.files import check_new, ending_of, expanded, npy, write_whole
from genzoo.models.captions import Captions, captioned
from genzoo.models.kinds import PLOTS
from genzoo.models.picture_files import SYNTHETIC, opened
from genzoo.models.pictures import LARGEST_SHEET
from genzoo.models.samples import Images
from genzoo.runs.plan import plan_values
from genzoo.schemas import read_line
from genzoo.text import printable
from genzoo.version import VERSION
from genzoo.zoo.reader import open_named, read_named

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.axes import Axes

    from genzoo.runs.run import RunStatus


COLUMNS, GAP = 4, 2  # of a grid of sixteen samples: across, and pixels between them
FRAME = 200  # milliseconds of a grid in the film
# Panels, by what their curves' names match; any other curve has a panel of its own.
PANELS = {
    "losses": r"/loss$",
    "discriminator's accuracy": r"/accuracy$",
    "D of data and of fakes": r"/D\(.*\)$",
    "gradient norms": r"/gradient$",
}
LINE = 0.8
VECTORS = (".html", ".svg", ".pdf", ".npy")
# Of a figure, by its format; no date, so that the same run gives the same bytes.
METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "png": {"Software": f"genzoo {VERSION}"},
    "pdf": {"CreationDate": None, "Producer": f"genzoo {VERSION}"},
}
MANY = 100  # values: a longer curve is drawn with its moving mean
Curve = tuple[np.ndarray, np.ndarray]


LARGEST_LOG = 1 << 30  # bytes


@final
@dataclass(frozen=True)
class RunLog:
    """The logs and grids of a run so far.

    ``plan``: the content of plan.json. ``curves``: of every logged name, the steps and the values,
    ``(k,)`` each. ``warnings``: the training monitor's, each with its step. ``steps``, ``frames``:
    of the sample grids, uint8 ``(k, H, W)`` or ``(k, H, W, 3)``, grids of images as if they had not
    been enlarged; None if samples have no picture.
    ``phases``: the first logged step of each, if there are several.
    """

    folder: Path
    plan: dict[str, Any]
    curves: dict[str, Curve]
    warnings: tuple[tuple[int, str], ...]
    steps: tuple[int, ...]
    frames: np.ndarray | None
    phases: dict[str, int]

    @property
    def cells(self) -> np.ndarray | None:
        """The sixteen images of each grid, ``(k, 16, h, w, c)`` in [0, 1]; None of other kinds."""
        if self.frames is None or not _shows_images(self.plan):
            return None
        return np.stack([_cells(frame) for frame in self.frames]).astype(np.float32) / 255

    @property
    def spread(self) -> Curve | None:
        """The distance between the samples of a grid: the root mean square over all pairs."""
        if (cells := self.cells) is None:
            return None
        flat = cells.reshape(*cells.shape[:2], -1)
        # The mean over pairs of a squared distance is twice the variance (unbiased).
        return np.array(self.steps), np.sqrt(2 * flat.var(1, ddof=1).mean(-1))

    @property
    def change(self) -> Curve | None:
        """The change of the samples since the previous grid: the root mean square."""
        if (cells := self.cells) is None or len(cells) < 2:
            return None
        moved = np.square(np.diff(cells, axis=0)).reshape(len(cells) - 1, -1).mean(1)
        return np.array(self.steps[1:]), np.sqrt(moved)

    def record(self) -> dict[str, Any]:
        """Everything but the images, for JSON."""
        of_grids = {"cells apart": self.spread, "moved since the grid before": self.change}
        curves = {**self.curves, **{k: v for k, v in of_grids.items() if v is not None}}
        lists = {
            name: [steps.tolist(), values.tolist()] for name, (steps, values) in curves.items()
        }
        warnings = [{"step": step, "text": text} for step, text in self.warnings]
        record = {"folder": str(self.folder), "curves": lists, "findings": warnings}
        return {**record, "phases": self.phases} if self.phases else record


def read_run(folder: str | Path) -> RunLog:
    """The log and the grids of the run in ``folder``, which may still be training.

    Raises BadInput if there is no run.
    """
    place = expanded(folder) / "run"
    try:
        plan = _plan(place / "plan.json")
        content = read_named(place / "log.jsonl", LARGEST_LOG)
    except OSError:
        raise BadInput(f"no run in {folder}: give a folder that a training run wrote") from None
    lines = content.decode(errors="replace").splitlines()
    records = [record for line in lines if (record := _parsed(line))]
    names = dict.fromkeys(name for record in records for name in record)
    curves: dict[str, Curve] = {}
    for name in [name for name in names if name not in ("step", "phase", "finding", "text")]:
        points = [(record["step"], record[name]) for record in records if name in record]
        steps, values = np.array(points, dtype=np.float64).T
        curves[name] = steps.astype(np.int64), values
    warnings = tuple((r["step"], r["text"]) for r in records if "finding" in r)
    phases: dict[str, int] = {}
    for record in records:
        if "phase" in record:
            phases.setdefault(str(record["phase"]), record["step"])
    grids = _grids(place / "grids", _shows_images(plan))
    return RunLog(expanded(folder), plan, curves, warnings, *grids, phases)


def _shows_images(plan: dict[str, Any]) -> bool:
    return plan.get("kind", "images") == "images"


def _plan(path: Path) -> dict[str, Any]:
    """The content of plan.json, of older formats and families that are gone, too."""
    path.with_name("log.jsonl").stat(), path.stat()  # raises OSError where there is none
    values, kinds = plan_values(path), {"family": str, "data": str, "command": str, "steps": int}
    for name, kind in kinds.items():
        if type(value := values.get(name, kind())) is not kind:
            raise BadInput(f"{path} is damaged: {name} is {article(value)}")
    return values


def _parsed(line: str) -> dict[str, Any]:
    """The record in a line of the log; {} if a crash cut the line off, or damaged it."""
    record = read_line(line)
    return record if _is_record(record) else {}


def _is_record(record: dict[str, Any]) -> bool:
    """Whether each value has its type."""
    step, texts = record.get("step"), ("phase", "finding", "text")
    numbers = [v for k, v in record.items() if k not in texts]
    right = all(isinstance(record.get(name, ""), str) for name in texts)
    right = right and all(type(v) in (int, float) and not abs(v) > 1e300 for v in numbers)
    return (
        right
        and ("finding" in record) == ("text" in record)
        and type(step) is int
        and 0 <= step <= 10**9
    )


def _grids(folder: Path, of_images: bool) -> tuple[tuple[int, ...], np.ndarray | None]:
    """The steps and the frames of the grids that are alike."""
    steps: list[int] = []
    frames: list[np.ndarray] = []
    for path in sorted(p for p in folder.glob("[0-9]*.png") if p.stem.isdecimal()):
        try:
            with open_named(path) as file, opened(file) as image:
                if image.width * image.height > LARGEST_SHEET:
                    continue
                if of_images and min(image.size) < COLUMNS * (GAP + 1) + GAP:
                    continue
                frames.append(np.array(image.convert("L" if image.mode == "L" else "RGB")))
        except Exception:  # Pillow raises errors of many classes
            continue  # being written, cut off by a crash, or damaged
        steps.append(int(path.stem))
    if of_images:
        factors: dict[tuple[int, ...], int] = {}
        for frame in frames:  # one of few colours looks as if it were enlarged further
            factors[frame.shape] = math.gcd(factors.get(frame.shape, 0), _factor(_cells(frame)))
        frames = [_reduced(frame, factors[frame.shape]) for frame in frames]
    alike = [i for i, frame in enumerate(frames) if frame.shape == frames[-1].shape]
    stack = np.stack([frames[i] for i in alike]) if alike else None
    return tuple(steps[i] for i in alike), stack


def _cells(frame: np.ndarray) -> np.ndarray:
    """The sixteen images ``(16, h, w, c)`` of a grid ``(H, W)`` or ``(H, W, 3)``."""
    inner = frame.reshape(*frame.shape[:2], -1)[GAP:, GAP:]
    high, wide = (side // COLUMNS for side in inner.shape[:2])
    rows = inner[: COLUMNS * high, : COLUMNS * wide].reshape(COLUMNS, high, COLUMNS, wide, -1)
    return rows.swapaxes(1, 2).reshape(COLUMNS**2, high, wide, -1)[:, :-GAP, :-GAP]


def _factor(cells: np.ndarray) -> int:
    """By how much the images ``(n, h, w, c)`` were enlarged, at most."""
    _, high, wide, _ = cells.shape
    for factor in range(min(high, wide), 1, -1):
        if high % factor or wide % factor:
            continue
        pixels = cells[:, ::factor, ::factor]
        if (pixels.repeat(factor, 1).repeat(factor, 2) == cells).all():
            return factor
    return 1


def _reduced(frame: np.ndarray, factor: int) -> np.ndarray:
    """A grid whose images were enlarged by ``factor``, as it was before."""
    cells = _cells(frame)[:, ::factor, ::factor]
    return np.asarray(_grid(cells.astype(np.float32) / 255, 1))


def _grid(cells: np.ndarray, scale: int | None) -> Image.Image:
    """Sixteen images ``(16, h, w, c)`` in [0, 1] as a run's grid shows them."""
    x = torch.from_numpy(np.ascontiguousarray(cells)).permute(0, 3, 1, 2)
    return Images(x).grid(COLUMNS, scale, GAP)


def check_scale(path: Path, scale: int | None) -> None:
    """Check that ``scale`` changes a plot that is written to ``path``. Raises BadInput."""
    if scale is not None and path.suffix.lower() in VECTORS:
        raise BadInput(f"scale enlarges pixels, and a {path.suffix} has none: leave it out")


def plot(folder: str | Path, path: str | Path, *, scale: int | None = None) -> Path:
    """Draw the run in ``folder`` into the file ``path``: a figure (.svg, .png, .jpg, .webp, .pdf),
    a page without further files (.html), a film of the grids (.gif), or the samples of the grids as
    an array (.npy): float32 ``(grids, 16, h, w, c)``.

    ``scale``: of a film, by how much each pixel of a sample is enlarged; of a figure, by how much
    it is larger than 1,200 pixels. Raises BadInput if there is no run, or nothing in it yet;
    OperationFailed without matplotlib.
    """
    run, path = read_run(folder), expanded(path)
    check_new(path, PLOTS, force=True)
    check_scale(path, scale)
    match ending_of(path):
        case ".html":
            content = page(run)
        case ".gif":
            content = film(run, scale)
        case ".npy":
            content = _samples(run)
        case ending:
            content = figure(run, ending.removeprefix("."), scale or 1)
    write_whole(path, content)
    return path


def _samples(run: RunLog) -> bytes:
    if (cells := run.cells) is None:
        raise _no_grids(run)
    return npy(cells)


def _no_grids(run: RunLog) -> BadInput:
    why = "its samples have no picture, or there is no grid yet"
    return BadInput(f"{run.folder} has no grids: {why}")


def film(run: RunLog, scale: int | None = None) -> bytes:
    """The grids, one after the other, as a GIF; the last one stays for two seconds."""
    if run.frames is None:
        raise _no_grids(run)
    if (cells := run.cells) is None:
        sheets = [Image.fromarray(frame) for frame in run.frames]
    else:
        sheets = [_grid(one, scale) for one in cells]
    pairs = zip(run.steps, sheets, strict=True)
    frames = [captioned([sheet], Captions(f"step {step:,}"), 1) for step, sheet in pairs]
    buffer, waits = io.BytesIO(), [FRAME] * (len(frames) - 1) + [2000]
    options = {"save_all": True, "loop": 0, "duration": waits, "comment": SYNTHETIC.encode()}
    frames[0].save(buffer, "GIF", append_images=frames[1:], **options)
    return buffer.getvalue()


def figure(run: RunLog, kind: str, scale: int = 1) -> bytes:
    """All panels as the bytes of a ``kind`` of file: svg, png, jpg, webp or pdf.

    Raises OperationFailed without matplotlib.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise OperationFailed(f"a figure needs matplotlib: {install_command('plot')}") from None
    panels = _panels(run)
    rows = math.ceil(len(panels) / 2)
    # One salt: the same run gives the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "genzoo", "font.size": 9}):
        sheet = Figure(figsize=(10, 2.6 * rows), layout="constrained")
        places = sheet.subplots(rows, 2, squeeze=False).flat
        last = max(steps[-1] for curves in panels.values() for steps, _ in curves.values())
        for axes, (name, curves) in zip(places, panels.items(), strict=False):
            _panel(axes, name, curves, run)
            axes.set_xlim(0, max(1, last))
        for axes in sheet.axes[len(panels) :]:
            axes.set_axis_off()
        sheet.suptitle(printable(_title(run)))
        sheet.supxlabel(_key(run, panels), fontsize=8)
        buffer = io.BytesIO()
        sheet.savefig(buffer, format=kind, dpi=120 * scale, metadata=METADATA.get(kind))
    return buffer.getvalue()


def _panels(run: RunLog) -> dict[str, dict[str, Curve]]:
    """The curves of each panel, by label: those of one kind, of all networks."""
    panels: dict[str, dict[str, Curve]] = {}
    for name, curve in run.curves.items():
        matching = [panel for panel, pattern in PANELS.items() if re.search(pattern, name)]
        panel = matching[0] if matching else name
        short = name.partition("/")[0 if panel in ("losses", "gradient norms") else 2]
        panels.setdefault(panel, {})[short or name] = curve
    panels = {name: panels[name] for name in [*PANELS, *panels] if name in panels}
    if run.spread and run.change:
        panels["distance between the samples of a grid"] = {"": run.spread}
        panels["change of the samples since the previous grid"] = {"": run.change}
    if not panels:
        raise BadInput(f"{run.folder} has logged nothing yet: wait for its first ten steps")
    return panels


def _panel(axes: "Axes", name: str, curves: dict[str, Curve], run: RunLog) -> None:
    for label, (steps, values) in curves.items():
        dot = "o" if len(values) == 1 else ""  # a line of one point is invisible
        (line,) = axes.plot(steps, values, linewidth=LINE, marker=dot)
        if len(values) > MANY:
            line.set_alpha(0.3)
            (line,) = axes.plot(steps, _smooth(values), color=line.get_color())
        line.set_label(printable(label))
    for step, _ in run.warnings:
        axes.axvline(step, color="firebrick", linewidth=LINE, linestyle=":")
    for step in [*run.phases.values()][1:]:
        axes.axvline(step, color="grey", linewidth=LINE, linestyle="--")
    positive = [values for _, values in curves.values() if (values > 0).all()]
    axes.xaxis.set_major_formatter("{x:,.0f}")
    if len(positive) == len(curves) and "gradient" in name:
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.set_title(printable(name), fontsize=9, loc="left")
    axes.set_xlabel("step", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:  # beside the title, where it covers no curve
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0}
        axes.legend(frameon=False, fontsize=8, ncols=len(curves), **place)


def _key(run: RunLog, panels: dict[str, dict[str, Curve]]) -> str:
    """What the lines of the figure mean that no legend names."""
    lengths = [len(values) for curves in panels.values() for _, values in curves.values()]
    parts = ["pale: each value, strong: their moving mean"] * (max(lengths) > MANY)
    parts += ["red, dotted: a warning"] * bool(run.warnings)
    return "; ".join([*parts, *["grey, dashed: a new phase"] * (len(run.phases) > 1)])


def _smooth(values: np.ndarray) -> np.ndarray:
    """A moving mean over a fiftieth of the run; at the ends, over the values that exist."""
    width = max(3, len(values) // 50) | 1
    total = np.convolve(values, np.ones(width), "same")
    return total / np.convolve(np.ones(len(values)), np.ones(width), "same")


def _title(run: RunLog) -> str:
    plan = run.plan
    return f"{plan.get('family', '?')} on {plan.get('data', '?')}, {plan.get('steps', 0):,} steps"


def page(run: RunLog) -> bytes:
    """An HTML page without further files: figure, film, warnings and last values."""
    svg = figure(run, "svg").decode()
    gif = "" if run.frames is None else base64.b64encode(film(run)).decode()
    title, figure_tag = _title(run), svg[svg.index("<svg") :]
    return _template().render(run=run, title=title, figure=figure_tag, film=gif).encode()


@cache
def _template() -> "Template":
    from jinja2 import Environment

    source = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    return Environment(autoescape=True, finalize=_without_controls).from_string(source)


def _without_controls(value: Any) -> Any:
    """Text without control characters: names and commands come from others' files."""
    return printable(value) if type(value) is str else value


@final
class TensorBoardWriter:
    """Writes a run's numbers and grids where TensorBoard reads them: ``FOLDER/run/board``.

    Called after each step. ``start``: the step that a resumed run begins with; TensorBoard drops
    what was written for later steps. Raises OperationFailed without tensorboard.
    """

    def __init__(self, folder: Path, start: int = 0, every: int = 10):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            todo = install_command("board")
            raise OperationFailed(f"{argument('board')} needs tensorboard: {todo}") from None
        self.folder, self.every, self.last_grid = folder / "run", every, start - 1
        self.writer = SummaryWriter(str(self.folder / "board"), purge_step=start + 1)

    def __call__(self, status: "RunStatus") -> None:
        if status.step % self.every == 0 or status.step == status.steps:
            for name, value in status.logs.items():
                self.writer.add_scalar(name, value.item(), status.step)
            self._write_grids()

    def _write_grids(self) -> None:
        for path in sorted((self.folder / "grids").glob("[0-9]*.png")):
            if int(path.stem) <= self.last_grid:
                continue
            frame, self.last_grid = np.array(opened(path)), int(path.stem)
            layout = "HW" if frame.ndim == 2 else "HWC"
            self.writer.add_image("samples", frame, self.last_grid, dataformats=layout)

    def close(self) -> None:
        """Write the rest: the last grid is drawn after the last step."""
        self._write_grids()
        self.writer.close()
