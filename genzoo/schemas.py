"""Schemas: what configs, options and files may hold, typed and bounded; imports no torch."""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genzoo.errors import BadInput, GenzooError, unknown

Count = Annotated[int, Field(ge=1, le=65_536)]
Rate = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Name = Annotated[str, Field(max_length=200)]
Names = Annotated[tuple[Name, ...], Field(max_length=10_000)]
Shape = Annotated[tuple[Count, ...], Field(min_length=1, max_length=4)]
Channels = Literal[1, 3]


class Schema(BaseModel):
    """A frozen record: no unknown fields, no conversions, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


class Options(Schema):
    """How to train, beside the model's config; a family redeclares its paper's values."""

    batch_size: Count = 64
    """samples in one update"""
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    lr: Rate = 1e-3
    """learning rate of the model"""
    beta1: Share = 0.9
    """Adam's first decay"""
    beta2: Share = 0.999
    """Adam's second decay; RMSprop's smoothing"""
    momentum: Share = 0.0
    """of rmsprop and sgd"""
    warmup: Share = 0.0
    """share of the run in which the rates rise linearly from 0"""
    decay_from: Share = 1.0
    """share of the run after which the rates fall linearly to 0"""
    clip: Weight = 0.0
    """largest gradient norm; 0 leaves gradients as they are"""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """decay of the moving average of the weights that is kept; 0 keeps the last weights"""
    flip: bool = False
    """mirror half of the images"""


class AdversarialOptions(Options):
    """How to play a generator against a discriminator."""

    loss: Literal["non-saturating", "minimax", "least-squares", "hinge", "wasserstein"] = (
        "non-saturating"
    )
    discriminator_lr: Annotated[float, Field(ge=0, le=10)] = 0.0
    """of the discriminator; 0 takes the model's (two time-scales: Heusel et al. 2017)"""
    discriminator_steps: Annotated[int, Field(ge=1, le=100)] = 1
    """discriminator updates in a step, each on a batch of its own"""
    generator_steps: Annotated[int, Field(ge=1, le=100)] = 1
    """generator updates in a step"""
    penalty: Literal["none", "gradient", "r1"] = "none"
    """on the discriminator: Gulrajani et al. 2017, eq. 3, or Mescheder et al. 2018, eq. 9"""
    penalty_weight: Weight = 10.0
    penalty_interval: Annotated[int, Field(ge=1, le=1000)] = 1
    """steps from one penalty to the next; its weight is multiplied by as many"""
    smoothing: Share = 0.0
    """one-sided: the real target is 1 minus this (Salimans et al. 2016, section 3.4)"""
    label_noise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """share of the discriminator's targets that are swapped"""
    instance_noise: Annotated[float, Field(ge=0, le=10)] = 0.0
    """standard deviation of noise on the discriminator's input (Sonderby et al. 2017)"""
    instance_noise_until: Share = 1.0
    """share of the run by which that noise has faded to 0"""
    augment: Literal["none", "translation", "color", "color,translation"] = "none"
    """what the discriminator sees, real and fake alike (DiffAugment, Zhao et al. 2020)"""


S = TypeVar("S", bound=Schema)


def checked(schema: type[S], values: Any, where: str, error: type[GenzooError] = BadInput) -> S:
    """``values``, as JSON reads them, as a ``schema``; what is wrong comes as one line."""
    try:
        return schema.model_validate_json(json.dumps(values))
    except ValidationError as failure:
        raise error(f"{where}: {_first(failure)}") from None


def read_json(text: str | bytes, where: str, error: type[GenzooError] = BadInput) -> Any:
    """JSON, but with no key twice, no NaN and nothing nested without end."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as failure:
        reason = str(failure).splitlines()[0][:200] or type(failure).__name__
        raise error(f"{where} is not valid JSON: {reason}") from None


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


def _value(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands there twice")
    return values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _first(failure: ValidationError) -> str:
    """The first of pydantic's complaints: field, what is expected, what there was."""
    errors = failure.errors(include_url=False)
    first = errors[0]
    field = ".".join(map(str, first["loc"])) or "the whole"
    got = "" if first["type"] == "missing" else f", got {_short(first['input'])}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{field}: {message[:1].lower()}{message[1:]}{got}{more}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
