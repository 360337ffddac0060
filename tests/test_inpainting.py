"""Projection finds codes again, inpainting keeps what is known, bad masks are refused."""

import copy
import itertools
import json
import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import data
from genzoo.cli import run
from genzoo.editing import blending, inpainting, masks, projection
from genzoo.editing.projection import Adversary
from genzoo.errors import BadInput
from genzoo.metrics.statistics import similarity
from genzoo.zoo import folder, names

QUICK = {"steps": 20, "restarts": 2}


def call(capsys, *words):
    code = run([*map(str, words)])
    return code, *capsys.readouterr()


class CornerDiscriminator(genzoo.Discriminator):
    """Prefers pictures that are bright in their last corner."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(4.0))

    def forward(self, x, labels=None):  # (n, C, H, W) -> (n,)
        return self.weight * x[:, 0, -1, -1]

    def features(self, x):
        return [x]


class ToyCompleter(genzoo.Completer):
    """Draws a 0 or a 1 for every pixel."""

    shape, value_range, levels = (1, 4, 4), (0.0, 1.0), 2

    def __init__(self, config=None):
        super().__init__(config)

    def generate(self, noise, labels, sampling):
        return (noise.uniform(*self.shape) > 0.5).float()

    def complete(self, x, mask, noise, labels, sampling):
        return torch.where(mask > 0, x, self.generate(noise, labels, sampling))


# --------------------------------------------------------------------------------------- projection


def test_a_sample_finds_its_way_home(latent):
    x = latent.sample(6, seed=3)
    result = genzoo.project(latent, x, steps=150)
    assert result.codes.shape == (6, 5)
    assert result.history.shape == (151, 6)
    assert result.path.shape == (151, 6, 5)
    assert torch.equal(result.path[-1], result.codes)
    assert similarity.psnr(result.samples.tensor, x.tensor).median() > 30
    assert (result.history[-1] < result.history[0] / 2).all()


def test_adam_is_what_the_paper_has():
    """Gradients 1 and 3: means 0.1 (0.9 + 3) / 0.19, of squares 0.001 (0.999 + 9) / 0.001999."""
    adam = projection.Adam(torch.zeros(1))
    assert adam(torch.ones(1)).item() == pytest.approx(1, abs=1e-5)
    second = (0.39 / 0.19) / (0.009999 / 0.001999) ** 0.5
    assert adam(torch.full((1,), 3.0)).item() == pytest.approx(second, abs=1e-4)


class Shifted(genzoo.Latent, genzoo.Encoder):
    """Its code is its sample, and its encoder always gives 0."""

    kind, shape, value_range, latent_dim = "points", (4,), None, 4

    def decode(self, code, labels=None, noise=None):  # (n, 4) -> (n, 4)
        return code

    def embed(self, x):  # (n, 4) -> (n, 4)
        return torch.zeros_like(x)


def test_the_rate_falls_along_a_cosine():
    """Far from the target the gradients of L1 are constant, so that Adam's steps are its rates."""
    steps = 10
    path = genzoo.project(Shifted(None), torch.full((1, 4), 9.0), restarts=1, steps=steps).path
    moved = path[1:, 0] - path[:-1, 0]
    expected = [0.05 * (1 + math.cos(math.pi * k / steps)) for k in range(steps)]
    assert moved.mean(1).tolist() == pytest.approx(expected, rel=1e-3)
    assert (moved == moved[:, :1]).all()


def test_the_best_restart_is_kept(latent):
    result = genzoo.project(latent, latent.sample(4, seed=3), restarts=3, steps=10)
    assert result.losses.shape == (4, 3)
    assert torch.equal(result.losses.amin(1), result.history[-1])
    apart = (
        latent.from_public(result.samples) - latent.from_public(latent.sample(4, seed=3))
    ).abs()
    assert torch.allclose(apart.flatten(1).sum(1), result.history[-1], rtol=1e-3)


