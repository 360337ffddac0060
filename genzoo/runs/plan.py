"""The plan of a run: data set, config and options, checked; and its stored record."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, final, get_args

from pydantic import Field

from genzoo import devices, families
from genzoo.data import catalogue, register
from genzoo.data.dataset import DataSet, Source, paired
from genzoo.data.forms import size_of
from genzoo.errors import BadInput, InvalidModel, article, command, either
from genzoo.files import write_whole
from genzoo.options import Options, unknown_field
from genzoo.runs.sizes import nearest_sizes
from genzoo.schemas import Count, Kind, Name, Schema, checked, read_json
from genzoo.version import VERSION
from genzoo.zoo import manifest, migrate
from genzoo.zoo.reader import read_named
from genzoo.zoo.weights import on_meta

# How samples of each kind can be opened: --set size=32.
FORMS: dict[Kind, tuple[str, ...]] = {
    "images": ("channels", "size", "fit", "levels"),
    "signals": ("channels", "length", "rate"),
    "points": ("channels", "size"),  # for a message that says more than "unknown field"
}
# The fields of a config that a data set decides: the keys of `fields_of`, of any kind and of one.
OF_DATA = ("kind", "shape", "classes", "class_names", "domains")
OF_KIND: dict[Kind, tuple[str, ...]] = {
    "images": ("channels", "size", "levels"),
    "signals": ("channels", "length", "rate"),
    "points": (),
}
Steps = Annotated[int, Field(ge=1, le=10**9)]
# The fields of a plan that decide what a checkpoint holds.
_RUN = {"family", "revision", "config", "options", "seed", "steps", "data_sha256", "precision"}
_RUN |= {"stages"}


class Plan(Schema):
    """The record of a run (plan.json): its settings, and what must be the same on resuming."""

    format: Literal[2] = 2
    family: Name
    kind: Kind = "images"
    data: Annotated[str, Field(max_length=4000)]
    data_sha256: manifest.Sha256
    steps: Steps
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    config: dict[str, Any]
    options: dict[str, Any]
    revision: Count = 1
    device: Name = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    micro_batches: Count = 1
    compile: bool = False
    checkpoint_every: Steps | None = None  # None: by time
    grid_every: Steps = 500
    log_every: Steps = 10
    threads: Count = 1
    processes: Count = 1
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    license: Name = "unknown"
    version: Count = 1
    command: Annotated[str, Field(max_length=4000)] = ""
    versions: dict[str, Name]
    summary: tuple[str, ...] = ()  # of the data set, in lines
    form: Annotated[dict[Name, register.Value], Field(max_length=20)] = Field(default_factory=dict)
    # The SHA-256 of what decided the run when it began: its checkpoints name it.
    run: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    minutes: Annotated[float, Field(gt=0, le=1e6)] | None = None
    stages: manifest.Stages = ()


def write_plan(path: Path, plan: Plan) -> None:
    """Write ``plan`` as ``plan.json``, with a hash of its content."""
    values = plan.model_dump(mode="json")
    text = json.dumps({**values, "sha256": _digest(values)}, indent=2)
    write_whole(path, text.encode())


def plan_values(path: Path) -> dict[str, Any]:
    """The content of ``plan.json``, if it has the hash that it gives. Raises BadInput."""
    values = read_json(read_named(path, manifest.LARGEST_JSON), str(path))
    if not isinstance(values, dict):
        raise BadInput(f"{path} is damaged: expected an object, got {article(values)}")
    if values.pop("sha256", None) not in (None, _digest(values)):  # early plans have none
        hint = "if you changed it yourself, remove its line sha256"
        raise BadInput(f"{path} is damaged: its content does not have its hash; {hint}")
    return values


def read_plan(path: Path) -> Plan:
    """The plan in ``plan.json``, of an older format and revision too. Raises BadInput."""
    plan = checked(Plan, migrate.plan(plan_values(path), str(path)), str(path))
    family = families.get(plan.family)
    config, options, _ = family.upgraded(plan.revision, plan.config, plan.options)
    new = {"config": config, "options": options, "revision": family.revision}
    if plan.device == "cpu:0":  # of an earlier version; torch reads no file for this name
        new["device"] = "cpu"
    return plan.model_copy(update=new)


def data_summary(folder: Path) -> tuple[str, ...]:
    """What the run in ``folder`` recorded of its data set, in lines; () without a run."""
    path = folder / "run" / "plan.json"
    if not path.is_file():
        return ()
    return checked(Plan, migrate.plan(plan_values(path), str(path)), str(path)).summary


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@final
@dataclass(frozen=True)
class Setup:
    """The result of `plan`: the opened data set, the config and the options. ``form``: how the data
    were opened beyond what the config says: ``fit`` and ``levels`` of images, ``rate`` of signals.
    """

    dataset: DataSet
    config: Schema
    options: Options
    form: dict[str, Any] = field(default_factory=dict)


def plan(
    family: str,
    data: str | Path | Source,
    values: dict[str, Any] | None = None,
    root: Path | None = None,
) -> Setup:
    """Open ``data`` for ``family`` and divide ``values`` among the data set, config and options.

    ``size``, ``channels``, ``shape``, ``fit`` and ``levels`` decide how images are opened,
    ``length``, ``rate``, ``channels`` and ``shape`` how signals are; the data set fills the fields
    of the config with these names. ``levels`` is a range, "0:4095"; a number is for the config.
    Raises BadInput (a contradiction, too) and UnknownName.
    """
    parts = families.get(family)
    register.check_at_hand(data, family)
    values = values or {}
    schemas: dict[str, type[Schema]] = {"config": parts.config, "options": parts.options}
    fields = {name for schema in schemas.values() for name in schema.model_fields}
    form = form_of(catalogue.kind_of(data), values)
    # These concern only the data set if the family has no field of that name, and so do ranges.
    whole = {k: v for k, v in form.items() if isinstance(v, int) and k in fields}
    fields_given = {k: whole.get(k, v) for k, v in values.items() if k in whole or k not in form}
    former = _former_names(family, fields_given.keys() - fields)
    check_names(family, fields_given, fields, former, {*parts.sampling.model_fields})
    divided = divide(fields_given, schemas, f"{command('info', family)} lists all.")
    options = checked(parts.options, divided["options"], f"options of {family}")
    dataset = open_dataset(family, data, values, root)
    if options.horizontal_flip and dataset.kind != "images":
        raise BadInput(f"horizontal_flip mirrors images, and {dataset.name} holds {dataset.kind}")
    config = _config(family, dataset, divided["config"])
    return Setup(dataset, config, options, _beyond(dataset.kind, config, form))


def _beyond(kind: Kind, config: Schema, form: dict[str, Any]) -> dict[str, Any]:
    """The part of ``form`` that ``config`` does not say, or says otherwise."""
    of_config = form_of(kind, config.model_dump(mode="json"))
    return {k: v for k, v in form.items() if v is not None and of_config.get(k) != v}


def form_on_card(record: Plan) -> manifest.DataForm:
    """How the data of a run were opened, for its model's card. Raises BadInput."""
    return checked(manifest.DataForm, form_of(record.kind, record.form), "form of the plan")


