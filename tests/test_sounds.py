"""Sounds: .wav files of every form, cut and converted; and the made sets of signals."""

import io
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from genzoo import data
from genzoo.data import sounds
from genzoo.errors import BadInput, UnknownName
from genzoo.runs import plan

EXTENSIBLE = 0xFFFE


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def sine(count, hertz=440, rate=8000, channels=1, start=0):
    """(channels, count) in [-1, 1]."""
    wave = 0.5 * np.sin(2 * np.pi * hertz * (np.arange(count) + start) / rate)
    return np.stack([wave / (i + 1) for i in range(channels)])


def encoded(x, rate=8000, width=2) -> bytes:
    """``x``, (channels, n) in [-1, 1], as the bytes of a .wav file."""
    levels = np.rint(x.T * (2 ** (8 * width - 1) - 1)).astype("<i8")
    levels += 128 if width == 1 else 0
    content = np.ascontiguousarray(levels).view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((len(x), width, rate, 0, "NONE", ""))
        file.writeframes(content)
    return buffer.getvalue()


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def both(content, **more):
    """A file in each split."""
    return {"train/a.wav": content, "test/b.wav": encoded(sine(100)), **more}


# ------------------------------------------------------------------------------------ .wav files


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_each_width_is_read(width, channels):
    x = sine(300, channels=channels)
    y, rate = sounds.read_wav(encoded(x, 11025, width))
    assert (y.dtype, y.shape, rate) == (np.float32, (channels, 300), 11025)
    assert np.abs(y - x).max() <= 1.5 / 2 ** (8 * width - 1) + 1e-6
    extremes, _ = sounds.read_wav(encoded(np.array([[-1.0, 1.0, 0.0]]), width=width))
    assert np.abs(extremes).max() <= 1


def test_the_longer_header_is_read_too():
    plain = encoded(sine(64), width=3)
    at = plain.index(b"fmt ")
    fmt = (40).to_bytes(4, "little") + EXTENSIBLE.to_bytes(2, "little") + plain[at + 10 : at + 24]
    fmt += b"\x16\x00\x18\x00\x04\x00\x00\x00" + b"\x01\x00" + bytes(14)
    size = (len(plain) - 8 + 24).to_bytes(4, "little")
    longer = plain[:4] + size + plain[8 : at + 4] + fmt + plain[at + 24 :]
    assert np.array_equal(sounds.read_wav(longer)[0], sounds.read_wav(plain)[0])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF" + bytes(40),
        encoded(sine(50))[:30],
        encoded(sine(0)),
        encoded(sine(50)).replace(b"\x01\x00\x01\x00", b"\x03\x00\x01\x00", 1),  # floats
    ],
)
def test_broken_files_are_named_and_left_out(tmp_path, content, caplog):
    opened = data.open(fill(tmp_path / "set", both(encoded(sine(100)), **{"train/0.wav": content})))
    assert len(opened) == 1
    assert opened.skipped == ("train/0.wav",)
    assert "train/0.wav" in caplog.text
    with pytest.raises(BadInput, match=r"none of the 1 \.wav files .*x\.wav") as caught:
        data.open(fill(tmp_path / "none", {"x.wav": content}))
    assert "\n" not in str(caught.value)


WHOLE = encoded(sine(1000))


def tagged(number: int, bits: int = 16) -> bytes:
    """A .wav file of another format."""
    at = WHOLE.index(b"fmt ") + 8
    tag, rest = number.to_bytes(2, "little"), WHOLE[at + 2 : at + 14]
    return WHOLE[:at] + tag + rest + bits.to_bytes(2, "little") + WHOLE[at + 16 :]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (WHOLE[:1000], "truncated"),
        (WHOLE[:-2], "truncated"),
        (WHOLE[:30], "truncated"),
        (b"", "empty"),
        (b"ID3" + bytes(50), "no .wav file"),
        (b"RIFF", "no .wav file"),
        (encoded(sine(0)), "no samples"),
        (tagged(3, 32), "floats: PCM of 8, 16, 24 or 32 bits is needed"),
        (tagged(6, 8), "A-law: PCM"),
        (tagged(85), "MP3: PCM"),
        (tagged(333), "format 333: PCM"),
    ],
)
def test_a_broken_sound_has_its_reason(tmp_path, content, why):
    files = {"train/a.wav": WHOLE, "train/b.wav": content, "test/a.wav": WHOLE}
    opened = data.open(fill(tmp_path / "set", files), length=1000)
    assert len(opened) == 1
    assert any(why in reason for reason in opened.summary.left_out)
    assert "left out 1 broken file (" in opened.summary.lines()[-1]


