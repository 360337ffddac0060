"""Every family, data set and metric keeps its contract; a contract notices one that does not."""

import ast
import dataclasses
import functools
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from genzoo import Noise, cli, data, families, fit, testing
from genzoo.data import Rows
from genzoo.errors import BadInput, UnknownName
from genzoo.metrics import probe_metrics, registry
from genzoo.metrics.metric import SampleMetric
from genzoo.metrics.score import Estimates
from genzoo.models import randomness
from genzoo.testing import dataset_contract
from genzoo.testing.family_case import in_range, outputs

run_once = functools.cache(testing.run)  # the first two tests share its results


@pytest.mark.parametrize("check", testing.CHECKS)
@pytest.mark.parametrize("name", families.names())
def test_family_keeps_the_contract(name, check):
    if reason := run_once(check, name):
        pytest.skip(reason)


def test_enough_is_checked():
    """A contract that skips its checks would be green for ever."""
    for name in families.names():
        ran = [c for c in testing.CHECKS if run_once(c, name) is None]
        assert len(ran) >= 22, f"{name}: only {ran}"


@pytest.mark.parametrize(
    ("name", "shape"),
    [("gan", (1, 64)), ("wgan-gp", (2,)), ("autoencoder", (2,)), ("vae", (1, 64))],
)
def test_family_keeps_the_contract_with_signals_and_points(name, shape):
    good = families.get(name)
    tiny = good.tiny.model_copy(update={"shape": shape})
    case = testing.Case(name, families.Family(**{**vars(good), "tiny": tiny}))
    assert case.model().kind == ("points" if len(shape) == 1 else "signals")
    checks = {*testing.CHECKS} - {"options_change_the_run"}  # of any shape; the longest
    assert sum(testing.run(check, case) is None for check in checks) >= 23


@pytest.mark.parametrize("name", families.names())
def test_the_ends_of_uniform_noise_do_no_harm(name, monkeypatch):
    """Uniform numbers reach 1 - 2**-24, and float32 rounds 1 plus that to 2: one number in millions
    would end a run, and would end it again at each try to go on.
    """
    case = testing.Case.of(name)
    fields = case.family.config.model_fields
    trainer = case.trainer_of(case.model(**{k: 2 for k in fields if k == "quantized_levels"}))
    batches, model = [*case.batches(trainer, shares=(0.0, 0.5))][:2], trainer.model
    for end, value, batch in zip((1 - 2**-24, 0.0), (1.0, 0.0), batches, strict=True):
        monkeypatch.setattr(randomness, "_draw_uniform", lambda _, row, end=end: row.fill(end))
        x = in_range(model, torch.full_like(batch.x, value))
        ((_, logs),) = fit(trainer, [dataclasses.replace(batch, x=x)], batch.step + 1, batch.step)
        assert all(value.isfinite() for value in logs.values())
        assert all(found.isfinite().all() for found in outputs(model).values())


@torch.no_grad()
def test_where_pixels_come_row_by_row_no_row_depends_on_one_below():
    """In grey and in colour: what is known of the lower rows does not change the upper ones."""
    cases = [testing.Case.of(name) for name in families.names()]
    cases = [case for case in cases if getattr(case.model(), "in_raster_order", False)]
    assert len(cases) >= 3
    torch.manual_seed(0)
    for case, shape in itertools.product(cases, [(1, 4, 4), (3, 4, 4)]):
        model = case.model(shape=shape)
        for parameter in model.parameters():
            parameter.normal_(0, 0.7)
        mask = torch.zeros(40, *shape)
        mask[:, :, 2:] = 1
        uppers = []
        for seed in (1, 2):
            x = in_range(model, Noise(seed, range(40)).uniform(*shape).round())
            filled = model.complete(x, mask, Noise(0, range(40)), None, model.sampling())
            uppers.append(filled[:, :, :2])
        assert torch.equal(*uppers) == model.in_raster_order, f"{case.name} of {shape}"


# --------------------------------------------------------------------------------------- data sets

OFFLINE = ["digits", "ring8", "gaussian1d", "tones", "plucked"]
FILES = ["mnist", "fashion-mnist", "mnist-binary", "cifar10", "celeba"]


