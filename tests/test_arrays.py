"""Data from Python: arrays, tensors, torch Datasets; nothing about them is guessed in silence."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import data
from genzoo.cli import run as command
from genzoo.data.arrays import source_of
from genzoo.errors import BadInput
from genzoo.runs import launch
from genzoo.zoo import manifest as manifests

SMALL = {"width": 8, "latent_dim": 2, "batch_size": 4}
FEW = {"metrics": "sharpness", "n": 40, "device": "cpu"}


TWO_RANGES = r"differ in range, train -?[01] to 1 and (test|valid) -?[01] to 1: bring all"


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class Items:
    """A torch Dataset needs no more than this."""

    def __init__(self, items, classes=None):
        self.items = items
        if classes:
            self.classes = classes

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Raising(Items):
    """Its item ``broken`` raises; it says that it has ``count`` items."""

    def __init__(self, items, broken, count=None):
        super().__init__(items)
        self.broken, self.count = broken, len(items) if count is None else count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == self.broken:
            raise RuntimeError("disk\n died")
        return self.items[index]


# ------------------------------------------------------------------------------------ what is taken


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (noise(30, 8, 8), (1, 8, 8)),
        (noise(30, 8, 8, 3), (3, 8, 8)),
        (noise(30, 8, 8, 1), (1, 8, 8)),
        (noise(30, 3, 8, 8), (3, 8, 8)),
        (noise(30, 1, 8, 8), (1, 8, 8)),
        (noise(4, 3, 5, 5)[:, ::-1], (3, 5, 5)),
        (torch.from_numpy(noise(30, 3, 8, 8)), (3, 8, 8)),
        ([*noise(30, 8, 8)], (1, 8, 8)),
        (Items([*torch.from_numpy(noise(30, 3, 8, 8))]), (3, 8, 8)),
        (Items([(pixels, 0) for pixels in noise(30, 8, 8)]), (1, 8, 8)),
        (Items([Image.fromarray(pixels) for pixels in noise(30, 8, 8)]), (1, 8, 8)),
        (Items([Image.fromarray(pixels) for pixels in noise(30, 8, 8, 3)]), (3, 8, 8)),
        ({"train": noise(30, 8, 8), "test": noise(3, 8, 8)}, (1, 8, 8)),
    ],
)
def test_images_become_channels_height_width(x, shape):
    whole = data.open(data.in_memory({"train": x} if not isinstance(x, dict) else x))
    assert whole.shape == shape
    first = x["train"] if isinstance(x, dict) else x
    first = first[0][0] if isinstance(first[0], tuple) else first[0]
    pixels = np.asarray(first)
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    pixels = pixels if pixels.shape == shape else np.moveaxis(pixels, -1, 0)
    assert (whole.array[0] == pixels).all()


@pytest.mark.parametrize(
    ("x", "levels", "says"),
    [
        (np.array([0, 255], np.uint8), [0, 255], "0 to 255"),
        (np.array([0, 0.5, 1]), [0, 128, 255], "0 to 1, taken as [0, 1], in 256 levels"),
        (np.array([-1, 0, 1], np.float32), [0, 128, 255], "-1 to 1, taken as [-1, 1]"),
        (np.array([-0.5, 1], np.float16), [64, 255], "-0.5 to 1, taken as [-1, 1]"),
        (np.array([0, 1 + 5e-7]), [0, 255], "taken as [0, 1]"),
        (np.array([-5e-7, 1]), [0, 255], "taken as [0, 1]"),
        (np.array([False, True]), [0, 255], "False and True: 0 and 255"),
        (torch.tensor([0, 1], dtype=torch.bfloat16), [0, 255], "taken as [0, 1]"),
        (torch.tensor([0.2], requires_grad=True), [51], "0.2 to 0.2, taken as [0, 1]"),
    ],
)
def test_the_range_that_is_taken_is_said(x, levels, says):
    whole = data.open(data.in_memory({"train": x.reshape(-1, 1, 1, 1)}, layout="NCHW"))
    assert whole.array.ravel().tolist() == levels
    assert says in whole.summary.values
    assert says in " ".join(whole.summary.lines())


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (noise(5, 8, 8) / 1.0, r"float64 with values 0 to 255: expected uint8, or floats in \[0"),
        (np.full((5, 8, 8), -1.1), r"values -1.1 to -1.1.*\[-1, 1\]"),
        (noise(5, 8, 8).astype(int), r"int64 with values .*astype\('uint8'\)"),
        (noise(5, 8, 8).astype(int) * 300, "scale them"),
        (np.full((5, 8, 8), np.nan), "not finite"),
        (np.full((5, 8, 8), np.inf), "not finite"),
        (noise(5, 3, 3, 3), "can be .n, C, H, W. or .n, H, W, C.: .*layout"),
        (noise(5, 3, 8, 1), "can be"),
        (noise(5, 8, 8, 4), "1 or 3 channels C, got .5, 8, 8, 4."),
        (noise(5, 2, 8, 8), "got .5, 2, 8, 8."),
        (noise(64, 64, 3), "looks like one image"),
        (noise(5, 8, 8, 8, 3), "got .5, 8, 8, 8, 3."),
        (noise(5), "got .5,."),
        (noise(5, 4), "points are floats, got uint8"),
        (noise(0, 8, 8), "no samples"),
        ([], "no samples"),
        ({}, "splits train and test"),
        ({"test": noise(5, 8, 8)}, "splits train and test"),
        ({"train": noise(5, 8, 8), "tset": noise(5, 8, 8)}, "tset"),
        (None, "got a NoneType"),
        (3, "got an int"),
        (iter([1]), "got a list_iterator"),
        ((noise(5, 8, 8),), "tuple of 1"),
        (Items([noise(8, 8), noise(8, 9)]), r"item 1 uint8 \(8, 9\).*Resize"),
        (Items([noise(8, 8), noise(8, 8) / 255]), "item 1 float64"),
        (Items(["a.png"]), "item 0 is a str"),
        (Items([{"image": 1}]), "item 0 is a dict"),
        (Items([(noise(8, 8), 1), (noise(8, 8),)]), "1 of 2 items have a label"),
        (Items([Image.new("I;16", (8, 8))]), "mode I;16"),
        (Items([Image.new("F", (8, 8))]), "mode F"),
        (np.ma.masked_array(noise(5, 8, 8), noise(5, 8, 8) > 9), r"masked array: x.filled\(0\)"),
        ([np.ma.masked_array(noise(8, 8), True)], "item 0 is a masked array"),
        (Items([(noise(8, 8), 1, 2)]), "item 0 has 3 parts: expected .*image, label"),
        (Items([(noise(8, 8), 1), ()]), "item 1 has 0 parts"),
        (Raising([noise(8, 8)] * 3, 2), "item 2 of 3 cannot be read: RuntimeError: disk died"),
        (Raising([noise(8, 8)] * 3, 9, count=5), "item 3 of 5 cannot be read: IndexError"),
        (Raising([noise(8, 8)] * 3, 9, count=-1), "no length: ValueError"),
        (noise(3, 8, 8), r"\(3, 8, 8\) can be one image \(C, H, W\) or three .*layout"),
        (torch.zeros(3, 8, 8), r"x\[None\]"),
        ({"train": noise(3, 8, 8), "test": noise(3, 8, 8)}, "can be one image"),
        (torch.tensor(3.0), "one number"),
        (torch.empty(5, 8, 8, device="meta"), "meta tensor"),
        (np.zeros(5, [("a", "u1")]), "expected numbers, got .*u1"),
        ({"train": noise(9, 8, 8) / 255, "test": noise(9, 8, 8) / 127.5 - 1}, TWO_RANGES),
        ({"train": noise(9, 8, 8) / 127.5 - 1, "valid": noise(9, 8, 8) / 255}, TWO_RANGES),
    ],
)
def test_what_can_be_read_in_two_ways_or_none_is_refused(x, says):
    with pytest.raises(BadInput, match=says) as caught:
        source_of(x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.array(["a", "b"]), "expected numbers, got <U1"),
        (np.array([None, 3], dtype=object), "expected numbers, got object"),
        (np.zeros((3, 8, 8), complex), "expected numbers, got complex128"),
        (np.zeros((3, 2), "datetime64[s]"), "expected numbers, got datetime64"),
        (np.array(3), "got one number"),
        (np.zeros((3, 1, 0, 8), np.uint8), r"no samples: its shape is .3, 1, 0, 8."),
        ({"train": noise(4, 8, 8), "test": noise(4, 9, 9)}, "differ in shape: .1, 8, 8. and .1, 9"),
    ],
)
def test_what_holds_no_samples_of_one_shape_is_refused(x, says):
    with pytest.raises(BadInput, match=says):
        data.in_memory(x)


def test_kinds_and_sparse_tensors():
    with pytest.raises(BadInput, match="kind must be images, signals, points, got 'pictures'"):
        data.in_memory(noise(4, 8, 8), kind="pictures")
    sparse = data.open(data.in_memory(torch.eye(40).to_sparse()))
    assert (sparse.kind, sparse.shape) == ("points", (40,))


def test_a_layout_decides():
    x = noise(5, 3, 3, 3)
    one = data.open(data.in_memory({"train": x}, layout="NCHW"))
    other = data.open(data.in_memory({"train": x}, layout="NHWC"))
    assert (one.array == x).all()
    assert (other.array == np.moveaxis(x, -1, 1)).all()
    with pytest.raises(BadInput, match="layout 'NHW' does not fit"):
        data.in_memory(x, layout="NHW")


@pytest.mark.parametrize(
    "given",
    [
        [*noise(3, 8, 8)],
        {"train": [*noise(3, 8, 8)]},
        (noise(3, 8, 8), [0, 1, 0]),
        {"train": noise(3, 8, 8), "test": noise(9, 8, 8)},
    ],
)
def test_three_grey_images_are_three_where_nothing_else_is_possible(given):
    source = data.in_memory(given)
    splits = source.splits if isinstance(given, dict) else ("train",)
    assert data.open(source, splits[0]).shape == (1, 8, 8)


def test_the_summary_is_of_the_own_array_not_of_another_with_the_same_bytes(monkeypatch, tmp_path):
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path))
    x = noise(40, 8, 8)
    x[:20] = x[:20] // 2
    alike = {"0 to 255": x, "[0, 1]": x / 255, "[-1, 1]": x / 127.5 - 1}
    for _ in range(2):  # the first makes the entry
        for says, given in alike.items():
            whole = data.open(data.in_memory(given))
            assert says in whole.summary.values
            assert whole.sha256 == data.open(data.in_memory(x)).sha256
    train = data.open(data.in_memory(x)).array[:, 0]
    assert data.open(data.in_memory({"train": train})).summary.split_from == "given"
    assert data.open(data.in_memory(x)).summary.split_from == "10 % by content"


def test_channels_after_the_length_are_refused():
    for channels in (1, 2):
        with pytest.raises(BadInput, match=r"like \(n, length, channels\): x.swapaxes\(1, 2\)"):
            data.in_memory(np.zeros((9, 60, channels)), kind="signals", rate=8000)


@pytest.mark.parametrize(("count", "split"), [(2, "test"), (1, "test")])
def test_too_few_rows_for_a_split_say_what_to_give(count, split):
    with pytest.raises(BadInput, match=rf"none of the {count} samples.*split .*both splits"):
        data.open(data.in_memory(noise(count, 8, 8)), split)


def test_grey_and_coloured_pictures_become_coloured():
    grey, colour = Image.fromarray(noise(8, 8)), Image.fromarray(noise(8, 8, 3))
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    whole = data.open(data.in_memory({"train": [grey, colour, clear]}))
    assert whole.shape == (3, 8, 8)
    assert (whole.array[0] == noise(8, 8)).all()
    assert (whole.array[2] == 255).all()


def test_points_and_signals():
    points = np.random.default_rng(0).normal(size=(30, 2))
    whole = data.open(data.in_memory(points))
    assert (whole.kind, whole.array.dtype, whole.shape) == ("points", np.float32, (2,))
    sounds = np.random.default_rng(0).uniform(-1, 1, (30, 64))
    whole = data.open(data.in_memory(sounds, kind="signals", rate=8000))
    assert (whole.kind, whole.shape, whole.rate) == ("signals", (1, 64), 8000)
    with pytest.raises(BadInput, match="rate=16000"):
        data.in_memory(sounds, kind="signals")
    with pytest.raises(BadInput, match=r"floats in \[-1, 1\]"):
        data.in_memory(sounds * 2, kind="signals", rate=8000)


# ------------------------------------------------------------------------------ labels and splits


@pytest.mark.parametrize(
    "labels", [[0, 1, 2] * 10, np.array([0, 1, 2] * 10, np.uint8), torch.tensor([0, 1, 2] * 10)]
)
def test_labels(labels):
    x = noise(30, 8, 8)
    for given in (data.in_memory((x, labels)), data.in_memory(x, labels)):
        train, test = data.open(given), data.open(given, "test")
        assert train.classes == ("0", "1", "2")
        assert sorted([*train.labels, *test.labels]) == sorted(map(int, labels))
    of = {pixels.tobytes(): int(k) for pixels, k in zip(x, labels, strict=True)}
    assert [of[pixels.tobytes()] for pixels in train.array] == train.labels.tolist()
    named = data.open(data.in_memory(x, labels, classes=["ant", "bee", "cat", "dog"]))
    assert named.classes == ("ant", "bee", "cat", "dog")


def test_a_dataset_brings_its_classes():
    items = [(pixels, torch.tensor(k % 2)) for k, pixels in enumerate(noise(30, 8, 8))]
    whole = data.open(data.in_memory(Items(items, ["ant", "bee"])))
    assert whole.classes == ("ant", "bee")
    assert {*whole.labels.tolist()} == {0, 1}


@pytest.mark.parametrize(
    ("labels", "classes", "says"),
    [
        ([0, 1], (), "whole numbers, .4,."),
        ([0.0, 1.0, 0.0, 1.0], (), "whole numbers"),
        (["a", "b", "a", "b"], (), "whole numbers"),
        ([True, False, True, False], (), "whole numbers"),
        ([[0], [1], [0], [1]], (), "whole numbers"),
        (np.eye(4, dtype=int), (), "got int64 .4, 4."),
        ([-1, 0, 1, 0], (), "got -1 to 1"),
        ([0, 1, 2, 10**6], (), "0 to 9,999, got 0 to 1,000,000"),
        ([0, 1, 2, 0], ["ant", "bee"], "2 class names, but labels up to 2"),
        ([0, 1, 0, 1], ["ant", "ant"], "same name"),
    ],
)
def test_labels_that_are_none_are_refused(labels, classes, says):
    with pytest.raises(BadInput, match=says):
        data.in_memory(noise(4, 8, 8), labels, classes=classes)


def test_splits():
    x = noise(200, 8, 8)
    whole = data.in_memory(x)
    train, test = data.open(whole), data.open(whole, "test")
    assert len(train) + len(test) == 200
    assert 5 < len(test) < 40
    assert train.summary.split_from == "10 % by content"
    more = data.in_memory(np.concatenate([x, noise(50, 8, 8, seed=1)]))
    assert {row.tobytes() for row in test.array} <= {
        row.tobytes() for row in data.open(more, "test").array
    }
    own = data.in_memory({"train": x[:150], "test": (x[150:], None)})
    assert (data.open(own, "test").array[:, 0] == x[150:]).all()
    with pytest.raises(BadInput, match="no split 'test'"):
        data.open(data.in_memory({"train": x}), "test")
    with pytest.raises(BadInput, match="only some of the splits"):
        data.in_memory({"train": (x, [0, 1] * 100), "test": x})


@pytest.mark.parametrize("name", ["mnist", "", "a/b", "a,b", "a@edges", "a:b", "../x", "\n", 3])
def test_a_name_that_means_other_data_is_refused(name):
    with pytest.raises(BadInput, match="cannot be the name"):
        data.in_memory(noise(4, 8, 8), name=name)


# --------------------------------------------------------------------------- trained and measured


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    x, base = noise(60, 16, 16), tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_HOME", str(base / "home"))
        model = genzoo.train("vae", x, out=base / "mine", steps=4, settings=SMALL, device="cpu")
    return model, x, base / "mine"


def test_a_model_is_trained_on_an_array(trained, caplog):
    model, x, out = trained
    assert isinstance(model, genzoo.Sampler)
    assert model.sample(2, seed=0).tensor.shape == (2, 1, 16, 16)
    manifest = manifests.read_manifest(out)
    assert (manifest.data, manifest.recipe.data_sha256) == ("array", data.open(source_of(x)).sha256)
    result = genzoo.evaluate(model, data=x, **FEW)
    assert "not the training data" not in caplog.text
    assert result.request["data_sha256"] == manifest.recipe.data_sha256
    genzoo.evaluate(model, data=torch.from_numpy(noise(60, 16, 16, seed=1)), **FEW)
    assert "array is not the training data of mine" in caplog.text
    near = genzoo.neighbours(out, data=x[:, None], n=2, k=2, device="cpu")
    assert near.dataset.name == "array"
    assert "of array" in near.note


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [0.0, 7 / 255, 1.0])
def test_real_images_of_one_colour_have_no_sharpness(trained, level):
    with pytest.raises(BadInput, match="each training image of array has one colour"):
        genzoo.evaluate(trained[0], data={"train": np.full((60, 16, 16), level)}, **FEW)


def test_without_its_data_the_message_says_what_to_type(trained, capsys):
    model, _, out = trained
    with pytest.raises(BadInput, match=r"'array'.*data=FOLDER"):
        genzoo.evaluate(model, **FEW)
    assert command(["evaluate", str(out)]) == 2
    assert "--data FOLDER" in capsys.readouterr().err


def test_a_run_goes_on_with_the_same_data_only(trained, tmp_path, capsys):
    _, x, straight = trained
    out = tmp_path / "stopped"
    settings = {"device": "cpu", "values": SMALL, "checkpoint_every": 2, "steps": 4}
    run = launch.start("vae", source_of(x), out, **settings)

    class Stop(Exception):
        pass

    def stop(status):
        if status.step == 3:
            raise Stop

    with pytest.raises(Stop):
        run.go(stop)
    del run
    assert command(["train", "--resume", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "came from Python" in error
    assert "genzoo.train('vae', data=..., out=FOLDER, resume=True)" in error
    with pytest.raises(BadInput, match="array"):
        genzoo.train("vae", noise(60, 16, 16, seed=1), out=out, resume=True, device="cpu")
    genzoo.train("vae", x.astype(float) / 255, out=out, resume=True, device="cpu")
    weights = [(folder / "model.safetensors").read_bytes() for folder in (straight, out)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"family": "gan"}, "has family 'vae', got 'gan'"),
        ({"seed": 1}, "has seed 0, got 1"),
        ({"minutes": 1}, "has 4 steps, got minutes=1"),
        ({"settings": {"beta": 2}}, "has beta 1.0, got 2"),
        ({"device": "nosuch"}, "'nosuch'"),
        ({"force": True}, "resume= continues a run and force= replaces it"),
    ],
)
def test_what_is_given_to_resume_is_obeyed_or_refused(trained, given, says):
    _, x, out = trained
    before = (out / "run" / "plan.json").read_bytes()
    with pytest.raises(BadInput, match=says):
        genzoo.train(**{"family": "vae", "data": x, "out": out, "resume": True, **given})
    assert (out / "run" / "plan.json").read_bytes() == before


def test_train_takes_names_and_refuses_nonsense(tmp_path):
    out = tmp_path / "named"
    small = {**SMALL, "size": 8}
    model = genzoo.train("vae", "digits", out=out, steps=1, settings=small, device="cpu")
    assert model.provenance["data"] == "digits"
    with pytest.raises(BadInput, match="exclude each other"):
        genzoo.train("vae", out=tmp_path / "x", steps=1, minutes=1)
    with pytest.raises(BadInput, match="got an object"):
        genzoo.train("vae", object(), out=tmp_path / "x", steps=1)
    assert not (tmp_path / "x").exists()


def test_two_models_are_compared_on_an_array(trained, tmp_path):
    _, x, out = trained
    other = tmp_path / "other"
    genzoo.train("vae", x, out=other, steps=2, settings=SMALL, device="cpu")
    result = genzoo.compare(out, other, data=x, metrics="sharpness", n=40, device="cpu")
    assert result.data == "array"
    assert "array" in json.dumps(result.record(), default=str)


def test_outliers_of_an_array(tmp_path):
    x = {"train": noise(40, 8, 8), "test": noise(20, 8, 8, seed=1)}
    out = tmp_path / "density"
    genzoo.train("vae", x, out=out, steps=2, settings=SMALL, device="cpu")
    found = genzoo.outliers(
        out,
        data=x,
        against={"train": x["test"], "test": noise(20, 8, 8, seed=2)},
        n=10,
        device="cpu",
    )
    assert len(found.inside) == len(found.outside) == 10
    assert found.against == "array"
