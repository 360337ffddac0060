"""Signals and points: files, their metadata, reproduction, notebooks, commands."""

import base64
import io
import re
import struct
import wave
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import families
from genzoo.cli import run
from genzoo.demo.models import LoadedModels
from genzoo.demo.tabs.inpaint import InpaintTab
from genzoo.demo.tabs.interpolate import InterpolateTab
from genzoo.demo.tabs.sample import SampleTab
from genzoo.demo.tabs.steer import SteerTab
from genzoo.demo.widgets import Widgets
from genzoo.editing.directions import direction_from_data
from genzoo.errors import BadInput, InvalidModel
from genzoo.models import panels, sounds
from genzoo.models.kinds import SHOWN
from genzoo.models.samples import Points, Signals
from genzoo.runs.plots import read_run
from genzoo.zoo import card, publish
from genzoo.zoo.manifest import read_manifest

RATE, LENGTH = 8000, 800
SHAPES = {"wave": (1, LENGTH), "plane": (2,), "line": (1,)}


def signals(n=3, channels=1, **more):
    x = torch.rand(n, channels, LENGTH, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Signals(x, None, [(7, i) for i in range(n)], rate=RATE, **more)


def points(n=50, d=2, **more):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    return Points(x, None, [(7, i) for i in range(n)], **more)


@pytest.fixture
def home(tmp_path, monkeypatch, only_models):
    """A folder of models: one of signals, one of points in the plane, one of points on a line."""
    only_models(tmp_path / "cards")
    family = families.get("gan")
    for name, shape in SHAPES.items():
        sizes = {"latent_dim": 3, "generator_units": 8, "discriminator_units": 4}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = family.model(family.config(shape=shape, **sizes))
        model.rate = RATE
        genzoo.save(model, tmp_path / "cards" / name, family="gan", data="made")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cards"


def call(capsys, line):
    code = run(line.split())
    return code, *capsys.readouterr()


def sound(source):
    """(samples ``(length, channels)`` in [-1, 1], rate) of a WAV file, by the standard library."""
    with wave.open(str(source), "rb") as file:
        assert file.getsampwidth() == 2
        x = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return x.reshape(-1, file.getnchannels()) / 32767, file.getframerate()


# ------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("channels", [1, 2])
def test_one_signal_is_a_file_of_its_samples(channels, tmp_path):
    one = signals(1, channels)
    x, rate = sound(one.save(tmp_path / "x.wav"))
    assert (x.shape, rate) == ((LENGTH, channels), RATE)
    assert np.abs(x.T - one.tensor[0].numpy()).max() <= 0.5 / 32767 + 1e-9


def test_several_signals_follow_one_another_after_a_pause(tmp_path):
    three = signals(3)
    x, _ = sound(three.save(tmp_path / "x.wav"))
    pause = round(sounds.PAUSE * RATE)
    assert len(x) == 3 * LENGTH + 2 * pause
    for i in range(3):
        start = i * (LENGTH + pause)
        apart = x[start : start + LENGTH, 0] - three.tensor[i, 0].numpy()
        assert np.abs(apart).max() <= 0.5 / 32767 + 1e-9
        assert not x[start + LENGTH : start + LENGTH + pause].any()


def test_a_signal_beyond_the_range_is_clipped_and_not_wrapped(tmp_path):
    loud = Signals(torch.tensor([[[2.0, -2.0]]]), rate=RATE)
    assert sound(loud.save(tmp_path / "x.wav"))[0].ravel().tolist() == [1.0, -1.0]


def test_a_folder_has_a_file_for_each_signal(tmp_path):
    signals(3).save(tmp_path / "all")
    files = ["00000000.wav", "00000001.wav", "00000002.wav", "record.json"]
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == files
    assert sound(tmp_path / "all" / files[2])[0].shape == (LENGTH, 1)
    assert genzoo.inspect(tmp_path / "all" / files[2]).record.seeds == ((7, 2),)
    signals(1).save(tmp_path / "all")  # replaces the old ones
    assert len([*(tmp_path / "all").iterdir()]) == 2


def test_a_folder_of_other_files_is_never_replaced(tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song").write_text("mine")
    with pytest.raises(BadInput, match="other files than samples"):
        signals(1).save(tmp_path / "music")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="is a file"):
        signals(1).save(tmp_path / "file")
    assert (tmp_path / "music" / "song").read_text() == "mine"


def test_signals_are_saved_as_npy(tmp_path):
    saved = np.load(signals(2).save(tmp_path / "x.npy"), allow_pickle=False)
    assert np.array_equal(saved, signals(2).tensor.numpy())


def test_too_long_a_file_is_refused_before_it_is_made(monkeypatch, tmp_path):
    monkeypatch.setattr(sounds, "LARGEST", 2 * LENGTH)
    signals(1).save(tmp_path / "x.wav")
    with pytest.raises(BadInput, match=r"2 signals have 0 MB, at most 0 .*: take fewer"):
        signals(2).save(tmp_path / "y.wav")
    assert not (tmp_path / "y.wav").exists()


def test_no_signal_at_all_is_refused(tmp_path):
    for name in ("x.wav", "x.png"):
        with pytest.raises(BadInput, match="at least one"):
            signals(2)[:0].save(tmp_path / name)


# ---------------------------------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    ("samples", "name"), [(signals(2), "x.wav"), (signals(2), "x.png"), (points(), "x.png")]
)
def test_metadata_name_the_samples_or_only_say_that_they_are_synthetic(samples, name, tmp_path):
    found = genzoo.inspect(samples.save(tmp_path / name))
    assert found.synthetic
    assert found.record.seeds == samples.seeds
    bare = genzoo.inspect(samples.save(tmp_path / name, metadata=False))
    assert bare.synthetic
    assert bare.record is None


