"""Walks and sums of codes: they pass through what ``sample`` draws, and record how."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.editing import arithmetic, selection, walks
from genzoo.errors import BadInput
from genzoo.models import film, writing
from genzoo.models.laws import Normal
from genzoo.models.samples import Images
from genzoo.schemas import Count, Schema
from genzoo.zoo import names as model_names

LATENTS = [n for n in model_names.model_names() if n in model_names.able(genzoo.Latent)]
SMALL = "vae-mnist"


class Config(Schema):
    width: Count = 1


class Noisy(genzoo.Latent):
    """Four pixels that are the code's and, beside it, noise of three laws; of three classes."""

    shape, value_range, latent_dim = (1, 2, 2), None, 4
    num_classes, class_names = 3, ("ant", "bee", "cat")

    def __init__(self, config):
        super().__init__(config)
        self.shift = nn.Parameter(torch.tensor([0.0, 10.0, 20.0]))

    def decode(self, code, labels=None, noise=None):  # (n, 4) -> (n, 1, 2, 2)
        epsilon = noise.normal(4) + noise.uniform(4) + noise.gumbel(4)
        return (code + epsilon + self.shift[labels][:, None]).view(-1, 1, 2, 2)


@pytest.fixture
def noisy():
    return Noisy(Config())


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def call(capsys, line, *more):
    code = run([*line.split(), *map(str, more)])
    return code, *capsys.readouterr()


def one(model, seed, index=0, **options):
    return model.sample(1, seed=seed, start=index, **options).tensor


# --------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("3", [(3, 0)]),
        ("3,17, 42", [(3, 0), (17, 0), (42, 0)]),
        ("0:3,17", [(0, 3), (0, 17)]),
        ("0:3,17,7:1", [(0, 3), (0, 17), (7, 1)]),
        ([3, (0, 17)], [(3, 0), (0, 17)]),
        ([], []),
    ],
)
def test_an_address_is_a_seed_or_a_seed_and_an_index(text, pairs):
    assert selection.parse_addresses(text) == pairs


@pytest.mark.parametrize(
    "text", ["", "x", "3,", "3,,4", "-1", "1.5", "1:2:3", ":3", "3:", "9" * 30]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadInput, match=r"(?i)seed"):
        selection.parse_addresses(text)
    with pytest.raises(BadInput, match="-1"):
        selection.parse_addresses([-1])
    with pytest.raises(BadInput, match="1, 2, 3"):
        selection.parse_addresses([(1, 2, 3)])


# ------------------------------------------------------------------------------------------- codes


def test_codes_are_those_that_sample_draws(latent):
    for options in ({}, {"truncation": 0.5}, {"temperature": 0.5}):
        codes = latent.codes(70, seed=3, start=2, **options)
        drawn = latent.decode_codes(codes, seeds=[(3, 2 + i) for i in range(70)])
        assert torch.equal(drawn.tensor, latent.sample(70, seed=3, start=2, **options).tensor)
    assert drawn.call == {"method": "draw", "sampling": {"truncation": None, "temperature": None}}


def test_what_is_drawn_beside_a_code_is_its_samples(noisy):
    seeds = [(0, 4), (0, 5), (9, 0), (0, 6)]
    codes = torch.cat([noisy.codes(1, seed=s, start=i) for s, i in seeds])
    drawn = noisy.decode_codes(codes, labels=[1, 2, 0, 0], seeds=seeds, batch_size=2)
    for row, (pair, label) in enumerate(zip(seeds, [1, 2, 0, 0], strict=True)):
        assert torch.equal(drawn[row].tensor, one(noisy, *pair, labels=label))


def test_codes_that_do_not_fit_are_refused(latent):
    for codes in (torch.zeros(2, 4), torch.zeros(5), torch.zeros(0, 5)):
        with pytest.raises(BadInput, match=r"\(n, 5\)"):
            latent.decode_codes(codes)
    with pytest.raises(BadInput, match="finite"):
        latent.decode_codes(torch.full((1, 5), math.nan))
    with pytest.raises(BadInput, match=r"2 seeds.*got 1"):
        latent.decode_codes(torch.zeros(2, 5), seeds=[(0, 0)])


# ------------------------------------------------------------------------------------------- walks


