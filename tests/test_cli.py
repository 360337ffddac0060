"""The command line: exit codes, one line for each bad input, whole results or none, signals."""

import errno
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import weakref
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import families
from genzoo.cli import progress, run
from genzoo.cli.progress import Ticker
from genzoo.families import registry
from genzoo.models import writing
from genzoo.models.samples import Samples
from genzoo.runs.progress import ProgressLine
from genzoo.runs.run import RunStatus

COMMAND = [sys.executable, "-c", "import genzoo.cli; genzoo.cli.main()"]
# A conditional family of points, and one that cannot be loaded.
TOY = """
import torch
import genzoo
from genzoo.options import Options
from genzoo.schemas import Schema

class Config(Schema):
    pass

class Toy(genzoo.Sampler):
    kind, shape, value_range = "points", (2,), None
    num_classes, class_names = 3, ("ant", "bee", "cat")

    def __init__(self, config):
        super().__init__(config)
        self.scale = torch.nn.Parameter(torch.ones(2))

    def generate(self, draws, labels, sampling):
        return self.scale * draws.normal(2) + 10 * labels[:, None]

@genzoo.hookimpl
def genzoo_family():
    return genzoo.Family(
        config=Config, options=Options, model=Toy, trainer=print, tiny=Config(),
        paper="none", api=2,
    )
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of model folders: pictures from ``tiny``, points of three classes from ``toy``."""
    site = tmp_path_factory.mktemp("site")
    for name, source in {"toy": TOY, "broken": "raise OSError('no\\nluck')"}.items():
        (site / f"cli_{name}.py").write_text(textwrap.dedent(source))
        info = site / f"cli_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: cli-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[genzoo.families]\n{name} = cli_{name}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        folder = tmp_path_factory.mktemp("models")
        for name, family in {"tiny": "vae", "toy": "toy"}.items():
            parts = families.get(family)
            with torch.random.fork_rng():
                torch.manual_seed(1)
                model = parts.model(parts.tiny)
            model.class_names = getattr(model, "class_names", ())
            genzoo.save(model, folder / name, family=family, data="digits")
        (folder / "no-weights").mkdir()
        (folder / "no-weights/config.json").write_bytes((folder / "tiny/config.json").read_bytes())
        yield folder
    registry._load.cache_clear()