def test_the_chunks_are_those_of_the_standards(tmp_path):
    """RIFF's INFO list; XMP as Adobe's specification places it, with IPTC's term."""
    content = signals(1).save(tmp_path / "x.wav").read_bytes()
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    at, chunks = 12, {}
    while at < len(content):
        size = struct.unpack("<I", content[at + 4 : at + 8])[0]
        chunks[content[at : at + 4]] = content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    assert at == len(content)
    assert [*chunks] == [b"fmt ", b"LIST", b"_PMX", b"gnzo", b"data"]
    assert b"INFOICMT" in chunks[b"LIST"]
    assert b"trainedAlgorithmicMedia" in chunks[b"_PMX"]


def riff(*chunks):
    return sounds._chunk(b"RIFF", b"WAVE" + b"".join(sounds._chunk(*c) for c in chunks))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (riff((b"gnzo", b"{")), "is not valid JSON"),
        (riff((b"gnzo", b'{"genzoo": 3}')), "genzoo"),
        (riff((b"data", b"\0\0")), "has no genzoo metadata"),
        (riff(*[(b"junk", b"")] * 100_001), "more than 100000 chunks"),
        (b"RIFF\0\0\0\0WAVEgnzo\xff\xff\xff\xff", "a chunk of 4294967295 bytes"),
        (b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff", "has no genzoo metadata"),
        (b"RIFF\0\0\0\0AVI ", "no PNG, JPEG, WebP, PDF, GIF or WAV"),
        (b"RIFF", "no PNG, JPEG, WebP, PDF, GIF or WAV"),
    ],
)
def test_a_damaged_sound_is_one_clear_line(content, said, tmp_path):
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(genzoo.GenzooError, match=said) as caught:
        genzoo.inspect(tmp_path / "x.wav")
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------ reproduction


@pytest.mark.parametrize(
    ("name", "file", "levels"),
    [
        ("wave", "x.wav", 32_767),
        ("wave", "x.png", 255),
        ("plane", "x.png", 255),
        ("line", "x.png", 255),
    ],
)
def test_a_file_is_drawn_again(home, name, file, levels):
    genzoo.load(home / name).sample(5, seed=3).save(file)
    again = genzoo.reproduce(file, device="cpu")
    assert (again.state, again.apart, again.levels) == ("equal", 0, levels)


def test_a_changed_sound_is_found_out(home):
    genzoo.load(home / "wave").sample(2, seed=3).save("x.wav")
    file = Path("x.wav")
    content = bytearray(file.read_bytes())
    at = content.index(b"data") + 8
    content[at : at + 2] = struct.pack("<h", 30_000)
    file.write_bytes(content)
    again = genzoo.reproduce("x.wav", device="cpu")
    assert again.state == "differs"
    assert again.apart > 1000
    content[content.index(b"data") + 4 :] = struct.pack("<I", 2) + b"\0\0"
    file.write_bytes(content)
    with pytest.raises(BadInput, match="has 1 samples of 1 channels; drawn again"):
        genzoo.reproduce("x.wav", device="cpu")


