"""Photos are edited as samples are: read in the model's form, encoded or searched for, shown."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.editing import arithmetic, directions, selection, walks
from genzoo.errors import BadInput, UnknownName
from genzoo.models import film
from genzoo.models.samples import Images
from genzoo.schemas import Count, Schema

COMPOSITE = b"compositeWithTrainedAlgorithmicMedia"


class Config(Schema):
    width: Count = 1


class Mirror(genzoo.Latent, genzoo.Encoder):
    """Its samples are its codes, as shares of the normal distribution; its encoder inverts that."""

    shape, value_range, latent_dim = (1, 4, 4), (0.0, 1.0), 16

    def __init__(self, config):
        super().__init__(config)
        self.scale = nn.Parameter(torch.tensor(0.5))

    def decode(self, code, labels=None):  # (n, 16) -> (n, 1, 4, 4)
        return torch.special.ndtr(self.scale * code).view(-1, 1, 4, 4)

    def embed(self, x):  # (n, 1, 4, 4) -> (n, 16)
        return torch.special.ndtri(x.flatten(1).clamp(1e-3, 1 - 1e-3)) / self.scale


class Classes(genzoo.Latent):
    """Two classes: dark pixels and light ones; without an encoder."""

    shape, value_range, latent_dim = (1, 4, 4), (0.0, 1.0), 2
    num_classes, class_names = 2, ("night", "day")

    def __init__(self, config):
        super().__init__(config)
        self.slope = nn.Parameter(torch.linspace(-0.1, 0.1, 32).view(2, 16))

    def decode(self, code, labels=None):  # (n, 2) -> (n, 1, 4, 4)
        centre = 0.25 + 0.5 * labels[:, None]
        return (centre + code @ self.slope).clamp(0, 1).view(-1, 1, 4, 4)


@pytest.fixture
def mirror():
    return Mirror(Config())


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(capsys, line, *more):
    code = run([*line.split(), *map(str, more)])
    return code, *capsys.readouterr()


def tiny(family):
    """A small model of the family that has learned nothing."""
    parts = families.get(family)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return parts.model(parts.tiny)


# ------------------------------------------------------------------------------------------- codes


@pytest.mark.parametrize("form", ["samples", "tensor", "array", "pillow", "file", "text"])
def test_a_photo_that_the_model_drew_has_its_code_again(mirror, here, form):
    """To the bit of 8 that a file has; from numbers, exactly."""
    sample = mirror.sample(1, seed=3)
    sample.save("photo.png")
    given = {
        "samples": Images(sample.tensor),
        "tensor": sample.tensor[0],
        "array": sample.tensor.numpy(),
        "pillow": sample.pil()[0],
        "file": here / "photo.png",
        "text": "photo.png",
    }[form]
    found = selection.resolve(mirror, given, None)
    from_bytes = form in ("pillow", "file", "text")
    assert torch.allclose(found.codes, mirror.codes(1, seed=3), atol=0.1 if from_bytes else 1e-3)
    (record,) = found.record
    assert record["rmse"] < 1e-5
    assert record["by"] == "encoder"


def test_a_record_has_the_hash_of_the_photo_and_not_its_path(mirror, here, caplog):
    mirror.sample(1, seed=3).save("me.png")
    walk = walks.interpolate(mirror, ["me.png", "0:5"], steps=1)
    text = json.dumps(walk.record())
    assert "me.png" not in text
    photo, sample = walk.call["through"]
    digest = hashlib.sha256((here / "me.png").read_bytes()).hexdigest()
    assert photo["file_sha256"] == digest
    assert (sample, walk.call["photos"]) == ([0, 5], 1)
    assert "me.png: encoded; error of the reconstruction: 0.000" in caplog.text


def test_without_an_encoder_a_search_finds_the_code():
    """A GAN that has learned nothing finds the code of its own sample; the seed decides the way."""
    model = tiny("dcgan")
    sample, how = Images(model.sample(1, seed=3).tensor), {"search_steps": 60, "restarts": 2}
    found = [
        selection.resolve(model, sample, None, search={**how, "search_seed": s}) for s in (0, 0, 1)
    ]
    same, again, other = (one.codes for one in found)
    assert torch.equal(same, again)
    assert not torch.equal(same, other)
    code = model.codes(1, seed=3)
    assert max((same - code).norm(), (other - code).norm()) < code.norm() / 5
    (record,) = found[2].record
    assert {"by": "search", "steps": 60, "restarts": 2, "seed": 1}.items() <= record.items()


def test_the_error_is_that_of_what_is_shown():
    model = tiny("vae")
    walk = walks.interpolate(model, [torch.rand(1, 16, 16), 4], steps=1)
    apart = (walk.tensor[1] - walk.tensor[0]).square().mean().sqrt().item()
    assert walk.call["through"][0]["rmse"] == pytest.approx(apart, abs=1e-5)
    assert apart > 0.1


def test_a_search_may_begin_where_the_encoder_points():
    """An untrained encoder points somewhere; the search comes closer."""
    model = tiny("vae")
    sample = Images(model.sample(1, seed=3).tensor)
    encoded = selection.resolve(model, sample, None).record[0]
    searched = selection.resolve(model, sample, None, search={"search_steps": 30}).record[0]
    assert (encoded["by"], searched["by"], searched["restarts"]) == ("encoder", "search", 4)
    assert searched["rmse"] < encoded["rmse"]


def test_a_search_finds_the_class_too():
    model = Classes(Config())
    photo = Images(model.sample(1, seed=3, labels="day").tensor)
    quick = {"search_steps": 0, "restarts": 1}
    assert selection.resolve(model, photo, None, search=quick).label == "day"
    assert selection.resolve(model, photo, "night", search=quick).label == "night"
    with pytest.raises(BadInput, match=r"day and night.*label="):
        selection.resolve(model, [photo, "0:0"], None, search=quick)


# ------------------------------------------------------------------------------------ what is shown


def test_before_a_walk_stand_photos_and_reconstructions(mirror):
    one, two = torch.full((2, 1, 4, 4), 0.25), torch.full((1, 4, 4), 0.75)
    one = one[0] + torch.linspace(0, 0.2, 16).view(1, 4, 4)
    walk = walks.interpolate(mirror, [one, "0:5", two], steps=2)
    assert len(walk) == len(walk.seeds) == 2 * 2 + 5
    assert torch.equal(walk.tensor[[0, 2]], torch.stack([one, two]))
    assert torch.allclose(walk.tensor[[1, 3]], torch.stack([one, two]), atol=1e-5)
    steps = walk.tensor[4:]
    assert torch.equal(steps[[0, 4]], walk.tensor[[1, 3]])
    assert torch.allclose(steps[2], mirror.sample(1, start=5).tensor[0], atol=1e-6)


def test_before_each_row_that_is_steered_stand_the_photo_and_its_reconstruction(mirror):
    direction = directions.direction_from_seeds(mirror, "3", "4")
    photo = torch.full((1, 4, 4), 0.25)
    rows = directions.steer(mirror, direction, [photo, "0:5"], alphas=[-1, 0, 1])
    cells = rows.tensor.view(2, 5, 1, 4, 4)
    assert torch.equal(cells[0, 0], photo)
    assert torch.equal(cells[:, 1], cells[:, 3])
    assert torch.equal(cells[1, 0], cells[1, 1])
    code = mirror.encode(photo[None]) + direction.vector
    assert torch.allclose(cells[0, 4], mirror.decode_codes(code).tensor[0], atol=1e-6)
    assert rows.call["of"][1] == [0, 5]
    plain = directions.steer(mirror, direction, "0:5", alphas=[-1, 0, 1])
    assert torch.equal(plain.tensor, cells[1, 2:])
    assert {"of", "photos"} & {*plain.call} == set()


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_above_a_traversal_stand_the_photo_and_its_reconstruction(mirror, columns):
    photo = torch.full((1, 4, 4), 0.25)
    grid = walks.traverse(mirror, (0, 1), grid=(3, columns), sample=photo)
    top = 2 + -2 % columns
    assert len(grid) == top + 3 * columns
    assert len(grid) % columns == 0
    assert torch.equal(grid.tensor[0], photo)
    assert torch.allclose(grid.tensor[1], photo, atol=1e-5)
    assert not grid.tensor[2:top].any()
    assert torch.allclose(grid.tensor[top:].flatten(1)[:, 2:], torch.tensor(0.25), atol=1e-5)


def test_a_term_of_a_sum_may_be_a_photo(mirror, here):
    """The signs between spaces are the sum's, others belong to the name; a folder is several."""
    mirror.sample(1, seed=3).save("my-face+1.png")
    (here / "two").mkdir()
    for i in (1, 2):
        mirror.sample(1, seed=i).save(f"two/{i}.png")
    sums = arithmetic.arithmetic(mirror, "0:5,6 - my-face+1.png + two")
    three, *others = (mirror.codes(1, seed=s) for s in (3, 1, 2))
    expected = mirror.codes(2, start=5).mean(0) - three + sum(others) / 2
    assert torch.allclose(sums.code, expected, atol=0.1)
    assert [(sign, len(column)) for sign, column in sums.terms] == [(1, 3), (-1, 3), (1, 5)]
    photo, reconstruction, mean = sums.terms[1][1].tensor
    assert torch.allclose(photo, mirror.sample(1, seed=3).tensor[0], atol=1 / 500)
    assert torch.equal(reconstruction, mean)
    record = sums.around.record()["call"]
    assert (record["photos"], "my-face" in json.dumps(record)) == (3, False)
    sums.save("sum.png")
    assert COMPOSITE in (here / "sum.png").read_bytes()
    with pytest.raises(BadInput, match="'my-face'"):
        arithmetic.arithmetic(mirror, "0:5 - my-face")


