"""Directions: learnt, kept in a file that nobody need trust, and walked along."""

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
    return folder


@pytest.fixture(scope="module")
def digits():
    return genzoo.load("vae-mnist", device="cpu")


def call(capsys, line, *more):
    code = run([*line.split(), *map(str, more)])
    return code, *capsys.readouterr()


# ---------------------------------------------------------------------------------------- learning


def test_a_direction_of_picks_is_the_difference_of_their_means(latent):
    found = directions.of_picks(latent, "0:3,5", [7])
    codes = latent.codes(6)
    expected = codes[[3, 5]].mean(0) - latent.codes(1, seed=7)[0]
    assert torch.allclose(found.vector, expected)
    assert (found.made.by, found.made.counts, found.made.raised) == ("picks", (2, 1), None)


def test_a_direction_of_samples_is_that_of_the_judges_two_halves(digits):
    found = directions.of_samples(digits, "7", n=300, seed=2)
    judge, drawn = directions.Judge("mnist", "7"), digits.sample(300, seed=2)
    seen = classifiers.Small("mnist")
    is_seven = seen.logits(seen(drawn.tensor)).argmax(1) == 7
    codes = digits.codes(300, seed=2)
    expected = codes[is_seven].mean(0) - codes[~is_seven].mean(0)
    assert torch.allclose(found.vector, expected, atol=1e-6)
    assert found.made.counts == (is_seven.sum(), (~is_seven).sum())
    assert ((judge(drawn.tensor) > 0) == is_seven).all()
    before, after = directions.effect(digits, found.vector, judge, seed=2, start=300)
    assert found.made.raised == (after > before).mean()
    assert found.made.turned == (after[before <= 0] > 0).mean()


@pytest.mark.parametrize(
    ("name", "kind", "turned"), [("vae-celeba", "Smiling", 0.8), ("dcgan-celeba", "Male", 0.5)]
)
def test_a_learnt_direction_moves_what_the_classifier_sees(name, kind, turned):
    """In 80 of 100 samples that it was not made of, and down where it is walked back; directions
    of chance, as long and at right angles to it, move it far less."""
    model = genzoo.load(name, device="cpu")
    found = directions.of_samples(model, kind, n=600)
    judge = directions.Judge("celeba", kind)

    def moved(vector, alpha=1):
        before, after = directions.effect(model, vector, judge, start=600, alpha=alpha)
        return after - before

    own = moved(found.vector)
    assert found.made.raised == (own > 0).mean() >= 0.8
    assert found.made.turned >= turned
    assert (moved(found.vector, -1) < 0).mean() >= 0.8
    across = torch.randn(4, model.latent_dim, generator=torch.Generator().manual_seed(0))
    unit = found.vector / found.vector.norm()
    across -= torch.outer(across @ unit, unit)
    across *= found.vector.norm() / across.norm(dim=1, keepdim=True)
    assert max(abs(moved(vector).mean()) for vector in across) < own.mean() / 3


@pytest.mark.data
@pytest.mark.parametrize("kind", ["Smiling", "Blond_Hair"])
def test_so_does_one_of_real_faces_that_an_encoder_read(kind):
    """What people said of the faces made it; the classifier had no part."""
    model = genzoo.load("vae-celeba", device="cpu")
    found = directions.of_data(model, kind, n=1500)
    assert found.made.by == "data"
    assert sum(found.made.counts) == 1500
    assert found.made.raised >= 0.8


def test_a_direction_of_labelled_data(latent, monkeypatch):
    model = families.get("vae").model(families.get("vae").config(latent_dim=3, width=8))
    digits, seen = data.open("digits"), []
    monkeypatch.setattr(type(model), "encode", lambda _, x: seen.append(x) or x[:, 0, 10:13, 14])
    found = directions.of_data(model, "3", data="digits", n=500)
    codes = digits.batch(range(500))[:, 0, 10:13, 14]
    three = torch.from_numpy(digits.labels[:500] == 3)
    assert torch.allclose(found.vector, codes[three].mean(0) - codes[~three].mean(0), atol=1e-6)
    assert sum(map(len, seen)) == 500
    assert found.made.raised is None, "there is no classifier of digits"


