"""The arguments of public functions, checked against the signature before anything is done."""

import difflib
import functools
import inspect
import math
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, ParamSpec, TypeVar, Union

from genzoo.errors import OPTIONS, BadInput, UnknownName, argument, article, either, unknown

LARGEST = 2**63  # no count, seed or size of tensors is larger
P = ParamSpec("P")
R = TypeVar("R")

# What an argument is called elsewhere, in small letters alone.
OTHER_NAMES = {
    "n": "count num number samples nsamples numsamples amount k size",
    "seed": "randomstate randomseed rng manualseed generator",
    "batch_size": "bs batch minibatch chunk",
    "label": "cls klass category target y",
    "labels": "cls klass category target y",
    "sample": "seeds seed start codes samples images",
    "sampling": "settings options config params kwargs",
    "settings": "sampling options config params hyperparameters overrides kwargs",
    "out": "output outdir folder path dest",
    "root": "dataroot datadir",
    "steps": "epochs iterations iters frames nsteps numsteps maxsteps",
    "device": "gpu cuda",
    "metrics": "scores",
    "progress": "callback verbose",
    "scale": "zoom dpi",
}


def checked_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which gets its arguments as its signature declares them, else raises.

    Scalars of NumPy become Python's. Raises BadInput for a value of another type, and UnknownName
    for a keyword that the function does not have. Values of types that are not listed in `_rule`,
    like tensors, are left to the function, as are bounds.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        form = _form(function)
        places, given = form.places, {*form.places[: len(args)], *kwargs}
        is_known = form.is_open or given.issubset(form.names)
        if is_known and len(args) <= len(places) and form.required <= given:
            # Python's call binds them, in a tenth of the time that ``bind`` takes.
            own: Any = [_checked(*pair, form.rules) for pair in zip(places, args, strict=False)]
            return function(*own, **{k: _checked(k, v, form.rules) for k, v in kwargs.items()})
        bound = checked_call(function, args, kwargs)
        if bound is None:
            return function(*args, **kwargs)  # raises Python's TypeError: it says which are missing
        return function(*bound.args, **bound.kwargs)

    return call


def checked_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments | None:
    """The arguments of a call of ``function``, checked as `checked_arguments` does; None if they
    are too few or too many.
    """
    form = _form(function)
    if not form.is_open:
        for name in kwargs:
            if name not in form.names:
                raise _unknown(name, function, form.names)
    try:
        bound = form.signature.bind(*args, **kwargs)
    except TypeError:
        return None
    for name, value in bound.arguments.items():
        if name == form.rest:
            bound.arguments[name] = {k: _checked(k, v, form.rules) for k, v in value.items()}
        elif name == form.several:
            if value and isinstance(value[0], list | tuple):
                each = f"genzoo.{function.__name__}(*{name})"
                raise BadInput(f"each of the {name} is an argument, not a list of them: {each}")
            bound.arguments[name] = tuple(_checked(name, v, form.rules) for v in value)
        else:
            bound.arguments[name] = _checked(name, value, form.rules)
    return bound


def nearest(name: str, known: Sequence[str]) -> str:
    """The one of the ``known`` arguments that ``name`` means elsewhere, or almost spells, or ""."""
    plain = "".join(filter(str.isalnum, name.lower()))
    same = [one for one in known if one.replace("_", "") == plain]
    same += [one for one in known if plain in OTHER_NAMES.get(one, "").split()]
    same += [one for one in known if OPTIONS.get(one, "").replace("-", "_") == name]
    return next(iter(same + difflib.get_close_matches(name, known, n=1)), "")


def _unknown(name: str, function: Callable[..., Any], known: Sequence[str]) -> UnknownName:
    where = function.__qualname__ if "." in function.__qualname__ else f"genzoo.{function.__name__}"
    hint = f"help({where}) explains all."
    names = [one for one in known if one != "self"]
    if near := nearest(name, names):
        return UnknownName(f"no argument is called {name!r}: did you mean {near}? {hint}")
    return unknown("argument", name, names, hint)


def _checked(name: str, value: Any, rules: Mapping[str, "Rule"]) -> Any:
    rule = rules.get(name)
    if rule is None or (result := rule.read(value)) is not _NO:
        return value if rule is None else result
    said = either(argument(name), name)
    is_short = isinstance(value, str | bytes | int | float | list | tuple | dict | Path | None)
    got = f"{value!r:.60}" if is_short else article(value)
    raise BadInput(f"{said} must be {rule.text}, got {got}{rule.hint(value)}")


# ------------------------------------------------------------------------------------------- rules
class Rule(NamedTuple):
    """What a value must be, in words, and its value in Python; `_NO` if it is something else.

    ``hint``: what to do with such another value, "" if that is not known.
    """

    text: str
    read: Callable[[Any], Any]
    hint: Callable[[Any], str] = lambda _: ""