@pytest.mark.parametrize(
    "name", [*OFFLINE, *(pytest.param(name, marks=pytest.mark.data) for name in FILES)]
)
def test_data_set_keeps_the_contract(name):
    outcome = testing.outcome(name, "dataset")
    assert outcome.broken == {}
    assert len(outcome.held) == 8 - len(outcome.skipped)
    assert {*outcome.skipped.values()} <= {"has no labels", "has no attributes"}


def _split(split, n=40):
    x = np.random.RandomState(len(split)).randint(256, size=(n, 1, 6, 6)).astype(np.uint8)
    return x, np.arange(n) % 3


def _made(change=lambda x, y, split: (x, y), **more):
    """A good data set of three classes and an attribute; ``change`` changes a split."""

    def read(root, split):
        return Rows.of(*change(*_split(split), split))

    def bright(root, split):
        return _split(split)[0].max((1, 2, 3))[:, None] > 250

    kept = {
        "attributes": ("bright",),
        "read_attributes": bright,
        "summary": "made",
        "terms": "free",
        "levels": 256,
        "classes": ("a", "b", "c"),
    }
    kept |= {"read": read, "name": "made", "kind": "images", **more}
    return dataset_contract.Case("made", data.Source(**kept))


def _waves(**more):
    """A good data set of signals."""

    def read(root, split):
        x, y = _split(split)
        return Rows.of((x.reshape(len(x), 1, -1) / 255).astype(np.float32), y)

    kept = {"kind": "signals", "levels": 0, "rate": 8000, "read": read, "attributes": ()}
    return _made(**{**kept, **more})


_unsteady = iter(range(1000))
WRONG_SETS = {
    "says_what_it_is": [
        (_made(terms=""), "terms"),
        (_made(classes=("a", "a", "c")), "two classes"),
        (_made(levels=7), r"levels .*\(2, 256\), got 7"),
    ],
    "has_train_and_test": [(_made(splits=("train",)), "split test")],
    "splits_share_no_sample": [
        (_made(lambda x, y, split: _split("train")), "40 of 40 test samples"),
    ],
    "splits_are_alike": [
        (_waves(rate=0), "rate"),
        (_made(lambda x, y, split: (x[..., : len(split), : len(split)], y)), "shape"),
    ],
    "samples_are_what_the_core_takes": [
        (_made(lambda x, y, split: (x[..., :4], y)), r"square, got \(1, 6, 4\)"),
    ],
    "read_twice_it_is_the_same": [
        (_made(lambda x, y, split: (x + next(_unsteady), y)), "two keys"),
        (
            _made(read=lambda root, split: Rows("k", lambda: [(_split("x" * next(_unsteady)))])),
            "two hashes",
        ),
    ],
    "labels_are_its_classes": [
        (_made(lambda x, y, split: (x, None)), "no labels"),
        (_made(lambda x, y, split: (x, y if split == "train" else None)), "test has no labels"),
    ],
    "attributes_fit_the_samples": [
        (_made(attributes=("a",)), "one name"),
        (_made(attributes="bright"), "tuple"),
        (_made(attributes=("bright", "dark")), r"\(40, 2\)"),
        (_made(read_attributes=lambda root, split: np.ones((39, 1), bool)), r"\(39, 1\)"),
    ],
}


@pytest.mark.parametrize("check", testing.checks("dataset"))
def test_contract_notices_a_wrong_data_set(check):
    for good in (_made(), _waves()):
        testing.run(check, good, "dataset")
    for wrong, said in WRONG_SETS[check]:
        with pytest.raises(testing.Broken, match=said):
            testing.run(check, wrong, "dataset")


# ----------------------------------------------------------------------------------------- metrics

METRICS = [
    "fd",
    "kd",
    "precision",
    "coverage",
    "energy",
    "sharpness",
    "nll",
    "elbo",
    "label_accuracy",
]
METRICS += ["translation_accuracy", "translation_psnr", "probe", "inpainting_psnr"]


