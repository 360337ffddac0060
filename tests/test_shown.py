"""What a session shows of a result: a few lines of text, a picture or a table."""

import functools
import io
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image

import genzoo
from genzoo import data, families, text
from genzoo.cli.app import app
from genzoo.cli.spelling import check_spelling
from genzoo.data.dataset import Rows, Source
from genzoo.data.sheet import sheet
from genzoo.editing.activity import Activity
from genzoo.editing.projection import Projection
from genzoo.evaluation import truncation
from genzoo.evaluation.evaluate import Evaluation
from genzoo.evaluation.neighbours import Near
from genzoo.metrics.score import Score
from genzoo.metrics.subjects import ModelSubject
from genzoo.models.captions import font
from genzoo.models.inference import Execution
from genzoo.models.picture_files import Pictured
from genzoo.runs.info import ModelInfo
from genzoo.runs.plan import OF_DATA
from genzoo.runs.recipe_command import train_command
from genzoo.schemas import Schema, assignments
from genzoo.zoo import installed
from genzoo.zoo.card import metrics_of
from genzoo.zoo.readme import render

N = 50


class Flat(genzoo.Latent):
    """Each sample is its code."""

    shape, value_range, latent_dim = (1, 2, 2), None, 4

    def __init__(self):
        super().__init__(Schema())
        self.weight = torch.nn.Parameter(torch.ones(1))

    def decode(self, code, labels=None):
        return (code * self.weight).view(-1, 1, 2, 2)


def curve(n=3):
    rates = {"precision": (0.9, 0.8, 0.7), "recall": (0.4, 0.5, 0.6)}
    protocol = {"samples": 10, "seed": 0}
    scores = {
        metric: tuple(
            Score(metric, x, (x - 0.02, x), None, "higher", protocol, np.zeros(0))
            for x in values[-n:]
        )
        for metric, values in rates.items()
    }
    return truncation.Curve("m", "d", (0.5, 1.0, None)[-n:], scores, "here")


def images(n=N):
    return genzoo.Images(torch.zeros(n, 1, 2, 2), None, [(0, i) for i in range(n)])


def dataset():
    x = np.zeros((N, 1, 2, 2), np.uint8)
    names = tuple(f"a class of a long name {i}" for i in range(N))
    rows = Rows.of(x, np.arange(N))
    return data.open(Source("mine", "images", "", "theirs", 256, names, lambda root, split: rows))


@functools.cache
def results():
    mine, zeros, samples = dataset(), torch.zeros, images()
    activity = Activity(tuple(range(N)), (1 / 3,) * N)
    projection = Projection(
        zeros(N, 4), None, samples, zeros(N, 3), zeros(6, N), zeros(6, N, 4), ""
    )
    near = Near("pixels", np.zeros((N, 3), np.int64), np.zeros((N, 3)))
    layers = tuple(zeros(4, 8, 8) for _ in range(N))
    return [
        mine,
        sheet(mine),
        activity,
        projection,
        near,
        curve(),
        genzoo.Sweep(images(N * 3), activity, 3),
        genzoo.AttentionMaps(images(1), ((0, 0), (1, 1)), zeros(2, 2, 2), 0.5),
        genzoo.Inside("net", zeros(1, 8, 8), None, layers),
        genzoo.Neighbours("m", samples, mine, (near, near)),
        genzoo.Outliers(
            "m",
            "d",
            "c",
            0.2,
            (0.1, 0.3),
            near.distances[:, 0],
            near.distances[:, 0],
            {},
            (mine, mine),
            (near.rows[:, 0], near.rows[:, 0]),
        ),
        genzoo.Completion(samples, zeros(N, 1, 2, 2).bool(), Flat(), projection),
        genzoo.Combination(((1, images(3)), (-1, images(3))), zeros(1, 4), images(9)),
    ]


def name(result):
    return type(result).__name__


PICTURED = [
    "AttentionMaps",
    "Combination",
    "Completion",
    "Curve",
    "DataSheet",
    "Inside",
    "Neighbours",
    "Outliers",
    "Sweep",
]
OTHERS = ["Activity", "DataSet", "Near", "Projection"]


def result_of(kind):
    return next(result for result in results() if name(result) == kind)


@pytest.mark.parametrize("kind", [*PICTURED, *OTHERS])
def test_a_result_prints_as_a_few_lines(kind):
    shown = repr(result_of(kind))
    assert len(shown) < 1000
    assert "tensor(" not in shown
    assert "array(" not in shown
    assert shown.count("\n") < 6


@pytest.mark.parametrize("kind", PICTURED)
def test_a_notebook_shows_the_picture_that_save_writes(kind, tmp_path):
    result = result_of(kind)
    shown = Image.open(io.BytesIO(result._repr_png_()))
    with Image.open(result.save(tmp_path / "x.png")) as saved:
        assert np.array_equal(np.asarray(shown), np.asarray(saved))


def test_every_result_with_a_picture_is_tried():
    public = [getattr(genzoo, name) for name in genzoo.__all__] + [data.DataSheet, truncation.Curve]
    shown = {one.__name__ for one in public if isinstance(one, type) and hasattr(one, "picture")}
    assert {*shown, *(one.__name__ for one in Pictured.__subclasses__())} == {*PICTURED}


