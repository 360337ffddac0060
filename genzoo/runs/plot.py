"""plot: the curves and grids of a run, to look at and to save."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from genzoo.models.arguments import checked_arguments
from genzoo.runs import plots
from genzoo.runs.plots import RunLog


@final
@dataclass(frozen=True, repr=False)
class RunPlot:
    """The figure, the page and the film of a run so far; ``log``: its numbers and grids."""

    log: RunLog

    def record(self) -> dict[str, Any]:
        """Everything but the images, for JSON."""
        return self.log.record()

    def save(self, path: str | Path, *, scale: int | None = None) -> Path:
        """Write a figure, a page (``.html``) or a film of the grids (``.gif``).

        ``scale``: of a film, by how much each pixel of a sample is enlarged; of a figure, by how
        much it is larger than 1,200 pixels.
        Raises BadInput, with the endings; OperationFailed without matplotlib.
        """
        return plots.plot(self.log.folder, path, scale=scale)

    def __repr__(self) -> str:
        log = self.log
        last = max((int(steps[-1]) for steps, _ in log.curves.values()), default=0)
        what = f"{log.plan.get('family', '?')} on {log.plan.get('data', '?')}"
        steps = f"logged to step {last:,} of {log.plan.get('steps', 0):,}"
        warnings = [f"step {step}: {text}" for step, text in log.warnings]
        head = f"<RunPlot {log.folder}: {what}, {steps}; curves: {', '.join(log.curves) or 'none'}>"
        return "\n".join([head, *warnings])

    def _repr_png_(self) -> bytes:
        return plots.figure(self.log, "png")


@checked_arguments
def plot(run: str | Path) -> RunPlot:
    """The plot of the run in the folder ``run``, which may still be training.

    Raises BadInput if there is no run.
    """
    return RunPlot(plots.read_run(run))
