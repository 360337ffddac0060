"""Schemas: the types and bounds of configs and of JSON files; imports no torch."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from genzoo.errors import BadInput, GenzooError, InvalidModel, argument, article, either
from genzoo.text import printable

__all__ = [
    "Channels",
    "Count",
    "Decay",
    "Kind",
    "Name",
    "Names",
    "Rate",
    "SampleRate",
    "Schema",
    "Shape",
    "Share",
    "Weight",
    "checked",
]


def fields(schema: "type[Schema]") -> list[dict[str, Any]]:
    """A schema's fields as text: name, default, allowed values, description."""
    properties = schema.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "default": "required" if field.is_required() else field.get_default(),
            "allowed": _allowed(properties[name]),
            "about": _description(schema, name).replace("\n", " "),
        }
        for name, field in schema.model_fields.items()
    ]


def _description(schema: "type[Schema]", name: str) -> str:
    """A field's own description, or that of the schema whose field it redeclares."""
    owners = [base for base in schema.__mro__ if issubclass(base, Schema)]
    known = (base.model_fields[name].description for base in owners if name in base.model_fields)
    return next((text for text in known if text), "")


def _allowed(rule: dict[str, Any]) -> str:
    if "anyOf" in rule:
        return " or ".join(map(_allowed, rule["anyOf"]))
    if "enum" in rule or "const" in rule:
        return ", ".join(map(str, rule.get("enum", [rule.get("const")])))
    low = rule.get("minimum", rule.get("exclusiveMinimum"))
    high = rule.get("maximum", rule.get("exclusiveMaximum"))
    if low is None or high is None:
        kind = rule.get("type", "")
        words = {"boolean": either("true, false", "True, False"), "null": either("null", "None")}
        return {**words, "array": "a list"}.get(kind, kind)
    return f"{'above ' if 'exclusiveMinimum' in rule else ''}{low:g} to {high:g}"


def _plain(text: str) -> str:
    if text != printable(text):
        raise ValueError("must have no control characters")
    return text


MOST_KEYS = 20_000  # of an object in a JSON file; a header has one for each tensor
Count = Annotated[int, Field(ge=1, le=65_536)]
Rate = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Name = Annotated[str, Field(max_length=200), AfterValidator(_plain)]
# fail_fast: a list of a million wrong items is one error, not a million (500 MB).
Names = Annotated[tuple[Name, ...], Field(max_length=10_000, fail_fast=True)]
Shape = Annotated[tuple[Count, ...], Field(min_length=1, max_length=4, fail_fast=True)]
Channels = Literal[1, 3]
# What samples are: (C, H, W), (channels, length) with a rate, or coordinates.
Kind = Literal["images", "signals", "points"]
SampleRate = Annotated[int, Field(ge=1, le=1_000_000)]  # samples a second, of signals


class Schema(BaseModel):
    """A frozen record: no unknown fields, no conversions, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
    )


# The text below a field is its description. To find it, pydantic reads the source: 10 ms for the
# first class. So it is on for configs and options only; records of files switch it off.
Schema.model_config["use_attribute_docstrings"] = True


S = TypeVar("S", bound=Schema)


def checked(schema: type[S], values: Any, where: str, error: type[GenzooError] = BadInput) -> S:
    """``values``, as JSON reads them, as a ``schema``. Raises ``error``, in one line.

    Numbers of NumPy and torch are numbers. What is wrong in a model's folder is said in the words
    of JSON, as on the command line; in Python anything else is said in Python's.
    """
    in_json = bool(either("json", "")) or issubclass(error, InvalidModel)
    try:
        return schema.model_validate_json(json.dumps(values, default=_plain_number))
    except TypeError as failure:  # a set, a tensor: from Python, not read from a file
        raise error(f"{where}: {failure}") from None
    except RecursionError:
        raise error(f"{where}: it is nested too deeply") from None
    except ValidationError as failure:
        raise error(f"{where}: {_first(failure, in_json)}") from None


def _plain_number(value: Any) -> Any:
    """What ``value`` is in Python, if it is a number or an array of NumPy's or torch's."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return value.tolist()
    raise TypeError(f"expected numbers, texts, lists and dicts, got {article(value)}")