@pytest.mark.parametrize("name", LATENTS)
def test_a_walk_passes_through_the_samples_of_its_seeds(name):
    """Every bundled model with a code: to the bit in one batch size, and to 1e-5 in any other, as
    samples in a batch are."""
    model = genzoo.load(name, device="cpu")
    label = 1 if model.num_classes else None
    through = "3:0,0:17,42:0"
    walk = walks.interpolate(model, through, steps=2, label=label, batch_size=1)
    batched = walks.interpolate(model, through, steps=2, label=label)
    assert len(walk) == len(batched) == 5
    for row, pair in ((0, (3, 0)), (2, (0, 17)), (4, (42, 0))):
        assert torch.equal(walk[row].tensor, one(model, *pair, labels=label))
    assert (walk.tensor - batched.tensor).abs().max() <= 1e-5
    assert not torch.allclose(walk[1].tensor, walk[0].tensor, atol=1e-3)


@pytest.mark.parametrize("name", families.names())
def test_so_does_one_of_every_family_that_is_installed(name):
    parts = families.get(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = parts.model(parts.tiny)
    if not isinstance(model, genzoo.Latent):
        with pytest.raises(BadInput, match=f"no latent code.*{LATENTS[0]}, "):
            walks.interpolate(model, "3,17")
        return
    label = 0 if model.num_classes else None
    walk = walks.interpolate(model, [3, 17], steps=2, label=label, batch_size=1)
    assert torch.equal(walk[0].tensor, one(model, 3, labels=label))
    assert torch.equal(walk[2].tensor, one(model, 17, labels=label))


def test_a_loop_comes_back_and_does_not_stand_still_there(latent):
    walk = walks.interpolate(latent, [3, 17, 42], steps=4, loop=True)
    assert len(walk) == 12
    back = walks.interpolate(latent, [42, 3], steps=4)
    assert torch.allclose(walk.tensor[8:], back.tensor[:4], atol=1e-6)
    assert torch.allclose(one(latent, 3), back.tensor[4:], atol=1e-6)


def test_what_is_drawn_beside_the_code_stays_that_of_the_sample_last_passed(noisy):
    walk = walks.interpolate(noisy, "3,17", steps=2, how="lerp", label="bee")
    (a, b), beside = (noisy.codes(1, seed=s) for s in (3, 17)), one(noisy, 3, labels=1)
    assert torch.equal(walk[0].tensor, beside)
    halfway = beside + ((b - a) / 2).view(1, 1, 2, 2)
    assert torch.allclose(walk[1].tensor, halfway, atol=1e-5)
    assert torch.equal(walk[2].tensor, one(noisy, 17, labels=1))
    assert walk.labels.tolist() == [1, 1, 1]


def test_slerp_keeps_to_the_shell_of_normal_codes_and_lerp_does_not():
    a, b = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, 1, 11)
    round_, straight = (Normal(1000).between(a, b, t, straight=how) for how in (False, True))
    assert (round_.norm(dim=1) / 1000**0.5 - 1).abs().max() < 0.04
    assert straight[5].norm() / 1000**0.5 < 0.75
    for path in (round_, straight):
        assert torch.equal(path[0], a)
        assert torch.equal(path[-1], b)
    turned = nn.functional.cosine_similarity(round_[1:], round_[:-1])
    assert turned.acos().std() < 3e-3, "equal steps"


def test_slerp_where_there_is_no_plane_to_turn_in():
    a, t = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.25, 1.0])
    assert torch.allclose(Normal(2).between(a, 3 * a, t), torch.outer(1 + 2 * t, a))
    assert torch.allclose(Normal(2).between(a, -a, t), torch.outer(1 - 2 * t, a))
    assert torch.equal(Normal(2).between(a, torch.zeros(2), t)[0], a)
    assert torch.isfinite(Normal(2).between(torch.tensor([2.0]), torch.tensor([-1.0]), t)).all()


def test_a_walk_through_codes(latent):
    codes = latent.encode(latent.sample(3))
    walk = walks.interpolate(latent, codes, steps=2)
    assert torch.allclose(walk.tensor[::2], latent.decode_codes(codes).tensor, atol=1e-6)
    assert walk.call["through"] == "codes"


