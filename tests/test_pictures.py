"""Picture files: their pixels in every form, and why one is broken."""

import io
import logging
import re
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from genzoo import data
from genzoo.cli import run
from genzoo.data import decoders, pictures
from genzoo.data.forms import Form, Frame
from genzoo.data.pictures import Unreadable, decoded, span_of
from genzoo.errors import BadInput, UnknownName
from genzoo.runs.plan import plan


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "home"))


def encoded(pixels, kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def values(low: float, high: float, kind: str, seed: int = 0, *shape: int) -> np.ndarray:
    """Numbers from low to high, both among them."""
    drawn = np.random.default_rng(seed).uniform(low, high, shape or (8, 8))
    drawn.flat[0], drawn.flat[1] = low, high
    return (drawn if kind[0] == "f" else np.rint(drawn)).astype(kind)


def scaled(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.floor((pixels.astype(float) - low) * 255 / (high - low) + 0.5).clip(0, 255)


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def png16(pixels: np.ndarray, *before: bytes, size: tuple[int, int] | None = None) -> bytes:
    """A PNG of 16 bits: uint16 (H, W, 1 to 4)."""
    height, width, channels = pixels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", *(size or (width, height)), 16, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


def tiff(pixels: np.ndarray, *, big: bool = False, photometric: int = 1) -> bytes:
    """A plain TIFF of any kind of numbers, (H, W) or (H, W, 3), in either order of bytes."""
    order = ">" if big else "<"
    height, width, channels = (*pixels.shape, 1)[:3]
    content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    bits, form = pixels.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    where = 8 + len(content) + len(content) % 2
    extra = struct.pack(f"{order}{channels}H", *[bits] * channels) if channels > 1 else b""
    first = where if channels > 1 else bits
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, first), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 2 if channels > 1 else photometric), (273, 4, 1, 8), (277, 3, 1, channels)]
    tags += [(278, 4, 1, height), (279, 4, 1, len(content))]
    tags += [(339, 3, 1, form)] if channels == 1 else []
    directory = struct.pack(f"{order}H", len(tags))
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        packed = struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
        directory += struct.pack(f"{order}HHI", tag, kind, count) + packed
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(f"{order}I", where + len(extra))
    return head + content + b"\0" * (len(content) % 2) + extra + directory + b"\0" * 4


def fill(folder: Path, *files: bytes, ending: str = "png", first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, content in enumerate(files, first):
        (folder / f"{index:03}.{ending}").write_bytes(content)
    return folder


def every(folder: Path, **form) -> data.DataSet:
    return data.open(folder, "all", **form)


# ------------------------------------------------------------------------------- grey or colour


@pytest.mark.parametrize(("grey", "colour"), [(1, 29), (29, 1), (1, 1)])
@pytest.mark.parametrize("grey_first", [True, False])
def test_the_whole_set_decides_on_grey_or_colour(tmp_path, grey, colour, grey_first):
    kinds = [(4, 4)] * grey, [(4, 4, 3)] * colour
    shapes = [*kinds[0], *kinds[1]] if grey_first else [*kinds[1], *kinds[0]]
    pixels = [noise(seed, *shape) for seed, shape in enumerate(shapes)]
    opened = every(fill(tmp_path / "set", *map(encoded, pixels)))
    wide = [np.broadcast_to(p[..., None], (4, 4, 3)) if p.ndim == 2 else p for p in pixels]
    assert np.array_equal(opened.array, np.stack(wide).transpose(0, 3, 1, 2))
    assert f"{grey} grey made colour" in opened.summary.notes
    assert data.open(tmp_path / "set").shape == (3, 4, 4), "all splits agree"


def test_broken_files_do_not_decide_on_it(tmp_path):
    fill(
        tmp_path / "set",
        encoded(noise(0, 9, 9, 3))[:200],
        *(encoded(noise(s, 9, 9)) for s in (1, 2)),
    )
    opened = every(tmp_path / "set")
    assert opened.shape == (1, 9, 9)
    assert opened.summary.left_out == {"broken files (truncated)": ("000.png",)}


def test_channels_that_are_chosen_are_said(tmp_path):
    fill(tmp_path / "set", encoded(noise(0, 4, 4, 3)), encoded(noise(1, 4, 4)))
    opened = every(tmp_path / "set", channels=1)
    assert opened.shape == (1, 4, 4)
    assert opened.summary.notes == ("1 colour made grey",)
    again = every(tmp_path / "set", channels=1)
    assert f"{again.name}: of the images, 1 colour made grey" in again.summary.lines()


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 3)])
def test_headers_alone_decide(tmp_path, monkeypatch, shape):
    """Of a thousand files only those are decoded twice that decide."""
    calls, decode = [], pictures._decoded
    monkeypatch.setattr(
        pictures, "_decoded", lambda *args, **how: calls.append(0) or decode(*args, **how)
    )
    every(fill(tmp_path / "set", *(encoded(noise(seed, *shape)) for seed in range(20))))
    assert len(calls) == 21


