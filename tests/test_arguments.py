"""Wrong arguments of public functions: each is refused in one line, before anything is done."""

import inspect
import types

import numpy as np
import pytest
import torch

import genzoo
from genzoo.errors import BadInput, GenzooError, UnknownName, unknown
from genzoo.models.arguments import checked_arguments

# ------------------------------------------------------------------------------------ the decorator


@checked_arguments
def takes(
    n: int = 1,
    rate: float = 1.0,
    loop: bool = False,
    name: str | None = None,
    values: "list[int] | None" = None,
    *,
    several: "str | tuple[str, ...]" = (),
):
    return n, rate, loop, name


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"n": np.int64(3)}, (3, 1.0, False, None)),
        ({"rate": np.float32(0.5)}, (1, 0.5, False, None)),
        ({"rate": 2, "loop": np.True_}, (1, 2, True, None)),
        ({"name": np.str_("a")}, (1, 1.0, False, "a")),
    ],
)
def test_scalars_of_numpy_become_pythons(given, taken):
    found = takes(**given)
    assert found == taken
    assert {type(one).__module__ for one in found[:3]} == {"builtins"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": True}, "n must be a whole number, got True"),
        ({"n": 2.0}, "n must be a whole number, got 2.0"),
        ({"n": "3"}, "n must be a whole number, got '3'"),
        ({"n": 10**30}, "n must be a whole number, got 1000"),
        ({"rate": float("nan")}, "rate must be a finite number, got nan"),
        ({"rate": True}, "rate must be a finite number, got True"),
        ({"loop": 1}, "loop must be True or False, got 1"),
        ({"loop": "no"}, "loop must be True or False, got 'no'"),
        ({"name": 3}, "name must be a text or None, got 3"),
        ({"name": object()}, "name must be a text or None, got an object"),
    ],
)
def test_a_value_of_another_type_is_refused(given, said):
    with pytest.raises(BadInput, match=said):
        takes(**given)


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: takes(nmae="x"), "no argument is called 'nmae': did you mean name"),
        (lambda: takes(num_samples=3), "'num_samples': did you mean n?"),
        (lambda: genzoo.interpolate("vae", "1,2", lable=3), "'lable': did you mean label"),
        (lambda: genzoo.interpolate("vae", "1,2", epochs=3), "'epochs': did you mean steps?"),
        (lambda: genzoo.inpaint("vae", "x", restart=3), "'restart': did you mean restarts"),
        (lambda: genzoo.train("vae", outdir="x"), "'outdir': did you mean out?"),
        (lambda: genzoo.train("vae", store_as="float16"), "'store_as': did you mean dtype?"),
        (lambda: genzoo.direction("vae", data_root="x"), "'data_root': did you mean root?"),
        (lambda: genzoo.forecast("vae", step=3), "'step': did you mean steps"),
        (lambda: genzoo.load("vae", abc=3), "help.genzoo.load. explains all"),
        (lambda: genzoo.train("vae", widht=3), r"'widht': did you mean settings=\{'width': 3\}"),
        (lambda: genzoo.train("vae", learning_rate=1), r"did you mean settings=\{'lr': 1\}"),
        (lambda: genzoo.train("no-family", widht=3), "'widht': available: .*help.genzoo.train."),
    ],
)
def test_an_unknown_argument_names_the_nearest(call, meant):
    with pytest.raises(UnknownName, match=meant):
        call()


def test_a_list_of_models_is_told_to_be_spread():
    with pytest.raises(BadInput, match=r"not a list of them: genzoo.compare\(\*models\)"):
        genzoo.compare(["vae-mnist", "gan-mnist"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scale": 0}, "scale must be a whole number of at least 1, got 0"),
        ({"scale": 2.5}, "got 2.5"),
        ({"scale": "3"}, "got '3'"),
        ({"columns": 0}, "columns must be a whole number of at least 1, got 0"),
    ],
)
def test_a_sheet_is_enlarged_by_a_whole_number(given, said, latent):
    for draw in (latent.sample(2).grid, latent.sample(2).png):
        with pytest.raises(BadInput, match=said):
            draw(**given)


def test_an_argument_of_a_method_is_no_setting(conditional):
    for name, meant in {"label": "labels", "seeds": "seed", "batchsize": "batch_size"}.items():
        with pytest.raises(BadInput, match=f"called '{name}': did you mean {meant}="):
            conditional.sample(1, **{name: 1})


def test_python_itself_says_what_is_missing():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        genzoo.load()
    with pytest.raises(TypeError, match="takes from 0 to 5 positional arguments but 6 were given"):
        takes(1, 1, False, "a", None, 6)


def test_every_public_function_checks_its_arguments():
    """But those that train a network of somebody's, and those without arguments."""
    functions = {name: getattr(genzoo, name) for name in genzoo.__all__}
    functions = {k: v for k, v in functions.items() if isinstance(v, types.FunctionType)}
    bare = {name for name, f in functions.items() if not hasattr(f, "__wrapped__")}
    with_arguments = {name for name in bare if inspect.signature(functions[name]).parameters}
    assert with_arguments == {"fit", "rename_fields"}


# ----------------------------------------------------------------------------- public functions