def test_a_picture_of_a_photo_is_a_composite(mirror):
    direction = directions.direction_from_seeds(mirror, "3", "4")
    photo = torch.full((1, 4, 4), 0.25)
    edited = directions.steer(mirror, direction, photo, alphas=[1])
    assert COMPOSITE in edited.png()
    assert COMPOSITE not in directions.steer(mirror, direction, "3", alphas=[1]).png()


def test_in_a_film_photos_stand_still(mirror):
    photo = torch.full((1, 4, 4), 0.25)
    walk = walks.interpolate(mirror, [photo, "0:5"], steps=2)
    frames = [np.asarray(f) for f in film.make_frames(walk, len(walk), 2, still=2)]
    assert len(frames) == 3
    top, left, side = 48, 12, 8 + 4  # below the title
    still = [frame[top:, left : left + 2 * side] for frame in frames]
    assert (still[0] == still[1]).all()
    assert (still[0][:8, :8] == 64).all()
    moving = [frame[top : top + 8, left + 2 * side : left + 2 * side + 8] for frame in frames]
    assert (moving[0] != moving[2]).any()


def test_a_direction_may_lead_from_a_sample_to_a_photo(mirror):
    photo = torch.full((1, 4, 4), 0.25)
    direction = directions.direction_from_seeds(mirror, photo, "3")
    expected = mirror.encode(photo[None])[0] - mirror.codes(1, seed=3)[0]
    assert torch.allclose(direction.vector, expected, atol=1e-5)
    assert direction.info.counts == (1, 1)


