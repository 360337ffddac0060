"""What a zip of data may ask for: time by its size, and memory by one member."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from genzoo import data
from genzoo.errors import BadInput


def picture(seed=0, black=False):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(pixels * (not black)).save(buffer, "BMP")
    return buffer.getvalue()


def packed(path, members, method=zipfile.ZIP_DEFLATED, size=None):
    """A zip of ``members``; with ``size`` each says that it unpacks to so many bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for info in archive.infolist():
            info.file_size = size or info.file_size
    return path


@pytest.mark.parametrize("name", ["a/{}.png", "{}.jpg", "{}", "{}/labels.csv"])
def test_the_sum_of_what_a_zip_unpacks_to_is_bounded(name, tmp_path):
    members = {name.format(number): bytes(1000) for number in range(2000)}
    path = packed(tmp_path / "bomb.zip", members, size=200_000_000)
    with pytest.raises(BadInput, match=r"bomb\.zip unpacks to 400\.0 GB, .* times its size.*give"):
        data.open(path, size=16)


def test_images_that_are_packed_well_are_read(tmp_path):
    members = {f"{number:02}.bmp": picture(black=number > 0) for number in range(40)}
    opened = data.open(packed(tmp_path / "good.zip", members), "all")
    assert len(opened) == 40


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_is_unpacked_only_piece_by_piece(method, tmp_path):
    """Of other methods Python unpacks all at once: 1.5 kB to 2 GB, whatever they say they hold."""
    members = {f"{number}.bmp": picture(number) for number in range(3)}
    with pytest.raises(BadInput, match="packed by another method than deflate"):
        data.open(packed(tmp_path / "other.zip", members, method), "all")
    path = packed(tmp_path / "mixed.zip", members)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("late.bmp", picture(9), method)
    opened = data.open(path, "all")
    assert (len(opened), list(opened.skipped)) == (3, ["late.bmp"])
    assert "packed by another method than deflate" in "\n".join(opened.summary.lines())
