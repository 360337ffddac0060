"""Schemas: strict, closed and bounded; JSON that cannot surprise; --set; errors in one line."""

import json
import pickle
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from pydantic import Field, ValidationError

from genzoo import errors
from genzoo.errors import (
    BadInput,
    GenzooError,
    InvalidModel,
    NetworkError,
    OperationFailed,
    UnknownName,
    unknown,
)
from genzoo.models.networks import pyramid
from genzoo.options import AdversarialOptions, Options
from genzoo.runs.plan import divide
from genzoo.schemas import (
    Count,
    Decay,
    Names,
    Rate,
    Schema,
    Shape,
    assignments,
    checked,
    fields,
    read_json,
)


class Sizes(Schema):
    width: Count = 4
    rate: Rate = 0.1
    decay: Decay = 0.9
    loss: Literal["hinge", "minimax"] = "hinge"
    shape: Shape = (1, 8, 8)
    names: Names = ()
    flip: bool = False
    half: Annotated[int, Field(ge=-5, le=5)] = 0


# ------------------------------------------------------------------------------------ values


def test_good_values_are_taken():
    values = {"width": 64, "rate": 0.5, "loss": "minimax", "shape": [3, 8], "names": ["a"]}
    made = checked(Sizes, values, "config")
    assert (made.width, made.rate, made.loss, made.shape, made.names) == (
        64, 0.5, "minimax", (3, 8), ("a",),
    )  # fmt: skip


def test_what_json_cannot_hold_is_refused_in_one_line():
    with pytest.raises(
        BadInput, match="config: expected numbers, texts, lists and dicts, got a set"
    ):
        checked(Sizes, {"names": {"a"}}, "config")


def test_a_whole_number_is_a_float_too():
    assert checked(Sizes, {"rate": 1}, "config").rate == 1.0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"width": True}, "width must be a whole number, got True"),
        ({"width": "64"}, "width must be a whole number, got '64'"),
        ({"width": 64.0}, "width must be a whole number, got 64.0"),
        ({"width": None}, "width must be a whole number, got None"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"width": -3}, "width must be at least 1, got -3"),
        ({"width": 10**30}, "width must be at most 65536"),
        ({"rate": float("nan")}, "rate must be a finite number"),
        ({"rate": float("inf")}, "rate must be a finite number"),
        ({"rate": True}, "rate must be a number, got True"),
        ({"rate": "0.1"}, "rate must be a number"),
        ({"rate": 0}, "rate must be above 0, got 0"),
        ({"decay": 1}, "decay must be below 1, got 1"),  # an average that never moves
        ({"loss": "hing"}, "loss must be 'hinge' or 'minimax', got 'hing'"),
        ({"flip": 1}, "flip must be True or False, got 1"),
        ({"shape": []}, r"shape is too short \(at least 1\)"),
        ({"shape": [1, 2, 3, 4, 5]}, r"shape is too long \(at most 4\)"),
        ({"shape": [3, True]}, "shape.1 must be a whole number, got True"),
        ({"names": ["x" * 201]}, r"names.0 is too long \(at most 200 characters\)"),
        ({"names": "ab"}, "names must be a list"),
        ({"wdith": 3}, "there is no field wdith, got 3"),
        ({"width": 0, "rate": 0}, r"\(and 1 more\)"),
        ([1], "the value must be a dict"),
        ("width", "the value must be a dict"),
    ],
)
def test_wrong_values_are_refused(values, says):
    with pytest.raises(BadInput, match=f"^here: .*{says}") as caught:
        checked(Sizes, values, "here")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("values", "python", "json"),
    [
        ({"flip": 1}, "True or False, got 1", "true or false, got 1"),
        ({"width": None}, "got None", "got null"),
        ({"loss": "hing"}, "got 'hing'", 'got "hing"'),
        ([1], "must be a dict", "must be an object"),
    ],
)
def test_values_are_said_in_the_words_of_the_reader(values, python, json):
    """Of a model's folder and on the command line in those of JSON."""
    with pytest.raises(BadInput, match=python):
        checked(Sizes, values, "here")
    with pytest.raises(InvalidModel, match=json):
        checked(Sizes, values, "config.json", InvalidModel)
    with errors.on_the_command_line(), pytest.raises(BadInput, match=json):
        checked(Sizes, values, "here")