@pytest.fixture
def call(models, capsys, tmp_path, monkeypatch):
    """Run a command in an empty folder of its own; MODELS is the folder of models."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # argv is what a run's card says it was made by.
    monkeypatch.setattr(sys, "argv", ["genzoo", "test"])

    def called(line, *more):
        words = [*(line.split() if isinstance(line, str) else line), *map(str, more)]
        code = run([w.replace("MODELS", str(models)) for w in words])
        return code, *capsys.readouterr()

    return called


def pictures(folder, count=40, size=16):
    """Made pictures: noise, in the order of their names."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(count):
        pixels = random.integers(0, 256, (size, size), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


def contents(folder="."):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*"))


TRAIN = "--set width=8 --set latent_dim=2 --set batch_size=8 --threads 1 --device cpu"


# -------------------------------------------------------------------------------------- bad input

ONE_LINE = [
    # names, and what is near them
    ("sample vaee", 2, ["'vaee'", "did you mean vae?", "genzoo list"]),
    ("info vaee", 2, ["did you mean vae?"]),
    ("train vaee", 2, ["family", "did you mean vae?", "genzoo families"]),
    ("train vae --data digitz --steps 1", 2, ["data set", "did you mean digits?"]),
    ("train vae --sede 1", 2, ["--sede", "--seed"]),
    ("train vae --set widht=3", 2, ["widht", "did you mean width?", "genzoo info vae"]),
    ("smaple vae", 2, ["command", "did you mean sample?", "--help"]),
    ("sample", 2, ["genzoo sample needs MODEL: a model"]),
    ("sample vae dcgan", 2, ["dcgan"]),
    ("train", 2, ["family", "genzoo families"]),
    ("sample ./nowhere", 2, ["nowhere"]),
    ("sample ~nobody-at-all/model", 2, ["~nobody-at-all"]),
    ("sample \x1b[31mred", 2, ["no model"]),
    # values
    ("train vae --set width=-1", 2, ["width must be at least 1, got -1"]),
    ("train vae --set width=0", 2, ["width", "got 0"]),
    ("train vae --set width=1e9", 2, ["width", "4096"]),
    ("train vae --set width=10000000", 2, ["width must be at most 4096"]),
    ("train vae --set width=true", 2, ["width must be a whole number, got true"]),
    ("train vae --set width=8.5", 2, ["width", "8.5"]),
    ("train vae --set width=[8]", 2, ["width", "[8]"]),
    ("train vae --set lr=abc", 2, ["lr", "number", '"abc"']),
    ("train vae --set lr=NaN", 2, ["lr"]),
    ("train vae --set lr=1e999", 2, ["lr"]),
    ("train vae --set lr=-0.1", 2, ["lr must be above 0"]),
    ("train vae --set horizontal_flip=1", 2, ["flip must be true or false"]),
    ("train vae --set network=resnet", 2, ["network", "'mlp', 'conv' or 'relu'"]),
    ("train vae --set width", 2, ["--set", "'width'"]),
    ("train vae --set =8", 2, ["--set", "'=8'"]),
    ("train vae --set width=8 --set width=9", 2, ["width", "twice"]),
    ("train vae --set levels=2 --steps 1", 2, ["levels is 256 in digits, got 2"]),
    ("train vae --set width=0 --steps 1", 2, ["config of vae for digits", "width", "got 0"]),
    (
        "train vae --set truncation=0.5 --steps 1",
        2,
        ["truncation is a setting of sampling: genzoo sample --set truncation=0.5"],
    ),
    ("train vae --set shape=[2,9,8]", 2, ["channels must be 1 or 3, got 2"]),
    ("train vae --steps 0", 2, ["--steps"]),
    ("train vae --steps x", 2, ["--steps"]),
    ("train vae --steps 3 --minutes 1", 2, ["--steps", "--minutes"]),
    ("train vae --minutes 0", 2, ["--minutes"]),
    ("train vae --seed -1 --steps 1", 2, ["--seed"]),
    ("train vae --seed 9223372036854775808 --steps 1", 2, ["seed"]),
    ("train vae --precision fp8 --steps 1", 2, ["precision", "fp8"]),
    ("train vae --store-as int8 --steps 1", 2, ["int8"]),
    ("train vae --micro-batches 0 --steps 1", 2, ["micro"]),
    ("train vae --micro-batches 3 --steps 1", 2, ["batch_size 128", "3"]),
    ("train vae --checkpoint-every 0 --steps 1", 2, ["--checkpoint-every"]),
    ("train vae --threads 0 --steps 1", 2, ["--threads"]),
    ("sample MODELS/tiny -n 0", 2, ["n must be", "at least 1", "got 0"]),
    ("sample MODELS/tiny -n -1", 2, ["n must be", "got -1"]),
    ("sample MODELS/tiny -n many", 2, ["-n"]),
    ("sample MODELS/tiny --seed -2", 2, ["seed", "-2"]),
    ("sample MODELS/tiny --start -1", 2, ["start", "-1"]),
    ("sample MODELS/tiny --batch-size 0", 2, ["--batch-size must be", "got 0"]),
    ("sample MODELS/tiny --set truncation=0", 2, ["truncation"]),
    ("sample MODELS/tiny --set truncation=nan", 2, ["truncation"]),
    ("sample MODELS/tiny --scale 65", 2, ["--scale"]),
    ("sample MODELS/toy --set truncation=1 -o x.npy", 2, ["truncation", "no settings"]),
    # labels
    ("sample MODELS/tiny --label 3", 2, ["tiny has no classes: leave --label out"]),
    ("sample MODELS/toy -o x.npy --label 3", 2, ["label 3", "0 to 2"]),
    ("sample MODELS/toy -o x.npy --label -1", 2, ["-1"]),
    ("sample MODELS/toy -o x.npy --label bea", 2, ["class", "did you mean bee?"]),
    ("sample MODELS/toy -o x.npy -n 3 --label 0,1", 2, ["expected 3 labels", "got 2"]),
    # data
    ("train vae --data ./empty", 2, ["no images in", "empty"]),
    ("train vae --data ./gone", 2, ["gone"]),
    ("train vae --data ./file.txt", 2, ["file.txt"]),
    ("train vae --data ./junk", 2, ["junk", "can be read"]),
    ("train vae --data digits --data-root ./gone", 2, ["gone"]),
    # devices
    ("sample MODELS/tiny --device cuda:99", 2, ["'cuda:99'", "cpu", "auto"]),
    ("sample MODELS/tiny --device cpu:1", 2, ["'cpu:1'"]),
    ("sample MODELS/tiny --device tpu", 2, ["'tpu'", "cpu"]),
    ("train vae --steps 1 --device quantum", 2, ["'quantum'", "cpu"]),
    # where results go
    ("sample MODELS/tiny -o file.png", 2, ["file.png exists", "--force"]),
    ("sample MODELS/tiny -o empty", 2, ["empty exists", "--force"]),
    ("sample MODELS/tiny -o file.txt", 2, ["file.txt", ".png, .jpg, .webp, .pdf, .npy"]),
    ("sample MODELS/tiny -o gone/x.png", 2, ["no folder gone"]),
    ("sample MODELS/tiny -o file.txt/x.png", 2, ["no folder file.txt"]),
    ("sample MODELS/tiny -n 250000", 2, ["250,000", "81 million pixels, at most 64", "-o FOLDER"]),
    ("sample MODELS/tiny -n 2000 --scale 64", 2, ["million pixels", "smaller scale"]),
    ("sample MODELS/tiny -n 9223372036854775808 -o x.npy", 2, ["2**63"]),
    ("sample MODELS/tiny --start 9223372036854775807", 2, ["2**63"]),
    ("sample MODELS/tiny -o -", 2, ["cannot write -", ".npy"]),
    ("sample MODELS/tiny -n 0 -o file.png", 2, ["file.png exists"]),
    ("sample MODELS/tiny -o folder.png --force", 2, ["folder.png is a folder"]),
    ("sample MODELS/tiny -o . --force", 2, ["."]),
    ("sample MODELS/tiny -o .. --force", 2, [".."]),
    (
        "sample MODELS/toy -o points.wav",
        2,
        ["cannot write points.wav: points go to", ".png, .jpg, .webp, .pdf, .npy"],
    ),
    ("sample MODELS/toy --scale 2", 2, ["--scale enlarges images; this model generates points"]),
    ("sample MODELS/toy --numbers", 2, ["--numbers needs a grid of images"]),
    ("sample MODELS/toy -n 200001", 2, ["at most 200,000 points"]),
    ("train --steps 1 --resume", 2, ["--resume needs --out"]),
    ("train vae --steps 1 --resume", 2, ["no run in vae-digits"]),
    ("train vae --steps 1 --resume --force", 2, ["--resume", "--force", "one of them"]),
    ("train vae --steps 1 --resume --out ./empty", 2, ["no run in empty"]),
    (
        "train vae --steps 1 --out ./old",
        2,
        ["old already contains config.json", "--force"],
    ),
    ("train vae --steps 1 --out file.txt", 2, ["file.txt is a file"]),
    # what is broken, out of reach, or not to be trusted
    ("sample some-one/some-model", 3, ["some-one/some-model", "Hub"]),
    ("info broken", 1, ["cli-broken", "OSError: no luck"]),
    ("train broken --steps 1", 1, ["cli-broken"]),
    ("sample ./empty", 4, ["empty", "config.json"]),
    ("sample vae-mnist -n 2 -o x.npy --scale 2", 2, ["--scale", "x.npy holds numbers"]),
    ("sample ./stopped", 4, ["unfinished", "genzoo train --out stopped --resume"]),
    ("info MODELS/no-weights", 4, ["model.safetensors"]),
    ("info ./old", 4, ["config.json"]),
    ("sample MODELS/no-weights", 4, ["model.safetensors"]),
]


@pytest.fixture
def cluttered(call, models):
    """The folder has something in every way already."""
    for name in ("empty", "junk", "old", "folder.png", "stopped/run"):
        Path(name).mkdir(parents=True)
    for name in ("junk/a.png", "file.txt", "file.png", "old/config.json", "stopped/run/plan.json"):
        Path(name).write_text("{}")
    return call


@pytest.mark.parametrize(("line", "code", "words"), ONE_LINE, ids=lambda v: v if v != "" else "''")
def test_bad_input_is_told_in_one_line(line, code, words, cluttered):
    before = {p: p.stat().st_mtime_ns for p in [Path(), *Path().rglob("*")]}
    if line.startswith("train") and "--steps" not in line and "--minutes" not in line:
        line += " --steps 1"
    got, out, err = cluttered(line)
    assert (got, out) == (code, "")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert err.startswith("genzoo: ")
    assert err.rstrip("\n").isprintable()
    assert "Traceback" not in err
    assert len(err) < 600
    assert [w for w in words if w not in err] == [], err
    assert {p: p.stat().st_mtime_ns for p in [Path(), *Path().rglob("*")]} == before


@pytest.mark.parametrize("line", ["info vaee", "sample a/b", "sample ./x --json -n 2", "train v"])
def test_an_error_is_json_where_the_result_would_be(line, call):
    plain = call(line.replace(" --json", ""))
    code, out, err = call(line, *["--json"] * ("--json" not in line))
    (error,) = json.loads(err).values()
    assert error == {"code": code, "message": plain[2].removeprefix("genzoo: ").rstrip("\n")}
    assert (plain[0], out) == (code, "")


def test_a_usage_error_is_json_too(call):
    code, out, err = call("sample MODELS/tiny --json --sede 1")
    assert (code, out) == (2, "")
    assert json.loads(err)["error"]["code"] == 2


def test_no_command_shows_the_help(call):
    code, out, err = call("")
    assert code == 2
    assert "sample" in (out + err)
    assert (out + err).count("\n") > 5, "the help is no single line"


def test_help_and_version_are_results(call):
    code, out, err = call("--version")
    assert (code, out, err) == (0, f"genzoo {genzoo.__version__}\n", "")
    code, out, err = call("sample --help")
    assert (code, err) == (0, "")
    assert "--set" in out


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "genzoo: out of memory"),
        (PermissionError(13, "not for you", "x"), 1, "not for you"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), 1, "allocate"),
        (RuntimeError("CUDA out of memory. Tried to\nallocate"), 1, "out of memory"),
    ],
)
def test_what_the_machine_refuses_is_one_line(raised, code, said, call, monkeypatch):
    def fail(*arguments, **options):
        raise raised

    monkeypatch.setattr(writing, "write", fail)
    got, out, err = call("sample MODELS/tiny")
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert said in err


