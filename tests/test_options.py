"""Each option of each command acts, or is refused by name where nothing would read it.

`train --resume` has a table of its own, in test_resume.py. `train --dry-run` takes the whole
command whose time it estimates, so options of the run itself are no mistake there.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
from PIL import Image

import genzoo
from genzoo import families
from genzoo.cli import early, run
from genzoo.cli.app import app
from genzoo.data.entries import Stored
from genzoo.editing import directions
from genzoo.errors import BadInput, OperationFailed
from genzoo.evaluation import unread
from genzoo.evaluation.representations import Features
from genzoo.families.registry import Plugin
from genzoo.models import checks
from genzoo.models.sampler import Latent
from genzoo.text import Records
from genzoo.zoo import names, publish

# Functions behind commands that would train, measure, load much or use the network: here they only
# print their arguments.
DIRECTION = "genzoo.editing.directions.direction_from"
REPRESENTATIONS = "genzoo.evaluation.representations"
BEHIND = {
    "adopt": [
        "genzoo.zoo.adoption.adopt",
        *(f"genzoo.zoo.adoption.{s}" for s in ("record", "summary")),
    ],
    "compare": ["genzoo.evaluation.compare.compare"],
    "demo": ["genzoo.demo.demo"],
    "direction": [f"{DIRECTION}_{s}" for s in ("data", "samples", "seeds")],
    "evaluate": ["genzoo.evaluation.evaluate.evaluate"],
    "data show": ["genzoo.data.viewing.show"],
    "export": ["genzoo.exports.formats.export"],
    "features": [f"{REPRESENTATIONS}.extract_features", "genzoo.evaluation.inside.look_inside"],
    "neighbours": ["genzoo.evaluation.neighbours.neighbours"],
    "outliers": ["genzoo.evaluation.outliers.outliers"],
    "plot": ["genzoo.runs.plots.plot"],
    "pull": ["genzoo.zoo.publish.pull"],
    "push": ["genzoo.zoo.publish.push"],
    "search": ["genzoo.zoo.hub.search"],
    "train": [
        *(f"genzoo.runs.launch.{s}" for s in ("start", "resume", "forecast", "check_run")),
        *(f"genzoo.runs.train.{s}" for s in ("_go", "_compare")),
        "genzoo.devices.set_threads",
    ],
    "truncate": ["genzoo.evaluation.truncation.truncate"],
    "verify": ["genzoo.evaluation.verify.verify"],
    "plugin check": ["genzoo.testing.outcomes"],
}  # fmt: skip

QUICK = "--search-steps 1"
NOWHERE = "--device nosuch"  # a device that is read is refused
WALK = "interpolate ./tiny --sample 1,2 --steps 2 -o w.png"
STEER = "steer ./tiny d.safetensors --sample 1 -o s.png"
FILL = "inpaint ./tiny p.png --steps 1 --restarts 1 -o f.png"
SUM = "arithmetic ./tiny 1 + 2 -o a.png"
GRID = "traverse ./tiny --grid 2x2 -o t.png"
# The same of a photo, whose code comes from an encoder, and by a search.
WALK_PHOTO, WALK_SEARCH = (WALK.replace("1,2", f"p.png --sample 2 {s}") for s in ("", QUICK))
STEER_PHOTO, STEER_SEARCH = (STEER.replace("1", f"p.png {s}") for s in ("", QUICK))
SUM_PHOTO = SUM.replace("2", "p.png")
GRID_PHOTO, GRID_SEARCH = (f"{GRID} --sample p.png {s}" for s in ("", QUICK))
LOOK = "attend ./looks --at 1,1 -o x.png"
TRAIN = "train vae --steps 2"
# Of each command: a line that works, and of each option words that change the result of that line.
# A pair is another line, and the words that change its result.
ACTS = {
    "adopt": (
        "adopt g.pth",
        {
            "as_family": "--as gan",
            "part": "--part G",
            "data": "--data mnist",
            "root": "--data-root there",
            "settings": "--set width=3",
            "license": "--license mit",
            "out": "-o there",
            "force": "--force",
            "json": "--json",
        },
    ),
    "arithmetic": (
        SUM,
        {
            "search_steps": (SUM_PHOTO, QUICK),
            "restarts": (SUM_PHOTO, "--restarts 2"),
            "search_seed": (f"{SUM_PHOTO} {QUICK}", "--search-seed 1"),
            "out": "-o b.png",
            "label": ("arithmetic ./labels 0:0 + 0:3 -o a.png", "--label 1"),
            "settings": "--set truncation=0.1",
            "seed": "--seed 1",
            "scale": "--scale 2",
            "metadata": "--no-metadata",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "attend": (
        LOOK,
        {
            "at": "--at 2,2",
            "out": "-o y.png",
            "sample": "--sample 0:1",
            "label": "--label 1",
            "settings": "--set truncation=0.1",
            "scale": "--scale 2",
            "metadata": "--no-metadata",
            "json": "--json",
            "device": NOWHERE,
        },
    ),
    "cache": (
        "cache",
        {
            "clean": "--clean",
            "older_than": ("cache --clean", "--older-than 99999"),
            "limit": "--limit 1GB",
            "json": "--json",
        },
    ),
    "cite": ("cite vae", {"json": "--json"}),
    "env": ("env", {"json": "--json"}),
    "compare": (
        "compare vae-mnist dcgan-mnist -o both",
        {
            "data": "--data mnist",
            "n": "-n 9",
            "seed": "--seed 1",
            "settings": "--set truncation=1",
            "metrics": "--metrics fd",
            "features": "--features mnist",
            "groups": "--groups 2",
            "root": "--data-root there",
            "out": "-o other",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "demo": (
        "demo",
        {
            "data": "--data digits",
            "host": "--host 0.0.0.0",
            "port": "--port 99",
            "browse": "--browse",
            "root": "--data-root there",
            "device": NOWHERE,
        },
    ),
    "direction": (
        "direction ./tiny --of 3",
        {
            "of": "--of 4",
            "encode": "--encode",
            "toward": ("direction ./tiny --toward 0:1 --away 0:2", "--toward 0:3"),
            "away": ("direction ./tiny --toward 0:1 --away 0:2", "--away 0:3"),
            "data": "--data mnist",
            "n": "-n 9",
            "seed": "--seed 1",
            "label": "--label 1",
            "out": "-o b.safetensors",
            "root": ("direction ./tiny --of 3 --encode", "--data-root there"),
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "steer": (
        STEER,
        {
            "search_steps": (STEER_PHOTO, QUICK),
            "restarts": (STEER_PHOTO, "--restarts 2"),
            "search_seed": (STEER_SEARCH, "--search-seed 1"),
            "sample": "--sample 2",
            "alphas": "--alphas 0,1",
            "steps": "--steps 3",
            "label": ("steer ./labels e.safetensors --sample 1 -o s.png", "--label 1"),
            "settings": "--set truncation=0.1",
            "out": "-o b.png",
            "scale": "--scale 2",
            "metadata": "--no-metadata",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "evaluate": (
        "evaluate ./tiny",
        {
            "data": "--data mnist",
            "metrics": "--metrics fd",
            "n": "-n 9",
            "seed": "--seed 1",
            "settings": "--set truncation=1",
            "features": "--features mnist",
            "groups": "--groups 2",
            "limit": "--limit 9",
            "size": "--size 8",
            "channels": "--channels 1",
            "fit": "--fit pad",
            "levels": "--levels 0:9",
            "root": "--data-root there",
            "write": "--write",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "export": (
        "export ./tiny",
        {
            "to": "--to torch",
            "settings": "--set observation_noise=1",
            "out": "-o b.onnx",
            "runtime": ("export ./tiny --to page", "--runtime there"),
            "force": "--force",
            "json": "--json",
        },
    ),
    "families": ("families", {"json": "--json"}),
    "data show": (
        "data show digits",
        {
            "n": "-n 3",
            "seed": "--seed 1",
            "start": "--start 1",
            "mean": "--mean",
            "split": "--split test",
            "out": "-o b.png",
            "scale": "--scale 2",
            "size": "--size 8",
            "channels": "--channels 1",
            "fit": "--fit pad",
            "levels": "--levels 0:9",
            "root": "--data-root there",
            "json": "--json",
        },
    ),
    "features": (
        "features ./tiny p.png",
        {
            "out": "-o b.npy",
            "picture": "--picture i.png",
            "scale": ("features ./tiny p.png --picture i.png", "--scale 2"),
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "inpaint": (
        FILL,
        {
            "mask": "--mask box:0,0,2,2",
            "out": "-o b.png",
            "strip": "--strip s.png",
            "gif": "--gif s.gif",
            "label": ("inpaint ./labels p.png --steps 1 --restarts 1 -o f.png", "--label 1"),
            "restarts": "--restarts 3",
            "steps": "--steps 3",
            "weight": "--weight 0.1",  # refused: it has no discriminator
            "window": "--window 3",
            "blend": "--blend",
            "seed": "--seed 1",
            "settings": "--set truncation=0.1",  # refused: a search has no settings
            "batch_size": "--batch-size 0",  # refused: it is too small
            "scale": "--scale 2",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "inspect": (
        "inspect drawn.png",
        {
            "again": "--reproduce --model ./tiny",
            "model": ("inspect drawn.png --reproduce", "--model ./tiny"),
            "out": ("inspect drawn.png --reproduce --model ./tiny", "-o b.png"),
            "device": ("inspect drawn.png --reproduce --model ./tiny", NOWHERE),
            "json": "--json",
        },
    ),
    "interpolate": (
        WALK,
        {
            "search_steps": (WALK_PHOTO, QUICK),
            "restarts": (WALK_PHOTO, "--restarts 2"),
            "search_seed": (WALK_SEARCH, "--search-seed 1"),
            "sample": "--sample 3",
            "out": "-o b.gif",
            "steps": "--steps 3",
            "loop": "--loop",
            "how": "--how lerp",
            "label": ("interpolate ./labels --sample 1,2 --steps 2 -o w.png", "--label 1"),
            "settings": "--set truncation=0.1",
            "scale": "--scale 2",
            "metadata": "--no-metadata",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "list": ("list", {"quiet": "--quiet", "json": "--json"}),
    "info": (
        "info vae",
        {
            "active": ("info ./tiny", "--active"),
            "layers": "--layers",
            "settings": ("info vae --layers", "--set width=9"),
            "json": "--json",
        },
    ),
    "neighbours": (
        "neighbours ./tiny",
        {
            "data": "--data mnist",
            "n": "-n 9",
            "k": "-k 2",
            "out": "-o b.png",
            "seed": "--seed 1",
            "size": "--size 8",
            "channels": "--channels 1",
            "fit": "--fit pad",
            "levels": "--levels 0:9",
            "root": "--data-root there",
            "scale": "--scale 2",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "outliers": (
        "outliers ./tiny --against mnist -o a.png",
        {
            "out": "-o b.png",
            "scale": "--scale 2",
            "against": "--against digits",
            "data": "--data mnist",
            "n": "-n 9",
            "seed": "--seed 1",
            "size": "--size 8",
            "channels": "--channels 1",
            "fit": "--fit pad",
            "levels": "--levels 0:9",
            "root": "--data-root there",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "plot": ("plot tiny", {"out": "-o b.svg", "scale": "--scale 2", "json": "--json"}),
    "pull": (
        "pull a/b",
        {
            "out": "-o there",
            "discriminator": "--discriminator",
            "force": "--force",
            "json": "--json",
        },
    ),
    "push": (
        "push tiny a/b",
        {
            "private": "--private",
            "tag": "--tag v1",
            "license": "--license mit",
            "json": "--json",
        },
    ),
    "reference": ("reference cifar10", {"metric": "--metric fid", "json": "--json"}),
    "sample": (
        "sample ./tiny -n 2 -o s.png",
        {
            "n": "-n 3",
            "out": "-o b.npy",
            "seed": "--seed 1",
            "start": "--start 1",
            "label": ("sample ./labels -n 2 -o s.png", "--label 1"),
            "settings": "--set truncation=0.1",
            "scale": "--scale 2",
            "watch": "--watch w.gif",  # refused: it does not draw pixel by pixel
            "numbers": "--numbers",
            "metadata": "--no-metadata",
            "batch_size": "--batch-size 0",  # refused: it is too small
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "search": ("search", {"limit": "--limit 9", "json": "--json"}),
    "train": (
        TRAIN,
        {
            "data": "--data mnist",
            "steps": "--steps 3",
            "minutes": ("train vae", "--minutes 2"),
            "seed": "--seed 1",
            "out": "--out there",
            "recipe": ("train --recipe dcgan-mnist", "--recipe vae-mnist"),
            "start_from": "--from vae-mnist",
            "resume": "--resume",
            "settings": "--set width=8",
            "device": NOWHERE,
            "precision": "--precision bf16",
            "micro_batches": "--micro-batches 2",
            "compile": "--compile",
            "checkpoint_every": "--checkpoint-every 3",
            "grid_every": "--grid-every 3",
            "board": "--board",
            "store_as": "--store-as float16",
            "license": "--license MIT",
            "version": "--model-version 2",
            "threads": "--threads 1",
            "root": "--data-root there",
            "dry_run": "--dry-run",
            "force": "--force",
            "json": "--json",
        },
    ),
    "translate": (
        "translate ./turns p.png -o x.png",
        {
            "out": "-o b.png",
            "to": "--to dark",
            "settings": "--set strength=2",  # refused: this model has no settings
            "seed": "--seed 1",
            "scale": "--scale 2",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "traverse": (
        GRID,
        {
            "search_steps": (GRID_PHOTO, QUICK),
            "restarts": (GRID_PHOTO, "--restarts 2"),
            "search_seed": (GRID_SEARCH, "--search-seed 1"),
            "dims": "--dims 1,0",
            "grid": "--grid 2x3",
            "sample": "--sample 1",
            "label": ("traverse ./labels --grid 2x2 -o t.png", "--label 1"),
            "settings": "--set truncation=0.1",
            "out": "-o b.png",
            "scale": "--scale 2",
            "metadata": "--no-metadata",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "truncate": (
        "truncate ./tiny",
        {
            "values": "--values 1,none",
            "metrics": "--metrics fd",
            "data": "--data mnist",
            "n": "-n 9",
            "seed": "--seed 1",
            "features": "--features mnist",
            "out": "-o b.json",
            "root": "--data-root there",
            "scale": "--scale 2",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "upgrade": ("upgrade tiny", {}),
    "verify": (
        "verify ./tiny",
        {
            "every": ("verify", "--all"),
            "data": ("verify ./labels", "--data ./there"),
            "root": "--data-root there",
            "device": NOWHERE,
            "json": "--json",
        },
    ),
    "plugin list": ("plugin list", {"verbose": "--verbose", "json": "--json"}),
    "plugin check": ("plugin check vae", {"json": "--json"}),
    "plugin new": ("plugin new my-gan", {"kind": "--kind metric", "out": "-o there"}),
}
# Lines that fail: a plugin is broken, the page is not served, a model is missing.
FAILING = {"plugin list": 1, "demo": 1, "inspect drawn.png --reproduce": 2, "verify": 2}
# Whether a file that is there may be replaced: with it the same line works a second time.
FORCE = {"arithmetic", "attend", "compare", "direction", "steer", "features", "inpaint", "inspect"}
FORCE |= {
    "data show",
    "interpolate",
    "neighbours",
    "outliers",
    "plot",
    "sample",
    "translate",
    "traverse",
    "truncate",
}

# Options that nothing would read: each is refused by name, with exit code 2.
REFUSED = [
    ("sample ./tiny -n 2 -o x.npy", "--scale 2"),
    ("sample ./tiny -n 2 -o x.npy", "--no-metadata"),
    ("sample ./tiny -n 2 -o x.npy", "--numbers"),
    ("sample ./tiny -n 2 -o x", "--scale 2"),
    ("sample ./tiny -n 2 -o x", "--numbers"),
    ("sample ./tiny -n 2 -o x.png", "--watch w.gif"),
    ("sample ./tiny -n 2 -o x.png", "--label 1"),
    ("outliers ./tiny --against mnist", "--scale 2"),
    ("outliers ./tiny --against mnist", "--force"),
    ("outliers ./tiny --against mnist -o x.json", "--scale 2"),
    ("interpolate ./tiny --sample 1,2 --steps 2 -o x", "--scale 2"),
    ("interpolate ./tiny --sample 1,2 --steps 2 -o x.npy", "--no-metadata"),
    ("interpolate ./tiny --sample 1,2 --steps 2 -o x.gif", "--label 1"),
    ("traverse ./tiny --grid 2x2 -o x", "--scale 2"),
    ("traverse ./tiny --grid 2x2 -o x.npy", "--no-metadata"),
    ("traverse ./tiny --grid 2x2 -o x.png", "--label 1"),
    ("traverse ./tiny --dims all -o x.png", "--grid 2x2"),
    ("attend ./looks -o x.npy", "--scale 2"),
    ("attend ./looks -o x.npy", "--no-metadata"),
    ("features ./tiny p.png", "--scale 2"),
    ("features ./tiny p.png --picture x.png", "--out x.npy"),
    ("data show digits --mean", "--n 2"),
    ("data show digits --mean", "--seed 1"),
    ("data show digits --start 2", "--seed 1"),
    ("data show digits -o x.npy", "--scale 2"),
    ("info vae --layers", "--active"),
    ("info vae --active", "--set width=9"),
    ("steer ./tiny d.safetensors --sample 1 --alphas 0,1 -o x.png", "--steps 3"),
    ("steer ./tiny d.safetensors --sample 1 --alphas 0:1 -o x", "--scale 2"),
    ("steer ./tiny d.safetensors --sample 1 --alphas 0:1 -o x.npy", "--no-metadata"),
    ("arithmetic ./tiny 1 + 2 -o x.png", "--label 1"),
    ("direction ./tiny --toward 0:1 --away 0:2", "--data mnist"),
    ("direction ./tiny --toward 0:1 --away 0:2", "--encode"),
    ("direction ./tiny --toward 0:1 --away 0:2", "-n 9"),
    ("direction ./tiny --toward 0:1 --away 0:2", "--seed 0"),
    ("direction ./tiny --toward 0:1 --away 0:2", "--data-root there"),
    ("direction ./tiny --of 3", "--data-root there"),
    ("direction ./tiny --of 3", "--away 0:2"),
    ("direction ./tiny --of 3 --encode --data digits", "--seed 1"),
    ("inpaint ./tiny p.png --steps 1 --restarts 1 -o x.png", "--weight 0.1"),
    ("inpaint ./tiny p.png --steps 1 --restarts 1 -o x.png", "--set temperature=1"),
    ("inpaint ./tiny p.png --steps 1 --restarts 1 -o x.png", "--label 1"),
    ("inpaint ./tiny p.png --steps 1 --restarts 1 -o x", "--scale 2"),
    ("inpaint ./pixels p.png -o x.png", "--steps 3"),
    ("inpaint ./pixels p.png -o x.png", "--restarts 3"),
    ("inpaint ./pixels p.png -o x.png", "--weight 0.1"),
    ("inpaint ./pixels p.png -o x.png", "--window 7"),
    ("inpaint ./pixels p.png -o x.png", "--blend"),
    (WALK, "--search-steps 2"),
    (WALK, "--restarts 2"),
    (STEER, "--search-seed 1"),
    (GRID_PHOTO, "--search-seed 1"),
    (SUM, "--restarts 2"),
    ("inspect drawn.png", "--model ./tiny"),
    ("inspect drawn.png", "-o x.png"),
    ("inspect drawn.png", "--device cpu"),
    ("inspect drawn.png --reproduce --model ./tiny", "--force"),
    ("list --json", "--quiet"),
    ("plugin list --json", "--verbose"),
    ("reference", "--metric fid"),
    ("evaluate images:there", "--write"),
    ("evaluate images:there", "--set truncation=1"),
    ("verify ./tiny", "--data ./there"),
    ("verify --all", "--data ./there"),
    ("verify ./tiny", "--all"),
    ("cache mnist", "--limit 1GB"),
    ("cache --clean", "--limit 1GB"),
    ("cache --older-than 1", "--limit 1GB"),
    ("demo ./tiny", "--data-root there"),
    ("export ./tiny", "--runtime there"),
    ("translate ./plain p.png -o x.png", "--seed 1"),
    ("translate ./plain p.png -o x.png", "--set strength=2"),
    ("train vae --steps 2", "--minutes 1"),
    ("train vae --recipe vae-mnist", "vae"),
    ("train vae --resume --out there", "--force"),
]


class Result(SimpleNamespace):
    """What the functions behind the commands return here; it prints how it is used."""

    def __init__(self, **more):
        super().__init__(name="tiny", data="digits", scores=(), near=(), note="near", **more)
        self.interval, self.auroc, self.against, self.protocol = (0.1, 0.2), 0.5, "other", {}
        self.inside = self.outside = self.vector = torch.ones(2)
        self.info = SimpleNamespace(counts=(1, 2), attribute="", increase_rate=None)
        self.info.model_dump = lambda mode: {}
        self.plan = SimpleNamespace(data_sha256="0" * 64, threads=1, processes=1)

    def record(self):
        return {"result": 1}

    def write(self):
        print("written")

    def save(self, path, **options):
        print("saved", path, options)
        (path / "compare.html" if path.suffix == "" else path).parent.mkdir(exist_ok=True)
        (path / "compare.html" if path.suffix == "" else path).write_text("x")

    def __str__(self):
        return "result"


RETURNED = {
    "_go": SimpleNamespace(folder=Path("run"), plan=SimpleNamespace(steps=2, data="digits")),
    "extract_features": np.ones((1, 3)).view(Features),
    "outcomes": [],
    "plot": Path("run.html"),
    "pull": Path(),
    "record": {},
    "summary": "what was adopted",
    "push": publish.Pushed("a/b", "0", "https://x", None),
    "search": [],
    "verify": Records([], {}),
}


def printing(name):
    """A function that prints its arguments, and nothing that differs from call to call."""

    def called(*args, **kwargs):
        kwargs = {k: v for k, v in kwargs.items() if k not in ("progress", "command", "recipe")}
        print(name, [str(a) for a in args if not isinstance(a, Latent | Result)], kwargs)
        if name in ("demo", "forecast"):
            raise OperationFailed("enough")
        if name == "plot":
            args[1].write_text("x")
        return RETURNED[name] if name in RETURNED else Result()

    return called


def saved(folder, name, family, **changes):
    """A small model of a family, with random weights."""
    parts = families.get(family)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = parts.model(parts.tiny.model_copy(update=changes))
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return genzoo.save(model.eval(), folder / name, family=family, data="digits")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Models, a photo, a sample and a direction."""
    home = tmp_path_factory.mktemp("options")
    saved(home, "tiny", "vae")
    saved(home, "labels", "cgan")
    saved(home, "looks", "sagan")
    saved(home, "pixels", "pixelcnn")
    for name, file in {"labels": "e", "tiny": "d"}.items():
        model = genzoo.load(home / name, device="cpu")
        directions.direction_from_seeds(model, "1", "2").save(home / f"{file}.safetensors")
    model.sample(2).save(home / "drawn.png")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(home / "p.png")
    return home