class _Form(NamedTuple):
    """A signature, read once. ``places``: the names of those that may be given without them;
    ``rest``, ``several``: the names of ``**rest`` and ``*several``; ``is_open``: whether any
    keyword passes.
    """

    signature: inspect.Signature
    names: tuple[str, ...]
    places: tuple[str, ...]
    required: frozenset[str]
    rules: Mapping[str, Rule]
    rest: str
    several: str
    is_open: bool


_NO = object()
_OPEN = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


@functools.cache
def _form(function: Callable[..., Any]) -> _Form:
    signature = inspect.signature(function)
    names, rules, rest, several, is_open = list[str](), dict[str, Any](), "", "", False
    for name, parameter in signature.parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            several = name if parameter.kind is parameter.VAR_POSITIONAL else several
            names.append(name)
            rules[name] = _rule(parameter.annotation)
            continue
        rest, parts = name, typing.get_args(parameter.annotation)
        is_open = not parts
        for key, annotation in parts[0].__annotations__.items() if parts else ():
            names.append(key)
            rules[key] = _rule(annotation)
    rules = {name: rule for name, rule in rules.items() if rule is not None}
    each = signature.parameters.values()
    places = tuple(p.name for p in each if p.kind is p.POSITIONAL_OR_KEYWORD)
    needs = frozenset(p.name for p in each if p.default is p.empty and p.kind not in _OPEN)
    return _Form(signature, tuple(names), places, needs, rules, rest, several, is_open)


def _rule(annotation: Any) -> Rule | None:
    """The rule of an annotation; None for one that is not understood: it takes any value.

    ``Annotated[X, hint]`` has the rule of X and a hint.
    """
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        rule = _rule(parts[0])
        return rule and rule._replace(hint=parts[1])
    if origin is Literal:
        return Rule(_or(map(str, parts)), lambda v: v if _is_one_of(v, parts) else _NO)
    if origin is Mapping:
        return _MAPPING
    if origin is Callable:
        return Rule("a function", lambda v: v if callable(v) else _NO)
    if isinstance(annotation, type) and annotation.__module__.startswith("genzoo."):
        return Rule(_article(annotation), lambda v: v if isinstance(v, annotation) else _NO)
    if origin not in (Union, types.UnionType, Sequence):
        return None
    others = [
        part for part in parts if part not in _PLAIN and typing.get_origin(part) is not Literal
    ]
    if len(others) > 1 and any(isinstance(part, type) for part in others):
        return None  # the function says better what it takes
    rules = [_rule(part) for part in parts]
    known = [rule for rule in rules if rule is not None]
    if not known or len(known) < len(rules):
        return None
    if str in parts and Path in parts:  # no file or folder has no name
        known[parts.index(str)] = _NAME
    if origin is Sequence:
        return Rule(f"a list, each {known[0].text}", _reader_of_list(known[0]))
    return Rule(_or(dict.fromkeys(r.text for r in known)), _reader_of_any(known))


def _article(kind: type) -> str:
    return f"{'an' if kind.__name__[0].lower() in 'aeiou' else 'a'} {kind.__name__}"


def _or(texts: Iterable[str]) -> str:
    *others, last = texts
    return f"{', '.join(others)} or {last}" if others else last


def _is_one_of(value: Any, allowed: Sequence[Any]) -> bool:
    return isinstance(value, str | int) and value in allowed


def _items(value: Any) -> list[Any] | None:
    """The items of a list, a tuple, or an array of numbers; None for anything else."""
    tolist: Any = getattr(value, "tolist", None)
    if tolist is not None and getattr(value, "ndim", None):
        value = tolist()
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
    return [*value] if is_list else None


def _reader_of_list(rule: Rule) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        items = _items(value)
        results = [_NO] if items is None else [rule.read(item) for item in items]
        if any(result is _NO for result in results):
            return _NO
        return tuple(results) if isinstance(value, tuple) else results

    return read


def _reader_of_any(rules: Sequence[Rule]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        results = (rule.read(value) for rule in rules)
        return next((result for result in results if result is not _NO), _NO)

    return read


def _whole(value: Any) -> Any:
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    return int(value) if is_whole and abs(int(value)) <= LARGEST else _NO


def _number(value: Any) -> Any:
    if isinstance(value, Integral):
        return _whole(value)
    return float(value) if isinstance(value, Real) and math.isfinite(value) else _NO


def _truth(value: Any) -> Any:
    is_numpys = type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_")
    return bool(value) if isinstance(value, bool) or is_numpys else _NO


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else _NO


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, os.PathLike) else _NO


def _mapping(value: Any) -> Any:
    return value if isinstance(value, Mapping) and all(isinstance(k, str) for k in value) else _NO


_NAME = Rule("a text", lambda v: _text(v) or _NO)
_MAPPING = Rule("a dict of values by name", _mapping)
_PLAIN: dict[Any, Rule] = {
    int: Rule("a whole number", _whole),
    float: Rule("a finite number", _number),
    bool: Rule("True or False", _truth),
    str: Rule("a text", _text),
    Path: Rule("a path", _path),
    None: Rule("None", lambda v: v if v is None else _NO),
    type(None): Rule("None", lambda v: v if v is None else _NO),
}