@pytest.mark.parametrize("at", [4, WHOLE.index(b"data") + 4])
@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_length_that_the_writer_did_not_know_is_no_damage(at, length):
    unknown = WHOLE[:at] + length.to_bytes(4, "little") + WHOLE[at + 4 :]
    assert np.array_equal(sounds.read_wav(unknown)[0], sounds.read_wav(WHOLE)[0])
    short = WHOLE[:4] + (2000).to_bytes(4, "little") + WHOLE[8:]
    assert np.array_equal(sounds.read_wav(short)[0], sounds.read_wav(WHOLE)[0])


def test_the_summary_says_what_was_done_to_sounds(tmp_path):
    x = sine(250)
    files = {
        "train/a.wav": encoded(sine(100)),
        "train/b.wav": encoded(np.concatenate([x, -x])),
        "train/c.wav": encoded(sine(60)),
        "train/d.wav": encoded(sine(440, rate=16000), 16000),
        "test/e.wav": encoded(sine(100)),
    }
    folder = fill(tmp_path / "set", files)
    for _ in range(2):  # the second is from the cache
        summary = data.open(folder, rate=8000, length=100, channels=1).summary
        assert summary.values == "-0.5 to 0.5, 8,000 of them a second"
        assert {*summary.notes} == {
            "1 of 2 channels converted to 1",
            "1 nearly silent by that: their channels cancel each other",
            "1 shorter: filled up with zeros",
            "1 converted from 16,000 to 8,000 samples a second",
            "2 cut: 70 samples at their ends are left out",
        }
        assert "2 cut: 70 samples" in " ".join(summary.lines())
    assert data.open(folder, "test", rate=8000, length=100, channels=1).summary.notes == ()


def test_the_summary_says_what_was_done_to_rows_of_signals():
    x = np.random.default_rng(0).uniform(-1, 1, (40, 64))
    pairs = data.in_memory({"train": np.stack([x, -x], 1)}, kind="signals", rate=8000)
    assert data.open(pairs).summary.notes == ()
    assert data.open(pairs, rate=4000, length=20, channels=1).summary.notes == (
        "40 converted from 8,000 to 4,000 samples a second",
        "40 of 2 channels converted to 1",
        "40 nearly silent by that: their channels cancel each other",
        "40 cut: 480 samples at their ends are left out",
    )
    assert data.open(pairs, length=100).summary.notes == ("40 shorter: filled up with zeros",)


# --------------------------------------------------------------------------------------- folders


def test_a_folder_of_classes_holds_signals(tmp_path):
    files = {f"train/{c}/{i}.wav": encoded(sine(90, 400 + i)) for c in "ab" for i in range(2)}
    files |= {f"test/{c}/9.wav": encoded(sine(90, 500)) for c in "ab"}
    opened = data.open(fill(tmp_path / "set", files))
    assert (opened.kind, opened.rate, opened.levels, opened.shape) == ("signals", 8000, 0, (1, 90))
    assert opened.classes == ("a", "b")
    assert opened.labels.tolist() == [0, 0, 1, 1]
    batch = opened.batch([1])
    assert np.abs(batch[0].numpy() - sine(90, 401)).max() < 1e-4
    assert len(data.open(tmp_path / "set", "all")) == 6
    assert data.open(str(tmp_path / "set"), "test").rate == 8000


def test_a_zip_is_as_its_folder(tmp_path):
    folder = fill(tmp_path / "set", both(encoded(sine(100))))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in folder.rglob("*.wav"):
            archive.write(path, path.relative_to(folder))
    assert data.open(folder).sha256 == data.open(tmp_path / "set.zip").sha256