# ------------------------------------------------------------------------------------- what is read


def test_a_photo_is_brought_to_the_models_form_and_that_is_said(mirror, here, caplog):
    pixels = np.zeros((8, 20), np.uint8)
    pixels[:, 6:14] = 200
    Image.fromarray(pixels).convert("RGB").save("wide.png")
    for given in ("wide.png", Image.open("wide.png")):
        walk = walks.interpolate(mirror, [given, given], steps=1)
        assert torch.allclose(walk.tensor[0], torch.tensor(200 / 255), atol=0.01)
        assert "20x8 to 4x4, its centre square, colour to grey" in caplog.text
        caplog.clear()


def test_a_pillow_image_is_read_as_its_file_is(mirror, here):
    """Upright, whatever its depth."""
    pixels = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4000
    exif = Image.Exif()
    exif[0x112] = 6  # turned by a quarter
    Image.fromarray(pixels).save("deep.png")
    Image.fromarray((pixels >> 8).astype(np.uint8)).save("turned.png", exif=exif)
    for name in ("deep.png", "turned.png"):
        file, image = (selection.select(mirror, g).photos for g in (name, Image.open(name)))
        assert torch.equal(file[0].values, image[0].values)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("gone.png", "'gone.png'"),
        ("empty", "no images in empty"),
        ("moving.gif", "moving.gif is an animation"),
        ("note.txt", "note.txt is not a readable image"),
        (torch.zeros(1, 3, 4, 4), r"\(n, 1, 4, 4\).*\(1, 3, 4, 4\)"),
        (np.full((1, 4, 4), np.nan, np.float32), "(?i)nan"),
        (["x" * 5000, 3], "xxx"),
        ([], "no samples"),
        ([1.5], "1.5"),
    ],
)
def test_what_is_no_photo_is_refused(mirror, here, given, named):
    (here / "empty").mkdir()
    (here / "note.txt").write_text("hello")
    frames = [Image.new("L", (4, 4), shade) for shade in (0, 255)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(BadInput, match=named):
        walks.samples_at(mirror, given)


def test_options_of_a_search_that_does_not_happen_are_refused(mirror):
    photo = torch.full((1, 4, 4), 0.25)
    for search in ({"search_steps": 3}, {"restarts": 2}, {"search_seed": 1}):
        (name,) = search
        with pytest.raises(BadInput, match=f"{name}= would have no effect: there is no photo"):
            walks.interpolate(mirror, "3,4", steps=1, **search)
    with pytest.raises(BadInput, match=r"search_seed= would.*encoder.*search_steps"):
        walks.traverse(mirror, sample=photo, search_seed=1)
    with pytest.raises(BadInput, match="restarts= would"):
        arithmetic.arithmetic(mirror, "3 - 4", restarts=2)


PHOTO = torch.full((1, 4, 4), 0.25)


@pytest.mark.parametrize(
    ("function", "given", "wrong", "near"),
    [
        ("inpaint", {"images": PHOTO[None], "mask": "centre"}, "stepz", "steps"),
        ("inpaint", {"images": PHOTO[None], "mask": "centre"}, "label", "labels"),
        ("project", {"images": PHOTO[None]}, "label", "labels"),
        ("interpolate", {"sample": [PHOTO, "3"]}, "step", "steps"),
        ("traverse", {"sample": PHOTO}, "restart", "restarts"),
        ("sweep", {"sample": PHOTO}, "column", "columns"),
        ("arithmetic", {"terms": [(1, PHOTO)]}, "search_step", "search_steps"),
        ("steer", {"direction": "unread.npz", "sample": PHOTO}, "bogus", "alphas"),
    ],
)
def test_an_unknown_argument_is_refused_by_name(mirror, function, given, wrong, near):
    """Python would let it pass, as ``**search`` takes any name."""
    said = rf"no argument is called '{wrong}': .*{near}.* help\(genzoo\.{function}\)"
    with pytest.raises(UnknownName, match=said):
        getattr(genzoo, function)(mirror, **given, **{wrong: 3})


def test_pictures_have_the_rows_of_the_command(mirror):
    """A row for each sample that is steered, one row for a walk, the grid's rows."""
    direction, photo = directions.direction_from_seeds(mirror, "3", "4"), torch.full((1, 4, 4), 0.3)

    def rows_and_columns(samples):
        size = samples.grid(scale=1).size  # cells of 4 pixels, and 2 between
        return (size[1] - 2) // 6, (size[0] - 2) // 6

    plain = directions.steer(mirror, direction, "0:5,6,7", steps=7)
    assert rows_and_columns(plain) == (3, 7)
    assert rows_and_columns(directions.steer(mirror, direction, [photo, "5"], steps=4)) == (2, 6)
    assert rows_and_columns(walks.interpolate(mirror, "3,4,5", steps=4)) == (1, 9)
    assert rows_and_columns(walks.interpolate(mirror, [photo, "4"], steps=4)) == (1, 7)
    assert rows_and_columns(walks.traverse(mirror, (0, 1), grid=(2, 5))) == (2, 5)
    assert rows_and_columns(walks.traverse(mirror, (0, 1), grid=(2, 5), sample=photo)) == (3, 5)
    assert rows_and_columns(plain[:4]) == (2, 2)  # some of them are no rows
    assert plain.grid(columns=3, scale=1).width == 3 * 6 + 2


def test_a_photo_counts_once_in_the_text_of_a_sum(mirror):
    sums = arithmetic.arithmetic(mirror, [(1, torch.full((1, 4, 4), 0.3)), (-1, "0:5,6")])
    assert repr(sums).startswith("<Combination + 1 - 2 samples")


def test_a_model_of_points_takes_arrays_and_no_files(here):
    parts = families.get("wgan-gp")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = parts.model(parts.config(shape=(2,), latent_dim=3, width=8))
    point = model.sample(1).tensor.numpy()
    walk = walks.interpolate(model, [point, 4], steps=2, search_steps=5, restarts=1)
    assert walk.tensor.shape == (5, 2)
    Image.new("L", (4, 4)).save("photo.png")
    with pytest.raises(BadInput, match="points"):
        walks.samples_at(model, "photo.png")


# ---------------------------------------------------------------------------------------- commands


def test_the_commands_take_photos(here, capsys, caplog):
    """Sheets have two cells more a row, films two that stand still; a line says the error."""
    genzoo.save(tiny("vae"), "tiny", family="vae", data="digits")
    model = genzoo.load("./tiny", device="cpu")
    model.sample(1, seed=3).save("me.png")
    directions.direction_from_seeds(model, "1", "2").save("d.safetensors")
    line = "steer ./tiny d.safetensors --sample me.png --sample 0:1 --alphas -1,0,1"
    code, out, _ = call(capsys, f"{line} --scale 1 -o s.png --json")
    assert code == 0
    assert "me.png: encoded; error of the reconstruction: 0." in caplog.text
    record = json.loads(out)
    assert (record["n"], record["call"]["photos"]) == (10, 1)
    assert record["call"]["of"][0]["file_sha256"]
    assert "me.png" not in out
    assert call(capsys, f"{line} --scale 1 -o s.gif")[0] == 0
    walk = "interpolate ./tiny --sample me.png --sample 0:1 --steps 2 --scale 1 -o"
    assert [call(capsys, f"{walk} {path}")[0] for path in ("w.png", "w.gif")] == [0, 0]
    grid = "traverse ./tiny --sample me.png --dims 0,1 --grid 2x3 --scale 1 -o t.png"
    assert call(capsys, grid)[0] == 0
    rows = {"s.png": 2, "s.gif": 2, "w.png": 1, "w.gif": 1}
    for path, n in rows.items():
        with Image.open(path) as picture:
            assert picture.height == 48 + 20 * n - 4 + 24 + 12, path  # title, rows, names, margin
            assert getattr(picture, "n_frames", 1) == {"s.gif": 4, "w.gif": 3}.get(path, 1)


@pytest.mark.parametrize(
    ("words", "named"),
    [("--sample gone.png", "gone.png"), ("--sample 3 --sample me.png,4", "or a picture file; got")],
)
def test_a_file_that_is_not_there_is_one_line(here, capsys, words, named):
    genzoo.save(tiny("vae"), "tiny", family="vae", data="digits")
    code, out, err = call(capsys, f"traverse ./tiny {words} -o x.png")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err