def test_a_result_without_a_picture_is_shown_as_text():
    points = genzoo.Points(torch.zeros(2 * N, 4))
    assert genzoo.Sweep(points, result_of("Activity"), 2)._repr_png_() is None


@pytest.mark.parametrize(
    "result",
    [
        Evaluation("m", "d", curve().scores["recall"], {"recall": "<b>"}, {}, ""),
        genzoo.Outliers("m", "<b>", "c", 0.2, (0.1, 0.3), np.zeros(2), np.ones(2), {}),
        genzoo.info("vae"),
        genzoo.env(),
        genzoo.reference("mnist"),
    ],
    ids=name,
)
def test_a_notebook_shows_a_table(result):
    page = result._repr_html_()
    assert page.count("<tr>") > 1
    assert "<b>" not in page


def test_a_table_has_text_above_and_below():
    page = text.html_table([("a<", 1)], ("x", "y"), title=["up"], notes=["down", ""])
    assert page.startswith("<p>up</p><table><tr><th")
    assert page.endswith("</table><p>down</p>")
    assert "a&lt;" in page
    assert "<th" not in text.html_table([("a", 1)])


@pytest.mark.parametrize("n", [2, 3])
def test_the_verdict_of_a_narrow_picture_is_whole(n, monkeypatch):
    drawn = []
    whole = truncation.ImageDraw.ImageDraw.text

    def note(draw, at, words, *rest, **options):
        drawn.append((at[0] + rest[1].getlength(words) if len(rest) > 1 else 0, words))
        return whole(draw, at, words, *rest, **options)

    monkeypatch.setattr(truncation.ImageDraw.ImageDraw, "text", note)
    one = curve(n)
    picture = truncation.picture(one)
    assert font(truncation.SMALL - 2).getlength(one.verdict) > picture.width, "else not tested"
    assert max(right for right, _ in drawn) <= picture.width
    assert one.verdict in " ".join(words for _, words in drawn)


def test_a_model_of_python_names_no_command():
    found = genzoo.info("vae-mnist")
    assert "It was trained by" in repr(found)
    recipe = found.manifest.recipe.model_copy(update={"command": ""})
    manifest = found.manifest.model_copy(update={"recipe": recipe})
    own = ModelInfo(Path("x"), manifest, (), (), found.shapes)
    assert "It was trained by" not in repr(own)
    assert own.foot[0].startswith("genzoo")


def test_the_recipe_of_a_folder_is_named_as_one():
    found = genzoo.info("vae-mnist")
    assert "which genzoo.train(recipe='vae-mnist') repeats" in found.foot
    for folder, place in {"mine": "./mine", "../mine": "../mine", "a b": "./a b"}.items():
        own = ModelInfo(Path(folder), found.manifest, (), (), found.shapes)
        assert f"which genzoo.train(recipe='{place}') repeats" in own.foot


def test_the_command_of_a_card_is_one_of_today():
    """Each option is one of train, and each setting a field of the family, which the recipe has."""
    train = typer.main.get_command(app).commands["train"]
    for name, manifest in installed.manifests().items():
        words, recipe = shlex.split(train_command(manifest))[2:], manifest.recipe
        check_spelling(["train", *words])
        given = train.make_context("train", words, resilient_parsing=True).params
        assert (given["family"], given["data"]) == (manifest.family, manifest.data)
        assert (given["steps"], given["seed"]) == (recipe.steps, recipe.seed)
        assert given["compile"] is None  # no card is of a compiled training
        settings, fields = assignments(given["settings"]), {**recipe.config, **recipe.options}
        form = [settings.pop("channels"), settings.pop("length" if manifest.rate else "size")]
        assert settings.pop("rate", None) == manifest.rate
        shape = fields.get("shape") or [fields["channels"], fields["size"]]
        assert form == [shape[0], shape[-1]]
        assert settings == {key: fields[key] for key in settings}
        defaults = families.facts_of(manifest.family).defaults
        others = {*fields} - {*settings, *OF_DATA, "channels", "size", "levels"}
        assert {key: fields[key] for key in others} == {key: defaults[key] for key in others}, name


def test_the_command_of_a_compiled_training_compiles():
    manifest = genzoo.info("vae-mnist").manifest
    recipe = manifest.recipe.model_copy(update={"compile": True})
    assert train_command(manifest.model_copy(update={"recipe": recipe})).count(" --compile ") == 1


def test_a_card_of_a_model_of_python_has_no_empty_command():
    found = genzoo.info("vae-mnist")
    recipe = found.manifest.recipe
    own = found.manifest.model_copy(update={"recipe": recipe.model_copy(update={"command": ""})})
    metrics = metrics_of(found.folder)
    whole, without = (render(one, metrics, False) for one in (found.manifest, own))
    assert "genzoo train --recipe vae-mnist\n" in whole
    assert without.count("```") == whole.count("```") - 2


def test_a_protocol_names_an_unusual_dtype():
    model = Flat()
    plain = ModelSubject("m", model).protocol(0)
    assert plain == {"seed": 0, "pixels": "8 bits"}
    model.execution = Execution(torch.bfloat16)
    assert ModelSubject("m", model).protocol(0) == {**plain, "model dtype": "bfloat16"}
