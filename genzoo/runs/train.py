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
    seed: int | None = None,
    resume: bool = False,
    force: bool = False,
    root: str | Path | None = None,
    device: str | None = None,
    report: Callable[[RunStatus], None] | None = None,
) -> "Model":
    """Train a model of ``family`` on ``data`` into the folder ``out``, and load it.

    ``data``: a data set's name (by default digits), a folder, two domains ``A,B``; or an array, a
    tensor, (x, labels) or a torch Dataset, as in `genzoo.data.in_memory`. ``steps`` or ``minutes``:
    how long; by default five minutes. ``settings``: of the data, the config and the options, as
    after ``--set`` on the command line. ``seed``: by default 0. ``device``: by default the best
    one. ``resume``: go on with the run in ``out``, as after ``--resume``: what is given again must
    be the run's, or may change; data from Python are needed again. ``force``: replace a model in
    ``out``. ``report``: called after each step. Raises BadInput, UnknownName, OperationFailed.
    """
    folder, where = expanded(out), None if root is None else Path(root)
    if steps is not None and minutes is not None:
        raise BadInput("steps and minutes exclude each other: give one of them")
    if resume and force:
        raise BadInput("resume continues a run and force replaces it: give one of them")
    request = {"steps": steps, "minutes": minutes, "seed": seed, "device": device}
    given: dict[str, Any] = {key: value for key, value in request.items() if value is not None}
    given["values"] = dict(settings or {})
    source = None if data is None else source_of(data)
    with alone(folder):
        if resume:
            run = launch.resume(folder, where, family=family, data=source, **given)
        else:
            if steps is None and minutes is None:
                given["minutes"] = 5.0
            source = "digits" if source is None else source
            run = launch.start(family, source, folder, root=where, force=force, **given)
        run.go(report)
    return names.load(folder, device=device or "auto")
