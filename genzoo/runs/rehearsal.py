"""A rehearsal: what a run would refuse later, or would never read, is refused at its start."""

import logging
from collections.abc import Collection
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

from genzoo import families
from genzoo.data.dataset import DataSet
from genzoo.devices import usual_torch
from genzoo.errors import BadInput, GenzooError, OperationFailed, argument
from genzoo.models.sampler import Sampler
from genzoo.options import SWITCHES, Options
from genzoo.runs.plan import Plan, fields_of
from genzoo.runs.run import Run
from genzoo.runs.sizes import nearest_sizes
from genzoo.schemas import Schema, checked
from genzoo.training import Diverged, fit
from genzoo.training.combinations import warnings_of

log = logging.getLogger("genzoo")
S = TypeVar("S", bound=Schema)


@usual_torch()
def rehearse(record: Plan, dataset: DataSet, given: Collection[str]) -> None:
    """Take two steps of each phase, its first and one near its end, on a trainer that is discarded.

    Raises BadInput if the networks do not take the data set's shape, with the sizes that they take;
    if an option or a field of the config that is ``given`` differs from the family's default and
    nothing reads it. Warns of such an option that is not ``given`` (of a recipe), and of
    `warnings_of` the options.
    """
    family = families.get(record.family)
    options = checked(family.options, record.options, "options")
    config = checked(family.config, record.config, "config")
    (noting, read), (noting_config, read_in_config) = noted(options), noted(config)
    now, changed = options.model_dump(), _changed(options)
    check_compile(record)
    plain = record.model_copy(update={"compile": False})
    run = _fitting(plain, dataset, noting, noting_config)
    fields = [name for name in _changed(config) if name in given]
    for name in _unread_fields(run, read_in_config, fields):
        text = f"{name}={getattr(config, name)} has no effect in this run: {record.family} does not"
        raise BadInput(f"{text} read it with these settings; leave it out")
    for warning in warnings_of(options, run.trainer.networks().get("discriminator")):
        log.warning("%s", warning)
    if not changed and len(run.trainer.phases) == 1:
        return
    for name in _unread(run, read, changed):
        text = f"{name}={now[name]} has no effect in this run: {_reason(name, record)}"
        if name in given:
            raise BadInput(f"{text}; leave it out")
        log.warning("%s", text)


def _changed(schema: Schema) -> list[str]:
    """The fields whose values are not the defaults."""
    fields = type(schema).model_fields
    return [name for name in fields if getattr(schema, name) != fields[name].get_default()]


def _fitting(record: Plan, dataset: DataSet, options: Options, config: Schema) -> Run:
    """The run, of which one step is done. BadInput if the data set's shape does not fit."""
    try:
        run = Run(record, dataset, Path(), options, config=config)
        _step(run)
    except (GenzooError, RuntimeError, ValueError, IndexError) as error:
        if isinstance(error, Diverged | OperationFailed):
            return run  # the run itself reports it
        if not (hint := nearest_sizes(dataset, lambda sized: _try(record, sized))):
            raise
        if isinstance(error, GenzooError):
            raise BadInput(f"{error}{hint}") from None
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        size = "x".join(map(str, dataset.shape))
        text = f"{record.family} cannot learn from {dataset.name}, whose {dataset.kind} are {size}"
        raise BadInput(f"{text} ({why}){hint}") from error
    return run


def _try(record: Plan, dataset: DataSet) -> None:
    """Take one step of the run on ``dataset``, which has another size."""
    new = {k: v for k, v in fields_of(dataset).items() if k in record.config}
    other = record.model_copy(update={"config": {**record.config, **new}})
    _step(Run(other, dataset, Path()))


def _step(run: Run) -> None:
    next(fit(run.trainer, run.loader.batches(), 1))


def check_compile(record: Plan) -> None:
    """Raise BadInput if the run would compile what cannot be compiled."""
    penalty = record.options.get("penalty", "none")
    if record.compile and penalty != "none":
        what = f"penalty={penalty} is about a gradient, and torch.compile has no second ones"
        raise BadInput(f"{what}: leave {argument('compile')} out, or set penalty=none")


def _unread(run: Run, read: set[str], changed: list[str]) -> list[str]:
    """Those of the options ``changed`` that ``run`` does not read, from its plan to its model; none
    if it cannot finish. ``read``: where its options note what is read.
    """
    shares = [phase.share for phase in run.trainer.phases]
    starts = [0.0, *accumulate(shares[:-1])]
    ends = [start + 0.999 * share for start, share in zip(starts, shares, strict=True)]
    try:
        for progress in sorted([*starts, *ends])[1:]:  # the first step is done
            batches = (replace(batch, progress=progress) for batch in run.loader.batches())
            next(fit(run.trainer, batches, 1))
    except Diverged:  # the run itself reports it
        return []
    if run.family.finish and not {*changed} <= read:
        try:
            run.family.finish(run.trainer.model.eval(), run.options, run.loader.some(500))
        except Exception:  # a model that has learned nothing may not be fit to be finished
            return []
    return [name for name in changed if name not in read]


def _unread_fields(run: Run, read: set[str], fields: list[str]) -> list[str]:
    """Those of the config's ``fields`` that neither a step nor a sample of ``run`` reads; none if
    it cannot sample yet. ``read``: where its config notes what is read.
    """
    model = run.trainer.model
    if isinstance(model, Sampler) and not {*fields} <= read:
        try:
            model.sample(1, seed=0)
        except Exception:  # a model that has learned nothing may not be fit to be drawn from
            return []
    return [name for name in fields if name not in read]


def noted(schema: S) -> tuple[S, set[str]]:
    """A copy of ``schema``, and the set in which it notes each field that is read."""
    kind: Any = type(schema)
    fields, read = kind.model_fields, set[str]()

    def note(self: Any, name: str) -> Any:
        if name in fields:
            read.add(name)
        elif name in ("__dict__", "model_dump", "model_dump_json"):  # all fields at once
            read.update(fields)
        return kind.__getattribute__(self, name)

    def same(self: Any, memo: Any) -> Any:  # a copy of a model reads no field
        return self

    names = {"__getattribute__": note, "__deepcopy__": same, "__module__": __name__}
    noting = type(kind)(kind.__name__, (kind,), names, use_attribute_docstrings=False)
    copy = schema.model_copy()
    object.__setattr__(copy, "__class__", noting)
    return copy, read


def _reason(name: str, record: Plan) -> str:
    switch = SWITCHES.get(name)
    if switch in record.options:
        value = record.options[switch]
        hint = " (its decay is rms_decay)" if (name, value) == ("beta2", "rmsprop") else ""
        return f"nothing reads it while {switch} is {value}{hint}"
    return f"{record.family} does not read it"
