"""Directions: computed, saved in files that anybody may have written, and applied."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import genzoo
from genzoo import data, families
from genzoo.cli import run
from genzoo.editing import directions, walks
from genzoo.errors import BadInput, UnknownName
from genzoo.features import classifiers


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "any.safetensors").touch()  # for mistakes that are seen before it is read
    return folder


@pytest.fixture(scope="module")
def digits():
    return genzoo.load("vae-mnist", device="cpu")


def call(capsys, line, *more):
    code = run([*line.split(), *map(str, more)])
    return code, *capsys.readouterr()


# --------------------------------------------------------------------------------------- computing


def test_a_direction_from_seeds_is_the_difference_of_their_means(latent):
    direction = directions.direction_from_seeds(latent, "0:3,5", [7])
    codes = latent.codes(6)
    expected = codes[[3, 5]].mean(0) - latent.codes(1, seed=7)[0]
    assert torch.allclose(direction.vector, expected)
    info = direction.info
    assert (info.source, info.counts, info.increase_rate) == ("seeds", (2, 1), None)


def test_a_direction_from_samples_is_that_of_the_classifiers_two_halves(digits):
    direction = directions.direction_from_samples(digits, "7", n=300, seed=2)
    classifier, drawn = directions.AttributeClassifier("mnist", "7"), digits.sample(300, seed=2)
    seen = classifiers.DatasetClassifier("mnist")
    is_seven = seen.logits(seen(drawn.tensor)).argmax(1) == 7
    codes = digits.codes(300, seed=2)
    expected = codes[is_seven].mean(0) - codes[~is_seven].mean(0)
    assert torch.allclose(direction.vector, expected, atol=1e-6)
    assert direction.info.counts == (is_seven.sum(), (~is_seven).sum())
    assert ((classifier(drawn.tensor) > 0) == is_seven).all()
    vector = direction.vector
    before, after = directions.measure_effect(digits, vector, classifier, seed=2, start=300)
    assert direction.info.increase_rate == (after > before).mean()
    assert direction.info.flip_rate == (after[before <= 0] > 0).mean()


@pytest.mark.parametrize(
    ("name", "attribute", "flip_rate"),
    [("vae-celeba", "Smiling", 0.8), ("dcgan-celeba", "Male", 0.5)],
)
def test_a_direction_moves_what_the_classifier_sees(name, attribute, flip_rate):
    """In 80 of 100 samples that it was not computed from, and down with alpha -1; random
    directions, as long and at right angles to it, move it far less."""
    model = genzoo.load(name, device="cpu")
    direction = directions.direction_from_samples(model, attribute, n=600)
    classifier = directions.AttributeClassifier("celeba", attribute)

    def moved(vector, alpha=1):
        before, after = directions.measure_effect(model, vector, classifier, start=600, alpha=alpha)
        return after - before

    own = moved(direction.vector)
    assert direction.info.increase_rate == (own > 0).mean() >= 0.8
    assert direction.info.flip_rate >= flip_rate
    assert (moved(direction.vector, -1) < 0).mean() >= 0.8
    across = torch.randn(4, model.latent_dim, generator=torch.Generator().manual_seed(0))
    unit = direction.vector / direction.vector.norm()
    across -= torch.outer(across @ unit, unit)
    across *= direction.vector.norm() / across.norm(dim=1, keepdim=True)
    assert max(abs(moved(vector).mean()) for vector in across) < own.mean() / 3


@pytest.mark.data
@pytest.mark.parametrize("attribute", ["Smiling", "Blond_Hair"])
def test_so_does_one_from_real_faces(attribute):
    """People labelled the faces; the classifier had no part."""
    model = genzoo.load("vae-celeba", device="cpu")
    direction = directions.direction_from_data(model, attribute, n=1500)
    assert direction.info.source == "data"
    assert sum(direction.info.counts) == 1500
    assert direction.info.increase_rate >= 0.8


def test_a_direction_of_labelled_data(latent, monkeypatch):
    model = families.get("vae").model(families.get("vae").config(latent_dim=3, width=8))
    digits, seen = data.open("digits"), []
    monkeypatch.setattr(type(model), "encode", lambda _, x: seen.append(x) or x[:, 0, 10:13, 14])
    direction = directions.direction_from_data(model, "3", data="digits", n=500)
    codes = torch.cat(seen)[:, 0, 10:13, 14]
    pixels = {digits.array[i].tobytes(): i for i in range(len(digits))}
    rows = [pixels[(255 * x).round().byte().numpy().tobytes()] for x in torch.cat(seen)]
    assert len({*rows}) == 500
    assert max(rows) > 600, "the first ones of a folder are of one class"
    three = torch.from_numpy(digits.labels[rows] == 3)
    assert torch.allclose(direction.vector, codes[three].mean(0) - codes[~three].mean(0), atol=1e-6)
    seen.clear()
    directions.direction_from_data(model, "3", data="digits")
    assert torch.equal(torch.cat(seen), digits.batch(range(len(digits)))), "all in order"
    assert direction.info.increase_rate is None, "there is no classifier of digits"


def test_classes_and_attributes_are_known_without_the_data(monkeypatch):
    monkeypatch.delenv("GENZOO_DATA", raising=False)
    assert directions.AttributeClassifier("celeba", "Smiling").index == 31
    assert directions.AttributeClassifier("fashion-mnist", "Sneaker").index == 7
    with pytest.raises(UnknownName, match=r"attribute of celeba.*Smiling"):
        directions.AttributeClassifier("celeba", "smiling")
    with pytest.raises(UnknownName, match=r"class of mnist.*'12'"):
        directions.AttributeClassifier("mnist", "12")
    with pytest.raises(BadInput, match="digits"):
        directions.AttributeClassifier("digits", "3")


@pytest.mark.data
def test_attributes_are_in_the_order_of_the_table():
    assert data.attributes("celeba", "test")[0] == data.describe("celeba").attributes


def test_too_few_of_a_kind_are_refused(digits):
    with pytest.raises(BadInput, match=r"\d samples with 4, \d+ without.* 10 "):
        directions.direction_from_samples(digits, "4", n=40)


def test_what_a_direction_needs(latent, digits):
    with pytest.raises(BadInput, match="data="):
        directions.direction_from_samples(latent, "Smiling")
    with pytest.raises(BadInput, match="celeba"):
        directions.direction_from_samples(latent, "Smiling", data="celeba")
    gan = genzoo.load("dcgan-mnist", device="cpu")
    with pytest.raises(BadInput, match="vae-"):
        directions.direction_from_data(gan, "7")
    with pytest.raises(BadInput, match="no latent code"):
        directions.direction_from_samples(genzoo.load("pixelcnn-mnist", device="cpu"), "7")


# -------------------------------------------------------------------------------------------- files


def test_a_direction_survives_its_file(here, digits):
    direction = directions.direction_from_seeds(digits, "3,5", "7")
    direction.save("d.safetensors")
    again = directions.read_direction("d.safetensors")
    assert torch.equal(again.vector, direction.vector)
    assert again.info == direction.info
    assert again.info.origin.model == "vae-mnist"
    assert Path("d.safetensors").stat().st_size < 2000
    with pytest.raises(BadInput, match=r"\.safetensors"):
        direction.save("d.png")


INFO = {"format": 2, "genzoo": "1", "origin": None, "source": "seeds", "counts": [1, 1]}
VECTOR = {"direction": torch.ones(20)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"by": "picks", "of": ""}, {"source": "seeds", "attribute": "", "flip_rate": None}),
        (
            {"by": "samples", "of": "3", "judge_sha256": "ab", "raised": 0.75, "turned": 0.5},
            {
                "source": "samples",
                "attribute": "3",
                "classifier_sha256": "ab",
                "increase_rate": 0.75,
                "flip_rate": 0.5,
            },
        ),
    ],
)
def test_a_file_of_format_1_is_read(old, new, here):
    info = {"genzoo": "0.1.0", "origin": None, "data": "mnist", "counts": [35, 365], **old}
    save_file(VECTOR, "old.safetensors", {"made": json.dumps(info)})
    direction = directions.read_direction("old.safetensors")
    assert torch.equal(direction.vector, VECTOR["direction"])
    same = {"format": 2, "data": "mnist", "counts": (35, 365), "genzoo": "0.1.0"}
    assert {**new, **same}.items() <= direction.info.model_dump().items()
    direction.save("new.safetensors")
    assert directions.read_direction("new.safetensors").info == direction.info


HOSTILE = {
    "no info": (VECTOR, None),
    "no JSON": (VECTOR, "{"),
    "an unknown source": (VECTOR, json.dumps({**INFO, "source": "magic"})),
    "a control character": (VECTOR, json.dumps({**INFO, "attribute": "\x1b[31m"})),
    "format 3": (VECTOR, json.dumps({**INFO, "format": 3})),
    "format 1 that is a list": (VECTOR, "[]"),
    "a share of 7": (VECTOR, json.dumps({**INFO, "increase_rate": 7})),
    "another tensor": ({"weights": torch.ones(20)}, json.dumps(INFO)),
    "two": ({**VECTOR, "more": torch.ones(2)}, json.dumps(INFO)),
    "a matrix": ({"direction": torch.ones(2, 10)}, json.dumps(INFO)),
    "halves": ({"direction": torch.ones(20).half()}, json.dumps(INFO)),
    "not finite": ({"direction": torch.full((20,), torch.inf)}, json.dumps(INFO)),
    "large": ({"direction": torch.ones(1 << 19)}, json.dumps(INFO)),
}


@pytest.mark.parametrize("kind", [*HOSTILE, "text", "empty", "folder", "gone"])
def test_a_file_that_is_no_direction_is_one_line(kind, here, capsys):
    path = Path("x.safetensors")
    if kind in HOSTILE:
        tensors, info = HOSTILE[kind]
        save_file(tensors, path, None if info is None else {"info": info})
    elif kind == "folder":
        path.mkdir()
    elif kind != "gone":
        path.write_text("hello" if kind == "text" else "")
    with pytest.raises(BadInput):
        directions.read_direction(path)
    code, out, err = call(capsys, f"steer vae-mnist {path} --sample 3")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.rstrip("\n").isprintable()


def test_another_models_direction_is_refused(here, digits):
    direction = directions.direction_from_seeds(digits, "3", "7")
    with pytest.raises(BadInput, match=r"20 .* 40"):
        directions.steer(genzoo.load("vae-mnist-binarized"), direction, "3", alphas=[1])
    genzoo.save(digits, "other", dtype="float32")
    with pytest.raises(BadInput, match="vae-mnist"):
        directions.steer(genzoo.load("./other"), direction, "3", alphas=[1])


# ---------------------------------------------------------------------------------------- steering


def test_samples_are_moved_by_alpha_steps(latent):
    direction = directions.direction_from_seeds(latent, "3", "7")
    moved = directions.steer(latent, direction, "0:4,5", alphas=[-1, 0, 2])
    codes = latent.codes(2, start=4)
    steps = torch.tensor([-1.0, 0, 2])[:, None] * direction.vector
    for row, code in enumerate(codes):
        expected = latent.decode_codes(code + steps).tensor
        assert torch.allclose(moved.tensor[3 * row : 3 * row + 3], expected, atol=1e-6)
    assert torch.allclose(moved[1].tensor, latent.sample(1, start=4).tensor, atol=1e-6)
    for alphas in ([], [float("nan")]):
        with pytest.raises(BadInput, match="alphas"):
            directions.steer(latent, direction, "3", alphas=alphas)


def test_the_commands_compute_and_steer(here, capsys):
    code, out, _ = call(capsys, "direction vae-mnist --of 7 -n 300 -o seven.safetensors")
    assert code == 0
    assert "length" in out
    assert "100 other samples" in out
    code, out, _ = call(capsys, "direction vae-mnist --toward 3,5 --away 7 --json")
    result = json.loads(out)
    assert (result["path"], result["counts"]) == ("vae-mnist-direction.safetensors", [2, 1])
    line = "steer vae-mnist seven.safetensors --sample 0:3,17 --alphas"
    code, out, _ = call(capsys, f"{line} -2,-1,0,1 --json")
    assert json.loads(out)["alphas"] == [-2, -1, 0, 1]
    with Image.open("vae-mnist-steered.png") as sheet:
        assert sheet.size[0] > 4 * 196, "four enlarged seven times, names beside them"
    assert genzoo.inspect("vae-mnist-steered.png").record.call.method == "steer"
    assert call(capsys, f"{line} -2:2 --steps 5 -o x.gif")[0] == 0
    with Image.open("x.gif") as film:
        assert film.n_frames == 5 + 3, "forth and back"


def test_alphas_are_a_list_or_a_span():
    assert directions.parse_alphas("-2,0,1.5") == [-2, 0, 1.5]
    assert directions.parse_alphas("-2:2", 5) == [-2, -1, 0, 1, 2]


BAD = [
    ("direction vae-mnist", "--toward"),
    ("direction vae-mnist --of 7 --toward 3 --away 4", "--toward"),
    ("direction vae-mnist --toward 3", "--toward"),
    ("direction vae-mnist --of eight", "'eight'"),
    ("direction vae-mnist --of 7 -n 5", "at least 10"),
    ("direction vae-mnist --of 7 -n 0", "got 0"),
    ("direction vae-mnist --of 7 -o x.png", ".safetensors"),
    ("direction vae-mnist --of 7 --data celeba", "attribute of celeba"),
    ("direction dcgan-mnist --of 7 --encode", "does not encode"),
    ("direction pixelcnn-mnist --of 7", "no latent code"),
    ("steer vae-mnist gone.safetensors --sample 3", "gone.safetensors"),
    ("steer vae-mnist any.safetensors --sample x", "'x'"),
    ("steer vae-mnist any.safetensors --sample 3 --alphas a", "'a'"),
    ("steer vae-mnist any.safetensors --sample 3 -o x.txt", "x.txt"),
]


@pytest.mark.parametrize(("line", "named"), BAD)
def test_bad_input_is_one_line_and_writes_nothing(line, named, here, capsys):
    code, out, err = call(capsys, line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err
    assert [*here.iterdir()] == [here / "any.safetensors"]


def test_conditional_models_are_steered_within_a_class():
    model = genzoo.load("cgan-mnist", device="cpu")
    direction = directions.direction_from_seeds(model, "0:3,13", "0:23", label=3)
    moved = directions.steer(model, direction, "0:3,13", alphas=[0, 1])
    assert moved.labels.tolist() == [3] * 4
    assert walks.samples_at(model, "0:3").labels.tolist() == [3]