NAN = float("nan")
WRONG = [object(), 2.7, NAN, True, b"x", [None], [NAN], {"a": 1}, {1, 2}, -1, "", torch.zeros(2)]
# What of these is right, by argument: a film that returns, 2.7 days, and no name for an image.
RIGHT = {
    "interpolate": {("loop", True)},
    "steer": {("alphas", "tensor([0., 0.])")},
    "inpaint": {("blend", True)},
    "project": {("weight", 2.7)},
    "decode_codes": {("call", "{'a': 1}")},
    "load": {("compile", True), ("verify", True), ("local_files_only", True)},
    "cache": {("older_than", 2.7)},
    "log_prob": {("images", "tensor([0., 0.])")},  # a point
}


@pytest.fixture
def calls(latent, conditional, translator, density, tmp_path, monkeypatch):
    """Calls that cost little, by function: the function and arguments that are right."""
    monkeypatch.chdir(tmp_path)
    grey = torch.full((1, 3, 8, 8), 0.5)
    d = genzoo.direction(latent, toward=[1], away=[2])
    cheap = {"steps": 1, "restarts": 1, "weight": 0, "window": 0, "adversary": None}
    every = {"label": None, "sampling": None, "device": "auto"}
    batches = {"batch_size": 4, "progress": None}
    search = {"search_steps": None, "restarts": None, "search_seed": None}
    drawing = {"labels": None, "seed": 0, "start": 0, **batches}
    found = {"labels": None, "seed": 0, "device": "auto", **batches, **cheap}
    return {
        "interpolate": (
            genzoo.interpolate,
            {"model": latent, "sample": [1, 2], "steps": 1, "loop": False, "how": "lerp"}
            | {**every, **batches, **search},
        ),
        "traverse": (
            genzoo.traverse,
            {"model": latent, "dims": (0, 1), "grid": (1, 1), "sample": 0, **every, **batches},
        ),
        "arithmetic": (genzoo.arithmetic, {"model": latent, "terms": "1", "seed": 0, **every}),
        "direction": (
            genzoo.direction,
            {"model": latent, "toward": [1], "away": [2], "of": None, "encode": False, "n": None}
            | {"data": None, "seed": None, "label": None, "root": None, "device": "auto"},
        ),
        "steer": (
            genzoo.steer,
            {"model": latent, "direction": d, "sample": 0, "alphas": [0], "steps": None}
            | {**every, **batches},
        ),
        "sweep": (genzoo.sweep, {"model": latent, "columns": 1, "sample": 0, **every, **batches}),
        "inpaint": (
            genzoo.inpaint,
            {"model": latent, "images": grey, "mask": "centre", "blend": None, **found},
        ),
        "project": (genzoo.project, {"model": latent, "images": grey, "mask": None, **found}),
        "translate": (
            genzoo.translate,
            {"model": translator, "picture": grey, "to": None, "seed": None, "sampling": None},
        ),
        "extract_features": (
            genzoo.extract_features,
            {"model": latent, "images": grey, "batch_size": 4, "device": "auto"},
        ),
        "look_inside": (genzoo.look_inside, {"model": latent, "image": grey}),
        "measure_activity": (genzoo.measure_activity, {"model": latent, "label": None}),
        "sample": (conditional.sample, {"n": 1, **drawing}),
        "codes": (latent.codes, {"n": 1, "seed": 0, "start": 0}),
        "decode_codes": (
            latent.decode_codes,
            {"codes": latent.codes(1), "labels": None, "seeds": None, "call": None, **batches},
        ),
        "encode": (latent.encode, {"images": grey, "batch_size": 4}),
        "log_prob": (
            density.log_prob,
            {"images": torch.zeros(1, 2), "labels": None, "seed": 0, "samples": 1}
            | {"bound": "elbo", "batch_size": 4},
        ),
        "model.translate": (
            translator.translate,
            {"images": grey, "to": None, "seed": 0, "batch_size": 4},
        ),
        "load": (
            genzoo.load,
            {"name": "vae-mnist", "ability": None, "device": "cpu", "dtype": "float32"}
            | {"compile": False, "verify": True, "local_files_only": True},
        ),
        "save": (
            genzoo.save,
            {"model": latent, "folder": "m", "family": "f", "version": None, "dtype": "float32"}
            | {"discriminator": None, "recipe": None, "force": False},
        ),
        "cache": (genzoo.cache, {"names": (), "older_than": None, "limit": None}),
    }


NAMES = ["interpolate", "traverse", "arithmetic", "direction", "steer", "sweep", "inpaint"]
NAMES += ["project", "translate", "extract_features", "look_inside", "measure_activity", "sample"]
NAMES += ["codes", "decode_codes", "encode", "log_prob", "model.translate", "load", "save", "cache"]


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_argument_is_one_line(calls, name):
    """Whatever it is: never an error of torch, NumPy or Python; nothing wrong is taken."""
    function, right = calls[name]
    wrong_ones = [(argument, wrong) for argument in right for wrong in WRONG]
    said = {
        (a, str(v)): refusal(lambda a=a, v=v: function(**{**right, a: v})) for a, v in wrong_ones
    }
    taken = {(argument, value) for (argument, value), text in said.items() if text is None}
    assert taken == {(argument, str(value)) for argument, value in RIGHT.get(name, ())}
    assert not [text for text in said.values() if text and "\n" in text]


def refusal(call):
    """What the error says; None if there is none."""
    try:
        call()
    except GenzooError as error:
        return str(error)
    return None


def test_an_unknown_name_without_a_hint_ends_with_its_point():
    assert str(unknown("class", "x", ["a"], "")).endswith("available: a.")