def test_labels_are_fixed_along_a_walk(noisy):
    assert walks.interpolate(noisy, "0:1,4", steps=1).labels.tolist() == [1, 1]
    assert walks.interpolate(noisy, "3,17", steps=1, label="cat").labels.tolist() == [2, 2]
    with pytest.raises(BadInput, match=r"bee and cat.*label="):
        walks.interpolate(noisy, "0:1,2", steps=1)
    with pytest.raises(genzoo.UnknownName, match="cat"):
        walks.interpolate(noisy, "0:1,2", label="catt")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"sample": "3"}, "got 1"),
        ({"sample": []}, "seeds"),
        ({"sample": "3,4", "steps": 0}, "steps.*got 0"),
        ({"sample": "3,4", "how": "fly"}, "'fly'"),
        ({"sample": "3,4", "label": 1}, "unconditional"),
        ({"sample": torch.zeros(2, 4)}, r"\(n, 5\).* 4\)"),
    ],
)
def test_a_walk_that_cannot_be_is_refused(latent, arguments, named):
    with pytest.raises(BadInput, match=named):
        walks.interpolate(latent, **arguments)


def test_a_walk_beyond_the_memory_says_how_long_one_may_be(latent, monkeypatch):
    monkeypatch.setattr(walks, "memory", lambda: 10**6)
    with pytest.raises(BadInput, match=r"2,001 samples .* 162 steps"):
        walks.interpolate(latent, "3,4,5", steps=1000)
    assert len(walks.interpolate(latent, "3,4,5", steps=162)) == 325
    with pytest.raises(BadInput, match="81 rows"):
        walks.traverse(latent, grid=(100, 4))


# -------------------------------------------------------------------------------------- traversals


def record_codes(latent, monkeypatch):
    """The codes of each call of ``decode_codes`` from here on."""
    decoded, decode = [], latent.decode_codes
    monkeypatch.setattr(
        type(latent), "decode_codes", lambda _, c, **more: decoded.append(c) or decode(c, **more)
    )
    return decoded


def test_a_traversal_changes_two_numbers_by_the_normals_quantiles(latent, monkeypatch):
    decoded = record_codes(latent, monkeypatch)
    grid = walks.traverse(latent, (3, 1), grid=(2, 3), sample="0:5")
    (codes,) = decoded
    deviates = [-0.67449, 0.67449], [-0.96742, 0, 0.96742]  # at 1/4, 3/4; at 1/6, 1/2, 5/6
    assert codes[:, 3].tolist() == pytest.approx(np.repeat(deviates[0], 3), abs=1e-4)
    assert codes[:, 1].tolist() == pytest.approx(np.tile(deviates[1], 2), abs=1e-4)
    rest = latent.codes(1, start=5)[:, [0, 2, 4]]
    assert torch.equal(codes[:, [0, 2, 4]], rest.expand(6, 3))
    assert (len(grid), grid.call["dims"], grid.call["grid"]) == (6, [3, 1], [2, 3])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"dims": (0, 5)}, "dims.* 4, got 5"),
        ({"dims": (-1, 2)}, "dims.* 4, got -1"),
        ({"dims": (2, 2)}, "dims.*got 2"),
        ({"grid": (0, 3)}, "rows.* got 0"),
        ({"grid": (3, 0)}, "columns.* got 0"),
        ({"sample": "3,4"}, "got 2"),
        ({"dims": (1, 2, 3)}, r"dims= .*two whole numbers like 3,7, got \(1, 2, 3\)"),
        ({"dims": 3}, "dims= .*two whole numbers like 3,7, got 3"),
        ({"dims": (1, 2.5)}, "dims= .*two whole numbers"),
        ({"dims": "1,2,3"}, "dims= .*got '1,2,3'"),
        ({"dims": "all"}, r"genzoo\.sweep"),
        ({"grid": (3, 4, 5)}, "grid= .*like 3x5"),
        ({"grid": "3,5"}, "grid= .*like 3x5, got '3,5'"),
    ],
)
def test_a_traversal_that_cannot_be_is_refused(latent, arguments, named):
    with pytest.raises(BadInput, match=named):
        walks.traverse(latent, **arguments)


def test_a_traversal_takes_the_words_of_the_command(latent):
    words = walks.traverse(latent, "3, 1", grid="2x3")
    assert torch.equal(words.tensor, walks.traverse(latent, (3, 1), grid=(2, 3)).tensor)
    assert (words.call["dims"], words.call["grid"]) == ([3, 1], [2, 3])


# -------------------------------------------------------------------------------------- arithmetic