def test_a_bug_is_not_dressed_up(call, monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("a bug")

    monkeypatch.setattr(writing, "write", fail)
    with pytest.raises(AssertionError, match="a bug"):
        call("sample MODELS/tiny")


def test_debugging_shows_where_it_happened(call, monkeypatch):
    monkeypatch.setenv("GENZOO_DEBUG", "1")
    code, _, err = call("sample vaee")
    assert code == 2
    assert "Traceback" in err


# ---------------------------------------------------------------------------------------- results


def strict(text):
    """One JSON document, as every reader of JSON takes it."""

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def published(call, models, only_models):
    """``call``, where the models of the test are those that come along."""
    only_models(models)
    (models / "no-weights/config.json").rename(models / "no-weights/config.old")
    yield call
    (models / "no-weights/config.old").rename(models / "no-weights/config.json")


def test_list_shows_each_model(published):
    assert published("list --quiet")[1] == "tiny\ntoy\n"
    code, out, err = published("list")
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["name", "data"],
        ["tiny", "digits"],
        ["toy", "digits"],
    ]
    code, out, _ = published("list --json")
    assert [(c["name"], c["family"]) for c in strict(out)] == [("tiny", "vae"), ("toy", "toy")]
    assert strict(out)[0]["bytes"] > 1000


