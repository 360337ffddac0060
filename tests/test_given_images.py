"""Images as they are at hand are taken alike by all: files, Pillow images, arrays, lists."""

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo.data.images import read_images
from genzoo.errors import BadInput
from genzoo.models.layouts import image_batch
from genzoo.models.samples import Images

BYTES = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
FLOATS = torch.from_numpy(BYTES).permute(2, 0, 1) / 255
FORMS = {
    "(C, H, W)": FLOATS,
    "(n, C, H, W)": FLOATS[None],
    "(H, W, C)": FLOATS.permute(1, 2, 0),
    "(n, H, W, C)": FLOATS.permute(1, 2, 0)[None].numpy(),
    "float64": FLOATS.double().numpy(),
    "bytes": BYTES,
    "bytes, channels first": torch.from_numpy(BYTES).permute(2, 0, 1),
    "Pillow": Image.fromarray(BYTES),
    "samples": Images(FLOATS[None]),
    "a list": [BYTES],
    "a list of Pillow images": (Image.fromarray(BYTES),),
}
FILES = {"a file": "x.png", "a list of files": ["x.png"], "a folder": "photos"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for path in ("x.png", "photos/x.png"):
        Image.fromarray(BYTES).save(path)


@pytest.mark.parametrize("form", [*FORMS, *FILES])
def test_a_form_is_taken_alike_by_all(latent, translator, here, form):
    given, x = {**FORMS, **FILES}[form], FLOATS[None]
    quick = {"steps": 0, "restarts": 1}
    away = genzoo.direction(latent, toward=[1], away=[2])
    functions = [
        lambda x: genzoo.extract_features(latent, x),
        lambda x: genzoo.look_inside(latent, x).image,
        lambda x: genzoo.project(latent, x, **quick).codes,
        lambda x: genzoo.inpaint(latent, x, **quick, blend=False).samples,
        lambda x: genzoo.steer(latent, away, x, alphas=[1]),
        lambda x: genzoo.interpolate(latent, [x, 3] if form in FORMS else x, steps=1),
    ]
    functions = functions[: 6 if form in FORMS and form[0] != "a" else 5]
    functions += [latent.encode] * (form in FORMS and form != "a list of Pillow images")
    functions += [lambda x: genzoo.translate(translator, x)] * (form != "a folder")
    for function in functions:
        assert np.array_equal(np.asarray(function(given)), np.asarray(function(x)))


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (torch.zeros(8, 8), (1, 3, 8, 8)),  # a grey image
        (np.zeros((20, 30, 3), np.uint8), (1, 3, 8, 8)),  # photos of other sizes, as files
        (np.zeros((20, 30), np.uint8), (1, 3, 8, 8)),
        (np.zeros((20, 30, 4), np.uint8), (1, 3, 8, 8)),
        ([np.zeros((20, 30, 3), np.uint8), Image.new("L", (9, 9)), FLOATS], (3, 3, 8, 8)),
        ([FLOATS[None], Images(torch.zeros(2, 3, 8, 8))], (3, 3, 8, 8)),
    ],
)
def test_images_in_the_shape_of_a_model(given, shape):
    images = read_images(given, (3, 8, 8))
    assert images.values.shape == shape
    assert len(images.names) == len(images.identities) == len(images.values)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.zeros(5, 8, 8), r"expected samples of shape \(n, 3, 8, 8\), got \(5, 8, 8\)"),
        (np.zeros((20, 30, 3)), r"expected samples of shape .*, got \(20, 30, 3\)"),
        (torch.zeros(3), r"expected samples of shape .*, got \(3,\)"),
        ("", "no images given: expected files, Pillow images, arrays, samples, or a list"),
        ([], "no images given"),
        ("nowhere.png", "cannot read nowhere.png: No such file or directory"),
        (["nowhere.png", 3], "cannot read nowhere.png"),
        (None, "expected images .*, got None"),
        ([None], r"expected images .*, got \[None\]"),
        ({"x": 1}, "expected images .*, got {'x': 1}"),
    ],
)
def test_what_is_no_image_of_this_shape(given, said):
    with pytest.raises(BadInput, match=said):
        read_images(given, (3, 8, 8))