def test_a_sound_of_a_model_of_points_is_refused(home):
    record = genzoo.load(home / "plane").sample(1).record()
    (home / "x.wav").write_bytes(sounds.wav(np.zeros((1, 8)), RATE, record))
    with pytest.raises(BadInput, match="plane generates points"):
        genzoo.reproduce(home / "x.wav", device="cpu")


# --------------------------------------------------------------------------------------- notebooks


def test_a_notebook_plays_each_signal(tmp_path):
    shown = signals(2, class_names=())._repr_html_()
    files = re.findall(r'src="data:audio/wav;base64,([^"]+)"', shown)
    assert len(files) == 2
    for i, text in enumerate(files):
        (tmp_path / "x.wav").write_bytes(base64.b64decode(text))
        assert sound(tmp_path / "x.wav")[0].shape == (LENGTH, 1)
        assert genzoo.inspect(tmp_path / "x.wav").record.seeds == ((7, i),)
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', shown)
    assert Image.open(io.BytesIO(base64.b64decode(picture))).format == "PNG"
    assert "7:0" in shown
    assert "7:1" in shown


def test_a_notebook_plays_a_few_and_says_so():
    shown = signals(30)._repr_html_()
    assert shown.count("<audio") == sounds.PLAYERS
    assert f"the first {sounds.PLAYERS} of 30" in shown
    assert signals(2)[:0]._repr_html_() is None


def test_the_name_of_a_class_is_no_markup():
    one = Signals(
        torch.zeros(1, 1, 64), torch.tensor([0]), [(0, 0)], class_names=["<script>"], rate=RATE
    )
    assert "<script>" not in one._repr_html_()
    assert "&lt;script&gt;" in one._repr_html_()


def test_a_notebook_shows_a_scatter_of_points_in_the_plane():
    assert Image.open(io.BytesIO(points()._repr_png_())).format == "PNG"
    assert Points(torch.zeros(1, 2, 3, 4))._repr_png_() is None


# ---------------------------------------------------------------------------------------- pictures


def test_a_tone_is_bright_at_its_frequency_and_its_level():
    seconds = torch.arange(4 * RATE) / RATE
    for frequency, amplitude in ((1000, 1.0), (2500, 0.1)):
        tone = amplitude * torch.sin(2 * torch.pi * frequency * seconds)
        levels = panels.decibels(tone[None], RATE)
        middle = levels[:, levels.shape[1] // 2]
        assert middle.argmax() / (len(middle) - 1) * RATE / 2 == pytest.approx(frequency, abs=20)
        assert middle.max() == pytest.approx(20 * np.log10(amplitude), abs=1.5)


@pytest.mark.parametrize("length", [1, 2, 15, 64, 100_000])
@pytest.mark.parametrize("rate", [1, 100, 48_000])
def test_spectrograms_of_any_length_and_rate(length, rate):
    x = torch.full((1, 2, length), float("nan"))
    assert panels.spectrograms(x, rate).mode == "RGB"
    assert panels.decibels(torch.zeros(1, length), rate).isfinite().all()


@pytest.mark.parametrize(("low", "high", "most"), [(0, 1, 5), (-3, 7e5, 6), (1e-6, 1.2e-6, 4)])
def test_marks_are_round_equally_far_apart_and_within(low, high, most):
    marks = panels.ticks(low, high, most)
    assert 2 <= len(marks) <= most + 1
    assert low - 1e-9 <= marks[0]
    assert marks[-1] <= high + 1e-9
    steps = np.diff(marks)
    assert np.allclose(steps, steps[0])
    assert f"{steps[0]:e}"[0] in "125"


def test_a_point_is_where_its_numbers_are():
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    pixels = np.asarray(panels.scatter(corners)).astype(int)
    ys, xs = np.nonzero(np.abs(pixels - [0, 0x72, 0xB2]).sum(2) == 0)
    # The three dots: two at the left, two at the bottom, none at the right top.
    left, right = xs < xs.mean(), xs > xs.mean()
    assert ys[right].min() > ys[left].mean()
    assert np.ptp(xs) == pytest.approx(np.ptp(ys), abs=2)


def test_what_no_scatter_can_show_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"got 1 of 2x3x4: write them as \.npy"):
        Points(torch.zeros(1, 2, 3, 4)).save(tmp_path / "x.png")
    odd = torch.tensor([[float("nan"), 0.0], [float("inf"), 1.0]])
    assert Points(odd).save(tmp_path / "x.png").is_file()


