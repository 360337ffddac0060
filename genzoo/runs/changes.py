"""Changes: which settings a resumed run may be given anew, and how its record names them."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NoReturn, final

from genzoo import devices, families
from genzoo.data import catalogue, register
from genzoo.data.dataset import DataSet, Source
from genzoo.errors import BadInput, GenzooError, argument, either, unknown
from genzoo.files import is_folder
from genzoo.runs.plan import (
    Plan,
    Setup,
    check_batch_size,
    check_license,
    form_of,
    plan,
    versions,
    with_form,
)
from genzoo.schemas import checked
from genzoo.zoo import names
from genzoo.zoo.manifest import Stage, parent_of

log = logging.getLogger("genzoo")
# What each argument of `start` is for a resumed run. same: it must be the run's. content: another
# place is fine, if the content is the same. fields: each value of --set by `RATES`. free: it may
# change, and no weight with it. stage: it may change, which begins a new stage of the training:
# from there on the run is not bit for bit what it would have been.
Rule = Literal["same", "content", "fields", "free", "stage"]
RULES: MappingProxyType[str, Rule] = MappingProxyType(
    {
        "family": "same",
        "seed": "same",
        "minutes": "same",
        "start_from": "same",
        "data": "content",
        "values": "fields",
        "inherited": "fields",
        "checkpoint_every": "free",
        "grid_every": "free",
        "log_every": "free",
        "dtype": "free",
        "license": "free",
        "version": "free",
        "steps": "stage",
        "device": "stage",
        "precision": "stage",
        "micro_batches": "stage",
        "compile": "stage",
        "threads": "stage",
    }
)
# The options that may change: an optimiser's state fits any rate.
RATES = (
    "lr",
    "discriminator_lr",
    "warmup",
    "lr_decay_start",
    "lr_inverse_decay",
    "discriminator_lr_inverse_decay",
    "gradient_clip",
)


@final
@dataclass(frozen=True)
class Change:
    """A run's plan with what it was given on resuming, and its data set.

    ``stage``: what begins a new stage, name -> (old, new); ``free``: the other settings that are
    new.
    """

    plan: Plan
    dataset: DataSet
    stage: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)

    def check_finished(self, folder: Path) -> None:
        """Raise BadInput for a setting that a finished run cannot obey any more."""
        for name in [*self.stage, *self.free]:
            if name in RULES or name in RATES:
                raise BadInput(
                    f"the run in {folder} is finished: {_option(name)} would change nothing; leave "
                    f"it out, or train further with {argument('steps')}, above {self.plan.steps}"
                )

    def text(self, step: int) -> str:
        """What changes for the steps after ``step``."""
        parts = [f"{name} {old} -> {new}" for name, (old, new) in self.stage.items()]
        if "steps" in self.stage:
            old, new = self.stage["steps"]
            parts += [
                f"step {step} is {step / new:.0%} of the run in place of {step / old:.0%}, and "
                "rates and noise that follow this share jump"
            ]
        return "; ".join(parts)


def change(record: Plan, folder: Path, root: Path | None, given: dict[str, Any]) -> Change:
    """What the run in ``folder`` becomes with the arguments ``given``, each of `RULES`.

    The data are opened and the config and options filled as a new run would: their meaning is
    compared, not their words. Raises BadInput for what cannot change.
    """
    given = {key: value for key, value in given.items() if value is not None}
    if given.get("precision") == "auto":  # it was chosen when the run began
        del given["precision"]
    for key in given.keys() - RULES:
        raise unknown("setting", key, RULES, "")
    _check_same(record, folder, given)
    check_license(given)
    values = {**given.get("inherited", {}), **given.get("values", {})}
    if "freeze" in values and _layers(values["freeze"]) == _layers(
        record.options.get("freeze", "")
    ):
        del values["freeze"]  # the same layers in another order
    setup = _setup(record, folder, given.get("data"), values, root)
    if "device" in given:
        given["device"] = str(devices.device(given["device"]))
    now = {k: v for k, v in given.items() if RULES[k] in ("free", "stage")}
    now |= {"processes": devices.process_count()}
    data = record.data if "data" not in given else register.absolute(given["data"])
    minutes = record.minutes if now.get("steps", record.steps) == record.steps else None
    other = {
        "config": setup.config.model_dump(mode="json"),
        "options": setup.options.model_dump(mode="json"),
        "data": data,
        "minutes": minutes,
        "versions": versions(record.family),
    }
    new = checked(Plan, {**record.model_dump(mode="json"), **other, **now}, "the plan")
    check_batch_size(setup.options, new.processes, new.micro_batches)
    was, is_now = _flat(record), _flat(new)
    moved = {k: (was.get(k), v) for k, v in is_now.items() if v != was.get(k)}
    free = {k: v for k, (_, v) in moved.items() if RULES.get(k) == "free"}
    return Change(new, setup.dataset, {k: v for k, v in moved.items() if k not in free}, free)


def _flat(record: Plan) -> dict[str, Any]:
    """The settings that may change, those among the options and the versions too."""
    known = {k for k, rule in RULES.items() if rule in ("free", "stage")} | {"processes"}
    settings = record.model_dump(mode="json", include=known)
    options = checked(families.get(record.family).options, record.options, "options")
    settings["device"] = record.device.removesuffix(":0")  # cuda is cuda:0
    rates = {k: v for k, v in options.model_dump(mode="json").items() if k in RATES}
    return {**settings, **rates, **record.versions}


def _layers(names: Any) -> set[str]:
    """The layers in the text of the option ``freeze``."""
    return {*filter(None, (name.strip() for name in str(names).split(",")))}


def _check_same(record: Plan, folder: Path, given: dict[str, Any]) -> None:
    """Raise BadInput for a value of ``given`` that must be the run's and is not."""
    for key in ("family", "seed", "minutes"):
        if key in given and (value := given[key]) != (own := getattr(record, key)):
            if key == "minutes":
                raise BadInput(
                    f"the run in {folder} has {record.steps} steps, got "
                    f"{argument('minutes', value)}: leave it out, or change their number with "
                    f"{argument('steps')}"
                )
            _refuse(folder, key, own, value)
    if "start_from" not in given:
        return
    parent, (_, manifest) = parent_of(record.stages), names.resolve(given["start_from"])
    if parent is None or parent.weights_sha256 != manifest.weights_sha256:
        began = f"the weights of {parent.model}" if parent else "new weights"
        got = argument("start_from", str(given["start_from"]))
        raise BadInput(
            f"the run in {folder} began with {began}, got {got}: leave it out, or train into "
            "another folder"
        )


