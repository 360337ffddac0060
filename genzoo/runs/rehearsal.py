"""A rehearsal: what a run would refuse later, or would never read, is refused at its start."""

import logging
from collections.abc import Collection
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

from genzoo import families
from genzoo.data.dataset import DataSet
from genzoo.errors import BadInput
from genzoo.options import SWITCHES, Options
from genzoo.runs.plan import Plan
from genzoo.runs.run import Run
from genzoo.schemas import checked
from genzoo.training import Diverged, fit

log = logging.getLogger("genzoo")
O = TypeVar("O", bound=Options)  # noqa: E741


def rehearse(record: Plan, dataset: DataSet, given: Collection[str]) -> None:
    """Take two steps of each phase, its first and one near its end, on a trainer that is discarded.

    Raises BadInput if an option of ``given`` differs from the family's default and nothing reads
    it, and warns of such an option that is not of ``given`` (of a recipe).
    """
    options = checked(families.get(record.family).options, record.options, "options")
    now, (noting, read) = options.model_dump(), noted(options)
    default = {name: field.get_default() for name, field in type(options).model_fields.items()}
    changed = [name for name, value in now.items() if value != default[name]]
    run = Run(record.model_copy(update={"compile": False}), dataset, Path(), noting)
    if not changed and len(run.trainer.phases) == 1:
        return
    for name in _unread(run, read, changed):
        text = f"{name}={now[name]} has no effect in this run: {_reason(name, record)}"
        if name in given:
            raise BadInput(f"{text}; leave it out")
        log.warning("%s", text)


def _unread(run: Run, read: set[str], changed: list[str]) -> list[str]:
    """Those of the options ``changed`` that ``run`` does not read, from its plan to its model; none
    if it cannot finish. ``read``: where its options note what is read.
    """
    shares = [phase.share for phase in run.trainer.phases]
    starts = [0.0, *accumulate(shares[:-1])]
    ends = [start + 0.999 * share for start, share in zip(starts, shares, strict=True)]
    try:
        for progress in sorted([*starts, *ends]):
            batches = (replace(batch, progress=progress) for batch in run.loader.batches())
            next(fit(run.trainer, batches, 1))
    except Diverged:  # the run itself reports it
        return []
    if run.family.finish and not {*changed} <= read:
        try:
            run.family.finish(run.trainer.model.eval(), run.options, run.loader.first(500))
        except Exception:  # a model that has learned nothing may not be fit to be finished
            return []
    return [name for name in changed if name not in read]


def noted(options: O) -> tuple[O, set[str]]:
    """A copy of ``options``, and the set in which it notes each field that is read."""
    kind: Any = type(options)
    fields, read = kind.model_fields, set[str]()

    def note(self: Any, name: str) -> Any:
        if name in fields:
            read.add(name)
        elif name in ("__dict__", "model_dump", "model_dump_json"):  # all fields at once
            read.update(fields)
        return kind.__getattribute__(self, name)

    names = {"__getattribute__": note, "__module__": __name__}
    noting = type(kind)(kind.__name__, (kind,), names, use_attribute_docstrings=False)
    copy = options.model_copy()
    object.__setattr__(copy, "__class__", noting)
    return copy, read


def _reason(name: str, record: Plan) -> str:
    switch = SWITCHES.get(name)
    if switch in record.options:
        return f"nothing reads it while {switch} is {record.options[switch]}"
    return f"{record.family} does not read it"