def test_a_sum_of_means_and_what_is_around_it(latent):
    sums = arithmetic.arithmetic(latent, "0:3,5 - 0:1 + 0:7,8,11")
    mean = {k: latent.codes(12)[rows].mean(0) for k, rows in {"a": [3, 5], "c": [7, 8, 11]}.items()}
    total = mean["a"] - latent.codes(12)[1] + mean["c"]
    assert torch.allclose(sums.code[0], total, atol=1e-6)
    assert torch.allclose(sums.around[4].tensor, latent.decode_codes(total[None]).tensor, atol=1e-6)
    assert [(sign, len(part)) for sign, part in sums.terms] == [(1, 3), (-1, 2), (1, 4)]
    drawn = latent.sample(12)
    assert torch.allclose(sums.terms[0][1].tensor[:2], drawn.tensor[[3, 5]], atol=1e-6)
    assert torch.allclose(
        sums.terms[2][1].tensor[-1:], latent.decode_codes(mean["c"][None]).tensor, atol=1e-6
    )


def test_the_eight_around_a_sum_differ_by_uniform_noise(latent, monkeypatch):
    decoded = record_codes(latent, monkeypatch)
    sums = arithmetic.arithmetic(latent, [(1, [3])])
    again = arithmetic.arithmetic(latent, [(1, [3])], seed=1)
    noise = torch.cat([decoded[1][:4], decoded[1][5:]]) - sums.code
    assert noise.abs().max() <= 0.25
    assert noise.max() > 0.2
    assert noise.min() < -0.2
    assert torch.equal(decoded[1][4], sums.code[0])
    assert not torch.equal(decoded[1][:4], decoded[3][:4])
    assert again.around.call["seed"] == 1


@pytest.mark.parametrize("text", ["", "+", "3 +", "3 - - 4", "3 + x", "3 4", "3 * 4"])
def test_what_is_no_sum_is_refused(latent, text):
    with pytest.raises(BadInput):
        arithmetic.arithmetic(latent, text)


def test_a_sum_may_begin_with_a_minus(latent):
    sums = arithmetic.arithmetic(latent, "-3 + 4")
    codes = [latent.codes(1, seed=s) for s in (3, 4)]
    assert torch.allclose(sums.code, codes[1] - codes[0])
    assert sums.picture(1).size == sums.picture(1).size


def test_the_figure_of_a_sum_has_columns_means_and_nine(latent):
    sums = arithmetic.arithmetic(latent, "0:3,5,9 - 0:1,2 + 0:7")
    sheet = np.asarray(sums.picture(2)).astype(float) / 255
    gap, sign, side = arithmetic.GAP, arithmetic.SIGN, 16
    high = side + arithmetic.BAND + gap
    foot = gap + 3 * high + sign

    def cell(left, top):
        shown = torch.from_numpy(sheet[top : top + side : 2, left : left + side : 2])
        return shown.permute(2, 0, 1)

    for i, (_, part) in enumerate(sums.terms):
        left = gap + i * (side + gap + sign)
        assert (cell(left, foot) - part.tensor[-1]).abs().max() < 1 / 255
        assert (cell(left, foot - sign - high) - part.tensor[-2]).abs().max() < 1 / 255
    middle = gap + 3 * (side + gap + sign) + side + gap, foot - high
    assert (cell(*middle) - sums.around.tensor[4]).abs().max() < 1 / 255
    assert sheet.shape[:2] == (foot + high, middle[0] + 2 * (side + gap))


# -------------------------------------------------------------------------------- the command line


def test_interpolate_writes_a_film_a_strip_or_a_folder(here, capsys):
    line = f"interpolate {SMALL} --device cpu --sample 3,17 --steps 4"
    for path in ("w.gif", "w.png", "w", "w.npy"):
        assert call(capsys, f"{line} -o {path}")[:2] == (0, f"{path}\n")
    model = genzoo.load(SMALL, device="cpu")
    with Image.open("w.gif") as movie, Image.open("w.png") as strip:
        assert movie.n_frames == 5
        assert strip.size == (5 * 172 + 20, 48 + 168 + 24 + 12)
        assert movie.size == (812 + 24, 48 + 812 + 24 + 12)
    assert (np.load("w.npy")[-1] == one(model, 17)[0].numpy()).all()
    names = sorted(p.name for p in Path("w").iterdir())
    assert names == [*(f"{i:08}.png" for i in range(5)), "record.json"]
    with Image.open("w/00000004.png") as last:
        assert last.tobytes() == model.sample(1, seed=17).grid(scale=1, gap=0).tobytes()