def _setup(
    record: Plan,
    folder: Path,
    data: str | Path | Source | None,
    values: dict[str, Any],
    root: Path | None,
) -> Setup:
    """The data set, config and options of the run with ``values``. Raises BadInput unless they are
    the run's, but for the rates.
    """
    if data is not None and (catalogue.kind_of(data) != record.kind or _is_other(data, record)):
        _refuse_data(folder, record, data)
    form = with_form(record.kind, record.config, values)
    merged = {**record.options, **record.form, **form}
    setup = _open(record, data, merged, root)
    family = families.get(record.family)
    for kind, new in (("config", setup.config), ("options", setup.options)):
        old = checked(getattr(family, kind), getattr(record, kind), kind).model_dump(mode="json")
        for key, value in new.model_dump(mode="json").items():
            if value != old[key] and key in values and key not in RATES:
                _refuse(folder, key, old[key], value)
    if setup.dataset.sha256 == record.data_sha256:
        return setup
    old_form = {**form_of(record.kind, record.config), **record.form}
    for key, value in form_of(record.kind, values).items():
        if key in old_form and old_form[key] != value:
            _refuse(folder, key, old_form[key], value)
    if data is not None and register.absolute(data) != record.data:
        _refuse_data(folder, record, data)
    raise BadInput(
        f"{record.data} has changed since the run in {folder} started: it cannot be resumed"
    )


def _open(
    record: Plan, data: str | Path | Source | None, values: dict[str, Any], root: Path | None
) -> Setup:
    """As `plan`; where the data's folder is gone, another one of the same content is opened that
    this machine knows, or the error says what to type.
    """
    if data is not None:
        return plan(record.family, data, values, root)
    gone = [p for p in register.parts_of(record.data) if is_folder(p) and not Path(p).exists()]
    try:
        if gone and (place := register.find(record.data_sha256)):
            log.warning("%s is gone: %s holds the same data", gone[0], place.data)
            return plan(record.family, register.to_open(place.data), values, root)
        return plan(record.family, register.to_open(record.data), values, root)
    except GenzooError as error:
        if not gone:
            raise
        hint = f"if the folder has a new name or place, give it with {argument('data')}"
        raise BadInput(f"{error}: {hint}") from None


def _is_other(data: str | Path | Source, record: Plan) -> bool:
    """Whether the names alone say that ``data`` are not the run's: nothing needs to be downloaded
    for that. Only a folder, or a set of a plugin, can hold the same content under another name.
    """
    if not isinstance(data, str):
        return False
    new, own = register.wholes(data), register.wholes(record.data)
    return new != own and {*new, *own} <= catalogue.SOURCES.keys()


def _refuse_data(folder: Path, record: Plan, data: str | Path | Source) -> NoReturn:
    raise BadInput(
        f"{register.label(data)} does not hold the data of the run in {folder}, which are those of "
        f"{record.data}: leave {argument('data')} out, or train into another folder"
    )


def _refuse(folder: Path, name: str, own: Any, value: Any) -> NoReturn:
    raise BadInput(
        f"the run in {folder} has {name} {own!r}, got {value!r}: leave {_option(name)} out, or "
        "train into another folder"
    )


def _option(name: str) -> str:
    """The argument that gives the setting ``name``."""
    if name not in RULES:
        return either(f"--set {name}=", f"settings={{{name!r}: ...}}")
    return name if name == "family" else argument(name)


def stages(
    record: Plan, new: Plan, step: int, changes: dict[str, tuple[Any, Any]]
) -> tuple[Stage, ...]:
    """The stages of the run ``record`` that goes on after ``step``, with ``changes``, as ``new``.

    What a lost checkpoint takes back is taken back here too: only settings stay changed.
    """
    earlier = tuple(stage for stage in record.stages if stage.model)
    own = [s for s in record.stages if not s.model] or [Stage(steps=record.steps)]
    kept: list[Stage] = []
    for stage in own:
        if (done := sum(s.steps or 0 for s in kept)) < step:
            part = min(stage.steps or 0, step - done)
            kept.append(stage.model_copy(update={"steps": part}))
        else:
            changes = _merged(stage.changes, changes)
    rest = new.steps - step
    if kept and changes:
        kept.append(Stage(steps=rest, changes=changes))
    elif kept:
        kept[-1] = kept[-1].model_copy(update={"steps": (kept[-1].steps or 0) + rest})
    else:
        kept = [Stage(steps=rest)]
    return (*earlier, *kept) if earlier or len(kept) > 1 else ()


def _merged(
    first: dict[str, tuple[Any, Any]], then: dict[str, tuple[Any, Any]]
) -> dict[str, tuple[Any, Any]]:
    """Two changes as one: name -> (the oldest value, the newest)."""
    both = {**first, **{k: (first.get(k, v)[0], v[1]) for k, v in then.items()}}
    return {k: (old, new) for k, (old, new) in both.items() if old != new}