def smooth(width: int, height: int) -> Image.Image:
    rough = Image.fromarray(noise(0, height // 12, width // 12, 3))
    return rough.resize((width, height), Image.Resampling.BICUBIC)


def exactly(photo: bytes, size: tuple[int, int]) -> np.ndarray:
    """The centre with these proportions, of a whole decoding."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    scale = min(image.width / size[0], image.height / size[1])
    width, height = (round(side * scale) for side in size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    part = image.crop((left, top, left + width, top + height))
    return np.asarray(part.resize(size, Image.Resampling.LANCZOS)).astype(int)


@pytest.mark.parametrize(
    ("asked", "scale"), [((32, 32), 4), ((40, 20), 4), ((64, 64), 2), ((96, 96), 1)]
)
def test_a_large_jpeg_is_decoded_smaller(asked, scale, tmp_path):
    """By powers of two, as long as it stays five times larger than what it becomes."""
    photo = encoded(smooth(1203, 901), "JPEG", quality=95)
    frame = Frame(3, Form(asked))
    assert decoded(photo, frame.reduction).scale == scale
    opened = every(fill(tmp_path / "set", photo), size=asked)
    apart = np.abs(np.moveaxis(opened.array[0], 0, -1) - exactly(photo, asked))
    assert apart.max() <= (0 if scale == 1 else 10)
    assert apart.mean() <= (0 if scale == 1 else 0.5)
    assert {*opened.summary.sizes} == {(1203, 901)}
    assert not decoded(
        photo, frame._replace(form=Form(asked, None, "crop", (0, 200))).reduction
    ).full


def test_a_large_jpeg_that_lies_on_its_side(tmp_path):
    """The sides that its header names are those before it is turned."""
    photo = smooth(1200, 600)
    exif = Image.Exif()
    exif[274] = 6
    upright = encoded(photo.transpose(Image.Transpose.ROTATE_270), "JPEG", quality=95)
    turned = encoded(photo, "JPEG", quality=95, exif=exif)
    for fit in ("crop", "pad"):
        places = (tmp_path / f"{fit} {name}" for name in ("upright", "turned"))
        both = zip(places, (upright, turned), strict=True)
        one, other = (every(fill(p, photo), size=(20, 40), fit=fit) for p, photo in both)
        assert {*one.summary.sizes, *other.summary.sizes} == {(600, 1200)}
        assert np.abs(one.array.astype(int) - other.array).max() <= 3
        assert np.abs(np.moveaxis(one.array[0], 0, -1) - exactly(upright, (20, 40))).max() <= 10


SMALL_JPEGS = {
    "grey": encoded(smooth(61, 43).convert("L"), "JPEG"),
    "colour": encoded(smooth(61, 43), "JPEG", quality=95),
    "half the colours": encoded(smooth(61, 43), "JPEG", subsampling=1),
    "progressive": encoded(smooth(256, 256), "JPEG", progressive=True, comment="c"),
}


@pytest.mark.parametrize("kind", SMALL_JPEGS)
def test_a_small_jpeg_has_the_pixels_that_image_open_gives(kind):
    image, whole = (
        decoders.small_jpeg(SMALL_JPEGS[kind], None),
        Image.open(io.BytesIO(SMALL_JPEGS[kind])),
    )
    assert (image.mode, image.size) == (whole.mode, whole.size)
    assert np.array_equal(image, whole)


OTHER_JPEGS = {
    "large": encoded(smooth(257, 256), "JPEG"),
    "four colours": encoded(smooth(40, 40).convert("CMYK"), "JPEG"),
    "a profile": encoded(smooth(40, 40), "JPEG", icc_profile=b"profile"),
    "turned": encoded(smooth(40, 40), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "damaged": SMALL_JPEGS["colour"].replace(b"\xff\xc4", b"\xff\xdb", 1),
    "cut": SMALL_JPEGS["colour"][:700],
    "two headers": SMALL_JPEGS["grey"].replace(
        b"\xff\xc0", SMALL_JPEGS["grey"][158:171] + b"\xff\xc0"
    ),
    "no height": SMALL_JPEGS["grey"].replace(b"\0\x2b\0\x3d", b"\0\0\0\x3d"),
    "no JFIF": SMALL_JPEGS["grey"][:2] + SMALL_JPEGS["grey"][20:],
}


@pytest.mark.parametrize("kind", OTHER_JPEGS)
def test_other_jpegs_are_opened_by_pillow(kind):
    assert decoders.small_jpeg(OTHER_JPEGS[kind], None) is None


def test_small_jpegs_that_become_far_smaller_are_decoded_smaller():
    content = SMALL_JPEGS["progressive"]
    for size, scale in ((26, 1), (25, 2)):
        reduction = Frame(3, Form((size, size))).reduction
        assert (decoders.small_jpeg(content, reduction) is None) == (scale == 2)
        assert decoded(content, reduction).scale == scale


def test_settings_of_pillow_come_back_after_the_last_thread():
    before = [*warnings.filters], ImageFile.LOAD_TRUNCATED_IMAGES
    with decoders.strict():
        inside = [*warnings.filters]
        thread = threading.Thread(target=decoded, args=(encoded(noise(0, 4, 4)),))
        thread.start()
        thread.join()
        assert warnings.filters == inside != before[0]
    assert ([*warnings.filters], ImageFile.LOAD_TRUNCATED_IMAGES) == before


# ---------------------------------------------------------------------------------- deep pixels


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("low", "high", "kind", "span"),
    [
        (0, 4095, "u2", None),
        (-1024, 3071, "i2", None),
        (0, 255, "i4", None),
        (3, 250, "i4", (0, 255)),
        (-70000, 900000, "i4", None),
        (0, 65535, "u2", None),
        (12, 60000, "u2", (0, 65535)),
        (0, 30000, "u2", None),
        (-100, 100, "i1", None),
        (0, 1, "f4", None),
        (0.125, 0.75, "f4", (0, 1)),
        (0.001, 0.005, "f4", None),
        (-1, 1, "f4", None),
        (0, 200, "f4", (0, 255)),
        (-3e5, 7e6, "f4", None),
    ],
)
def test_deep_tiffs_are_scaled_by_the_range_of_the_set(tmp_path, low, high, kind, span, big):
    pixels = [values(low, high, kind, seed) for seed in range(3)]
    pixels[1] = (
        pixels[1].clip(low + (high - low) / 4, high).astype(kind)
    )  # only the set has the range
    opened = every(fill(tmp_path / "set", *(tiff(p, big=big) for p in pixels), ending="tif"))
    expected = scaled(np.stack(pixels), *(span or (low, high)))
    assert opened.shape == (1, 8, 8)
    assert abs(opened.array[:, 0] - expected).max() <= (1 if kind == "f4" else 0)
    assert opened.array.max() == scaled(np.array([high]), *(span or (low, high)))
    assert "scaled to 0 to 255" in opened.summary.values


def test_unsigned_numbers_of_32_bits_do_not_turn_negative(tmp_path):
    pixels = values(0, 4e9, "u4")
    opened = every(fill(tmp_path / "set", tiff(pixels), ending="tif"))
    assert np.array_equal(opened.array[0, 0], scaled(pixels, 0, 4e9))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("top", [4095, 65535])
def test_pngs_of_16_bits(tmp_path, channels, top):
    pixels = values(0, top, "u2", 0, 6, 5, channels)
    opened = every(fill(tmp_path / "set", png16(pixels)), size="5x6")
    colours = pixels if channels % 2 else pixels[..., :-1]
    full = colours >> 8 if top == 65535 and channels > 1 else scaled(colours, 0, top)
    if channels % 2 == 0:  # on white, as Pillow composes it
        opacity = Image.fromarray((pixels[..., -1] >> 8).astype(np.uint8))
        inner = Image.fromarray(np.broadcast_to(full, (6, 5, 3)).astype(np.uint8))
        white = Image.new("RGB", (5, 6), "white")
        full = np.asarray(Image.composite(inner, white, opacity)).astype(int)
    got = opened.array[0].transpose(1, 2, 0).astype(int)
    assert abs(got - full).max() <= (channels % 2 == 0)
    assert got.max() > 200


def test_colours_of_16_bits_in_a_tiff(tmp_path):
    pixels = values(0, 4095, "u2", 0, 6, 6, 3)
    for big in (False, True):
        opened = every(fill(tmp_path / f"{big}", tiff(pixels, big=big), ending="tif"))
        assert np.array_equal(opened.array[0].transpose(1, 2, 0), scaled(pixels, 0, 4095))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize(("mode", "top"), [("u2", 4095), ("i4", 900), ("f4", 0.25)])
def test_compressed_deep_tiffs(tmp_path, compression, mode, top):
    pixels = values(0, top, mode)
    opened = every(
        fill(tmp_path / "set", encoded(pixels, "TIFF", compression=compression), ending="tiff")
    )
    assert np.array_equal(opened.array[0, 0], scaled(pixels, 0, top))


def test_all_numbers_of_16_bits_are_rounded_as_ever(tmp_path):
    pixels = np.arange(65536).reshape(256, 256)
    opened = every(fill(tmp_path / "set", encoded(pixels.astype(np.uint16))))
    assert np.array_equal(opened.array[0, 0], (pixels + 128) // 257)


def test_a_portable_grey_map_says_its_range(tmp_path):
    pixels = values(0, 1000, "u2")
    content = b"P5 8 8 4095\n" + pixels.astype(">u2").tobytes()
    opened = every(fill(tmp_path / "set", content, ending="pgm"))
    assert np.array_equal(opened.array[0, 0], scaled(pixels, 0, 4095))


def test_where_zero_is_white_it_stays_white(tmp_path):
    pixels = values(0, 4095, "u2")
    opened = every(fill(tmp_path / "set", tiff(pixels, photometric=0), ending="tif"))
    assert np.array_equal(opened.array[0, 0], 255 - scaled(pixels, 0, 4095))


def test_both_splits_use_one_range(tmp_path):
    low, high = values(0, 1000, "u2", 1), values(0, 4000, "u2", 2)
    fill(tmp_path / "set" / "train", encoded(low))
    fill(tmp_path / "set" / "test", encoded(high))
    for split, pixels in (("train", low), ("test", high)):
        assert np.array_equal(
            data.open(tmp_path / "set", split).array[0, 0], scaled(pixels, 0, 4000)
        )
    assert data.open(tmp_path / "set").summary.values == "0 to 4000, scaled to 0 to 255"


@pytest.mark.parametrize("levels", ["0:4095", (0, 4095), [0.0, 4095.0]])
def test_the_range_can_be_chosen(tmp_path, levels):
    pixels = values(0, 1000, "u2")
    opened = every(fill(tmp_path / "set", encoded(pixels)), levels=levels)
    assert np.array_equal(opened.array[0, 0], scaled(pixels, 0, 4095))
    assert opened.summary.values == "0 to 4095, scaled to 0 to 255"


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3)])
def test_the_range_of_8_bits_can_be_chosen(tmp_path, shape):
    """Masks of 0 and 1 are nearly black: that is said, with what to type."""
    pixels = noise(0, *shape) % 2
    fill(tmp_path / "set", encoded(pixels))
    assert every(tmp_path / "set").array.max() == 1
    assert "nearly black; levels=0:1" in every(tmp_path / "set").summary.values
    opened = every(tmp_path / "set", levels="0:1").array[0].transpose(1, 2, 0)
    assert np.array_equal(opened.reshape(shape), pixels * 255)


def test_two_scales_in_one_set_are_both_said(tmp_path):
    """Files of 8 bits stay as they are beside those of 16 bits, unless levels are chosen."""
    deep = [encoded(values(2000, 2100, "u2", seed)) for seed in range(3)]
    small = [encoded(values(0, 250, "u1", seed)) for seed in range(3)]
    place = fill(tmp_path / "set", *deep, *small)
    assert every(place).summary.values == (
        "2000 to 2100, scaled to 0 to 255; in files of 8 bits 0 to 250, as they are: "
        "two scales; levels=LOW:HIGH makes them one"
    )
    assert every(place, levels="0:2100").summary.values == "0 to 2100, scaled to 0 to 255"


@pytest.mark.parametrize(
    ("low", "high", "kind", "levels", "says"),
    [
        (1, 4095, "u2", "0:100", r" \(the files have 1 to 4095: 9\d % of them lie outside\)"),
        (0, 250, "u1", "50:100", r" \(the files have 0 to 250: [78]\d % of them lie outside\)"),
        (0, 400, "u2", "0:65535", r" \(the files have 0 to 400: nearly black\)"),
        (0, 1000, "u2", "0:4095", ""),
    ],
)
def test_what_levels_cut_away_is_said(tmp_path, low, high, kind, levels, says):
    place = fill(tmp_path / "set", encoded(values(low, high, kind, 0, 20, 20)))
    values_said = every(place, levels=levels).summary.values
    scaled_to = levels.replace(":", " to ")
    assert re.fullmatch(f"{scaled_to}, scaled to 0 to 255{says}", values_said), values_said


@pytest.mark.parametrize(
    ("pixels", "hot", "hint"),
    [
        (values(0, 400, "u2", 0, 40, 40), 65535, "0:514"),
        (values(0, 20, "u1", 0, 40, 40), 255, "0:20"),
        (values(0, 0.001, "f4", 0, 40, 40), 1, "0:0.00392157"),
    ],
)
def test_one_hot_pixel_does_not_hide_that_a_set_is_nearly_black(tmp_path, pixels, hot, hint):
    pixels = pixels.copy()
    pixels[20, 20] = hot
    content = tiff(pixels)
    said = every(fill(tmp_path / "set", content, ending="tif")).summary.values
    assert said.endswith(f": nearly black; levels={hint} makes it visible"), said


def test_grey_of_16_bits_with_opacity_is_grey(tmp_path):
    pixels = values(0, 65535, "u2", 0, 6, 6, 2)
    pixels[..., 1] = 65535
    opened = every(fill(tmp_path / "set", png16(pixels)))
    assert np.array_equal(opened.array[0, 0], pixels[..., 0] >> 8)
    assert opened.summary.notes == ("1 transparent: put on white",)
    both = every(fill(tmp_path / "set", encoded(noise(1, 6, 6)), first=1))
    assert both.shape == (1, 6, 6)


@pytest.mark.parametrize("levels", ["4095", "1:0", "0:0", "a:b", "0:inf", "nan:1", (1,), 7])
def test_no_range_is_refused(tmp_path, levels):
    fill(tmp_path / "set", encoded(noise(0, 4, 4)))
    with pytest.raises(BadInput, match=r"levels must be .* such as 0:4095"):
        every(tmp_path / "set", levels=levels)


@pytest.mark.parametrize(
    ("low", "high", "span"),
    [(0, 0, (0, 1)), (7, 7, (0, 7)), (-5, -5, (-5, 0)), (0, 0.5, (0, 0.5)), (0, 128, (0, 255))],
)
def test_a_range_is_never_empty(low, high, span):
    assert span_of(low, high) == span


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_broken(tmp_path, bad):
    pixels = values(0, 1, "f4")
    broken = pixels.copy()
    broken[3, 3] = bad
    opened = every(fill(tmp_path / "set", tiff(broken), tiff(pixels), ending="tif"))
    assert len(opened) == 1
    assert opened.array.max() == 255
    assert [*opened.summary.left_out] == ["broken files (NaN or infinite pixels)"]


# ---------------------------------------------------------------------------------- broken files

WHOLE = {
    "PNG": encoded(noise(0, 24, 24, 3)),
    "JPEG": encoded(noise(0, 24, 24, 3), "JPEG"),
    "progressive": encoded(noise(0, 24, 24, 3), "JPEG", progressive=True),
    "GIF": encoded(noise(0, 24, 24, 3), "GIF"),
    "TIFF": encoded(noise(0, 24, 24, 3), "TIFF"),
    "plain TIFF": tiff(noise(0, 24, 24)),
    "LZW": encoded(noise(0, 24, 24), "TIFF", compression="tiff_lzw"),
    "WEBP": encoded(noise(0, 24, 24, 3), "WEBP"),
    "BMP": encoded(noise(0, 24, 24, 3), "BMP"),
    "PPM": encoded(noise(0, 24, 24, 3), "PPM"),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("lenient", [False, True])
def test_a_file_that_is_cut_is_broken(kind, lenient, monkeypatch, capfd):
    """Also where another library lets Pillow fill up what is missing."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    content, whole = WHOLE[kind], np.asarray(decoded(WHOLE[kind]).to_image(3, None))
    reasons = set()
    for length in [100, 400, *range(30, len(content), len(content) // 9)]:
        try:
            image = decoded(content[:length])
        except Unreadable as error:
            reasons.add(str(error))
        else:
            assert np.array_equal(np.asarray(image.to_image(3, None)), whole), length
    assert "truncated" in reasons
    assert lenient == ImageFile.LOAD_TRUNCATED_IMAGES
    assert capfd.readouterr().err == "", "libjpeg complains there"


def test_a_jpeg_cut_to_400_bytes_is_named(tmp_path, caplog):
    whole = encoded(Image.new("L", (64, 64), 90), "JPEG", quality=95)
    fill(tmp_path / "set", encoded(noise(0, 64, 64), "JPEG")[:400], whole, ending="jpg")
    assert len(every(tmp_path / "set")) == 1
    assert "left out 1 broken file (truncated): 000.jpg" in caplog.text


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP"])
def test_long_texts_in_a_png_do_no_harm(tmp_path, kind):
    text = b"x" * (2 << 20)
    packed = {
        b"tEXt": b"k\0" + text,
        b"zTXt": b"k\0\0" + zlib.compress(text),
        b"iTXt": b"k\0\1\0\0\0" + zlib.compress(text),
        b"iCCP": b"k\0\0" + zlib.compress(text),
    }[kind]
    pixels = values(0, 65535, "u2", 0, 5, 5, 1)
    opened = every(fill(tmp_path / "set", png16(pixels, chunk(kind, packed))))
    assert np.array_equal(opened.array[0, 0], scaled(pixels[..., 0], 0, 65535))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello", "no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
        (png16(np.zeros((1, 1, 1), np.uint16), size=(60000, 60000)), "too large"),
        (encoded(Image.new("LAB", (4, 4)), "TIFF"), "colours in LAB"),
        (encoded(Image.new("YCbCr", (4, 4)), "TIFF"), "colours in YCbCr, not compressed"),
        (WHOLE["PNG"].replace(b"IDAT", b"IDAX"), "damaged, or in a form that is not known"),
        (WHOLE["plain TIFF"][:-120], "truncated"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, 'HEIC: pip install "pillow-heif>=0.18" reads it'),
    ],
)
def test_the_reason_of_every_broken_file_is_said(tmp_path, monkeypatch, content, reason):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    fill(tmp_path / "set", content, encoded(noise(1, 24, 24)))
    opened = every(tmp_path / "set")
    assert opened.summary.left_out == {f"broken files ({reason})": ("000.png",)}
    assert opened.skipped == ("000.png",)
    with pytest.raises(BadInput, match=r"000\.png is"):
        data.photos([tmp_path / "set" / "000.png"], (1, 4, 4))


def test_images_of_phones_are_read():
    heif = pytest.importorskip("pillow_heif")
    pixels = np.repeat(np.repeat(noise(0, 2, 2, 3), 32, 0), 32, 1)
    stream = io.BytesIO()
    heif.from_pillow(Image.fromarray(pixels)).save(stream, quality=100)
    got = np.asarray(decoded(stream.getvalue()).to_image(3, None)).astype(int)
    assert abs(got - pixels).mean() < 6


@pytest.mark.skipif("AVIF" not in Image.registered_extensions().values(), reason="old Pillow")
def test_avif_is_read():
    pixels = np.repeat(np.repeat(noise(0, 2, 2, 3), 32, 0), 32, 1)
    got = np.asarray(decoded(encoded(pixels, "AVIF", quality=100)).to_image(3, None)).astype(int)
    assert abs(got - pixels).mean() < 6


# -------------------------------------------------------------------------------- size and fit


def stripes(width: int, height: int) -> np.ndarray:
    """Brighter from left to right."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))


@pytest.mark.parametrize("size", ["6x4", "6X4", (6, 4), [6, 4]])
def test_a_size_is_width_x_height(tmp_path, size):
    opened = every(fill(tmp_path / "set", encoded(stripes(12, 8))), size=size)
    assert opened.shape == (1, 4, 6)
    expected = Image.fromarray(stripes(12, 8)).resize((6, 4), Image.Resampling.LANCZOS)
    assert np.array_equal(opened.array[0, 0], np.asarray(expected))
    assert {*opened.summary.sizes} == {(12, 8)}
    assert opened.summary.fitted == "resized"


@pytest.mark.parametrize("size", ["6x", "x6", "6x4x2", "0x4", "64 x 48", "4097x4", (6,), (6.0, 4)])
def test_no_size_is_refused(tmp_path, size):
    fill(tmp_path / "set", encoded(stripes(8, 8)))
    with pytest.raises(BadInput, match="width x height, such as 64x48; got"):
        every(tmp_path / "set", size=size)


@pytest.mark.parametrize(
    ("own", "size", "box"),
    [
        ((20, 10), "6x6", (5, 0, 15, 10)),
        ((20, 10), "10x20", (7, 0, 12, 10)),
        ((10, 20), "20x10", (0, 7, 10, 12)),
        ((9, 9), "6x4", (0, 1, 9, 7)),
    ],
)
def test_the_largest_centre_of_this_form_is_used(tmp_path, own, size, box):
    pixels = noise(0, *own[::-1])
    opened = every(fill(tmp_path / "set", encoded(pixels)), size=size)
    goal = tuple(map(int, size.split("x")))
    expected = Image.fromarray(pixels).crop(box).resize(goal, Image.Resampling.LANCZOS)
    assert np.array_equal(opened.array[0, 0], np.asarray(expected))
    assert opened.summary.fitted == "resized, 1 of them cropped at the centre"


@pytest.mark.parametrize(("own", "size"), [((20, 10), 8), ((10, 20), "8x8"), ((8, 8), "16x8")])
def test_pad_keeps_the_whole_image_on_black(tmp_path, own, size):
    white = Image.new("RGB", own, "white")
    opened = every(fill(tmp_path / "set", encoded(white)), size=size, fit="pad")
    lit = opened.array[0, 0] > 0
    rows, columns = lit.any(1).sum(), lit.any(0).sum()
    assert columns / rows == own[0] / own[1]
    assert (opened.array[0, 0][lit] == 255).all()
    assert lit.sum() == rows * columns, "a box"
    assert opened.summary.fitted == "resized, 1 of them padded with black"


def test_what_a_fit_needs(tmp_path):
    fill(tmp_path / "set", encoded(stripes(8, 8)))
    with pytest.raises(BadInput, match="fit must be crop or pad, got 'stretch'"):
        every(tmp_path / "set", size=4, fit="stretch")
    with pytest.raises(BadInput, match="fit=pad needs a size"):
        every(tmp_path / "set", fit="pad")


def test_small_and_narrow_images_are_said(tmp_path):
    files = [encoded(noise(0, *size)) for size in ((4, 4), (1, 100), (100, 1), (16, 16))]
    opened = every(fill(tmp_path / "set", *files), size=8)
    assert len(opened) == 2
    assert opened.summary.notes == ("1 smaller than 8x8: enlarged",)
    assert f"{opened.name}: of the images, 1 smaller than 8x8: enlarged" in opened.summary.lines()
    assert opened.summary.left_out == {"broken files (too narrow)": ("001.png", "002.png")}
    assert opened.summary.sizes == ((4, 4), (16, 16))


def test_of_an_animation_the_first_image_is_used_and_it_is_said(tmp_path):
    frames = [Image.new("L", (6, 6), shade) for shade in (9, 200)]
    for kind in ("gif", "tiff"):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
        opened = every(fill(tmp_path / kind, stream.getvalue(), ending=kind), channels=1)
        assert (opened.array == 9).all()
        assert "1 with several images in one: the first is used" in opened.summary.notes


# ----------------------------------------------------------------------------- one photo


def test_photos_share_one_range_and_it_is_said(tmp_path, caplog):
    low, high = values(0, 1000, "u2", 1), values(0, 4000, "u2", 2)
    fill(tmp_path / "set", encoded(low), encoded(high))
    pixels, _ = data.photos([tmp_path / "set"], (1, 8, 8))
    assert np.array_equal(pixels[:, 0], scaled(np.stack([low, high]), 0, 4000))
    assert "001.png: values 0 to 4000 became 0 to 255" in caplog.text
    assert np.array_equal(data.picture(tmp_path / "set/000.png", 1)[0], scaled(low, 0, 1000))


def test_a_photo_becomes_a_rectangle(tmp_path, caplog):
    fill(tmp_path / "set", encoded(stripes(12, 8)))
    assert data.photos([tmp_path / "set"], (1, 4, 9))[0].shape == (1, 1, 4, 9)
    assert "12x8 to 9x4, its centre" in caplog.text


def test_a_phones_photo_in_several_versions_is_a_photo(tmp_path):
    stream = io.BytesIO()
    versions = [Image.fromarray(noise(seed, 8, 8)) for seed in (0, 1)]
    versions[0].save(stream, "MPO", save_all=True, append_images=versions[1:])
    fill(tmp_path / "set", stream.getvalue(), ending="jpg")
    assert data.photos([tmp_path / "set"], (1, 8, 8))[0].shape == (1, 1, 8, 8)


# ----------------------------------------------------------------------------- training


@pytest.mark.parametrize(
    ("size", "shape"), [("12x8", (1, 8, 12)), ("8x8", (1, 8, 8)), (8, (1, 8, 8))]
)
def test_a_family_of_any_shape_learns_from_rectangles(tmp_path, size, shape):
    folder = fill(tmp_path / "set", *(encoded(noise(seed, 8, 12)) for seed in range(20)))
    setup = plan("vae", folder, {"size": size})
    assert setup.config.shape == setup.dataset.shape == shape


def test_a_family_of_squares_refuses_rectangles_and_names_sizes(tmp_path):
    folder = fill(tmp_path / "set", *(encoded(noise(seed, 16, 24)) for seed in range(20)))
    says = r"dcgan takes square images, .* 24x16 \(width x height\); sizes that work: 16 or"
    with pytest.raises(BadInput, match=says):
        plan("dcgan", folder, {"size": "24x16"})
    assert plan("dcgan", folder, {"size": "16x16"}).config.size == 16


def test_levels_with_a_colon_are_a_range_and_a_number_is_the_models(tmp_path):
    folder = fill(tmp_path / "set", *(encoded(values(0, 900, "u2", seed)) for seed in range(20)))
    setup = plan("pixelcnn", folder, {"levels": "0:4095"})
    assert (setup.config.levels, setup.form) == (256, {"levels": "0:4095"})
    assert setup.dataset.array.max() == 56
    with pytest.raises(BadInput, match=r"levels is 256 in .*, got 16"):
        plan("pixelcnn", folder, {"levels": 16})
    with pytest.raises(UnknownName, match="no field is called 'levels'"):
        plan("dcgan", folder, {"levels": 16, "size": 8})


def test_a_run_keeps_how_its_images_were_opened(tmp_path, monkeypatch, capsys, caplog):
    """On resuming, and where its model is evaluated."""
    caplog.set_level(logging.INFO, "genzoo.data")
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "set", *(encoded(values(0, 900, "u2", seed, 8, 6)) for seed in range(60)))
    words = "--set size=8x12 --set fit=pad --set levels=0:4095 --set batch_size=4 --set width=4"
    line = f"train vae --data ./set {words} --steps 1 --out ./m --device cpu --threads 1"
    assert run(line.split()) == 0
    assert "8x12, grey" in caplog.text
    assert "values 0 to 4095, scaled" in caplog.text
    resume = ["train", "--resume", "--out", "./m"]
    assert run(resume) == 0
    assert run(["evaluate", "./m", "-n", "40", "--metrics", "sharpness", "--device", "cpu"]) == 0
    assert "real 54 training images" in capsys.readouterr().out
    assert run([*resume, "--set", "levels=0:900"]) == 2
    assert "has levels '0:4095', got '0:900'" in capsys.readouterr().err
    assert run(["outliers", "./m", "--size", "8y12", "--against", "./set"]) == 2
    assert "width x height, such as 64x48; got '8y12'" in capsys.readouterr().err
