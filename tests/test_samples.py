"""Samples: a sequence and an array of what was drawn; grids, files and what pictures carry."""

import io
import json
import subprocess
import sys
import types
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genzoo.errors import BadInput, OperationFailed
from genzoo.models import viewer
from genzoo.models.origin import Origin
from genzoo.models.picture_files import opened
from genzoo.models.samples import Images, Points, Signals

ORIGIN = Origin("toy-digits", "toy", "ab" * 32, "c0ffee")


def images(n=5, channels=3, size=4, labels=True):
    tensor = torch.linspace(0, 1, n * channels * size**2).reshape(n, channels, size, size)
    numbers = torch.arange(n) % 2 if labels else None
    return Images(tensor, numbers, [(9, i) for i in range(n)], ORIGIN, ("odd", "even"))


# ---------------------------------------------------------------------------------- sequence


@pytest.mark.parametrize("index", [0, 3, 4, -1, -5, np.int64(2)])
def test_an_index_gives_one_sample(index):
    whole = images()
    one = whole[index]
    assert torch.equal(one.tensor, whole.tensor[[index]])
    assert one.labels.tolist() == [whole.labels[index]]
    assert one.seeds == (whole.seeds[index],)
    assert (one.origin, one.class_names) == (ORIGIN, ("odd", "even"))


@pytest.mark.parametrize("rows", [slice(1, 3), slice(-2, None), slice(None, None, 2), slice(9, 9)])
def test_a_slice_gives_some(rows):
    some = images()[rows]
    assert isinstance(some, Images)
    assert torch.equal(some.tensor, images().tensor[rows])
    assert some.seeds == images().seeds[rows]
    assert torch.equal(some.labels, images().labels[rows])


@pytest.mark.parametrize("index", [5, -6, 100])
def test_out_of_range(index):
    with pytest.raises(IndexError, match=f"sample {index} of 5"):
        images()[index]


def test_only_whole_numbers_and_slices_are_indices():
    with pytest.raises(TypeError):
        images()["0"]


def test_iterating_gives_each_once():
    parts = list(images())
    assert [len(p) for p in parts] == [1] * 5
    assert torch.equal(torch.cat([p.tensor for p in parts]), images().tensor)


def test_joining_undoes_iterating():
    whole, again = images(), Images.join(list(images()))
    assert torch.equal(whole.tensor, again.tensor)
    assert torch.equal(whole.labels, again.labels)
    assert (whole.seeds, whole.origin, whole.class_names) == (
        again.seeds, again.origin, again.class_names,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------ adding


def test_adding_concatenates():
    one, other = images(2), images(3)
    both = one + other
    assert torch.equal(both.tensor, torch.cat([one.tensor, other.tensor]))
    assert both.labels.tolist() == [0, 1, 0, 1, 0]
    assert both.seeds == (*one.seeds, *other.seeds)
    assert (both.origin, both.class_names) == (ORIGIN, ("odd", "even"))
    assert torch.equal((images() + images()[:0]).tensor, images().tensor)
    assert len(one) == 2


def test_samples_of_two_models_are_not_one():
    one, other = images(1), images(1)
    other.origin = Origin("other", "toy", "cd" * 32)
    with pytest.raises(BadInput, match=r"samples of two models, .* and other \(cdcdcdcd\)"):
        one + other
    other.origin = None
    assert (one + other).record()["origin"] is None


def test_samples_of_two_calls_name_neither():
    one, other = images(1), images(1)
    one.call, other.call = {"method": "sample"}, {"method": "draw"}
    assert (one + other).call is None
    other.call = {"method": "sample"}
    assert (one + other).call == {"method": "sample"}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Points(torch.zeros(1, 3, 4, 4)), "Images of 3x4x4 and Points of 3x4x4"),
        (images(channels=1), "Images of 3x4x4 and Images of 1x4x4"),
        (images(labels=False), "only one of the two has labels: set its labels to None"),
        (Images(torch.zeros(1, 3, 4, 4), torch.tensor([0])), "labels of other classes"),
    ],
)
def test_what_is_not_alike_cannot_be_added(other, said):
    with pytest.raises(BadInput, match=said):
        images() + other


def test_signals_of_other_rates_cannot_be_added():
    one, other = (Signals(torch.zeros(1, 1, 8), rate=rate) for rate in (8000, 16000))
    with pytest.raises(BadInput, match="1x8 at 8000 Hz and Signals of 1x8 at 16000 Hz"):
        one + other


def test_only_samples_are_added():
    with pytest.raises(TypeError):
        images() + 1


def test_joining_without_labels():
    assert Images.join([images(labels=False), images(labels=False)]).labels is None


# ------------------------------------------------------------------------------------- array