# ---------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize(
    ("line", "file", "n"),
    [
        ("sample {}/wave", "wave.wav", 9),
        ("sample {}/wave -n 2 -o x.png", "x.png", 2),
        ("sample {}/plane", "plane.png", 1000),
        ("sample {}/line -n 3", "line.png", 3),
        ("interpolate {}/wave --sample 1,2 --steps 3", "wave-walk.wav", 4),
        ("interpolate {}/plane --sample 1,2 --steps 3", "plane-walk.png", 4),
        ("traverse {}/wave --dims 0,1 --grid 2x2", "wave-traversal.wav", 4),
    ],
)
def test_commands_write_the_file_of_the_kind(home, capsys, line, file, n):
    assert call(capsys, line.format(home)) == (0, f"{file}\n", "")
    assert len(genzoo.inspect(file).record.seeds) == n


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sample {}/wave -o x.gif", "cannot write x.gif: signals go to .wav, .png, .jpg"),
        ("interpolate {}/wave --sample 1,2 -o x.gif", "cannot write x.gif: signals go to"),
        ("sample {}/plane -o x.wav", "cannot write x.wav: points go to .png, .jpg"),
        ("sample {}/wave --scale 3", "--scale enlarges images; this model generates signals"),
        ("sample {}/wave -n 1000000", "at most 268 are allowed"),
        ("arithmetic {}/wave 1 - 2", "a sum is drawn of images, not of signals"),
        ("neighbours {}/wave --data tones", "wave is a model of signals, not of images: genzoo ev"),
        ("neighbours {}/plane --data ring8", "plane is a model of points, not of images"),
        (
            "features {0}/wave {0}/wave/config.json",
            "is no sample of a model of signals: give its samples as an array",
        ),
        (
            "features {0}/plane {0}/wave/config.json",
            "is no sample of a model of points: give its samples as an array",
        ),
        (
            "inpaint {0}/wave {0}/wave/config.json",
            "wave is a model of signals, not of images: call genzoo.inpaint",
        ),
    ],
)
def test_what_a_kind_cannot_do_is_one_clear_line(home, capsys, line, said):
    code, out, err = call(capsys, line.format(home))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize(("shape", "kind"), [((1, 64), "signals"), ((2,), "points")])
def test_what_needs_pictures_refuses_an_encoder_of_another_kind(shape, kind, tmp_path):
    family = families.get("vae")
    config = family.config(shape=shape, latent_dim=2, width=4, likelihood="gaussian")
    model = family.model(config)
    with pytest.raises(BadInput, match=f"a model of {kind}, not of images: give samples with"):
        direction_from_data(model, "3", data="tones")
    (tmp_path / "s.wav").write_bytes(signals(1).wav())
    with pytest.raises(BadInput, match=r"s.wav: an image has a shape \(C, H, W\), got"):
        genzoo.data.photos([tmp_path / "s.wav"], shape)
    assert genzoo.extract_features(model, np.zeros((3, *shape), np.float32)).shape == (3, 2)


def test_inspect_draws_a_sound_again(home, capsys):
    call(capsys, f"sample {home}/wave -n 2 --seed 5")
    code, out, _ = call(capsys, "inspect wave.wav --reproduce -o again.wav")
    assert code == 0
    assert "all values are equal" in out
    assert Path("wave.wav").read_bytes() == Path("again.wav").read_bytes()


# -------------------------------------------------------------------------------- runs and cards

RUNS = {"wave": ("tones", 8000), "plane": ("ring8", None)}  # data, rate


@pytest.fixture(scope="module", params=[*RUNS])
def trained(request, tmp_path_factory):
    """(kind's name, folder) of a model that was trained for two steps."""
    name, place = request.param, tmp_path_factory.mktemp("runs")
    data, _ = RUNS[name]
    sizes = "--set generator_units=8 --set discriminator_units=4 --set batch_size=16"
    line = f"train gan --data {data} {sizes} --steps 2 --device cpu --out {place / name}"
    assert run(line.split()) == 0
    return name, place / name


