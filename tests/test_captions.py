"""Pictures for a screen of 1,280 pixels: each strip is wide enough and says what its parts are."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo.editing import directions, strips, walks
from genzoo.models import captions, film, pictures
from genzoo.models.captions import Captions
from genzoo.schemas import Schema

PHOTO = torch.full((1, 8, 8), 0.25)
PAIR = ["photo", "reconstruction"]


class Flat(genzoo.Latent, genzoo.Encoder):
    """Each sample is its code, as shares of the normal distribution."""

    shape, value_range, latent_dim = (1, 8, 8), (0.0, 1.0), 64

    def __init__(self):
        super().__init__(Schema())
        self.weight = torch.nn.Parameter(torch.ones(1))

    def decode(self, code, labels=None):
        return torch.special.ndtr(code * self.weight).view(-1, 1, 8, 8)

    def embed(self, x):
        return torch.special.ndtri(x.flatten(1).clamp(1e-3, 1 - 1e-3))


MODEL = Flat()


def steered(sample):
    return directions.steer(
        MODEL, directions.direction_from_seeds(MODEL, "3", "4"), sample, alphas="-1:1", steps=3
    )


def inpainted():
    x = torch.full((2, 1, 8, 8), 0.5)
    completion = genzoo.inpaint(MODEL, x, "box:0,4,8,4", steps=3, restarts=1)
    return strips.strip_cells(completion, x)


STRIPS = {
    "walk": (lambda: walks.interpolate(MODEL, "0:3,5", steps=2), ["0:3", "1/2", "0:5"]),
    "loop": (
        lambda: walks.interpolate(MODEL, "0:3,5", steps=2, loop=True),
        ["0:3", "1/2", "0:5", "1/2"],
    ),
    "walk from a photo": (
        lambda: walks.interpolate(MODEL, [PHOTO, "0:5"], steps=2),
        [*PAIR, "reconstruction", "1/2", "0:5"],
    ),
    "steps": (lambda: steered("0:3,5"), ["0:3", "0:5", "-1", "0", "1"]),
    "steps from a photo": (lambda: steered(PHOTO), [*PAIR, "-1", "0", "1"]),
    "grid": (
        lambda: walks.traverse(MODEL, (7, 4), grid=(1, 3), sample="0:9"),
        ["0.00", "-0.97", "0.00", "0.97"],
    ),
    "grid of a photo": (
        lambda: walks.traverse(MODEL, (7, 4), grid=(1, 3), sample=PHOTO),
        ["photo,\nreconstruction", "0.00", "-0.97", "0.00", "0.97"],
    ),
    "inpainting": (inpainted, ["known part", "step 0", "step 1", "step 2", "result", "original"]),
}


@pytest.mark.parametrize("kind", STRIPS)
def test_a_strip_is_wide_and_says_what_its_parts_are(kind, monkeypatch):
    """As the command writes it: at least 750 pixels, every text drawn."""
    draw, texts = STRIPS[kind]
    samples, drawn = draw(), []
    whole = captions.ImageDraw.ImageDraw.text

    def note(self, at, text, *rest, **options):
        drawn.append(text)
        return whole(self, at, text, *rest, **options)

    monkeypatch.setattr(captions.ImageDraw.ImageDraw, "text", note)
    with Image.open(io.BytesIO(samples.png())) as picture:
        assert 750 <= picture.width <= 1280
    said = samples.captions
    assert [*said.rows, *said.columns, *said.cells] == texts
    assert {*texts, *([said.title] if said.title else [])} <= {*drawn}
    assert samples[:2].captions is None, "a part of a strip is no strip"


@pytest.mark.parametrize("kind", ["walk", "steps", "steps from a photo"])
def test_each_frame_of_a_film_says_where_it_is(kind):
    samples = STRIPS[kind][0]()
    still = 2 if "photo" in kind else 0
    columns = samples.columns
    own = [samples.captions.of_frame([*range(still), i], columns) for i in range(still, columns)]
    assert len({(one.title, *one.columns, *one.cells) for one in own}) == columns - still
    frames = film.make_frames(samples, columns, None, still)
    assert len({frame.size for frame in frames}) == 1
    assert frames[0].width >= 750


def test_titles_name_what_changes():
    assert STRIPS["walk"][0]().captions.title == "from 0:3 to 0:5"
    grid = STRIPS["grid"][0]().captions.title
    assert grid == "sample 0:9: number 7 of its code changes downwards, 4 to the right"
    made = directions.direction_from_seeds(MODEL, "3", "4")
    smile = directions.Direction(made.vector, made.info.model_copy(update={"attribute": "Smiling"}))
    title = directions.steer(MODEL, smile, "3", alphas=[1]).captions.title
    assert title == "alpha, steps towards Smiling"


@pytest.mark.parametrize(
    ("n", "width", "columns"), [(9, 64, 9), (13, 64, 7), (13, 28, 13), (61, 64, 9), (4, 2000, 1)]
)
def test_a_long_strip_has_several_rows(n, width, columns):
    assert pictures.strip_columns(n, width) == columns


def test_texts_stand_below_and_beside_their_pictures():
    cells = [Image.new("L", (100, 100), 40 * i) for i in range(4)]
    texts = Captions("", rows=["up", "down"], columns=["left", "right"], blank=[1])
    sheet = np.asarray(captions.captioned(cells, texts, 2, gap=4).convert("L"))
    rows, columns = (np.flatnonzero((sheet == 80).any(axis)) for axis in (1, 0))
    top, left = rows[0], columns[0]
    assert (sheet[top : top + 100, left : left + 100] == 80).all(), (
        "the third begins the second row"
    )
    assert (sheet[top - 104 : top - 4, left + 104 : left + 204] == 255).all(), "it stays empty"
    assert (sheet[top + 100 : top + 124, left : left + 100] < 128).any(), "left"
    assert (sheet[top + 30 : top + 70, :left] < 128).any(), "down"
    assert not (sheet[top - 4 : top, left:] < 255).any(), "no text between the rows"


def test_a_caption_without_room_is_smaller_or_cut():
    cells = [Image.new("L", (40, 20))] * 2
    for text in ("photo", "a reconstruction that is long"):
        sheet = captions.captioned(cells, Captions(cells=[text, text]), 2, least=0)
        ink = np.asarray(sheet.convert("L"))[12 + 20 :] < 128
        assert ink.any()
        assert not ink[:, 12 + 40 + 3 : 12 + 40 + 7].any(), "the two do not touch"