def test_as_tensor():
    whole = images()
    assert torch.equal(torch.as_tensor(whole), whole.tensor)
    assert torch.as_tensor(whole, dtype=torch.float64).dtype == torch.float64


def test_as_tensor_of_what_has_a_gradient():
    made = Points(torch.rand(3, 2, requires_grad=True))
    assert torch.equal(torch.as_tensor(made), made.tensor.detach())


def test_as_array():
    array = np.asarray(images())
    assert array.shape == (5, 3, 4, 4)
    assert array.dtype == np.float32
    assert (array == images().tensor.numpy()).all()


def test_as_array_of_another_dtype():
    assert np.asarray(images(), dtype=np.float64).dtype == np.float64


def test_a_copy_is_a_copy():
    whole = images()
    np.array(whole, copy=True)[:] = 7
    assert torch.equal(whole.tensor, images().tensor)


def test_no_copy_where_none_is_allowed():
    whole = images()
    assert np.shares_memory(np.asarray(whole, copy=False), whole.tensor.numpy())
    with pytest.raises(ValueError, match="copy"):
        np.asarray(whole, dtype=np.float64, copy=False)


# ------------------------------------------------------------------------------- descriptions


def test_repr_is_short():
    assert repr(images()) == "<Images 5x3x4x4 in [0, 1], seed 9>"
    assert repr(Points(torch.zeros(0, 2))) == "<Points 0x2 in [-, -], seed none>"
    assert len(repr(images(500))) < 80


def test_a_record_says_how_to_draw_again():
    record = json.loads(json.dumps(images(2).record()))
    assert record["seeds"] == [[9, 0], [9, 1]]
    assert record["labels"] == [0, 1]
    assert record["origin"] == {
        "model": "toy-digits", "family": "toy", "weights_sha256": "ab" * 32, "revision": "c0ffee",
            "version": 1,
    }  # fmt: skip


def test_a_record_without_origin_or_labels():
    record = Points(torch.zeros(1, 2), None, [(0, 0)]).record()
    assert record["origin"] is None
    assert record["labels"] is None


# -------------------------------------------------------------------------------------- grids


def grey(*values):
    """Pictures of 1 x 2 pixels, one for each pair of bytes."""
    return Images(torch.tensor(values).float()[:, None, None, :] / 255)


def test_grid_layout_to_the_pixel():
    sheet = np.asarray(grey((10, 20), (30, 40), (50, 60)).grid(columns=2, scale=1, gap=1))
    assert sheet.tolist() == [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 10, 20, 0, 30, 40, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 50, 60, 0, 255, 255, 255],
        [0, 0, 0, 0, 255, 255, 255],
    ]


def test_grid_scale_repeats_pixels():
    sheet = np.asarray(grey((10, 20)).grid(scale=3, gap=0))
    assert sheet.tolist() == [[10] * 3 + [20] * 3] * 3


def test_grid_of_colours():
    tensor = torch.zeros(1, 3, 1, 1)
    tensor[0, :, 0, 0] = torch.tensor([1.0, 0.5, 0.0])
    assert Images(tensor).grid(scale=1, gap=0).getpixel((0, 0)) == (255, 128, 0)


@pytest.mark.parametrize(
    ("n", "columns", "size"),
    [
        (1, None, (1, 1)),
        (3, None, (3, 1)),
        (5, None, (5, 1)),
        (7, None, (4, 2)),
        (10, None, (5, 2)),
        (11, None, (4, 3)),
        (16, None, (4, 4)),
        (5, 3, (3, 2)),
        (3, 9, (3, 1)),
    ],
)
def test_a_grid_is_about_square_with_few_empty_places(n, columns, size):
    whole = images(n, size=2)
    assert whole.grid(columns, scale=1, gap=0).size == (2 * size[0], 2 * size[1])


@pytest.mark.parametrize(
    ("n", "size", "scale"),
    [(1, 4, 200), (1, 64, 12), (16, 28, 7), (16, 64, 3), (1, 1000, 1), (81, 64, 2)],
)
def test_a_grid_is_about_800_pixels_wide(n, size, scale):
    """By a whole factor, and never smaller than it is; without one, in Python too."""
    wide = round(n**0.5) * size * scale
    assert images(n, size=size).grid(gap=0).size == (wide, wide)


def test_a_tall_grid_is_enlarged_less():
    assert images(12, size=28).grid(1, gap=0).size == (4 * 28, 12 * 4 * 28)


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".webp", ".pdf"])
def test_other_files_hold_the_same_picture(ending, tmp_path):
    whole = images(4, 3)
    with opened(whole.save(tmp_path / f"x{ending}")) as picture:
        apart = np.abs(np.asarray(picture).astype(int) - np.asarray(whole.grid()))
    assert apart.max() <= (12 if ending in (".jpg", ".JPEG") else 0)