@pytest.mark.parametrize("name", METRICS)
def test_metric_keeps_the_contract(name, monkeypatch):
    """A metric of models gets a synthetic model with the ability that it needs."""
    monkeypatch.setattr(probe_metrics, "CENTROIDS", 20)  # of its 200 images a few are enough
    outcome = testing.outcome(name, "metric")
    assert outcome.broken == {}
    sees = issubclass(registry.metric_class(name), SampleMetric)
    unheard = [*outcome.skipped.values()].count("needs torchaudio")  # on this machine
    assert len(outcome.held) + unheard == (10 if sees else 6)


def test_a_metric_may_refuse_the_synthetic_data():
    said = "does not take the synthetic data: class 0 has 20 samples, got 400"
    assert testing.run("gives_a_finite_score", "probe_400", "metric") == said


class Bright(SampleMetric):
    """The mean pixel; each test makes one thing of it wrong."""

    id, goal, about, min_samples = "bright", "lower", "the mean pixel", 10
    told = {"data": "made"}  # noqa: RUF012

    @property
    def name(self):
        return "bright-made"

    @property
    def extract(self):
        return self.kept

    @staticmethod
    def kept(x):
        return x.flatten(1).mean(1).numpy()

    def conditions(self):
        return self.told

    def estimate(self, features):
        return Estimates(features[:10])

    def floor(self, n):
        return 0.5


def _wrong(**more):
    return type("Wrong", (Bright,), more)


WRONG_METRICS = {
    "has_id_goal_and_description": (_wrong(goal="up"), "got 'up'"),
    "measures_the_kinds_that_it_names": (
        _wrong(kinds=("images", "points"), kept=staticmethod(lambda x: x.mean((1, 2, 3)).numpy())),
        "points: metric bright-made failed",
    ),
    "conditions_are_json": (_wrong(told={"data": {1, 2}}), "cannot be written as JSON"),
    "gives_a_finite_score": (
        _wrong(floor=lambda self, n: float("nan")),
        "floor .*, got nan",
    ),
    "is_reproducible": (
        _wrong(estimate=lambda self, m: Estimates(np.random.rand(10))),
        "the same samples",
    ),
    "does_not_depend_on_the_batch": (
        _wrong(kept=staticmethod(lambda x: (x - x.mean()).flatten(1).mean(1).numpy())),
        "depends on the batch",
    ),
    "parts_depend_on_n_alone": (
        _wrong(estimate=lambda self, m: Estimates(m[: 5 + int(m.sum() * 1e4) % 90])),
        r"\[\d+, \d+\] parts",
    ),
    "refuses_invalid_pixels": (_wrong(__call__=lambda self, x: None), "NaN"),
    "features_differ_between_images": (
        _wrong(kept=staticmethod(lambda x: np.ones(len(x)))),
        "even for noise",
    ),
    "works_in_evaluate": (
        _wrong(name=property(lambda self: f"bright-{next(_unsteady)}")),
        "evaluate returns",
    ),
}


@pytest.mark.parametrize("check", testing.checks("metric"))
def test_contract_notices_a_wrong_metric(check, monkeypatch):
    wrong, said = WRONG_METRICS[check]
    monkeypatch.setitem(registry.BUILT_IN, "bright", Bright)
    assert testing.run(check, "bright", "metric") is None
    monkeypatch.setitem(registry.BUILT_IN, "bright", wrong)
    with pytest.raises(testing.Broken, match=said):
        testing.run(check, "bright", "metric")


@pytest.mark.parametrize("kind", ["signals", "points"])
def test_a_metric_of_another_kind_is_checked_on_samples_of_it(kind, monkeypatch):
    seen = []

    def kept(x):
        seen.append(x.ndim)
        return x.flatten(1).mean(1).numpy()

    good = type("Good", (Bright,), {"kinds": (kind,), "kept": staticmethod(kept)})
    monkeypatch.setitem(registry.BUILT_IN, "bright", good)
    outcome = testing.outcome("bright", "metric")
    assert outcome.broken == {}
    assert {*seen} == {3 if kind == "signals" else 2}
    for kinds in ((), ("sounds",), "images"):
        monkeypatch.setitem(registry.BUILT_IN, "bright", _wrong(kinds=kinds))
        with pytest.raises(testing.Broken, match="kinds must be a tuple"):
            testing.run("measures_the_kinds_that_it_names", "bright", "metric")