def check_names(
    family: str,
    values: Mapping[str, Any],
    fields: Iterable[str],
    former: Mapping[str, str],
    sampling: Iterable[str],
) -> None:
    """Raise BadInput or UnknownName for ``values`` that are none of the ``fields`` of ``family``,
    with what to type. ``former``: earlier names of fields; ``sampling``: settings of sampling.
    """
    known = {*fields}
    for key in sorted(values.keys() - known):
        if new := former.get(key):
            raise BadInput(f"the field {key!r} of {family} is now called {new!r}")
        if key in sampling:
            value = values[key]
            way = either(f"genzoo sample --set {key}={value}", f"sample({key}={value!r})")
            raise BadInput(f"{key} is a setting of sampling: {way}")
        raise unknown_field(key, known, f"{command('info', family)} lists all.")


def _former_names(family: str, keys: Iterable[str]) -> dict[str, str]:
    """Those of ``keys`` that are a field's name in version 0.1, with today's name."""
    former = {}
    for key in keys:
        new = migrate.OPTIONS.get(key, key)
        with contextlib.suppress(Exception):  # an upgrade that does not only rename
            new = next(iter(families.get(family).upgraded(1, {new: None}, {}).config))
        if new != key:
            former[key] = new
    return former


def open_dataset(
    family: str, data: str | Path | Source, values: dict[str, Any], root: Path | None = None
) -> DataSet:
    """``data`` in the form that ``values`` give: ``size``, ``length``, ... or the ``shape``; two
    domains as one, where ``family`` learns from two. Raises BadInput if it is not what ``family``
    needs.
    """
    register.check_at_hand(data, family)
    form = form_of(catalogue.kind_of(data), values)
    dataset = _open(family, data, form, root)
    register.remember(dataset.sha256, register.absolute(data), form)
    return dataset