def test_a_family_stands_for_its_model(published):
    code, out, _ = published("sample vae -n 1 -o one.npy")
    assert (code, out) == (0, "one.npy\n")
    code, _, err = published("sample tinny")
    assert code == 2
    assert "did you mean tiny?" in err
    code, _, err = published("sample dcgan")
    assert code == 2
    assert "genzoo train dcgan" in err


def test_families_and_data_are_listed(call):
    code, out, err = call("families --json")
    assert (code, err) == (0, "")
    rows = {r["name"]: r for r in strict(out)}
    assert {"vae", "toy", "broken"} <= {*rows}
    assert rows["autoencoder"]["branch"] == "none/reconstruction"
    assert rows["vae"]["branch"] == families.metadata("vae").branch
    assert call("families")[1].startswith("generative models\n")
    _, *flat = [line.split()[0] for line in call("list families")[1].splitlines()]
    assert flat == sorted(rows)
    assert {"digits", "mnist"} <= {d["name"] for d in strict(call("list data --json")[1])}
    assert "digits" in call("list data")[1]


def test_plugins_say_which_is_broken(call):
    code, out, err = call("plugin list --json")
    assert (code, err) == (1, "")
    states = {p["name"]: p["state"] for p in strict(out)}
    assert (states["broken"], states["toy"], states["vae"]) == ("broken", "ok", "ok")
    code, out, _ = call("plugin list")
    assert "OSError: no luck" in out
    assert "Traceback" not in out
    assert "Traceback" in call("plugin list --verbose")[1]


def test_plugins_are_all_well(call, monkeypatch):
    monkeypatch.setenv("GENZOO_DISABLE_PLUGINS", "broken")
    assert call("plugin list")[0] == 0