@pytest.fixture
def result_of(home, tmp_path, monkeypatch, capfd, request):
    """Run a line in an empty folder, beside links to the models: its code, output and files."""
    own = names.as_model

    def as_model(name, device="auto"):
        if name not in ("./turns", "./plain"):
            return own(name, device)
        genzoo.devices.device(device)
        model = request.getfixturevalue("translator")
        if name == "./plain":
            monkeypatch.setattr(type(model), "convert", lambda self, x, to, noise: -x)
        return model

    monkeypatch.setattr(names, "as_model", as_model)
    own_manifest = early.manifest_of
    card = lambda name: None if name in ("./turns", "./plain") else own_manifest(name)  # noqa: E731
    monkeypatch.setattr(early, "manifest_of", card)
    monkeypatch.setattr("genzoo.data.entries.listing", lambda: [entry])
    monkeypatch.setattr("genzoo.data.entries.remove", lambda stored: True)
    monkeypatch.setattr("genzoo.data.entries.shrink", lambda most: [])
    entry = Stored("data", "mnist", "train", 10, 0.0, Path("x"))
    broken = Plugin("my", "family", "my", "my", "1", "", state="broken", error="no", detail="why")
    monkeypatch.setattr("genzoo.testing.status.inspect", lambda *kinds: [broken])
    folders = iter(range(99))

    def result(line, again=False):
        if not again:
            folder = tmp_path / str(next(folders))
            folder.mkdir()
            monkeypatch.chdir(folder)
            for path in home.iterdir():
                Path(path.name).symlink_to(path)
        code = run(line.split())
        out, err = capfd.readouterr()
        files = [p for p in Path().rglob("*") if not p.parts[0].startswith((*INPUTS,))]
        return code, out, err, {p: p.read_bytes() for p in files if p.is_file()}

    return result