def test_a_metric_that_refuses_a_kind_of_its_own_is_broken(monkeypatch):
    def seen(x):
        if x.ndim == 3:
            raise BadInput("it hears nothing")
        return x.flatten(1).mean(1).numpy()

    deaf = _wrong(kinds=("images", "signals"), kept=staticmethod(seen))
    monkeypatch.setitem(registry.BUILT_IN, "bright", deaf)
    with pytest.raises(testing.Broken, match=r"kinds names signals, which it refuses: .*nothing"):
        testing.run("measures_the_kinds_that_it_names", "bright", "metric")


# -------------------------------------------------------------------------- counts, and the command


def test_what_a_contract_says_is_its_own_words():
    """No bare assert: without pytest it would say nothing, and under -O check nothing."""
    for path in Path(testing.__file__).parent.glob("*.py"):
        asserts = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Assert)]
        assert asserts == [], path.name


def test_every_check_is_counted(install, capsys):
    install("dataset", "odd", ODD)
    told = testing.outcome("odd", "dataset")
    assert {*told.held} | {*told.skipped} | {*told.broken} == {*testing.checks("dataset")}
    assert told.skipped == {
        "labels_are_its_classes": "has no labels",
        "attributes_fit_the_samples": "has no attributes",
    }
    assert {*told.broken} == {"splits_share_no_sample"}
    assert cli.run(["plugin", "check", "odd"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out == [
        "splits_share_no_sample: 20 of 20 test samples are in train, too",
        "    from genzoo import testing",
        '    testing.run("splits_share_no_sample", "odd", "dataset")',
        "data set odd: 5 checks passed, 1 broken, 2 do not apply: labels_are_its_classes"
        " (has no labels); attributes_fit_the_samples (has no attributes)",
    ]
    assert cli.run(["plugin", "check", "odd", "--json"]) == 1
    assert '"splits_share_no_sample": "20 of 20' in capsys.readouterr().out


def test_one_check_that_is_skipped_takes_a_verb_in_the_singular():
    one = testing.Outcome("odd", "dataset", ("a",), {"b": "has none"}, {})
    assert str(one) == "data set odd: 1 check passed, 1 does not apply: b (has none)"


ODD = """
import numpy as np
import genzoo
from genzoo.data import Rows, Source

@genzoo.hookimpl
def genzoo_dataset():
    x = np.random.RandomState(0).randint(256, size=(20, 1, 4, 4)).astype(np.uint8)
    return Source("odd", "images", "odd", "free", 256, (), lambda root, split: Rows.of(x), api=2)
"""


def test_a_plugin_that_raises_breaks_its_checks_alone(install):
    install("dataset", "odd", ODD.replace("Rows.of(x)", "1 / 0"))
    told = testing.outcome("odd", "dataset")
    assert told.held == ("says_what_it_is",)
    assert len(told.broken) == 6
    assert all("ZeroDivisionError: division by zero" in said for said in told.broken.values())
    assert len(told.repeats) == 5
    assert str(told).count("ZeroDivisionError") == 1
    assert f"and 5 more checks: {', '.join(told.repeats)}\n" in str(told)


def test_names_that_nobody_has_are_told(capsys):
    with pytest.raises(UnknownName, match="no check is called 'lerns': did you mean learns"):
        testing.run("lerns", "vae")
    with pytest.raises(BadInput, match="kind must be one of family, dataset, metric, got 'model'"):
        testing.checks("model")
    assert cli.run(["plugin", "check", "vea"]) == 2
    assert "no plugin is called 'vea': did you mean vae or wavegan?" in capsys.readouterr().err


def test_a_pytest_run_that_uses_no_genzoo_does_not_meet_it():
    """No entry point of pytest's: every run in the environment would pay for importing torch."""
    code = "from importlib.metadata import distribution as d; print(*d('genzoo').entry_points)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pytest11" not in out.stdout