def test_numbers_of_numpy_and_torch_are_numbers():
    given = {"width": np.int64(3), "rate": np.float32(0.5), "flip": np.True_}
    sizes = checked(Sizes, {**given, "shape": torch.tensor([2, 3])}, "here")
    assert (sizes.width, sizes.rate, sizes.flip, sizes.shape) == (3, 0.5, True, (2, 3))
    with pytest.raises(BadInput, match=r"width must be a whole number, got 3\.5"):
        checked(Sizes, {"width": np.float64(3.5)}, "here")


def test_a_name_of_a_megabyte_is_not_said_in_full():
    with pytest.raises(BadInput) as caught:
        checked(Sizes, {"x" * 10**6: 1}, "here")
    assert len(str(caught.value)) < 300


def test_the_error_is_the_one_asked_for():
    with pytest.raises(InvalidModel):
        checked(Sizes, {"width": 0}, "config.json", InvalidModel)


def test_defaults_are_checked_too():
    class Wrong(Schema):
        width: Count = 0

    with pytest.raises(BadInput, match="width"):
        checked(Wrong, {}, "config")


def test_a_schema_is_frozen():
    with pytest.raises(ValidationError):
        Sizes().width = 5


@pytest.mark.parametrize("schema", [Options, AdversarialOptions])
def test_options_are_described_and_bounded(schema):
    for name, rule in schema.model_json_schema()["properties"].items():
        if rule.get("type") in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & rule.keys(), name
            assert {"maximum", "exclusiveMaximum"} & rule.keys(), name


# -------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("{'a': 1}", "Expecting property name"),
        ("[1, 2,]", "Expecting value|Illegal trailing comma"),
        ('{"a": 1, "a": 2}', "duplicate key"),
        ('{"b": {"a": 1, "a": 1}}', "duplicate key"),
        ("NaN", "NaN is not a number"),
        ('{"a": [-Infinity]}', "-Infinity is not a number"),
        ("1e400", "1e400 is too large"),
        ("-1e400", "-1e400 is too large"),
        ("9" * 5000, "digits"),
        ("[" * 200_000, "recursion|Stack overflow"),
        ('{"a":' * 100_000, "recursion|Stack overflow"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ('{"a": 1}'.encode("utf-16"), "decode"),
        (b'{"a": "\xff"}', "decode"),
        ('{"a": "\n"}', "Invalid control character"),
        ("{} {}", "Extra data"),
    ],
)
def test_bad_json_is_refused_in_one_line(text, says):
    with pytest.raises(BadInput, match=f"^file is not valid JSON: .*({says})") as caught:
        read_json(text, "file")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_good_json_is_read():
    text = '{"a": [1, 2.5, "ü", null, true], "b": {"a": 1e-400}}'
    assert read_json(text, "file") == json.loads(text) == read_json(text.encode(), "file")


@pytest.mark.parametrize("depth", range(150, 1200, 50))
def test_any_depth_is_read_or_refused(depth):
    try:
        checked(Sizes, {"names": read_json("[" * depth + "]" * depth, "file")}, "config")
    except GenzooError:
        return
    raise AssertionError("deep nesting was taken for names")


# -------------------------------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("a=64", 64),
        ("a= 64 ", 64),
        ("a=1e-3", 0.001),
        ("a=.5", 0.5),
        ("a=-.25", -0.25),
        ("a=2.", 2),
        ("a=4.0", 4),
        ("a=1e3", 1000),
        ("a=+4", 4),
        ("a=0", 0),
        ("a=0.5", 0.5),
        ("a=-0.25", -0.25),
        ("a=1e300", 1e300),
        ("a=[1, 4.0, 2.5]", [1, 4, 2.5]),
        ("a=1.2.3", "1.2.3"),
        ("a=hinge", "hinge"),
        ('a="64"', "64"),
        ("a=true", True),
        ("a=False", False),
        ("a=[1, 2]", [1, 2]),
        ("a=null", None),
        ("a=", ""),
        ("a=b=c", "b=c"),
        ("a=color,translation", "color,translation"),
        ("a=" + "9" * 5000, "9" * 5000),
        ("a=" + "[" * 100_000, "[" * 100_000),
    ],
)
def test_assignments(pair, value):
    read = assignments([pair])["a"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (["width"], "'width'"),
        (["=3"], "'=3'"),
        (["a=1", " a =2"], "a .*twice"),
        (["width=04"], "^width=04: a number has no 0 in front: width=4$"),
        (["a=-007.5"], "front: a=-7.5$"),
        (["a=00"], "front: a=0$"),
    ],
)
def test_bad_assignments(pairs, says):
    with pytest.raises(BadInput, match=says):
        assignments(pairs)


