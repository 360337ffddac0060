"""Pairs of images: transformations of a set, folders matched by name, files side by side."""

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import data, families, testing
from genzoo.cli import run
from genzoo.data import catalogue, in_memory, pairs
from genzoo.data.transforms import TRANSFORMS, transformed
from genzoo.errors import BadInput, OperationFailed, UnknownName
from genzoo.metrics import registry
from genzoo.metrics.real_data import BATCH, RealData
from genzoo.metrics.statistics.similarity import psnr
from genzoo.metrics.subjects import ModelSubject
from genzoo.options import TranslatorOptions
from genzoo.runs.examples import fill_examples
from genzoo.testing.family_case import Case


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GENZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def fill(folder, names, height=8, width=8, channels=(), first=0):
    for seed, name in enumerate(names, first):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(seed, height, width, *channels)).save(folder / name)
    return folder


def numbered(count, top=""):
    return [f"{top}{n:02}.png" for n in range(count)]


def opened(path, split="train", **how):
    return data.open_pair(path, split, aligned=True, **how)


# -------------------------------------------------------------------------------- transformations


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_transformed_set_is_aligned_with_its_originals(kind, tmp_path):
    fill(tmp_path / "photos", numbered(30), 10, 10, (3,))
    photos = f"{tmp_path}/photos"
    one, two = opened(f"{photos}@{kind}")
    whole = data.open(photos)
    assert np.array_equal(two.array, whole.array)
    assert (one.array == TRANSFORMS[kind].change(whole.array)).all()
    assert one.shape == two.shape == (3, 10, 10)
    assert one.name == f"{photos}@{kind}"
    pair = data.paired(one, two, aligned=True)
    assert pair.domains == (kind, "photos")
    assert np.array_equal(data.open(f"{photos}@{kind}").array, one.array)


def test_grey_is_pillows_in_all_channels(tmp_path):
    fill(tmp_path, numbered(30), 8, 8, (3,))
    whole, grey = data.open(tmp_path), data.open(f"{tmp_path}@grey")
    for image, changed in zip(whole.array, grey.array, strict=True):
        expected = np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))
        assert (changed == expected).all()
    with pytest.raises(BadInput, match="grey already"):
        data.open("digits@grey")


def test_edges_are_where_brightness_changes():
    step = np.zeros((1, 1, 6, 8), np.uint8)
    step[..., 4:] = 200
    edges = TRANSFORMS["edges"][1](step)
    assert edges.shape == step.shape
    assert (edges[..., 3:5] == 200).all(), "the height of the step"
    assert not edges[..., [0, 1, 2, 5, 6, 7]].any()
    assert np.array_equal(TRANSFORMS["edges"][1](255 - step), edges)
    assert np.array_equal(TRANSFORMS["edges"][1](step.swapaxes(2, 3)), edges.swapaxes(2, 3))


def test_low_resolution_is_the_mean_of_squares():
    image = noise(1, 2, 3, 8, 10)
    low = TRANSFORMS["low4"][1](image)
    square = low[:, :, 4:, 4:8]
    assert (square == square[:, :, :1, :1]).all()
    assert abs(square[:, :, 0, 0] - image[:, :, 4:, 4:8].mean((2, 3))).max() <= 0.5
    ends = low[:, :, 4:, 8:]  # a square that is cut to two columns
    assert (ends == ends[:, :, :1, :1]).all()
    assert abs(ends[:, :, 0, 0] - image[:, :, 4:, 8:].mean((2, 3))).max() <= 0.5


def test_a_transformed_set_keeps_labels_classes_and_parts():
    whole, edges = data.open("digits", "test"), data.open("digits@edges", "test")
    assert np.array_equal(edges.labels, whole.labels)
    assert edges.classes == whole.classes
    assert edges.terms == whole.terms
    assert edges.sha256 != whole.sha256
    threes = data.open("digits@edges:3", "test")
    assert np.array_equal(threes.array, edges.array[whole.labels == 3])
    assert np.array_equal(data.open("digits:3@edges", "test").array, threes.array)
    pair = data.paired(*data.open_pair("digits@edges", "test"), aligned=True)
    assert np.array_equal(pair.labels, whole.labels)


def test_help_and_guide_name_every_transformation(capsys):
    assert run(["list", "--help"]) == 0
    guide = (Path(__file__).parents[1] / "docs/guide.md").read_text()
    for text in (capsys.readouterr().out, guide):
        assert all(f"@{kind}" in text for kind in TRANSFORMS)


