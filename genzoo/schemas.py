"""Schemas: what configs and files may hold, typed and bounded; imports no torch."""

import json
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from genzoo.errors import BadInput, GenzooError, unknown
from genzoo.tables import printable


def _plain(text: str) -> str:
    if text != printable(text):
        raise ValueError("must have no control characters")
    return text


Count = Annotated[int, Field(ge=1, le=65_536)]
Rate = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Name = Annotated[str, Field(max_length=200), AfterValidator(_plain)]
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
    )


# What stands below a field is its description: to find it, pydantic reads the source, 10 ms for the
# first class. Set here, that is spent on those that have some, configs and options.
Schema.model_config["use_attribute_docstrings"] = True


S = TypeVar("S", bound=Schema)


def checked(schema: type[S], values: Any, where: str, error: type[GenzooError] = BadInput) -> S:
    """``values``, as JSON reads them, as a ``schema``; what is wrong comes as one line."""
    try:
        return schema.model_validate_json(json.dumps(values))
    except TypeError as failure:  # a set, a tensor: given in Python, not read from a file
        raise error(f"{where}: {failure}") from None
    except RecursionError:
        raise error(f"{where}: it is nested too deeply") from None
    except ValidationError as failure:
        raise error(f"{where}: {_first(failure)}") from None


def name(text: str) -> str:
    """``text``, that of a folder perhaps, as a `Name` can hold it."""
    return printable(text)[:200]


def read_json(text: str | bytes, where: str, error: type[GenzooError] = BadInput) -> Any:
    """JSON, but with no key twice, no NaN and nothing nested without end."""
    try:
        if isinstance(text, bytes):
            text = text.decode()  # json would take UTF-16 too, and a byte order mark
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError) as failure:
        reason = str(failure).splitlines()[0][:200] or type(failure).__name__
        raise error(f"{where} is not valid JSON: {reason}") from None


def pyramid(shape: tuple[int, ...], width: int) -> tuple[list[int], int]:
    """Feature maps from a picture of this ``shape`` inwards, and the side of the smallest.

    At each level the maps double and their sides halve, down to 4 to 7. Raises BadInput where the
    picture is not square, or its side not 4 to 7 times a power of two.
    """
    side, levels = shape[-1], 0
    while side % 2 == 0 and side > 7:
        side, levels = side // 2, levels + 1
    square = len(shape) == 3 and shape[1] == shape[2]
    if not (square and 4 <= side <= 7 and 1 <= levels <= 5):
        sizes = "x".join(map(str, shape))
        raise BadInput(f"convolutions take squares, 4 to 7 times a power of two, got {sizes}")
    return [width * 2**i for i in range(levels)], side


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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands there twice")
    return values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text[:40]} is too large")
    return value


def _first(failure: ValidationError) -> str:
    """The first of pydantic's complaints: field, what is expected, what there was."""
    errors = failure.errors(include_url=False)
    first = errors[0]
    field = ".".join(str(part)[:80] for part in first["loc"][:8]) or "the whole"
    got = "" if first["type"] == "missing" else f", got {_short(first['input'])}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{field}: {message[:1].lower()}{message[1:]}{got}{more}"


def _short(value: Any) -> str:
    try:
        text = json.dumps(value, default=str)
    except RecursionError:
        return "what is nested too deeply"
    return text if len(text) <= 60 else f"{text[:57]}..."