INPUTS = (
    "tiny",
    "labels",
    "looks",
    "pixels",
    "drawn.png",
    "d.safetensors",
    "e.safetensors",
    "p.png",
)


@pytest.fixture
def printed(monkeypatch):
    """The functions behind a command print their arguments."""

    def patch(command):
        for path in BEHIND.get(command, ()):
            monkeypatch.setattr(path, printing(path.rpartition(".")[2]))
        monkeypatch.setattr("genzoo.evaluation.verify.takes_data", lambda name: "mine" in name)
        if command == "plot":
            monkeypatch.setattr("genzoo.runs.plots.read_run", lambda run: Result())
            monkeypatch.setattr("genzoo.cli.early._check_run", lambda folder: None)

    return patch


def commands(group, name=""):
    """The name of each command and the names of its options."""
    for key, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {key}".strip())
    if not hasattr(group, "commands"):
        options = {p.name for p in group.params if p.param_type_name == "option"}
        yield name, options - {"help"}


def test_each_option_of_each_command_is_here():
    table = {name: {*options} for name, (_, options) in ACTS.items()}
    for name in FORCE:
        table[name].add("force")
    assert dict(commands(typer.main.get_command(app))) == table


@pytest.mark.parametrize("command", ACTS)
def test_each_option_acts(command, result_of, printed):
    printed(command)
    line, options = ACTS[command]
    plain, same = {}, []
    if not options:
        assert result_of(line)[0] == 0
    for option, more in options.items():
        base, more = more if isinstance(more, tuple) else (line, more)
        plain[base] = plain.get(base) or result_of(base)
        if result_of(f"{base} {more}") == plain[base]:
            same.append(option)
    assert not same
    assert {base: code for base, (code, *_) in plain.items() if code != FAILING.get(base, 0)} == {}