def test_binary_is_black_below_a_half_and_white_from_there():
    grey, binary = (data.open(name, "test") for name in ("digits", "digits@binary"))
    assert np.array_equal(binary.array, (grey.array >= 128) * 255)
    assert (grey.levels, binary.levels) == (256, 2)


def test_black_and_white_becomes_grey_levels(tmp_path):
    source = data.Source(
        "bits",
        "images",
        "s",
        "t",
        2,
        (),
        lambda root, split: data.Rows.of(noise(0, 9, 1, 8, 8) // 128 * 255),
    )
    assert transformed(data.open(source), "low4").levels == 256


def test_what_has_no_transformation():
    with pytest.raises(BadInput, match="ring8 holds points: only images"):
        data.open("ring8@edges")
    with pytest.raises(
        UnknownName, match=r"no transformation is called 'edgs': did you mean edges"
    ):
        data.open("digits@edgs")
    with pytest.raises(UnknownName, match="digitz"):
        data.open("digitz@edges")
    for name in ("digits@edges", "digits@edges:3", "digits:3@edges", "digits@edges@low2"):
        data.check(name)
        assert data.open(name, "test").kind == catalogue.kind_of(name) == "images"
    for name in ("digits@edgs", "digitz@edges"):
        with pytest.raises(UnknownName):
            data.check(name)


def test_in_a_path_a_sign_is_part_of_the_name(tmp_path):
    folder = fill(tmp_path / "me@edges", numbered(20))
    assert data.open(folder).name == str(folder)
    folder = fill(tmp_path / "me@home", numbered(20))
    assert len(data.open(f"{folder}@low2")) == len(data.open(f"{folder}")) == 20


# -------------------------------------------------------------------------------- by name


def alike(one, two, first, second):
    """Whether every row of the pair is the image of one name in both folders."""
    rows = [np.asarray(Image.open(p)) for p in sorted(first.iterdir())]
    partners = [np.asarray(Image.open(p)) for p in sorted(second.iterdir())]
    for a, b in zip(one.array[:, 0], two.array[:, 0], strict=True):
        i = next(i for i, image in enumerate(rows) if np.array_equal(image, a))
        if not np.array_equal(partners[i], b):
            return False
    return True


LAYOUTS = {
    "two folders": ("x", "y"),
    "folders A and B": ("A", "B"),
    "trainA and trainB": ("trainA", "trainB"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [False, True])
def test_files_of_one_name_are_pairs(tmp_path, layout, zipped):
    a, b = LAYOUTS[layout]
    folder = tmp_path / "set"
    fill(folder, numbered(60, f"{a}/"))
    fill(folder, numbered(60, f"{b}/"), first=100)
    text = f"{folder}/x,{folder}/y" if layout == "two folders" else str(folder)
    if zipped:
        parts = [folder / "x", folder / "y"] if layout == "two folders" else [folder]
        for part in parts:
            with zipfile.ZipFile(f"{part}.zip", "w") as archive:
                for file in sorted(part.rglob("*.png")):
                    archive.write(file, f"top/{file.relative_to(part)}")
        text = ",".join(f"{part}.zip" for part in parts)
    one, two = opened(text)
    assert 40 < len(one) < 60
    assert len(one) + len(opened(text, "test")[0]) == 60
    assert alike(one, two, folder / a, folder / b)
    assert data.paired(one, two, aligned=True).domains == (
        ("x.zip" if zipped else "x", "y.zip" if zipped else "y")
        if layout == "two folders"
        else ("A", "B")
    )


def test_train_and_test_are_folders(tmp_path):
    for top in ("A/train", "B/train"):
        fill(tmp_path / "one", numbered(4, f"{top}/"))
        fill(tmp_path / "one", numbered(3, f"{top.replace('train', 'test')}/"))
    for top in ("trainA", "trainB"):
        fill(tmp_path / "two", numbered(4, f"{top}/"))
        fill(tmp_path / "two", numbered(3, f"{top.replace('train', 'test')}/"))
    for name in ("one", "two"):
        for split, count in (("train", 4), ("test", 3)):
            assert [len(part) for part in opened(tmp_path / name, split)] == [count, count]
    fill(tmp_path, numbered(4, "b/"))
    with pytest.raises(BadInput, match="only one of the two domains has folders train and test"):
        opened(f"{tmp_path}/one/A,{tmp_path}/b")


def test_endings_may_differ_and_files_without_a_partner_are_counted(tmp_path, caplog):
    fill(tmp_path / "a", [*numbered(8, "train/"), "test/t.png", "train/alone.png"])
    fill(tmp_path / "b", [f"train/{n:02}.bmp" for n in range(8)] + ["test/t.bmp", "train/z.bmp"])
    text = f"{tmp_path}/a,{tmp_path}/b"
    for _ in range(2):  # decoded, and from the cache
        caplog.clear()
        one, two = opened(text)
        assert len(one) == len(two) == 8
        assert "left out 2 files without a partner: train/alone.png, train/z.bmp" in caplog.text
    assert one.skipped == two.skipped == ("train/alone.png", "train/z.bmp")


def test_if_one_is_broken_both_are_left_out(tmp_path, caplog):
    fill(tmp_path, numbered(60, "A/") + numbered(60, "B/"))
    for name in ("A/03.png", "B/05.png"):
        (tmp_path / name).write_bytes(b"broken")
    splits = [opened(tmp_path, split) for split in ("train", "test")]
    assert sum(len(one) for one, _ in splits) == 58
    skipped = {name for one, _ in splits for name in one.skipped}
    assert {"A/03.png and B/03.png", "A/05.png and B/05.png"} == skipped
    assert "broken pairs" in caplog.text


def test_each_domain_says_what_was_changed_and_the_files_are_named_once(tmp_path, caplog):
    fill(tmp_path / "A", numbered(20), channels=(3,))
    fill(tmp_path / "B", numbered(19))
    caplog.set_level("INFO", "genzoo.data")
    one, _ = opened(tmp_path)
    lines = [record.message for record in caplog.records]
    assert f"{tmp_path}/B: of the images, {len(one)} grey made colour" in lines
    assert [line for line in lines if "left out" in line] == [
        f"{tmp_path}/A: left out 1 file without a partner: A/19.png"
    ]


def test_an_entry_of_an_earlier_version_is_decoded_anew(tmp_path, home):
    fill(tmp_path / "set", numbered(20, "A/") + numbered(20, "B/"))
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(pairs, "FORMAT", 1)
        before = opened(tmp_path / "set")
    (file,) = (home / "data").glob("*/meta.json")
    meta = json.loads(file.read_text())
    del meta["sides"]  # earlier versions wrote none
    file.write_text(json.dumps(meta))
    assert [one.sha256 for one in opened(tmp_path / "set")] == [one.sha256 for one in before]


def test_parts_of_different_sizes_need_one(tmp_path):
    fill(tmp_path / "low", numbered(20), 8, 12)
    fill(tmp_path / "high", numbered(20), 16, 24, (3,))
    text = f"{tmp_path}/low,{tmp_path}/high"
    one, two = opened(text, size=8)
    assert one.shape == two.shape == (3, 8, 8), "as many channels as the richer part has"
    assert opened(text, size=8, channels=1)[1].shape == (1, 8, 8)
    with pytest.raises(BadInput, match=r"are not square .00\.png: 12x8.: give size="):
        opened(text)
    fill(tmp_path / "flat", numbered(20), 8, 8)
    with pytest.raises(BadInput, match=r"00.png, 00.png differs in form: 12x8 and 8x8"):
        opened(f"{tmp_path}/low,{tmp_path}/flat", size=8)


def test_each_half_has_the_hash_of_its_own_bytes(tmp_path):
    fill(tmp_path, numbered(20, "A/") + numbered(20, "B/"))
    for part in opened(tmp_path):
        assert part.sha256 == hashlib.sha256(np.ascontiguousarray(part.array).tobytes()).hexdigest()
        assert not part.array.flags.writeable
        assert np.array_equal(part.batch([2, 0, 2]).numpy() * 255, part.array[[2, 0, 2]])
        with pytest.raises(IndexError):
            part.batch([len(part)])


# -------------------------------------------------------------------------------- side by side


def test_files_side_by_side_are_cut_in_halves(tmp_path):
    fill(tmp_path, numbered(4, "train/") + numbered(2, "test/") + numbered(2, "val/"), 8, 16, (3,))
    one, two = opened(tmp_path)
    assert len(one) == 4
    assert one.shape == (3, 8, 8)
    whole = np.asarray(Image.open(tmp_path / "train/00.png")).transpose(2, 0, 1)
    assert np.array_equal(np.concatenate([one.array[0], two.array[0]], 2), whole)
    assert data.paired(one, two, aligned=True).domains == ("left", "right")
    assert opened(tmp_path, size=4)[0].shape == (3, 4, 4)
    assert len(opened(tmp_path, "test")[0]) == 2


def test_a_square_is_no_pair(tmp_path):
    fill(tmp_path, numbered(9))
    with pytest.raises(
        BadInput, match=r"00.png is no pair, but 8x8: side by side, .* folders A and B"
    ):
        opened(tmp_path)


# -------------------------------------------------------------------------------- bad input


def test_what_makes_no_pairs(tmp_path):
    fill(tmp_path, [*numbered(3, "a/"), "b/x.png", "c/1.png", "c/1.bmp", "d/1.png"])
    a, b, c, d = (tmp_path / name for name in "abcd")
    for bad in ("digits", "digits,mnist", f"{a},{b},{c}", f"{a},", f"{a}@edges,{b}", f"{a},digits"):
        with pytest.raises(BadInput, match="expected pairs in two folders A,B"):
            opened(bad)
    with pytest.raises(BadInput, match=r"no file of the first .* \(00.png, x.png\)"):
        opened(f"{a},{b}")
    with pytest.raises(BadInput, match=r"1.bmp and 1.png have the same name"):
        opened(f"{c},{d}")
    with pytest.raises(BadInput, match="no such folder"):
        opened(f"{a},{tmp_path}/gone")
    with pytest.raises(BadInput, match="no split 'valid'"):
        opened(f"{a},{a}", "valid")
    for name in ("00.png", "01.png", "02.png"):
        (a / name).write_bytes(b"broken")
    with pytest.raises(BadInput, match=r"none of the 3 images of .*a can be read"):
        opened(f"{a},{a}")


def test_pairs_need_as_many_of_both():
    with pytest.raises(BadInput, match=r"as many .* digits:3 has \d+, digits:8 \d+"):
        data.paired(*data.open_pair("digits:3,digits:8"), aligned=True)


def test_a_changed_file_is_read_again(tmp_path):
    fill(tmp_path, numbered(20, "A/") + numbered(20, "B/"))
    before = opened(tmp_path)[1].sha256
    fill(tmp_path, numbered(20, "B/"), first=500)
    assert opened(tmp_path)[1].sha256 != before


# -------------------------------------------------------------------------------- unpaired


def test_unpaired_domains_come_from_a_transformation_and_from_folders_a_and_b(tmp_path):
    one, two = data.open_pair("digits@edges", "test")
    assert (one.name, two.name) == ("digits@edges", "digits")
    one, two = data.open_pair("digits@edges:3, digits", "test")
    assert (one.name, two.name) == ("digits@edges:3", "digits")
    for bad in ("digits@edgs", "digits@edgs,digits", "digits, digits@edgs:3"):
        with pytest.raises(UnknownName, match=r"edgs.*did you mean edges"):
            data.open_pair(bad)
    fill(tmp_path, numbered(4, "A/train/") + numbered(2, "A/test/") + numbered(60, "B/"))
    one, two = data.open_pair(tmp_path)
    assert len(one) == 4
    assert 40 < len(two) < 60
    assert len(data.open_pair(tmp_path, "test")[0]) == 2


# -------------------------------------------------------------------------------- a family of pairs

FAMILY = """
import torch
import torch.nn.functional as F
from torch import nn
import genzoo
from genzoo.options import Options
from genzoo.schemas import Name, Schema, Shape

class Config(Schema):
    shape: Shape = (1, 8, 8)
    domains: tuple[Name, Name] = ("A", "B")

class Map(genzoo.Translator):
    one_way, multiple = True, 4

    def __init__(self, config):
        super().__init__(config)
        self.shape, self.domains = config.shape, config.domains
        channels = self.shape[0]
        self.map = nn.Conv2d(channels, channels, 1)
        self.register_buffer("examples", torch.zeros(4, *self.shape, dtype=torch.uint8))

    def convert(self, x, to, noise):
        return self.map(x).clamp(-1, 1)

    def loss(self, batch):
        y = self.convert_any_size(batch.x, self.domains[1], batch.noise("none"))
        return F.mse_loss(y, batch.second_domain), {}

@genzoo.hookimpl
def genzoo_family():
    return genzoo.Family(
        config=Config, options=Options, model=Map, data="paired", tiny=Config(), paper="none",
        trainer=lambda model, options: genzoo.LossTrainer(model, model.loss, options), api=2,
    )
"""


@pytest.fixture
def here(tmp_path, monkeypatch, install):
    """A folder with 60 photos of 8x8 and their negatives, and the family ``map``."""
    install("family", "map", FAMILY)
    monkeypatch.chdir(tmp_path)
    for n in range(60):
        pixels = noise(n, 8, 8)
        for top, image in (("photos", pixels), ("negatives", 255 - pixels)):
            (tmp_path / top).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / top / f"{n:02}.png")
    return tmp_path


def train(data_text, out="m", lr=0.05, steps=200):
    words = ["--data", data_text, "--steps", str(steps), "--seed", "0", "--device", "cpu"]
    words += ["--grid-every", "200"]
    return run(["train", "map", *words, "--set", f"lr={lr}", "--license", "mit", "--out", out])


def test_pairs_teach_what_unpaired_images_cannot(here, capsys):
    assert train("./negatives,./photos") == 0
    capsys.readouterr()
    assert run(["evaluate", "./m", "--data", "./negatives,./photos", "--json"]) == 0
    (score,) = json.loads(capsys.readouterr().out)["scores"]
    assert score["name"] == "translation_psnr-negatives,photos"
    assert run(["evaluate", "./m", "--json"]) == 0  # both folders are found by their hash
    assert json.loads(capsys.readouterr().out)["scores"][0]["value"] == score["value"]
    assert score["value"] > 30 > 10 > score["details"]["before translation"]
    model = genzoo.load("./m", device="cpu")
    assert model.domains == ("negatives", "photos")
    x = torch.rand(1, 1, 5, 9)
    assert torch.allclose(model.translate(x).tensor, 1 - x, atol=0.05)
    assert "image-to-image" in (here / "m/README.md").read_text()
    assert run(["train", "--out", "m", "--resume"]) == 0


def test_one_way_from_the_command_line(here, capsys):
    assert train("./negatives,./photos") == 0
    assert run(["translate", "./m", "negatives/00.png", "--scale", "1"]) == 0
    written = np.asarray(Image.open("00-photos.png")).astype(int)
    assert abs(written - np.asarray(Image.open("photos/00.png"))).mean() < 8
    capsys.readouterr()
    assert run(["translate", "./m", "photos/00.png", "--to", "negatives"]) == 2
    assert "one way, from negatives to photos" in capsys.readouterr().err


def test_the_kit_gives_a_second_domain_only_to_a_family_that_asks_for_it(here):
    assert "learns" not in testing.outcome("map").broken
    alone = dataclasses.replace(families.get("map"), data="images")
    with pytest.raises(Exception, match="NoneType"):
        Case("map", alone).trained()
    labelled = dataclasses.replace(families.get("vae"), data="labelled")
    case = Case("vae", labelled)
    batch = next(case.batches(case.trainer()))
    assert set(batch.labels.tolist()) == {0, 1}
    assert batch.second_domain is None


# Each with what it says: samples look like the second domain, and no command ends in a traceback.
COMMANDS = {
    "evaluate ./m --metrics sharpness": "--data digits takes the second",
    "evaluate ./m --data digits:1,digits:2": "expected pairs in two folders A,B",
    "evaluate ./m --data ./photos": "00.png is no pair, but 8x8",
    "neighbours ./m -o n.png": "--data digits takes the second",
    "compare ./m vae-mnist": "share no known training data",
    "outliers ./m --against digits": "has no likelihood",
    "train map --data digits --out x": "expected pairs in two folders A,B",
    "train map --data ring8 --out x": "ring8 holds points",
    "train map --data digits@edgs --out x": "did you mean edges",
}


def test_a_set_and_its_transformation_everywhere(here, capsys):
    assert train("digits@edges", steps=20) == 0
    assert genzoo.load("./m", device="cpu").domains == ("edges", "digits")
    for words in ("info ./m", "evaluate ./m -n 50", "neighbours ./m --data digits", "verify ./m"):
        assert run(words.split()) == 0, words
    assert "translation_psnr-digits@edges" in capsys.readouterr().out
    assert run(["info", "map"]) == 0
    assert "pairs of images: two folders A,B, one folder" in capsys.readouterr().out
    assert train("digits@edges", "m2", lr=0.01, steps=20) == 0
    words = "compare ./m ./m2 --data digits@edges --metrics translation_psnr"
    assert run(words.split()) == 0
    capsys.readouterr()
    for words, says in COMMANDS.items():
        assert run(words.split()) == 2, words
        assert says in capsys.readouterr().err, words


class Flat(genzoo.Translator):
    """Any image becomes one grey, between two levels of 256."""

    shape, value_range, domains, one_way = (1, 28, 28), (0.0, 1.0), ("edges", "digits"), True

    def __init__(self, config=None):
        super().__init__(config)
        self.register_buffer("examples", torch.zeros(4, *self.shape, dtype=torch.uint8))

    def convert(self, x, to, noise):
        return torch.full_like(x, 76.7 / 255)


def test_translation_psnr_is_of_the_levels_that_a_file_stores():
    (metric,) = registry.create(["translation_psnr"], RealData("digits@edges"))
    originals = data.open("digits", "test")
    count = len(originals)
    score = metric.score(ModelSubject("flat", Flat()), count, 0)
    partners = originals.batch(range(count))
    expected = psnr(torch.full_like(partners, 77 / 255), partners)
    assert score.value == pytest.approx(expected.double().mean().item(), rel=1e-6)
    edges = data.open("digits@edges", "test").batch(range(count))
    before = psnr(edges, partners).mean().item()
    assert score.details == {"before translation": pytest.approx(before, abs=1e-3)}
    assert score.protocol["pairs"] == f"{count:,} of the test split"


def test_each_translated_image_has_noise_of_its_own():
    greys = []

    class Noisy(Flat):
        def convert(self, x, to, noise):
            grey = noise.uniform(1, 1, 1)
            greys.extend(grey.flatten().tolist())
            return grey.expand_as(x)

    (metric,) = registry.create(["translation_psnr"], RealData("digits@edges"))
    metric.score(ModelSubject("noisy", Noisy()), count := 297, 0)
    assert len({*greys}) == len(greys) == count > BATCH


def test_a_translator_that_gives_no_numbers_is_named():
    class Broken(Flat):
        def convert(self, x, to, noise):
            return torch.full_like(x, torch.nan)

    (metric,) = registry.create(["translation_psnr"], RealData("digits@edges"))
    with pytest.raises(OperationFailed, match=r"broken generated values that are not finite: .* 0"):
        metric.score(ModelSubject("broken", Broken()), 3, 0)


def test_a_model_of_edges_is_compared_with_edges(here):
    """Only a translator's data are two domains: other families learn the edges themselves."""
    real = RealData("digits@edges")
    assert np.array_equal(real.open("test").array, data.open("digits@edges", "test").array)
    with pytest.raises(BadInput, match="no classifier for digits@edges"):
        _ = real.features
    assert RealData("celeba:Smiling@grey").whole == "celeba:Smiling@grey"


def test_a_translator_stores_images_of_its_data_or_a_models_samples():
    """So that a card may hold no image of its data; they are transformed as the first domain is."""
    gan, plain = genzoo.load("gan-mnist"), data.open(in_memory(noise(0, 9, 1, 28, 28)))
    edges = dataclasses.replace(plain, name="x@edges")
    model = Case.of("pix2pix").model(shape=(1, 28, 28), examples=16)
    options = families.get("pix2pix").options
    fill_examples(model, edges, options(), 0)
    stored = {image.tobytes() for image in model.examples.numpy()}
    assert stored == {image.tobytes() for image in edges.array}
    fill_examples(model, edges, options(examples_from="gan-mnist"), 0)
    samples = (gan.sample(16).tensor * 255).round().byte().numpy()
    assert (model.examples.numpy() == TRANSFORMS["edges"].change(samples)).all()
    fill_examples(model, plain, options(examples_from="gan-mnist"), 0)
    assert (model.examples.numpy() == samples).all()
    small = Case.of("pix2pix").model()
    with pytest.raises(BadInput, match=r"a sampler of 1x16x16, got Generator of 1x28x28"):
        fill_examples(small, edges, options(examples_from="gan-mnist"), 0)


def test_every_translator_takes_examples_of_a_model():
    for name in families.names():
        case = Case.of(name)
        if isinstance(case.model(), genzoo.Translator):
            assert issubclass(case.family.options, TranslatorOptions), name