def test_classes_and_attributes_are_known_without_the_data(monkeypatch):
    monkeypatch.delenv("GENZOO_DATA", raising=False)
    assert directions.Judge("celeba", "Smiling").index == 31
    assert directions.Judge("fashion-mnist", "Sneaker").index == 7
    with pytest.raises(UnknownName, match=r"no attribute of celeba .* did you mean Smiling"):
        directions.Judge("celeba", "smiling")
    with pytest.raises(UnknownName, match="no class of mnist is called '12'"):
        directions.Judge("mnist", "12")
    with pytest.raises(BadInput, match="no features for digits"):
        directions.Judge("digits", "3")


@pytest.mark.data
def test_attributes_are_in_the_order_of_the_table():
    assert data.attributes("test")[0] == data.describe("celeba").attributes


def test_too_few_of_a_kind_are_told(digits):
    with pytest.raises(BadInput, match=r"\d samples with 4, \d+ without: a direction takes 10"):
        directions.of_samples(digits, "4", n=40)


def test_what_a_direction_lacks_is_told(latent, digits):
    with pytest.raises(BadInput, match="what is this a direction of"):
        directions.of_samples(latent, "Smiling")
    with pytest.raises(BadInput, match="takes images"):
        directions.of_samples(latent, "Smiling", data="celeba")
    gan = genzoo.load("dcgan-mnist", device="cpu")
    with pytest.raises(BadInput, match="does not encode: these can: vae-"):
        directions.of_data(gan, "7")
    with pytest.raises(BadInput, match="has no code"):
        directions.of_samples(genzoo.load("pixelcnn-mnist", device="cpu"), "7")


# --------------------------------------------------------------------------------------------- kept


def test_a_direction_survives_its_file(here, digits):
    found = directions.of_picks(digits, "3,5", "7")
    found.save("d.safetensors")
    again = directions.read("d.safetensors")
    assert torch.equal(again.vector, found.vector)
    assert again.made == found.made
    assert again.made.origin.model == "vae-mnist"
    assert Path("d.safetensors").stat().st_size < 2000
    with pytest.raises(BadInput, match=r"name ending in \.safetensors"):
        found.save("d.png")


MADE = {"genzoo": "1", "origin": None, "by": "picks", "of": "", "counts": [1, 1]}
VECTOR = {"direction": torch.ones(20)}
HOSTILE = {
    "nothing told": (VECTOR, None),
    "no JSON": (VECTOR, "{"),
    "not what it takes": (VECTOR, json.dumps({**MADE, "by": "magic"})),
    "a control character": (VECTOR, json.dumps({**MADE, "of": "\x1b[31m"})),
    "a share of 7": (VECTOR, json.dumps({**MADE, "raised": 7})),
    "another tensor": ({"weights": torch.ones(20)}, json.dumps(MADE)),
    "two": ({**VECTOR, "more": torch.ones(2)}, json.dumps(MADE)),
    "a matrix": ({"direction": torch.ones(2, 10)}, json.dumps(MADE)),
    "halves": ({"direction": torch.ones(20).half()}, json.dumps(MADE)),
    "not finite": ({"direction": torch.full((20,), torch.inf)}, json.dumps(MADE)),
    "large": ({"direction": torch.ones(1 << 19)}, json.dumps(MADE)),
}


@pytest.mark.parametrize("kind", [*HOSTILE, "text", "empty", "folder", "gone"])
def test_a_file_that_is_no_direction_is_told_in_one_line(kind, here, capsys):
    path = Path("x.safetensors")
    if kind in HOSTILE:
        tensors, told = HOSTILE[kind]
        save_file(tensors, path, None if told is None else {"made": told})
    elif kind == "folder":
        path.mkdir()
    elif kind != "gone":
        path.write_text("hello" if kind == "text" else "")
    with pytest.raises(BadInput):
        directions.read(path)
    code, out, err = call(capsys, f"steer vae-mnist {path} --seeds 3")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.rstrip("\n").isprintable()


def test_another_models_direction_is_refused(here, digits):
    found = directions.of_picks(digits, "3", "7")
    with pytest.raises(BadInput, match="has 20 numbers, and the code has 40"):
        directions.along(genzoo.load("vae-mnist-binarized"), found, "3", alphas=[1])
    genzoo.save(digits, "other", dtype="float32")
    with pytest.raises(BadInput, match="is of vae-mnist with weights"):
        directions.along(genzoo.load("./other"), found, "3", alphas=[1])