def test_more_restarts_never_do_worse(latent):
    x = latent.sample(4, seed=3)
    few, many = (genzoo.project(latent, x, restarts=r, steps=10).history[-1] for r in (1, 4))
    assert (many <= few + 1e-3).all()


@pytest.mark.parametrize("batch_size", [1, 5, 256])
def test_an_image_is_found_alike_in_any_company(latent, batch_size):
    x = latent.sample(5, seed=3).tensor
    whole = genzoo.project(latent, x, **QUICK)
    again = genzoo.project(latent, x, batch_size=batch_size, **QUICK)
    assert torch.allclose(whole.codes, again.codes, atol=1e-3)
    first = genzoo.project(latent, x[:2], **QUICK)
    assert torch.allclose(whole.codes[:2], first.codes, atol=1e-3)


def test_inference_mode_is_no_obstacle(latent):
    x = latent.sample(2, seed=3).tensor
    plain = genzoo.project(latent, x, **QUICK)
    with torch.no_grad():
        assert torch.equal(genzoo.project(latent, x, **QUICK).codes, plain.codes)
    model = copy.deepcopy(latent)
    with torch.inference_mode():
        model.sample(2)  # makes the private copy
        result = genzoo.project(model, x, **QUICK)
    assert torch.allclose(result.codes, plain.codes, atol=1e-4)


def test_codes_stay_typical(latent):
    x = torch.ones(3, 3, 8, 8)  # nothing that it could draw
    norms = genzoo.project(latent, x, steps=60).path.norm(dim=-1)
    assert norms.max() < 3.9  # 99 % of the chi-squared law with 5 degrees of freedom: 15.09


def test_the_encoder_gives_the_first_start(latent, monkeypatch):
    x, start = latent.sample(2, seed=3), torch.full((2, 5), 0.25)
    monkeypatch.setattr(type(latent), "embed", lambda self, x: start.clone())
    result = genzoo.project(latent, x, steps=0, restarts=1)
    assert torch.equal(result.codes, start)


def test_the_discriminator_takes_part(latent):
    x, half = latent.sample(3, seed=3), torch.ones(3, 8, 8)
    half[:, 4:] = 0
    for loss, score in (("non-saturating", lambda s: -torch.nn.functional.softplus(s)),
                        ("wasserstein", lambda s: -s)):  # fmt: skip
        adversary = Adversary(CornerDiscriminator(), loss)
        how = {"mask": half, "adversary": adversary, "window": 0, "steps": 40, "restarts": 1}
        free, bound = (genzoo.project(latent, x, weight=w, **how) for w in (0, 50))
        assert (free.discriminator_loss, bound.discriminator_loss) == ("", loss)
        corners = (v.samples.tensor[:, 0, -1, -1] for v in (bound, free))
        assert (next(corners) > next(corners)).all()
        made = latent.from_public(bound.samples)
        known = ((made - latent.from_public(x)).abs() * half).flatten(1).sum(1)
        term = score(CornerDiscriminator()(made))
        assert torch.allclose(bound.history[-1], known + 50 * term, atol=0.05)


def test_a_discriminator_is_loaded_only_where_it_takes_part(monkeypatch):
    loads = []
    real = folder.load_discriminator
    monkeypatch.setattr(folder, "load_discriminator", lambda *a: loads.append(a) or real(*a))
    x = torch.zeros(1, 1, 28, 28)
    assert genzoo.project("dcgan-mnist", x, steps=0, weight=0).discriminator_loss == ""
    assert loads == []
    assert genzoo.project("dcgan-mnist", x, steps=0).discriminator_loss == "non-saturating"
    assert len(loads) == 1
    assert genzoo.project("wgan-gp-mnist", x, steps=0).discriminator_loss == "wasserstein"
    assert genzoo.project("vae-mnist", x, steps=0).discriminator_loss == ""
    assert len(loads) == 2


