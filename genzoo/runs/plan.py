"""Plan: everything that a run depends on, checked before it starts."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from genzoo import data, devices, families
from genzoo.data.catalogue import absolute
from genzoo.errors import BadInput, unknown
from genzoo.schemas import Count, Name, Schema, checked, read_json
from genzoo.version import VERSION
from genzoo.zoo import manifest, migrate

Steps = Annotated[int, Field(ge=1, le=10**9)]


class Plan(Schema):
    """What was asked of a run, and what must not have changed when it goes on."""

    format: Literal[2] = 2
    family: Name
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
    checkpoint_every: Steps = 500
    grid_every: Steps = 500
    log_every: Steps = 10
    threads: Count = 1
    processes: Count = 1
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    license: Name = "unknown"
    command: Annotated[str, Field(max_length=4000)] = ""
    versions: dict[str, Name]


def read_plan(path: Path) -> Plan:
    """The plan in ``plan.json``, of an older format and revision too. Raises BadInput."""
    values = read_json(path.read_bytes(), str(path))
    plan = checked(Plan, migrate.plan(values) if isinstance(values, dict) else values, str(path))
    family = families.get(plan.family)
    config, options, _ = family.upgraded(plan.revision, plan.config, plan.options)
    new = {"config": config, "options": options, "revision": family.revision}
    return plan.model_copy(update=new)


def planned(
    family: str,
    dataset: data.DataSet,
    *,
    named: str,
    steps: int,
    values: dict[str, Any] | None = None,
    device: str = "auto",
    **settings: Any,
) -> Plan:
    """The plan of a run, every value checked and filled in."""
    found = families.get(family)
    if (found.data == "unpaired") != (dataset.second_domain is not None):
        wants = "two domains, A,B" if found.data == "unpaired" else "one data set"
        raise BadInput(f"{family} learns from {wants}: {named!r} is something else")
    hint = f"type genzoo info {family} to see all."
    schemas: dict[str, type[Schema]] = {"config": found.config, "options": found.options}
    parts = divide(_beyond_data(values or {}, schemas, dataset), schemas, hint)
    config = found.configured(dataset, parts["config"])
    options = checked(found.options, parts["options"], f"options of {family}")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    pieces = processes * max(1, settings.get("micro_batches", 1))  # Plan refuses less
    if options.batch_size % pieces:
        raise BadInput(f"batch_size {options.batch_size} cannot be shared out evenly over {pieces}")
    asked = {
        **settings,
        "family": family,
        "data": absolute(named),
        "data_sha256": dataset.sha256,
        "steps": steps,
        "device": str(devices.device(device)),
        "config": config.model_dump(mode="json"),
        "options": options.model_dump(mode="json"),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "revision": found.revision,
        "versions": _versions(family),
    }
    every = {k: max(1, steps // 20) for k in ("checkpoint_every", "grid_every")}
    return checked(Plan, {**every, **asked}, "the plan")


def _beyond_data(
    values: dict[str, Any], schemas: dict[str, type[Schema]], dataset: data.DataSet
) -> dict[str, Any]:
    """``values`` without a size and channels that are no field: ``dataset`` was opened in them."""
    fields = {name for schema in schemas.values() for name in schema.model_fields}
    sides = dict(zip(("channels", "size"), dataset.shape, strict=False))
    had = sides.items() if len(dataset.shape) == 3 else ()
    return {k: v for k, v in values.items() if k in fields or (k, v) not in had}


def _versions(family: str) -> dict[str, str]:
    package, version = families.installed_as(family)
    return {"genzoo": VERSION, "torch": torch.__version__.partition("+")[0], package: version}


def assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """``["width=64", "loss=hinge"]`` as ``{"width": 64, "loss": "hinge"}``."""
    values = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise BadInput(f"--set takes key=value, got {pair!r}")
        if key.strip() in values:
            raise BadInput(f"--set gives {key.strip()} twice")
        values[key.strip()] = _value(text.strip())
    return values


def divide(
    values: dict[str, Any], schemas: dict[str, type[Schema]], hint: str
) -> dict[str, dict[str, Any]]:
    """Each of ``values`` to the first of ``schemas`` that has a field of that name."""
    parts: dict[str, dict[str, Any]] = {name: {} for name in schemas}
    fields = {f: name for name, s in reversed(schemas.items()) for f in s.model_fields}
    for key, value in values.items():
        if key not in fields:
            raise unknown("field", key, fields, hint)
        parts[fields[key]][key] = value
    return parts


# Numbers as people write them and JSON does not: .5 and 2.
_SHORT = re.compile(r"^[+-]?(\d+\.|\.\d+)$")


def _value(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    if _SHORT.match(text):
        return float(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