@pytest.mark.parametrize("values", [{"\ud800": 1}, {"loss": "\udc00"}, {"names": ["a\ud83c"]}])
def test_half_of_a_character_is_named(values):
    with pytest.raises(
        BadInput, match=r"^config\.json: a text holds half of a character"
    ) as caught:
        checked(Sizes, values, "config.json")
    assert "{" not in str(caught.value)


def test_fields_go_to_the_first_schema_that_has_them():
    class Other(Schema):
        width: Count = 1
        depth: Count = 1

    parts = divide({"width": 3, "depth": 2}, {"config": Sizes, "options": Other}, "")
    assert parts == {"config": {"width": 3}, "options": {"depth": 2}}


def test_an_unknown_field_is_named_with_near_ones():
    with pytest.raises(
        UnknownName, match="no field is called 'widht': did you mean width"
    ) as caught:
        divide({"widht": 3}, {"config": Sizes}, "type genzoo families")
    assert str(caught.value).endswith("type genzoo families")


# ------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("error", "code", "also"),
    [
        (OperationFailed, 1, Exception),
        (BadInput, 2, ValueError),
        (UnknownName, 2, LookupError),
        (NetworkError, 3, Exception),
        (InvalidModel, 4, Exception),
    ],
)
def test_exit_codes_and_kinds(error, code, also):
    assert error.exit_code == code
    assert issubclass(error, GenzooError)
    assert issubclass(error, also)


def test_an_error_is_one_line_that_drives_no_terminal():
    error = BadInput("a\nb\x1b[2Jc\x9bd\u202ee")
    assert str(error) == "a b [2Jc d e"


def test_errors_travel_between_processes():
    again = pickle.loads(pickle.dumps(UnknownName("no such thing")))
    assert isinstance(again, UnknownName)
    assert str(again) == "no such thing"


MANY = [f"name-{i:03}" for i in range(100)]


@pytest.mark.parametrize(
    ("name", "known", "says"),
    [
        ("vea", ["vae", "dcgan"], "did you mean vae?"),
        ("xyz", ["vae", "dcgan"], "available: dcgan, vae."),
        ("xyz", [], "available: none."),
        ("xyz", MANY, f"available: {', '.join(MANY[:23])} and 77 more."),
    ],
)
def test_unknown_says_what_there_is(name, known, says):
    assert str(unknown("family", name, known, "hint")) == (
        f"no family is called {name!r}: {says} hint"
    )


@pytest.mark.parametrize(
    ("shape", "widths", "side"),
    [
        ((1, 28, 28), [8, 16], 7),
        ((3, 32, 32), [8, 16, 32], 4),
        ((3, 64, 64), [8, 16, 32, 64], 4),
        ((1, 8, 8), [8], 4),
        ((3, 96, 96), [8, 16, 32, 64], 6),
    ],
)
def test_a_pyramid_halves_down_to_four_to_seven(shape, widths, side):
    assert pyramid(shape, 8) == (widths, side)


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 64, 32), (2,), (1, 7, 7), (1, 4, 4), (1, 9, 9)])
def test_no_pyramid_stands_on_other_shapes(shape):
    with pytest.raises(BadInput, match=f"got {'x'.join(map(str, shape))}$"):
        pyramid(shape, 8)


def test_a_redeclared_option_keeps_its_description():
    class Own(AdversarialOptions):
        batch_size: Count = 32
        lr: Rate = 0.1
        """a rate of its own"""

    about = {field["name"]: field["about"] for field in fields(Own)}
    inherited = {field["name"]: field["about"] for field in fields(AdversarialOptions)}
    assert about == {**inherited, "lr": "a rate of its own"}
    assert about["batch_size"]