def renamed(values: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """``values`` with the keys of ``names`` renamed, except if the new name is taken."""
    free = {old: new for old, new in names.items() if new not in values}
    return {free.get(key, key): value for key, value in values.items()}


def assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """``["width=64", "loss=hinge"]`` as ``{"width": 64, "loss": "hinge"}``."""
    values = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise BadInput(f"{argument('settings')} expects NAME=VALUE, got {pair!r}")
        if key.strip() in values:
            raise BadInput(f"{argument('settings')} {key.strip()} is given twice")
        values[key.strip()] = _value(key.strip(), text.strip())
    return values


# Numbers that JSON does not know: .5, 2. and +4.
_SHORT = re.compile(r"^[+-]?(\d+\.|\.\d+)$|^\+\d+(\.\d+)?$", re.ASCII)
_ZERO = re.compile(r"^[+-]?0+\d+(\.\d*)?$", re.ASCII)  # 04


def _value(key: str, text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    if _ZERO.match(text):
        short = re.sub(r"^([+-]?)0+(?=\d)", r"\1", text)
        raise BadInput(f"{key}={text}: a number has no 0 in front: {key}={short}")
    if _SHORT.match(text):
        return _number(text)
    try:
        return json.loads(text, parse_float=_number)
    except (ValueError, RecursionError):
        return text


def _number(text: str) -> int | float:
    """4.0 and 1e3 as whole numbers, which every field of numbers takes."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def name(text: str) -> str:
    """``text``, such as a folder's name, cut and cleaned to be a valid `Name`."""
    return printable(text)[:200]


def read_json(text: str | bytes, where: str, error: type[GenzooError] = BadInput) -> Any:
    """JSON without duplicate keys, NaN, infinity or endless nesting. Raises ``error``."""
    try:
        if isinstance(text, bytes):
            text = text.decode()  # json would take UTF-16 too, and a byte order mark
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError) as failure:
        reason = str(failure).splitlines()[0][:200] or type(failure).__name__
        raise error(f"{where} is not valid JSON: {reason}") from None


def read_line(text: str) -> dict[str, Any]:
    """The object in a line of a log; {} if a crash cut the line off, or it is none."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_KEYS:  # each unknown one would be an error of its own
        raise ValueError(f"an object with more than {MOST_KEYS:,} keys")
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("duplicate key")
    return values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text[:40]} is too large")
    return value


def _first(failure: ValidationError, in_json: bool) -> str:
    """The first of pydantic's errors in plain words: field, expected, got."""
    shown = _short if in_json else _short_python
    errors = failure.errors(include_url=False)
    first = errors[0]
    field = ".".join(str(part)[:80] for part in first["loc"][:8]) or "the value"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "json_invalid" and "hex escape" in first["msg"]:
        return "a text holds half of a character (one of \\ud800 to \\udfff, alone)"
    if first["type"] == "missing":
        return f"{field} is missing{more}"
    if first["type"] == "extra_forbidden":
        return f"there is no field {field}, got {shown(first['input'])}{more}"
    got = "" if first["type"] == "json_invalid" else f", got {shown(first['input'])}"
    if first["type"] != "value_error":
        return f"{field} {_rule(first, in_json)}{got}{more}"
    text = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # a rule about several fields
        return f"{text}{more}"
    return f"{field} {text}{got}{more}" if _VERB.match(text) else f"{field}: {text}{got}{more}"


_VERB = re.compile("must |is |has |are ")
# pydantic's types of errors, and what genzoo says: {gt} and others are the bounds.
_RULES = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "too_short": "is too short (at least {min_length})",
    "too_long": "is too long (at most {max_length})",
    "string_too_short": "is too short (at least {min_length} characters)",
    "string_too_long": "is too long (at most {max_length} characters)",
}


# What Python calls otherwise.
_PYTHON_RULES = {
    "bool_type": "must be True or False",
    "dict_type": "must be a dict",
    "model_type": "must be a dict",
    "model_attributes_type": "must be a dict",
}


def _rule(error: Mapping[str, Any], in_json: bool) -> str:
    """What pydantic expected, in plain words."""
    kind = error["type"]
    if text := _RULES.get(kind) if in_json else _PYTHON_RULES.get(kind, _RULES.get(kind)):
        bounds = error.get("ctx", {})
        numbers = {k: int(v) for k, v in bounds.items() if isinstance(v, float) and v == int(v)}
        return text.format(**{**bounds, **numbers})
    message = error["msg"].replace("Input should", "must").replace("should", "must")
    return f"{message[:1].lower()}{message[1:]}"


def _short(value: Any) -> str:
    try:
        text = json.dumps(value, default=str)
    except RecursionError:
        return "a value that is nested too deeply"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _short_python(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "a value that is nested too deeply"
    return text if len(text) <= 60 else f"{text[:57]}..."