@pytest.mark.parametrize("command", sorted(FORCE))
def test_force_replaces(command, result_of, printed):
    printed(command)
    line = ACTS[command][0]
    if command == "inspect":
        line += " --reproduce --model ./tiny -o x.png"
    first = result_of(line)
    assert first[0] == 0, first
    refused = result_of(line, again=True)
    assert refused[0] == 2
    assert "--force" in refused[2]
    assert result_of(f"{line} --force", again=True)[0] == 0


@pytest.mark.parametrize(("line", "more"), REFUSED)
def test_what_nothing_reads_is_refused_by_name(line, more, result_of):
    option = more.split("=")[0].split()[0]
    code, out, err, files = result_of(f"{line} {more}")
    assert (code, out, files) == (2, "", {})
    assert len(err.splitlines()) == 1
    assert option in err or option.strip("-")[:5] in err


def test_arguments_that_no_score_depends_on_are_found():
    """Neither a likelihood nor statistics that ship open what the form of images is for."""
    plain = SimpleNamespace(real=SimpleNamespace(opened={}), reads=("features", "limit"))
    given = {"features": "mnist", "groups": 2, "limit": 9, "n": 9, "size": 8, "levels": None}
    assert unread.unread_arguments([plain], given) == ["features", "groups", "limit", "n", "size"]
    real = SimpleNamespace(opened={"train": 1}, features=1, given_features="mnist")
    used = SimpleNamespace(real=real, reads=("features", "groups"))
    assert unread.unread_arguments([used], given) == ["limit", "n"]
    other = SimpleNamespace(real=real, reads=())
    assert unread.unread_arguments([other], given) == ["features", "groups", "limit", "n"]
    real.given_features = "inception"  # fid has features of its own
    assert unread.unread_arguments([used], given) == ["features", "limit", "n"]


def test_a_device_where_a_model_in_memory_is_not_is_refused():
    checks.check_place(torch.device("meta"), "auto")
    checks.check_place(torch.device("cpu"), "cpu")
    with pytest.raises(BadInput, match="the model is on meta"):
        checks.check_place(torch.device("meta"), "cpu")