def form_of(kind: Kind, values: dict[str, Any]) -> dict[str, Any]:
    """How ``values`` open data of this ``kind``, by the fields of `FORMS`. A ``size`` is a number
    for squares, else a text: width x height; so are ``levels``: lowest:highest. Raises BadInput.
    """
    shape: Sequence[int] = values.get("shape") or ()
    form = {k: values[k] for k in FORMS[kind] if k in values}
    if kind == "signals" and len(shape) == 2:
        form = {"channels": shape[0], "length": shape[1], **form}
    if kind == "images" and len(shape) == 3:
        form = {"channels": shape[0], "size": (shape[2], shape[1]), **form}
    if isinstance(form.get("size"), str | tuple | list) and (sides := size_of(form["size"])):
        form["size"] = sides[0] if sides[0] == sides[1] else "{}x{}".format(*sides)
    if isinstance(form.get("levels"), int | float):  # how many values a pixel of the model has
        del form["levels"]
    if isinstance(form.get("levels"), tuple | list):
        form["levels"] = ":".join(map(str, form["levels"]))
    return form


def other_form(kind: Kind, form: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Which of ``values`` open data of this ``kind`` otherwise than ``form``, as text."""
    old, new = form_of(kind, {**form}), form_of(kind, {**values})
    differ = [k for k, v in new.items() if v is not None and k in old and old[k] != v]
    return ", ".join(f"{k}={new[k]} in place of {old[k]}" for k in differ)


def _open(
    family: str, data: str | Path | Source, form: dict[str, Any], root: Path | None
) -> DataSet:
    needs, kind = families.get(family).data, catalogue.kind_of(data)
    if needs in ("unpaired", "paired"):
        if kind != "images":
            raise BadInput(
                f"{family} takes two domains of images, and {register.label(data)} holds {kind}"
            )
        if isinstance(data, Source):
            raise BadInput(f"{family} takes two domains A,B, and {data.name} is one data set")
        aligned = needs == "paired"
        pair = catalogue.open_pair(data, aligned=aligned, **form, root=root)
        return paired(*pair, aligned=aligned)
    if needs in get_args(Kind) and kind != needs:
        raise BadInput(f"{family} learns from {needs}, {register.label(data)} holds {kind}")
    dataset = catalogue.open(data, **form, root=root)
    if needs == "labelled" and dataset.labels is None:
        raise _needs_classes(family, dataset)
    return dataset


def _needs_classes(family: str, dataset: DataSet) -> BadInput:
    """The error of data with fewer classes than ``family`` learns from."""
    count = len(dataset.classes)
    got = f"{dataset.name} has {count or 'no'} class" + ("es" if count != 1 else "")
    hint = f"choose data with labels ({command('list data')})"
    if re.split("[:@]", dataset.name)[0] not in catalogue.names():
        hint = "make one subfolder for each class, such as {0}/cat and {0}/dog, or labels.csv"
        hint = hint.format(dataset.name.rstrip("/"))
    return BadInput(f"{family} learns from labelled data, and {got}: {hint}")


def with_form(kind: Kind, config: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The ``config`` of a model without what a data set decides, and with ``values``; data of this
    ``kind`` are opened in the model's form, where ``values`` give no other.
    """
    own = {k: v for k, v in config.items() if k not in (*OF_DATA, *OF_KIND[kind])}
    if "shape" in values:
        return {**own, **values}
    if not {*FORMS[kind]} & values.keys() and "shape" in config:
        return {**own, "shape": config["shape"], **values}
    return {**own, **form_of(kind, config), **values}


def _config(family: str, dataset: DataSet, values: dict[str, Any]) -> Schema:
    """The config that ``dataset`` and ``values`` give; BadInput if they contradict."""
    schema = families.get(family).config
    _check_kind(family, dataset, {*schema.model_fields})
    known = {k: v for k, v in fields_of(dataset).items() if k in schema.model_fields}
    for key in known.keys() & values.keys():
        value = tuple(values[key]) if isinstance(values[key], list) else values[key]
        if value != known[key]:
            raise BadInput(f"{key} is {known[key]!r} in {dataset.name}, got {values[key]!r}")
    names = ", ".join(key for key in known if key not in values)
    source = f" (which sets {names})" if names else ""
    where = f"config of {family} for {dataset.name}{source}"

    def config(sized: DataSet) -> Schema:
        _check_square(family, dataset.name, sized, known)
        fits = {k: v for k, v in fields_of(sized).items() if k in known}
        return checked(schema, {**fits, **values}, where)

    try:
        return config(dataset)
    except BadInput as error:
        if str(error).startswith(f"{where}: classes "):
            raise _needs_classes(family, dataset) from None
        raise BadInput(f"{error}{nearest_sizes(dataset, config)}") from None


def _check_square(family: str, name: str, dataset: DataSet, fields: Iterable[str]) -> None:
    """Raise BadInput if images are not square and the config has one ``size``."""
    if "size" in fields and dataset.kind == "images" and dataset.shape[1] != dataset.shape[2]:
        height, width = dataset.shape[1:]
        form = f"{width}x{height} (width x height)"
        raise BadInput(f"{family} takes square images, and those of {name} are {form}")


def _check_kind(family: str, dataset: DataSet, fields: set[str]) -> None:
    """Check that the data set can fill the config's ``fields``. Raises BadInput."""
    needs = "images" if "size" in fields else "signals" if "length" in fields else ""
    needs = needs or ("images or signals" if "channels" in fields else "")
    if needs and dataset.kind not in needs:
        raise BadInput(f"{dataset.name} holds {dataset.kind}; {family} learns from {needs}")


def fields_of(dataset: DataSet) -> dict[str, Any]:
    """The fields of a config that a data set decides."""
    fields: dict[str, Any] = {
        "kind": dataset.kind,
        "shape": tuple(dataset.shape),
        "classes": len(dataset.classes),
        "class_names": tuple(dataset.classes),
    }
    if dataset.kind == "signals":
        channels, length = dataset.shape
        fields |= {"channels": channels, "length": length, "rate": dataset.rate}
    if dataset.kind == "images":
        fields |= {
            "channels": dataset.shape[0],
            "size": dataset.shape[1],
            "levels": dataset.levels,
        }
    if dataset.second_domain is not None:
        fields["domains"] = dataset.domains
    return fields


def make_plan(
    family: str,
    data: str | Path | Source,
    setup: Setup,
    *,
    steps: int,
    device: str = "auto",
    **settings: Any,
) -> Plan:
    """The record of a run of ``setup``; ``settings`` are further fields of `Plan`."""
    check_license(settings)
    processes = devices.process_count()
    check_batch_size(setup.options, processes, settings.get("micro_batches", 1))
    fields = {
        "grid_every": max(1, steps // 20),
        **settings,
        "family": family,
        "kind": setup.dataset.kind,
        "data": register.absolute(data),
        "data_sha256": setup.dataset.sha256,
        "steps": steps,
        "device": str(devices.device(device)),
        "config": setup.config.model_dump(mode="json"),
        "options": setup.options.model_dump(mode="json"),
        "threads": settings.get("threads") or _threads(family, setup),
        "processes": processes,
        "revision": families.get(family).revision,
        "versions": versions(family),
        "summary": setup.dataset.summary.lines(),
        "form": setup.form,
    }
    record = checked(Plan, fields, "the plan")
    return record.model_copy(update={"run": _digest(record.model_dump(mode="json", include=_RUN))})


def _threads(family: str, setup: Setup) -> int:
    """How many threads suit a run of ``setup``, if nobody has chosen a number."""
    from genzoo.models.threads import training_threads

    build = families.get(family).model
    try:
        network = on_meta(lambda: build(setup.config), Path())
    except InvalidModel:  # the run itself says why
        return devices.threads()
    return training_threads(network, setup.dataset.shape, setup.options.batch_size)


def check_license(settings: dict[str, Any]) -> None:
    """Raise BadInput if the license among ``settings`` is empty."""
    if not str(settings.get("license", "unknown")).strip():
        raise BadInput("the license is empty: give its name (mit, cc-by-4.0), or leave it out")


def check_batch_size(options: Options, processes: int, micro_batches: int) -> None:
    """Raise BadInput if a batch cannot be divided between ``processes`` and their parts."""
    pieces = processes * max(1, micro_batches)  # Plan refuses less
    if (size := options.batch_size) % pieces:
        raise BadInput(
            f"batch_size {size} is not divisible by {pieces} (processes x micro-batches)"
        )


def versions(family: str) -> dict[str, str]:
    """The versions of genzoo, torch and the family's package."""
    import torch

    plugin = families.metadata(family)
    torch_version = torch.__version__.partition("+")[0]
    return {"genzoo": VERSION, "torch": torch_version, plugin.package: plugin.version}


def divide(
    values: dict[str, Any], schemas: dict[str, type[Schema]], hint: str
) -> dict[str, dict[str, Any]]:
    """Give each of ``values`` to the first of ``schemas`` that has a field of that name."""
    parts: dict[str, dict[str, Any]] = {name: {} for name in schemas}
    fields = {f: name for name, s in reversed(schemas.items()) for f in s.model_fields}
    for key, value in values.items():
        if key not in fields:
            raise unknown_field(key, fields, hint)
        parts[fields[key]][key] = value
    return parts