def test_the_class_is_found_too():
    model = genzoo.load("cgan-mnist", device="cpu")
    x = model.sample(3, labels=[0, 1, 7], seed=1)
    result = genzoo.project(model, x, steps=0, restarts=1)
    assert result.labels.tolist() == [0, 1, 7]
    given = genzoo.project(model, x, labels=4, steps=0, restarts=1)
    assert given.labels.tolist() == [4, 4, 4]


def test_generated_digits_are_found_to_25_decibels():
    """Of 20 samples, with four restarts, at least 16."""
    model = genzoo.load("dcgan-mnist", device="cpu")
    x = model.sample(20, seed=1)
    result = genzoo.project(model, x, restarts=4)
    assert (similarity.psnr(result.samples.tensor, x.tensor) >= 25).sum() >= 16


def test_out_of_memory_names_a_batch_size_that_fits(latent, monkeypatch):
    decode = type(latent).decode

    def small(self, code, labels=None, noise=None):
        if code.requires_grad and len(code) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return decode(self, code, labels, noise)

    monkeypatch.setattr(type(latent), "decode", small)
    x = latent.sample(8, seed=3)
    with pytest.raises(BadInput, match=r"use batch_size=2$"):
        genzoo.project(latent, x, batch_size=16, **QUICK)
    assert len(genzoo.project(latent, x, batch_size=2, **QUICK).codes) == 8


# --------------------------------------------------------------------------------------- inpainting


@pytest.mark.parametrize("mask", ["centre", "box:1,2,3,4", "random:0.5"])
def test_what_is_known_stays_bit_for_bit(latent, mask):
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, result = (genzoo.inpaint(latent, x, mask, blend=b, **QUICK) for b in (False, True))
    assert not result.exact
    assert torch.equal(result.samples.tensor[result.known], x[result.known])
    made = plain.projection.samples.tensor
    assert torch.equal(plain.samples.tensor, x.where(plain.known, made))
    assert torch.equal(result.projection.codes, plain.projection.codes)
    expected = blending.blend(x, made, plain.known).clamp(0, 1)
    assert torch.equal(result.samples.tensor, expected)
    assert 0 < result.known.float().mean() < 1


def test_what_is_unknown_changes_nothing(latent):
    x = latent.sample(2, seed=3).tensor
    other = x.clone()
    other[:, :, 2:6, 2:6] = 1 - other[:, :, 2:6, 2:6]
    one, two = (genzoo.inpaint(latent, v, **QUICK).samples.tensor for v in (x, other))
    assert torch.equal(one, two)


def test_a_completer_draws_given_the_rest():
    model, x = ToyCompleter(), torch.full((3, 1, 4, 4), 0.7)
    result = genzoo.inpaint(model, x, "box:0,2,4,2", seed=4)
    assert result.projection is None
    assert torch.equal(result.samples.tensor[result.known], x[result.known])
    assert set(result.samples.tensor[~result.known].tolist()) == {0.0, 1.0}
    alone = genzoo.inpaint(model, x, "box:0,2,4,2", seed=4, batch_size=1)
    assert torch.equal(result.samples.tensor, alone.samples.tensor)


@pytest.mark.parametrize(
    ("says", "in_order", "mask", "exact"),
    [
        (True, False, "centre", True),
        (False, False, "box:0,2,4,2", False),
        (False, True, "box:0,2,4,2", True),  # the lower half: nothing known comes later
        (False, True, "box:2,3,2,1", True),
        (False, True, "box:0,3,2,1", False),
        (False, True, "centre", False),
    ],
)
def test_a_draw_is_exact_if_it_looks_at_all_known_pixels(says, in_order, mask, exact):
    model = ToyCompleter()
    model.completes_exactly, model.in_raster_order = says, in_order
    result = genzoo.inpaint(model, torch.full((2, 1, 4, 4), 0.7), mask)
    assert result.exact == exact
    assert ("exact" in result.method) == exact
    assert ("raster order" in result.method) == (in_order and not exact)