@pytest.mark.parametrize("is_grey", [True, False])
def test_a_film_keeps_grey_levels_and_colours(is_grey, tmp_path):
    frames = torch.linspace(0, 1, 12).reshape(4, 3, 1, 1).expand(4, 3, 8, 8)
    frames = frames[:, :1].expand_as(frames) if is_grey else frames
    path = Images(frames, None, [(0, i) for i in range(4)], None).save(tmp_path / "x.gif", scale=1)
    with Image.open(path) as film:
        for i, frame in enumerate(frames):
            film.seek(i)
            middle = film.convert("RGB").getpixel((5, 5))
            assert middle == pytest.approx((frame[:, 0, 0] * 255).tolist(), abs=0.51)


def test_numbers_are_saved_without_a_scale(tmp_path):
    whole = images(3)
    assert (np.load(whole.save(tmp_path / "x.npy")) == whole.tensor.numpy()).all()
    with pytest.raises(BadInput, match="holds numbers"):
        whole.save(tmp_path / "x.npy", 2)


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"16,383 pixels.*png"):
        Images(torch.zeros(1, 1, 1, 8)).save(tmp_path / "x.webp", 2100)
    many = Images(torch.zeros(1, 1, 2, 2), None, [(0, i) for i in range(9000)])
    with pytest.raises(BadInput, match="65,533 bytes of metadata"):
        many.save(tmp_path / "x.jpg")
    assert many.save(tmp_path / "x.jpg", metadata=False).is_file()


def test_an_empty_grid():
    with pytest.raises(BadInput, match="got none"):
        images()[:0].grid()


def test_values_are_rounded_and_clamped():
    made = Images(torch.tensor([-0.5, 0.5 / 255 + 1e-4, 100.4 / 255, 1.5]).view(1, 1, 1, 4))
    assert np.asarray(made.pil()[0]).tolist() == [[0, 1, 100, 255]]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_pil_gives_each_picture(channels, mode):
    whole = images(3, channels)
    assert [p.mode for p in whole.pil()] == [mode] * 3
    pixels = np.asarray(whole.pil()[1]).reshape(4, 4, channels)
    assert (pixels == (whole.tensor[1] * 255).round().byte().permute(1, 2, 0).numpy()).all()


# -------------------------------------------------------------------------------------- files


def test_a_png_holds_the_grid(tmp_path):
    whole = images()
    path = whole.save(tmp_path / "grid.png", scale=2)
    assert path == tmp_path / "grid.png"
    assert (np.asarray(Image.open(path)) == np.asarray(whole.grid(scale=2))).all()


def test_a_single_picture_has_no_border(tmp_path):
    whole = images(1)
    saved = Image.open(whole.save(tmp_path / "one.png", 1))
    assert (np.asarray(saved) == np.asarray(whole.pil()[0])).all()


def test_a_png_says_that_it_is_synthetic_and_how_to_draw_it_again(tmp_path):
    text = Image.open(images().save(tmp_path / "grid.png")).text
    assert text["Software"].startswith("genzoo ")
    assert "Synthetic" in text["Comment"]
    assert json.loads(text["genzoo"]) == json.loads(json.dumps(images().record()))