def test_an_image_of_a_model_of_something_else():
    with pytest.raises(BadInput, match=r"x.png is no sample of a model of points: give its"):
        read_images("x.png", (2,), kind="points")


def test_photos_are_opened_as_the_data_of_the_models_training(latent, here, monkeypatch, caplog):
    monkeypatch.setattr(latent, "data_form", {"fit": "pad", "levels": "0:4095"})
    wide, padded = Image.new("RGB", (16, 8), "white"), np.zeros((8, 8, 3), np.uint8)
    padded[2:6] = 255
    wide.save("wide.png")
    quick, away = {"steps": 0, "restarts": 1}, genzoo.direction(latent, toward=[1], away=[2])
    for function in (
        lambda x: genzoo.extract_features(latent, x),
        lambda x: genzoo.look_inside(latent, x).image,
        lambda x: genzoo.project(latent, x, **quick).codes,
        lambda x: genzoo.inpaint(latent, x, **quick, blend=False).samples,
        lambda x: genzoo.steer(latent, away, x, alphas=[1]),
    ):
        for photo in (wide, "wide.png"):
            assert np.array_equal(np.asarray(function(photo)), np.asarray(function(padded)))
    assert "16x8 to 8x8, with black at two sides" in caplog.text
    deep = Image.fromarray(np.full((8, 8), 2048, np.uint16))
    assert read_images(deep, (1, 8, 8), form=latent.data_form).values.unique() * 255 == 128


def test_grey_images():
    """Several without channels, but three of them could be one in colour."""
    x = torch.rand(5, 6, 4)
    assert torch.equal(image_batch(x, (1, 6, 4)), x[:, None])
    assert torch.equal(image_batch(x[0], (1, 6, 4)), x[:1, None])
    assert torch.equal(image_batch(x[..., None], (1, 6, 4)), x[:, None])
    with pytest.raises(BadInput, match=r"three grey images .3, 1, 6, 4., or one in colour"):
        image_batch(x[:3], (1, 6, 4))


def test_channels_are_first_where_both_may_be():
    assert image_batch(torch.zeros(3, 9, 3), (3, 8, 8)).shape == (1, 3, 9, 3)
    assert image_batch(torch.zeros(5, 1, 9, 1), (1, 8, 8)).shape == (5, 1, 9, 1)
    assert image_batch(torch.zeros(5, 9, 9, 1), (1, 8, 8)).shape == (5, 1, 9, 9)


def test_what_is_no_path_is_one_line():
    with pytest.raises(BadInput, match="expected a text or a path, got 3"):
        Images(torch.zeros(1, 3, 8, 8)).save(3)


def test_methods_take_no_files(latent):
    with pytest.raises(BadInput, match=r"got 'x.png': genzoo.project, inpaint .* take files"):
        latent.encode("x.png")
    with pytest.raises(BadInput, match=r"of mode L or RGB: convert it, .* got one of mode CMYK"):
        latent.encode(Image.new("CMYK", (8, 8)))


def test_what_a_model_drew_itself_has_its_own_code(latent):
    """No encoder, no search: the seeds say it. What was changed since is a photo."""
    drawn = latent.sample(2, seed=5, truncation=1.0)
    walk = genzoo.interpolate(latent, drawn, steps=2)
    assert torch.equal(walk.tensor[[0, 2]], drawn.tensor)
    how = {"truncation": 1.0, "temperature": None}
    assert walk.call["through"] == [[5, 0, how], [5, 1, how]]
    assert genzoo.interpolate(latent, latent.sample(2), steps=1).call["through"] == [[0, 0], [0, 1]]
    mixed = genzoo.interpolate(latent, [drawn[1], 3], steps=1)
    assert torch.equal(mixed.tensor[0], drawn.tensor[1])
    drawn.tensor = 1 - drawn.tensor
    assert genzoo.interpolate(latent, drawn, steps=2).call["photos"] == 2