def test_a_completer_sees_its_own_levels(monkeypatch):
    model, seen = ToyCompleter(), []
    monkeypatch.setattr(
        ToyCompleter, "complete", lambda self, x, *rest: (seen.append(x), torch.zeros_like(x))[1]
    )
    genzoo.inpaint(model, torch.full((1, 1, 4, 4), 0.7))
    assert set(seen[0].unique().tolist()) == {1.0}


def test_a_conditional_completer_needs_labels():
    x = torch.zeros(1, 1, 28, 28)
    with pytest.raises(BadInput, match="labels"):
        genzoo.inpaint("pixelcnn-mnist-labels", x)


def test_other_models_get_a_list_of_those_that_can(translator):
    with pytest.raises(BadInput, match=r"dcgan-mnist.*pixelcnn-mnist"):
        genzoo.inpaint(translator, torch.zeros(1, 3, 8, 8))
    with pytest.raises(BadInput, match="no latent code") as error:
        genzoo.project(ToyCompleter(), torch.zeros(1, 1, 4, 4))
    assert "pixelcnn" not in str(error.value)


def test_frames_lead_from_the_start_to_the_end(latent):
    result = genzoo.inpaint(latent, latent.sample(2, seed=3), **QUICK)
    frames = result.frames(5)
    assert len(frames) == 5
    assert torch.equal(frames[-1], result.samples.tensor)
    assert all(torch.equal(f[result.known], frames[-1][result.known]) for f in frames)
    assert not torch.equal(frames[0], frames[1])


def test_frames_show_more_of_the_first_steps(latent):
    """Of 16 steps those at the squares of 0, 1/4, 1/2 and 3/4 of the way."""
    x = latent.sample(2, seed=3)
    result = genzoo.inpaint(latent, x, blend=False, **{**QUICK, "steps": 16})
    unknown, path = ~result.known, result.projection.path
    for frame, step in zip(result.frames(5), (0, 1, 4, 9), strict=False):
        expected = latent.decode_codes(path[step]).tensor
        assert torch.allclose(frame[unknown], expected[unknown], atol=1e-5)


@pytest.mark.parametrize(
    ("images", "named"),
    [
        (torch.zeros(2, 1, 8, 8), "3, 8, 8.*1, 8, 8"),
        (torch.zeros(0, 3, 8, 8), "none"),
        (torch.full((1, 3, 8, 8), float("nan")), "nan"),
        ("photo.png", "photo.png"),
    ],
)
def test_bad_images_are_refused(latent, images, named):
    with pytest.raises(BadInput, match=named):
        genzoo.inpaint(latent, images)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"steps": -1}, "steps.*-1"),
        ({"restarts": 0}, "restarts.*0"),
        ({"weight": float("nan")}, "weight.*nan"),
        ({"batch_size": 0}, "batch_size.*0"),
        ({"seed": -1}, "seed.*-1"),
        ({"window": 4}, "window.*odd.*4"),
    ],
)
@pytest.mark.parametrize("exact", [False, True])
def test_bad_numbers_are_refused(latent, options, named, exact):
    model = ToyCompleter() if exact else latent
    with pytest.raises(BadInput, match=named):
        genzoo.inpaint(model, torch.zeros(1, *model.shape), **options)


# ------------------------------------------------------------------------------- neighbours, blend