@pytest.mark.parametrize("of", ["MODELS/tiny", "vae"])
def test_info_tells_what_it_is(call, of):
    code, out, err = call(f"info {of}")
    assert (code, err) == (0, "")
    assert "width" in out
    told = strict(call(f"info {of} --json")[1])
    assert told["name"] == of.removeprefix("MODELS/")
    assert "config" in told


def test_sample_writes_a_grid_that_says_what_it_is(call, models):
    code, out, err = call("sample MODELS/tiny -n 4 --seed 7 --scale 2")
    assert (code, out, err) == (0, "tiny.png\n", "")
    assert contents() == ["tiny.png"]
    with Image.open("tiny.png") as grid:
        assert grid.size == (2 * 34 + 2, 2 * 34 + 2)
        made = json.loads(grid.text["genzoo"])
    assert made["seeds"] == [[7, i] for i in range(4)]
    assert made["origin"]["model"] == "tiny"
    assert len(made["origin"]["weights_sha256"]) == 64


def test_sample_writes_an_array(call, models):
    code, out, _ = call("sample MODELS/tiny -n 5 --seed 3 --start 2 -o five.npy --json")
    told = strict(out)
    assert (code, told["path"], told["n"]) == (0, "five.npy", 5)
    assert told["seeds"] == [[3, 2]]  # of the first: the others follow it
    x = np.load("five.npy", allow_pickle=False)
    assert (x.shape, x.dtype) == ((5, 1, 16, 16), np.float32)
    assert np.array_equal(x, genzoo.load(models / "tiny").sample(5, seed=3, start=2).tensor)


def test_an_array_is_written_a_batch_at_a_time(call, models, monkeypatch):
    """Its size is the disk's affair, not the memory's."""
    monkeypatch.setattr(Samples, "join", None)
    code, out, _ = call("sample MODELS/toy -n 70 --batch-size 16 --label bee -o many.npy --json")
    assert (code, strict(out)["labels"]) == (0, [1] * 70)
    whole = genzoo.load(models / "toy").stream(70, labels="bee", batch_size=70)
    assert np.allclose(np.load("many.npy"), next(whole).tensor, atol=1e-6)


def test_an_array_is_written_whole_or_not_at_all(call, monkeypatch):
    Path("many.npy").write_text("mine")
    monkeypatch.setattr(os, "fsync", _full)
    code, _, err = call("sample MODELS/tiny -o many.npy --force")
    assert (code, err) == (1, "genzoo: cannot write many.npy: No space left on device\n")
    assert Path("many.npy").read_text() == "mine"
    assert contents() == ["many.npy"]