def test_xmp_names_the_digital_source_type(tmp_path):
    xmp = Image.open(images().save(tmp_path / "grid.png")).text["XML:com.adobe.xmp"]
    found = [
        value for e in xml.etree.ElementTree.fromstring(xmp).iter() for value in e.attrib.items()
    ]
    assert (
        "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType",
        "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    ) in found


def test_notebooks_show_the_png():
    shown = Image.open(io.BytesIO(images()._repr_png_()))
    assert (np.asarray(shown) == np.asarray(images().grid())).all()


def picture(content):
    return Image.open(io.BytesIO(content))


def test_a_single_image_is_saved_larger_than_it_is_shown(tmp_path):
    """For a projector; a notebook shows it beside text. A folder of data has it as it is."""
    one = images(1)
    assert picture(one._repr_png_()).size == (192, 192)
    assert picture(one.save(tmp_path / "one.png").read_bytes()).size == (800, 800)
    assert picture(one.save(tmp_path / "one.png", 1).read_bytes()).size == (4, 4)


@pytest.mark.parametrize(
    "few",
    [
        images()[:0],
        Points(torch.zeros(0, 2)),
        Points(torch.zeros(2, 2, 2)),
        Points(torch.zeros(200_001, 1)),
        Images(torch.zeros(1, 1, 1, 1).expand(20_000, 1, 64, 64)),
    ],
    ids=repr,
)
def test_what_has_no_picture_is_shown_as_text(few):
    assert few._repr_png_() is None
    assert repr(few).startswith(f"<{type(few).__name__} {len(few)}x")


# ------------------------------------------------------------------------------------------ showing


@pytest.fixture
def screen(tmp_path, monkeypatch):
    """A system with a viewer: what it was asked to open, and how it ends."""
    opened, codes = [], [0]

    class Viewer:
        def __init__(self, command, **_):
            opened.append(command)

        def wait(self, seconds):
            if codes[0] is None:
                raise subprocess.TimeoutExpired("viewer", seconds)
            return codes[0]

    monkeypatch.setattr(viewer.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(viewer.sys, "platform", "linux")
    monkeypatch.setattr(viewer.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(viewer.subprocess, "Popen", Viewer)
    monkeypatch.setattr(viewer, "_viewers", [])
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setitem(sys.modules, "IPython", None)
    return opened, codes


@pytest.mark.parametrize("code", [0, None])
def test_show_opens_a_viewer(screen, capsys, code):
    opened, codes = screen
    codes[0] = code
    images(1).show()
    ((program, path),) = opened
    assert program == "/bin/xdg-open"
    assert picture(Path(path).read_bytes()).size == (192, 192)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("lacks", ["screen", "program", "file"])
def test_show_without_a_screen_says_where_the_picture_is(screen, capsys, monkeypatch, lacks):
    opened, codes = screen
    if lacks == "screen":
        monkeypatch.delenv("DISPLAY")
    elif lacks == "program":
        monkeypatch.setattr(viewer.shutil, "which", lambda name: None)
    else:
        codes[0] = 3
    Points(torch.rand(9, 2)).show()
    line = capsys.readouterr().out
    assert line.startswith("no screen to show it on; the picture is ")
    assert picture(Path(line.split()[-1]).read_bytes()).format == "PNG"
    assert len(opened) == (lacks == "file")


def test_show_in_a_notebook_is_inline(screen, monkeypatch):
    shown, shell = [], types.SimpleNamespace(kernel=1)
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    display = types.SimpleNamespace(display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    whole = images()
    whole.show()
    assert shown == [whole]
    assert screen[0] == []
    del shell.kernel  # a terminal's IPython
    whole.show()
    assert len(screen[0]) == len(shown) == 1


@pytest.mark.parametrize("few", [images()[:0], Points(torch.zeros(2, 2, 2))], ids=repr)
def test_show_of_what_has_no_picture_is_refused(screen, few):
    with pytest.raises(BadInput, match=r"got none|npy"):
        few.show()
    assert screen[0] == []


def test_points_are_saved_as_npy(tmp_path):
    points = Points(torch.randn(4, 2))
    saved = np.load(points.save(tmp_path / "points.npy"), allow_pickle=False)
    assert saved.dtype == np.float32
    assert (saved == points.tensor.numpy()).all()


@pytest.mark.parametrize(
    ("samples", "name", "ending"),
    [
        (images(), "x.bmp", ".png or .jpg or .webp or .pdf or .npy"),
        (Points(torch.zeros(1, 2)), "x.wav", ".png or .jpg or .webp or .pdf or .npy"),
        (Signals(torch.zeros(1, 1, 8)), "x.gif", ".wav or .png or .jpg"),
    ],
)
def test_a_wrong_ending_is_refused(samples, name, ending, tmp_path):
    with pytest.raises(
        BadInput, match=f"cannot write .*{name}: expected a name ending in {ending}"
    ):
        samples.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_endings_in_capitals_are_endings(tmp_path):
    assert images().save(tmp_path / "X.PNG").is_file()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("no/such/x.png", OperationFailed),
        ("file/x.png", OperationFailed),
        ("x" * 300 + ".png", BadInput),
    ],
)
def test_what_cannot_be_written_fails_and_leaves_nothing(name, error, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(error, match="cannot write"):
        images().save(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_folder_has_a_file_of_each_sample_also_of_two_seeds(n, tmp_path):
    one, two = images(n), images(n)
    two.seeds = tuple((8, index) for _, index in two.seeds)
    (one + two).save(tmp_path / "x")
    files = {p.read_bytes() for p in (tmp_path / "x").glob("*.png")}
    assert len(files) == 2 * n
    assert json.loads((tmp_path / "x/record.json").read_text())["n"] == 2 * n


def test_a_failed_write_keeps_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "x.png").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OperationFailed, match="No space left on device"):
        images().save(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_nobodys_home_is_refused():
    with pytest.raises(BadInput, match="no-such-user"):
        images().save("~no-such-user/x.png")


def test_a_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    images().save("~/x.png")
    assert (tmp_path / "x.png").is_file()