def test_known_pixels_weigh_the_share_of_unknown_ones_around():
    """Yeh et al. 2017, equation 4, pixel by pixel; outside of the image there are no neighbours."""
    known = torch.rand(2, 1, 9, 11, generator=torch.Generator().manual_seed(0)) > 0.3
    known = known.expand(2, 3, 9, 11)
    weights = projection.neighbour_weights(known, 7)
    for i, y, x in itertools.product(range(2), range(9), range(11)):
        near = known[i, 0, max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
        share = (~near).float().mean().item() if known[i, 0, y, x] else 0.0
        assert weights[i, :, y, x].tolist() == pytest.approx([share] * 3, abs=1e-6)
    assert torch.equal(projection.neighbour_weights(known, 0), known.float())


def test_far_from_the_hole_nothing_counts(latent):
    x = latent.sample(1, seed=3).tensor
    other = x.clone()
    other[:, :, 7] = 1 - other[:, :, 7]
    how = {"mask": "box:1,1,2,2", "window": 3, **QUICK}
    one, two = (genzoo.inpaint(latent, v, **how).projection for v in (x, other))
    assert torch.equal(one.codes, two.codes)
    free = [genzoo.inpaint(latent, v, **how | {"window": 0}).projection for v in (x, other)]
    assert not torch.equal(free[0].codes, free[1].codes)
    assert free[0].losses.min() > one.losses.min()


def test_a_channel_may_stand_for_the_others():
    """Where only the colour is unknown, each known value is beside unknown ones: all count."""
    known = torch.tensor([True, False, False]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert torch.equal(projection.neighbour_weights(known, 7), known.float())


def poisson(photo, filling, known):
    """Equation 7 by its definition: least squares over all pairs of neighbours, in one matrix."""
    height, width = photo.shape
    unknown = {(y, x): i for i, (y, x) in enumerate((~known).nonzero().tolist())}
    rows, sides = [], []
    for y, x in itertools.product(range(height), range(width)):
        for pair in ((y + 1, x), (y, x + 1)):
            if pair[0] == height or pair[1] == width or not {(y, x), pair} & {*unknown}:
                continue
            row, side = (
                torch.zeros(len(unknown), dtype=torch.float64),
                filling[y, x] - filling[pair],
            )
            for place, sign in (((y, x), 1), (pair, -1)):
                if place in unknown:
                    row[unknown[place]] = sign
                else:
                    side = side - sign * photo[place]
            rows.append(row)
            sides.append(side)
    solution = torch.linalg.lstsq(torch.stack(rows), torch.stack(sides)[:, None]).solution[:, 0]
    return photo.double().masked_scatter(~known, solution)


@pytest.mark.parametrize("mask", ["box:2,3,4,2", "box:0,0,5,3", "random:0.6"])
def test_blending_solves_the_equation_of_poisson(mask):
    numbers = torch.Generator().manual_seed(0)
    photo, filling = torch.rand(2, 2, 3, 7, 9, dtype=torch.float64, generator=numbers)
    known = masks.known(mask, 2, (3, 7, 9))
    result = blending.blend(photo, filling, known)
    for i, channel in itertools.product(range(2), range(3)):
        at = i, channel
        expected = poisson(photo[at], filling[at], known[at])
        assert torch.allclose(result[at], expected, atol=1e-9)


def test_what_fits_already_is_not_changed_by_blending():
    """A filling that is the photo but for its brightness becomes the photo."""
    photo = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    known = masks.known("centre", 1, (3, 16, 16))
    assert torch.allclose(blending.blend(photo, photo + 0.2, known), photo, atol=1e-6)
    nothing = known.clone()
    nothing[:, 1] = False  # a channel without any border
    result = blending.blend(photo, photo + 0.2, nothing)
    assert torch.equal(result[:, 1], photo[:, 1] + 0.2)


def test_an_image_is_blended_alike_in_any_company():
    photos, fillings = torch.rand(2, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    known = masks.known("random:0.7", 3, (1, 8, 8))
    whole = blending.blend(photos, fillings, known)
    for i in range(3):
        alone = blending.blend(photos[i : i + 1], fillings[i : i + 1], known[i : i + 1])
        assert torch.equal(whole[i : i + 1], alone)


def test_options_that_a_model_cannot_obey_are_refused(latent):
    x = torch.zeros(1, 1, 4, 4)
    with pytest.raises(BadInput, match="blend= would have no effect"):
        genzoo.inpaint(ToyCompleter(), x, blend=True)
    assert genzoo.inpaint(ToyCompleter(), x, blend=False).blended is False
    with pytest.raises(BadInput, match="window= would have no effect"):
        genzoo.inpaint(ToyCompleter(), x, window=7)
    with pytest.raises(BadInput, match="window= would have no effect"):
        genzoo.project(latent, latent.sample(1), window=7)
    points, half = Shifted(None), [1, 1, 0, 0]
    with pytest.raises(BadInput, match="blend= would have no effect"):
        genzoo.inpaint(points, torch.zeros(1, 4), half, blend=True)
    with pytest.raises(BadInput, match="window= would have no effect"):
        genzoo.inpaint(points, torch.zeros(1, 4), half, window=7)
    assert not genzoo.inpaint(points, torch.zeros(1, 4), half, steps=2).blended


# -------------------------------------------------------------------------------------------- masks


def test_masks_say_what_is_known():
    centre = masks.known("centre", 1, (1, 8, 8))[0, 0]
    assert (~centre).nonzero().amin(0).tolist() == [2, 2]
    assert (~centre).sum() == 16
    box = masks.known("box:1,2,3,4", 2, (3, 8, 8))
    assert (~box).sum() == 2 * 3 * 12
    assert not box[1, 2, 2:6, 1:4].any()


def test_a_random_mask_goes_by_seed_and_index():
    one, more = (masks.known("random:0.8", n, (3, 32, 32), seed=1) for n in (1, 3))
    assert torch.equal(one[0], more[0])
    assert not torch.equal(more[0], more[1])
    assert 0.75 < 1 - more.float().mean() < 0.85
    assert torch.equal(more[:, 0], more[:, 2])


def test_in_a_file_white_is_unknown(tmp_path):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[:4] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    result = masks.known(tmp_path / "mask.png", 1, (1, 8, 8))
    assert not result[0, 0, :4].any()
    assert result[0, 0, 4:].all()
    with pytest.raises(BadInput, match=r"8x8.*16x16"):
        masks.known(tmp_path / "mask.png", 1, (1, 16, 16))


@pytest.mark.parametrize(
    ("mask", "named"),
    [
        (torch.ones(8, 8), "all"),
        (torch.zeros(8, 8), "nothing"),
        (torch.full((8, 8), 0.5), "0 and 1"),
        (torch.ones(7, 7), r"\(7, 7\)"),
        (None, "NoneType"),
        ("box:0,0,8,8", "nothing"),
        ("box:4,4,8,8", "4,4,8,8.*8x8"),
        ("box:0,0,0,4", "0,0,0,4"),
        ("box:1,2,3", "'box:1,2,3'"),
        ("random:1.5", "'random:1.5'"),
        ("random:some", "'random:some'"),
        ("center", "'center'"),
    ],
)
def test_bad_masks_are_refused(mask, named):
    with pytest.raises(BadInput, match=named):
        masks.known(mask, 1, (1, 8, 8))


@pytest.mark.parametrize("function", [genzoo.inpaint, genzoo.project])
def test_a_mask_is_checked_before_a_model_is_loaded(function, tmp_path, monkeypatch):
    for module in (inpainting, projection):
        monkeypatch.setattr(module, "open_model", None)
    (tmp_path / "text.png").write_text("no picture")
    wrong = {"center": "'center'", tmp_path / "text.png": "text.png", "random:2": "random:2"}
    for mask, named in [*wrong.items(), (torch.full((8, 8), 0.5), "0 and 1")]:
        with pytest.raises(BadInput, match=named):
            function("vae-mnist", torch.zeros(1, 28, 28), mask=mask)


# ------------------------------------------------------------------------------------------ command


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with a digit of our own."""
    monkeypatch.chdir(tmp_path)
    genzoo.load("dcgan-mnist", device="cpu").sample(1, seed=5).save("digit.png")
    return tmp_path


FAST = ("--steps", 3, "--restarts", 1, "--weight", 0)


def test_the_command_fills_in(here, capsys):
    code, out, err = call(
        capsys, "inpaint", "dcgan-mnist", "digit.png", "--mask", "box:0,14,28,14", "-o", "out.png",
        "--strip", "strip.png", "--gif", "steps.gif", *FAST,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert out.startswith("out.png: 50% filled in by projection")
    before, after, strip = (data.picture(f, 1) for f in ("digit.png", "out.png", "strip.png"))
    assert (before[:, :14] == after[:, :14]).all()
    # Hidden, the start, three steps, the photo, with names below them.
    assert strip.shape == (1, 140 + 48, 6 * 144 + 20)
    with Image.open("steps.gif") as film:
        assert film.n_frames > 3
    assert genzoo.inspect("out.png").synthetic
    assert genzoo.inspect("strip.png").record.call.method == "inpaint"
    code, _, err = call(capsys, "inpaint", "dcgan-mnist", "digit.png", "-o", "out.png", *FAST)
    assert (code, "--force" in err) == (2, True)


def test_the_command_takes_folders_and_says_json(here, capsys):
    (here / "photos").mkdir()
    for i in range(2):
        shutil.copy("digit.png", here / "photos" / f"{i}.png")
    words = ("inpaint", "vae-mnist", "photos", "digit.png", "-o", "filled", "--json", *FAST)
    code, out, err = call(capsys, *words)
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert (result["n"], len(result["losses"])) == (3, 3)
    assert len([*(here / "filled").glob("*.png")]) == 3


@pytest.mark.parametrize(
    ("size", "mode", "note"),
    [((40, 30), "RGB", "40x30 to 28x28"), ((28, 28), "CMYK", "CMYK to grey"),
     ((28, 28), "I;16", "values 0 to 999 became 0 to 255"), ((28, 28), "LA", "white in place")],
)  # fmt: skip
def test_what_is_done_to_a_photo_is_said(here, caplog, capsys, size, mode, note):
    Image.new("L", size, 7).convert(mode if mode != "I;16" else "I").save("odd.tif")
    if mode == "I;16":
        Image.fromarray(np.full(size, 999, np.uint16)).save("odd.tif")
    code, out, _ = call(capsys, "inpaint", "dcgan-mnist", "odd.tif", *FAST)
    assert (code, note in caplog.text) == (0, True)
    assert out.startswith("odd-filled.png")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("dcgan-mnist", "none.png"), "none.png"),
        (("dcgan-mnist", "empty"), "empty"),
        (("dcgan-mnist", "moving.gif"), "moving.gif"),
        (("dcgan-mnist", "digit.png", "--mask", "center"), "'center'"),
        (("dcgan-mnist", "digit.png", "--strip", "strip.bmp"), "strip.bmp"),
        (("dcgan-mnist", "digit.png", "--gif", "no/steps.gif"), "no"),
        (("dcgan-mnist", "digit.png", "-o", "digit.png"), "digit.png exists"),
        (("cyclegan-hair", "digit.png"), "dcgan-mnist"),
    ],
)
def test_bad_commands_are_one_line(here, capsys, words, named):
    (here / "empty").mkdir()
    first, second = (Image.new("L", (28, 28), v) for v in (0, 255))
    first.save("moving.gif", save_all=True, append_images=[second])
    code, _, err = call(capsys, "inpaint", *words, *FAST)
    assert code == 2
    assert named in err
    assert len(err.strip().splitlines()) <= 2  # a line, and what is done to the photo


def test_able_lists_the_models_with_an_ability():
    assert "pixelcnn-mnist" in names.able(genzoo.Completer)
    assert "cyclegan-hair" not in names.able(genzoo.Latent, genzoo.Completer)
    assert names.able(genzoo.Attentive) == ["sagan-cifar10"]


def test_an_animation_is_no_mask(tmp_path):
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    frames[0].save(tmp_path / "m.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(BadInput, match=r"m\.gif is an animation"):
        masks.known(str(tmp_path / "m.gif"), 1, (1, 8, 8))
    with pytest.raises(BadInput, match="''"):
        masks.known("", 1, (1, 8, 8))