def test_a_walk_is_saved_as_the_command_writes_it(latent, tmp_path):
    """As a film of its steps, and as a folder of an image each."""
    walk = genzoo.interpolate(latent, "1,2", steps=3)
    film_path, folder = walk.save(tmp_path / "walk.gif"), walk.save(tmp_path / "walk")
    with Image.open(film_path) as picture:
        assert picture.n_frames == len(walk) == 4
    assert len([*folder.glob("*.png")]) == 4
    with pytest.raises(BadInput, match="a film needs whole rows of at least two images"):
        walk[0].save(tmp_path / "one.gif")


@pytest.mark.parametrize(("path", "n"), [("w.png", 8 + 1), ("w.gif", 30 + 1)])
def test_a_strip_has_fewer_steps_than_a_film(path, n, here, capsys):
    _, out, _ = call(capsys, f"interpolate {SMALL} --device cpu --sample 3,17 -o {path} --json")
    assert json.loads(out)["n"] == n


def test_several_rows_play_forward_and_back():
    """Two rows of four: a frame holds a column, and no end is shown twice."""
    levels = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 1, 2, 2) / 8
    frames = [np.asarray(f) / 255 * 8 for f in film.make_frames(Images(levels), 4, 1)]
    assert [round(f[2, 2]) for f in frames] == [0, 1, 2, 3, 2, 1]
    assert [round(f[-3, -3]) for f in frames] == [4, 5, 6, 7, 6, 5]


def test_pictures_of_walks_say_how_they_were_made(here, capsys):
    assert call(capsys, f"interpolate {SMALL} --sample 3:0,0:17 --steps 2 -o w.gif")[0] == 0
    provenance = genzoo.inspect("w.gif")
    assert provenance.synthetic
    assert (provenance.record.origin.model, provenance.record.call.method) == (SMALL, "interpolate")
    assert provenance.record.seeds == ((3, 0), (3, 0), (0, 17))
    with pytest.raises(BadInput, match="interpolate"):
        genzoo.reproduce("w.gif")
    assert call(capsys, f"traverse {SMALL} --grid 2x3 --no-metadata -o t.png")[0] == 0
    assert genzoo.inspect("t.png").record is None
    assert call(capsys, f"arithmetic {SMALL} 3 - 4 + 5 -o a.png")[0] == 0
    provenance = genzoo.inspect("a.png")
    assert (provenance.synthetic, provenance.record.call.method) == (True, "arithmetic")


def test_json_holds_the_whole_call(here, capsys):
    code, out, _ = call(capsys, f"interpolate {SMALL} --sample 3:0,0:17 --steps 2 --loop --json")
    result = json.loads(out)
    assert (code, result["path"], result["n"]) == (0, "vae-mnist-walk.gif", 4)
    call_ = {"through": [[3, 0], [0, 17]], "steps": 2, "loop": True, "how": "slerp"}
    assert result["call"] == {
        "method": "interpolate",
        **call_,
        "sampling": {"truncation": None, "temperature": None, "observation_noise": 0.0},
    }
    code, out, _ = call(capsys, f"arithmetic {SMALL} 0:3,5 - 7 --json")
    result = json.loads(out)
    assert result["call"]["terms"] == [[1, [[0, 3], [0, 5]]], [-1, [[7, 0]]]]
    assert len(result["code"]) == 20


def test_a_numbered_sheet_is_what_sample_draws_and_is_drawn_again(here, capsys):
    line = f"sample {SMALL} -n 7 --seed 4 --start 10 --device cpu"
    assert call(capsys, f"{line} --numbers -o n.png")[0] == 0
    assert call(capsys, f"{line} -o p.png")[0] == 0
    with Image.open("n.png") as numbered, Image.open("p.png") as plain:
        sheets = [np.asarray(picture) for picture in (numbered, plain)]
    one_, other = (sheet[: 2 + 196] for sheet in sheets)
    assert (one_ == other).all()
    assert (sheets[0][198:224] > 128).sum() > 50, "no numbers"
    assert sheets[0].shape[0] == sheets[1].shape[0] + 2 * 26
    assert (sheets[0][-200:, -190:] == 255).all(), "there is no eighth"
    assert genzoo.reproduce("n.png", device="cpu").state == "equal"
    walk = walks.interpolate(genzoo.load(SMALL, device="cpu"), "4:11,12", steps=1)
    cells = genzoo.load(SMALL, device="cpu").sample(5, seed=4, start=10)
    assert torch.allclose(walk.tensor, cells.tensor[1:3], atol=1e-6)