# ------------------------------------------------------------------------------------------ walked


def test_samples_are_moved_by_alpha_steps(latent):
    found = directions.of_picks(latent, "3", "7")
    moved = directions.along(latent, found, "0:4,5", alphas=[-1, 0, 2])
    codes = latent.codes(2, start=4)
    steps = torch.tensor([-1.0, 0, 2])[:, None] * found.vector
    for row, code in enumerate(codes):
        expected = latent.decode_codes(code + steps).tensor
        assert torch.allclose(moved.tensor[3 * row : 3 * row + 3], expected, atol=1e-6)
    assert torch.allclose(moved[1].tensor, latent.sample(1, start=4).tensor, atol=1e-6)
    for alphas in ([], [float("nan")]):
        with pytest.raises(BadInput, match="finite numbers, at least one"):
            directions.along(latent, found, "3", alphas=alphas)


def test_the_commands_learn_and_steer(here, capsys):
    code, out, _ = call(capsys, "direction vae-mnist --of 7 -n 300 -o seven.safetensors")
    assert code == 0
    assert "length" in out
    assert "100 other samples" in out
    code, out, _ = call(capsys, "direction vae-mnist --toward 3,5 --away 7 --json")
    told = json.loads(out)
    assert (told["path"], told["counts"]) == ("vae-mnist-direction.safetensors", [2, 1])
    line = "steer vae-mnist seven.safetensors --seeds 0:3,17 --alphas"
    code, out, _ = call(capsys, f"{line} -2,-1,0,1 --json")
    assert json.loads(out)["alphas"] == [-2, -1, 0, 1]
    with Image.open("vae-mnist-steered.png") as sheet:
        assert sheet.size == (4 * 58 + 2, 2 * 58 + 2)
    assert genzoo.inspect("vae-mnist-steered.png").record.call.method == "steer"
    assert call(capsys, f"{line} -2:2 --steps 5 -o x.gif")[0] == 0
    with Image.open("x.gif") as film:
        assert film.n_frames == 5 + 3, "there and back"


def test_alphas_are_a_list_or_a_span():
    assert directions.spread("-2,0,1.5", 7) == [-2, 0, 1.5]
    assert directions.spread("-2:2", 5) == [-2, -1, 0, 1, 2]


BAD = [
    ("direction vae-mnist", "--of Smiling, or --toward"),
    ("direction vae-mnist --of 7 --toward 3 --away 4", "--of Smiling, or --toward"),
    ("direction vae-mnist --toward 3", "--of Smiling, or --toward"),
    ("direction vae-mnist --of eight", "no class of mnist is called 'eight'"),
    ("direction vae-mnist --of 7 -n 5", "takes 10 of each at least"),
    ("direction vae-mnist --of 7 -n 0", "n must be"),
    ("direction vae-mnist --of 7 -o x.png", "expected a name ending in .safetensors, in a folder"),
    ("direction vae-mnist --of 7 --data celeba", "no attribute of celeba"),
    ("direction dcgan-mnist --of 7 --encode", "does not encode"),
    ("direction pixelcnn-mnist --of 7", "has no code"),
    ("steer vae-mnist gone.safetensors --seeds 3", "no file of a direction"),
    ("steer vae-mnist gone.safetensors --seeds x", "SEED or SEED:INDEX"),
    ("steer vae-mnist gone.safetensors --seeds 3 --alphas a", "alphas are like"),
    ("steer vae-mnist gone.safetensors --seeds 3 -o x.txt", "expected .png, .gif, .npy"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_bad_input_is_one_line_and_writes_nothing(line, said, here, capsys):
    code, out, err = call(capsys, line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert [*here.iterdir()] == []


def test_conditional_models_are_steered_within_a_class():
    model = genzoo.load("cgan-mnist", device="cpu")
    found = directions.of_picks(model, "0:3,13", "0:23", label=3)
    moved = directions.along(model, found, "0:3,13", alphas=[0, 1])
    assert moved.labels.tolist() == [3] * 4
    assert walks.pick(model, "0:3").labels.tolist() == [3]