def test_a_run_draws_pictures_of_its_kind_and_the_card_shows_samples(trained):
    name, folder = trained
    files = {"wave": {"samples.png", "samples.wav"}, "plane": {"samples.png"}}[name]
    assert {p.name for p in folder.glob("samples.*")} == files
    n = {"wave": SHOWN["signals"], "plane": SHOWN["points"]}[name]
    for file in [*files, "run/grids/00000000.png", "run/grids/00000002.png"]:
        assert len(genzoo.inspect(folder / file).record.seeds) == n
    assert read_manifest(folder).kind == {"wave": "signals", "plane": "points"}[name]
    assert read_run(folder).cells is None  # a picture with axes is no grid of sixteen images


def test_the_snippet_of_a_card_runs_and_its_tags_fit(trained, monkeypatch, tmp_path):
    name, folder = trained
    text = (folder / "README.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(snippet.replace(f"./{name}", str(folder)), {})
    assert (tmp_path / {"wave": "samples.wav", "plane": "samples.png"}[name]).is_file()
    head = text.split("---")[1]
    assert {"wave": '"audio"', "plane": '"points"'}[name] in head
    assert "image" not in head
    assert ("[Listen to them](samples.wav)" in text) == (name == "wave")


def test_a_loaded_model_has_the_rate_of_its_data(trained):
    name, folder = trained
    model = genzoo.load(folder, device="cpu")
    assert read_manifest(folder).rate == RUNS[name][1]
    if name == "wave":
        assert model.rate == model.sample(1).rate == 8000
        assert "8,000 samples a second" in (folder / "README.md").read_text()


def test_a_fingerprint_sees_both_halves_of_a_signal(home):
    model = genzoo.load(home / "wave", device="cpu")
    packed = card.fingerprint(model)
    assert card.distance(model, packed) == (0, 0.0)
    with torch.no_grad():
        model.layers[-2].bias -= 0.05  # mostly below zero, where a clamp to [0, 1] sees nothing
    assert card.distance(model, packed)[1] > 0.5


def test_a_model_of_signals_is_pushed_with_a_sound(trained, tmp_path):
    _, folder = trained
    for file in publish.card.sample_files(genzoo.load(folder, device="cpu")):
        publish._check_shown(folder, file)
        (tmp_path / file).write_bytes(b"no such file")
        with pytest.raises(InvalidModel, match="is not a"):
            publish._check_shown(tmp_path, file)
        (tmp_path / file).unlink()
        with pytest.raises(BadInput, match=f"has no {file}, which its page shows"):
            publish._check_shown(tmp_path, file)


# -------------------------------------------------------------------------------------------- demo


def drawn(name, n):
    """What the demo's tab Sample does: (its picture, the values of its player, its command)."""
    gr = MagicMock()
    tab = SampleTab(Widgets(gr, MagicMock(), LoadedModels([name], device="cpu")))
    tab.build()
    gr.Audio.reset_mock()
    picture, _, line = tab.draw(name, None, 5, n, *tab.settings.defaults)
    return picture, gr.Audio.call_args, line


def test_the_demo_plays_signals(home):
    picture, player, line = drawn(str(home / "wave"), 2)
    assert player.kwargs["visible"]
    assert genzoo.inspect(player.args[0]).record.seeds == ((5, 0), (5, 1))
    assert sound(player.args[0])[1] == RATE
    assert genzoo.inspect(picture).record.seeds == ((5, 0), (5, 1))
    assert line.endswith("wave -n 2 --seed 5")


def test_the_demo_shows_points_and_no_player(home):
    picture, player, _ = drawn(str(home / "plane"), 700)
    assert len(genzoo.inspect(picture).record.seeds) == 700
    assert (player.args[0], player.kwargs["visible"]) == (None, False)


def test_the_demo_offers_each_kind_what_it_can_do(home):
    known = [str(home / name) for name in SHAPES]
    models = LoadedModels(known, None, None, "cpu")
    assert models.with_ability(genzoo.Latent) == known[:1]
    assert models.with_ability(genzoo.Sampler, kinds=["points"]) == known[1:]
    ui = Widgets(MagicMock(), MagicMock(), models)
    assert "inpaint" in InpaintTab(ui).missing()
    for kind in (SteerTab, InterpolateTab):
        tab = kind(ui)
        assert tab.missing() == ""
        tab.build()