def test_a_number_that_has_no_place_is_shortened():
    images = genzoo.Images(torch.zeros(1, 1, 28, 28), None, [(2**40, 7)])
    short = genzoo.Images(torch.zeros(1, 1, 28, 28), None, [(0, 7)])
    long = images.grid(scale=1, numbers=True)
    assert long.size == (32, 46)
    assert long.tobytes() != short.grid(scale=1, numbers=True).tobytes()
    assert np.asarray(long)[30:].any()


BAD = [
    ("interpolate vae-mnist --sample 3,0:17", "3,0:17"),
    ("interpolate vae-mnist --sample 3", "got 1"),
    ("interpolate vae-mnist --sample a,b", "'a,b'"),
    ("interpolate vae-mnist --sample 3,4 --steps 0", "got 0"),
    ("interpolate vae-mnist --sample 3,4 --how fly", "'fly'"),
    ("interpolate vae-mnist --sample 3,4 --label 1", "has no classes"),
    ("interpolate cgan-mnist --sample 3,4 --label x", "'x'"),
    ("interpolate cgan-mnist --sample 0:3,4", "3 and 4"),
    ("interpolate vae-mnist --sample 3,4 -o walk.txt", "walk.txt"),
    ("interpolate vae-mnist --sample 3,4 -o gone/x.gif", "gone"),
    ("interpolate vae-mnist --sample 3,4 --steps 999999999 -o w.npy", "steps fit"),
    ("interpolate vae-mnist --sample 3,4 --steps 99999999 -o w.gif", "GB"),
    ("interpolate pixelcnn-mnist --sample 3,4", "cgan-fashion-mnist"),
    ("interpolate cyclegan-hair --sample 3,4", "no latent code"),
    ("traverse vae-mnist --dims 3,20", "19, got 20"),
    ("traverse vae-mnist --dims 3", "--dims"),
    ("traverse vae-mnist --grid 0x0", "rows"),
    ("traverse vae-mnist --grid 9", "--grid"),
    ("traverse vae-mnist --grid 99999x99999", "rows fit"),
    ("traverse vae-mnist --sample 3,4", "got 2"),
    ("arithmetic vae-mnist 3 -", "'3 -'"),
    ("arithmetic vae-mnist 3 - x", "'x'"),
    ("arithmetic vae-mnist 3 -o x.gif", "x.gif"),
    ("sample vae-mnist --numbers -o folder", "--numbers"),
]


@pytest.mark.parametrize(("line", "named"), BAD)
def test_bad_input_is_one_line_and_writes_nothing(line, named, here, capsys):
    code, out, err = call(capsys, line)
    err = "\n".join(t for t in err.splitlines() if "trained on data with terms" not in t)
    assert (code, out) == (2, "")
    assert named in err
    assert "\n" not in err
    assert [*here.iterdir()] == []


def test_points_have_walks_too(here, capsys):
    parts = families.get("wgan-gp")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = parts.model(parts.config(shape=(2,), latent_dim=3, width=8))
    genzoo.save(model, "points", family="wgan-gp")
    assert call(capsys, "interpolate ./points --sample 3,4 --steps 5 -o points-walk.npy")[:2] == (
        0,
        "points-walk.npy\n",
    )
    assert np.load("points-walk.npy").shape == (6, 2)
    code, _, err = call(capsys, "interpolate ./points --sample 3,4 -o x.gif")
    assert (code, "x.gif" in err) == (2, True)
    code, _, err = call(capsys, "arithmetic ./points 3 - 4")
    assert (code, "points-sum.png" in err) == (2, True)


def test_a_film_is_written_whole_or_not_at_all(here, latent, monkeypatch):
    walk = walks.interpolate(latent, "3,4", steps=2)
    monkeypatch.setattr(film, "json", None)
    with pytest.raises(AttributeError):
        writing.write(iter([walk]), 3, Path("w.gif"))
    assert [*here.iterdir()] == []