def test_a_folder_with_an_image_holds_images(tmp_path):
    from PIL import Image

    folder = fill(tmp_path / "set", both(encoded(sine(100))))
    for split in ("train", "test"):
        Image.new("L", (4, 4)).save(folder / split / "z.png")
    assert data.open(folder).kind == "images"


def test_files_are_cut_into_pieces_and_short_ones_filled_up(tmp_path):
    files = both(encoded(sine(250)), **{"train/b.wav": encoded(sine(30, 300))})
    opened = data.open(fill(tmp_path / "set", files), length=100)
    assert opened.shape == (1, 100)
    assert len(opened) == 3, "two whole pieces, and the short file"
    assert np.abs(opened.array[1] - sine(100, start=100)).max() < 1e-4
    assert np.abs(opened.array[2, :, :30] - sine(30, 300)).max() < 1e-4
    assert not opened.array[2, :, 30:].any()


def test_all_pieces_of_a_file_are_in_one_split_with_its_label(tmp_path):
    files = {f"{c}/{i}.wav": encoded(sine(200, 100 + 7 * i)) for c in "ab" for i in range(20)}
    folder = fill(tmp_path / "set", files)
    train, test = (data.open(folder, split, length=50) for split in ("train", "test"))
    assert len(train) + len(test) == 160
    assert len(test) % 4 == 0
    assert len(test) > 0
    assert train.labels.tolist() == sorted(train.labels.tolist())
    assert (train.labels.reshape(-1, 4) == train.labels[::4, None]).all()


