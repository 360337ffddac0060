"""train: train a model from Python, on a data set, a folder, or what Python holds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.data.arrays import source_of
from genzoo.errors import BadInput
from genzoo.files import expanded
from genzoo.runs import launch
from genzoo.runs.run import RunStatus, alone
from genzoo.zoo import names

if TYPE_CHECKING:
    from genzoo.models.model import Model


def train(
    family: str,
    data: Any = None,
    *,
    out: str | Path,
    steps: int | None = None,
    minutes: float | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    root: str | Path | None = None,
    device: str = "auto",
    report: Callable[[RunStatus], None] | None = None,
) -> "Model":
    """Train a model of ``family`` on ``data`` into the folder ``out``, and load it.

    ``data``: a data set's name (by default digits), a folder, two domains ``A,B``; or an array, a
    tensor, (x, labels) or a torch Dataset, as in `genzoo.data.in_memory`. ``steps`` or ``minutes``:
    how long; by default five minutes. ``settings``: of the data, the config and the options, as
    after ``--set`` on the command line. ``resume``: go on with the run in ``out``, as after
    ``--resume``; data from Python are needed again, and must be the same. ``force``: replace a
    model in ``out``. ``report``: called after each step. Raises BadInput, UnknownName,
    OperationFailed.
    """
    folder, where = expanded(out), None if root is None else Path(root)
    if steps is not None and minutes is not None:
        raise BadInput("steps and minutes exclude each other: give one of them")
    with alone(folder):
        if resume:
            source = None if data is None else source_of(data)
            given = {"steps": steps, "values": dict(settings or {}), "data": source}
            run = launch.resume(folder, where, **given)
        else:
            minutes = 5.0 if steps is None and minutes is None else minutes
            run = launch.start(
                family,
                "digits" if data is None else source_of(data),
                folder,
                steps=steps,
                minutes=minutes,
                values=dict(settings or {}),
                root=where,
                force=force,
                seed=seed,
                device=device,
            )
        run.go(report)
    return names.load(folder, device=device)