def _full(_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_info_shows_others_words_without_what_drives_a_terminal(call, models):
    shutil.copytree(models / "tiny", "evil")
    score = {"name": "a\x1b[2Jb", "value": 1, "unit": "\n\x07", "protocol": {}}
    Path("evil/metrics.json").write_text(json.dumps({"scores": [score]}))
    for line in ("info ./evil", "list"):
        code, out, _ = call(line)
        assert (code, out.replace("\n", "").isprintable()) == (0, True)


def test_a_fresh_seed_is_told(call, models):
    seeds = []
    for path in ("a.npy", "b.npy"):
        told = strict(call(f"sample MODELS/tiny -n 2 --seed random -o {path} --json")[1])
        seeds.append(told["seeds"][0][0])
        again = genzoo.load(models / "tiny").sample(2, seed=seeds[-1])
        assert np.array_equal(np.load(path), again.tensor)
    assert seeds[0] != seeds[1]


def test_a_run_of_a_random_seed_can_be_repeated(call, monkeypatch):
    line = f"train vae --steps 1 --seed random --out one {TRAIN}"
    monkeypatch.setattr(sys, "argv", ["genzoo", *line.split()])
    assert call(line)[0] == 0
    recipe = json.loads(Path("one/config.json").read_text())["recipe"]
    assert f"--seed {recipe['seed']} --out" in recipe["command"]
    assert f" --seed {recipe['seed']} " in call("info ./one")[1]


def test_labels_go_by_number_or_name(call):
    assert call("sample MODELS/toy -n 3 --label bee -o bees.npy")[0] == 0
    assert (np.load("bees.npy") // 5).mean() > 0.5
    assert call("sample MODELS/toy -n 3 --label 0,ant,2 -o three.npy")[0] == 0
    assert [round(v) for v in np.load("three.npy").mean(1) / 10] == [0, 0, 2]


def test_points_have_a_default_of_their_own(call):
    code, out, err = call("sample MODELS/toy")
    assert (code, out, err) == (0, "toy.png\n", "")
    assert len(genzoo.inspect("toy.png").record.seeds) == 1000


def test_a_folder_takes_any_number(call, models, monkeypatch):
    """A file each, the record of all, and never more than two batches in memory."""
    alive, most, write = weakref.WeakSet(), 0, writing.write

    def watched(parts, *more, **options):
        def counted():
            nonlocal most
            for part in parts:
                alive.add(part)
                most = max(most, len(alive))
                yield part

        return write(counted(), *more, **options)

    monkeypatch.setattr(writing, "write", watched)
    code, out, err = call("sample MODELS/tiny -n 300 --seed 5 --start 10 -o many --json")
    assert (code, err) == (0, "")
    assert most <= 2
    names = sorted(p.name for p in Path("many").iterdir())
    assert names == [*(f"{i:08}.png" for i in range(10, 310)), "record.json"]
    record = json.loads(Path("many/record.json").read_text())
    assert record["seeds"][0] == [5, 10]
    assert record["n"] == 300
    assert record["origin"]["model"] == "tiny"
    assert {**strict(out), "path": "many"} == {"path": "many", **record}
    drawn = genzoo.load(models / "tiny").sample(1, seed=5, start=309)
    with Image.open("many/00000309.png") as picture:
        assert np.array_equal(picture, drawn.pil()[0])
        assert json.loads(picture.text["genzoo"])["seeds"] == [[5, 309]]


def test_force_replaces_what_is_there(call):
    for path in ("x.png", "x.npy", "x"):
        assert call(f"sample MODELS/tiny -n 3 -o {path}")[0] == 0
        old = {p: Path(p).read_bytes() for p in contents() if Path(p).is_file()}
        assert call(f"sample MODELS/tiny -n 2 --seed 1 -o {path}")[0] == 2
        assert {p: Path(p).read_bytes() for p in old} == old
        assert call(f"sample MODELS/tiny -n 2 --seed 1 -o {path} --force")[0] == 0
        assert {p: Path(p).read_bytes() for p in contents() if Path(p).is_file()} != old
    assert contents("x") == ["00000000.png", "00000001.png", "record.json"]


@pytest.mark.parametrize("path", ["photos", "photos/../photos", "./photos/"])
def test_force_spares_a_folder_of_somebodys(call, path):
    """Only what ``sample`` wrote is replaced: a slip must not cost anybody's pictures."""
    Path("photos").mkdir()
    Path("photos/mine.txt").write_text("dear")
    code, _, err = call(f"sample MODELS/tiny -n 2 -o {path} --force")
    assert code == 2
    assert "photos" in err
    assert contents("photos") == ["mine.txt"]


# ------------------------------------------------------------------------- disks, pipes, Ctrl-C


@contextmanager
def full_disk(room):
    """No file can grow beyond ``room`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize(("path", "room"), [("x.png", 99), ("x.npy", 99), ("x", 99)])
def test_a_full_disk_leaves_nothing_behind(call, path, room):
    with full_disk(room):
        code, out, err = call(f"sample MODELS/tiny -n 40 -o {path}")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "cannot write" in err
    assert path in err
    assert contents() == []


def test_a_full_disk_spares_what_was_there(call):
    for path in ("x.png", "x"):
        assert call(f"sample MODELS/tiny -n 2 -o {path}")[0] == 0
        old = {p: Path(p).read_bytes() for p in contents() if Path(p).is_file()}
        with full_disk(99):
            assert call(f"sample MODELS/tiny -n 2 --seed 1 -o {path} --force")[0] == 1
        assert {p: Path(p).read_bytes() for p in contents() if Path(p).is_file()} == old


@pytest.mark.parametrize("line", ["families", "list data --json", "--help", "info MODEL"])
def test_a_closed_pipe_is_no_error(line, models):
    """genzoo list | true"""
    words = line.replace("MODEL", str(models / "tiny")).split()
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, *words], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (0, 1, 141)


def test_a_result_that_cannot_be_written_is_an_error():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "list", "data"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


def test_ctrl_c_keeps_the_run(call, capsys):
    """SIGINT: the step in hand is finished, a checkpoint written, 130; --resume does the rest."""
    pictures(Path("made"))
    words = f"train vae --data ./made --steps 250 --checkpoint-every 250 --out out {TRAIN}"
    with subprocess.Popen(
        [*COMMAND, *words.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        log = Path("out/run/log.jsonl")
        deadline = time.monotonic() + 60
        while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    lines = json.loads(Path("out/run/plan.json").read_text())["summary"]
    assert err.startswith("".join(f"genzoo: {line}\n" for line in lines))
    assert err.count("\n") == len(lines) + 1
    assert "--resume" in err
    (kept,) = Path("out/run/checkpoints").iterdir()
    step = int(kept.stem)
    assert 10 <= step < 250
    assert f"stopped after step {step};" in err
    assert not Path("out/config.json").exists()
    code, out, err = call("train --resume --out out --threads 1")
    assert (code, out) == (0, "out\n")
    assert call("sample ./out -n 2")[1] == "out.png\n"


def test_train_tells_what_it_would_take(call):
    pictures(Path("made"))
    before = contents()
    code, out, err = call(f"train vae --data ./made --steps 100 --dry-run {TRAIN}")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [
        *("parameters", "memory", "speed", "steps", "time"),
    ]
    found = strict(call(f"train vae --data ./made --minutes 1 --dry-run --json {TRAIN}")[1])
    model = families.get("vae").model(
        families.get("vae").config(shape=(1, 16, 16), width=8, latent_dim=2)
    )
    assert found["parameters"] == {"model": sum(p.numel() for p in model.parameters())}
    assert found["seconds"] == 60
    assert found["steps"] == pytest.approx(60 * found["rate"], rel=0.01)
    assert contents() == before


def test_train_prints_the_folder(call):
    pictures(Path("made"))
    code, out, err = call(f"train vae --data ./made --steps 3 --json {TRAIN}")
    assert (code, err) == (0, "")
    assert strict(out) == {"folder": "vae-made", "steps": 3}
    assert {"config.json", "model.safetensors", "README.md", "metrics.json", "samples.png"} <= {
        *contents("vae-made")
    }
    assert call("info ./vae-made")[0] == 0


def test_a_slip_does_not_cost_the_old_run(call):
    """--force makes room for a run that can begin, not for one that cannot."""
    pictures(Path("made"))
    line = f"train vae --data ./made --steps 2 --out out {TRAIN}"
    assert call(line)[0] == 0
    old = {p: Path(p).read_bytes() for p in contents() if Path(p).is_file()}
    for slip in ("--set beta=-1", "--device tpu", "--micro-batches 5", "--precision fp8"):
        assert call(line, "--force", *slip.split())[0] == 2
        assert {p: Path(p).read_bytes() for p in contents() if Path(p).is_file()} == old
    assert call(line, "--force", "--seed", 1)[0] == 0
    assert Path("out/model.safetensors").read_bytes() != old["out/model.safetensors"]


@pytest.fixture
def seconds(monkeypatch):
    """A list whose last number is the time."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[-1])
    return now


def test_without_a_terminal_progress_is_a_line_every_30_seconds(seconds, capsys, monkeypatch):
    ticker = Ticker()
    ticker(lambda: pytest.fail("asked for text that nobody sees"))
    for i in range(10):
        ticker.count("samples", 1000 * i + 64, 20000)
        seconds.append(seconds[-1] + 10)
    ticker.done()
    assert capsys.readouterr() == (
        "",
        "genzoo: samples: 3,064 of 20,000, 2:49 left\n"
        "genzoo: samples: 6,064 of 20,000, 2:19 left\n"
        "genzoo: samples: 9,064 of 20,000, 1:49 left\n",
    )
    monkeypatch.setenv("RANK", "1")
    second = Ticker()
    seconds.append(seconds[-1] + 99)
    second.count("samples", 1, 2)
    assert capsys.readouterr().err == ""


def test_a_training_of_a_script_writes_a_line_every_30_seconds(seconds, capsys, monkeypatch):
    def watch():
        line = ProgressLine()
        for step in range(1, 6):
            seconds.append(seconds[-1] + 16)
            line(RunStatus(step, 5, 0.25, {"loss": torch.tensor(0.5)}))
        line.close()
        return capsys.readouterr()

    lines = [
        f"genzoo: step {i} of 5  0.2/s  0:{left} left  loss 0.5\n"
        for i, left in ((2, "12"), (4, "04"))
    ]
    assert watch() == ("", "".join(lines))
    monkeypatch.setenv("RANK", "1")
    assert watch() == ("", "")


def test_on_a_terminal_progress_is_a_bar_on_one_line(seconds, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    ticker = Ticker()
    ticker.count("samples", 0, 4)
    ticker.count("samples", 1, 4)  # too soon
    seconds.append(110.0)
    ticker.count("samples", 2, 4)
    seconds.append(120.0)
    ticker(lambda: "a long text " * 9, 1.0)
    ticker.done()
    start, first, second, third, end = capsys.readouterr().err.split("\r\x1b[K")
    assert start == end == ""
    assert first.endswith("  samples: 0 of 4")
    assert second.endswith("  samples: 2 of 4, 0:10 left")
    assert [second.count(c) for c in progress.BAR] == [progress.WIDTH // 2] * 2
    assert (len(third), "\x1b" in third) == (59, False)


def shell(line):
    """What bash prints of ``line``, in which GENZOO stands for the command."""
    line = line.replace("GENZOO", shlex.join(COMMAND))
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr


def test_a_folder_that_is_gone_is_named_before_torch_is_imported(tmp_path):
    line = f"mkdir {tmp_path}/a; cd {tmp_path}/a; rmdir {tmp_path}/a"
    out, err = shell(f"{line}; GENZOO sample vae-mnist -o {tmp_path}/x.png; echo $?")
    assert out == ["2"]
    assert err == "genzoo: the current folder does not exist any more: cd to another\n"


@pytest.mark.parametrize("line", ["list --quiet", "--version", "families --json"])
def test_a_full_disk_is_named_where_the_output_waits_for_the_end(line, monkeypatch):
    """Without PYTHONUNBUFFERED Python writes a short result when the program ends."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    out, err = shell(f"GENZOO {line} >/dev/full; echo $?")
    assert out == ["1"]
    assert err.count("\n") == 1
    assert "cannot write the output: No space left on device" in err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(36, "File name too long", "x" * 300), 2, "cannot use xxx"),
        (OSError(5, "Input/output error"), 1, "genzoo: cannot read or write: Input/output error"),
        (OSError("no answer"), 1, "genzoo: OSError: no answer"),
    ],
)
def test_an_error_of_the_system_is_said_in_words(error, code, says, call, monkeypatch):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(writing, "write", fail)
    got, _, err = call("sample MODELS/tiny")
    assert got == code
    assert says in err
    assert "Errno" not in err


def test_a_closed_output_is_no_error():
    assert shell("GENZOO list --quiet >&-; echo $?") == (["0"], "")


def test_help_that_nobody_reads_ends_as_a_closed_pipe():
    """The reader has gone when the first word is written."""
    assert shell("(sleep 1; GENZOO --help; echo $? >&2) | true") == ([], "141\n")


def test_it_runs_as_a_module_too():
    """As torchrun starts it."""
    command = [sys.executable, "-m", "genzoo", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("genzoo ")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["train", "vae", "--out", ""], "--out"),
        (["train", "vae", "--out="], "--out"),
        (["train", "--resume", "--out", ""], "--out"),
        (["train", "vae", "--data-root", ""], "--data-root"),
        (["train", "vae", "--license", ""], "--license"),
        (["plot", ""], "an argument"),
        (["sample", "vae-mnist", "-o", ""], "-o"),
    ],
)
def test_an_unset_variable_is_no_folder(words, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    assert capsys.readouterr().err.startswith(f"genzoo: {name} is empty: give a value")
    assert not [*tmp_path.iterdir()]


# ----------------------------------------------------------------------------------- info --layers

# The network of Keras courses; test_summary.py holds its table, layer by layer.
KERAS = "size=28 channels=1 network=upsampling latent_dim=100 width=32 dropout=0.4"


def test_layers_of_a_family_with_settings(call):
    settings = " ".join(f"--set {pair}" for pair in KERAS.split())
    code, out, err = call(f"info dcgan --layers {settings}")
    assert (code, err) == (0, "")
    generator, discriminator = out.split("\n\n")
    assert "2,394,241" in generator
    assert discriminator.startswith("Discriminator, which only training needs\n")
    assert "4,311,553" in discriminator
    told = strict(call(f"info dcgan --layers {settings} --json")[1])
    assert [table["total"] for table in told] == [2_394_241, 4_311_553]
    assert all(row["shape"] for table in told for row in table["layers"])


def test_layers_of_a_model(call):
    code, out, err = call("info MODELS/tiny --layers")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("tiny (")
    assert "total" in out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("info dcgan --set width=8", "--set would have no effect: only --layers builds networks"),
        (
            "info MODELS/tiny --layers --set width=8",
            "tiny is a model; only a family takes settings",
        ),
        ("info dcgan --layers --set lr=1", "lr is an option of training: it changes no layer"),
        ("info dcgan --layers --set widht=8", "did you mean width? Type genzoo info dcgan"),
        ("info dcgan --layers --set size=30", "must be 4 to 7 times a power of two"),
        ("info sagan --layers --set attention_resolution=3", "sagan: attention_resolution must be"),
    ],
)
def test_layers_that_cannot_be_shown(call, line, said):
    code, out, err = call(line)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