def test_rates_are_converted_and_the_pitch_stays(tmp_path):
    fast = encoded(sine(2000, 440, 16000), 16000)
    folder = fill(tmp_path / "set", both(encoded(sine(1000)), **{"train/b.wav": fast}))
    with pytest.raises(BadInput, match=r"differ in rate, 8000 and 16000 .*rate=8000"):
        data.open(folder, length=100)
    for rate in (8000, 12000, 5000):
        opened = data.open(folder, rate=rate, length=rate // 10)
        assert opened.rate == rate
        middle = slice(rate // 50, rate // 12)  # the ends wrap around
        expected = sine(rate // 10, 440, rate)[0, middle]
        for row in (opened.array[0, 0], opened.array[-1, 0]):
            spectrum = np.abs(np.fft.rfft(row))
            assert spectrum.argmax() * 10 == 440
        assert np.abs(opened.array[0, 0, middle] - expected).max() < 0.05


def test_what_a_lower_rate_cannot_hold_is_gone():
    high = sine(800, 3000, 8000).astype(np.float32)
    assert np.abs(sounds._resampled(high, 8000, 4000)).max() < 1e-3


@pytest.mark.parametrize(("own", "rate"), [(16, 8), (8, 16)])
def test_the_highest_frequency_of_both_rates_stays(own, rate):
    """A cosine of 4 periods a second, which 8 samples a second just hold."""
    one, other = (np.cos(8 * np.pi * np.arange(r) / r)[None] for r in (own, rate))
    assert np.allclose(sounds._resampled(one, own, rate), other, atol=1e-6)


def test_channels_are_mixed_or_repeated(tmp_path):
    x = sine(100, channels=2)
    files = {"train/a.wav": encoded(x), "test/a.wav": encoded(x), "test/b.wav": encoded(sine(100))}
    folder = fill(tmp_path / "set", files)
    stereo, mono = data.open(folder), data.open(folder, channels=1)
    assert (stereo.shape, mono.shape) == ((2, 100), (1, 100))
    assert np.abs(mono.array[0, 0] - x.mean(0)).max() < 1e-4
    one, other = data.open(folder, "test").array[1]  # a file of one channel, in a set of two
    assert np.array_equal(one, other)


def test_sounds_of_two_lengths_say_what_to_give(tmp_path):
    folder = fill(tmp_path / "set", both(encoded(sine(100)), **{"train/c.wav": encoded(sine(90))}))
    with pytest.raises(BadInput, match=r"differ in length, 100 and 90 .*c\.wav.*length="):
        data.open(folder)


# ------------------------------------------------------------------------------------- made sets


@pytest.mark.parametrize("name", ["tones", "plucked"])
def test_a_made_sound_has_the_pitch_of_its_label(name):
    train = data.open(name)
    assert (train.kind, train.rate, train.shape) == ("signals", 8000, (1, 2048))
    assert train.classes[9] == "A3"
    for label in range(12):
        own = train.array[train.labels == label, 0]
        strongest = np.abs(np.fft.rfft(own, axis=1)).mean(0).argmax() * 8000 / 2048
        partial = strongest / (220 * 2 ** ((label - 9) / 12))
        assert min(abs(partial / k - 1) for k in (1, 2, 3)) < 0.03


def test_a_plucked_string_fades():
    x = data.open("plucked").array[:, 0]
    assert (np.abs(x[:, :256]).max(1) > 1.5 * np.abs(x[:, -256:]).max(1)).mean() > 0.9


def test_the_made_sets_do_not_change():
    found = {name: data.open(name).sha256[:16] for name in ("tones", "plucked")}
    assert found == {"tones": "59ab7a347226916a", "plucked": "73017d89729ff898"}


def test_rows_are_cut_filled_up_and_converted(tmp_path):
    whole = data.open("tones")
    cut, long = data.open("tones", length=100), data.open("tones", length=2100)
    assert np.array_equal(cut.array, whole.array[:, :, :100])
    assert not long.array[:, :, 2048:].any()
    slow = data.open("tones", rate=4000, channels=2)
    assert (slow.rate, slow.shape, len(slow)) == (4000, (2, 1024), len(whole))
    assert slow.labels.tolist() == whole.labels.tolist()


# --------------------------------------------------------------------------------------- training


@pytest.mark.parametrize(
    ("values", "shape", "rate"),
    [
        ({"length": 64}, (1, 64), 8000),
        ({"shape": (1, 64)}, (1, 64), 8000),
        ({"length": 64, "rate": 4000, "channels": 2}, (2, 64), 4000),
    ],
)
def test_a_run_opens_signals_as_it_is_told(values, shape, rate):
    setup = plan.plan("gan", "tones", values)
    assert (setup.dataset.shape, setup.config.shape) == (shape, shape)
    assert setup.dataset.rate == rate
    fields = plan.fields_of(setup.dataset)
    assert (fields["kind"], fields["rate"], fields["length"]) == ("signals", rate, 64)


@pytest.mark.parametrize(
    ("family", "data", "values", "says"),
    [
        ("gan", "digits", {"length": 64}, "length"),
        ("gan", "tones", {"size": 64}, "size"),
        ("gan", "tones", {"horizontal_flip": True}, "mirrors images, and tones holds signals"),
        ("dcgan", "tones", {}, "tones holds signals; dcgan learns from images"),
        ("cyclegan", "tones,plucked", {}, "two domains of images"),
    ],
)
def test_what_does_not_fit_signals_is_refused(family, data, values, says):
    with pytest.raises((BadInput, UnknownName), match=says):
        plan.plan(family, data, values)


def test_batches_of_signals_are_in_the_models_range(tmp_path):
    """A model of [0, 1] learns from what users hear in [-1, 1]."""
    import torch

    from genzoo import families
    from genzoo.runs.loader import Loader

    setup = plan.plan("gan", "tones", {"length": 64, "batch_size": 50})
    record = plan.make_plan("gan", "tones", setup, steps=2, device="cpu")
    model = families.get("gan").model(setup.config)
    model.value_range = (0.0, 1.0)
    trainer = families.get("gan").make_trainer(model, setup.options)
    loader = Loader(record, setup.dataset, trainer, setup.options, torch.device("cpu"))
    x = next(loader.batches()).x
    rows = torch.from_numpy(setup.dataset.array.copy())
    own = [torch.isclose(rows, row * 2 - 1, atol=1e-6).all(2).any() for row in x]
    assert all(own)
